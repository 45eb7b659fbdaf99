/* rope.h -- the rope tables of a run: inference and training turn by the same ones. */
#ifndef SLM_MODEL_ROPE_H
#define SLM_MODEL_ROPE_H

#include "model/model.h"

/* Angles per position of every rotated pair, and what cosines and sines are multiplied by. In double: positions reach
 * 10^5, and a float's rounding would turn a head by a hundredth. */
struct rope_table {
    double *inv_freq; /* [n_rot / 2]; caller frees */
    float mscale;
    uint32_t n_pair;
};
/* rope_table_make -- the table of windowed (local) or of full layers for a run of n_ctx positions.
 * Source: Su et al. 2021; YaRN: Peng et al. 2023, section 3.2; LongRoPE: Ding et al. 2024; Llama 3.1's factors come as a tensor. */
slm_status rope_table_make(const struct slm_model *m, int32_t n_ctx, bool local, struct rope_table *out, slm_err *err);

#endif
