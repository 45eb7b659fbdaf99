/* gateway.h -- the door between our APIs and the tiers (docs/tiering.md): three model names, and what is decided for a request that asks for one.
 *
 * gateway.c: the gateway itself, its names, metrics, report. gateway_plan.c: what a request may and should do. gateway_run.c: doing it. gateway_verdict.c:
 * whether it was right. gateway_watch.c: whether the certificate still holds.
 * gateway_hedge.c: somebody else beside a silent upstream. */
#ifndef SLM_SERVE_GATEWAY_H
#define SLM_SERVE_GATEWAY_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/util.h"
#include "serve/call.h"
#include "serve/crew.h"
#include "task/result.h"
#include "task/watch.h"
#include "tier/cache.h"
#include "tier/ledger.h"
#include "tier/privacy.h"
#include "tier/upstream.h"

enum gate { GATE_NONE, GATE_LOCAL, GATE_AUTO, GATE_FRONTIER }; /* which of the names was asked for */

struct gateway {
    struct tier_settings *s;
    struct ledger *ledger;
    struct upstreams *upstreams;
    struct privacy *privacy;
    struct answer_cache *cache;
    struct cal *cal;          /* a certificate that decides in place of accept; NULL: none */
    pthread_mutex_t lock;     /* of the four below */
    struct bound_to bound;    /* of the model that was loaded as the i_bound-th */
    uint64_t i_bound;         /* 0: none */
    struct rng rng;
    struct watch watch;       /* over cal */
    _Atomic int watch_state;  /* a copy of its state, to be looked at without the lock */
    struct crew *shadows;     /* their own few places: clients' requests never wait for one */
    struct crew *hedges;      /* likewise; NULL: the settings want none */
    _Atomic bool is_ending;   /* no shadow goes on */
    _Atomic int64_t n_answers[RESULT_TIER_COUNT], n_escalated, n_redacted, n_over, n_hedges, n_hedges_won, saved_micro_usd;
};
const char *gateway_ledger(const struct gateway *g); /* its file */
/* gateway_open -- Errors: those of its parts. gateway_check -- the same without opening the ledger. */
slm_status gateway_open(const char *path, struct gateway **out, slm_err *err);
slm_status gateway_check(const char *path, slm_err *err);
void gateway_close(struct gateway *g);

/* gateway_gate -- does a model's name mean a tier? g NULL: never. */
enum gate gateway_gate(const struct gateway *g, const char *name);
/* gateway_name_at -- the i-th name; NULL past the end, or without a gateway. */
const char *gateway_name_at(const struct gateway *g, size_t i);
/* gateway_metrics -- for /metrics. */
void gateway_metrics(struct gateway *g, struct buf *out);
slm_status gateway_report(struct call *c);   /* GET /slm/v1/report */
slm_status gateway_feedback(struct call *c); /* POST /slm/v1/feedback */
slm_status gateway_answers(struct call *c);  /* GET /slm/v1/answers */
extern const struct field_table gateway_feedback_fields;

struct chat;
/* gateway_run -- a prepared chat whose name is a tier's, to its answer: g->answers and the deltas as generation_run makes them. */
slm_status gateway_run(struct chat *chat);
/* gateway_prepare -- for slm-frontier: what chat_prepare does for a model that is not here. */
slm_status gateway_prepare(struct chat *chat);
#endif
