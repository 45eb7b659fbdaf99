/* walk.c -- a mask is a walk of the vocabulary's trie beside the automaton; it is kept with the state it was made from.
 *
 * Inside a string most tokens are known beforehand to be allowed (vocab_int.h), and only the rest is walked; so it is where a string's first characters lead into one, as those
 * of a name that is unlike the known ones do. How many tokens complete a state's text is found by spelling the automaton's shortest bytes in the fewest tokens. */
#include "engine/constrain/walk_int.h"

#include <stdlib.h>
#include <string.h>

#define MASK_BYTES_MAX (32u << 20)
#define NEED_BYTES_MAX 65536  /* a completion longer than this counts one token a byte */

/* --- what is known of states --- */

static struct note *note_of(struct constraint *c, int32_t state, slm_err *err) {
    if ((size_t)state >= c->cap_notes) {
        size_t cap = c->cap_notes ? c->cap_notes * 2 : 1024;
        while (cap <= (size_t)state) cap *= 2;
        struct note *notes = realloc(c->notes, cap * sizeof *notes);
        if (!notes) {
            err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "structured output: no memory");
            return NULL;
        }
        memset(notes + c->cap_notes, 0, (cap - c->cap_notes) * sizeof *notes);
        c->notes = notes;
        c->cap_notes = cap;
    }
    return &c->notes[state];
}

void walk_forget(struct constraint *c) {
    for (size_t i = 0; i < c->cap_notes; i++) {
        free(c->notes[i].mask);
        c->notes[i].mask = NULL;
    }
    c->mask_bytes = 0;
}

/* Fewest tokens that spell bytes[0..n); best has n + 1 places. */
static int32_t count_tokens(const struct constrain_vocab *v, const uint8_t *bytes, size_t n, int32_t *best) {
    const struct trie *t = &v->all;
    best[n] = 0;
    for (size_t i = n; i-- > 0;) {
        best[i] = NEED_INF;
        uint32_t node = t->root[bytes[i]];
        for (size_t at = i; node != UINT32_MAX;) {
            const struct trie_node *nd = &t->nodes[node];
            at++;
            if (nd->id >= 0 && best[at] != NEED_INF && best[at] + 1 < best[i]) best[i] = best[at] + 1;
            if (at >= n) break;
            uint32_t kid = node + 1, end = nd->skip;
            while (kid < end && t->nodes[kid].byte < bytes[at]) kid = t->nodes[kid].skip;
            node = kid < end && t->nodes[kid].byte == bytes[at] ? kid : UINT32_MAX;
        }
    }
    return best[0];
}

int32_t walk_need(struct constraint *c, int32_t state) {
    uint32_t cost = gram_cost(c->exec, state);
    if (cost == 0) return 0;
    if (cost == GRAM_COST_INF) return NEED_INF;
    if (cost > NEED_BYTES_MAX) return c->is_complete ? (int32_t)(cost < INT32_MAX ? cost : INT32_MAX - 1) : NEED_INF;
    struct note *note = note_of(c, state, NULL);
    if (!note) return (int32_t)cost;
    if (note->need) return note->need == NEED_INF ? NEED_INF : note->need - 1;
    uint8_t *bytes = malloc(cost);
    int32_t *best = malloc((cost + 1) * sizeof *best), need = NEED_INF, s = state;
    size_t n = 0;
    for (int byte; bytes && best && n < cost && s >= 0 && (byte = gram_best_byte(c->exec, s)) >= 0; s = gram_next(c->exec, s, (uint8_t)byte)) bytes[n++] = (uint8_t)byte;
    if (n == cost) need = count_tokens(c->vocab, bytes, n, best);
    free(bytes);
    free(best);
    note = note_of(c, state, NULL); /* gram_next may have made states, not notes; the pointer is only looked up again */
    if (note && n == cost) note->need = need == NEED_INF ? NEED_INF : need + 1;
    return need;
}

bool walk_leads_well(struct constraint *c, int32_t from, int32_t to, int32_t limit) {
    uint32_t cost = gram_cost(c->exec, to);
    if (cost == GRAM_COST_INF) return false;
    if (gram_depth(c->exec, to) > GRAM_DEPTH_MAX && cost >= gram_cost(c->exec, from)) return false;
    if (!c->is_complete && walk_need(c, to) == NEED_INF) return false;
    return limit < 0 || cost <= (uint32_t)limit || walk_need(c, to) <= limit;
}

/* --- walks --- */

struct walk {
    struct constraint *c;
    const struct trie *t;
    uint32_t *bits;
    int32_t from, limit;
    uint32_t cost_max;
};

static void mark_token(struct walk *w, int32_t id) {
    for (; id >= 0; id = w->c->vocab->same[id]) bit_set(w->bits, id);
}

