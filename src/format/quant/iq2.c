/* iq2.c -- 256 elements as 32 points of 8 magnitudes with their signs, for 2.1 to 2.6 bits an element:
 * x = d * (scale + 1/2) / 4 * magnitude * sign.
 *
 * iq2_xxs: per group of 32 elements 8 bytes: four bytes of index, then 32 bits with seven signs for each of the four
 * points (even_signs) and the group's scale on top.
 * iq2_xs: a 16-bit number for each point: nine bits of index, seven signs. A byte of `scales` serves a group of 32, its
 * low half the first two points.
 * iq2_s: ten bits of index, a byte and two bits of `high`; eight signs; scales as in iq2_xs. */
#include "format/quant/lattice_int.h"

#define N 256
#define POINT 8
#define N_POINT (N / POINT)
#define N_GROUP (N_POINT / 4)

struct block_iq2_xxs {
    uint8_t d[2];
    uint8_t groups[N_GROUP][8];
};
_Static_assert(sizeof(struct block_iq2_xxs) == 66, "layout of the file");

struct block_iq2_xs {
    uint8_t d[2];
    uint8_t points[N_POINT][2];
    uint8_t scales[N_GROUP];
};
_Static_assert(sizeof(struct block_iq2_xs) == 74, "layout of the file");

struct block_iq2_s {
    uint8_t d[2];
    uint8_t index[N_POINT], signs[N_POINT];
    uint8_t high[N_GROUP], scales[N_GROUP];
};
_Static_assert(sizeof(struct block_iq2_s) == 82, "layout of the file");

static void put_point(float *dst, uint16_t code, uint32_t signs, float step) {
    static const float levels[4] = {8, 25, 43};
    for (int j = 0; j < POINT; j++) dst[j] = with_sign(step * levels[code >> 2 * j & 3], signs, j);
}

static float step_of(float d, uint32_t scale) { return d * (0.5f + (float)scale) * 0.25f; }

static void iq2_xxs_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_iq2_xxs *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d);
        for (int c = 0; c < N_POINT; c++, dst += POINT) {
            const uint8_t *group = b->groups[c / 4];
            uint32_t tail = load_u32(group + 4);
            put_point(dst, iq2_xxs_grid[group[c % 4]], even_signs(tail >> 7 * (c % 4)), step_of(d, tail >> 28));
        }
    }
}

/* The scale of point c, from a byte for four points. */
static uint32_t half_scale(const uint8_t scales[N_GROUP], int c) { return scales[c / 4] >> c % 4 / 2 * 4 & 15; }

static void iq2_xs_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_iq2_xs *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d);
        for (int c = 0; c < N_POINT; c++, dst += POINT) {
            uint32_t p = load_u16(b->points[c]);
            put_point(dst, iq2_xs_grid[p & 511], even_signs(p >> 9), step_of(d, half_scale(b->scales, c)));
        }
    }
}

static void iq2_s_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_iq2_s *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d);
        for (int c = 0; c < N_POINT; c++, dst += POINT) {
            int index = b->index[c] | (b->high[c / 4] >> 2 * (c % 4) & 3) << 8;
            put_point(dst, iq2_s_grid[index], b->signs[c], step_of(d, half_scale(b->scales, c)));
        }
    }
}

/* Odd multiples 1 .. 31 of d / 8 are the steps. */
static const struct lattice_kind even_kind = {8, 3, 2, {8, 25, 43}, .is_even = true, .reach = 1};
static const struct lattice_kind free_kind = {8, 3, 2, {8, 25, 43}, .reach = 1};
#define SCALE_TOP 31

static uint32_t scale_bits(float scale) { return (uint32_t)((int)scale >> 1); }

LANES_FN void encode_iq2_xxs(struct block_iq2_xxs *b, const float *x, const float *w) {
    struct lattice_choice c;
    *b = (struct block_iq2_xxs){.d = {0}};
    if (!lattice_encode(LATTICE_IQ2_XXS, &even_kind, x, w, N_GROUP, SCALE_TOP, 0.125f, b->d, &c)) return;
    for (int g = 0; g < N_GROUP; g++) {
        uint32_t tail = scale_bits(c.scale[g]) << 28;
        for (int p = 0; p < 4; p++) {
            b->groups[g][p] = (uint8_t)c.units[4 * g + p].index[0];
            tail |= (c.units[4 * g + p].signs & 127) << 7 * p;
        }
        store_u16(b->groups[g] + 4, (uint16_t)tail);
        store_u16(b->groups[g] + 6, (uint16_t)(tail >> 16));
    }
}
ENCODER(iq2_xxs, N)

