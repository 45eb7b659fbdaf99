/* gateway_int.h -- one request's way through the tiers. */
#ifndef SLM_SERVE_GATEWAY_INT_H
#define SLM_SERVE_GATEWAY_INT_H

#include "serve/chat.h"
#include "serve/gateway.h"

enum course { PLAN_LOCAL, PLAN_JUDGED, PLAN_FRONTIER }; /* judged: local first, held back */

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
    nano_usd left;           /* of the request's own budget; negative: none */
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
    /* while it runs */
    on_delta on_delta;       /* the handler's */
    void *user;
    struct held *held;
    size_t n_held, cap_held;
    bool is_told;            /* the client has, or will get, this answer */
    bool judges;
    bool is_audit;           /* kept, and drawn: somebody else's verdict is wanted */
    /* in the end */
    enum result_tier tier;
    bool is_escalated;
    char model[128];
    double score, confidence; /* confidence: P(correct) by the certificate; NaN: there is none */
    nano_usd cost, saved;
    const char *cache;       /* "hit", "miss", "off" */
};

/* gateway_plan.c: fills p from the request; Errors: USAGE, UNSUPPORTED (a header or field that cannot be kept); NEEDS_FRONTIER, FAILED (a rule forbids). */
slm_status passage_plan(struct passage *p);
/* passage_ask -- what would go out: p->ask over p->outgoing, redacted when that is due. Errors: NOMEM. */
slm_status passage_ask(struct passage *p);

/* gateway_verdict.c. passage_check_cal -- Errors: USAGE (the certificate is of another model). passage_is_certified -- does it keep
 * the answer? passage_signals_json -- for the ledger; new.
 * passage_draw -- is this answer, which is kept, an audit? Before a header is out. passage_shadow -- ask the frontier too, later, and compare: for an audit, or as the shadow's
 * share says. */
struct bound_to gateway_bound(struct gateway *g, const struct served *s);
void passage_signals(const struct passage *p, struct signals *out);
slm_status passage_check_cal(struct passage *p);
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
