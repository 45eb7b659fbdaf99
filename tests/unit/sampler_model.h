/* sampler_model.h -- a second sampler, written straight from the formulas: double arithmetic, quadratic loops, no
 * shared code. Where a cut falls between two values so close that float and double may disagree, it says so
 * (dist.close) and the test leaves the case out; the test bounds how many those are. */
#ifndef SLM_TESTS_SAMPLER_MODEL_H
#define SLM_TESTS_SAMPLER_MODEL_H

#include <math.h>
#include <string.h>

#include "engine/sampler.h"

enum { N_SMALL = 48 };

struct text {
    int32_t ids[400];
    int n;
};

static int window_start(const struct text *t, int32_t last_n) {
    return last_n < 0 || last_n > t->n ? 0 : t->n - last_n;
}

static bool is_breaker(const struct sampler_params *p, int32_t id) {
    for (int i = 0; i < p->n_dry_breakers; i++) {
        if (p->dry_breakers[i] == id) return true;
    }
    return false;
}

/* The longest text that ends the window, also occurs earlier, is followed there by id, and has no breaker. */
static int dry_match(const struct sampler_params *p, const struct text *t, int32_t id) {
    int begin = window_start(t, p->dry_last_n), best = 0;
    if (is_breaker(p, id)) return 0;
    for (int next = begin + 1; next < t->n; next++) {
        if (t->ids[next] != id) continue;
        int len = 0;
        while (next - 1 - len >= begin && t->ids[next - 1 - len] == t->ids[t->n - 1 - len] &&
               !is_breaker(p, t->ids[t->n - 1 - len]))
            len++;
        if (len > best) best = len;
    }
    return best;
}

static double model_logit(const struct sampler_params *p, const struct text *t, const float *logits, int32_t id) {
    double x = (double)logits[id];
    for (int i = 0; i < p->n_bias; i++) {
        if (p->bias[i].id == id) x += (double)p->bias[i].bias;
    }
    int count = 0;
    for (int i = window_start(t, p->penalty_last_n); i < t->n; i++) count += t->ids[i] == id;
    if (count > 0) {
        x = x > 0 ? x / (double)p->repeat_penalty : x * (double)p->repeat_penalty;
        x -= (double)p->presence_penalty + count * (double)p->frequency_penalty;
    }
    int n_match = dry_match(p, t, id);
    if (p->dry_multiplier > 0 && n_match > 0 && n_match >= p->dry_allowed_length)
        x -= (double)p->dry_multiplier * pow((double)p->dry_base, n_match - p->dry_allowed_length);
    return x;
}

struct dist {
    bool in[N_SMALL];
    double x[N_SMALL], p[N_SMALL];
    bool close; /* a cut fell where rounding decides */
};

static void renormalise(struct dist *d, double temperature) {
    double max = -INFINITY, total = 0;
    for (int i = 0; i < N_SMALL; i++) {
        if (d->in[i] && d->x[i] > max) max = d->x[i];
    }
    for (int i = 0; i < N_SMALL; i++) {
        d->p[i] = d->in[i] ? exp((d->x[i] - max) / temperature) : 0;
        total += d->p[i];
    }
    for (int i = 0; i < N_SMALL; i++) d->p[i] /= total;
}

/* Ids of the tokens left, by falling key, then rising id. */
static int order_by(const struct dist *d, const double *key, int *ids) {
    int n = 0;
    for (int i = 0; i < N_SMALL; i++) {
        if (!d->in[i]) continue;
        int at = n++;
        for (; at > 0 && key[ids[at - 1]] < key[i]; at--) ids[at] = ids[at - 1];
        ids[at] = i;
    }
    return n;
}

static void keep_first(struct dist *d, const double *key, const int *ids, int n, int n_kept) {
    if (n_kept < n) {
        double gap = key[ids[n_kept - 1]] - key[ids[n_kept]];
        if (gap != 0 && gap < 1e-4) d->close = true;
    }
    for (int i = n_kept; i < n; i++) d->in[ids[i]] = false;
}

static void keep_share(struct dist *d, const double *key, double share) {
    int ids[N_SMALL], n = order_by(d, key, ids), n_kept = 0;
    double sum = 0;
    while (n_kept < n) {
        sum += d->p[ids[n_kept++]];
        if (fabs(sum - share) < 1e-5) d->close = true;
        if (sum >= share) break;
    }
    keep_first(d, key, ids, n, n_kept);
}

static inline void model_probs(const struct sampler_params *p, const struct text *t, const float *logits,
                               struct dist *d) {
    memset(d, 0, sizeof *d);
    for (int i = 0; i < N_SMALL; i++) {
        d->x[i] = model_logit(p, t, logits, i);
        d->in[i] = d->x[i] > -INFINITY;
    }
    int ids[N_SMALL];
    int n = order_by(d, d->x, ids);
    if (p->temperature == 0) {
        keep_first(d, d->x, ids, n, 1);
        renormalise(d, 1);
        return;
    }
    if (p->top_k > 0 && p->top_k < n) keep_first(d, d->x, ids, n, p->top_k);
    renormalise(d, 1);
    if (p->typical_p < 1) {
        double entropy = 0, key[N_SMALL];
        for (int i = 0; i < N_SMALL; i++) entropy -= d->in[i] && d->p[i] > 0 ? d->p[i] * log(d->p[i]) : 0;
        for (int i = 0; i < N_SMALL; i++) key[i] = d->in[i] ? -fabs(-log(d->p[i]) - entropy) : 0;
        keep_share(d, key, (double)p->typical_p);
        renormalise(d, 1);
    }
    if (p->top_p < 1) {
        keep_share(d, d->x, (double)p->top_p);
        renormalise(d, 1);
    }
    if (p->min_p > 0) {
        double max = 0;
        for (int i = 0; i < N_SMALL; i++) max = fmax(max, d->p[i]);
        for (int i = 0; i < N_SMALL; i++) {
            if (!d->in[i]) continue;
            if (d->p[i] != max && fabs(d->p[i] / max - (double)p->min_p) < 1e-5) d->close = true;
            if (d->p[i] < max * (double)p->min_p) d->in[i] = false;
        }
    }
    renormalise(d, (double)p->temperature);
}

#endif
