/* perplexity.c -- chunks through the model, sums over predictions, comparison with saved log-probabilities.
 *
 * Every sum runs over positions in the order of the text in double, so that neither threads nor the size of passes change a
 * bit. A perplexity's interval is that of its logarithm's mean. */
#include "engine/perplexity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"

#define Z_95 1.959963984540054 /* of a normal distribution */
#define N_CTX_MIN 4

/* Mean and spread of a stream. */
struct sum {
    double n, sum, squares;
};

static void sum_add(struct sum *s, double v) {
    s->n++;
    s->sum += v;
    s->squares += v * v;
}

static struct estimate sum_estimate(const struct sum *s) {
    double mean = s->n > 0 ? s->sum / s->n : 0, var = s->n > 1 ? (s->squares - s->n * mean * mean) / (s->n - 1) : 0;
    double half = var > 0 ? Z_95 * sqrt(var / s->n) : 0;
    return (struct estimate){mean, mean - half, mean + half};
}

struct measuring {
    const struct perplexity_params *p;
    struct slm_model *m;
    const int32_t *chunk;   /* of the chunk under way */
    uint32_t n_ctx, n_vocab;
    struct logp_file base;
    struct file_out out;
    float *logp, *base_logp; /* [n_vocab] */
    uint16_t *codes;         /* [n_vocab] */
    float *kl_all;           /* [n_scored] for the percentiles */
    uint64_t i_scored, n_bytes;
    struct sum nll, base_nll, kl, top1;
};

/* logp[n] = log softmax(logits[n]) */
static void log_softmax(float *logp, const float *logits, uint32_t n) {
    float max = logits[0];
    double sum = 0;
    for (uint32_t i = 1; i < n; i++) max = logits[i] > max ? logits[i] : max;
    for (uint32_t i = 0; i < n; i++) sum += (double)expf(logits[i] - max);
    double shift = (double)max + log(sum);
    for (uint32_t i = 0; i < n; i++) logp[i] = (float)((double)logits[i] - shift);
}

static uint32_t best_of(const float *logp, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logp[i] > logp[best]) best = i;
    return best;
}

/* A failed write is found by the commit. */
static void save_row(struct measuring *g) {
    float lo = g->logp[0], hi = lo;
    for (uint32_t i = 1; i < g->n_vocab; i++) {
        lo = g->logp[i] < lo ? g->logp[i] : lo;
        hi = g->logp[i] > hi ? g->logp[i] : hi;
    }
    float head[2] = {lo, (hi - lo) / 65535}, inv = head[1] > 0 ? 1 / head[1] : 0;
    for (uint32_t i = 0; i < g->n_vocab; i++) {
        float q = (g->logp[i] - lo) * inv + 0.5f;
        g->codes[i] = (uint16_t)(q < 65535 ? q : 65535);
    }
    fwrite(head, sizeof head, 1, g->out.stream);
    fwrite(g->codes, sizeof *g->codes, g->n_vocab, g->out.stream);
}

/* The saved row is brought back to a sum of one first: then its rounding enters the divergence squared only. */
static void compare_row(struct measuring *g, int32_t target) {
    double sum = 0, dot = 0;
    logp_row(&g->base, g->i_scored, g->base_logp);
    for (uint32_t i = 0; i < g->n_vocab; i++) {
        double b = (double)g->base_logp[i], share = exp(b);
        sum += share;
        dot += share * (b - (double)g->logp[i]);
    }
    double kl = dot / sum - log(sum);
    if (kl < 0) kl = 0; /* rounding */
    sum_add(&g->kl, kl);
    sum_add(&g->base_nll, log(sum) - (double)g->base_logp[target]);
    sum_add(&g->top1, best_of(g->base_logp, g->n_vocab) == best_of(g->logp, g->n_vocab));
    g->kl_all[g->i_scored] = (float)kl;
}

