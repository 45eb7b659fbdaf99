/* turn.h -- a request's turn at one of a model's own sessions: what runs a model without the scheduler (narrow jobs, embeddings).
 *
 * The job is plain blocking code on the request's thread; only its forwards go to the engine thread, one between two rounds of the scheduler's steps,
 * so answers under way go on beside it. One request has a session at a time; the others wait in the order in which they came. When the client
 * leaves or the deadline passes, the forward under way is the last. */
#ifndef SLM_SERVE_TURN_H
#define SLM_SERVE_TURN_H

#include <pthread.h>

#include "engine/session.h"
#include "serve/call.h"

struct turns { /* of a server: guards all lines */
    pthread_mutex_t lock;
    pthread_cond_t moved;
};
void turns_init(struct turns *t);
void turns_fini(struct turns *t);

struct turn {
    struct call *c;
    struct turn **line, *next; /* line: who has the session, then who waits; NULL: it is in none */
    struct slm_session *session;
    double deadline;           /* time_now_s's clock; 0: none */
    _Atomic bool is_gone;
};
/* turn_open -- of a request, for as many turns as it needs; turn_close ends it. deadline as generation's. */
void turn_open(struct turn *t, struct call *c, double deadline);
void turn_close(struct turn *t);

/* turn_enter -- wait until the session of this line is ours. make(user) makes it, on the engine thread, when it is not there: *session. turn_leave ends the turn.
 * Errors: CANCELLED (the client left), LIMIT (the deadline), those of make; c->fault has them. */
slm_status turn_enter(struct turn *t, struct turn **line, slm_status (*make)(void *user, struct slm_session **session, slm_err *err), void *user);
void turn_leave(struct turn *t);

#endif
