/* state.h -- states of fixed size, for layers that keep no keys and values: a slot for each sequence.
 *
 * A slot holds, for every such layer, the last inputs of its convolution and its delta matrices, as f32; and a saved copy of all that.
 * A state cannot go back: forgetting positions means the saved copy, when it is old enough, or the beginning. Slots
 * lie in one reserved mapping and become memory when first written. Engine thread only. */
#ifndef SLM_MODEL_STATE_H
#define SLM_MODEL_STATE_H

#include "model/model.h"

struct state_pool;

/* Floats of a layer's state: convolution [conv_kernel - 1, n_channel], then delta [n_head_v, d_state, d_inner / n_head_v]. */
size_t state_conv_floats(const struct hparams *hp, uint32_t i_layer);
/* Bytes of a slot without its saved copy; 0 for a model that needs none. */
size_t state_bytes(const struct hparams *hp);

slm_status state_create(const struct hparams *hp, int32_t n_slot, struct state_pool **out, slm_err *err);
void state_destroy(struct state_pool *p);
/* state_take -- a slot, its state that of an empty text. -1: none is left. */
int32_t state_take(struct state_pool *p);
void state_give(struct state_pool *p, int32_t i_slot);
float *state_of(const struct state_pool *p, int32_t i_slot, uint32_t i_layer);
void state_save(struct state_pool *p, int32_t i_slot);
void state_restore(struct state_pool *p, int32_t i_slot);

#endif
