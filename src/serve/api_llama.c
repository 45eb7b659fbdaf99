/* api_llama.c -- POST /completion and /infill: a prompt continued as it is. Source: tools/server/README.md of llama.cpp, 2026. */
#include <string.h>

#include "base/json.h"
#include "serve/api_llama.h"
#include "serve/chat.h"
#include "serve/completion.h"
#include "serve/model_facts.h"

#define NOT_HERE(key, kinds, none, why) {.name = key, .types = kinds, .use = FIELD_REFUSED, .harmless = none, .doc = why}
#define NOTED(key, why) {.name = key, .types = JT_ANY, .use = FIELD_NOTED, .doc = why}
#define COMMON_ROWS \
    FIELD_MODEL, FIELD_STREAM, \
    {.name = "n_predict", .types = JT_INT, .store = STORE_I32, .offset = F(n_max), .min = -1, .max = 1 << 24, .doc = "tokens at most; -1: until the context is full"}, \
    {.name = "max_tokens", .types = JT_INT, .store = STORE_I32, .offset = F(n_max_old), .min = -1, .max = 1 << 24, .doc = "another name of n_predict"}, \
    FIELD_TEMPERATURE, FIELD_TOP_P, FIELD_TOP_K, FIELD_MIN_P, FIELD_TYPICAL, FIELD_SEED, FIELD_PRESENCE, FIELD_FREQUENCY, FIELD_REPEAT("repeat_penalty"), FIELD_LAST_N, FIELD_DRY, FIELD_BIAS, \
    FIELD_STOP("stop"), FIELD_IGNORE_EOS, FIELD_LORA, \
    {.name = "n_probs", .types = JT_INT, .store = STORE_I32, .offset = F(top_logprobs), .min = 0, .max = SCHED_TOP_MAX, .doc = "alternatives of each token with their log-probabilities; 0: none"}, \
    {.name = "return_tokens", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(return_tokens), .doc = "the ids too"}, \
    NOTED("cache_prompt", "Prefixes are always kept; answers are the same either way."), NOTED("id_slot", "There are no slots to choose."), NOTED("timings_per_token", "Timings come with the last event."), \
    NOTED("n_keep", "A full context ends the answer."), NOTED("t_max_predict_ms", "Leave, and the work stops."), \
    FIELD_GRAMMAR("grammar"), FIELD_SCHEMA("json_schema"), \
    NOT_HERE("mirostat", JT_INT, "0", "that sampler is not here"), NOT_HERE("xtc_probability", JT_NUMBER, "0", "that sampler is not here"), \
    NOT_HERE("dynatemp_range", JT_NUMBER, "0", "that sampler is not here"), NOT_HERE("top_n_sigma", JT_NUMBER, "-1", "that sampler is not here"), \
    NOT_HERE("samplers", JT_ARRAY | JT_STRING, "[]", "the order of the samplers is fixed (docs/sampling.md)"), \
    NOT_HERE("n_indent", JT_INT, "0", "indentation is not counted"), NOT_HERE("image_data", JT_ARRAY, "[]", "text only"), NOT_HERE("post_sampling_probs", JT_BOOL, "false", "probabilities are the model's own"), \
    NOT_HERE("response_fields", JT_ARRAY, "[]", "the whole answer is told"), NOT_HERE("return_progress", JT_BOOL, "false", "progress of prompts is not told")
static const struct field completion_rows[] = {
    COMMON_ROWS,
    {.name = "prompt", .types = JT_STRING | JT_ARRAY, .store = STORE_JSON, .offset = F(prompt), .is_required = true, .doc = "text, ids, a mix of both, or a list of ids"},
};
const struct field_table llama_completion_fields = FIELDS(completion_rows);
static const struct field infill_rows[] = {
    COMMON_ROWS,
    {.name = "input_prefix", .types = JT_STRING, .store = STORE_TEXT, .offset = F(content), .is_required = true, .doc = "what stands before the gap"},
    {.name = "input_suffix", .types = JT_STRING, .store = STORE_TEXT, .offset = F(suffix), .is_required = true, .doc = "what stands after it"},
    {.name = "prompt", .types = JT_STRING, .store = STORE_JSON, .offset = F(prompt), .doc = "text at the beginning of the answer"},
    NOT_HERE("input_extra", JT_ARRAY, "[]", "only the two sides of the gap are read"),
};
const struct field_table llama_infill_fields = FIELDS(infill_rows);

static json_t *ids_json(const struct tok_ids *ids) {
    json_t *list = json_array();
    for (size_t i = 0; i < ids->n; i++) json_array_append_new(list, json_integer(ids->v[i]));
    return list;
}

static json_t *timings_json(const struct answer *a) {
    const struct sched_usage *u = &a->usage;
    double n_new = (double)(u->n_prompt - u->n_cached), n_made = (double)a->n_generated;
    return json_pack("{s:I, s:I, s:o, s:o, s:I, s:o, s:o}", "cache_n", (json_int_t)u->n_cached, "prompt_n", (json_int_t)n_new, "prompt_ms", json_f64(u->prefill_s * 1e3), "prompt_per_second",
                     json_f64(u->prefill_s > 0 ? n_new / u->prefill_s : 0.0), "predicted_n", (json_int_t)n_made, "predicted_ms", json_f64(u->decode_s * 1e3), "predicted_per_second", json_f64(u->decode_s > 0 ? n_made / u->decode_s : 0.0));
}

