/* gate_int.h -- GELU in its tanh form, soft caps, biases, scales, LayerNorm, in vector words.
 *
 * tanh(u) = 1 - 2 / (1 + exp(2u)): near 0 the difference cancels, so its error is absolute, about 1e-7; both users
 * multiply it by (or add it to) something of the size of 1 or of u, where that is one rounding or two. */
#ifndef SLM_COMPUTE_CPU_VEC_GATE_INT_H
#define SLM_COMPUTE_CPU_VEC_GATE_INT_H

VEC_FN vec vec_gelu(vec a) {
    /* 0.5 a (1 + tanh(u)) = a / (1 + exp(-2u)) with u = sqrt(2/pi) (a + 0.044715 a^3): no cancellation at all */
    vec cube = vec_mul(vec_mul(a, a), a);
    vec u2 = vec_mul(vec_set(-1.59576912160573f), vec_fma(vec_set(0.044715f), cube, a));
    return vec_div(a, vec_add(vec_set(1.0f), vec_exp(u2)));
}

static void vec_op_gelu(float *x, int64_t n) {
    int64_t i = 0;
    for (; i + VEC_N <= n; i += VEC_N) vec_store(x + i, vec_gelu(vec_load(x + i)));
    if (i < n) vec_store_n(x + i, vec_gelu(vec_load_n(x + i, n - i)), n - i);
}

static void vec_op_gelu_mul(float *gate, const float *up, int64_t n) {
    int64_t i = 0;
    for (; i + VEC_N <= n; i += VEC_N) vec_store(gate + i, vec_mul(vec_gelu(vec_load(gate + i)), vec_load(up + i)));
    if (i < n) vec_store_n(gate + i, vec_mul(vec_gelu(vec_load_n(gate + i, n - i)), vec_load_n(up + i, n - i)), n - i);
}

static void vec_op_softcap(float *x, float cap, int64_t n) {
    vec c = vec_set(cap), inv = vec_set(1.0f / cap);
    int64_t i = 0;
    for (; i + VEC_N <= n; i += VEC_N) vec_store(x + i, vec_mul(c, vec_tanh(vec_mul(vec_load(x + i), inv))));
    if (i < n) vec_store_n(x + i, vec_mul(c, vec_tanh(vec_mul(vec_load_n(x + i, n - i), inv))), n - i);
}

static void vec_op_scale(float *x, float s, int64_t n) {
    int64_t i = 0;
    for (; i + VEC_N <= n; i += VEC_N) vec_store(x + i, vec_mul(vec_load(x + i), vec_set(s)));
    for (; i < n; i++) x[i] *= s;
}

/* Sums in double, as in rms_norm; a row's short end in the same arithmetic. */
static void vec_op_layer_norm(float *y, const float *x, const float *w, const float *b, int64_t n_row, int64_t d, float eps) {
    for (int64_t r = 0; r < n_row; r++, x += d, y += d) {
        struct vec_f64 sum = vec_f64_zero();
        int64_t i = 0;
        for (; i + VEC_N <= d; i += VEC_N) vec_f64_add(&sum, vec_load(x + i));
        if (i < d) vec_f64_add(&sum, vec_load_n(x + i, d - i));
        float mean = (float)(vec_f64_sum(sum) / (double)d);
        struct vec_f64 squares = vec_f64_zero();
        for (i = 0; i + VEC_N <= d; i += VEC_N) vec_f64_add_square(&squares, vec_sub(vec_load(x + i), vec_set(mean)));
        double end = 0;
        for (; i < d; i++) end += (double)(x[i] - mean) * (double)(x[i] - mean);
        float scale = (float)(1.0 / sqrt((vec_f64_sum(squares) + end) / (double)d + (double)eps));
        for (i = 0; i + VEC_N <= d; i += VEC_N) {
            vec v = vec_mul(vec_mul(vec_sub(vec_load(x + i), vec_set(mean)), vec_set(scale)), vec_load(w + i));
            vec_store(y + i, b ? vec_add(v, vec_load(b + i)) : v);
        }
        for (; i < d; i++) y[i] = (x[i] - mean) * scale * w[i] + (b ? b[i] : 0.0f);
    }
}

static void vec_op_add_bias(float *y, const float *b, int64_t n_row, int64_t d) {
    for (int64_t r = 0; r < n_row; r++, y += d) {
        int64_t i = 0;
        for (; i + VEC_N <= d; i += VEC_N) vec_store(y + i, vec_add(vec_load(y + i), vec_load(b + i)));
        for (; i < d; i++) y[i] += b[i];
    }
}

#endif
