/* api_openai.h -- what the OpenAI handlers share with each other. */
#ifndef SLM_SERVE_API_OPENAI_H
#define SLM_SERVE_API_OPENAI_H

#include "serve/chat.h"

extern const struct field_table openai_chat_fields, openai_completion_fields, openai_embedding_fields, openai_response_fields;

slm_status openai_chat(struct call *c);
slm_status openai_completions(struct call *c);
slm_status openai_embeddings(struct call *c);
slm_status openai_responses(struct call *c);
slm_status openai_models(struct call *c);
slm_status openai_model(struct call *c);

/* "stop", "length", "tool_calls" */
const char *openai_finish(const struct answer *a);
json_t *openai_usage(const struct generation *g);
/* openai_n_max -- max_completion_tokens, or max_tokens; -1: until the context is full. */
int32_t openai_n_max(const struct request *r);

#endif
