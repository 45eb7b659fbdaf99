/* generate.c -- the loop: logits -> sampler -> detokenizer -> stop strings -> the caller.
 *
 * Text leaves only when it is whole UTF-8 and cannot be the beginning of a stop string. The token that ended the
 * text is not part of the result. */
#include <string.h>

#include "base/cpu.h"
#include "base/util.h"
#include "engine/session.h"

#define TEXT_STEP_BYTES_MAX (1u << 20) /* text of one step: a piece plus what stop strings held back */

const char *finish_name(enum finish f) {
    static const char *const names[] = {"eos", "stop", "length", "context", "callback", "cancelled"};
    return names[f];
}

/* Text on its way out. */
struct outlet {
    struct detok detok;
    struct stop stop;
    struct buf piece, text;
};

static void outlet_fini(struct outlet *o) {
    stop_fini(&o->stop);
    buf_fini(&o->piece);
    buf_fini(&o->text);
}

/* Give what is ready to the caller. */
static slm_status outlet_emit(struct outlet *o, const struct generate_params *p, bool *go_on, slm_err *err) {
    slm_status st = buf_status(&o->piece, "generated text", err);
    if (st == SLM_OK) st = buf_status(&o->text, "generated text", err);
    if (st == SLM_OK && o->text.len && p->on_text && !p->on_text(p->user, o->text.data, o->text.len)) *go_on = false;
    buf_clear(&o->piece);
    buf_clear(&o->text);
    return st;
}

struct loop {
    struct slm_session *s;
    const struct generate_params *p;
    struct generate_result *r;
    struct sampler *sampler;
    struct outlet outlet;
};

/* One token: pick, judge, emit. *done tells that r->finish is set. */
static slm_status one_step(struct loop *l, bool *done, slm_err *err) {
    const struct tok *tok = l->s->model->tok;
    const struct generate_params *p = l->p;
    bool go_on = true;
    slm_status st;
    *done = true;
    int32_t id = sampler_pick(l->sampler, l->s->logits);
    if (!p->ignore_eos && tok_is_end(tok, id)) {
        l->r->finish = FINISH_EOS;
        return SLM_OK;
    }
    if ((st = tok_ids_push(&l->r->ids, id, err)) != SLM_OK || (st = sampler_accept(l->sampler, id, err)) != SLM_OK) return st;
    if (p->on_token) go_on = p->on_token(p->user, id, l->s->logits);
    detok_push(&l->outlet.detok, id, &l->outlet.piece);
    bool stopped = stop_push(&l->outlet.stop, (struct view){l->outlet.piece.data, l->outlet.piece.len}, &l->outlet.text, NULL);
    st = outlet_emit(&l->outlet, p, &go_on, err);
    if (st != SLM_OK) return st;
    l->r->finish = FINISH_STOP;
    if (stopped) return SLM_OK;
    l->r->finish = FINISH_CALLBACK;
    if (!go_on) return SLM_OK;
    l->r->finish = FINISH_LENGTH;
    if (p->n_max >= 0 && l->r->ids.n >= (size_t)p->n_max) return SLM_OK;
    l->r->finish = FINISH_CONTEXT;
    if (l->s->timeline.n >= (size_t)l->s->plan.n_ctx) return SLM_OK;
    *done = false;
    return session_append(l->s, id, err);
}

/* What was held back comes out, unless a stop string ended the text. */
static slm_status finish_text(struct loop *l, slm_err *err) {
    struct outlet *o = &l->outlet;
    bool go_on = true;
    if (l->r->finish == FINISH_STOP) return SLM_OK;
    detok_finish(&o->detok, &o->piece);
    int i_matched;
    if (stop_push(&o->stop, (struct view){o->piece.data, o->piece.len}, &o->text, &i_matched)) l->r->finish = FINISH_STOP;
    else stop_finish(&o->stop, &o->text);
    return outlet_emit(o, l->p, &go_on, err);
}

slm_status session_generate(struct slm_session *s, const int32_t *prompt, size_t n_prompt, const struct generate_params *p,
                            struct generate_result *result, slm_err *err) {
    slm_status st = SLM_OK;
    struct loop l = {.s = s, .p = p, .r = result};
    double t0 = time_now_s();
    memset(result, 0, sizeof *result);
    result->n_prompt = n_prompt;
    result->finish = FINISH_LENGTH;
    buf_init(&l.outlet.piece, TEXT_STEP_BYTES_MAX);
    buf_init(&l.outlet.text, TEXT_STEP_BYTES_MAX);
    detok_init(&l.outlet.detok, s->model->tok, p->strip_first, false);
    TRY(stop_init(&l.outlet.stop, p->stops, p->n_stops, err));
    TRY(sampler_create(p->sampling, s->model->hp.n_vocab, &l.sampler, err));
    for (size_t i = 0; i < n_prompt; i++) TRY(sampler_accept(l.sampler, prompt[i], err));

    TRY(session_feed(s, prompt, n_prompt, &result->n_cached, err));
    result->prefill_s = time_now_s() - t0;
    t0 = time_now_s();
    for (bool done = p->n_max == 0; !done;) TRY(one_step(&l, &done, err));
    TRY(finish_text(&l, err));
out:
    if (st == SLM_E_CANCELLED) {
        err_clear(err);
        result->finish = FINISH_CANCELLED;
        st = finish_text(&l, err);
    }
    result->decode_s = result->prefill_s > 0 ? time_now_s() - t0 : 0;
    sampler_destroy(l.sampler);
    outlet_fini(&l.outlet);
    if (st != SLM_OK) {
        tok_ids_fini(&result->ids);
        memset(result, 0, sizeof *result);
    }
    return st;
}
