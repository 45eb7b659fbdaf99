/* matmul_half_int.h -- the product of f16 and bf16 weights and a few tokens, from where they lie in memory.
 *
 * With few tokens the memory sets the pace. Decoding a tile of rows to f32 and multiplying it from there left the memory idle in turns; here
 * halves are widened in registers and multiplied at once, and what comes AHEAD_BYTES later is asked for on the way. An output is
 * the same chain as in matmul_int.h over the same floats, so its bits are those of to_f32 and matmul_f32.
 *
 * Include it after matmul_int.h. */
#ifndef SLM_COMPUTE_CPU_VEC_MATMUL_HALF_INT_H
#define SLM_COMPUTE_CPU_VEC_MATMUL_HALF_INT_H

#include <string.h>

enum {
    HALF_ROWS = 8,     /* side by side for one or two tokens: hides the latency of the multiply-add */
    HALF_LINE = 32,    /* elements of a cache line */
    HALF_AHEAD_BYTES = 16 * 1024,
};

VEC_FN vec half_load(const uint8_t *w, int64_t k, const bool is_bf16) { return is_bf16 ? vec_load_bf16(w + 2 * k) : vec_load_f16(w + 2 * k); }

VEC_FN vec half_load_n(const uint8_t *w, int64_t k, int64_t n, const bool is_bf16) {
    uint8_t all[2 * VEC_N] = {0};
    memcpy(all, w + 2 * k, (size_t)(2 * n));
    return half_load(all, 0, is_bf16);
}

/* acc[n_tok][n_row] += elements k .. k + VEC_N. */
VEC_FN void half_step(vec acc[VEC_MATMUL_TOKS][HALF_ROWS], const struct half_weight *w, const float *x, int64_t ldx, int64_t k, const int n_row, const int n_tok,
                      const bool is_bf16) {
    vec wv[HALF_ROWS];
    VEC_UNROLL
    for (int r = 0; r < n_row; r++) wv[r] = half_load(w->data + r * w->row_bytes, k, is_bf16);
    VEC_UNROLL
    for (int t = 0; t < n_tok; t++) {
        vec xv = vec_load(x + t * ldx + k);
        VEC_UNROLL
        for (int r = 0; r < n_row; r++) acc[t][r] = vec_fma(xv, wv[r], acc[t][r]);
    }
}

/* n_row x n_tok outputs over all of k; constants but the pointers and strides. */
VEC_FN void half_tile(float *y, int64_t ldy, const struct half_weight *w, const float *x, int64_t ldx, const int n_row, const int n_tok, const bool is_bf16) {
    const int64_t d = w->d_in;
    vec acc[VEC_MATMUL_TOKS][HALF_ROWS];
    VEC_UNROLL
    for (int t = 0; t < n_tok; t++) {
        VEC_UNROLL
        for (int r = 0; r < n_row; r++) acc[t][r] = vec_zero();
    }
    int64_t k = 0;
    for (; k + HALF_LINE <= d; k += HALF_LINE) {
        VEC_UNROLL
        for (int r = 0; r < n_row; r++) __builtin_prefetch(w->data + r * w->row_bytes + 2 * k + HALF_AHEAD_BYTES, 0, 2);
        VEC_UNROLL
        for (int i = 0; i < HALF_LINE; i += VEC_N) half_step(acc, w, x, ldx, k + i, n_row, n_tok, is_bf16);
    }
    for (; k + VEC_N <= d; k += VEC_N) half_step(acc, w, x, ldx, k, n_row, n_tok, is_bf16);
    for (int t = 0; k < d && t < n_tok; t++) {
        vec xv = vec_load_n(x + t * ldx + k, d - k);
        VEC_UNROLL
        for (int r = 0; r < n_row; r++) acc[t][r] = vec_fma(xv, half_load_n(w->data + r * w->row_bytes, k, d - k, is_bf16), acc[t][r]);
    }
    VEC_UNROLL
    for (int t = 0; t < n_tok; t++) {
        VEC_UNROLL
        for (int r = 0; r < n_row; r += 4) {
            const int left = n_row - r;
            vec4 sums = vec_sum4(acc[t][r], left > 1 ? acc[t][r + 1] : vec_zero(), left > 2 ? acc[t][r + 2] : vec_zero(), left > 3 ? acc[t][r + 3] : vec_zero());
            vec4_store_n(y + t * ldy + r, sums, left < 4 ? left : 4);
        }
    }
}

