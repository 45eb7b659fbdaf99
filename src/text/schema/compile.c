/* compile.c -- a schema as a graph of what may be generated.
 *
 * The unit is a set of schemas that hold for one value at once (a conj): allOf and references are opened into it, so that merging
 * is nothing but having several. A set becomes a node once, whatever way leads to it; recursion is a rule met again. anyOf and
 * oneOf multiply: the first that is pending is chosen in every way. Where const or enum holds, the values are judged by the check,
 * which knows every keyword. What the graph cannot hold is noted, with its place, and left to the check. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/schema/compile_int.h"

#define ENUM_MAX 20000
#define REF_CHAIN_MAX 64 /* a longer chain of references and nothing else is a circle: it says nothing */

bool compile_is_ok(const struct compile *c) { return c->st == SLM_OK && c->g->failed == SLM_OK; }

/* --- places --- */

static bool find_node(const json_t *in, const json_t *node, struct buf *path, int depth) {
    const char *key;
    json_t *kid;
    size_t i, n = path->len;
    if (in == node) return true;
    if (depth > 600) return false;
    if (json_is_object(in)) {
        json_object_foreach((json_t *)(uintptr_t)in, key, kid) {
            if (!json_is_object(kid) && !json_is_array(kid)) continue;
            buf_putc(path, '/');
            for (const char *p = key; *p; p++) buf_puts(path, *p == '~' ? "~0" : *p == '/' ? "~1" : (char[]){*p, '\0'});
            if (find_node(kid, node, path, depth + 1)) return true;
            path->len = n;
        }
    } else if (json_is_array(in)) {
        json_array_foreach(in, i, kid) {
            if (!json_is_object(kid) && !json_is_array(kid)) continue;
            buf_printf(path, "/%zu", i);
            if (find_node(kid, node, path, depth + 1)) return true;
            path->len = n;
        }
    }
    return false;
}

/* Where a schema stands: a JSON pointer. */
static void compile_pointer(const struct compile *c, const json_t *node, char *out, size_t size) {
    struct buf path;
    buf_init(&path, 1 << 16);
    buf_append(&path, "", 0);
    bool found = node && find_node(c->s->root, node, &path, 0);
    if (found && path.data) path.data[path.len] = '\0';
    snprintf(out, size, "%s", found && path.data ? path.data : "");
    buf_fini(&path);
}

void compile_fail(struct compile *c, slm_status code, const json_t *node, const char *keyword, const char *fmt, ...) {
    char at[160], why[200];
    va_list args;
    if (c->st != SLM_OK) return;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    compile_pointer(c, node, at, sizeof at);
    c->st = err_set(c->err, code, SLM_NOWHERE, "schema at \"%s%s%s\": %s", at, *keyword ? "/" : "", keyword, why);
}

void compile_note(struct compile *c, const json_t *node, const char *keyword, const char *why) {
    struct schema_note note;
    char at[120];
    compile_pointer(c, node, at, sizeof at);
    snprintf(note.at, sizeof note.at, "%s/%.36s", at, keyword);
    snprintf(note.what, sizeof note.what, "%s", why);
    for (size_t i = 0; i < c->notes->n; i++)
        if (strcmp(c->notes->notes[i].at, note.at) == 0 && strcmp(c->notes->notes[i].what, note.what) == 0) return;
    if (c->notes->n < SCHEMA_NOTES_MAX) c->notes->notes[c->notes->n++] = note;
    else c->notes->n_more++;
}

/* --- form of keywords --- */

