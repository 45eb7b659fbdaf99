/* check.c -- does a value satisfy a schema: the specification read literally, one row per assertion.
 *
 * Independent of the automaton on purpose: it is what a generated value is judged by. Patterns go through PCRE2. References inside
 * references are bounded in depth, all work in amount, so that no schema can hold a thread. Of what in-place applicators evaluated,
 * unevaluated* are told by a row of flags, one per member of the value. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "text/schema/compile_int.h"

#define MATCH_LIMIT 1000000

struct path {
    const struct path *outer;
    const char *key; /* NULL: index */
    size_t i;
};

/* Resources entered so far, for $dynamicRef. */
struct scope {
    const struct scope *outer;
    const char *base;
};

struct check {
    struct schema *s;
    slm_err *err;
    slm_status st;   /* not SLM_OK: the check could not be done */
    const json_t *entered; /* reached by a reference: the base is already the one within */
    uint64_t work;
    int depth, quiet;
    bool is_said;
};

/* One schema applied to one value. */
struct at {
    struct check *c;
    const json_t *schema, *value;
    const char *base;
    const struct scope *scope;
    const struct path *path;
    uint8_t *seen;   /* members of the value that were evaluated; NULL: nobody asks */
};

static void put_path(char *out, size_t size, const struct path *p) {
    if (!p) return;
    put_path(out, size, p->outer);
    size_t n = strlen(out);
    if (p->key) snprintf(out + n, size - n, "/%s", p->key);
    else snprintf(out + n, size - n, "/%zu", p->i);
}

/* Say the first fault that counts; always false. */
static bool refuse(const struct at *a, const char *keyword, const char *why) {
    struct check *c = a->c;
    if (c->quiet || c->is_said || c->st != SLM_OK) return false;
    char where[200] = "";
    put_path(where, sizeof where, a->path);
    c->is_said = true;
    err_set(c->err, SLM_E_FORMAT, SLM_NOWHERE, "value at \"%s\": %s (keyword \"%s\")", where, why, keyword);
    return false;
}

static bool apply(struct check *c, const json_t *schema, const json_t *value, const char *base, const struct scope *scope, const struct path *path, uint8_t *seen);

static bool apply_here(const struct at *a, const json_t *schema, uint8_t *seen) { return apply(a->c, schema, a->value, a->base, a->scope, a->path, seen); }

/* Without a word when it fails. */
static bool try_here(const struct at *a, const json_t *schema, uint8_t *seen) {
    a->c->quiet++;
    bool ok = apply_here(a, schema, seen);
    a->c->quiet--;
    return ok;
}

static bool apply_kid(const struct at *a, const json_t *schema, const json_t *kid, const char *key, size_t i) {
    struct path path = {a->path, key, i};
    return apply(a->c, schema, kid, a->base, a->scope, &path, NULL);
}

static size_t n_members(const json_t *v) { return json_is_object(v) ? json_object_size(v) : json_is_array(v) ? json_array_size(v) : 0; }

/* Flags for one branch; NULL when nobody asks or there is no memory (then a->c->st says so). */
static uint8_t *new_seen(const struct at *a) {
    if (!a->seen) return NULL;
    uint8_t *seen = calloc(n_members(a->value) + 1, 1);
    if (!seen) a->c->st = err_set(a->c->err, SLM_E_NOMEM, SLM_NOWHERE, "schema: no memory");
    return seen;
}

static void merge_seen(const struct at *a, uint8_t *seen, bool ok) {
    if (seen && ok)
        for (size_t i = 0; i < n_members(a->value); i++) a->seen[i] |= seen[i];
    free(seen);
}

static size_t member_index(const json_t *object, const char *key) {
    const char *k;
    json_t *v;
    size_t i = 0;
    json_object_foreach((json_t *)(uintptr_t)object, k, v) {
        if (strcmp(k, key) == 0) return i;
        i++;
    }
    return i;
}

/* --- patterns --- */

/* Long names of general categories, which PCRE2 does not know. */
static const char *const long_names[][2] = {
    {"Letter", "L"}, {"Lowercase_Letter", "Ll"}, {"Uppercase_Letter", "Lu"}, {"Number", "N"}, {"Decimal_Number", "Nd"}, {"digit", "Nd"},
    {"Punctuation", "P"}, {"punct", "P"}, {"Symbol", "S"}, {"Separator", "Z"}, {"Space_Separator", "Zs"}, {"Mark", "M"}, {"Other", "C"},
};

