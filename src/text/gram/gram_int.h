/* gram_int.h -- the graph, how it is built, and the tables of bytes in it. */
#ifndef SLM_TEXT_GRAM_INT_H
#define SLM_TEXT_GRAM_INT_H

#include "text/gram/gram.h"

#define INF GRAM_COST_INF
static inline uint32_t cost_add(uint32_t a, uint32_t b) { return a > INF - 1 - (b == INF ? 0 : b) || b == INF ? INF : a + b; }
static inline uint32_t cost_mul(uint32_t a, uint32_t n) {
    uint64_t r = (uint64_t)a * n;
    return n == 0 ? 0 : a == INF || r >= INF ? INF : (uint32_t)r;
}

/* 256 bits, one per byte. */
struct byteset {
    uint64_t w[4];
};
static inline bool byteset_has(const struct byteset *s, unsigned b) { return s->w[b >> 6] >> (b & 63) & 1; }
static inline void byteset_add(struct byteset *s, unsigned lo, unsigned hi) {
    for (unsigned b = lo; b <= hi; b++) s->w[b >> 6] |= (uint64_t)1 << (b & 63);
}

/* --- dfa.c: a deterministic table of bytes, for what is regular and small --- */

#define DFA_STATES_MAX 20000
#define DFA_DEAD (-1)
enum { DFA_ACCEPT = 1, DFA_BOUNDARY = 2, DFA_LOOPS = 4 };

/* State 0 is the start. Every transition leads to a state that can still accept. BOUNDARY: between two characters, for counting
 * them. LOOPS: every character that a JSON string holds unescaped leads back to the state, in any number. */
struct dfa {
    uint32_t n_states, n_classes;
    uint8_t class_of[256];
    int32_t *next;   /* [n_states, n_classes] */
    uint8_t *flags;  /* [n_states] */
    uint32_t *dist;  /* [n_states] bytes to the nearest accepting state; INF at state 0: the table accepts nothing */
};

/* A machine that is explored into a table: states are bytes compared as a whole (no padding with garbage). */
#define MACHINE_BYTES_MAX 64
struct machine {
    void *user;
    size_t state_bytes;
    uint8_t class_of[256];
    uint32_t n_classes;
    void (*start)(void *user, void *state);
    bool (*step)(void *user, const void *from, uint8_t byte, void *to); /* false: no way */
    unsigned (*flags)(void *user, const void *state);                   /* ACCEPT, BOUNDARY */
    uint32_t n_states_max;                                              /* 0: DFA_STATES_MAX */
};
/* machine_classes -- class_of from sets: bytes that no set tells apart are one class. */
void machine_classes(struct machine *m, const struct byteset *sets, size_t n);
/* Errors: LIMIT (more than n_states_max), NOMEM. */
slm_status dfa_explore(struct machine *m, struct dfa **out, slm_err *err);
void dfa_destroy(struct dfa *d);
static inline int32_t dfa_next(const struct dfa *d, int32_t s, uint8_t byte) {
    return d->next[(size_t)s * d->n_classes + d->class_of[byte]];
}
enum dfa_op { DFA_AND, DFA_BUT_NOT };
/* dfa_combine -- what both accept, or what a accepts and b does not. Boundaries are a's. */
slm_status dfa_combine(const struct dfa *a, const struct dfa *b, enum dfa_op op, struct dfa **out, slm_err *err);
/* dfa_from_texts -- exactly one of the texts; every state is a boundary. */
slm_status dfa_from_texts(const struct view *texts, size_t n, struct dfa **out, slm_err *err);
/* dfa_json_string -- what may stand between the quotes of any JSON string, lone surrogates and U+0000 left out.
 * is_canonical: characters that need no escape are not escaped, so each text is spelled in one way. */
slm_status dfa_json_string(bool is_canonical, struct dfa **out, slm_err *err);

/* --- regex.c --- */

enum regex_mode { REGEX_UTF8, REGEX_JSON }; /* how a character is spelled: UTF-8, or as in a JSON string (canonically) */
/* regex_to_dfa -- is_search: it matches somewhere (^ and $ hold it); else the whole text. Errors: FORMAT, UNSUPPORTED, LIMIT. */
slm_status regex_to_dfa(struct view pattern, enum regex_mode mode, bool is_search, struct dfa **out, slm_err *err);

