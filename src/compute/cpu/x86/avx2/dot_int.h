/* dot_int.h (avx2) -- sums of products of codes by vpmaddubsw: bytes to sums of two in 16 bits, which saturate.
 *
 * How many of those may be added before they must be widened depends on the largest code, 127 being the largest activation:
 * 15 * 127 * 2 = 3810, eight of which fit; 31: four; 63: two. Codes of 8 bits are multiplied as magnitudes by activations with the
 * weights' signs: 128 * 127 * 2 = 32512, one of which fits. */
#ifndef SLM_COMPUTE_CPU_X86_AVX2_DOT_INT_H
#define SLM_COMPUTE_CPU_X86_AVX2_DOT_INT_H

#include <immintrin.h>
#include <string.h>

#include "compute/cpu/vec/compiler_int.h"
#include "compute/pack.h"

enum { DOT_TOKS = 2, ROW_VECS = 4 }; /* 4 tokens by 16 rows: up to 10 % slower */
/* Kinds are the number of k-groups whose sums fit 16 bits; BYTES: sums are of levels, no offset is left. */
enum { BYTES = 0 };

VEC_FN __m256i widen(__m256i sums) { return _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); }

VEC_FN __m256i four_of(const int8_t *q) {
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm256_set1_epi32(four);
}

/* Bytes: levels, code - 128, as magnitude and sign. */
VEC_FN void dot_sums_bytes(__m256i acc[DOT_TOKS][ROW_VECS], const uint8_t *codes, const int8_t *q, int64_t ldq, const int n_tok, const int n_i) {
    VEC_UNROLL
    for (int i = 0; i < n_i; i++, codes += 4 * PANEL_ROWS) {
        VEC_UNROLL
        for (int v = 0; v < ROW_VECS; v++) {
            __m256i w = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)(codes + 32 * v)), _mm256_set1_epi8(-128));
            __m256i magnitude = _mm256_abs_epi8(w); /* 128 as an unsigned byte is right as well */
            VEC_UNROLL
            for (int t = 0; t < n_tok; t++) {
                __m256i four = widen(_mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(four_of(q + t * ldq + 4 * i), w)));
                acc[t][v] = i == 0 ? four : _mm256_add_epi32(acc[t][v], four);
                VEC_KEEP(acc[t][v]);
            }
        }
    }
}

VEC_FN void dot_sums(__m256i acc[DOT_TOKS][ROW_VECS], const uint8_t *codes, const int8_t *q, int64_t ldq, const int n_tok, const int n_i, const int kind) {
    const int per = kind > n_i ? n_i : kind;
    __m256i part[DOT_TOKS][ROW_VECS];
    if (kind == BYTES) {
        dot_sums_bytes(acc, codes, q, ldq, n_tok, n_i);
        return;
    }
    VEC_UNROLL
    for (int i = 0; i < n_i; i++, codes += 4 * PANEL_ROWS) {
        VEC_UNROLL
        for (int v = 0; v < ROW_VECS; v++) {
            __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(codes + 32 * v));
            VEC_UNROLL
            for (int t = 0; t < n_tok; t++) {
                __m256i two = _mm256_maddubs_epi16(w, four_of(q + t * ldq + 4 * i));
                part[t][v] = i % per == 0 ? two : _mm256_add_epi16(part[t][v], two);
                VEC_KEEP(part[t][v]);
                if (i % per != per - 1) continue;
                acc[t][v] = i < per ? widen(part[t][v]) : _mm256_add_epi32(acc[t][v], widen(part[t][v]));
            }
        }
    }
}

#include "compute/cpu/x86/dot_ymm_int.h"

/* Kinds in use: codes up to 15 in groups of 32 and 16, to 31 in groups of 32, to 63 in groups of 16, bytes in groups of 32. */
#define DOTS(kind, group, has_min) DOT(1, kind, group, has_min) DOT(2, kind, group, has_min)
#define DOT_ROW(kind, group, has_min)                                                                                  \
    { dot_1_##kind##_##group##_##has_min, dot_2_##kind##_##group##_##has_min }
DOTS(8, 32, 0)
DOTS(8, 32, 1)
DOTS(8, 16, 0)
DOTS(8, 16, 1)
DOTS(4, 32, 0)
DOTS(4, 32, 1)
DOTS(2, 16, 0)
DOTS(0, 32, 0)

/* One row for each use; the first whose codes are large enough. */
static const struct dot_row dot_rows[] = {
    {15, 32, false, DOT_ROW(8, 32, 0)}, {15, 32, true, DOT_ROW(8, 32, 1)}, {15, 16, false, DOT_ROW(8, 16, 0)}, {15, 16, true, DOT_ROW(8, 16, 1)},
    {31, 32, false, DOT_ROW(4, 32, 0)}, {31, 32, true, DOT_ROW(4, 32, 1)}, {63, 16, false, DOT_ROW(2, 16, 0)}, {255, 32, false, DOT_ROW(0, 32, 0)},
};

static void avx2_panel_dot(float *y, int64_t ldy, const struct panel *p, const struct acts *a, int64_t n_tok, bool first) {
    dot_tokens(y, ldy, p, a, n_tok, first, dot_row_fns(dot_rows, p->desc));
}

#endif
