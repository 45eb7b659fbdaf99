/* i8mm.c -- the panel product with usmmla (ARMv8.6 matrix multiply of bytes): two rows by two tokens by eight elements in one instruction,
 * unsigned by signed, as codes and activations are.
 *
 * A word of codes is four rows by four elements; of two words that follow along k, zips make row pairs by eight elements, once for all the
 * tokens of a tile. Sums of two rows by two tokens are taken apart at the end of a group. One token alone goes by usdot. */
#include <arm_neon.h>

#include "compute/cpu/vec/compiler_int.h"
#include "compute/overlay_int.h"

enum { DOT_TOKS = 4, DOT_VECS = 4, PAIRS = DOT_TOKS / 2 };
enum { CODES, BYTES }; /* sums are of codes always */

#define DOT_LANES(acc, w, x, i)                                                                                        \
    ((i) == 0 ? vusdotq_laneq_s32(acc, w, x, 0) : (i) == 1 ? vusdotq_laneq_s32(acc, w, x, 1)                           \
     : (i) == 2 ? vusdotq_laneq_s32(acc, w, x, 2) : vusdotq_laneq_s32(acc, w, x, 3))

VEC_FN void dot_sums_1(int32x4_t acc[DOT_VECS], const uint8_t *codes, const int8_t *q, const int n_i) {
    VEC_UNROLL
    for (int v = 0; v < DOT_VECS; v++) acc[v] = vdupq_n_s32(0);
    VEC_UNROLL
    for (int four = 0; four < n_i; four += 4) {
        int8x16_t x = vld1q_s8(q + 4 * four);
        VEC_UNROLL
        for (int i = 0; i < 4; i++, codes += 4 * PANEL_ROWS) {
            VEC_UNROLL
            for (int v = 0; v < DOT_VECS; v++) acc[v] = DOT_LANES(acc[v], vld1q_u8(codes + 16 * v), x, i);
        }
    }
}

/* Eight elements of two tokens; an odd last token stands beside itself. */
VEC_FN int8x16_t pair_of(const int8_t *q, int64_t ldq, int pair, const int n_tok) {
    const int8_t *a = q + 2 * pair * ldq, *b = 2 * pair + 1 < n_tok ? a + ldq : a;
    return vcombine_s8(vld1_s8(a), vld1_s8(b));
}

VEC_FN void dot_sums(int32x4_t acc[DOT_TOKS][DOT_VECS], const uint8_t *codes, const int8_t *q, int64_t ldq, const int n_tok, const int n_i, const int kind) {
    const int n_pair = (n_tok + 1) / 2;
    int32x4_t sums[PAIRS][DOT_VECS][2]; /* of two rows by two tokens: [row, token] */
    (void)kind;
    if (n_tok == 1) {
        dot_sums_1(acc[0], codes, q, n_i);
        return;
    }
    VEC_UNROLL
    for (int p = 0; p < n_pair; p++) {
        VEC_UNROLL
        for (int v = 0; v < DOT_VECS; v++) sums[p][v][0] = sums[p][v][1] = vdupq_n_s32(0);
    }
    VEC_UNROLL
    for (int i = 0; i < n_i; i += 2, codes += 8 * PANEL_ROWS) {
        int8x16_t x[PAIRS];
        VEC_UNROLL
        for (int p = 0; p < n_pair; p++) x[p] = pair_of(q + 4 * i, ldq, p, n_tok);
        VEC_UNROLL
        for (int v = 0; v < DOT_VECS; v++) {
            uint32x4_t a = vreinterpretq_u32_u8(vld1q_u8(codes + 16 * v)), b = vreinterpretq_u32_u8(vld1q_u8(codes + 4 * PANEL_ROWS + 16 * v));
            uint8x16_t rows01 = vreinterpretq_u8_u32(vzip1q_u32(a, b)), rows23 = vreinterpretq_u8_u32(vzip2q_u32(a, b));
            VEC_UNROLL
            for (int p = 0; p < n_pair; p++) {
                sums[p][v][0] = vusmmlaq_s32(sums[p][v][0], rows01, x[p]);
                sums[p][v][1] = vusmmlaq_s32(sums[p][v][1], rows23, x[p]);
            }
        }
    }
    VEC_UNROLL
    for (int p = 0; p < n_pair; p++) {
        VEC_UNROLL
        for (int v = 0; v < DOT_VECS; v++) {
            acc[2 * p][v] = vuzp1q_s32(sums[p][v][0], sums[p][v][1]);
            if (2 * p + 1 < n_tok) acc[2 * p + 1][v] = vuzp2q_s32(sums[p][v][0], sums[p][v][1]);
        }
    }
}

#include "compute/cpu/arm/dot_int.h"

#define DOTS(group, has_min) DOT(1, CODES, group, has_min) DOT(2, CODES, group, has_min) DOT(3, CODES, group, has_min) DOT(4, CODES, group, has_min)
#define DOT_ROW(group, has_min)                                                                                        \
    { dot_1_CODES_##group##_##has_min, dot_2_CODES_##group##_##has_min, dot_3_CODES_##group##_##has_min, dot_4_CODES_##group##_##has_min }
DOTS(16, 0)
DOTS(16, 1)
DOTS(32, 0)
DOTS(32, 1)
/* [groups of 32][has_min][tokens - 1] */
static const dot_fn dots[2][2][DOT_TOKS] = {{DOT_ROW(16, 0), DOT_ROW(16, 1)}, {DOT_ROW(32, 0), DOT_ROW(32, 1)}};

static void i8mm_panel_dot(float *y, int64_t ldy, const struct panel *p, const struct acts *a, int64_t n_tok, bool first) {
    dot_tokens(y, ldy, p, a, n_tok, first, dots[p->desc->group == 32][p->desc->has_min]);
}

void ops_overlay_i8mm(struct ops *o) {
    o->panel_dot = i8mm_panel_dot;
    ops_overlay_i8mm_attention(o);
}
