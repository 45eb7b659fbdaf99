/* pool.h -- a fixed set of threads that run one parallel loop at a time.
 *
 * Items are taken by an atomic counter in runs of `grain`, so a slow thread holds nobody up. Which
 * thread takes an item is not determined; results must not depend on it. Workers spin for a bounded
 * time after a loop, then sleep. The calling thread takes part; n_threads 1 makes no thread at all. */
#ifndef SLM_BASE_POOL_H
#define SLM_BASE_POOL_H

#include "base/status.h"

struct pool;
/* Items [begin, end) are the callee's; i_thread is in [0, n_threads), 0 is the caller. */
typedef void (*pool_fn)(void *ctx, int64_t begin, int64_t end, int i_thread);

/* n_threads: 1..POOL_THREADS_MAX; 0 means cpu_info.n_usable. */
#define POOL_THREADS_MAX 256
slm_status pool_create(int n_threads, struct pool **pool, slm_err *err);
void pool_destroy(struct pool *pool);
int pool_n_threads(const struct pool *pool);
/* pool_run -- run fn over [0, n_items), return when all are done. No allocation. Not re-entrant. */
void pool_run(struct pool *pool, int64_t n_items, int64_t grain, pool_fn fn, void *ctx);
/* pool_run_long -- the same in runs of up to run_max items, for work that likes neighbours; runs get shorter towards the end,
 * down to one item, so that the threads end together. */
void pool_run_long(struct pool *pool, int64_t n_items, int64_t run_max, pool_fn fn, void *ctx);
/* pool_cpu_s -- processor time that its threads have had so far, the calling one among them. */
double pool_cpu_s(const struct pool *pool);

#endif
