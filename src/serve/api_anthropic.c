/* api_anthropic.c -- POST /v1/messages and /v1/messages/count_tokens.
 *
 * As with responses, one machine makes the content blocks and the events about them. A last message of the assistant is continued, as the
 * API defines. input_tokens counts what was computed, cache_read_input_tokens what was remembered. Source: Anthropic's API reference. */
#include <stdio.h>
#include <string.h>

#include "serve/api_anthropic.h"
#include "serve/chat.h"

static const struct field thinking_rows[] = {
    {.name = "type", .types = JT_STRING, .choices = "enabled|disabled|adaptive", .doc = "whether the template's thinking is on"},
    {.name = "budget_tokens", .types = JT_INT, .use = FIELD_NOTED, .doc = "max_tokens bounds thinking and answer together."},
    {.name = "display", .types = JT_STRING, .use = FIELD_NOTED, .doc = "Thinking is told as it is."},
};
static const struct field_table thinking_table = FIELDS(thinking_rows);
#define PROMPT_ROWS \
    FIELD_MODEL, \
    {.name = "messages", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(messages), .is_required = true, .doc = "the conversation: text, tool_use, tool_result, thinking"}, \
    {.name = "system", .types = JT_STRING | JT_ARRAY, .store = STORE_JSON, .offset = F(system), .doc = "what the model is told first"}, \
    {.name = "tools", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(tools), .doc = "tools that the model may use"}, \
    {.name = "tool_choice", .types = JT_OBJECT, .store = STORE_JSON, .offset = F(tool_choice), .doc = "auto, any, tool or none"}, \
    {.name = "thinking", .types = JT_OBJECT, .store = STORE_JSON, .offset = F(thinking), .sub = &thinking_table, .doc = "off unless enabled"}
static const struct field output_rows[] = {
    {.name = "format", .types = JT_OBJECT, .store = STORE_JSON, .offset = F(response_format), .doc = "json_schema and its schema"},
    {.name = "effort", .types = JT_STRING, .store = STORE_TEXT, .offset = F(reasoning_effort), .choices = "low|medium|high|xhigh|max", .doc = "for templates that know an effort"},
};
static const struct field_table output_table = FIELDS(output_rows);
static const struct field message_rows[] = {
    PROMPT_ROWS,
    {.name = "max_tokens", .types = JT_INT, .store = STORE_I32, .offset = F(n_max), .min = 1, .max = 1 << 24, .is_required = true, .doc = "tokens of the answer at most"},
    FIELD_STREAM, FIELD_TEMPERATURE, FIELD_TOP_P, FIELD_TOP_K, FIELD_MIN_P, FIELD_SEED, FIELD_STOP("stop_sequences"),
    {.name = "metadata", .types = JT_OBJECT, .use = FIELD_NOTED, .doc = "A note of the client."},
    {.name = "service_tier", .types = JT_STRING, .use = FIELD_NOTED, .doc = "There is one tier."},
    {.name = "cache_control", .types = JT_OBJECT, .use = FIELD_NOTED, .doc = "Prefixes are always kept."},
    {.name = "inference_geo", .types = JT_STRING, .use = FIELD_NOTED, .doc = "This machine."},
    {.name = "output_config", .types = JT_OBJECT, .sub = &output_table},
    {.name = "output_format", .types = JT_OBJECT, .store = STORE_JSON, .offset = F(response_format), .doc = "json_schema and its schema"},
    {.name = "container", .types = JT_STRING, .use = FIELD_REFUSED, .doc = "nothing is run here"},
    {.name = "mcp_servers", .types = JT_ARRAY, .use = FIELD_REFUSED, .harmless = "[]", .doc = "no other server is called"},
    {.name = "context_management", .types = JT_OBJECT, .use = FIELD_REFUSED, .doc = "prompts are never cut"},
};
const struct field_table anthropic_message_fields = FIELDS(message_rows);
static const struct field count_rows[] = {PROMPT_ROWS};
const struct field_table anthropic_count_fields = FIELDS(count_rows);

enum block_kind { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING, BLOCK_TOOL };
struct messaging {
    struct chat chat;
    char id[40];
    json_t *content; /* blocks that are whole */
    enum block_kind open;
    char tool_id[40];
    struct buf text, name;
    bool is_dropping;
};

static bool streams(const struct messaging *t) { return t->chat.c->r.stream == 1; }