/* --- build.c: the graph --- */

enum node_kind { NODE_FAIL, NODE_LIT, NODE_SET, NODE_SEQ, NODE_ALT, NODE_REP, NODE_DFA, NODE_RULE };
struct node {
    enum node_kind kind;
    uint32_t a, b, c; /* LIT: offset, length; SET: index; SEQ, ALT: first kid, count; REP: kid, least, most; DFA: index, least, most; RULE: target */
    uint32_t cost;    /* the fewest bytes; INF: never ends */
    bool is_nullable;
};

struct gram {
    struct node *nodes;
    uint32_t *kids;      /* lists of node ids */
    uint32_t *kids_cost; /* of a SEQ's kid and all after it */
    char *lits;
    struct byteset *sets;
    struct dfa **dfas;
    uint32_t **dfa_costs; /* per node kind DFA with counts: [levels, n_states]; indexed by node->cost_table, see node_dfa_cost */
    uint32_t *cost_table; /* [n_nodes] 0: none; else 1 + index in dfa_costs */
    size_t n_nodes, cap_nodes, n_kids, cap_kids, n_lits, cap_lits, n_sets, cap_sets, n_dfas, cap_dfas, n_costs, cap_costs;
    uint32_t root, body_plain, body_canonical; /* bodies: 1 + index of the DFA of JSON strings; 0: not made */
    uint8_t class_of[256], class_byte[256];
    uint32_t n_classes;
    bool has_names;
    slm_status failed;    /* sticks, as in struct buf */
    slm_err why;
};
#define NODE_INF UINT32_MAX

struct gram *gram_new(slm_err *err);
/* Each returns a node id; 0 (FAIL) once the build has failed. */
uint32_t gram_lit(struct gram *g, struct view text);
uint32_t gram_set(struct gram *g, const struct byteset *set);
uint32_t gram_seq(struct gram *g, const uint32_t *kids, size_t n); /* n 0: the empty text */
uint32_t gram_alt(struct gram *g, const uint32_t *kids, size_t n); /* n 0: nothing at all */
uint32_t gram_rep(struct gram *g, uint32_t kid, uint32_t least, uint32_t most);
uint32_t gram_rule(struct gram *g);                                /* a place to be bound later */
void gram_bind(struct gram *g, uint32_t rule, uint32_t target);
/* gram_dfa -- takes d over. least, most count characters (boundaries). */
uint32_t gram_dfa(struct gram *g, struct dfa *d, uint32_t least, uint32_t most);
/* gram_dfa_again -- a node of a table that the graph has: its i-th. */
uint32_t gram_dfa_again(struct gram *g, uint32_t i_dfa, uint32_t least, uint32_t most);
/* gram_json_body -- between the quotes of any JSON string of least to most characters. */
uint32_t gram_json_body(struct gram *g, uint32_t least, uint32_t most);
uint32_t gram_chars(struct gram *g, const uint32_t *ranges, size_t n_ranges); /* one character of [lo, hi] pairs, in UTF-8 */
void gram_fail(struct gram *g, slm_status code, uint64_t where, const char *fmt, ...) SLM_PRINTF(4, 5);
/* gram_finish -- costs, classes, left recursion. Errors: what failed in building; FORMAT (a rule begins with itself; the whole
 * can never end: is_hopeless_ok false). The gram stays the caller's. */
slm_status gram_finish(struct gram *g, uint32_t root, slm_err *err);
/* The fewest bytes from (state, count) of a DFA node. */
uint32_t node_dfa_cost(const struct gram *g, uint32_t node, uint32_t state, uint32_t count);

/* utf8_ranges -- calls back with the byte ranges (1..4 of them) that spell the code points lo..hi; surrogates are left out. */
struct byterange {
    uint8_t lo, hi;
};
void utf8_ranges(uint32_t lo, uint32_t hi, void (*each)(void *user, const struct byterange *r, int n), void *user);

#endif
