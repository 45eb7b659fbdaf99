/* api_openai_chat.c -- POST /v1/chat/completions.
 *
 * A stream's chunks carry what the text parser told: text, reasoning, calls (whole ones, their arguments in pieces). Log-probabilities go with
 * the first chunk after their tokens. Source: OpenAI's API reference; reasoning_content as DeepSeek and llama.cpp have it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "serve/api_openai.h"

static const struct field stream_options[] = {
    {.name = "include_usage", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(stream_usage), .doc = "one more chunk at the end, with the counts"},
    {.name = "include_obfuscation", .types = JT_BOOL, .use = FIELD_NOTED, .doc = "Nothing is added to streams here."},
};
static const struct field_table stream_options_table = FIELDS(stream_options);

static const struct field structured_rows[] = {FIELD_GRAMMAR("grammar"), FIELD_REGEX("regex"), FIELD_CHOICE("choice"), FIELD_SCHEMA("json")};
static const struct field_table structured_table = FIELDS(structured_rows);

static const struct field rows[] = {
    FIELD_MODEL,
    {.name = "messages", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(messages), .is_required = true, .doc = "the conversation: text only"},
    FIELD_STREAM,
    {.name = "stream_options", .types = JT_OBJECT, .sub = &stream_options_table},
    {.name = "max_completion_tokens", .types = JT_INT, .store = STORE_I32, .offset = F(n_max), .min = 0, .max = 1 << 24, .doc = "tokens of the answer at most"},
    {.name = "max_tokens", .types = JT_INT, .store = STORE_I32, .offset = F(n_max_old), .min = 0, .max = 1 << 24, .doc = "the older name of max_completion_tokens"},
    {.name = "n", .types = JT_INT, .store = STORE_I32, .offset = F(n), .min = 1, .max = 128, .doc = "answers; the i-th has the seed plus i"},
    FIELD_TEMPERATURE, FIELD_TOP_P, FIELD_TOP_K, FIELD_MIN_P, FIELD_TYPICAL, FIELD_SEED, FIELD_PRESENCE, FIELD_FREQUENCY,
    FIELD_REPEAT("repeat_penalty"), FIELD_REPEAT("repetition_penalty"), FIELD_LAST_N, FIELD_DRY, FIELD_BIAS, FIELD_STOP("stop"), FIELD_IGNORE_EOS, FIELD_LORA,
    {.name = "logprobs", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(logprobs), .doc = "tell each token's log-probability"},
    {.name = "top_logprobs", .types = JT_INT, .store = STORE_I32, .offset = F(top_logprobs), .min = 0, .max = SCHED_TOP_MAX, .doc = "and those of the likeliest others"},
    {.name = "tools", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(tools), .doc = "functions that the model may call"},
    {.name = "tool_choice", .types = JT_STRING | JT_OBJECT, .store = STORE_JSON, .offset = F(tool_choice), .doc = "auto, none, required, or one function"},
    {.name = "parallel_tool_calls", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(parallel_tool_calls), .doc = "false: one call at most"},
    {.name = "response_format", .types = JT_OBJECT, .store = STORE_JSON, .offset = F(response_format), .doc = "text, json_object or json_schema"},
    {.name = "reasoning_effort", .types = JT_STRING, .store = STORE_TEXT, .offset = F(reasoning_effort), .choices = "none|minimal|low|medium|high|xhigh", .doc = "none and minimal turn a template's thinking off"},
    {.name = "chat_template_kwargs", .types = JT_OBJECT, .store = STORE_JSON, .offset = F(template_kwargs), .doc = "more variables for the chat template"},
    {.name = "documents", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(documents), .doc = "for templates that know documents"},
    {.name = "modalities", .types = JT_ARRAY, .use = FIELD_REFUSED, .harmless = "[\"text\"]", .doc = "only text is generated"},
    {.name = "audio", .types = JT_OBJECT, .use = FIELD_REFUSED, .doc = "only text is generated"},
    {.name = "functions", .types = JT_ARRAY, .use = FIELD_REFUSED, .harmless = "[]", .doc = "the older form of tools"},
    {.name = "function_call", .types = JT_STRING | JT_OBJECT, .use = FIELD_REFUSED, .harmless = "\"none\"", .doc = "the older form of tool_choice"},
    {.name = "web_search_options", .types = JT_OBJECT, .use = FIELD_REFUSED, .doc = "this server searches nothing"},
    FIELD_GRAMMAR("grammar"), FIELD_GRAMMAR("guided_grammar"), FIELD_REGEX("guided_regex"), FIELD_CHOICE("guided_choice"),
    {.name = "structured_outputs", .types = JT_OBJECT, .sub = &structured_table, .doc = "as vLLM has it"},
    FIELD_SCHEMA("guided_json"), FIELD_SCHEMA("json_schema"),
    {.name = "prediction", .types = JT_OBJECT, .use = FIELD_NOTED, .doc = "A guess of the answer, for speed only."},
    {.name = "store", .types = JT_BOOL, .use = FIELD_NOTED, .doc = "Nothing is stored."},
    {.name = "metadata", .types = JT_OBJECT, .use = FIELD_NOTED, .doc = "A note of the client."},
    {.name = "user", .types = JT_STRING, .use = FIELD_NOTED, .doc = "A note of the client."},
    {.name = "safety_identifier", .types = JT_STRING, .use = FIELD_NOTED, .doc = "A note of the client."},
    {.name = "service_tier", .types = JT_STRING, .use = FIELD_NOTED, .doc = "There is one tier."},
    {.name = "prompt_cache_key", .types = JT_STRING, .use = FIELD_NOTED, .doc = "Prefixes are found by their tokens."},
    {.name = "cache_prompt", .types = JT_BOOL, .use = FIELD_NOTED, .doc = "Prefixes are always kept; answers are the same either way."},
    {.name = "verbosity", .types = JT_STRING, .use = FIELD_REFUSED, .harmless = "\"medium\"", .doc = "models here know no verbosity"},
};
const struct field_table openai_chat_fields = FIELDS(rows);

const char *openai_finish(const struct answer *a) {
    if (a->finish == FINISH_LENGTH || a->finish == FINISH_CONTEXT) return "length";
    return a->n_calls ? "tool_calls" : "stop";
}

json_t *openai_usage(const struct generation *g) {
    size_t n_prompt = generation_n_prompt(g), n_made = generation_n_generated(g), n_reasoning = 0;
    for (size_t i = 0; i < g->n_answers; i++) n_reasoning += g->answers[i].n_reasoning;
    return json_pack("{s:I, s:I, s:I, s:{s:I}, s:{s:I}}", "prompt_tokens", (json_int_t)n_prompt, "completion_tokens", (json_int_t)n_made, "total_tokens", (json_int_t)(n_prompt + n_made),
                     "prompt_tokens_details", "cached_tokens", (json_int_t)generation_n_cached(g), "completion_tokens_details", "reasoning_tokens", (json_int_t)n_reasoning);
}

int32_t openai_n_max(const struct request *r) { return r->n_max != ABSENT_I32 ? r->n_max : r->n_max_old != ABSENT_I32 ? r->n_max_old : -1; }

struct telling {
    struct chat chat;
    char id[40];
    json_int_t created;
    bool streams;
};

static bool one_call_only(const struct telling *t) { return t->chat.only_one_call; }

static json_t *tool_call_json(const struct tool_call_made *made) {
    return json_pack("{s:s, s:s, s:{s:o, s:o}}", "id", made->id, "type", "function", "function", "name", json_of_bytes((struct view){made->name.data, made->name.len}), "arguments",
                     json_of_bytes((struct view){made->arguments.data, made->arguments.len}));
}

static json_t *choice_json(const struct telling *t, struct answer *a) {
    json_t *m = json_pack("{s:s, s:o, s:n}", "role", "assistant", "content", a->text.len || !a->n_calls ? json_of_bytes((struct view){a->text.data, a->text.len}) : json_null(), "refusal");
    if (a->reasoning.len) json_object_set_new(m, "reasoning_content", json_of_bytes((struct view){a->reasoning.data, a->reasoning.len}));
    if (a->n_calls) {
        json_t *calls = json_array();
        for (size_t i = 0; i < a->n_calls && !(i > 0 && one_call_only(t)); i++) json_array_append_new(calls, tool_call_json(&a->calls[i]));
        json_object_set_new(m, "tool_calls", calls);
    }
    json_t *logprobs = a->logprobs ? json_pack("{s:O, s:n}", "content", a->logprobs, "refusal") : json_null();
    json_t *v = json_pack("{s:i, s:o, s:o, s:s}", "index", a->i, "message", m, "logprobs", logprobs, "finish_reason", openai_finish(a));
    if (a->invalid[0]) json_object_set_new(v, "schema_error", json_string(a->invalid));
    return v;
}

static json_t *frame(const struct telling *t, const char *object, json_t *choices) {
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", t->id, "object", object, "created", t->created, "model", t->chat.name, "system_fingerprint", "slm-" SLM_VERSION, "choices", choices);
}

/* One chunk; takes delta. finish NULL: goes on. */
static slm_status send_chunk(struct telling *t, const struct answer *a, json_t *delta, const char *finish) {
    json_t *logprobs = json_null();
    if (a->logprobs && json_array_size(a->logprobs)) {
        logprobs = json_pack("{s:o, s:n}", "content", json_copy(a->logprobs), "refusal");
        json_array_clear(a->logprobs);
    }
    json_t *choice = json_pack("{s:i, s:o, s:o, s:o}", "index", a->i, "delta", delta, "logprobs", logprobs, "finish_reason", finish ? json_string(finish) : json_null());
    if (finish && a->invalid[0]) json_object_set_new(choice, "schema_error", json_string(a->invalid));
    json_t *chunk = frame(t, "chat.completion.chunk", json_pack("[o]", choice));
    if (t->chat.c->r.stream_usage == 1) json_object_set_new(chunk, "usage", json_null());
    return stream_event(t->chat.c, NULL, chunk);
}

