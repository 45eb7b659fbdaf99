/* vec_int.h (neon) -- the vector words in which cpu/vec/ is written: 4 floats, as every 64-bit ARM processor has them. The dotprod and i8mm
 * folders compile the same words; only the sum of four products of bytes is another there.
 *
 * Everything is static: no function with external linkage may be compiled with a folder's flags, or the linker could keep it for
 * CPUs that lack them. Little-endian byte order is taken for granted, as by the file formats' readers. */
#ifndef SLM_COMPUTE_CPU_ARM_NEON_VEC_INT_H
#define SLM_COMPUTE_CPU_ARM_NEON_VEC_INT_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#include "compute/cpu/vec/compiler_int.h"

typedef float32x4_t vec;
typedef float32x4_t vec4; /* sums of four vecs */
#define VEC_N 4
/* Register blocks that fill the 32 registers: matmul_f32 with many tokens, and attention. */
#define VEC_MATMUL_TOKS 6
#define VEC_ATTN_ROWS 6
#define VEC_ATTN_COLS 4

VEC_FN vec vec_zero(void) { return vdupq_n_f32(0); }
VEC_FN vec vec_set(float f) { return vdupq_n_f32(f); }
VEC_FN vec vec_load(const float *p) { return vld1q_f32(p); }
VEC_FN void vec_store(float *p, vec v) { vst1q_f32(p, v); }
/* The first n of VEC_N lanes; loading fills the others with 0 and touches no memory for them. */
VEC_FN vec vec_load_n(const float *p, int64_t n) {
    float all[VEC_N] = {0};
    for (int64_t i = 0; i < n; i++) all[i] = p[i];
    return vld1q_f32(all);
}
VEC_FN void vec_store_n(float *p, vec v, int64_t n) {
    float all[VEC_N];
    vst1q_f32(all, v);
    for (int64_t i = 0; i < n; i++) p[i] = all[i];
}

VEC_FN vec vec_add(vec a, vec b) { return vaddq_f32(a, b); }
VEC_FN vec vec_sub(vec a, vec b) { return vsubq_f32(a, b); }
VEC_FN vec vec_mul(vec a, vec b) { return vmulq_f32(a, b); }
VEC_FN vec vec_div(vec a, vec b) { return vdivq_f32(a, b); }
/* Not a number in b comes through, in a it does not. */
VEC_FN vec vec_max(vec a, vec b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
VEC_FN vec vec_min(vec a, vec b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
/* a * b + c, rounded once. */
VEC_FN vec vec_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
/* To the nearest integer, ties to even. */
VEC_FN vec vec_round(vec a) { return vrndnq_f32(a); }
/* a * 2^n for integral n in [-160, 160]: in two steps, because one power could leave the range of normal floats. */
VEC_FN vec vec_scale_pow2(vec a, vec n) {
    int32x4_t whole = vcvtnq_s32_f32(n), first = vshrq_n_s32(whole, 1), rest = vsubq_s32(whole, first);
    const int32x4_t bias = vdupq_n_s32(127);
    vec p0 = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(first, bias), 23));
    vec p1 = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23));
    return vmulq_f32(vmulq_f32(a, p0), p1);
}

/* a - floor(a), and a * 2^floor(n) for n in [-126, 0]. */
VEC_FN vec vec_fract(vec a) { return vsubq_f32(a, vrndmq_f32(a)); }
VEC_FN vec vec_scale_floor(vec a, vec n) {
    int32x4_t power = vaddq_s32(vcvtmq_s32_f32(n), vdupq_n_s32(127));
    return vmulq_f32(a, vreinterpretq_f32_s32(vshlq_n_s32(power, 23)));
}

/* Even lanes a - b, odd lanes a + b. */
VEC_FN vec vec_sub_add(vec a, vec b) {
    const uint32x4_t even = {~0u, 0, ~0u, 0};
    return vbslq_f32(even, vsubq_f32(a, b), vaddq_f32(a, b));
}
VEC_FN vec vec_swap_pairs(vec a) { return vrev64q_f32(a); }
/* p[0], p[0], p[1], p[1]: VEC_N / 2 floats are read. */
VEC_FN vec vec_load_twice(const float *p) {
    vec both = vcombine_f32(vld1_f32(p), vld1_f32(p));
    return vzip1q_f32(both, both);
}

VEC_FN uint16x4_t halves_load(const void *p) {
    uint16x4_t h;
    memcpy(&h, p, sizeof h);
    return h;
}
VEC_FN vec vec_load_f16(const void *p) { return vcvt_f32_f16(vreinterpret_f16_u16(halves_load(p))); }
VEC_FN vec vec_load_f16_n(const uint16_t *p, int64_t n) {
    uint16_t all[VEC_N] = {0};
    for (int64_t i = 0; i < n; i++) all[i] = p[i];
    return vec_load_f16(all);
}
VEC_FN void vec_store_f16(uint16_t *p, vec v) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
VEC_FN void vec_store_f16_n(uint16_t *p, vec v, int64_t n) {
    uint16_t all[VEC_N];
    vec_store_f16(all, v);
    for (int64_t i = 0; i < n; i++) p[i] = all[i];
}
VEC_FN vec vec_load_bf16(const void *p) { return vreinterpretq_f32_u32(vshll_n_u16(halves_load(p), 16)); }