static slm_status score_row(void *user, size_t i_pos, const float *logits, slm_err *err) {
    struct measuring *g = user;
    if (i_pos + 1 >= g->n_ctx) return SLM_OK;
    int32_t target = g->chunk[i_pos + 1];
    log_softmax(g->logp, logits, g->n_vocab);
    if (!isfinite(g->logp[target])) return err_set(err, SLM_E_FAILED, SLM_NOWHERE, "position %zu: the model's scores are not finite", i_pos);
    sum_add(&g->nll, -(double)g->logp[target]);
    g->n_bytes += tok_piece(g->m->tok, target, true).len;
    if (g->p->save_path) save_row(g);
    if (g->base.map.data) compare_row(g, target);
    g->i_scored++;
    return SLM_OK;
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double percentile(const float *sorted, uint64_t n, double share) {
    double at = share * (double)(n - 1);
    uint64_t i = (uint64_t)at;
    double next = (double)sorted[i + 1 < n ? i + 1 : i];
    return (double)sorted[i] + (at - (double)i) * (next - (double)sorted[i]);
}

static void finish(struct measuring *g, struct perplexity_result *r) {
    struct estimate nll = sum_estimate(&g->nll);
    r->n_scored = g->i_scored;
    r->n_scored_bytes = g->n_bytes;
    r->nll_mean = nll.value;
    r->perplexity = (struct estimate){exp(nll.value), exp(nll.low), exp(nll.high)};
    r->bits_per_byte = g->n_bytes ? g->nll.sum / 0.6931471805599453 / (double)g->n_bytes : 0;
    r->has_base = g->base.map.data != NULL;
    if (!r->has_base) return;
    r->base_perplexity = exp(sum_estimate(&g->base_nll).value);
    r->kl = sum_estimate(&g->kl);
    r->top1_agreement = sum_estimate(&g->top1);
    qsort(g->kl_all, g->i_scored, sizeof *g->kl_all, by_value);
    r->kl_median = percentile(g->kl_all, g->i_scored, 0.5);
    r->kl_p90 = percentile(g->kl_all, g->i_scored, 0.9);
    r->kl_p99 = percentile(g->kl_all, g->i_scored, 0.99);
    r->kl_max = (double)g->kl_all[g->i_scored - 1];
}

static slm_status open_base(struct measuring *g, const int32_t *tokens, uint32_t *n_chunk, slm_err *err) {
    slm_status st = logp_open(&g->base, g->p->base_path, err);
    if (st != SLM_OK) return st;
    const struct logp_file *b = &g->base;
    bool same = b->n_vocab == g->n_vocab && b->n_ctx == g->n_ctx;
    if (same && b->n_chunk < *n_chunk) *n_chunk = b->n_chunk;
    for (uint64_t i = 0; same && i < (uint64_t)*n_chunk * g->n_ctx; i++) same = logp_token(b, i) == tokens[i];
    if (same) return SLM_OK;
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "base \"%s\": is of another text, context or vocabulary (n_vocab %u, n_ctx %u)", show_path(g->p->base_path).s,
            b->n_vocab, b->n_ctx);
    err_hint(err, "make it with --save-logits from the same text and --ctx");
    return SLM_E_USAGE;
}

static slm_status open_save(struct measuring *g, const int32_t *tokens, uint32_t n_chunk, slm_err *err) {
    slm_status st = file_out_open(&g->out, g->p->save_path, err);
    uint32_t head[4] = {g->n_vocab, g->n_ctx, n_chunk, 0};
    if (st != SLM_OK) return st;
    fwrite("SLMLOGP1", 8, 1, g->out.stream);
    fwrite(head, sizeof head, 1, g->out.stream);
    fwrite(tokens, sizeof *tokens, (size_t)n_chunk * g->n_ctx, g->out.stream);
    return SLM_OK;
}

