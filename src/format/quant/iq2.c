/* iq2.c -- 256 elements as 32 points of 8 magnitudes with their signs, for 2.1 to 2.6 bits an element:
 * x = d * (scale + 1/2) / 4 * magnitude * sign.
 *
 * iq2_xxs: per group of 32 elements 8 bytes: four bytes of index, then 32 bits with seven signs for each of the four
 * points (even_signs) and the group's scale on top.
 * iq2_xs: a 16-bit number for each point: nine bits of index, seven signs. A byte of `scales` serves a group of 32, its
 * low half the first two points.
 * iq2_s: ten bits of index, a byte and two bits of `high`; eight signs; scales as in iq2_xs. */
#include "format/quant/iq_int.h"

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

const struct dtype_desc dtype_iq2_xxs = {
    .id = DTYPE_IQ2_XXS,
    .name = "iq2_xxs",
    .gguf_id = 16,
    .block_elems = N,
    .block_bytes = sizeof(struct block_iq2_xxs),
    .to_f32 = iq2_xxs_to_f32,
};

const struct dtype_desc dtype_iq2_xs = {
    .id = DTYPE_IQ2_XS,
    .name = "iq2_xs",
    .gguf_id = 17,
    .block_elems = N,
    .block_bytes = sizeof(struct block_iq2_xs),
    .to_f32 = iq2_xs_to_f32,
};

const struct dtype_desc dtype_iq2_s = {
    .id = DTYPE_IQ2_S,
    .name = "iq2_s",
    .gguf_id = 22,
    .block_elems = N,
    .block_bytes = sizeof(struct block_iq2_s),
    .to_f32 = iq2_s_to_f32,
};