enum form { FORM_COUNT, FORM_NUMBER, FORM_TEXT, FORM_NAMES, FORM_LIST, FORM_MAP, FORM_SCHEMA, FORM_SCHEMAS, FORM_BOOL, FORM_TYPE, FORM_POSITIVE };
static const struct {
    const char *keyword;
    enum form form;
    const char *wants;
} forms[] = {
    {"type", FORM_TYPE, "must be the name of a type, or a list of them"},
    {"enum", FORM_LIST, "must be a list"},
    {"minimum", FORM_NUMBER, "must be a number"}, {"maximum", FORM_NUMBER, "must be a number"},
    {"exclusiveMinimum", FORM_NUMBER, "must be a number"}, {"exclusiveMaximum", FORM_NUMBER, "must be a number"},
    {"multipleOf", FORM_POSITIVE, "must be a number above 0"},
    {"minLength", FORM_COUNT, "must be a whole number from 0 on"}, {"maxLength", FORM_COUNT, "must be a whole number from 0 on"},
    {"minItems", FORM_COUNT, "must be a whole number from 0 on"}, {"maxItems", FORM_COUNT, "must be a whole number from 0 on"},
    {"minProperties", FORM_COUNT, "must be a whole number from 0 on"}, {"maxProperties", FORM_COUNT, "must be a whole number from 0 on"},
    {"minContains", FORM_COUNT, "must be a whole number from 0 on"}, {"maxContains", FORM_COUNT, "must be a whole number from 0 on"},
    {"pattern", FORM_TEXT, "must be a string"}, {"format", FORM_TEXT, "must be a string"}, {"$ref", FORM_TEXT, "must be a string"},
    {"required", FORM_NAMES, "must be a list of strings"},
    {"properties", FORM_MAP, "must be an object of schemas"}, {"patternProperties", FORM_MAP, "must be an object of schemas"},
    {"dependentSchemas", FORM_MAP, "must be an object of schemas"},
    {"additionalProperties", FORM_SCHEMA, "must be a schema"}, {"propertyNames", FORM_SCHEMA, "must be a schema"}, {"contains", FORM_SCHEMA, "must be a schema"},
    {"not", FORM_SCHEMA, "must be a schema"}, {"if", FORM_SCHEMA, "must be a schema"},
    {"allOf", FORM_SCHEMAS, "must be a list of schemas, not empty"}, {"anyOf", FORM_SCHEMAS, "must be a list of schemas, not empty"},
    {"oneOf", FORM_SCHEMAS, "must be a list of schemas, not empty"}, {"uniqueItems", FORM_BOOL, "must be true or false"},
};