static slm_status say(struct messaging *t, const char *type, json_t *data) {
    if (!streams(t)) {
        json_decref(data);
        return SLM_OK;
    }
    json_object_set_new(data, "type", json_string(type));
    return stream_event(t->chat.c, type, data);
}

static json_t *block_json(const struct messaging *t, bool is_whole) {
    struct view text = {t->text.data, is_whole ? t->text.len : 0};
    if (t->open == BLOCK_TEXT) return json_pack("{s:s, s:o}", "type", "text", "text", json_of_bytes(text));
    if (t->open == BLOCK_THINKING) return json_pack("{s:s, s:o, s:s}", "type", "thinking", "thinking", json_of_bytes(text), "signature", "");
    json_t *input = is_whole && text.len ? json_loadb(text.ptr, text.len, 0, NULL) : NULL;
    return json_pack("{s:s, s:s, s:o, s:o}", "type", "tool_use", "id", t->tool_id, "name", json_of_bytes((struct view){t->name.data, t->name.len}), "input", input ? input : json_object());
}

static slm_status close_block(struct messaging *t) {
    if (t->open == BLOCK_NONE) return SLM_OK;
    json_int_t i = (json_int_t)json_array_size(t->content);
    json_array_append_new(t->content, block_json(t, true));
    t->open = BLOCK_NONE;
    return say(t, "content_block_stop", json_pack("{s:I}", "index", i));
}

static slm_status open_block(struct messaging *t, enum block_kind kind, struct view name) {
    slm_status st = close_block(t);
    if (st != SLM_OK) return st;
    t->open = kind;
    buf_clear(&t->text);
    buf_clear(&t->name);
    buf_append(&t->name, name.ptr, name.len);
    if (kind == BLOCK_TOOL) make_id("toolu_", t->tool_id);
    return say(t, "content_block_start", json_pack("{s:I, s:o}", "index", (json_int_t)json_array_size(t->content), "content_block", block_json(t, false)));
}

static slm_status add_text(struct messaging *t, enum block_kind kind, struct view text) {
    static const struct { const char *type, *key; } deltas[] = {
        [BLOCK_TEXT] = {"text_delta", "text"}, [BLOCK_THINKING] = {"thinking_delta", "thinking"}, [BLOCK_TOOL] = {"input_json_delta", "partial_json"}};
    slm_status st = SLM_OK;
    if (t->open != kind) st = open_block(t, kind, (struct view){0});
    buf_append(&t->text, text.ptr, text.len);
    if (st != SLM_OK) return st;
    return say(t, "content_block_delta", json_pack("{s:I, s:{s:s, s:o}}", "index", (json_int_t)json_array_size(t->content), "delta", "type", deltas[kind].type, deltas[kind].key, json_of_bytes(text)));
}

static json_t *usage_json(const struct generation *g, size_t n_out) {
    size_t n_cached = generation_n_cached(g), n_in = generation_n_prompt(g);
    return json_pack("{s:I, s:I, s:I, s:I}", "input_tokens", (json_int_t)(n_in - n_cached), "cache_creation_input_tokens", (json_int_t)0, "cache_read_input_tokens", (json_int_t)n_cached, "output_tokens",
                     (json_int_t)n_out);
}

static json_t *message_json(const struct messaging *t, bool is_whole) {
    static const struct { enum finish finish; const char *reason; } reasons[] = {
        {FINISH_LENGTH, "max_tokens"}, {FINISH_CONTEXT, "max_tokens"}, {FINISH_STOP, "stop_sequence"}};
    const struct answer *a = &t->chat.g.answers[0];
    json_t *reason = json_null(), *stop = json_null();
    if (is_whole) {
        reason = json_string(a->n_calls ? "tool_use" : "end_turn");
        for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
            if (reasons[i].finish == a->finish) json_decref(reason), reason = json_string(reasons[i].reason);
        if (a->finish == FINISH_STOP) stop = json_of_bytes(a->stop);
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:O, s:o, s:o, s:o}", "id", t->id, "type", "message", "role", "assistant", "model", t->chat.name, "content", t->content, "stop_reason", reason,
                     "stop_sequence", stop, "usage", usage_json(&t->chat.g, is_whole ? a->n_generated : 0));
}

