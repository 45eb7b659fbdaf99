/* lora_int.h -- an adapter as the forward pass reads it. */
#ifndef SLM_MODEL_LORA_INT_H
#define SLM_MODEL_LORA_INT_H

#include "compute/compute.h"
#include "model/lora.h"

/* What is added to one slot's product; p.r 0: nothing. scale: at scale 1 of the adapter. Of a stack p is the first's, the others' halves follow. */
struct lora_part {
    struct low_rank p;
    double scale;
};
struct lora_layer {
    struct lora_part slot[W_COUNT - W_LAYER_FIRST];
};
struct lora {
    char *path;
    struct lora_part global[W_LAYER_FIRST];
    struct lora_layer *layers; /* [n_layer] */
    float *weights;            /* all halves */
    uint64_t bytes;
    uint32_t rank_max;
};
void lora_destroy(struct lora *l); /* NULL is fine */

static inline const struct lora_part *lora_part_of(const struct lora *l, enum weight_slot slot, uint32_t i_layer) {
    return slot < W_LAYER_FIRST ? &l->global[slot] : &l->layers[i_layer].slot[slot - W_LAYER_FIRST];
}

#endif