/* The text's tokens as scored: BOS at the start of every chunk. */
static slm_status tokens_of(const struct slm_model *m, struct view text, uint32_t n_ctx, uint32_t n_chunk_max, struct tok_ids *ids, uint32_t *n_chunk,
                            slm_err *err) {
    const struct tok_config *tok = tok_config_of(m->tok);
    bool has_bos = tok->add_bos && tok->bos != TOK_NONE;
    slm_status st = tok_encode(m->tok, text, has_bos ? TOK_ADD_BOS : 0, ids, err);
    if (st != SLM_OK) return st;
    if (ids->n < n_ctx) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "text of %zu tokens: shorter than a chunk of %u", ids->n, n_ctx);
        err_hint(err, "give more text or a smaller --ctx");
        return SLM_E_USAGE;
    }
    uint64_t n = ids->n / n_ctx;
    if (n_chunk_max && n > n_chunk_max) n = n_chunk_max;
    *n_chunk = (uint32_t)n;
    for (uint64_t i = 0; has_bos && i < n; i++) ids->v[i * n_ctx] = tok->bos;
    return SLM_OK;
}

static slm_status alloc_rows(struct measuring *g, uint32_t n_chunk, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    TRY(mem_alloc(&mem, g->n_vocab, sizeof(float), "log-probabilities", err));
    g->logp = mem;
    TRY(mem_alloc(&mem, g->n_vocab, sizeof(float), "log-probabilities", err));
    g->base_logp = mem;
    TRY(mem_alloc(&mem, g->n_vocab, sizeof(uint16_t), "log-probabilities", err));
    g->codes = mem;
    TRY(mem_alloc(&mem, (size_t)n_chunk * logp_n_scored(g->n_ctx), sizeof(float), "divergences", err));
    g->kl_all = mem;
out:
    return st;
}

slm_status perplexity_measure(struct slm_model *m, const struct perplexity_params *p, struct view text, struct perplexity_result *r, slm_err *err) {
    slm_status st = SLM_OK;
    struct measuring g = {.p = p, .m = m, .n_ctx = (uint32_t)p->session.n_ctx, .n_vocab = m->hp.n_vocab};
    struct slm_session *s = NULL;
    struct tok_ids ids = {0};
    struct session_params sp = p->session;
    uint32_t n_chunk = 0;
    *r = (struct perplexity_result){.n_ctx = g.n_ctx};
    if (sp.n_ctx < N_CTX_MIN) FAIL(SLM_E_USAGE, SLM_NOWHERE, "context \"%d\": must be at least %d", sp.n_ctx, N_CTX_MIN);
    TRY(tokens_of(m, text, g.n_ctx, p->n_chunk_max, &ids, &n_chunk, err));
    r->n_token = ids.n;
    if (p->base_path) TRY(open_base(&g, ids.v, &n_chunk, err));
    TRY(alloc_rows(&g, n_chunk, err));
    if (p->save_path) TRY(open_save(&g, ids.v, n_chunk, err));
    sp.n_out = session_rows_at_once(m, sp.n_ctx);
    sp.n_chunk = sp.n_ctx < 512 ? sp.n_ctx : 512;
    TRY(session_create(m, &sp, &s, err));
    s->cancel = p->cancel;
    for (uint32_t i = 0; i < n_chunk; i++) {
        g.chunk = ids.v + (size_t)i * g.n_ctx;
        TRY(session_logits_from(s, g.chunk, g.n_ctx, g.n_ctx / 2, score_row, &g, err));
        if (p->progress) p->progress(p->user, i + 1, n_chunk, exp(g.nll.sum / g.nll.n));
    }
    r->n_chunk = n_chunk;
    finish(&g, r);
    if (p->save_path) TRY(file_out_commit(&g.out, err));
out:
    file_out_discard(&g.out);
    logp_close(&g.base);
    session_destroy(s);
    tok_ids_fini(&ids);
    free(g.logp);
    free(g.base_logp);
    free(g.codes);
    free(g.kl_all);
    return st;
}
