/* optim.c -- AdamW with states in 32 or 8 bits, Muon, SGD with momentum.
 *
 * Parameters are cut into fixed runs of elements, so that bits do not depend on threads; the decay is a run's own, as vectors have none.
 * States in 8 bits: blocks of 256 share a scale; m keeps the sign and the square root of its size, v its fourth root, so that small
 * elements keep their relative precision (Dettmers et al. 2021 use tables for the same end). Muon: the momentum of a matrix is brought near the
 * nearest orthogonal one by five steps of a quintic iteration, and scaled so that its elements are as large as AdamW's usually are
 * (Jordan et al. 2024; Liu et al. 2025); embeddings and vectors take AdamW. */
#include "train/optim.h"

#include <math.h>
#include <stdlib.h>

#include "train/blas_int.h"
#include "train/net_int.h"

#define RUN ((uint64_t)32 << 10) /* elements of a piece; a multiple of BLOCK */
#define BLOCK 256
#define ORTHO_STEPS 5

struct piece {
    uint64_t at, n;
    bool decays, is_muon;
    const struct param *matrix; /* whole, for Muon */
};
struct optim {
    struct trainee *t;
    struct optim_params p;
    struct piece *pieces;
    size_t n_piece;
    float *m, *v;               /* [n_elem]; v NULL: SGD */
    int8_t *m8;
    uint8_t *v8;
    float *scale8;              /* [n_elem / BLOCK, 2] */
    double *sums;               /* [n_piece] */
    float *ortho;               /* [n_threads, n_ortho] Muon's scratch */
    uint64_t n_ortho, n_elem8;
    void *blob;
    uint64_t bytes;
    double lr, scale, c1, c2;   /* of the step under way */
};

uint64_t optim_bytes_per_param(enum optim_kind kind) {
    static const uint64_t bytes[N_OPTIMS] = {[OPTIM_ADAMW] = 8, [OPTIM_ADAMW8] = 3, [OPTIM_MUON] = 8, [OPTIM_SGD] = 4};
    return bytes[kind];
}

static bool is_muon(const struct optim *o, const struct param *p) { return o->p.kind == OPTIM_MUON && p->kind == PARAM_MATRIX; }

/* pieces NULL: only counted. */
static size_t cut(const struct optim *o, struct piece *pieces) {
    size_t n = 0;
    for (size_t i = 0; i < o->t->n_params; i++) {
        const struct param *p = &o->t->params[i];
        bool whole = is_muon(o, p);
        for (uint64_t at = 0; at < p->n; at += whole ? p->n : RUN, n++)
            if (pieces)
                pieces[n] = (struct piece){.at = p->at + at, .n = whole || p->n - at < RUN ? p->n - at : RUN, .decays = p->kind != PARAM_VECTOR, .is_muon = whole, .matrix = p};
    }
    return n;
}

/* x, its next value, and two products of the short side. */
static uint64_t ortho_size(const struct optim *o) {
    uint64_t max = 0;
    for (size_t i = 0; i < o->t->n_params; i++) {
        const struct param *p = &o->t->params[i];
        uint64_t side = (uint64_t)(p->rows < p->cols ? p->rows : p->cols), n = 2 * p->n + 2 * side * side;
        if (is_muon(o, p) && n > max) max = n;
    }
    return max;
}

static uint64_t hand_out(struct optim *o, char *base) {
    uint64_t used = 0, n = o->t->n_elem, blocks = n / BLOCK + 1 + o->n_piece;
    bool small = o->p.kind == OPTIM_ADAMW8;
    struct {
        void **to;
        uint64_t bytes;
    } rows[] = {
        {(void **)&o->m, small ? 0 : n * sizeof(float)}, {(void **)&o->v, small || o->p.kind == OPTIM_SGD ? 0 : n * sizeof(float)},
        {(void **)&o->m8, small ? blocks * BLOCK : 0}, {(void **)&o->v8, small ? blocks * BLOCK : 0}, {(void **)&o->scale8, small ? blocks * 2 * sizeof(float) : 0},
        {(void **)&o->sums, o->n_piece * sizeof(double)}, {(void **)&o->ortho, o->n_ortho * sizeof(float) * (uint64_t)pool_n_threads(o->t->pool)},
    };
    o->n_elem8 = blocks * BLOCK;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (base) *rows[i].to = rows[i].bytes ? base + used : NULL;
        used += (rows[i].bytes + 63) / 64 * 64;
    }
    return used;
}

