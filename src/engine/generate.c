/* generate.c -- the loop: logits -> sampler -> detokenizer -> stop strings -> the caller.
 *
 * A pass runs the last token, and perhaps guesses of what follows (speculate.h). Its rows of logits are used one by one for
 * as long as the pick equals the guess; what was guessed wrong is forgotten before the next pass.
 *
 * Text leaves only when it is whole UTF-8 and cannot be the beginning of a stop string. The token that ended the
 * text is not part of the result. */
#include <string.h>

#include "base/cpu.h"
#include "base/util.h"
#include "engine/outlet.h"
#include "engine/session.h"

#define FORCED_MAX 64 /* tokens of one pass that are the only way on */

const char *finish_name(enum finish f) {
    static const char *const names[] = {"eos", "stop", "length", "context", "callback", "cancelled"};
    return names[f];
}

/* Give what is ready to the caller. */
static void emit(const struct outlet *o, const struct generate_params *p, bool *go_on) {
    if (o->text.len && p->on_text && !p->on_text(p->user, o->text.data, o->text.len)) *go_on = false;
}

struct loop {
    struct slm_session *s;
    const struct generate_params *p;
    struct generate_result *r;
    struct sampler *sampler;
    struct outlet outlet;
    struct constrain_run *held;      /* NULL: the text is free */
    struct speculation *speculation; /* NULL: no guesses */
    int32_t pass[SPECULATE_GUESSES_MAX + 1]; /* the pass under way: a token, and guesses */
    int32_t n_guess, n_kept;
    size_t n_prefix;  /* positions before the row of logits in use: those that are true */
    double pass_s;
    bool is_pass;     /* not the prompt's */
};

/* Logits after the last token that is true. */
static const float *row_of(const struct loop *l) { return l->s->logits + (size_t)l->n_kept * l->s->model->hp.n_vocab; }

/* The pass is over: wrong guesses leave the timeline. */
static void end_pass(struct loop *l) {
    session_truncate(l->s, l->n_prefix);
    if (l->speculation && l->is_pass) speculation_passed(l->speculation, l->n_guess, l->n_kept, l->pass_s);
    l->is_pass = false;
    l->n_guess = l->n_kept = 0;
}

/* Guesses that could be used: within the context, and no more than tokens are still asked for. */
static int32_t guesses_wanted(const struct loop *l) {
    int64_t n = (int64_t)l->s->plan.n_ctx - (int64_t)l->n_prefix - 1;
    if (l->p->n_max >= 0 && l->p->n_max - (int64_t)l->r->ids.n - 1 < n) n = l->p->n_max - (int64_t)l->r->ids.n - 1;
    if (l->s->plan.n_batch - 1 < n) n = l->s->plan.n_batch - 1;
    if (l->s->plan.n_out - 1 < n) n = l->s->plan.n_out - 1;
    return n < 0 ? 0 : n > SPECULATE_GUESSES_MAX ? SPECULATE_GUESSES_MAX : (int32_t)n;
}

/* Make row_of the logits after id: it was guessed, or the next pass runs it. */
static slm_status go_on_with(struct loop *l, int32_t id, slm_err *err) {
    slm_status st = SLM_OK;
    if (l->n_kept < l->n_guess && l->pass[l->n_kept + 1] == id) {
        l->n_kept++;
        l->n_prefix++;
        return SLM_OK;
    }
    end_pass(l);
    double t0 = time_now_s();
    l->pass[0] = id;
    if (l->speculation) TRY(speculation_guess(l->speculation, l->sampler, guesses_wanted(l), l->pass + 1, &l->n_guess, err));
    TRY(session_append_all(l->s, l->pass, (size_t)l->n_guess + 1, err));
    l->pass_s = time_now_s() - t0;
    l->is_pass = true;
    l->n_prefix++;
    return SLM_OK;
out:
    l->n_guess = 0;
    return st;
}

/* Tokens that may still come: to n_max, or until the context is full. */
static int32_t n_left(const struct loop *l) {
    int64_t n = (int64_t)l->s->plan.n_ctx - (int64_t)l->n_prefix + 1;
    if (l->p->n_max >= 0 && l->p->n_max - (int64_t)l->r->ids.n < n) n = l->p->n_max - (int64_t)l->r->ids.n;
    return (int32_t)n;
}

/* A token that was chosen: judge, emit. *done tells that r->finish is set. */
static slm_status take(struct loop *l, int32_t id, const float *logits, bool *done, slm_err *err) {
    const struct generate_params *p = l->p;
    bool go_on = true, stopped;
    slm_status st = SLM_OK;
    *done = true;
    if (l->held && (st = constrain_accept(l->held, id, err)) != SLM_OK) return st;
    if ((st = tok_ids_push(&l->r->ids, id, err)) != SLM_OK || (st = sampler_accept(l->sampler, id, err)) != SLM_OK) return st;
    if (l->speculation && (st = speculation_accept(l->speculation, id, err)) != SLM_OK) return st;
    if (p->on_token) go_on = p->on_token(p->user, id, logits);
    if ((st = outlet_push(&l->outlet, id, &stopped, err)) != SLM_OK) return st;
    emit(&l->outlet, p, &go_on);
    l->r->finish = FINISH_STOP;
    if (stopped) return SLM_OK;
    l->r->finish = FINISH_CALLBACK;
    if (!go_on) return SLM_OK;
    l->r->finish = FINISH_EOS;
    if (l->held && constrain_is_done(l->held)) return SLM_OK;
    l->r->finish = FINISH_LENGTH;
    if (p->n_max >= 0 && l->r->ids.n >= (size_t)p->n_max) return SLM_OK;
    l->r->finish = FINISH_CONTEXT;
    if (l->n_prefix >= (size_t)l->s->plan.n_ctx) return SLM_OK;
    *done = false;
    return SLM_OK;
}

