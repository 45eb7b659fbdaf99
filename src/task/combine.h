/* combine.h -- several signals to one score that ranks, and to a probability.
 *
 * A logistic model over standardized signals (a few Newton steps, a small ridge), then an isotonic curve over its score: pool adjacent
 * violators. The curve only makes the score a probability; which answers are kept is decided by the score itself, since a monotone
 * curve cannot rank better. */
#ifndef SLM_TASK_COMBINE_H
#define SLM_TASK_COMBINE_H

#include "task/signals.h"

#define COMBINE_N_KNOT_MAX 64

struct combiner {
    size_t n;
    enum signal which[SIGNAL_COUNT];
    double mean[SIGNAL_COUNT], scale[SIGNAL_COUNT], weight[SIGNAL_COUNT], bias;
    size_t n_knot;
    double knot_score[COMBINE_N_KNOT_MAX], knot_p[COMBINE_N_KNOT_MAX]; /* both rise */
};

/* combine_fit -- signals that all rows have and that are not the same in all are used; rows [n], ok [n].
 * Errors: USAGE (no such signal, no row), NOMEM. */
slm_status combine_fit(const struct signals *rows, const bool *ok, size_t n, struct combiner *out, slm_err *err);
/* combine_score -- NAN when a signal that is used is missing or infinite: an answer about which that is not known is never kept. */
double combine_score(const struct combiner *c, const struct signals *s);
/* combine_p -- P(correct) of a score. */
double combine_p(const struct combiner *c, double score);

#endif