static slm_status end_message(struct messaging *t) {
    slm_status st = close_block(t);
    json_t *m = message_json(t, true);
    if (st == SLM_OK)
        st = say(t, "message_delta", json_pack("{s:{s:O, s:O}, s:O}", "delta", "stop_reason", json_object_get(m, "stop_reason"), "stop_sequence", json_object_get(m, "stop_sequence"), "usage",
                                               json_object_get(m, "usage")));
    json_decref(m);
    return st == SLM_OK ? say(t, "message_stop", json_object()) : st;
}

static slm_status on_message_delta(void *user, const struct delta *d) {
    struct messaging *t = user;
    if (d->kind == DELTA_CALL_BEGIN) t->is_dropping = d->i_call > 0 && t->chat.only_one_call;
    switch (d->kind) {
    case DELTA_START: return say(t, "message_start", json_pack("{s:o}", "message", message_json(t, false)));
    case DELTA_TEXT: return add_text(t, BLOCK_TEXT, d->text);
    case DELTA_REASONING: return add_text(t, BLOCK_THINKING, d->text);
    case DELTA_CALL_BEGIN: return t->is_dropping ? SLM_OK : open_block(t, BLOCK_TOOL, d->text);
    case DELTA_CALL_ARGUMENTS: return t->is_dropping ? SLM_OK : add_text(t, BLOCK_TOOL, d->text);
    case DELTA_CALL_END: return close_block(t);
    case DELTA_END: return end_message(t);
    case DELTA_TOKEN: return SLM_OK;
    }
    return SLM_OK;
}

/* {"type": "auto" | "any" | "tool" | "none", "name"?, "disable_parallel_tool_use"?} */
static slm_status read_choice(struct messaging *t, const json_t *v) {
    const char *type = json_string_value(json_object_get(v, "type"));
    if (!v) return SLM_OK;
    t->chat.only_one_call = json_is_true(json_object_get(v, "disable_parallel_tool_use"));
    if (type && strcmp(type, "tool") == 0) return chat_tool_choice(&t->chat, v);
    json_t *word = json_string(type ? type : "");
    slm_status st = chat_tool_choice(&t->chat, word);
    json_decref(word);
    return st;
}

static slm_status read_message(struct messaging *t) {
    struct chat *chat = &t->chat;
    struct call *c = chat->c;
    const char *thinking = json_string_value(json_object_get(c->r.thinking, "type"));
    slm_status st = SLM_OK;
    chat->thinking = thinking && strcmp(thinking, "disabled") != 0 ? THINKING_ON : THINKING_OFF;
    chat->effort = c->r.reasoning_effort;
    chat->n_max = c->r.n_max == ABSENT_I32 ? -1 : c->r.n_max;
    chat->continues = true;
    chat->tells_live = streams(t);
    chat->streams = streams(t);
    chat->stop_param = "stop_sequences";
    TRY(messages_anthropic(c->r.system, c->r.messages, chat->messages, &c->fault));
    TRY(tools_anthropic(c->r.tools, (size_t)c->server->limits.v[LIMIT_TOOLS], chat->tools, &c->fault));
    TRY(read_choice(t, c->r.tool_choice));
out:
    return st;
}

slm_status anthropic_messages(struct call *c) {
    struct messaging t = {.content = json_array()};
    slm_status st = SLM_OK;
    make_id("msg_", t.id);
    buf_init(&t.text, (size_t)64 << 20);
    buf_init(&t.name, 4096);
    TRY(chat_init(&t.chat, c));
    TRY(read_message(&t));
    TRY(chat_prepare(&t.chat));
    t.chat.g.on_delta = on_message_delta;
    t.chat.g.user = &t;
    TRY(chat_run(&t.chat));
    st = streams(&t) ? stream_done(c, NULL) : reply_json(c, 200, message_json(&t, true));
out:
    json_decref(t.content);
    buf_fini(&t.text);
    buf_fini(&t.name);
    chat_fini(&t.chat);
    return st;
}

slm_status anthropic_count_tokens(struct call *c) {
    struct messaging t = {0};
    slm_status st = SLM_OK;
    TRY(chat_init(&t.chat, c));
    TRY(read_message(&t));
    TRY(chat_render(&t.chat));
    st = reply_json(c, 200, json_pack("{s:I}", "input_tokens", (json_int_t)t.chat.ids.n));
out:
    chat_fini(&t.chat);
    return st;
}
