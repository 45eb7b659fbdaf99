/* call_guard.c -- free, watching, holding: by what the output's parser says of the text so far.
 *
 * A pick is checked like any under a constraint: first picked, then looked at, and only when it may not come a mask is made. While nothing is
 * held the look is a search of a few dozen bytes for the marks; the mask then leaves out exactly the tokens that the look refuses.
 *
 * A mark that ends calls and is a token of its own (a control token, which no automaton of text knows) is let through by its id. */
#include "engine/call_guard.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "engine/constrain/vocab_int.h"

enum guard_state {
    FREE,     /* no call is under way */
    WATCHING, /* what came may become a call of a late form, or something else */
    HOLDING,
    LEFT_ALONE, /* it began like a call and is none: until the parser says that it is over */
};

struct call_guard {
    const struct tok *tok;
    const struct call_form *form;
    struct constraint *constraint;
    struct constrain_run *run;
    struct output_parser *parser;
    struct detok detok;
    struct buf piece;
    enum guard_state state;
    size_t n_read;      /* bytes of the body that the run has */
    size_t n_quotes;    /* among them */
    int32_t close_id;   /* -1: the close is text */
    bool only_one, has_called;
    float *logits;      /* [n_vocab] for a second pick */
};

/* --- making --- */

static void on_output(void *user, const struct output_event *e) {
    struct call_guard *g = user;
    if (e->kind == OUTPUT_CALL_END) g->has_called = true;
}

/* The id of a close that is a token of no text; -1: it is text, or there is none. */
static int32_t close_token(const struct tok *tok, const struct output_format *format) {
    const char *close = output_format_close(format);
    struct tok_ids ids = {0};
    int32_t id = -1;
    if (close && tok_encode(tok, view_of(close), TOK_PARSE_SPECIAL, &ids, NULL) == SLM_OK && ids.n == 1 && tok_type_of(tok, ids.v[0]) == TOK_CONTROL) id = ids.v[0];
    tok_ids_fini(&ids);
    return id;
}

slm_status call_guard_create(const struct call_guard_spec *spec, const struct constrain_vocab *vocab, struct call_guard **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct call_guard *g = NULL;
    struct output_options o = {.prompt = spec->prompt, .tools = spec->tools};
    char *text = json_dumps(spec->tools, JSON_COMPACT);
    void *mem = NULL;
    *out = NULL;
    if (!text) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "tools: no memory");
    TRY(mem_alloc(&mem, 1, sizeof *g, "tools", err));
    g = mem;
    g->tok = vocab->tok;
    g->form = spec->form;
    g->only_one = spec->only_one;
    g->close_id = close_token(g->tok, spec->format);
    buf_init(&g->piece, 1u << 20);
    detok_init(&g->detok, g->tok, spec->strip_first, true);
    struct constrain_spec c = {.kind = CONSTRAIN_CALLS, .text = view_of(text), .form = spec->form, .only_one = spec->only_one, .close = g->close_id >= 0 ? "" : NULL};
    TRY(constraint_create(&c, vocab, &g->constraint, err));
    TRY(constrain_run_create(g->constraint, false, &g->run, err));
    TRY(output_parser_create(spec->format, &o, on_output, g, &g->parser, err));
    TRY(mem_alloc(&mem, tok_n_vocab(g->tok), sizeof *g->logits, "tools", err));
    g->logits = mem;
    *out = g;
    g = NULL;
out:
    call_guard_destroy(g);
    free(text);
    return st;
}

void call_guard_destroy(struct call_guard *g) {
    if (!g) return;
    output_parser_destroy(g->parser);
    constrain_run_destroy(g->run);
    constraint_destroy(g->constraint);
    buf_fini(&g->piece);
    free(g->logits);
    free(g);
}

const struct schema_notes *call_guard_notes(const struct call_guard *g) { return constraint_notes(g->constraint); }
bool call_guard_is_over(const struct call_guard *g) { return g->state == HOLDING && g->close_id < 0 && constrain_is_done(g->run); }

/* --- picking --- */

/* How much of text lies before or at the quote that ends the name, n_quotes having come; text.len + 1: all of it, and more has to come. */
static size_t to_commit(const struct call_guard *g, struct view text, size_t n_quotes) {
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '"' && ++n_quotes == call_form_quotes(g->form)) return i + 1;
    return text.len + 1;
}

