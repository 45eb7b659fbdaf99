/* build.c -- the graph of a gram: nodes put together by the readers of schemas, expressions and grammars, then closed.
 *
 * gram_finish computes what running needs and refuses what cannot run: the fewest bytes of every node (a fixpoint over the
 * graph, which has cycles through rules), which nodes may be empty, the classes of bytes that nothing tells apart, and rules
 * that begin with themselves, which a machine that expands its stack's top would expand for ever. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "text/gram/gram_int.h"

#define COST_TABLE_MAX (2u << 20) /* entries for a counted table */
#define NULLABLE_REPEAT_MAX 1000

void gram_fail(struct gram *g, slm_status code, uint64_t where, const char *fmt, ...) {
    char msg[sizeof g->why.msg];
    va_list args;
    if (g->failed != SLM_OK) return;
    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    g->failed = err_set(&g->why, code, where, "%s", msg);
}

/* Room for n more elements in an array of the graph. */
static bool room(struct gram *g, void *array, size_t n_have, size_t *cap, size_t n, size_t size, size_t n_max) {
    void *p;
    if (g->failed != SLM_OK) return false;
    if (n_have + n > n_max) {
        gram_fail(g, SLM_E_LIMIT, SLM_NOWHERE, "needs an automaton of more than %zu parts", n_max);
        return false;
    }
    if (n_have + n <= *cap) return true;
    size_t want = *cap ? *cap * 2 : 64;
    if (want < n_have + n) want = n_have + n;
    memcpy(&p, array, sizeof p);
    p = realloc(p, want * size);
    if (!p) {
        gram_fail(g, SLM_E_NOMEM, SLM_NOWHERE, "automaton: no memory");
        return false;
    }
    memcpy(array, &p, sizeof p);
    *cap = want;
    return true;
}

static uint32_t add_node(struct gram *g, struct node n) {
    if (!room(g, &g->nodes, g->n_nodes, &g->cap_nodes, 1, sizeof n, GRAM_NODES_MAX)) return 0;
    g->nodes[g->n_nodes] = n;
    return (uint32_t)g->n_nodes++;
}

struct gram *gram_new(slm_err *err) {
    void *mem = NULL;
    if (mem_alloc(&mem, 1, sizeof(struct gram), "automaton", err) != SLM_OK) return NULL;
    struct gram *g = mem;
    err_clear(&g->why);
    add_node(g, (struct node){.kind = NODE_FAIL});
    return g;
}

void gram_destroy(struct gram *g) {
    if (!g) return;
    for (size_t i = 0; i < g->n_dfas; i++) dfa_destroy(g->dfas[i]);
    for (size_t i = 0; i < g->n_costs; i++) free(g->dfa_costs[i]);
    free(g->dfas);
    free(g->dfa_costs);
    free(g->cost_table);
    free(g->nodes);
    free(g->kids);
    free(g->kids_cost);
    free(g->lits);
    free(g->sets);
    free(g);
}

bool gram_has_names(const struct gram *g) { return g->has_names; }

uint32_t gram_lit(struct gram *g, struct view text) {
    if (text.len == 0) return gram_seq(g, NULL, 0);
    if (!room(g, &g->lits, g->n_lits, &g->cap_lits, text.len, 1, 4 * (size_t)GRAM_SOURCE_BYTES_MAX)) return 0;
    memcpy(g->lits + g->n_lits, text.ptr, text.len);
    g->n_lits += text.len;
    return add_node(g, (struct node){.kind = NODE_LIT, .a = (uint32_t)(g->n_lits - text.len), .b = (uint32_t)text.len});
}

uint32_t gram_set(struct gram *g, const struct byteset *set) {
    size_t i = 0;
    if (!(set->w[0] | set->w[1] | set->w[2] | set->w[3])) return 0;
    while (i < g->n_sets && memcmp(&g->sets[i], set, sizeof *set) != 0) i++;
    if (i == g->n_sets) {
        if (!room(g, &g->sets, g->n_sets, &g->cap_sets, 1, sizeof *set, 1u << 14)) return 0;
        g->sets[g->n_sets++] = *set;
    }
    return add_node(g, (struct node){.kind = NODE_SET, .a = (uint32_t)i});
}

