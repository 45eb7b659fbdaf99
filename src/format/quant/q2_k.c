/* q2_k.c -- 256 two-bit levels in 16 groups of 16, each with a 4-bit scale and a 4-bit minimum:
 * x = (d * scale) * q - (dmin * min).
 *
 * Byte g of `scales` has the scale of group g in its low and the minimum in its high half. Element 128 h + 32 r + l
 * (h 0..1, r 0..3, l 0..31) is in byte 32 h + l of q at bit 2 r. */
#include "format/quant/fit_int.h"

#define N 256
#define GROUP 16
#define N_GROUP 16

struct block_q2_k {
    uint8_t scales[N_GROUP];
    uint8_t q[N / 4];
    uint8_t d[2], dmin[2];
};
_Static_assert(sizeof(struct block_q2_k) == 84, "layout of the file");

static void q2_k_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_q2_k *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d), dmin = load_f16(b->dmin);
        for (int g = 0; g < N_GROUP; g++) {
            const uint8_t *q = b->q + g / 8 * 32 + g % 2 * GROUP;
            int shift = g / 2 % 4 * 2;
            float step = d * (float)(b->scales[g] & 15), base = dmin * (float)(b->scales[g] >> 4);
            for (int j = 0; j < GROUP; j++) *dst++ = step * (float)(q[j] >> shift & 3) - base;
        }
    }
}

static void q2_k_put_codes(void *block, const uint8_t *code) {
    struct block_q2_k *b = block;
    for (int h = 0; h < 2; h++, code += 128)
        for (int l = 0; l < 32; l++) b->q[32 * h + l] = (uint8_t)(code[l] | code[32 + l] << 2 | code[64 + l] << 4 | code[96 + l] << 6);
}

LANES_FN void encode_q2_k(struct block_q2_k *b, const float *x, const float *w) {
    static const float trims[] = {-0.05f, 0, 0.06f, 0.12f, 0.18f, 0.24f};
    struct fit_block f;
    float scale[N_GROUP], min[N_GROUP], q[N];
    uint8_t code[N];
    *b = (struct block_q2_k){.q = {0}};
    fit_load(&f, x, w, N);
    if (f.peak == 0) return;
    fit_affine_block(&f, N_GROUP, GROUP, 3, trims, COUNT(trims), 15, b->d, b->dmin, scale, min, q);
    for (int g = 0; g < N_GROUP; g++) b->scales[g] = (uint8_t)((int)scale[g] | (int)min[g] << 4);
    codes_of_levels(code, q, N, 0);
    q2_k_put_codes(b, code);
}
ENCODER(q2_k, N)

static void q2_k_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_q2_k *b = src;
    for (int64_t i = 0; i < n / N; i++, b++)
        for (int h = 0; h < 2; h++)
            for (int r = 0; r < 4; r++, dst += 32)
                for (int l = 0; l < 32; l++) dst[l] = b->q[32 * h + l] >> 2 * r & 3;
}

const struct dtype_desc dtype_q2_k = {
    .id = DTYPE_Q2_K,
    .name = "q2_k",
    .gguf_id = 10,
    .block_elems = N,
    .block_bytes = sizeof(struct block_q2_k),
    .to_f32 = q2_k_to_f32,
    .to_codes = q2_k_to_codes,
    .n_code = 4,
    .put_codes = q2_k_put_codes,
    .from_f32 = q2_k_from_f32,
};
