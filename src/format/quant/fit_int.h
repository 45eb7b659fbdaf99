/* fit_int.h -- scales of groups of levels, by search and weighted least squares.
 *
 * Symmetric: x is near step * level. Affine: x is near step * level - base, levels from 0. A candidate step makes levels by
 * rounding; for those levels the best step (and base) has a closed form, and so has the squared error that it leaves.
 * The candidate with the largest gain (what it takes off the sum of w x^2) wins; rounding again with its own step and solving
 * again (Lloyd 1982) never loses and usually gains a little. Candidates lie in lanes: elements pass one by one through
 * sixteen of them at once, so nothing is summed across lanes until a winner is looked for.
 * Blocks of groups whose steps are whole multiples of one number: error as a function of a group's step is a parabola, so
 * that number is searched against all parabolas at once, one group in a lane; then each group tries its
 * neighbouring multiples, and the number itself is solved once more.
 * Everything is inlined into its type's encoder, where counts and ranges are constants. */
#ifndef SLM_FORMAT_QUANT_FIT_INT_H
#define SLM_FORMAT_QUANT_FIT_INT_H

#include "format/quant/lanes_int.h"

#define FIT_ELEMS_MAX 256

/* A block ready for fitting: divided by its peak, so that no square leaves the range of float. */
struct fit_block {
    float x[FIT_ELEMS_MAX], w[FIT_ELEMS_MAX];
    float peak; /* the largest magnitude; 0: nothing to encode (all zeros, or not a finite number among them) */
};

LANES_FN void fit_load(struct fit_block *b, const float *x, const float *w, int n) {
    lanes top = {0}, w_top = {0};
    for (int i = 0; i < n; i += LANES) {
        lanes v = lanes_load(x + i);
        top = lanes_max(lanes_max(v, -v), top);
        if (w) w_top = lanes_max(lanes_load(w + i), w_top);
    }
    float peak = lanes_max_lane(top), inv = 1 / peak, w_peak = w ? lanes_max_lane(w_top) : 0;
    float w_inv = w_peak > 0x1p-100f && w_peak < 0x1p100f ? 1 / w_peak : 0; /* weights without sense count as none */
    b->peak = peak <= FLT_MAX && inv <= FLT_MAX ? peak : 0;
    for (int i = 0; i < n; i += LANES) {
        lanes_store(b->x + i, lanes_load(x + i) * inv);
        /* No weight is nothing, else a group could be lost whole. */
        lanes_store(b->w + i, w_inv > 0 ? lanes_max(lanes_load(w + i) * w_inv, lanes_set(1e-6f)) : lanes_set(1));
    }
}

/* Where levels lie: the nearest level to each lane. */
typedef lanes (*fit_levels)(lanes x);

/* Sums over a group of n elements for one way of rounding: of w x, w q, w x q, w q^2, w. */
struct fit_sums {
    float x, q, xq, qq, w;
};
/* For sixteen ways at once. */
struct fit_trials {
    lanes q, xq, qq;
};

/* ---- symmetric ---- */

LANES_FN struct fit_trials fit_try(const float *x, const float *w, int n, lanes inv, fit_levels levels) {
    struct fit_trials t = {0};
    for (int i = 0; i < n; i++) {
        lanes q = levels(inv * x[i]), wq = q * w[i];
        t.xq += wq * x[i];
        t.qq += wq * q;
    }
    return t;
}

struct fit_step {
    float step, gain, qq;
};

LANES_FN struct fit_step fit_best(struct fit_trials t, struct fit_step best) {
    lanes gain = lanes_pick(t.qq, t.xq * t.xq / t.qq, lanes_set(0));
    int i = lanes_best(gain);
    return gain[i] > best.gain ? (struct fit_step){t.xq[i] / t.qq[i], gain[i], t.qq[i]} : best;
}

/* The best step, of either sign. The peak goes to one of `ends` (levels, of which some lie short of or past the last one). n_round: 1 where
 * a finer search follows, else 2. */