static const char *const type_names[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
static const unsigned type_bits[] = {T_NULL, T_BOOL, T_INT, T_INT | T_NUM, T_STRING, T_ARRAY, T_OBJECT};

static unsigned type_bit(const json_t *name) {
    for (size_t i = 0; i < 7; i++)
        if (json_is_string(name) && strcmp(json_string_value(name), type_names[i]) == 0) return type_bits[i];
    return 0;
}

static bool is_schema(const json_t *v) { return json_is_object(v) || json_is_boolean(v); }

static bool has_form(const json_t *v, enum form form) {
    const char *key;
    json_t *kid;
    size_t i;
    switch (form) {
    case FORM_COUNT: return json_is_number(v) && schema_is_integer(v) && json_number_value(v) >= 0;
    case FORM_NUMBER: return json_is_number(v);
    case FORM_POSITIVE: return json_is_number(v) && json_number_value(v) > 0;
    case FORM_TEXT: return json_is_string(v);
    case FORM_BOOL: return json_is_boolean(v);
    case FORM_LIST: return json_is_array(v);
    case FORM_SCHEMA: return is_schema(v);
    case FORM_NAMES:
        json_array_foreach(v, i, kid) if (!json_is_string(kid)) return false;
        return json_is_array(v);
    case FORM_SCHEMAS:
        json_array_foreach(v, i, kid) if (!is_schema(kid)) return false;
        return json_array_size(v) > 0;
    case FORM_MAP:
        json_object_foreach((json_t *)(uintptr_t)v, key, kid) if (!is_schema(kid)) return false;
        return json_is_object(v);
    case FORM_TYPE:
        json_array_foreach(v, i, kid) if (!type_bit(kid)) return false;
        return json_is_array(v) || type_bit(v);
    }
    return false;
}

static void check_form(struct compile *c, const json_t *node) {
    for (size_t i = 0; i < sizeof forms / sizeof forms[0] && c->st == SLM_OK; i++) {
        const json_t *v = json_object_get(node, forms[i].keyword);
        if (v && !has_form(v, forms[i].form)) compile_fail(c, SLM_E_FORMAT, node, forms[i].keyword, "%s", forms[i].wants);
    }
}

/* --- sets of schemas --- */

static void conj_init(struct conj *k) { k->n_leaf = k->n_choice = 0, k->is_false = false, k->owner = -1; }

struct conj *conj_new(struct compile *c) {
    struct conj *k = malloc(sizeof *k);
    if (k) conj_init(k);
    else compile_fail(c, SLM_E_NOMEM, NULL, "", "no memory");
    return k;
}

json_t *compile_keep(struct compile *c, json_t *made) {
    if (c->n_made == c->cap_made) {
        size_t cap = c->cap_made ? c->cap_made * 2 : 16;
        void *p = realloc(c->made, cap * sizeof *c->made);
        if (!p) {
            json_decref(made);
            made = NULL;
        } else {
            c->made = p;
            c->cap_made = cap;
        }
    }
    if (made) c->made[c->n_made++] = made;
    else compile_fail(c, SLM_E_NOMEM, NULL, "", "no memory");
    return made;
}

static void add_choice(struct compile *c, struct conj *k, const json_t *node, const char *keyword, const json_t *options, const char *base) {
    if (k->n_choice == CHOICES_PENDING_MAX) compile_note(c, node, keyword, "too many alternatives hold at once");
    else k->choice[k->n_choice++] = (struct choice){options, base, k->owner};
}

/* {"anyOf"-like list} of: the member is absent; or it is there and the schema holds. */
static void add_dependency(struct compile *c, struct conj *k, const json_t *node, const char *keyword, const char *key, json_t *schema, const char *base) {
    json_t *options = compile_keep(c, json_pack("[{s:{s:b}}, {s:[s], s:[O]}]", "properties", key, 0, "required", key, "allOf", schema));
    if (options) add_choice(c, k, node, keyword, options, base);
}

static void add_dependencies(struct compile *c, struct conj *k, const json_t *node, const char *base) {
    static const char *const keywords[] = {"dependentSchemas", "dependencies"};
    for (int i = 0; i < 2; i++) {
        const char *key;
        json_t *d;
        if (i == 0 && c->s->draft == SCHEMA_7) continue;
        json_object_foreach(json_object_get(node, keywords[i]), key, d) if (is_schema(d)) add_dependency(c, k, node, keywords[i], key, d, base);
    }
}

/* not: the forms that have a positive equal. */
static void add_not(struct compile *c, struct conj *k, const json_t *node, const json_t *not, const char *base) {
    const json_t *required = json_object_get(not, "required"), *type = json_object_get(not, "type");
    json_t *made = NULL;
    if (json_is_false(not)) return;
    if (json_is_true(not) || (json_is_object(not) && json_object_size(not) == 0)) {
        k->is_false = true;
        return;
    }
    if (json_object_size(not) == 1 && json_array_size(required) == 1) {
        made = json_pack("{s:s, s:{s:b}}", "type", "object", "properties", json_string_value(json_array_get(required, 0)), 0);
    } else if (json_object_size(not) == 1 && type && has_form(type, FORM_TYPE)) {
        unsigned bits = type_bit(type);
        size_t i;
        json_t *t;
        json_array_foreach(type, i, t) bits |= type_bit(t);
        if (!(bits & T_INT) || bits & T_NUM) {
            json_t *names = json_array();
            for (i = 0; i < 7; i++)
                if (!(bits & type_bits[i])) json_array_append_new(names, json_string(type_names[i]));
            made = json_pack("{s:o}", "type", names);
        }
    }
    if (made && compile_keep(c, made)) conj_add(c, k, made, base);
    else if (!made) compile_note(c, node, "not", "only checked");
}

static void add_keywords(struct compile *c, struct conj *k, const json_t *node, const char *base) {
    size_t i;
    json_t *schema;
    const json_t *v;
    json_array_foreach(json_object_get(node, "allOf"), i, schema) conj_add(c, k, schema, base);
    if ((v = json_object_get(node, "anyOf"))) add_choice(c, k, node, "anyOf", v, base);
    if ((v = json_object_get(node, "oneOf"))) add_choice(c, k, node, "oneOf", v, base);
    if ((v = json_object_get(node, "not"))) add_not(c, k, node, v, base);
    if (json_object_get(node, "if") && (json_object_get(node, "then") || json_object_get(node, "else"))) compile_note(c, node, "if", "only checked");
    add_dependencies(c, k, node, base);
}

static void add_at(struct compile *c, struct conj *k, const json_t *schema, const char *inner);

static void add_reference(struct compile *c, struct conj *k, const json_t *node, const char *keyword, const char *base) {
    const char *ref = json_string_value(json_object_get(node, keyword));
    struct schema_place p;
    slm_err err;
    if (!ref || c->st != SLM_OK) return;
    if (schema_resolve(c->s, base, ref, &p, &err) != SLM_OK) {
        compile_fail(c, SLM_E_FORMAT, node, keyword, "\"%.120s\" leads nowhere", ref);
        err_hint(c->err, "put what it names under $defs of the same schema: other documents are not fetched");
        return;
    }
    add_at(c, k, p.node, p.base);
}

/* inner: the base within the schema. */
static void add_at(struct compile *c, struct conj *k, const json_t *schema, const char *inner) {
    if (json_is_false(schema)) k->is_false = true;
    if (!json_is_object(schema) || c->st != SLM_OK || k->is_false) return;
    for (size_t i = 0; i < k->n_leaf; i++)
        if (k->leaf[i].node == schema) return;
    if (k->n_leaf == LEAVES_MAX) {
        compile_fail(c, SLM_E_LIMIT, schema, "", "more than %d schemas hold at once", LEAVES_MAX);
        return;
    }
    check_form(c, schema);
    if (c->s->draft == SCHEMA_7 && json_object_get(schema, "$ref")) { /* what stands beside it does not count */
        if (c->ref_depth++ < REF_CHAIN_MAX) add_reference(c, k, schema, "$ref", inner);
        c->ref_depth--;
        return;
    }
    int32_t outer = k->owner;
    k->leaf[k->n_leaf] = (struct leaf){schema, inner, outer};
    k->owner = (int32_t)k->n_leaf++;
    add_reference(c, k, schema, "$ref", inner);
    if (c->s->draft != SCHEMA_7 && json_object_get(schema, "$dynamicRef")) {
        compile_note(c, schema, "$dynamicRef", "taken as $ref");
        add_reference(c, k, schema, "$dynamicRef", inner);
    }
    add_keywords(c, k, schema, inner);
    k->owner = outer;
}

void conj_add(struct compile *c, struct conj *k, const json_t *schema, const char *base) {
    const char *inner = json_is_object(schema) ? schema_base(c->s, schema, base) : base;
    add_at(c, k, schema, inner ? inner : base);
}

bool leaf_descends(const struct conj *k, size_t leaf, size_t from) {
    int32_t at = (int32_t)leaf;
    while (at >= 0 && at != (int32_t)from) at = k->leaf[at].owner;
    return at >= 0;
}

static const json_t *leaf_get(const struct leaf *l, const char *keyword) { return json_object_get(l->node, keyword); }

static unsigned conj_types(const struct conj *k) {
    unsigned all = T_ALL;
    for (size_t i = 0; i < k->n_leaf; i++) {
        const json_t *type = leaf_get(&k->leaf[i], "type"), *t;
        unsigned bits = type_bit(type);
        if (!type) continue;
        for (size_t j = 0; j < json_array_size(type); j++) {
            t = json_array_get(type, j);
            bits |= type_bit(t);
        }
        all &= bits;
    }
    return all;
}

static uint32_t count_of(const json_t *v) {
    double n = json_number_value(v);
    return n >= (double)(NODE_INF - 1) ? NODE_INF - 1 : (uint32_t)n;
}

uint32_t conj_least(const struct conj *k, const char *keyword) {
    uint32_t best = 0;
    for (size_t i = 0; i < k->n_leaf; i++) {
        const json_t *v = leaf_get(&k->leaf[i], keyword);
        if (v && count_of(v) > best) best = count_of(v);
    }
    return best;
}

uint32_t conj_most(const struct conj *k, const char *keyword) {
    uint32_t best = NODE_INF;
    for (size_t i = 0; i < k->n_leaf; i++) {
        const json_t *v = leaf_get(&k->leaf[i], keyword);
        if (v && count_of(v) < best) best = count_of(v);
    }
    return best;
}

static bool conj_allows(struct compile *c, const struct conj *k, const json_t *value) {
    bool ok = !k->is_false;
    for (size_t i = 0; i < k->n_leaf && ok; i++) {
        slm_err err;
        slm_status st = schema_check_node(c->s, k->leaf[i].node, k->leaf[i].base, value, &ok, &err);
        if (st != SLM_OK) compile_fail(c, st, k->leaf[i].node, "", "%.150s", err.msg);
    }
    return ok && c->st == SLM_OK;
}

/* --- values listed --- */

/* Compact JSON with the shortest digits that read back as the same number. */
static char *dump_value(const json_t *v) {
    static const size_t precision[] = {15, 16, 17};
    for (int i = 0; i < 3; i++) {
        char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(precision[i]));
        json_t *back = text && i < 2 ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
        bool same = i == 2 || !text || (back && schema_equal(back, v));
        json_decref(back);
        if (same) return text;
        free(text);
    }
    return NULL;
}

