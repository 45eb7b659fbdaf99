/* eval_stats.c -- intervals and tests. */
#include <math.h>
#include <stdlib.h>

#include "base/util.h"
#include "train/eval.h"

#define Z95 1.959963984540054
#define N_DRAWS 1000
#define N_EXACT_MAX 100000

/* Wilson 1927. */
struct estimate eval_wilson(uint64_t n_right, uint64_t n) {
    if (n == 0) return (struct estimate){0, 0, 1};
    double p = (double)n_right / (double)n, z2 = Z95 * Z95, d = 1 + z2 / (double)n;
    double mid = (p + z2 / (2 * (double)n)) / d, half = Z95 / d * sqrt(p * (1 - p) / (double)n + z2 / (4 * (double)n * (double)n));
    return (struct estimate){p, n_right == 0 ? 0 : mid - half, n_right == n ? 1 : mid + half};
}

static int compare_f64(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

slm_status eval_bootstrap(const double *x, const double *w, size_t n, struct estimate *out, slm_err *err) {
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
    qsort(draws, N_DRAWS, sizeof *draws, compare_f64);
    *out = (struct estimate){weight > 0 ? sum / weight : 0, draws[N_DRAWS / 40], draws[N_DRAWS - 1 - N_DRAWS / 40]};
    free(draws);
    return SLM_OK;
}

/* McNemar 1947; the binomial itself, the normal curve past what its terms are worth adding. */
double eval_mcnemar(uint64_t b, uint64_t c) {
    uint64_t n = b + c, low = b < c ? b : c;
    if (n == 0) return 1;
    if (n > N_EXACT_MAX) {
        double d = fabs((double)b - (double)c) - 1;
        return erfc((d > 0 ? d : 0) / sqrt((double)n) / sqrt(2.0));
    }
    double p = 0;
    for (uint64_t i = 0; i <= low; i++) p += exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) - (double)n * log(2.0));
    return 2 * p < 1 ? 2 * p : 1;
}

slm_status eval_compare(const struct eval_result *a, const struct eval_result *b, struct eval_pair *out, slm_err *err) {
    *out = (struct eval_pair){.n_both = 0};
    SLM_ASSERT(a->n == b->n && a->kind == b->kind);
    void *mem = NULL;
    slm_status st = mem_alloc(&mem, 2 * a->n + 1, sizeof(double), "comparing", err);
    if (st != SLM_OK) return st;
    double *x = mem, *w = x + a->n;
    for (size_t i = 0; i < a->n; i++) {
        bool p = a->items[i].right, q = b->items[i].right;
        *(p && q ? &out->n_both : p ? &out->n_first : q ? &out->n_second : &out->n_none) += 1;
        bool same = a->items[i].text && b->items[i].text ? view_eq(view_of(a->items[i].text), view_of(b->items[i].text)) : a->items[i].got == b->items[i].got;
        out->n_same += same;
        x[i] = (double)p - (double)q;
        w[i] = 1;
    }
    out->p = eval_mcnemar(out->n_first, out->n_second);
    st = eval_bootstrap(x, w, a->n, &out->difference, err);
    free(mem);
    return st;
}
