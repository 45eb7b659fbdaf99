/* output_body.c -- the bodies of calls: JSON, XML-like, Python-like, Gemma's and DeepSeek's forms, all to a name and a JSON object.
 *
 * A body counts as a call only when the arguments that come out are valid JSON: jansson has the last word. JSON arguments are
 * handed on as the model wrote them, not printed anew. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "text/output_int.h"

#define VALUE_DEPTH_MAX 64

size_t value_scan(struct value_scan *s, struct view text) {
    for (; s->at < text.len; s->at++) {
        char c = text.ptr[s->at];
        if (s->in_string) {
            if (s->escaped) s->escaped = false;
            else if (c == '\\') s->escaped = true;
            else if (c == '"') s->in_string = false;
        } else if (c == '"' && s->depth > 0) {
            s->in_string = true;
        } else if (c == '{' || c == '[') {
            s->depth++;
            s->begun = true;
        } else if ((c == '}' || c == ']') && s->depth > 0) {
            s->depth--;
        }
        if (s->begun && s->depth == 0) return ++s->at;
    }
    return 0;
}

/* Views */

static struct view trim(struct view v) {
    while (v.len && isspace((unsigned char)v.ptr[0])) v.ptr++, v.len--;
    while (v.len && isspace((unsigned char)v.ptr[v.len - 1])) v.len--;
    return v;
}

static size_t find(struct view v, const char *needle) { /* SIZE_MAX: not there */
    const char *p = v.len ? memmem(v.ptr, v.len, needle, strlen(needle)) : NULL;
    return p ? (size_t)(p - v.ptr) : SIZE_MAX;
}

static bool begins(struct view v, const char *with) {
    size_t n = strlen(with);
    return v.len >= n && memcmp(v.ptr, with, n) == 0;
}

static struct view from(struct view v, size_t at) { return at < v.len ? (struct view){v.ptr + at, v.len - at} : (struct view){v.ptr + v.len, 0}; }
static struct view until(struct view v, size_t at) { return at < v.len ? (struct view){v.ptr, at} : v; }

/* Calls */

static bool add_call(struct found_calls *out, struct view name, struct view arguments) {
    name = trim(name);
    arguments = trim(arguments);
    json_t *parsed = json_loadb(arguments.ptr, arguments.len, JSON_ALLOW_NUL, NULL);
    bool valid = json_is_object(parsed) && name.len > 0 && name.len <= 256;
    for (size_t i = 0; i < name.len; i++) valid &= (unsigned char)name.ptr[i] > ' ' && !strchr("<>{}()[]\"'`", name.ptr[i]);
    json_decref(parsed);
    if (!valid) return false;
    if (out->n == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 8;
        struct found_call *grown = arena_alloc(&out->arena, cap * sizeof *grown, 8);
        if (!grown) return false;
        if (out->n) memcpy(grown, out->v, out->n * sizeof *grown);
        out->v = grown;
        out->cap = cap;
    }
    char *name_copy = arena_strdup(&out->arena, name), *arguments_copy = arena_strdup(&out->arena, arguments);
    if (!name_copy || !arguments_copy) return false;
    out->v[out->n++] = (struct found_call){{name_copy, name.len}, {arguments_copy, arguments.len}};
    return true;
}

/* Arguments being written */

static void put_string(struct buf *b, struct view text) { /* not UTF-8: b fails */
    json_t *s = json_stringn(text.ptr ? text.ptr : "", text.len);
    char *dumped = s ? json_dumps(s, JSON_ENCODE_ANY) : NULL;
    if (dumped) buf_puts(b, dumped);
    else b->failed = SLM_E_FORMAT;
    free(dumped);
    json_decref(s);
}

static bool add_built(struct found_calls *out, struct view name, struct buf *arguments) {
    bool ok = !arguments->failed && arguments->data && add_call(out, name, (struct view){arguments->data, arguments->len});
    buf_fini(arguments);
    return ok;
}

