/* lattice_int.h -- encoders of the iq types: the point of a grid that is nearest to some elements under weights.
 *
 * Squared error is a sum over elements, so each element's best level alone is known at once. When those levels together are a
 * point, it is the nearest. Else the points around them are tried: for every combination of levels (a key) a table
 * holds the LATTICE_NEAR points that lie nearest to it, made once per grid and shared by all threads. What such a point
 * costs is looked up pair by pair of elements, and the search takes the whole list, so weights may be as uneven as they like
 * within it. tests/golden compares with trying every point.
 * Types that store seven signs for eight elements: when the number of minuses comes out odd one element must take the
 * wrong sign; the two for which that costs least are tried. */
#ifndef SLM_FORMAT_QUANT_LATTICE_INT_H
#define SLM_FORMAT_QUANT_LATTICE_INT_H

#include "format/quant/fit_int.h"
#include "format/quant/iq_int.h"

#define LATTICE_NEAR 24
#define LATTICE_UNIT 8 /* elements whose signs stand together: one point of 8 or two points of 4 */

struct lattice_point {
    uint16_t code, index;
};
struct lattice {
    int dim, n_level, bits; /* elements of a point; levels of an element; bits of an element in a code */
    int n_point, n_key;     /* n_key = n_level ^ dim */
    const uint16_t *codes;
    const struct lattice_point *near; /* [n_key, LATTICE_NEAR], nearest first */
};

enum lattice_id { LATTICE_IQ2_XXS, LATTICE_IQ2_XS, LATTICE_IQ2_S, LATTICE_IQ3_XXS, LATTICE_IQ3_S, LATTICE_IQ1, LATTICE_COUNT };
/* lattice_get -- makes the table at the first call; the same pointer for every caller, until the process ends. NULL: no memory. */
const struct lattice *lattice_get(enum lattice_id id);

/* What is chosen for one unit, and its sums: of w x q and w q^2. */
struct lattice_unit {
    uint16_t index[2];
    uint32_t signs; /* bit j: element j is negative; of a type with shifts: all set when it is downward */
    float cost, xq, qq;
};

/* Costs by level of every element, [8, 8], and summed by pair of elements, [4, 64] by the pair's bits in a code. */
struct lattice_costs {
    float one[LATTICE_UNIT][8];
    float pair[LATTICE_UNIT / 2][64];
    int key_digit[LATTICE_UNIT];
};

/* Constant per type, so that everything below is specialised for it. */
struct lattice_kind {
    int dim, n_level, bits;
    float level[8];
    bool is_even; /* seven signs for eight elements */
    /* Types without signs: levels are moved by shift, up or down, the same way for n_shift elements. 0: types with signs. */
    float shift;
    int n_shift;
    float reach; /* the peak is tried at about this many times the last level */
};

LANES_FN void lattice_sum_pair(const struct lattice_kind *k, struct lattice_costs *c, int pair) {
    for (int hi = 0; hi < k->n_level; hi++)
        for (int lo = 0; lo < k->n_level; lo++) c->pair[pair][hi << k->bits | lo] = c->one[2 * pair][lo] + c->one[2 * pair + 1][hi];
}

LANES_FN void lattice_cost_of(const struct lattice_kind *k, struct lattice_costs *c, int j, float a, float w) {
    c->key_digit[j] = 0;
    for (int l = 0; l < k->n_level; l++) {
        c->one[j][l] = w * ((a - k->level[l]) * (a - k->level[l]));
        if (l > 0) c->key_digit[j] += a > (k->level[l - 1] + k->level[l]) / 2;
    }
}

