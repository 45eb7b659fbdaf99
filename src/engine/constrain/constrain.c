/* constrain.c -- tokens against an automaton of bytes: masks, checks of one token, forced tokens, closing in time.
 *
 * A mask is a walk of the vocabulary's trie beside the automaton; it is kept with the state it was made from. Inside a string
 * most tokens are known beforehand to be allowed (vocab_int.h), and only the rest is walked; so it is where a string's first characters lead into one, as those of a name that is
 * unlike the known ones do.
 *
 * Closing in time. need(state) is how many tokens spell the state's cheapest completion: the automaton's shortest bytes, cut
 * into the fewest tokens. A token may come when need(state after it) <= n_left - 1. The first token of that cut always may: what
 * is left of the completion is the cheapest completion of the state it leads to, cut into one token less. So a run that begins
 * with need <= n_left ends complete, whatever is picked.
 *
 * The automaton's tables grow with what is generated; past EXEC_BYTES_MAX they are dropped between tokens, and a run finds its state
 * again from its bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "engine/constrain/names_int.h"
#include "engine/constrain/tools_int.h"
#include "engine/constrain/vocab_int.h"
#include "engine/sampler_int.h"
#include "text/gram/gram.h"

#define EXEC_BYTES_MAX (96u << 20)
#define MASK_BYTES_MAX (32u << 20)
#define NEED_BYTES_MAX 65536  /* a completion longer than this counts one token a byte */
#define RUN_BYTES_MAX (64u << 20)
#define FORCED_BYTES_MAX 512
#define NEED_INF INT32_MAX
#define NAME_RESERVE 4        /* tokens kept for making a name unlike those before it */

/* What is known of a state, by its number. */
struct note {
    uint32_t *mask;    /* [n_words] or NULL */
    uint32_t cost_max; /* of the states that the mask's tokens lead to */
    int32_t need;      /* 0: not asked yet; else 1 + tokens of the cheapest completion, NEED_INF: cannot be spelled */
};

struct cell {
    const int32_t *row; /* gram_row of the state, or NULL */
    int32_t state;
};

struct constraint {
    const struct constrain_vocab *vocab;
    struct gram *gram;
    struct gram_exec *exec;
    struct schema *schema; /* NULL: not of a schema */
    struct schema_notes unenforced;
    struct note *notes;   /* [cap_notes] */
    size_t cap_notes, mask_bytes;
    struct cell *path;    /* [depth_max + 1] states along a walk */
    uint32_t *scratch;    /* [n_words] a mask that is not kept */
    uint64_t epoch;       /* of the automaton's tables */
    bool is_complete;     /* the vocabulary has every byte that text needs */
    bool has_names;       /* objects whose names are free: none may come twice */
};

struct constrain_run {
    struct constraint *c;
    struct buf bytes;     /* generated, as the automaton saw them */
    struct names names;   /* in them, where the constraint has free names */
    float *logits;        /* [n_vocab] masked, for a second pick */
    uint64_t epoch;
    int32_t state;
    bool strip_next;      /* the next piece loses a space */
    bool was_closed;
};

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

