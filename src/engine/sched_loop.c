/* sched_loop.c -- one thread, so that models share the processor by turns instead of fighting for it: a step's own threads are as many as
 * the machine has.
 *
 * One call is made between two rounds of steps, and the next not before the steps have had as much time as it took: a hundred embeddings, or a narrow job's
 * prompt, make the answers under way half as fast at worst. The thread sleeps when no scheduler had anything to do and nothing was queued since it began to
 * look. */
#include "engine/sched_loop.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/util.h"

struct call {
    struct call *next;
    void (*fn)(void *user);
    void *user;
};

struct sched_loop {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, idle;  /* work: there is some; idle: a round has ended */
    struct sched *scheds[SCHED_LOOP_N_MAX];
    int n_sched;
    struct call *calls, **calls_end;
    uint64_t n_wakes, n_rounds; /* wakes: what came in; rounds: over the schedulers */
    bool in_round, quits;
};

static void notify(void *user) {
    struct sched_loop *l = user;
    pthread_mutex_lock(&l->lock);
    l->n_wakes++;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
}

static bool make_call(struct sched_loop *l) {
    pthread_mutex_lock(&l->lock);
    struct call *c = l->calls;
    if (c && !(l->calls = c->next)) l->calls_end = &l->calls;
    pthread_mutex_unlock(&l->lock);
    if (!c) return false;
    c->fn(c->user);
    free(c);
    return true;
}

/* A step of each scheduler. Those removed meanwhile wait for the end of the round. */
static bool make_round(struct sched_loop *l) {
    struct sched *scheds[SCHED_LOOP_N_MAX];
    bool worked = false;
    pthread_mutex_lock(&l->lock);
    int n = l->n_sched;
    for (int i = 0; i < n; i++) scheds[i] = l->scheds[i];
    l->in_round = true;
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < n; i++) worked |= sched_step(scheds[i]);
    pthread_mutex_lock(&l->lock);
    l->in_round = false;
    l->n_rounds++;
    pthread_cond_broadcast(&l->idle);
    pthread_mutex_unlock(&l->lock);
    return worked;
}

static void *run(void *user) {
    struct sched_loop *l = user;
    double owed_s = 0; /* what calls have had, and steps have not */
    for (;;) {
        pthread_mutex_lock(&l->lock);
        uint64_t n_wakes = l->n_wakes;
        bool quits = l->quits;
        pthread_mutex_unlock(&l->lock);
        double t0 = time_now_s();
        bool has_called = (quits || owed_s <= 0) && make_call(l);
        double t1 = time_now_s();
        if (has_called) owed_s = t1 - t0;
        if (quits && !has_called) return NULL;
        bool has_stepped = !quits && make_round(l);
        bool was_owed = owed_s > 0;
        owed_s = has_stepped ? owed_s - (time_now_s() - t1) : 0; /* nobody waits */
        if (has_called || has_stepped || was_owed) continue;
        pthread_mutex_lock(&l->lock);
        while (l->n_wakes == n_wakes && !l->quits) pthread_cond_wait(&l->work, &l->lock);
        pthread_mutex_unlock(&l->lock);
    }
}

slm_status sched_loop_create(struct sched_loop **out, slm_err *err) {
    void *mem;
    slm_status st = mem_alloc(&mem, 1, sizeof(struct sched_loop), "engine thread", err);
    *out = NULL;
    if (st != SLM_OK) return st;
    struct sched_loop *l = mem;
    l->calls_end = &l->calls;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->idle, NULL);
    if (pthread_create(&l->thread, NULL, run, l) != 0) {
        free(l);
        return err_set(err, SLM_E_FAILED, SLM_NOWHERE, "engine thread: the system gives no thread");
    }
    *out = l;
    return SLM_OK;
}

void sched_loop_destroy(struct sched_loop *l) {
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->quits = true;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    for (int i = 0; i < l->n_sched; i++) sched_wake(l->scheds[i], NULL, NULL);
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->idle);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

slm_status sched_loop_add(struct sched_loop *l, struct sched *s, slm_err *err) {
    pthread_mutex_lock(&l->lock);
    bool fits = l->n_sched < SCHED_LOOP_N_MAX;
    if (fits) l->scheds[l->n_sched++] = s;
    pthread_mutex_unlock(&l->lock);
    if (!fits) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "more than %d models at once", SCHED_LOOP_N_MAX);
    sched_wake(s, notify, l);
    notify(l);
    return SLM_OK;
}

void sched_loop_remove(struct sched_loop *l, struct sched *s) {
    int n = 0;
    sched_wake(s, NULL, NULL);
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->n_sched; i++)
        if (l->scheds[i] != s) l->scheds[n++] = l->scheds[i];
    l->n_sched = n;
    uint64_t n_rounds = l->n_rounds;
    while (l->in_round && l->n_rounds == n_rounds) pthread_cond_wait(&l->idle, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

slm_status sched_loop_call(struct sched_loop *l, void (*fn)(void *user), void *user, slm_err *err) {
    void *mem;
    slm_status st = mem_alloc(&mem, 1, sizeof(struct call), "engine call", err);
    if (st != SLM_OK) return st;
    struct call *c = mem;
    *c = (struct call){.fn = fn, .user = user};
    pthread_mutex_lock(&l->lock);
    *l->calls_end = c;
    l->calls_end = &c->next;
    l->n_wakes++;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
    return SLM_OK;
}
