/* wire.c -- what the rows share. */
#include "tier/wire.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct wire *wire_get(enum wire_kind kind) {
    static const struct wire *const rows[WIRE_COUNT] = {[WIRE_OPENAI] = &wire_openai, [WIRE_ANTHROPIC] = &wire_anthropic, [WIRE_GEMINI] = &wire_gemini};
    return rows[kind];
}

void wire_in_init(struct wire_in *w, ask_fn *on_event, void *user) { *w = (struct wire_in){.on_event = on_event, .user = user, .i_open = -1}; }

static void tell(struct wire_in *w, struct output_event e) {
    w->has_told = true;
    if (w->st == SLM_OK) w->st = w->on_event(w->user, &e);
}

void wire_tell(struct wire_in *w, enum output_kind kind, const char *text, size_t n) {
    if (n == 0) return;
    w->n_bytes += n;
    w->has_arguments |= kind == OUTPUT_CALL_ARGUMENTS;
    tell(w, (struct output_event){.kind = kind, .text = {text, n}, .i_call = w->n_calls - 1});
}

void wire_tell_json(struct wire_in *w, enum output_kind kind, const json_t *text) {
    if (json_is_string(text)) wire_tell(w, kind, json_string_value(text), json_string_length(text));
}

void wire_call_end(struct wire_in *w) {
    if (w->i_open < 0) return;
    if (!w->has_arguments) tell(w, (struct output_event){.kind = OUTPUT_CALL_ARGUMENTS, .text = VIEW("{}"), .i_call = w->n_calls - 1});
    w->i_open = -1;
    tell(w, (struct output_event){.kind = OUTPUT_CALL_END, .i_call = w->n_calls - 1});
}

void wire_call_begin(struct wire_in *w, const char *name) {
    wire_call_end(w); /* an upstream that forgot to end the one before */
    w->n_calls++;
    w->has_arguments = false;
    w->n_bytes += name ? strlen(name) : 0;
    tell(w, (struct output_event){.kind = OUTPUT_CALL_BEGIN, .text = view_of(name ? name : ""), .i_call = w->n_calls - 1});
}

/* Words that mean a status, in any of the APIs. */
static const struct { const char *word; int status; } words[] = {
    {"rate_limit", 429}, {"RESOURCE_EXHAUSTED", 429}, {"overloaded", 529}, {"UNAVAILABLE", 503}, {"invalid_request", 400}, {"INVALID_ARGUMENT", 400}, {"authentication", 401},
    {"permission", 403}, {"PERMISSION_DENIED", 403},  {"not_found", 404},  {"NOT_FOUND", 404}};

bool wire_is_error(const json_t *error) { return error && !json_is_null(error) && !json_is_false(error) && !(json_is_string(error) && json_string_length(error) == 0); }

void wire_error(struct wire_in *w, const json_t *error) {
    const char *message = json_string_value(json_is_string(error) ? error : json_object_get(error, "message"));
    const char *const keys[] = {"type", "status", "code"};
    w->error_status = 500;
    for (size_t k = 0; k < 3; k++) {
        const json_t *v = json_object_get(error, keys[k]);
        json_int_t code = json_integer_value(v);
        if (code >= 400 && code < 600) w->error_status = (int)code;
        for (size_t i = 0; json_is_string(v) && i < sizeof words / sizeof words[0]; i++)
            if (strstr(json_string_value(v), words[i].word)) w->error_status = words[i].status;
    }
    snprintf(w->error, sizeof w->error, "%.239s", message ? message : "an error without words");
}

bool wire_count(const json_t *usage, const char *key, uint64_t *n) {
    const json_t *v = json_object_get(usage, key);
    json_int_t x = json_integer_value(v);
    if (!json_is_integer(v) || x < 0) return false;
    *n = x < WIRE_TOKENS_MAX ? (uint64_t)x : WIRE_TOKENS_MAX;
    return true;
}

json_t *wire_stops(const json_t *stop) { return json_is_string(stop) ? json_pack("[O]", stop) : json_deep_copy(stop); }
json_t *wire_schema(struct view schema) { return json_loadb(schema.ptr, schema.len, 0, NULL); }
void wire_put_float(json_t *to, const char *key, float v) {
    char text[32];
    if (isnan(v)) return;
    snprintf(text, sizeof text, "%.7g", (double)v); /* 0.7, not 0.69999998807907104 */
    json_object_set_new(to, key, json_real(strtod(text, NULL)));
}

static size_t bytes_of(const json_t *v) {
    size_t n = 0, i;
    const char *key;
    json_t *item;
    if (json_is_string(v)) return json_string_length(v);
    json_array_foreach((json_t *)(uintptr_t)v, i, item) n += bytes_of(item);
    json_object_foreach((json_t *)(uintptr_t)v, key, item) n += bytes_of(item);
    return n;
}

size_t ask_bytes(const struct ask *a) {
    size_t n = bytes_of(a->tools) + a->schema.len;
    for (size_t i = 0; i < json_array_size(a->messages); i++) {
        const json_t *m = json_array_get(a->messages, i);
        n += bytes_of(json_object_get(m, "content")) + bytes_of(json_object_get(m, "tool_calls"));
    }
    return n;
}
