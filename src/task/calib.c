/* calib.c -- thresholds by fixed-sequence testing.
 *
 * The guide half's own scores are the thresholds, so they are fixed before the proof half is seen. Where the walk begins matters: the
 * first threshold that could pass at all needs a run without a single fault, and one unlucky row would end everything. So it begins
 * where the guide half, smoothed, promises the smallest p on the proof half, and goes on to less sure answers from there. Tried: thresholds
 * at the proof half's own scores, which keeps all rows for the proof; the argument then holds only where the loss rises along the ranking,
 * so it was dropped. */
#include "task/calib.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/util.h"

#define N_ECE_BINS 15

uint64_t calib_n_min(struct calib_goal g) { return (uint64_t)ceil(log(1 - g.confidence) / log1p(-g.error_max) - 1e-9); }

/* Kullback-Leibler divergence of two coins; the exponent of Hoeffding's bound. */
static double coin_kl(double a, double b) {
    double v = 0;
    if (a > 0) v += a * log(a / b);
    if (a < 1) v += (1 - a) * log((1 - a) / (1 - b));
    return v;
}

double calib_p(uint64_t n, double loss_sum, bool is_binary, double error_max) {
    if (n == 0) return 1;
    if (is_binary) return stats_binom_cdf((uint64_t)(loss_sum + 0.5), n, error_max);
    double mean = loss_sum / (double)n;
    if (mean >= error_max) return 1;
    double hoeffding = exp(-(double)n * coin_kl(mean, error_max));
    double bentkus = exp(1.0) * stats_binom_cdf((uint64_t)ceil(loss_sum), n, error_max);
    double p = hoeffding < bentkus ? hoeffding : bentkus;
    return p < 1 ? p : 1;
}

double calib_bound(uint64_t n, double loss_sum, bool is_binary, double alpha) {
    if (n == 0) return 1;
    if (is_binary) return stats_binom_upper((uint64_t)(loss_sum + 0.5), n, alpha);
    double low = loss_sum / (double)n, high = 1;
    for (int i = 0; i < 100; i++) {
        double mid = low + (high - low) / 2;
        *(calib_p(n, loss_sum, false, mid) > alpha ? &low : &high) = mid;
    }
    return high;
}

static int by_score(const void *a, const void *b) { /* surest first; ties by loss so that sums have one order */
    const struct calib_row *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->loss > y->loss) - (x->loss < y->loss);
}

static slm_status sorted_copy(const struct calib_row *rows, size_t n, struct calib_row **out, slm_err *err) {
    void *mem = NULL;
    slm_status st = mem_alloc(&mem, n + 1, sizeof **out, "calibration", err);
    if (st != SLM_OK) return st;
    if (n) memcpy(mem, rows, n * sizeof *rows);
    *out = mem;
    qsort(*out, n, sizeof **out, by_score);
    return SLM_OK;
}

static slm_status check_rows(const struct calib_row *rows, size_t n, bool *is_binary, slm_err *err) {
    if (n > CALIB_N_ROW_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "calibration: %zu rows, the limit is %u", n, CALIB_N_ROW_MAX);
    for (size_t i = 0; i < n; i++) {
        if (isnan(rows[i].score)) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "calibration: row %zu has no score", i);
        if (!(rows[i].loss >= 0 && rows[i].loss <= 1)) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "calibration: row %zu has loss %g, not in 0 to 1", i, rows[i].loss);
        if (rows[i].loss > 0 && rows[i].loss < 1) *is_binary = false;
    }
    return SLM_OK;
}

/* Both halves while the walk goes; tops are how many rows have score >= the threshold under trial. */
struct walk {
    const struct calib_row *guide, *proof;
    size_t n_guide, n_proof, guide_top, proof_top;
    double guide_loss, proof_loss;
    bool is_binary;
};

/* The next less sure threshold that the guide half has. */
static bool step_guide(struct walk *w, double *threshold) {
    if (w->guide_top >= w->n_guide) return false;
    *threshold = w->guide[w->guide_top].score;
    for (; w->guide_top < w->n_guide && w->guide[w->guide_top].score >= *threshold; w->guide_top++) w->guide_loss += w->guide[w->guide_top].loss;
    return true;
}

static void step_proof(struct walk *w, double threshold) {
    for (; w->proof_top < w->n_proof && w->proof[w->proof_top].score >= threshold; w->proof_top++) w->proof_loss += w->proof[w->proof_top].loss;
}

/* Where the guide half promises most. Half a fault is added, so that few rows without one promise little. */
static double find_start(struct walk w, double error_max) {
    double threshold, best = INFINITY, best_p = INFINITY;
    while (step_guide(&w, &threshold)) {
        double n = (double)w.guide_top * (double)w.n_proof / (double)w.n_guide, rate = (w.guide_loss + 0.5) / ((double)w.guide_top + 1);
        double p = rate < error_max ? -n * coin_kl(rate, error_max) : 0;
        if (p < best_p) best_p = p, best = threshold;
    }
    return best;
}

