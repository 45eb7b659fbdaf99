/* fit_int.h -- scales of groups of levels, by search and weighted least squares.
 *
 * Symmetric: x is near step * level. Affine: x is near step * level - base, levels from 0. A candidate step makes levels by
 * rounding; for those levels the best step (and base) has a closed form, and so has the squared error that it leaves.
 * The candidate with the largest gain (what it takes off the sum of w x^2) wins; rounding again with its own step and solving
 * again (Lloyd 1982) never loses and usually gains a little.
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

/* Sums over a group of n elements for one way of rounding. */
struct fit_sums {
    float x, q, xq, qq, w; /* of w x, w q, w x q, w q^2, w */
};

/* ---- symmetric ---- */

LANES_FN struct fit_sums fit_round(const float *x, const float *w, int n, float inv, fit_levels levels) {
    lanes xq = {0}, qq = {0};
    for (int i = 0; i < n; i += LANES) {
        lanes v = lanes_load(x + i), q = levels(v * inv), wq = lanes_load(w + i) * q;
        xq += wq * v;
        qq += wq * q;
    }
    return (struct fit_sums){.xq = lanes_sum(xq), .qq = lanes_sum(qq)};
}

struct fit_step {
    float step, gain, qq;
};

/* The best step, of either sign. The peak goes to one of `ends` (levels, of which some lie short of or past the last one). */
LANES_FN struct fit_step fit_symmetric(const float *x, const float *w, int n, const float *ends, int n_end, fit_levels levels) {
    struct fit_step best = {0};
    float peak = peak_of(x, n);
    if (peak == 0) return best;
    float inv_peak = 1 / peak, best_inv = 0;
    if (!(fabsf(inv_peak) <= FLT_MAX)) return best;
    for (int t = 0; t < n_end; t++) {
        float inv = ends[t] * inv_peak;
        struct fit_sums s = fit_round(x, w, n, inv, levels);
        float gain = s.qq > 0 ? s.xq * s.xq / s.qq : 0;
        if (gain > best.gain) {
            best = (struct fit_step){s.xq / s.qq, gain, s.qq};
            best_inv = inv;
        }
    }
    for (int t = 0; t < 3 && best.gain > 0 && best.step * best_inv != 1; t++) {
        float inv = 1 / best.step;
        struct fit_sums s = fit_round(x, w, n, inv, levels);
        float gain = s.qq > 0 ? s.xq * s.xq / s.qq : 0;
        if (!(gain > best.gain)) break;
        best = (struct fit_step){s.xq / s.qq, gain, s.qq};
        best_inv = inv;
    }
    return best;
}

/* Levels of a group for a step that stands. */
LANES_FN void fit_put(const float *x, int n, float step, fit_levels levels, float *q) {
    float inv = step != 0 ? 1 / step : 0;
    for (int i = 0; i < n; i += LANES) lanes_store(q + i, levels(lanes_load(x + i) * inv));
}

/* The error taken off by rounding to multiples of a given step. */
LANES_FN float fit_gain(struct fit_sums s, float step) { return step * (2 * s.xq - step * s.qq); }

/* Scales of a block of groups: x is near d * scale * level. */
struct fit_scales {
    float d; /* as stored */
    float scale[LANES];
};

/* The d that serves all steps best under scales in [lo, hi]. step, qq: one group in a lane; unused lanes are 0. */
LANES_FN float fit_common(lanes step, lanes qq, float lo, float hi) {
    float s[LANES], best = 0, best_gain = 0;
    lanes_store(s, step);
    float peak = peak_of(s, LANES);
    if (peak == 0) return 0;
    for (int t = -8; t <= 8; t++) {
        for (int side = 0; side < 2; side++) {
            float end = side ? hi : lo;
            if (end == 0) continue;
            float inv = (end + 0.1f * (float)t * (end > 0 ? 1.0f : -1.0f)) / peak;
            lanes k = lanes_round(step * inv, lo, hi);
            float sk = lanes_sum(qq * step * k), kk = lanes_sum(qq * k * k);
            float gain = kk > 0 ? sk * sk / kk : 0;
            if (gain > best_gain) {
                best_gain = gain;
                best = sk / kk;
            }
        }
    }
    return best;
}

