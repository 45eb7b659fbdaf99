/* plain_int.h -- the slots without a matrix: sums, gates, norms, rotations, softmax.
 *
 * A short end of a row goes through the same vector arithmetic with its missing lanes filled, so that an element's
 * value does not depend on where in the row it stands. Where one rounding per element is all there is (add, rope),
 * plain C ends the row and gives the same bits. */
#ifndef SLM_COMPUTE_CPU_VEC_PLAIN_INT_H
#define SLM_COMPUTE_CPU_VEC_PLAIN_INT_H

#include <math.h>

static void vec_op_add(float *x, const float *y, float s, int64_t n) {
    int64_t i = 0;
    for (; i + VEC_N <= n; i += VEC_N) vec_store(x + i, vec_add(vec_load(x + i), vec_mul(vec_set(s), vec_load(y + i))));
    for (; i < n; i++) x[i] += s * y[i];
}

VEC_FN vec vec_silu(vec a) {
    return vec_div(a, vec_add(vec_set(1.0f), vec_exp(vec_sub(vec_zero(), a))));
}

static void vec_op_silu_mul(float *gate, const float *up, int64_t n) {
    int64_t i = 0;
    for (; i + VEC_N <= n; i += VEC_N) vec_store(gate + i, vec_mul(vec_silu(vec_load(gate + i)), vec_load(up + i)));
    if (i < n) {
        vec end = vec_mul(vec_silu(vec_load_n(gate + i, n - i)), vec_load_n(up + i, n - i));
        vec_store_n(gate + i, end, n - i);
    }
}

VEC_FN vec vec_sigmoid(vec a) { return vec_div(vec_set(1.0f), vec_add(vec_set(1.0f), vec_exp(vec_sub(vec_zero(), a)))); }

static void vec_op_sigmoid_mul(float *x, const float *gate, int64_t n) {
    int64_t i = 0;
    for (; i + VEC_N <= n; i += VEC_N) vec_store(x + i, vec_mul(vec_load(x + i), vec_sigmoid(vec_load(gate + i))));
    if (i < n) vec_store_n(x + i, vec_mul(vec_load_n(x + i, n - i), vec_sigmoid(vec_load_n(gate + i, n - i))), n - i);
}

/* Squares are summed in double: rows are long, and a model's few huge activations would eat the small ones. */
static void vec_op_rms_norm(float *y, const float *x, const float *w, int64_t n_row, int64_t d, float eps) {
    for (int64_t r = 0; r < n_row; r++, x += d, y += d) {
        struct vec_f64 squares = vec_f64_zero();
        int64_t i = 0;
        for (; i + VEC_N <= d; i += VEC_N) vec_f64_add_square(&squares, vec_load(x + i));
        if (i < d) vec_f64_add_square(&squares, vec_load_n(x + i, d - i));
        float scale = (float)(1.0 / sqrt(vec_f64_sum(squares) / (double)d + (double)eps));
        vec scale_v = vec_set(scale);
        for (i = 0; i + VEC_N <= d; i += VEC_N) {
            vec_store(y + i, vec_mul(vec_mul(vec_load(x + i), scale_v), vec_load(w + i)));
        }
        for (; i < d; i++) y[i] = x[i] * scale * w[i];
    }
}

static void vec_op_rope_adjacent(float *x, int64_t n_head, int64_t d_head, int64_t n_pair, const float *cs,
                                 const float *sn) {
    for (int64_t h = 0; h < n_head; h++, x += d_head) {
        int64_t i = 0;
        for (; i + VEC_N / 2 <= n_pair; i += VEC_N / 2) {
            vec v = vec_load(x + 2 * i);
            vec turned = vec_mul(vec_swap_pairs(v), vec_load_twice(sn + i));
            vec_store(x + 2 * i, vec_sub_add(vec_mul(v, vec_load_twice(cs + i)), turned));
        }
        for (; i < n_pair; i++) {
            float a = x[2 * i], b = x[2 * i + 1];
            x[2 * i] = a * cs[i] - b * sn[i];
            x[2 * i + 1] = a * sn[i] + b * cs[i];
        }
    }
}

static void vec_op_rope_halves(float *x, int64_t n_head, int64_t d_head, int64_t n_pair, const float *cs,
                               const float *sn) {
    for (int64_t h = 0; h < n_head; h++, x += d_head) {
        int64_t i = 0;
        for (; i + VEC_N <= n_pair; i += VEC_N) {
            vec a = vec_load(x + i), b = vec_load(x + i + n_pair);
            vec c = vec_load(cs + i), s = vec_load(sn + i);
            vec_store(x + i, vec_sub(vec_mul(a, c), vec_mul(b, s)));
            vec_store(x + i + n_pair, vec_add(vec_mul(a, s), vec_mul(b, c)));
        }
        for (; i < n_pair; i++) {
            float a = x[i], b = x[i + n_pair];
            x[i] = a * cs[i] - b * sn[i];
            x[i + n_pair] = a * sn[i] + b * cs[i];
        }
    }
}

/* The sum is taken in double: a vocabulary has a hundred thousand terms. */
static void vec_op_softmax(float *x, int64_t n) {
    if (n <= 0) return;
    vec top = vec_set(x[0]);
    float max = x[0];
    int64_t i = 0;
    for (; i + VEC_N <= n; i += VEC_N) top = vec_max(vec_load(x + i), top);
    for (; i < n; i++) max = x[i] > max ? x[i] : max;
    float max_top = vec_max_lane(top);
    max = max_top > max ? max_top : max;

    vec shift = vec_set(max);
    struct vec_f64 sums = vec_f64_zero();
    for (i = 0; i + VEC_N <= n; i += VEC_N) {
        vec e = vec_exp(vec_sub(vec_load(x + i), shift));
        vec_store(x + i, e);
        vec_f64_add(&sums, e);
    }
    if (i < n) {
        vec_store_n(x + i, vec_exp(vec_sub(vec_load_n(x + i, n - i), shift)), n - i);
        vec_f64_add(&sums, vec_load_n(x + i, n - i)); /* missing lanes are 0 again, not exp(-max) */
    }
    float inv = (float)(1.0 / vec_f64_sum(sums));
    for (i = 0; i + VEC_N <= n; i += VEC_N) vec_store(x + i, vec_mul(vec_load(x + i), vec_set(inv)));
    for (; i < n; i++) x[i] *= inv;
}

#endif
