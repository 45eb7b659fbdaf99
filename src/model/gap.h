/* gap.h -- text between a text before and a text after (fill in the middle). */
#ifndef SLM_MODEL_GAP_H
#define SLM_MODEL_GAP_H

#include "model/model.h"

/* The tokens between which a gap is filled; false: the vocabulary has none. */
struct gap_ids {
    int32_t before, after, middle;
};
bool gap_ids_find(const struct slm_model *m, struct gap_ids *out);
/* gap_encode -- append before and after in the order that such models are trained with: prefix, suffix, middle. Errors: those of tok_encode. */
slm_status gap_encode(const struct slm_model *m, const struct gap_ids *gap, struct view before, struct view after, struct tok_ids *out, slm_err *err);

#endif
