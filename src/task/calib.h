/* calib.h -- what may be promised about answers that were kept: a threshold on a score, with a bound that holds for finite samples.
 *
 * The rows with labels are cut in two. The guide half only orders the thresholds that will be tried: it says where to begin, and how
 * the walk goes on to less sure answers. The proof half tests them one after another in that order and stops at the first that fails
 * (fixed-sequence testing): each test may use the whole alpha, because a later one is reached only past all earlier ones. A test is
 * exact: with n answers kept and a mean loss of at most error_max, so few losses have probability <= 1 - confidence. Losses of 0 and 1
 * take the binomial; losses between take Hoeffding and Bentkus (Bates et al. 2021, "Distribution-free, risk-controlling prediction
 * sets"). So: P(the loss of what is kept > error_max) <= 1 - confidence over draws of the proof half, for requests like its rows.
 * Nothing is promised when requests change: watch.h looks for that.
 *
 * All pure functions; single thread; nothing kept. */
#ifndef SLM_TASK_CALIB_H
#define SLM_TASK_CALIB_H

#include "base/stats.h"

#define CALIB_N_ROW_MAX (4u << 20)

struct calib_row {
    double score; /* larger: surer. Not NaN */
    double loss;  /* of the answer if it is kept, in [0, 1]; 0: right */
};
struct calib_goal {
    double error_max;  /* in (0, 1) */
    double confidence; /* 0.95 */
};

struct calib_result {
    bool certified;
    double threshold;     /* keep what has score >= threshold; +infinity when nothing is certified */
    uint64_t n_guide, n_proof, n_kept; /* kept: of the proof half */
    double loss_kept;     /* sum over them */
    double bound;         /* upper confidence bound on the mean loss of what is kept; 1 when nothing is */
    uint64_t n_tried;
    /* When not certified: rows with labels that are missing at the observed rates, guide and proof together; 0 when more rows would not
     * help, because no threshold has a lower loss than error_max (hopeless). An estimate. */
    uint64_t n_missing;
    bool hopeless;
};

/* calib_n_min -- answers without a fault that certify error_max: ln(alpha) / ln(1 - error_max), rounded up. 59 for 5 %, 149 for 2 %. */
uint64_t calib_n_min(struct calib_goal g);
/* calib_p -- the probability of a loss this low over n answers when the true mean is error_max. is_binary: losses are 0 or 1. */
double calib_p(uint64_t n, double loss_sum, bool is_binary, double error_max);
/* calib_bound -- the largest mean loss that is not refuted at alpha. */
double calib_bound(uint64_t n, double loss_sum, bool is_binary, double alpha);

/* calib_certify -- Errors: USAGE (goal out of range, a score that is NaN, a loss outside [0, 1]), NOMEM. The order of rows does not matter. */
slm_status calib_certify(const struct calib_row *guide, size_t n_guide, const struct calib_row *proof, size_t n_proof, struct calib_goal g,
                         struct calib_result *out, slm_err *err);

/* calib_in_guide -- which half a row is in: true for a share of rows, chosen by seed and number alone. */
bool calib_in_guide(uint64_t i_row, uint64_t seed, double share);

/* ---- how well scores rank and tell (of 0/1 losses) ---- */

struct calib_quality {
    double auroc;  /* P(a right answer scores higher than a wrong one); NaN: not defined, when one kind is missing */
    double aurc;   /* mean loss of what is kept, over all shares kept */
    double ece;    /* scores as probabilities: 15 bins of equal counts */
    double brier;
};
/* Errors: NOMEM. n >= 1. */
slm_status calib_quality(const struct calib_row *rows, size_t n, struct calib_quality *out, slm_err *err);

#endif