slm_status optim_create(struct trainee *t, const struct optim_params *p, struct optim **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct optim *o = NULL;
    void *mem = NULL;
    *out = NULL;
    TRY(mem_alloc(&mem, 1, sizeof *o, "optimizer", err));
    o = mem;
    o->t = t;
    o->p = *p;
    o->n_piece = cut(o, NULL);
    TRY(mem_alloc(&mem, o->n_piece, sizeof *o->pieces, "optimizer", err));
    o->pieces = mem;
    cut(o, o->pieces);
    o->n_ortho = ortho_size(o);
    o->bytes = hand_out(o, NULL);
    TRY(mem_reserve(&o->blob, o->bytes, "optimizer", err));
    hand_out(o, o->blob);
    *out = o;
    return SLM_OK;
out:
    optim_destroy(o);
    return st;
}

void optim_destroy(struct optim *o) {
    if (!o) return;
    mem_release(o->blob, o->bytes);
    free(o->pieces);
    free(o);
}

/* ---- the gradient's length ---- */

static void norm_piece(void *ctx, int64_t begin, int64_t end, int i_thread) {
    struct optim *o = ctx;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) o->sums[i] = o->t->kern->sum_squares(o->t->g + o->pieces[i].at, (int64_t)o->pieces[i].n);
}

double optim_norm(struct optim *o) {
    double sum = 0;
    pool_run(o->t->pool, (int64_t)o->n_piece, 1, norm_piece, o);
    for (size_t i = 0; i < o->n_piece; i++) sum += o->sums[i];
    return sqrt(sum);
}

/* ---- steps ---- */

/* States of n <= BLOCK elements decoded, stepped and encoded again. Block numbers: pieces begin at blocks of their own. */
static void adamw8_block(struct optim *o, float *w, const float *g, uint64_t i_block, int64_t n, double decay) {
    float m[BLOCK], v[BLOCK], max_m = 0, max_v = 0;
    int8_t *m8 = o->m8 + i_block * BLOCK;
    uint8_t *v8 = o->v8 + i_block * BLOCK;
    float *scale = o->scale8 + i_block * 2;
    for (int64_t i = 0; i < n; i++) {
        float a = (float)m8[i] / 127, b = (float)v8[i] / 255;
        m[i] = scale[0] * a * fabsf(a);
        v[i] = scale[1] * b * b * b * b;
    }
    o->t->kern->adamw(w, g, m, v, n, (float)o->lr, o->p.beta1, o->p.beta2, o->p.eps, (float)decay, (float)o->scale, (float)o->c1, (float)o->c2);
    for (int64_t i = 0; i < n; i++) {
        max_m = fmaxf(max_m, fabsf(m[i]));
        max_v = fmaxf(max_v, v[i]);
    }
    scale[0] = max_m;
    scale[1] = max_v;
    for (int64_t i = 0; i < n; i++) {
        float a = max_m > 0 ? sqrtf(fabsf(m[i]) / max_m) : 0, b = max_v > 0 ? sqrtf(sqrtf(v[i] / max_v)) : 0;
        m8[i] = (int8_t)lrintf(m[i] < 0 ? -127 * a : 127 * a);
        v8[i] = (uint8_t)ceilf(255 * b); /* up: a v that became 0 would make its next step huge */
    }
}

static void adamw8_piece(struct optim *o, const struct piece *p, size_t i_piece, double decay) {
    uint64_t first = p->at / BLOCK + i_piece; /* pieces are at least a block apart then */
    for (uint64_t at = 0; at < p->n; at += BLOCK)
        adamw8_block(o, o->t->w + p->at + at, o->t->g + p->at + at, first + at / BLOCK, (int64_t)(p->n - at < BLOCK ? p->n - at : BLOCK), decay);
}

static void sgd_piece(struct optim *o, const struct piece *p, double decay) {
    float *w = o->t->w + p->at, *m = o->m + p->at, keep = (float)(1 - o->lr * decay);
    const float *g = o->t->g + p->at;
    for (uint64_t i = 0; i < p->n; i++) {
        m[i] = o->p.beta1 * m[i] + (float)o->scale * g[i];
        w[i] = keep * w[i] - (float)o->lr * m[i];
    }
}

/* x [r, c], r <= c, becomes nearly orthogonal: x = a x + (b s + d s s) x with s = x x^T. */
static void orthogonalize(const struct kern *k, float *x, float *y, float *s, float *s2, int64_t r, int64_t c) {
    const float a = 3.4445f, b = -4.7750f, d = 2.0315f;
    k->scale(x, x, (float)(1 / (sqrt(k->sum_squares(x, r * c)) + 1e-7)), r * c);
    for (int i = 0; i < ORTHO_STEPS; i++) {
        blas_gemm(false, true, r, r, c, 1, x, c, x, c, 0, s, r);
        memcpy(s2, s, (size_t)(r * r) * sizeof *s);
        blas_gemm(false, false, r, r, r, d, s, r, s, r, b, s2, r);
        memcpy(y, x, (size_t)(r * c) * sizeof *x);
        blas_gemm(false, false, r, c, r, 1, s2, r, x, c, a, y, c);
        memcpy(x, y, (size_t)(r * c) * sizeof *x);
    }
}

