/* trainee.c -- a model that learns: made, fed with batches, and taken apart. */
#include <stdlib.h>

#include "train/blas_int.h"
#include "train/net_int.h"

/* ---- batches ---- */

slm_status train_batch_check(const struct train_batch *b, uint32_t n_vocab, slm_err *err) {
    if (b->n_tok < 1 || b->n_tok > TRAIN_MICRO_TOKENS_MAX || b->n_seq < 1 || b->n_seq > b->n_tok)
        return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "batch of %d tokens in %d sequences: at least one each, at most %d tokens", b->n_tok, b->n_seq, TRAIN_MICRO_TOKENS_MAX);
    for (int32_t i = 0; i < b->n_seq; i++)
        if (b->seq_begin[i] >= b->seq_begin[i + 1] || b->seq_begin[0] != 0 || b->seq_begin[b->n_seq] != b->n_tok)
            return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "batch: sequence %d begins at %d and ends at %d of %d", i, b->seq_begin[i], b->seq_begin[i + 1], b->n_tok);
    for (int32_t i = 0; i < b->n_tok; i++) {
        if (b->token[i] < 0 || (uint32_t)b->token[i] >= n_vocab || b->target[i] < TRAIN_NO_TARGET || (b->target[i] >= 0 && (uint32_t)b->target[i] >= n_vocab))
            return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "batch: token %d or target %d is outside a vocabulary of %u", b->token[i], b->target[i], n_vocab);
        if (b->weight && (!(b->weight[i] >= 0) || !isfinite(b->weight[i]))) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "batch: a weight is %g", (double)b->weight[i]);
    }
    const struct train_teacher *te = b->teacher;
    if (!te) return SLM_OK;
    if (te->k < 1 || te->k > TRAIN_TOP_K_MAX || (uint32_t)te->k > n_vocab || !(te->temperature > 0) || !(te->alpha >= 0 && te->alpha <= 1) || !(te->beta >= 0 && te->beta <= 1))
        return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "teacher: k %d, temperature %g, alpha %g, beta %g: out of range", te->k, (double)te->temperature, (double)te->alpha, (double)te->beta);
    for (int32_t i = 0; i < b->n_tok; i++)
        if (te->row[i] >= te->n_row) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "teacher: row %d of %d", te->row[i], te->n_row);
    for (int64_t i = 0; i < (int64_t)te->n_row * te->k; i++)
        if (te->id[i] < 0 || (uint32_t)te->id[i] >= n_vocab) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "teacher: id %d is outside a vocabulary of %u", te->id[i], n_vocab);
    return SLM_OK;
}

double train_batch_weight(const struct train_batch *b) {
    double sum = 0;
    for (int32_t i = 0; i < b->n_tok; i++)
        if (b->target[i] >= 0 || (b->teacher && b->teacher->row[i] >= 0)) sum += b->weight ? (double)b->weight[i] : 1;
    return sum;
}

/* ---- making ---- */

slm_status trainee_create(const struct slm_model *m, const struct trainee_params *p, struct trainee **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct trainee *t = NULL;
    void *mem = NULL;
    *out = NULL;
    TRY(trainee_supports(m->arch, &m->hp, err));
    TRY(blas_load(err));
    TRY(mem_alloc(&mem, 1, sizeof *t, "trainee", err));
    t = mem;
    t->base = m;
    t->arch = m->arch;
    t->hp = m->hp;
    t->set = *p;
    t->n_ctx = p->n_ctx;
    t->kern = kern_get();
    arena_init(&t->arena, SIZE_MAX);
    if (p->n_ctx < 1 || p->n_ctx > TRAIN_MICRO_TOKENS_MAX) FAIL(SLM_E_USAGE, SLM_NOWHERE, "context of %d tokens: must be 1 to %d", p->n_ctx, TRAIN_MICRO_TOKENS_MAX);
    TRY(pool_create(p->n_threads, &t->pool, err));
    TRY(params_layout(t, err));
    TRY(acts_plan(t, err));
    TRY(live_create(t, err));
    *out = t;
    return SLM_OK;
out:
    trainee_destroy(t);
    return st;
}

