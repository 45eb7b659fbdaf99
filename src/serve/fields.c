/* fields.c -- the one reader of request bodies. */
#include "serve/fields.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"

#define IGNORED_BYTES_MAX 512
#define VALUE_SHOWN 60

slm_status fault_set(struct fault *f, slm_status code, const char *param, const char *fmt, ...) {
    va_list args;
    char msg[sizeof f->err.msg];
    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    snprintf(f->param, sizeof f->param, "%s", param ? param : "");
    return err_set(&f->err, code, SLM_NOWHERE, "%s", msg);
}

static const struct { unsigned bit; const char *name, *schema; } types[] = {
    {JT_BOOL, "true or false", "boolean"}, {JT_INT, "a whole number", "integer"}, {JT_NUMBER, "a number", "number"},
    {JT_STRING, "a string", "string"}, {JT_ARRAY, "an array", "array"}, {JT_OBJECT, "an object", "object"}};
#define N_TYPES (sizeof types / sizeof types[0])

static unsigned type_of(const json_t *v) {
    switch (json_typeof(v)) {
    case JSON_TRUE:
    case JSON_FALSE: return JT_BOOL;
    case JSON_INTEGER: return JT_INT | JT_NUMBER;
    case JSON_REAL: return floor(json_real_value(v)) == json_real_value(v) && fabs(json_real_value(v)) < 9e15 ? JT_INT | JT_NUMBER : JT_NUMBER;
    case JSON_STRING: return JT_STRING;
    case JSON_ARRAY: return JT_ARRAY;
    case JSON_OBJECT: return JT_OBJECT;
    default: return 0;
    }
}

/* "a number 0 to 2, or a string" */
static void put_wanted(const struct field *r, struct buf *out) {
    const char *sep = "";
    for (size_t i = 0; i < N_TYPES; i++) {
        if (!(r->types & types[i].bit)) continue;
        buf_printf(out, "%s%s", sep, types[i].name);
        if ((types[i].bit & (JT_INT | JT_NUMBER)) && r->min < r->max) buf_printf(out, " from %.10g to %.10g", r->min, r->max);
        if (types[i].bit == JT_STRING && r->choices) buf_printf(out, " of %s", r->choices);
        sep = " or ";
    }
}

static struct shown value_shown(const json_t *v) {
    struct shown s;
    char *text = json_is_string(v) ? strdup(json_string_value(v)) : json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    if (text && strlen(text) > VALUE_SHOWN) memcpy(text + VALUE_SHOWN - 3, "...", 4);
    s = show_cstr(text ? text : "?");
    free(text);
    return s;
}

static slm_status refuse_value(const struct field *r, const char *path, const json_t *v, struct fault *f) {
    struct buf wanted;
    buf_init(&wanted, 1024);
    put_wanted(r, &wanted);
    slm_status st = fault_set(f, SLM_E_USAGE, path, "field \"%s\": must be %s, not \"%s\"", path, wanted.data, value_shown(v).s);
    buf_fini(&wanted);
    return st;
}

static bool is_choice(const char *choices, const char *text) {
    size_t n = strlen(text);
    for (const char *p = choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (strncmp(p, text, n) == 0 && (p[n] == '|' || p[n] == 0)) return true;
    return false;
}

static bool in_bounds(const struct field *r, const json_t *v) {
    double x = json_number_value(v);
    if (json_is_string(v)) return !r->choices || is_choice(r->choices, json_string_value(v));
    if (!json_is_number(v)) return true;
    if (!isfinite(x)) return false;
    if (r->store == STORE_SEED) return json_is_integer(v) || (x >= 0 && x < 18446744073709551616.0);
    if (r->min < r->max) return x >= r->min && x <= r->max;
    return r->store != STORE_I32 || (x > INT32_MIN && x <= INT32_MAX);
}

static void store(const struct field *r, const json_t *v, void *values) {
    void *at = (char *)values + r->offset;
    switch (r->store) {
    case STORE_NOT: break;
    case STORE_BOOL: *(int8_t *)at = json_is_true(v); break;
    case STORE_I32: *(int32_t *)at = (int32_t)json_number_value(v); break;
    case STORE_F32: *(float *)at = (float)json_number_value(v); break;
    case STORE_SEED:
        *(struct field_seed *)at = (struct field_seed){json_is_integer(v) ? (uint64_t)json_integer_value(v) : (uint64_t)json_number_value(v), true};
        break;
    case STORE_TEXT: *(const char **)at = json_string_value(v); break;
    case STORE_JSON: *(const json_t **)at = v; break;
    }
}

static bool is_harmless(const struct field *r, const json_t *v) {
    json_t *ok = r->harmless ? json_loads(r->harmless, JSON_DECODE_ANY, NULL) : NULL;
    bool is = ok && (json_equal(v, ok) || (json_is_number(v) && json_is_number(ok) && json_number_value(v) == json_number_value(ok)));
    json_decref(ok);
    return is;
}

static const struct field *find(const struct field_table *t, const char *name) {
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->rows[i].name, name) == 0) return &t->rows[i];
    return NULL;
}

