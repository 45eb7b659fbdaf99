/* loss.c -- the last norm, the output head and the losses, for tokens that have one; logits exist for a chunk of rows at a time.
 *
 * A row's loss is weight * CE, or with a teacher weight * ((1 - alpha) * CE + alpha * T^2 * D), D a divergence between what the teacher
 * and the student give to the classes of the list (one id each) and, with a bucket, to all others together. With q the student's class
 * probabilities at T, s its softmax and g_c = dD/dq_c:  dD/dz_i = s_i / T * (g_class(i) - sum_c g_c q_c).  So one pass over
 * the vocabulary with two exponentials makes the gradient in place.
 * Source: Hinton et al. 2015 (T^2); Agarwal et al. 2023 (generalised Jensen-Shannon). Checked against finite differences. */
#include "train/net_int.h"

#define TINY 1e-30
#define REST_MIN 1e-7 /* of the bucket, on both sides: below it a teacher's single precision says nothing */

static bool has_loss(const struct train_batch *b, int32_t i) { return b->target[i] >= 0 || (b->teacher && b->teacher->row[i] >= 0); }
static double weight_of(const struct train_batch *b, int32_t i) { return b->weight ? (double)b->weight[i] : 1; }

struct loss_args {
    struct trainee *t;
    const struct train_batch *b;
    const bool *allowed;
    int64_t at; /* of the chunk among rows with a loss */
    bool backward;
    double weight_all;
};

/* What a class adds to the divergence, and its derivative by q. */
static double class_term(double beta, double p, double q, double *g) {
    if (q < TINY) q = TINY;
    if (beta <= 0) {
        *g = -p / q;
        return p > 0 ? p * log(p / q) : 0;
    }
    if (p < TINY) p = TINY;
    if (beta >= 1) {
        *g = log(q / p) + 1;
        return q * log(q / p);
    }
    double m = beta * p + (1 - beta) * q;
    *g = (1 - beta) * log(q / m);
    return beta * p * log(p / m) + (1 - beta) * q * log(q / m);
}

/* The teacher's side of one row: D, and the numbers that the gradient takes. */
struct distilled {
    double d;       /* the divergence */
    double mean;    /* sum over classes of g q */
    double g_rest;  /* g of every id outside the list */
    double log_sum; /* of the student at T, over what its softmax runs over */
    double q[TRAIN_TOP_K_MAX], g[TRAIN_TOP_K_MAX];
};

static void distil(const struct train_teacher *te, int32_t row, const real *z, double log_sum_all, struct distilled *o) {
    const int32_t *id = te->id + (int64_t)row * te->k;
    const float *logit = te->logit + (int64_t)row * te->k;
    double T = (double)te->temperature, p_sum = 0, q_sum = 0, max = -1e300, p[TRAIN_TOP_K_MAX];
    o->log_sum = log_sum_all;
    for (int32_t j = 0; j < te->k; j++) p_sum += p[j] = exp((double)logit[j] / T - (double)te->log_sum[row]);
    if (te->tail == TRAIN_TAIL_NONE) {
        for (int32_t j = 0; j < te->k; j++) max = fmax(max, (double)z[id[j]] / T);
        for (int32_t j = 0; j < te->k; j++) q_sum += exp((double)z[id[j]] / T - max);
        o->log_sum = max + log(q_sum);
        for (int32_t j = 0; j < te->k; j++) p[j] /= p_sum;
    }
    o->d = o->mean = o->g_rest = q_sum = 0;
    for (int32_t j = 0; j < te->k; j++) {
        o->q[j] = exp((double)z[id[j]] / T - o->log_sum);
        o->d += class_term((double)te->beta, p[j], o->q[j], &o->g[j]);
        o->mean += o->g[j] * o->q[j];
        q_sum += o->q[j];
    }
    if (te->tail != TRAIN_TAIL_BUCKET) return;
    double q_rest = fmax(REST_MIN, 1 - q_sum);
    o->d += class_term((double)te->beta, fmax(REST_MIN, 1 - p_sum), q_rest, &o->g_rest);
    o->mean += o->g_rest * q_rest;
}

static void best_allowed(const real *z, int64_t n, const bool *allowed, int32_t *best) {
    *best = -1;
    for (int64_t i = 0; i < n; i++)
        if (allowed[i] && (*best < 0 || z[i] > z[*best])) *best = (int32_t)i;
}

