/* document.c -- schemas as documents: parsing, identifiers, references.
 *
 * Every $id, $anchor and $dynamicAnchor that stands where a schema stands is entered in one table by its full URI; a reference is
 * resolved against its base (RFC 3986, 5), looked up, and what a JSON pointer adds is walked. Nothing is fetched but through the
 * caller's function. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <math.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/util.h"
#include "text/schema/schema_int.h"

#define BOTH (1 << SCHEMA_2020_12 | 1 << SCHEMA_7)
#define NEW (1 << SCHEMA_2020_12)
#define OLD (1 << SCHEMA_7)
#define URI_BYTES_MAX 4096
#define INDEX_NESTING_MAX 512

static const struct schema_keyword keywords[] = {
    {"$defs", SHAPE_MAP, BOTH}, {"definitions", SHAPE_MAP, BOTH}, {"properties", SHAPE_MAP, BOTH}, {"patternProperties", SHAPE_MAP, BOTH},
    {"dependentSchemas", SHAPE_MAP, NEW}, {"dependencies", SHAPE_MAP_OR_NAMES, BOTH}, {"additionalProperties", SHAPE_ONE, BOTH},
    {"propertyNames", SHAPE_ONE, BOTH}, {"items", SHAPE_ONE_OR_LIST, BOTH}, {"additionalItems", SHAPE_ONE, OLD}, {"contains", SHAPE_ONE, BOTH},
    {"not", SHAPE_ONE, BOTH}, {"if", SHAPE_ONE, BOTH}, {"then", SHAPE_ONE, BOTH}, {"else", SHAPE_ONE, BOTH}, {"allOf", SHAPE_LIST, BOTH},
    {"anyOf", SHAPE_LIST, BOTH}, {"oneOf", SHAPE_LIST, BOTH}, {"prefixItems", SHAPE_LIST, NEW}, {"unevaluatedItems", SHAPE_ONE, NEW},
    {"unevaluatedProperties", SHAPE_ONE, NEW}, {"contentSchema", SHAPE_ONE, NEW},
};

/* --- URIs --- */

static bool has_scheme(const char *uri) {
    const char *colon = strpbrk(uri, ":/?#");
    return colon && colon > uri && *colon == ':';
}

/* Drop "." and ".." segments of a path in place. */
static void remove_dots(char *path) {
    char *out = path, *in = path;
    while (*in) {
        if (strncmp(in, "/./", 3) == 0) in += 2;
        else if (strcmp(in, "/.") == 0) in[1] = '\0';
        else if (strncmp(in, "/../", 4) == 0 || strcmp(in, "/..") == 0) {
            in += 3;
            if (!*in) *--in = '/';
            while (out > path && *--out != '/') {}
        } else {
            do *out++ = *in++;
            while (*in && *in != '/');
        }
    }
    *out = '\0';
}

/* ref at base, in a buffer of URI_BYTES_MAX; false: too long. */
static bool uri_join(const char *base, const char *ref, char *out) {
    size_t keep = strcspn(base, "#");
    size_t n_ref = strlen(ref);
    const char *after = strstr(base, "://");
    size_t root = after ? (size_t)(after - base) + 3 + strcspn(after + 3, "/?#") : 0;
    if (has_scheme(ref)) keep = 0;
    else if (strncmp(ref, "//", 2) == 0) keep = after ? (size_t)(after - base) + 1 : 0;
    else if (*ref == '/') keep = root;
    else if (*ref && *ref != '#') {
        keep = strcspn(base, "?#");
        while (keep > root && base[keep - 1] != '/') keep--;
        if (keep == root && root > 0) {
            if (root + 1 + n_ref >= URI_BYTES_MAX) return false;
            memcpy(out, base, root);
            out[root] = '/';
            memcpy(out + root + 1, ref, n_ref + 1);
            return true;
        }
    }
    if (keep + n_ref >= URI_BYTES_MAX) return false;
    memcpy(out, base, keep);
    memcpy(out + keep, ref, n_ref + 1);
    if (after && keep >= root) {
        char fragment[URI_BYTES_MAX];
        size_t n = strcspn(out + root, "?#");
        memcpy(fragment, out + root + n, strlen(out + root + n) + 1);
        out[root + n] = '\0';
        remove_dots(out + root);
        memmove(out + strlen(out), fragment, strlen(fragment) + 1);
    }
    size_t n = strlen(out);
    if (n > 0 && out[n - 1] == '#') out[n - 1] = '\0';
    return true;
}

