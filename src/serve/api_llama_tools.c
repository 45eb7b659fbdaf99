/* api_llama_tools.c -- llama.cpp's smaller routes: tokens, templates, vectors, ranks, what the server is doing. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "serve/api_llama.h"
#include "serve/chat.h"
#include "serve/vectors.h"

static const struct field tokenize_rows[] = {
    FIELD_MODEL,
    {.name = "content", .types = JT_STRING, .store = STORE_JSON, .offset = F(prompt), .is_required = true, .doc = "the text"},
    {.name = "add_special", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(add_special), .doc = "the begin token that the vocabulary asks for; default false"},
    {.name = "parse_special", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(parse_special), .doc = "names of special tokens are those; default true"},
    {.name = "with_pieces", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(with_pieces), .doc = "each id with its text"},
};
const struct field_table llama_tokenize_fields = FIELDS(tokenize_rows);
static const struct field detokenize_rows[] = {
    FIELD_MODEL,
    {.name = "tokens", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(prompt), .is_required = true, .doc = "ids"},
};
const struct field_table llama_detokenize_fields = FIELDS(detokenize_rows);
static const struct field template_rows[] = {
    FIELD_MODEL,
    {.name = "messages", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(messages), .is_required = true, .doc = "the conversation"},
    {.name = "tools", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(tools), .doc = "functions"},
    {.name = "tool_choice", .types = JT_STRING | JT_OBJECT, .store = STORE_JSON, .offset = F(tool_choice), .doc = "none leaves the tools out"},
    {.name = "chat_template_kwargs", .types = JT_OBJECT, .store = STORE_JSON, .offset = F(template_kwargs), .doc = "more variables"},
};
const struct field_table llama_template_fields = FIELDS(template_rows);
static const struct field embedding_rows[] = {
    FIELD_MODEL,
    {.name = "content", .types = JT_STRING | JT_ARRAY, .store = STORE_JSON, .offset = F(input), .doc = "text, a list of texts, ids, or lists of ids"},
    {.name = "input", .types = JT_STRING | JT_ARRAY, .store = STORE_JSON, .offset = F(prompt), .doc = "another name of content"},
    {.name = "embd_normalize", .types = JT_INT, .store = STORE_I32, .offset = F(top_n), .min = -1, .max = 2, .doc = "2: to length 1 (default); -1: as it is; others are not here"},
};
const struct field_table llama_embedding_fields = FIELDS(embedding_rows);
static const struct field rerank_rows[] = {
    FIELD_MODEL,
    {.name = "query", .types = JT_STRING, .store = STORE_TEXT, .offset = F(query), .is_required = true, .doc = "what is looked for"},
    {.name = "documents", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(documents), .is_required = true, .doc = "texts, or objects with a text"},
    {.name = "top_n", .types = JT_INT, .store = STORE_I32, .offset = F(top_n), .min = 1, .max = 1 << 20, .doc = "only the best"},
    {.name = "return_documents", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(echo), .doc = "the texts too"},
    {.name = "return_text", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(echo), .doc = "another name of return_documents"},
};
const struct field_table llama_rerank_fields = FIELDS(rerank_rows);

static struct view text_view(const json_t *v) { return (struct view){json_string_value(v), json_string_length(v)}; }

slm_status llama_tokenize(struct call *c) {
    struct served *s = NULL;
    struct tok_ids ids = {0};
    json_t *list = json_array();
    slm_status st = SLM_OK;
    TRY(use_model(c, c->r.model, &s));
    const struct tok *t = s->model->tok;
    unsigned flags = (c->r.parse_special != 0 ? TOK_PARSE_SPECIAL : 0u) | (c->r.add_special == 1 && tok_config_of(t)->add_bos ? TOK_ADD_BOS : 0u);
    TRY(tok_encode(t, text_view(c->r.prompt), flags, &ids, &c->fault.err));
    for (size_t i = 0; i < ids.n; i++) {
        if (c->r.with_pieces != 1) json_array_append_new(list, json_integer(ids.v[i]));
        else json_array_append_new(list, json_pack("{s:i, s:o}", "id", ids.v[i], "piece", json_of_bytes(tok_piece(t, ids.v[i], true))));
    }
    st = reply_json(c, 200, json_pack("{s:O}", "tokens", list));
out:
    json_decref(list);
    tok_ids_fini(&ids);
    models_release(c->server->models, s);
    return st;
}

slm_status llama_detokenize(struct call *c) {
    struct served *s = NULL;
    struct prompts p = {0};
    char *text = NULL;
    size_t n = 0;
    slm_status st = SLM_OK;
    TRY(use_model(c, c->r.model, &s));
    if (json_array_size(c->r.prompt)) {
        TRY(prompts_read(s->model, c->r.prompt, "tokens", PROMPTS_TEXT, false, 1, &p, &c->fault));
        TRY(slm_detokenize(s->model, p.ids[0].v, p.ids[0].n, &text, &n, &c->fault.err));
    }
    st = reply_json(c, 200, json_pack("{s:o}", "content", json_of_bytes((struct view){text, n})));
out:
    slm_free(text);
    prompts_fini(&p);
    models_release(c->server->models, s);
    return st;
}

slm_status llama_apply_template(struct call *c) {
    struct chat chat;
    slm_status st = SLM_OK;
    TRY(chat_init(&chat, c));
    TRY(messages_openai(c->r.messages, chat.messages, &c->fault));
    TRY(tools_openai(c->r.tools, (size_t)c->server->limits.v[LIMIT_TOOLS], chat.tools, &c->fault));
    TRY(chat_tool_choice(&chat, c->r.tool_choice));
    TRY(chat_render(&chat));
    st = reply_json(c, 200, json_pack("{s:o}", "prompt", json_of_bytes((struct view){chat.rendered.text.data, chat.rendered.text.len})));
out:
    chat_fini(&chat);
    return st;
}

slm_status llama_embedding(struct call *c) {
    struct served *s = NULL;
    struct prompts inputs = {0};
    json_t *list = json_array();
    const json_t *input = c->r.input ? c->r.input : c->r.prompt;
    bool normalize = c->r.top_n == ABSENT_I32 || c->r.top_n == 2;
    slm_status st = SLM_OK;
    if (!input) {
        st = fault_set(&c->fault, SLM_E_USAGE, "content", "field \"content\": is missing");
        goto out;
    }
    if (!normalize && c->r.top_n != -1) {
        st = fault_set(&c->fault, SLM_E_UNSUPPORTED, "embd_normalize", "field \"embd_normalize\": must be 2 or -1");
        goto out;
    }
    TRY(use_model(c, c->r.model, &s));
    TRY(prompts_read(s->model, input, "content", PROMPTS_EMBED, false, (size_t)c->server->limits.v[LIMIT_INPUTS], &inputs, &c->fault));
    for (size_t i = 0; i < inputs.n; i++) {
        float *v;
        size_t d;
        TRY(vectors_make(c, s, &inputs.ids[i], POOLING_MODEL, normalize, &v, &d));
        json_array_append_new(list, json_pack("{s:I, s:[o]}", "index", (json_int_t)i, "embedding", vector_json(v, d, false)));
        free(v);
    }
    st = reply_json(c, 200, json_incref(list));
out:
    json_decref(list);
    prompts_fini(&inputs);
    models_release(c->server->models, s);
    return st;
}

struct rank {
    size_t i;
    double score;
};

static int by_score(const void *a, const void *b) {
    const struct rank *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x->i < y->i ? -1 : x->i > y->i;
}

static const json_t *document_at(const json_t *documents, size_t i) {
    const json_t *v = json_array_get(documents, i);
    return json_is_object(v) ? json_object_get(v, "text") : v;
}

static slm_status rank_one(struct call *c, struct served *s, size_t i, double *score) {
    const json_t *document = document_at(c->r.documents, i);
    struct tok_ids ids = {0};
    float *v = NULL;
    size_t d;
    slm_status st = SLM_OK;
    if (!json_is_string(document)) return fault_set(&c->fault, SLM_E_USAGE, "documents", "field \"documents\": element %zu is no text", i);
    TRY(rank_encode(c, s, view_of(c->r.query), text_view(document), &ids));
    TRY(vectors_make(c, s, &ids, POOLING_RANK, false, &v, &d));
    *score = (double)v[0];
out:
    free(v);
    tok_ids_fini(&ids);
    return st;
}

slm_status llama_rerank(struct call *c) {
    struct served *s = NULL;
    struct rank *ranks = NULL;
    void *mem;
    size_t n = json_array_size(c->r.documents);
    json_t *list = json_array();
    slm_status st = SLM_OK;
    if (n > (size_t)c->server->limits.v[LIMIT_INPUTS]) {
        st = fault_set(&c->fault, SLM_E_LIMIT, "documents", "field \"documents\": %zu are more than %lld", n, (long long)c->server->limits.v[LIMIT_INPUTS]);
        goto out;
    }
    TRY(use_model(c, c->r.model, &s));
    TRY(mem_alloc(&mem, n + 1, sizeof *ranks, "ranks", &c->fault.err));
    ranks = mem;
    for (size_t i = 0; i < n; i++) {
        ranks[i].i = i;
        TRY(rank_one(c, s, i, &ranks[i].score));
    }
    qsort(ranks, n, sizeof *ranks, by_score);
    size_t n_told = c->r.top_n == ABSENT_I32 || (size_t)c->r.top_n > n ? n : (size_t)c->r.top_n;
    for (size_t i = 0; i < n_told; i++) {
        json_t *v = json_pack("{s:I, s:o}", "index", (json_int_t)ranks[i].i, "relevance_score", json_f64(ranks[i].score));
        if (c->r.echo == 1) json_object_set_new(v, "document", json_pack("{s:O}", "text", document_at(c->r.documents, ranks[i].i)));
        json_array_append_new(list, v);
    }
    st = reply_json(c, 200, json_pack("{s:s, s:s, s:{s:I, s:I}, s:O}", "model", s->name, "object", "list", "usage", "prompt_tokens", (json_int_t)c->n_prompt, "total_tokens", (json_int_t)c->n_prompt,
                                      "results", list));
out:
    free(ranks);
    json_decref(list);
    models_release(c->server->models, s);
    return st;
}

/* Of the model that the query names, or of the only one. */
static slm_status query_model(struct call *c, struct served **out) {
    struct buf name;
    buf_init(&name, 512);
    bool has = http_query_find(http_request_of(c->x), "model", &name);
    slm_status st = use_model(c, has ? name.data : NULL, out);
    buf_fini(&name);
    return st;
}