/* The pattern with \p{Letter} as \p{L}; the caller frees. NULL: no memory. */
static char *translate(const char *text) {
    struct buf out;
    buf_init(&out, GRAM_SOURCE_BYTES_MAX);
    while (*text) {
        const char *close = (text[0] == '\\' && (text[1] == 'p' || text[1] == 'P') && text[2] == '{') ? strchr(text, '}') : NULL;
        size_t n = text[0] == '\\' && text[1] ? 2 : 1, i = 0;
        while (close && i < sizeof long_names / sizeof long_names[0] && (strlen(long_names[i][0]) != (size_t)(close - text - 3) || strncmp(long_names[i][0], text + 3, (size_t)(close - text - 3)) != 0)) i++;
        if (close && i < sizeof long_names / sizeof long_names[0]) {
            buf_printf(&out, "\\%c{%s}", text[1], long_names[i][1]);
            text = close + 1;
        } else {
            buf_append(&out, text, n);
            text += n;
        }
    }
    buf_append(&out, "", 0);
    if (out.failed != SLM_OK) buf_fini(&out);
    return out.data;
}

static pcre2_code *compile_pattern(struct check *c, const char *text) {
    struct schema *s = c->s;
    for (size_t i = 0; i < s->n_patterns; i++)
        if (s->patterns[i].text == text) return s->patterns[i].code;
    int code;
    PCRE2_SIZE where;
    if (s->n_patterns == s->cap_patterns) {
        size_t cap = s->cap_patterns ? s->cap_patterns * 2 : 16;
        void *p = realloc(s->patterns, cap * sizeof *s->patterns);
        if (!p) return NULL;
        s->patterns = p;
        s->cap_patterns = cap;
    }
    pcre2_compile_context *ctx = pcre2_compile_context_create(NULL);
    if (ctx) pcre2_set_compile_extra_options(ctx, PCRE2_EXTRA_ALT_BSUX);
    char *own = translate(text);
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)(own ? own : text), PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALLOW_EMPTY_CLASS | PCRE2_MATCH_UNSET_BACKREF, &code, &where, ctx);
    pcre2_compile_context_free(ctx);
    free(own);
    if (re) s->patterns[s->n_patterns++] = (struct schema_pattern){text, re};
    else if (c->st == SLM_OK) c->st = err_set(c->err, SLM_E_FORMAT, SLM_NOWHERE, "schema: pattern \"%.200s\": not a regular expression (at %zu)", text, (size_t)where);
    return re;
}

static bool pattern_matches(struct check *c, const char *text, const char *s, size_t n, bool is_whole) {
    pcre2_code *re = compile_pattern(c, text);
    if (!re) return false;
    pcre2_match_context *ctx = pcre2_match_context_create(NULL);
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(re, NULL);
    int rc = PCRE2_ERROR_NOMEMORY;
    if (ctx && data) {
        pcre2_set_match_limit(ctx, MATCH_LIMIT);
        rc = pcre2_match(re, (PCRE2_SPTR)s, n, 0, is_whole ? PCRE2_ANCHORED | PCRE2_ENDANCHORED : 0, data, ctx);
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(ctx);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH && c->st == SLM_OK) c->st = err_set(c->err, SLM_E_LIMIT, SLM_NOWHERE, "schema: pattern \"%.200s\": takes too long to match", text);
    return rc > 0;
}

/* --- assertions on any value --- */

static bool is_type(const json_t *v, const char *type) {
    static const struct {
        const char *name;
        json_type type;
    } types[] = {{"object", JSON_OBJECT}, {"array", JSON_ARRAY}, {"string", JSON_STRING}, {"null", JSON_NULL}};
    if (strcmp(type, "integer") == 0) return schema_is_integer(v);
    if (strcmp(type, "number") == 0) return json_is_number(v);
    if (strcmp(type, "boolean") == 0) return json_is_boolean(v);
    for (size_t i = 0; i < 4; i++)
        if (strcmp(types[i].name, type) == 0) return json_typeof(v) == types[i].type;
    return false;
}

static bool check_type(const struct at *a, const json_t *k) {
    size_t i;
    json_t *t;
    if (json_is_string(k)) return is_type(a->value, json_string_value(k)) || refuse(a, "type", "is of another type");
    json_array_foreach(k, i, t) if (json_is_string(t) && is_type(a->value, json_string_value(t))) return true;
    return refuse(a, "type", "is of none of the types");
}

