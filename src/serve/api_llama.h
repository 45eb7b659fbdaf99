/* api_llama.h -- the paths of llama.cpp's server. */
#ifndef SLM_SERVE_API_LLAMA_H
#define SLM_SERVE_API_LLAMA_H

#include "serve/call.h"

extern const struct field_table llama_completion_fields, llama_infill_fields, llama_tokenize_fields, llama_detokenize_fields, llama_template_fields, llama_embedding_fields, llama_rerank_fields;
slm_status llama_completion(struct call *c);
slm_status llama_infill(struct call *c);
slm_status llama_tokenize(struct call *c);
slm_status llama_detokenize(struct call *c);
slm_status llama_apply_template(struct call *c);
slm_status llama_embedding(struct call *c);
slm_status llama_rerank(struct call *c);
slm_status llama_props(struct call *c);
slm_status llama_slots(struct call *c);
slm_status llama_loras(struct call *c);

#endif
