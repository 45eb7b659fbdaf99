/* api_ollama.c -- POST /api/generate and /api/chat: lines of JSON, streamed unless asked not to.
 * Source: Ollama's docs/api.md and the types of its Go client, 2026-08. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/show.h"
#include "serve/api_ollama.h"
#include "serve/chat.h"
#include "serve/model_facts.h"
#include "serve/prompts.h"
#include "text/gotmpl/gotmpl.h"

#define ENGINE(option) {.name = option, .types = JT_ANY, .use = FIELD_NOTED, .doc = "A setting of the engine, which does not change the answer."}
static const struct field option_rows[] = {
    {.name = "num_predict", .types = JT_INT, .store = STORE_I32, .offset = F(n_max), .min = -2, .max = 1 << 24, .doc = "tokens at most; negative: until the context is full"},
    {.name = "num_ctx", .types = JT_INT, .store = STORE_I32, .offset = F(n_ctx), .min = 1, .max = 1 << 24, .doc = "the context that is needed: more than the model was loaded with is refused, with the counts"},
    FIELD_TEMPERATURE, FIELD_TOP_P, FIELD_TOP_K, FIELD_MIN_P, FIELD_TYPICAL, FIELD_SEED, FIELD_PRESENCE, FIELD_FREQUENCY, FIELD_REPEAT("repeat_penalty"), FIELD_LAST_N, FIELD_STOP("stop"),
    {.name = "mirostat", .types = JT_INT, .use = FIELD_REFUSED, .harmless = "0", .doc = "that sampler is not here"},
    {.name = "tfs_z", .types = JT_NUMBER, .use = FIELD_REFUSED, .harmless = "1", .doc = "that sampler is not here"},
    ENGINE("mirostat_tau"), ENGINE("mirostat_eta"), ENGINE("num_keep"), ENGINE("num_batch"), ENGINE("num_gpu"), ENGINE("main_gpu"), ENGINE("use_mmap"), ENGINE("use_mlock"), ENGINE("low_vram"),
    ENGINE("num_thread"), ENGINE("numa"), ENGINE("f16_kv"), ENGINE("draft_num_predict"), ENGINE("penalize_newline"),
};
const struct field_table ollama_options = FIELDS(option_rows);

#define COMMON_ROWS \
    {.name = "model", .types = JT_STRING, .store = STORE_TEXT, .offset = F(model), .is_required = true, .doc = "NAME or NAME:latest"}, \
    {.name = "stream", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(stream), .doc = "lines while the answer is made; default true"}, \
    FIELD_KEEP_ALIVE, FIELD_OLLAMA_OPTIONS, \
    {.name = "think", .types = JT_BOOL | JT_STRING, .store = STORE_JSON, .offset = F(thinking), .doc = "false turns a template's thinking off; \"low\" to \"high\" is its effort"}, \
    {.name = "format", .types = JT_STRING | JT_OBJECT, .store = STORE_JSON, .offset = F(format), .doc = "\"json\" or a JSON schema"}, \
    {.name = "logprobs", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(logprobs), .doc = "tell each token's log-probability"}, \
    {.name = "top_logprobs", .types = JT_INT, .store = STORE_I32, .offset = F(top_logprobs), .min = 0, .max = SCHED_TOP_MAX, .doc = "and those of the likeliest others"}, \
    {.name = "truncate", .types = JT_BOOL, .use = FIELD_NOTED, .doc = "Prompts are never cut: what does not fit is refused."}, \
    {.name = "shift", .types = JT_BOOL, .use = FIELD_NOTED, .doc = "A full context ends the answer with \"length\"."}
static const struct field generate_rows[] = {
    COMMON_ROWS,
    {.name = "prompt", .types = JT_STRING, .store = STORE_JSON, .offset = F(prompt), .doc = "without it the model is only loaded"},
    {.name = "suffix", .types = JT_STRING, .store = STORE_TEXT, .offset = F(suffix), .doc = "text after the answer, for models that fill gaps"},
    {.name = "system", .types = JT_STRING, .store = STORE_TEXT, .offset = F(instructions), .doc = "what the model is told first"},
    {.name = "raw", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(raw), .doc = "the prompt as it is, without the chat template"},
    {.name = "context", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(context), .doc = "ids of an earlier answer, which come first"},
    {.name = "template", .types = JT_STRING, .use = FIELD_REFUSED, .harmless = "\"\"", .doc = "the model's own chat template is used, or none with raw"},
    {.name = "images", .types = JT_ARRAY, .use = FIELD_REFUSED, .harmless = "[]", .doc = "text only"},
};
const struct field_table ollama_generate_fields = FIELDS(generate_rows);
static const struct field chat_rows[] = {
    COMMON_ROWS,
    {.name = "messages", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(messages), .doc = "the conversation; without it the model is only loaded"},
    {.name = "tools", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(tools), .doc = "functions that the model may call"},
};
const struct field_table ollama_chat_fields = FIELDS(chat_rows);

struct lines {
    struct chat chat;
    bool is_chat;
    double t_begin, load_s;
};

void ollama_time(time_t t, char out[48]) {
    struct timespec now = {.tv_sec = t};
    struct tm tm;
    if (t < 0) clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(out, 48, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 48 - n, ".%09ldZ", now.tv_nsec);
}

slm_status ollama_keep(struct call *c, struct served *s) {
    const json_t *v = c->r.keep_alive;
    double seconds = json_number_value(v);
    if (!v) return SLM_OK;
    if (json_is_string(v) && !duration_parse(json_string_value(v), &seconds)) return fault_set(&c->fault, SLM_E_USAGE, "keep_alive", "field \"keep_alive\": \"%s\" is no time", show_cstr(json_string_value(v)).s);
    models_keep(c->server->models, s, seconds < 0 ? KEEP_FOREVER : seconds);
    return SLM_OK;
}

static json_t *line(const struct lines *t, bool is_done) {
    char now[48];
    ollama_time(-1, now);
    return json_pack("{s:s, s:s, s:b}", "model", t->chat.c->r.model, "created_at", now, "done", is_done);
}

/* Text of either kind into a line of either route. */
static void put_text(const struct lines *t, json_t *v, struct view text, struct view thinking, json_t *calls) {
    json_t *to = v;
    if (t->is_chat) {
        to = json_pack("{s:s}", "role", "assistant");
        json_object_set_new(v, "message", to);
    }
    json_object_set_new(to, t->is_chat ? "content" : "response", json_of_bytes(text));
    if (thinking.len) json_object_set_new(to, "thinking", json_of_bytes(thinking));
    if (calls && t->is_chat) json_object_set(to, "tool_calls", calls);
}