static uint32_t add_list(struct gram *g, enum node_kind kind, const uint32_t *kids, size_t n) {
    if (!room(g, &g->kids, g->n_kids, &g->cap_kids, n, sizeof *kids, 4 * (size_t)GRAM_NODES_MAX)) return 0;
    if (n) memcpy(g->kids + g->n_kids, kids, n * sizeof *kids);
    g->n_kids += n;
    return add_node(g, (struct node){.kind = kind, .a = (uint32_t)(g->n_kids - n), .b = (uint32_t)n});
}

uint32_t gram_seq(struct gram *g, const uint32_t *kids, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (kids[i] == 0) return 0;
    return n == 1 ? kids[0] : add_list(g, NODE_SEQ, kids, n);
}

uint32_t gram_alt(struct gram *g, const uint32_t *kids, size_t n) {
    uint32_t stack[64], *kept = stack;
    size_t n_kept = 0;
    if (n > 64 && !(kept = malloc(n * sizeof *kept))) {
        gram_fail(g, SLM_E_NOMEM, SLM_NOWHERE, "automaton: no memory");
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        if (kids[i]) kept[n_kept++] = kids[i];
    uint32_t node = n_kept == 0 ? 0 : n_kept == 1 ? kept[0] : add_list(g, NODE_ALT, kept, n_kept);
    if (kept != stack) free(kept);
    return node;
}

uint32_t gram_rep(struct gram *g, uint32_t kid, uint32_t least, uint32_t most) {
    if (kid == 0) return least == 0 ? gram_seq(g, NULL, 0) : 0;
    if (most == 0) return gram_seq(g, NULL, 0);
    if (least == 1 && most == 1) return kid;
    return add_node(g, (struct node){.kind = NODE_REP, .a = kid, .b = least, .c = most});
}

uint32_t gram_rule(struct gram *g) { return add_node(g, (struct node){.kind = NODE_RULE}); }

void gram_bind(struct gram *g, uint32_t rule, uint32_t target) {
    if (g->failed == SLM_OK && rule) g->nodes[rule].a = target;
}

static uint32_t dfa_node(struct gram *g, uint32_t i_dfa, uint32_t least, uint32_t most) {
    return add_node(g, (struct node){.kind = NODE_DFA, .a = i_dfa, .b = least, .c = most});
}

uint32_t gram_dfa(struct gram *g, struct dfa *d, uint32_t least, uint32_t most) {
    if (!room(g, &g->dfas, g->n_dfas, &g->cap_dfas, 1, sizeof *g->dfas, GRAM_NODES_MAX)) {
        dfa_destroy(d);
        return 0;
    }
    g->dfas[g->n_dfas++] = d;
    if (d->dist[0] == INF || least > most) return 0;
    return dfa_node(g, (uint32_t)g->n_dfas - 1, least, most);
}

uint32_t gram_dfa_again(struct gram *g, uint32_t i_dfa, uint32_t least, uint32_t most) {
    if (g->failed != SLM_OK || g->dfas[i_dfa]->dist[0] == INF || least > most) return 0;
    return dfa_node(g, i_dfa, least, most);
}

uint32_t gram_json_body(struct gram *g, uint32_t least, uint32_t most) {
    if (g->failed == SLM_OK && !g->body_plain) {
        struct dfa *d;
        if (dfa_json_string(false, &d, &g->why) != SLM_OK) {
            g->failed = g->why.code;
            return 0;
        }
        gram_dfa(g, d, 0, NODE_INF);
        g->body_plain = (uint32_t)g->n_dfas;
    }
    return g->failed != SLM_OK || least > most ? 0 : dfa_node(g, g->body_plain - 1, least, most);
}

/* UTF-8 ranges: split where the number of bytes changes, then where a shared prefix ends. */
static void ranges_of(uint32_t lo, uint32_t hi, int n_cont, void (*each)(void *, const struct byterange *, int), void *user) {
    for (int i = 1; i <= n_cont; i++) {
        uint32_t m = ((uint32_t)1 << (6 * i)) - 1;
        if ((lo & ~m) == (hi & ~m)) continue;
        if (lo & m) {
            ranges_of(lo, lo | m, n_cont, each, user);
            ranges_of((lo | m) + 1, hi, n_cont, each, user);
            return;
        }
        if ((hi & m) != m) {
            ranges_of(lo, (hi & ~m) - 1, n_cont, each, user);
            ranges_of(hi & ~m, hi, n_cont, each, user);
            return;
        }
    }
    char a[4], b[4];
    struct byterange r[4];
    utf8_encode(lo, a);
    utf8_encode(hi, b);
    for (int i = 0; i <= n_cont; i++) r[i] = (struct byterange){(uint8_t)a[i], (uint8_t)b[i]};
    each(user, r, n_cont + 1);
}

void utf8_ranges(uint32_t lo, uint32_t hi, void (*each)(void *user, const struct byterange *r, int n), void *user) {
    static const uint32_t ends[] = {0x7f, 0x7ff, 0xd7ff, 0xdfff, 0xffff, 0x10ffff};
    static const int n_cont[] = {0, 1, 2, -1, 2, 3};
    for (int i = 0; i < 6 && lo <= hi; i++) {
        if (lo > ends[i]) continue;
        uint32_t end = hi < ends[i] ? hi : ends[i];
        if (n_cont[i] >= 0) ranges_of(lo, end, n_cont[i], each, user);
        lo = end + 1;
    }
}

struct chars_user {
    struct gram *g;
    struct byteset ascii;
    uint32_t *alts;
    size_t n, cap;
};

static void add_spelling(void *user, const struct byterange *r, int n) {
    struct chars_user *u = user;
    uint32_t kids[4];
    if (n == 1) {
        byteset_add(&u->ascii, r[0].lo, r[0].hi);
        return;
    }
    for (int i = 0; i < n; i++) {
        struct byteset set = {{0}};
        byteset_add(&set, r[i].lo, r[i].hi);
        kids[i] = gram_set(u->g, &set);
    }
    if (room(u->g, &u->alts, u->n, &u->cap, 1, sizeof *u->alts, GRAM_NODES_MAX)) u->alts[u->n++] = gram_seq(u->g, kids, (size_t)n);
}

uint32_t gram_chars(struct gram *g, const uint32_t *ranges, size_t n_ranges) {
    struct chars_user u = {.g = g};
    for (size_t i = 0; i < n_ranges; i++) utf8_ranges(ranges[2 * i], ranges[2 * i + 1], add_spelling, &u);
    uint32_t ascii = gram_set(g, &u.ascii);
    if (ascii && room(g, &u.alts, u.n, &u.cap, 1, sizeof *u.alts, GRAM_NODES_MAX)) u.alts[u.n++] = ascii;
    uint32_t node = gram_alt(g, u.alts, u.n);
    free(u.alts);
    return node;
}

/* Closing. */

static uint32_t rest_cost(const struct node *n, const struct dfa *d, uint32_t state, uint32_t count) {
    uint32_t begun = d->flags[state] & DFA_BOUNDARY ? 0 : 1, have = count + begun;
    return cost_add(d->dist[state], have < n->b ? n->b - have : 0);
}

uint32_t node_dfa_cost(const struct gram *g, uint32_t node, uint32_t state, uint32_t count) {
    const struct node *n = &g->nodes[node];
    const struct dfa *d = g->dfas[n->a];
    if (n->b == 0 && n->c == NODE_INF) return d->dist[state];
    if (g->cost_table[node]) return g->dfa_costs[g->cost_table[node] - 1][(size_t)count * d->n_states + state];
    return rest_cost(n, d, state, count);
}

/* One level of a counted table, given the level above it (NULL: none). Sweeps until nothing changes: few, as the states within
 * a character are few. */
static void fill_level(const struct node *n, const struct dfa *d, uint32_t count, uint32_t *level, const uint32_t *above) {
    for (uint32_t s = 0; s < d->n_states; s++) level[s] = (d->flags[s] & DFA_ACCEPT) && count >= n->b ? 0 : INF;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t s = d->n_states; s-- > 0;) {
            uint32_t best = level[s];
            for (uint32_t c = 0; c < d->n_classes; c++) {
                int32_t t = d->next[(size_t)s * d->n_classes + c];
                if (t < 0) continue;
                const uint32_t *to = d->flags[t] & DFA_BOUNDARY ? above : level;
                if (to && to[t] != INF && to[t] + 1 < best) best = to[t] + 1;
            }
            if (best < level[s]) changed = true;
            level[s] = best;
        }
    }
}