static void forget_masks(struct constraint *c) {
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

/* Tokens to complete the text from a state. */
static int32_t need_of(struct constraint *c, int32_t state) {
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

/* Whether a token that leads from one state to another leaves a completion that fits. limit: tokens that may follow it; -1: any. */
static bool leads_well(struct constraint *c, int32_t from, int32_t to, int32_t limit) {
    uint32_t cost = gram_cost(c->exec, to);
    if (cost == GRAM_COST_INF) return false;
    if (gram_depth(c->exec, to) > GRAM_DEPTH_MAX && cost >= gram_cost(c->exec, from)) return false;
    if (!c->is_complete && need_of(c, to) == NEED_INF) return false;
    return limit < 0 || cost <= (uint32_t)limit || need_of(c, to) <= limit;
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
                is_good = leads_well(w->c, w->from, s, w->limit);
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
    if (w->limit >= 0 && need_of(w->c, w->from) > w->limit) return true; /* no room for a character more: the rest may close */
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
        if (node != UINT32_MAX && leads_well(c, w->from, w->from, w->limit)) mark_token(w, w->t->nodes[node].id);
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

/* The state after a piece; GRAM_DEAD: it may not come. */
static int32_t follow(struct constraint *c, int32_t state, struct view piece, bool strip) {
    if (piece.len == 0) return GRAM_DEAD;
    if (strip && piece.ptr[0] == ' ') piece = (struct view){piece.ptr + 1, piece.len - 1};
    for (size_t i = 0; i < piece.len && state >= 0; i++) state = gram_next(c->exec, state, (uint8_t)piece.ptr[i]);
    return state;
}

/* --- constraint --- */

static slm_status compile_calls(const struct constrain_spec *spec, struct constraint *c, slm_err *err) {
    json_t *names = json_array();
    slm_status st = names ? tools_schema(spec->text, names, &c->schema, err) : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "tools: no memory");
    if (st == SLM_OK) st = gram_from_calls(c->schema, names, spec->form, spec->close ? spec->close : spec->form->close, spec->only_one, &c->gram, &c->unenforced, err);
    json_decref(names);
    schema_destroy(c->schema); /* of the arguments alone: nothing to check a whole text by */
    c->schema = NULL;
    return st;
}

static slm_status compile(const struct constrain_spec *spec, struct constraint *c, slm_err *err) {
    slm_status st = SLM_OK;
    switch (spec->kind) {
    case CONSTRAIN_REGEX: return gram_from_regex(spec->text, &c->gram, err);
    case CONSTRAIN_CHOICE: return gram_from_choices(spec->choices, spec->n_choices, &c->gram, err);
    case CONSTRAIN_GRAMMAR: return gram_from_gbnf(spec->text, &c->gram, err);
    case CONSTRAIN_SCHEMA: st = schema_parse(spec->text, NULL, &c->schema, err); break;
    case CONSTRAIN_JSON: st = schema_parse(VIEW("{\"type\": \"object\"}"), NULL, &c->schema, err); break;
    case CONSTRAIN_TOOLS: st = tools_schema(spec->text, NULL, &c->schema, err); break;
    case CONSTRAIN_CALLS: return compile_calls(spec, c, err);
    default: return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "structured output: an unknown kind");
    }
    return st != SLM_OK ? st : gram_from_schema(c->schema, &c->gram, &c->unenforced, err);
}

static bool has_every_byte(const struct constrain_vocab *v) {
    for (unsigned b = 0; b < 0xf5; b++)
        if (!v->has_byte[b] && b != 0xc0 && b != 0xc1) return false;
    return true;
}

slm_status constraint_create(const struct constrain_spec *spec, const struct constrain_vocab *vocab, struct constraint **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct constraint *c = NULL;
    void *mem = NULL;
    *out = NULL;
    TRY(mem_alloc(&mem, 1, sizeof *c, "structured output", err));
    c = mem;
    c->vocab = vocab;
    c->is_complete = has_every_byte(vocab);
    TRY(compile(spec, c, err));
    c->has_names = gram_has_names(c->gram);
    TRY(gram_exec_create(c->gram, &c->exec, err));
    TRY(mem_alloc(&mem, (size_t)vocab->all.depth_max + 1, sizeof *c->path, "structured output", err));
    c->path = mem;
    TRY(mem_alloc(&mem, vocab->n_words, sizeof *c->scratch, "structured output", err));
    c->scratch = mem;
    int32_t n_shortest = need_of(c, gram_start(c->exec));
    TRY(gram_exec_failed(c->exec, err)); /* too much work, which is not the vocabulary's fault */
    if (n_shortest == NEED_INF)
        FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "structured output: the model's vocabulary has no tokens to spell a text that satisfies it");
    *out = c;
    c = NULL;
out:
    constraint_destroy(c);
    return st;
}

