/* neon.c -- the twins for every 64-bit ARM processor: the kernels of cpu/vec/ in words of 4 floats, and a panel product of 16-bit products. */
#include "compute/cpu/arm/neon/vec_int.h"

#include "compute/cpu/vec/kernels_int.h"
#include "compute/cpu/arm/neon/bvec_int.h"
#include "compute/cpu/arm/neon/dot_sums_int.h"
#include "compute/cpu/arm/dot_int.h"
#include "compute/cpu/vec/act_int.h"
#include "compute/cpu/vec/unpack_int.h"
#include "compute/cpu/vec/decode_int.h"
#include "compute/overlay_int.h"

/* Kinds in use: codes up to 31 in groups of 32 and 16, to 63 in groups of 16, bytes in groups of 32. */
#define DOTS(kind, group, has_min) DOT(1, kind, group, has_min) DOT(2, kind, group, has_min)
#define DOT_ROW(kind, group, has_min)                                                                                  \
    { dot_1_##kind##_##group##_##has_min, dot_2_##kind##_##group##_##has_min }
DOTS(8, 32, 0)
DOTS(8, 32, 1)
DOTS(8, 16, 0)
DOTS(8, 16, 1)
DOTS(4, 16, 0)
DOTS(2, 32, 0)

/* One row for each use; the first whose codes are large enough. */
static const struct dot_row dot_rows[] = {
    {31, 32, false, DOT_ROW(8, 32, 0)}, {31, 32, true, DOT_ROW(8, 32, 1)},  {31, 16, false, DOT_ROW(8, 16, 0)},
    {31, 16, true, DOT_ROW(8, 16, 1)},  {63, 16, false, DOT_ROW(4, 16, 0)}, {255, 32, false, DOT_ROW(2, 32, 0)},
};

static void neon_panel_dot(float *y, int64_t ldy, const struct panel *p, const struct acts *a, int64_t n_tok, bool first) {
    dot_tokens(y, ldy, p, a, n_tok, first, dot_row_fns(dot_rows, p->desc));
}

void ops_overlay_neon(struct ops *o) {
    vec_overlay_kernels(o);
    vec_overlay_decode(o);
    o->act_quantize = vec_op_act_quantize;
    o->panel_unpack = vec_op_panel_unpack;
    o->panel_dot = neon_panel_dot;
}
