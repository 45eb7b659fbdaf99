/* regex.c -- a parsed expression as a table, or as nodes of a graph.
 *
 * As a table: an automaton over bytes with free moves (Thompson 1968), built from the end so that every piece knows what follows
 * it, then its sets of places explored (dfa.c). Anchors are free moves that only the first or the last place may make. Counts are
 * unrolled; when that or the sets grow past a limit, --regex falls back to nodes, which count. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "text/gram/regex_int.h"

#define PLACES_MAX 200000
#define TABLE_TRY_STATES 3000 /* of a whole expression, before nodes take over */
#define WORK_MAX 5000000      /* places looked at while a table is made: a tenth of a second */
#define NO_PLACE UINT32_MAX
#define CP_MAX 0x10ffffu

enum place_kind { PLACE_BYTE, PLACE_SPLIT, PLACE_MATCH, PLACE_BEGIN, PLACE_END };
struct place {
    uint8_t kind, lo, hi;
    bool is_inner; /* within a character */
    uint32_t out, other;
};

struct nfa {
    const struct re *re;
    enum regex_mode mode;
    struct place *places;
    size_t n, cap;
    uint32_t start, tail; /* tail: after a match that was found anywhere; NO_PLACE: none */
    slm_status st;
    slm_err *err;
    /* sets of places, kept once each */
    uint32_t *pool, *slots, *mark, *todo, *set;
    struct run {
        uint32_t first, n;
    } *sets;
    size_t n_pool, cap_pool, n_sets, cap_sets, n_slots;
    uint32_t stamp;
    uint64_t work; /* places looked at */
    /* where one set leads by each byte: outs[first_out[b] .. first_out[b + 1]) */
    uint32_t *outs, out_set, first_out[257];
    int last_byte;    /* stepped last from out_set, to last_to; -1: none */
    uint32_t last_to; /* UINT32_MAX: nowhere */
    size_t cap_outs;
    /* the character set being spelled */
    uint32_t next, entry;
    size_t first_of_set;
};

static bool grow(struct nfa *a, void *array, size_t need, size_t *cap, size_t size) {
    void *p;
    if (a->st != SLM_OK) return false;
    if (need <= *cap) return true;
    size_t want = *cap ? *cap * 2 : 256;
    while (want < need) want *= 2;
    memcpy(&p, array, sizeof p);
    if (!(p = realloc(p, want * size))) {
        a->st = err_set(a->err, SLM_E_NOMEM, SLM_NOWHERE, "regular expression: no memory");
        return false;
    }
    memcpy(array, &p, sizeof p);
    *cap = want;
    return true;
}

static uint32_t add(struct nfa *a, struct place p) {
    if (a->st == SLM_OK && a->n >= PLACES_MAX)
        a->st = err_set(a->err, SLM_E_LIMIT, SLM_NOWHERE, "regular expression: needs an automaton of more than %d places", PLACES_MAX);
    if (!grow(a, &a->places, a->n + 1, &a->cap, sizeof p)) return 0;
    a->places[a->n] = p;
    return (uint32_t)a->n++;
}

static uint32_t byte_place(struct nfa *a, uint8_t lo, uint8_t hi, uint32_t out, bool is_inner) {
    size_t from = a->n > a->first_of_set + 48 ? a->n - 48 : a->first_of_set; /* shared endings of one set's characters */
    for (size_t i = a->n; i-- > from;) {
        const struct place *p = &a->places[i];
        if (p->kind == PLACE_BYTE && p->lo == lo && p->hi == hi && p->out == out && p->is_inner == is_inner) return (uint32_t)i;
    }
    return add(a, (struct place){PLACE_BYTE, lo, hi, is_inner, out, 0});
}

static void add_entry(struct nfa *a, uint32_t place) {
    a->entry = a->entry == NO_PLACE ? place : add(a, (struct place){PLACE_SPLIT, 0, 0, false, place, a->entry});
}

static void spell_utf8(void *user, const struct byterange *r, int n) {
    struct nfa *a = user;
    uint32_t next = a->next;
    for (int i = n; i-- > 0 && a->st == SLM_OK;) next = byte_place(a, r[i].lo, r[i].hi, next, i > 0);
    add_entry(a, next);
}

static void spell_text(struct nfa *a, const char *text) {
    uint32_t next = a->next;
    for (size_t i = strlen(text); i-- > 0;) next = byte_place(a, (uint8_t)text[i], (uint8_t)text[i], next, i > 0);
    add_entry(a, next);
}