typedef void (*half_fn)(float *y, int64_t ldy, const struct half_weight *w, const float *x, int64_t ldx);

#define HALF_TILE(R, T, TYPE, FLAG)                                                                                     \
    static void half_##TYPE##_##R##_##T(float *y, int64_t ldy, const struct half_weight *w, const float *x, int64_t ldx) { \
        half_tile(y, ldy, w, x, ldx, R, T, FLAG);                                                                       \
    }
#define HALF_TILES(T, TYPE, FLAG) HALF_TILE(1, T, TYPE, FLAG) HALF_TILE(4, T, TYPE, FLAG)
#define HALF_ROW(T, TYPE) {half_##TYPE##_1_##T, half_##TYPE##_4_##T}
#define HALF_TYPE(TYPE, FLAG)                                                                                           \
    HALF_TILES(1, TYPE, FLAG) HALF_TILES(2, TYPE, FLAG) HALF_TILES(3, TYPE, FLAG) HALF_TILE(8, 1, TYPE, FLAG)
HALF_TYPE(f16, false)
HALF_TYPE(bf16, true)
#if VEC_MATMUL_TOKS > 3
HALF_TILES(4, f16, false) HALF_TILES(5, f16, false) HALF_TILES(6, f16, false)
HALF_TILES(4, bf16, true) HALF_TILES(5, bf16, true) HALF_TILES(6, bf16, true)
#endif

/* [is_bf16][tokens - 1][0: one row, 1: four] */
static const half_fn half_fns[2][VEC_MATMUL_TOKS][2] = {
#if VEC_MATMUL_TOKS > 3
    {HALF_ROW(1, f16), HALF_ROW(2, f16), HALF_ROW(3, f16), HALF_ROW(4, f16), HALF_ROW(5, f16), HALF_ROW(6, f16)},
    {HALF_ROW(1, bf16), HALF_ROW(2, bf16), HALF_ROW(3, bf16), HALF_ROW(4, bf16), HALF_ROW(5, bf16), HALF_ROW(6, bf16)},
#else
    {HALF_ROW(1, f16), HALF_ROW(2, f16), HALF_ROW(3, f16)},
    {HALF_ROW(1, bf16), HALF_ROW(2, bf16), HALF_ROW(3, bf16)},
#endif
};

/* The rows of a tile pass by once for every group of tokens, the second time from a cache. */
static void vec_op_matmul_half(float *y, int64_t ldy, const struct half_weight *weight, const float *x, int64_t ldx, int64_t n_tok, int64_t n_row) {
    struct half_weight w = *weight;
    const int64_t n_group = (n_tok + VEC_MATMUL_TOKS - 1) / VEC_MATMUL_TOKS;
    for (int64_t r = 0, n; r < n_row; r += n, w.data += n * w.row_bytes) {
        n = n_row - r >= 8 && n_tok == 1 ? 8 : n_row - r >= 4 ? 4 : 1;
        if (n == 8) {
            (w.is_bf16 ? half_bf16_8_1 : half_f16_8_1)(y + r, ldy, &w, x, ldx);
            continue;
        }
        for (int64_t g = 0, t = 0; g < n_group; g++) {
            int64_t n_t = (n_tok - t + n_group - g - 1) / (n_group - g);
            half_fns[w.is_bf16][n_t - 1][n == 4](y + t * ldy + r, ldy, &w, x + t * ldx, ldx);
            t += n_t;
        }
    }
}

#endif