/* Gives every group the best of three neighbouring scales under d; returns the gain, and the d that would be best now. */
LANES_FN float fit_pick_scales(const struct fit_block *b, int n_group, int n, const float *step, float d, float lo, float hi,
                               fit_levels levels, float *scale, float *d_next) {
    float total = 0, num = 0, den = 0;
    for (int g = 0; g < n_group; g++) {
        float near = d != 0 ? (float)round_to_level(step[g] / d, (int)lo, (int)hi) : 0, best_gain = 0;
        struct fit_sums best = {0};
        scale[g] = 0;
        for (int t = -1; t <= 1; t++) {
            float k = near + (float)t;
            if (k < lo || k > hi || k == 0 || d == 0) continue;
            struct fit_sums s = fit_round(b->x + g * n, b->w + g * n, n, 1 / (d * k), levels);
            float gain = fit_gain(s, d * k);
            if (gain > best_gain) {
                best_gain = gain;
                best = s;
                scale[g] = k;
            }
        }
        total += best_gain;
        num += scale[g] * best.xq;
        den += scale[g] * scale[g] * best.qq;
    }
    *d_next = den > 0 ? num / den : 0;
    return total;
}

/* fit_scale_block -- d, scales [n_group] and levels [n_group * n] of a block under symmetric levels. d8 holds d. */
LANES_FN float fit_scale_block(const struct fit_block *b, int n_group, int n, const float *ends, int n_end, float lo, float hi,
                               fit_levels levels, uint8_t d8[2], float *scale, float *q) {
    float step[LANES] = {0}, qq[LANES] = {0}, d_next, trial[LANES];
    for (int g = 0; g < n_group; g++) {
        struct fit_step f = fit_symmetric(b->x + g * n, b->w + g * n, n, ends, n_end, levels);
        step[g] = f.step;
        qq[g] = f.qq;
    }
    /* d is stored for x itself; here x is divided by its peak. */
    float d = store_f16(d8, fit_common(lanes_load(step), lanes_load(qq), lo, hi) * b->peak) / b->peak;
    float gain = fit_pick_scales(b, n_group, n, step, d, lo, hi, levels, scale, &d_next);
    for (int t = 0; t < 2; t++) {
        uint8_t d8_next[2];
        float dt = store_f16(d8_next, d_next * b->peak) / b->peak;
        if (dt == d) break;
        float gain_next = fit_pick_scales(b, n_group, n, step, dt, lo, hi, levels, trial, &d_next);
        if (!(gain_next > gain)) break;
        gain = gain_next;
        d = dt;
        memcpy(d8, d8_next, sizeof d8_next);
        memcpy(scale, trial, (size_t)n_group * sizeof *scale);
    }
    for (int g = 0; g < n_group; g++) fit_put(b->x + g * n, n, d * scale[g], levels, q + g * n);
    return d;
}

/* ---- affine ---- */

LANES_FN struct fit_sums fit_round_affine(const float *x, const float *w, int n, float inv, float offset, float top) {
    lanes q1 = {0}, xq = {0}, qq = {0};
    for (int i = 0; i < n; i += LANES) {
        lanes v = lanes_load(x + i), q = lanes_round(v * inv + offset, 0, top), wq = lanes_load(w + i) * q;
        q1 += wq;
        xq += wq * v;
        qq += wq * q;
    }
    return (struct fit_sums){.q = lanes_sum(q1), .xq = lanes_sum(xq), .qq = lanes_sum(qq)};
}

struct fit_affine {
    float step, base, gain;
    struct fit_sums s;
};

LANES_FN float fit_gain_affine(struct fit_sums s, float step, float base) {
    return 2 * (step * s.xq - base * s.x) - (step * (step * s.qq - 2 * base * s.q) + base * base * s.w);
}

