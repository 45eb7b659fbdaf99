/* q5.c -- 32 five-bit levels: q5_0 under a half-precision scale, x = (q - 16) * d; q5_1 with a minimum beside it,
 * x = q * d + m.
 *
 * The low four bits are packed as in q4_0: byte j holds element j in its low half and element j + 16 in its high half.
 * The fifth bits are 32 bits apart: bit e belongs to element e. */
#include "format/quant/quant_int.h"

#define N 32

struct block_q5_0 {
    uint8_t d[2];
    uint8_t high[N / 8];
    uint8_t low[N / 2];
};
_Static_assert(sizeof(struct block_q5_0) == 22, "layout of the file");

struct block_q5_1 {
    uint8_t d[2], m[2];
    uint8_t high[N / 8];
    uint8_t low[N / 2];
};
_Static_assert(sizeof(struct block_q5_1) == 24, "layout of the file");

static int level_at(const uint8_t low[N / 2], const uint8_t high[N / 8], int e) {
    return (low[e % 16] >> e / 16 * 4 & 15) | (high[e / 8] >> e % 8 & 1) << 4;
}

static void codes_of_halves_and_bits(uint8_t dst[N], const uint8_t low[N / 2], const uint8_t high[N / 8]) {
    uint32_t bits = load_u32(high);
    codes_of_halves(dst, low);
    for (int e = 0; e < N; e++) dst[e] = (uint8_t)(dst[e] | (bits >> e & 1) << 4);
}

static void q5_0_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_q5_0 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d);
        for (int e = 0; e < N; e++) *dst++ = (float)(level_at(b->low, b->high, e) - 16) * d;
    }
}

static void q5_0_from_f32(void *dst, const float *src, int64_t n) {
    struct block_q5_0 *b = dst;
    for (int64_t i = 0; i < n / N; i++, b++, src += N) {
        *b = (struct block_q5_0){0};
        float d = store_f16(b->d, fit_symmetric(src, N, 16));
        for (int e = 0; e < N; e++) {
            int level = d != 0 ? round_to_level(src[e] / d, -16, 15) + 16 : 16;
            b->low[e % 16] = (uint8_t)(b->low[e % 16] | (level & 15) << e / 16 * 4);
            b->high[e / 8] = (uint8_t)(b->high[e / 8] | level >> 4 << e % 8);
        }
    }
}

static void q5_1_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_q5_1 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d), m = load_f16(b->m);
        for (int e = 0; e < N; e++) *dst++ = (float)level_at(b->low, b->high, e) * d + m;
    }
}

static void q5_0_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_q5_0 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++, dst += N) codes_of_halves_and_bits(dst, b->low, b->high);
}

const struct dtype_desc dtype_q5_0 = {
    .id = DTYPE_Q5_0,
    .name = "q5_0",
    .gguf_id = 6,
    .block_elems = N,
    .block_bytes = sizeof(struct block_q5_0),
    .to_f32 = q5_0_to_f32,
    .from_f32 = q5_0_from_f32,
    .to_codes = q5_0_to_codes,
};

static void q5_1_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_q5_1 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++, dst += N) codes_of_halves_and_bits(dst, b->low, b->high);
}

const struct dtype_desc dtype_q5_1 = {
    .id = DTYPE_Q5_1,
    .name = "q5_1",
    .gguf_id = 7,
    .block_elems = N,
    .block_bytes = sizeof(struct block_q5_1),
    .to_f32 = q5_1_to_f32,
    .to_codes = q5_1_to_codes,
};