void constraint_destroy(struct constraint *c) {
    if (!c) return;
    forget_masks(c);
    free(c->notes);
    free(c->path);
    free(c->scratch);
    gram_exec_destroy(c->exec);
    gram_destroy(c->gram);
    schema_destroy(c->schema);
    free(c);
}

const struct schema_notes *constraint_notes(const struct constraint *c) { return &c->unenforced; }

slm_status constraint_check(struct constraint *c, struct view text, bool *is_valid, slm_err *err) {
    *is_valid = true;
    return c->schema ? schema_check_text(c->schema, text, is_valid, err) : SLM_OK;
}

/* --- run --- */

slm_status constrain_run_create(struct constraint *c, bool strip_first, struct constrain_run **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct constrain_run *run = NULL;
    void *mem = NULL;
    *out = NULL;
    TRY(mem_alloc(&mem, 1, sizeof *run, "structured output", err));
    run = mem;
    run->c = c;
    buf_init(&run->bytes, RUN_BYTES_MAX);
    TRY(mem_alloc(&mem, c->vocab->n_vocab, sizeof *run->logits, "structured output", err));
    run->logits = mem;
    run->epoch = c->epoch;
    run->state = gram_start(c->exec);
    run->strip_next = strip_first && tok_config_of(c->vocab->tok)->add_space_prefix;
    *out = run;
    run = NULL;
out:
    constrain_run_destroy(run);
    return st;
}

slm_status constrain_run_clone(const struct constrain_run *from, struct constrain_run **out, slm_err *err) {
    slm_status st = constrain_run_create(from->c, false, out, err);
    if (st != SLM_OK) return st;
    struct constrain_run *run = *out;
    buf_append(&run->bytes, from->bytes.data, from->bytes.len);
    run->epoch = from->epoch;
    run->state = from->state;
    run->strip_next = from->strip_next;
    run->was_closed = from->was_closed;
    st = names_copy(&from->names, &run->names, err);
    if (st != SLM_OK || (st = buf_status(&run->bytes, "structured output", err)) != SLM_OK) {
        constrain_run_destroy(run);
        *out = NULL;
    }
    return st;
}

void constrain_run_destroy(struct constrain_run *run) {
    if (!run) return;
    buf_fini(&run->bytes);
    names_fini(&run->names);
    free(run->logits);
    free(run);
}

/* Drop what has grown too large, and find the run's state again if it was dropped since. */
static slm_status refresh(struct constrain_run *run, slm_err *err) {
    struct constraint *c = run->c;
    if (gram_exec_bytes(c->exec) > EXEC_BYTES_MAX || gram_exec_failed(c->exec, NULL) != SLM_OK) {
        forget_masks(c);
        if (c->notes) memset(c->notes, 0, c->cap_notes * sizeof *c->notes);
        gram_exec_flush(c->exec);
        c->epoch++;
    }
    if (run->epoch == c->epoch) return SLM_OK;
    int32_t s = gram_start(c->exec);
    for (size_t i = 0; i < run->bytes.len && s >= 0; i++) s = gram_next(c->exec, s, (uint8_t)run->bytes.data[i]);
    if (s < 0) {
        slm_status st = gram_exec_failed(c->exec, err);
        return st != SLM_OK ? st : err_set(err, SLM_E_FAILED, SLM_NOWHERE, "structured output: the text so far was lost");
    }
    run->state = s;
    run->epoch = c->epoch;
    return SLM_OK;
}