static json_t *calls_json(const struct answer *a, size_t from, size_t to) {
    json_t *list = json_array();
    for (size_t i = from; i < to; i++) {
        const struct tool_call_made *made = &a->calls[i];
        json_t *arguments = made->arguments.len ? json_loadb(made->arguments.data, made->arguments.len, 0, NULL) : NULL;
        json_array_append_new(list, json_pack("{s:s, s:{s:I, s:o, s:o}}", "id", made->id, "function", "index", (json_int_t)i, "name", json_of_bytes((struct view){made->name.data, made->name.len}),
                                              "arguments", arguments ? arguments : json_object()));
    }
    return list;
}

static void put_logprobs(const struct answer *a, json_t *v) {
    if (!a->logprobs || json_array_size(a->logprobs) == 0) return;
    json_object_set_new(v, "logprobs", json_copy(a->logprobs));
    json_array_clear(a->logprobs);
}

static slm_status send_text(struct lines *t, const struct answer *a, struct view text, struct view thinking, json_t *calls) {
    json_t *v = line(t, false);
    put_text(t, v, text, thinking, calls);
    put_logprobs(a, v);
    json_decref(calls);
    return stream_line(t->chat.c, v);
}

static slm_status on_line_delta(void *user, const struct delta *d) {
    struct lines *t = user;
    struct view none = {"", 0};
    switch (d->kind) {
    case DELTA_TEXT: return send_text(t, d->answer, d->text, none, NULL);
    case DELTA_REASONING: return send_text(t, d->answer, none, d->text, NULL);
    case DELTA_CALL_END: return t->is_chat ? send_text(t, d->answer, none, none, calls_json(d->answer, d->i_call, d->i_call + 1)) : SLM_OK;
    default: return SLM_OK;
    }
}

static json_int_t ns(double s) { return (json_int_t)(s * 1e9); }