/* The best point for elements first .. first + dim - 1 of the unit; adds its cost. */
LANES_FN struct lattice_point lattice_search(const struct lattice *l, const struct lattice_kind *k, const struct lattice_costs *c, int first,
                                             float *cost) {
    int key = 0;
    for (int j = k->dim - 1; j >= 0; j--) key = key * k->n_level + c->key_digit[first + j];
    const struct lattice_point *near = l->near + (size_t)key * LATTICE_NEAR, *best = near;
    int mask = (1 << 2 * k->bits) - 1;
    float best_cost = INFINITY;
    for (int i = 0; i < LATTICE_NEAR; i++) {
        float sum = 0;
        for (int p = 0; p < k->dim / 2; p++) sum += c->pair[first / 2 + p][near[i].code >> 2 * k->bits * p & mask];
        if (sum < best_cost) {
            best_cost = sum;
            best = near + i;
        }
    }
    *cost += best_cost;
    return *best;
}

LANES_FN void lattice_search_unit(const struct lattice *l, const struct lattice_kind *k, const struct lattice_costs *c, struct lattice_unit *u,
                                  uint16_t code[2]) {
    u->cost = 0;
    for (int p = 0; p < LATTICE_UNIT / k->dim; p++) {
        struct lattice_point best = lattice_search(l, k, c, p * k->dim, &u->cost);
        u->index[p] = best.index;
        code[p] = best.code;
    }
}

/* The one wrong sign: the two elements for which it costs least alone are tried with their grids. */
LANES_FN void lattice_flip_one(const struct lattice *l, const struct lattice_kind *k, struct lattice_costs *c, const float *a, const float *w,
                               struct lattice_unit *u, uint16_t code[2]) {
    float extra[LATTICE_UNIT];
    uint32_t signs = u->signs;
    for (int j = 0; j < LATTICE_UNIT; j++) {
        float wrong = a[j] + k->level[0];
        extra[j] = w[j] * (wrong * wrong) - c->one[j][c->key_digit[j]];
    }
    u->cost = INFINITY;
    for (int t = 0; t < 2; t++) {
        int j = 0;
        for (int i = 1; i < LATTICE_UNIT; i++)
            if (extra[i] < extra[j]) j = i;
        extra[j] = INFINITY;
        lattice_cost_of(k, c, j, -a[j], w[j]);
        lattice_sum_pair(k, c, j / 2);
        struct lattice_unit trial = {.signs = signs ^ 1u << j};
        uint16_t trial_code[2] = {0};
        lattice_search_unit(l, k, c, &trial, trial_code);
        lattice_cost_of(k, c, j, a[j], w[j]);
        lattice_sum_pair(k, c, j / 2);
        if (trial.cost < u->cost) {
            *u = trial;
            memcpy(code, trial_code, sizeof trial_code);
        }
    }
}

/* x[8], w[8] under a step of 1 / inv. */
LANES_FN struct lattice_unit lattice_pick(const struct lattice *l, const struct lattice_kind *k, const float *x, const float *w, float inv,
                                          float shift) {
    struct lattice_costs c;
    struct lattice_unit u = {.cost = INFINITY};
    float a[LATTICE_UNIT];
    uint16_t code[2] = {0};
    for (int j = 0; j < LATTICE_UNIT; j++) {
        a[j] = shift != 0 ? x[j] * inv - shift : fabsf(x[j] * inv);
        u.signs |= (uint32_t)(shift != 0 ? shift < 0 : x[j] < 0) << j;
        lattice_cost_of(k, &c, j, a[j], w[j]);
    }
    for (int p = 0; p < LATTICE_UNIT / 2; p++) lattice_sum_pair(k, &c, p);
    if (k->is_even && __builtin_parity(u.signs))
        lattice_flip_one(l, k, &c, a, w, &u, code);
    else
        lattice_search_unit(l, k, &c, &u, code);
    u.xq = u.qq = 0;
    for (int j = 0; j < LATTICE_UNIT; j++) {
        float level = k->level[code[j / k->dim] >> k->bits * (j % k->dim) & ((1 << k->bits) - 1)];
        float q = shift != 0 ? level + shift : with_sign(level, u.signs, j);
        u.xq += w[j] * (x[j] * q);
        u.qq += w[j] * (q * q);
    }
    return u;
}

