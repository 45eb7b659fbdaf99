/* messages.c -- conversations and tools of every API in the form that templates take. */
#include "serve/messages.h"

#include <stdio.h>
#include <string.h>

#include "base/show.h"

#define CONTENT_BYTES_MAX ((size_t)256 << 20)

static slm_status no_memory(struct fault *f) { return fault_set(f, SLM_E_NOMEM, NULL, "messages: no memory"); }

static const char *text_of(const json_t *object, const char *key) { return json_string_value(json_object_get(object, key)); }

/* Kinds of parts that are text, and under which key. */
static const struct { const char *type, *key; } text_parts[] = {
    {"text", "text"}, {"input_text", "text"}, {"output_text", "text"}, {"refusal", "refusal"}, {"summary_text", "text"}, {"reasoning_text", "text"}};

static slm_status put_part(const json_t *part, const char *where, struct buf *out, struct fault *f) {
    const char *type = text_of(part, "type");
    if (json_is_string(part)) {
        buf_append(out, json_string_value(part), json_string_length(part));
        return SLM_OK;
    }
    if (!type) return fault_set(f, SLM_E_USAGE, where, "field \"%s\": a part has no \"type\"", where);
    for (size_t i = 0; i < sizeof text_parts / sizeof text_parts[0]; i++) {
        const json_t *v = json_object_get(part, text_parts[i].key);
        if (strcmp(type, text_parts[i].type) != 0) continue;
        if (!json_is_string(v)) return fault_set(f, SLM_E_USAGE, where, "field \"%s\": a part has no \"%s\"", where, text_parts[i].key);
        buf_append(out, json_string_value(v), json_string_length(v));
        return SLM_OK;
    }
    fault_set(f, SLM_E_UNSUPPORTED, where, "field \"%s\": a part of type \"%s\" is not supported: text only", where, show_cstr(type).s);
    f->code = "unsupported_content";
    return SLM_E_UNSUPPORTED;
}

/* Text, or parts of text, to one string. null and absence are the empty text. */
static slm_status put_content(const json_t *content, const char *where, struct buf *out, struct fault *f) {
    slm_status st = SLM_OK;
    if (!content || json_is_null(content)) return SLM_OK;
    if (json_is_string(content)) buf_append(out, json_string_value(content), json_string_length(content));
    else if (!json_is_array(content)) return fault_set(f, SLM_E_USAGE, where, "field \"%s\": must be a string or an array of parts", where);
    for (size_t i = 0; i < json_array_size(content) && st == SLM_OK; i++) st = put_part(json_array_get(content, i), where, out, f);
    return st;
}

static slm_status content_json(const json_t *content, const char *where, json_t **out, struct fault *f) {
    struct buf text;
    buf_init(&text, CONTENT_BYTES_MAX);
    *out = NULL;
    slm_status st = put_content(content, where, &text, f);
    if (st == SLM_OK && text.failed == SLM_OK) *out = json_stringn(text.len ? text.data : "", text.len);
    if (st == SLM_OK && !*out) st = no_memory(f);
    buf_fini(&text);
    return st;
}

slm_status message_add(json_t *messages, const char *role, const char *content, struct fault *f) {
    return json_array_append_new(messages, json_pack("{s:s, s:s}", "role", role, "content", content)) == 0 ? SLM_OK : no_memory(f);
}

static void copy_text(const json_t *from, const char *key, json_t *to, const char *key_to) {
    json_t *v = json_object_get(from, key);
    if (json_is_string(v)) json_object_set(to, key_to, v);
}

/* A call's arguments: templates want the object; OpenAI sends it as text. What is no JSON stays text. */
static json_t *arguments_json(const json_t *v) {
    if (json_is_string(v)) {
        json_t *parsed = json_loads(json_string_value(v), JSON_DECODE_ANY, NULL);
        if (json_is_object(parsed)) return parsed;
        json_decref(parsed);
        if (json_string_length(v) == 0) return json_object();
    }
    return v ? json_deep_copy(v) : json_object();
}

static json_t *call_json(const char *id, const char *name, const json_t *arguments) {
    json_t *call = json_pack("{s:s, s:{s:s, s:o}}", "type", "function", "function", "name", name, "arguments", arguments_json(arguments));
    if (call && id) json_object_set_new(call, "id", json_string(id));
    return call;
}

static slm_status add_calls(const json_t *given, const char *where, json_t *message, struct fault *f) {
    json_t *calls = json_array();
    for (size_t i = 0; i < json_array_size(given); i++) {
        const json_t *call = json_array_get(given, i), *fn = json_object_get(call, "function");
        if (!text_of(fn, "name")) {
            json_decref(calls);
            return fault_set(f, SLM_E_USAGE, where, "field \"%s\": call %zu has no function with a name", where, i);
        }
        json_array_append_new(calls, call_json(text_of(call, "id"), text_of(fn, "name"), json_object_get(fn, "arguments")));
    }
    json_object_set_new(message, "tool_calls", calls);
    return SLM_OK;
}

