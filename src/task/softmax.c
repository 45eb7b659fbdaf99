/* softmax.c -- stochastic gradient with AdaGrad's step for each weight (Duchi, Hazan, Singer 2011).
 *
 * Rows come one at a time, so a training run is a function of data and seed alone. Labels whose error is below SKIP are not touched: after
 * a few epochs these are nearly all, and an epoch over 150 labels costs as one over ten. */
#include "task/softmax.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define RATE_DEFAULT 0.2f
#define SKIP 1e-3f
#define EPOCHS_MIN 10
#define EPOCHS_MAX 60
#define ROWS_WANTED 300000 /* seen in all */

struct training {
    const struct softmax_params *p;
    struct softmax *s;
    float *squares, *bias_squares; /* sums of squared gradients, shaped as the weights */
    float *error;                  /* [n_label] */
    uint32_t *touched;             /* [n_label] */
    struct rng rng;
};

void softmax_fini(struct softmax *s) {
    free(s->weight);
    free(s->bias);
    *s = (struct softmax){0};
}

void softmax_logits(const struct softmax *s, const struct feature_row *row, float *out) {
    const size_t n_label = s->n_label;
    memcpy(out, s->bias, n_label * sizeof *out);
    for (size_t i = 0; i < row->n; i++) {
        const float *w = s->weight + (row->index ? row->index[i] : i) * n_label, v = row->value[i];
        for (size_t k = 0; k < n_label; k++) out[k] += v * w[k];
    }
}

void softmax_probs(float *v, size_t n, double temper) {
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        if ((double)v[i] > max) max = (double)v[i];
    for (size_t i = 0; i < n; i++) sum += exp(temper * ((double)v[i] - max));
    for (size_t i = 0; i < n; i++) v[i] = (float)(exp(temper * ((double)v[i] - max)) / sum);
}

/* One feature's weights for the labels that are wrong about this row. */
static void step_feature(struct training *t, size_t feature, float value, size_t n_touched, float rate) {
    float *w = t->s->weight + feature * t->s->n_label, *q = t->squares + feature * t->s->n_label;
    const float decay = t->p->decay;
    for (size_t i = 0; i < n_touched; i++) {
        uint32_t k = t->touched[i];
        float g = value * t->error[k] + decay * w[k];
        q[k] += g * g;
        w[k] -= rate * g / (sqrtf(q[k]) + 1e-6f);
    }
}

static void step_row(struct training *t, const struct feature_row *row, uint32_t label, float rate) {
    struct softmax *s = t->s;
    const float keep = 1 - t->p->dropout, drop = t->p->dropout;
    float part[256]; /* 0: left out this time; longer rows drop in runs of this length alike */
    for (size_t i = 0; i < 256; i++) part[i] = drop > 0 && rng_f64(&t->rng) < (double)drop ? 0 : 1 / keep;
    memcpy(t->error, s->bias, s->n_label * sizeof *t->error);
    for (size_t i = 0; i < row->n; i++) {
        float v = row->value[i] * part[i % 256];
        if (v == 0) continue;
        const float *w = s->weight + (row->index ? row->index[i] : i) * s->n_label;
        for (size_t k = 0; k < s->n_label; k++) t->error[k] += v * w[k];
    }
    softmax_probs(t->error, s->n_label, 1);
    t->error[label] -= 1;
    size_t n_touched = 0;
    for (uint32_t k = 0; k < s->n_label; k++)
        if (fabsf(t->error[k]) > SKIP) t->touched[n_touched++] = k;
    for (size_t i = 0; i < row->n; i++) {
        float v = row->value[i] * part[i % 256];
        if (v != 0) step_feature(t, row->index ? row->index[i] : i, v, n_touched, rate);
    }
    for (size_t i = 0; i < n_touched; i++) {
        uint32_t k = t->touched[i];
        t->bias_squares[k] += t->error[k] * t->error[k];
        s->bias[k] -= 0.1f * rate * t->error[k] / (sqrtf(t->bias_squares[k]) + 1e-6f);
    }
}

static uint32_t epochs_for(const struct softmax_params *p, size_t n) {
    if (p->n_epoch) return p->n_epoch;
    size_t k = n ? ROWS_WANTED / n : 1;
    return (uint32_t)(k < EPOCHS_MIN ? EPOCHS_MIN : k > EPOCHS_MAX ? EPOCHS_MAX : k);
}