slm_status llama_props(struct call *c) {
    struct served *s = NULL;
    slm_status st = query_model(c, &s);
    if (st != SLM_OK) return st;
    const struct tok *t = s->model->tok;
    const struct tok_config *k = tok_config_of(t);
    json_t *v = json_pack("{s:i, s:s, s:o, s:o, s:o, s:s, s:{s:i}, s:{s:b, s:b}}", "total_slots", c->server->config.models.sched.n_seq, "model_alias", s->name, "chat_template",
                          json_of_bytes(s->model->chat_template), "bos_token", json_of_bytes(tok_piece(t, k->bos, true)), "eos_token", json_of_bytes(tok_piece(t, k->eos, true)), "build_info",
                          "slm " SLM_VERSION, "default_generation_settings", "n_ctx", s->sched ? sched_n_ctx(s->sched) : 0, "modalities", "vision", 0, "audio", 0);
    models_release(c->server->models, s);
    return reply_json(c, 200, v);
}

/* What an answer takes of them that says nothing itself. */
slm_status llama_loras(struct call *c) {
    json_t *list = json_array();
    struct served *s = NULL;
    slm_status st = query_model(c, &s);
    for (uint32_t i = 0; st == SLM_OK && i < s->model->n_loras; i++) {
        const char *path = model_lora_path(s->model, i), *file = strrchr(path, '/');
        json_array_append_new(list, json_pack("{s:i, s:o, s:o, s:s*}", "id", (int)i, "path", json_of_bytes(view_of(file ? file + 1 : path)), "scale", json_f64((double)s->model->lora_default->scale[i]), "name",
                                              i < s->n_named_loras ? c->server->config.models.loras[i].name : NULL));
    }
    models_release(c->server->models, s);
    if (st == SLM_OK) return reply_json(c, 200, list);
    json_decref(list);
    return st;
}

/* One row for each place of each loaded model; which request sits where changes with every step and is nobody's business. */
slm_status llama_slots(struct call *c) {
    json_t *list = json_array();
    struct served *s = NULL;
    json_int_t id = 0;
    while ((s = models_next(c->server->models, s))) {
        struct sched_stats t;
        struct models_warm w;
        if (!models_stats(c->server->models, s, &t) || !models_warm(c->server->models, s, &w)) continue;
        for (int32_t k = 0; k < c->server->config.models.sched.n_seq; k++)
            json_array_append_new(list, json_pack("{s:I, s:s, s:i, s:b}", "id", id++, "model", s->name, "n_ctx", w.n_ctx, "is_processing", k < t.n_running));
    }
    return reply_json(c, 200, list);
}