/* --- the table of places --- */

static uint64_t hash_uri(const char *uri, size_t n) { return hash_bytes(HASH_START, uri, n); }

static const struct schema_place *find_place(const struct schema *s, const char *uri, size_t n) {
    if (s->n_slots == 0) return NULL;
    for (size_t at = hash_uri(uri, n) & (s->n_slots - 1); s->slots[at]; at = (at + 1) & (s->n_slots - 1)) {
        const struct schema_place *p = &s->places[s->slots[at] - 1];
        if (strncmp(p->uri, uri, n) == 0 && p->uri[n] == '\0') return p;
    }
    return NULL;
}

static slm_status no_memory(slm_err *err) { return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "schema: no memory"); }

static bool grow_places(struct schema *s) {
    if (s->n_places == s->cap_places) {
        size_t cap = s->cap_places ? s->cap_places * 2 : 16;
        void *p = realloc(s->places, cap * sizeof *s->places);
        if (!p) return false;
        s->places = p;
        s->cap_places = cap;
    }
    if (s->n_slots > s->n_places * 2) return true;
    size_t n = s->n_slots ? s->n_slots * 2 : 64;
    uint32_t *slots = calloc(n, sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < s->n_places; i++) {
        size_t at = hash_uri(s->places[i].uri, strlen(s->places[i].uri)) & (n - 1);
        while (slots[at]) at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(s->slots);
    s->slots = slots;
    s->n_slots = n;
    return true;
}

/* The first of a name wins. */
static bool add_place(struct schema *s, const char *uri, const json_t *node, const char *base, bool is_dynamic) {
    size_t n = strlen(uri);
    if (find_place(s, uri, n)) return true;
    if (!grow_places(s)) return false;
    char *own = strdup(uri);
    if (!own) return false;
    size_t at = hash_uri(uri, n) & (s->n_slots - 1);
    while (s->slots[at]) at = (at + 1) & (s->n_slots - 1);
    s->places[s->n_places] = (struct schema_place){own, node, base, is_dynamic};
    s->slots[at] = (uint32_t)++s->n_places;
    return true;
}

static const char *keep_base(struct schema *s, const char *uri) {
    for (size_t i = s->n_bases; i-- > 0;)
        if (strcmp(s->bases[i], uri) == 0) return s->bases[i];
    if (s->n_bases == s->cap_bases) {
        size_t cap = s->cap_bases ? s->cap_bases * 2 : 16;
        void *p = realloc(s->bases, cap * sizeof *s->bases);
        if (!p) return NULL;
        s->bases = p;
        s->cap_bases = cap;
    }
    char *own = strdup(uri);
    if (own) s->bases[s->n_bases++] = own;
    return own;
}

static const char *text_of(const json_t *node, const char *key) { return json_string_value(json_object_get(node, key)); }

const char *schema_base(struct schema *s, const json_t *node, const char *base) {
    char uri[URI_BYTES_MAX];
    const char *id = text_of(node, "$id");
    if (!id || *id == '#' || (s->draft == SCHEMA_7 && json_object_get(node, "$ref"))) return base;
    return uri_join(base, id, uri) ? keep_base(s, uri) : NULL;
}

static bool add_anchor(struct schema *s, const json_t *node, const char *base, const char *anchor, bool is_dynamic) {
    char uri[URI_BYTES_MAX];
    size_t n = strlen(base), n_anchor = strlen(anchor);
    if (n + n_anchor + 2 >= sizeof uri) return true;
    memcpy(uri, base, n);
    uri[n] = '#';
    memcpy(uri + n + 1, anchor, n_anchor + 1);
    return add_place(s, uri, node, base, is_dynamic);
}

static slm_status index_schema(struct schema *s, const json_t *node, const char *base, int depth, slm_err *err);

static slm_status index_keyword(struct schema *s, const struct schema_keyword *k, const json_t *value, const char *base, int depth, slm_err *err) {
    slm_status st = SLM_OK;
    const char *key;
    json_t *kid;
    size_t i;
    if (json_is_array(value) && (k->shape == SHAPE_LIST || k->shape == SHAPE_ONE_OR_LIST)) {
        json_array_foreach(value, i, kid) if (st == SLM_OK) st = index_schema(s, kid, base, depth + 1, err);
    } else if (json_is_object(value) && (k->shape == SHAPE_MAP || k->shape == SHAPE_MAP_OR_NAMES)) {
        json_object_foreach((json_t *)(uintptr_t)value, key, kid) if (st == SLM_OK) st = index_schema(s, kid, base, depth + 1, err);
    } else if (k->shape == SHAPE_ONE || k->shape == SHAPE_ONE_OR_LIST) {
        st = index_schema(s, value, base, depth + 1, err);
    }
    return st;
}

static slm_status index_schema(struct schema *s, const json_t *node, const char *base, int depth, slm_err *err) {
    if (!json_is_object(node)) return SLM_OK;
    if (depth > INDEX_NESTING_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "schema: nested more than %d deep", INDEX_NESTING_MAX);
    const char *inner = schema_base(s, node, base), *anchor;
    if (!inner) return no_memory(err);
    bool ok = inner == base || add_place(s, inner, node, inner, false);
    if (s->draft == SCHEMA_7) {
        anchor = text_of(node, "$id");
        if (ok && anchor && *anchor == '#' && !json_object_get(node, "$ref")) ok = add_anchor(s, node, inner, anchor + 1, false);
    } else {
        if (ok && (anchor = text_of(node, "$anchor"))) ok = add_anchor(s, node, inner, anchor, false);
        if (ok && (anchor = text_of(node, "$dynamicAnchor"))) ok = add_anchor(s, node, inner, anchor, true);
    }
    if (!ok) return no_memory(err);
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        const json_t *value = keywords[i].drafts >> s->draft & 1 ? json_object_get(node, keywords[i].name) : NULL;
        slm_status st = value ? index_keyword(s, &keywords[i], value, inner, depth, err) : SLM_OK;
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

/* --- references --- */

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1; }

/* One token of a JSON pointer: %XX, then ~1 and ~0. */
static void decode_token(char *t) {
    char *out = t;
    for (char *p = t; *p; p++) {
        if (*p == '%' && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0) {
            *out++ = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
            p += 2;
        } else {
            *out++ = *p;
        }
    }
    *out = '\0';
    out = t;
    for (char *p = t; *p; p++) {
        if (*p == '~' && (p[1] == '0' || p[1] == '1')) *out++ = *++p == '0' ? '~' : '/';
        else *out++ = *p;
    }
    *out = '\0';
}

static bool walk_pointer(struct schema *s, const char *pointer, struct schema_place *at) {
    char token[URI_BYTES_MAX];
    while (*pointer == '/') {
        size_t n = strcspn(++pointer, "/");
        if (n >= sizeof token) return false;
        memcpy(token, pointer, n);
        token[n] = '\0';
        pointer += n;
        decode_token(token);
        const json_t *next = NULL;
        if (json_is_object(at->node)) {
            next = json_object_get(at->node, token);
        } else if (json_is_array(at->node)) {
            char *end;
            unsigned long i = strtoul(token, &end, 10);
            if (*token && !*end) next = json_array_get(at->node, i);
        }
        if (!next) return false;
        at->node = next;
        if (json_is_object(next) && !(at->base = schema_base(s, next, at->base))) return false;
    }
    return *pointer == '\0';
}

static slm_status fetch_document(struct schema *s, const char *uri, slm_err *err) {
    if (!s->options.fetch || s->n_documents == SCHEMA_DOCUMENTS_MAX) return SLM_OK;
    json_t *doc = s->options.fetch(s->options.user, uri);
    if (!doc) return SLM_OK;
    s->documents[s->n_documents++] = doc;
    const char *base = keep_base(s, uri);
    if (!base || !add_place(s, uri, doc, base, false)) return no_memory(err);
    return index_schema(s, doc, base, 0, err);
}

slm_status schema_resolve(struct schema *s, const char *base, const char *ref, struct schema_place *out, slm_err *err) {
    char uri[URI_BYTES_MAX];
    if (!uri_join(base, ref, uri)) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "schema: a reference of more than %d bytes", URI_BYTES_MAX);
    size_t n = strcspn(uri, "#");
    const struct schema_place *p = find_place(s, uri, n);
    if (!p) {
        char document[URI_BYTES_MAX];
        memcpy(document, uri, n);
        document[n] = '\0';
        slm_status st = fetch_document(s, document, err);
        if (st != SLM_OK) return st;
        p = find_place(s, uri, n);
    }
    const char *fragment = uri[n] == '#' ? uri + n + 1 : "";
    bool ok = p != NULL;
    if (ok) *out = *p;
    if (ok && *fragment == '/') ok = walk_pointer(s, fragment, out);
    else if (ok && *fragment) {
        char anchor[URI_BYTES_MAX];
        int len = snprintf(anchor, sizeof anchor, "%s#%s", p->base, fragment);
        p = len > 0 && (size_t)len < sizeof anchor ? find_place(s, anchor, (size_t)len) : NULL;
        if ((ok = p != NULL)) *out = *p;
    }
    if (ok) return SLM_OK;
    err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "schema: reference \"%.200s\": leads nowhere", ref);
    err_hint(err, "put what it names under $defs of the same schema: other documents are not fetched");
    return SLM_E_FORMAT;
}

