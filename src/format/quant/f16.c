/* f16.c -- IEEE 754 half precision, and the plain 32-bit float beside it.
 *
 * Conversions use integer arithmetic, so that they give the same bits on every machine; the one float
 * addition, for subnormal halves, lets the hardware round at exactly 2^-24, the step of 0.5f. */

#include "format/quant/lanes_int.h"

static uint32_t bits_of(float f) {
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    return b;
}

static float float_of(uint32_t b) {
    float f;
    memcpy(&f, &b, sizeof f);
    return f;
}

float f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, mag = h & 0x7fff;
    if (mag >= 0x7c00) return float_of(sign | 0x7f800000u | (mag & 0x3ff) << 13);
    if (mag >= 0x0400) return float_of(sign | ((mag << 13) + (112u << 23)));
    return float_of(sign | bits_of((float)mag * 0x1p-24f));
}

uint16_t f32_to_f16(float f) {
    uint32_t bits = bits_of(f), mag = bits & 0x7fffffffu;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (mag > 0x7f800000u) return (uint16_t)(sign | 0x7e00 | (mag >> 13 & 0x3ff));
    if (mag >= bits_of(65520.0f)) return sign | 0x7c00; /* half way past the largest half */
    if (mag < bits_of(0x1p-14f)) return (uint16_t)(sign | (bits_of(float_of(mag) + 0.5f) - bits_of(0.5f)));
    mag -= 112u << 23;
    return (uint16_t)(sign | (mag + 0xfff + (mag >> 13 & 1)) >> 13);
}

static void f16_row_to_f32(float *dst, const void *src, int64_t n) {
    const uint8_t *s = src;
    for (int64_t i = 0; i < n; i++) dst[i] = load_f16(s + 2 * i);
}

/* f32_to_f16 without branches, for the compiler to widen; a finite number stays finite. */
static inline uint16_t f16_of(float f) {
    uint32_t bits = bits_of(f), mag = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000;
    uint32_t moved = mag - (112u << 23), normal = (moved + 0xfff + (moved >> 13 & 1)) >> 13;
    uint32_t small = bits_of(float_of(mag) + 0.5f) - 0x3f000000u;
    uint32_t h = mag < 0x38800000u ? small : normal; /* 2^-14 */
    h = mag >= 0x477fe000u ? 0x7bff : h;             /* the largest half */
    h = mag == 0x7f800000u ? 0x7c00 : h;
    h = mag > 0x7f800000u ? 0x7e00 | (mag >> 13 & 0x3ff) : h;
    return (uint16_t)(sign | h);
}

LANES_FN void f16_rows(void *dst, const float *src, int64_t n, const float *importance) {
    (void)importance;
    uint16_t h[256];
    for (int64_t i = 0; i < n; i += 256) {
        int64_t m = n - i < 256 ? n - i : 256;
        for (int64_t j = 0; j < m; j++) h[j] = f16_of(src[i + j]);
        memcpy((uint8_t *)dst + 2 * i, h, 2 * (size_t)m);
    }
}
ENCODER_VERSIONS(f16)

static void f32_row_to_f32(float *dst, const void *src, int64_t n) { memcpy(dst, src, (size_t)n * sizeof *dst); }
static void f32_row_from_f32(void *dst, const float *src, int64_t n, const float *importance) {
    (void)importance; memcpy(dst, src, (size_t)n * sizeof *src); }

const struct dtype_desc dtype_f16 = {
    .id = DTYPE_F16,
    .name = "f16",
    .gguf_id = 1,
    .block_elems = 1,
    .block_bytes = 2,
    .to_f32 = f16_row_to_f32,
    .from_f32 = f16_from_f32,
};

const struct dtype_desc dtype_f32 = {
    .id = DTYPE_F32,
    .name = "f32",
    .gguf_id = 0,
    .block_elems = 1,
    .block_bytes = 4,
    .to_f32 = f32_row_to_f32,
    .from_f32 = f32_row_from_f32,
};
