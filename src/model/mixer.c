/* mixer.c -- layers that carry a state of fixed size through the text instead of keys and values: short convolutions and the
 * gated delta rule.
 *
 * A state goes token by token, in the order of the batch, each token's own sequence's; threads share channels and heads, which
 * never meet. So chunks, threads and neighbours change no bit. What is done token by token is small beside the projections
 * around it, which are matrix products over the batch. */
#include <math.h>

#include "model/forward_int.h"

enum { CHANNELS_PER_RUN = 256 };

struct mix_args {
    struct forward *f;
    struct kv *kv;
    const struct batch *b;
    uint32_t i_layer;
};

/* Channels [begin, end) of mix[n_tok, n_channel] become their convolution. */
static void convolve(struct mix_args *a, int64_t begin, int64_t end, float *x, int64_t ld_x, int64_t n_channel, bool silu) {
    const struct ops *ops = &a->f->c->ops;
    const float *w = model_slot(a->f->m, W_MIX_CONV, a->i_layer)->vec;
    int64_t n_tap = a->f->m->hp.conv_kernel, n = end - begin;
    float ones[CHANNELS_PER_RUN];
    for (int64_t i = 0; i < n; i++) ones[i] = 1;
    for (int32_t t = 0; t < a->b->n_tok; t++) {
        float *row = x + t * ld_x + begin, *hist = kv_state(a->kv, a->b->seq[t], a->i_layer) + begin;
        ops->conv_step(row, hist, n_channel, row, w + begin * n_tap, n, n_tap);
        if (silu) ops->silu_mul(row, ones, n);
    }
}

/* ---- gated short convolution: in_proj gives [before, after, h]; branch = out_proj(after * conv(before * h)) ---- */

static void conv_channels(void *ctx, int64_t begin, int64_t end, int i_thread) {
    struct mix_args *a = ctx;
    int64_t d = a->f->m->hp.d_model;
    (void)i_thread;
    for (int64_t at = begin; at < end; at += CHANNELS_PER_RUN) {
        int64_t stop = at + CHANNELS_PER_RUN < end ? at + CHANNELS_PER_RUN : end;
        for (int32_t t = 0; t < a->b->n_tok; t++) {
            float *row = a->f->mix + t * 3 * d;
            for (int64_t c = at; c < stop; c++) row[2 * d + c] *= row[c];
        }
        convolve(a, at, stop, a->f->mix + 2 * d, 3 * d, d, false);
        for (int32_t t = 0; t < a->b->n_tok; t++) {
            const float *row = a->f->mix + t * 3 * d;
            for (int64_t c = at; c < stop; c++) a->f->mix_gate[t * d + c] = row[d + c] * row[2 * d + c];
        }
    }
}

static void mix_conv(struct mix_args *a) {
    struct forward *f = a->f;
    int64_t n = a->b->n_tok, d = f->m->hp.d_model;
    forward_linear(f, f->mix, W_MIX_IN, a->i_layer, f->xn, n);
    pool_run(f->c->pool, d, CHANNELS_PER_RUN, conv_channels, a);
    forward_linear(f, f->branch, W_MIX_OUT, a->i_layer, f->mix_gate, n);
}

/* ---- gated delta rule ---- */

static void delta_channels(void *ctx, int64_t begin, int64_t end, int i_thread) {
    struct mix_args *a = ctx;
    int64_t n_channel = (int64_t)hparams_dim(&a->f->m->hp, DIM_DELTA_QKV, a->i_layer);
    (void)i_thread;
    for (int64_t at = begin; at < end; at += CHANNELS_PER_RUN)
        convolve(a, at, at + CHANNELS_PER_RUN < end ? at + CHANNELS_PER_RUN : end, a->f->mix, n_channel, n_channel, true);
}

/* x[d] becomes scale * x / |x|. */
static void to_unit(float *x, int64_t d, double scale) {
    double squares = 0;
    for (int64_t i = 0; i < d; i++) squares += (double)x[i] * (double)x[i];
    float by = (float)(scale / sqrt(squares + 1e-6));
    for (int64_t i = 0; i < d; i++) x[i] *= by;
}

