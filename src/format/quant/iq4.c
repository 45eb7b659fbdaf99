/* iq4.c -- four-bit levels that stand closer together near zero: x = d * level[q], or d * (scale - 32) * level[q].
 *
 * iq4_nl: 32 elements under one scale; byte j holds element j in its low and element j + 16 in its high half.
 * iq4_xs: 256 elements in eight such groups; scale g has its low four bits in half byte g of scales_low and its two
 * high bits at bit 2g of scales_high. */
#include "format/quant/fit_int.h"

#define GROUP 32
#define N_XS 256

struct block_iq4_nl {
    uint8_t d[2];
    uint8_t q[GROUP / 2];
};
_Static_assert(sizeof(struct block_iq4_nl) == 18, "layout of the file");

struct block_iq4_xs {
    uint8_t d[2];
    uint8_t scales_high[2];
    uint8_t scales_low[4];
    uint8_t q[N_XS / 2];
};
_Static_assert(sizeof(struct block_iq4_xs) == 136, "layout of the file");

/* Of the ggml project's format. */
static const float iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static void put_group(float *dst, const uint8_t q[GROUP / 2], float step) {
    for (int j = 0; j < GROUP / 2; j++) {
        dst[j] = step * iq4_levels[q[j] & 15];
        dst[j + GROUP / 2] = step * iq4_levels[q[j] >> 4];
    }
}

static void iq4_nl_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_iq4_nl *b = src;
    for (int64_t i = 0; i < n / GROUP; i++, b++) put_group(dst + i * GROUP, b->q, load_f16(b->d));
}

static void iq4_xs_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_iq4_xs *b = src;
    for (int64_t i = 0; i < n / N_XS; i++, b++) {
        float d = load_f16(b->d);
        int high = load_u16(b->scales_high);
        for (int g = 0; g < N_XS / GROUP; g++, dst += GROUP) {
            int scale = (b->scales_low[g / 2] >> 4 * (g % 2) & 15) | (high >> 2 * g & 3) << 4;
            put_group(dst, b->q + g * (GROUP / 2), d * (float)(scale - 32));
        }
    }
}

/* Edges between levels lie more than 8 apart, so of the stretches of 8 from -128 on each has one at most (1000: none), a level below it
 * and one above. */
static const float iq4_edge[32] = {1000, -115.5, 1000, 1000, -93.5, 1000, -74, 1000, -57, 1000, -42, 1000, -28.5, 1000, -16, -4.5, 7, 1000, 19, 31.5, 1000, 45.5, 1000, 61, 1000, 79, 1000, 1000, 101, 1000, 1000, 1000};
static const float iq4_below[32] = {-127, -127, -104, -104, -104, -83, -83, -65, -65, -49, -49, -35, -35, -22, -22, -10, 1, 13, 13, 25, 38, 38, 53, 53, 69, 69, 89, 89, 89, 113, 113, 113};
static const float iq4_above[32] = {-127, -104, -104, -104, -83, -83, -65, -65, -49, -49, -35, -35, -22, -22, -10, 1, 13, 13, 25, 38, 38, 53, 53, 69, 69, 89, 89, 89, 113, 113, 113, 113};

/* Nearest level, the lower one on an edge. */
LANES_FN lanes levels(lanes x) {
    lanes_bits stretch = __builtin_convertvector(lanes_min(lanes_max(x * 0.125f + 16, lanes_set(0)), lanes_set(31)), lanes_bits);
    return lanes_pick(x - lanes_lookup32(iq4_edge, stretch), lanes_lookup32(iq4_above, stretch), lanes_lookup32(iq4_below, stretch));
}

/* No two levels lie in the same stretch. */
static uint8_t code_of(float level) {
    static const uint8_t codes[32] = {0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 7, 0, 8, 9, 0, 10, 11, 0, 12, 0, 13, 0, 0, 14, 0, 0, 15, 0};
    return codes[((int)level + 128) / 8];
}

