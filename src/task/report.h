/* report.h -- what came of answers with verdicts: shares and errors with intervals, how well the score ranks. */
#ifndef SLM_TASK_REPORT_H
#define SLM_TASK_REPORT_H

#include "task/cal.h"

struct report {
    uint64_t n, n_right, n_kept, n_kept_wrong;
    struct estimate accuracy;   /* of all answers; Wilson */
    struct estimate share;      /* kept; Wilson */
    struct estimate error;      /* among what is kept; Clopper and Pearson */
    struct calib_quality quality; /* of P(correct) */
};
/* report_json -- new; what is not defined (the error of nothing kept, AUROC of right answers only) is null. NULL: no memory. */
json_t *report_json(const struct report *r);
/* report_make -- by cal; cal NULL: every answer is kept (not what failed), quality is that of the confidence signal.
 * Errors: USAGE (no row), NOMEM. */
slm_status report_make(const struct cal *cal, const struct cal_row *rows, size_t n, struct report *out, slm_err *err);

#endif
