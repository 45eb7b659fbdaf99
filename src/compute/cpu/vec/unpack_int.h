/* unpack_int.h -- packed panels to codes of 8 bits and float scales, in byte words.
 *
 * Include it after the folder's vec_int.h and bvec_int.h. Bytes of a panel's block are read once, in order, so the block that
 * will be needed next is asked for on the way (AHEAD). 64 rows lie side by side, so a layout's bit fields are taken apart
 * for all of them at once, and every type is a few lines. */
#ifndef SLM_COMPUTE_CPU_VEC_UNPACK_INT_H
#define SLM_COMPUTE_CPU_VEC_UNPACK_INT_H

#include <string.h>

#include "compute/pack.h"

/* How far in front of the reader memory is asked for: past the end of a first-level cache's worth of this block, so that
 * the lines arrive while it is multiplied. Prefetching past the end of the panels is harmless. */
enum { AHEAD = 8192, LINE = 64 };

VEC_FN void ask_ahead(const uint8_t *p) { __builtin_prefetch(p + AHEAD, 0, 2); }

/* The two planes' bits of `n_k` codes; constants but n_k. table: what 4-bit codes stand for, or NULL. */
VEC_FN void unpack_codes(uint8_t *out, const uint8_t *src, int64_t n_k, const int bits, const int high_bits, const uint8_t *table) {
    const int per = 8 / bits, per_high = high_bits ? 8 / high_bits : 1;
    const uint8_t *high = src + n_k * bits / 8 * PANEL_ROWS;
    bvec levels = bvec_table(table ? table : src);
    enum { STEP = 4 * PANEL_ROWS }; /* bytes of one k-group */
    for (int64_t k = 0; k < n_k; k += 32, out += 8 * STEP, src += 8 / per * STEP, high += high_bits ? 8 / per_high * STEP : 0) {
        for (int x = 0; x < STEP; x += BVEC_N) {
            bvec low_word = bvec_zero(), high_word = bvec_zero();
            VEC_UNROLL
            for (int i = 0; i < 8; i++) {
                if (i % per == 0) {
                    low_word = bvec_load(src + i / per * STEP + x);
                    if (x % LINE == 0) ask_ahead(src + i / per * STEP + x);
                }
                bvec code = bvec_field(low_word, bits * (i % per), bits, 0);
                if (table) code = bvec_lookup(levels, code);
                if (high_bits) {
                    if (i % per_high == 0) high_word = bvec_load(high + i / per_high * STEP + x);
                    code = bvec_or(code, bvec_field(high_word, high_bits * (i % per_high), high_bits, bits));
                }
                bvec_store(out + i * STEP + x, code);
            }
        }
    }
}

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

typedef void (*unpack_fn)(struct panel *out, struct panel_buf *buf, const uint8_t *src, int64_t n_k);

/* Sides of the types with one scale for 32. */
VEC_FN void unpack_scales_32(struct panel_buf *buf, const uint8_t *side, int64_t n_k, const bool has_min) {
    for (int64_t g = 0; g < n_k / 32; g++, side += (has_min ? 4 : 2) * PANEL_ROWS) {
        unpack_halves(buf->scale + g * PANEL_ROWS, side, 1);
        if (has_min) unpack_halves(buf->min + g * PANEL_ROWS, side + 2 * PANEL_ROWS, 1);
    }
}

static void unpack_q8_0(struct panel *out, struct panel_buf *buf, const uint8_t *src, int64_t n_k) {
    out->codes = src; /* they are what kernels want */
    unpack_scales_32(buf, src + n_k * PANEL_ROWS, n_k, false);
}

#define UNPACK_32(type, high_bits, table, has_min)                                                                           \
    static void unpack_##type(struct panel *out, struct panel_buf *buf, const uint8_t *src, int64_t n_k) {                \
        (void)out;                                                                                                         \
        unpack_codes(buf->codes, src, n_k, 4, high_bits, table);                                                           \
        unpack_scales_32(buf, src + n_k * (4 + (high_bits)) / 8 * PANEL_ROWS, n_k, has_min);                               \
    }