/* Where names are free what one token may do depends on whether others are left: the mask decides, unless there is plenty. */
static bool allows_by_mask(struct constrain_run *run, int32_t id, int32_t n_left) {
    struct constraint *c = run->c;
    const uint32_t *bits;
    struct view piece = tok_piece(c->vocab->tok, id, false);
    int32_t to = follow(c, run->state, piece, run->strip_next);
    bool repeats = names_any(&run->names) && names_repeats(&run->names, run->bytes.data, piece);
    if (!repeats && (n_left < 0 || leads_well(c, run->state, to, n_left - 1 - NAME_RESERVE > 0 ? n_left - 1 - NAME_RESERVE : 0))) return true;
    return constrain_mask(run, n_left, &bits, NULL) == SLM_OK && bit_has(bits, id);
}

bool constrain_allows(struct constrain_run *run, int32_t id, int32_t n_left) {
    struct constraint *c = run->c;
    if (id < 0 || (uint32_t)id >= c->vocab->n_vocab || refresh(run, NULL) != SLM_OK) return false;
    if (bit_has(c->vocab->ends, id)) return gram_accepts(c->exec, run->state);
    if (n_left == 0) return false;
    enum tok_type type = tok_type_of(c->vocab->tok, id);
    if (type == TOK_CONTROL || type == TOK_UNKNOWN || type == TOK_UNUSED) return false;
    int32_t to = follow(c, run->state, tok_piece(c->vocab->tok, id, false), run->strip_next);
    if (to < 0 || !leads_well(c, run->state, to, -1)) return false;
    if (c->has_names) return allows_by_mask(run, id, n_left);
    if (n_left < 0 || leads_well(c, run->state, to, n_left - 1)) return true;
    run->was_closed = true;
    return false;
}

static bool is_empty(const uint32_t *bits, uint32_t n) {
    uint32_t any = 0;
    for (uint32_t i = 0; i < n; i++) any |= bits[i];
    return any == 0;
}

