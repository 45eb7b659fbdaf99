/* bf16.c -- bfloat16: the upper half of a 32-bit float. */

#include "format/quant/quant_int.h"

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

static void bf16_row_from_f32(void *dst, const float *src, int64_t n) {
    uint8_t *d = dst;
    for (int64_t i = 0; i < n; i++) {
        uint16_t h = f32_to_bf16(src[i]);
        /* The last half step below the largest float rounds to infinity; finite input stays finite. */
        if (isfinite(src[i]) && (h & 0x7fff) == 0x7f80) h--;
        store_u16(d + 2 * i, h);
    }
}

const struct dtype_desc dtype_bf16 = {
    .id = DTYPE_BF16,
    .name = "bf16",
    .gguf_id = 30,
    .block_elems = 1,
    .block_bytes = 2,
    .to_f32 = bf16_row_to_f32,
    .from_f32 = bf16_row_from_f32,
};
