/* upstream.h -- asking the frontier: attempts over the upstreams of the settings, until one answers or none may be tried any more.
 *
 * An attempt is set aside in the ledger, sent, read as it comes, settled. It is tried again (after a pause, or what Retry-After says) when the upstream's
 * status is in retry_on, the connection failed, or the answer was no answer (broken JSON, a stream without its end, 200 with an error) -- but only
 * while nothing of the answer has been told: after the first part there is one source, and its failure is the request's. Each upstream has its breaker and
 * its own warm connections. All of it has one deadline. Any thread; the caller's waits. */
#ifndef SLM_TIER_UPSTREAM_H
#define SLM_TIER_UPSTREAM_H

#include <stdatomic.h>

#include "tier/ledger.h"
#include "tier/wire.h"

struct upstreams;
/* Borrows s and l. Errors: NOMEM, FAILED (no HTTP client). */
slm_status upstreams_create(const struct tier_settings *s, struct ledger *l, struct upstreams **out, slm_err *err);
void upstreams_destroy(struct upstreams *u);

enum upstream_outcome {
    UPSTREAM_ANSWERED,
    UPSTREAM_UNABLE,   /* no upstream's API can say the request; err names what */
    UPSTREAM_OVER,     /* a budget does not allow it */
    UPSTREAM_REFUSED,  /* the upstream calls the request wrong: 400, 404, 413, 422 */
    UPSTREAM_FAILED,   /* none answered */
    UPSTREAM_BROKEN,   /* it failed after parts had been told */
    UPSTREAM_GONE,     /* the client left, or on_event failed */
};
struct frontier_call {
    const struct ask *ask;
    const char *request_id, *kind; /* kind: as the ledger has it */
    double deadline;          /* time_now_s's clock */
    _Atomic nano_usd *left;   /* of the request's own budget, less what is set aside of it; NULL: no limit. Calls that run together share it */
    _Atomic unsigned *taken;  /* a bit for each upstream that one of the calls which run together has asked: no other asks it. NULL: it runs alone */
    nano_usd kind_max;        /* as the ledger has it */
    const char *first;        /* the upstream to begin with; NULL: in order */
    bool (*is_gone)(void *user);
    ask_fn *on_event;
    void *user;
    /* Out */
    const struct upstream_settings *answered; /* who answered, or began to */
    enum wire_end end;
    uint64_t n_in, n_cached, n_out; /* of the attempt that answered */
    nano_usd cost;            /* of all attempts */
    int n_attempts, retry_after_s;
    bool is_estimated;
};
/* frontier_ask -- err is filled unless it answered. */
enum upstream_outcome frontier_ask(struct upstreams *us, struct frontier_call *c, slm_err *err);
/* frontier_available -- could an attempt begin now? Breakers and budgets are looked at, nothing is set aside. */
bool frontier_available(struct upstreams *us, const struct ask *a, nano_usd left);
/* frontier_patience_s -- how long the upstream that would be asked first may be silent until the settings want somebody else to be started; INFINITY: not known yet. */
double frontier_patience_s(struct upstreams *us, const struct ask *a, const char *first);
/* frontier_cannot -- what of the request none of the upstreams can be told; NULL: one at least can. */
const char *frontier_cannot(const struct upstreams *us, const struct ask *a);
/* frontier_price -- what the first upstream would bill for so many tokens. */
nano_usd frontier_price(const struct upstreams *us, uint64_t n_in, uint64_t n_out);

/* For /metrics: i-th upstream; false past the end. */
struct upstream_stats {
    const char *name;
    uint64_t n_attempts, n_failed, n_retried, n_in, n_out;
    nano_usd cost;
    int breaker;
    double first_byte_s; /* mean of those that answered */
};
bool upstreams_stats(struct upstreams *us, size_t i, struct upstream_stats *out);
#endif
