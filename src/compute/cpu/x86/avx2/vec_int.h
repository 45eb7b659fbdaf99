/* vec_int.h (avx2) -- the vector words in which cpu/vec/ is written: 8 floats, with the fused
 * multiply-add and half-precision conversions that every AVX2 processor has beside it.
 *
 * Everything is static: no function with external linkage may be compiled with this folder's flags, or the linker
 * could keep it for CPUs that lack them. */
#ifndef SLM_COMPUTE_CPU_X86_AVX2_VEC_INT_H
#define SLM_COMPUTE_CPU_X86_AVX2_VEC_INT_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "compute/cpu/vec/compiler_int.h"

typedef __m256 vec;
typedef __m128 vec4; /* sums of four vecs */
#define VEC_N 8
/* Register blocks that fill the 16 registers: matmul_f32 with many tokens, and attention. */
#define VEC_MATMUL_TOKS 3
#define VEC_ATTN_ROWS 6
#define VEC_ATTN_COLS 2

/* Sign bits set in the first n lanes. */
VEC_FN __m256i vec_mask(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

VEC_FN vec vec_zero(void) { return _mm256_setzero_ps(); }
VEC_FN vec vec_set(float f) { return _mm256_set1_ps(f); }
VEC_FN vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
VEC_FN void vec_store(float *p, vec v) { _mm256_storeu_ps(p, v); }
/* The first n of VEC_N lanes; loading fills the others with 0 and touches no memory for them. */
VEC_FN vec vec_load_n(const float *p, int64_t n) { return _mm256_maskload_ps(p, vec_mask(n)); }
VEC_FN void vec_store_n(float *p, vec v, int64_t n) { _mm256_maskstore_ps(p, vec_mask(n), v); }

VEC_FN vec vec_add(vec a, vec b) { return _mm256_add_ps(a, b); }
VEC_FN vec vec_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
VEC_FN vec vec_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
VEC_FN vec vec_div(vec a, vec b) { return _mm256_div_ps(a, b); }
/* Not a number in b comes through. */
VEC_FN vec vec_max(vec a, vec b) { return _mm256_max_ps(a, b); }
VEC_FN vec vec_min(vec a, vec b) { return _mm256_min_ps(a, b); }
/* a * b + c, rounded once. */
VEC_FN vec vec_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
/* To the nearest integer, ties to even. */
VEC_FN vec vec_round(vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* a * 2^n for integral n in [-160, 160]: in two steps, because one power could leave the range of normal floats. */
VEC_FN vec vec_scale_pow2(vec a, vec n) {
    __m256i whole = _mm256_cvtps_epi32(n);
    __m256i first = _mm256_srai_epi32(whole, 1);
    __m256i rest = _mm256_sub_epi32(whole, first);
    const __m256i bias = _mm256_set1_epi32(127);
    __m256 p0 = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(first, bias), 23));
    __m256 p1 = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
    return _mm256_mul_ps(_mm256_mul_ps(a, p0), p1);
}

/* a - floor(a), and a * 2^floor(n) for n in [-126, 0]. */
VEC_FN vec vec_fract(vec a) { return _mm256_sub_ps(a, _mm256_floor_ps(a)); }
VEC_FN vec vec_scale_floor(vec a, vec n) {
    __m256i power = _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_floor_ps(n)), _mm256_set1_epi32(127));
    return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(power, 23)));
}

/* Even lanes a - b, odd lanes a + b. */
VEC_FN vec vec_sub_add(vec a, vec b) { return _mm256_addsub_ps(a, b); }
VEC_FN vec vec_swap_pairs(vec a) { return _mm256_permute_ps(a, 0xb1); }
/* p[0], p[0], p[1], p[1], ...: VEC_N / 2 floats are read. */
VEC_FN vec vec_load_twice(const float *p) {
    const __m256i index = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    return _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), index);
}

VEC_FN vec vec_load_f16(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
VEC_FN vec vec_load_f16_n(const uint16_t *p, int64_t n) {
    uint16_t all[VEC_N] = {0};
    memcpy(all, p, (size_t)n * sizeof *p);
    return vec_load_f16(all);
}
VEC_FN void vec_store_f16(uint16_t *p, vec v) {
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
VEC_FN void vec_store_f16_n(uint16_t *p, vec v, int64_t n) {
    uint16_t all[VEC_N];
    vec_store_f16(all, v);
    memcpy(p, all, (size_t)n * sizeof *p);
}
VEC_FN vec vec_load_bf16(const void *p) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
/* Lane i is byte part + i of q, signed; part is 0 or 8. */
VEC_FN vec vec_from_i8(__m128i q, int part) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(part ? _mm_srli_si128(q, 8) : q));
}

