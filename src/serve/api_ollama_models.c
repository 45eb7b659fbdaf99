/* api_ollama_models.c -- Ollama's routes that tell about models, and its embeddings. */
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
#include "text/gotmpl/gotmpl.h"

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
/* The model that a request names, without loading it; models_let. */
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
    char name[512], time_text[48];
    const char *base = strrchr(s->name, '/');
    snprintf(name, sizeof name, "%s%s", s->name, strchr(base ? base : s->name, ':') ? "" : ":latest"); /* names of the store may have another tag */
    ollama_time(s->modified, time_text);
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:o, s:o}", "name", name, "model", name, "modified_at", time_text, "size", (json_int_t)s->file_bytes, "digest", f->digest + 7, "details", details_json(f),
                     "capabilities", capabilities_json(f));
}

slm_status ollama_tags(struct call *c) {
    json_t *list = json_array();
    struct model_facts f;
    struct served *s = NULL;
    models_scan(c->server->models);
    while ((s = models_next(c->server->models, s)))
        if (model_facts_read(s, &f, NULL) == SLM_OK) json_array_append_new(list, model_json(s, &f));
    return reply_json(c, 200, json_pack("{s:o}", "models", list));
}

slm_status ollama_ps(struct call *c) {
    json_t *list = json_array();
    struct served *s = NULL;
    while ((s = models_next(c->server->models, s))) {
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

/* "temperature  0.7", a line each, as Ollama shows parameters. */
static void put_params(const json_t *params, struct buf *out) {
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)params, name, v) {
        size_t n = json_is_array(v) ? json_array_size(v) : 1;
        for (size_t i = 0; i < n; i++) {
            char *text = json_dumps(json_is_array(v) ? json_array_get(v, i) : v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
            buf_printf(out, "%s%-30s %s", out->len ? "\n" : "", name, text ? text : "");
            free(text);
        }
    }
}

/* A template in Go's language says what it takes by the fields that it reads. */
static void add_capabilities(const struct recipe *r, const struct model_facts *f, json_t *list) {
    if (!r->template || !gotmpl_is(view_of(r->template)) || (f->has_template && !r->has_own_template)) return;
    if (!f->takes_tools && strstr(r->template, ".Tools")) json_array_append_new(list, json_string("tools"));
    if (!f->thinks && strstr(r->template, ".Thinking")) json_array_append_new(list, json_string("thinking"));
}

/* What the manifest says, over what the file says. */
static slm_status put_recipe(struct call *c, const struct served *s, const struct model_facts *f, json_t *v) {
    struct recipe r;
    struct buf text, license;
    slm_status st = s->is_in_store ? stored_recipe(s, models_store(c->server->models), &r, &c->fault.err) : SLM_OK;
    if (!s->is_in_store || st != SLM_OK) return st;
    buf_init(&text, 16u << 20);
    buf_init(&license, 16u << 20);
    modelfile_print(&r, &text);
    json_object_set_new(v, "modelfile", json_of_bytes((struct view){text.data, text.len}));
    buf_clear(&text);
    put_params(r.params, &text);
    json_object_set_new(v, "parameters", json_of_bytes((struct view){text.len ? text.data : "", text.len}));
    for (size_t i = 0; i < json_array_size(r.licenses); i++) buf_printf(&license, "%s%s", i ? "\n\n" : "", json_string_value(json_array_get(r.licenses, i)));
    if (license.len) json_object_set_new(v, "license", json_of_bytes((struct view){license.data, license.len}));
    if (r.template) json_object_set_new(v, "template", json_string(r.template));
    add_capabilities(&r, f, json_object_get(v, "capabilities"));
    if (r.system) json_object_set_new(v, "system", json_string(r.system));
    if (json_array_size(r.messages)) json_object_set(v, "messages", r.messages);
    buf_fini(&text);
    buf_fini(&license);
    recipe_fini(&r);
    return SLM_OK;
}

slm_status ollama_show(struct call *c) {
    struct served *s = NULL;
    struct model_facts f;
    json_t *keys = NULL, *tensors = NULL, *v = NULL;
    char time_text[48];
    slm_status st = SLM_OK;
    TRY(find_model(c, c->r.model ? c->r.model : c->r.source, &s));
    TRY(model_facts_read(s, &f, &c->fault.err));
    TRY(model_metadata_json(s, c->r.verbose == 1, &keys, &tensors, &c->fault.err));
    json_t *template = json_object_get(keys, "tokenizer.chat_template"), *license = json_object_get(keys, "general.license");
    ollama_time(s->modified, time_text);
    v = json_pack("{s:o, s:s, s:s, s:o, s:o, s:O, s:O, s:o, s:s}", "license", json_is_string(license) ? json_incref(license) : json_string(""), "modelfile", "", "parameters", "", "template",
                  json_is_string(template) ? json_incref(template) : json_string(""), "details", details_json(&f), "model_info", keys, "tensors", tensors, "capabilities", capabilities_json(&f),
                  "modified_at", time_text);
    TRY(put_recipe(c, s, &f, v));
    st = reply_json(c, 200, json_incref(v));
out:
    models_let(c->server->models, s);
    json_decref(v);
    json_decref(keys);
    json_decref(tensors);
    return st;
}

slm_status ollama_version(struct call *c) { return reply_json(c, 200, json_pack("{s:s}", "version", SLM_VERSION)); }

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
