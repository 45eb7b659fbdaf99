/* rows.c -- elementwise work over the pool: runs of rows or of elements whose length shapes alone decide. */
#include "train/net_int.h"

#define RUN 64           /* rows of a piece whose sums are kept apart */
#define ELEMS (16 << 10) /* elements of a piece */

/* ---- norms ---- */

struct norm_args {
    struct trainee *t;
    const struct norm *n;
    real *y, *dx;
    const real *x, *dy;
    int64_t n_row, d, run;
};

static void norm_piece(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct norm_args *a = ctx;
    const struct kern *k = a->t->kern;
    real eps = (real)a->t->hp.norm_eps;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i * a->run, n = a->n_row - at < a->run ? a->n_row - at : a->run;
        if (a->t->arch->norm == NORM_LAYER) k->layer_norm(a->y + at * a->d, a->x + at * a->d, a->n->w, a->n->b, n, a->d, eps);
        else k->rms_norm(a->y + at * a->d, a->x + at * a->d, a->n->w, n, a->d, eps);
    }
}

/* Rows of a piece: small rows (heads) go together. */
static int64_t run_rows(int64_t d) { return d >= 256 ? RUN : RUN * 256 / d; }

void rows_norm(struct trainee *t, const struct norm *n, real *y, const real *x, int64_t n_row, int64_t d) {
    struct norm_args a = {.t = t, .n = n, .y = y, .x = x, .n_row = n_row, .d = d, .run = run_rows(d)};
    pool_run(t->pool, (n_row + a.run - 1) / a.run, 1, norm_piece, &a);
}

static void norm_back_piece(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct norm_args *a = ctx;
    const struct kern *k = a->t->kern;
    real eps = (real)a->t->hp.norm_eps;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i * a->run, n = a->n_row - at < a->run ? a->n_row - at : a->run;
        real *dw = a->n->dw ? a->t->partial + i * 2 * a->d : NULL, *db = a->n->db ? a->t->partial + (i * 2 + 1) * a->d : NULL;
        if (dw) memset(dw, 0, (size_t)(2 * a->d) * sizeof *dw);
        if (a->t->arch->norm == NORM_LAYER) k->layer_norm_back(a->dx + at * a->d, dw, db, a->dy + at * a->d, a->x + at * a->d, a->n->w, n, a->d, eps);
        else k->rms_norm_back(a->dx + at * a->d, dw, a->dy + at * a->d, a->x + at * a->d, a->n->w, n, a->d, eps);
    }
}

void rows_norm_back(struct trainee *t, const struct norm *n, real *dx, const real *dy, const real *x, int64_t n_row, int64_t d) {
    struct norm_args a = {.t = t, .n = n, .dx = dx, .dy = dy, .x = x, .n_row = n_row, .d = d, .run = run_rows(d)};
    int64_t n_run = (n_row + a.run - 1) / a.run;
    SLM_ASSERT(!n->dw || (uint64_t)(n_run * 2 * d) <= t->n_partial);
    pool_run(t->pool, n_run, 1, norm_back_piece, &a);
    for (int64_t i = 0; i < n_run && n->dw; i++) {
        t->kern->add(n->dw, t->partial + i * 2 * d, 1, d);
        if (n->db) t->kern->add(n->db, t->partial + (i * 2 + 1) * d, 1, d);
    }
}

/* ---- elements ---- */

struct elem_args {
    struct trainee *t;
    real *y, *z;
    const real *x, *gate, *up;
    real s;
    int64_t n;
};

static void act_piece(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct elem_args *a = ctx;
    (void)i_thread;
    int64_t at = begin * ELEMS, n = (a->n < end * ELEMS ? a->n : end * ELEMS) - at;
    enum kern_act act = (enum kern_act)a->t->arch->act;
    if (a->gate) a->t->kern->act_mul(act, a->y + at, a->gate + at, a->up + at, n);
    else a->t->kern->act(act, a->y + at, a->up + at, n);
}
static void act_back_piece(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct elem_args *a = ctx;
    (void)i_thread;
    int64_t at = begin * ELEMS, n = (a->n < end * ELEMS ? a->n : end * ELEMS) - at;
    enum kern_act act = (enum kern_act)a->t->arch->act;
    if (a->gate) a->t->kern->act_mul_back(act, a->y + at, a->z + at, a->x + at, a->gate + at, a->up + at, n);
    else a->t->kern->act_back(act, a->z + at, a->x + at, a->up + at, n);
}
static void add_piece(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct elem_args *a = ctx;
    (void)i_thread;
    int64_t at = begin * ELEMS, n = (a->n < end * ELEMS ? a->n : end * ELEMS) - at;
    a->t->kern->add(a->y + at, a->x + at, a->s, n);
}
static void scale_piece(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct elem_args *a = ctx;
    (void)i_thread;
    int64_t at = begin * ELEMS, n = (a->n < end * ELEMS ? a->n : end * ELEMS) - at;
    a->t->kern->scale(a->y + at, a->x + at, a->s, n);
}
static void run_elems(struct trainee *t, pool_fn fn, struct elem_args *a) { pool_run(t->pool, (a->n + ELEMS - 1) / ELEMS, 1, fn, a); }