static bool check_enum(const struct at *a, const json_t *k) {
    size_t i;
    json_t *v;
    json_array_foreach(k, i, v) if (schema_equal(v, a->value)) return true;
    return refuse(a, "enum", "is none of the values");
}

static bool check_const(const struct at *a, const json_t *k) { return schema_equal(k, a->value) || refuse(a, "const", "is another value"); }

/* --- numbers --- */

static int compare(const json_t *a, const json_t *b) {
    if (json_is_integer(a) && json_is_integer(b)) return json_integer_value(a) < json_integer_value(b) ? -1 : json_integer_value(a) > json_integer_value(b);
    double x = json_number_value(a), y = json_number_value(b);
    return x < y ? -1 : x > y;
}

static bool check_minimum(const struct at *a, const json_t *k) { return !json_is_number(k) || compare(a->value, k) >= 0 || refuse(a, "minimum", "is too small"); }
static bool check_maximum(const struct at *a, const json_t *k) { return !json_is_number(k) || compare(a->value, k) <= 0 || refuse(a, "maximum", "is too large"); }
static bool check_above(const struct at *a, const json_t *k) { return !json_is_number(k) || compare(a->value, k) > 0 || refuse(a, "exclusiveMinimum", "is too small"); }
static bool check_below(const struct at *a, const json_t *k) { return !json_is_number(k) || compare(a->value, k) < 0 || refuse(a, "exclusiveMaximum", "is too large"); }

static bool check_multiple(const struct at *a, const json_t *k) {
    if (json_is_integer(a->value) && json_is_integer(k)) {
        return json_integer_value(k) == 0 || json_integer_value(k) == -1 || json_integer_value(a->value) % json_integer_value(k) == 0 || refuse(a, "multipleOf", "is not a multiple");
    }
    double x = json_number_value(a->value), m = json_number_value(k), q = x / m;
    if (m == 0) return true;
    if (isinf(q)) return fmod(x, m) == 0 || refuse(a, "multipleOf", "is not a multiple");
    return fabs(q - nearbyint(q)) <= 1e-9 * fmax(1, fabs(q) * 1e-6) || refuse(a, "multipleOf", "is not a multiple");
}

/* --- strings --- */

static bool is_count(const json_t *k, double *n) {
    *n = json_number_value(k);
    return json_is_number(k);
}

static bool check_min_length(const struct at *a, const json_t *k) {
    double n;
    return !is_count(k, &n) || (double)schema_length(a->value) >= n || refuse(a, "minLength", "is too short");
}

static bool check_max_length(const struct at *a, const json_t *k) {
    double n;
    return !is_count(k, &n) || (double)schema_length(a->value) <= n || refuse(a, "maxLength", "is too long");
}

static bool check_pattern(const struct at *a, const json_t *k) {
    if (!json_is_string(k)) return true;
    return pattern_matches(a->c, json_string_value(k), json_string_value(a->value), json_string_length(a->value), false) || refuse(a, "pattern", "does not match");
}

static bool check_format(const struct at *a, const json_t *k) {
    const struct schema_format *f = json_is_string(k) && a->c->s->options.is_format_asserted ? schema_format_find(json_string_value(k)) : NULL;
    return !f || pattern_matches(a->c, f->pattern, json_string_value(a->value), json_string_length(a->value), true) || refuse(a, "format", "is not of the format");
}

/* --- arrays --- */

static bool check_min_items(const struct at *a, const json_t *k) {
    double n;
    return !is_count(k, &n) || (double)json_array_size(a->value) >= n || refuse(a, "minItems", "has too few items");
}

static bool check_max_items(const struct at *a, const json_t *k) {
    double n;
    return !is_count(k, &n) || (double)json_array_size(a->value) <= n || refuse(a, "maxItems", "has too many items");
}

static bool check_unique(const struct at *a, const json_t *k) {
    if (!json_is_true(k)) return true;
    size_t n = json_array_size(a->value);
    for (size_t i = 0; i < n; i++) {
        a->c->work += i;
        for (size_t j = 0; j < i; j++)
            if (schema_equal(json_array_get(a->value, i), json_array_get(a->value, j))) return refuse(a, "uniqueItems", "has equal items");
    }
    return true;
}

