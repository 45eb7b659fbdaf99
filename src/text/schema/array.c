/* array.c -- arrays: a prefix of items of their own, then any number of the rest, counted. */
#include <stdlib.h>

#include "text/schema/compile_int.h"

static const json_t *get(const struct leaf *l, const char *keyword) { return json_object_get(l->node, keyword); }

/* The items of a leaf that have a schema of their own. */
static const json_t *prefix_of(const struct compile *c, const struct leaf *l) {
    const json_t *list = get(l, c->s->draft == SCHEMA_7 ? "items" : "prefixItems");
    return json_is_array(list) ? list : NULL;
}

/* What a leaf asks of the i-th item; NULL: nothing. */
static const json_t *item_of(const struct compile *c, const struct leaf *l, size_t i) {
    const json_t *prefix = prefix_of(c, l), *rest = get(l, "items");
    if (i < json_array_size(prefix)) return json_array_get(prefix, i);
    if (c->s->draft == SCHEMA_7 && json_is_array(rest)) return get(l, "additionalItems");
    return rest;
}

static uint32_t item_node(struct compile *c, const struct conj *k, size_t i, const struct leaf *contains) {
    struct conj *item = conj_new(c);
    uint32_t node = 0;
    for (size_t j = 0; item && j < k->n_leaf; j++) {
        const json_t *schema = item_of(c, &k->leaf[j], i);
        bool any = schema != NULL;
        for (size_t x = 0; x < k->n_leaf && !any; x++) any = leaf_descends(k, x, j) && item_of(c, &k->leaf[x], i);
        if (schema) conj_add(c, item, schema, k->leaf[j].base);
        if (!any && get(&k->leaf[j], "unevaluatedItems")) conj_add(c, item, get(&k->leaf[j], "unevaluatedItems"), k->leaf[j].base);
    }
    if (item && contains) conj_add(c, item, get(contains, "contains"), contains->base);
    if (item) node = conj_node(c, item);
    free(item);
    return node;
}

/* Items separated by commas, least to most of them. */
static uint32_t list_node(struct compile *c, uint32_t item, uint32_t least, uint32_t most) {
    struct gram *g = c->g;
    if (most == 0 || item == 0) return least == 0 ? gram_seq(g, NULL, 0) : 0;
    uint32_t more = gram_rep(g, gram_seq(g, (uint32_t[]){c->comma, item}, 2), least > 0 ? least - 1 : 0, most == NODE_INF ? NODE_INF : most - 1);
    uint32_t some = gram_seq(g, (uint32_t[]){item, more}, 2);
    return least > 0 ? some : gram_alt(g, (uint32_t[]){gram_seq(g, NULL, 0), some}, 2);
}

/* A list one of whose items matches `contains`: items before it, it, items after it, at least so many in all. */
static uint32_t containing_node(struct compile *c, uint32_t item, uint32_t match, uint32_t least) {
    struct gram *g = c->g;
    uint32_t before = gram_rep(g, gram_seq(g, (uint32_t[]){item, c->comma}, 2), 0, NODE_INF);
    uint32_t after = gram_rep(g, gram_seq(g, (uint32_t[]){c->comma, item}, 2), least > 0 ? least - 1 : 0, NODE_INF);
    return gram_seq(g, (uint32_t[]){before, match, after}, 3);
}

static void note_contains(struct compile *c, const struct leaf *l) { compile_note(c, l->node, "contains", "with these counts only checked"); }

/* The leaf whose contains can be enforced; what cannot be is noted. */
static const struct leaf *find_contains(struct compile *c, const struct conj *k, size_t n_prefix, uint32_t least, uint32_t most) {
    const struct leaf *found = NULL;
    (void)least;
    for (size_t i = 0; i < k->n_leaf; i++) {
        const struct leaf *l = &k->leaf[i];
        const json_t *n_least = get(l, "minContains"), *n_most = get(l, "maxContains");
        bool is_new = c->s->draft != SCHEMA_7;
        if (!get(l, "contains") || (is_new && n_least && json_number_value(n_least) == 0 && !n_most)) continue;
        bool ok = !found && n_prefix == 0 && most == NODE_INF && !(is_new && (n_most || (n_least && json_number_value(n_least) != 1)));
        if (ok) found = l;
        else note_contains(c, l);
    }
    return found;
}

static uint32_t body_node(struct compile *c, const struct conj *k, size_t n_prefix, uint32_t least, uint32_t most) {
    struct gram *g = c->g;
    const struct leaf *contains = find_contains(c, k, n_prefix, least, most);
    uint32_t rest = most > n_prefix ? item_node(c, k, n_prefix, NULL) : 0, empty = gram_seq(g, NULL, 0);
    if (contains) return containing_node(c, rest, item_node(c, k, 0, contains), least);
    if (n_prefix == 0) return list_node(c, rest, least, most);
    uint32_t left_least = least > n_prefix ? least - (uint32_t)n_prefix : 0, left_most = most == NODE_INF ? NODE_INF : most > n_prefix ? most - (uint32_t)n_prefix : 0;
    uint32_t tail = rest ? gram_rep(g, gram_seq(g, (uint32_t[]){c->comma, rest}, 2), left_least, left_most) : left_least == 0 ? empty : 0;
    for (size_t i = n_prefix; i-- > 0 && compile_is_ok(c);) { /* from the last: each may be followed by the next, or be the last */
        uint32_t item = i < most ? item_node(c, k, i, NULL) : 0;
        uint32_t some = i > 0 ? gram_seq(g, (uint32_t[]){c->comma, item, tail}, 3) : gram_seq(g, (uint32_t[]){item, tail}, 2);
        tail = i >= least ? gram_alt(g, (uint32_t[]){empty, some}, 2) : some;
    }
    return tail;
}

uint32_t array_node(struct compile *c, const struct conj *k) {
    uint32_t least = conj_least(k, "minItems"), most = conj_most(k, "maxItems");
    size_t n_prefix = 0;
    if (least > most) return 0;
    for (size_t i = 0; i < k->n_leaf; i++) {
        size_t n = json_array_size(prefix_of(c, &k->leaf[i]));
        if (n > n_prefix) n_prefix = n;
        if (json_is_true(get(&k->leaf[i], "uniqueItems")) && most > 1) compile_note(c, k->leaf[i].node, "uniqueItems", "only checked");
    }
    if (n_prefix > MEMBERS_MAX) {
        compile_fail(c, SLM_E_LIMIT, k->leaf[0].node, "prefixItems", "more than %d items", MEMBERS_MAX);
        return 0;
    }
    uint32_t open = gram_lit(c->g, VIEW("[")), close = gram_lit(c->g, VIEW("]")), body = body_node(c, k, n_prefix, least, most);
    return compile_is_ok(c) ? gram_seq(c->g, (uint32_t[]){open, body, close}, 3) : 0;
}
