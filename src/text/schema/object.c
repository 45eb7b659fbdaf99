/* object.c -- objects: named members in the order of `properties`, then of `required`, then others.
 *
 * The members are a chain: at each named one either it comes, or, unless it is required, it does not. Where members are counted
 * or depend on each other the chain is made once per count and per set of open dependencies, kept by key. Other members are allowed where
 * a schema speaks of them (additionalProperties, patternProperties, unevaluatedProperties), where minProperties asks for more
 * than are named, and where nothing is named at all; each kind of name is a table: what the patterns say, less the names known. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/schema/compile_int.h"

#define PATTERNS_MAX 4
#define DEPENDENCIES_MAX 24
#define FORCED_MAX 16    /* members without a name of their own that minProperties asks for; more may have names twice: noted */
#define FREE_NAME_MAX 64 /* characters of a name that nothing describes */

struct member {
    const char *key;
    uint32_t node;  /* "key": value */
    bool is_required;
};
/* first comes before second; is_forward: first there asks for second; else second there asks for first. */
struct dependency {
    uint32_t first, second;
    bool is_forward;
};
struct chain_key {
    uint32_t i, count, open;
    bool has_any;
};
struct chain_row {
    struct chain_key key;
    uint32_t node;
};

struct object {
    struct compile *c;
    const struct conj *k;
    struct member *members;
    size_t n, cap;
    struct dependency dep[DEPENDENCIES_MAX];
    size_t n_dep;
    uint32_t least, most, count_max; /* count_max: counts above it are alike */
    bool is_open;                    /* members that nothing names may come */
    uint32_t extra;                  /* one other member; 0: none */
    uint32_t forced[FORCED_MAX];     /* the i-th of those that must come: names from i characters on more than the least */
    uint32_t n_forced;
    struct chain_row *rows;
    uint32_t *slots;
    size_t n_rows, cap_rows, n_slots;
};

static json_t *get(const struct leaf *l, const char *keyword) { return json_object_get(l->node, keyword); }

static bool is_evaluated(struct compile *c, const struct leaf *l, const char *key) {
    const char *pattern;
    json_t *schema;
    if (json_object_get(get(l, "properties"), key) || get(l, "additionalProperties")) return true;
    json_object_foreach(get(l, "patternProperties"), pattern, schema) if (schema_pattern_matches(c->s, pattern, key)) return true;
    return false;
}

/* What holds for the member of a name. */
static void add_member_schemas(struct compile *c, const struct conj *k, const char *key, struct conj *out) {
    for (size_t i = 0; i < k->n_leaf; i++) {
        const struct leaf *l = &k->leaf[i];
        const char *pattern;
        json_t *schema = json_object_get(get(l, "properties"), key), *other;
        bool is_named = schema != NULL;
        if (schema) conj_add(c, out, schema, l->base);
        json_object_foreach(get(l, "patternProperties"), pattern, other) {
            if (!schema_pattern_matches(c->s, pattern, key)) continue;
            conj_add(c, out, other, l->base);
            is_named = true;
        }
        if (!is_named && get(l, "additionalProperties")) conj_add(c, out, get(l, "additionalProperties"), l->base);
        bool any = false;
        for (size_t j = 0; j < k->n_leaf && get(l, "unevaluatedProperties"); j++) any |= leaf_descends(k, j, i) && is_evaluated(c, &k->leaf[j], key);
        if (!any && get(l, "unevaluatedProperties")) conj_add(c, out, get(l, "unevaluatedProperties"), l->base);
        if (get(l, "propertyNames")) {
            json_t *name = json_string(key);
            bool ok = true;
            slm_err err;
            if (name && schema_check_node(c->s, get(l, "propertyNames"), l->base, name, &ok, &err) == SLM_OK && !ok) out->is_false = true;
            json_decref(name);
        }
    }
}

static size_t find_member(const struct object *o, const char *key) {
    size_t i = 0;
    while (i < o->n && strcmp(o->members[i].key, key) != 0) i++;
    return i;
}