static const char *stop_type(const struct answer *a) {
    if (a->finish == FINISH_EOS) return "eos";
    return a->finish == FINISH_STOP ? "word" : "limit";
}

/* The last event, or the whole answer. */
static json_t *whole_json(const struct completing *t, const struct answer *a, struct view text) {
    json_t *v = json_pack("{s:i, s:o, s:o, s:i, s:b, s:s, s:I, s:I, s:s, s:o, s:b, s:I, s:I, s:o}", "index", a->i, "content", json_of_bytes(text), "tokens",
                          t->c->r.return_tokens == 1 && t->c->r.stream != 1 ? ids_json(&a->ids) : json_array(), "id_slot", -1, "stop", 1, "model", t->model->name, "tokens_predicted",
                          (json_int_t)a->n_generated, "tokens_evaluated", (json_int_t)a->usage.n_prompt, "stop_type", stop_type(a), "stopping_word", json_of_bytes(a->stop), "truncated", 0,
                          "tokens_cached", (json_int_t)a->usage.n_cached, "seed", (json_int_t)t->sampling.params.seed, "timings", timings_json(a));
    if (a->logprobs) json_object_set_new(v, "completion_probabilities", json_copy(a->logprobs));
    return v;
}

static slm_status on_completion_delta(void *user, const struct delta *d) {
    struct completing *t = user;
    struct answer *a = &t->g.answers[d->answer->i];
    if (d->kind == DELTA_END) return stream_event(t->c, NULL, whole_json(t, a, (struct view){"", 0}));
    if (d->kind != DELTA_TEXT) return SLM_OK;
    json_t *v = json_pack("{s:i, s:o, s:o, s:b, s:i, s:I, s:I}", "index", a->i, "content", json_of_bytes(d->text), "tokens", ids_json(&a->ids), "stop", 0, "id_slot", -1, "tokens_predicted",
                          (json_int_t)a->n_generated, "tokens_evaluated", (json_int_t)a->usage.n_prompt);
    a->ids.n = 0; /* told */
    if (a->logprobs && json_array_size(a->logprobs)) {
        json_object_set_new(v, "completion_probabilities", json_copy(a->logprobs));
        json_array_clear(a->logprobs);
    }
    return stream_event(t->c, NULL, v);
}

static slm_status end(struct completing *t) {
    struct call *c = t->c;
    if (c->r.stream == 1) return stream_done(c, NULL);
    if (t->g.n_answers == 1) {
        const struct answer *a = &t->g.answers[0];
        return reply_json(c, 200, whole_json(t, a, (struct view){a->text.data, a->text.len}));
    }
    json_t *list = json_array();
    for (size_t i = 0; i < t->g.n_answers; i++) json_array_append_new(list, whole_json(t, &t->g.answers[i], (struct view){t->g.answers[i].text.data, t->g.answers[i].text.len}));
    return reply_json(c, 200, list);
}

static slm_status read_prompts(struct completing *t, bool is_infill) {
    struct call *c = t->c;
    slm_status st = SLM_OK;
    void *mem;
    if (!is_infill) return prompts_read(t->model->model, c->r.prompt, "prompt", PROMPTS_TEXT, true, (size_t)c->server->limits.v[LIMIT_CHOICES], &t->prompts, &c->fault);
    TRY(mem_alloc(&mem, 1, sizeof *t->prompts.ids, "prompt", &c->fault.err));
    t->prompts = (struct prompts){mem, 1};
    TRY(gap_prompt(t->model->model, view_of(c->r.content), view_of(c->r.suffix), &t->prompts.ids[0], &c->fault));
    if (json_string_length(c->r.prompt))
        TRY(tok_encode(t->model->model->tok, (struct view){json_string_value(c->r.prompt), json_string_length(c->r.prompt)}, 0, &t->prompts.ids[0], &c->fault.err));
out:
    return st;
}

static slm_status complete(struct call *c, bool is_infill) {
    struct completing t = {.c = c};
    const struct request *r = &c->r;
    int32_t n_max = r->n_max != ABSENT_I32 ? r->n_max : r->n_max_old != ABSENT_I32 ? r->n_max_old : -1;
    slm_status st = SLM_OK;
    TRY(use_model(c, r->model, &t.model));
    TRY(read_prompts(&t, is_infill));
    t.g = (struct generation){.c = c, .model = t.model, .prompts = t.prompts.ids, .n_prompts = t.prompts.n, .n_each = 1, .sampling = &t.sampling, .n_max = n_max, .stops = t.stops,
                              .ignore_eos = r->ignore_eos == 1, .keep_ids = r->return_tokens == 1, .n_top = r->top_logprobs == ABSENT_I32 || r->top_logprobs == 0 ? -1 : r->top_logprobs,
                              .on_delta = r->stream == 1 ? on_completion_delta : NULL, .user = &t};
    TRY(completing_run(&t));
    st = end(&t);
out:
    completing_fini(&t);
    return st;
}

slm_status llama_completion(struct call *c) { return complete(c, false); }
slm_status llama_infill(struct call *c) { return complete(c, true); }
