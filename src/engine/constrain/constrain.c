/* constrain.c -- tokens against an automaton of bytes: masks (made by walk.c), checks of one token, forced tokens, closing in time.
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
#include "engine/constrain/walk_int.h"
#include "engine/sampler_int.h"

#define EXEC_BYTES_MAX (96u << 20)
#define RUN_BYTES_MAX (64u << 20)
#define FORCED_BYTES_MAX 512
#define NAME_RESERVE 4        /* tokens kept for making a name unlike those before it */

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
    int32_t n_shortest = walk_need(c, gram_start(c->exec));
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
    walk_forget(c);
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
        walk_forget(c);
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
    int32_t to = walk_follow(c, run->state, piece, run->strip_next);
    bool repeats = names_any(&run->names) && names_repeats(&run->names, run->bytes.data, piece);
    if (!repeats && (n_left < 0 || walk_leads_well(c, run->state, to, n_left - 1 - NAME_RESERVE > 0 ? n_left - 1 - NAME_RESERVE : 0))) return true;
    return constrain_mask(run, n_left, &bits, NULL) == SLM_OK && bit_has(bits, id);
}

bool constrain_allows(struct constrain_run *run, int32_t id, int32_t n_left) {
    struct constraint *c = run->c;
    if (id < 0 || (uint32_t)id >= c->vocab->n_vocab || refresh(run, NULL) != SLM_OK) return false;
    if (bit_has(c->vocab->ends, id)) return gram_accepts(c->exec, run->state);
    if (n_left == 0) return false;
    enum tok_type type = tok_type_of(c->vocab->tok, id);
    if (type == TOK_CONTROL || type == TOK_UNKNOWN || type == TOK_UNUSED) return false;
    int32_t to = walk_follow(c, run->state, tok_piece(c->vocab->tok, id, false), run->strip_next);
    if (to < 0 || !walk_leads_well(c, run->state, to, -1)) return false;
    if (c->has_names) return allows_by_mask(run, id, n_left);
    if (n_left < 0 || walk_leads_well(c, run->state, to, n_left - 1)) return true;
    run->was_closed = true;
    return false;
}

static bool is_empty(const uint32_t *bits, uint32_t n) {
    uint32_t any = 0;
    for (uint32_t i = 0; i < n; i++) any |= bits[i];
    return any == 0;
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
    walk_fill(run->c, run->state, limit, run->strip_next);
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
    if (!run->strip_next && (st = walk_mask(c, run->state, bits, &cost_max, err)) != SLM_OK) return st;
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
    int32_t to = id < 0 || (uint32_t)id >= c->vocab->n_vocab || bit_has(c->vocab->ends, id) ? GRAM_DEAD : walk_follow(c, run->state, piece, run->strip_next);
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
    int32_t to = text.len ? walk_follow(run->c, run->state, text, false) : run->state;
    return to >= 0 && walk_leads_well(run->c, run->state, to, n_left);
}

slm_status constrain_accept_text(struct constrain_run *run, struct view text, slm_err *err) {
    struct constraint *c = run->c;
    slm_status st = refresh(run, err);
    if (st != SLM_OK || text.len == 0) return st;
    int32_t to = walk_follow(c, run->state, text, false);
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
        int32_t to = walk_follow(c, s, piece, false), left = n_left < 0 ? -1 : n_left - (int32_t)i - 1 - (c->has_names ? NAME_RESERVE : 0);
        if (to < 0 || (n_left >= 0 && left < 0) || !walk_leads_well(c, s, to, left)) break;
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
    int32_t need = refresh(run, NULL) == SLM_OK ? walk_need(run->c, run->state) : NEED_INF;
    return need == NEED_INF ? -1 : need;
}

bool constrain_closed(const struct constrain_run *run) { return run->was_closed; }
