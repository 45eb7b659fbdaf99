/* sched_loop.h -- the engine thread: steps of any number of schedulers in turn, and work that must not run beside a step. */
#ifndef SLM_ENGINE_SCHED_LOOP_H
#define SLM_ENGINE_SCHED_LOOP_H

#include "engine/sched.h"

#define SCHED_LOOP_N_MAX 64 /* schedulers of one loop */

struct sched_loop;

/* Errors: NOMEM, FAILED (no thread). */
slm_status sched_loop_create(struct sched_loop **out, slm_err *err);
/* sched_loop_destroy -- the step under way ends, calls that are queued are made, the thread is joined. Schedulers stay the caller's. */
void sched_loop_destroy(struct sched_loop *l);

/* sched_loop_add -- its steps are made from now on. Errors: LIMIT. sched_loop_remove returns when none is under way and none will
 * follow. Any thread but the engine's. */
slm_status sched_loop_add(struct sched_loop *l, struct sched *s, slm_err *err);
void sched_loop_remove(struct sched_loop *l, struct sched *s);

/* sched_loop_call -- fn(user) on the engine thread between two steps; calls keep their order. For embeddings, loading, freeing.
 * Any thread. Errors: NOMEM; fn is then not called. */
slm_status sched_loop_call(struct sched_loop *l, void (*fn)(void *user), void *user, slm_err *err);

#endif