const struct schema_place *schema_dynamic(const struct schema *s, const char *base, const char *anchor) {
    char uri[URI_BYTES_MAX];
    int n = snprintf(uri, sizeof uri, "%s#%s", base, anchor);
    const struct schema_place *p = n > 0 && (size_t)n < sizeof uri ? find_place(s, uri, (size_t)n) : NULL;
    return p && p->is_dynamic ? p : NULL;
}

/* --- parsing --- */

struct draft_row {
    const char *uri;
    int draft; /* -1: known and not supported */
};
static const struct draft_row draft_rows[] = {
    {"https://json-schema.org/draft/2020-12/schema", SCHEMA_2020_12}, {"http://json-schema.org/draft-07/schema", SCHEMA_7},
    {"https://json-schema.org/draft-07/schema", SCHEMA_7}, {"http://json-schema.org/schema", SCHEMA_2020_12},
    /* Draft 6 is draft 7 without if and content; 2019-09 differs in what its own rows of tests show: refused rather than misread. */
    {"http://json-schema.org/draft-06/schema", SCHEMA_7}, {"https://json-schema.org/draft/2019-09/schema", -1},
    {"http://json-schema.org/draft-04/schema", -1}, {"http://json-schema.org/draft-03/schema", -1},
};

static slm_status find_draft(struct schema *s, slm_err *err) {
    const char *uri = text_of(s->root, "$schema");
    s->draft = s->options.draft;
    if (!uri) return SLM_OK;
    size_t n = strcspn(uri, "#");
    for (size_t i = 0; i < sizeof draft_rows / sizeof draft_rows[0]; i++) {
        if (strlen(draft_rows[i].uri) != n || memcmp(draft_rows[i].uri, uri, n) != 0) continue;
        if (draft_rows[i].draft < 0)
            return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "schema: /$schema \"%.100s\": only 2020-12 and draft-7 are supported", uri);
        s->draft = (enum schema_draft)draft_rows[i].draft;
        return SLM_OK;
    }
    return SLM_OK; /* somebody's own dialect: read as the default */
}