LANES_FN struct fit_step fit_symmetric(const float *x, const float *w, int n, const float ends[LANES], fit_levels levels, int n_round) {
    struct fit_step best = {0};
    float inv_peak = 1 / peak_of(x, n);
    if (!(fabsf(inv_peak) <= FLT_MAX)) return best;
    lanes inv = lanes_load(ends) * inv_peak;
    for (int round = 0; round < n_round; round++) {
        struct fit_trials t = fit_try(x, w, n, inv, levels);
        best = fit_best(t, best);
        inv = t.qq / t.xq; /* the step that suits those levels; a lane without one tries nothing worth having */
    }
    return best;
}

/* Levels of a group for a step that stands. */
LANES_FN void fit_put(const float *x, int n, float step, fit_levels levels, float *q) {
    float inv = step != 0 ? 1 / step : 0;
    for (int i = 0; i < n; i += LANES) lanes_store(q + i, levels(lanes_load(x + i) * inv));
}

/* The d that serves all steps best under scales in [lo, hi]; step, qq: of n_group groups. */
LANES_FN float fit_common(const float *step, const float *qq, int n_group, float lo, float hi) {
    static const float past[LANES] = {-0.8f, -0.7f, -0.6f, -0.5f, -0.4f, -0.3f, -0.2f, -0.1f, 0, 0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.65f, 0.8f};
    float peak = peak_of(step, n_group), best = 0, best_gain = 0;
    if (peak == 0) return 0;
    for (int side = 0; side < 2; side++) {
        lanes inv = (side ? lanes_load(past) + hi : lo - lanes_load(past)) / peak, sk = {0}, kk = {0};
        for (int g = 0; g < n_group; g++) {
            lanes k = lanes_round(inv * step[g], lo, hi);
            sk += k * (qq[g] * step[g]);
            kk += k * k * qq[g];
        }
        lanes gain = lanes_pick(kk, sk * sk / kk, lanes_set(0));
        int i = lanes_best(gain);
        if (gain[i] > best_gain) {
            best_gain = gain[i];
            best = sk[i] / kk[i];
        }
    }
    return best;
}

/* Gives every group the best of the scales around its own under d; returns the gain, and the d that would be best now. */
LANES_FN float fit_pick_scales(const struct fit_block *b, int n_group, int n, const float *step, float d, float lo, float hi,
                               fit_levels levels, float *scale, float *d_next) {
    static const float around[LANES] = {0, -1, 1, -2, 2, -3, 3, -4, 4, -5, 5, -6, 6, -7, 7, -8};
    float total = 0, num = 0, den = 0;
    for (int g = 0; g < n_group; g++) {
        float near = d != 0 ? (float)round_to_level(step[g] / d, (int)lo, (int)hi) : 0;
        lanes k = lanes_min(lanes_max(lanes_load(around) + near, lanes_set(lo)), lanes_set(hi)), ks = k * d;
        struct fit_trials t = fit_try(b->x + g * n, b->w + g * n, n, 1 / ks, levels);
        lanes gain = ks * (2 * t.xq - ks * t.qq);
        int i = lanes_best(gain);
        scale[g] = gain[i] > 0 ? k[i] : 0;
        if (!(gain[i] > 0)) continue;
        total += gain[i];
        num += scale[g] * t.xq[i];
        den += scale[g] * scale[g] * t.qq[i];
    }
    *d_next = den > 0 ? num / den : 0;
    return total;
}

