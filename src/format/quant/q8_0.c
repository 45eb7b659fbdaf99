/* q8_0.c -- 32 signed bytes under one half-precision scale: x = q * d. */
#include "format/quant/quant_int.h"

#define N 32

struct block_q8_0 {
    uint8_t d[2];
    int8_t q[N];
};
_Static_assert(sizeof(struct block_q8_0) == 34, "layout of the file");

static void q8_0_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_q8_0 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d);
        for (int j = 0; j < N; j++) *dst++ = (float)b->q[j] * d;
    }
}

static void q8_0_from_f32(void *dst, const float *src, int64_t n) {
    struct block_q8_0 *b = dst;
    for (int64_t i = 0; i < n / N; i++, b++, src += N) {
        float d = store_f16(b->d, fabsf(peak_of(src, N)) / 127);
        for (int j = 0; j < N; j++) b->q[j] = d > 0 ? (int8_t)round_to_level(src[j] / d, -127, 127) : 0;
    }
}

/* Code 128 is level 0. */
static void q8_0_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_q8_0 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++, dst += N)
        for (int j = 0; j < N; j++) dst[j] = (uint8_t)((uint8_t)b->q[j] ^ 0x80);
}

const struct dtype_desc dtype_q8_0 = {
    .id = DTYPE_Q8_0,
    .name = "q8_0",
    .gguf_id = 8,
    .block_elems = N,
    .block_bytes = sizeof(struct block_q8_0),
    .to_f32 = q8_0_to_f32,
    .from_f32 = q8_0_from_f32,
    .to_codes = q8_0_to_codes,
};