/* The table of (count, state) of a DFA node that counts. For the plain string body a formula does. */
static void make_cost_table(struct gram *g, uint32_t node) {
    const struct node *n = &g->nodes[node];
    const struct dfa *d = g->dfas[n->a];
    uint32_t top = n->c == NODE_INF ? n->b : n->c;
    if ((n->b == 0 && n->c == NODE_INF) || n->a + 1 == g->body_plain) return;
    if (((uint64_t)top + 1) * d->n_states > COST_TABLE_MAX) {
        gram_fail(g, SLM_E_LIMIT, SLM_NOWHERE, "a pattern of %u states counted to %u needs a table of more than %u entries", d->n_states, top, COST_TABLE_MAX);
        return;
    }
    uint32_t *table = malloc(((size_t)top + 1) * d->n_states * sizeof *table);
    if (!table || !room(g, &g->dfa_costs, g->n_costs, &g->cap_costs, 1, sizeof *g->dfa_costs, GRAM_NODES_MAX)) {
        free(table);
        gram_fail(g, SLM_E_NOMEM, SLM_NOWHERE, "automaton: no memory");
        return;
    }
    for (uint32_t count = top + 1; count-- > 0;) {
        uint32_t *level = table + (size_t)count * d->n_states;
        if (count == top && n->c == NODE_INF) memcpy(level, d->dist, d->n_states * sizeof *level);
        else fill_level(n, d, count, level, count == top ? NULL : level + d->n_states);
    }
    g->dfa_costs[g->n_costs++] = table;
    g->cost_table[node] = (uint32_t)g->n_costs;
}

