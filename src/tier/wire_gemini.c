/* wire_gemini.c -- POST /v1beta/models/NAME:generateContent and :streamGenerateContent. Source: Google's API reference, 2026-08. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tier/wire.h"

static const char *cannot(const struct ask *a) {
    if (a->effort) return "reasoning_effort";
    if (a->one_call && json_array_size(a->tools)) return "parallel_tool_calls: false";
    return NULL;
}

static void path(const struct upstream_settings *u, const struct ask *a, struct buf *url) {
    buf_printf(url, "/v1beta/models/%s:%s", u->model, a->streams ? "streamGenerateContent?alt=sse" : "generateContent");
}

static const char *role_of(const json_t *m) {
    const char *s = json_string_value(json_object_get(m, "role"));
    return s ? s : "";
}

/* The function that a call's id belongs to: Gemini's results go by name. */
static const char *name_of_call(const json_t *messages, const char *id) {
    for (size_t i = json_array_size(messages); id && i-- > 0;) {
        const json_t *calls = json_object_get(json_array_get(messages, i), "tool_calls");
        for (size_t k = 0; k < json_array_size(calls); k++) {
            const json_t *call = json_array_get(calls, k);
            const char *other = json_string_value(json_object_get(call, "id"));
            if (other && strcmp(other, id) == 0) return json_string_value(json_object_get(json_object_get(call, "function"), "name"));
        }
    }
    return NULL;
}

static json_t *content_json(const json_t *messages, const json_t *m) {
    const json_t *content = json_object_get(m, "content"), *calls = json_object_get(m, "tool_calls");
    json_t *parts = json_array();
    if (strcmp(role_of(m), "tool") == 0) {
        const char *name = name_of_call(messages, json_string_value(json_object_get(m, "tool_call_id")));
        if (!name) name = json_string_value(json_object_get(m, "name"));
        json_array_append_new(parts, json_pack("{s:{s:s, s:{s:O}}}", "functionResponse", "name", name ? name : "tool", "response", "result", content));
    } else if (json_string_length(content)) json_array_append_new(parts, json_pack("{s:O}", "text", content));
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *fn = json_object_get(json_array_get(calls, i), "function");
        json_array_append_new(parts, json_pack("{s:{s:O, s:O}}", "functionCall", "name", json_object_get(fn, "name"), "args", json_object_get(fn, "arguments")));
    }
    return json_pack("{s:s, s:o}", "role", strcmp(role_of(m), "assistant") == 0 ? "model" : "user", "parts", parts);
}

static json_t *config_json(const struct ask *a, int32_t n_max) {
    json_t *v = json_pack("{s:i}", "maxOutputTokens", n_max);
    wire_put_float(v, "temperature", a->temperature);
    wire_put_float(v, "topP", a->top_p);
    wire_put_float(v, "presencePenalty", a->presence_penalty);
    wire_put_float(v, "frequencyPenalty", a->frequency_penalty);
    if (a->top_k > 0) json_object_set_new(v, "topK", json_integer(a->top_k));
    if (a->has_seed) json_object_set_new(v, "seed", json_integer((json_int_t)(a->seed & 0x7fffffff))); /* 32 bits there */
    if (a->stop) json_object_set_new(v, "stopSequences", wire_stops(a->stop));
    if (a->json_only || a->schema.len) json_object_set_new(v, "responseMimeType", json_string("application/json"));
    if (a->schema.len) json_object_set_new(v, "responseJsonSchema", wire_schema(a->schema));
    return v;
}

