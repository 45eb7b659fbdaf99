/* shapes.c -- the mock's three APIs as rows: what a request asks, an answer whole, an answer as events.
 * Source: the API references of OpenAI, Anthropic and Google, 2026-08. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "serve/mock/mock_int.h"

#define N_MAX_DEFAULT 4096

size_t mock_tokens(size_t n_bytes) { return (n_bytes + 3) / 4; }

size_t mock_piece(struct view text) {
    size_t n = 0;
    while (n < text.len) {
        uint32_t cp;
        int k = utf8_decode(text.ptr + n, text.len - n, &cp);
        if (k <= 0) k = 1;
        if (n + (size_t)k > 4) break;
        n += (size_t)k;
    }
    return n;
}

static void put_event(struct buf *out, const char *event, json_t *v) {
    char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
    if (event) buf_printf(out, "event: %s\n", event);
    buf_puts(out, "data: ");
    buf_puts(out, text ? text : "null");
    buf_puts(out, "\n\n");
    free(text);
    json_decref(v);
}

static json_t *text_json(struct view v) { return json_stringn(v.ptr ? v.ptr : "", v.len); }

/* Text of a content (string, or parts that have "text" or "content") counted; the last user's is the question. */
static void take_content(const json_t *content, bool is_user, struct mock_ask *a, size_t *n_bytes) {
    if (is_user) buf_clear(&a->text);
    struct buf ignored;
    buf_init(&ignored, (size_t)64 << 20);
    struct buf *to = is_user ? &a->text : &ignored;
    if (json_is_string(content)) buf_append(to, json_string_value(content), json_string_length(content));
    for (size_t i = 0; json_is_array(content) && i < json_array_size(content); i++) {
        const json_t *part = json_array_get(content, i), *text = json_object_get(part, "text");
        if (!text) text = json_object_get(part, "content");
        if (json_is_string(text)) buf_append(to, json_string_value(text), json_string_length(text));
    }
    *n_bytes += to->len;
    buf_fini(&ignored);
}

static void finish_ask(struct mock_ask *a, size_t n_bytes, const json_t *n_max) {
    a->question = a->text.data ? a->text.data : "";
    a->n_in = mock_tokens(n_bytes);
    a->n_max = json_integer_value(n_max) > 0 ? (size_t)json_integer_value(n_max) : N_MAX_DEFAULT;
}

static void read_messages(const json_t *body, const char *key, const char *content_key, struct mock_ask *a, size_t *n_bytes) {
    const json_t *list = json_object_get(body, key);
    const char *model = json_string_value(json_object_get(body, "model"));
    if (model) snprintf(a->model, sizeof a->model, "%s", model);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i);
        const char *role = json_string_value(json_object_get(m, "role"));
        take_content(json_object_get(m, content_key), role && strcmp(role, "user") == 0, a, n_bytes);
    }
}

/* OpenAI */

static void openai_read(const json_t *body, struct mock_ask *a) {
    size_t n = 0;
    read_messages(body, "messages", "content", a, &n);
    const json_t *n_max = json_object_get(body, "max_completion_tokens");
    a->streams = json_is_true(json_object_get(body, "stream"));
    a->wants_usage = !a->streams || json_is_true(json_object_get(json_object_get(body, "stream_options"), "include_usage"));
    a->tool = json_string_value(json_object_get(json_object_get(json_array_get(json_object_get(body, "tools"), 0), "function"), "name"));
    finish_ask(a, n, n_max ? n_max : json_object_get(body, "max_tokens"));
}

static const char *openai_reason(const struct mock_told *t) { return t->is_cut ? "length" : t->tool ? "tool_calls" : "stop"; }

static json_t *openai_usage(const struct mock_told *t) {
    return json_pack("{s:I, s:I, s:I}", "prompt_tokens", (json_int_t)t->ask->n_in, "completion_tokens", (json_int_t)t->n_out, "total_tokens", (json_int_t)(t->ask->n_in + t->n_out));
}

static json_t *openai_frame(const struct mock_told *t, const char *object, json_t *choices) {
    return json_pack("{s:s, s:s, s:i, s:s, s:o}", "id", t->id, "object", object, "created", 0, "model", t->ask->model, "choices", choices);
}

static json_t *openai_whole(const struct mock_told *t) {
    json_t *m = json_pack("{s:s, s:o}", "role", "assistant", "content", t->tool ? json_null() : text_json(t->text));
    if (t->tool) json_object_set_new(m, "tool_calls", json_pack("[{s:s, s:s, s:{s:s, s:o}}]", "id", "call_mock", "type", "function", "function", "name", t->tool, "arguments", text_json(t->text)));
    json_t *v = openai_frame(t, "chat.completion", json_pack("[{s:i, s:o, s:s}]", "index", 0, "message", m, "finish_reason", openai_reason(t)));
    if (!t->hides_usage) json_object_set_new(v, "usage", openai_usage(t));
    return v;
}

