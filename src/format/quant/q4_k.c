/* q4_k.c -- 256 four-bit levels in 8 groups of 32, each with a 6-bit scale and a 6-bit minimum:
 * x = (d * scale) * q - (dmin * min).
 *
 * Nibbles: bytes 32p .. 32p+31 hold group 2p in their low and group 2p+1 in their high halves.
 * Scales and minima: see load_scale_min.
 */
#include "format/quant/fit_int.h"

#define N 256
#define N_GROUP 8
#define GROUP 32

struct block_q4_k {
    uint8_t d[2], dmin[2];
    uint8_t scales[12];
    uint8_t q[N / 2];
};
_Static_assert(sizeof(struct block_q4_k) == 144, "layout of the file");

static void q4_k_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_q4_k *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d), dmin = load_f16(b->dmin);
        for (int g = 0; g < N_GROUP; g++) {
            const uint8_t *q = b->q + g / 2 * GROUP;
            int scale, min, shift = g % 2 * 4;
            load_scale_min(b->scales, g, &scale, &min);
            float step = d * (float)scale, base = dmin * (float)min;
            for (int j = 0; j < GROUP; j++) *dst++ = step * (float)(q[j] >> shift & 15) - base;
        }
    }
}

static void q4_k_put_codes(void *block, const uint8_t *code) {
    struct block_q4_k *b = block;
    for (int p = 0; p < N_GROUP / 2; p++, code += 2 * GROUP)
        for (int j = 0; j < GROUP; j++) b->q[p * GROUP + j] = (uint8_t)(code[j] | code[GROUP + j] << 4);
}

LANES_FN void encode_q4_k(struct block_q4_k *b, const float *x, const float *w) {
    static const float trims[] = {-0.03f, 0, 0.03f, 0.06f};
    struct fit_block f;
    float scale[N_GROUP], min[N_GROUP], q[N];
    uint8_t code[N];
    *b = (struct block_q4_k){.q = {0}};
    fit_load(&f, x, w, N);
    if (f.peak == 0) return;
    fit_affine_block(&f, N_GROUP, GROUP, 15, trims, COUNT(trims), 63, b->d, b->dmin, scale, min, q);
    for (int g = 0; g < N_GROUP; g++) store_scale_min(b->scales, g, (int)scale[g], (int)min[g]);
    codes_of_levels(code, q, N, 0);
    q4_k_put_codes(b, code);
}
ENCODER(q4_k, N)

static void q4_k_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_q4_k *b = src;
    for (int64_t i = 0; i < n / N; i++, b++)
        for (int p = 0; p < N_GROUP / 2; p++, dst += 2 * GROUP)
            for (int j = 0; j < GROUP; j++) {
                dst[j] = b->q[p * GROUP + j] & 15;
                dst[GROUP + j] = b->q[p * GROUP + j] >> 4;
            }
}

const struct dtype_desc dtype_q4_k = {
    .id = DTYPE_Q4_K,
    .name = "q4_k",
    .gguf_id = 12,
    .block_elems = N,
    .block_bytes = sizeof(struct block_q4_k),
    .to_f32 = q4_k_to_f32,
    .from_f32 = q4_k_from_f32,
    .to_codes = q4_k_to_codes,
    .n_code = 16,
    .put_codes = q4_k_put_codes,
};