static uint32_t cost_of(const struct gram *g, uint32_t id) {
    const struct node *n = &g->nodes[id];
    uint32_t cost = n->kind == NODE_ALT || n->kind == NODE_FAIL ? INF : 0;
    switch (n->kind) {
    case NODE_FAIL: return INF;
    case NODE_LIT: return n->b;
    case NODE_SET: return 1;
    case NODE_SEQ:
        for (uint32_t i = 0; i < n->b; i++) cost = cost_add(cost, g->nodes[g->kids[n->a + i]].cost);
        return cost;
    case NODE_ALT:
        for (uint32_t i = 0; i < n->b; i++) {
            uint32_t c = g->nodes[g->kids[n->a + i]].cost;
            if (c < cost) cost = c;
        }
        return cost;
    case NODE_REP: return cost_mul(g->nodes[n->a].cost, n->b);
    case NODE_DFA: return node_dfa_cost(g, id, 0, 0);
    case NODE_RULE: return g->nodes[n->a].cost;
    }
    return INF;
}

/* Costs only fall: sweeps, newest nodes last made first, until none does. */
static void find_costs(struct gram *g) {
    for (size_t i = 0; i < g->n_nodes; i++) g->nodes[i].cost = INF;
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < g->n_nodes; i++) {
            uint32_t cost = cost_of(g, (uint32_t)i);
            if (cost >= g->nodes[i].cost) continue;
            g->nodes[i].cost = cost;
            changed = true;
        }
    }
    for (size_t i = 0; i < g->n_nodes; i++) {
        struct node *n = &g->nodes[i];
        n->is_nullable = n->cost == 0;
        if (n->kind != NODE_SEQ) continue;
        uint32_t sum = 0;
        for (uint32_t k = n->b; k-- > 0;) g->kids_cost[n->a + k] = sum = cost_add(sum, g->nodes[g->kids[n->a + k]].cost);
    }
}

/* Nodes that node `id` can expand into without a byte: the i-th, or -1. */
static int64_t left_edge(const struct gram *g, uint32_t id, uint32_t i) {
    const struct node *n = &g->nodes[id];
    switch (n->kind) {
    case NODE_SEQ:
        if (i >= n->b || (i > 0 && !g->nodes[g->kids[n->a + i - 1]].is_nullable)) return -1;
        return g->kids[n->a + i];
    case NODE_ALT: return i < n->b ? (int64_t)g->kids[n->a + i] : -1;
    case NODE_REP:
    case NODE_RULE: return i == 0 ? (int64_t)n->a : -1;
    default: return -1;
    }
}

