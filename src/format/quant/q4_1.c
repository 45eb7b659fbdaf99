/* q4_1.c -- 32 four-bit levels with a half-precision scale and minimum: x = q * d + m.
 *
 * Byte j holds element j in its low half and element j + 16 in its high half. */
#include "format/quant/quant_int.h"

#define N 32

struct block_q4_1 {
    uint8_t d[2], m[2];
    uint8_t q[N / 2];
};
_Static_assert(sizeof(struct block_q4_1) == 20, "layout of the file");

static void q4_1_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_q4_1 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++, dst += N) {
        float d = load_f16(b->d), m = load_f16(b->m);
        for (int j = 0; j < N / 2; j++) {
            dst[j] = (float)(b->q[j] & 15) * d + m;
            dst[j + N / 2] = (float)(b->q[j] >> 4) * d + m;
        }
    }
}

static void q4_1_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_q4_1 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++, dst += N) codes_of_halves(dst, b->q);
}

const struct dtype_desc dtype_q4_1 = {
    .id = DTYPE_Q4_1,
    .name = "q4_1",
    .gguf_id = 3,
    .block_elems = N,
    .block_bytes = sizeof(struct block_q4_1),
    .to_f32 = q4_1_to_f32,
    .to_codes = q4_1_to_codes,
};
