/* decode_int.h -- to_f32 of every type but f32, for the x86 folders: bytes in 128-bit registers, floats in `vec`.
 *
 * Bit-equal to the reference in format/quant/: the same products in the same order, rounded separately (the build turns
 * contraction off). Byte offsets below are those of the blocks described there; tests/ops compares every type. */
#ifndef SLM_COMPUTE_CPU_X86_DECODE_INT_H
#define SLM_COMPUTE_CPU_X86_DECODE_INT_H

#include "compute/ops.h"

enum {
    B16 = 16,         /* bytes of one byte register */
    GROUP = 32,       /* elements of a q8_0 or q4_0 block and of a q4_k group */
    SUPER = 256,      /* elements of a k-quant block */
    SCALE_BYTES = 2,  /* a half-precision scale */
    Q8_0_BYTES = 34,  /* d, 32 levels */
    Q4_0_BYTES = 18,  /* d, 32 levels of 4 bits */
    Q4_K_BYTES = 144, /* d, dmin, 12 bytes of scales, 256 levels of 4 bits */
    Q4_K_SCALES = 4,
    Q4_K_LEVELS = 16,
    Q6_K_BYTES = 210, /* 256 low halves, 256 high quarters, 16 scales, d */
    Q6_K_HIGH = 128,
    Q6_K_SCALES = 192,
    Q6_K_D = 208,
};

VEC_FN __m128i bytes_load(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
VEC_FN __m128i bytes_low4(__m128i b) { return _mm_and_si128(b, _mm_set1_epi8(15)); }
VEC_FN __m128i bytes_high4(__m128i b) { return bytes_low4(_mm_srli_epi16(b, 4)); }
VEC_FN float half_at(const uint8_t *p) { return _cvtsh_ss((uint16_t)(p[0] | p[1] << 8)); }

/* dst[16] = q[16] * step */
VEC_FN void store_scaled(float *dst, __m128i q, vec step) {
    for (int i = 0; i < B16; i += VEC_N) vec_store(dst + i, vec_mul(vec_from_i8(q, i), step));
}

/* dst[16] = q[16] * step - base */
VEC_FN void store_scaled_minus(float *dst, __m128i q, vec step, vec base) {
    for (int i = 0; i < B16; i += VEC_N) vec_store(dst + i, vec_sub(vec_mul(vec_from_i8(q, i), step), base));
}

static void decode_f16(float *dst, const void *src, int64_t n) {
    const uint8_t *s = src;
    int64_t i = 0;
    for (; i + VEC_N <= n; i += VEC_N) vec_store(dst + i, vec_load_f16(s + 2 * i));
    for (; i < n; i++) dst[i] = half_at(s + 2 * i);
}

static void decode_bf16(float *dst, const void *src, int64_t n) {
    const uint8_t *s = src;
    int64_t i = 0;
    for (; i + VEC_N <= n; i += VEC_N) vec_store(dst + i, vec_load_bf16(s + 2 * i));
    for (; i < n; i++) {
        uint32_t bits = (uint32_t)s[2 * i] << 16 | (uint32_t)s[2 * i + 1] << 24;
        __builtin_memcpy(dst + i, &bits, sizeof bits);
    }
}

static void decode_q8_0(float *dst, const void *src, int64_t n) {
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += GROUP, b += Q8_0_BYTES) {
        vec d = vec_set(half_at(b));
        store_scaled(dst + i, bytes_load(b + SCALE_BYTES), d);
        store_scaled(dst + i + B16, bytes_load(b + SCALE_BYTES + B16), d);
    }
}

static void decode_q4_0(float *dst, const void *src, int64_t n) {
    const uint8_t *b = src;
    const __m128i zero_level = _mm_set1_epi8(8);
    for (int64_t i = 0; i < n; i += GROUP, b += Q4_0_BYTES) {
        vec d = vec_set(half_at(b));
        __m128i q = bytes_load(b + SCALE_BYTES);
        store_scaled(dst + i, _mm_sub_epi8(bytes_low4(q), zero_level), d);
        store_scaled(dst + i + B16, _mm_sub_epi8(bytes_high4(q), zero_level), d);
    }
}