static void muon_piece(struct optim *o, const struct piece *p, double decay, int i_thread) {
    const struct kern *k = o->t->kern;
    int64_t rows = p->matrix->rows, cols = p->matrix->cols, r = rows < cols ? rows : cols, c = rows < cols ? cols : rows, n = rows * cols;
    float *x = o->ortho + (uint64_t)i_thread * o->n_ortho, *y = x + n, *s = y + n, *s2 = s + r * r;
    float *w = o->t->w + p->at, *m = o->m + p->at, scale = (float)o->scale;
    const float *g = o->t->g + p->at;
    for (int64_t i = 0; i < n; i++) {
        m[i] = 0.95f * m[i] + 0.05f * scale * g[i];
        float e = 0.05f * scale * g[i] + 0.95f * m[i]; /* Nesterov's look ahead */
        if (rows <= cols) x[i] = e;
        else x[i % cols * rows + i / cols] = e;
    }
    orthogonalize(k, x, y, s, s2, r, c);
    float rate = (float)(o->lr * 0.2 * sqrt((double)c)), keep = (float)(1 - o->lr * decay);
    for (int64_t i = 0; i < n; i++) w[i] = keep * w[i] - rate * (rows <= cols ? x[i] : x[i % cols * rows + i / cols]);
}

static void step_piece(void *ctx, int64_t begin, int64_t end, int i_thread) {
    struct optim *o = ctx;
    for (int64_t i = begin; i < end; i++) {
        const struct piece *p = &o->pieces[i];
        double decay = p->decays ? (double)o->p.decay : 0;
        if (p->is_muon) muon_piece(o, p, decay, i_thread);
        else if (o->p.kind == OPTIM_SGD) sgd_piece(o, p, decay);
        else if (o->p.kind == OPTIM_ADAMW8) adamw8_piece(o, p, (size_t)i, decay);
        else
            o->t->kern->adamw(o->t->w + p->at, o->t->g + p->at, o->m + p->at, o->v + p->at, (int64_t)p->n, (float)o->lr, o->p.beta1, o->p.beta2, o->p.eps, (float)decay,
                              (float)o->scale, (float)o->c1, (float)o->c2);
    }
}

void optim_step(struct optim *o, int64_t step, double lr, double norm) {
    o->lr = lr;
    o->scale = o->p.clip > 0 && norm > (double)o->p.clip ? (double)o->p.clip / norm : 1;
    o->c1 = 1 - pow((double)o->p.beta1, (double)step);
    o->c2 = 1 - pow((double)o->p.beta2, (double)step);
    pool_run(o->t->pool, (int64_t)o->n_piece, 1, step_piece, o);
}

size_t optim_state(struct optim *o, struct optim_run runs[4]) {
    uint64_t n = o->t->n_elem;
    size_t k = 0;
    if (o->m) runs[k++] = (struct optim_run){o->m, n * sizeof *o->m};
    if (o->v) runs[k++] = (struct optim_run){o->v, n * sizeof *o->v};
    if (o->m8) runs[k++] = (struct optim_run){o->m8, o->n_elem8};
    if (o->v8) runs[k++] = (struct optim_run){o->v8, o->n_elem8};
    if (o->scale8) runs[k++] = (struct optim_run){o->scale8, o->n_elem8 / BLOCK * 2 * sizeof *o->scale8};
    return k;
}

/* ---- schedules ---- */

double schedule_at(const struct schedule *s, int64_t step, int64_t n_step) {
    double n_warm = floor(s->warmup * (double)n_step), at = (double)step;
    if (at <= n_warm) return s->lr * at / n_warm;
    double span = (double)n_step - n_warm, x = span > 1 ? (at - n_warm - 1) / (span - 1) : 1; /* 0 at the first step after warming up, 1 at the last */
    x = x > 1 ? 1 : x;
    double low = s->min_share;
    switch (s->kind) {
    case SCHEDULE_COSINE: return s->lr * (low + (1 - low) * 0.5 * (1 + cos(M_PI * x)));
    case SCHEDULE_LINEAR: return s->lr * (1 - (1 - low) * x);
    case SCHEDULE_WSD: {
        double from = 1 - s->decay, y = x <= from ? 0 : (x - from) / s->decay;
        return s->lr * (1 - (1 - low) * y);
    }
    default: return s->lr;
    }
}