static void add_member(struct object *o, const char *key) {
    struct compile *c = o->c;
    if (!compile_is_ok(c) || find_member(o, key) < o->n) return;
    if (o->n == MEMBERS_MAX) {
        compile_fail(c, SLM_E_LIMIT, o->k->leaf[0].node, "properties", "more than %d members", MEMBERS_MAX);
        return;
    }
    if (o->n == o->cap) {
        size_t cap = o->cap ? o->cap * 2 : 16;
        void *p = realloc(o->members, cap * sizeof *o->members);
        if (!p) {
            compile_fail(c, SLM_E_NOMEM, NULL, "", "no memory");
            return;
        }
        o->members = p;
        o->cap = cap;
    }
    o->members[o->n++] = (struct member){key, 0, false};
}

/* Names in the order in which they will come. */
static void list_members(struct object *o) {
    const struct conj *k = o->k;
    const char *key;
    json_t *v;
    size_t j;
    for (size_t i = 0; i < k->n_leaf; i++) json_object_foreach(get(&k->leaf[i], "properties"), key, v) add_member(o, key);
    for (size_t i = 0; i < k->n_leaf; i++) {
        json_array_foreach(get(&k->leaf[i], "required"), j, v) {
            add_member(o, json_string_value(v));
            size_t at = find_member(o, json_string_value(v));
            if (at < o->n) o->members[at].is_required = true;
        }
    }
}

static void make_members(struct object *o) {
    struct compile *c = o->c;
    for (size_t i = 0; i < o->n && compile_is_ok(c); i++) {
        struct conj *value = conj_new(c);
        struct buf text;
        if (!value) return;
        buf_init(&text, 1 << 20);
        add_member_schemas(c, o->k, o->members[i].key, value);
        buf_putc(&text, '"');
        put_json_string(&text, o->members[i].key, strlen(o->members[i].key));
        buf_putc(&text, '"');
        if (text.failed != SLM_OK) compile_fail(c, text.failed, o->k->leaf[0].node, "properties", "too long a name");
        else if (compile_is_ok(c)) {
            uint32_t kid = conj_node(c, value);
            if (kid) o->members[i].node = gram_seq(c->g, (uint32_t[]){gram_lit(c->g, (struct view){text.data, text.len}), c->colon, kid}, 3);
        }
        buf_fini(&text);
        free(value);
    }
}

/* --- dependentRequired --- */

static void add_dependency(struct object *o, const struct leaf *l, const char *keyword, const char *from, const char *to) {
    size_t a = find_member(o, from), b = find_member(o, to);
    if (a == o->n || a == b || (b < o->n && o->members[b].is_required)) return; /* never there, or always */
    if (b == o->n) {
        o->members[a].node = 0; /* what it asks for cannot come */
        return;
    }
    if (o->n_dep == DEPENDENCIES_MAX) compile_note(o->c, l->node, keyword, "more than 24 dependencies: only checked");
    else o->dep[o->n_dep++] = (struct dependency){(uint32_t)(a < b ? a : b), (uint32_t)(a < b ? b : a), a < b};
}

static void list_dependencies(struct object *o, bool only_names) {
    static const char *const keywords[] = {"dependentRequired", "dependencies"};
    for (size_t i = 0; i < o->k->n_leaf; i++) {
        for (int j = 0; j < 2; j++) {
            const char *from;
            json_t *names, *to;
            size_t n;
            if (j == 0 && o->c->s->draft == SCHEMA_7) continue;
            json_object_foreach(get(&o->k->leaf[i], keywords[j]), from, names) json_array_foreach(names, n, to) {
                if (!json_is_string(to)) continue;
                if (only_names && o->is_open) add_member(o, from); /* it might come as a member without a name of its own */
                if (only_names && find_member(o, from) < o->n) add_member(o, json_string_value(to));
                if (!only_names) add_dependency(o, &o->k->leaf[i], keywords[j], from, json_string_value(to));
            }
        }
    }
}

/* Whether a member may come, or may be left out, under the open dependencies. */
static bool may_come(const struct object *o, uint32_t i, uint32_t open) {
    for (size_t d = 0; d < o->n_dep; d++)
        if (open >> d & 1 && o->dep[d].second == i && !o->dep[d].is_forward) return false; /* it asks for one that was left out */
    return true;
}

static bool may_miss(const struct object *o, uint32_t i, uint32_t open) {
    for (size_t d = 0; d < o->n_dep; d++)
        if (open >> d & 1 && o->dep[d].second == i && o->dep[d].is_forward) return false; /* it was asked for */
    return !o->members[i].is_required;
}

