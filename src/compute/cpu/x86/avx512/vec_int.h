/* vec_int.h (avx512) -- the vector words in which cpu/vec/ is written: 16 floats.
 *
 * Everything is static: no function with external linkage may be compiled with this folder's flags, or the linker
 * could keep it for CPUs that lack them. */
#ifndef SLM_COMPUTE_CPU_X86_AVX512_VEC_INT_H
#define SLM_COMPUTE_CPU_X86_AVX512_VEC_INT_H

#include <immintrin.h>
#include <stdint.h>

#include "compute/cpu/vec/compiler_int.h"

typedef __m512 vec;
typedef __m128 vec4; /* sums of four vecs */
#define VEC_N 16
/* Register blocks that fill the 32 registers: matmul_f32 with many tokens, and attention. */
#define VEC_MATMUL_TOKS 6
#define VEC_ATTN_ROWS 6
#define VEC_ATTN_COLS 4

VEC_FN __mmask16 vec_mask(int64_t n) { return (__mmask16)((1u << n) - 1); }

VEC_FN vec vec_zero(void) { return _mm512_setzero_ps(); }
VEC_FN vec vec_set(float f) { return _mm512_set1_ps(f); }
VEC_FN vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
VEC_FN void vec_store(float *p, vec v) { _mm512_storeu_ps(p, v); }
/* The first n of VEC_N lanes; loading fills the others with 0 and touches no memory for them. */
VEC_FN vec vec_load_n(const float *p, int64_t n) { return _mm512_maskz_loadu_ps(vec_mask(n), p); }
VEC_FN void vec_store_n(float *p, vec v, int64_t n) { _mm512_mask_storeu_ps(p, vec_mask(n), v); }