/* One row: its loss, and in z its gradient. */
static void loss_row(const struct loss_args *a, int64_t j, real *z, real *slope) {
    struct trainee *t = a->t;
    const struct kern *k = t->kern;
    int32_t i = t->head_row[a->at + j], target = a->b->target[i], row = a->b->teacher ? a->b->teacher->row[i] : -1;
    int64_t n = t->hp.n_vocab;
    struct row_loss *r = &t->head_loss[a->at + j];
    const struct train_teacher *te = row >= 0 ? a->b->teacher : NULL;
    double scale = 1 / (double)t->hp.logit_scale, weight = weight_of(a->b, i), alpha = te ? (target >= 0 ? (double)te->alpha : 1) : 0;
    if (t->hp.logit_scale != 1) k->scale(z, z, (real)scale, n);
    if (t->hp.final_softcap > 0) k->cap(z, slope, (real)t->hp.final_softcap, n);
    double lse = k->log_sum_exp(z, n, 1, &r->best);
    if (a->allowed) best_allowed(z, n, a->allowed, &r->best);
    double ce = target >= 0 ? lse - (double)z[target] : 0, T = te ? (double)te->temperature : 1;
    struct distilled o = {0};
    if (te) distil(te, row, z, T == 1 ? lse : k->log_sum_exp(z, n, (real)(1 / T), NULL), &o);
    r->ce = (float)ce;
    r->weight = weight;
    r->loss = (1 - alpha) * ce + alpha * T * T * o.d;
    if (!a->backward) return;
    double w = weight / a->weight_all, w_ce = target >= 0 ? w * (1 - alpha) : 0, w_kd = te ? w * alpha * T : 0; /* T * T / T */
    bool narrow = te && te->tail == TRAIN_TAIL_NONE;
    k->mix_exp(z, n, (real)w_ce, (real)lse, (real)(narrow ? 0 : w_kd * (o.g_rest - o.mean)), (real)(1 / T), (real)o.log_sum);
    if (target >= 0) z[target] -= (real)w_ce;
    for (int32_t c = 0; te && c < te->k; c++)
        z[te->id[(int64_t)row * te->k + c]] += (real)(w_kd * o.q[c] * (o.g[c] - (narrow ? o.mean : o.g_rest)));
    if (t->hp.final_softcap > 0) k->mul(z, slope, n);
    if (t->hp.logit_scale != 1) k->scale(z, z, (real)scale, n);
}

static void loss_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct loss_args *a = ctx;
    int64_t n = a->t->hp.n_vocab;
    (void)i_thread;
    for (int64_t j = begin; j < end; j++) loss_row(a, j, a->t->head_logits + j * n, a->t->head_slope ? a->t->head_slope + j * n : NULL);
}

/* Rows with a loss side by side, through the last norm. */
static int64_t gather(struct trainee *t, const struct train_batch *b) {
    int64_t n = 0, d = t->hp.d_model;
    for (int32_t i = 0; i < b->n_tok; i++) {
        if (!has_loss(b, i)) continue;
        t->head_row[n] = i;
        memcpy(t->head_x + n++ * d, t->acts[t->hp.n_layer].buf[ACT_X] + i * d, (size_t)d * sizeof(real));
    }
    if (n) rows_norm(t, &t->out_norm, t->head_xn, t->head_x, n, d);
    return n;
}

/* SCR_DX = the gradient of what the last layer gave. */
static void scatter(struct trainee *t, const struct train_batch *b, int64_t n) {
    int64_t d = t->hp.d_model;
    real *dx = t->scratch[SCR_DX];
    memset(t->head_xn, 0, (size_t)(n * d) * sizeof(real));
    rows_norm_back(t, &t->out_norm, t->head_xn, t->head_dx, t->head_x, n, d);
    memset(dx, 0, (size_t)(b->n_tok * d) * sizeof(real));
    for (int64_t j = 0; j < n; j++) memcpy(dx + t->head_row[j] * d, t->head_xn + j * d, (size_t)d * sizeof(real));
}

void head_loss(struct trainee *t, const struct train_batch *b, bool backward, double weight_all, const bool *allowed, double *sum, double *weight,
               struct train_score *scores) {
    int64_t n = gather(t, b), d = t->hp.d_model;
    struct loss_args a = {.t = t, .b = b, .allowed = allowed, .backward = backward, .weight_all = weight_all};
    for (a.at = 0; a.at < n; a.at += t->head_chunk) {
        int64_t rows = n - a.at < t->head_chunk ? n - a.at : t->head_chunk;
        linear_forward(t, &t->head, t->head_logits, t->head_xn + a.at * d, rows);
        pool_run(t->pool, rows, 4, loss_rows, &a);
        if (backward) linear_backward(t, &t->head, t->head_dx + a.at * d, false, t->head_logits, t->head_xn + a.at * d, rows);
    }
    for (int64_t j = 0; j < n; j++) {
        const struct row_loss *r = &t->head_loss[j];
        *sum += r->weight * r->loss;
        *weight += r->weight;
        if (scores && b->target[t->head_row[j]] >= 0) scores[t->head_row[j]] = (struct train_score){r->ce, r->best};
    }
    if (backward) scatter(t, b, n);
}
