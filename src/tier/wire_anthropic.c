/* wire_anthropic.c -- POST /v1/messages. Source: Anthropic's API reference, 2026-08. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tier/wire.h"

static const char *cannot(const struct ask *a) {
    if (a->has_seed) return "seed";
    if (!isnan(a->presence_penalty) && a->presence_penalty != 0) return "presence_penalty";
    if (!isnan(a->frequency_penalty) && a->frequency_penalty != 0) return "frequency_penalty";
    if (a->json_only) return "a response_format of json_object";
    return NULL;
}

static void path(const struct upstream_settings *u, const struct ask *a, struct buf *url) {
    size_t n = strlen(u->base_url);
    (void)a;
    buf_puts(url, n > 3 && strcmp(u->base_url + n - 3, "/v1") == 0 ? "/messages" : "/v1/messages");
}

static bool has_role(const json_t *m, const char *role) {
    const char *s = json_string_value(json_object_get(m, "role"));
    return s && strcmp(s, role) == 0;
}

static void add_text(json_t *blocks, const json_t *text) {
    if (json_string_length(text)) json_array_append_new(blocks, json_pack("{s:s, s:O}", "type", "text", "text", text));
}

/* Results of tools are blocks of the user's next message. */
static void add_message(json_t *list, const json_t *m, bool *is_after_tool) {
    const json_t *content = json_object_get(m, "content"), *calls = json_object_get(m, "tool_calls");
    bool is_tool = has_role(m, "tool"), is_assistant = has_role(m, "assistant");
    json_t *blocks = json_array();
    if (is_tool) {
        const json_t *id = json_object_get(m, "tool_call_id");
        json_array_append_new(blocks, json_pack("{s:s, s:s, s:O}", "type", "tool_result", "tool_use_id", json_is_string(id) ? json_string_value(id) : "", "content", content));
    } else add_text(blocks, content);
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i), *fn = json_object_get(call, "function"), *id = json_object_get(call, "id");
        json_array_append_new(blocks, json_pack("{s:s, s:s, s:O, s:O}", "type", "tool_use", "id", json_is_string(id) ? json_string_value(id) : "", "name", json_object_get(fn, "name"), "input",
                                                json_object_get(fn, "arguments")));
    }
    json_t *before = json_array_get(list, json_array_size(list) - 1);
    if (before && *is_after_tool && !is_assistant) {
        json_array_extend(json_object_get(before, "content"), blocks);
        json_decref(blocks);
    } else json_array_append_new(list, json_pack("{s:s, s:o}", "role", is_assistant ? "assistant" : "user", "content", blocks));
    *is_after_tool = is_tool;
}

static json_t *tools_json(const json_t *tools) {
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *fn = json_object_get(json_array_get(tools, i), "function"), *schema = json_object_get(fn, "parameters");
        json_t *t = json_pack("{s:O, s:O*, s:o}", "name", json_object_get(fn, "name"), "description", json_object_get(fn, "description"), "input_schema",
                              schema ? json_deep_copy(schema) : json_pack("{s:s}", "type", "object"));
        json_array_append_new(list, t);
    }
    return list;
}

static json_t *choice_json(const struct ask *a) {
    static const char *const names[] = {[ASK_AUTO] = "auto", [ASK_NONE] = "none", [ASK_REQUIRED] = "any", [ASK_NAMED] = "tool"};
    json_t *v = json_pack("{s:s}", "type", names[a->choice]);
    if (a->choice == ASK_NAMED) json_object_set_new(v, "name", json_string(a->tool_name));
    if (a->one_call && a->choice != ASK_NONE) json_object_set_new(v, "disable_parallel_tool_use", json_true());
    return v;
}