/* Queries and keys of tokens [begin, end) become unit vectors; alpha and beta become what the rule takes. */
static void prepare_tokens(void *ctx, int64_t begin, int64_t end, int i_thread) {
    struct mix_args *a = ctx;
    const struct hparams *hp = &a->f->m->hp;
    int64_t n_channel = (int64_t)hparams_dim(hp, DIM_DELTA_QKV, a->i_layer), d = hp->d_state, n_v = hp->n_head_v;
    const float *rate = model_slot(a->f->m, W_MIX_A, a->i_layer)->vec, *dt = model_slot(a->f->m, W_MIX_DT, a->i_layer)->vec;
    (void)i_thread;
    for (int64_t t = begin; t < end; t++) {
        float *row = a->f->mix + t * n_channel, *alpha = a->f->mix_scalars + t * n_v, *beta = alpha + a->f->n_batch * n_v;
        for (int64_t h = 0; h < hp->n_head_k; h++) {
            to_unit(row + h * d, d, 1 / sqrt((double)d));
            to_unit(row + (hp->n_head_k + h) * d, d, 1);
        }
        for (int64_t h = 0; h < n_v; h++) {
            double u = (double)alpha[h] + (double)dt[h], softplus = u > 20 ? u : log1p(exp(u));
            alpha[h] = (float)exp((double)rate[h] * softplus);
            beta[h] = (float)(1 / (1 + exp(-(double)beta[h])));
        }
    }
}

/* Value heads [begin, end): every token through the head's matrix, normed, gated by silu(z). */
static void delta_heads(void *ctx, int64_t begin, int64_t end, int i_thread) {
    struct mix_args *a = ctx;
    struct forward *f = a->f;
    const struct hparams *hp = &f->m->hp;
    const struct ops *ops = &f->c->ops;
    int64_t n_channel = (int64_t)hparams_dim(hp, DIM_DELTA_QKV, a->i_layer), d_k = hp->d_state, n_v = hp->n_head_v, d_v = hp->d_inner / n_v;
    int64_t n_k = hp->n_head_k, n_conv = (int64_t)state_conv_floats(hp, a->i_layer), d_inner = hp->d_inner;
    const float *norm = model_slot(f->m, W_MIX_NORM, a->i_layer)->vec;
    (void)i_thread;
    for (int64_t h = begin; h < end; h++)
        for (int32_t t = 0; t < a->b->n_tok; t++) {
            const float *row = f->mix + t * n_channel, *q = row + h % n_k * d_k, *k = q + n_k * d_k;
            const float *v = row + 2 * n_k * d_k + h * d_v, *alpha = f->mix_scalars + t * n_v, *beta = alpha + f->n_batch * n_v;
            float *s = kv_state(a->kv, a->b->seq[t], a->i_layer) + n_conv + h * d_k * d_v;
            float *y = f->att + t * d_inner + h * d_v, *z = f->mix_gate + t * d_inner + h * d_v;
            ops->delta_step(y, s, q, k, v, alpha[h], beta[h], d_k, d_v);
            ops->rms_norm(y, y, norm, 1, d_v, hp->norm_eps);
            ops->silu_mul(z, y, d_v);
        }
}

static void mix_delta(struct mix_args *a) {
    struct forward *f = a->f;
    const struct hparams *hp = &f->m->hp;
    int64_t n = a->b->n_tok;
    float *alpha = f->mix_scalars, *beta = alpha + (int64_t)f->n_batch * hp->n_head_v;
    forward_linears(f, (float *[]){f->mix, f->mix_gate}, (enum weight_slot[]){W_MIX_IN, W_MIX_GATE}, 2, a->i_layer, f->xn, n);
    forward_linears(f, (float *[]){alpha, beta}, (enum weight_slot[]){W_MIX_ALPHA, W_MIX_BETA}, 2, a->i_layer, f->xn, n);
    pool_run(f->c->pool, (int64_t)hparams_dim(hp, DIM_DELTA_QKV, a->i_layer), CHANNELS_PER_RUN, delta_channels, a);
    pool_run(f->c->pool, n, 8, prepare_tokens, a);
    pool_run(f->c->pool, hp->n_head_v, 1, delta_heads, a);
    forward_linear(f, f->branch, W_MIX_OUT, a->i_layer, f->mix_gate, n);
}

void forward_mix(struct forward *f, struct kv *kv, const struct batch *b, uint32_t i_layer) {
    static void (*const mixers[])(struct mix_args *) = {[MIXER_CONV] = mix_conv, [MIXER_DELTA] = mix_delta};
    struct mix_args a = {f, kv, b, i_layer};
    mixers[f->m->hp.layer[i_layer].mixer](&a);
}
