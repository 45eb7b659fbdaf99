/* dot_int.h (arm) -- the panel product in words of 128 bits: 4 rows by 4 elements of k.
 *
 * Include it after DOT_TOKS and dot_sums, which are the folder's own: sums [DOT_TOKS][DOT_VECS] of n_i k-groups (8 or 4) for 16 rows and n_tok
 * tokens, as whole numbers, from codes [n_i, PANEL_ROWS, 4] and q [n_tok, ldq]; `kind` says how large codes are, and for BYTES sums are of levels
 * already. The float sums of a tile would take the registers that those need, so y stays in memory, in the first-level cache, between groups. */
#ifndef SLM_COMPUTE_CPU_ARM_DOT_INT_H
#define SLM_COMPUTE_CPU_ARM_DOT_INT_H

#include "compute/cpu/vec/tile_int.h"

enum { DOT_ROWS = 4 * DOT_VECS };

/* y += of 16 rows from `row` on, the 32 elements of group g. */
VEC_FN void dot_group_32(float *y, int64_t ldy, const struct tile *t, int64_t g, int64_t row, const int n_tok, const int kind, const bool has_min) {
    int32x4_t acc[DOT_TOKS][DOT_VECS];
    const struct act_group *act = t->act + g;
    const float *scale = t->p->scale + g * PANEL_ROWS + row, *min = t->p->min + g * PANEL_ROWS + row;
    dot_sums(acc, t->p->codes + (g * 8 * PANEL_ROWS + row) * 4, t->q + g * 32, t->ldq, n_tok, 8, kind);
    VEC_UNROLL
    for (int i = 0; i < n_tok; i++, act += t->ldg) {
        int32x4_t start = vdupq_n_s32((act->minus_sum[0] + act->minus_sum[1]) * t->offset);
        VEC_UNROLL
        for (int v = 0; v < DOT_VECS; v++) {
            float *to = y + i * ldy + 4 * v;
            int32x4_t levels = kind == BYTES ? acc[i][v] : vaddq_s32(acc[i][v], start);
            float32x4_t sum = vmulq_n_f32(vcvtq_f32_s32(levels), act->scale);
            float32x4_t out = vfmaq_f32(vld1q_f32(to), sum, vld1q_f32(scale + 4 * v));
            if (has_min) out = vfmaq_f32(out, vld1q_f32(min + 4 * v), vdupq_n_f32(act->scaled_sum));
            vst1q_f32(to, out);
        }
    }
}

VEC_FN void dot_group_16(float *y, int64_t ldy, const struct tile *t, int64_t g, int64_t row, const int n_tok, const int kind, const bool has_min) {
    int32x4_t first[DOT_TOKS][DOT_VECS], second[DOT_TOKS][DOT_VECS];
    const struct act_group *act = t->act + g;
    const float *scale = t->p->scale + 2 * g * PANEL_ROWS + row, *min = t->p->min + 2 * g * PANEL_ROWS + row;
    dot_sums(first, t->p->codes + (g * 8 * PANEL_ROWS + row) * 4, t->q + g * 32, t->ldq, n_tok, 4, kind);
    dot_sums(second, t->p->codes + ((g * 8 + 4) * PANEL_ROWS + row) * 4, t->q + g * 32 + 16, t->ldq, n_tok, 4, kind);
    VEC_UNROLL
    for (int i = 0; i < n_tok; i++, act += t->ldg) {
        int32x4_t start0 = vdupq_n_s32(act->minus_sum[0] * t->offset), start1 = vdupq_n_s32(act->minus_sum[1] * t->offset);
        float32x4_t as = vdupq_n_f32(act->scale);
        float32x4_t scaled0 = vdupq_n_f32(act->scale * (float)-act->minus_sum[0]), scaled1 = vdupq_n_f32(act->scale * (float)-act->minus_sum[1]);
        VEC_UNROLL
        for (int v = 0; v < DOT_VECS; v++) {
            float *to = y + i * ldy + 4 * v;
            float32x4_t a = vcvtq_f32_s32(vaddq_s32(first[i][v], start0)), b = vcvtq_f32_s32(vaddq_s32(second[i][v], start1));
            float32x4_t sum = vfmaq_f32(vmulq_f32(a, vld1q_f32(scale + 4 * v)), b, vld1q_f32(scale + PANEL_ROWS + 4 * v));
            float32x4_t out = vfmaq_f32(vld1q_f32(to), sum, as);
            if (has_min) {
                out = vfmaq_f32(out, vld1q_f32(min + 4 * v), scaled0);
                out = vfmaq_f32(out, vld1q_f32(min + PANEL_ROWS + 4 * v), scaled1);
            }
            vst1q_f32(to, out);
        }
    }
}

#include "compute/cpu/vec/dot_drive_int.h"

#endif
