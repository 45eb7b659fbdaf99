/* api_ollama_models.c -- Ollama's routes about models, and its embeddings. Models are files of one folder: copying gives one more name, no
 * bytes move; what would fetch from a registry says that it does not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/show.h"
#include "serve/api_ollama.h"
#include "serve/chat.h"
#include "serve/model_facts.h"
#include "serve/vectors.h"

static const struct field embed_rows[] = {
    {.name = "model", .types = JT_STRING, .store = STORE_TEXT, .offset = F(model), .is_required = true, .doc = "NAME or NAME:latest"},
    {.name = "input", .types = JT_STRING | JT_ARRAY, .store = STORE_JSON, .offset = F(input), .is_required = true, .doc = "a text or a list of texts"},
    {.name = "dimensions", .types = JT_INT, .store = STORE_I32, .offset = F(dimensions), .min = 1, .max = 1 << 20, .doc = "only the first so many, to length 1 again"},
    {.name = "truncate", .types = JT_BOOL, .use = FIELD_NOTED, .doc = "Texts are never cut: what does not fit is refused."},
    FIELD_KEEP_ALIVE, FIELD_OLLAMA_OPTIONS,
};
const struct field_table ollama_embed_fields = FIELDS(embed_rows);
static const struct field embedding_rows[] = {
    {.name = "model", .types = JT_STRING, .store = STORE_TEXT, .offset = F(model), .is_required = true, .doc = "NAME or NAME:latest"},
    {.name = "prompt", .types = JT_STRING, .store = STORE_JSON, .offset = F(input), .is_required = true, .doc = "a text"},
    FIELD_KEEP_ALIVE, FIELD_OLLAMA_OPTIONS,
};
const struct field_table ollama_embedding_fields = FIELDS(embedding_rows);
static const struct field show_rows[] = {
    {.name = "model", .types = JT_STRING, .store = STORE_TEXT, .offset = F(model), .doc = "NAME or NAME:latest"},
    {.name = "name", .types = JT_STRING, .store = STORE_TEXT, .offset = F(source), .doc = "the older name of model"},
    {.name = "verbose", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(verbose), .doc = "arrays too"},
    {.name = "system", .types = JT_STRING, .use = FIELD_NOTED, .doc = "Nothing is overlaid."},
    {.name = "options", .types = JT_OBJECT, .use = FIELD_NOTED, .doc = "Nothing is overlaid."},
};
const struct field_table ollama_show_fields = FIELDS(show_rows);
static const struct field copy_rows[] = {
    {.name = "source", .types = JT_STRING, .store = STORE_TEXT, .offset = F(source), .is_required = true, .doc = "a model"},
    {.name = "destination", .types = JT_STRING, .store = STORE_TEXT, .offset = F(destination), .is_required = true, .doc = "its further name"},
};
const struct field_table ollama_copy_fields = FIELDS(copy_rows);
static const struct field delete_rows[] = {
    {.name = "model", .types = JT_STRING, .store = STORE_TEXT, .offset = F(model), .doc = "a model of the folder"},
    {.name = "name", .types = JT_STRING, .store = STORE_TEXT, .offset = F(source), .doc = "the older name of model"},
};
const struct field_table ollama_delete_fields = FIELDS(delete_rows);
#define NOT_CREATED(key, kinds, none) {.name = key, .types = kinds, .use = FIELD_REFUSED, .harmless = none, .doc = "a model is created as it is"}
static const struct field create_rows[] = {
    {.name = "model", .types = JT_STRING, .store = STORE_TEXT, .offset = F(destination), .is_required = true, .doc = "the new name"},
    {.name = "from", .types = JT_STRING, .store = STORE_TEXT, .offset = F(from), .is_required = true, .doc = "a model of this server"},
    {.name = "stream", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(stream), .doc = "default true"},
    NOT_CREATED("files", JT_OBJECT, "{}"), NOT_CREATED("adapters", JT_OBJECT, "{}"), NOT_CREATED("template", JT_STRING, "\"\""), NOT_CREATED("system", JT_STRING, "\"\""),
    NOT_CREATED("parameters", JT_OBJECT, "{}"), NOT_CREATED("messages", JT_ARRAY, "[]"), NOT_CREATED("quantize", JT_STRING, "\"\""), NOT_CREATED("license", JT_STRING | JT_ARRAY, "\"\""),
};
const struct field_table ollama_create_fields = FIELDS(create_rows);
static const struct field pull_rows[] = {
    {.name = "model", .types = JT_STRING, .store = STORE_TEXT, .offset = F(model), .doc = "a model"},
    {.name = "name", .types = JT_STRING, .store = STORE_TEXT, .offset = F(source), .doc = "the older name of model"},
    {.name = "insecure", .types = JT_BOOL, .use = FIELD_NOTED, .doc = "Nothing is fetched."},
    {.name = "stream", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(stream), .doc = "default true"},
};
const struct field_table ollama_pull_fields = FIELDS(pull_rows);

/* The model that a request names, without loading it. */
static slm_status find_model(struct call *c, const char *name, struct served **out) {
    *out = name ? models_find(c->server->models, name) : NULL;
    if (*out) return SLM_OK;
    if (!name) return fault_set(&c->fault, SLM_E_USAGE, "model", "field \"model\": is missing");
    return fault_set(&c->fault, SLM_E_NOT_FOUND, "model", "model '%s' not found", show_cstr(name).s);
}

