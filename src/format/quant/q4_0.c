/* q4_0.c -- 32 four-bit levels under one half-precision scale: x = (q - 8) * d.
 *
 * Byte j holds element j in its low half and element j + 16 in its high half. Levels run from -8 to 7; d may
 * be negative, which puts the value of largest magnitude on the longer side. */
#include "format/quant/fit_int.h"

#define N 32

struct block_q4_0 {
    uint8_t d[2];
    uint8_t q[N / 2];
};
_Static_assert(sizeof(struct block_q4_0) == 18, "layout of the file");

static void q4_0_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_q4_0 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++, dst += N) {
        float d = load_f16(b->d);
        for (int j = 0; j < N / 2; j++) {
            dst[j] = (float)((b->q[j] & 15) - 8) * d;
            dst[j + N / 2] = (float)((b->q[j] >> 4) - 8) * d;
        }
    }
}

static void q4_0_put_codes(void *block, const uint8_t *code) { halves_of_codes(((struct block_q4_0 *)block)->q, code); }

LANES_FN lanes levels(lanes x) { return lanes_round(x, -8, 7); }

LANES_FN void encode_q4_0(struct block_q4_0 *b, const float *x, const float *w) {
    static const float ends[LANES] = {-9.2f, -8.9f, -8.6f, -8.3f, -8, -7.7f, -7.4f, -7.1f, -6.8f, -6.4f, 8.3f, 8, 7.7f, 7.4f, 7.1f, 6.8f};
    struct fit_block f;
    uint8_t code[N];
    float q[N];
    *b = (struct block_q4_0){.q = {0}};
    fit_load(&f, x, w, N);
    float step = f.peak > 0 ? fit_symmetric(f.x, f.w, N, ends, levels, 2).step : 0;
    fit_put(f.x, N, f.peak > 0 ? store_f16(b->d, step * f.peak) / f.peak : 0, levels, q);
    codes_of_levels(code, q, N, 8);
    q4_0_put_codes(b, code);
}
ENCODER(q4_0, N)

static void q4_0_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_q4_0 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++, dst += N) codes_of_halves(dst, b->q);
}

const struct dtype_desc dtype_q4_0 = {
    .id = DTYPE_Q4_0,
    .name = "q4_0",
    .gguf_id = 2,
    .block_elems = N,
    .block_bytes = sizeof(struct block_q4_0),
    .to_f32 = q4_0_to_f32,
    .from_f32 = q4_0_from_f32,
    .to_codes = q4_0_to_codes,
    .n_code = 16,
    .put_codes = q4_0_put_codes,
};