static json_t *openai_error(int status, const char *message) {
    return json_pack("{s:{s:s, s:s, s:n, s:o}}", "error", "message", message, "type", status == 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error", "param", "code",
                     status == 429 ? json_string("rate_limit_exceeded") : json_null());
}

static void openai_chunk(const struct mock_told *t, json_t *delta, const char *reason, struct buf *out) {
    put_event(out, NULL, openai_frame(t, "chat.completion.chunk", json_pack("[{s:i, s:o, s:o}]", "index", 0, "delta", delta, "finish_reason", reason ? json_string(reason) : json_null())));
}

static void openai_begin(const struct mock_told *t, struct buf *out) {
    openai_chunk(t, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), NULL, out);
    if (t->tool) openai_chunk(t, json_pack("{s:[{s:i, s:s, s:s, s:{s:s, s:s}}]}", "tool_calls", "index", 0, "id", "call_mock", "type", "function", "function", "name", t->tool, "arguments", ""), NULL, out);
}

static void openai_piece(const struct mock_told *t, struct view piece, struct buf *out) {
    if (t->tool) openai_chunk(t, json_pack("{s:[{s:i, s:{s:o}}]}", "tool_calls", "index", 0, "function", "arguments", text_json(piece)), NULL, out);
    else openai_chunk(t, json_pack("{s:o}", "content", text_json(piece)), NULL, out);
}

static void openai_end(const struct mock_told *t, struct buf *out) {
    openai_chunk(t, json_object(), openai_reason(t), out);
    if (t->ask->wants_usage && !t->hides_usage) {
        json_t *last = openai_frame(t, "chat.completion.chunk", json_array());
        json_object_set_new(last, "usage", openai_usage(t));
        put_event(out, NULL, last);
    }
    buf_puts(out, "data: [DONE]\n\n");
}

/* Anthropic */

static void anthropic_read(const json_t *body, struct mock_ask *a) {
    size_t n = 0;
    take_content(json_object_get(body, "system"), false, a, &n);
    read_messages(body, "messages", "content", a, &n);
    a->streams = json_is_true(json_object_get(body, "stream"));
    a->tool = json_string_value(json_object_get(json_array_get(json_object_get(body, "tools"), 0), "name"));
    finish_ask(a, n, json_object_get(body, "max_tokens"));
}

static const char *anthropic_reason(const struct mock_told *t) { return t->is_cut ? "max_tokens" : t->tool ? "tool_use" : "end_turn"; }

static json_t *anthropic_message(const struct mock_told *t, json_t *content, bool is_whole) {
    json_t *v = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:n}", "id", t->id, "type", "message", "role", "assistant", "model", t->ask->model, "content", content, "stop_reason",
                          is_whole ? json_string(anthropic_reason(t)) : json_null(), "stop_sequence");
    if (!t->hides_usage) json_object_set_new(v, "usage", json_pack("{s:I, s:I}", "input_tokens", (json_int_t)t->ask->n_in, "output_tokens", (json_int_t)(is_whole ? t->n_out : 1)));
    return v;
}

static json_t *anthropic_block(const struct mock_told *t, bool is_whole) {
    if (!t->tool) return json_pack("{s:s, s:o}", "type", "text", "text", is_whole ? text_json(t->text) : json_string(""));
    json_t *input = is_whole ? json_loadb(t->text.ptr, t->text.len, 0, NULL) : NULL;
    return json_pack("{s:s, s:s, s:s, s:o}", "type", "tool_use", "id", "toolu_mock", "name", t->tool, "input", input ? input : json_object());
}

static json_t *anthropic_whole(const struct mock_told *t) { return anthropic_message(t, json_pack("[o]", anthropic_block(t, true)), true); }

static json_t *anthropic_error(int status, const char *message) {
    const char *type = status == 429 ? "rate_limit_error" : status == 529 ? "overloaded_error" : status == 401 ? "authentication_error" : status >= 500 ? "api_error" : "invalid_request_error";
    return json_pack("{s:s, s:{s:s, s:s}}", "type", "error", "error", "type", type, "message", message);
}

static void anthropic_begin(const struct mock_told *t, struct buf *out) {
    put_event(out, "message_start", json_pack("{s:s, s:o}", "type", "message_start", "message", anthropic_message(t, json_array(), false)));
    put_event(out, "content_block_start", json_pack("{s:s, s:i, s:o}", "type", "content_block_start", "index", 0, "content_block", anthropic_block(t, false)));
    put_event(out, "ping", json_pack("{s:s}", "type", "ping"));
}

static void anthropic_piece(const struct mock_told *t, struct view piece, struct buf *out) {
    put_event(out, "content_block_delta", json_pack("{s:s, s:i, s:{s:s, s:o}}", "type", "content_block_delta", "index", 0, "delta", "type", t->tool ? "input_json_delta" : "text_delta",
                                                    t->tool ? "partial_json" : "text", text_json(piece)));
}

