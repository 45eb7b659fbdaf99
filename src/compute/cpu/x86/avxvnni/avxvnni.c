/* avxvnni.c -- the panel product with the 256-bit vpdpbusd of CPUs that have it without AVX-512: codes of any size alike. */
#include <immintrin.h>
#include <string.h>

#include "compute/cpu/vec/compiler_int.h"
#include "compute/overlay_int.h"

enum { DOT_TOKS = 3, ROW_VECS = 4 };
enum { BYTES = -1 }; /* no kind: sums are of codes */

VEC_FN void dot_sums(__m256i acc[DOT_TOKS][ROW_VECS], const uint8_t *codes, const int8_t *q, int64_t ldq, const int n_tok, const int n_i, const int kind) {
    (void)kind;
    VEC_UNROLL
    for (int t = 0; t < n_tok; t++) {
        VEC_UNROLL
        for (int v = 0; v < ROW_VECS; v++) acc[t][v] = _mm256_setzero_si256();
    }
    VEC_UNROLL
    for (int i = 0; i < n_i; i++, codes += 4 * PANEL_ROWS) {
        __m256i x[DOT_TOKS];
        VEC_UNROLL
        for (int t = 0; t < n_tok; t++) {
            int32_t four;
            memcpy(&four, q + t * ldq + 4 * i, sizeof four);
            x[t] = _mm256_set1_epi32(four);
        }
        VEC_UNROLL
        for (int v = 0; v < ROW_VECS; v++) {
            __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(codes + 32 * v));
            VEC_UNROLL
            for (int t = 0; t < n_tok; t++) acc[t][v] = _mm256_dpbusd_avx_epi32(acc[t][v], w, x[t]);
        }
    }
}

#include "compute/cpu/x86/dot_ymm_int.h"

#define DOTS(group, has_min) DOT(1, 0, group, has_min) DOT(2, 0, group, has_min) DOT(3, 0, group, has_min)
#define DOT_ROW(group, has_min)                                                                                        \
    { dot_1_0_##group##_##has_min, dot_2_0_##group##_##has_min, dot_3_0_##group##_##has_min }
DOTS(16, 0)
DOTS(16, 1)
DOTS(32, 0)
DOTS(32, 1)
/* [groups of 32][has_min][tokens - 1] */
static const dot_fn dots[2][2][DOT_TOKS] = {{DOT_ROW(16, 0), DOT_ROW(16, 1)}, {DOT_ROW(32, 0), DOT_ROW(32, 1)}};

static void avxvnni_panel_dot(float *y, int64_t ldy, const struct panel *p, const struct acts *a, int64_t n_tok, bool first) {
    dot_tokens(y, ldy, p, a, n_tok, first, dots[p->desc->group == 32][p->desc->has_min]);
}

void ops_overlay_avxvnni(struct ops *o) { o->panel_dot = avxvnni_panel_dot; }