/* fit_scale_block -- d, scales [n_group] and levels [n_group * n] of a block under symmetric levels. d8 holds d. */
LANES_FN float fit_scale_block(const struct fit_block *b, int n_group, int n, const float ends[LANES], float lo, float hi,
                               fit_levels levels, uint8_t d8[2], float *scale, float *q) {
    float step[LANES] = {0}, qq[LANES] = {0}, d_next, trial[LANES];
    for (int g = 0; g < n_group; g++) {
        struct fit_step f = fit_symmetric(b->x + g * n, b->w + g * n, n, ends, levels, 1);
        step[g] = f.step;
        qq[g] = f.qq;
    }
    /* d is stored for x itself; here x is divided by its peak. */
    float d = store_f16(d8, fit_common(step, qq, n_group, lo, hi) * b->peak) / b->peak;
    float gain = fit_pick_scales(b, n_group, n, step, d, lo, hi, levels, scale, &d_next);
    uint8_t d8_next[2];
    float dt = store_f16(d8_next, d_next * b->peak) / b->peak;
    if (dt != d && fit_pick_scales(b, n_group, n, step, dt, lo, hi, levels, trial, &d_next) > gain) {
        d = dt;
        memcpy(d8, d8_next, sizeof d8_next);
        memcpy(scale, trial, (size_t)n_group * sizeof *scale);
    }
    for (int g = 0; g < n_group; g++) fit_put(b->x + g * n, n, d * scale[g], levels, q + g * n);
    return d;
}

/* ---- affine ---- */

LANES_FN struct fit_trials fit_try_affine(const float *x, const float *w, int n, lanes inv, lanes offset, float top) {
    struct fit_trials t = {0};
    for (int i = 0; i < n; i++) {
        lanes q = lanes_round(inv * x[i] + offset, 0, top), wq = q * w[i];
        t.q += wq;
        t.xq += wq * x[i];
        t.qq += wq * q;
    }
    return t;
}

struct fit_affine {
    float step, base, gain;
    struct fit_sums s;
};

/* For levels that stand: the best steps and bases. is_positive: bases are at least 0 (the format has no other). Lanes without a
 * positive step have a gain of 0 or less. x, w: sums of the group. */
struct fit_pairs {
    lanes step, base, gain;
};

LANES_FN lanes fit_gain_affine(struct fit_trials t, float x, float w, lanes step, lanes base) {
    return 2 * (step * t.xq - base * x) - (step * (step * t.qq - 2 * base * t.q) + base * base * w);
}

LANES_FN struct fit_pairs fit_solve(struct fit_trials t, float x, float w, bool is_positive) {
    struct fit_pairs p;
    lanes det = w * t.qq - t.q * t.q, zero = {0}, is_sound = det - 1e-6f * w * t.qq; /* all levels equal: no base of their own */
    p.step = (w * t.xq - x * t.q) / det;
    p.base = (p.step * t.q - x) / w;
    if (is_positive) {
        lanes has_base = lanes_pick(is_sound, p.base, zero);
        p.step = lanes_pick(has_base, p.step, t.xq / t.qq);
        p.base = lanes_pick(has_base, p.base, zero);
    } else {
        p.step = lanes_pick(is_sound, p.step, zero);
    }
    p.gain = lanes_pick(p.step, fit_gain_affine(t, x, w, p.step, p.base), zero - 1);
    return p;
}

#define FIT_TRIES_MAX 48

/* The best step and base for levels 0 .. top. trims: how much of the range is cut off an end, each with each. */
LANES_FN struct fit_affine fit_affine(const float *x, const float *w, int n, float top, const float *trims, int n_trim, bool is_positive) {
    float lo = x[0], hi = x[0], from[FIT_TRIES_MAX] = {0}, inv_range[FIT_TRIES_MAX] = {0};
    struct fit_affine best = {0};
    for (int i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
        best.s.x += w[i] * x[i];
        best.s.w += w[i];
    }
    best.base = -best.s.x / best.s.w;
    if (is_positive && !(best.base > 0)) best.base = 0;
    best.gain = best.base * (-2 * best.s.x - best.base * best.s.w);
    if (is_positive && lo > 0) lo = 0;
    float range = hi - lo;
    if (!(range > 1e-30f)) return best;
    for (int a = 0; a < n_trim; a++)
        for (int c = 0; c < n_trim; c++) {
            from[a * n_trim + c] = lo + trims[a] * range;
            inv_range[a * n_trim + c] = top / (range * (1 - trims[a] - trims[c]));
        }
    for (int at = 0; at < n_trim * n_trim; at += LANES) {
        lanes inv = lanes_load(inv_range + at), offset = -(lanes_load(from + at) * inv);
        for (int round = 0; round < 2; round++) {
            struct fit_trials t = fit_try_affine(x, w, n, inv, offset, top);
            struct fit_pairs p = fit_solve(t, best.s.x, best.s.w, is_positive);
            int i = lanes_best(p.gain);
            if (p.gain[i] > best.gain) {
                best.step = p.step[i];
                best.base = p.base[i];
                best.gain = p.gain[i];
                best.s.q = t.q[i];
                best.s.qq = t.qq[i];
                best.s.xq = t.xq[i];
            }
            inv = 1 / p.step;
            offset = p.base * inv;
        }
    }
    return best;
}

