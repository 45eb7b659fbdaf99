/* iq4.c -- four-bit levels that stand closer together near zero: x = d * level[q], or d * (scale - 32) * level[q].
 *
 * iq4_nl: 32 elements under one scale; byte j holds element j in its low and element j + 16 in its high half.
 * iq4_xs: 256 elements in eight such groups; scale g has its low four bits in half byte g of scales_low and its two
 * high bits at bit 2g of scales_high. */
#include "format/quant/quant_int.h"

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

static void put_group(float *dst, const uint8_t q[GROUP / 2], float step) {
    /* Levels of the ggml project's format. */
    static const float levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    for (int j = 0; j < GROUP / 2; j++) {
        dst[j] = step * levels[q[j] & 15];
        dst[j + GROUP / 2] = step * levels[q[j] >> 4];
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
    .to_codes = iq4_nl_to_codes,
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
};
