/* quant_probe.c -- what changed weights do to a model's predictions, without writing a file.
 *
 * The model's own log-probabilities on the probe's tokens are kept; then its matrices are pointed at quantized copies, the same
 * tokens run again, and the divergence is the answer. Products of the copies take the exact f32 way. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/quant_probe_int.h"

/* Predictions of a chunk that count: those of its second half, as in perplexity.h. */
static uint32_t n_scored_of(const struct quant_probe *p) { return p->n_ctx - 1 - p->n_ctx / 2; }

static void log_softmax(float *logp, const float *logits, uint32_t n) {
    float max = logits[0];
    double sum = 0;
    for (uint32_t i = 1; i < n; i++) max = logits[i] > max ? logits[i] : max;
    for (uint32_t i = 0; i < n; i++) sum += (double)expf(logits[i] - max);
    double shift = (double)max + log(sum);
    for (uint32_t i = 0; i < n; i++) logp[i] = (float)((double)logits[i] - shift);
}

struct scoring {
    struct quant_probe *p;
    uint32_t i_chunk, n_chunk;
    bool is_base;
    double kl, nll, base_nll, same;
    double chunk_kl, chunk_kl2; /* sums over chunks of their mean, and of its square */
};

/* Chunks that serve a choice alternate with those that judge it, so that both come from all over the text. */
static bool serves_fit(const struct quant_probe *p, uint32_t i_chunk) { return p->n_chunk == 1 || (i_chunk % 2 == 0 && i_chunk / 2 < p->n_fit); }
static bool judges(const struct quant_probe *p, uint32_t i_chunk) { return p->n_chunk == 1 || !serves_fit(p, i_chunk); }

static uint32_t best_of(const float *v, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (v[i] > v[best]) best = i;
    return best;
}

static slm_status score_row(void *user, size_t i_pos, const float *logits, slm_err *err) {
    struct scoring *s = user;
    struct quant_probe *p = s->p;
    uint32_t n = p->m->hp.n_vocab;
    (void)err;
    if (i_pos < p->n_ctx / 2 || i_pos + 1 >= p->n_ctx) return SLM_OK;
    float *base = p->base + ((size_t)s->i_chunk * n_scored_of(p) + i_pos - p->n_ctx / 2) * n;
    if (s->is_base) {
        log_softmax(base, logits, n);
        return SLM_OK;
    }
    log_softmax(p->row, logits, n);
    int32_t target = p->tokens[(size_t)s->i_chunk * p->n_ctx + i_pos + 1];
    double kl = 0;
    for (uint32_t i = 0; i < n; i++) kl += (double)expf(base[i]) * ((double)base[i] - (double)p->row[i]);
    s->kl += kl;
    s->nll -= (double)p->row[target];
    s->base_nll -= (double)base[target];
    s->same += best_of(base, n) == best_of(p->row, n);
    return SLM_OK;
}

static slm_status run_chunk(struct quant_probe *p, struct scoring *s, slm_err *err) {
    double before = s->kl;
    slm_status st = session_logits_all(p->session, p->tokens + (size_t)s->i_chunk * p->n_ctx, p->n_ctx, score_row, s, err);
    double mean = (s->kl - before) / n_scored_of(p);
    s->chunk_kl += mean;
    s->chunk_kl2 += mean * mean;
    s->n_chunk++;
    return st;
}

/* One-sided, 95 %: Student's t by degrees of freedom, then near enough the normal's. */
static double t_95(uint32_t freedom) {
    static const double t[] = {6.31, 6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83, 1.81};
    return freedom < sizeof t / sizeof t[0] ? t[freedom] : 1.645 + 1.6 / freedom;
}

slm_status quant_probe_run(struct quant_probe *p, bool is_judging, struct quant_score *score, slm_err *err) {
    struct scoring s = {.p = p};
    slm_status st = SLM_OK;
    for (; s.i_chunk < p->n_chunk && st == SLM_OK; s.i_chunk++)
        if (is_judging ? judges(p, s.i_chunk) : serves_fit(p, s.i_chunk)) st = run_chunk(p, &s, err);
    double n_chunk = s.n_chunk, n = n_chunk * n_scored_of(p), spread = s.chunk_kl2 - s.chunk_kl * s.chunk_kl / n_chunk;
    *score = (struct quant_score){.kl = s.kl / n, .top1_agreement = s.same / n, .perplexity = exp(s.nll / n), .base_perplexity = exp(s.base_nll / n), .n_scored = (uint64_t)n};
    score->kl_upper = score->kl + (s.n_chunk > 1 && spread > 0 ? t_95(s.n_chunk - 1) * sqrt(spread / (n_chunk - 1) / n_chunk) : 0);
    return st;
}