/* Does the request's schema say that this parameter is a string? */
static const json_t *properties_of(const json_t *tools, struct view function) {
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *tool = json_array_get(tools, i), *f = json_object_get(tool, "function");
        if (!f) f = tool;
        const json_t *name = json_object_get(f, "name");
        if (json_is_string(name) && view_eq((struct view){json_string_value(name), json_string_length(name)}, function))
            return json_object_get(json_object_get(f, "parameters"), "properties");
    }
    return NULL;
}

static bool wants_string(const json_t *properties, struct view key) {
    char *name = strndup(key.ptr, key.len);
    const json_t *type = name ? json_object_get(json_object_get(properties, name), "type") : NULL;
    free(name);
    return json_is_string(type) && strcmp(json_string_value(type), "string") == 0;
}

/* A parameter as bare text: what the schema says, else JSON when it is JSON, else a string. */
static void put_bare(struct buf *b, struct view value, bool as_string) {
    static const char *const words[][2] = {{"True", "true"}, {"False", "false"}, {"None", "null"}};
    struct view t = trim(value);
    for (size_t i = 0; !as_string && i < 3; i++)
        if (view_eq(t, view_of(words[i][0]))) {
            buf_puts(b, words[i][1]);
            return;
        }
    json_t *parsed = as_string ? NULL : json_loadb(t.ptr, t.len, JSON_DECODE_ANY, NULL);
    if (parsed) buf_append(b, t.ptr, t.len);
    else put_string(b, value);
    json_decref(parsed);
}

/* JSON bodies */

static struct view next_value(struct view v, size_t *at) { /* of valid JSON */
    struct value_scan scan = {.at = *at};
    size_t end;
    while (scan.at < v.len && isspace((unsigned char)v.ptr[scan.at])) scan.at++;
    size_t start = scan.at;
    if (start < v.len && (v.ptr[start] == '{' || v.ptr[start] == '[')) {
        end = value_scan(&scan, v);
    } else if (start < v.len && v.ptr[start] == '"') {
        for (end = start + 1; end < v.len && v.ptr[end] != '"'; end++) end += v.ptr[end] == '\\';
        end++;
    } else {
        for (end = start; end < v.len && !strchr(",]} \t\r\n", v.ptr[end]);) end++;
    }
    if (end == 0 || end > v.len) end = v.len;
    *at = end;
    return (struct view){v.ptr + start, end - start};
}

/* The text of a member of a valid JSON object; empty when there is none. */
static struct view member(struct view object, const char *key) {
    size_t at = 1;
    while (at < object.len) {
        struct view k = next_value(object, &at);
        while (at < object.len && object.ptr[at] != ':') at++;
        at++;
        if (at >= object.len) break;
        struct view value = next_value(object, &at);
        if (k.len == strlen(key) + 2 && memcmp(k.ptr + 1, key, k.len - 2) == 0) return value;
        while (at < object.len && object.ptr[at] != ',' && object.ptr[at] != '}') at++;
        at++;
    }
    return (struct view){"", 0};
}

#define NESTING_MAX 4 /* lists in lists, functions in functions */

static bool add_object(struct found_calls *out, struct view object, int depth) {
    json_t *o = json_loadb(object.ptr, object.len, JSON_ALLOW_NUL, NULL);
    static const char *const argument_names[] = {"arguments", "parameters", "args"};
    const json_t *name = json_object_get(o, "name"), *function = json_object_get(o, "function"), *inner = NULL;
    struct view text = VIEW("{}");
    bool ok = false;
    if (!json_is_object(o)) goto out;
    if (!name && json_is_object(function)) {
        ok = depth < NESTING_MAX && add_object(out, member(object, "function"), depth + 1);
        goto out;
    }
    if (!name) name = function;
    for (size_t i = 0; i < 3 && !inner; i++) {
        inner = json_object_get(o, argument_names[i]);
        if (inner) text = member(object, argument_names[i]);
    }
    if (json_is_null(inner)) text = VIEW("{}");
    if (json_is_string(inner)) text = (struct view){json_string_value(inner), json_string_length(inner)}; /* JSON in a string */
    ok = json_is_string(name) && add_call(out, (struct view){json_string_value(name), json_string_length(name)}, text);
out:
    json_decref(o);
    return ok;
}

