/* api_openai_text.c -- POST /v1/completions: prompts continued as they are; and the model list.
 * Source: OpenAI's API reference (legacy completions). */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/show.h"
#include "serve/api_openai.h"
#include "serve/completion.h"

static const struct field stream_options[] = {
    {.name = "include_usage", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(stream_usage), .doc = "one more chunk at the end, with the counts"},
};
static const struct field_table stream_options_table = FIELDS(stream_options);

static const struct field rows[] = {
    FIELD_MODEL,
    {.name = "prompt", .types = JT_STRING | JT_ARRAY, .store = STORE_JSON, .offset = F(prompt), .is_required = true, .doc = "text, a list of texts, ids, or lists of ids"},
    FIELD_STREAM,
    {.name = "stream_options", .types = JT_OBJECT, .sub = &stream_options_table},
    {.name = "max_tokens", .types = JT_INT, .store = STORE_I32, .offset = F(n_max), .min = 0, .max = 1 << 24, .doc = "tokens at most; default 16"},
    {.name = "n", .types = JT_INT, .store = STORE_I32, .offset = F(n), .min = 1, .max = 128, .doc = "answers to each prompt"},
    FIELD_TEMPERATURE, FIELD_TOP_P, FIELD_TOP_K, FIELD_MIN_P, FIELD_TYPICAL, FIELD_SEED, FIELD_PRESENCE, FIELD_FREQUENCY,
    FIELD_REPEAT("repeat_penalty"), FIELD_REPEAT("repetition_penalty"), FIELD_LAST_N, FIELD_DRY, FIELD_BIAS, FIELD_STOP("stop"), FIELD_IGNORE_EOS, FIELD_LORA,
    {.name = "echo", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(echo), .doc = "the prompt comes first"},
    {.name = "logprobs", .types = JT_INT, .store = STORE_I32, .offset = F(top_logprobs), .min = 0, .max = SCHED_TOP_MAX, .doc = "log-probabilities, and so many alternatives"},
    {.name = "best_of", .types = JT_INT, .use = FIELD_REFUSED, .harmless = "1", .doc = "ask for n answers and choose"},
    {.name = "suffix", .types = JT_STRING, .use = FIELD_REFUSED, .harmless = "\"\"", .doc = "/infill fills a gap"},
    FIELD_GRAMMAR("grammar"), FIELD_REGEX("guided_regex"), FIELD_CHOICE("guided_choice"), FIELD_SCHEMA("guided_json"), FIELD_SCHEMA("json_schema"),
    {.name = "response_format", .types = JT_OBJECT, .store = STORE_JSON, .offset = F(response_format), .doc = "text, json_object or json_schema"},
    {.name = "user", .types = JT_STRING, .use = FIELD_NOTED, .doc = "A note of the client."},
    {.name = "cache_prompt", .types = JT_BOOL, .use = FIELD_NOTED, .doc = "Prefixes are always kept; answers are the same either way."},
};
const struct field_table openai_completion_fields = FIELDS(rows);

#define N_MAX_DEFAULT 16

static json_t *frame(const struct completing *t, json_t *choices) {
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", t->id, "object", "text_completion", "created", t->created, "model", t->model->name, "system_fingerprint", "slm-" SLM_VERSION, "choices",
                     choices);
}

/* The old form: lists side by side. The entries are those of chat's form; taken off the answer. */
static json_t *old_logprobs(json_t *entries, size_t *text_at) {
    json_t *tokens = json_array(), *values = json_array(), *tops = json_array(), *offsets = json_array();
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *e = json_array_get(entries, i), *others = json_object_get(e, "top_logprobs");
        json_t *top = json_object();
        for (size_t k = 0; k < json_array_size(others); k++) {
            const json_t *o = json_array_get(others, k);
            json_object_set(top, json_string_value(json_object_get(o, "token")), json_object_get(o, "logprob"));
        }
        json_array_append(tokens, json_object_get(e, "token"));
        json_array_append(values, json_object_get(e, "logprob"));
        json_array_append_new(tops, top);
        json_array_append_new(offsets, json_integer((json_int_t)*text_at));
        *text_at += json_array_size(json_object_get(e, "bytes"));
    }
    json_array_clear(entries);
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", tokens, "token_logprobs", values, "top_logprobs", tops, "text_offset", offsets);
}

static json_t *choice(const struct completing *t, const struct answer *a, struct view text, const char *finish) {
    size_t at = 0;
    (void)t;
    return json_pack("{s:o, s:i, s:o, s:o}", "text", json_of_bytes(text), "index", a->i, "logprobs", a->logprobs ? old_logprobs(a->logprobs, &at) : json_null(), "finish_reason",
                     finish ? json_string(finish) : json_null());
}

static struct view prompt_text(const struct completing *t, int i_answer, struct buf *out) {
    const struct tok_ids *ids = &t->prompts.ids[i_answer / t->g.n_each];
    struct detok d;
    detok_init(&d, t->model->model->tok, true, false);
    for (size_t i = 0; i < ids->n; i++) detok_push(&d, ids->v[i], out);
    detok_finish(&d, out);
    return (struct view){out->data, out->len};
}