static void shuffle(struct rng *r, uint32_t *order, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)(rng_u64(r) % i);
        uint32_t swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
}

static slm_status alloc_f32(float **out, size_t n, slm_err *err) {
    void *mem = NULL;
    slm_status st = mem_alloc(&mem, n ? n : 1, sizeof **out, "a head's weights", err);
    *out = mem;
    return st;
}

slm_status softmax_train(const struct feature_row *rows, const uint32_t *labels, size_t n, uint32_t n_feature, uint32_t n_label,
                         const struct softmax_params *p, struct softmax *out, slm_err *err) {
    slm_status st = SLM_OK;
    struct training t = {.p = p, .s = out};
    void *order_mem = NULL, *touched_mem = NULL;
    size_t n_weight;
    *out = (struct softmax){.n_feature = n_feature, .n_label = n_label};
    if (n_label == 0 || n_label > SOFTMAX_N_LABEL_MAX || !size_mul(n_feature, n_label, &n_weight) || n_weight > SOFTMAX_WEIGHTS_MAX || n > UINT32_MAX)
        FAIL(SLM_E_LIMIT, SLM_NOWHERE, "head: %u labels over %u features, the limits are %u labels and %zu weights", n_label, n_feature, SOFTMAX_N_LABEL_MAX, SOFTMAX_WEIGHTS_MAX);
    TRY(alloc_f32(&out->weight, n_weight, err));
    TRY(alloc_f32(&out->bias, n_label, err));
    TRY(alloc_f32(&t.squares, n_weight, err));
    TRY(alloc_f32(&t.bias_squares, n_label, err));
    TRY(alloc_f32(&t.error, n_label, err));
    TRY(mem_alloc(&touched_mem, n_label, sizeof *t.touched, "a head", err));
    TRY(mem_alloc(&order_mem, n + 1, sizeof(uint32_t), "a head", err));
    t.touched = touched_mem;
    uint32_t *order = order_mem, n_epoch = epochs_for(p, n);
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    rng_init(&t.rng, p->seed);
    for (uint32_t e = 0; e < n_epoch; e++) {
        float rate = (p->rate > 0 ? p->rate : RATE_DEFAULT) * (1 - 0.9f * (float)e / (float)n_epoch);
        shuffle(&t.rng, order, n);
        for (size_t i = 0; i < n; i++) {
            if (i % 1024 == 0 && p->cancel && *p->cancel) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
            if (i % 1024 == 0 && p->progress) p->progress(p->user, ((double)e + (double)i / (double)n) / n_epoch);
            step_row(&t, &rows[order[i]], labels[order[i]], rate);
        }
    }
out:
    free(t.squares);
    free(t.bias_squares);
    free(t.error);
    free(touched_mem);
    free(order_mem);
    if (st != SLM_OK) softmax_fini(out);
    return st;
}

/* Derivative of the log-likelihood by the inverse temperature: falls as that grows, so its zero is found by halving. One row in n + 2 counts as
 * having any label, so that rows which are all right do not make certainty. */
static double slope_at(const float *logits, const uint32_t *labels, size_t n, uint32_t n_label, double temper) {
    double slope = 0, any = 1 / ((double)n + 2);
    for (size_t i = 0; i < n; i++) {
        const float *v = logits + i * n_label;
        double max = -INFINITY, sum = 0, mean = 0, plain = 0;
        for (uint32_t k = 0; k < n_label; k++)
            if ((double)v[k] > max) max = (double)v[k];
        for (uint32_t k = 0; k < n_label; k++) {
            double e = exp(temper * ((double)v[k] - max));
            sum += e;
            mean += e * (double)v[k];
            plain += (double)v[k] / n_label;
        }
        slope += (1 - any) * (double)v[labels[i]] + any * plain - mean / sum;
    }
    return slope;
}

double softmax_temper(const float *logits, const uint32_t *labels, size_t n, uint32_t n_label) {
    double low = log(1e-3), high = log(1e3);
    if (n == 0) return 1;
    for (int i = 0; i < 40; i++) {
        double mid = (low + high) / 2;
        *(slope_at(logits, labels, n, n_label, exp(mid)) > 0 ? &low : &high) = mid;
    }
    return exp((low + high) / 2);
}