static json_t *call_delta(size_t i, json_t *rest) {
    json_object_set_new(rest, "index", json_integer((json_int_t)i));
    return json_pack("{s:[o]}", "tool_calls", rest);
}

static slm_status on_chat_delta(void *user, const struct delta *d) {
    struct telling *t = user;
    const struct answer *a = d->answer;
    bool is_dropped = d->i_call > 0 && one_call_only(t);
    switch (d->kind) {
    case DELTA_START: return send_chunk(t, a, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), NULL);
    case DELTA_TEXT: return send_chunk(t, a, json_pack("{s:o}", "content", json_of_bytes(d->text)), NULL);
    case DELTA_REASONING: return send_chunk(t, a, json_pack("{s:o}", "reasoning_content", json_of_bytes(d->text)), NULL);
    case DELTA_CALL_BEGIN:
        if (is_dropped) return SLM_OK;
        return send_chunk(t, a, call_delta(d->i_call, json_pack("{s:s, s:s, s:{s:o, s:s}}", "id", a->calls[d->i_call].id, "type", "function", "function", "name", json_of_bytes(d->text), "arguments", "")), NULL);
    case DELTA_CALL_ARGUMENTS:
        if (is_dropped) return SLM_OK;
        return send_chunk(t, a, call_delta(d->i_call, json_pack("{s:{s:o}}", "function", "arguments", json_of_bytes(d->text))), NULL);
    case DELTA_END: return send_chunk(t, a, json_object(), openai_finish(a));
    case DELTA_TOKEN:
    case DELTA_CALL_END: return SLM_OK;
    }
    return SLM_OK;
}

