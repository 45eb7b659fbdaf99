/* q8_0.c -- 32 signed bytes under one half-precision scale: x = q * d. */
#include "format/quant/lanes_int.h"

#define N 32

struct block_q8_0 {
    uint8_t d[2];
    int8_t q[N];
};
_Static_assert(sizeof(struct block_q8_0) == 34, "layout of the file");

static void q8_0_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_q8_0 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d);
        for (int j = 0; j < N; j++) *dst++ = (float)b->q[j] * d;
    }
}

/* The peak goes to 127 and nothing is searched: at eight bits the search would gain nothing that a model shows. */
LANES_FN void encode_q8_0(struct block_q8_0 *b, const float *x, const float *w) {
    lanes a = lanes_load(x), c = lanes_load(x + LANES);
    float d = store_f16(b->d, lanes_max_lane(lanes_max(lanes_max(a, -a), lanes_max(c, -c))) / 127), q[N];
    float inv = d > 0 && 1 / d <= FLT_MAX ? 1 / d : 0;
    (void)w;
    lanes_store(q, lanes_round(a * inv, -127, 127));
    lanes_store(q + LANES, lanes_round(c * inv, -127, 127));
    for (int j = 0; j < N; j++) b->q[j] = (int8_t)q[j];
}
ENCODER(q8_0, N)

/* Code 128 is level 0. */
static void q8_0_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_q8_0 *b = src;
    for (int64_t i = 0; i < n / N; i++, b++, dst += N)
        for (int j = 0; j < N; j++) dst[j] = (uint8_t)((uint8_t)b->q[j] ^ 0x80);
}

const struct dtype_desc dtype_q8_0 = {
    .id = DTYPE_Q8_0,
    .name = "q8_0",
    .gguf_id = 8,
    .block_elems = N,
    .block_bytes = sizeof(struct block_q8_0),
    .to_f32 = q8_0_to_f32,
    .from_f32 = q8_0_from_f32,
    .to_codes = q8_0_to_codes,
};
