/* api_openai_vectors.c -- POST /v1/embeddings. Source: OpenAI's API reference. */
#include <stdlib.h>
#include <string.h>

#include "serve/api_openai.h"
#include "serve/vectors.h"

static const struct field rows[] = {
    FIELD_MODEL,
    {.name = "input", .types = JT_STRING | JT_ARRAY, .store = STORE_JSON, .offset = F(input), .is_required = true, .doc = "text, a list of texts, ids, or lists of ids"},
    {.name = "encoding_format", .types = JT_STRING, .store = STORE_TEXT, .offset = F(encoding_format), .choices = "float|base64", .doc = "base64: little-endian floats"},
    {.name = "dimensions", .types = JT_INT, .store = STORE_I32, .offset = F(dimensions), .min = 1, .max = 1 << 20, .doc = "only the first so many, to length 1 again"},
    {.name = "user", .types = JT_STRING, .use = FIELD_NOTED, .doc = "A note of the client."},
};
const struct field_table openai_embedding_fields = FIELDS(rows);

static slm_status embed_one(struct call *c, struct served *s, const struct tok_ids *ids, size_t i, json_t *data) {
    float *v;
    size_t d;
    slm_status st = vectors_make(c, s, ids, POOLING_MODEL, true, &v, &d);
    if (st != SLM_OK) return st;
    size_t n = c->r.dimensions == ABSENT_I32 ? d : (size_t)c->r.dimensions;
    if (n > d) st = fault_set(&c->fault, SLM_E_USAGE, "dimensions", "field \"dimensions\": the model has %zu", d);
    else {
        if (n < d) vector_cut(v, n);
        bool is_base64 = c->r.encoding_format && strcmp(c->r.encoding_format, "base64") == 0;
        json_array_append_new(data, json_pack("{s:s, s:I, s:o}", "object", "embedding", "index", (json_int_t)i, "embedding", vector_json(v, n, is_base64)));
    }
    free(v);
    return st;
}

slm_status openai_embeddings(struct call *c) {
    struct served *s = NULL;
    struct prompts inputs = {0};
    json_t *data = json_array();
    slm_status st = SLM_OK;
    TRY(use_model(c, c->r.model, &s));
    TRY(prompts_read(s->model, c->r.input, "input", PROMPTS_EMBED, false, (size_t)c->server->limits.v[LIMIT_INPUTS], &inputs, &c->fault));
    for (size_t i = 0; i < inputs.n; i++) TRY(embed_one(c, s, &inputs.ids[i], i, data));
    st = reply_json(c, 200, json_pack("{s:s, s:O, s:s, s:{s:I, s:I}}", "object", "list", "data", data, "model", s->name, "usage", "prompt_tokens", (json_int_t)c->n_prompt, "total_tokens",
                                      (json_int_t)c->n_prompt));
out:
    json_decref(data);
    prompts_fini(&inputs);
    models_release(c->server->models, s);
    return st;
}