/* A character that a JSON string must escape. */
static void spell_escape(struct nfa *a, uint32_t cp) {
    static const char letters[] = "\b\t\n\f\r\"\\", names[] = "btnfr\"\\", hex[] = "0123456789abcdef";
    const char *at = cp ? strchr(letters, (int)cp) : NULL;
    char text[8] = {'\\', at ? names[at - letters] : 'u', '\0'};
    if (cp == 0) return;
    if (!at) {
        text[2] = text[3] = '0';
        text[4] = hex[cp >> 4 & 15];
        text[5] = hex[cp & 15];
    }
    spell_text(a, text);
}

static void spell_range(struct nfa *a, uint32_t lo, uint32_t hi) {
    if (a->mode == REGEX_UTF8) {
        utf8_ranges(lo, hi, spell_utf8, a);
        return;
    }
    while (lo <= hi && a->st == SLM_OK) {
        uint32_t end = hi;
        if (lo < 0x20 || lo == '"' || lo == '\\') {
            spell_escape(a, lo++);
            continue;
        }
        if (lo < '"' && end >= '"') end = '"' - 1;
        else if (lo < '\\' && end >= '\\') end = '\\' - 1;
        utf8_ranges(lo, end, spell_utf8, a);
        if (end == CP_MAX) return;
        lo = end + 1;
    }
}

static uint32_t make_set(struct nfa *a, const uint32_t *ranges, size_t n, uint32_t next) {
    a->next = next;
    a->entry = NO_PLACE;
    a->first_of_set = a->n;
    for (size_t i = 0; i < n && a->st == SLM_OK; i++) spell_range(a, ranges[2 * i], ranges[2 * i + 1]);
    a->first_of_set = a->n;
    /* A set of nothing: a place that no byte leaves. */
    return a->entry != NO_PLACE ? a->entry : add(a, (struct place){PLACE_BYTE, 1, 0, false, next, 0});
}

/* The entry of a node whose continuation is `next`. Depth is bounded by the parser's nesting. */
static uint32_t make(struct nfa *a, uint32_t id, uint32_t next) {
    const struct re_node *n = &a->re->nodes[id];
    if (a->st != SLM_OK) return 0;
    switch (n->kind) {
    case RE_SET: return make_set(a, a->re->ranges + n->first, n->n, next);
    case RE_BEGIN: return add(a, (struct place){PLACE_BEGIN, 0, 0, false, next, 0});
    case RE_END: return add(a, (struct place){PLACE_END, 0, 0, false, next, 0});
    case RE_CAT:
        for (uint32_t i = n->n; i-- > 0 && a->st == SLM_OK;) next = make(a, a->re->kids[n->first + i], next);
        return next;
    case RE_ALT: {
        uint32_t entry = make(a, a->re->kids[n->first + n->n - 1], next);
        for (uint32_t i = n->n - 1; i-- > 0 && a->st == SLM_OK;) {
            uint32_t other = make(a, a->re->kids[n->first + i], next);
            entry = add(a, (struct place){PLACE_SPLIT, 0, 0, false, other, entry});
        }
        return entry;
    }
    case RE_REP: {
        uint32_t entry = next;
        if (n->most == NODE_INF) {
            entry = add(a, (struct place){PLACE_SPLIT, 0, 0, false, 0, next});
            uint32_t body = make(a, n->first, entry);
            if (a->st == SLM_OK) a->places[entry].out = body;
        } else {
            for (uint32_t i = n->least; i < n->most && a->st == SLM_OK; i++) {
                uint32_t body = make(a, n->first, entry);
                if (body == entry) break; /* nothing, however often */
                entry = add(a, (struct place){PLACE_SPLIT, 0, 0, false, body, next});
            }
        }
        for (uint32_t i = 0; i < n->least && a->st == SLM_OK; i++) {
            uint32_t body = make(a, n->first, entry);
            if (body == entry) break;
            entry = body;
        }
        return entry;
    }
    }
    return next;
}

static void make_all(struct nfa *a, bool is_search) {
    static const uint32_t any[] = {0, CP_MAX};
    uint32_t next = add(a, (struct place){.kind = PLACE_MATCH});
    a->tail = NO_PLACE;
    if (is_search) {
        a->tail = add(a, (struct place){PLACE_SPLIT, 0, 0, false, 0, next});
        uint32_t body = make_set(a, any, 1, a->tail);
        if (a->st != SLM_OK) return;
        a->places[a->tail].out = body;
        next = a->tail;
    }
    a->start = make(a, a->re->root, next);
    if (!is_search || a->st != SLM_OK) return;
    uint32_t loop = add(a, (struct place){PLACE_SPLIT, 0, 0, false, 0, a->start});
    uint32_t body = make_set(a, any, 1, loop);
    if (a->st != SLM_OK) return;
    a->places[loop].out = body;
    a->start = loop;
}

