/* gateway_int.h -- one request's way through the tiers. */
#ifndef SLM_SERVE_GATEWAY_INT_H
#define SLM_SERVE_GATEWAY_INT_H

#include "serve/chat.h"
#include "serve/gateway.h"

enum course { PLAN_LOCAL, PLAN_JUDGED, PLAN_FRONTIER }; /* judged: local first, held back */

enum side { SIDE_NONE, SIDE_MAIN, SIDE_HEDGE }; /* of those who try to answer together */
enum standing { STANDS_OPEN, STANDS_TRUSTED, STANDS_DOUBTED };

struct held { /* a delta that was not told yet */
    enum delta_kind kind;
    size_t i_call;
    int32_t id;
    char *text;
    size_t n;
};
struct passage {
    struct chat *chat;
    struct gateway *gw;
    enum course plan;
    bool may_leave, redacts, no_cache, is_forced; /* forced: by a rule or the client, not by doubt */
    const char *stays;       /* why not; NULL */
    const char *upstream;    /* the first one to try; NULL */
    char reason[160], request_id[80];
    double deadline;
    bool has_left;
    _Atomic nano_usd left;   /* of the request's own budget, when it has one */
    struct facts facts;
    /* to the frontier */
    struct ask ask;
    json_t *outgoing;        /* all texts that go out, by the fields of ask; owned. Redacted by passage_ask */
    char *schema;            /* of ask, where it was redacted; owned */
    struct redaction redaction;
    struct restorer text, reasoning, arguments;
    struct buf piece;
    struct kept_answer kept; /* for the cache */
    uint8_t key[CACHE_KEY_BYTES];
    bool has_key;
    struct question *question; /* for answers to what asks the same; NULL: there can be none */
    /* while it runs */
    on_delta on_delta;       /* the handler's */
    void *user;
    struct held *held;
    size_t n_held, cap_held;
    bool is_told;            /* the client has, or will get, this answer */
    bool judges;
    struct hedge *hedge;     /* NULL: nobody else may answer */
    bool is_audit;           /* kept, and drawn: somebody else's verdict is wanted */
    /* in the end */
    enum result_tier tier;
    bool is_escalated;
    char model[128];
    double score, confidence; /* confidence: P(correct) by the certificate; NaN: there is none */
    nano_usd cost, saved;
    int64_t row;             /* in the ledger, once it is noted; 0: none */
    const char *cache;       /* "hit", "near", "miss", "bypass", "off" */
};

/* gateway_plan.c: fills p from the request; Errors: USAGE, UNSUPPORTED (a header or field that cannot be kept); NEEDS_FRONTIER, FAILED (a rule forbids). */
slm_status passage_plan(struct passage *p);
/* passage_ask -- what would go out: p->ask over p->outgoing, redacted when that is due. Errors: NOMEM. */
slm_status passage_ask(struct passage *p);

struct frontier { /* somebody who asks upstreams; what a part needs to know */
    struct passage *p;
    enum side side;
    struct frontier_call call;
    slm_status st;
    slm_err err;
    enum upstream_outcome outcome;
};

/* gateway_run.c. passage_weigh -- a delta of the local answer, held; what is thought of the answer so far. passage_tell -- the answer as it was held: from here on it is the client's.
 * passage_pass_on -- a delta to the client. */
slm_status passage_weigh(struct passage *p, const struct delta *d, enum standing *standing);
slm_status passage_tell(struct passage *p, enum result_tier tier, const struct answer *a);
slm_status passage_pass_on(struct passage *p, const struct delta *d);
nano_usd passage_local_cost(const struct passage *p, const struct generation *g); /* of the processor time that g has had */

/* gateway_hedge.c. hedge_open -- before f asks; p->hedge is NULL where nobody else may be started. Errors: NOMEM. hedge_wins -- before something is told: may this side answer?
 * hedge_look -- while f waits: starts the other when it is time. True: it has won, and f must stop; *is_ours: f has won. hedge_close -- waits for the other. True: it
 * was the local model, and has answered, with *st; *f: becomes the other where that was an upstream and has won. */
slm_status hedge_open(struct passage *p, struct frontier *f);
bool hedge_wins(struct hedge *h, enum side side);
bool hedge_look(struct hedge *h, const struct frontier *f, bool *is_ours);
bool hedge_close(struct passage *p, struct frontier *f, slm_status *st);

/* gateway_verdict.c. passage_check_cal -- Errors: USAGE (the certificate is of another model). passage_is_certified -- does it keep
 * the answer? passage_may_certify -- can it judge an answer of this model now? passage_signals_json -- for the ledger; new.
 * passage_draw -- is this answer, which is kept, an audit? Before a header is out. passage_shadow -- ask the frontier too, later, and compare: for an audit, or as the shadow's
 * share says. */
struct bound_to gateway_bound(struct gateway *g, const struct served *s);
slm_status passage_check_cal(struct passage *p);
bool passage_may_certify(struct passage *p);
bool passage_is_certified(struct passage *p);
json_t *passage_signals_json(struct passage *p);
void passage_draw(struct passage *p, const struct answer *a);
void passage_shadow(struct passage *p);

/* gateway_watch.c. Without a certificate there is nothing to watch: calm. */
slm_status gateway_watch_open(struct gateway *g, slm_err *err); /* Errors: IO, FORMAT (the ledger) */
enum watch_state gateway_watch_state(struct gateway *g);
bool gateway_watch_score(struct gateway *g, double score);      /* of a judged answer. True: an alarm is up */
void gateway_watch_loss(struct gateway *g, double loss);        /* of an audit */
const char *gateway_watch_id(const struct gateway *g);          /* the certificate's; "" */
json_t *gateway_watch_json(struct gateway *g);
void gateway_watch_metrics(struct gateway *g, struct buf *out);
#endif
