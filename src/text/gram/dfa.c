/* dfa.c -- deterministic tables of bytes, all made in one way: a machine (start, step, flags over small states) is explored
 * breadth first, its states kept once each; then distances to the nearest accepting state are computed backwards and what
 * leads nowhere is cut off. Numbers in a range, products, complements, lists of texts and strings are all such machines. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "text/gram/gram_int.h"

/* States seen, hashed. */
struct explore {
    struct machine *m;
    uint8_t *states; /* [cap, state_bytes] */
    int32_t *next;   /* [cap, n_classes] */
    uint8_t *flags;
    uint32_t *slots; /* 1 + state, open addressing */
    size_t n, cap, n_slots, n_max;
};

void dfa_destroy(struct dfa *d) {
    if (!d) return;
    free(d->next);
    free(d->flags);
    free(d->dist);
    free(d);
}

void machine_classes(struct machine *m, const struct byteset *sets, size_t n) {
    memset(m->class_of, 0, sizeof m->class_of);
    m->n_classes = 1;
    for (size_t i = 0; i < n; i++) {
        int16_t split[256]; /* class -> the class of its bytes that are in the set */
        memset(split, -1, sizeof split);
        bool has_out[256] = {false};
        for (unsigned b = 0; b < 256; b++) has_out[m->class_of[b]] |= !byteset_has(&sets[i], b);
        for (unsigned b = 0; b < 256; b++) {
            unsigned c = m->class_of[b];
            if (!byteset_has(&sets[i], b) || !has_out[c]) continue;
            if (split[c] < 0) split[c] = (int16_t)m->n_classes++;
            m->class_of[b] = (uint8_t)split[c];
        }
    }
}

static bool grow_states(struct explore *e) {
    size_t cap = e->cap ? e->cap * 2 : 64;
    void *p;
    if (!(p = realloc(e->states, cap * e->m->state_bytes))) return false;
    e->states = p;
    if (!(p = realloc(e->next, cap * e->m->n_classes * sizeof *e->next))) return false;
    e->next = p;
    if (!(p = realloc(e->flags, cap))) return false;
    e->flags = p;
    e->cap = cap;
    free(e->slots);
    e->n_slots = cap * 2;
    if (!(e->slots = calloc(e->n_slots, sizeof *e->slots))) return false;
    for (size_t i = 0; i < e->n; i++) {
        size_t at = hash_bytes(HASH_START, e->states + i * e->m->state_bytes, e->m->state_bytes) & (e->n_slots - 1);
        while (e->slots[at]) at = (at + 1) & (e->n_slots - 1);
        e->slots[at] = (uint32_t)i + 1;
    }
    return true;
}

/* The number of a state; -1: no memory, -2: too many. */
static int32_t state_id(struct explore *e, const void *state) {
    size_t bytes = e->m->state_bytes;
    if (e->n == e->cap && !grow_states(e)) return -1;
    size_t at = hash_bytes(HASH_START, state, bytes) & (e->n_slots - 1);
    for (; e->slots[at]; at = (at + 1) & (e->n_slots - 1)) {
        if (memcmp(e->states + (e->slots[at] - 1) * bytes, state, bytes) == 0) return (int32_t)e->slots[at] - 1;
    }
    if (e->n >= e->n_max) return -2;
    memcpy(e->states + e->n * bytes, state, bytes);
    e->flags[e->n] = (uint8_t)e->m->flags(e->m->user, state);
    e->slots[at] = (uint32_t)e->n + 1;
    return (int32_t)e->n++;
}

