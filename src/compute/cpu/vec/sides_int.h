/* sides_int.h -- what packed blocks have beside codes, as floats; and the types' rows for all that unpacks.
 *
 * Include it after the folder's vec_int.h and bvec_int.h. 64 rows lie side by side, so a layout's bit fields are taken apart
 * for all of them at once, and every type is a few lines. */
#ifndef SLM_COMPUTE_CPU_VEC_SIDES_INT_H
#define SLM_COMPUTE_CPU_VEC_SIDES_INT_H

#include <string.h>

#include "compute/pack.h"

/* dst[PANEL_ROWS] = sign * halves */
VEC_FN void unpack_halves(float *dst, const uint8_t *src, float sign) {
    for (int r = 0; r < PANEL_ROWS; r += VEC_N) vec_store(dst + r, vec_mul(vec_load_f16(src + 2 * r), vec_set(sign)));
}

/* dst[n, PANEL_ROWS] = d[PANEL_ROWS] * (u - bias), exact */
VEC_FN void unpack_products(float *dst, const float *d, const uint8_t *u, float bias, int n) {
    for (int r = 0; r < PANEL_ROWS; r += VEC_N) {
        vec step = vec_load(d + r);
        for (int g = 0; g < n; g++) {
            vec v = vec_sub(vec_from_u8(u + g * PANEL_ROWS + r), vec_set(bias));
            vec_store(dst + g * PANEL_ROWS + r, vec_mul(step, v));
        }
    }
}

/* u[PANEL_ROWS] = (a bits [shift, shift + n)) << up | (b bits ...) << up: the layouts' own fields. */
VEC_FN void unpack_field(uint8_t *u, const uint8_t *a, const int shift, const int n, const int up) {
    for (int r = 0; r < PANEL_ROWS; r += BVEC_N) bvec_store(u + r, bvec_field(bvec_load(a + r), shift, n, up));
}
VEC_FN void unpack_two_fields(uint8_t *u, const uint8_t *a, const int shift_a, const int n_a, const uint8_t *b, const int shift_b, const int n_b) {
    for (int r = 0; r < PANEL_ROWS; r += BVEC_N)
        bvec_store(u + r, bvec_or(bvec_field(bvec_load(a + r), shift_a, n_a, 0), bvec_field(bvec_load(b + r), shift_b, n_b, n_a)));
}

/* The sides of n_k elements as floats: scale and min are [n_k / group, PANEL_ROWS]; min only where the type has minima. */
typedef void (*sides_fn)(float *scale, float *min, const uint8_t *side, int64_t n_k);

static void sides_half(float *scale, float *min, const uint8_t *side, int64_t n_k) {
    (void)min;
    for (int64_t g = 0; g < n_k / 32; g++, side += 2 * PANEL_ROWS) unpack_halves(scale + g * PANEL_ROWS, side, 1);
}

static void sides_two_halves(float *scale, float *min, const uint8_t *side, int64_t n_k) {
    for (int64_t g = 0; g < n_k / 32; g++, side += 4 * PANEL_ROWS) {
        unpack_halves(scale + g * PANEL_ROWS, side, 1);
        unpack_halves(min + g * PANEL_ROWS, side + 2 * PANEL_ROWS, 1);
    }
}

/* 2^(e - 128); below e = 2 it is subnormal. */
static void sides_mxfp4(float *scale, float *min, const uint8_t *e, int64_t n_k) {
    (void)min;
    for (int64_t i = 0; i < n_k / 32 * PANEL_ROWS; i++) {
        uint32_t bits = e[i] < 2 ? (uint32_t)0x200000 << e[i] : (uint32_t)(e[i] - 1) << 23;
        memcpy(&scale[i], &bits, sizeof bits);
    }
}

/* q4_k and q5_k: see load_scale_min in format/quant. */
static void sides_k_4_5(float *scale, float *min, const uint8_t *side, int64_t n_k) {
    float d[PANEL_ROWS], minus_dmin[PANEL_ROWS];
    uint8_t scale_u[8 * PANEL_ROWS], min_u[8 * PANEL_ROWS];
    const uint8_t *u = side + 4 * PANEL_ROWS;
    (void)n_k;
    unpack_halves(d, side, 1);
    unpack_halves(minus_dmin, side + 2 * PANEL_ROWS, -1);
    for (int g = 0; g < 4; g++) {
        const uint8_t *a = u + g * PANEL_ROWS, *b = a + 4 * PANEL_ROWS, *c = a + 8 * PANEL_ROWS;
        unpack_field(scale_u + g * PANEL_ROWS, a, 0, 6, 0);
        unpack_field(min_u + g * PANEL_ROWS, b, 0, 6, 0);
        unpack_two_fields(scale_u + (g + 4) * PANEL_ROWS, c, 0, 4, a, 6, 2);
        unpack_two_fields(min_u + (g + 4) * PANEL_ROWS, c, 4, 4, b, 6, 2);
    }
    unpack_products(scale, d, scale_u, 0, 8);
    unpack_products(min, minus_dmin, min_u, 0, 8);
}

