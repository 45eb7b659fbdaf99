/* q3_k.c -- 256 three-bit levels in 16 groups of 16, each with a signed 6-bit scale:
 * x = (d * (scale - 32)) * (q - 4).
 *
 * Element 128 h + 32 r + l (h 0..1, r 0..3, l 0..31) has its two low bits in byte 32 h + l of `low` at bit 2 r, and its
 * high bit in high[l] at bit 4 h + r.
 * Scale g has its low four bits in byte g % 8 of `scales` (the high half for g >= 8) and its two high bits in byte
 * 8 + g % 4 at bit 2 (g / 4). */
#include "format/quant/fit_int.h"

#define N 256
#define GROUP 16
#define N_GROUP 16

struct block_q3_k {
    uint8_t high[N / 8];
    uint8_t low[N / 4];
    uint8_t scales[12];
    uint8_t d[2];
};
_Static_assert(sizeof(struct block_q3_k) == 110, "layout of the file");

static int scale_at(const uint8_t s[12], int g) {
    return ((s[g % 8] >> g / 8 * 4 & 15) | (s[8 + g % 4] >> g / 4 * 2 & 3) << 4) - 32;
}

static void q3_k_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_q3_k *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d);
        for (int g = 0; g < N_GROUP; g++) {
            const uint8_t *low = b->low + g / 8 * 32 + g % 2 * GROUP, *high = b->high + g % 2 * GROUP;
            int shift = g / 2 % 4 * 2;
            float step = d * (float)scale_at(b->scales, g);
            for (int j = 0; j < GROUP; j++)
                *dst++ = step * (float)(((low[j] >> shift & 3) | (high[j] >> g / 2 & 1) << 2) - 4);
        }
    }
}

static void q3_k_put_codes(void *block, const uint8_t *code) {
    struct block_q3_k *b = block;
    memset(b->high, 0, sizeof b->high);
    memset(b->low, 0, sizeof b->low);
    for (int h = 0; h < 2; h++)
        for (int r = 0; r < 4; r++, code += 32)
            for (int l = 0; l < 32; l++) {
                b->low[32 * h + l] = (uint8_t)(b->low[32 * h + l] | (code[l] & 3) << 2 * r);
                b->high[l] = (uint8_t)(b->high[l] | code[l] >> 2 << (4 * h + r));
            }
}

LANES_FN lanes levels(lanes x) { return lanes_round(x, -4, 3); }

LANES_FN void encode_q3_k(struct block_q3_k *b, const float *x, const float *w) {
    static const float ends[LANES] = {-5, -4.7f, -4.4f, -4.1f, -3.8f, -3.5f, -3.2f, -2.9f, -2.6f, 4.2f, 3.9f, 3.6f, 3.3f, 3, 2.7f, 2.4f};
    struct fit_block f;
    float scale[N_GROUP], q[N];
    uint8_t code[N];
    *b = (struct block_q3_k){.low = {0}};
    fit_load(&f, x, w, N);
    if (f.peak == 0) return;
    fit_scale_block(&f, N_GROUP, GROUP, ends, -32, 31, levels, b->d, scale, q);
    for (int g = 0; g < N_GROUP; g++) {
        int k = (int)scale[g] + 32;
        b->scales[g % 8] = (uint8_t)(b->scales[g % 8] | (k & 15) << g / 8 * 4);
        b->scales[8 + g % 4] = (uint8_t)(b->scales[8 + g % 4] | k >> 4 << g / 4 * 2);
    }
    codes_of_levels(code, q, N, 4);
    q3_k_put_codes(b, code);
}
ENCODER(q3_k, N)

static void q3_k_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_q3_k *b = src;
    for (int64_t i = 0; i < n / N; i++, b++)
        for (int h = 0; h < 2; h++)
            for (int r = 0; r < 4; r++, dst += 32)
                for (int l = 0; l < 32; l++)
                    dst[l] = (uint8_t)((b->low[32 * h + l] >> 2 * r & 3) | (b->high[l] >> (4 * h + r) & 1) << 2);
}

const struct dtype_desc dtype_q3_k = {
    .id = DTYPE_Q3_K,
    .name = "q3_k",
    .gguf_id = 11,
    .block_elems = N,
    .block_bytes = sizeof(struct block_q3_k),
    .to_f32 = q3_k_to_f32,
    .to_codes = q3_k_to_codes,
    .n_code = 8,
    .put_codes = q3_k_put_codes,
    .from_f32 = q3_k_from_f32,
};