static slm_status explore_all(struct explore *e, slm_err *err) {
    struct machine *m = e->m;
    uint8_t byte_of[256];
    _Alignas(8) uint8_t from[MACHINE_BYTES_MAX], to[MACHINE_BYTES_MAX];
    for (unsigned b = 256; b-- > 0;) byte_of[m->class_of[b]] = (uint8_t)b;
    memset(from, 0, sizeof from);
    m->start(m->user, from);
    int32_t id = state_id(e, from);
    for (size_t i = 0; i < e->n && id >= -1; i++) {
        memcpy(from, e->states + i * m->state_bytes, m->state_bytes);
        for (uint32_t c = 0; c < m->n_classes; c++) {
            memset(to, 0, sizeof to);
            id = m->step(m->user, from, byte_of[c], to) ? state_id(e, to) : DFA_DEAD;
            if (id == -2) break;
            e->next[i * m->n_classes + c] = id;
        }
        if (id == -2) break;
    }
    if (id == -2) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "needs a table of more than %zu states", e->n_max);
    if (e->n == 0 || !e->slots) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "automaton: no memory");
    return SLM_OK;
}

/* Bytes to the nearest accepting state, by sweeps over the reversed edges. */
static slm_status find_distances(struct dfa *d, slm_err *err) {
    size_t n = d->n_states, c = d->n_classes, n_edges = 0;
    uint32_t *first = calloc(n + 2, sizeof *first), *from = NULL, *queue = malloc((n + 1) * sizeof *queue);
    for (size_t i = 0; i < n * c; i++) n_edges += d->next[i] >= 0;
    from = malloc((n_edges + 1) * sizeof *from);
    if (!first || !from || !queue) {
        free(first);
        free(from);
        free(queue);
        return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "automaton: no memory");
    }
    for (size_t i = 0; i < n * c; i++)
        if (d->next[i] >= 0) first[(size_t)d->next[i] + 2]++;
    for (size_t i = 2; i < n + 2; i++) first[i] += first[i - 1];
    for (size_t i = 0; i < n * c; i++)
        if (d->next[i] >= 0) from[first[(size_t)d->next[i] + 1]++] = (uint32_t)(i / c);
    size_t head = 0, tail = 0;
    for (size_t i = 0; i < n; i++) {
        d->dist[i] = d->flags[i] & DFA_ACCEPT ? 0 : INF;
        if (d->flags[i] & DFA_ACCEPT) queue[tail++] = (uint32_t)i;
    }
    while (head < tail) {
        uint32_t s = queue[head++];
        for (uint32_t k = first[s]; k < first[s + 1]; k++) {
            if (d->dist[from[k]] != INF) continue;
            d->dist[from[k]] = d->dist[s] + 1;
            queue[tail++] = from[k];
        }
    }
    for (size_t i = 0; i < n * c; i++)
        if (d->next[i] >= 0 && d->dist[d->next[i]] == INF) d->next[i] = DFA_DEAD;
    free(first);
    free(from);
    free(queue);
    return SLM_OK;
}

/* Whether every character between lo and hi of a lead byte comes back to s: continuation bytes are probed at the edges of the
 * ranges that RFC 3629 knows; find_loops makes sure that classes have no other edges. */
static bool leads_back(const struct dfa *d, int32_t s, uint8_t lead) {
    static const uint8_t cont[] = {0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf};
    int n = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3, n_all = n == 1 ? 6 : n == 2 ? 36 : 216;
    for (int i = 0; i < n_all; i++) {
        char bytes[4] = {(char)lead, (char)cont[i % 6], (char)cont[i / 6 % 6], (char)cont[i / 36]};
        uint32_t cp;
        int32_t t = s;
        if (utf8_decode(bytes, (size_t)n + 1, &cp) != n + 1) continue;
        for (int k = 0; k <= n && t >= 0; k++) t = dfa_next(d, t, (uint8_t)bytes[k]);
        if (t != s) return false;
    }
    return true;
}

static void find_loops(struct dfa *d) {
    static const uint8_t edges[] = {0x90, 0xa0, 0xc0, 0xc1, 0xc2, 0xe0, 0xe1, 0xed, 0xee, 0xf0, 0xf1, 0xf4};
    bool is_even = true;
    for (int b = 0x81; b < 0xf5 && is_even; b++) is_even = memchr(edges, b, sizeof edges) || d->class_of[b] == d->class_of[b - 1];
    for (uint32_t s = 0; s < d->n_states && is_even; s++) {
        bool loops = d->flags[s] & DFA_BOUNDARY;
        for (int b = 0x20; b < 0x80 && loops; b++)
            if (b != '"' && b != '\\') loops = dfa_next(d, (int32_t)s, (uint8_t)b) == (int32_t)s;
        for (int b = 0xc2; b < 0xf5 && loops; b++) loops = leads_back(d, (int32_t)s, (uint8_t)b);
        if (loops) d->flags[s] |= DFA_LOOPS;
    }
}

