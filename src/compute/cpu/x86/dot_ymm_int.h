/* dot_ymm_int.h -- the panel product in words of 256 bits: 8 rows by 4 elements of k.
 *
 * Include it after dot_sums, which is the folder's own: sums [DOT_TOKS][ROW_VECS] of n_i k-groups for 32 rows and n_tok tokens, as
 * whole numbers; `kind` says how large codes are: for BYTES sums are of levels already. Sixteen registers hold no float sums beside those, so y stays in
 * memory, in the first-level cache, between groups. */
#ifndef SLM_COMPUTE_CPU_X86_DOT_YMM_INT_H
#define SLM_COMPUTE_CPU_X86_DOT_YMM_INT_H

#include "compute/cpu/vec/tile_int.h"

enum { DOT_ROWS = 8 * ROW_VECS };

/* y += of 32 rows from `row` on, the 32 elements of group g. */
VEC_FN void dot_group_32(float *y, int64_t ldy, const struct tile *t, int64_t g, int64_t row, const int n_tok, const int kind, const bool has_min) {
    __m256i acc[DOT_TOKS][ROW_VECS];
    const struct act_group *act = t->act + g;
    dot_sums(acc, t->p->codes + (g * 8 * PANEL_ROWS + row) * 4, t->q + g * 32, t->ldq, n_tok, 8, kind);
    VEC_UNROLL
    for (int i = 0; i < n_tok; i++, act += t->ldg) {
        __m256i start = _mm256_set1_epi32((act->minus_sum[0] + act->minus_sum[1]) * t->offset);
        __m256 as = _mm256_set1_ps(act->scale), scaled_sum = _mm256_set1_ps(act->scaled_sum);
        VEC_UNROLL
        for (int v = 0; v < ROW_VECS; v++) {
            const float *scale = t->p->scale + g * PANEL_ROWS + row + 8 * v, *min = t->p->min + g * PANEL_ROWS + row + 8 * v;
            float *to = y + i * ldy + 8 * v;
            __m256i levels = kind == BYTES ? acc[i][v] : _mm256_add_epi32(acc[i][v], start);
            __m256 sum = _mm256_mul_ps(_mm256_cvtepi32_ps(levels), as);
            __m256 out = _mm256_fmadd_ps(sum, _mm256_loadu_ps(scale), _mm256_loadu_ps(to));
            if (has_min) out = _mm256_fmadd_ps(_mm256_loadu_ps(min), scaled_sum, out);
            _mm256_storeu_ps(to, out);
        }
    }
}

VEC_FN void dot_group_16(float *y, int64_t ldy, const struct tile *t, int64_t g, int64_t row, const int n_tok, const int kind, const bool has_min) {
    __m256i first[DOT_TOKS][ROW_VECS], second[DOT_TOKS][ROW_VECS];
    const struct act_group *act = t->act + g;
    const float *scale = t->p->scale + 2 * g * PANEL_ROWS + row, *min = t->p->min + 2 * g * PANEL_ROWS + row;
    dot_sums(first, t->p->codes + (g * 8 * PANEL_ROWS + row) * 4, t->q + g * 32, t->ldq, n_tok, 4, kind);
    dot_sums(second, t->p->codes + ((g * 8 + 4) * PANEL_ROWS + row) * 4, t->q + g * 32 + 16, t->ldq, n_tok, 4, kind);
    VEC_UNROLL
    for (int i = 0; i < n_tok; i++, act += t->ldg) {
        __m256i start0 = _mm256_set1_epi32(act->minus_sum[0] * t->offset), start1 = _mm256_set1_epi32(act->minus_sum[1] * t->offset);
        __m256 as = _mm256_set1_ps(act->scale);
        __m256 scaled0 = _mm256_set1_ps(act->scale * (float)-act->minus_sum[0]), scaled1 = _mm256_set1_ps(act->scale * (float)-act->minus_sum[1]);
        VEC_UNROLL
        for (int v = 0; v < ROW_VECS; v++) {
            float *to = y + i * ldy + 8 * v;
            __m256 a = _mm256_cvtepi32_ps(_mm256_add_epi32(first[i][v], start0)), b = _mm256_cvtepi32_ps(_mm256_add_epi32(second[i][v], start1));
            __m256 sum = _mm256_fmadd_ps(b, _mm256_loadu_ps(scale + PANEL_ROWS + 8 * v), _mm256_mul_ps(a, _mm256_loadu_ps(scale + 8 * v)));
            __m256 out = _mm256_fmadd_ps(sum, as, _mm256_loadu_ps(to));
            if (has_min) {
                out = _mm256_fmadd_ps(_mm256_loadu_ps(min + 8 * v), scaled0, out);
                out = _mm256_fmadd_ps(_mm256_loadu_ps(min + PANEL_ROWS + 8 * v), scaled1, out);
            }
            _mm256_storeu_ps(to, out);
        }
    }
}

#include "compute/cpu/vec/dot_drive_int.h"

#endif
