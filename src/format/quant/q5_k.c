/* q5_k.c -- 256 five-bit levels in 8 groups of 32, each with a 6-bit scale and a 6-bit minimum:
 * x = (d * scale) * q - (dmin * min).
 *
 * Scales, minima and the low four bits are packed as in q4_k; bit g of high[j] is the fifth bit of element j of
 * group g. */
#include "format/quant/fit_int.h"

#define N 256
#define N_GROUP 8
#define GROUP 32

struct block_q5_k {
    uint8_t d[2], dmin[2];
    uint8_t scales[12];
    uint8_t high[GROUP];
    uint8_t low[N / 2];
};
_Static_assert(sizeof(struct block_q5_k) == 176, "layout of the file");

static void q5_k_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_q5_k *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d), dmin = load_f16(b->dmin);
        for (int g = 0; g < N_GROUP; g++) {
            const uint8_t *low = b->low + g / 2 * GROUP;
            int scale, min, shift = g % 2 * 4;
            load_scale_min(b->scales, g, &scale, &min);
            float step = d * (float)scale, base = dmin * (float)min;
            for (int j = 0; j < GROUP; j++)
                *dst++ = step * (float)((low[j] >> shift & 15) | (b->high[j] >> g & 1) << 4) - base;
        }
    }
}

LANES_FN void encode_q5_k(struct block_q5_k *b, const float *x, const float *w) {
    static const float trims[] = {-0.015f, 0, 0.015f, 0.03f};
    struct fit_block f;
    float scale[N_GROUP], min[N_GROUP], q[N];
    *b = (struct block_q5_k){.low = {0}};
    fit_load(&f, x, w, N);
    if (f.peak == 0) return;
    fit_affine_block(&f, N_GROUP, GROUP, 31, trims, COUNT(trims), 63, b->d, b->dmin, scale, min, q);
    for (int g = 0; g < N_GROUP; g++) {
        store_scale_min(b->scales, g, (int)scale[g], (int)min[g]);
        for (int j = 0; j < GROUP; j++) {
            int level = (int)q[g * GROUP + j];
            b->low[g / 2 * GROUP + j] = (uint8_t)(b->low[g / 2 * GROUP + j] | (level & 15) << g % 2 * 4);
            b->high[j] = (uint8_t)(b->high[j] | level >> 4 << g);
        }
    }
}
ENCODER(q5_k, N)

static void q5_k_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_q5_k *b = src;
    for (int64_t i = 0; i < n / N; i++, b++)
        for (int p = 0; p < N_GROUP / 2; p++, dst += 2 * GROUP)
            for (int j = 0; j < GROUP; j++) {
                uint8_t low = b->low[p * GROUP + j], high = (uint8_t)(b->high[j] >> 2 * p);
                dst[j] = (uint8_t)((low & 15) | (high & 1) << 4);
                dst[GROUP + j] = (uint8_t)(low >> 4 | (high & 2) << 3);
            }
}

const struct dtype_desc dtype_q5_k = {
    .id = DTYPE_Q5_K,
    .name = "q5_k",
    .gguf_id = 13,
    .block_elems = N,
    .block_bytes = sizeof(struct block_q5_k),
    .to_f32 = q5_k_to_f32,
    .to_codes = q5_k_to_codes,
    .from_f32 = q5_k_from_f32,
};