/* Items from `from` on against one schema, and evaluated by it. */
static bool items_from(const struct at *a, const json_t *schema, size_t from) {
    for (size_t i = from; i < json_array_size(a->value); i++) {
        if (!apply_kid(a, schema, json_array_get(a->value, i), NULL, i)) return false;
        if (a->seen) a->seen[i] = 1;
    }
    return true;
}

static bool items_each(const struct at *a, const json_t *schemas) {
    for (size_t i = 0; i < json_array_size(schemas) && i < json_array_size(a->value); i++) {
        if (!apply_kid(a, json_array_get(schemas, i), json_array_get(a->value, i), NULL, i)) return false;
        if (a->seen) a->seen[i] = 1;
    }
    return true;
}

static bool check_prefix_items(const struct at *a, const json_t *k) { return items_each(a, k); }

static bool check_items(const struct at *a, const json_t *k) {
    if (a->c->s->draft == SCHEMA_7 && json_is_array(k)) return items_each(a, k);
    return items_from(a, k, a->c->s->draft == SCHEMA_7 ? 0 : json_array_size(json_object_get(a->schema, "prefixItems")));
}

static bool check_additional_items(const struct at *a, const json_t *k) {
    const json_t *items = json_object_get(a->schema, "items");
    return !json_is_array(items) || items_from(a, k, json_array_size(items));
}

static bool check_contains(const struct at *a, const json_t *k) {
    double least = 1, most = INFINITY;
    size_t n = 0;
    if (a->c->s->draft != SCHEMA_7) {
        if (!is_count(json_object_get(a->schema, "minContains"), &least)) least = 1;
        if (!is_count(json_object_get(a->schema, "maxContains"), &most)) most = INFINITY;
    }
    for (size_t i = 0; i < json_array_size(a->value); i++) {
        a->c->quiet++;
        bool ok = apply_kid(a, k, json_array_get(a->value, i), NULL, i);
        a->c->quiet--;
        n += ok;
        if (ok && a->seen && a->c->s->draft != SCHEMA_7) a->seen[i] = 1;
    }
    return ((double)n >= least && (double)n <= most) || refuse(a, "contains", "has too few or too many items that match");
}

static bool check_unevaluated_items(const struct at *a, const json_t *k) {
    for (size_t i = 0; i < json_array_size(a->value); i++) {
        if (a->seen[i]) continue;
        if (!apply_kid(a, k, json_array_get(a->value, i), NULL, i)) return refuse(a, "unevaluatedItems", "has an item that nothing allows");
        a->seen[i] = 1;
    }
    return true;
}

/* --- objects --- */

static bool check_min_properties(const struct at *a, const json_t *k) {
    double n;
    return !is_count(k, &n) || (double)json_object_size(a->value) >= n || refuse(a, "minProperties", "has too few members");
}

static bool check_max_properties(const struct at *a, const json_t *k) {
    double n;
    return !is_count(k, &n) || (double)json_object_size(a->value) <= n || refuse(a, "maxProperties", "has too many members");
}

static bool check_required(const struct at *a, const json_t *k) {
    size_t i;
    json_t *name;
    char why[120];
    json_array_foreach(k, i, name) {
        if (!json_is_string(name) || json_object_get(a->value, json_string_value(name))) continue;
        snprintf(why, sizeof why, "has no member \"%.80s\"", json_string_value(name));
        return refuse(a, "required", why);
    }
    return true;
}

static bool check_properties(const struct at *a, const json_t *k) {
    const char *key;
    json_t *schema;
    json_object_foreach((json_t *)(uintptr_t)k, key, schema) {
        const json_t *kid = json_object_get(a->value, key);
        if (!kid) continue;
        if (!apply_kid(a, schema, kid, key, 0)) return false;
        if (a->seen) a->seen[member_index(a->value, key)] = 1;
    }
    return true;
}

static bool check_pattern_properties(const struct at *a, const json_t *k) {
    const char *pattern, *key;
    json_t *schema, *kid;
    json_object_foreach((json_t *)(uintptr_t)k, pattern, schema) {
        size_t i = 0;
        json_object_foreach((json_t *)(uintptr_t)a->value, key, kid) {
            if (pattern_matches(a->c, pattern, key, strlen(key), false)) {
                if (!apply_kid(a, schema, kid, key, 0)) return false;
                if (a->seen) a->seen[i] = 1;
            }
            i++;
        }
    }
    return true;
}