slm_status dfa_explore(struct machine *m, struct dfa **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct explore e = {.m = m, .n_max = m->n_states_max ? m->n_states_max : DFA_STATES_MAX};
    struct dfa *d = NULL;
    void *mem = NULL;
    *out = NULL;
    SLM_ASSERT(m->state_bytes <= MACHINE_BYTES_MAX);
    TRY(explore_all(&e, err));
    TRY(mem_alloc(&mem, 1, sizeof *d, "automaton", err));
    d = mem;
    d->n_states = (uint32_t)e.n;
    d->n_classes = m->n_classes;
    memcpy(d->class_of, m->class_of, sizeof d->class_of);
    d->next = e.next;
    d->flags = e.flags;
    e.next = NULL;
    e.flags = NULL;
    TRY(mem_alloc(&mem, e.n, sizeof *d->dist, "automaton", err));
    d->dist = mem;
    TRY(find_distances(d, err));
    find_loops(d);
    *out = d;
    d = NULL;
out:
    dfa_destroy(d);
    free(e.states);
    free(e.next);
    free(e.flags);
    free(e.slots);
    return st;
}

/* Products. */

struct pair_user {
    const struct dfa *a, *b;
    enum dfa_op op;
};

static void pair_start(void *user, void *state) {
    const struct pair_user *u = user;
    int32_t s[2] = {0, u->b->dist[0] == INF ? DFA_DEAD : 0};
    memcpy(state, s, sizeof s);
}

static bool pair_step(void *user, const void *from, uint8_t byte, void *to) {
    const struct pair_user *u = user;
    int32_t s[2];
    memcpy(s, from, sizeof s);
    s[0] = dfa_next(u->a, s[0], byte);
    if (s[1] >= 0) s[1] = dfa_next(u->b, s[1], byte);
    memcpy(to, s, sizeof s);
    return s[0] >= 0 && (s[1] >= 0 || u->op == DFA_BUT_NOT);
}

static unsigned pair_flags(void *user, const void *state) {
    const struct pair_user *u = user;
    int32_t s[2];
    memcpy(s, state, sizeof s);
    bool b = s[1] >= 0 && u->b->flags[s[1]] & DFA_ACCEPT;
    bool accepts = u->a->flags[s[0]] & DFA_ACCEPT && (u->op == DFA_AND ? b : !b);
    return (accepts ? DFA_ACCEPT : 0u) | (u->a->flags[s[0]] & DFA_BOUNDARY);
}

/* Both partitions at once. */
static void pair_classes(struct machine *m, const struct dfa *a, const struct dfa *b) {
    int16_t of[256];
    m->n_classes = 0;
    for (unsigned i = 0; i < 256; i++) {
        of[i] = -1;
        for (unsigned j = 0; j < i && of[i] < 0; j++)
            if (a->class_of[i] == a->class_of[j] && b->class_of[i] == b->class_of[j]) of[i] = of[j];
        if (of[i] < 0) of[i] = (int16_t)m->n_classes++;
        m->class_of[i] = (uint8_t)of[i];
    }
}

slm_status dfa_combine(const struct dfa *a, const struct dfa *b, enum dfa_op op, struct dfa **out, slm_err *err) {
    struct pair_user u = {a, b, op};
    struct machine m = {.user = &u, .state_bytes = 2 * sizeof(int32_t), .start = pair_start, .step = pair_step, .flags = pair_flags};
    pair_classes(&m, a, b);
    return dfa_explore(&m, out, err);
}

/* Lists of texts: a state is the run of sorted texts that begin with what was read, and how much that is. */

