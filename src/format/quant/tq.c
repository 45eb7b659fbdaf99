/* tq.c -- 256 ternary digits under one half-precision scale: x = (digit - 1) * d.
 *
 * tq1_0: a byte is a fraction of 256 whose first digits in base 3 are the elements: times 3^k it drops the digits
 * before k (the product is kept to eight bits), and times 3 once more digit k is what lies above eight bits.
 * Bytes 0 .. 31 hold five digits each: digit k of byte m is element 32k + m. The next 16 bytes likewise hold elements
 * 160 .. 239 by 16, and the last four hold four digits each, elements 240 .. 255 by four.
 * tq2_0: two bits each; digit k of byte 32h + m is element 128h + 32k + m. */
#include "format/quant/fit_int.h"

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

LANES_FN lanes levels(lanes x) { return lanes_round(x, -1, 1); }

/* The best step, as stored, and digits 0 .. 2. A peak far past the last digit is the rule: three digits serve the many. */
LANES_FN void fit_ternary(uint8_t d[2], uint8_t digit[N], const float *x, const float *w) {
    static const float ends[LANES] = {1, 1.25f, 1.5f, 1.75f, 2, 2.25f, 2.5f, 2.75f, 3, 3.5f, 4, 5, 6, 8, 11, 16};
    struct fit_block f;
    float level[N];
    fit_load(&f, x, w, N);
    float step = f.peak > 0 ? fit_symmetric(f.x, f.w, N, ends, levels, 2).step : 0;
    fit_put(f.x, N, f.peak > 0 ? store_f16(d, step * f.peak) / f.peak : 0, levels, level);
    codes_of_levels(digit, level, N, 1);
}

/* The byte that stands for a number of n_digit base-3 digits: the smallest fraction of 256 not below it. */
static const uint8_t *pack_base3(uint8_t *q, const uint8_t *digit, int n_byte, int n_digit) {
    for (int m = 0; m < n_byte; m++) {
        int v = 0, places = 1;
        for (int k = 0; k < 5; k++) {
            v = v * 3 + (k < n_digit ? digit[k * n_byte + m] : 0);
            places *= 3;
        }
        q[m] = (uint8_t)((v * 256 + places - 1) / places);
    }
    return digit + n_byte * n_digit;
}

static void tq1_0_put_codes(void *block, const uint8_t *code) {
    struct block_tq1_0 *b = block;
    code = pack_base3(b->fives, code, 32, 5);
    code = pack_base3(b->fives + 32, code, 16, 5);
    pack_base3(b->fours, code, 4, 4);
}

static void tq2_0_put_codes(void *block, const uint8_t *code) {
    struct block_tq2_0 *b = block;
    for (int h = 0; h < 2; h++, code += 128)
        for (int m = 0; m < 32; m++) b->q[32 * h + m] = (uint8_t)(code[m] | code[32 + m] << 2 | code[64 + m] << 4 | code[96 + m] << 6);
}

LANES_FN void encode_tq1_0(struct block_tq1_0 *b, const float *x, const float *w) {
    uint8_t digit[N];
    *b = (struct block_tq1_0){.d = {0}};
    fit_ternary(b->d, digit, x, w);
    tq1_0_put_codes(b, digit);
}
ENCODER(tq1_0, N)

LANES_FN void encode_tq2_0(struct block_tq2_0 *b, const float *x, const float *w) {
    uint8_t digit[N];
    *b = (struct block_tq2_0){.d = {0}};
    fit_ternary(b->d, digit, x, w);
    tq2_0_put_codes(b, digit);
}
ENCODER(tq2_0, N)

const struct dtype_desc dtype_tq1_0 = {
    .id = DTYPE_TQ1_0,
    .name = "tq1_0",
    .gguf_id = 34,
    .block_elems = N,
    .block_bytes = sizeof(struct block_tq1_0),
    .to_f32 = tq1_0_to_f32,
    .from_f32 = tq1_0_from_f32,
    .n_code = 3,
    .put_codes = tq1_0_put_codes,
};

const struct dtype_desc dtype_tq2_0 = {
    .id = DTYPE_TQ2_0,
    .name = "tq2_0",
    .gguf_id = 35,
    .block_elems = N,
    .block_bytes = sizeof(struct block_tq2_0),
    .to_f32 = tq2_0_to_f32,
    .from_f32 = tq2_0_from_f32,
    .n_code = 3,
    .put_codes = tq2_0_put_codes,
};