static bool add_values(struct found_calls *out, struct view body, int depth) {
    size_t at = 0;
    while (at < body.len) {
        if (isspace((unsigned char)body.ptr[at]) || body.ptr[at] == ';' || body.ptr[at] == ',') {
            at++;
            continue;
        }
        struct value_scan scan = {.at = at};
        size_t end = body.ptr[at] == '{' || body.ptr[at] == '[' ? value_scan(&scan, body) : 0;
        if (!end) return false;
        struct view value = {body.ptr + at, end - at};
        bool is_object = value.ptr[0] == '{';
        if (depth > NESTING_MAX) return false;
        if (is_object ? !add_object(out, value, 0) : !add_values(out, (struct view){value.ptr + 1, value.len - 2}, depth + 1)) return false;
        at = end;
    }
    return out->n > 0;
}

bool body_json(struct found_calls *out, struct view body) {
    return add_values(out, begins(body, "functools") ? from(body, strlen("functools")) : body, 0);
}

/* XML-like bodies */

static struct view strip_newlines(struct view v) { /* one at each end: the form's own */
    if (v.len && v.ptr[0] == '\n') v = from(v, 1);
    if (v.len && v.ptr[v.len - 1] == '\n') v.len--;
    return v;
}

static bool add_xml(struct found_calls *out, struct view name, struct view rest) { /* rest: <parameter=key>value</parameter>... */
    const json_t *properties = properties_of(out->tools, trim(name));
    struct buf b;
    size_t at;
    buf_init(&b, OUTPUT_CALL_BYTES_MAX);
    buf_putc(&b, '{');
    while ((at = find(rest, "<parameter=")) != SIZE_MAX) {
        rest = from(rest, at + strlen("<parameter="));
        size_t key_end = find(rest, ">"), end;
        if (key_end == SIZE_MAX) break;
        struct view key = trim(until(rest, key_end));
        rest = from(rest, key_end + 1);
        end = find(rest, "</parameter>");
        if (end == SIZE_MAX) end = find(rest, "<parameter=");
        if (end == SIZE_MAX) end = rest.len;
        if (b.len > 1) buf_putc(&b, ',');
        put_string(&b, key);
        buf_putc(&b, ':');
        put_bare(&b, strip_newlines(until(rest, end)), wants_string(properties, key));
        rest = from(rest, end);
    }
    buf_putc(&b, '}');
    return add_built(out, name, &b);
}

static bool body_xml(struct found_calls *out, struct view body) {
    size_t at;
    while ((at = find(body, "<function=")) != SIZE_MAX) {
        body = from(body, at + strlen("<function="));
        size_t name_end = find(body, ">"), end = find(body, "</function>");
        if (name_end == SIZE_MAX) return false;
        struct view inner = from(until(body, end), name_end + 1);
        if (!add_xml(out, until(body, name_end), inner)) return false;
        body = from(body, end == SIZE_MAX ? body.len : end);
    }
    return out->n > 0;
}

static bool body_glm(struct found_calls *out, struct view body) { /* name, then <arg_key>k</arg_key><arg_value>v</arg_value>... */
    size_t name_end = find(body, "<arg_key>"), at;
    struct view name = trim(until(body, name_end));
    const json_t *properties = properties_of(out->tools, name);
    struct buf b;
    buf_init(&b, OUTPUT_CALL_BYTES_MAX);
    buf_putc(&b, '{');
    while ((at = find(body, "<arg_key>")) != SIZE_MAX) {
        body = from(body, at + strlen("<arg_key>"));
        size_t key_end = find(body, "</arg_key>"), value = find(body, "<arg_value>"), end = find(body, "</arg_value>");
        if (key_end == SIZE_MAX || value == SIZE_MAX || end == SIZE_MAX || value < key_end || end < value) break;
        struct view key = trim(until(body, key_end));
        value += strlen("<arg_value>");
        if (b.len > 1) buf_putc(&b, ',');
        put_string(&b, key);
        buf_putc(&b, ':');
        put_bare(&b, (struct view){body.ptr + value, end - value}, wants_string(properties, key));
        body = from(body, end);
    }
    buf_putc(&b, '}');
    return add_built(out, name, &b);
}

