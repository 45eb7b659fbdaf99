/* iq1.c -- 256 elements as 32 points of 8 ternary digits, for 1.6 and 1.8 bits an element:
 * x = d * (2 * scale + 1) * (digit + shift), shift = 1/8 or -1/8.
 *
 * A point's index has 11 bits: a byte, and three bits above it in `high`.
 * iq1_s: the 16-bit number g of `high` serves points 4g .. 4g+3: bits 3l .. 3l+2 belong to the l-th of them, bits
 * 12 .. 14 are the scale of all four, bit 15 set means that their shift is negative.
 * iq1_m: half byte c of `high` serves point c: three bits of index, and the sign of its shift above them. The four
 * 16-bit numbers of `scales` hold 16 scales of three bits, one for two points; their top four bits together are d. */
#include "format/quant/lattice_int.h"

#define N 256
#define POINT 8
#define N_POINT (N / POINT)
#define SHIFT 0.125f

struct block_iq1_s {
    uint8_t d[2];
    uint8_t index[N_POINT];
    uint8_t high[N_POINT / 2];
};
_Static_assert(sizeof(struct block_iq1_s) == 50, "layout of the file");

struct block_iq1_m {
    uint8_t index[N_POINT];
    uint8_t high[N_POINT / 2];
    uint8_t scales[8];
};
_Static_assert(sizeof(struct block_iq1_m) == 56, "layout of the file");

static void put_point(float *dst, int index, float step, float shift) {
    uint16_t code = iq1_grid[index];
    for (int j = 0; j < POINT; j++) dst[j] = step * ((float)((code >> 2 * j & 3) - 1) + shift);
}

static void iq1_s_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_iq1_s *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d);
        for (int c = 0; c < N_POINT; c++, dst += POINT) {
            int high = load_u16(b->high + c / 4 * 2);
            float step = d * (float)(2 * (high >> 12 & 7) + 1);
            put_point(dst, b->index[c] | (high >> 3 * (c % 4) & 7) << 8, step, high >> 15 ? -SHIFT : SHIFT);
        }
    }
}

static float spread_scale(const uint8_t scales[8]) {
    int h = 0;
    for (int k = 0; k < 4; k++) h |= load_u16(scales + 2 * k) >> 12 << 4 * k;
    return f16_to_f32((uint16_t)h);
}

static void iq1_m_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_iq1_m *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = spread_scale(b->scales);
        for (int c = 0; c < N_POINT; c++, dst += POINT) {
            int high = b->high[c / 2] >> 4 * (c % 2);
            int scale = load_u16(b->scales + c / 8 * 2) >> 3 * (c / 2 % 4) & 7;
            put_point(dst, b->index[c] | (high & 7) << 8, d * (float)(2 * scale + 1), high & 8 ? -SHIFT : SHIFT);
        }
    }
}

/* Odd multiples 1 .. 15 of d are the steps. */
static const struct lattice_kind s_kind = {8, 3, 2, {-1, 0, 1}, .shift = SHIFT, .n_shift = 32, .reach = 2.2f};
static const struct lattice_kind m_kind = {8, 3, 2, {-1, 0, 1}, .shift = SHIFT, .n_shift = POINT, .reach = 2.2f};
#define SCALE_TOP 15

LANES_FN void encode_iq1_s(struct block_iq1_s *b, const float *x, const float *w) {
    struct lattice_choice c;
    *b = (struct block_iq1_s){.d = {0}};
    if (!lattice_encode(LATTICE_IQ1, &s_kind, x, w, N / 32, SCALE_TOP, 1, b->d, &c)) return;
    for (int g = 0; g < N / 32; g++) {
        int high = (int)c.scale[g] >> 1 << 12 | (c.units[4 * g].signs != 0) << 15;
        for (int p = 0; p < 4; p++) {
            int index = c.units[4 * g + p].index[0];
            b->index[4 * g + p] = (uint8_t)index;
            high |= index >> 8 << 3 * p;
        }
        store_u16(b->high + 2 * g, (uint16_t)high);
    }
}
ENCODER(iq1_s, N)

LANES_FN void encode_iq1_m(struct block_iq1_m *b, const float *x, const float *w) {
    struct lattice_choice c;
    uint8_t d[2];
    *b = (struct block_iq1_m){.index = {0}};
    if (!lattice_encode(LATTICE_IQ1, &m_kind, x, w, N / 16, SCALE_TOP, 1, d, &c)) return;
    for (int p = 0; p < N_POINT; p++) {
        int index = c.units[p].index[0], high = index >> 8 | (c.units[p].signs != 0) << 3;
        b->index[p] = (uint8_t)index;
        b->high[p / 2] = (uint8_t)(b->high[p / 2] | high << 4 * (p % 2));
    }
    for (int k = 0; k < 4; k++) {
        int bits = (load_u16(d) >> 4 * k & 15) << 12;
        for (int g = 0; g < 4; g++) bits |= (int)c.scale[4 * k + g] >> 1 << 3 * g;
        store_u16(b->scales + 2 * k, (uint16_t)bits);
    }
}
ENCODER(iq1_m, N)

static void iq1_s_put_unit(void *block, int unit, const float *x, const float *w, float *y) {
    struct block_iq1_s *b = block;
    uint8_t *stored = b->high + unit / 4 * 2;
    int high = load_u16(stored), at = 3 * (unit % 4);
    float step = load_f16(b->d) * (float)(2 * (high >> 12 & 7) + 1), shift = high >> 15 ? -SHIFT : SHIFT;
    struct lattice_unit u = lattice_put(LATTICE_IQ1, &s_kind, x, w, step, shift);
    b->index[unit] = (uint8_t)u.index[0];
    store_u16(stored, (uint16_t)((high & ~(7 << at)) | u.index[0] >> 8 << at));
    put_point(y, u.index[0], step, shift);
}

/* A point's shift is its own here: the better one. */
static void iq1_m_put_unit(void *block, int unit, const float *x, const float *w, float *y) {
    struct block_iq1_m *b = block;
    float step = spread_scale(b->scales) * (float)(2 * (load_u16(b->scales + unit / 8 * 2) >> 3 * (unit / 2 % 4) & 7) + 1);
    struct lattice_unit u = lattice_put(LATTICE_IQ1, &m_kind, x, w, step, SHIFT), down = lattice_put(LATTICE_IQ1, &m_kind, x, w, step, -SHIFT);
    bool is_down = down.cost < u.cost;
    int index = is_down ? down.index[0] : u.index[0], at = 4 * (unit % 2), high = index >> 8 | is_down << 3;
    b->index[unit] = (uint8_t)index;
    b->high[unit / 2] = (uint8_t)((b->high[unit / 2] & ~(15 << at)) | high << at);
    put_point(y, index, step, is_down ? -SHIFT : SHIFT);
}

const struct dtype_desc dtype_iq1_s = {
    .id = DTYPE_IQ1_S,
    .name = "iq1_s",
    .gguf_id = 19,
    .block_elems = N,
    .block_bytes = sizeof(struct block_iq1_s),
    .to_f32 = iq1_s_to_f32,
    .from_f32 = iq1_s_from_f32,
    .put_unit = iq1_s_put_unit,
};

const struct dtype_desc dtype_iq1_m = {
    .id = DTYPE_IQ1_M,
    .name = "iq1_m",
    .gguf_id = 29,
    .block_elems = N,
    .block_bytes = sizeof(struct block_iq1_m),
    .to_f32 = iq1_m_to_f32,
    .from_f32 = iq1_m_from_f32,
    .put_unit = iq1_m_put_unit,
};
