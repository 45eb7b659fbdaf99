/* sched.c -- a scheduler's memory, its queue, and the calls from other threads.
 *
 * A job is on the list of all jobs from sched_submit to its last event, which is how sched_cancel finds it; where else it stands (inbox,
 * waiting, running) is the engine thread's business. Everything a step needs is allocated here, before the first job. */
#include "engine/sched.h"

#include <stdlib.h>

#include "base/cpu.h"
#include "base/util.h"
#include "engine/sched_int.h"

#define N_SEQ_DEFAULT 16
#define N_QUEUE_DEFAULT 256
#define N_BATCH_DEFAULT 512
#define SLOWDOWN_DEFAULT 2.0f

static slm_status check_params(const struct sched_params *p, slm_err *err) {
    if (p->n_seq < 0 || p->n_seq > SCHED_SEQ_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "jobs at once \"%d\": at most %d", p->n_seq, SCHED_SEQ_MAX);
    if (p->n_queue < 0 || p->n_ctx < 0 || p->n_batch < 0) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "a scheduler's sizes: must not be negative");
    if (p->slowdown != 0 && !(p->slowdown >= 1)) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "slowdown \"%g\": must be at least 1", (double)p->slowdown);
    return SLM_OK;
}

/* Defaults filled in: the budget of bytes decides how many positions there are, and a context that was not asked for shrinks to them. */
static slm_status make_plan(struct sched *s, slm_err *err) {
    struct sched_params *p = &s->p;
    struct cpu_info cpu;
    cpu_info_get(&cpu);
    enum kv_type type = p->kv_type == KV_TYPE_AUTO ? kv_type_auto(s->model) : (enum kv_type)p->kv_type;
    if (p->n_seq == 0) p->n_seq = N_SEQ_DEFAULT;
    if (p->n_queue == 0) p->n_queue = N_QUEUE_DEFAULT;
    if (p->n_batch == 0) p->n_batch = N_BATCH_DEFAULT;
    if (p->n_batch < p->n_seq) p->n_batch = p->n_seq;
    if (p->slowdown == 0) p->slowdown = SLOWDOWN_DEFAULT;
    if (p->kv_bytes == 0) p->kv_bytes = cpu.mem_available_bytes / 4;
    bool is_asked = p->n_ctx > 0;
    if (!is_asked) p->n_ctx = (int32_t)s->model->hp.n_ctx_train;
    uint64_t page_bytes = kv_page_bytes(&s->model->hp, type), n_page = page_bytes ? p->kv_bytes / page_bytes : 0;
    uint64_t n_ctx_page = ((uint64_t)p->n_ctx + KV_PAGE_TOK - 1) / KV_PAGE_TOK;
    if (n_page > n_ctx_page * (uint64_t)p->n_seq) n_page = n_ctx_page * (uint64_t)p->n_seq;
    if (n_page < n_ctx_page && !is_asked) p->n_ctx = (int32_t)(n_page * KV_PAGE_TOK);
    if (n_page == 0 || n_page * KV_PAGE_TOK < (uint64_t)p->n_ctx)
        return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "a context of %d needs %llu MiB of cache, the budget is %llu MiB", p->n_ctx,
                       (unsigned long long)(n_ctx_page * page_bytes >> 20), (unsigned long long)(p->kv_bytes >> 20));
    struct plan_params pp = {.n_ctx = p->n_ctx, .n_pool = (int32_t)(n_page * KV_PAGE_TOK), .n_batch = p->n_batch,
                             .n_out = p->n_seq, .n_threads = p->n_threads, .kv_type = type};
    slm_status st = plan_make(s->model, &pp, &s->plan, err);
    if (st == SLM_OK && cpu.mem_available_bytes && s->plan.bytes_private > cpu.mem_available_bytes)
        st = err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "the model's engine needs %llu MiB, %llu MiB are free",
                     (unsigned long long)(s->plan.bytes_private >> 20), (unsigned long long)(cpu.mem_available_bytes >> 20));
    return st;
}

static slm_status make_batch(struct sched *s, slm_err *err) {
    slm_status st = SLM_OK;
    size_t n = (size_t)s->plan.n_batch;
    void *mem;
    TRY(mem_alloc(&mem, n, sizeof *s->token, "batch", err));
    s->token = mem;
    TRY(mem_alloc(&mem, n, sizeof *s->pos, "batch", err));
    s->pos = mem;
    TRY(mem_alloc(&mem, n, sizeof *s->seq, "batch", err));
    s->seq = mem;
    TRY(mem_alloc(&mem, n, sizeof *s->want, "batch", err));
    s->want = mem;
    TRY(mem_alloc(&mem, (size_t)s->p.n_seq, sizeof *s->running, "jobs", err));
    s->running = mem;
    TRY(mem_alloc(&mem, plan_find(&s->plan, "logits")->bytes, 1, "logits", err));
    s->logits = mem;
out:
    return st;
}