/* The numbers of the last line. */
static void put_numbers(const struct lines *t, json_t *v) {
    const struct answer *a = &t->chat.g.answers[0];
    json_object_set_new(v, "done_reason", json_string(a->finish == FINISH_LENGTH || a->finish == FINISH_CONTEXT ? "length" : "stop"));
    json_object_set_new(v, "total_duration", json_integer(ns(time_now_s() - t->t_begin)));
    json_object_set_new(v, "load_duration", json_integer(ns(t->load_s)));
    json_object_set_new(v, "prompt_eval_count", json_integer((json_int_t)generation_n_prompt(&t->chat.g)));
    json_object_set_new(v, "prompt_eval_duration", json_integer(ns(a->usage.prefill_s)));
    json_object_set_new(v, "eval_count", json_integer((json_int_t)a->n_generated));
    json_object_set_new(v, "eval_duration", json_integer(ns(a->usage.decode_s)));
    if (t->is_chat || t->chat.c->r.raw == 1 || t->chat.g.told.is_set) return; /* another model's answer has no ids of ours */
    json_t *context = json_array();
    for (size_t i = 0; i < t->chat.ids.n; i++) json_array_append_new(context, json_integer(t->chat.ids.v[i]));
    for (size_t i = 0; i < a->ids.n; i++) json_array_append_new(context, json_integer(a->ids.v[i]));
    json_object_set_new(v, "context", context);
}

static slm_status end(struct lines *t) {
    struct call *c = t->chat.c;
    const struct answer *a = &t->chat.g.answers[0];
    bool is_streamed = c->r.stream != 0;
    json_t *v = line(t, true), *calls = !is_streamed && a->n_calls ? calls_json(a, 0, a->n_calls) : NULL;
    struct view none = {"", 0};
    put_text(t, v, is_streamed ? none : (struct view){a->text.data, a->text.len}, is_streamed ? none : (struct view){a->reasoning.data, a->reasoning.len}, calls);
    json_decref(calls);
    put_logprobs(a, v);
    put_numbers(t, v);
    if (!is_streamed) return reply_json(c, 200, v);
    slm_status st = stream_line(c, v);
    return st == SLM_OK ? stream_done(c, NULL) : st;
}

/* No prompt: the model is loaded, or with keep_alive 0 unloaded. */
static slm_status only_load(struct lines *t) {
    struct call *c = t->chat.c;
    bool is_unload = c->r.keep_alive && json_number_value(c->r.keep_alive) == 0 && json_is_number(c->r.keep_alive);
    json_t *v = line(t, true);
    put_text(t, v, (struct view){"", 0}, (struct view){"", 0}, NULL);
    json_object_set_new(v, "done_reason", json_string(is_unload ? "unload" : "load"));
    return reply_json(c, 200, v);
}

static slm_status read_think(struct chat *chat, const json_t *v) {
    if (json_is_boolean(v)) chat->thinking = json_is_true(v) ? THINKING_ON : THINKING_OFF;
    else if (json_is_string(v)) {
        chat->thinking = THINKING_ON;
        chat->effort = json_string_value(v);
    }
    return SLM_OK;
}

/* What Ollama samples by when the client says nothing. */
static void set_defaults(struct request *r) {
    if (isnan(r->temperature)) r->temperature = 0.8f;
    if (isnan(r->top_p)) r->top_p = 0.9f;
    if (isnan(r->min_p)) r->min_p = 0;
    if (r->top_k == ABSENT_I32) r->top_k = 40;
    if (r->repeat_last_n == ABSENT_I32) r->repeat_last_n = 64;
}

static slm_status check_options(struct lines *t) {
    struct call *c = t->chat.c;
    struct fault *f = &c->fault;
    if (!t->is_chat && (c->r.raw == 1 || c->r.suffix || !t->chat.model->chat) && c->r.format) { /* not through chat_render */
        slm_status st = format_read(&c->r, &t->chat.format, f);
        if (st != SLM_OK) return st;
    }
    if (c->r.n_ctx == ABSENT_I32 || !t->chat.model->sched || c->r.n_ctx <= sched_n_ctx(t->chat.model->sched)) return SLM_OK;
    return fault_set(f, SLM_E_LIMIT, "options.num_ctx", "field \"options.num_ctx\": %d is more than the %d positions that the model was loaded with", c->r.n_ctx, sched_n_ctx(t->chat.model->sched));
}