static slm_status on_text_delta(void *user, const struct delta *d) {
    struct completing *t = user;
    struct buf echoed;
    slm_status st = SLM_OK;
    if (d->kind == DELTA_TEXT || d->kind == DELTA_END) {
        json_t *v = frame(t, json_pack("[o]", choice(t, d->answer, d->text, d->kind == DELTA_END ? openai_finish(d->answer) : NULL)));
        st = stream_event(t->c, NULL, v);
    } else if (d->kind == DELTA_START && t->c->r.echo == 1) {
        buf_init(&echoed, (size_t)256 << 20);
        struct view text = prompt_text(t, d->answer->i, &echoed);
        st = stream_event(t->c, NULL, frame(t, json_pack("[o]", choice(t, d->answer, text, NULL))));
        buf_fini(&echoed);
    }
    return st;
}

static json_t *whole_choice(const struct completing *t, const struct answer *a) {
    struct buf text;
    buf_init(&text, (size_t)256 << 20);
    if (t->c->r.echo == 1) prompt_text(t, a->i, &text);
    buf_append(&text, a->text.data, a->text.len);
    json_t *v = choice(t, a, (struct view){text.data, text.len}, openai_finish(a));
    buf_fini(&text);
    return v;
}

static slm_status end(struct completing *t) {
    if (t->c->r.stream == 1) {
        slm_status st = SLM_OK;
        if (t->c->r.stream_usage == 1) {
            json_t *last = frame(t, json_array());
            json_object_set_new(last, "usage", openai_usage(&t->g));
            st = stream_event(t->c, NULL, last);
        }
        return st == SLM_OK ? stream_done(t->c, "data: [DONE]\n\n") : st;
    }
    json_t *choices = json_array();
    for (size_t i = 0; i < t->g.n_answers; i++) json_array_append_new(choices, whole_choice(t, &t->g.answers[i]));
    json_t *v = frame(t, choices);
    json_object_set_new(v, "usage", openai_usage(&t->g));
    return reply_json(t->c, 200, v);
}

slm_status openai_completions(struct call *c) {
    struct completing t = {.c = c, .created = (json_int_t)time(NULL)};
    const struct request *r = &c->r;
    size_t n_max = (size_t)c->server->limits.v[LIMIT_CHOICES], n_each = r->n == ABSENT_I32 ? 1 : (size_t)r->n;
    slm_status st = SLM_OK;
    make_id("cmpl-", t.id);
    TRY(use_model(c, r->model, &t.model));
    TRY(prompts_read(t.model->model, r->prompt, "prompt", PROMPTS_TEXT, false, n_max, &t.prompts, &c->fault));
    if (t.prompts.n * n_each > n_max) {
        st = fault_set(&c->fault, SLM_E_LIMIT, "n", "field \"n\": %zu prompts of %zu answers are more than %zu", t.prompts.n, n_each, n_max);
        goto out;
    }
    t.g = (struct generation){.c = c, .model = t.model, .prompts = t.prompts.ids, .n_prompts = t.prompts.n, .n_each = (int)n_each, .sampling = &t.sampling,
                              .n_max = r->n_max == ABSENT_I32 ? N_MAX_DEFAULT : r->n_max, .stops = t.stops, .ignore_eos = r->ignore_eos == 1,
                              .n_top = r->top_logprobs == ABSENT_I32 ? -1 : r->top_logprobs, .on_delta = r->stream == 1 ? on_text_delta : NULL, .user = &t};
    TRY(completing_run(&t));
    st = end(&t);
out:
    completing_fini(&t);
    return st;
}

static json_t *model_json(const struct served *s) {
    return json_pack("{s:s, s:s, s:I, s:s, s:s*}", "id", s->name, "object", "model", "created", (json_int_t)s->modified, "owned_by", "slm", "parent", s->base_name);
}

slm_status openai_models(struct call *c) {
    json_t *list = json_array();
    struct served *s = NULL;
    models_scan(c->server->models);
    while ((s = models_next(c->server->models, s))) json_array_append_new(list, model_json(s));
    for (size_t i = 0; gateway_name_at(c->server->gateway, i); i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:s}", "id", gateway_name_at(c->server->gateway, i), "object", "model", "created", 0, "owned_by", "slm"));
    return reply_json(c, 200, json_pack("{s:s, s:o}", "object", "list", "data", list));
}

slm_status openai_model(struct call *c) {
    char name[256];
    snprintf(name, sizeof name, "%.*s", VIEW_ARG(c->tail));
    struct served *s = models_find(c->server->models, name);
    json_t *v = s ? model_json(s) : NULL;
    models_let(c->server->models, s);
    if (s) return reply_json(c, 200, v);
    c->fault.code = "model_not_found";
    return fault_set(&c->fault, SLM_E_NOT_FOUND, "model", "model \"%s\": is not here", show_cstr(name).s);
}