/* One step of a walk: from the cell's state over a byte. The row is looked up again only when something new was computed. */
static int32_t step(struct gram_exec *x, struct cell *at, const uint8_t *classes, uint8_t byte) {
    int32_t s = at->row ? at->row[classes[byte]] : GRAM_UNKNOWN;
    if (s != GRAM_UNKNOWN) return s;
    s = gram_next(x, at->state, byte);
    at->row = gram_row(x, at->state);
    return s;
}

/* Mark the tokens of nodes [i, end), whose bytes after the first n_skip lead from w->from to states that may be. */
static void walk_nodes(struct walk *w, uint32_t i, uint32_t end, uint32_t n_skip) {
    struct gram_exec *x = w->c->exec;
    struct cell *path = w->c->path;
    const uint8_t *classes = gram_classes(x);
    int32_t judged = GRAM_DEAD;
    bool is_good = false;
    path[n_skip] = (struct cell){gram_row(x, w->from), w->from};
    while (i < end) {
        const struct trie_node *nd = &w->t->nodes[i];
        int32_t s = step(x, &path[nd->depth - 1], classes, nd->byte);
        if (s < 0) {
            i = nd->skip;
            continue;
        }
        if (nd->skip > i + 1) path[nd->depth] = (struct cell){gram_row(x, s), s};
        if (nd->id >= 0) {
            if (s != judged) { /* neighbours mostly lead to the same state */
                judged = s;
                is_good = walk_leads_well(w->c, w->from, s, w->limit);
                if (is_good && gram_cost(x, s) > w->cost_max) w->cost_max = gram_cost(x, s);
            }
            if (is_good) mark_token(w, nd->id);
        }
        i++;
    }
}

/* Safe tokens of at most n characters (UINT32_MAX: of any number). */
static void mark_safe_upto(struct walk *w, uint32_t n) {
    const struct constrain_vocab *v = w->c->vocab;
    uint32_t level = n == UINT32_MAX ? SAFE_LEVELS : n < SAFE_LEVELS ? n - 1 : SAFE_LEVELS - 1;
    for (uint32_t i = 0; i < v->n_words; i++) w->bits[i] |= v->safe[level][i];
    for (size_t i = 0; n != UINT32_MAX && i < v->n_long_safe && v->long_safe[i].n_chars <= n; i++) bit_set(w->bits, v->long_safe[i].id);
}

/* Inside a string: the safe tokens of a length that still fits. True when they are marked and only the rest is to be walked. */
static bool mark_safe(struct walk *w) {
    uint32_t n_least, n_most;
    if (!w->c->is_complete || !gram_string_room(w->c->exec, w->from, &n_least, &n_most)) return false;
    if (gram_depth(w->c->exec, w->from) > GRAM_DEPTH_MAX) return false;
    if (w->limit >= 0 && n_least > 0) return false; /* each character brings the end nearer: looked at one by one */
    if (w->limit >= 0 && walk_need(w->c, w->from) > w->limit) return true; /* no room for a character more: the rest may close */
    if (n_most > 0) mark_safe_upto(w, n_most);
    if (gram_cost(w->c->exec, w->from) > w->cost_max) w->cost_max = gram_cost(w->c->exec, w->from);
    return true;
}

/* A state inside a string that a character leads to, and from which all characters may come, n_most of them: names that are unlike the known ones so far, and strings unlike an
 * enum's, come to one. GRAM_DEAD: there is none. */
static int32_t find_free(struct walk *w, uint32_t *n_most) {
    struct gram_exec *x = w->c->exec;
    uint32_t n_least;
    if (w->limit >= 0 || !w->c->is_complete || gram_depth(x, w->from) > GRAM_DEPTH_MAX) return GRAM_DEAD;
    for (unsigned b = 0x20; b < 0x7f; b++) {
        int32_t s = b == '"' || b == '\\' ? GRAM_DEAD : gram_next(x, w->from, (uint8_t)b);
        if (s >= 0 && gram_string_room(x, s, &n_least, n_most) && n_least == 0 && gram_depth(x, s) <= GRAM_DEPTH_MAX && gram_cost(x, s) != GRAM_COST_INF) return s;
    }
    return GRAM_DEAD;
}

/* Do all characters that begin with the bytes so far end in one state? n_left: bytes of a character that are missing, low..high: the next of them. */
static bool ends_in(struct gram_exec *x, int32_t s, int32_t end, int n_left, unsigned low, unsigned high) {
    int32_t judged = GRAM_DEAD;
    if (n_left == 0) return s == end;
    for (unsigned b = low; s >= 0 && b <= high; b++) {
        int32_t to = gram_next(x, s, (uint8_t)b);
        if (to == judged && to >= 0) continue; /* neighbours mostly lead to the same state */
        if (!ends_in(x, to, end, n_left - 1, 0x80, 0xbf)) return false;
        judged = to;
    }
    return s >= 0;
}

