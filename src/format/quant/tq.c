/* tq.c -- 256 ternary digits under one half-precision scale: x = (digit - 1) * d.
 *
 * tq1_0: a byte is a fraction of 256 whose first digits in base 3 are the elements: times 3^k it drops the digits
 * before k (the product is kept to eight bits), and times 3 once more digit k is what lies above eight bits.
 * Bytes 0 .. 31 hold five digits each: digit k of byte m is element 32k + m. The next 16 bytes likewise hold elements
 * 160 .. 239 by 16, and the last four hold four digits each, elements 240 .. 255 by four.
 * tq2_0: two bits each; digit k of byte 32h + m is element 128h + 32k + m. */
#include "format/quant/quant_int.h"

#define N 256

struct block_tq1_0 {
    uint8_t fives[48];
    uint8_t fours[4];
    uint8_t d[2];
};
_Static_assert(sizeof(struct block_tq1_0) == 54, "layout of the file");

struct block_tq2_0 {
    uint8_t q[N / 4];
    uint8_t d[2];
};
_Static_assert(sizeof(struct block_tq2_0) == 66, "layout of the file");

/* n_digit digits of n_byte bytes, all first digits before all second ones. */
static float *put_base3(float *dst, const uint8_t *q, int n_byte, int n_digit, float d) {
    static const uint8_t powers[5] = {1, 3, 9, 27, 81};
    for (int k = 0; k < n_digit; k++) {
        for (int m = 0; m < n_byte; m++) {
            int rest = q[m] * powers[k] & 255;
            *dst++ = (float)((rest * 3 >> 8) - 1) * d;
        }
    }
    return dst;
}

static void tq1_0_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_tq1_0 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d);
        dst = put_base3(dst, b->fives, 32, 5, d);
        dst = put_base3(dst, b->fives + 32, 16, 5, d);
        dst = put_base3(dst, b->fours, 4, 4, d);
    }
}

static void tq2_0_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_tq2_0 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d);
        for (int e = 0; e < N; e++) *dst++ = (float)((b->q[e / 128 * 32 + e % 32] >> e / 32 % 4 * 2 & 3) - 1) * d;
    }
}

const struct dtype_desc dtype_tq1_0 = {
    .id = DTYPE_TQ1_0,
    .name = "tq1_0",
    .gguf_id = 34,
    .block_elems = N,
    .block_bytes = sizeof(struct block_tq1_0),
    .to_f32 = tq1_0_to_f32,
};

const struct dtype_desc dtype_tq2_0 = {
    .id = DTYPE_TQ2_0,
    .name = "tq2_0",
    .gguf_id = 35,
    .block_elems = N,
    .block_bytes = sizeof(struct block_tq2_0),
    .to_f32 = tq2_0_to_f32,
};