/* Tokens that are the only way on, several in one pass; *n 0: there is a choice, or one token is as good as asking. Where someone
 * wants the logits of each they go one by one. */
static slm_status forced_step(struct loop *l, bool *done, size_t *n, slm_err *err) {
    int32_t ids[FORCED_MAX];
    const size_t n_prefix = l->n_prefix;
    size_t n_max = (size_t)l->s->plan.n_batch < FORCED_MAX ? (size_t)l->s->plan.n_batch : FORCED_MAX, n_room = (size_t)l->s->plan.n_ctx - l->n_prefix;
    slm_status st = constrain_forced(l->held, n_left(l), ids, l->p->on_token ? 1 : n_max < n_room ? n_max : n_room, n, err);
    for (size_t i = 0; i < *n && st == SLM_OK && !*done; i++) {
        l->n_prefix = n_prefix + i; /* what `take` compares with the context */
        st = take(l, ids[i], row_of(l), done, err);
        if (*done) *n = i + 1;
    }
    l->n_prefix = n_prefix;
    if (st != SLM_OK || *n == 0 || *done) return st;
    if (*n == 1) return go_on_with(l, ids[0], err);
    end_pass(l);
    if ((st = session_append_run(l->s, ids, *n, err)) == SLM_OK) l->n_prefix += *n;
    return st;
}

/* One token, or several that are forced: *done tells that r->finish is set. */
static slm_status one_step(struct loop *l, bool *done, slm_err *err) {
    const struct generate_params *p = l->p;
    const float *logits;
    slm_status st = SLM_OK;
    size_t n = 0;
    int32_t id;
    if (l->held) TRY(forced_step(l, done, &n, err));
    if (n > 0) goto out;
    logits = row_of(l);
    TRY(logits_check(logits, tok_n_vocab(l->s->model->tok), err));
    if (l->held) TRY(constrain_pick(l->held, l->sampler, logits, n_left(l), &id, err));
    else id = sampler_pick(l->sampler, logits);
    if ((!p->ignore_eos || l->held) && tok_is_end(l->s->model->tok, id)) {
        l->r->finish = FINISH_EOS;
        *done = true;
        return SLM_OK;
    }
    TRY(take(l, id, logits, done, err));
    if (!*done) st = go_on_with(l, id, err);
out:
    return st;
}

/* The constraint's run; a limit that its shortest text does not fit is refused before anything is generated. */
static slm_status hold(struct loop *l, slm_err *err) {
    if (!l->p->constraint) return SLM_OK;
    slm_status st = constrain_run_create(l->p->constraint, l->p->strip_first, &l->held, err);
    if (st != SLM_OK || l->p->n_max == 0) return st;
    int32_t need = constrain_min_tokens(l->held), left = n_left(l);
    if (need >= 0 && need <= left) return SLM_OK;
    err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "structured output: the shortest text that satisfies it has %d tokens, %d fit", need, left);
    err_hint(err, "raise the number of tokens to generate, or the context");
    return SLM_E_LIMIT;
}

/* What was held back comes out, unless a stop string ended the text. */
static slm_status finish_text(struct loop *l, slm_err *err) {
    bool go_on = true, stopped;
    if (l->r->finish == FINISH_STOP) return SLM_OK;
    slm_status st = outlet_finish(&l->outlet, &stopped, err);
    if (stopped) l->r->finish = FINISH_STOP;
    if (st == SLM_OK) emit(&l->outlet, l->p, &go_on);
    return st;
}

slm_status session_generate(struct slm_session *s, const int32_t *prompt, size_t n_prompt, const struct generate_params *p,
                            struct generate_result *result, slm_err *err) {
    slm_status st = SLM_OK;
    struct loop l = {.s = s, .p = p, .r = result};
    double t0 = time_now_s();
    memset(result, 0, sizeof *result);
    result->n_prompt = n_prompt;
    result->finish = FINISH_LENGTH;
    TRY(outlet_init(&l.outlet, s->model->tok, p->stops, p->n_stops, p->strip_first, err));
    l.outlet.detok.render_special = p->render_special;
    TRY(sampler_create(p->sampling, tok_n_vocab(s->model->tok), &l.sampler, err));
    TRY(speculation_create(&p->speculate, s, &l.speculation, err));
    for (size_t i = 0; i < n_prompt; i++) {
        TRY(sampler_accept(l.sampler, prompt[i], err));
        if (l.speculation) TRY(speculation_accept(l.speculation, prompt[i], err));
    }

    TRY(session_feed(s, prompt, n_prompt, &result->n_cached, err));
    l.n_prefix = n_prompt;
    result->prefill_s = time_now_s() - t0;
    t0 = time_now_s();
    TRY(hold(&l, err));
    for (bool done = p->n_max == 0; !done;) TRY(one_step(&l, &done, err));
    TRY(finish_text(&l, err));
out:
    if (st == SLM_E_CANCELLED) {
        err_clear(err);
        result->finish = FINISH_CANCELLED;
        st = finish_text(&l, err);
    }
    if (l.n_prefix > 0) end_pass(&l);
    result->speculate = speculation_stats(l.speculation);
    result->decode_s = result->prefill_s > 0 ? time_now_s() - t0 : 0;
    result->is_closed = l.held && constrain_closed(l.held);
    constrain_run_destroy(l.held);
    sampler_destroy(l.sampler);
    speculation_destroy(l.speculation);
    outlet_fini(&l.outlet);
    if (st != SLM_OK) {
        tok_ids_fini(&result->ids);
        memset(result, 0, sizeof *result);
    }
    return st;
}
