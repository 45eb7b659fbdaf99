/* dot_drive_int.h -- a panel product, token by token and group by group, over what a folder has for one group.
 *
 * Include it after DOT_TOKS (tokens of one call at most), DOT_ROWS (rows of one call) and dot_group_32, dot_group_16 (y += of DOT_ROWS rows, the 32
 * elements of group g, in groups of 32 or 16). DOT makes one instance; `kind` and `group` are constants there. */
#ifndef SLM_COMPUTE_CPU_VEC_DOT_DRIVE_INT_H
#define SLM_COMPUTE_CPU_VEC_DOT_DRIVE_INT_H

#include <string.h>

#include "compute/cpu/vec/tile_int.h"

/* 64 rows by n_tok tokens over the block; constants but t. */
VEC_FN void dot_block(float *y, int64_t ldy, struct tile *t, const int n_tok, const int kind, const int group, const bool has_min) {
    for (int64_t g = 0; g < t->p->n_k / 32; g++) {
        asking_step(&t->asking);
        for (int64_t row = 0; row < PANEL_ROWS; row += DOT_ROWS) {
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

/* Where kinds of codes have instances of their own: a row for each, and the first that fits. */
struct dot_row {
    uint8_t code_max, group;
    bool has_min;
    dot_fn fns[DOT_TOKS];
};

static inline const dot_fn *dot_row_fns(const struct dot_row *row, const struct pack_desc *d) {
    while (row->group != d->group || row->has_min != d->has_min || row->code_max < d->code_max) row++;
    return row->fns;
}

#endif