LANES_FN void fit_put_affine(const float *x, int n, float step, float base, float top, float *q) {
    float inv = step > 0 ? 1 / step : 0;
    for (int i = 0; i < n; i += LANES) lanes_store(q + i, lanes_round(lanes_load(x + i) * inv + base * inv, 0, top));
}

struct fit_pair {
    float d, dmin;
};

/* The d and dmin that add least error, when every group takes the nearest multiples: scales first, then the minima that suit
 * them. A group's error is a parabola in both about its own fit. */
LANES_FN struct fit_pair fit_common_pair(const struct fit_affine *f, int n_group, float scale_top) {
    static const float past[3] = {-0.55f, 0.1f, 0.75f}; /* of the minima, each with 16 of the scales */
    static const float past_step[LANES] = {-0.9f, -0.75f, -0.6f, -0.5f, -0.4f, -0.3f, -0.2f, -0.1f, 0, 0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f, 0.75f};
    float step_top = 0, base_top = 0, best_cost = INFINITY;
    struct fit_pair best = {0};
    for (int g = 0; g < n_group; g++) {
        step_top = f[g].step > step_top ? f[g].step : step_top;
        base_top = f[g].base > base_top ? f[g].base : base_top;
    }
    for (int p = 0; p < 3; p++) {
        lanes d = step_top / (lanes_load(past_step) + scale_top), inv_d = lanes_pick(d, 1 / d, d), cost = {0};
        float dmin = base_top / (scale_top + past[p]), inv_dmin = dmin > 0 ? 1 / dmin : 0;
        for (int g = 0; g < n_group; g++) {
            lanes ds = lanes_round(inv_d * f[g].step, 0, scale_top) * d - f[g].step;
            lanes want = f[g].base + ds * (f[g].s.q / f[g].s.w);
            lanes dm = lanes_round(want * inv_dmin, 0, scale_top) * dmin - f[g].base;
            cost += ds * ds * f[g].s.qq - ds * dm * (2 * f[g].s.q) + dm * dm * f[g].s.w;
        }
        int i = lanes_best(-cost);
        if (cost[i] < best_cost) {
            best_cost = cost[i];
            best = (struct fit_pair){d[i], dmin};
        }
    }
    return best;
}

/* Sums over groups that give the best d and dmin for what was chosen: normal equations of two unknowns. */
struct fit_normal {
    float dd, dm, mm, xd, xm;
};

LANES_FN struct fit_pair fit_normal_solve(struct fit_normal e, struct fit_pair old) {
    float det = e.dd * e.mm - e.dm * e.dm;
    if (det > 1e-5f * e.dd * e.mm) {
        struct fit_pair p = {(e.xd * e.mm - e.xm * e.dm) / det, (e.xd * e.dm - e.xm * e.dd) / det};
        return p.d > 0 && p.dmin >= 0 ? p : old;
    }
    return e.mm == 0 && e.dd > 0 && e.xd > 0 ? (struct fit_pair){e.xd / e.dd, 0} : old;
}

