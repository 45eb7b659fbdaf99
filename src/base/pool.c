/* pool.c -- one parallel loop at a time over a fixed set of threads.
 *
 * A loop is published by raising `epoch`; workers see it by spinning for a bounded time, then by sleeping on a condition.
 * Items are claimed from `next` in runs of `grain`. The caller claims too, then waits until every worker has left the loop,
 * so the loop's arguments may live on its stack. A forward pass makes hundreds of short loops: the spin keeps
 * workers awake between them, its bound keeps an idle process from burning a core.
 * Workers block all signals: Ctrl-C is the main thread's. */
#include "base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/mem.h"

#define SPINS_MAX 4000 /* pauses before sleeping: some tens of microseconds */

struct pool {
    int n_threads;
    pthread_t *threads; /* [n_threads - 1]; n_started of them run */
    int n_started;
    struct worker *workers;
    _Atomic uint64_t epoch;  /* raised once per loop */
    _Atomic int64_t next;    /* first item that nobody claimed */
    _Atomic int n_busy;      /* workers that have not left the loop */
    _Atomic bool stop;
    _Atomic int n_asleep;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* The loop under way; written before epoch is raised. */
    pool_fn fn;
    void *ctx;
    int64_t n_items, grain;
};

struct worker {
    struct pool *pool;
    int i_thread;
};

static void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void claim_items(struct pool *p, int i_thread) {
    for (;;) {
        int64_t begin = atomic_fetch_add_explicit(&p->next, p->grain, memory_order_relaxed);
        if (begin >= p->n_items) return;
        int64_t end = p->n_items - begin < p->grain ? p->n_items : begin + p->grain;
        p->fn(p->ctx, begin, end, i_thread);
    }
}

/* Wait until epoch differs from `seen`. */
static void wait_epoch(struct pool *p, uint64_t seen) {
    for (int i = 0; i < SPINS_MAX; i++) {
        if (atomic_load_explicit(&p->epoch, memory_order_acquire) != seen) return;
        pause_cpu();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->n_asleep, 1);
    while (atomic_load(&p->epoch) == seen) pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->n_asleep, 1);
    pthread_mutex_unlock(&p->lock);
}

static void raise_epoch(struct pool *p) {
    atomic_fetch_add(&p->epoch, 1);
    if (atomic_load(&p->n_asleep) == 0) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *arg) {
    const struct worker *w = arg;
    struct pool *p = w->pool;
    uint64_t seen = 0;
    for (;;) {
        wait_epoch(p, seen);
        seen = atomic_load_explicit(&p->epoch, memory_order_acquire);
        if (atomic_load(&p->stop)) return NULL;
        claim_items(p, w->i_thread);
        atomic_fetch_sub_explicit(&p->n_busy, 1, memory_order_release);
    }
}

static slm_status start_workers(struct pool *p, slm_err *err) {
    sigset_t all, before;
    slm_status st = SLM_OK;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < p->n_threads - 1; i++) {
        p->workers[i] = (struct worker){p, i + 1};
        if (pthread_create(&p->threads[i], NULL, worker_main, &p->workers[i]) != 0) {
            st = err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "threads \"%d\": the system starts only %d", p->n_threads, i + 1);
            break;
        }
        p->n_started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return st;
}

slm_status pool_create(int n_threads, struct pool **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct pool *p = NULL;
    void *mem = NULL;
    *out = NULL;
    if (n_threads < 0 || n_threads > POOL_THREADS_MAX)
        return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "threads \"%d\": must be 0 to %d", n_threads, POOL_THREADS_MAX);
    if (n_threads == 0) {
        struct cpu_info info;
        cpu_info_get(&info);
        n_threads = info.n_usable < POOL_THREADS_MAX ? info.n_usable : POOL_THREADS_MAX;
    }
    TRY(mem_alloc(&mem, 1, sizeof *p, "thread pool", err));
    p = mem;
    p->n_threads = n_threads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    TRY(mem_alloc(&mem, (size_t)n_threads, sizeof *p->threads, "thread pool", err));
    p->threads = mem;
    TRY(mem_alloc(&mem, (size_t)n_threads, sizeof *p->workers, "thread pool", err));
    p->workers = mem;
    TRY(start_workers(p, err));
    *out = p;
    return SLM_OK;
out:
    pool_destroy(p);
    return st;
}

void pool_destroy(struct pool *p) {
    if (!p) return;
    atomic_store(&p->stop, true);
    raise_epoch(p);
    for (int i = 0; i < p->n_started; i++) pthread_join(p->threads[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    free(p->threads);
    free(p->workers);
    free(p);
}

int pool_n_threads(const struct pool *p) { return p->n_threads; }

void pool_run(struct pool *p, int64_t n_items, int64_t grain, pool_fn fn, void *ctx) {
    if (n_items <= 0) return;
    if (grain < 1) grain = 1;
    if (p->n_threads == 1 || n_items <= grain) {
        fn(ctx, 0, n_items, 0);
        return;
    }
    p->fn = fn;
    p->ctx = ctx;
    p->n_items = n_items;
    p->grain = grain;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->n_busy, p->n_started, memory_order_relaxed);
    raise_epoch(p);
    claim_items(p, 0);
    /* Workers are in their last run of items, or about to find none: short, unless the CPU is taken away from them. */
    for (int i = 0; atomic_load_explicit(&p->n_busy, memory_order_acquire) != 0; i++) {
        if (i < SPINS_MAX) pause_cpu();
        else sched_yield();
    }
}