/* Whether properties or patternProperties of the same schema speak of a key. */
static bool is_named(const struct at *a, const char *key) {
    const char *pattern;
    json_t *schema;
    if (json_object_get(json_object_get(a->schema, "properties"), key)) return true;
    json_object_foreach(json_object_get(a->schema, "patternProperties"), pattern, schema) if (pattern_matches(a->c, pattern, key, strlen(key), false)) return true;
    return false;
}

static bool check_additional(const struct at *a, const json_t *k) {
    const char *key;
    json_t *kid;
    size_t i = 0;
    json_object_foreach((json_t *)(uintptr_t)a->value, key, kid) {
        if (!is_named(a, key)) {
            if (json_is_false(k)) {
                char why[120];
                snprintf(why, sizeof why, "has a member \"%.80s\", which is not allowed", key);
                return refuse(a, "additionalProperties", why);
            }
            if (!apply_kid(a, k, kid, key, 0)) return false;
            if (a->seen) a->seen[i] = 1;
        }
        i++;
    }
    return true;
}

static bool check_property_names(const struct at *a, const json_t *k) {
    const char *key;
    json_t *kid;
    json_object_foreach((json_t *)(uintptr_t)a->value, key, kid) {
        json_t *name = json_string(key);
        bool ok = name && apply_kid(a, k, name, key, 0);
        json_decref(name);
        if (!ok) return refuse(a, "propertyNames", "has a member whose name is not allowed");
    }
    return true;
}

static bool check_dependent_required(const struct at *a, const json_t *k) {
    const char *key;
    json_t *names;
    json_object_foreach((json_t *)(uintptr_t)k, key, names) if (json_object_get(a->value, key) && !check_required(a, names)) return false;
    return true;
}

static bool check_dependent_schemas(const struct at *a, const json_t *k) {
    const char *key;
    json_t *schema;
    json_object_foreach((json_t *)(uintptr_t)k, key, schema) if (json_object_get(a->value, key) && !apply_here(a, schema, a->seen)) return false;
    return true;
}

static bool check_dependencies(const struct at *a, const json_t *k) {
    const char *key;
    json_t *d;
    json_object_foreach((json_t *)(uintptr_t)k, key, d) {
        if (!json_object_get(a->value, key)) continue;
        if (!(json_is_array(d) ? check_required(a, d) : apply_here(a, d, a->seen))) return false;
    }
    return true;
}

static bool check_unevaluated_properties(const struct at *a, const json_t *k) {
    const char *key;
    json_t *kid;
    size_t i = 0;
    json_object_foreach((json_t *)(uintptr_t)a->value, key, kid) {
        if (!a->seen[i] && !apply_kid(a, k, kid, key, 0)) return refuse(a, "unevaluatedProperties", "has a member that nothing allows");
        a->seen[i++] = 1;
    }
    return true;
}

/* --- applicators in place --- */

static bool check_all_of(const struct at *a, const json_t *k) {
    size_t i;
    json_t *schema;
    json_array_foreach(k, i, schema) if (!apply_here(a, schema, a->seen)) return false;
    return true;
}

static size_t count_matches(const struct at *a, const json_t *k, size_t enough) {
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(k) && n < enough; i++) {
        uint8_t *seen = new_seen(a);
        bool ok = try_here(a, json_array_get(k, i), seen);
        merge_seen(a, seen, ok);
        n += ok;
    }
    return n;
}

static bool check_any_of(const struct at *a, const json_t *k) { return count_matches(a, k, a->seen ? SIZE_MAX : 1) > 0 || refuse(a, "anyOf", "satisfies none of the alternatives"); }

static bool check_one_of(const struct at *a, const json_t *k) {
    size_t n = count_matches(a, k, 2);
    return n == 1 || refuse(a, "oneOf", n ? "satisfies more than one of the alternatives" : "satisfies none of the alternatives");
}

static bool check_not(const struct at *a, const json_t *k) { return !try_here(a, k, NULL) || refuse(a, "not", "satisfies what it must not"); }

static bool check_if(const struct at *a, const json_t *k) {
    uint8_t *seen = new_seen(a);
    bool is_so = try_here(a, k, seen);
    merge_seen(a, seen, is_so);
    const json_t *next = json_object_get(a->schema, is_so ? "then" : "else");
    return !next || apply_here(a, next, a->seen);
}

