/* stats.h -- intervals and exact tests on counts. Pure functions; nothing is drawn but what a fixed seed gives. */
#ifndef SLM_BASE_STATS_H
#define SLM_BASE_STATS_H

#include "base/status.h"

/* A figure with its 95 % interval. */
struct estimate {
    double value, low, high;
};

/* stats_sort -- v [n] rising, in place; numbers only, no NaN. */
void stats_sort(double *v, size_t n);
/* stats_wilson -- a share (Wilson 1927). n 0: no value (NaN), and the interval is everything. */
struct estimate stats_wilson(uint64_t n_right, uint64_t n);
/* stats_bootstrap -- sum(x) / sum(w) over n rows, 1,000 draws, seed 1. Errors: NOMEM. */
slm_status stats_bootstrap(const double *x, const double *w, size_t n, struct estimate *out, slm_err *err);
/* stats_mcnemar -- two-sided probability of a split at least as uneven as (b, c) when both are equally good. */
double stats_mcnemar(uint64_t b, uint64_t c);

/* stats_binom_cdf -- P(X <= k) for X of n trials of probability p; exact: a value of the incomplete beta function. */
double stats_binom_cdf(uint64_t k, uint64_t n, double p);
/* stats_binom_upper -- the largest p that k events in n trials do not refute: P(X <= k) = alpha (Clopper, Pearson 1934, one-sided).
 * n 0 or k >= n: 1. stats_binom_lower -- the smallest: P(X >= k) = alpha. k 0: 0. */
double stats_binom_upper(uint64_t k, uint64_t n, double alpha);
double stats_binom_lower(uint64_t k, uint64_t n, double alpha);
/* stats_clopper -- the two-sided 95 % interval of k in n; n 0 as above. */
struct estimate stats_clopper(uint64_t k, uint64_t n);

#endif
