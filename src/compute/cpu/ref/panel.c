/* panel.c -- products of packed panels with quantized activations: the definition that every ISA follows to the bit.
 *
 * Sums of products of codes are whole numbers, so their order is free. Floats enter once for each 32 elements of k, in this
 * order, and every step is rounded once (fmaf):
 *   groups of 32:  y = fma(float(sum) * act.scale, scale, y)
 *   groups of 16:  y = fma(fma(float(sum1), scale1, float(sum0) * scale0), act.scale, y)
 *   minima, after: y = fma(min, act.scaled_sum, y); of 16: y = fma(min0, act.scale * float(sum of q0), y), then of 1
 * An offset is in `sum`: sum (code - offset) q = sum code q - offset sum q. */
#include <math.h>
#include <string.h>

#include "compute/cpu/ref/ref_int.h"
#include "compute/pack.h"

/* Below it, 127 / amax could overflow; such activations are zeros. */
#define AMAX_MIN 0x1p-100f

void ref_act_quantize(int8_t *q, struct act_group *groups, const float *x, int64_t n) {
    for (int64_t i = 0; i < n / ACT_GROUP; i++, x += ACT_GROUP, q += ACT_GROUP, groups++) {
        float amax = 0;
        bool finite = true;
        for (int j = 0; j < ACT_GROUP; j++) {
            finite = finite && isfinite(x[j]);
            if (fabsf(x[j]) > amax) amax = fabsf(x[j]);
        }
        float inverse = finite && amax >= AMAX_MIN ? 127 / amax : 0;
        int32_t sum[2] = {0, 0};
        for (int j = 0; j < ACT_GROUP; j++) {
            q[j] = inverse > 0 ? (int8_t)nearbyintf(x[j] * inverse) : 0;
            sum[j / 16] += q[j];
        }
        groups->scale = !finite ? NAN : inverse > 0 ? amax / 127 : 0;
        groups->minus_sum[0] = -sum[0];
        groups->minus_sum[1] = -sum[1];
        groups->scaled_sum = groups->scale * (float)(sum[0] + sum[1]);
    }
}

/* The sides of one source block: unit i of one row; a half is two bytes. */
static int unit_at(const uint8_t *side, int i, int64_t row) { return side[i * PANEL_ROWS + row]; }
static float half_at(const uint8_t *side, int i, int64_t row) {
    const uint8_t *b = side + 2 * (i * PANEL_ROWS + row);
    return f16_to_f32((uint16_t)(b[0] | b[1] << 8));
}

/* Scale and minimum of group g of a source block; layouts are those of format/quant. */
struct scales {
    float scale, min;
};
typedef struct scales (*scales_fn)(const uint8_t *side, int g, int64_t row);

static struct scales one_half(const uint8_t *s, int g, int64_t row) {
    (void)g;
    return (struct scales){half_at(s, 0, row), 0};
}

static struct scales two_halves(const uint8_t *s, int g, int64_t row) {
    (void)g;
    return (struct scales){half_at(s, 0, row), half_at(s, 1, row)};
}

static struct scales power_of_two(const uint8_t *s, int g, int64_t row) {
    (void)g;
    return (struct scales){ldexpf(1, unit_at(s, 0, row) - 128), 0};
}

static struct scales k_4_5(const uint8_t *s, int g, int64_t row) {
    const uint8_t *u = s + 4 * PANEL_ROWS;
    int scale, min;
    if (g < 4) {
        scale = unit_at(u, g, row) & 63;
        min = unit_at(u, g + 4, row) & 63;
    } else {
        scale = (unit_at(u, g + 4, row) & 15) | unit_at(u, g - 4, row) >> 6 << 4;
        min = unit_at(u, g + 4, row) >> 4 | unit_at(u, g, row) >> 6 << 4;
    }
    return (struct scales){half_at(s, 0, row) * (float)scale, -half_at(s, 1, row) * (float)min};
}

static struct scales k_2(const uint8_t *s, int g, int64_t row) {
    int u = unit_at(s + 4 * PANEL_ROWS, g, row);
    return (struct scales){half_at(s, 0, row) * (float)(u & 15), -half_at(s, 1, row) * (float)(u >> 4)};
}

static struct scales k_3(const uint8_t *s, int g, int64_t row) {
    const uint8_t *u = s + 2 * PANEL_ROWS;
    int scale = (unit_at(u, g % 8, row) >> g / 8 * 4 & 15) | (unit_at(u, 8 + g % 4, row) >> g / 4 * 2 & 3) << 4;
    return (struct scales){half_at(s, 0, row) * (float)(scale - 32), 0};
}

static struct scales k_6(const uint8_t *s, int g, int64_t row) {
    return (struct scales){half_at(s, 0, row) * (float)(int8_t)unit_at(s + 2 * PANEL_ROWS, g, row), 0};
}

static struct scales iq4_xs(const uint8_t *s, int g, int64_t row) {
    const uint8_t *u = s + 2 * PANEL_ROWS;
    int scale = (unit_at(u, 2 + g / 2, row) >> 4 * (g % 2) & 15) | (unit_at(u, g / 4, row) >> 2 * (g % 4) & 3) << 4;
    return (struct scales){half_at(s, 0, row) * (float)(scale - 32), 0};
}