/* /api/generate with a template is a conversation of one message. */
static slm_status generate_prompt(struct lines *t) {
    struct call *c = t->chat.c;
    struct chat *chat = &t->chat;
    const struct request *r = &c->r;
    struct view prompt = {json_string_value(r->prompt), json_string_length(r->prompt)};
    slm_status st = SLM_OK;
    const char *own = chat->model->recipe.template;
    if (own && gotmpl_is(view_of(own)) && !gotmpl_is_bare(view_of(own)) && !chat->model->chat && r->raw != 1 && !(r->suffix && *r->suffix)) {
        fault_set(&c->fault, SLM_E_UNSUPPORTED, "model", "model \"%s\": its file has no chat template, and the one beside it, in Go's language, is not usable (the server's log says why)", chat->model->name);
        err_hint(&c->fault.err, "raw: true takes the prompt as it is; slm serve --template FILE gives it another template");
        return SLM_E_UNSUPPORTED;
    }
    chat->stays = r->suffix && *r->suffix ? "suffix" : json_array_size(r->context) ? "context" : r->raw == 1 || !chat->model->chat ? "raw" : NULL;
    if (r->suffix && *r->suffix) return gap_prompt(chat->model->model, prompt, view_of(r->suffix), &chat->ids, &c->fault);
    bool is_raw = r->raw == 1 || !chat->model->chat;
    struct prompts before = {0};
    if (json_array_size(r->context)) TRY(prompts_read(chat->model->model, r->context, "context", PROMPTS_TEXT, false, 1, &before, &c->fault));
    for (size_t i = 0; before.n && i < before.ids[0].n; i++) TRY(tok_ids_push(&chat->ids, before.ids[0].v[i], &c->fault.err));
    if (is_raw) {
        if (r->instructions) TRY(encode_text(chat->model->model, view_of(r->instructions), PROMPTS_TEXT, chat->ids.n == 0, &chat->ids, &c->fault.err));
        TRY(encode_text(chat->model->model, prompt, PROMPTS_TEXT, chat->ids.n == 0, &chat->ids, &c->fault.err));
    } else {
        if (r->instructions) TRY(message_add(chat->messages, "system", r->instructions, &c->fault));
        TRY(message_add(chat->messages, "user", json_string_value(r->prompt), &c->fault));
        if (chat->gate != GATE_FRONTIER) TRY(chat_render(chat));
    }
out:
    prompts_fini(&before);
    return st;
}

static slm_status prepare(struct lines *t) {
    struct call *c = t->chat.c;
    struct chat *chat = &t->chat;
    slm_status st = SLM_OK;
    set_defaults(&c->r);
    chat->n_max = chat->asked.n_max == ABSENT_I32 || chat->asked.n_max < 0 ? -1 : chat->asked.n_max;
    chat->n_top = c->r.logprobs == 1 ? (c->r.top_logprobs == ABSENT_I32 ? 0 : c->r.top_logprobs) : -1;
    chat->stop = chat->asked.stop;
    chat->stop_param = "options.stop";
    TRY(read_think(chat, c->r.thinking));
    if (t->is_chat) {
        chat->continues = true;
        TRY(messages_ollama(c->r.messages, chat->messages, &c->fault));
        TRY(tools_openai(c->r.tools, (size_t)c->server->limits.v[LIMIT_TOOLS], chat->tools, &c->fault));
        TRY(chat_prepare(chat));
    } else {
        TRY(generate_prompt(t));
        TRY(chat->gate == GATE_FRONTIER ? gateway_prepare(chat) : chat_ready(chat));
    }
    chat->g.keep_ids = !t->is_chat;
    if (!chat->rendered.text.len) chat->g.parses = chat->g.strip_first = false; /* a text goes on, no answer begins */
out:
    return st;
}

static slm_status run(struct call *c, bool is_chat) {
    struct lines t = {.is_chat = is_chat, .t_begin = time_now_s()};
    slm_status st = SLM_OK;
    TRY(chat_init(&t.chat, c));
    TRY(chat_use_model(&t.chat));
    t.load_s = time_now_s() - t.t_begin;
    TRY(ollama_keep(c, t.chat.model));
    TRY(check_options(&t));
    if (is_chat ? json_array_size(c->r.messages) == 0 : json_string_length(c->r.prompt) == 0) {
        st = only_load(&t);
        goto out;
    }
    TRY(prepare(&t));
    if (c->r.stream != 0) {
        t.chat.g.on_delta = on_line_delta;
        t.chat.g.user = &t;
        t.chat.streams = true;
    }
    TRY(chat_run(&t.chat));
    st = end(&t);
out:
    chat_fini(&t.chat);
    return st;
}

slm_status ollama_generate(struct call *c) { return run(c, false); }
slm_status ollama_chat(struct call *c) { return run(c, true); }
