/* q6_k.c -- 256 six-bit levels in 16 groups of 16, each with a signed 8-bit scale:
 * x = (d * scale) * (q - 32).
 *
 * A block is two halves of 128 elements. In a half, element e = 32 r + l (r 0..3, l 0..31) has its low four
 * bits in ql[32 (r & 1) + l], in the high part of the byte for r >= 2, and its two high bits in qh[l] at bit 2 r.
 */
#include "format/quant/fit_int.h"

#define N 256
#define HALF 128
#define GROUP 16
#define N_GROUP 16

struct block_q6_k {
    uint8_t ql[N / 2], qh[N / 4];
    int8_t scales[N_GROUP];
    uint8_t d[2];
};
_Static_assert(sizeof(struct block_q6_k) == 210, "layout of the file");

static void q6_k_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_q6_k *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d);
        for (int e = 0; e < N; e++) {
            int half = e / HALF, r = e / 32 % 4, l = e % 32;
            int low = b->ql[64 * half + 32 * (r & 1) + l] >> 4 * (r >> 1) & 15;
            int high = b->qh[32 * half + l] >> 2 * r & 3;
            float step = d * (float)b->scales[e / GROUP];
            *dst++ = step * (float)((low | high << 4) - 32);
        }
    }
}

LANES_FN lanes levels(lanes x) { return lanes_round(x, -32, 31); }

LANES_FN void encode_q6_k(struct block_q6_k *b, const float *x, const float *w) {
    static const float ends[LANES] = {-34, -33.5f, -33, -32.5f, -32, -31.5f, -31, -30.5f, -30, 32.5f, 32, 31.5f, 31, 30.5f, 30, 29.5f};
    struct fit_block f;
    float scale[N_GROUP], q[N];
    *b = (struct block_q6_k){.ql = {0}};
    fit_load(&f, x, w, N);
    if (f.peak == 0) return;
    fit_scale_block(&f, N_GROUP, GROUP, ends, -128, 127, levels, b->d, scale, q);
    for (int g = 0; g < N_GROUP; g++) b->scales[g] = (int8_t)scale[g];
    for (int h = 0; h < 2; h++)
        for (int l = 0; l < 32; l++) {
            int level[4];
            for (int r = 0; r < 4; r++) level[r] = (int)q[HALF * h + 32 * r + l] + 32;
            b->ql[64 * h + l] = (uint8_t)((level[0] & 15) | (level[2] & 15) << 4);
            b->ql[64 * h + 32 + l] = (uint8_t)((level[1] & 15) | (level[3] & 15) << 4);
            b->qh[32 * h + l] = (uint8_t)(level[0] >> 4 | level[1] >> 4 << 2 | level[2] >> 4 << 4 | level[3] >> 4 << 6);
        }
}
ENCODER(q6_k, N)

static void q6_k_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_q6_k *b = src;
    for (int64_t i = 0; i < n / N; i++, b++)
        for (int h = 0; h < N / HALF; h++)
            for (int r = 0; r < 4; r++, dst += 32) {
                const uint8_t *ql = b->ql + 64 * h + 32 * (r & 1), *qh = b->qh + 32 * h;
                for (int l = 0; l < 32; l++) dst[l] = (uint8_t)((ql[l] >> 4 * (r >> 1) & 15) | (qh[l] >> 2 * r & 3) << 4);
            }
}

const struct dtype_desc dtype_q6_k = {
    .id = DTYPE_Q6_K,
    .name = "q6_k",
    .gguf_id = 14,
    .block_elems = N,
    .block_bytes = sizeof(struct block_q6_k),
    .to_f32 = q6_k_to_f32,
    .from_f32 = q6_k_from_f32,
    .to_codes = q6_k_to_codes,
};