/* is_positive: base is at least 0 (the format has no other). */
LANES_FN struct fit_affine fit_solve(struct fit_sums s, bool is_positive) {
    struct fit_affine f = {.s = s};
    float det = s.w * s.qq - s.q * s.q;
    if (det > 1e-6f * s.w * s.qq) {
        f.step = (s.w * s.xq - s.x * s.q) / det;
        f.base = (f.step * s.q - s.x) / s.w;
    } else {
        f.base = -s.x / s.w;
    }
    if (is_positive && !(f.base > 0)) {
        f.base = 0;
        f.step = s.qq > 0 ? s.xq / s.qq : 0;
    }
    if (!(f.step > 0)) {
        f.step = 0;
        f.base = -s.x / s.w;
        if (is_positive && !(f.base > 0)) f.base = 0;
    }
    f.gain = fit_gain_affine(s, f.step, f.base);
    return f;
}

/* The best step and base for levels 0 .. top. trims: how much of the range is cut off an end, each with each. */
LANES_FN struct fit_affine fit_affine(const float *x, const float *w, int n, float top, const float *trims, int n_trim, bool is_positive) {
    lanes lo_v = lanes_load(x), hi_v = lo_v, x1 = {0}, w1 = {0};
    for (int i = 0; i < n; i += LANES) {
        lanes v = lanes_load(x + i), wv = lanes_load(w + i);
        lo_v = lanes_min(v, lo_v);
        hi_v = lanes_max(v, hi_v);
        x1 += wv * v;
        w1 += wv;
    }
    float lo = -lanes_max_lane(-lo_v), hi = lanes_max_lane(hi_v), sx = lanes_sum(x1), sw = lanes_sum(w1);
    if (is_positive && lo > 0) lo = 0;
    struct fit_affine best = fit_solve((struct fit_sums){.x = sx, .w = sw}, is_positive);
    float range = hi - lo;
    if (!(range > 1e-30f)) return best;
    for (int a = 0; a < n_trim; a++) {
        for (int c = 0; c < n_trim; c++) {
            float from = lo + trims[a] * range, inv = top / (range * (1 - trims[a] - trims[c]));
            struct fit_sums s = fit_round_affine(x, w, n, inv, -from * inv, top);
            s.x = sx;
            s.w = sw;
            struct fit_affine f = fit_solve(s, is_positive);
            if (f.gain > best.gain) best = f;
        }
    }
    for (int t = 0; t < 4 && best.step > 0; t++) {
        float inv = 1 / best.step;
        struct fit_sums s = fit_round_affine(x, w, n, inv, best.base * inv, top);
        s.x = sx;
        s.w = sw;
        struct fit_affine f = fit_solve(s, is_positive);
        if (!(f.gain > best.gain)) break;
        best = f;
    }
    return best;
}

LANES_FN void fit_put_affine(const float *x, int n, float step, float base, float top, float *q) {
    float inv = step > 0 ? 1 / step : 0;
    for (int i = 0; i < n; i += LANES) lanes_store(q + i, lanes_round(lanes_load(x + i) * inv + base * inv, 0, top));
}

/* One group in a lane: the fits of a block, for the search of d and dmin. */
struct fit_lanes {
    lanes step, base, q, qq, w;
};

/* The error that d and dmin add, when every group takes the nearest multiples: scales first, then the minima that suit them.
 * Also the d and dmin that are best for those multiples. */
LANES_FN float fit_pair_cost(const struct fit_lanes *f, float d, float dmin, float scale_top, lanes *scale, lanes *min) {
    lanes k = lanes_round(f->step * (d > 0 ? 1 / d : 0), 0, scale_top), ds = k * d - f->step;
    lanes want = f->base + f->q * ds / lanes_max(f->w, lanes_set(1e-30f));
    lanes m = lanes_round(want * (dmin > 0 ? 1 / dmin : 0), 0, scale_top), dm = m * dmin - f->base;
    *scale = k;
    *min = m;
    return lanes_sum(f->qq * ds * ds - 2 * f->q * ds * dm + f->w * dm * dm);
}

struct fit_pair {
    float d, dmin;
};