static uint32_t open_after(const struct object *o, uint32_t i, uint32_t open, bool comes) {
    for (size_t d = 0; d < o->n_dep; d++) {
        if (o->dep[d].first == i && comes == o->dep[d].is_forward) open |= 1u << d;
        if (o->dep[d].second == i) open &= ~(1u << d);
    }
    return open;
}

/* --- other members --- */

struct pattern {
    const char *text;
    const json_t *schemas[PATTERNS_MAX * 4];
    const char *bases[PATTERNS_MAX * 4];
    size_t n;
    struct dfa *dfa;
};

/* The patterns of all leaves, each once; false: too many. */
static bool list_patterns(const struct conj *k, struct pattern *p, size_t *n) {
    *n = 0;
    for (size_t i = 0; i < k->n_leaf; i++) {
        const char *text;
        json_t *schema;
        json_object_foreach(get(&k->leaf[i], "patternProperties"), text, schema) {
            size_t j = 0;
            while (j < *n && strcmp(p[j].text, text) != 0) j++;
            if (j == PATTERNS_MAX || (j < *n && p[j].n == PATTERNS_MAX * 4)) return false;
            if (j == *n) p[(*n)++] = (struct pattern){.text = text};
            p[j].schemas[p[j].n] = schema;
            p[j].bases[p[j].n++] = k->leaf[i].base;
        }
    }
    return true;
}

/* Replace *d by what op makes of it and other; on failure the compilation fails. */
static void refine(struct compile *c, const struct conj *k, struct dfa **d, const struct dfa *other, enum dfa_op op) {
    struct dfa *next = NULL;
    slm_err err;
    if (!compile_is_ok(c)) return;
    slm_status st = dfa_combine(*d, other, op, &next, &err);
    if (st != SLM_OK) compile_fail(c, st, k->leaf[0].node, "", "names of members: %.120s", err.msg);
    dfa_destroy(*d);
    *d = next;
}

/* Names that are JSON strings, less the named ones, as propertyNames has them. */
static struct dfa *names_dfa(struct object *o, uint32_t *least, uint32_t *most) {
    struct compile *c = o->c;
    struct dfa *d = NULL, *known = NULL;
    struct view *texts = calloc(o->n + 1, sizeof *texts);
    struct buf all;
    buf_init(&all, 8u << 20);
    *least = 0;
    *most = FREE_NAME_MAX;
    c->st = dfa_json_string(true, &d, c->err);
    for (size_t i = 0; i < o->n; i++) put_json_string(&all, o->members[i].key, strlen(o->members[i].key));
    if (!texts || all.failed != SLM_OK) compile_fail(c, SLM_E_NOMEM, NULL, "", "no memory");
    size_t at = 0;
    for (size_t i = 0; i < o->n && compile_is_ok(c); i++) {
        struct buf one;
        buf_init(&one, 8u << 20);
        put_json_string(&one, o->members[i].key, strlen(o->members[i].key));
        texts[i] = (struct view){all.data + at, one.len};
        at += one.len;
        buf_fini(&one);
    }
    if (compile_is_ok(c) && o->n > 0) {
        c->st = dfa_from_texts(texts, o->n, &known, c->err);
        if (known) refine(c, o->k, &d, known, DFA_BUT_NOT);
    }
    for (size_t i = 0; i < o->k->n_leaf && compile_is_ok(c); i++) {
        const struct leaf *l = &o->k->leaf[i];
        const json_t *names = get(l, "propertyNames");
        const struct leaf inner = {names, l->base, -1};
        const char *keyword;
        json_t *v;
        if (json_is_false(names)) *most = 0, *least = 1;
        json_object_foreach((json_t *)(uintptr_t)names, keyword, v) {
            if (strcmp(keyword, "pattern") == 0 || strcmp(keyword, "format") == 0) {
                struct dfa *p = json_is_string(v) ? pattern_dfa(c, &inner, keyword) : NULL;
                if (p) refine(c, o->k, &d, p, DFA_AND);
                dfa_destroy(p);
            } else if (strcmp(keyword, "minLength") == 0) {
                if (conj_least(&(struct conj){.leaf = {inner}, .n_leaf = 1}, keyword) > *least) *least = conj_least(&(struct conj){.leaf = {inner}, .n_leaf = 1}, keyword);
            } else if (strcmp(keyword, "maxLength") == 0) {
                if (conj_most(&(struct conj){.leaf = {inner}, .n_leaf = 1}, keyword) < *most) *most = conj_most(&(struct conj){.leaf = {inner}, .n_leaf = 1}, keyword);
            } else if (strcmp(keyword, "type") != 0 && *keyword != '$' && strcmp(keyword, "description") != 0 && strcmp(keyword, "title") != 0) {
                compile_note(c, l->node, "propertyNames", "only checked");
            }
        }
    }
    if (*least > FREE_NAME_MAX && *most == FREE_NAME_MAX) *most = *least;
    dfa_destroy(known);
    free(texts);
    buf_fini(&all);
    return d;
}