static bool apply_place(const struct at *a, const struct schema_place *p) {
    a->c->entered = p->node;
    return apply(a->c, p->node, a->value, p->base, a->scope, a->path, a->seen);
}

static bool check_ref(const struct at *a, const json_t *k) {
    struct schema_place p;
    if (!json_is_string(k)) return true;
    slm_status st = schema_resolve(a->c->s, a->base, json_string_value(k), &p, a->c->err);
    if (st != SLM_OK) a->c->st = st;
    return st == SLM_OK && apply_place(a, &p);
}

/* A $ref; if it leads to a $dynamicAnchor, the outermost resource entered that has the same one takes its place. */
static bool check_dynamic_ref(const struct at *a, const json_t *k) {
    struct schema_place p;
    if (!json_is_string(k)) return true;
    const char *ref = json_string_value(k), *anchor = strchr(ref, '#');
    slm_status st = schema_resolve(a->c->s, a->base, ref, &p, a->c->err);
    if (st != SLM_OK) a->c->st = st;
    if (st != SLM_OK) return false;
    if (anchor && anchor[1] && anchor[1] != '/' && p.is_dynamic) {
        for (const struct scope *sc = a->scope; sc; sc = sc->outer) {
            const struct schema_place *outer = schema_dynamic(a->c->s, sc->base, anchor + 1);
            if (outer) p = *outer;
        }
    }
    return apply_place(a, &p);
}

/* --- the table; unevaluated* come last --- */

enum { ANY = -1 };
struct row {
    const char *keyword;
    int type;   /* json_type it speaks of; ANY */
    int drafts; /* bits */
    bool (*check)(const struct at *a, const json_t *keyword);
};
#define BOTH 3
#define NEW (1 << SCHEMA_2020_12)
#define OLD (1 << SCHEMA_7)
#define NUMBER 100
static const struct row rows[] = {
    {"$ref", ANY, BOTH, check_ref},
    {"$dynamicRef", ANY, NEW, check_dynamic_ref},
    {"type", ANY, BOTH, check_type},
    {"enum", ANY, BOTH, check_enum},
    {"const", ANY, BOTH, check_const},
    {"minimum", NUMBER, BOTH, check_minimum},
    {"maximum", NUMBER, BOTH, check_maximum},
    {"exclusiveMinimum", NUMBER, BOTH, check_above},
    {"exclusiveMaximum", NUMBER, BOTH, check_below},
    {"multipleOf", NUMBER, BOTH, check_multiple},
    {"minLength", JSON_STRING, BOTH, check_min_length},
    {"maxLength", JSON_STRING, BOTH, check_max_length},
    {"pattern", JSON_STRING, BOTH, check_pattern},
    {"format", JSON_STRING, BOTH, check_format},
    {"minItems", JSON_ARRAY, BOTH, check_min_items},
    {"maxItems", JSON_ARRAY, BOTH, check_max_items},
    {"uniqueItems", JSON_ARRAY, BOTH, check_unique},
    {"prefixItems", JSON_ARRAY, NEW, check_prefix_items},
    {"items", JSON_ARRAY, BOTH, check_items},
    {"additionalItems", JSON_ARRAY, OLD, check_additional_items},
    {"contains", JSON_ARRAY, BOTH, check_contains},
    {"minProperties", JSON_OBJECT, BOTH, check_min_properties},
    {"maxProperties", JSON_OBJECT, BOTH, check_max_properties},
    {"required", JSON_OBJECT, BOTH, check_required},
    {"properties", JSON_OBJECT, BOTH, check_properties},
    {"patternProperties", JSON_OBJECT, BOTH, check_pattern_properties},
    {"additionalProperties", JSON_OBJECT, BOTH, check_additional},
    {"propertyNames", JSON_OBJECT, BOTH, check_property_names},
    {"dependentRequired", JSON_OBJECT, NEW, check_dependent_required},
    {"dependentSchemas", JSON_OBJECT, NEW, check_dependent_schemas},
    {"dependencies", JSON_OBJECT, BOTH, check_dependencies},
    {"allOf", ANY, BOTH, check_all_of},
    {"anyOf", ANY, BOTH, check_any_of},
    {"oneOf", ANY, BOTH, check_one_of},
    {"not", ANY, BOTH, check_not},
    {"if", ANY, BOTH, check_if},
    {"unevaluatedItems", JSON_ARRAY, NEW, check_unevaluated_items},
    {"unevaluatedProperties", JSON_OBJECT, NEW, check_unevaluated_properties},
};