bool body_tagged(struct found_calls *out, struct view body) {
    body = trim(body);
    if (begins(body, "{") || begins(body, "[")) return body_json(out, body);
    if (begins(body, "<function=")) return body_xml(out, body);
    return body_glm(out, body);
}

bool body_function_tag(struct found_calls *out, struct view body) { /* NAME>{...} */
    size_t name_end = find(body, ">");
    return name_end != SIZE_MAX && add_call(out, until(body, name_end), from(body, name_end + 1));
}

/* Python-like bodies: [f(a=1, b="x"), g()] */

struct reader {
    struct view text;
    size_t at;
    int depth;
    const char *quote; /* Gemma's string mark; NULL: Python's quotes */
};

static char peek(struct reader *r) {
    while (r->at < r->text.len && isspace((unsigned char)r->text.ptr[r->at])) r->at++;
    return r->at < r->text.len ? r->text.ptr[r->at] : 0;
}

static bool accept(struct reader *r, char c) {
    if (peek(r) != c) return false;
    r->at++;
    return true;
}

static struct view name_of(struct reader *r) {
    peek(r);
    size_t start = r->at;
    while (r->at < r->text.len && (isalnum((unsigned char)r->text.ptr[r->at]) || strchr("_.-", r->text.ptr[r->at]))) r->at++;
    return (struct view){r->text.ptr + start, r->at - start};
}

static uint32_t hex(const char *s, size_t n) { /* UINT32_MAX: not hex */
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isxdigit((unsigned char)s[i])) return UINT32_MAX;
        v = v * 16 + (uint32_t)(isdigit((unsigned char)s[i]) ? s[i] - '0' : (s[i] | 0x20) - 'a' + 10);
    }
    return v;
}

static bool python_escape(struct reader *r, struct buf *b) { /* at: after the backslash */
    static const char known[] = "\\'\"ntrbf", means[] = "\\'\"\n\t\r\b\f";
    char c = r->text.ptr[r->at++];
    const char *k = c ? strchr(known, c) : NULL;
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 0;
    if (k) {
        buf_putc(b, means[k - known]);
    } else if (digits && r->text.len - r->at >= digits) {
        char out[4];
        uint32_t cp = hex(r->text.ptr + r->at, digits);
        if (cp > 0xFFFF || (cp >= 0xD800 && cp < 0xE000)) return false;
        buf_append(b, out, (size_t)utf8_encode(cp, out));
        r->at += digits;
    } else if (c != '\n') {
        buf_putc(b, '\\');
        buf_putc(b, c);
    }
    return true;
}

static bool python_string(struct reader *r, struct buf *out) {
    char quote = r->text.ptr[r->at++];
    struct buf b;
    bool ok = false;
    buf_init(&b, OUTPUT_CALL_BYTES_MAX);
    while (r->at < r->text.len) {
        char c = r->text.ptr[r->at++];
        if (c == quote) {
            ok = true;
            break;
        }
        if (c != '\\') buf_putc(&b, c);
        else if (r->at >= r->text.len || !python_escape(r, &b)) break;
    }
    if (ok) put_string(out, (struct view){b.data ? b.data : "", b.len});
    buf_fini(&b);
    return ok;
}

static bool quoted(struct reader *r, struct buf *out) { /* between two of Gemma's string marks */
    struct view rest = from(r->text, r->at + strlen(r->quote));
    size_t end = find(rest, r->quote);
    if (end == SIZE_MAX) return false;
    put_string(out, until(rest, end));
    r->at = (size_t)(rest.ptr - r->text.ptr) + end + strlen(r->quote);
    return true;
}

static bool at_quote(struct reader *r) {
    peek(r);
    return r->quote && begins(from(r->text, r->at), r->quote);
}