static bool list_values(struct compile *c, const struct conj *k, const json_t **list, const json_t **one) {
    *list = *one = NULL;
    for (size_t i = 0; i < k->n_leaf && !*one; i++) {
        *one = leaf_get(&k->leaf[i], "const");
        if (!*list) *list = leaf_get(&k->leaf[i], "enum");
        if (json_array_size(*list) > ENUM_MAX) compile_fail(c, SLM_E_LIMIT, k->leaf[i].node, "enum", "more than %d values", ENUM_MAX);
    }
    return *one || *list;
}

static uint32_t values_node(struct compile *c, const struct conj *k, const json_t *list, const json_t *one) {
    size_t n = one ? 1 : json_array_size(list), n_texts = 0;
    struct view *texts = calloc(n + 1, sizeof *texts);
    struct dfa *d = NULL;
    uint32_t node = 0;
    for (size_t i = 0; texts && i < n; i++) {
        const json_t *v = one ? one : json_array_get(list, i);
        char *text = conj_allows(c, k, v) ? dump_value(v) : NULL;
        if (text) texts[n_texts++] = view_of(text);
    }
    if (texts && n_texts > 0 && compile_is_ok(c)) {
        c->st = dfa_from_texts(texts, n_texts, &d, c->err);
        if (d) node = gram_dfa(c->g, d, 0, NODE_INF);
    }
    for (size_t i = 0; i < n_texts; i++) free((void *)(uintptr_t)texts[i].ptr);
    if (!texts) compile_fail(c, SLM_E_NOMEM, NULL, "", "no memory");
    free(texts);
    return node;
}

