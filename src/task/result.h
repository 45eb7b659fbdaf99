/* result.h -- the envelope that every job's answer comes in, on the command line and over HTTP. */
#ifndef SLM_TASK_RESULT_H
#define SLM_TASK_RESULT_H

#include <jansson.h>

#include "task/cal.h"

#define RESULT_N_REASON_MAX 8

enum result_tier { RESULT_LOCAL, RESULT_FRONTIER, RESULT_CACHE, RESULT_DEGRADED, RESULT_NONE, RESULT_TIER_COUNT };
const char *result_tier_name(enum result_tier t); /* "local"; RESULT_NONE: "none", nobody answered */

struct task_result {
    const char *task;        /* "classify" */
    json_t *output;          /* owned; NULL: null, there is no answer */
    enum result_tier tier;
    const char *model;       /* name of what answered; NULL: null */
    double confidence;       /* P(correct): by the certificate where there is one, else as the method says; NAN: null */
    struct signals signals;
    json_t *more;            /* owned; task's own members: top, fields, spans, ...; NULL: none */
    bool escalated, abstained;
    const char *reasons[RESULT_N_REASON_MAX]; /* static texts: why it was kept, given up, sent on */
    size_t n_reason;
    uint64_t local_in, local_out, frontier_in, frontier_out;
    double local_ms, frontier_usd, cost_usd, saved_usd;
    bool has_schema, schema_valid;
    bool has_bound;
    struct bound_to bound;   /* what the answer was made with */
    const struct cal *cal;   /* borrowed; set by result_judge; NULL: none */
    char request_id[40];
};
void result_init(struct task_result *r, const char *task);
void result_fini(struct task_result *r);
void result_reason(struct task_result *r, const char *reason); /* past the limit it is dropped */
/* result_judge -- by a certificate (NULL: nothing happens): the confidence becomes its P(correct), and an answer that it does not keep is given up. */
void result_judge(struct task_result *r, const struct cal *cal);
/* result_json -- the envelope; new. NULL: no memory. */
json_t *result_json(const struct task_result *r);

#endif