LANES_FN struct fit_pair fit_common_pair(const struct fit_lanes *f, float scale_top) {
    float step_top = lanes_max_lane(f->step), base_top = lanes_max_lane(f->base), best_cost = INFINITY;
    struct fit_pair best = {0};
    for (int i = -6; i <= 4; i++) {
        for (int j = -6; j <= 4; j++) {
            struct fit_pair p = {step_top / (scale_top + 0.15f * (float)i), base_top / (scale_top + 0.15f * (float)j)};
            lanes k, m;
            float cost = fit_pair_cost(f, p.d, p.dmin, scale_top, &k, &m);
            if (cost < best_cost) {
                best_cost = cost;
                best = p;
            }
            if (base_top == 0) break;
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
    float total = 0;
    *e = (struct fit_normal){0};
    for (int g = 0; g < n_group; g++) {
        struct fit_sums best = {0};
        float best_gain = -INFINITY, near = p.d > 0 ? (float)round_to_level(f[g].step / p.d, 0, (int)scale_top) : 0;
        for (int t = -1; t <= 1; t++) {
            float k = near + (float)t;
            if (k < 0 || k > scale_top) continue;
            float ds = k * p.d - f[g].step, want = f[g].base + f[g].s.q * ds / f[g].s.w;
            float m_near = p.dmin > 0 ? (float)round_to_level(want / p.dmin, 0, (int)scale_top) : 0;
            for (int u = t == 0 ? -1 : 0; u <= (t == 0 ? 1 : 0); u++) {
                float m = m_near + (float)u;
                if (m < 0 || m > scale_top) continue;
                float step = p.d * k, base = p.dmin * m, inv = step > 0 ? 1 / step : 0;
                struct fit_sums s = fit_round_affine(b->x + g * n, b->w + g * n, n, inv, base * inv, top);
                s.x = f[g].s.x;
                s.w = f[g].s.w;
                float gain = fit_gain_affine(s, step, base);
                if (gain > best_gain) {
                    best_gain = gain;
                    best = s;
                    scale[g] = k;
                    min[g] = m;
                }
            }
        }
        total += best_gain;
        e->dd += scale[g] * scale[g] * best.qq;
        e->dm += scale[g] * min[g] * best.q;
        e->mm += min[g] * min[g] * best.w;
        e->xd += scale[g] * best.xq;
        e->xm += min[g] * best.x;
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
    struct fit_lanes l = {0};
    for (int g = 0; g < n_group; g++) {
        f[g] = fit_affine(b->x + g * n, b->w + g * n, n, top, trims, n_trim, true);
        l.step[g] = f[g].step;
        l.base[g] = f[g].base;
        l.q[g] = f[g].s.q;
        l.qq[g] = f[g].s.qq;
        l.w[g] = f[g].s.w;
    }
    struct fit_normal e;
    float scale_next[LANES], min_next[LANES];
    struct fit_pair p = fit_store_pair(d8, dmin8, fit_common_pair(&l, scale_top), b->peak);
    float gain = fit_pick_pairs(b, n_group, n, top, f, p, scale_top, scale, min, &e);
    for (int t = 0; t < 2; t++) {
        uint8_t d8_next[2], dmin8_next[2];
        struct fit_pair p_next = fit_store_pair(d8_next, dmin8_next, fit_normal_solve(e, p), b->peak);
        float gain_next = fit_pick_pairs(b, n_group, n, top, f, p_next, scale_top, scale_next, min_next, &e);
        if (!(gain_next > gain)) break;
        gain = gain_next;
        p = p_next;
        memcpy(d8, d8_next, sizeof d8_next);
        memcpy(dmin8, dmin8_next, sizeof dmin8_next);
        memcpy(scale, scale_next, (size_t)n_group * sizeof *scale);
        memcpy(min, min_next, (size_t)n_group * sizeof *min);
    }
    for (int g = 0; g < n_group; g++) fit_put_affine(b->x + g * n, n, p.d * scale[g], p.dmin * min[g], top, q + g * n);
}

#endif