void trainee_destroy(struct trainee *t) {
    if (!t) return;
    live_destroy(t);
    acts_fini(t);
    mem_release(t->w, t->n_elem * sizeof(real));
    mem_release(t->g, t->n_elem * sizeof(real));
    free(t->params);
    free(t->blocks);
    free(t->adapters);
    arena_fini(&t->arena);
    pool_destroy(t->pool);
    free(t);
}

/* ---- a pass ---- */

static slm_status begin(struct trainee *t, const struct train_batch *b, slm_err *err) {
    slm_status st = train_batch_check(b, t->hp.n_vocab, err);
    if (st != SLM_OK) return st;
    if (b->n_tok > t->micro_tokens) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "batch of %d tokens: the plan has %d", b->n_tok, t->micro_tokens);
    for (int32_t s = 0; s < b->n_seq; s++) {
        if (b->seq_begin[s + 1] - b->seq_begin[s] > t->n_ctx)
            return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "sequence of %d tokens: the plan has %d", b->seq_begin[s + 1] - b->seq_begin[s], t->n_ctx);
        for (int32_t i = b->seq_begin[s]; i < b->seq_begin[s + 1]; i++) t->pos[i] = i - b->seq_begin[s];
    }
    return SLM_OK;
}

struct embed_args {
    struct trainee *t;
    const struct train_batch *b;
    real *x;
};

static void embed_tokens(void *ctx, int64_t begin_, int64_t end, int i_thread) {
    const struct embed_args *a = ctx;
    int64_t d = a->t->hp.d_model;
    real scale = (real)a->t->hp.embd_scale;
    (void)i_thread;
    for (int64_t i = begin_; i < end; i++) {
        real *x = a->x + i * d;
        if (a->t->embd.w) memcpy(x, a->t->embd.w + a->b->token[i] * d, (size_t)d * sizeof(real));
        else linear_row(&a->t->embd, a->b->token[i], x);
        if (a->t->hp.embd_scale != 1) a->t->kern->scale(x, x, scale, d);
    }
}

#define EMBED_COLS 64
/* Columns [begin, end) * EMBED_COLS of the gradient, tokens in their order. */
static void embed_back(void *ctx, int64_t begin_, int64_t end, int i_thread) {
    const struct embed_args *a = ctx;
    int64_t d = a->t->hp.d_model, from = begin_ * EMBED_COLS, to = end * EMBED_COLS < d ? end * EMBED_COLS : d;
    (void)i_thread;
    for (int32_t i = 0; i < a->b->n_tok; i++) a->t->kern->add(a->t->embd.dw + a->b->token[i] * d + from, a->x + i * d + from, (real)a->t->hp.embd_scale, to - from);
}

static void forward(struct trainee *t, const struct train_batch *b) {
    struct embed_args a = {t, b, t->acts[0].buf[ACT_X]};
    pool_run(t->pool, b->n_tok, 32, embed_tokens, &a);
    for (uint32_t i = 0; i < t->hp.n_layer; i++) block_forward(t, b, i);
}

slm_status trainee_loss(struct trainee *t, const struct train_batch *b, const bool *allowed, double *sum, double *weight, struct train_score *scores, slm_err *err) {
    slm_status st = begin(t, b, err);
    if (st != SLM_OK) return st;
    forward(t, b);
    head_loss(t, b, false, 1, allowed, sum, weight, scores);
    return SLM_OK;
}

slm_status trainee_backward(struct trainee *t, const struct train_batch *b, double weight_all, double *sum, double *weight, slm_err *err) {
    slm_status st = begin(t, b, err);
    if (st != SLM_OK) return st;
    if (!(weight_all > 0)) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "step: no token has a loss");
    forward(t, b);
    head_loss(t, b, true, weight_all, NULL, sum, weight, NULL);
    for (uint32_t i = t->hp.n_layer; i-- > 0;) block_backward(t, b, i);
    struct embed_args a = {t, b, t->scratch[SCR_DX]};
    if (t->embd.dw) pool_run(t->pool, (t->hp.d_model + EMBED_COLS - 1) / EMBED_COLS, 1, embed_back, &a);
    return SLM_OK;
}

void trainee_zero_grad(struct trainee *t) { memset(t->g, 0, t->n_elem * sizeof(real)); }