static const uint8_t iq4_codes[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};
static const uint8_t mxfp4_codes[16] = {16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4};
UNPACK_32(q4_0, 0, NULL, false)
UNPACK_32(q4_1, 0, NULL, true)
UNPACK_32(q5_0, 1, NULL, false)
UNPACK_32(q5_1, 1, NULL, true)
UNPACK_32(iq4_nl, 0, iq4_codes, false)

/* 2^(e - 128); below e = 2 it is subnormal. */
static void unpack_mxfp4(struct panel *out, struct panel_buf *buf, const uint8_t *src, int64_t n_k) {
    (void)out;
    unpack_codes(buf->codes, src, n_k, 4, 0, mxfp4_codes);
    const uint8_t *e = src + n_k / 2 * PANEL_ROWS;
    for (int64_t i = 0; i < n_k / 32 * PANEL_ROWS; i++) {
        uint32_t bits = e[i] < 2 ? (uint32_t)0x200000 << e[i] : (uint32_t)(e[i] - 1) << 23;
        memcpy(&buf->scale[i], &bits, sizeof bits);
    }
}

/* q4_k and q5_k: see load_scale_min in format/quant. */
VEC_FN void unpack_scales_k_4_5(struct panel_buf *buf, const uint8_t *side) {
    float d[PANEL_ROWS], minus_dmin[PANEL_ROWS];
    uint8_t scale[8 * PANEL_ROWS], min[8 * PANEL_ROWS];
    const uint8_t *u = side + 4 * PANEL_ROWS;
    unpack_halves(d, side, 1);
    unpack_halves(minus_dmin, side + 2 * PANEL_ROWS, -1);
    for (int g = 0; g < 4; g++) {
        const uint8_t *a = u + g * PANEL_ROWS, *b = a + 4 * PANEL_ROWS, *c = a + 8 * PANEL_ROWS;
        unpack_field(scale + g * PANEL_ROWS, a, 0, 6, 0);
        unpack_field(min + g * PANEL_ROWS, b, 0, 6, 0);
        unpack_two_fields(scale + (g + 4) * PANEL_ROWS, c, 0, 4, a, 6, 2);
        unpack_two_fields(min + (g + 4) * PANEL_ROWS, c, 4, 4, b, 6, 2);
    }
    unpack_products(buf->scale, d, scale, 0, 8);
    unpack_products(buf->min, minus_dmin, min, 0, 8);
}

static void unpack_q4_k(struct panel *out, struct panel_buf *buf, const uint8_t *src, int64_t n_k) {
    (void)out;
    unpack_codes(buf->codes, src, n_k, 4, 0, NULL);
    unpack_scales_k_4_5(buf, src + n_k / 2 * PANEL_ROWS);
}

static void unpack_q5_k(struct panel *out, struct panel_buf *buf, const uint8_t *src, int64_t n_k) {
    (void)out;
    unpack_codes(buf->codes, src, n_k, 4, 1, NULL);
    unpack_scales_k_4_5(buf, src + n_k * 5 / 8 * PANEL_ROWS);
}

static void unpack_q6_k(struct panel *out, struct panel_buf *buf, const uint8_t *src, int64_t n_k) {
    float d[PANEL_ROWS];
    uint8_t scale[16 * PANEL_ROWS];
    const uint8_t *side = src + n_k * 6 / 8 * PANEL_ROWS;
    (void)out;
    unpack_codes(buf->codes, src, n_k, 4, 2, NULL);
    unpack_halves(d, side, 1);
    for (int i = 0; i < 16 * PANEL_ROWS; i += BVEC_N) /* signed, made unsigned */
        bvec_store(scale + i, bvec_xor(bvec_load(side + 2 * PANEL_ROWS + i), bvec_set(0x80)));
    unpack_products(buf->scale, d, scale, 128, 16);
}

