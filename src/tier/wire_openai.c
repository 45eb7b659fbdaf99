/* wire_openai.c -- POST /chat/completions, as OpenAI and everybody compatible has it. Source: OpenAI's API reference, 2026-08; reasoning_content
 * as DeepSeek, vLLM and llama.cpp send it. */
#include <stdlib.h>
#include <string.h>

#include "tier/wire.h"

static const char *cannot(const struct ask *a) {
    if (a->continues) return "an assistant's last message to be continued";
    if (a->top_k >= 0) return "top_k";
    return NULL;
}

static void path(const struct upstream_settings *u, const struct ask *a, struct buf *url) {
    (void)u, (void)a;
    buf_puts(url, "/chat/completions");
}

/* Arguments go as text; what templates alone want (reasoning_content) stays here. */
static json_t *message_json(const json_t *m) {
    static const char *const keys[] = {"role", "content", "tool_call_id", "name"};
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (json_object_get(m, keys[i])) json_object_set(out, keys[i], json_object_get(m, keys[i]));
    const json_t *calls = json_object_get(m, "tool_calls");
    if (json_array_size(calls) == 0) return out;
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(calls); i++) {
        json_t *call = json_deep_copy(json_array_get(calls, i)), *fn = json_object_get(call, "function");
        char *text = json_dumps(json_object_get(fn, "arguments"), JSON_COMPACT | JSON_ENCODE_ANY);
        if (!json_is_string(json_object_get(fn, "arguments"))) json_object_set_new(fn, "arguments", json_string(text ? text : "{}"));
        free(text);
        json_array_append_new(list, call);
    }
    json_object_set_new(out, "tool_calls", list);
    if (json_string_length(json_object_get(out, "content")) == 0) json_object_set_new(out, "content", json_null());
    return out;
}

static json_t *choice_json(const struct ask *a) {
    static const char *const names[] = {[ASK_AUTO] = "auto", [ASK_NONE] = "none", [ASK_REQUIRED] = "required"};
    if (a->choice == ASK_NAMED) return json_pack("{s:s, s:{s:s}}", "type", "function", "function", "name", a->tool_name);
    return json_string(names[a->choice]);
}

static json_t *body(const struct upstream_settings *u, const struct ask *a, int32_t n_max) {
    json_t *list = json_array(), *v = json_pack("{s:s, s:o}", "model", u->model, "messages", list);
    if (!v) return NULL;
    for (size_t i = 0; i < json_array_size(a->messages); i++) json_array_append_new(list, message_json(json_array_get(a->messages, i)));
    /* OpenAI's own newer models refuse the older name; many compatible servers do not know the newer one */
    json_object_set_new(v, strstr(u->base_url, "://api.openai.com") ? "max_completion_tokens" : "max_tokens", json_integer(n_max));
    wire_put_float(v, "temperature", a->temperature);
    wire_put_float(v, "top_p", a->top_p);
    wire_put_float(v, "presence_penalty", a->presence_penalty);
    wire_put_float(v, "frequency_penalty", a->frequency_penalty);
    if (a->has_seed) json_object_set_new(v, "seed", json_integer((json_int_t)a->seed));
    if (a->stop) json_object_set_new(v, "stop", wire_stops(a->stop));
    if (a->effort) json_object_set_new(v, "reasoning_effort", json_string(a->effort));
    if (a->json_only) json_object_set_new(v, "response_format", json_pack("{s:s}", "type", "json_object"));
    if (a->schema.len) json_object_set_new(v, "response_format", json_pack("{s:s, s:{s:s, s:b, s:o}}", "type", "json_schema", "json_schema", "name", "answer", "strict", 1, "schema", wire_schema(a->schema)));
    if (json_array_size(a->tools)) {
        json_object_set_new(v, "tools", json_deep_copy(a->tools));
        json_object_set_new(v, "tool_choice", choice_json(a));
        if (a->one_call) json_object_set_new(v, "parallel_tool_calls", json_false());
    }
    if (a->streams) {
        json_object_set_new(v, "stream", json_true());
        json_object_set_new(v, "stream_options", json_pack("{s:b}", "include_usage", 1));
    }
    return v;
}

static void take_usage(struct wire_in *w, const json_t *u) {
    w->has_in |= wire_count(u, "prompt_tokens", &w->n_in);
    w->has_out |= wire_count(u, "completion_tokens", &w->n_out);
    (void)wire_count(json_object_get(u, "prompt_tokens_details"), "cached_tokens", &w->n_cached);
}

static void take_reason(struct wire_in *w, const json_t *reason) {
    const char *s = json_string_value(reason);
    if (!s) return;
    w->end = strcmp(s, "length") == 0 ? WIRE_LENGTH : strcmp(s, "content_filter") == 0 ? WIRE_FILTERED : WIRE_STOP;
}

/* A call's pieces have its index; its name comes with the first. */
static void take_call(struct wire_in *w, const json_t *call, int i) {
    const json_t *fn = json_object_get(call, "function"), *index = json_object_get(call, "index");
    const char *name = json_string_value(json_object_get(fn, "name"));
    if (json_is_integer(index)) i = (int)(json_integer_value(index) & 0xffff); /* never negative: that is no call */
    if (i != w->i_open) {
        wire_call_end(w);
        wire_call_begin(w, name);
        w->i_open = i;
    }
    wire_tell_json(w, OUTPUT_CALL_ARGUMENTS, json_object_get(fn, "arguments"));
}

static void take_message(struct wire_in *w, const json_t *m) {
    const json_t *calls = json_object_get(m, "tool_calls"), *reasoning = json_object_get(m, "reasoning_content");
    wire_tell_json(w, OUTPUT_REASONING, reasoning ? reasoning : json_object_get(m, "reasoning"));
    wire_tell_json(w, OUTPUT_TEXT, json_object_get(m, "content"));
    wire_tell_json(w, OUTPUT_TEXT, json_object_get(m, "refusal"));
    for (size_t i = 0; i < json_array_size(calls); i++) take_call(w, json_array_get(calls, i), (int)i);
}

static void event(struct wire_in *w, const char *name, const json_t *v) {
    const json_t *choice = json_array_get(json_object_get(v, "choices"), 0), *reason = json_object_get(choice, "finish_reason");
    (void)name;
    take_message(w, json_object_get(choice, "delta"));
    if (json_is_string(reason)) wire_call_end(w);
    take_reason(w, reason);
    take_usage(w, json_object_get(v, "usage"));
}

static void whole(struct wire_in *w, const json_t *v) {
    const json_t *choice = json_array_get(json_object_get(v, "choices"), 0);
    if (!json_is_object(json_object_get(choice, "message"))) return;
    take_message(w, json_object_get(choice, "message"));
    wire_call_end(w);
    w->end = WIRE_STOP;
    take_reason(w, json_object_get(choice, "finish_reason"));
    take_usage(w, json_object_get(v, "usage"));
    w->is_over = true;
}

const struct wire wire_openai = {"openai", cannot, path, "Authorization: Bearer ", NULL, body, event, whole};