/* --- sets of places --- */

/* Add what is reached from `from` by free moves to a->set; true when the match is among it. */
static bool close_over(struct nfa *a, uint32_t from, bool at_begin, bool at_end, size_t *n_set) {
    size_t n = 0;
    bool is_match = false;
    a->todo[n++] = from;
    while (n > 0) {
        uint32_t id = a->todo[--n];
        const struct place *p = &a->places[id];
        a->work++;
        if (a->mark[id] == a->stamp) continue;
        a->mark[id] = a->stamp;
        switch (p->kind) {
        case PLACE_SPLIT:
            a->todo[n++] = p->other;
            a->todo[n++] = p->out;
            break;
        case PLACE_BEGIN:
            if (at_begin) a->todo[n++] = p->out;
            break;
        case PLACE_END:
            if (at_end) a->todo[n++] = p->out;
            else a->set[(*n_set)++] = id;
            break;
        case PLACE_MATCH: is_match = true; /* fall through */
        default: a->set[(*n_set)++] = id; break;
        }
    }
    return is_match;
}

static int compare_u32(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool grow_sets(struct nfa *a) {
    if (!grow(a, &a->sets, a->n_sets + 1, &a->cap_sets, sizeof *a->sets)) return false;
    if (a->n_sets * 2 < a->n_slots) return true;
    free(a->slots);
    a->n_slots = a->n_slots ? a->n_slots * 2 : 512;
    if (!(a->slots = calloc(a->n_slots, sizeof *a->slots))) {
        a->n_slots = 0;
        a->st = err_set(a->err, SLM_E_NOMEM, SLM_NOWHERE, "regular expression: no memory");
        return false;
    }
    for (size_t i = 0; i < a->n_sets; i++) {
        size_t at = hash_bytes(HASH_START, a->pool + a->sets[i].first, a->sets[i].n * sizeof *a->pool) & (a->n_slots - 1);
        while (a->slots[at]) at = (at + 1) & (a->n_slots - 1);
        a->slots[at] = (uint32_t)i + 1;
    }
    return true;
}

/* The number of a->set[0..n); UINT32_MAX on failure. */
static uint32_t intern(struct nfa *a, size_t n) {
    if (n > 1) qsort(a->set, n, sizeof *a->set, compare_u32);
    if (!grow_sets(a)) return UINT32_MAX;
    size_t at = hash_bytes(HASH_START, a->set, n * sizeof *a->set) & (a->n_slots - 1);
    for (; a->slots[at]; at = (at + 1) & (a->n_slots - 1)) {
        const struct run *r = &a->sets[a->slots[at] - 1];
        if (r->n == n && (n == 0 || memcmp(a->pool + r->first, a->set, n * sizeof *a->set) == 0)) return a->slots[at] - 1;
    }
    if (!grow(a, &a->pool, a->n_pool + n, &a->cap_pool, sizeof *a->pool)) return UINT32_MAX;
    if (n) memcpy(a->pool + a->n_pool, a->set, n * sizeof *a->set);
    a->sets[a->n_sets] = (struct run){(uint32_t)a->n_pool, (uint32_t)n};
    a->n_pool += n;
    a->slots[at] = (uint32_t)a->n_sets + 1;
    return (uint32_t)a->n_sets++;
}

/* Once a match was found anywhere nothing else matters. */
static size_t settle(struct nfa *a, size_t n) {
    if (a->tail == NO_PLACE || a->mark[a->tail] != a->stamp) return n;
    n = 0;
    a->stamp++;
    close_over(a, a->tail, false, false, &n);
    return n;
}

static void machine_start(void *user, void *state) {
    struct nfa *a = user;
    size_t n = 0;
    a->stamp++;
    close_over(a, a->start, true, false, &n);
    uint32_t id = intern(a, settle(a, n));
    memcpy(state, &id, sizeof id);
}

/* A set's places by byte, in their order: ranges of bytes are narrow, so this looks at each place once instead of 256 times. */
static bool sort_by_byte(struct nfa *a, uint32_t id) {
    uint32_t at[256] = {0};
    struct run r = a->sets[id];
    if (a->out_set == id) return true;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < r.n; i++) {
            const struct place *p = &a->places[a->pool[r.first + i]];
            for (unsigned b = p->lo; p->kind == PLACE_BYTE && b <= p->hi; b++) {
                if (pass == 1) a->outs[at[b]] = p->out;
                at[b]++;
            }
        }
        if (pass == 1) break;
        a->first_out[0] = 0;
        for (int b = 0; b < 256; b++) {
            a->first_out[b + 1] = a->first_out[b] + at[b];
            at[b] = a->first_out[b];
        }
        if (!grow(a, &a->outs, a->first_out[256], &a->cap_outs, sizeof *a->outs)) return false;
        a->work += r.n + a->first_out[256];
    }
    a->out_set = id;
    a->last_byte = -1;
    return true;
}

