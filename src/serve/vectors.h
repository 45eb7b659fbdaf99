/* vectors.h -- texts to vectors and to a reranker's scores, one call of the engine thread for each text. */
#ifndef SLM_SERVE_VECTORS_H
#define SLM_SERVE_VECTORS_H

#include "serve/prompts.h"
#include "serve/server.h"

/* vectors_make -- ids to a vector of *d floats, freed by the caller. pooling: enum pooling or POOLING_MODEL (a model that says none: the mean).
 * Errors: LIMIT (both counts), UNSUPPORTED (the pooling), CANCELLED (the client left). */
slm_status vectors_make(struct call *c, struct served *s, const struct tok_ids *ids, int pooling, bool normalize, float **out, size_t *d);
/* rank_encode -- a query and a document as the model's reranking wants to see them. Errors: UNSUPPORTED (not a reranker). */
slm_status rank_encode(struct call *c, struct served *s, struct view query, struct view document, struct tok_ids *out);
/* vector_json -- as a list of numbers, or base64 of little-endian floats. */
json_t *vector_json(const float *v, size_t d, bool is_base64);
/* vector_cut -- the first n dimensions, to length 1 again. */
void vector_cut(float *v, size_t n);

#endif