VEC_FN vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
VEC_FN vec vec_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
VEC_FN vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
VEC_FN vec vec_div(vec a, vec b) { return _mm512_div_ps(a, b); }
/* Not a number in b comes through. */
VEC_FN vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
VEC_FN vec vec_min(vec a, vec b) { return _mm512_min_ps(a, b); }
/* a * b + c, rounded once. */
VEC_FN vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
/* To the nearest integer, ties to even. */
VEC_FN vec vec_round(vec a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* a * 2^n for integral n in [-160, 160]. */
VEC_FN vec vec_scale_pow2(vec a, vec n) { return _mm512_scalef_ps(a, n); }

/* a - floor(a), and a * 2^floor(n) for n in [-126, 0]. */
VEC_FN vec vec_fract(vec a) { return _mm512_reduce_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
VEC_FN vec vec_scale_floor(vec a, vec n) { return _mm512_scalef_ps(a, n); }

/* Even lanes a - b, odd lanes a + b. */
VEC_FN vec vec_sub_add(vec a, vec b) { return _mm512_mask_sub_ps(_mm512_add_ps(a, b), 0x5555, a, b); }
VEC_FN vec vec_swap_pairs(vec a) { return _mm512_permute_ps(a, 0xb1); }
/* p[0], p[0], p[1], p[1], ...: VEC_N / 2 floats are read. */
VEC_FN vec vec_load_twice(const float *p) {
    const __m512i index = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_ps(index, _mm512_castps256_ps512(_mm256_loadu_ps(p)));
}

VEC_FN vec vec_load_f16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
VEC_FN vec vec_load_f16_n(const uint16_t *p, int64_t n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(vec_mask(n), p));
}
VEC_FN void vec_store_f16(uint16_t *p, vec v) {
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
VEC_FN void vec_store_f16_n(uint16_t *p, vec v, int64_t n) {
    _mm256_mask_storeu_epi16(p, vec_mask(n), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
VEC_FN vec vec_load_bf16(const void *p) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
/* Lane i of part / VEC_N + i is byte part + i of q, signed. */
VEC_FN vec vec_from_i8(__m128i q, int part) {
    (void)part; /* one vector takes all 16 */
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q));
}

/* Four sums over lanes at once. Every sum is taken by the same tree, wherever its vector stands: lanes i and i + 8,
 * then i + 4, then i + 2, then i + 1. */
VEC_FN __m128 vec_fold(vec v) {
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}
VEC_FN vec4 vec_sum4(vec a, vec b, vec c, vec d) {
    __m128 fa = vec_fold(a), fb = vec_fold(b), fc = vec_fold(c), fd = vec_fold(d);
    __m128 ab = _mm_add_ps(_mm_unpacklo_ps(fa, fb), _mm_unpackhi_ps(fa, fb));
    __m128 cd = _mm_add_ps(_mm_unpacklo_ps(fc, fd), _mm_unpackhi_ps(fc, fd));
    return _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
}
VEC_FN vec4 vec4_scale(vec4 v, float f) { return _mm_mul_ps(v, _mm_set1_ps(f)); }
VEC_FN void vec4_store_n(float *p, vec4 v, int64_t n) { _mm_mask_storeu_ps(p, (__mmask8)((1u << n) - 1), v); }
VEC_FN float vec_sum(vec v) { return _mm_cvtss_f32(vec_sum4(v, v, v, v)); }
VEC_FN float vec_max_lane(vec v) { return _mm512_reduce_max_ps(v); }

/* 32-bit integers, as many as floats; and sums of four products of bytes. */
typedef __m512i veci;
VEC_FN veci veci_zero(void) { return _mm512_setzero_si512(); }
VEC_FN veci veci_of(int32_t i) { return _mm512_set1_epi32(i); }
VEC_FN veci veci_set(const void *p) { return _mm512_set1_epi32(*(const int32_t *)p); } /* four bytes everywhere; aligned */
VEC_FN veci veci_load(const void *p) { return _mm512_loadu_si512(p); }
VEC_FN veci veci_load_n(const void *p, int64_t n) { return _mm512_maskz_loadu_epi32(vec_mask(n), p); }
VEC_FN veci veci_low4(veci b) { return _mm512_and_si512(b, _mm512_set1_epi8(15)); }
VEC_FN veci veci_high4(veci b) { return veci_low4(_mm512_srli_epi16(b, 4)); }
VEC_FN vec veci_to_f32(veci v) { return _mm512_cvtepi32_ps(v); }
/* acc + the four products of unsigned bytes u and signed bytes s, exact. */
VEC_FN veci veci_dot4(veci acc, veci u, veci s) {
#ifdef __AVX512VNNI__
    /* The intrinsic makes gcc 12 copy every accumulator around the instruction, and so spill most of them. */
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(u), "v"(s));
    return acc;
#else
    const __m512i even = _mm512_set1_epi16(0xff);
    __m512i e = _mm512_madd_epi16(_mm512_and_si512(u, even), _mm512_srai_epi16(_mm512_slli_epi16(s, 8), 8));
    __m512i o = _mm512_madd_epi16(_mm512_srli_epi16(u, 8), _mm512_srai_epi16(s, 8));
    return _mm512_add_epi32(_mm512_add_epi32(acc, e), o);
#endif
}
/* 4 * VEC_N bytes: the lanes of four vectors, 0..255, rounded to the nearest integer. */
VEC_FN void vec_store4_u8(uint8_t *p, const vec v[4]) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15); /* packing is by 128 bits */
    __m512i ab = _mm512_packus_epi32(_mm512_cvtps_epi32(v[0]), _mm512_cvtps_epi32(v[1]));
    __m512i cd = _mm512_packus_epi32(_mm512_cvtps_epi32(v[2]), _mm512_cvtps_epi32(v[3]));
    _mm512_storeu_si512(p, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(ab, cd)));
}

/* Sums in double, for long rows. */
struct vec_f64 {
    __m512d lo, hi;
};
VEC_FN struct vec_f64 vec_f64_zero(void) { return (struct vec_f64){_mm512_setzero_pd(), _mm512_setzero_pd()}; }
VEC_FN struct vec_f64 vec_f64_of(vec v) {
    return (struct vec_f64){_mm512_cvtps_pd(_mm512_castps512_ps256(v)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1))};
}
VEC_FN void vec_f64_add(struct vec_f64 *sum, vec v) {
    struct vec_f64 d = vec_f64_of(v);
    sum->lo = _mm512_add_pd(sum->lo, d.lo);
    sum->hi = _mm512_add_pd(sum->hi, d.hi);
}
VEC_FN void vec_f64_add_square(struct vec_f64 *sum, vec v) {
    struct vec_f64 d = vec_f64_of(v);
    sum->lo = _mm512_fmadd_pd(d.lo, d.lo, sum->lo);
    sum->hi = _mm512_fmadd_pd(d.hi, d.hi, sum->hi);
}
VEC_FN double vec_f64_sum(struct vec_f64 v) { return _mm512_reduce_add_pd(_mm512_add_pd(v.lo, v.hi)); }

#endif
