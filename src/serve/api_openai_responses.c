/* api_openai_responses.c -- POST /v1/responses, without state: nothing is stored, so nothing can be continued by id.
 *
 * One machine makes the output items and, when the client streams, the events about them: what is told and what the whole answer
 * holds cannot differ. An item is open until text of another kind comes. Source: OpenAI's API reference. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "serve/api_openai.h"

static const struct field text_rows[] = {
    {.name = "format", .types = JT_OBJECT, .store = STORE_JSON, .offset = F(response_format), .doc = "text, json_object or json_schema"},
    {.name = "verbosity", .types = JT_STRING, .use = FIELD_REFUSED, .harmless = "\"medium\"", .doc = "models here know no verbosity"},
};
static const struct field_table text_table = FIELDS(text_rows);
static const struct field reasoning_rows[] = {
    {.name = "effort", .types = JT_STRING, .store = STORE_TEXT, .offset = F(reasoning_effort), .choices = "none|minimal|low|medium|high|xhigh", .doc = "none and minimal turn a template's thinking off"},
    {.name = "summary", .types = JT_STRING, .use = FIELD_NOTED, .doc = "The reasoning itself is told."},
    {.name = "generate_summary", .types = JT_STRING, .use = FIELD_NOTED, .doc = "The reasoning itself is told."},
};
static const struct field_table reasoning_table = FIELDS(reasoning_rows);
static const struct field rows[] = {
    FIELD_MODEL,
    {.name = "input", .types = JT_STRING | JT_ARRAY, .store = STORE_JSON, .offset = F(input), .is_required = true, .doc = "text, or items: messages, function calls and their outputs"},
    {.name = "instructions", .types = JT_STRING, .store = STORE_TEXT, .offset = F(instructions), .doc = "what the model is told first"},
    FIELD_STREAM, FIELD_TEMPERATURE, FIELD_TOP_P, FIELD_TOP_K, FIELD_MIN_P, FIELD_SEED, FIELD_PRESENCE, FIELD_FREQUENCY, FIELD_REPEAT("repeat_penalty"), FIELD_BIAS, FIELD_STOP("stop"),
    {.name = "max_output_tokens", .types = JT_INT, .store = STORE_I32, .offset = F(n_max), .min = 1, .max = 1 << 24, .doc = "tokens of the answer at most"},
    {.name = "tools", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(tools), .doc = "functions that the model may call"},
    {.name = "tool_choice", .types = JT_STRING | JT_OBJECT, .store = STORE_JSON, .offset = F(tool_choice), .doc = "auto, none, required, or one function"},
    {.name = "parallel_tool_calls", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(parallel_tool_calls), .doc = "false: one call at most"},
    {.name = "text", .types = JT_OBJECT, .sub = &text_table},
    {.name = "reasoning", .types = JT_OBJECT, .sub = &reasoning_table},
    {.name = "chat_template_kwargs", .types = JT_OBJECT, .store = STORE_JSON, .offset = F(template_kwargs), .doc = "more variables for the chat template"},
    {.name = "previous_response_id", .types = JT_STRING, .use = FIELD_REFUSED, .doc = "responses are not stored: send the items again"},
    {.name = "conversation", .types = JT_STRING | JT_OBJECT, .use = FIELD_REFUSED, .doc = "conversations are not stored"},
    {.name = "background", .types = JT_BOOL, .use = FIELD_REFUSED, .harmless = "false", .doc = "responses are not stored"},
    {.name = "truncation", .types = JT_STRING, .use = FIELD_REFUSED, .harmless = "\"disabled\"", .doc = "prompts are never cut"},
    {.name = "prompt", .types = JT_OBJECT, .use = FIELD_REFUSED, .doc = "there are no stored prompts"},
    {.name = "top_logprobs", .types = JT_INT, .use = FIELD_REFUSED, .harmless = "0", .doc = "/v1/chat/completions tells log-probabilities"},
    {.name = "max_tool_calls", .types = JT_INT, .use = FIELD_NOTED, .doc = "It is about built-in tools, of which there are none."},
    {.name = "include", .types = JT_ARRAY, .use = FIELD_NOTED, .doc = "There is nothing more to include."},
    {.name = "store", .types = JT_BOOL, .use = FIELD_NOTED, .doc = "Nothing is stored."},
    {.name = "metadata", .types = JT_OBJECT, .use = FIELD_NOTED, .doc = "A note of the client."},
    {.name = "user", .types = JT_STRING, .use = FIELD_NOTED, .doc = "A note of the client."},
    {.name = "safety_identifier", .types = JT_STRING, .use = FIELD_NOTED, .doc = "A note of the client."},
    {.name = "prompt_cache_key", .types = JT_STRING, .use = FIELD_NOTED, .doc = "Prefixes are found by their tokens."},
    {.name = "service_tier", .types = JT_STRING, .use = FIELD_NOTED, .doc = "There is one tier."},
};
const struct field_table openai_response_fields = FIELDS(rows);

enum item_kind { ITEM_NONE, ITEM_REASONING, ITEM_MESSAGE, ITEM_CALL };
/* Names of what differs between kinds. */
static const struct { const char *prefix, *part, *delta, *done, *key; } kinds[] = {
    [ITEM_REASONING] = {"rs_", "reasoning_text", "response.reasoning_text.delta", "response.reasoning_text.done", "text"},
    [ITEM_MESSAGE] = {"msg_", "output_text", "response.output_text.delta", "response.output_text.done", "text"},
    [ITEM_CALL] = {"fc_", NULL, "response.function_call_arguments.delta", "response.function_call_arguments.done", "arguments"},
};