/* Members whose names match exactly the patterns in `mask`. */
static uint32_t extra_of_mask(struct object *o, const struct pattern *p, size_t n, unsigned mask, const struct dfa *names, uint32_t least, uint32_t most,
                              uint32_t longer) {
    struct compile *c = o->c;
    struct dfa *d = NULL;
    struct conj *value = conj_new(c);
    uint32_t node = 0;
    if (value) c->st = dfa_combine(names, names, DFA_AND, &d, c->err);
    for (size_t i = 0; i < n && compile_is_ok(c); i++) {
        refine(c, o->k, &d, p[i].dfa, mask >> i & 1 ? DFA_AND : DFA_BUT_NOT);
        for (size_t j = 0; mask >> i & 1 && j < p[i].n; j++) conj_add(c, value, p[i].schemas[j], p[i].bases[j]);
    }
    for (size_t i = 0; i < o->k->n_leaf && compile_is_ok(c); i++) {
        const struct leaf *l = &o->k->leaf[i];
        bool is_matched = false;
        for (size_t j = 0; j < n; j++) is_matched |= mask >> j & 1 && json_object_get(get(l, "patternProperties"), p[j].text);
        if (!is_matched && get(l, "additionalProperties")) conj_add(c, value, get(l, "additionalProperties"), l->base);
        if (!mask && !get(l, "additionalProperties") && get(l, "unevaluatedProperties")) conj_add(c, value, get(l, "unevaluatedProperties"), l->base);
    }
    if (compile_is_ok(c) && d->dist[0] != GRAM_COST_INF && !value->is_false) {
        uint32_t kid = conj_node(c, value), quote = gram_lit(c->g, VIEW("\""));
        if (longer && d->dist[0] + longer > least) least = d->dist[0] + longer;
        uint32_t name = gram_dfa(c->g, d, least, least > most && longer ? least : most);
        c->g->has_names = true;
        d = NULL;
        node = kid ? gram_seq(c->g, (uint32_t[]){quote, name, quote, c->colon, kid}, 5) : 0;
    }
    dfa_destroy(d);
    free(value);
    return node;
}

/* Whether names that nothing describes may come. */
static bool is_open(const struct object *o, size_t n_pattern) {
    bool speaks = false, names_any = o->n > 0 || n_pattern > 0;
    for (size_t i = 0; i < o->k->n_leaf; i++) {
        const json_t *more = get(&o->k->leaf[i], "additionalProperties"), *left = get(&o->k->leaf[i], "unevaluatedProperties");
        if (json_is_false(more) || json_is_false(left)) return false;
        speaks |= more || left || get(&o->k->leaf[i], "propertyNames");
    }
    return speaks || !names_any || (o->least > o->n && n_pattern == 0);
}