/* Four sums over lanes at once. Every sum is taken by the same tree, wherever its vector stands: lanes i and i + 4,
 * then i + 2, then i + 1. */
VEC_FN __m128 vec_fold(vec v) { return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)); }
VEC_FN vec4 vec_sum4(vec a, vec b, vec c, vec d) {
    __m128 fa = vec_fold(a), fb = vec_fold(b), fc = vec_fold(c), fd = vec_fold(d);
    __m128 ab = _mm_add_ps(_mm_unpacklo_ps(fa, fb), _mm_unpackhi_ps(fa, fb));
    __m128 cd = _mm_add_ps(_mm_unpacklo_ps(fc, fd), _mm_unpackhi_ps(fc, fd));
    return _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
}
VEC_FN vec4 vec4_scale(vec4 v, float f) { return _mm_mul_ps(v, _mm_set1_ps(f)); }
VEC_FN void vec4_store_n(float *p, vec4 v, int64_t n) {
    _mm_maskstore_ps(p, _mm_cmpgt_epi32(_mm_set1_epi32((int)n), _mm_setr_epi32(0, 1, 2, 3)), v);
}
VEC_FN float vec_sum(vec v) { return _mm_cvtss_f32(vec_sum4(v, v, v, v)); }
VEC_FN float vec_max_lane(vec v) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/* 32-bit integers, as many as floats; and sums of four products of bytes. */
typedef __m256i veci;
VEC_FN veci veci_zero(void) { return _mm256_setzero_si256(); }
VEC_FN veci veci_of(int32_t i) { return _mm256_set1_epi32(i); }
VEC_FN veci veci_set(const void *p) { return _mm256_set1_epi32(*(const int32_t *)p); } /* four bytes everywhere; aligned */
VEC_FN veci veci_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
VEC_FN veci veci_load_n(const void *p, int64_t n) { return _mm256_maskload_epi32((const int *)p, vec_mask(n)); }
VEC_FN veci veci_low4(veci b) { return _mm256_and_si256(b, _mm256_set1_epi8(15)); }
VEC_FN veci veci_high4(veci b) { return veci_low4(_mm256_srli_epi16(b, 4)); }
VEC_FN vec veci_to_f32(veci v) { return _mm256_cvtepi32_ps(v); }
/* acc + the four products of unsigned bytes u and signed bytes s, exact: the one instruction for it saturates. */
VEC_FN veci veci_dot4(veci acc, veci u, veci s) {
    const __m256i even = _mm256_set1_epi16(0xff);
    __m256i e = _mm256_madd_epi16(_mm256_and_si256(u, even), _mm256_srai_epi16(_mm256_slli_epi16(s, 8), 8));
    __m256i o = _mm256_madd_epi16(_mm256_srli_epi16(u, 8), _mm256_srai_epi16(s, 8));
    return _mm256_add_epi32(_mm256_add_epi32(acc, e), o);
}
/* 4 * VEC_N bytes: the lanes of four vectors, 0..255, rounded to the nearest integer. */
VEC_FN void vec_store4_u8(uint8_t *p, const vec v[4]) {
    __m256i ab = _mm256_packus_epi32(_mm256_cvtps_epi32(v[0]), _mm256_cvtps_epi32(v[1])); /* packing is by 128 bits */
    __m256i cd = _mm256_packus_epi32(_mm256_cvtps_epi32(v[2]), _mm256_cvtps_epi32(v[3]));
    __m256i all = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(ab, cd), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(void *)p, all);
}

/* Sums in double, for long rows. */
struct vec_f64 {
    __m256d lo, hi;
};
VEC_FN struct vec_f64 vec_f64_zero(void) { return (struct vec_f64){_mm256_setzero_pd(), _mm256_setzero_pd()}; }
VEC_FN struct vec_f64 vec_f64_of(vec v) {
    return (struct vec_f64){_mm256_cvtps_pd(_mm256_castps256_ps128(v)), _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1))};
}
VEC_FN void vec_f64_add(struct vec_f64 *sum, vec v) {
    struct vec_f64 d = vec_f64_of(v);
    sum->lo = _mm256_add_pd(sum->lo, d.lo);
    sum->hi = _mm256_add_pd(sum->hi, d.hi);
}
VEC_FN void vec_f64_add_square(struct vec_f64 *sum, vec v) {
    struct vec_f64 d = vec_f64_of(v);
    sum->lo = _mm256_fmadd_pd(d.lo, d.lo, sum->lo);
    sum->hi = _mm256_fmadd_pd(d.hi, d.hi, sum->hi);
}
VEC_FN double vec_f64_sum(struct vec_f64 v) {
    double lane[4];
    _mm256_storeu_pd(lane, _mm256_add_pd(v.lo, v.hi));
    return (lane[0] + lane[2]) + (lane[1] + lane[3]);
}

#endif
