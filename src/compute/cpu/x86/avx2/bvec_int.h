/* bvec_int.h (avx2) -- the byte words in which cpu/vec/unpack_int.h and act_int.h are written: 32 bytes. */
#ifndef SLM_COMPUTE_CPU_X86_AVX2_BVEC_INT_H
#define SLM_COMPUTE_CPU_X86_AVX2_BVEC_INT_H

#include "compute/cpu/x86/avx2/vec_int.h"

typedef __m256i bvec;
#define BVEC_N 32

VEC_FN bvec bvec_zero(void) { return _mm256_setzero_si256(); }
VEC_FN bvec bvec_set(uint8_t b) { return _mm256_set1_epi8((char)b); }
VEC_FN bvec bvec_load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
VEC_FN void bvec_store(uint8_t *p, bvec v) { _mm256_storeu_si256((__m256i *)(void *)p, v); }
VEC_FN bvec bvec_or(bvec a, bvec b) { return _mm256_or_si256(a, b); }
VEC_FN bvec bvec_xor(bvec a, bvec b) { return _mm256_xor_si256(a, b); }
/* (each byte >> shift & (2^n - 1)) << up. Bits that a 16-bit shift brings from the neighbour are masked. */
VEC_FN bvec bvec_field(bvec v, const int shift, const int n, const int up) {
    bvec moved = shift > up ? _mm256_srli_epi16(v, shift - up) : up > shift ? _mm256_slli_epi16(v, up - shift) : v;
    return _mm256_and_si256(moved, _mm256_set1_epi8((char)(((1 << n) - 1) << up)));
}
/* 16 bytes to look up by number. */
VEC_FN bvec bvec_table(const uint8_t table[16]) { return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table)); }
VEC_FN bvec bvec_lookup(bvec table, bvec i) { return _mm256_shuffle_epi8(table, i); }
/* VEC_N bytes as floats. */
VEC_FN vec vec_from_u8(const uint8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

/* act_quantize: 32 floats, four vectors. Largest magnitudes are compared as the whole numbers that their bits are, so that
 * infinity and what is not a number come out on top. */
VEC_FN uint32_t act_amax_bits(const float *x) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i m = _mm256_setzero_si256();
    for (int i = 0; i < 32; i += 8) m = _mm256_max_epi32(m, _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(const void *)(x + i)), magnitude));
    __m128i half = _mm_max_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
    half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}
VEC_FN void act_round(int8_t *q, int32_t minus_sum[2], const float *x, float inverse) {
    for (int i = 0; i < 2; i++, x += 16, q += 16) {
        __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), _mm256_set1_ps(inverse)));
        __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8), _mm256_set1_ps(inverse)));
        __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
        __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        _mm_storeu_si128((__m128i *)(void *)q, bytes);
        __m256i sum = _mm256_add_epi32(a, b);
        __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
        minus_sum[i] = -_mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
    }
}

#endif