static json_t *details_json(const struct model_facts *f) {
    return json_pack("{s:s, s:s, s:s, s:[s], s:s, s:s, s:I, s:I}", "parent_model", "", "format", "gguf", "family", f->family, "families", f->family, "parameter_size", f->parameter_size,
                     "quantization_level", f->quantization, "context_length", (json_int_t)f->n_ctx, "embedding_length", (json_int_t)f->d_model);
}

static json_t *capabilities_json(const struct model_facts *f) {
    json_t *list = json_array();
    json_array_append_new(list, json_string(f->is_encoder ? "embedding" : "completion"));
    if (f->takes_tools) json_array_append_new(list, json_string("tools"));
    if (f->thinks) json_array_append_new(list, json_string("thinking"));
    if (f->fills_gaps) json_array_append_new(list, json_string("insert"));
    return list;
}

static json_t *model_json(const struct served *s, const struct model_facts *f) {
    char name[160], time_text[48];
    snprintf(name, sizeof name, "%s:latest", s->name);
    ollama_time(s->modified, time_text);
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:o, s:o}", "name", name, "model", name, "modified_at", time_text, "size", (json_int_t)s->file_bytes, "digest", f->digest + 7, "details", details_json(f),
                     "capabilities", capabilities_json(f));
}

slm_status ollama_tags(struct call *c) {
    json_t *list = json_array();
    struct model_facts f;
    struct served *s;
    models_scan(c->server->models);
    for (size_t i = 0; (s = models_at(c->server->models, i)); i++)
        if (model_facts_read(s, &f, NULL) == SLM_OK) json_array_append_new(list, model_json(s, &f));
    return reply_json(c, 200, json_pack("{s:o}", "models", list));
}

slm_status ollama_ps(struct call *c) {
    json_t *list = json_array();
    struct served *s;
    for (size_t i = 0; (s = models_at(c->server->models, i)); i++) {
        struct model_facts f;
        struct models_warm w;
        if (!models_warm(c->server->models, s, &w) || model_facts_read(s, &f, NULL) != SLM_OK) continue;
        json_t *v = model_json(s, &f);
        char until[48];
        ollama_time(w.keep_s < 0 ? time(NULL) + 100L * 365 * 86400 : time(NULL) + (time_t)w.keep_s, until);
        json_object_set_new(v, "expires_at", json_string(until));
        json_object_set_new(v, "size", json_integer((json_int_t)w.need_bytes));
        json_object_set_new(v, "size_vram", json_integer(0));
        json_object_set_new(v, "context_length", json_integer(w.n_ctx));
        json_array_append_new(list, v);
    }
    return reply_json(c, 200, json_pack("{s:o}", "models", list));
}