/* Whether text may come where the run is: it makes no call, or the beginning of one that can be completed with n_left more. */
static bool may_follow(struct call_guard *g, struct view text, size_t n_quotes, int32_t n_left) {
    if (constrain_allows_text(g->run, text, n_left)) return true;
    if (!g->form->is_late) return false;
    size_t n = to_commit(g, text, n_quotes);
    return n > text.len || !constrain_allows_text(g->run, (struct view){text.ptr, n}, -1);
}

/* Tokens for the call itself, of n_left: its close may take one. */
static int32_t n_inside(const struct call_guard *g, int32_t n_left) {
    return n_left < 0 || g->close_id < 0 ? n_left : n_left > 1 ? n_left - 1 : 0;
}

/* Whether a token may come while nothing is held. */
static bool allows(struct call_guard *g, int32_t id, int32_t n_left) {
    struct view piece = tok_piece(g->tok, id, true), body;
    int32_t after = n_left > 0 ? n_inside(g, n_left - 1) : n_left;
    if (g->state == LEFT_ALONE || tok_is_end(g->tok, id)) return true;
    if (g->state == WATCHING) return may_follow(g, piece, g->n_quotes, after);
    if (!output_parser_begins(g->parser, piece, g->form, &body)) return true;
    if (g->only_one && g->has_called) return false;
    constrain_restart(g->run);
    return may_follow(g, body, 0, after);
}

/* In a call. Where the call is complete and its close is a token of its own, what is neither more of the call nor an end stands for the close. */
static slm_status pick_held(struct call_guard *g, struct sampler *sampler, const float *logits, int32_t n_left, int32_t *id, slm_err *err) {
    if (g->close_id < 0 || !constrain_may_end(g->run)) return constrain_pick(g->run, sampler, logits, n_inside(g, n_left), id, err);
    *id = sampler_pick(sampler, logits);
    if (tok_is_end(g->tok, *id) || !constrain_allows(g->run, *id, n_inside(g, n_left))) *id = g->close_id;
    return SLM_OK;
}

slm_status call_guard_pick(struct call_guard *g, struct sampler *sampler, const float *logits, int32_t n_left, int32_t *id, slm_err *err) {
    if (g->state == HOLDING) return pick_held(g, sampler, logits, n_left, id, err);
    *id = sampler_pick(sampler, logits);
    if (allows(g, *id, n_left)) return SLM_OK;
    uint32_t n_vocab = tok_n_vocab(g->tok);
    for (uint32_t i = 0; i < n_vocab; i++) g->logits[i] = allows(g, (int32_t)i, n_left) ? logits[i] : -INFINITY;
    *id = sampler_pick(sampler, g->logits);
    return SLM_OK;
}

/* --- what has come --- */

/* The body goes on: more of it to the run, and what the guard is now. */
static slm_status read_body(struct call_guard *g, struct view body, slm_err *err) {
    struct view text = {body.ptr + g->n_read, body.len - g->n_read};
    bool is_call = !g->form->is_late || to_commit(g, text, g->n_quotes) <= text.len;
    if (!constrain_allows_text(g->run, text, -1) || (is_call && g->detok.n_held > 0)) {
        g->state = LEFT_ALONE;
        return SLM_OK;
    }
    slm_status st = constrain_accept_text(g->run, text, err);
    g->n_read = body.len;
    for (size_t i = 0; i < text.len; i++) g->n_quotes += text.ptr[i] == '"';
    g->state = is_call ? HOLDING : WATCHING;
    return st;
}

slm_status call_guard_accept(struct call_guard *g, int32_t id, slm_err *err) {
    struct view body;
    slm_status st = SLM_OK;
    if (g->state == HOLDING && id != g->close_id) TRY(constrain_accept(g->run, id, err));
    buf_clear(&g->piece);
    detok_push(&g->detok, id, &g->piece);
    TRY(buf_status(&g->piece, "tools", err));
    output_parser_push(g->parser, (struct view){g->piece.data, g->piece.len});
    if (!output_parser_body(g->parser, g->form, &body)) {
        g->state = FREE;
        return SLM_OK;
    }
    if (g->state == FREE) {
        constrain_restart(g->run);
        g->n_read = g->n_quotes = 0;
        g->state = WATCHING;
    }
    if (g->state == WATCHING) st = read_body(g, body, err);
out:
    return st;
}
