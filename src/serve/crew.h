/* crew.h -- threads that answer requests, one request each at a time.
 *
 * A request's own work (JSON, templates, tokens, text) is plain blocking code on one of these; connections without a request
 * cost no thread. Threads are made when needed, up to n_max, and stay. */
#ifndef SLM_SERVE_CREW_H
#define SLM_SERVE_CREW_H

#include "base/status.h"

struct crew;
slm_status crew_create(size_t n_max, struct crew **out, slm_err *err);
/* crew_start -- run fn(arg) on a thread. False: all n_max are at work. */
bool crew_start(struct crew *c, void (*fn)(void *arg), void *arg);
void crew_destroy(struct crew *c); /* waits for all */

#endif
