/* q4_1.c -- 32 four-bit levels with a half-precision scale and minimum: x = q * d + m.
 *
 * Byte j holds element j in its low half and element j + 16 in its high half. */
#include "format/quant/fit_int.h"

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

static void q4_1_put_codes(void *block, const uint8_t *code) { halves_of_codes(((struct block_q4_1 *)block)->q, code); }

LANES_FN void encode_q4_1(struct block_q4_1 *b, const float *x, const float *w) {
    static const float trims[] = {-0.04f, -0.02f, 0, 0.02f, 0.04f, 0.06f};
    struct fit_block f;
    uint8_t code[N];
    *b = (struct block_q4_1){.q = {0}};
    fit_load(&f, x, w, N);
    if (f.peak == 0) return;
    struct fit_affine a = fit_affine(f.x, f.w, N, 15, trims, COUNT(trims), false);
    float step = store_f16(b->d, a.step * f.peak) / f.peak, base = store_f16(b->m, -a.base * f.peak) / -f.peak, q[N];
    fit_put_affine(f.x, N, step, base, 15, q);
    codes_of_levels(code, q, N, 0);
    q4_1_put_codes(b, code);
}
ENCODER(q4_1, N)

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
    .n_code = 16,
    .put_codes = q4_1_put_codes,
    .from_f32 = q4_1_from_f32,
};
