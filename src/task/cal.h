/* cal.h -- a certificate on file: which answers of one job by one model are kept, and what was promised about them.
 *
 * JSON with every number that made it. It is bound to the model, its vocabulary, and prompt with labels (bind.h); whoever uses it with
 * others is refused, since the promise is not about them. */
#ifndef SLM_TASK_CAL_H
#define SLM_TASK_CAL_H

#include <jansson.h>

#include "task/calib.h"
#include "task/combine.h"

#define CAL_BYTES_MAX (4u << 20)
#define CAL_N_QUANTILE 65 /* of the proof half's scores: 0, 1/64, ... 1; what watch.h compares with */

/* What an answer was made with; classifier_identity and bind.h. */
struct bound_to {
    uint64_t model, tokenizer, prompt;
};
struct cal {
    char id[24], task[32], made[32];
    struct bound_to bound;
    struct combiner combiner;
    struct calib_goal goal;
    double guide_share; /* as used; not kept on file */
    struct calib_result result;
    double quantile[CAL_N_QUANTILE];
};

/* One answer with its verdict: what calibrating reads. One without any signal is of a text that failed: it is wrong, and never kept. */
struct cal_row {
    struct signals signals;
    bool ok;
};
struct cal_params {
    struct calib_goal goal;
    double guide_share; /* rows for weights, curve and order of thresholds; 0: 0.5, or 0.2 where one signal is all there is */
    uint64_t seed;
};
/* cal_make -- task, bound, id and made are the caller's (cal_name). Errors: USAGE (too few rows for two halves), those of combine_fit and calib_certify. */
slm_status cal_make(const struct cal_row *rows, size_t n, const struct cal_params *p, struct cal *out, slm_err *err);
void cal_name(struct cal *c, const char *task, struct bound_to bound); /* id from what it says; made from SLM_NOW or the clock */

/* cal_judge -- *p: P(correct); true: keep the answer. An answer without a signal that the certificate needs is not kept. */
bool cal_judge(const struct cal *c, const struct signals *s, double *p);
/* cal_check -- Errors: USAGE, naming which of model, vocabulary and prompt differs. */
slm_status cal_check(const struct cal *c, const char *task, struct bound_to now, slm_err *err);

slm_status cal_write(const struct cal *c, const char *path, slm_err *err);
slm_status cal_open(const char *path, struct cal *out, slm_err *err); /* Errors: IO, FORMAT, UNSUPPORTED (a later version) */
slm_status cal_parse(struct view text, struct cal *out, slm_err *err);

/* Hashes in JSON: 16 digits. bound_json is new. */
json_t *bound_json(struct bound_to b);
bool bound_parse(const json_t *o, struct bound_to *out);

#endif
