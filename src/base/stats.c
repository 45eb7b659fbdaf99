/* stats.c -- the binomial's tails by the incomplete beta function, intervals from them, the bootstrap.
 *
 * Tails are not summed term by term: a certificate looks at thousands of thresholds over thousands of rows. The continued fraction
 * (DLMF 8.17.22, evaluated from the front by Lentz's method) takes some tens of steps where x < (a + 1) / (a + b + 2), and the
 * symmetry I_x(a, b) = 1 - I_1-x(b, a) takes the rest there. */
#include "base/stats.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/util.h"

#define Z95 1.959963984540054
#define N_DRAWS 1000
#define N_EXACT_MAX 100000
#define N_FRACTION_MAX 20000 /* terms: grows as the root of a + b */
#define TINY 1e-300

struct estimate stats_wilson(uint64_t n_right, uint64_t n) {
    if (n == 0) return (struct estimate){(double)NAN, 0, 1};
    double p = (double)n_right / (double)n, z2 = Z95 * Z95, d = 1 + z2 / (double)n;
    double mid = (p + z2 / (2 * (double)n)) / d, half = Z95 / d * sqrt(p * (1 - p) / (double)n + z2 / (4 * (double)n * (double)n));
    return (struct estimate){p, n_right == 0 ? 0 : mid - half, n_right == n ? 1 : mid + half};
}

static int compare_f64(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void stats_sort(double *v, size_t n) { qsort(v, n, sizeof *v, compare_f64); }

slm_status stats_bootstrap(const double *x, const double *w, size_t n, struct estimate *out, slm_err *err) {
    void *mem = NULL;
    struct rng r;
    double sum = 0, weight = 0;
    *out = (struct estimate){0, 0, 0};
    if (n == 0) return SLM_OK;
    slm_status st = mem_alloc(&mem, N_DRAWS, sizeof(double), "bootstrap", err);
    if (st != SLM_OK) return st;
    double *draws = mem;
    rng_init(&r, 1);
    for (size_t i = 0; i < n; i++) sum += x[i], weight += w[i];
    for (int k = 0; k < N_DRAWS; k++) {
        double s = 0, v = 0;
        for (size_t i = 0; i < n; i++) {
            size_t j = (size_t)(rng_u64(&r) % n);
            s += x[j], v += w[j];
        }
        draws[k] = v > 0 ? s / v : 0;
    }
    stats_sort(draws, N_DRAWS);
    *out = (struct estimate){weight > 0 ? sum / weight : 0, draws[N_DRAWS / 40], draws[N_DRAWS - 1 - N_DRAWS / 40]};
    free(draws);
    return SLM_OK;
}

static double log_gamma(double x) {
    int sign;
    return lgamma_r(x, &sign);
}

/* McNemar 1947; the binomial itself, the normal curve past what its terms are worth adding. */
double stats_mcnemar(uint64_t b, uint64_t c) {
    uint64_t n = b + c, low = b < c ? b : c;
    if (n == 0) return 1;
    if (n > N_EXACT_MAX) {
        double d = fabs((double)b - (double)c) - 1;
        return erfc((d > 0 ? d : 0) / sqrt((double)n) / sqrt(2.0));
    }
    double p = 0;
    for (uint64_t i = 0; i <= low; i++) p += exp(log_gamma((double)n + 1) - log_gamma((double)i + 1) - log_gamma((double)(n - i) + 1) - (double)n * log(2.0));
    return 2 * p < 1 ? 2 * p : 1;
}

/* DLMF 8.17.22 without its front factor: 1 / (1 + d1 / (1 + d2 / (1 + ...))). */
static double beta_fraction(double x, double a, double b) {
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < TINY ? TINY : d);
    double value = d;
    for (int i = 1; i <= N_FRACTION_MAX; i++) {
        double m = i, step = 1;
        const double terms[2] = {m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))};
        for (int k = 0; k < 2; k++) {
            d = 1 + terms[k] * d;
            c = 1 + terms[k] / c;
            if (fabs(c) < TINY) c = TINY;
            d = 1 / (fabs(d) < TINY ? TINY : d);
            step = c * d;
            value *= step;
        }
        if (fabs(step - 1) < 1e-15) break;
    }
    return value;
}

/* stats_beta -- the regularized incomplete beta function I_x(a, b); a, b > 0, x in [0, 1]. About 12 digits for a + b up to 1e7. */
static double stats_beta(double x, double a, double b) {
    if (!(x > 0)) return 0;
    if (x >= 1) return 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(x, a, b) / a;
    return 1 - front * beta_fraction(1 - x, b, a) / b;
}

double stats_binom_cdf(uint64_t k, uint64_t n, double p) {
    if (k >= n || !(p > 0)) return 1;
    if (p >= 1) return 0;
    return stats_beta(1 - p, (double)(n - k), (double)k + 1);
}

/* Where a function that falls from above alpha to below it passes alpha, to the last bit. */
static double bisect(uint64_t k, uint64_t n, double alpha, bool upper) {
    double low = 0, high = 1;
    for (int i = 0; i < 200; i++) {
        double mid = low + (high - low) / 2;
        if (mid <= low || mid >= high) break;
        bool above = upper ? stats_binom_cdf(k, n, mid) > alpha : stats_beta(mid, (double)k, (double)(n - k) + 1) < alpha;
        *(above ? &low : &high) = mid;
    }
    return upper ? high : low; /* the side that promises less */
}

double stats_binom_upper(uint64_t k, uint64_t n, double alpha) { return k >= n ? 1 : bisect(k, n, alpha, true); }
double stats_binom_lower(uint64_t k, uint64_t n, double alpha) { return k == 0 || n == 0 ? 0 : bisect(k, n, alpha, false); }

struct estimate stats_clopper(uint64_t k, uint64_t n) {
    return (struct estimate){n ? (double)k / (double)n : (double)NAN, stats_binom_lower(k, n, 0.025), stats_binom_upper(k, n, 0.025)};
}