/* Neighbouring bytes mostly lead to the same places. */
static bool leads_where_last_did(const struct nfa *a, uint8_t byte) {
    if (a->last_byte < 0) return false;
    uint32_t first = a->first_out[byte], last = a->first_out[a->last_byte], n = a->first_out[byte + 1] - first;
    return n == a->first_out[a->last_byte + 1] - last && (n == 0 || memcmp(a->outs + first, a->outs + last, n * sizeof *a->outs) == 0);
}

static bool machine_step(void *user, const void *from, uint8_t byte, void *to) {
    struct nfa *a = user;
    uint32_t id;
    size_t n = 0;
    memcpy(&id, from, sizeof id);
    if (a->st != SLM_OK || !sort_by_byte(a, id)) return false;
    if (!leads_where_last_did(a, byte)) {
        if (a->work > WORK_MAX) {
            a->st = err_set(a->err, SLM_E_LIMIT, SLM_NOWHERE, "regular expression: takes too long to make a table of");
            return false;
        }
        a->stamp++;
        for (uint32_t i = a->first_out[byte]; i < a->first_out[byte + 1]; i++) close_over(a, a->outs[i], false, false, &n);
        a->last_to = n ? intern(a, settle(a, n)) : UINT32_MAX;
    }
    a->last_byte = byte;
    memcpy(to, &a->last_to, sizeof a->last_to);
    return a->last_to != UINT32_MAX;
}

static unsigned machine_flags(void *user, const void *state) {
    struct nfa *a = user;
    uint32_t id;
    bool accepts = false, inner = false;
    memcpy(&id, state, sizeof id);
    if (id == UINT32_MAX) return 0;
    a->stamp++;
    struct run r = a->sets[id];
    for (uint32_t i = 0; i < r.n; i++) {
        size_t n = 0;
        const struct place *p = &a->places[a->pool[r.first + i]];
        accepts |= p->kind == PLACE_MATCH || (p->kind == PLACE_END && close_over(a, p->out, false, true, &n));
        inner |= p->is_inner;
    }
    return (accepts ? DFA_ACCEPT : 0u) | (inner ? 0u : DFA_BOUNDARY);
}

static void nfa_fini(struct nfa *a) {
    free(a->places);
    free(a->pool);
    free(a->slots);
    free(a->mark);
    free(a->todo);
    free(a->set);
    free(a->sets);
    free(a->outs);
}

static slm_status explore(struct nfa *a, uint32_t n_states_max, struct dfa **out, slm_err *err) {
    struct machine m = {.user = a, .state_bytes = sizeof(uint32_t), .start = machine_start, .step = machine_step, .flags = machine_flags, .n_states_max = n_states_max};
    bool cut[257] = {false};
    a->mark = calloc(a->n, sizeof *a->mark);
    a->todo = malloc((2 * a->n + 2) * sizeof *a->todo);
    a->set = malloc((a->n + 1) * sizeof *a->set);
    if (!a->mark || !a->todo || !a->set) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "regular expression: no memory");
    for (size_t i = 0; i < a->n; i++) {
        if (a->places[i].kind != PLACE_BYTE) continue;
        cut[a->places[i].lo] = true;
        cut[a->places[i].hi + 1] = true;
    }
    m.n_classes = 1;
    for (unsigned b = 0; b < 256; b++) {
        if (b > 0 && cut[b]) m.n_classes++;
        m.class_of[b] = (uint8_t)(m.n_classes - 1);
    }
    slm_status st = dfa_explore(&m, out, err);
    if (st == SLM_OK && a->st != SLM_OK) {
        dfa_destroy(*out);
        *out = NULL;
        st = a->st;
    }
    return st;
}

