/* embed.c -- states of a text's tokens, pooled to one vector.
 *
 * Sums of the mean run in double in the order of the tokens, so chunks do not show. */
#include "engine/embed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const names[N_POOLINGS] = {"none", "mean", "cls", "last", "rank"};

const char *pooling_name(enum pooling p) { return names[p]; }

bool pooling_by_name(const char *name, enum pooling *p) {
    for (int i = 0; i < N_POOLINGS; i++)
        if (strcasecmp(names[i], name) == 0) {
            *p = (enum pooling)i;
            return true;
        }
    return false;
}

struct session_params embed_session_params(const struct slm_model *m, int32_t n_ctx, int n_threads) {
    struct session_params p = {.n_ctx = n_ctx, .n_threads = n_threads, .kv_type = KV_TYPE_AUTO};
    if (!m->hp.bidirectional) return p;
    if (p.n_ctx == 0) p.n_ctx = (int32_t)m->hp.n_ctx_train;
    p.n_chunk = p.n_ctx;
    return p;
}

slm_status embed_pooling(const struct slm_model *m, const struct embed_params *p, enum pooling *out, slm_err *err) {
    *out = p->pooling == POOLING_MODEL ? (enum pooling)m->hp.pooling : (enum pooling)p->pooling;
    bool has_head = m->global[W_CLS_OUT].w.data || m->global[W_CLS].w.data;
    if (*out == POOLING_RANK && !has_head)
        return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "pooling \"rank\": the model has no classification head");
    return SLM_OK;
}

slm_status embed_encode(const struct slm_model *m, struct view text, struct tok_ids *out, slm_err *err) {
    const struct tok_config *c = tok_config_of(m->tok);
    bool wrapped = m->hp.bidirectional && c->cls != TOK_NONE && c->sep != TOK_NONE;
    int32_t first = wrapped ? c->cls : c->add_bos ? c->bos : TOK_NONE, last = wrapped ? c->sep : c->add_eos ? c->eos : TOK_NONE;
    slm_status st = SLM_OK;
    if (first != TOK_NONE) st = tok_ids_push(out, first, err);
    if (st == SLM_OK) st = tok_encode(m->tok, text, 0, out, err);
    if (st == SLM_OK && last != TOK_NONE) st = tok_ids_push(out, last, err);
    return st;
}

/* Which of n tokens the pooling reads. */
static bool is_read(const struct slm_model *m, enum pooling p, size_t i, size_t n) {
    if (p == POOLING_RANK) p = m->hp.bidirectional ? POOLING_CLS : POOLING_LAST;
    return p == POOLING_CLS ? i == 0 : p == POOLING_LAST ? i == n - 1 : true;
}

struct chunk {
    struct slm_session *s;
    struct batch batch;
};

static slm_status run_chunk(void *arg, slm_err *err) {
    struct chunk *x = arg;
    return model_forward(x->s->forward, x->s->kv, &x->batch, x->s->cancel, NULL, err);
}

/* The text's next chunk; where the states that are read begin is forward_hidden. */
static slm_status forward_chunk(struct slm_session *s, const int32_t *ids, size_t n, size_t at, size_t n_chunk, enum pooling p, size_t *n_read, slm_err *err) {
    *n_read = 0;
    for (size_t i = 0; i < n_chunk; i++) {
        s->batch_pos[i] = (int32_t)(at + i);
        s->batch_seq[i] = &s->seq;
        s->batch_want[i] = is_read(s->model, p, at + i, n);
        *n_read += s->batch_want[i];
    }
    struct chunk chunk = {s, {.n_tok = (int32_t)n_chunk, .token = ids + at, .pos = s->batch_pos, .seq = s->batch_seq, .want_logits = s->batch_want, .hidden = true}};
    slm_status st = kv_reserve(s->kv, &s->seq, (int32_t)(at + n_chunk), err);
    return st == SLM_OK ? session_run(s, run_chunk, &chunk, err) : st;
}

struct pooled {
    struct slm_session *s;
    enum pooling pooling;
    float *state, *out;
};

static slm_status run_head(void *arg, slm_err *err) {
    struct pooled *x = arg;
    (void)err;
    model_pooled_head(x->s->forward, x->pooling, x->state, x->out);
    return SLM_OK;
}

static void scale_to_one(float *v, size_t n) {
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (double)v[i] * (double)v[i];
    double scale = squares > 0 ? 1 / sqrt(squares) : 0;
    for (size_t i = 0; i < n; i++) v[i] = (float)((double)v[i] * scale);
}

static slm_status check_finite(const float *v, size_t n, slm_err *err) {
    for (size_t i = 0; i < n; i++) {
        if (isfinite(v[i])) continue;
        err_set(err, SLM_E_FAILED, SLM_NOWHERE, "the model's state of the text is no finite number");
        err_hint(err, "the model's file may be damaged; slm perplexity tells");
        return SLM_E_FAILED;
    }
    return SLM_OK;
}

static slm_status check_length(const struct slm_session *s, size_t n, slm_err *err) {
    bool whole = s->model->hp.bidirectional;
    size_t limit = (size_t)(whole ? s->plan.n_batch : s->plan.n_ctx);
    if (n == 0) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "the text has no tokens");
    if (n <= limit && n <= (size_t)s->plan.n_ctx) return SLM_OK;
    err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "text of %zu tokens: does not fit a context of %zu", n, limit);
    err_hint(err, "use a larger --ctx or a shorter text (the model was made for %u)", s->model->hp.n_ctx_train);
    return SLM_E_LIMIT;
}

slm_status session_embed(struct slm_session *s, const int32_t *ids, size_t n, const struct embed_params *p, float *out, slm_err *err) {
    slm_status st = SLM_OK;
    size_t d = s->model->hp.d_model, n_row = 0, n_read;
    enum pooling pooling;
    double *sum = NULL;
    float *pooled = NULL;
    void *mem = NULL;
    TRY(embed_pooling(s->model, p, &pooling, err));
    TRY(check_length(s, n, err));
    TRY(mem_alloc(&mem, d, sizeof *sum, "pooling", err));
    sum = mem;
    TRY(mem_alloc(&mem, d, sizeof *pooled, "pooling", err));
    pooled = mem;
    session_forget(s);
    for (size_t at = 0; at < n;) {
        size_t n_chunk = n - at < (size_t)s->plan.n_batch ? n - at : (size_t)s->plan.n_batch;
        TRY(forward_chunk(s, ids, n, at, n_chunk, pooling, &n_read, err));
        const float *state = forward_hidden(s->forward);
        if (pooling == POOLING_NONE) memcpy(out + n_row * d, state, n_read * d * sizeof *out);
        else
            for (size_t i = 0; i < n_read * d; i++) sum[i % d] += (double)state[i];
        n_row += n_read;
        at += n_chunk;
    }
    if (pooling != POOLING_NONE) {
        for (size_t i = 0; i < d; i++) pooled[i] = (float)(sum[i] / (double)n_row);
        TRY(session_run(s, run_head, &(struct pooled){s, pooling, pooled, out}, err));
        n_row = 1;
    }
    if (p->normalize && pooling != POOLING_RANK)
        for (size_t i = 0; i < n_row; i++) scale_to_one(out + i * d, d);
    TRY(check_finite(out, n_row * model_pooled_size(s->model, pooling), err));
out:
    session_forget(s);
    free(sum);
    free(pooled);
    return st;
}