static const char *role_of(const json_t *m, const char *allowed, const char *where, struct fault *f) {
    const char *role = text_of(m, "role");
    size_t n = role ? strlen(role) : 0;
    for (const char *p = allowed; role && p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (n && strncmp(p, role, n) == 0 && (p[n] == '|' || p[n] == 0)) return strcmp(role, "developer") == 0 ? "system" : role;
    fault_set(f, SLM_E_USAGE, where, "field \"%s\": the role must be one of %s, not \"%s\"", where, allowed, role ? show_cstr(role).s : "");
    return NULL;
}

/* The common part of OpenAI's and Ollama's messages. */
static slm_status add_message(const json_t *m, size_t i, const char *roles, const char *thinking_key, json_t *messages, struct fault *f) {
    char where[64];
    json_t *content = NULL, *out = NULL;
    slm_status st = SLM_OK;
    snprintf(where, sizeof where, "messages[%zu]", i);
    if (!json_is_object(m)) return fault_set(f, SLM_E_USAGE, where, "field \"%s\": must be an object", where);
    const char *role = role_of(m, roles, where, f);
    if (!role) return SLM_E_USAGE;
    const json_t *images = json_object_get(m, "images"), *calls = json_object_get(m, "tool_calls");
    if (json_array_size(images) > 0) return fault_set(f, SLM_E_UNSUPPORTED, where, "field \"%s.images\": is not supported: text only", where);
    TRY(content_json(json_object_get(m, "content"), where, &content, f));
    out = json_pack("{s:s, s:O}", "role", role, "content", content);
    if (!out) {
        st = no_memory(f);
        goto out;
    }
    copy_text(m, thinking_key, out, "reasoning_content");
    copy_text(m, "reasoning_content", out, "reasoning_content");
    copy_text(m, "name", out, "name");
    copy_text(m, "tool_name", out, "name");
    copy_text(m, "tool_call_id", out, "tool_call_id");
    if (json_array_size(calls) > 0) TRY(add_calls(calls, where, out, f));
    if (json_array_append(messages, out) != 0) st = no_memory(f);
out:
    json_decref(content);
    json_decref(out);
    return st;
}

static slm_status check_messages(const json_t *given, struct fault *f) {
    return json_array_size(given) > 0 ? SLM_OK : fault_set(f, SLM_E_USAGE, "messages", "field \"messages\": must be an array with one message at least");
}

slm_status messages_openai(const json_t *given, json_t *messages, struct fault *f) {
    slm_status st = check_messages(given, f);
    for (size_t i = 0; i < json_array_size(given) && st == SLM_OK; i++)
        st = add_message(json_array_get(given, i), i, "system|developer|user|assistant|tool", "reasoning", messages, f);
    return st;
}

slm_status messages_ollama(const json_t *given, json_t *messages, struct fault *f) {
    slm_status st = SLM_OK;
    for (size_t i = 0; i < json_array_size(given) && st == SLM_OK; i++) st = add_message(json_array_get(given, i), i, "system|user|assistant|tool", "thinking", messages, f);
    return st;
}

/* Anthropic: what a user's message returns from tools becomes messages of their own, before its text. */
static slm_status add_result(const json_t *block, const char *where, json_t *messages, struct fault *f) {
    json_t *content;
    slm_status st = content_json(json_object_get(block, "content"), where, &content, f);
    if (st != SLM_OK) return st;
    const char *id = text_of(block, "tool_use_id");
    json_t *m = json_pack("{s:s, s:o, s:s}", "role", "tool", "content", content, "tool_call_id", id ? id : "");
    /* templates show names, and results have only the id of their call */
    for (size_t i = json_array_size(messages); id && i-- > 0;) {
        const json_t *calls = json_object_get(json_array_get(messages, i), "tool_calls");
        for (size_t k = 0; k < json_array_size(calls); k++) {
            const json_t *call = json_array_get(calls, k);
            if (text_of(call, "id") && strcmp(text_of(call, "id"), id) == 0) json_object_set(m, "name", json_object_get(json_object_get(call, "function"), "name"));
        }
    }
    return json_array_append_new(messages, m) == 0 ? SLM_OK : no_memory(f);
}

static slm_status add_blocks(const json_t *blocks, const char *role, const char *where, json_t *messages, struct fault *f) {
    struct buf text, thinking;
    json_t *calls = json_array();
    slm_status st = SLM_OK;
    buf_init(&text, CONTENT_BYTES_MAX);
    buf_init(&thinking, CONTENT_BYTES_MAX);
    for (size_t i = 0; i < json_array_size(blocks) && st == SLM_OK; i++) {
        const json_t *block = json_array_get(blocks, i);
        const char *type = text_of(block, "type");
        if (type && strcmp(type, "tool_result") == 0) st = add_result(block, where, messages, f);
        else if (type && strcmp(type, "thinking") == 0) buf_puts(&thinking, text_of(block, "thinking") ? text_of(block, "thinking") : "");
        else if (type && strcmp(type, "redacted_thinking") == 0) continue;
        else if (type && strcmp(type, "tool_use") == 0) {
            if (!text_of(block, "name")) st = fault_set(f, SLM_E_USAGE, where, "field \"%s\": a tool_use has no name", where);
            else json_array_append_new(calls, call_json(text_of(block, "id"), text_of(block, "name"), json_object_get(block, "input")));
        } else st = put_part(block, where, &text, f);
    }
    if (st == SLM_OK && (text.len || thinking.len || json_array_size(calls))) {
        json_t *m = json_pack("{s:s, s:s}", "role", role, "content", text.len ? text.data : "");
        if (thinking.len) json_object_set_new(m, "reasoning_content", json_string(thinking.data));
        if (json_array_size(calls)) json_object_set(m, "tool_calls", calls);
        if (json_array_append_new(messages, m) != 0) st = no_memory(f);
    }
    json_decref(calls);
    buf_fini(&text);
    buf_fini(&thinking);
    return st;
}

slm_status messages_anthropic(const json_t *system, const json_t *given, json_t *messages, struct fault *f) {
    slm_status st = check_messages(given, f);
    if (st == SLM_OK && system) {
        json_t *content;
        st = content_json(system, "system", &content, f);
        if (st == SLM_OK && json_array_append_new(messages, json_pack("{s:s, s:o}", "role", "system", "content", content)) != 0) st = no_memory(f);
    }
    for (size_t i = 0; i < json_array_size(given) && st == SLM_OK; i++) {
        const json_t *m = json_array_get(given, i), *content = json_object_get(m, "content");
        char where[64];
        snprintf(where, sizeof where, "messages[%zu]", i);
        const char *role = role_of(m, "user|assistant|system", where, f);
        if (!role) return SLM_E_USAGE;
        if (json_is_string(content)) st = message_add(messages, role, json_string_value(content), f);
        else if (json_is_array(content)) st = add_blocks(content, role, where, messages, f);
        else st = fault_set(f, SLM_E_USAGE, where, "field \"%s.content\": must be a string or an array of blocks", where);
    }
    return st;
}

/* A call of the Responses API is an item of its own; calls that follow each other belong to one message. */
static slm_status add_item_call(const json_t *item, const char *where, json_t *messages, struct fault *f) {
    size_t n = json_array_size(messages);
    json_t *last = n ? json_array_get(messages, n - 1) : NULL;
    if (!text_of(item, "name")) return fault_set(f, SLM_E_USAGE, where, "field \"%s\": a function_call has no name", where);
    if (!last || strcmp(text_of(last, "role"), "assistant") != 0) {
        slm_status st = message_add(messages, "assistant", "", f);
        if (st != SLM_OK) return st;
        last = json_array_get(messages, n);
    }
    if (!json_object_get(last, "tool_calls")) json_object_set_new(last, "tool_calls", json_array());
    json_t *call = call_json(text_of(item, "call_id"), text_of(item, "name"), json_object_get(item, "arguments"));
    return json_array_append_new(json_object_get(last, "tool_calls"), call) == 0 ? SLM_OK : no_memory(f);
}

static slm_status add_item(const json_t *item, size_t i, json_t *messages, struct fault *f) {
    char where[64];
    json_t *content;
    slm_status st;
    snprintf(where, sizeof where, "input[%zu]", i);
    const char *type = text_of(item, "type");
    if (!type || strcmp(type, "message") == 0) {
        const char *role = role_of(item, "system|developer|user|assistant", where, f);
        if (!role) return SLM_E_USAGE;
        if ((st = content_json(json_object_get(item, "content"), where, &content, f)) != SLM_OK) return st;
        return json_array_append_new(messages, json_pack("{s:s, s:o}", "role", role, "content", content)) == 0 ? SLM_OK : no_memory(f);
    }
    if (strcmp(type, "function_call") == 0) return add_item_call(item, where, messages, f);
    if (strcmp(type, "reasoning") == 0) return SLM_OK; /* told for the reader's sake; templates drop earlier reasoning */
    if (strcmp(type, "function_call_output") == 0) {
        if ((st = content_json(json_object_get(item, "output"), where, &content, f)) != SLM_OK) return st;
        json_t *m = json_pack("{s:s, s:o}", "role", "tool", "content", content);
        copy_text(item, "call_id", m, "tool_call_id");
        return json_array_append_new(messages, m) == 0 ? SLM_OK : no_memory(f);
    }
    return fault_set(f, SLM_E_UNSUPPORTED, where, "field \"%s\": an item of type \"%s\" is not supported", where, show_cstr(type).s);
}

slm_status messages_responses(const char *instructions, const json_t *input, json_t *messages, struct fault *f) {
    slm_status st = instructions ? message_add(messages, "system", instructions, f) : SLM_OK;
    if (st == SLM_OK && json_is_string(input)) return message_add(messages, "user", json_string_value(input), f);
    for (size_t i = 0; i < json_array_size(input) && st == SLM_OK; i++) st = add_item(json_array_get(input, i), i, messages, f);
    return st;
}

static slm_status add_tool(const json_t *from, size_t i, const char *schema_key, json_t *tools, struct fault *f) {
    char where[64];
    snprintf(where, sizeof where, "tools[%zu]", i);
    const char *name = text_of(from, "name");
    const json_t *schema = json_object_get(from, schema_key);
    if (!name || !*name) return fault_set(f, SLM_E_USAGE, where, "field \"%s\": has no name", where);
    if (schema && !json_is_object(schema) && !json_is_null(schema)) return fault_set(f, SLM_E_USAGE, where, "field \"%s.%s\": must be a JSON schema", where, schema_key);
    json_t *fn = json_pack("{s:s}", "name", name);
    copy_text(from, "description", fn, "description");
    if (json_is_object(schema)) json_object_set_new(fn, "parameters", json_deep_copy(schema));
    else json_object_set_new(fn, "parameters", json_pack("{s:s, s:{}}", "type", "object", "properties"));
    return json_array_append_new(tools, json_pack("{s:s, s:o}", "type", "function", "function", fn)) == 0 ? SLM_OK : no_memory(f);
}

static slm_status check_n_tools(const json_t *given, size_t n_max, struct fault *f) {
    if (json_array_size(given) <= n_max) return SLM_OK;
    return fault_set(f, SLM_E_LIMIT, "tools", "field \"tools\": %zu are more than %zu", json_array_size(given), n_max);
}

static slm_status refuse_tool(const json_t *tool, size_t i, struct fault *f) {
    char where[64];
    const char *type = text_of(tool, "type");
    snprintf(where, sizeof where, "tools[%zu]", i);
    return fault_set(f, type ? SLM_E_UNSUPPORTED : SLM_E_USAGE, where, "field \"%s\": a tool of type \"%s\" is not supported, only functions", where, type ? show_cstr(type).s : "");
}

slm_status tools_openai(const json_t *given, size_t n_max, json_t *tools, struct fault *f) {
    slm_status st = check_n_tools(given, n_max, f);
    for (size_t i = 0; i < json_array_size(given) && st == SLM_OK; i++) {
        const json_t *tool = json_array_get(given, i);
        const char *type = text_of(tool, "type");
        st = type && strcmp(type, "function") == 0 ? add_tool(json_object_get(tool, "function"), i, "parameters", tools, f) : refuse_tool(tool, i, f);
    }
    return st;
}

slm_status tools_responses(const json_t *given, size_t n_max, json_t *tools, struct fault *f) {
    slm_status st = check_n_tools(given, n_max, f);
    for (size_t i = 0; i < json_array_size(given) && st == SLM_OK; i++) {
        const json_t *tool = json_array_get(given, i);
        const char *type = text_of(tool, "type");
        st = type && strcmp(type, "function") == 0 ? add_tool(tool, i, "parameters", tools, f) : refuse_tool(tool, i, f);
    }
    return st;
}

slm_status tools_anthropic(const json_t *given, size_t n_max, json_t *tools, struct fault *f) {
    slm_status st = check_n_tools(given, n_max, f);
    for (size_t i = 0; i < json_array_size(given) && st == SLM_OK; i++) {
        const json_t *tool = json_array_get(given, i);
        const char *type = text_of(tool, "type");
        st = !type || strcmp(type, "custom") == 0 ? add_tool(tool, i, "input_schema", tools, f) : refuse_tool(tool, i, f);
    }
    return st;
}

struct view messages_last_user(const json_t *messages) {
    for (size_t i = json_array_size(messages); i-- > 0;) {
        const json_t *m = json_array_get(messages, i), *content = json_object_get(m, "content");
        const char *role = json_string_value(json_object_get(m, "role"));
        if (role && strcmp(role, "user") == 0 && json_is_string(content)) return (struct view){json_string_value(content), json_string_length(content)};
    }
    return VIEW("");
}
