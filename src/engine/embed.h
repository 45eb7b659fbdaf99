/* embed.h -- a text as one vector: an encoder's (or decoder's) states, pooled. */
#ifndef SLM_ENGINE_EMBED_H
#define SLM_ENGINE_EMBED_H

#include "engine/session.h"

#define POOLING_MODEL (-1)

const char *pooling_name(enum pooling p);                 /* "mean" */
bool pooling_by_name(const char *name, enum pooling *p);

struct embed_params {
    int pooling;    /* enum pooling, or POOLING_MODEL: what the model was trained with */
    bool normalize; /* to length 1; not for POOLING_RANK */
};

/* embed_session_params -- what session_create needs for texts up to n_ctx tokens (0: the model's own). An encoder takes
 * a text in one forward, so its chunk is the context. */
struct session_params embed_session_params(const struct slm_model *m, int32_t n_ctx, int n_threads);

/* embed_pooling -- the pooling that p asks of m. Errors: UNSUPPORTED (rank of a model without a classification head). */
slm_status embed_pooling(const struct slm_model *m, const struct embed_params *p, enum pooling *out, slm_err *err);

/* embed_encode -- append the ids of a text as the model wants to see it: between [CLS] and [SEP] for an encoder that has
 * them, else with the begin and end tokens that the file asks for. Errors: those of tok_encode. */
slm_status embed_encode(const struct slm_model *m, struct view text, struct tok_ids *out, slm_err *err);

/* session_embed -- the vector of ids.
 * In:     n >= 1 ids, special tokens included. The session's timeline is forgotten.
 * Out:    out [n_row, d_out]: n_row is n for POOLING_NONE, else 1; d_out as model_pooled_size says (the labels for
 *         POOLING_RANK). The same to the bit for any chunk size and number of threads.
 * Errors: LIMIT (n past the context, or past an encoder's chunk), USAGE, FAILED (the model's numbers are none), CANCELLED; those of embed_pooling. */
slm_status session_embed(struct slm_session *s, const int32_t *ids, size_t n, const struct embed_params *p, float *out, slm_err *err);

#endif
