/* moe.c -- experts: a router picks a few feed-forward blocks for each token, their outputs are added with its weights.
 *
 * The batch is sorted by expert, so that an expert's matrices are read once for all its tokens. A token's sum runs over its
 * experts in rising order, whoever else is in the batch: the result does not depend on it. Of equal scores the lower
 * expert is taken. Source: Shazeer et al. 2017; Jiang et al. 2024 (Mixtral); the authors' model code of each family. */
#include <math.h>
#include <string.h>

#include "model/forward_int.h"

struct route_args {
    struct forward *f;
    const float *bias; /* [n_expert] added to scores for the choice alone; NULL: none */
};

/* Scores of one token's experts become what the choice and the weights are made of. */
static void score(const struct forward *f, float *s, int64_t n) {
    switch (f->m->hp.moe_gating) {
    case MOE_SOFTMAX: f->c->ops.softmax(s, n); return;
    case MOE_SIGMOID:
        for (int64_t i = 0; i < n; i++) s[i] = (float)(1 / (1 + exp(-(double)s[i])));
        return;
    default: return; /* MOE_SOFTMAX_CHOSEN: weights are made of the chosen */
    }
}

/* The chosen experts of one token, in rising order, and their weights. */
static void choose(const struct route_args *a, float *s, int32_t *id, float *weight) {
    const struct hparams *hp = &a->f->m->hp;
    int64_t n = hp->n_expert, n_used = hp->n_expert_used;
    score(a->f, s, n);
    for (int64_t k = 0; k < n_used; k++) {
        int32_t best = -1;
        for (int32_t e = 0; e < n; e++) {
            bool taken = false;
            for (int64_t j = 0; j < k; j++) taken |= id[j] == e;
            float v = s[e] + (a->bias ? a->bias[e] : 0);
            if (!taken && (best < 0 || v > s[best] + (a->bias ? a->bias[best] : 0))) best = e;
        }
        id[k] = best;
    }
    for (int64_t k = 1; k < n_used; k++) /* few: by insertion */
        for (int64_t j = k; j > 0 && id[j - 1] > id[j]; j--) {
            int32_t swap = id[j];
            id[j] = id[j - 1];
            id[j - 1] = swap;
        }
    for (int64_t k = 0; k < n_used; k++) weight[k] = s[id[k]];
    if (hp->moe_gating == MOE_SOFTMAX_CHOSEN) a->f->c->ops.softmax(weight, n_used);
    if (hp->moe_norm) {
        double sum = 0;
        for (int64_t k = 0; k < n_used; k++) sum += (double)weight[k];
        for (int64_t k = 0; k < n_used; k++) weight[k] = (float)((double)weight[k] / fmax(sum, 6.103515625e-5));
    }
    for (int64_t k = 0; k < n_used && hp->moe_scale != 0; k++) weight[k] *= hp->moe_scale;
}

static void route_tokens(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct route_args *a = ctx;
    const struct hparams *hp = &a->f->m->hp;
    (void)i_thread;
    for (int64_t t = begin; t < end; t++)
        choose(a, a->f->moe_score + t * hp->n_expert, a->f->moe_id + t * hp->n_expert_used, a->f->moe_weight + t * hp->n_expert_used);
}

/* OpenAI's gate: silu with slope 1.702 of a clamped gate, times the clamped other plus one. */
static void gate_clamped(float *gate, const float *up, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        double g = fmin((double)gate[i], 7), u = fmax(fmin((double)up[i], 7), -7);
        gate[i] = (float)(g / (1 + exp(-1.702 * g)) * (u + 1));
    }
}

static void add_expert_bias(struct forward *f, float *y, const struct bound *b, uint32_t e, int64_t n_tok) {
    const struct weight *w = &b->stack[e];
    if (b->bias) compute_add_bias(f->c, y, b->bias + e * w->d_out, n_tok, w->d_out);
}

static void observe_expert(struct forward *f, enum weight_slot slot, uint32_t e, int64_t n, uint32_t i_layer, const float *x, int64_t d_in) {
    if (f->observer) f->observer(f->observer_user, slot, i_layer, e, x, n, d_in);
}

/* moe_out[n, d_model] = expert e of moe_in[n, d_model], its tokens among n_tok */
static void run_expert(struct forward *f, uint32_t e, int64_t n, uint32_t i_layer, int64_t n_tok) {
    const struct bound *gate = model_slot(f->m, W_MOE_GATE, i_layer), *up = model_slot(f->m, W_MOE_UP, i_layer), *down = model_slot(f->m, W_MOE_DOWN, i_layer);
    int64_t d = f->m->hp.d_model, d_ff = f->m->hp.d_ff_expert;
    struct product in[] = {{f->gate, d_ff, &gate->stack[e]}, {f->up, d_ff, &up->stack[e]}}, out = {f->moe_out, d, &down->stack[e]};
    observe_expert(f, W_MOE_GATE, e, n, i_layer, f->moe_in, d);
    observe_expert(f, W_MOE_UP, e, n, i_layer, f->moe_in, d);
    compute_products(f->c, in, 2, f->moe_in, d, n);
    forward_lora_add_expert(f, 2, (float *[]){f->gate, f->up}, (enum weight_slot[]){W_MOE_GATE, W_MOE_UP}, e, i_layer, f->moe_in, n_tok);
    add_expert_bias(f, f->gate, gate, e, n);
    add_expert_bias(f, f->up, up, e, n);
    if (f->m->arch->moe_clamped) gate_clamped(f->gate, f->up, n * d_ff);
    else compute_act_mul(f->c, f->m->arch->act, f->gate, f->up, n * d_ff);
    observe_expert(f, W_MOE_DOWN, e, n, i_layer, f->gate, d_ff);
    compute_products(f->c, &out, 1, f->gate, d_ff, n);
    forward_lora_add_expert(f, 1, &f->moe_out, (enum weight_slot[]){W_MOE_DOWN}, e, i_layer, f->gate, n_tok);
    add_expert_bias(f, f->moe_out, down, e, n);
}

void forward_moe(struct forward *f, int64_t n, uint32_t i_layer) {
    const struct hparams *hp = &f->m->hp;
    size_t d = hp->d_model, n_used = hp->n_expert_used;
    struct route_args route = {f, model_slot(f->m, W_MOE_BIAS, i_layer)->vec};
    forward_linear(f, f->moe_score, W_MOE_ROUTER, i_layer, f->xn, n);
    pool_run(f->c->pool, n, 8, route_tokens, &route);
    memset(f->branch, 0, (size_t)n * d * sizeof(float));
    for (uint32_t e = 0; e < hp->n_expert; e++) {
        int64_t n_in = 0;
        for (size_t i = 0; i < (size_t)n * n_used; i++)
            if (f->moe_id[i] == (int32_t)e) memcpy(f->moe_in + (size_t)n_in++ * d, f->xn + i / n_used * d, d * sizeof(float));
        if (n_in == 0) continue;
        run_expert(f, e, n_in, i_layer, n);
        n_in = 0;
        for (size_t i = 0; i < (size_t)n * n_used; i++)
            if (f->moe_id[i] == (int32_t)e) f->c->ops.add(f->branch + i / n_used * d, f->moe_out + (size_t)n_in++ * d, f->moe_weight[i], (int64_t)d);
    }
}