void rows_act(struct trainee *t, real *h, const real *gate, const real *up, int64_t n) {
    run_elems(t, act_piece, &(struct elem_args){.t = t, .y = h, .gate = gate, .up = up, .n = n});
}
void rows_act_back(struct trainee *t, real *dgate, real *dup, const real *dh, const real *gate, const real *up, int64_t n) {
    run_elems(t, act_back_piece, &(struct elem_args){.t = t, .y = dgate, .z = dup, .x = dh, .gate = gate, .up = up, .n = n});
}
void rows_add(struct trainee *t, real *x, const real *y, real s, int64_t n) { run_elems(t, add_piece, &(struct elem_args){.t = t, .y = x, .x = y, .s = s, .n = n}); }
void rows_scale(struct trainee *t, real *y, const real *x, real s, int64_t n) {
    run_elems(t, scale_piece, &(struct elem_args){.t = t, .y = y, .x = x, .s = s, .n = n});
}

/* ---- queries and keys in their places ---- */

struct place_args {
    struct trainee *t;
    const struct layer_hparams *l;
    real *q, *k;
    real sign;
};

static void place_tokens(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct place_args *a = ctx;
    const struct trainee *t = a->t;
    int table = a->l->is_local ? 1 : 0;
    bool adjacent = t->arch->rope == ROPE_ADJACENT;
    int64_t d_head = a->l->d_head, n_pair = a->l->n_rot / 2;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        real *q = a->q + i * a->l->n_head * d_head, *k = a->k + i * a->l->n_head_kv * d_head;
        const real *cs = t->cs[table] + t->pos[i] * t->n_pair[table], *sn = t->sn[table] + t->pos[i] * t->n_pair[table];
        if (t->q_scale) t->kern->scale(q, q, t->q_scale[t->pos[i]], a->l->n_head * d_head);
        if (!a->l->has_rope) continue;
        t->kern->rope(adjacent, q, a->l->n_head, d_head, n_pair, cs, sn, a->sign);
        t->kern->rope(adjacent, k, a->l->n_head_kv, d_head, n_pair, cs, sn, a->sign);
    }
}

void rows_place(struct trainee *t, uint32_t i_layer, struct layer_acts *a, int64_t n_tok) {
    const struct layer_hparams *l = &t->hp.layer[i_layer];
    const struct block *b = &t->blocks[i_layer];
    int64_t n_q = t->arch->qk_norm_whole ? 1 : l->n_head, n_k = t->arch->qk_norm_whole ? 1 : l->n_head_kv;
    if (b->q_norm.w) rows_norm(t, &b->q_norm, a->buf[ACT_Q], a->buf[ACT_Q_RAW], n_tok * n_q, (int64_t)l->n_head * l->d_head / n_q);
    if (b->k_norm.w) rows_norm(t, &b->k_norm, a->buf[ACT_K], a->buf[ACT_K_RAW], n_tok * n_k, (int64_t)l->n_head_kv * l->d_head / n_k);
    struct place_args p = {t, l, a->buf[ACT_Q], a->buf[ACT_K], 1};
    if (l->has_rope || t->q_scale) pool_run(t->pool, n_tok, 32, place_tokens, &p);
}

void rows_place_back(struct trainee *t, uint32_t i_layer, struct layer_acts *a, real *dq, real *dk, int64_t n_tok) {
    const struct layer_hparams *l = &t->hp.layer[i_layer];
    const struct block *b = &t->blocks[i_layer];
    int64_t n_q = t->arch->qk_norm_whole ? 1 : l->n_head, n_k = t->arch->qk_norm_whole ? 1 : l->n_head_kv;
    struct place_args p = {t, l, dq, dk, -1};
    if (l->has_rope || t->q_scale) pool_run(t->pool, n_tok, 32, place_tokens, &p);
    /* the norms' gradients go to where the forward pass kept q and k, which nothing reads any more */
    if (b->q_norm.w) {
        int64_t d = (int64_t)l->n_head * l->d_head;
        memset(a->buf[ACT_Q], 0, (size_t)(n_tok * d) * sizeof(real));
        rows_norm_back(t, &b->q_norm, a->buf[ACT_Q], dq, a->buf[ACT_Q_RAW], n_tok * n_q, d / n_q);
    }
    if (b->k_norm.w) {
        int64_t d = (int64_t)l->n_head_kv * l->d_head;
        memset(a->buf[ACT_K], 0, (size_t)(n_tok * d) * sizeof(real));
        rows_norm_back(t, &b->k_norm, a->buf[ACT_K], dk, a->buf[ACT_K_RAW], n_tok * n_k, d / n_k);
    }
}