/* Six-bit scale and minimum of all eight groups, unpacked in two 64-bit words of one byte each. */
VEC_FN void unpack_q4_k_scales(const uint8_t *s, uint8_t scale[8], uint8_t min[8]) {
    for (int g = 0; g < 4; g++) {
        scale[g] = s[g] & 63;
        min[g] = s[g + 4] & 63;
        scale[g + 4] = (uint8_t)((s[g + 8] & 15) | (s[g] >> 6) << 4);
        min[g + 4] = (uint8_t)(s[g + 8] >> 4 | (s[g + 4] >> 6) << 4);
    }
}

static void decode_q4_k(float *dst, const void *src, int64_t n) {
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += SUPER, b += Q4_K_BYTES) {
        float d = half_at(b);
        float dmin = half_at(b + SCALE_BYTES);
        uint8_t scale[8], min[8];
        unpack_q4_k_scales(b + Q4_K_SCALES, scale, min);
        for (int g = 0; g < 8; g += 2) { /* 32 bytes hold two groups: low and high halves */
            vec step0 = vec_set(d * (float)scale[g]), base0 = vec_set(dmin * (float)min[g]);
            vec step1 = vec_set(d * (float)scale[g + 1]), base1 = vec_set(dmin * (float)min[g + 1]);
            for (int j = 0; j < GROUP; j += B16) {
                __m128i q = bytes_load(b + Q4_K_LEVELS + g / 2 * GROUP + j);
                store_scaled_minus(dst + i + g * GROUP + j, bytes_low4(q), step0, base0);
                store_scaled_minus(dst + i + (g + 1) * GROUP + j, bytes_high4(q), step1, base1);
            }
        }
    }
}

/* 16 levels of six bits from registers whose wanted bits lie lowest (others may be set), less 32. */
VEC_FN __m128i join_q6_k(__m128i low4, __m128i high2) {
    __m128i high = _mm_slli_epi16(_mm_and_si128(high2, _mm_set1_epi8(3)), 4);
    return _mm_sub_epi8(_mm_or_si128(bytes_low4(low4), high), _mm_set1_epi8(32));
}

static void decode_q6_k(float *dst, const void *src, int64_t n) {
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += SUPER, b += Q6_K_BYTES) {
        float d = half_at(b + Q6_K_D);
        for (int e = 0; e < SUPER; e += 128) {
            for (int l = 0; l < 32; l += B16) {
                __m128i low0 = bytes_load(b + e / 2 + l);
                __m128i low1 = bytes_load(b + e / 2 + 32 + l);
                __m128i high = bytes_load(b + Q6_K_HIGH + e / 4 + l);
                __m128i q[4] = {join_q6_k(low0, high), join_q6_k(low1, _mm_srli_epi16(high, 2)),
                                join_q6_k(_mm_srli_epi16(low0, 4), _mm_srli_epi16(high, 4)),
                                join_q6_k(_mm_srli_epi16(low1, 4), _mm_srli_epi16(high, 6))};
                for (int r = 0; r < 4; r++) {
                    int at = e + 32 * r + l;
                    float step = d * (float)(int8_t)b[Q6_K_SCALES + at / B16];
                    store_scaled(dst + i + at, q[r], vec_set(step));
                }
            }
        }
    }
}

static void vec_overlay_decode(struct ops *o) {
    o->to_f32[DTYPE_F16] = decode_f16;
    o->to_f32[DTYPE_BF16] = decode_bf16;
    o->to_f32[DTYPE_Q8_0] = decode_q8_0;
    o->to_f32[DTYPE_Q4_0] = decode_q4_0;
    o->to_f32[DTYPE_Q4_K] = decode_q4_k;
    o->to_f32[DTYPE_Q6_K] = decode_q6_k;
}

#endif