/* Four sums over lanes at once. Every sum is taken by the same tree, wherever its vector stands: lanes 0 and 1, 2 and 3, then
 * both. */
VEC_FN vec4 vec_sum4(vec a, vec b, vec c, vec d) { return vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)); }
VEC_FN vec4 vec4_scale(vec4 v, float f) { return vmulq_f32(v, vdupq_n_f32(f)); }
VEC_FN void vec4_store_n(float *p, vec4 v, int64_t n) {
    if (n == VEC_N) vst1q_f32(p, v);
    else vec_store_n(p, v, n);
}
VEC_FN float vec_sum(vec v) { return vgetq_lane_f32(vec_sum4(v, v, v, v), 0); }
VEC_FN float vec_max_lane(vec v) { return vmaxvq_f32(v); }

/* 32-bit integers, as many as floats; and sums of four products of bytes. */
typedef int32x4_t veci;
VEC_FN veci veci_zero(void) { return vdupq_n_s32(0); }
VEC_FN veci veci_of(int32_t i) { return vdupq_n_s32(i); }
VEC_FN veci veci_set(const void *p) { /* four bytes everywhere */
    int32_t four;
    memcpy(&four, p, sizeof four);
    return vdupq_n_s32(four);
}
VEC_FN veci veci_load(const void *p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
VEC_FN veci veci_load_n(const void *p, int64_t n) {
    int32_t all[VEC_N] = {0};
    memcpy(all, p, (size_t)n * sizeof *all);
    return vld1q_s32(all);
}
VEC_FN veci veci_low4(veci b) { return vreinterpretq_s32_u8(vandq_u8(vreinterpretq_u8_s32(b), vdupq_n_u8(15))); }
VEC_FN veci veci_high4(veci b) { return vreinterpretq_s32_u8(vshrq_n_u8(vreinterpretq_u8_s32(b), 4)); }
VEC_FN vec veci_to_f32(veci v) { return vcvtq_f32_s32(v); }
/* acc + the four products of unsigned bytes u and signed bytes s, exact. */
VEC_FN veci veci_dot4(veci acc, veci u, veci s) {
    uint8x16_t a = vreinterpretq_u8_s32(u);
    int8x16_t b = vreinterpretq_s8_s32(s);
#if defined(__ARM_FEATURE_MATMUL_INT8)
    return vusdotq_s32(acc, a, b);
#elif defined(__ARM_FEATURE_DOTPROD)
    /* u s = (u - 128) s + 128 s; the second sum is the same for all that s is multiplied by, and is taken once for them. */
    int32x4_t minus_sum = vdotq_s32(vdupq_n_s32(0), b, vdupq_n_s8(-128));
    return vsubq_s32(vdotq_s32(acc, vreinterpretq_s8_u8(veorq_u8(a, vdupq_n_u8(0x80))), b), minus_sum);
#else
    int16x8_t low = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(a))), vmovl_s8(vget_low_s8(b))); /* 255 * -128 fits */
    int16x8_t high = vmulq_s16(vreinterpretq_s16_u16(vmovl_high_u8(a)), vmovl_high_s8(b));
    return vaddq_s32(acc, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
#endif
}
/* 4 * VEC_N bytes: the lanes of four vectors, 0..255, rounded to the nearest integer. */
VEC_FN void vec_store4_u8(uint8_t *p, const vec v[4]) {
    uint16x8_t ab = vmovn_high_u32(vmovn_u32(vcvtnq_u32_f32(v[0])), vcvtnq_u32_f32(v[1]));
    uint16x8_t cd = vmovn_high_u32(vmovn_u32(vcvtnq_u32_f32(v[2])), vcvtnq_u32_f32(v[3]));
    vst1q_u8(p, vmovn_high_u16(vmovn_u16(ab), cd));
}

/* Sums in double, for long rows. */
struct vec_f64 {
    float64x2_t lo, hi;
};
VEC_FN struct vec_f64 vec_f64_zero(void) { return (struct vec_f64){vdupq_n_f64(0), vdupq_n_f64(0)}; }
VEC_FN struct vec_f64 vec_f64_of(vec v) { return (struct vec_f64){vcvt_f64_f32(vget_low_f32(v)), vcvt_high_f64_f32(v)}; }
VEC_FN void vec_f64_add(struct vec_f64 *sum, vec v) {
    struct vec_f64 d = vec_f64_of(v);
    sum->lo = vaddq_f64(sum->lo, d.lo);
    sum->hi = vaddq_f64(sum->hi, d.hi);
}
VEC_FN void vec_f64_add_square(struct vec_f64 *sum, vec v) {
    struct vec_f64 d = vec_f64_of(v);
    sum->lo = vfmaq_f64(sum->lo, d.lo, d.lo);
    sum->hi = vfmaq_f64(sum->hi, d.hi, d.hi);
}
VEC_FN double vec_f64_sum(struct vec_f64 v) { return vaddvq_f64(vaddq_f64(v.lo, v.hi)); }

#endif
