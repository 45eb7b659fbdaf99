/* crew.c -- one slot per thread; an idle thread waits on its own condition for its next job. */
#include "serve/crew.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

#define STACK_BYTES ((size_t)8 << 20) /* of templates and nested JSON; touched pages only */

struct member {
    struct crew *crew;
    pthread_t thread;
    pthread_cond_t wake;
    void (*fn)(void *arg);
    void *arg;
    struct member *next_idle;
};
struct crew {
    pthread_mutex_t lock;
    pthread_attr_t attr;
    struct member *members; /* [n_max] */
    size_t n_max, n_made;
    struct member *idle;
    bool is_ending;
};

static void *work(void *arg) {
    struct member *m = arg;
    struct crew *c = m->crew;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!m->fn && !c->is_ending) pthread_cond_wait(&m->wake, &c->lock);
        if (!m->fn) break;
        pthread_mutex_unlock(&c->lock);
        m->fn(m->arg);
        pthread_mutex_lock(&c->lock);
        m->fn = NULL;
        m->next_idle = c->idle;
        c->idle = m;
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

slm_status crew_create(size_t n_max, struct crew **out, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    struct crew *c = NULL;
    *out = NULL;
    TRY(mem_alloc(&mem, 1, sizeof *c, "request threads", err));
    c = mem;
    TRY(mem_alloc(&mem, n_max, sizeof *c->members, "request threads", err));
    c->members = mem;
    c->n_max = n_max;
    pthread_mutex_init(&c->lock, NULL);
    pthread_attr_init(&c->attr);
    pthread_attr_setstacksize(&c->attr, STACK_BYTES);
    *out = c;
    return SLM_OK;
out:
    free(c);
    return st;
}

/* One more thread, with its first job; lock held. */
static bool make_member(struct crew *c, void (*fn)(void *arg), void *arg) {
    struct member *m = &c->members[c->n_made];
    *m = (struct member){.crew = c, .fn = fn, .arg = arg};
    pthread_cond_init(&m->wake, NULL);
    if (pthread_create(&m->thread, &c->attr, work, m) != 0) {
        pthread_cond_destroy(&m->wake);
        return false;
    }
    c->n_made++;
    return true;
}

bool crew_start(struct crew *c, void (*fn)(void *arg), void *arg) {
    pthread_mutex_lock(&c->lock);
    struct member *m = c->idle;
    bool is_started = m != NULL;
    if (m) {
        c->idle = m->next_idle;
        m->fn = fn;
        m->arg = arg;
        pthread_cond_signal(&m->wake);
    } else if (c->n_made < c->n_max) is_started = make_member(c, fn, arg);
    pthread_mutex_unlock(&c->lock);
    return is_started;
}

void crew_destroy(struct crew *c) {
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    c->is_ending = true;
    for (size_t i = 0; i < c->n_made; i++) pthread_cond_signal(&c->members[i].wake);
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; i < c->n_made; i++) {
        pthread_join(c->members[i].thread, NULL);
        pthread_cond_destroy(&c->members[i].wake);
    }
    pthread_attr_destroy(&c->attr);
    pthread_mutex_destroy(&c->lock);
    free(c->members);
    free(c);
}