slm_status ollama_show(struct call *c) {
    struct served *s;
    struct model_facts f;
    json_t *keys = NULL, *tensors = NULL;
    char time_text[48];
    slm_status st = SLM_OK;
    TRY(find_model(c, c->r.model ? c->r.model : c->r.source, &s));
    TRY(model_facts_read(s, &f, &c->fault.err));
    TRY(model_metadata_json(s, c->r.verbose == 1, &keys, &tensors, &c->fault.err));
    json_t *template = json_object_get(keys, "tokenizer.chat_template"), *license = json_object_get(keys, "general.license");
    ollama_time(s->modified, time_text);
    json_t *v = json_pack("{s:o, s:s, s:s, s:o, s:o, s:O, s:O, s:o, s:s}", "license", json_is_string(license) ? json_incref(license) : json_string(""), "modelfile", "", "parameters", "", "template",
                          json_is_string(template) ? json_incref(template) : json_string(""), "details", details_json(&f), "model_info", keys, "tensors", tensors, "capabilities", capabilities_json(&f),
                          "modified_at", time_text);
    st = reply_json(c, 200, v);
out:
    json_decref(keys);
    json_decref(tensors);
    return st;
}

slm_status ollama_version(struct call *c) { return reply_json(c, 200, json_pack("{s:s}", "version", SLM_VERSION)); }

slm_status ollama_copy(struct call *c) {
    struct served *s;
    slm_status st = find_model(c, c->r.source, &s);
    if (st == SLM_OK) st = models_link(c->server->models, s, c->r.destination, &c->fault);
    return st == SLM_OK ? reply_text(c, 200, NULL, NULL, 0) : st;
}

slm_status ollama_delete(struct call *c) {
    struct served *s;
    slm_status st = find_model(c, c->r.model ? c->r.model : c->r.source, &s);
    if (st == SLM_OK) st = models_remove(c->server->models, s, &c->fault);
    return st == SLM_OK ? reply_text(c, 200, NULL, NULL, 0) : st;
}

slm_status ollama_create(struct call *c) {
    struct served *s;
    slm_status st = find_model(c, c->r.from, &s);
    if (st == SLM_OK) st = models_link(c->server->models, s, c->r.destination, &c->fault);
    if (st != SLM_OK) return st;
    if (c->r.stream == 0) return reply_json(c, 200, json_pack("{s:s}", "status", "success"));
    stream_begin(c);
    st = stream_line(c, json_pack("{s:s}", "status", "success"));
    return st == SLM_OK ? stream_done(c, NULL) : st;
}

slm_status ollama_pull(struct call *c) {
    fault_set(&c->fault, SLM_E_UNSUPPORTED, NULL, "this server does not talk to registries: put the model's file into its folder (slm serve --models DIR), or convert one with slm convert");
    c->fault.http_status = 501;
    return SLM_E_UNSUPPORTED;
}

static slm_status embed_all(struct call *c, struct served *s, json_t *vectors) {
    struct prompts inputs = {0};
    slm_status st = SLM_OK;
    if (json_is_array(c->r.input) && json_array_size(c->r.input) == 0) return SLM_OK;
    TRY(prompts_read(s->model, c->r.input, "input", PROMPTS_EMBED, false, (size_t)c->server->limits.v[LIMIT_INPUTS], &inputs, &c->fault));
    for (size_t i = 0; i < inputs.n; i++) {
        float *v;
        size_t d;
        TRY(vectors_make(c, s, &inputs.ids[i], POOLING_MODEL, true, &v, &d));
        if (c->r.dimensions != ABSENT_I32 && (size_t)c->r.dimensions < d) vector_cut(v, d = (size_t)c->r.dimensions);
        json_array_append_new(vectors, vector_json(v, d, false));
        free(v);
    }
out:
    prompts_fini(&inputs);
    return st;
}

static slm_status embed(struct call *c, bool is_old) {
    struct served *s = NULL;
    json_t *vectors = json_array();
    double t0 = time_now_s();
    slm_status st = SLM_OK;
    TRY(use_model(c, c->r.model, &s));
    TRY(ollama_keep(c, s));
    double load_s = time_now_s() - t0;
    TRY(embed_all(c, s, vectors));
    json_t *v = is_old ? json_pack("{s:O}", "embedding", json_array_get(vectors, 0))
                       : json_pack("{s:s, s:O, s:I, s:I, s:I}", "model", c->r.model, "embeddings", vectors, "total_duration", (json_int_t)((time_now_s() - t0) * 1e9), "load_duration",
                                   (json_int_t)(load_s * 1e9), "prompt_eval_count", (json_int_t)c->n_prompt);
    st = reply_json(c, 200, v);
out:
    json_decref(vectors);
    models_release(c->server->models, s);
    return st;
}

slm_status ollama_embed(struct call *c) { return embed(c, false); }
slm_status ollama_embeddings(struct call *c) { return embed(c, true); }
