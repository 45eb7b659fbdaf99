/* iq_int.h -- what the iq types share: points of a grid, named by index, whose elements take signs and a step.
 *
 * A grid is a list of chosen points of 8 or 4 small numbers; a code packs one point, element 0 in the lowest bits. */
#ifndef SLM_FORMAT_QUANT_IQ_INT_H
#define SLM_FORMAT_QUANT_IQ_INT_H

#include "format/quant/quant_int.h"

extern const uint16_t iq1_grid[2048];
extern const uint16_t iq2_xxs_grid[256], iq2_xs_grid[512], iq2_s_grid[1024];
extern const uint16_t iq3_xxs_grid[256], iq3_s_grid[512];

/* Eight signs of which seven are stored: the last one makes the number of minuses even. */
static inline uint32_t even_signs(uint32_t stored) {
    uint32_t s = stored & 127;
    return s | (uint32_t)__builtin_parity(s) << 7;
}

static inline float with_sign(float magnitude, uint32_t signs, int j) {
    return signs >> j & 1 ? -magnitude : magnitude;
}

#endif