slm_status schema_from_json(json_t *value, const struct schema_options *options, struct schema **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct schema *s = NULL;
    void *mem = NULL;
    *out = NULL;
    if (!json_is_object(value) && !json_is_boolean(value)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "schema: must be an object, true or false");
    TRY(mem_alloc(&mem, 1, sizeof *s, "schema", err));
    s = mem;
    s->options = options ? *options : (struct schema_options){.is_format_asserted = true};
    s->root = json_incref(value);
    TRY(find_draft(s, err));
    const char *base = keep_base(s, "");
    if (!base || !add_place(s, "", value, base, false)) {
        st = no_memory(err);
        goto out;
    }
    TRY(index_schema(s, value, base, 0, err));
    *out = s;
    s = NULL;
out:
    schema_destroy(s);
    return st;
}

slm_status schema_parse(struct view text, const struct schema_options *options, struct schema **out, slm_err *err) {
    json_error_t fault;
    *out = NULL;
    if (text.len > GRAM_SOURCE_BYTES_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "schema of %zu bytes: at most %u", text.len, GRAM_SOURCE_BYTES_MAX);
    json_t *value = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &fault);
    if (!value) return err_set(err, SLM_E_FORMAT, (uint64_t)fault.position, "schema: line %d, column %d: %s", fault.line, fault.column, fault.text);
    slm_status st = schema_from_json(value, options, out, err);
    json_decref(value);
    return st;
}

