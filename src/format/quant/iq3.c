/* iq3.c -- 256 elements as 64 points of 4 magnitudes with their signs, for 3.1 and 3.4 bits an element:
 * iq3_xxs: x = d * (scale + 1/2) / 2 * magnitude * sign;  iq3_s: x = d * (2 * scale + 1) * magnitude * sign.
 *
 * iq3_xxs: a byte of index for each point; then for each group of 32 elements 32 bits with seven signs for each pair of
 * points (even_signs) and the group's scale on top.
 * iq3_s: nine bits of index, a byte and bit p % 8 of `high`; a byte of signs for two points; four bits of scale for a
 * group of 32. */
#include "format/quant/lattice_int.h"

#define N 256
#define POINT 4
#define N_POINT (N / POINT)
#define N_GROUP (N_POINT / 8)

struct block_iq3_xxs {
    uint8_t d[2];
    uint8_t index[N_POINT];
    uint8_t tails[N_GROUP][4];
};
_Static_assert(sizeof(struct block_iq3_xxs) == 98, "layout of the file");

struct block_iq3_s {
    uint8_t d[2];
    uint8_t index[N_POINT];
    uint8_t high[N_POINT / 8];
    uint8_t signs[N_POINT / 2];
    uint8_t scales[N_GROUP / 2];
};
_Static_assert(sizeof(struct block_iq3_s) == 110, "layout of the file");

static void put_point(float *dst, const float levels[8], uint16_t code, uint32_t signs, float step) {
    for (int j = 0; j < POINT; j++) dst[j] = with_sign(step * levels[code >> 3 * j & 7], signs, j);
}

static float d_step(float d, uint32_t tail) { return d * (0.5f + (float)(tail >> 28)) * 0.5f; }

static void iq3_xxs_to_f32(float *dst, const void *src, int64_t n) {
    static const float levels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
    const struct block_iq3_xxs *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d);
        for (int c = 0; c < N_POINT; c++, dst += POINT) {
            uint32_t tail = load_u32(b->tails[c / 8]);
            uint32_t signs = even_signs(tail >> c % 8 / 2 * 7) >> c % 2 * 4;
            float step = d_step(d, tail);
            put_point(dst, levels, iq3_xxs_grid[b->index[c]], signs, step);
        }
    }
}

static void iq3_s_to_f32(float *dst, const void *src, int64_t n) {
    static const float levels[8] = {1, 3, 5, 7, 9, 11, 13, 15};
    const struct block_iq3_s *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d);
        for (int c = 0; c < N_POINT; c++, dst += POINT) {
            int index = b->index[c] | (b->high[c / 8] >> c % 8 & 1) << 8;
            uint32_t signs = (uint32_t)b->signs[c / 2] >> c % 2 * 4;
            int scale = b->scales[c / 16] >> c / 8 % 2 * 4 & 15;
            put_point(dst, levels, iq3_s_grid[index], signs, d * (float)(2 * scale + 1));
        }
    }
}

/* Odd multiples 1 .. 31 are the steps: of d / 4 and of d. */
static const struct lattice_kind xxs_kind = {4, 8, 3, {4, 12, 20, 28, 36, 44, 52, 62}, .is_even = true, .reach = 1};
static const struct lattice_kind s_kind = {4, 8, 3, {1, 3, 5, 7, 9, 11, 13, 15}, .reach = 1};
#define SCALE_TOP 31

LANES_FN void encode_iq3_xxs(struct block_iq3_xxs *b, const float *x, const float *w) {
    struct lattice_choice c;
    *b = (struct block_iq3_xxs){.d = {0}};
    if (!lattice_encode(LATTICE_IQ3_XXS, &xxs_kind, x, w, N_GROUP, SCALE_TOP, 0.25f, b->d, &c)) return;
    for (int g = 0; g < N_GROUP; g++) {
        uint32_t tail = (uint32_t)((int)c.scale[g] >> 1) << 28;
        for (int p = 0; p < 4; p++) {
            const struct lattice_unit *u = &c.units[4 * g + p];
            b->index[8 * g + 2 * p] = (uint8_t)u->index[0];
            b->index[8 * g + 2 * p + 1] = (uint8_t)u->index[1];
            tail |= (u->signs & 127) << 7 * p;
        }
        store_u16(b->tails[g], (uint16_t)tail);
        store_u16(b->tails[g] + 2, (uint16_t)(tail >> 16));
    }
}
ENCODER(iq3_xxs, N)

