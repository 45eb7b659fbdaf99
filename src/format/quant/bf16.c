/* bf16.c -- bfloat16: the upper half of a 32-bit float. */

#include "format/quant/lanes_int.h"

float bf16_to_f32(uint16_t h) {
    uint32_t b = (uint32_t)h << 16;
    float f;
    memcpy(&f, &b, sizeof f);
    return f;
}

uint16_t f32_to_bf16(float f) {
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    /* Rounding could carry a NaN's mantissa away, so it is kept by its quiet bit instead. */
    if ((b & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(b >> 16 | 0x40);
    return (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}

static void bf16_row_to_f32(float *dst, const void *src, int64_t n) {
    const uint8_t *s = src;
    for (int64_t i = 0; i < n; i++) dst[i] = bf16_to_f32(load_u16(s + 2 * i));
}

/* f32_to_bf16 without branches; a finite number stays finite, though the last half step below the largest float rounds up. */
static inline uint16_t bf16_of(float f) {
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    uint32_t mag = b & 0x7fffffffu, h = (b + 0x7fff + (b >> 16 & 1)) >> 16;
    h = mag >= 0x7f7f8000u ? (b >> 16 & 0x8000) | 0x7f7f : h;
    h = mag >= 0x7f800000u ? b >> 16 : h;
    h = mag > 0x7f800000u ? b >> 16 | 0x40 : h;
    return (uint16_t)h;
}

LANES_FN void bf16_rows(void *dst, const float *src, int64_t n, const float *importance) {
    (void)importance;
    uint16_t h[256];
    for (int64_t i = 0; i < n; i += 256) {
        int64_t m = n - i < 256 ? n - i : 256;
        for (int64_t j = 0; j < m; j++) h[j] = bf16_of(src[i + j]);
        memcpy((uint8_t *)dst + 2 * i, h, 2 * (size_t)m);
    }
}
ENCODER_VERSIONS(bf16)

const struct dtype_desc dtype_bf16 = {
    .id = DTYPE_BF16,
    .name = "bf16",
    .gguf_id = 30,
    .block_elems = 1,
    .block_bytes = 2,
    .to_f32 = bf16_row_to_f32,
    .from_f32 = bf16_from_f32,
};
