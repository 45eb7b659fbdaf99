/* combine.c -- logistic regression in a few dimensions, and isotonic regression. */
#include "task/combine.h"

#include <stdlib.h>
#include <string.h>

#define N_NEWTON 30
#define RIDGE 1.0      /* of the sum over rows; signals are standardized */
#define P_CLIP 1e-7

/* A probability becomes its log-odds: near 1 is where the answers are. */
static double shape(enum signal s, double v) {
    if (s != SIGNAL_CONFIDENCE && s != SIGNAL_MARGIN && s != SIGNAL_FIRST_MARGIN) return v;
    double p = v < P_CLIP ? P_CLIP : v > 1 - P_CLIP ? 1 - P_CLIP : v;
    return log(p / (1 - p));
}

static bool choose(const struct signals *rows, size_t n, enum signal s, double *mean, double *scale) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(rows[i].v[s])) return false;
        sum += shape(s, rows[i].v[s]);
    }
    *mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += (shape(s, rows[i].v[s]) - *mean) * (shape(s, rows[i].v[s]) - *mean);
    if (!isfinite(squares) || !(squares > 1e-12 * (double)n)) return false;
    *scale = 1 / sqrt(squares / (double)n);
    return true;
}

double combine_score(const struct combiner *c, const struct signals *s) {
    double score = c->bias;
    for (size_t i = 0; i < c->n; i++) {
        double v = s->v[c->which[i]];
        if (!isfinite(v)) return (double)NAN; /* with its weight an infinite one could make the surest of answers */
        score += c->weight[i] * (shape(c->which[i], v) - c->mean[i]) * c->scale[i];
    }
    return isfinite(score) ? score : (double)NAN;
}

#define D_MAX (SIGNAL_COUNT + 1)

/* a x = b in place by elimination; a is positive definite. */
static void solve(double a[D_MAX][D_MAX], double *b, size_t d) {
    for (size_t i = 0; i < d; i++)
        for (size_t k = i + 1; k < d; k++) {
            double f = a[k][i] / a[i][i];
            for (size_t j = i; j < d; j++) a[k][j] -= f * a[i][j];
            b[k] -= f * b[i];
        }
    for (size_t i = d; i-- > 0;) {
        for (size_t j = i + 1; j < d; j++) b[i] -= a[i][j] * b[j];
        b[i] /= a[i][i];
    }
}

static void newton_step(struct combiner *c, const struct signals *rows, const bool *ok, size_t n) {
    double h[D_MAX][D_MAX] = {{0}}, g[D_MAX] = {0};
    const size_t d = c->n + 1;
    for (size_t i = 0; i < n; i++) {
        double x[D_MAX], p = 1 / (1 + exp(-combine_score(c, &rows[i])));
        for (size_t k = 0; k < c->n; k++) x[k] = (shape(c->which[k], rows[i].v[c->which[k]]) - c->mean[k]) * c->scale[k];
        x[c->n] = 1;
        for (size_t a = 0; a < d; a++) {
            g[a] += ((double)ok[i] - p) * x[a];
            for (size_t b = 0; b < d; b++) h[a][b] += p * (1 - p) * x[a] * x[b];
        }
    }
    for (size_t a = 0; a < c->n; a++) g[a] -= RIDGE * c->weight[a];
    for (size_t a = 0; a < d; a++) h[a][a] += a < c->n ? RIDGE : 1e-6;
    solve(h, g, d);
    for (size_t a = 0; a < c->n; a++) c->weight[a] += g[a] > 4 ? 4 : g[a] < -4 ? -4 : g[a];
    c->bias += g[c->n] > 4 ? 4 : g[c->n] < -4 ? -4 : g[c->n];
}

/* ---- isotonic ---- */

struct point {
    double score, p, n;
};

static int by_score(const void *a, const void *b) {
    const struct point *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? -1 : 1;
    return (x->p > y->p) - (x->p < y->p);
}

/* Blocks whose means rise; more than there is room for are joined by pairs. Half a row of each kind is in the ends, so that no block says 0 or 1. */
static void fit_curve(struct combiner *c, struct point *v, size_t n) {
    size_t m = 0;
    qsort(v, n, sizeof *v, by_score);
    for (size_t i = 0; i < n; i++) { /* score: sum over the block */
        struct point block = v[i];
        while (m > 0 && (v[m - 1].p / v[m - 1].n >= block.p / block.n || v[m - 1].score / v[m - 1].n == block.score / block.n)) {
            m--;
            block = (struct point){block.score + v[m].score, block.p + v[m].p, block.n + v[m].n};
        }
        v[m++] = block;
    }
    while (m > COMBINE_N_KNOT_MAX) {
        size_t k = 0;
        for (size_t i = 0; i < m; i += 2) {
            struct point a = v[i], b = i + 1 < m ? v[i + 1] : (struct point){0, 0, 0};
            v[k++] = (struct point){a.score + b.score, a.p + b.p, a.n + b.n};
        }
        m = k;
    }
    c->n_knot = m;
    for (size_t i = 0; i < m; i++) {
        c->knot_score[i] = v[i].score / v[i].n;
        c->knot_p[i] = (v[i].p + 0.5) / (v[i].n + 1);
        if (i > 0 && c->knot_p[i] < c->knot_p[i - 1]) c->knot_p[i] = c->knot_p[i - 1]; /* the half rows may bend small blocks */
    }
}

double combine_p(const struct combiner *c, double score) {
    if (c->n_knot == 0 || isnan(score)) return (double)NAN;
    if (score <= c->knot_score[0]) return c->knot_p[0];
    for (size_t i = 1; i < c->n_knot; i++) {
        if (score > c->knot_score[i]) continue;
        double t = (score - c->knot_score[i - 1]) / (c->knot_score[i] - c->knot_score[i - 1]);
        return c->knot_p[i - 1] + t * (c->knot_p[i] - c->knot_p[i - 1]);
    }
    return c->knot_p[c->n_knot - 1];
}

slm_status combine_fit(const struct signals *rows, const bool *ok, size_t n, struct combiner *out, slm_err *err) {
    void *mem = NULL;
    *out = (struct combiner){.n = 0};
    if (n == 0) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "signals: no row to fit them on");
    for (int s = 0; s < SIGNAL_COUNT; s++)
        if (choose(rows, n, (enum signal)s, &out->mean[out->n], &out->scale[out->n])) out->which[out->n++] = (enum signal)s;
    if (out->n == 0) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "signals: none that all rows have and that differs");
    slm_status st = mem_alloc(&mem, n, sizeof(struct point), "signals", err);
    if (st != SLM_OK) return st;
    struct point *points = mem;
    for (int i = 0; i < N_NEWTON; i++) newton_step(out, rows, ok, n);
    for (size_t i = 0; i < n; i++) points[i] = (struct point){combine_score(out, &rows[i]), (double)ok[i], 1};
    fit_curve(out, points, n);
    free(points);
    return SLM_OK;
}
