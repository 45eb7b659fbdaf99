/* tile_int.h -- what a panel product works on: one panel and a few tokens. For the products whose float sums stay in memory between groups of
 * 32; dot_drive_int.h drives them. */
#ifndef SLM_COMPUTE_CPU_VEC_TILE_INT_H
#define SLM_COMPUTE_CPU_VEC_TILE_INT_H

#include "compute/cpu/vec/ask_int.h"

/* q [n_tok, ldq] activations in 8 bits, act [n_tok, ldg] their groups of 32. */
struct tile {
    const struct panel *p;
    const int8_t *q;
    const struct act_group *act;
    int64_t ldq, ldg;
    int32_t offset; /* what minus_sum is multiplied by */
    struct asking asking; /* a step for each group of 32 */
};

#endif
