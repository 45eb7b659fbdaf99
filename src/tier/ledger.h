/* ledger.h -- what was asked of whom, and what it cost: SQLite in WAL mode, and the budgets over it.
 *
 * An attempt is written (state open, at its worst case) before a byte is sent, and settled after. A process that is killed leaves it open; the next
 * start counts it as lost, at its worst case. Budgets are kept in memory beside it: what is open counts at its worst case, so attempts that run
 * together cannot pass a limit together. One process at a time has a ledger. Any thread; the loop's too, for ledger_spent. */
#ifndef SLM_TIER_LEDGER_H
#define SLM_TIER_LEDGER_H

#include <jansson.h>

#include "tier/settings.h"

typedef int64_t nano_usd;
#define NANO_USD_MAX ((nano_usd)(USD_MAX * USD_NANO)) /* what one attempt costs at most */

struct ledger;
/* Errors: IO, BUSY (another process has it). */
slm_status ledger_open(const char *path, const struct budget_settings *b, struct ledger **out, slm_err *err);
void ledger_close(struct ledger *l);

struct attempt {
    const char *request, *attempt, *upstream, *model, *kind; /* kind: "answer", "shadow"; attempt: the id that goes to the upstream as x-request-id */
    nano_usd cap;
    nano_usd kind_max;      /* of all attempts of its kind this UTC day; 0: no limit of its own */
};
struct attempt_end {
    const char *state;      /* "done", "failed", "cancelled"; a constant */
    int http_status;
    uint64_t n_in, n_cached, n_out;
    bool is_estimated;      /* the upstream did not say: counted from bytes */
    nano_usd cost;
    double seconds;
};
/* ledger_begin -- may it be sent? Written when it returns. Errors: LIMIT (a budget; the message names it), IO.
 * ledger_end -- what the attempt that began as a came to; written with whatever is written next, ledger_note's row at the latest, or by ledger_flush. */
slm_status ledger_begin(struct ledger *l, const struct attempt *a, int64_t *id, slm_err *err);
void ledger_end(struct ledger *l, int64_t id, const struct attempt *a, const struct attempt_end *e);
void ledger_flush(struct ledger *l);

struct decision { /* one client's request, when it is over */
    const char *request, *api, *tier, *model, *reason, *cache, *key; /* key: the client's, by name */
    const char *signals;    /* JSON {"signals", "bound_to"} of a local answer that was judged; NULL: none */
    bool is_escalated, is_degraded;
    double score;           /* of the local answer; NaN: none */
    uint64_t n_in, n_out;
    nano_usd cost, saved;
    int http_status;
    double seconds;
};
int64_t ledger_note(struct ledger *l, const struct decision *d); /* its row; 0: it could not be written */

/* Clients name their requests, so a name may come twice, and other keys' clients may use it too. ledger_verdict -- the answer to the last request of this name and key was right,
 * or not; what is said last holds. False: the key has no such request. ledger_agrees -- the answer of this row with the frontier's, which a shadow asked. */
bool ledger_verdict(struct ledger *l, const char *request, const char *key, bool is_right);
void ledger_agrees(struct ledger *l, int64_t row, bool agrees);
/* ledger_answers -- lines of {"task", "request_id", "signals", "bound_to", "right"} of all answers that have signals; right, where nobody said, is
 * whether the frontier agreed. */
void ledger_answers(struct ledger *l, const char *task, struct buf *out);

/* Audits: answers that were kept here, drawn by lot, of which one verdict each is wanted. calibration: the id of the certificate that kept it, or "".
 * ledger_audit_begin -- 0: it could not be written. ledger_audit_end -- its loss, from 0 to 1. ledger_audit_feedback -- the same by request, where the key has
 * such an audit of that certificate. False: there is none that waits, since its verdict was said before; the first one counts. */
int64_t ledger_audit_begin(struct ledger *l, const char *request, const char *key, const char *calibration);
bool ledger_audit_end(struct ledger *l, int64_t id, double loss);
bool ledger_audit_feedback(struct ledger *l, const char *request, const char *key, const char *calibration, double loss);
json_t *ledger_audit_report(struct ledger *l, double since); /* {"n", "n_waiting", "value", "interval"}: the share that was wrong; null: none has a verdict */

/* What is kept of the watch over a certificate. ledger_watch_open -- the alarm that was raised over it (0: none), and what it has seen: the signals of the last n
 * judged requests (JSON as decision has it), then all losses; in their order. Errors: IO. ledger_watch_alarm -- it stays, over restarts too. */
struct watch_sinks {
    void (*signals)(void *user, const char *json);
    void (*loss)(void *user, double loss);
    void *user;
};
slm_status ledger_watch_open(struct ledger *l, const char *calibration, int n, const struct watch_sinks *to, int *state, uint64_t *n_alarm, slm_err *err);
void ledger_watch_alarm(struct ledger *l, const char *calibration, int state, uint64_t n_alarm);

/* ledger_report -- totals since a time (0: all): {"requests", "tiers", "reasons", "attempts", "budget", ...}. NULL: no memory. */
json_t *ledger_report(struct ledger *l, double since);
/* ledger_spent -- of this UTC day and month, with what is open. */
void ledger_spent(struct ledger *l, nano_usd *day, nano_usd *month);
#endif