struct responding {
    struct chat chat;
    char id[40];
    json_int_t created;
    json_t *output;     /* items that are whole */
    enum item_kind open;
    char item_id[40], call_id[40];
    struct buf text, name; /* of the open item */
    json_int_t n_events;
    bool is_dropping;   /* a second call where one was allowed */
};

static bool streams(const struct responding *t) { return t->chat.c->r.stream == 1; }

/* One event; takes data, adds its type and number. */
static slm_status say(struct responding *t, const char *type, json_t *data) {
    if (!streams(t)) {
        json_decref(data);
        return SLM_OK;
    }
    json_object_set_new(data, "type", json_string(type));
    json_object_set_new(data, "sequence_number", json_integer(t->n_events++));
    return stream_event(t->chat.c, type, data);
}

static json_t *part_json(const struct responding *t, bool is_whole) {
    json_t *text = json_of_bytes((struct view){t->text.data, is_whole ? t->text.len : 0});
    if (t->open == ITEM_REASONING) return json_pack("{s:s, s:o}", "type", "reasoning_text", "text", text);
    return json_pack("{s:s, s:o, s:[], s:[]}", "type", "output_text", "text", text, "annotations", "logprobs");
}

static json_t *item_json(const struct responding *t, bool is_whole) {
    const char *status = is_whole ? "completed" : "in_progress";
    if (t->open == ITEM_CALL)
        return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "type", "function_call", "id", t->item_id, "call_id", t->call_id, "status", status, "name",
                         json_of_bytes((struct view){t->name.data, t->name.len}), "arguments", json_of_bytes((struct view){t->text.data, is_whole ? t->text.len : 0}));
    json_t *content = is_whole ? json_pack("[o]", part_json(t, true)) : json_array();
    if (t->open == ITEM_REASONING) return json_pack("{s:s, s:s, s:[], s:o, s:s}", "type", "reasoning", "id", t->item_id, "summary", "content", content, "status", status);
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "type", "message", "id", t->item_id, "status", status, "role", "assistant", "content", content);
}

/* Where an event belongs. */
static json_t *place(const struct responding *t, bool has_part) {
    json_t *v = json_pack("{s:s, s:I}", "item_id", t->item_id, "output_index", (json_int_t)json_array_size(t->output));
    if (has_part) json_object_set_new(v, "content_index", json_integer(0));
    return v;
}

