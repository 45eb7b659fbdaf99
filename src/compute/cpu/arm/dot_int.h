/* dot_int.h (arm) -- the panel product in words of 128 bits: 4 rows by 4 elements of k.
 *
 * Include it after DOT_TOKS and dot_sums, which are the folder's own: sums [DOT_TOKS][DOT_VECS] of n_i k-groups (8 or 4) for 16 rows and n_tok
 * tokens, as whole numbers, from codes [n_i, PANEL_ROWS, 4] and q [n_tok, ldq]; `kind` says how large codes are, and for BYTES sums are of levels
 * already. The float sums of a tile would take the registers that those need, so y stays in memory, in the first-level cache, between groups. */
#ifndef SLM_COMPUTE_CPU_ARM_DOT_INT_H
#define SLM_COMPUTE_CPU_ARM_DOT_INT_H

#include <string.h>

#include "compute/cpu/vec/ask_int.h"

struct tile {
    const struct panel *p;
    const int8_t *q;
    const struct act_group *act;
    int64_t ldq, ldg;
    int32_t offset; /* what minus_sum is multiplied by */
    struct asking asking; /* a step for each group of 32 */
};

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

/* 64 rows by n_tok tokens over the block; constants but t. */
VEC_FN void dot_block(float *y, int64_t ldy, struct tile *t, const int n_tok, const int kind, const int group, const bool has_min) {
    for (int64_t g = 0; g < t->p->n_k / 32; g++) {
        asking_step(&t->asking);
        for (int64_t row = 0; row < PANEL_ROWS; row += 4 * DOT_VECS) {
            if (group == 32) dot_group_32(y + row, ldy, t, g, row, n_tok, kind, has_min);
            else dot_group_16(y + row, ldy, t, g, row, n_tok, kind, has_min);
        }
    }
}

typedef void (*dot_fn)(float *y, int64_t ldy, struct tile *t);
#define DOT(n, kind, group, has_min)                                                                                   \
    static void dot_##n##_##kind##_##group##_##has_min(float *y, int64_t ldy, struct tile *t) {                        \
        dot_block(y, ldy, t, n, kind, group, has_min);                                                                 \
    }

/* fns: for 1..DOT_TOKS tokens. Calls are of even size: 5 tokens go as 3 + 2. */
static void dot_tokens(float *y, int64_t ldy, const struct panel *p, const struct acts *a, int64_t n_tok, bool first, const dot_fn *fns) {
    struct tile t = {.p = p, .ldq = a->ldq, .ldg = a->ldg, .offset = p->desc->offset_shift < 0 ? 0 : 1 << p->desc->offset_shift};
    int64_t n_call = (n_tok + DOT_TOKS - 1) / DOT_TOKS;
    t.asking = asking_begin(p, n_call * (p->n_k / 32));
    for (int64_t i = 0; first && i < n_tok; i++) memset(y + i * ldy, 0, PANEL_ROWS * sizeof *y);
    for (int64_t i = 0, at = 0; i < n_call; i++) {
        int64_t n = (n_tok - at + n_call - i - 1) / (n_call - i);
        t.q = a->q + at * a->ldq;
        t.act = a->groups + at * a->ldg;
        fns[n - 1](y + at * ldy, ldy, &t);
        at += n;
    }
}

#endif
