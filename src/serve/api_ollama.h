/* api_ollama.h -- Ollama's API. */
#ifndef SLM_SERVE_API_OLLAMA_H
#define SLM_SERVE_API_OLLAMA_H

#include "serve/call.h"

struct served;
extern const struct field_table ollama_generate_fields, ollama_chat_fields, ollama_embed_fields, ollama_embedding_fields, ollama_show_fields, ollama_copy_fields, ollama_delete_fields,
    ollama_create_fields, ollama_pull_fields;
slm_status ollama_generate(struct call *c);
slm_status ollama_chat(struct call *c);
slm_status ollama_embed(struct call *c);
slm_status ollama_embeddings(struct call *c);
slm_status ollama_tags(struct call *c);
slm_status ollama_ps(struct call *c);
slm_status ollama_show(struct call *c);
slm_status ollama_version(struct call *c);
slm_status ollama_copy(struct call *c);
slm_status ollama_delete(struct call *c);
slm_status ollama_create(struct call *c);
slm_status ollama_pull(struct call *c);
slm_status ollama_push(struct call *c);
slm_status ollama_blob_has(struct call *c);
slm_status ollama_blob_put(struct call *c);

/* ollama_time -- RFC 3339 with nanoseconds; negative: now. */
void ollama_time(time_t t, char out[48]);
/* ollama_keep -- a request's keep_alive: seconds or a duration. Errors: USAGE. */
slm_status ollama_keep(struct call *c, struct served *s);

#define FIELD_KEEP_ALIVE {.name = "keep_alive", .types = JT_STRING | JT_NUMBER, .store = STORE_JSON, .offset = F(keep_alive), .doc = "how long the model stays when idle: seconds or \"5m\"; negative: for ever; 0: not at all"}
#define FIELD_OLLAMA_OPTIONS {.name = "options", .types = JT_OBJECT, .sub = &ollama_options, .doc = "sampling and limits"}
extern const struct field_table ollama_options;

/* ollama_may_change -- may requests change the store of this server? Errors: UNSUPPORTED (it has none), USAGE as 403. */
slm_status ollama_may_change(struct call *c);

#endif