/* Names go into a header: only what a header may hold. */
static void put_ignored(struct buf *ignored, const char *prefix, const char *name) {
    if (ignored->len > IGNORED_BYTES_MAX) return;
    if (ignored->len) buf_puts(ignored, ", ");
    buf_puts(ignored, prefix);
    for (size_t n = 0; *name && n < 64; name++, n++) buf_putc(ignored, *name > 0x20 && *name < 0x7f && *name != ',' ? *name : '?');
}

static slm_status read_table(const struct field_table *t, const json_t *body, const char *prefix, void *values, struct buf *ignored, struct fault *f) {
    const char *name;
    json_t *v;
    char path[sizeof f->param];
    json_object_foreach((json_t *)(uintptr_t)body, name, v) {
        const struct field *r = find(t, name);
        if (!r) {
            if (!t->is_open) put_ignored(ignored, prefix, name);
            continue;
        }
        if (json_is_null(v)) continue;
        snprintf(path, sizeof path, "%s%s", prefix, r->name);
        if (r->use == FIELD_REFUSED && !is_harmless(r, v)) {
            fault_set(f, SLM_E_UNSUPPORTED, path, "field \"%s\": is not supported: %s", path, r->doc);
            f->code = "unsupported_parameter";
            return SLM_E_UNSUPPORTED;
        }
        if (r->use != FIELD_USED) continue;
        if (!(type_of(v) & r->types) || !in_bounds(r, v)) return refuse_value(r, path, v, f);
        store(r, v, values);
        if (r->sub && json_is_object(v)) {
            snprintf(path, sizeof path, "%s%s.", prefix, r->name);
            slm_status st = read_table(r->sub, v, path, values, ignored, f);
            if (st != SLM_OK) return st;
        }
    }
    for (size_t i = 0; i < t->n; i++) {
        json_t *got = json_object_get(body, t->rows[i].name);
        if (!t->rows[i].is_required || (got && !json_is_null(got))) continue;
        snprintf(path, sizeof path, "%s%s", prefix, t->rows[i].name);
        fault_set(f, SLM_E_USAGE, path, "field \"%s\": is missing", path);
        f->code = "missing_required_parameter";
        return SLM_E_USAGE;
    }
    return SLM_OK;
}

slm_status fields_read(const struct field_table *t, const json_t *body, void *values, struct buf *ignored, struct fault *f) {
    if (!json_is_object(body)) return fault_set(f, SLM_E_USAGE, NULL, "body: must be a JSON object");
    return read_table(t, body, "", values, ignored, f);
}

static json_t *field_schema(const struct field *r) {
    json_t *s = r->sub ? fields_schema(r->sub) : json_object(), *kinds = json_array();
    for (size_t i = 0; i < N_TYPES; i++)
        if ((r->types & types[i].bit) && !(types[i].bit == JT_INT && (r->types & JT_NUMBER))) json_array_append_new(kinds, json_string(types[i].schema));
    if (json_array_size(kinds) == 1) json_object_set(s, "type", json_array_get(kinds, 0));
    else json_object_set(s, "type", kinds);
    json_decref(kinds);
    if (r->min < r->max) {
        json_object_set_new(s, "minimum", json_real(r->min));
        json_object_set_new(s, "maximum", json_real(r->max));
    }
    if (r->choices && r->types == JT_STRING) {
        json_t *list = json_array();
        for (const char *p = r->choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) json_array_append_new(list, json_stringn(p, strcspn(p, "|")));
        json_object_set_new(s, "enum", list);
    }
    static const char *const uses[] = {"", "Accepted; it does not change the answer. ", "Refused with 400. "};
    char doc[512];
    snprintf(doc, sizeof doc, "%s%s", uses[r->use], r->doc ? r->doc : "");
    if (*doc) json_object_set_new(s, "description", json_string(doc));
    return s;
}

json_t *fields_schema(const struct field_table *t) {
    json_t *properties = json_object(), *required = json_array();
    for (size_t i = 0; i < t->n; i++) {
        json_object_set_new(properties, t->rows[i].name, field_schema(&t->rows[i]));
        if (t->rows[i].is_required) json_array_append_new(required, json_string(t->rows[i].name));
    }
    json_t *s = json_pack("{s:s, s:o}", "type", "object", "properties", properties);
    if (json_array_size(required)) json_object_set(s, "required", required);
    json_decref(required);
    return s;
}
