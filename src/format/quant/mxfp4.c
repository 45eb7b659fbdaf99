/* mxfp4.c -- 32 four-bit floats under one power of two: x = 2^(e - 127) * value.
 *
 * OCP Microscaling Formats 1.0: sign, two bits of exponent, one of mantissa: 0, 1/2, 1, 3/2, 2, 3, 4, 6. Here they are
 * doubled, to be whole, and the power is halved. Byte j holds element j in its low and element j + 16 in its high half.
 * Two things are as ggml has them and not as in the specification: minus zero is zero, and e = 255 is a power like the
 * others instead of not a number. */
#include "format/quant/quant_int.h"

#define N 32

struct block_mxfp4 {
    uint8_t e;
    uint8_t q[N / 2];
};
_Static_assert(sizeof(struct block_mxfp4) == 17, "layout of the file");

static void mxfp4_to_f32(float *dst, const void *src, int64_t n) {
    static const float levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    const struct block_mxfp4 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++, dst += N) {
        float d = ldexpf(1, b->e - 128); /* exact: the smallest, 2^-128, is subnormal */
        for (int j = 0; j < N / 2; j++) {
            dst[j] = levels[b->q[j] & 15] * d;
            dst[j + N / 2] = levels[b->q[j] >> 4] * d;
        }
    }
}

static void mxfp4_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_mxfp4 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++, dst += N) codes_of_halves(dst, b->q);
}

const struct dtype_desc dtype_mxfp4 = {
    .id = DTYPE_MXFP4,
    .name = "mxfp4",
    .gguf_id = 39,
    .block_elems = N,
    .block_bytes = sizeof(struct block_mxfp4),
    .to_f32 = mxfp4_to_f32,
    .to_codes = mxfp4_to_codes,
};