void schema_destroy(struct schema *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n_places; i++) free(s->places[i].uri);
    for (size_t i = 0; i < s->n_bases; i++) free(s->bases[i]);
    for (size_t i = 0; i < s->n_documents; i++) json_decref(s->documents[i]);
    for (size_t i = 0; i < s->n_patterns; i++) pcre2_code_free(s->patterns[i].code);
    free(s->patterns);
    free(s->places);
    free(s->slots);
    free(s->bases);
    json_decref(s->root);
    free(s);
}

/* --- values --- */

bool schema_is_integer(const json_t *v) {
    return json_is_integer(v) || (json_is_real(v) && json_real_value(v) == floor(json_real_value(v)) && isfinite(json_real_value(v)));
}

size_t schema_length(const json_t *string) {
    const char *s = json_string_value(string);
    size_t n = 0;
    for (size_t i = 0; i < json_string_length(string); i++) n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

bool schema_equal(const json_t *a, const json_t *b) {
    const char *key;
    json_t *kid;
    size_t i;
    if (json_is_number(a) && json_is_number(b)) {
        if (json_is_integer(a) && json_is_integer(b)) return json_integer_value(a) == json_integer_value(b);
        return json_number_value(a) == json_number_value(b);
    }
    if (json_typeof(a) != json_typeof(b)) return false;
    switch (json_typeof(a)) {
    case JSON_STRING:
        return json_string_length(a) == json_string_length(b) && memcmp(json_string_value(a), json_string_value(b), json_string_length(a)) == 0;
    case JSON_ARRAY:
        if (json_array_size(a) != json_array_size(b)) return false;
        json_array_foreach(a, i, kid) if (!schema_equal(kid, json_array_get(b, i))) return false;
        return true;
    case JSON_OBJECT:
        if (json_object_size(a) != json_object_size(b)) return false;
        json_object_foreach((json_t *)(uintptr_t)a, key, kid) {
            const json_t *other = json_object_get(b, key);
            if (!other || !schema_equal(kid, other)) return false;
        }
        return true;
    default: return true;
    }
}