static slm_status to_table(const struct re *re, enum regex_mode mode, bool is_search, uint32_t n_states_max, struct dfa **out, slm_err *err) {
    struct nfa a = {.re = re, .mode = mode, .err = err, .out_set = UINT32_MAX};
    *out = NULL;
    make_all(&a, is_search);
    slm_status st = a.st == SLM_OK ? explore(&a, n_states_max, out, err) : a.st;
    nfa_fini(&a);
    return st;
}

slm_status regex_to_dfa(struct view pattern, enum regex_mode mode, bool is_search, struct dfa **out, slm_err *err) {
    struct re re;
    *out = NULL;
    slm_status st = re_parse(pattern, &re, err);
    if (st == SLM_OK) st = to_table(&re, mode, is_search, 0, out, err);
    re_fini(&re);
    return st;
}

/* --- as nodes --- */

static uint32_t to_node(struct gram *g, const struct re *re, uint32_t id, bool at_begin, bool at_end);

static uint32_t list_to_node(struct gram *g, const struct re *re, const struct re_node *n, bool at_begin, bool at_end) {
    uint32_t *kids = malloc((n->n + 1) * sizeof *kids);
    if (!kids) {
        gram_fail(g, SLM_E_NOMEM, SLM_NOWHERE, "regular expression: no memory");
        return 0;
    }
    bool is_alt = n->kind == RE_ALT;
    for (uint32_t i = 0; i < n->n; i++)
        kids[i] = to_node(g, re, re->kids[n->first + i], at_begin && (is_alt || i == 0), at_end && (is_alt || i + 1 == n->n));
    uint32_t node = is_alt ? gram_alt(g, kids, n->n) : gram_seq(g, kids, n->n);
    free(kids);
    return node;
}

static uint32_t to_node(struct gram *g, const struct re *re, uint32_t id, bool at_begin, bool at_end) {
    const struct re_node *n = &re->nodes[id];
    switch (n->kind) {
    case RE_SET: return gram_chars(g, re->ranges + n->first, n->n);
    case RE_CAT:
    case RE_ALT: return list_to_node(g, re, n, at_begin, at_end);
    case RE_REP: return gram_rep(g, to_node(g, re, n->first, false, false), n->least, n->most);
    case RE_BEGIN:
    case RE_END:
        if (!(n->kind == RE_BEGIN ? at_begin : at_end))
            gram_fail(g, SLM_E_UNSUPPORTED, SLM_NOWHERE, "regular expression: %s within an expression of this size is not supported", n->kind == RE_BEGIN ? "^" : "$");
        return gram_seq(g, NULL, 0);
    }
    return 0;
}

slm_status gram_from_regex(struct view pattern, struct gram **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct re re = {0};
    struct gram *g = NULL;
    struct dfa *d = NULL;
    slm_err ignored;
    *out = NULL;
    TRY(re_parse(pattern, &re, err));
    if (!(g = gram_new(err))) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "regular expression: no memory");
    uint32_t root = to_table(&re, REGEX_UTF8, false, TABLE_TRY_STATES, &d, &ignored) == SLM_OK ? gram_dfa(g, d, 0, NODE_INF) : to_node(g, &re, re.root, true, true);
    TRY(gram_finish(g, root, err));
    *out = g;
    g = NULL;
out:
    re_fini(&re);
    gram_destroy(g);
    return st;
}

slm_status gram_from_choices(const struct view *choices, size_t n, struct gram **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct gram *g = NULL;
    struct dfa *d = NULL;
    *out = NULL;
    if (n == 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "choices: there are none");
    if (n > GRAM_CHOICES_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "choices: %zu, at most %d", n, GRAM_CHOICES_MAX);
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        if (choices[i].len == 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "choice %zu: is empty", i + 1);
        bytes += choices[i].len;
        if (bytes > GRAM_SOURCE_BYTES_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "choices: more than %u bytes", GRAM_SOURCE_BYTES_MAX);
    }
    TRY(dfa_from_texts(choices, n, &d, err));
    if (!(g = gram_new(err))) {
        dfa_destroy(d);
        FAIL(SLM_E_NOMEM, SLM_NOWHERE, "choices: no memory");
    }
    TRY(gram_finish(g, gram_dfa(g, d, 0, NODE_INF), err));
    *out = g;
    g = NULL;
out:
    gram_destroy(g);
    return st;
}