/* Depth first over left edges with a stack of our own; a node met on its own path begins with itself. */
static void refuse_left_recursion(struct gram *g) {
    struct at {
        uint32_t node, i;
    } *stack = malloc((g->n_nodes + 1) * sizeof *stack);
    uint8_t *color = calloc(g->n_nodes + 1, 1); /* 1: on the path, 2: done */
    if (!stack || !color) gram_fail(g, SLM_E_NOMEM, SLM_NOWHERE, "automaton: no memory");
    for (uint32_t root = 0; root < g->n_nodes && g->failed == SLM_OK; root++) {
        size_t depth = 0;
        if (color[root]) continue;
        stack[depth++] = (struct at){root, 0};
        color[root] = 1;
        while (depth > 0 && g->failed == SLM_OK) {
            struct at *top = &stack[depth - 1];
            int64_t to = left_edge(g, top->node, top->i++);
            if (to < 0) {
                color[top->node] = 2;
                depth--;
            } else if (color[to] == 1) {
                gram_fail(g, SLM_E_UNSUPPORTED, SLM_NOWHERE, "something begins with itself, directly or behind parts that may be empty: left recursion is not supported");
            } else if (color[to] == 0) {
                stack[depth++] = (struct at){(uint32_t)to, 0};
                color[to] = 1;
            }
        }
    }
    free(stack);
    free(color);
}

static void refuse_empty_repeats(struct gram *g) {
    for (size_t i = 0; i < g->n_nodes; i++) {
        struct node *n = &g->nodes[i];
        if (n->kind != NODE_REP || !g->nodes[n->a].is_nullable) continue;
        n->b = 0; /* what is missing may be empty */
        if (n->c != NODE_INF && n->c > NULLABLE_REPEAT_MAX)
            gram_fail(g, SLM_E_LIMIT, SLM_NOWHERE, "a part that may be empty is repeated up to %u times: at most %d, or without a limit", n->c, NULLABLE_REPEAT_MAX);
    }
}

static void split_class(struct gram *g, const struct byteset *set) {
    int16_t split[256];
    bool has_out[256] = {false};
    memset(split, -1, sizeof split);
    for (unsigned b = 0; b < 256; b++) has_out[g->class_of[b]] |= !byteset_has(set, b);
    for (unsigned b = 0; b < 256; b++) {
        unsigned c = g->class_of[b];
        if (!byteset_has(set, b) || !has_out[c]) continue;
        if (split[c] < 0) split[c] = (int16_t)g->n_classes++;
        g->class_of[b] = (uint8_t)split[c];
    }
}

/* Bytes that no literal, set or table tells apart. */
static void find_classes(struct gram *g) {
    struct byteset lone = {{0}};
    g->n_classes = 1;
    for (size_t i = 0; i < g->n_lits; i++) byteset_add(&lone, (uint8_t)g->lits[i], (uint8_t)g->lits[i]);
    for (unsigned b = 0; b < 256; b++) {
        struct byteset one = {{0}};
        byteset_add(&one, b, b);
        if (byteset_has(&lone, b)) split_class(g, &one);
    }
    for (size_t i = 0; i < g->n_sets; i++) split_class(g, &g->sets[i]);
    for (size_t i = 0; i < g->n_dfas; i++) {
        const struct dfa *d = g->dfas[i];
        int32_t pair[256];
        uint32_t n = 0;
        uint8_t fresh[256];
        for (unsigned b = 0; b < 256; b++) {
            int32_t key = g->class_of[b] << 8 | d->class_of[b];
            uint32_t k = 0;
            while (k < n && pair[k] != key) k++;
            if (k == n) pair[n++] = key;
            fresh[b] = (uint8_t)k;
        }
        g->n_classes = n;
        memcpy(g->class_of, fresh, sizeof fresh);
    }
    for (unsigned b = 256; b-- > 0;) g->class_byte[g->class_of[b]] = (uint8_t)b;
}

slm_status gram_finish(struct gram *g, uint32_t root, slm_err *err) {
    void *mem = NULL;
    g->root = root;
    if (g->failed == SLM_OK) {
        g->failed = mem_alloc(&mem, g->n_nodes, sizeof *g->cost_table, "automaton", &g->why);
        g->cost_table = mem;
    }
    if (g->failed == SLM_OK) {
        g->failed = mem_alloc(&mem, g->n_kids + 1, sizeof *g->kids_cost, "automaton", &g->why);
        g->kids_cost = mem;
    }
    for (size_t i = 0; i < g->n_nodes && g->failed == SLM_OK; i++)
        if (g->nodes[i].kind == NODE_DFA) make_cost_table(g, (uint32_t)i);
    if (g->failed == SLM_OK) {
        find_costs(g);
        refuse_left_recursion(g);
        refuse_empty_repeats(g);
        find_classes(g);
        if (g->nodes[root].cost == INF) gram_fail(g, SLM_E_FORMAT, SLM_NOWHERE, "no text can ever satisfy it");
    }
    if (g->failed != SLM_OK && err) *err = g->why;
    return g->failed;
}
