/* mxfp4.c -- 32 four-bit floats under one power of two: x = 2^(e - 127) * value.
 *
 * OCP Microscaling Formats 1.0: sign, two bits of exponent, one of mantissa: 0, 1/2, 1, 3/2, 2, 3, 4, 6. Here they are
 * doubled, to be whole, and the power is halved. Byte j holds element j in its low and element j + 16 in its high half.
 * Two things are as ggml has them and not as in the specification: minus zero is zero, and e = 255 is a power like the
 * others instead of not a number. */
#include <stdlib.h>

#include "format/quant/fit_int.h"

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

/* Nearest of the eight magnitudes, with the sign; ties go down. */
LANES_FN lanes levels(lanes x) {
    static const float steps[7][2] = {{0.5f, 1}, {1.5f, 1}, {2.5f, 1}, {3.5f, 1}, {5, 2}, {7, 2}, {10, 4}};
    lanes a = lanes_max(x, -x), r = {0};
    for (int k = 0; k < 7; k++) r += lanes_pick_above(a, steps[k][0], steps[k][1]);
    return lanes_sign(r, x);
}

static void mxfp4_put_codes(void *block, const uint8_t *code) { halves_of_codes(((struct block_mxfp4 *)block)->q, code); }

/* The power of two just above the peak at 12, and its neighbours: clipping a few values can cost less than coarse steps. */
LANES_FN void encode_mxfp4(struct block_mxfp4 *b, const float *x, const float *w) {
    static const uint8_t codes[13] = {0, 1, 2, 3, 4, 0, 5, 0, 6, 0, 0, 0, 7};
    struct fit_block f;
    uint8_t code[N];
    float q[N];
    int top;
    *b = (struct block_mxfp4){0};
    fit_load(&f, x, w, N);
    if (f.peak == 0) return;
    frexpf(f.peak, &top); /* peak < 2^top */
    lanes step = {0};
    for (int i = 0; i < 4; i++) {
        int e = top - 2 - i; /* 12 * 2^124 is the last below infinity */
        step[i] = e < -128 || e > 124 ? 0 : ldexpf(1 / f.peak, e);
    }
    struct fit_trials t = fit_try(f.x, f.w, N, 1 / step, levels);
    lanes gain = lanes_pick(step, step * (2 * t.xq - step * t.qq), lanes_set(0));
    int i = lanes_best(gain);
    if (!(gain[i] > 0)) return;
    b->e = (uint8_t)(top - 2 - i + 128);
    fit_put(f.x, N, step[i], levels, q);
    for (int j = 0; j < N; j++) code[j] = (uint8_t)(codes[abs((int)q[j])] | (q[j] < 0) << 3);
    mxfp4_put_codes(b, code);
}
ENCODER(mxfp4, N)

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
    .n_code = 16,
    .put_codes = mxfp4_put_codes,
    .from_f32 = mxfp4_from_f32,
};
