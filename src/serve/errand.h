/* errand.h -- work of one request on the engine thread, between two steps: what runs a model without the scheduler. */
#ifndef SLM_SERVE_ERRAND_H
#define SLM_SERVE_ERRAND_H

#include "serve/server.h"

/* errand_run -- fn(user) on the engine thread; returns when it has. No step is made meanwhile, so an errand is one forward at most. Errors: those of fn, NOMEM. */
slm_status errand_run(struct call *c, slm_status (*fn)(void *user, slm_err *err), void *user, slm_err *err);

#endif
