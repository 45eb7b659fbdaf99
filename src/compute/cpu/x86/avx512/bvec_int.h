/* bvec_int.h (avx512) -- the byte words in which cpu/vec/unpack_int.h is written: 64 bytes. */
#ifndef SLM_COMPUTE_CPU_X86_AVX512_BVEC_INT_H
#define SLM_COMPUTE_CPU_X86_AVX512_BVEC_INT_H

#include "compute/cpu/x86/avx512/vec_int.h"

typedef __m512i bvec;
#define BVEC_N 64

VEC_FN bvec bvec_zero(void) { return _mm512_setzero_si512(); }
VEC_FN bvec bvec_set(uint8_t b) { return _mm512_set1_epi8((char)b); }
VEC_FN bvec bvec_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
VEC_FN void bvec_store(uint8_t *p, bvec v) { _mm512_storeu_si512(p, v); }
VEC_FN bvec bvec_or(bvec a, bvec b) { return _mm512_or_si512(a, b); }
VEC_FN bvec bvec_xor(bvec a, bvec b) { return _mm512_xor_si512(a, b); }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" /* compilers disagree whether a shift count is signed */
/* (each byte >> shift & (2^n - 1)) << up. Bits that a 16-bit shift brings from the neighbour are masked. */
VEC_FN bvec bvec_field(bvec v, const int shift, const int n, const int up) {
    bvec moved = shift > up ? _mm512_srli_epi16(v, (uint8_t)(shift - up)) : up > shift ? _mm512_slli_epi16(v, (uint8_t)(up - shift)) : v;
    return _mm512_and_si512(moved, _mm512_set1_epi8((char)(((1 << n) - 1) << up)));
}
#pragma GCC diagnostic pop
/* 16 bytes to look up by number. */
VEC_FN bvec bvec_table(const uint8_t table[16]) { return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)table)); }
VEC_FN bvec bvec_lookup(bvec table, bvec i) { return _mm512_shuffle_epi8(table, i); }
/* VEC_N bytes as floats. */
VEC_FN vec vec_from_u8(const uint8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

/* act_quantize: 32 floats, two vectors. Largest magnitudes are compared as the whole numbers that their bits are, so that
 * infinity and what is not a number come out on top. */
VEC_FN uint32_t act_amax_bits(const float *x) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    __m512i a = _mm512_and_si512(_mm512_loadu_si512(x), magnitude), b = _mm512_and_si512(_mm512_loadu_si512(x + 16), magnitude);
    return (uint32_t)_mm512_reduce_max_epi32(_mm512_max_epi32(a, b));
}
VEC_FN void act_round(int8_t *q, int32_t minus_sum[2], const float *x, float inverse) {
    for (int i = 0; i < 2; i++) {
        __m512i v = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16 * i), _mm512_set1_ps(inverse)));
        _mm_storeu_si128((__m128i *)(void *)(q + 16 * i), _mm512_cvtepi32_epi8(v));
        minus_sum[i] = -_mm512_reduce_add_epi32(v);
    }
}

#endif
