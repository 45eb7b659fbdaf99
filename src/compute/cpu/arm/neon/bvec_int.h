/* bvec_int.h (neon) -- the byte words in which cpu/vec/unpack_int.h, act_int.h and decode_int.h are written: 16 bytes. */
#ifndef SLM_COMPUTE_CPU_ARM_NEON_BVEC_INT_H
#define SLM_COMPUTE_CPU_ARM_NEON_BVEC_INT_H

#include "compute/cpu/arm/neon/vec_int.h"

typedef uint8x16_t bvec;
#define BVEC_N 16

VEC_FN bvec bvec_zero(void) { return vdupq_n_u8(0); }
VEC_FN bvec bvec_set(uint8_t b) { return vdupq_n_u8(b); }
VEC_FN bvec bvec_load(const uint8_t *p) { return vld1q_u8(p); }
VEC_FN void bvec_store(uint8_t *p, bvec v) { vst1q_u8(p, v); }
VEC_FN bvec bvec_or(bvec a, bvec b) { return vorrq_u8(a, b); }
VEC_FN bvec bvec_xor(bvec a, bvec b) { return veorq_u8(a, b); }
/* (each byte >> shift & (2^n - 1)) << up. The shift by a register needs no constant, so this compiles without optimization too. */
VEC_FN bvec bvec_field(bvec v, const int shift, const int n, const int up) {
    bvec moved = shift == up ? v : vshlq_u8(v, vdupq_n_s8((int8_t)(up - shift)));
    return vandq_u8(moved, vdupq_n_u8((uint8_t)(((1 << n) - 1) << up)));
}
/* 16 bytes to look up by number. */
VEC_FN bvec bvec_table(const uint8_t table[16]) { return vld1q_u8(table); }
VEC_FN bvec bvec_lookup(bvec table, bvec i) { return vqtbl1q_u8(table, i); }
/* VEC_N bytes as floats. */
VEC_FN vec vec_from_u8(const uint8_t *p) {
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four))))));
}

/* The same 16 bytes for decoding. */
typedef uint8x16_t b16;
VEC_FN b16 b16_load(const uint8_t *p) { return vld1q_u8(p); }
VEC_FN b16 b16_or(b16 a, b16 b) { return vorrq_u8(a, b); }
VEC_FN b16 b16_sub(b16 a, int b) { return vsubq_u8(a, vdupq_n_u8((uint8_t)b)); }
VEC_FN b16 b16_field(b16 v, const int shift, const int n, const int up) { return bvec_field(v, shift, n, up); }
/* Lane i is byte part + i of q, signed; part is 0, 4, 8 or 12. */
VEC_FN vec vec_from_i8(b16 q, const int part) {
    int8x16_t s = vreinterpretq_s8_u8(q);
    int16x8_t words = part < 8 ? vmovl_s8(vget_low_s8(s)) : vmovl_high_s8(s);
    return vcvtq_f32_s32(part % 8 == 0 ? vmovl_s16(vget_low_s16(words)) : vmovl_high_s16(words));
}
VEC_FN float f32_of_half(const uint8_t *p) {
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16((uint16_t)(p[0] | p[1] << 8)))), 0);
}

/* act_quantize: 32 floats, eight vectors. Largest magnitudes are compared as the whole numbers that their bits are, so that
 * infinity and what is not a number come out on top. */
VEC_FN uint32_t act_amax_bits(const float *x) {
    uint32x4_t m = vdupq_n_u32(0);
    VEC_UNROLL
    for (int i = 0; i < 32; i += 4) m = vmaxq_u32(m, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x + i)), vdupq_n_u32(0x7fffffff)));
    return vmaxvq_u32(m);
}
VEC_FN int32x4_t act_round_4(const float *x, float inverse) { return vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), inverse)); }
VEC_FN void act_round(int8_t *q, int32_t minus_sum[2], const float *x, float inverse) {
    for (int i = 0; i < 2; i++, x += 16, q += 16) {
        int32x4_t a = act_round_4(x, inverse), b = act_round_4(x + 4, inverse), c = act_round_4(x + 8, inverse), d = act_round_4(x + 12, inverse);
        int16x8_t ab = vqmovn_high_s32(vqmovn_s32(a), b), cd = vqmovn_high_s32(vqmovn_s32(c), d);
        vst1q_s8(q, vqmovn_high_s16(vqmovn_s16(ab), cd));
        minus_sum[i] = -vaddvq_s32(vaddq_s32(vaddq_s32(a, b), vaddq_s32(c, d)));
    }
}

#endif