LANES_FN void encode_iq3_s(struct block_iq3_s *b, const float *x, const float *w) {
    struct lattice_choice c;
    *b = (struct block_iq3_s){.d = {0}};
    if (!lattice_encode(LATTICE_IQ3_S, &s_kind, x, w, N_GROUP, SCALE_TOP, 1, b->d, &c)) return;
    for (int p = 0; p < N_POINT; p++) {
        int index = c.units[p / 2].index[p % 2];
        b->index[p] = (uint8_t)index;
        b->high[p / 8] = (uint8_t)(b->high[p / 8] | index >> 8 << p % 8);
        b->signs[p / 2] = (uint8_t)c.units[p / 2].signs;
    }
    for (int g = 0; g < N_GROUP; g++) b->scales[g / 2] = (uint8_t)(b->scales[g / 2] | (int)c.scale[g] >> 1 << 4 * (g % 2));
}
ENCODER(iq3_s, N)

static void iq3_xxs_put_unit(void *block, int unit, const float *x, const float *w, float *y) {
    struct block_iq3_xxs *b = block;
    uint8_t *stored = b->tails[unit / 4];
    uint32_t tail = load_u32(stored);
    int shift = 7 * (unit % 4);
    float step = d_step(load_f16(b->d), tail);
    struct lattice_unit u = lattice_put(LATTICE_IQ3_XXS, &xxs_kind, x, w, step, 0);
    tail = (tail & ~(127u << shift)) | (u.signs & 127) << shift;
    store_u16(stored, (uint16_t)tail);
    store_u16(stored + 2, (uint16_t)(tail >> 16));
    for (int p = 0; p < 2; p++) {
        b->index[2 * unit + p] = (uint8_t)u.index[p];
        put_point(y + POINT * p, xxs_kind.level, iq3_xxs_grid[u.index[p]], u.signs >> 4 * p, step);
    }
}

static void iq3_s_put_unit(void *block, int unit, const float *x, const float *w, float *y) {
    struct block_iq3_s *b = block;
    uint8_t *high = &b->high[unit / 4];
    float step = load_f16(b->d) * (float)(2 * (b->scales[unit / 8] >> unit / 4 % 2 * 4 & 15) + 1);
    struct lattice_unit u = lattice_put(LATTICE_IQ3_S, &s_kind, x, w, step, 0);
    b->signs[unit] = (uint8_t)u.signs;
    for (int p = 0; p < 2; p++) {
        int shift = 2 * unit % 8 + p;
        b->index[2 * unit + p] = (uint8_t)u.index[p];
        *high = (uint8_t)((*high & ~(1 << shift)) | u.index[p] >> 8 << shift);
        put_point(y + POINT * p, s_kind.level, iq3_s_grid[u.index[p]], u.signs >> 4 * p, step);
    }
}

const struct dtype_desc dtype_iq3_xxs = {
    .id = DTYPE_IQ3_XXS,
    .name = "iq3_xxs",
    .gguf_id = 18,
    .block_elems = N,
    .block_bytes = sizeof(struct block_iq3_xxs),
    .to_f32 = iq3_xxs_to_f32,
    .from_f32 = iq3_xxs_from_f32,
    .put_unit = iq3_xxs_put_unit,
};

const struct dtype_desc dtype_iq3_s = {
    .id = DTYPE_IQ3_S,
    .name = "iq3_s",
    .gguf_id = 21,
    .block_elems = N,
    .block_bytes = sizeof(struct block_iq3_s),
    .to_f32 = iq3_s_to_f32,
    .from_f32 = iq3_s_from_f32,
    .put_unit = iq3_s_put_unit,
};