LANES_FN void encode_iq2_xs(struct block_iq2_xs *b, const float *x, const float *w) {
    struct lattice_choice c;
    *b = (struct block_iq2_xs){.d = {0}};
    if (!lattice_encode(LATTICE_IQ2_XS, &even_kind, x, w, 2 * N_GROUP, SCALE_TOP, 0.125f, b->d, &c)) return;
    for (int p = 0; p < N_POINT; p++)
        store_u16(b->points[p], (uint16_t)(c.units[p].index[0] | (c.units[p].signs & 127) << 9));
    for (int g = 0; g < N_GROUP; g++) b->scales[g] = (uint8_t)(scale_bits(c.scale[2 * g]) | scale_bits(c.scale[2 * g + 1]) << 4);
}
ENCODER(iq2_xs, N)

LANES_FN void encode_iq2_s(struct block_iq2_s *b, const float *x, const float *w) {
    struct lattice_choice c;
    *b = (struct block_iq2_s){.d = {0}};
    if (!lattice_encode(LATTICE_IQ2_S, &free_kind, x, w, 2 * N_GROUP, SCALE_TOP, 0.125f, b->d, &c)) return;
    for (int p = 0; p < N_POINT; p++) {
        int index = c.units[p].index[0];
        b->index[p] = (uint8_t)index;
        b->signs[p] = (uint8_t)c.units[p].signs;
        b->high[p / 4] = (uint8_t)(b->high[p / 4] | index >> 8 << 2 * (p % 4));
    }
    for (int g = 0; g < N_GROUP; g++) b->scales[g] = (uint8_t)(scale_bits(c.scale[2 * g]) | scale_bits(c.scale[2 * g + 1]) << 4);
}
ENCODER(iq2_s, N)

static void iq2_xxs_put_unit(void *block, int unit, const float *x, const float *w, float *y) {
    struct block_iq2_xxs *b = block;
    uint8_t *group = b->groups[unit / 4], *stored = group + 4;
    uint32_t tail = load_u32(stored);
    int shift = 7 * (unit % 4);
    float step = step_of(load_f16(b->d), tail >> 28);
    struct lattice_unit u = lattice_put(LATTICE_IQ2_XXS, &even_kind, x, w, step, 0);
    group[unit % 4] = (uint8_t)u.index[0];
    tail = (tail & ~(127u << shift)) | (u.signs & 127) << shift;
    store_u16(stored, (uint16_t)tail);
    store_u16(stored + 2, (uint16_t)(tail >> 16));
    put_point(y, iq2_xxs_grid[u.index[0]], u.signs, step);
}

static void iq2_xs_put_unit(void *block, int unit, const float *x, const float *w, float *y) {
    struct block_iq2_xs *b = block;
    float step = step_of(load_f16(b->d), half_scale(b->scales, unit));
    struct lattice_unit u = lattice_put(LATTICE_IQ2_XS, &even_kind, x, w, step, 0);
    store_u16(b->points[unit], (uint16_t)(u.index[0] | (u.signs & 127) << 9));
    put_point(y, iq2_xs_grid[u.index[0]], u.signs, step);
}

static void iq2_s_put_unit(void *block, int unit, const float *x, const float *w, float *y) {
    struct block_iq2_s *b = block;
    uint8_t *high = &b->high[unit / 4];
    int shift = 2 * (unit % 4);
    float step = step_of(load_f16(b->d), half_scale(b->scales, unit));
    struct lattice_unit u = lattice_put(LATTICE_IQ2_S, &free_kind, x, w, step, 0);
    b->index[unit] = (uint8_t)u.index[0];
    b->signs[unit] = (uint8_t)u.signs;
    *high = (uint8_t)((*high & ~(3 << shift)) | u.index[0] >> 8 << shift);
    put_point(y, iq2_s_grid[u.index[0]], u.signs, step);
}

const struct dtype_desc dtype_iq2_xxs = {
    .id = DTYPE_IQ2_XXS,
    .name = "iq2_xxs",
    .gguf_id = 16,
    .block_elems = N,
    .block_bytes = sizeof(struct block_iq2_xxs),
    .to_f32 = iq2_xxs_to_f32,
    .from_f32 = iq2_xxs_from_f32,
    .put_unit = iq2_xxs_put_unit,
};

const struct dtype_desc dtype_iq2_xs = {
    .id = DTYPE_IQ2_XS,
    .name = "iq2_xs",
    .gguf_id = 17,
    .block_elems = N,
    .block_bytes = sizeof(struct block_iq2_xs),
    .to_f32 = iq2_xs_to_f32,
    .from_f32 = iq2_xs_from_f32,
    .put_unit = iq2_xs_put_unit,
};

const struct dtype_desc dtype_iq2_s = {
    .id = DTYPE_IQ2_S,
    .name = "iq2_s",
    .gguf_id = 22,
    .block_elems = N,
    .block_bytes = sizeof(struct block_iq2_s),
    .to_f32 = iq2_s_to_f32,
    .from_f32 = iq2_s_from_f32,
    .put_unit = iq2_s_put_unit,
};