/* --- alternatives --- */

/* A member that both require, with values listed in one that the other refuses: the two cannot hold together. */
static bool tells_apart(struct compile *c, const struct conj *a, const struct conj *b) {
    for (size_t i = 0; i < a->n_leaf; i++) {
        size_t j;
        json_t *name;
        json_array_foreach(leaf_get(&a->leaf[i], "required"), j, name) {
            const char *key = json_string_value(name);
            const json_t *values = NULL, *one = NULL;
            bool needed = false;
            for (size_t x = 0; x < a->n_leaf && !values && !one; x++) {
                const json_t *p = json_object_get(leaf_get(&a->leaf[x], "properties"), key);
                values = json_object_get(p, "enum");
                one = json_object_get(p, "const");
            }
            if (!values && !one) continue;
            for (size_t x = 0; x < b->n_leaf; x++) {
                size_t r;
                json_t *other;
                json_array_foreach(leaf_get(&b->leaf[x], "required"), r, other) needed |= strcmp(json_string_value(other), key) == 0;
            }
            bool any = !needed;
            for (size_t x = 0; x < b->n_leaf && needed && !any; x++) {
                const json_t *p = json_object_get(leaf_get(&b->leaf[x], "properties"), key);
                size_t n = one ? 1 : json_array_size(values), n_ok = 0;
                for (size_t v = 0; p && v < n; v++) {
                    bool ok = true;
                    schema_check_node(c->s, p, b->leaf[x].base, one ? one : json_array_get(values, v), &ok, NULL);
                    n_ok += ok;
                }
                if (p && n_ok == 0) return true;
            }
        }
    }
    return false;
}

static bool are_apart(struct compile *c, const struct conj *a, const struct conj *b) {
    if (a->is_false || b->is_false || !(conj_types(a) & conj_types(b))) return true;
    const json_t *list, *one;
    for (int turn = 0; turn < 2; turn++) {
        if (list_values(c, turn ? b : a, &list, &one)) {
            size_t n = one ? 1 : json_array_size(list), n_ok = 0;
            for (size_t i = 0; i < n; i++) {
                const json_t *v = one ? one : json_array_get(list, i);
                n_ok += conj_allows(c, turn ? b : a, v) && conj_allows(c, turn ? a : b, v);
            }
            if (n_ok == 0) return true;
        }
        if (tells_apart(c, turn ? b : a, turn ? a : b)) return true;
    }
    return false;
}

