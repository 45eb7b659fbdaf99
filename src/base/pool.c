/* pool.c -- one parallel loop at a time over a fixed set of threads.
 *
 * A loop is published by opening `gate` under a new epoch; workers see that by spinning for a bounded time, then by sleeping on
 * a condition. A worker enters the gate, claims runs of `grain` items from `next` until none is left, and leaves. The caller
 * claims too, then shuts the gate and waits for those inside only: a worker that slept through the loop, or lost its CPU to another
 * program before it could enter, holds nobody up. (Waiting for every worker to report was tried: on a busy machine each of the
 * hundreds of short loops in a forward pass then cost a time slice.) The loop's arguments may live on the caller's stack, since
 * nobody who is not inside reads them. The spin keeps workers awake between loops, its bound keeps an idle process from burning a core.
 * Workers hear no signals but their own faults (signals.h): Ctrl-C is the main thread's. */
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/signals.h"

#define SPINS_MAX 4000 /* pauses before sleeping: some tens of microseconds */

/* The gate: threads inside in the low bits, then whether it is open, then the epoch. One word, so that entering is one addition. */
#define GATE_INSIDE_MASK (GATE_OPEN - 1)
#define GATE_OPEN ((uint64_t)1 << 16)
#define GATE_EPOCH ((uint64_t)1 << 17)
_Static_assert(POOL_THREADS_MAX < GATE_OPEN, "every thread may be inside at once");

struct pool {
    int n_threads;
    pthread_t *threads; /* [n_threads - 1]; n_started of them run */
    int n_started;
    struct worker *workers;
    _Atomic uint64_t gate;
    _Atomic int64_t next; /* first item that nobody claimed */
    _Atomic bool stop;
    _Atomic int n_asleep;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* The loop under way: written while the gate is shut and nobody is inside, read inside. */
    pool_fn fn;
    void *ctx;
    int64_t n_items, grain;
    int64_t run_max; /* 0: every run is a grain */
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

/* The next run's first item, and its end. */
static int64_t claim_grain(struct pool *p, int64_t *end) {
    int64_t begin = atomic_fetch_add_explicit(&p->next, p->grain, memory_order_relaxed);
    *end = begin + p->grain;
    return begin;
}

/* Half of an even share of what is left. */
static int64_t claim_long(struct pool *p, int64_t *end) {
    int64_t begin = atomic_load_explicit(&p->next, memory_order_relaxed);
    do {
        int64_t n = (p->n_items - begin) / (2 * p->n_threads);
        if (n > p->run_max) n = p->run_max;
        *end = begin + (n > 1 ? n : 1);
    } while (!atomic_compare_exchange_weak_explicit(&p->next, &begin, *end, memory_order_relaxed, memory_order_relaxed));
    return begin;
}

static void claim_items(struct pool *p, int i_thread) {
    for (;;) {
        int64_t end, begin = p->run_max ? claim_long(p, &end) : claim_grain(p, &end);
        if (begin >= p->n_items) return;
        p->fn(p->ctx, begin, end < p->n_items ? end : p->n_items, i_thread);
    }
}

static uint64_t epoch_of(uint64_t gate) { return gate / GATE_EPOCH; }

static void spin_or_yield(int i) {
    if (i < SPINS_MAX) pause_cpu();
    else sched_yield();
}

/* Wait until the epoch differs from `seen`; returns it. */
static uint64_t wait_epoch(struct pool *p, uint64_t seen) {
    uint64_t epoch;
    for (int i = 0; i < SPINS_MAX; i++) {
        epoch = epoch_of(atomic_load_explicit(&p->gate, memory_order_relaxed));
        if (epoch != seen) return epoch;
        pause_cpu();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->n_asleep, 1);
    while ((epoch = epoch_of(atomic_load(&p->gate))) == seen) pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->n_asleep, 1);
    pthread_mutex_unlock(&p->lock);
    return epoch;
}

/* A new epoch, open or not. */
static void raise_epoch(struct pool *p, uint64_t open) {
    atomic_fetch_add(&p->gate, GATE_EPOCH + open);
    if (atomic_load(&p->n_asleep) == 0) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *arg) {
    const struct worker *w = arg;
    struct pool *p = w->pool;
    for (uint64_t seen = 0;;) {
        seen = wait_epoch(p, seen);
        if (atomic_load(&p->stop)) return NULL;
        uint64_t gate = atomic_fetch_add_explicit(&p->gate, 1, memory_order_acquire);
        if (gate & GATE_OPEN) {
            seen = epoch_of(gate); /* perhaps a later loop than the one waited for */
            claim_items(p, w->i_thread);
        }
        atomic_fetch_sub_explicit(&p->gate, 1, memory_order_release);
    }
}

static slm_status start_workers(struct pool *p, slm_err *err) {
    sigset_t before;
    slm_status st = SLM_OK;
    signals_hold(&before);
    for (int i = 0; i < p->n_threads - 1; i++) {
        p->workers[i] = (struct worker){p, i + 1};
        if (pthread_create(&p->threads[i], NULL, worker_main, &p->workers[i]) != 0) {
            st = err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "threads \"%d\": the system starts only %d", p->n_threads, i + 1);
            break;
        }
        p->n_started++;
    }
    signals_release(&before);
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
    raise_epoch(p, 0);
    for (int i = 0; i < p->n_started; i++) pthread_join(p->threads[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    free(p->threads);
    free(p->workers);
    free(p);
}

int pool_n_threads(const struct pool *p) { return p->n_threads; }

static void run_loop(struct pool *p, int64_t n_items, int64_t grain, int64_t run_max, pool_fn fn, void *ctx) {
    if (n_items <= 0) return;
    if (grain < 1) grain = 1;
    if (p->n_threads == 1 || n_items <= grain) {
        fn(ctx, 0, n_items, 0);
        return;
    }
    /* A worker that came late to the last loop may be between entering and leaving; it reads nothing. */
    p->fn = fn;
    p->ctx = ctx;
    p->n_items = n_items;
    p->grain = grain;
    p->run_max = run_max;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    raise_epoch(p, GATE_OPEN);
    claim_items(p, 0);
    atomic_fetch_sub(&p->gate, GATE_OPEN);
    for (int i = 0; atomic_load_explicit(&p->gate, memory_order_acquire) & GATE_INSIDE_MASK; i++) spin_or_yield(i);
}

void pool_run(struct pool *p, int64_t n_items, int64_t grain, pool_fn fn, void *ctx) { run_loop(p, n_items, grain, 0, fn, ctx); }

void pool_run_long(struct pool *p, int64_t n_items, int64_t run_max, pool_fn fn, void *ctx) {
    run_loop(p, n_items, 1, run_max > 1 ? run_max : 0, fn, ctx);
}

static double clock_s(clockid_t clock) {
    struct timespec t;
    return clock_gettime(clock, &t) == 0 ? (double)t.tv_sec + 1e-9 * (double)t.tv_nsec : 0;
}

double pool_cpu_s(const struct pool *pool) {
    clockid_t clock;
    double sum = clock_s(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < pool->n_started; i++)
        if (pthread_getcpuclockid(pool->threads[i], &clock) == 0) sum += clock_s(clock);
    return sum;
}
