/* eval_text.c -- how well the tokens of a row are predicted, and how near another model's predictions are. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/eval_int.h"

static int32_t best_of(const float *logits, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

/* The prediction of token i_next of the window. */
static void score_row(struct eval_run_state *s, struct eval_item *item, size_t i_next, const float *logits) {
    if (!s->tokens.loss[i_next]) return;
    int32_t next = s->tokens.ids.v[i_next];
    item->nll += log_sum_exp(logits, s->session->model->hp.n_vocab) - (double)logits[next];
    item->n_token++;
    item->n_byte += (uint32_t)tok_piece(s->encode.tok, next, false).len;
}

/* KL(other || model) over the ids that both have. */
static void compare_row(struct eval_run_state *s, struct eval_item *item, size_t i_next, const float *mine, const float *theirs) {
    uint32_t n = s->session->model->hp.n_vocab, n_other = s->other->model->hp.n_vocab;
    if (n_other < n) n = n_other;
    if (!s->tokens.loss[i_next]) return;
    double all_mine = log_sum_exp(mine, n), all_theirs = log_sum_exp(theirs, n), kl = 0;
    for (uint32_t i = 0; i < n; i++) {
        double p = (double)theirs[i] - all_theirs;
        kl += exp(p) * (p - ((double)mine[i] - all_mine));
    }
    item->kl += kl > 0 ? kl : 0;
    item->n_same += best_of(mine, n) == best_of(theirs, n);
}

static void take_rows(struct eval_run_state *s, struct eval_item *item, size_t i_next, size_t n) {
    for (size_t j = 0; j < n; j++) {
        const float *mine = s->session->logits + j * s->session->model->hp.n_vocab;
        score_row(s, item, i_next + j, mine);
        if (s->other) compare_row(s, item, i_next + j, mine, s->other->logits + j * s->other->model->hp.n_vocab);
    }
}

/* One window, ids and marks of which s->tokens are: both models step by step beside each other, so nothing is kept. */
static slm_status window(struct eval_run_state *s, struct eval_item *item, size_t n, slm_err *err) {
    slm_status st = SLM_OK;
    const int32_t *ids = s->tokens.ids.v;
    size_t first = 0, n_step = (size_t)s->session->plan.n_out;
    while (first < n && !s->tokens.loss[first + 1]) first++;
    if (first == n) return SLM_OK;
    if (s->other && (size_t)s->other->plan.n_out < n_step) n_step = (size_t)s->other->plan.n_out;
    TRY(session_feed(s->session, ids, first + 1, NULL, err));
    if (s->other) TRY(session_feed(s->other, ids, first + 1, NULL, err));
    take_rows(s, item, first + 1, 1);
    for (size_t i = first + 1, n_rows; i < n; i += n_rows) {
        n_rows = n - i < n_step ? n - i : n_step;
        TRY(session_append_all(s->session, ids + i, n_rows, err));
        if (s->other) TRY(session_append_all(s->other, ids + i, n_rows, err));
        take_rows(s, item, i + 1, n_rows);
    }
out:
    return st;
}

slm_status eval_text_row(struct eval_run_state *s, const struct data_row *row, struct eval_item *item, slm_err *err) {
    size_t n, n_max = (size_t)s->session->plan.n_ctx;
    if (s->other && (size_t)s->other->plan.n_ctx < n_max) n_max = (size_t)s->other->plan.n_ctx;
    slm_status st = data_encode(&s->encode, row, &s->tokens, err);
    const struct data_tokens all = s->tokens;
    for (size_t at = 0; at + 1 < all.ids.n && st == SLM_OK; at += n) { /* windows of the context, as training cuts them */
        n = all.ids.n - 1 - at < n_max ? all.ids.n - 1 - at : n_max;
        s->tokens.ids.v = all.ids.v + at;
        s->tokens.loss = all.loss + at;
        st = window(s, item, n, err);
    }
    s->tokens = all;
    return st;
}