/* oneOf is anyOf when no two alternatives can hold together under what else holds. */
static void judge_one_of(struct compile *c, const struct conj *k, const struct choice *ch) {
    size_t n = json_array_size(ch->options);
    const json_t *owner = NULL;
    for (size_t i = 0; i < k->n_leaf && !owner; i++)
        if (leaf_get(&k->leaf[i], "oneOf") == ch->options) owner = k->leaf[i].node;
    if (!owner || n < 2) return;
    struct conj *all = n <= 24 ? malloc(n * sizeof *all) : NULL;
    bool apart = all != NULL;
    slm_status st = c->st;
    size_t n_notes = c->notes->n, n_more = c->notes->n_more;
    for (size_t i = 0; apart && i < n; i++) {
        conj_init(&all[i]);
        conj_add(c, &all[i], json_array_get(ch->options, i), ch->base);
    }
    for (size_t i = 0; apart && c->st == SLM_OK && i < n; i++)
        for (size_t j = 0; apart && j < i; j++) apart = are_apart(c, &all[i], &all[j]);
    if (st == SLM_OK && c->st == SLM_OK) c->notes->n = n_notes, c->notes->n_more = n_more;
    free(all);
    if (!apart) compile_note(c, owner, "oneOf", "enforced as anyOf: that no two hold is only checked");
}

static uint32_t choice_node(struct compile *c, const struct conj *k) {
    struct choice ch = k->choice[k->n_choice - 1];
    size_t n = json_array_size(ch.options);
    uint32_t *kids = calloc(n + 1, sizeof *kids);
    struct conj *with = conj_new(c);
    judge_one_of(c, k, &ch);
    for (size_t i = 0; kids && with && i < n && compile_is_ok(c); i++) {
        memcpy(with, k, sizeof *with);
        with->n_choice--;
        with->owner = ch.owner;
        conj_add(c, with, json_array_get(ch.options, i), ch.base);
        with->owner = -1;
        kids[i] = conj_node(c, with);
    }
    uint32_t node = kids && compile_is_ok(c) ? gram_alt(c->g, kids, n) : 0;
    free(kids);
    free(with);
    return node;
}

static uint32_t lit(struct compile *c, const char *text) { return gram_lit(c->g, view_of(text)); }

static uint32_t types_node(struct compile *c, const struct conj *k) {
    unsigned types = conj_types(k);
    uint32_t kids[8];
    size_t n = 0;
    if (types & T_NULL) kids[n++] = lit(c, "null");
    if (types & T_BOOL) kids[n++] = lit(c, "false");
    if (types & T_BOOL) kids[n++] = lit(c, "true");
    if (types & (T_INT | T_NUM)) kids[n++] = number_node(c, k, types);
    if (types & T_STRING) kids[n++] = string_node(c, k);
    if (types & T_ARRAY) kids[n++] = array_node(c, k);
    if (types & T_OBJECT) kids[n++] = object_node(c, k);
    return compile_is_ok(c) ? gram_alt(c->g, kids, n) : 0;
}

static uint32_t make_node(struct compile *c, const struct conj *k) {
    const json_t *list, *one;
    if (list_values(c, k, &list, &one)) return values_node(c, k, list, one);
    return k->n_choice ? choice_node(c, k) : types_node(c, k);
}

/* --- sets met before --- */

static int compare_pointers(const void *a, const void *b) {
    uintptr_t x = (uintptr_t) * (const void *const *)a, y = (uintptr_t) * (const void *const *)b;
    return x < y ? -1 : x > y;
}