static void codes_of_group(uint8_t *code, const float *level, int n) {
    for (int j = 0; j < n; j++) code[j] = code_of(level[j]);
}

static void iq4_nl_put_codes(void *block, const uint8_t *code) { halves_of_codes(((struct block_iq4_nl *)block)->q, code); }

static void iq4_xs_put_codes(void *block, const uint8_t *code) {
    struct block_iq4_xs *b = block;
    for (int g = 0; g < N_XS / GROUP; g++) halves_of_codes(b->q + g * (GROUP / 2), code + g * GROUP);
}

/* The peak on either end or clipped, or on the second level from the end. */
static const float iq4_ends[LANES] = {-143, -137, -131, -125, -119, -113, -107, -101, -95, 127, 121, 115, 109, 103, 97, 91};

LANES_FN void encode_iq4_nl(struct block_iq4_nl *b, const float *x, const float *w) {
    struct fit_block f;
    float q[GROUP];
    uint8_t code[GROUP];
    *b = (struct block_iq4_nl){.q = {0}};
    fit_load(&f, x, w, GROUP);
    if (f.peak == 0) return;
    float step = fit_symmetric(f.x, f.w, GROUP, iq4_ends, levels, 2).step;
    fit_put(f.x, GROUP, store_f16(b->d, step * f.peak) / f.peak, levels, q);
    codes_of_group(code, q, GROUP);
    iq4_nl_put_codes(b, code);
}
ENCODER(iq4_nl, GROUP)

LANES_FN void encode_iq4_xs(struct block_iq4_xs *b, const float *x, const float *w) {
    struct fit_block f;
    float scale[N_XS / GROUP], q[N_XS];
    uint8_t code[N_XS];
    int high = 0;
    *b = (struct block_iq4_xs){.q = {0}};
    fit_load(&f, x, w, N_XS);
    if (f.peak == 0) return;
    fit_scale_block(&f, N_XS / GROUP, GROUP, iq4_ends, -32, 31, levels, b->d, scale, q);
    for (int g = 0; g < N_XS / GROUP; g++) {
        int k = (int)scale[g] + 32;
        b->scales_low[g / 2] = (uint8_t)(b->scales_low[g / 2] | (k & 15) << 4 * (g % 2));
        high |= k >> 4 << 2 * g;
    }
    store_u16(b->scales_high, (uint16_t)high);
    codes_of_group(code, q, N_XS);
    iq4_xs_put_codes(b, code);
}
ENCODER(iq4_xs, N_XS)

static void iq4_nl_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_iq4_nl *b = src;
    for (int64_t i = 0; i < n / GROUP; i++, b++, dst += GROUP) codes_of_halves(dst, b->q);
}

const struct dtype_desc dtype_iq4_nl = {
    .id = DTYPE_IQ4_NL,
    .name = "iq4_nl",
    .gguf_id = 20,
    .block_elems = GROUP,
    .block_bytes = sizeof(struct block_iq4_nl),
    .to_f32 = iq4_nl_to_f32,
    .from_f32 = iq4_nl_from_f32,
    .to_codes = iq4_nl_to_codes,
    .n_code = 16,
    .put_codes = iq4_nl_put_codes,
};

static void iq4_xs_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_iq4_xs *b = src;
    for (int64_t i = 0; i < n / N_XS; i++, b++)
        for (int g = 0; g < N_XS / GROUP; g++, dst += GROUP) codes_of_halves(dst, b->q + g * (GROUP / 2));
}

const struct dtype_desc dtype_iq4_xs = {
    .id = DTYPE_IQ4_XS,
    .name = "iq4_xs",
    .gguf_id = 23,
    .block_elems = N_XS,
    .block_bytes = sizeof(struct block_iq4_xs),
    .to_f32 = iq4_xs_to_f32,
    .to_codes = iq4_xs_to_codes,
    .n_code = 16,
    .put_codes = iq4_xs_put_codes,
    .from_f32 = iq4_xs_from_f32,
};