struct texts_user {
    struct view *sorted;
    size_t n;
};
struct texts_state {
    uint32_t first, end, depth;
};

static int compare_texts(const void *a, const void *b) {
    const struct view *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int c = n ? memcmp(x->ptr, y->ptr, n) : 0;
    return c ? c : x->len < y->len ? -1 : x->len > y->len;
}

static void texts_start(void *user, void *state) {
    struct texts_state s = {0, (uint32_t)((struct texts_user *)user)->n, 0};
    memcpy(state, &s, sizeof s);
}

static bool texts_step(void *user, const void *from, uint8_t byte, void *to) {
    const struct texts_user *u = user;
    struct texts_state s;
    memcpy(&s, from, sizeof s);
    uint32_t lo = s.first, hi = s.end;
    while (lo < hi) { /* the first text whose byte here is not below */
        uint32_t mid = lo + (hi - lo) / 2;
        if (u->sorted[mid].len <= s.depth || (uint8_t)u->sorted[mid].ptr[s.depth] < byte) lo = mid + 1;
        else hi = mid;
    }
    uint32_t first = lo;
    hi = s.end;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if ((uint8_t)u->sorted[mid].ptr[s.depth] <= byte) lo = mid + 1;
        else hi = mid;
    }
    s = (struct texts_state){first, lo, s.depth + 1};
    memcpy(to, &s, sizeof s);
    return first < lo;
}

static unsigned texts_flags(void *user, const void *state) {
    const struct texts_user *u = user;
    struct texts_state s;
    memcpy(&s, state, sizeof s);
    return DFA_BOUNDARY | (s.first < s.end && u->sorted[s.first].len == s.depth ? DFA_ACCEPT : 0u);
}

slm_status dfa_from_texts(const struct view *texts, size_t n, struct dfa **out, slm_err *err) {
    struct texts_user u = {NULL, n};
    struct byteset *sets = NULL;
    struct machine m = {.user = &u, .state_bytes = sizeof(struct texts_state), .start = texts_start, .step = texts_step, .flags = texts_flags,
                        .n_states_max = 1u << 20};
    void *mem = NULL;
    bool seen[256] = {false};
    size_t n_sets = 0;
    *out = NULL;
    slm_status st = mem_alloc(&mem, n + 1, sizeof *u.sorted, "texts", err);
    u.sorted = mem;
    if (st == SLM_OK) st = mem_alloc(&mem, 256, sizeof *sets, "texts", err);
    if (st == SLM_OK) {
        sets = mem;
        if (n) memcpy(u.sorted, texts, n * sizeof *texts);
        qsort(u.sorted, n, sizeof *u.sorted, compare_texts);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < texts[i].len; j++) seen[(uint8_t)texts[i].ptr[j]] = true;
        for (unsigned b = 0; b < 256; b++)
            if (seen[b]) byteset_add(&sets[n_sets++], b, b);
        machine_classes(&m, sets, n_sets);
        st = dfa_explore(&m, out, err);
    }
    free(sets);
    free(u.sorted);
    return st;
}

/* The inside of a JSON string (RFC 8259, 7): UTF-8 (RFC 3629) and escapes. */