static bool grow_sets(struct compile *c) {
    if (c->n_sets == c->cap_sets) {
        size_t cap = c->cap_sets ? c->cap_sets * 2 : 64;
        void *p = realloc(c->sets, cap * sizeof *c->sets);
        if (!p) return false;
        c->sets = p;
        c->cap_sets = cap;
    }
    if (c->n_set_slots > c->n_sets * 2) return true;
    size_t n = c->n_set_slots ? c->n_set_slots * 2 : 256;
    uint32_t *slots = calloc(n, sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < c->n_sets; i++) {
        size_t at = c->sets[i].hash & (n - 1);
        while (slots[at]) at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(c->set_slots);
    c->set_slots = slots;
    c->n_set_slots = n;
    return true;
}

/* The row of a set; *is_new: it was made now, without a node. NULL: failed. */
static struct set_row *set_of(struct compile *c, const struct conj *k, bool *is_new) {
    const void *key[LEAVES_MAX + CHOICES_PENDING_MAX];
    size_t n = 0;
    for (size_t i = 0; i < k->n_leaf; i++) key[n++] = k->leaf[i].node;
    qsort(key, n, sizeof *key, compare_pointers);
    for (size_t i = 0; i < k->n_choice; i++) key[n++] = k->choice[i].options;
    uint64_t hash = hash_bytes(HASH_START, key, n * sizeof *key);
    *is_new = false;
    if (!grow_sets(c)) {
        compile_fail(c, SLM_E_NOMEM, NULL, "", "no memory");
        return NULL;
    }
    size_t at = hash & (c->n_set_slots - 1);
    for (; c->set_slots[at]; at = (at + 1) & (c->n_set_slots - 1)) {
        struct set_row *row = &c->sets[c->set_slots[at] - 1];
        if (row->hash == hash && row->n == n && (n == 0 || memcmp(row->key, key, n * sizeof *key) == 0)) return row;
    }
    if (c->n_sets >= SETS_MAX) {
        compile_fail(c, SLM_E_LIMIT, k->n_leaf ? k->leaf[0].node : NULL, "", "alternatives and references multiply to more than %d sets of schemas", SETS_MAX);
        return NULL;
    }
    const void **own = malloc((n + 1) * sizeof *own);
    if (!own) {
        compile_fail(c, SLM_E_NOMEM, NULL, "", "no memory");
        return NULL;
    }
    memcpy(own, key, n * sizeof *key);
    c->set_slots[at] = (uint32_t)c->n_sets + 1;
    c->sets[c->n_sets] = (struct set_row){hash, own, n, gram_rule(c->g)};
    *is_new = true;
    return &c->sets[c->n_sets++];
}

uint32_t conj_node(struct compile *c, const struct conj *k) {
    bool is_new;
    if (k->is_false || !compile_is_ok(c)) return 0;
    if (c->depth >= COMPILE_NESTING_MAX) {
        compile_fail(c, SLM_E_LIMIT, k->n_leaf ? k->leaf[0].node : NULL, "", "nested more than %d deep", COMPILE_NESTING_MAX);
        return 0;
    }
    struct set_row *row = set_of(c, k, &is_new);
    if (!row || !is_new) return row ? row->node : 0;
    uint32_t rule = row->node; /* rows may move while kids are made */
    c->depth++;
    gram_bind(c->g, rule, make_node(c, k));
    c->depth--;
    return rule;
}

/* --- the whole --- */

static void compile_fini(struct compile *c) {
    for (size_t i = 0; i < c->n_sets; i++) free(c->sets[i].key);
    for (size_t i = 0; i < c->n_made; i++) json_decref(c->made[i]);
    free(c->sets);
    free(c->set_slots);
    free(c->dfas);
    free(c->made);
}

slm_status compile_run(struct schema *s, uint32_t (*root)(struct compile *c, const void *user), const void *user, struct gram **out, struct schema_notes *notes, slm_err *err) {
    struct compile c = {.s = s, .notes = notes, .err = err};
    struct byteset blank = {{0}};
    slm_err local;
    *out = NULL;
    memset(notes, 0, sizeof *notes);
    if (!err) c.err = &local;
    if (!(c.g = gram_new(c.err))) return SLM_E_NOMEM;
    byteset_add(&blank, ' ', ' ');
    c.space = gram_rep(c.g, gram_set(c.g, &blank), 0, 1);
    c.comma = gram_seq(c.g, (uint32_t[]){lit(&c, ","), c.space}, 2);
    c.colon = gram_seq(c.g, (uint32_t[]){lit(&c, ":"), c.space}, 2);
    uint32_t node = root(&c, user);
    slm_status st = c.st;
    if (st == SLM_OK) {
        st = gram_finish(c.g, node, c.err);
        if (st != SLM_OK) err_wrap(c.err, st, "schema");
    }
    compile_fini(&c);
    if (st == SLM_OK) *out = c.g;
    else gram_destroy(c.g);
    return st;
}

static uint32_t whole(struct compile *c, const void *user) {
    struct conj *k = conj_new(c);
    uint32_t root = 0;
    (void)user;
    if (k) conj_add(c, k, c->s->root, "");
    if (k && c->st == SLM_OK) root = conj_node(c, k);
    free(k);
    return root;
}

slm_status gram_from_schema(struct schema *s, struct gram **out, struct schema_notes *notes, slm_err *err) { return compile_run(s, whole, NULL, out, notes, err); }