static bool value(struct reader *r, struct buf *b);

static bool key_of(struct reader *r, struct buf *b) {
    if (at_quote(r)) return quoted(r, b);
    if (!r->quote && (peek(r) == '"' || peek(r) == '\'')) return python_string(r, b);
    struct view name = name_of(r);
    put_string(b, name);
    return name.len > 0;
}

static bool items(struct reader *r, struct buf *b, char close, bool pairs) {
    for (size_t n = 0; !accept(r, close); n++) {
        if (n && !accept(r, ',')) return false;
        if (n && accept(r, close)) break;
        if (n) buf_putc(b, ',');
        if (pairs) {
            if (!key_of(r, b) || !accept(r, ':')) return false;
            buf_putc(b, ':');
        }
        if (!value(r, b)) return false;
    }
    return true;
}

static bool word(struct reader *r, struct buf *b) {
    static const char *const words[][2] = {{"True", "true"}, {"true", "true"}, {"False", "false"}, {"false", "false"}, {"None", "null"}, {"null", "null"}};
    size_t start = r->at;
    while (r->at < r->text.len && !strchr(",]})\n", r->text.ptr[r->at])) r->at++;
    struct view w = trim((struct view){r->text.ptr + start, r->at - start});
    for (size_t i = 0; i < 6; i++)
        if (view_eq(w, view_of(words[i][0]))) {
            buf_puts(b, words[i][1]);
            return true;
        }
    bool number = w.len > 0 && (isdigit((unsigned char)w.ptr[0]) || w.ptr[0] == '-');
    if (!number && r->quote && w.len) put_string(b, w);
    else buf_append(b, w.ptr, w.len); /* a number; what is none makes the arguments invalid */
    return number || (r->quote && w.len);
}

static bool value(struct reader *r, struct buf *b) {
    char c = peek(r);
    bool ok;
    if (++r->depth > VALUE_DEPTH_MAX) return false;
    if (at_quote(r)) {
        ok = quoted(r, b);
    } else if (!r->quote && (c == '"' || c == '\'')) {
        ok = python_string(r, b);
    } else if (c == '[' || c == '(' || c == '{') {
        r->at++;
        buf_putc(b, c == '{' ? '{' : '[');
        ok = items(r, b, c == '{' ? '}' : c == '[' ? ']' : ')', c == '{');
        buf_putc(b, c == '{' ? '}' : ']');
    } else {
        ok = word(r, b);
    }
    r->depth--;
    return ok;
}

/* The name of the i-th parameter, for an argument without one. */
static struct view positional(const json_t *properties, size_t i) {
    const char *key;
    json_t *property;
    json_object_foreach((json_t *)properties, key, property) {
        if (i-- == 0) return view_of(key);
    }
    return (struct view){"", 0};
}

static bool python_call(struct found_calls *out, struct reader *r) {
    struct view name = name_of(r);
    struct buf b;
    buf_init(&b, OUTPUT_CALL_BYTES_MAX);
    buf_putc(&b, '{');
    bool ok = name.len && accept(r, '(');
    if (name.len > 5 && memcmp(name.ptr + name.len - 5, ".call", 5) == 0) name.len -= 5; /* Llama's built-in tools */
    const json_t *properties = properties_of(out->tools, name);
    for (size_t n = 0; ok && !accept(r, ')'); n++) {
        if (n && !accept(r, ',')) ok = false;
        if (n && ok && accept(r, ')')) break;
        if (n) buf_putc(&b, ',');
        size_t start = r->at;
        struct view key = ok ? name_of(r) : (struct view){"", 0};
        if (ok && !(key.len && accept(r, '='))) {
            r->at = start;
            key = positional(properties, n);
        }
        put_string(&b, key);
        buf_putc(&b, ':');
        ok = ok && key.len && value(r, &b);
    }
    buf_putc(&b, '}');
    if (!ok) b.failed = SLM_E_FORMAT;
    return add_built(out, name, &b);
}

