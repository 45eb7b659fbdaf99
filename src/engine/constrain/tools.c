/* tools.c -- a request's tools as a schema. */
#include "engine/constrain/tools_int.h"

#include "base/util.h"

/* The parameters of a tool, and its name; either spelling. */
static const json_t *tool_part(const json_t *tool, const char **name) {
    const json_t *function = json_object_get(tool, "function");
    if (json_is_object(function)) tool = function;
    *name = json_string_value(json_object_get(tool, "name"));
    const json_t *parameters = json_object_get(tool, "parameters");
    return parameters ? parameters : json_object_get(tool, "input_schema");
}

slm_status tools_schema(struct view text, json_t *names, struct schema **out, slm_err *err) {
    slm_status st = SLM_OK;
    json_error_t fault;
    json_t *tools = json_loadb(text.ptr ? text.ptr : "", text.len, 0, &fault), *any = json_array(), *tool, *whole = NULL;
    size_t i;
    if (!tools || !any) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "tools: line %d, column %d: %s", fault.line, fault.column, fault.text);
    if (json_array_size(tools) == 0) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "tools: must be a list, not empty");
    json_array_foreach(tools, i, tool) {
        const char *name;
        struct schema *s = NULL;
        struct gram *g = NULL;
        struct schema_notes notes;
        json_t *parameters = (json_t *)(uintptr_t)tool_part(tool, &name), *own = parameters ? NULL : json_pack("{s:s}", "type", "object");
        if (!name) {
            json_decref(own);
            FAIL(SLM_E_FORMAT, SLM_NOWHERE, "tool %zu: has no name", i);
        }
        st = schema_from_json(parameters ? parameters : own, NULL, &s, err);
        if (st == SLM_OK) st = gram_from_schema(s, &g, &notes, err);
        if (st != SLM_OK) err_wrap(err, st, "tool \"%.100s\"", name);
        gram_destroy(g);
        schema_destroy(s);
        /* An $id of its own keeps what its references mean. */
        json_t *arguments = json_deep_copy(parameters ? parameters : own);
        if (json_is_object(arguments) && !json_object_get(arguments, "$id")) json_object_set_new(arguments, "$id", json_sprintf("tool:%zu", i));
        if (names) {
            json_array_append_new(names, json_string(name));
            json_array_append_new(any, arguments);
        } else json_array_append_new(any, json_pack("{s:s, s:{s:{s:s}, s:o}, s:[s,s], s:b}", "type", "object", "properties", "name", "const", name, "arguments", arguments,
                                                    "required", "name", "arguments", "additionalProperties", 0));
        json_decref(own);
        if (st != SLM_OK) goto out;
    }
    whole = json_pack("{s:O}", "anyOf", any);
    if (!whole) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "tools: no memory");
    TRY(schema_from_json(whole, NULL, out, err));
out:
    json_decref(whole);
    json_decref(any);
    json_decref(tools);
    return st;
}
