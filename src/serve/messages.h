/* messages.h -- conversations of every API brought to one form: what chat templates of Hugging Face models take.
 *
 * [{"role": system|user|assistant|tool, "content": text, "reasoning_content"?, "tool_calls"?: [{"id", "type": "function", "function": {"name",
 * "arguments": object}}], "tool_call_id"?, "name"?}]. Text only: an image or a sound is refused by its place. */
#ifndef SLM_SERVE_MESSAGES_H
#define SLM_SERVE_MESSAGES_H

#include "serve/fields.h"

/* Each appends to messages, an array. Errors: USAGE (param is the place), UNSUPPORTED (not text). */
slm_status messages_openai(const json_t *given, json_t *messages, struct fault *f);
slm_status messages_anthropic(const json_t *system, const json_t *given, json_t *messages, struct fault *f);
slm_status messages_ollama(const json_t *given, json_t *messages, struct fault *f);
slm_status messages_responses(const char *instructions, const json_t *input, json_t *messages, struct fault *f);

/* Tools as [{"type": "function", "function": {"name", "description"?, "parameters"}}], appended to tools. n_max: at most so many. */
slm_status tools_openai(const json_t *given, size_t n_max, json_t *tools, struct fault *f);
slm_status tools_anthropic(const json_t *given, size_t n_max, json_t *tools, struct fault *f);
slm_status tools_responses(const json_t *given, size_t n_max, json_t *tools, struct fault *f);

/* messages_last_user -- the text of the last message of the user in this form; "" where there is none. Owned by messages. */
struct view messages_last_user(const json_t *messages);

/* message_add -- one plain message. */
slm_status message_add(json_t *messages, const char *role, const char *content, struct fault *f);

#endif