/* Rows with labels that would be enough at the rates seen in all rows. */
static void find_missing(const struct calib_row *all, size_t n, size_t n_proof, struct calib_goal g, bool is_binary, struct calib_result *out) {
    double loss = 0, best = INFINITY, alpha = 1 - g.confidence, least = (double)calib_n_min(g);
    for (size_t i = 0; i < n; i++) {
        loss += all[i].loss;
        if (i + 1 < n && all[i + 1].score == all[i].score) continue;
        double kept = (double)(i + 1), rate = loss / kept;
        if (rate >= g.error_max) continue;
        double low = least, high = 1e9; /* kept rows of the proof half */
        if (calib_p((uint64_t)high, ceil(rate * high), is_binary, g.error_max) > alpha) continue;
        while (high - low > 1) {
            double mid = floor((low + high) / 2);
            *(calib_p((uint64_t)mid, ceil(rate * mid), is_binary, g.error_max) <= alpha ? &high : &low) = mid;
        }
        if (calib_p((uint64_t)low, ceil(rate * low), is_binary, g.error_max) <= alpha) high = low;
        double need = high * ((double)n / kept) * ((double)n / (double)(n_proof ? n_proof : 1)); /* halves stay in proportion */
        if (need < best) best = need;
    }
    out->hopeless = isinf(best);
    if (!out->hopeless) out->n_missing = best > (double)n ? (uint64_t)ceil(best - (double)n) : 1;
}

slm_status calib_certify(const struct calib_row *guide, size_t n_guide, const struct calib_row *proof, size_t n_proof, struct calib_goal g,
                         struct calib_result *out, slm_err *err) {
    slm_status st = SLM_OK;
    struct calib_row *a = NULL, *b = NULL, *all = NULL;
    bool is_binary = true;
    double threshold, alpha = 1 - g.confidence;
    *out = (struct calib_result){.threshold = INFINITY, .n_guide = n_guide, .n_proof = n_proof, .bound = 1};
    if (!(g.error_max > 0 && g.error_max < 1)) FAIL(SLM_E_USAGE, SLM_NOWHERE, "target error \"%g\": not between 0 and 1", g.error_max);
    if (!(g.confidence > 0.5 && g.confidence < 1)) FAIL(SLM_E_USAGE, SLM_NOWHERE, "confidence \"%g\": not between 0.5 and 1", g.confidence);
    TRY(check_rows(guide, n_guide, &is_binary, err));
    TRY(check_rows(proof, n_proof, &is_binary, err));
    TRY(sorted_copy(guide, n_guide, &a, err));
    TRY(sorted_copy(proof, n_proof, &b, err));
    struct walk w = {.guide = a, .n_guide = n_guide, .proof = b, .n_proof = n_proof, .is_binary = is_binary};
    double start = find_start(w, g.error_max);
    while (step_guide(&w, &threshold)) {
        if (threshold > start) continue;
        step_proof(&w, threshold);
        out->n_tried++;
        if (calib_p(w.proof_top, w.proof_loss, is_binary, g.error_max) > alpha) break;
        out->certified = true;
        out->threshold = threshold;
        out->n_kept = w.proof_top;
        out->loss_kept = w.proof_loss;
    }
    if (out->certified) out->bound = calib_bound(out->n_kept, out->loss_kept, is_binary, alpha);
    else {
        void *mem = NULL;
        TRY(mem_alloc(&mem, n_guide + n_proof + 1, sizeof *all, "calibration", err));
        all = mem;
        memcpy(all, a, n_guide * sizeof *all);
        memcpy(all + n_guide, b, n_proof * sizeof *all);
        qsort(all, n_guide + n_proof, sizeof *all, by_score);
        find_missing(all, n_guide + n_proof, n_proof, g, is_binary, out);
    }
out:
    free(a);
    free(b);
    free(all);
    return st;
}

bool calib_in_guide(uint64_t i_row, uint64_t seed, double share) {
    struct rng r;
    rng_init(&r, seed ^ (i_row * 0x9e3779b97f4a7c15u));
    return rng_f64(&r) < share;
}

static double area_of_ranks(const struct calib_row *rows, size_t n) { /* Mann and Whitney, ties by half */
    double right = 0, wrong = 0, sum = 0;
    for (size_t i = 0; i < n;) {
        size_t end = i;
        double r = 0, f = 0;
        for (; end < n && rows[end].score == rows[i].score; end++) *(rows[end].loss < 0.5 ? &r : &f) += 1;
        sum += f * (right + r / 2);
        right += r;
        wrong += f;
        i = end;
    }
    return right > 0 && wrong > 0 ? sum / (right * wrong) : (double)NAN;
}

slm_status calib_quality(const struct calib_row *rows, size_t n, struct calib_quality *out, slm_err *err) {
    struct calib_row *v = NULL;
    *out = (struct calib_quality){0};
    slm_status st = sorted_copy(rows, n, &v, err);
    if (st != SLM_OK) return st;
    double loss = 0;
    out->auroc = area_of_ranks(v, n);
    for (size_t i = 0; i < n;) { /* within a tie the mean order */
        size_t end = i;
        double tied = 0;
        for (; end < n && v[end].score == v[i].score; end++) tied += v[end].loss;
        for (size_t k = i; k < end; k++) out->aurc += (loss + tied * (double)(k - i + 1) / (double)(end - i)) / (double)(k + 1) / (double)n;
        loss += tied;
        i = end;
    }
    for (size_t bin = 0; bin < N_ECE_BINS; bin++) {
        size_t from = bin * n / N_ECE_BINS, to = (bin + 1) * n / N_ECE_BINS;
        double gap = 0;
        for (size_t i = from; i < to; i++) gap += v[i].score - (1 - v[i].loss);
        out->ece += fabs(gap) / (double)n;
    }
    for (size_t i = 0; i < n; i++) out->brier += (v[i].score - (1 - v[i].loss)) * (v[i].score - (1 - v[i].loss)) / (double)n;
    free(v);
    return SLM_OK;
}