/* Of the characters that begin with a byte (RFC 3629). */
static bool all_end_in(struct gram_exec *x, int32_t from, uint8_t b, int32_t end) {
    int32_t s = gram_next(x, from, b);
    if (b < 0x80) return s == end && b >= 0x20 && b != '"' && b != '\\';
    if (b < 0xc2 || b > 0xf4) return false; /* begins no character */
    return ends_in(x, s, end, b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3, b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80, b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf);
}

/* Where a first character leads to the free state, safe tokens may come that are not too long, and the rest is walked; of all that begins otherwise everything is walked. */
static void walk_like(struct walk *w, int32_t free_state, uint32_t n_most) {
    const struct constrain_vocab *v = w->c->vocab;
    mark_safe_upto(w, n_most == UINT32_MAX ? n_most : n_most + 1);
    if (gram_cost(w->c->exec, free_state) > w->cost_max) w->cost_max = gram_cost(w->c->exec, free_state);
    for (unsigned b = 0; b < 256; b++) {
        if (v->all.root[b] == UINT32_MAX) continue;
        bool is_like = all_end_in(w->c->exec, w->from, (uint8_t)b, free_state);
        for (uint32_t i = v->first_at[b]; !is_like && i < v->first_at[b + 1]; i++) w->bits[v->safe_by_first[i] >> 5] &= ~(1u << (v->safe_by_first[i] & 31));
        w->t = is_like ? &v->rest : &v->all;
        if (w->t->root[b] != UINT32_MAX) walk_nodes(w, w->t->root[b], w->t->nodes[w->t->root[b]].skip, 0);
    }
}

static void fill_mask(struct walk *w, bool strip) {
    struct constraint *c = w->c;
    memset(w->bits, 0, c->vocab->n_words * sizeof *w->bits);
    w->t = &c->vocab->all;
    if (strip) { /* pieces lose one leading space; one that is nothing else leaves everything as it was */
        uint32_t node = w->t->root[' '];
        for (unsigned b = 0; b < 256; b++)
            if (b != ' ' && w->t->root[b] != UINT32_MAX) walk_nodes(w, w->t->root[b], w->t->nodes[w->t->root[b]].skip, 0);
        if (node != UINT32_MAX && walk_leads_well(c, w->from, w->from, w->limit)) mark_token(w, w->t->nodes[node].id);
        if (node != UINT32_MAX) walk_nodes(w, node + 1, w->t->nodes[node].skip, 1);
    } else {
        int32_t free_state = GRAM_DEAD;
        uint32_t n_most = 0;
        bool is_marked = mark_safe(w);
        if (!is_marked && (free_state = find_free(w, &n_most)) >= 0) walk_like(w, free_state, n_most);
        else {
            if (is_marked) w->t = &c->vocab->rest;
            walk_nodes(w, 0, w->t->n, 0);
        }
    }
    if (gram_accepts(c->exec, w->from))
        for (uint32_t i = 0; i < c->vocab->n_words; i++) w->bits[i] |= c->vocab->ends[i];
}

int32_t walk_follow(struct constraint *c, int32_t state, struct view piece, bool strip) {
    if (piece.len == 0) return GRAM_DEAD;
    if (strip && piece.ptr[0] == ' ') piece = (struct view){piece.ptr + 1, piece.len - 1};
    for (size_t i = 0; i < piece.len && state >= 0; i++) state = gram_next(c->exec, state, (uint8_t)piece.ptr[i]);
    return state;
}

slm_status walk_mask(struct constraint *c, int32_t state, const uint32_t **bits, uint32_t *cost_max, slm_err *err) {
    struct note *note = note_of(c, state, err);
    size_t bytes = c->vocab->n_words * sizeof(uint32_t);
    if (!note) return SLM_E_NOMEM;
    if (!note->mask) {
        if (c->mask_bytes + bytes > MASK_BYTES_MAX) walk_forget(c);
        uint32_t *mask = malloc(bytes);
        if (!mask) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "structured output: no memory for a mask");
        struct walk w = {.c = c, .bits = mask, .from = state, .limit = -1};
        fill_mask(&w, false);
        if (!(note = note_of(c, state, err))) {
            free(mask);
            return SLM_E_NOMEM;
        }
        note->mask = mask;
        note->cost_max = w.cost_max;
        c->mask_bytes += bytes;
    }
    *bits = note->mask;
    *cost_max = note->cost_max;
    return SLM_OK;
}

void walk_fill(struct constraint *c, int32_t from, int32_t limit, bool strip) {
    struct walk w = {.c = c, .bits = c->scratch, .from = from, .limit = limit};
    fill_mask(&w, strip);
}
