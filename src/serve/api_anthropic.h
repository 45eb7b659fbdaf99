/* api_anthropic.h -- Anthropic's Messages API. */
#ifndef SLM_SERVE_API_ANTHROPIC_H
#define SLM_SERVE_API_ANTHROPIC_H

#include "serve/call.h"

extern const struct field_table anthropic_message_fields, anthropic_count_fields;
slm_status anthropic_messages(struct call *c);
slm_status anthropic_count_tokens(struct call *c);

#endif