slm_status quant_probe_create(struct slm_model *m, const int32_t *tokens, uint32_t n_chunk, uint32_t n_fit, uint32_t n_ctx, int n_threads, const _Atomic bool *cancel,
                              struct quant_probe **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct quant_probe *p = NULL;
    struct scoring s = {.is_base = true};
    void *mem = NULL;
    struct session_params sp = {.n_ctx = (int32_t)n_ctx, .n_chunk = (int32_t)n_ctx, .n_threads = n_threads, .n_out = session_rows_at_once(m, (int32_t)n_ctx), .kv_type = KV_F32};
    *out = NULL;
    TRY(mem_alloc(&mem, 1, sizeof *p, "probe", err));
    p = mem;
    p->m = m;
    p->n_chunk = n_chunk;
    p->n_fit = 2 * n_fit > n_chunk ? n_chunk / 2 : n_fit;
    p->n_ctx = n_ctx;
    TRY(mem_alloc(&mem, (size_t)n_chunk * n_ctx, sizeof *p->tokens, "probe tokens", err));
    p->tokens = mem;
    memcpy(p->tokens, tokens, (size_t)n_chunk * n_ctx * sizeof *tokens);
    TRY(mem_alloc(&mem, (size_t)n_chunk * n_scored_of(p) * m->hp.n_vocab, sizeof(float), "probe predictions", err));
    p->base = mem;
    TRY(mem_alloc(&mem, m->hp.n_vocab, sizeof(float), "probe predictions", err));
    p->row = mem;
    TRY(session_create(m, &sp, &p->session, err));
    p->session->cancel = cancel;
    s.p = p;
    for (; s.i_chunk < n_chunk; s.i_chunk++) TRY(run_chunk(p, &s, err));
    *out = p;
    p = NULL;
out:
    quant_probe_destroy(p);
    return st;
}

void quant_probe_destroy(struct quant_probe *p) {
    if (!p) return;
    session_destroy(p->session);
    free(p->tokens);
    free(p->base);
    free(p->row);
    free(p);
}

static uint64_t n_row_of(const struct gguf_tensor *t) { return t->n_elem / t->shape[t->n_dim - 1]; }

slm_status quant_probe_swap(struct quant_probe *p, const struct gguf_tensor *t, enum dtype to, const struct quant_params *params, uint8_t **copy, slm_err *err) {
    slm_status st = SLM_OK;
    struct input_weights weights = {0};
    void *mem = NULL;
    uint64_t n_row = n_row_of(t), row_bytes = 0;
    *copy = NULL;
    if (!dtype_row_bytes(to, t->shape[t->n_dim - 1], &row_bytes)) FAIL(SLM_E_FORMAT, t->offset, "rows do not fit their type");
    TRY(mem_alloc(&mem, (size_t)n_row, (size_t)row_bytes, "quantized copy", err));
    TRY(input_weights_get(params->imatrix, t, to, &weights, err));
    TRY(quant_tensor(t, to, &weights, t->n_dim > 1 ? t->shape[t->n_dim - 2] : 1, p->session->compute.pool, 0, n_row, mem, gguf_path(p->m->gguf), err));
    model_move_weights(p->m, t->data, t->n_bytes, t->n_bytes / n_row, mem, to, (size_t)row_bytes);
    *copy = mem;
    mem = NULL;
out:
    free(mem);
    input_weights_fini(&weights);
    return st;
}

void quant_probe_restore(struct quant_probe *p, const struct gguf_tensor *t, enum dtype to, uint8_t *copy) {
    uint64_t n_row = n_row_of(t), row_bytes = 0;
    if (!copy) return;
    dtype_row_bytes(to, t->shape[t->n_dim - 1], &row_bytes);
    model_move_weights(p->m, copy, (size_t)(n_row * row_bytes), (size_t)row_bytes, t->data, t->dtype, t->n_bytes / n_row);
    free(copy);
}

slm_status quant_probe_plan(struct quant_probe *p, const struct quant_plan *plan, const struct quant_params *params, struct quant_score *score, slm_err *err) {
    slm_status st = SLM_OK;
    uint8_t **copies = NULL;
    void *mem = NULL;
    TRY(mem_alloc(&mem, plan->n + 1, sizeof *copies, "quantized copies", err));
    copies = mem;
    for (size_t i = 0; i < plan->n; i++) {
        const struct quant_choice *c = &plan->choices[i];
        if (c->tensor->n_dim >= 2 && c->to != c->tensor->dtype) TRY(quant_probe_swap(p, c->tensor, c->to, params, &copies[i], err));
    }
    TRY(quant_probe_run(p, true, score, err));
out:
    for (size_t i = 0; copies && i < plan->n; i++) quant_probe_restore(p, plan->choices[i].tensor, plan->choices[i].to, copies[i]);
    free(copies);
    return st;
}