static slm_status read_reasoning(struct chat *chat, const struct request *r) {
    chat->effort = r->reasoning_effort;
    if (chat->effort && (strcmp(chat->effort, "none") == 0 || strcmp(chat->effort, "minimal") == 0)) chat->thinking = THINKING_OFF;
    return SLM_OK;
}

static slm_status read_chat(struct telling *t) {
    struct chat *chat = &t->chat;
    struct call *c = chat->c;
    const struct request *r = &c->r;
    slm_status st = SLM_OK;
    int32_t n = r->n == ABSENT_I32 ? 1 : r->n;
    if (n > c->server->limits.v[LIMIT_CHOICES]) return fault_set(&c->fault, SLM_E_LIMIT, "n", "field \"n\": more than %lld", (long long)c->server->limits.v[LIMIT_CHOICES]);
    if (r->top_logprobs != ABSENT_I32 && r->logprobs != 1) return fault_set(&c->fault, SLM_E_USAGE, "top_logprobs", "field \"top_logprobs\": needs \"logprobs\": true");
    chat->n_each = n;
    chat->streams = t->streams;
    chat->n_max = openai_n_max(r);
    chat->n_top = r->logprobs == 1 ? (r->top_logprobs == ABSENT_I32 ? 0 : r->top_logprobs) : -1;
    chat->only_one_call = r->parallel_tool_calls == 0;
    chat->tells_live = t->streams;
    TRY(read_reasoning(chat, r));
    TRY(messages_openai(r->messages, chat->messages, &c->fault));
    TRY(tools_openai(r->tools, (size_t)c->server->limits.v[LIMIT_TOOLS], chat->tools, &c->fault));
    TRY(chat_tool_choice(chat, r->tool_choice));
    TRY(chat_prepare(chat));
out:
    return st;
}

static slm_status end_stream(struct telling *t) {
    struct call *c = t->chat.c;
    slm_status st = SLM_OK;
    if (c->r.stream_usage == 1) {
        json_t *last = frame(t, "chat.completion.chunk", json_array());
        json_object_set_new(last, "usage", openai_usage(&t->chat.g));
        st = stream_event(c, NULL, last);
    }
    return st == SLM_OK ? stream_done(c, "data: [DONE]\n\n") : st;
}

static slm_status send_whole(struct telling *t) {
    json_t *choices = json_array();
    for (size_t i = 0; i < t->chat.g.n_answers; i++) json_array_append_new(choices, choice_json(t, &t->chat.g.answers[i]));
    json_t *v = frame(t, "chat.completion", choices);
    json_object_set_new(v, "usage", openai_usage(&t->chat.g));
    return reply_json(t->chat.c, 200, v);
}

slm_status openai_chat(struct call *c) {
    struct telling t = {.created = (json_int_t)time(NULL), .streams = c->r.stream == 1};
    slm_status st = SLM_OK;
    make_id("chatcmpl-", t.id);
    TRY(chat_init(&t.chat, c));
    TRY(read_chat(&t));
    if (t.streams) {
        t.chat.g.on_delta = on_chat_delta;
        t.chat.g.user = &t;
    }
    TRY(chat_run(&t.chat));
    st = t.streams ? end_stream(&t) : send_whole(&t);
out:
    chat_fini(&t.chat);
    return st;
}