static const scales_fn scales_of[DTYPE_COUNT] = {
    [DTYPE_Q8_0] = one_half,     [DTYPE_Q4_0] = one_half, [DTYPE_Q4_1] = two_halves, [DTYPE_Q5_0] = one_half,
    [DTYPE_Q5_1] = two_halves,   [DTYPE_IQ4_NL] = one_half, [DTYPE_IQ4_XS] = iq4_xs, [DTYPE_MXFP4] = power_of_two,
    [DTYPE_Q2_K] = k_2,          [DTYPE_Q3_K] = k_3,      [DTYPE_Q4_K] = k_4_5,      [DTYPE_Q5_K] = k_4_5,
    [DTYPE_Q6_K] = k_6,
};

/* Levels of types that name them by number, plus the offset. */
static const uint8_t iq4_codes[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};
static const uint8_t mxfp4_codes[16] = {16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4};
static const uint8_t *const table_of[DTYPE_COUNT] = {
    [DTYPE_IQ4_NL] = iq4_codes, [DTYPE_IQ4_XS] = iq4_codes, [DTYPE_MXFP4] = mxfp4_codes,
};

void ref_panel_unpack(struct panel *out, struct panel_buf *buf, const struct pack_desc *p, const uint8_t *src, int64_t n_k) {
    const uint8_t *table = table_of[p->dtype];
    memset(buf->codes, 0, (size_t)n_k * PANEL_ROWS);
    for (int i = 0; i < 2 && p->planes[i].bits; i++) {
        int bits = p->planes[i].bits, per_byte = 8 / bits;
        for (int64_t k = 0; k < n_k; k++)
            for (int64_t row = 0; row < PANEL_ROWS; row++) {
                int64_t group = k / 4; /* of 4 elements; per_byte such groups share bytes */
                int byte = src[(group / per_byte * PANEL_ROWS + row) * 4 + k % 4];
                int code = byte >> bits * (int)(group % per_byte) & ((1 << bits) - 1);
                uint8_t *to = &buf->codes[(group * PANEL_ROWS + row) * 4 + k % 4];
                *to = (uint8_t)(*to | code << p->planes[i].shift);
            }
        src += n_k * bits / 8 * PANEL_ROWS;
    }
    for (int64_t i = 0; table && i < n_k * PANEL_ROWS; i++) buf->codes[i] = table[buf->codes[i]];
    int64_t block = dtype_get(p->dtype)->block_elems, n_g = block / p->group;
    int64_t sides_bytes = 0;
    for (int i = 0; i < 2; i++) sides_bytes += p->sides[i].unit * p->sides[i].count * PANEL_ROWS;
    for (int64_t b = 0; b < n_k / block; b++)
        for (int64_t g = 0; g < n_g; g++)
            for (int64_t row = 0; row < PANEL_ROWS; row++) {
                struct scales s = scales_of[p->dtype](src + b * sides_bytes, (int)g, row);
                buf->scale[(b * n_g + g) * PANEL_ROWS + row] = s.scale;
                buf->min[(b * n_g + g) * PANEL_ROWS + row] = s.min;
            }
    *out = (struct panel){.desc = p, .codes = buf->codes, .scale = buf->scale, .min = buf->min, .n_k = (int32_t)n_k};
}

/* sum (code - offset) q over [k, k + n) */
static float level_sum(const struct panel *p, const int8_t *q, int32_t minus_sum_q, int64_t row, int64_t k, int64_t n) {
    int32_t sum = p->desc->offset_shift >= 0 ? minus_sum_q * (1 << p->desc->offset_shift) : 0;
    for (int64_t i = k; i < k + n; i++) sum += p->codes[(i / 4 * PANEL_ROWS + row) * 4 + i % 4] * q[i];
    return (float)sum;
}

static float dot_row(float y, const struct panel *p, const int8_t *q, const struct act_group *act, int64_t row) {
    for (int64_t k = 0; k < p->n_k; k += ACT_GROUP, act++) {
        const float *scale = p->scale + k / p->desc->group * PANEL_ROWS + row, *min = p->min + k / p->desc->group * PANEL_ROWS + row;
        if (p->desc->group == 32) {
            y = fmaf(level_sum(p, q, act->minus_sum[0] + act->minus_sum[1], row, k, 32) * act->scale, scale[0], y);
            if (p->desc->has_min) y = fmaf(min[0], act->scaled_sum, y);
        } else {
            float first = level_sum(p, q, act->minus_sum[0], row, k, 16), second = level_sum(p, q, act->minus_sum[1], row, k + 16, 16);
            y = fmaf(fmaf(second, scale[PANEL_ROWS], first * scale[0]), act->scale, y);
            if (p->desc->has_min) {
                y = fmaf(min[0], act->scale * (float)-act->minus_sum[0], y);
                y = fmaf(min[PANEL_ROWS], act->scale * (float)-act->minus_sum[1], y);
            }
        }
    }
    return y;
}

void ref_panel_dot(float *y, int64_t ldy, const struct panel *p, const struct acts *a, int64_t n_tok, bool first) {
    for (int64_t t = 0; t < n_tok; t++)
        for (int64_t row = 0; row < PANEL_ROWS; row++) {
            float *to = &y[t * ldy + row];
            *to = dot_row(first ? 0 : *to, p, a->q + t * a->ldq, a->groups + t * a->ldg, row);
        }
}