/* One unit under a step that stands; a step of zero takes any. Not inlined: it is called for single units. */
__attribute__((noinline, unused)) static struct lattice_unit lattice_put(enum lattice_id id, const struct lattice_kind *k, const float *x, const float *w, float step,
                                                                 float shift) {
    const struct lattice *l = lattice_get(id);
    float inv = step != 0 ? 1 / step : 0;
    if (!l) return (struct lattice_unit){0};
    return lattice_pick(l, k, x, w, fabsf(inv) <= FLT_MAX ? inv : 0, shift);
}

/* The n elements of a group or of one shift, under one step. */
LANES_FN struct fit_sums lattice_pick_run(const struct lattice *l, const struct lattice_kind *k, const float *x, const float *w, int n, float inv,
                                          float shift, struct lattice_unit *units, float *cost) {
    struct fit_sums s = {0};
    *cost = 0;
    for (int i = 0; i < n / LATTICE_UNIT; i++) {
        units[i] = lattice_pick(l, k, x + i * LATTICE_UNIT, w + i * LATTICE_UNIT, inv, shift);
        s.xq += units[i].xq;
        s.qq += units[i].qq;
        *cost += units[i].cost;
    }
    return s;
}

LANES_FN struct fit_sums lattice_pick_group(const struct lattice *l, const struct lattice_kind *k, const float *x, const float *w, int n, float inv,
                                            struct lattice_unit *units) {
    float cost, cost_down;
    if (k->shift == 0) return lattice_pick_run(l, k, x, w, n, inv, 0, units, &cost);
    struct fit_sums s = {0};
    for (int i = 0; i < n; i += k->n_shift) {
        struct lattice_unit down[4], *up = units + i / LATTICE_UNIT;
        struct fit_sums run = lattice_pick_run(l, k, x + i, w + i, k->n_shift, inv, k->shift, up, &cost);
        struct fit_sums run_down = lattice_pick_run(l, k, x + i, w + i, k->n_shift, inv, -k->shift, down, &cost_down);
        if (cost_down < cost) {
            run = run_down;
            memcpy(up, down, (size_t)(k->n_shift / LATTICE_UNIT) * sizeof *up);
        }
        s.xq += run.xq;
        s.qq += run.qq;
    }
    return s;
}

LANES_FN struct fit_step lattice_fit_group(const struct lattice *l, const struct lattice_kind *k, const float *x, const float *w, int n) {
    static const float peaks[] = {1.08f, 0.98f, 0.88f, 0.79f, 0.7f, 0.62f, 0.54f}; /* where the peak goes, of the last level */
    struct fit_step best = {0};
    struct lattice_unit units[4];
    float peak = fabsf(peak_of(x, n)), last = k->level[k->n_level - 1] * k->reach, best_inv = 0;
    if (!(peak > 1e-12f)) return best;
    for (int t = 0; t < COUNT(peaks) + 3; t++) {
        bool is_start = t < COUNT(peaks);
        if (!is_start && (best.gain == 0 || 1 / best.step == best_inv)) break;
        float inv = is_start ? peaks[t] * last / peak : 1 / best.step;
        struct fit_sums s = lattice_pick_group(l, k, x, w, n, inv, units);
        float gain = s.xq > 0 ? s.xq * s.xq / s.qq : 0;
        if (gain > best.gain) {
            best = (struct fit_step){s.xq / s.qq, gain, s.qq};
            best_inv = inv;
        } else if (!is_start) {
            break;
        }
    }
    return best;
}

/* Odd multiples 1 .. top of d: the nearest to each lane. */
LANES_FN lanes lattice_odd(lanes x, float top) { return lanes_round((x - 1) * 0.5f, 0, (top - 1) / 2) * 2 + 1; }