slm_status sched_create(struct slm_model *m, const struct sched_params *p, struct sched **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct sched *s = NULL;
    void *mem;
    *out = NULL;
    if (m->hp.bidirectional) return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "architecture \"%s\": an encoder generates nothing", m->arch->name);
    TRY(check_params(p, err));
    TRY(mem_alloc(&mem, 1, sizeof *s, "scheduler", err));
    s = mem;
    s->model = m;
    s->p = *p;
    s->inbox_end = &s->inbox;
    pthread_mutex_init(&s->lock, NULL);
    TRY(make_plan(s, err));
    TRY(model_pack(m, s->plan.n_threads, err));
    TRY(compute_init(&s->compute, s->plan.n_threads, (int64_t)plan_d_in_max(&m->hp), s->plan.n_batch, err));
    TRY(kv_create(&m->hp, s->plan.kv_type, s->plan.n_page, &s->kv, err));
    if (!p->no_prefix && !s->kv->states) TRY(prefix_create(s->kv, &s->prefix, err));
    TRY(forward_create(m, &s->plan, &s->compute, &s->forward, err));
    TRY(make_batch(s, err));
    s->stats.n_page = s->stats.n_page_free = s->plan.n_page;
    *out = s;
    return SLM_OK;
out:
    sched_destroy(s);
    return st;
}

void sched_destroy(struct sched *s) {
    if (!s) return;
    while (s->alive) job_finish(s, s->alive, FINISH_CANCELLED);
    prefix_destroy(s->prefix);
    forward_destroy(s->forward);
    kv_destroy(s->kv);
    compute_fini(&s->compute);
    free(s->token);
    free(s->pos);
    free(s->seq);
    free(s->want);
    free(s->running);
    free(s->logits);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int32_t sched_n_ctx(const struct sched *s) { return s->p.n_ctx; }

/* Into the inbox, unless the queue is full. */
static slm_status enqueue(struct sched *s, struct job *j, uint64_t *id, slm_err *err) {
    slm_status st = SLM_OK;
    pthread_mutex_lock(&s->lock);
    if (s->n_queued >= s->p.n_queue) {
        st = err_set(err, SLM_E_BUSY, SLM_NOWHERE, "%d requests wait already: the queue is full", s->n_queued);
        s->stats.n_refused++;
    } else {
        s->n_queued++;
        *id = j->id = ++s->last_id;
        j->next_alive = s->alive;
        if (s->alive) s->alive->prev_alive = j;
        s->alive = j;
        *s->inbox_end = j;
        s->inbox_end = &j->next;
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

static void wake(struct sched *s) {
    pthread_mutex_lock(&s->lock);
    void (*fn)(void *) = s->wake;
    void *user = s->wake_user;
    pthread_mutex_unlock(&s->lock);
    if (fn) fn(user);
}

slm_status sched_submit(struct sched *s, const struct sched_request *r, uint64_t *id, slm_err *err) {
    struct job *j;
    *id = 0;
    slm_status st = job_create(s, r, &j, err);
    if (st != SLM_OK) return st;
    st = enqueue(s, j, id, err);
    if (st != SLM_OK) {
        job_destroy(s, j);
        return st;
    }
    wake(s);
    return SLM_OK;
}

void sched_cancel(struct sched *s, uint64_t id) {
    bool found = false;
    pthread_mutex_lock(&s->lock);
    for (struct job *j = s->alive; j && !found; j = j->next_alive)
        if (j->id == id) {
            atomic_store(&j->cancelled, true);
            found = true;
        }
    pthread_mutex_unlock(&s->lock);
    if (found) wake(s);
}

struct sched_stats sched_stats(struct sched *s) {
    pthread_mutex_lock(&s->lock);
    struct sched_stats stats = s->stats;
    stats.n_waiting = s->n_queued;
    pthread_mutex_unlock(&s->lock);
    return stats;
}

void sched_wake(struct sched *s, void (*fn)(void *user), void *user) {
    pthread_mutex_lock(&s->lock);
    s->wake = fn;
    s->wake_user = user;
    pthread_mutex_unlock(&s->lock);
}
