/* b16_int.h (x86) -- the words of 16 bytes in which cpu/vec/decode_int.h is written. */
#ifndef SLM_COMPUTE_CPU_X86_B16_INT_H
#define SLM_COMPUTE_CPU_X86_B16_INT_H

#include <immintrin.h>
#include <stdint.h>

#include "compute/cpu/vec/compiler_int.h"

typedef __m128i b16;
VEC_FN b16 b16_load(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
VEC_FN b16 b16_or(b16 a, b16 b) { return _mm_or_si128(a, b); }
VEC_FN b16 b16_sub(b16 a, int b) { return _mm_sub_epi8(a, _mm_set1_epi8((char)b)); }
/* (each byte >> shift & (2^n - 1)) << up. Bits that a 16-bit shift brings from the neighbour are masked. */
VEC_FN b16 b16_field(b16 v, const int shift, const int n, const int up) {
    b16 moved = shift > up ? _mm_srli_epi16(v, shift - up) : up > shift ? _mm_slli_epi16(v, up - shift) : v;
    return _mm_and_si128(moved, _mm_set1_epi8((char)(((1 << n) - 1) << up)));
}
VEC_FN float f32_of_half(const uint8_t *p) { return _cvtsh_ss((uint16_t)(p[0] | p[1] << 8)); }

#endif
