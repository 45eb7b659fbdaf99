/* dotprod.c -- the panel product with sdot (ARMv8.2 dot product): four rows by four elements and one token's four in one instruction.
 *
 * It multiplies signed bytes by signed ones. Codes below 128 are both; codes of 8 bits become levels, code - 128. */
#include <arm_neon.h>

#include "compute/cpu/vec/compiler_int.h"
#include "compute/overlay_int.h"

enum { DOT_TOKS = 4, DOT_VECS = 4 };
enum { CODES, BYTES };

/* acc += w by the four elements of x that lane i has. */
#define DOT_LANES(acc, w, x, i)                                                                                        \
    ((i) == 0 ? vdotq_laneq_s32(acc, w, x, 0) : (i) == 1 ? vdotq_laneq_s32(acc, w, x, 1)                               \
     : (i) == 2 ? vdotq_laneq_s32(acc, w, x, 2) : vdotq_laneq_s32(acc, w, x, 3))

VEC_FN void dot_sums(int32x4_t acc[DOT_TOKS][DOT_VECS], const uint8_t *codes, const int8_t *q, int64_t ldq, const int n_tok, const int n_i, const int kind) {
    VEC_UNROLL
    for (int t = 0; t < n_tok; t++) {
        VEC_UNROLL
        for (int v = 0; v < DOT_VECS; v++) acc[t][v] = vdupq_n_s32(0);
    }
    VEC_UNROLL
    for (int four = 0; four < n_i; four += 4) {
        int8x16_t x[DOT_TOKS];
        VEC_UNROLL
        for (int t = 0; t < n_tok; t++) x[t] = vld1q_s8(q + t * ldq + 4 * four);
        VEC_UNROLL
        for (int i = 0; i < 4; i++, codes += 4 * PANEL_ROWS) {
            VEC_UNROLL
            for (int v = 0; v < DOT_VECS; v++) {
                uint8x16_t code = vld1q_u8(codes + 16 * v);
                int8x16_t w = vreinterpretq_s8_u8(kind == BYTES ? veorq_u8(code, vdupq_n_u8(0x80)) : code);
                VEC_UNROLL
                for (int t = 0; t < n_tok; t++) acc[t][v] = DOT_LANES(acc[t][v], w, x[t], i);
            }
        }
    }
}

#include "compute/cpu/arm/dot_int.h"

#define DOTS(kind, group, has_min)                                                                                     \
    DOT(1, kind, group, has_min) DOT(2, kind, group, has_min) DOT(3, kind, group, has_min) DOT(4, kind, group, has_min)
#define DOT_ROW(kind, group, has_min)                                                                                  \
    { dot_1_##kind##_##group##_##has_min, dot_2_##kind##_##group##_##has_min, dot_3_##kind##_##group##_##has_min, dot_4_##kind##_##group##_##has_min }
DOTS(CODES, 16, 0)
DOTS(CODES, 16, 1)
DOTS(CODES, 32, 0)
DOTS(CODES, 32, 1)
DOTS(BYTES, 32, 0)
/* [groups of 32][has_min][tokens - 1] */
static const dot_fn dots[2][2][DOT_TOKS] = {{DOT_ROW(CODES, 16, 0), DOT_ROW(CODES, 16, 1)}, {DOT_ROW(CODES, 32, 0), DOT_ROW(CODES, 32, 1)}};
static const dot_fn dots_bytes[DOT_TOKS] = DOT_ROW(BYTES, 32, 0); /* all that have them are in groups of 32 without minima */

static void dotprod_panel_dot(float *y, int64_t ldy, const struct panel *p, const struct acts *a, int64_t n_tok, bool first) {
    dot_tokens(y, ldy, p, a, n_tok, first, p->desc->code_max > 127 ? dots_bytes : dots[p->desc->group == 32][p->desc->has_min]);
}

void ops_overlay_dotprod(struct ops *o) {
    o->panel_dot = dotprod_panel_dot;
    ops_overlay_dotprod_attention(o);
}