/* A mask without a limit, kept with its state where there is room. */
static slm_status mask_of(struct constraint *c, int32_t state, const uint32_t **bits, uint32_t *cost_max, slm_err *err) {
    struct note *note = note_of(c, state, err);
    size_t bytes = c->vocab->n_words * sizeof(uint32_t);
    if (!note) return SLM_E_NOMEM;
    if (!note->mask) {
        if (c->mask_bytes + bytes > MASK_BYTES_MAX) forget_masks(c);
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

/* Take out the tokens that would end a name a second time, in a mask that is the scratch one. */
static void drop_repeats(struct constrain_run *run, uint32_t *bits) {
    const struct constrain_vocab *v = run->c->vocab;
    if (!run->c->has_names || !names_any(&run->names)) return;
    for (size_t i = 0; i < v->n_quotes; i++) {
        int32_t id = v->quotes[i];
        if (bit_has(bits, id) && names_repeats(&run->names, run->bytes.data, tok_piece(v->tok, id, false))) bits[id >> 5] &= ~(1u << (id & 31));
    }
}

/* The mask under a limit of tokens that may follow (-1: none), made in the scratch mask. */
static void limited_mask(struct constrain_run *run, int32_t limit, bool drop) {
    struct walk w = {.c = run->c, .bits = run->c->scratch, .from = run->state, .limit = limit};
    fill_mask(&w, run->strip_next);
    if (drop) drop_repeats(run, run->c->scratch);
}

/* A mask that leaves a completion of at most n_left - 1 tokens. With free names some tokens are kept in reserve, then used, and
 * at the very end a name may come twice rather than the text stay open: the check will say so. */
static void closing_mask(struct constrain_run *run, int32_t n_left) {
    struct constraint *c = run->c;
    uint32_t n = c->vocab->n_words;
    if (n_left == 0) {
        for (uint32_t i = 0; i < n; i++) c->scratch[i] = gram_accepts(c->exec, run->state) ? c->vocab->ends[i] : 0;
        return;
    }
    if (c->has_names && n_left > NAME_RESERVE) {
        limited_mask(run, n_left - 1 - NAME_RESERVE, true);
        if (!is_empty(c->scratch, n)) return;
    }
    limited_mask(run, n_left - 1, true);
    if (c->has_names && is_empty(c->scratch, n)) limited_mask(run, n_left - 1, false);
}

slm_status constrain_mask(struct constrain_run *run, int32_t n_left, const uint32_t **bits, slm_err *err) {
    struct constraint *c = run->c;
    uint32_t cost_max = 0;
    int64_t left = n_left < 0 ? INT64_MAX : n_left - 1 - (c->has_names ? NAME_RESERVE : 0);
    slm_status st = refresh(run, err);
    *bits = NULL;
    if (st != SLM_OK) return st;
    if (!run->strip_next && (st = mask_of(c, run->state, bits, &cost_max, err)) != SLM_OK) return st;
    if (run->strip_next && n_left < 0) {
        limited_mask(run, -1, true);
        *bits = c->scratch;
    } else if (run->strip_next || (int64_t)cost_max > left) {
        closing_mask(run, n_left);
        run->was_closed |= !run->strip_next;
        *bits = c->scratch;
    } else if (c->has_names && names_any(&run->names)) {
        memcpy(c->scratch, *bits, c->vocab->n_words * sizeof **bits);
        drop_repeats(run, c->scratch);
        *bits = c->scratch;
    }
    if ((st = gram_exec_failed(c->exec, err)) != SLM_OK) *bits = NULL;
    if (st == SLM_OK && is_empty(*bits, c->vocab->n_words)) {
        *bits = NULL;
        st = err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "structured output: %d more tokens cannot complete the text, which needs %d", n_left, constrain_min_tokens(run));
    }
    return st;
}

slm_status constrain_pick(struct constrain_run *run, struct sampler *sampler, const float *logits, int32_t n_left, int32_t *id, slm_err *err) {
    const uint32_t *bits;
    *id = sampler_pick(sampler, logits);
    if (constrain_allows(run, *id, n_left)) return SLM_OK;
    slm_status st = constrain_mask(run, n_left, &bits, err);
    if (st != SLM_OK) return st;
    uint32_t n_vocab = run->c->vocab->n_vocab;
    for (uint32_t i = 0; i < n_vocab; i++) run->logits[i] = bit_has(bits, (int32_t)i) ? logits[i] : -INFINITY;
    *id = sampler_pick(sampler, run->logits);
    /* All that may come was banned, or had no probability: the lowest. */
    for (uint32_t i = 0; i < n_vocab && !bit_has(bits, *id); i++)
        if (bit_has(bits, (int32_t)i)) *id = (int32_t)i;
    return SLM_OK;
}

slm_status constrain_accept(struct constrain_run *run, int32_t id, slm_err *err) {
    struct constraint *c = run->c;
    slm_status st = refresh(run, err);
    if (st != SLM_OK) return st;
    struct view piece = tok_piece(c->vocab->tok, id, false);
    int32_t to = id < 0 || (uint32_t)id >= c->vocab->n_vocab || bit_has(c->vocab->ends, id) ? GRAM_DEAD : follow(c, run->state, piece, run->strip_next);
    if (to < 0) {
        st = gram_exec_failed(c->exec, err);
        return st != SLM_OK ? st : err_set(err, SLM_E_USAGE, SLM_NOWHERE, "token %d: may not come here", id);
    }
    size_t n_skip = run->strip_next && piece.ptr[0] == ' ';
    buf_append(&run->bytes, piece.ptr + n_skip, piece.len - n_skip);
    if ((st = buf_status(&run->bytes, "structured output", err)) != SLM_OK) return st;
    if (c->has_names && (st = names_read(&run->names, (struct view){run->bytes.data, run->bytes.len}, err)) != SLM_OK) return st;
    run->strip_next = false;
    run->state = to;
    return SLM_OK;
}

void constrain_restart(struct constrain_run *run) {
    names_fini(&run->names);
    buf_clear(&run->bytes);
    run->epoch = run->c->epoch;
    run->state = gram_start(run->c->exec);
    run->strip_next = run->was_closed = false;
}

bool constrain_allows_text(struct constrain_run *run, struct view text, int32_t n_left) {
    if (refresh(run, NULL) != SLM_OK) return false;
    int32_t to = text.len ? follow(run->c, run->state, text, false) : run->state;
    return to >= 0 && leads_well(run->c, run->state, to, n_left);
}

slm_status constrain_accept_text(struct constrain_run *run, struct view text, slm_err *err) {
    struct constraint *c = run->c;
    slm_status st = refresh(run, err);
    if (st != SLM_OK || text.len == 0) return st;
    int32_t to = follow(c, run->state, text, false);
    if (to < 0) {
        st = gram_exec_failed(c->exec, err);
        return st != SLM_OK ? st : err_set(err, SLM_E_USAGE, SLM_NOWHERE, "text \"%.*s\": may not come here", text.len < 40 ? (int)text.len : 40, text.ptr);
    }
    buf_append(&run->bytes, text.ptr, text.len);
    if ((st = buf_status(&run->bytes, "structured output", err)) != SLM_OK) return st;
    if (c->has_names && (st = names_read(&run->names, (struct view){run->bytes.data, run->bytes.len}, err)) != SLM_OK) return st;
    run->state = to;
    return SLM_OK;
}

slm_status constrain_forced(struct constrain_run *run, int32_t n_left, int32_t *ids, size_t n_max, size_t *n, slm_err *err) {
    struct constraint *c = run->c;
    char bytes[FORCED_BYTES_MAX];
    size_t n_bytes = 0, at = 0;
    struct tok_ids spelled = {0};
    *n = 0;
    slm_status st = refresh(run, err);
    if (st != SLM_OK || run->strip_next) return st;
    int32_t s = run->state;
    for (int byte; n_bytes < sizeof bytes && (byte = gram_only_byte(c->exec, s)) >= 0; n_bytes++) {
        bytes[n_bytes] = (char)byte;
        if ((s = gram_next(c->exec, s, (uint8_t)byte)) < 0) return gram_exec_failed(c->exec, err);
    }
    if (n_bytes == 0) return SLM_OK;
    bool is_end = gram_is_final(c->exec, s);
    st = tok_encode(c->vocab->tok, (struct view){bytes, n_bytes}, 0, &spelled, err);
    if (st == SLM_OK && !is_end && spelled.n > 0) spelled.n--; /* what follows may belong to it */
    s = run->state;
    for (size_t i = 0; st == SLM_OK && i < spelled.n && i < n_max; i++) {
        struct view piece = tok_piece(c->vocab->tok, spelled.v[i], false);
        if (piece.len == 0 || piece.len > n_bytes - at || memcmp(piece.ptr, bytes + at, piece.len) != 0) break; /* not spelled byte for byte */
        int32_t to = follow(c, s, piece, false), left = n_left < 0 ? -1 : n_left - (int32_t)i - 1 - (c->has_names ? NAME_RESERVE : 0);
        if (to < 0 || (n_left >= 0 && left < 0) || !leads_well(c, s, to, left)) break;
        ids[(*n)++] = spelled.v[i];
        at += piece.len;
        s = to;
    }
    tok_ids_fini(&spelled);
    return st;
}

bool constrain_may_end(const struct constrain_run *run) {
    struct constrain_run *r = (struct constrain_run *)(uintptr_t)run; /* refresh keeps what the run means */
    return refresh(r, NULL) == SLM_OK && gram_accepts(r->c->exec, r->state);
}

bool constrain_is_done(struct constrain_run *run) { return refresh(run, NULL) == SLM_OK && gram_is_final(run->c->exec, run->state); }

int32_t constrain_min_tokens(struct constrain_run *run) {
    int32_t need = refresh(run, NULL) == SLM_OK ? need_of(run->c, run->state) : NEED_INF;
    return need == NEED_INF ? -1 : need;
}

bool constrain_closed(const struct constrain_run *run) { return run->was_closed; }