/* Scale and minimum of every group under p, the best of neighbouring ones; returns the gain. */
LANES_FN float fit_pick_pairs(const struct fit_block *b, int n_group, int n, float top, const struct fit_affine *f, struct fit_pair p,
                              float scale_top, float *scale, float *min, struct fit_normal *e) {
    static const float around[LANES] = {0, 0, 0, 0, 0, -1, -1, -1, -1, 1, 1, 1, 1, 1, -2, 2};
    static const float around_min[LANES] = {0, -1, 1, -2, 2, 0, -1, 1, 2, 0, -1, 1, 2, -2, 0, 0};
    lanes zero = {0}, last = lanes_set(scale_top);
    float total = 0, inv_d = p.d > 0 ? 1 / p.d : 0, inv_dmin = p.dmin > 0 ? 1 / p.dmin : 0;
    *e = (struct fit_normal){0};
    for (int g = 0; g < n_group; g++) {
        float near = (float)round_to_level(f[g].step * inv_d, 0, (int)scale_top);
        lanes k = lanes_min(lanes_max(lanes_load(around) + near, zero), last), step = k * p.d;
        lanes want = f[g].base + (step - f[g].step) * (f[g].s.q / f[g].s.w);
        lanes m = lanes_round(want * inv_dmin, 0, scale_top) + lanes_load(around_min);
        m = lanes_min(lanes_max(m, zero), last);
        lanes base = m * p.dmin, inv = lanes_pick(step, 1 / step, zero);
        struct fit_trials t = fit_try_affine(b->x + g * n, b->w + g * n, n, inv, base * inv, top);
        lanes gain = fit_gain_affine(t, f[g].s.x, f[g].s.w, step, base);
        int i = lanes_best(gain);
        scale[g] = k[i];
        min[g] = m[i];
        total += gain[i];
        e->dd += k[i] * k[i] * t.qq[i];
        e->dm += k[i] * m[i] * t.q[i];
        e->mm += m[i] * m[i] * f[g].s.w;
        e->xd += k[i] * t.xq[i];
        e->xm += m[i] * f[g].s.x;
    }
    return total;
}

LANES_FN struct fit_pair fit_store_pair(uint8_t d8[2], uint8_t dmin8[2], struct fit_pair p, float peak) {
    return (struct fit_pair){store_f16(d8, p.d * peak) / peak, store_f16(dmin8, p.dmin * peak) / peak};
}

/* fit_affine_block -- d and dmin as stored, scales and minima [n_group] in 0 .. scale_top, levels [n_group * n] in 0 .. top. */
LANES_FN void fit_affine_block(const struct fit_block *b, int n_group, int n, float top, const float *trims, int n_trim, float scale_top,
                               uint8_t d8[2], uint8_t dmin8[2], float *scale, float *min, float *q) {
    struct fit_affine f[LANES] = {0};
    for (int g = 0; g < n_group; g++) f[g] = fit_affine(b->x + g * n, b->w + g * n, n, top, trims, n_trim, true);
    struct fit_normal e;
    float scale_next[LANES], min_next[LANES];
    struct fit_pair p = fit_store_pair(d8, dmin8, fit_common_pair(f, n_group, scale_top), b->peak);
    float gain = fit_pick_pairs(b, n_group, n, top, f, p, scale_top, scale, min, &e);
    uint8_t d8_next[2], dmin8_next[2];
    struct fit_pair p_next = fit_store_pair(d8_next, dmin8_next, fit_normal_solve(e, p), b->peak);
    if (fit_pick_pairs(b, n_group, n, top, f, p_next, scale_top, scale_next, min_next, &e) > gain) {
        p = p_next;
        memcpy(d8, d8_next, sizeof d8_next);
        memcpy(dmin8, dmin8_next, sizeof dmin8_next);
        memcpy(scale, scale_next, (size_t)n_group * sizeof *scale);
        memcpy(min, min_next, (size_t)n_group * sizeof *min);
    }
    for (int g = 0; g < n_group; g++) fit_put_affine(b->x + g * n, n, p.d * scale[g], p.dmin * min[g], top, q + g * n);
}

#endif