static void put_tools(json_t *v, const struct ask *a) {
    static const char *const modes[] = {[ASK_AUTO] = "AUTO", [ASK_NONE] = "NONE", [ASK_REQUIRED] = "ANY", [ASK_NAMED] = "ANY"};
    json_t *list = json_array(), *choice = json_pack("{s:s}", "mode", modes[a->choice]);
    for (size_t i = 0; i < json_array_size(a->tools); i++) {
        const json_t *fn = json_object_get(json_array_get(a->tools, i), "function");
        json_array_append_new(list, json_pack("{s:O, s:O*, s:O*}", "name", json_object_get(fn, "name"), "description", json_object_get(fn, "description"), "parametersJsonSchema", json_object_get(fn, "parameters")));
    }
    if (a->choice == ASK_NAMED) json_object_set_new(choice, "allowedFunctionNames", json_pack("[s]", a->tool_name));
    json_object_set_new(v, "tools", json_pack("[{s:o}]", "functionDeclarations", list));
    json_object_set_new(v, "toolConfig", json_pack("{s:o}", "functionCallingConfig", choice));
}

static json_t *body(const struct upstream_settings *u, const struct ask *a, int32_t n_max) {
    json_t *list = json_array(), *system = json_array(), *v = json_pack("{s:o, s:o}", "contents", list, "generationConfig", config_json(a, n_max));
    (void)u;
    for (size_t i = 0; i < json_array_size(a->messages); i++) {
        const json_t *m = json_array_get(a->messages, i);
        if (strcmp(role_of(m), "system") == 0) json_array_append_new(system, json_pack("{s:O}", "text", json_object_get(m, "content")));
        else json_array_append_new(list, content_json(a->messages, m));
    }
    if (json_array_size(system)) json_object_set_new(v, "systemInstruction", json_pack("{s:O}", "parts", system));
    json_decref(system);
    if (json_array_size(a->tools)) put_tools(v, a);
    return v;
}

static void take_part(struct wire_in *w, const json_t *part) {
    const json_t *call = json_object_get(part, "functionCall");
    wire_tell_json(w, json_is_true(json_object_get(part, "thought")) ? OUTPUT_REASONING : OUTPUT_TEXT, json_object_get(part, "text"));
    if (!call) return;
    char *args = json_dumps(json_object_get(call, "args"), JSON_COMPACT);
    wire_call_begin(w, json_string_value(json_object_get(call, "name")));
    w->i_open = w->n_calls;
    wire_tell(w, OUTPUT_CALL_ARGUMENTS, args ? args : "{}", args ? strlen(args) : 2);
    wire_call_end(w);
    free(args);
}

/* Thoughts are counted apart from the answer, and billed as it is; an event may have the one without the other. */
static void take_usage(struct wire_in *w, const json_t *u) {
    uint64_t n_answer = w->n_out - w->n_thoughts;
    w->has_in |= wire_count(u, "promptTokenCount", &w->n_in);
    w->has_out |= wire_count(u, "candidatesTokenCount", &n_answer);
    (void)wire_count(u, "cachedContentTokenCount", &w->n_cached);
    (void)wire_count(u, "thoughtsTokenCount", &w->n_thoughts);
    w->n_out = n_answer + w->n_thoughts;
}

static void event(struct wire_in *w, const char *name, const json_t *v) {
    const json_t *c = json_array_get(json_object_get(v, "candidates"), 0), *parts = json_object_get(json_object_get(c, "content"), "parts"), *u = json_object_get(v, "usageMetadata");
    const char *reason = json_string_value(json_object_get(c, "finishReason")), *blocked = json_string_value(json_object_get(json_object_get(v, "promptFeedback"), "blockReason"));
    (void)name;
    for (size_t i = 0; i < json_array_size(parts); i++) take_part(w, json_array_get(parts, i));
    take_usage(w, u);
    if (reason || blocked) {
        w->end = reason && strcmp(reason, "MAX_TOKENS") == 0 ? WIRE_LENGTH : reason && strcmp(reason, "STOP") == 0 ? WIRE_STOP : WIRE_FILTERED;
        w->is_over = true;
    }
}

static void whole(struct wire_in *w, const json_t *v) { event(w, "", v); }

const struct wire wire_gemini = {"gemini", cannot, path, "x-goog-api-key: ", NULL, body, event, whole};