static void unpack_q3_k(struct panel *out, struct panel_buf *buf, const uint8_t *src, int64_t n_k) {
    float d[PANEL_ROWS];
    uint8_t scale[16 * PANEL_ROWS];
    const uint8_t *side = src + n_k * 3 / 8 * PANEL_ROWS, *low = side + 2 * PANEL_ROWS, *high = low + 8 * PANEL_ROWS;
    (void)out;
    unpack_codes(buf->codes, src, n_k, 2, 1, NULL);
    unpack_halves(d, side, 1);
    VEC_UNROLL
    for (int g = 0; g < 4; g++) {
        const uint8_t *a = low + g * PANEL_ROWS, *b = a + 4 * PANEL_ROWS, *h = high + g * PANEL_ROWS;
        unpack_two_fields(scale + g * PANEL_ROWS, a, 0, 4, h, 0, 2);
        unpack_two_fields(scale + (g + 4) * PANEL_ROWS, b, 0, 4, h, 2, 2);
        unpack_two_fields(scale + (g + 8) * PANEL_ROWS, a, 4, 4, h, 4, 2);
        unpack_two_fields(scale + (g + 12) * PANEL_ROWS, b, 4, 4, h, 6, 2);
    }
    unpack_products(buf->scale, d, scale, 32, 16);
}

static void unpack_q2_k(struct panel *out, struct panel_buf *buf, const uint8_t *src, int64_t n_k) {
    float d[PANEL_ROWS], minus_dmin[PANEL_ROWS];
    uint8_t scale[16 * PANEL_ROWS], min[16 * PANEL_ROWS];
    const uint8_t *side = src + n_k / 4 * PANEL_ROWS;
    (void)out;
    unpack_codes(buf->codes, src, n_k, 2, 0, NULL);
    unpack_halves(d, side, 1);
    unpack_halves(minus_dmin, side + 2 * PANEL_ROWS, -1);
    for (int g = 0; g < 16; g++) {
        unpack_field(scale + g * PANEL_ROWS, side + (4 + g) * PANEL_ROWS, 0, 4, 0);
        unpack_field(min + g * PANEL_ROWS, side + (4 + g) * PANEL_ROWS, 4, 4, 0);
    }
    unpack_products(buf->scale, d, scale, 0, 16);
    unpack_products(buf->min, minus_dmin, min, 0, 16);
}

static void unpack_iq4_xs(struct panel *out, struct panel_buf *buf, const uint8_t *src, int64_t n_k) {
    float d[PANEL_ROWS];
    uint8_t scale[8 * PANEL_ROWS];
    const uint8_t *side = src + n_k / 2 * PANEL_ROWS, *high = side + 2 * PANEL_ROWS, *low = high + 2 * PANEL_ROWS;
    (void)out;
    unpack_codes(buf->codes, src, n_k, 4, 0, iq4_codes);
    unpack_halves(d, side, 1);
    VEC_UNROLL
    for (int g = 0; g < 8; g++)
        unpack_two_fields(scale + g * PANEL_ROWS, low + g / 2 * PANEL_ROWS, g % 2 * 4, 4, high + g / 4 * PANEL_ROWS, g % 4 * 2, 2);
    unpack_products(buf->scale, d, scale, 32, 8);
}

static const unpack_fn unpack_of[DTYPE_COUNT] = {
    [DTYPE_Q8_0] = unpack_q8_0, [DTYPE_Q4_0] = unpack_q4_0,     [DTYPE_Q4_1] = unpack_q4_1,     [DTYPE_Q5_0] = unpack_q5_0,
    [DTYPE_Q5_1] = unpack_q5_1, [DTYPE_IQ4_NL] = unpack_iq4_nl, [DTYPE_IQ4_XS] = unpack_iq4_xs, [DTYPE_MXFP4] = unpack_mxfp4,
    [DTYPE_Q2_K] = unpack_q2_k, [DTYPE_Q3_K] = unpack_q3_k,     [DTYPE_Q4_K] = unpack_q4_k,     [DTYPE_Q5_K] = unpack_q5_k,
    [DTYPE_Q6_K] = unpack_q6_k,
};

static void vec_op_panel_unpack(struct panel *out, struct panel_buf *buf, const struct pack_desc *p, const uint8_t *src, int64_t n_k) {
    *out = (struct panel){p, buf->codes, buf->scale, buf->min, (int32_t)n_k};
    unpack_of[p->dtype](out, buf, src, n_k);
}

#endif