static json_t *body(const struct upstream_settings *u, const struct ask *a, int32_t n_max) {
    json_t *list = json_array(), *system = json_array(), *config = json_object(), *v = json_pack("{s:s, s:i, s:o}", "model", u->model, "max_tokens", n_max, "messages", list);
    bool is_after_tool = false;
    for (size_t i = 0; i < json_array_size(a->messages); i++) {
        const json_t *m = json_array_get(a->messages, i);
        if (has_role(m, "system")) add_text(system, json_object_get(m, "content"));
        else add_message(list, m, &is_after_tool);
    }
    if (json_array_size(system)) json_object_set(v, "system", system);
    wire_put_float(v, "temperature", a->temperature);
    wire_put_float(v, "top_p", a->top_p);
    if (a->top_k > 0) json_object_set_new(v, "top_k", json_integer(a->top_k));
    if (a->stop) json_object_set_new(v, "stop_sequences", wire_stops(a->stop));
    if (a->schema.len) json_object_set_new(config, "format", json_pack("{s:s, s:o}", "type", "json_schema", "schema", wire_schema(a->schema)));
    if (a->effort) json_object_set_new(config, "effort", json_string(a->effort));
    if (json_object_size(config)) json_object_set(v, "output_config", config);
    if (json_array_size(a->tools)) {
        json_object_set_new(v, "tools", tools_json(a->tools));
        json_object_set_new(v, "tool_choice", choice_json(a));
    }
    if (a->streams) json_object_set_new(v, "stream", json_true());
    json_decref(system);
    json_decref(config);
    return v;
}

/* input_tokens leaves out what was read from or written to the cache. */
static void take_usage(struct wire_in *w, const json_t *u, bool is_last) {
    uint64_t n_in, n_read = 0, n_written = 0;
    if (wire_count(u, "input_tokens", &n_in)) {
        (void)wire_count(u, "cache_read_input_tokens", &n_read);
        (void)wire_count(u, "cache_creation_input_tokens", &n_written);
        w->n_cached = n_read;
        w->n_in = n_in + n_read + n_written;
        w->has_in = true;
    }
    if (is_last) w->has_out |= wire_count(u, "output_tokens", &w->n_out);
}

static void take_reason(struct wire_in *w, const json_t *reason) {
    const char *s = json_string_value(reason);
    if (s) w->end = strcmp(s, "max_tokens") == 0 || strcmp(s, "model_context_window_exceeded") == 0 ? WIRE_LENGTH : strcmp(s, "refusal") == 0 ? WIRE_FILTERED : WIRE_STOP;
}

static void begin_block(struct wire_in *w, const json_t *block) {
    const char *type = json_string_value(json_object_get(block, "type"));
    if (!type) return;
    wire_tell_json(w, OUTPUT_TEXT, json_object_get(block, "text"));
    if (strcmp(type, "tool_use") != 0) return;
    wire_call_begin(w, json_string_value(json_object_get(block, "name")));
    w->i_open = w->n_calls;
}

static void event(struct wire_in *w, const char *name, const json_t *v) {
    const char *type = json_string_value(json_object_get(v, "type"));
    const json_t *delta = json_object_get(v, "delta");
    if (!type) type = name;
    if (strcmp(type, "message_start") == 0) take_usage(w, json_object_get(json_object_get(v, "message"), "usage"), false);
    else if (strcmp(type, "content_block_start") == 0) begin_block(w, json_object_get(v, "content_block"));
    else if (strcmp(type, "content_block_delta") == 0) {
        wire_tell_json(w, OUTPUT_TEXT, json_object_get(delta, "text"));
        wire_tell_json(w, OUTPUT_REASONING, json_object_get(delta, "thinking"));
        if (w->i_open >= 0) wire_tell_json(w, OUTPUT_CALL_ARGUMENTS, json_object_get(delta, "partial_json"));
    } else if (strcmp(type, "content_block_stop") == 0) wire_call_end(w);
    else if (strcmp(type, "message_delta") == 0) {
        take_reason(w, json_object_get(delta, "stop_reason"));
        take_usage(w, json_object_get(v, "usage"), true);
    } else if (strcmp(type, "message_stop") == 0) w->is_over = w->is_closed = true;
}

static void whole(struct wire_in *w, const json_t *v) {
    const json_t *content = json_object_get(v, "content");
    if (!json_is_array(content)) return;
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *block = json_array_get(content, i);
        wire_tell_json(w, OUTPUT_REASONING, json_object_get(block, "thinking"));
        begin_block(w, block);
        if (w->i_open < 0) continue;
        char *input = json_dumps(json_object_get(block, "input"), JSON_COMPACT);
        wire_tell(w, OUTPUT_CALL_ARGUMENTS, input ? input : "{}", input ? strlen(input) : 2);
        free(input);
        wire_call_end(w);
    }
    w->end = WIRE_STOP;
    take_reason(w, json_object_get(v, "stop_reason"));
    take_usage(w, json_object_get(v, "usage"), true);
    w->is_over = true;
}

const struct wire wire_anthropic = {"anthropic", cannot, path, "x-api-key: ", "anthropic-version: 2023-06-01", body, event, whole};