static slm_status close_item(struct responding *t) {
    slm_status st = SLM_OK;
    if (t->open == ITEM_NONE) return SLM_OK;
    bool has_part = kinds[t->open].part != NULL;
    json_t *done = place(t, has_part);
    json_object_set_new(done, kinds[t->open].key, json_of_bytes((struct view){t->text.data, t->text.len}));
    TRY(say(t, kinds[t->open].done, done));
    if (has_part) {
        json_t *part = place(t, true);
        json_object_set_new(part, "part", part_json(t, true));
        TRY(say(t, "response.content_part.done", part));
    }
    TRY(say(t, "response.output_item.done", json_pack("{s:I, s:o}", "output_index", (json_int_t)json_array_size(t->output), "item", item_json(t, true))));
    json_array_append_new(t->output, item_json(t, true));
out:
    t->open = ITEM_NONE;
    return st;
}

static slm_status open_item(struct responding *t, enum item_kind kind, struct view name, const char *call_id) {
    slm_status st = SLM_OK;
    TRY(close_item(t));
    t->open = kind;
    make_id(kinds[kind].prefix, t->item_id);
    buf_clear(&t->text);
    buf_clear(&t->name);
    buf_append(&t->name, name.ptr, name.len);
    if (call_id) snprintf(t->call_id, sizeof t->call_id, "%s", call_id);
    TRY(say(t, "response.output_item.added", json_pack("{s:I, s:o}", "output_index", (json_int_t)json_array_size(t->output), "item", item_json(t, false))));
    if (kinds[kind].part) {
        json_t *part = place(t, true);
        json_object_set_new(part, "part", part_json(t, false));
        TRY(say(t, "response.content_part.added", part));
    }
out:
    return st;
}

static slm_status add_text(struct responding *t, enum item_kind kind, struct view text) {
    slm_status st = SLM_OK;
    if (t->open != kind) TRY(open_item(t, kind, (struct view){0}, NULL));
    buf_append(&t->text, text.ptr, text.len);
    json_t *v = place(t, kinds[kind].part != NULL);
    json_object_set_new(v, "delta", json_of_bytes(text));
    if (kind == ITEM_MESSAGE) json_object_set_new(v, "logprobs", json_array());
    TRY(say(t, kinds[kind].delta, v));
out:
    return st;
}

static slm_status on_response_delta(void *user, const struct delta *d) {
    struct responding *t = user;
    if (d->kind == DELTA_CALL_BEGIN) t->is_dropping = d->i_call > 0 && t->chat.only_one_call;
    switch (d->kind) {
    case DELTA_TEXT: return add_text(t, ITEM_MESSAGE, d->text);
    case DELTA_REASONING: return add_text(t, ITEM_REASONING, d->text);
    case DELTA_CALL_BEGIN: return t->is_dropping ? SLM_OK : open_item(t, ITEM_CALL, d->text, d->answer->calls[d->i_call].id);
    case DELTA_CALL_ARGUMENTS: return t->is_dropping ? SLM_OK : add_text(t, ITEM_CALL, d->text);
    case DELTA_CALL_END:
    case DELTA_END: return close_item(t);
    case DELTA_START:
    case DELTA_TOKEN: return SLM_OK;
    }
    return SLM_OK;
}

static json_t *number_or_null(float v) { return json_f64((double)v); }