bool body_pythonic(struct found_calls *out, struct view body) {
    struct reader r = {.text = trim(body)};
    if (begins(r.text, "[{") || begins(r.text, "{")) return body_json(out, r.text);
    bool list = accept(&r, '[');
    while (peek(&r) && !(list && peek(&r) == ']')) {
        if (!python_call(out, &r)) return false;
        while (accept(&r, ',') || accept(&r, ';')) {}
    }
    if (list && !accept(&r, ']')) return false;
    return peek(&r) == 0 && out->n > 0;
}

static bool add_code(struct found_calls *out, struct view name, struct view code) {
    struct buf b;
    buf_init(&b, OUTPUT_CALL_BYTES_MAX);
    buf_puts(&b, "{\"code\":");
    put_string(&b, code);
    buf_putc(&b, '}');
    return add_built(out, name, &b);
}

bool body_python_tag(struct found_calls *out, struct view body) {
    const char *tag = "<|python_tag|>";
    bool tagged = begins(body, tag);
    if (tagged) body = from(body, strlen(tag));
    struct view text = trim(body);
    if (begins(text, "{") || begins(text, "[")) return body_json(out, text);
    if (!tagged || !text.len) return false;
    if (find(text, ".call(") != SIZE_MAX && body_pythonic(out, text)) return true;
    out->n = 0;
    return add_code(out, VIEW("python"), text);
}

/* The rest */

bool body_gemma(struct found_calls *out, struct view body) {
    struct reader r = {.text = trim(body), .quote = find(body, "<|\"|>") != SIZE_MAX ? "<|\"|>" : "<escape>"};
    while (begins(from(r.text, r.at), "call:")) {
        struct buf b;
        r.at += strlen("call:");
        struct view name = name_of(&r);
        buf_init(&b, OUTPUT_CALL_BYTES_MAX);
        buf_putc(&b, '{');
        if (!accept(&r, '{') || !items(&r, &b, '}', true)) b.failed = SLM_E_FORMAT;
        buf_putc(&b, '}');
        if (!add_built(out, name, &b)) return false;
        peek(&r);
    }
    return out->n > 0 && peek(&r) == 0;
}

bool body_mistral(struct found_calls *out, struct view body) {
    body = trim(body);
    if (begins(body, "[")) return body_json(out, body);
    size_t args = find(body, "[ARGS]"), id = find(body, "[CALL_ID]"), brace = find(body, "{");
    size_t name_end = id < args ? id : args < brace ? args : brace;
    if (name_end == SIZE_MAX) return false;
    return add_call(out, until(body, name_end), args != SIZE_MAX && args < brace ? from(body, args + strlen("[ARGS]")) : from(body, brace));
}

bool body_deepseek(struct found_calls *out, struct view body) {
    static const char sep[] = "<｜tool▁sep｜>";
    size_t at = find(body, sep);
    if (at == SIZE_MAX) return false;
    struct view left = trim(until(body, at)), right = trim(from(body, at + sizeof sep - 1));
    if (begins(right, "{")) return add_call(out, left, right);
    size_t line = find(right, "\n");
    struct view name = trim(until(right, line)), json = trim(from(right, line));
    if (begins(json, "```json")) json = from(json, 7);
    else if (begins(json, "```")) json = from(json, 3);
    json = trim(json);
    if (json.len >= 3 && memcmp(json.ptr + json.len - 3, "```", 3) == 0) json.len -= 3;
    return add_call(out, name, json);
}

bool body_header(struct found_calls *out, struct view body) {
    struct view name = out->header;
    size_t to = find(name, "to=");
    if (to != SIZE_MAX) name = from(name, to + 3);
    size_t end = 0;
    while (end < name.len && !isspace((unsigned char)name.ptr[end]) && name.ptr[end] != '<') end++;
    name = until(name, end);
    if (begins(name, "functions.")) name = from(name, strlen("functions."));
    body = trim(body);
    if (begins(body, "{") && add_call(out, name, body)) return true;
    return body.len && !begins(body, "{") && add_code(out, name, body);
}
