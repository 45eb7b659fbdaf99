/* altup.c -- alternating updates: the stream is several copies, of which a layer works on one; the others are predicted from all,
 * and corrected by what the layer did. Beside attention a narrow product (laurel) adds to the residual.
 *
 * Copies lie one after another, [n_altup, n_batch, d_model]. Source: Baykal et al. 2023 (alternating updates); Menghani et
 * al. 2025 (laurel); Gemma 3n, the authors' model code. */
#include <math.h>
#include <string.h>

#include "model/forward_int.h"

static float *copy_of(float *copies, const struct forward *f, uint32_t j) { return copies + (int64_t)j * f->n_batch * f->m->hp.d_model; }

static double length(const float *x, int64_t d) {
    double squares = 0;
    for (int64_t i = 0; i < d; i++) squares += (double)x[i] * (double)x[i];
    return sqrt(squares);
}

/* y[n, d] through matrix j of a slot, then each row as long as x's row. */
static void project_copy(struct forward *f, float *y, enum weight_slot slot, uint32_t j, const float *in, const float *x, int64_t n) {
    int64_t d = f->m->hp.d_model;
    struct product p = {y, d, &model_slot(f->m, slot, 0)->stack[j]};
    compute_products(f->c, &p, 1, in, d, n);
    for (int64_t t = 0; t < n; t++) f->c->ops.scale(y + t * d, (float)(length(x + t * d, d) / fmax(length(y + t * d, d), 1e-5)), d);
}

void forward_altup_begin(struct forward *f, int64_t n) {
    const struct hparams *hp = &f->m->hp;
    memcpy(f->copies, f->x, (size_t)n * hp->d_model * sizeof(float));
    for (uint32_t j = 1; j < hp->n_altup; j++) project_copy(f, copy_of(f->copies, f, j), W_ALTUP_PROJ, j - 1, f->x, f->x, n);
}

void forward_altup_end(struct forward *f, int64_t n) {
    const struct hparams *hp = &f->m->hp;
    int64_t all = n * hp->d_model;
    memcpy(f->x, f->copies, (size_t)all * sizeof(float));
    for (uint32_t j = 1; j < hp->n_altup; j++) {
        project_copy(f, f->branch, W_ALTUP_UNPROJ, j - 1, copy_of(f->copies, f, j), f->copies, n);
        compute_add(f->c, f->x, f->branch, 1, all);
    }
    compute_scale(f->c, f->x, 1 / (float)hp->n_altup, all);
}

/* altup_mode[n, n_altup] = how much of each copy a state asks for. */
static void route(struct forward *f, const float *x, int64_t n, uint32_t i_layer) {
    const struct hparams *hp = &f->m->hp;
    forward_norm(f, f->xn, W_ALTUP_NORM, i_layer, x, n, hp->d_model);
    compute_scale(f->c, f->xn, 1 / (float)hp->d_model, n * hp->d_model);
    forward_linear(f, f->altup_mode, W_ALTUP_ROUTER, i_layer, f->xn, n);
    for (int64_t i = 0; i < n * hp->n_altup; i++) f->altup_mode[i] = tanhf(f->altup_mode[i]);
}

/* predicted copy j = copy j + sum_i coef[j, i] * copy i */
static void predict(struct forward *f, int64_t n, uint32_t i_layer) {
    const struct hparams *hp = &f->m->hp;
    int64_t d = hp->d_model, n_copy = hp->n_altup;
    route(f, f->copies, n, i_layer);
    forward_linear(f, f->altup_coef, W_ALTUP_PREDICT, i_layer, f->altup_mode, n);
    for (uint32_t j = 0; j < n_copy; j++) {
        float *y = copy_of(f->predicted, f, j);
        memcpy(y, copy_of(f->copies, f, j), (size_t)(n * d) * sizeof(float));
        for (uint32_t i = 0; i < n_copy; i++)
            for (int64_t t = 0; t < n; t++)
                f->c->ops.add(y + t * d, copy_of(f->copies, f, i) + t * d, f->altup_coef[(t * n_copy + j) * n_copy + i], d);
    }
}

/* copy j = predicted j + (1 + coef[j]) * (what the layer made - what was predicted of the copy it worked on) */
static void correct(struct forward *f, int64_t n, uint32_t i_layer) {
    const struct hparams *hp = &f->m->hp;
    int64_t d = hp->d_model, n_copy = hp->n_altup;
    route(f, f->x, n, i_layer);
    forward_linear(f, f->altup_coef, W_ALTUP_CORRECT, i_layer, f->altup_mode, n);
    compute_add(f->c, f->x, f->predicted, -1, n * d);
    for (uint32_t j = 0; j < n_copy; j++) {
        float *y = copy_of(f->copies, f, j);
        memcpy(y, copy_of(f->predicted, f, j), (size_t)(n * d) * sizeof(float));
        for (int64_t t = 0; t < n; t++) f->c->ops.add(y + t * d, f->x + t * d, 1 + f->altup_coef[t * n_copy + j], d);
    }
}

/* The layer's own embedding, gated by the corrected copy, goes to the other copies. */
static void add_ple(struct forward *f, int64_t n, uint32_t i_layer) {
    const struct hparams *hp = &f->m->hp;
    const float *scale = model_slot(f->m, W_ALTUP_SCALE, i_layer)->vec;
    int64_t d = hp->d_model;
    for (int64_t t = 0; t < n; t++)
        for (int64_t i = 0; i < d; i++) f->xn[t * d + i] = f->copies[t * d + i] * scale[i];
    forward_ple(f, n, i_layer, f->xn, f->branch);
    for (uint32_t j = 1; j < hp->n_altup; j++) compute_add(f->c, copy_of(f->copies, f, j), f->branch, 1, n * d);
}

void forward_altup_layer(struct forward *f, struct kv *kv, const struct batch *b, uint32_t i_layer) {
    int64_t n = b->n_tok, d = f->m->hp.d_model;
    predict(f, n, i_layer);
    forward_norm(f, f->xn, W_ATTN_NORM, i_layer, f->predicted, n, d);
    /* x = (predicted + attention + xn + laurel of xn) / sqrt(2) */
    memcpy(f->x, f->predicted, (size_t)(n * d) * sizeof(float));
    compute_add(f->c, f->x, f->xn, 1, n * d);
    forward_linear(f, f->up, W_LAUREL_IN, i_layer, f->xn, n);
    forward_linear(f, f->branch, W_LAUREL_OUT, i_layer, f->up, n);
    forward_norm(f, f->branch, W_LAUREL_NORM, i_layer, f->branch, n, d);
    compute_add(f->c, f->x, f->branch, 1, n * d);
    forward_attention(f, kv, b, i_layer);
    compute_add(f->c, f->x, f->branch, 1, n * d);
    compute_scale(f->c, f->x, (float)M_SQRT1_2, n * d);
    forward_norm(f, f->xn, W_FFN_NORM, i_layer, f->x, n, d);
    forward_ffn(f, n, i_layer);
    compute_add(f->c, f->x, f->branch, 1, n * d);
    correct(f, n, i_layer);
    add_ple(f, n, i_layer);
}