static bool is_about(const struct row *r, const json_t *value) {
    return r->type == ANY || (r->type == NUMBER ? json_is_number(value) : (int)json_typeof(value) == r->type);
}

static bool apply_rows(struct at *a, uint8_t **own) {
    bool only_ref = a->c->s->draft == SCHEMA_7 && json_object_get(a->schema, "$ref");
    bool asks = json_object_get(a->schema, "unevaluatedItems") || json_object_get(a->schema, "unevaluatedProperties");
    if (asks) { /* only what this schema itself evaluates counts */
        *own = a->seen = calloc(n_members(a->value) + 1, 1);
        if (!a->seen) a->c->st = err_set(a->c->err, SLM_E_NOMEM, SLM_NOWHERE, "schema: no memory");
    }
    size_t n_rows = only_ref ? 1 : sizeof rows / sizeof rows[0];
    for (size_t i = 0; i < n_rows && a->c->st == SLM_OK; i++) {
        const json_t *k = rows[i].drafts >> a->c->s->draft & 1 ? json_object_get(a->schema, rows[i].keyword) : NULL;
        if (k && is_about(&rows[i], a->value) && !rows[i].check(a, k)) return false;
    }
    return a->c->st == SLM_OK;
}

static bool apply(struct check *c, const json_t *schema, const json_t *value, const char *base, const struct scope *scope, const struct path *path, uint8_t *seen) {
    struct at a = {c, schema, value, base, scope, path, seen};
    uint8_t *own = NULL;
    if (c->st != SLM_OK) return false;
    if (json_is_boolean(schema)) return json_is_true(schema) || refuse(&a, "false", "is not allowed");
    if (!json_is_object(schema)) return true;
    if (++c->work > SCHEMA_WORK_MAX || c->depth >= SCHEMA_NESTING_MAX) {
        c->st = err_set(c->err, SLM_E_LIMIT, SLM_NOWHERE, "schema: %s", c->depth >= SCHEMA_NESTING_MAX ? "nested or recursive past the limit of 512" : "takes too long to check");
        return false;
    }
    const char *inner = c->entered == schema ? base : schema_base(c->s, schema, base);
    c->entered = NULL;
    if (!inner) inner = base;
    struct scope here = {scope, inner};
    a.base = inner;
    if (!scope || strcmp(scope->base, inner) != 0) a.scope = &here;
    c->depth++;
    bool ok = apply_rows(&a, &own);
    c->depth--;
    if (own && ok && seen)
        for (size_t i = 0; i < n_members(value); i++) seen[i] |= own[i];
    free(own);
    return ok;
}

slm_status schema_check(struct schema *s, const json_t *value, bool *is_valid, slm_err *err) {
    slm_err local;
    struct check c = {.s = s, .err = err ? err : &local};
    err_clear(c.err);
    *is_valid = apply(&c, s->root, value, "", NULL, NULL, NULL);
    if (c.st != SLM_OK) *is_valid = false;
    return c.st;
}

slm_status schema_check_text(struct schema *s, struct view text, bool *is_valid, slm_err *err) {
    json_error_t fault;
    *is_valid = false;
    json_t *value = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &fault);
    if (!value) {
        err_set(err, SLM_E_FORMAT, (uint64_t)fault.position, "not a JSON value: line %d, column %d: %s", fault.line, fault.column, fault.text);
        return SLM_OK;
    }
    slm_status st = schema_check(s, value, is_valid, err);
    json_decref(value);
    return st;
}

slm_status schema_check_node(struct schema *s, const json_t *node, const char *base, const json_t *value, bool *is_valid, slm_err *err) {
    slm_err local;
    struct check c = {.s = s, .err = err ? err : &local, .entered = node};
    err_clear(c.err);
    *is_valid = apply(&c, node, value, base, NULL, NULL, NULL);
    if (c.st != SLM_OK) *is_valid = false;
    return c.st;
}

bool schema_pattern_matches(struct schema *s, const char *pattern, const char *text) {
    slm_err local;
    struct check c = {.s = s, .err = &local};
    return pattern_matches(&c, pattern, text, strlen(text), false);
}
