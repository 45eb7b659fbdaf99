/* q5.c -- 32 five-bit levels: q5_0 under a half-precision scale, x = (q - 16) * d; q5_1 with a minimum beside it,
 * x = q * d + m.
 *
 * The low four bits are packed as in q4_0: byte j holds element j in its low half and element j + 16 in its high half.
 * The fifth bits are 32 bits apart: bit e belongs to element e. */
#include "format/quant/fit_int.h"

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

static void put_levels(uint8_t low[N / 2], uint8_t high[N / 8], const float *q, int zero) {
    for (int e = 0; e < N; e++) {
        int level = (int)q[e] + zero;
        low[e % 16] = (uint8_t)(low[e % 16] | (level & 15) << e / 16 * 4);
        high[e / 8] = (uint8_t)(high[e / 8] | level >> 4 << e % 8);
    }
}

LANES_FN lanes levels(lanes x) { return lanes_round(x, -16, 15); }

LANES_FN void encode_q5_0(struct block_q5_0 *b, const float *x, const float *w) {
    static const float ends[LANES] = {-17.2f, -16.9f, -16.6f, -16.3f, -16, -15.7f, -15.4f, -15.1f, -14.8f, -14.5f, 16.1f, 15.8f, 15.5f, 15.2f, 14.9f, 14.6f};
    struct fit_block f;
    float q[N];
    *b = (struct block_q5_0){.low = {0}};
    fit_load(&f, x, w, N);
    float step = f.peak > 0 ? fit_symmetric(f.x, f.w, N, ends, levels, 2).step : 0;
    fit_put(f.x, N, f.peak > 0 ? store_f16(b->d, step * f.peak) / f.peak : 0, levels, q);
    put_levels(b->low, b->high, q, 16);
}
ENCODER(q5_0, N)

static void q5_1_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_q5_1 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d), m = load_f16(b->m);
        for (int e = 0; e < N; e++) *dst++ = (float)level_at(b->low, b->high, e) * d + m;
    }
}

LANES_FN void encode_q5_1(struct block_q5_1 *b, const float *x, const float *w) {
    static const float trims[] = {-0.02f, -0.01f, 0, 0.01f, 0.02f, 0.03f};
    struct fit_block f;
    *b = (struct block_q5_1){.low = {0}};
    fit_load(&f, x, w, N);
    if (f.peak == 0) return;
    struct fit_affine a = fit_affine(f.x, f.w, N, 31, trims, COUNT(trims), false);
    float step = store_f16(b->d, a.step * f.peak) / f.peak, base = store_f16(b->m, -a.base * f.peak) / -f.peak, q[N];
    fit_put_affine(f.x, N, step, base, 31, q);
    put_levels(b->low, b->high, q, 0);
}
ENCODER(q5_1, N)

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
    .from_f32 = q5_1_from_f32,
};