static void make_extra(struct object *o) {
    struct compile *c = o->c;
    struct pattern p[PATTERNS_MAX];
    size_t n;
    uint32_t kids[1 << PATTERNS_MAX], least, most;
    size_t n_kids = 0;
    if (!list_patterns(o->k, p, &n)) {
        compile_note(c, o->k->leaf[0].node, "patternProperties", "more than 4 patterns: no such members are generated");
        n = 0;
    }
    bool open = n == 0 ? o->is_open : is_open(o, n);
    if (!open && n == 0) return;
    struct dfa *names = names_dfa(o, &least, &most);
    for (size_t i = 0; i < n && compile_is_ok(c); i++) {
        slm_err err;
        slm_status st = regex_to_dfa(view_of(p[i].text), REGEX_JSON, true, &p[i].dfa, &err);
        if (st == SLM_E_FORMAT) compile_fail(c, st, o->k->leaf[0].node, "patternProperties", "%.150s", err.msg);
        else if (st != SLM_OK) compile_note(c, o->k->leaf[0].node, "patternProperties", "a pattern that needs more than a finite automaton: no such members are generated");
        if (st != SLM_OK) open = false;
    }
    bool all = compile_is_ok(c) && names;
    for (size_t i = 0; i < n; i++) all = all && p[i].dfa;
    for (uint32_t longer = 0; all && longer <= o->n_forced && compile_is_ok(c); longer++) {
        n_kids = 0;
        for (unsigned mask = open ? 0 : 1; mask < 1u << n && compile_is_ok(c); mask++) {
            uint32_t node = extra_of_mask(o, p, n, mask, names, least, most, longer);
            if (node) kids[n_kids++] = node;
        }
        uint32_t extra = compile_is_ok(c) ? gram_alt(c->g, kids, n_kids) : 0;
        if (longer == 0) o->extra = extra;
        else o->forced[longer - 1] = extra;
    }
    for (size_t i = 0; i < n; i++) dfa_destroy(p[i].dfa);
    dfa_destroy(names);
}

/* --- the chain --- */

/* Two or more that must come: the cheapest name of each is of another length, so that a text that closes names none twice. */
static uint32_t forced_extra(struct object *o, uint32_t least, uint32_t most, bool has_any) {
    struct compile *c = o->c;
    uint32_t next = gram_seq(c->g, (uint32_t[]){c->comma, o->extra}, 2);
    uint32_t node = gram_rep(c->g, next, least > FORCED_MAX ? least - FORCED_MAX : 0, most == NODE_INF ? NODE_INF : most - (least < FORCED_MAX ? least : FORCED_MAX));
    for (uint32_t i = least < FORCED_MAX ? least : FORCED_MAX; i-- > 0;) {
        uint32_t kid = o->forced[i] ? o->forced[i] : o->extra;
        node = i > 0 || has_any ? gram_seq(c->g, (uint32_t[]){c->comma, kid, node}, 3) : gram_seq(c->g, (uint32_t[]){kid, node}, 2);
    }
    return node;
}

static uint32_t end_of_chain(struct object *o, const struct chain_key *at) {
    struct compile *c = o->c;
    uint32_t least = o->least > at->count ? o->least - at->count : 0;
    uint32_t most = o->most == NODE_INF ? NODE_INF : o->most > at->count ? o->most - at->count : 0;
    uint32_t empty = gram_seq(c->g, NULL, 0);
    if (o->most != NODE_INF && at->count > o->most) return 0;
    if (!o->extra || most == 0) return least == 0 ? empty : 0;
    uint32_t next = gram_seq(c->g, (uint32_t[]){c->comma, o->extra}, 2);
    if (least > 1) return forced_extra(o, least, most, at->has_any);
    if (at->has_any) return gram_rep(c->g, next, least, most);
    uint32_t some = gram_seq(c->g, (uint32_t[]){o->extra, gram_rep(c->g, next, least ? least - 1 : 0, most == NODE_INF ? NODE_INF : most - 1)}, 2);
    return least ? some : gram_alt(c->g, (uint32_t[]){empty, some}, 2);
}

static bool grow_rows(struct object *o) {
    if (o->n_rows >= CHAIN_NODES_MAX) {
        compile_fail(o->c, SLM_E_LIMIT, o->k->leaf[0].node, "properties", "counts and dependencies of members multiply to more than %d states", CHAIN_NODES_MAX);
        return false;
    }
    if (o->n_rows < o->cap_rows) return true;
    size_t cap = o->cap_rows ? o->cap_rows * 2 : 64;
    void *p = realloc(o->rows, cap * sizeof *o->rows);
    uint32_t *slots = calloc(cap * 2, sizeof *slots);
    if (p) o->rows = p;
    if (!p || !slots) {
        free(slots);
        compile_fail(o->c, SLM_E_NOMEM, NULL, "", "no memory");
        return false;
    }
    free(o->slots);
    o->slots = slots;
    o->cap_rows = cap;
    o->n_slots = cap * 2;
    for (size_t i = 0; i < o->n_rows; i++) {
        size_t at = hash_bytes(HASH_START, &o->rows[i].key, sizeof(struct chain_key)) & (o->n_slots - 1);
        while (o->slots[at]) at = (at + 1) & (o->n_slots - 1);
        o->slots[at] = (uint32_t)i + 1;
    }
    return true;
}

