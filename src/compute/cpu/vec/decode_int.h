/* decode_int.h -- to_f32 of the types that matter most: bytes in words of 16, floats in `vec`.
 *
 * Include it after the folder's vec_int.h and the family's b16_int.h. Bit-equal to the reference in format/quant/: the same products in the same order, rounded separately (the build turns
 * contraction off). Byte offsets below are those of the blocks described there; tests/ops compares every type. */
#ifndef SLM_COMPUTE_CPU_VEC_DECODE_INT_H
#define SLM_COMPUTE_CPU_VEC_DECODE_INT_H

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

/* dst[16] = q[16] * step */
VEC_FN void store_scaled(float *dst, b16 q, vec step) {
    VEC_UNROLL
    for (int i = 0; i < B16; i += VEC_N) vec_store(dst + i, vec_mul(vec_from_i8(q, i), step));
}

/* dst[16] = q[16] * step - base */
VEC_FN void store_scaled_minus(float *dst, b16 q, vec step, vec base) {
    VEC_UNROLL
    for (int i = 0; i < B16; i += VEC_N) vec_store(dst + i, vec_sub(vec_mul(vec_from_i8(q, i), step), base));
}

static void decode_f16(float *dst, const void *src, int64_t n) {
    const uint8_t *s = src;
    int64_t i = 0;
    for (; i + VEC_N <= n; i += VEC_N) vec_store(dst + i, vec_load_f16(s + 2 * i));
    for (; i < n; i++) dst[i] = f32_of_half(s + 2 * i);
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
        vec d = vec_set(f32_of_half(b));
        store_scaled(dst + i, b16_load(b + SCALE_BYTES), d);
        store_scaled(dst + i + B16, b16_load(b + SCALE_BYTES + B16), d);
    }
}

static void decode_q4_0(float *dst, const void *src, int64_t n) {
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += GROUP, b += Q4_0_BYTES) {
        vec d = vec_set(f32_of_half(b));
        b16 q = b16_load(b + SCALE_BYTES);
        store_scaled(dst + i, b16_sub(b16_field(q, 0, 4, 0), 8), d);
        store_scaled(dst + i + B16, b16_sub(b16_field(q, 4, 4, 0), 8), d);
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
        float d = f32_of_half(b);
        float dmin = f32_of_half(b + SCALE_BYTES);
        uint8_t scale[8], min[8];
        unpack_q4_k_scales(b + Q4_K_SCALES, scale, min);
        for (int g = 0; g < 8; g += 2) { /* 32 bytes hold two groups: low and high halves */
            vec step0 = vec_set(d * (float)scale[g]), base0 = vec_set(dmin * (float)min[g]);
            vec step1 = vec_set(d * (float)scale[g + 1]), base1 = vec_set(dmin * (float)min[g + 1]);
            for (int j = 0; j < GROUP; j += B16) {
                b16 q = b16_load(b + Q4_K_LEVELS + g / 2 * GROUP + j);
                store_scaled_minus(dst + i + g * GROUP + j, b16_field(q, 0, 4, 0), step0, base0);
                store_scaled_minus(dst + i + (g + 1) * GROUP + j, b16_field(q, 4, 4, 0), step1, base1);
            }
        }
    }
}

/* 16 levels of six bits: 4 from one word, at low_shift, and 2 from another, less 32. */
VEC_FN b16 join_q6_k(b16 low, const int low_shift, b16 high, const int high_shift) {
    return b16_sub(b16_or(b16_field(low, low_shift, 4, 0), b16_field(high, high_shift, 2, 4)), 32);
}

static void decode_q6_k(float *dst, const void *src, int64_t n) {
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += SUPER, b += Q6_K_BYTES) {
        float d = f32_of_half(b + Q6_K_D);
        for (int e = 0; e < SUPER; e += 128) {
            for (int l = 0; l < 32; l += B16) {
                b16 low0 = b16_load(b + e / 2 + l);
                b16 low1 = b16_load(b + e / 2 + 32 + l);
                b16 high = b16_load(b + Q6_K_HIGH + e / 4 + l);
                b16 q[4] = {join_q6_k(low0, 0, high, 0), join_q6_k(low1, 0, high, 2), join_q6_k(low0, 4, high, 4), join_q6_k(low1, 4, high, 6)};
                VEC_UNROLL
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