static json_t *response_json(const struct responding *t, const char *status) {
    const struct request *r = &t->chat.c->r;
    const struct generation *g = &t->chat.g;
    json_t *v = json_pack("{s:s, s:s, s:I, s:s, s:n, s:n, s:s, s:O, s:b, s:n, s:b, s:s, s:{}}", "id", t->id, "object", "response", "created_at", t->created, "status", status, "error",
                          "incomplete_details", "model", t->chat.name, "output", t->output, "parallel_tool_calls", r->parallel_tool_calls != 0, "previous_response_id", "store", 0,
                          "truncation", "disabled", "metadata");
    json_object_set_new(v, "instructions", r->instructions ? json_string(r->instructions) : json_null());
    json_object_set_new(v, "max_output_tokens", r->n_max == ABSENT_I32 ? json_null() : json_integer(r->n_max));
    json_object_set_new(v, "temperature", number_or_null(r->temperature));
    json_object_set_new(v, "top_p", number_or_null(r->top_p));
    json_object_set_new(v, "reasoning", json_pack("{s:s?, s:n}", "effort", r->reasoning_effort, "summary"));
    json_object_set_new(v, "text", json_pack("{s:o}", "format", r->response_format ? json_deep_copy(r->response_format) : json_pack("{s:s}", "type", "text")));
    json_object_set_new(v, "tools", r->tools ? json_deep_copy(r->tools) : json_array());
    json_object_set_new(v, "tool_choice", r->tool_choice ? json_deep_copy(r->tool_choice) : json_string("auto"));
    json_object_set_new(v, "usage", json_null());
    if (strcmp(status, "in_progress") == 0) return v;
    if (strcmp(status, "incomplete") == 0) json_object_set_new(v, "incomplete_details", json_pack("{s:s}", "reason", "max_output_tokens"));
    json_int_t n_in = (json_int_t)generation_n_prompt(g), n_out = (json_int_t)generation_n_generated(g);
    json_object_set_new(v, "usage", json_pack("{s:I, s:{s:I}, s:I, s:{s:I}, s:I}", "input_tokens", n_in, "input_tokens_details", "cached_tokens", (json_int_t)generation_n_cached(g), "output_tokens",
                                              n_out, "output_tokens_details", "reasoning_tokens", (json_int_t)g->answers[0].n_reasoning, "total_tokens", n_in + n_out));
    return v;
}

static slm_status read_response(struct responding *t) {
    struct chat *chat = &t->chat;
    struct call *c = chat->c;
    slm_status st = SLM_OK;
    chat->n_max = openai_n_max(&c->r);
    chat->streams = streams(t);
    chat->effort = c->r.reasoning_effort;
    if (chat->effort && (strcmp(chat->effort, "none") == 0 || strcmp(chat->effort, "minimal") == 0)) chat->thinking = THINKING_OFF;
    TRY(messages_responses(c->r.instructions, c->r.input, chat->messages, &c->fault));
    TRY(tools_responses(c->r.tools, (size_t)c->server->limits.v[LIMIT_TOOLS], chat->tools, &c->fault));
    chat->only_one_call = c->r.parallel_tool_calls == 0;
    chat->tells_live = streams(t);
    TRY(chat_tool_choice(chat, c->r.tool_choice));
    TRY(chat_prepare(chat));
out:
    return st;
}

static slm_status on_response_begin(void *user) {
    struct responding *t = user;
    slm_status st = say(t, "response.created", json_pack("{s:o}", "response", response_json(t, "in_progress")));
    return st == SLM_OK ? say(t, "response.in_progress", json_pack("{s:o}", "response", response_json(t, "in_progress"))) : st;
}

slm_status openai_responses(struct call *c) {
    struct responding t = {.created = (json_int_t)time(NULL), .output = json_array()};
    slm_status st = SLM_OK;
    make_id("resp_", t.id);
    buf_init(&t.text, (size_t)64 << 20);
    buf_init(&t.name, 4096);
    TRY(chat_init(&t.chat, c));
    TRY(read_response(&t));
    t.chat.g.on_delta = on_response_delta;
    t.chat.g.user = &t;
    t.chat.on_begin = on_response_begin;
    TRY(chat_run(&t.chat));
    bool is_cut = strcmp(openai_finish(&t.chat.g.answers[0]), "length") == 0;
    json_t *whole = response_json(&t, is_cut ? "incomplete" : "completed");
    if (!streams(&t)) st = reply_json(c, 200, whole);
    else {
        TRY(say(&t, is_cut ? "response.incomplete" : "response.completed", json_pack("{s:o}", "response", whole)));
        st = stream_done(c, NULL);
    }
out:
    json_decref(t.output);
    buf_fini(&t.text);
    buf_fini(&t.name);
    chat_fini(&t.chat);
    return st;
}