/* The node of a place of the chain, a rule filled in by make_chain; *is_new. */
static uint32_t place(struct object *o, uint32_t i, uint32_t count, uint32_t open, bool has_any) {
    struct chain_key key;
    memset(&key, 0, sizeof key);
    key.i = i, key.count = count < o->count_max ? count : o->count_max, key.open = open, key.has_any = has_any;
    if (!compile_is_ok(o->c) || !grow_rows(o)) return 0;
    size_t at = hash_bytes(HASH_START, &key, sizeof key) & (o->n_slots - 1);
    for (; o->slots[at]; at = (at + 1) & (o->n_slots - 1))
        if (memcmp(&o->rows[o->slots[at] - 1].key, &key, sizeof key) == 0) return o->rows[o->slots[at] - 1].node;
    o->rows[o->n_rows] = (struct chain_row){key, gram_rule(o->c->g)};
    o->slots[at] = (uint32_t)++o->n_rows;
    return o->rows[o->n_rows - 1].node;
}

/* Places are made in the order in which they were asked for; each asks for at most two later ones. */
static uint32_t make_chain(struct object *o) {
    struct gram *g = o->c->g;
    uint32_t root = place(o, 0, 0, 0, false);
    for (size_t r = 0; r < o->n_rows && compile_is_ok(o->c); r++) {
        struct chain_key at = o->rows[r].key;
        uint32_t rule = o->rows[r].node, kids[2];
        size_t n = 0;
        if (at.i == o->n) {
            gram_bind(g, rule, end_of_chain(o, &at));
            continue;
        }
        const struct member *m = &o->members[at.i];
        if (m->node && may_come(o, at.i, at.open)) {
            uint32_t next = place(o, at.i + 1, at.count + 1, open_after(o, at.i, at.open, true), true);
            kids[n++] = at.has_any ? gram_seq(g, (uint32_t[]){o->c->comma, m->node, next}, 3) : gram_seq(g, (uint32_t[]){m->node, next}, 2);
        }
        if (may_miss(o, at.i, at.open)) kids[n++] = place(o, at.i + 1, at.count, open_after(o, at.i, at.open, false), at.has_any);
        gram_bind(g, rule, gram_alt(g, kids, n));
    }
    return root;
}

uint32_t object_node(struct compile *c, const struct conj *k) {
    struct object o = {.c = c, .k = k, .least = conj_least(k, "minProperties"), .most = conj_most(k, "maxProperties")};
    uint32_t node = 0;
    if (o.least > o.most) return 0;
    list_members(&o);
    o.is_open = is_open(&o, 0);
    for (size_t i = 0; i < k->n_leaf && !o.is_open; i++) o.is_open = get(&k->leaf[i], "patternProperties") != NULL;
    list_dependencies(&o, true);
    make_members(&o);
    list_dependencies(&o, false);
    if (o.least > 1) o.n_forced = o.least < FORCED_MAX ? o.least : FORCED_MAX;
    if (o.least > FORCED_MAX && o.least - FORCED_MAX > o.n) compile_note(c, k->leaf[0].node, "minProperties", "of so many members some may have one name twice: only checked");
    if (compile_is_ok(c)) make_extra(&o);
    o.count_max = o.most != NODE_INF ? o.most + 1 : o.least;
    if (compile_is_ok(c)) {
        uint32_t chain = make_chain(&o), open = gram_lit(c->g, VIEW("{")), close = gram_lit(c->g, VIEW("}"));
        if (compile_is_ok(c)) node = gram_seq(c->g, (uint32_t[]){open, chain, close}, 3);
    }
    free(o.members);
    free(o.rows);
    free(o.slots);
    return node;
}
