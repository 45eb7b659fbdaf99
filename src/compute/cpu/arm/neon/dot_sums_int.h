/* dot_sums_int.h (neon) -- sums of products of codes without a dot instruction: bytes to 16-bit products (smull, smlal), pairs of those to 32 bits (sadalp).
 *
 * How many 16-bit products may be added before they must be widened depends on the largest code, 127 being the largest activation: 31 * 127 = 3937,
 * eight of which fit; 63: four. Codes of 8 bits become levels, code - 128: 128 * 127 = 16256, two of which fit. */
#ifndef SLM_COMPUTE_CPU_ARM_NEON_DOT_SUMS_INT_H
#define SLM_COMPUTE_CPU_ARM_NEON_DOT_SUMS_INT_H

#include <arm_neon.h>
#include <string.h>

#include "compute/cpu/vec/compiler_int.h"
#include "compute/pack.h"

enum { DOT_TOKS = 2, DOT_VECS = 4 };
/* Kinds are the number of k-groups whose products fit 16 bits. */
enum { BYTES = 2 };

VEC_FN int8x16_t four_of(const int8_t *q) {
    int32_t four;
    memcpy(&four, q, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

/* Two rows by four elements in each half. */
VEC_FN void dot_sums(int32x4_t acc[DOT_TOKS][DOT_VECS], const uint8_t *codes, const int8_t *q, int64_t ldq, const int n_tok, const int n_i, const int kind) {
    const int per = kind > n_i ? n_i : kind;
    VEC_UNROLL
    for (int v = 0; v < DOT_VECS; v++) {
        int16x8_t part[DOT_TOKS][2];
        int32x4_t sums[DOT_TOKS][2];
        VEC_UNROLL
        for (int i = 0; i < n_i; i++) {
            uint8x16_t code = vld1q_u8(codes + i * 4 * PANEL_ROWS + 16 * v);
            int8x16_t w = vreinterpretq_s8_u8(kind == BYTES ? veorq_u8(code, vdupq_n_u8(0x80)) : code);
            VEC_UNROLL
            for (int t = 0; t < n_tok; t++) {
                int8x16_t x = four_of(q + t * ldq + 4 * i);
                part[t][0] = i % per == 0 ? vmull_s8(vget_low_s8(w), vget_low_s8(x)) : vmlal_s8(part[t][0], vget_low_s8(w), vget_low_s8(x));
                part[t][1] = i % per == 0 ? vmull_high_s8(w, x) : vmlal_high_s8(part[t][1], w, x);
                if (i % per != per - 1) continue;
                VEC_UNROLL
                for (int h = 0; h < 2; h++) sums[t][h] = i < per ? vpaddlq_s16(part[t][h]) : vpadalq_s16(sums[t][h], part[t][h]);
            }
        }
        VEC_UNROLL
        for (int t = 0; t < n_tok; t++) acc[t][v] = vpaddq_s32(sums[t][0], sums[t][1]);
    }
}

#endif