enum body { AT, C1, C2, C3, E0, ED, F0, F4, ESC, U, U_0, U_00, U_000, U_D, X3, X2, X1 };
struct body_row {
    uint8_t from, lo, hi, to;
};
static const struct body_row utf8_rows[] = {
    {AT, 0x20, 0x21, AT}, {AT, 0x23, 0x5b, AT}, {AT, 0x5d, 0x7f, AT}, {AT, 0xc2, 0xdf, C1}, {AT, 0xe0, 0xe0, E0}, {AT, 0xe1, 0xec, C2},
    {AT, 0xed, 0xed, ED}, {AT, 0xee, 0xef, C2}, {AT, 0xf0, 0xf0, F0}, {AT, 0xf1, 0xf3, C3}, {AT, 0xf4, 0xf4, F4}, {C1, 0x80, 0xbf, AT},
    {C2, 0x80, 0xbf, C1}, {C3, 0x80, 0xbf, C2}, {E0, 0xa0, 0xbf, C1}, {ED, 0x80, 0x9f, C1}, {F0, 0x90, 0xbf, C2}, {F4, 0x80, 0x8f, C2},
    {AT, '\\', '\\', ESC}, {ESC, '"', '"', AT}, {ESC, '\\', '\\', AT}, {ESC, 'b', 'b', AT}, {ESC, 'f', 'f', AT}, {ESC, 'n', 'n', AT},
    {ESC, 'r', 'r', AT}, {ESC, 't', 't', AT}, {ESC, 'u', 'u', U},
};
/* \uXXXX of anything but U+0000 and surrogates: what they spell in pairs can be written as it is. */
static const struct body_row free_rows[] = {
    {ESC, '/', '/', AT}, {U, '0', '0', U_0}, {U, '1', '9', X3}, {U, 'A', 'C', X3}, {U, 'E', 'F', X3}, {U, 'a', 'c', X3}, {U, 'e', 'f', X3},
    {U, 'D', 'D', U_D}, {U, 'd', 'd', U_D}, {U_0, '0', '0', U_00}, {U_0, '1', '9', X2}, {U_0, 'A', 'F', X2}, {U_0, 'a', 'f', X2},
    {U_00, '0', '0', U_000}, {U_00, '1', '9', X1}, {U_00, 'A', 'F', X1}, {U_00, 'a', 'f', X1}, {U_000, '1', '9', AT}, {U_000, 'A', 'F', AT},
    {U_000, 'a', 'f', AT}, {X3, '0', '9', X2}, {X3, 'A', 'F', X2}, {X3, 'a', 'f', X2}, {X2, '0', '9', X1}, {X2, 'A', 'F', X1}, {X2, 'a', 'f', X1},
    {X1, '0', '9', AT}, {X1, 'A', 'F', AT}, {X1, 'a', 'f', AT}, {U_D, '0', '7', X2},
};
/* Canonically only control characters without a letter of their own are \u00XX, in lower case. */
static const struct body_row canonical_rows[] = {
    {U, '0', '0', U_0}, {U_0, '0', '0', U_00}, {U_00, '0', '0', U_000}, {U_000, '1', '7', AT}, {U_000, 'b', 'b', AT}, {U_000, 'e', 'f', AT},
    {U_00, '1', '1', X1}, {X1, '0', '9', AT}, {X1, 'a', 'f', AT},
};

struct body_user {
    const struct body_row *rows[2];
    size_t n_rows[2];
};

static void body_start(void *user, void *state) {
    (void)user;
    *(uint8_t *)state = AT;
}

static bool body_step(void *user, const void *from, uint8_t byte, void *to) {
    const struct body_user *u = user;
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < u->n_rows[k]; i++) {
            const struct body_row *r = &u->rows[k][i];
            if (r->from != *(const uint8_t *)from || byte < r->lo || byte > r->hi) continue;
            *(uint8_t *)to = r->to;
            return true;
        }
    }
    return false;
}

static unsigned body_flags(void *user, const void *state) {
    (void)user;
    return *(const uint8_t *)state == AT ? DFA_ACCEPT | DFA_BOUNDARY : 0u;
}

slm_status dfa_json_string(bool is_canonical, struct dfa **out, slm_err *err) {
    struct body_user u = {{utf8_rows, is_canonical ? canonical_rows : free_rows},
                          {sizeof utf8_rows / sizeof utf8_rows[0],
                           is_canonical ? sizeof canonical_rows / sizeof canonical_rows[0] : sizeof free_rows / sizeof free_rows[0]}};
    struct machine m = {.user = &u, .state_bytes = 1, .start = body_start, .step = body_step, .flags = body_flags};
    struct byteset sets[96];
    size_t n = 0;
    memset(sets, 0, sizeof sets);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < u.n_rows[k]; i++) byteset_add(&sets[n++], u.rows[k][i].lo, u.rows[k][i].hi);
    machine_classes(&m, sets, n);
    return dfa_explore(&m, out, err);
}
