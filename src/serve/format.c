/* format.c -- the fields that constrain answers, one way for each kind. */
#include "serve/format.h"

#include <stdlib.h>
#include <string.h>

#include "base/show.h"

static slm_status set(struct format *out, enum constrain_kind kind, const char *text, const char *param, struct fault *f) {
    if (out->is_set) return fault_set(f, SLM_E_USAGE, param, "field \"%s\": another field constrains the answer already", param);
    out->is_set = true;
    out->spec = (struct constrain_spec){.kind = kind, .text = view_of(text)};
    return SLM_OK;
}

static slm_status set_choices(struct format *out, const json_t *list, struct fault *f) {
    slm_status st = set(out, CONSTRAIN_CHOICE, "", "guided_choice", f);
    size_t n = json_array_size(list);
    if (n == 0 || n > FORMAT_CHOICES_MAX) return fault_set(f, SLM_E_LIMIT, "guided_choice", "field \"guided_choice\": must have 1 to %d texts", FORMAT_CHOICES_MAX);
    for (size_t i = 0; i < n && st == SLM_OK; i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_string(v)) st = fault_set(f, SLM_E_USAGE, "guided_choice", "field \"guided_choice\": element %zu is no text", i);
        else out->choices[i] = (struct view){json_string_value(v), json_string_length(v)};
    }
    out->spec.choices = out->choices;
    out->spec.n_choices = n;
    return st;
}

static slm_status unsupported(const char *param, const char *what, struct fault *f) {
    f->code = "unsupported_parameter";
    return fault_set(f, SLM_E_UNSUPPORTED, param, "field \"%s\": \"%s\" is not supported", param, show_cstr(what).s);
}

/* A schema as a value, or as text that holds one (vLLM's guided_json). */
static slm_status set_schema(struct format *out, const json_t *schema, const char *param, struct fault *f) {
    slm_status st = set(out, CONSTRAIN_SCHEMA, "", param, f);
    if (st != SLM_OK) return st;
    if (!json_is_object(schema) && !json_is_boolean(schema) && !json_is_string(schema)) return fault_set(f, SLM_E_USAGE, param, "field \"%s\": has no schema", param);
    out->text = json_is_string(schema) ? strdup(json_string_value(schema)) : json_dumps(schema, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!out->text) return fault_set(f, SLM_E_NOMEM, NULL, "schema: no memory");
    out->spec.text = view_of(out->text);
    return SLM_OK;
}

/* {"type": "text" | "json_object" | "json_schema"}; the schema where OpenAI's chats, its responses, or llama.cpp have it. */
static slm_status set_response_format(struct format *out, const json_t *v, struct fault *f) {
    const char *type = json_string_value(json_object_get(v, "type"));
    const json_t *schema = json_object_get(json_object_get(v, "json_schema"), "schema");
    if (!schema) schema = json_object_get(v, "schema");
    if (!type) return fault_set(f, SLM_E_USAGE, "response_format", "field \"response_format\": has no type");
    if (strcmp(type, "text") == 0) return SLM_OK;
    if (strcmp(type, "json_schema") == 0 || (strcmp(type, "json_object") == 0 && schema)) return set_schema(out, schema, "response_format", f);
    if (strcmp(type, "json_object") == 0) return set(out, CONSTRAIN_JSON, "", "response_format", f);
    return unsupported("response_format", type, f);
}

slm_status format_set_tools(struct format *out, const json_t *tools, const char *only, struct fault *f) {
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(tools); i++) {
        json_t *tool = json_array_get(tools, i);
        const char *name = json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
        if (!only || strcmp(only, name) == 0) json_array_append(list, tool);
    }
    slm_status st = set(out, CONSTRAIN_TOOLS, "", "tool_choice", f);
    if (st == SLM_OK) {
        out->text = json_dumps(list, JSON_COMPACT);
        out->spec.text = view_of(out->text);
        if (!out->text) st = fault_set(f, SLM_E_NOMEM, NULL, "tools: no memory");
    }
    json_decref(list);
    return st;
}

slm_status format_read(const struct request *r, struct format *out, struct fault *f) {
    slm_status st = SLM_OK;
    *out = (struct format){0};
    if (r->grammar && *r->grammar) TRY(set(out, CONSTRAIN_GRAMMAR, r->grammar, "grammar", f));
    if (r->regex && *r->regex) TRY(set(out, CONSTRAIN_REGEX, r->regex, "guided_regex", f));
    if (r->json_schema && !(json_is_object(r->json_schema) && json_object_size(r->json_schema) == 0)) TRY(set_schema(out, r->json_schema, "json_schema", f));
    if (r->choice) TRY(set_choices(out, r->choice, f));
    if (r->response_format) TRY(set_response_format(out, r->response_format, f));
    if (json_is_string(r->format) && json_string_length(r->format) == 0) return SLM_OK;
    if (json_is_string(r->format) && strcmp(json_string_value(r->format), "json") == 0) TRY(set(out, CONSTRAIN_JSON, "", "format", f));
    else if (json_is_string(r->format)) TRY(unsupported("format", json_string_value(r->format), f));
    else if (r->format) TRY(set_schema(out, r->format, "format", f));
out:
    return st;
}

void format_fini(struct format *f) { free(f->text); }