/* The d under which odd multiples serve all steps best. Groups without a step weigh nothing. */
LANES_FN float lattice_common(lanes step, lanes qq, float top) {
    float s[LANES], best = 0, best_gain = 0;
    lanes_store(s, step);
    float peak = peak_of(s, LANES);
    if (!(peak > 0)) return 0;
    for (int t = -24; t <= 8; t++) {
        lanes k = lattice_odd(step * ((top + 0.25f * (float)t) / peak), top);
        float sk = lanes_sum(qq * step * k), kk = lanes_sum(qq * k * k), gain = kk > 0 ? sk * sk / kk : 0;
        if (gain > best_gain) {
            best_gain = gain;
            best = sk / kk;
        }
    }
    return best;
}

struct lattice_choice {
    float scale[LANES]; /* odd, 1 .. top */
    struct lattice_unit units[FIT_ELEMS_MAX / LATTICE_UNIT];
};

/* Every group's scale under d, the best of neighbours, and its units; returns the gain, and the d that would be best now. */
LANES_FN float lattice_pick_block(const struct lattice *l, const struct lattice_kind *k, const struct fit_block *b, int n_group, const float *step,
                                  float d, float top, struct lattice_choice *c, float *d_next) {
    int n = FIT_ELEMS_MAX / n_group;
    float total = 0, num = 0, den = 0;
    for (int g = 0; g < n_group; g++) {
        struct lattice_unit units[4], *to = c->units + g * (n / LATTICE_UNIT);
        struct fit_sums best = {0};
        float near = 2 * (float)round_to_level((step[g] / d - 1) / 2, 0, (int)(top - 1) / 2) + 1, best_gain = -INFINITY;
        for (int t = -2; t <= 2; t += 2) {
            float scale = near + (float)t;
            if (scale < 1 || scale > top) continue;
            struct fit_sums s = lattice_pick_group(l, k, b->x + g * n, b->w + g * n, n, 1 / (d * scale), units);
            float gain = d * scale * (2 * s.xq - d * scale * s.qq);
            if (gain > best_gain) {
                best_gain = gain;
                best = s;
                c->scale[g] = scale;
                memcpy(to, units, (size_t)(n / LATTICE_UNIT) * sizeof *to);
            }
        }
        total += best_gain;
        num += c->scale[g] * best.xq;
        den += c->scale[g] * c->scale[g] * best.qq;
    }
    *d_next = den > 0 ? num / den : 0;
    return total;
}

/* lattice_encode -- d as stored in d8 (a step is d * unit * scale), scales and units of a block of 256. */
LANES_FN bool lattice_encode(enum lattice_id id, const struct lattice_kind *k, const float *x, const float *w, int n_group, float top, float unit,
                             uint8_t d8[2], struct lattice_choice *c) {
    const struct lattice *l = lattice_get(id);
    struct fit_block b;
    float step[LANES] = {0}, qq[LANES] = {0}, d_next;
    int n = FIT_ELEMS_MAX / n_group;
    fit_load(&b, x, w, FIT_ELEMS_MAX);
    if (!l || b.peak == 0) return false;
    for (int g = 0; g < n_group; g++) {
        struct fit_step f = lattice_fit_group(l, k, b.x + g * n, b.w + g * n, n);
        step[g] = f.step;
        qq[g] = f.qq;
    }
    float to_x = b.peak / unit, d = store_f16(d8, lattice_common(lanes_load(step), lanes_load(qq), top) * to_x) / to_x;
    if (!(d > 0)) return false;
    float gain = lattice_pick_block(l, k, &b, n_group, step, d, top, c, &d_next);
    uint8_t d8_next[2];
    float d2 = store_f16(d8_next, d_next * to_x) / to_x;
    if (d2 > 0 && d2 != d) {
        struct lattice_choice next;
        if (lattice_pick_block(l, k, &b, n_group, step, d2, top, &next, &d_next) > gain) {
            *c = next;
            memcpy(d8, d8_next, sizeof d8_next);
        }
    }
    return true;
}

#endif