static void anthropic_end(const struct mock_told *t, struct buf *out) {
    put_event(out, "content_block_stop", json_pack("{s:s, s:i}", "type", "content_block_stop", "index", 0));
    json_t *v = json_pack("{s:s, s:{s:s, s:n}}", "type", "message_delta", "delta", "stop_reason", anthropic_reason(t), "stop_sequence");
    if (!t->hides_usage) json_object_set_new(v, "usage", json_pack("{s:I}", "output_tokens", (json_int_t)t->n_out));
    put_event(out, "message_delta", v);
    put_event(out, "message_stop", json_pack("{s:s}", "type", "message_stop"));
}

/* Gemini */

static void gemini_read(const json_t *body, struct mock_ask *a) {
    size_t n = 0;
    const json_t *config = json_object_get(body, "generationConfig"), *tools = json_array_get(json_object_get(body, "tools"), 0);
    take_content(json_object_get(json_object_get(body, "systemInstruction"), "parts"), false, a, &n);
    read_messages(body, "contents", "parts", a, &n);
    a->tool = json_string_value(json_object_get(json_array_get(json_object_get(tools, "functionDeclarations"), 0), "name"));
    finish_ask(a, n, json_object_get(config, "maxOutputTokens"));
}

static json_t *gemini_frame(const struct mock_told *t, json_t *part, bool is_last) {
    json_t *c = json_pack("{s:{s:s, s:[o]}, s:i}", "content", "role", "model", "parts", part, "index", 0);
    if (is_last) json_object_set_new(c, "finishReason", json_string(t->is_cut ? "MAX_TOKENS" : "STOP"));
    json_t *v = json_pack("{s:[o], s:s, s:s}", "candidates", c, "modelVersion", t->ask->model, "responseId", t->id);
    if (is_last && !t->hides_usage)
        json_object_set_new(v, "usageMetadata", json_pack("{s:I, s:I, s:I}", "promptTokenCount", (json_int_t)t->ask->n_in, "candidatesTokenCount", (json_int_t)t->n_out, "totalTokenCount",
                                                          (json_int_t)(t->ask->n_in + t->n_out)));
    return v;
}

static json_t *gemini_part(const struct mock_told *t, struct view text) {
    if (!t->tool) return json_pack("{s:o}", "text", text_json(text));
    json_t *args = json_loadb(t->text.ptr, t->text.len, 0, NULL);
    return json_pack("{s:{s:s, s:o}}", "functionCall", "name", t->tool, "args", args ? args : json_object());
}

static json_t *gemini_whole(const struct mock_told *t) { return gemini_frame(t, gemini_part(t, t->text), true); }
static json_t *gemini_error(int status, const char *message) {
    return json_pack("{s:{s:i, s:s, s:s}}", "error", "code", status, "message", message, "status", status == 429 ? "RESOURCE_EXHAUSTED" : status >= 500 ? "INTERNAL" : "INVALID_ARGUMENT");
}
static void gemini_begin(const struct mock_told *t, struct buf *out) { (void)t, (void)out; }
static void gemini_piece(const struct mock_told *t, struct view piece, struct buf *out) {
    if (!t->tool) put_event(out, NULL, gemini_frame(t, gemini_part(t, piece), false));
}
static void gemini_end(const struct mock_told *t, struct buf *out) { put_event(out, NULL, gemini_frame(t, gemini_part(t, (struct view){"", 0}), true)); }

static const struct mock_shape shapes[] = {
    {"openai", openai_read, openai_whole, openai_error, openai_begin, openai_piece, openai_end},
    {"anthropic", anthropic_read, anthropic_whole, anthropic_error, anthropic_begin, anthropic_piece, anthropic_end},
    {"gemini", gemini_read, gemini_whole, gemini_error, gemini_begin, gemini_piece, gemini_end},
};

const struct mock_shape *mock_shape_of(struct view path, struct mock_ask *ask) {
    static const char gemini[] = "/v1beta/models/";
    if (view_eq(path, VIEW("/v1/chat/completions"))) return &shapes[0];
    if (view_eq(path, VIEW("/v1/messages"))) return &shapes[1];
    if (path.len < sizeof gemini || memcmp(path.ptr, gemini, sizeof gemini - 1) != 0) return NULL;
    struct view rest = {path.ptr + sizeof gemini - 1, path.len - sizeof gemini + 1};
    const char *colon = memchr(rest.ptr, ':', rest.len);
    if (!colon) return NULL;
    snprintf(ask->model, sizeof ask->model, "%.*s", (int)(colon - rest.ptr), rest.ptr);
    struct view verb = {colon + 1, rest.len - (size_t)(colon - rest.ptr) - 1};
    ask->streams = view_eq(verb, VIEW("streamGenerateContent"));
    return ask->streams || view_eq(verb, VIEW("generateContent")) ? &shapes[2] : NULL;
}