static void sides_q6_k(float *scale, float *min, const uint8_t *side, int64_t n_k) {
    float d[PANEL_ROWS];
    uint8_t u[16 * PANEL_ROWS];
    (void)min;
    (void)n_k;
    unpack_halves(d, side, 1);
    for (int i = 0; i < 16 * PANEL_ROWS; i += BVEC_N) /* signed, made unsigned */
        bvec_store(u + i, bvec_xor(bvec_load(side + 2 * PANEL_ROWS + i), bvec_set(0x80)));
    unpack_products(scale, d, u, 128, 16);
}

static void sides_q3_k(float *scale, float *min, const uint8_t *side, int64_t n_k) {
    float d[PANEL_ROWS];
    uint8_t u[16 * PANEL_ROWS];
    const uint8_t *low = side + 2 * PANEL_ROWS, *high = low + 8 * PANEL_ROWS;
    (void)min;
    (void)n_k;
    unpack_halves(d, side, 1);
    VEC_UNROLL
    for (int g = 0; g < 4; g++) {
        const uint8_t *a = low + g * PANEL_ROWS, *b = a + 4 * PANEL_ROWS, *h = high + g * PANEL_ROWS;
        unpack_two_fields(u + g * PANEL_ROWS, a, 0, 4, h, 0, 2);
        unpack_two_fields(u + (g + 4) * PANEL_ROWS, b, 0, 4, h, 2, 2);
        unpack_two_fields(u + (g + 8) * PANEL_ROWS, a, 4, 4, h, 4, 2);
        unpack_two_fields(u + (g + 12) * PANEL_ROWS, b, 4, 4, h, 6, 2);
    }
    unpack_products(scale, d, u, 32, 16);
}

static void sides_q2_k(float *scale, float *min, const uint8_t *side, int64_t n_k) {
    float d[PANEL_ROWS], minus_dmin[PANEL_ROWS];
    uint8_t scale_u[16 * PANEL_ROWS], min_u[16 * PANEL_ROWS];
    (void)n_k;
    unpack_halves(d, side, 1);
    unpack_halves(minus_dmin, side + 2 * PANEL_ROWS, -1);
    for (int g = 0; g < 16; g++) {
        unpack_field(scale_u + g * PANEL_ROWS, side + (4 + g) * PANEL_ROWS, 0, 4, 0);
        unpack_field(min_u + g * PANEL_ROWS, side + (4 + g) * PANEL_ROWS, 4, 4, 0);
    }
    unpack_products(scale, d, scale_u, 0, 16);
    unpack_products(min, minus_dmin, min_u, 0, 16);
}

static void sides_iq4_xs(float *scale, float *min, const uint8_t *side, int64_t n_k) {
    float d[PANEL_ROWS];
    uint8_t u[8 * PANEL_ROWS];
    const uint8_t *high = side + 2 * PANEL_ROWS, *low = high + 2 * PANEL_ROWS;
    (void)min;
    (void)n_k;
    unpack_halves(d, side, 1);
    VEC_UNROLL
    for (int g = 0; g < 8; g++)
        unpack_two_fields(u + g * PANEL_ROWS, low + g / 2 * PANEL_ROWS, g % 2 * 4, 4, high + g / 4 * PANEL_ROWS, g % 4 * 2, 2);
    unpack_products(scale, d, u, 32, 8);
}

static const uint8_t iq4_codes[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};
static const uint8_t mxfp4_codes[16] = {16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4};

/* Every type whose codes are taken apart: bits of the two planes, what 4-bit codes stand for, its sides, group and minima as in pack.c. Q8_0's codes
 * are what kernels want. */
#define UNPACK_LIST(X)                                                                                                       \
    X(Q4_0, 4, 0, NULL, sides_half, 32, false)                                                                               \
    X(Q4_1, 4, 0, NULL, sides_two_halves, 32, true)                                                                          \
    X(Q5_0, 4, 1, NULL, sides_half, 32, false)                                                                               \
    X(Q5_1, 4, 1, NULL, sides_two_halves, 32, true)                                                                          \
    X(IQ4_NL, 4, 0, iq4_codes, sides_half, 32, false)                                                                        \
    X(IQ4_XS, 4, 0, iq4_codes, sides_iq4_xs, 32, false)                                                                      \
    X(MXFP4, 4, 0, mxfp4_codes, sides_mxfp4, 32, false)                                                                      \
    X(Q2_K, 2, 0, NULL, sides_q2_k, 16, true)                                                                                \
    X(Q3_K, 2, 1, NULL, sides_q3_k, 16, false)                                                                               \
    X(Q4_K, 4, 0, NULL, sides_k_4_5, 32, true)                                                                               \
    X(Q5_K, 4, 1, NULL, sides_k_4_5, 32, true)                                                                               \
    X(Q6_K, 4, 2, NULL, sides_q6_k, 16, false)

#endif
