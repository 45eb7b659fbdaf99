/* attention.c -- causal attention within each sequence of a batch, forward and backward, a tile of queries at a time.
 *
 * Memory grows with the longest sequence, not with its square: the forward pass keeps each query's output and the logarithm of its sum;
 * the backward pass makes a tile's scores again and from them the probabilities (Dao et al. 2022). A piece of work is one sequence
 * and one KV head: its owner sums the gradients of keys and values over the group's queries, in their order. */
#include "train/blas_int.h"
#include "train/net_int.h"

#define TILE 64 /* queries */

uint64_t attention_tile(const struct hparams *hp, int32_t n_ctx) {
    (void)hp;
    return 2 * (uint64_t)TILE * (uint64_t)n_ctx + TILE;
}

struct attend_args {
    struct trainee *t;
    const struct train_batch *b;
    const struct layer_hparams *l;
    const real *q, *k, *v, *datt;
    real *att, *lse, *dq, *dk, *dv;
};

/* One tile: queries [i0, i0 + n) of a sequence see keys [k0, k0 + n_key) of it, row by row [first, end) of those. */
struct tile {
    int64_t i0, n, k0, n_key;
    int32_t first[TILE], end[TILE];
    real *s, *dp, *delta;
};

static void tile_set(struct tile *c, const struct attend_args *a, int64_t i0, int64_t n_seq, int i_thread) {
    int64_t window = a->l->window;
    c->i0 = i0;
    c->n = n_seq - i0 < TILE ? n_seq - i0 : TILE;
    c->k0 = window && i0 >= window ? i0 - window + 1 : 0;
    c->n_key = i0 + c->n - c->k0;
    for (int64_t r = 0; r < c->n; r++) {
        int64_t pos = i0 + r, first = window && pos >= window ? pos - window + 1 : 0;
        c->first[r] = (int32_t)(first - c->k0);
        c->end[r] = (int32_t)(pos + 1 - c->k0);
    }
    c->s = a->t->tile + (uint64_t)i_thread * a->t->n_tile;
    c->dp = c->s + TILE * (int64_t)a->t->n_ctx;
    c->delta = c->dp + TILE * (int64_t)a->t->n_ctx;
}

/* Where a head's rows begin and how far they are apart. */
struct place {
    int64_t q_at, kv_at, lse_at, ld_q, ld_kv;
};
static struct place place_of(const struct attend_args *a, int64_t begin, int64_t i_kv, int64_t i_group) {
    int64_t d = a->l->d_head, n_group = a->l->n_head / a->l->n_head_kv, head = i_kv * n_group + i_group;
    struct place p = {.ld_q = a->l->n_head * d, .ld_kv = a->l->n_head_kv * d};
    p.q_at = begin * p.ld_q + head * d;
    p.kv_at = begin * p.ld_kv + i_kv * d;
    p.lse_at = begin * a->l->n_head + head;
    return p;
}

static void attend_piece(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct attend_args *a = ctx;
    const struct layer_hparams *l = a->l;
    int64_t d = l->d_head, n_kv = l->n_head_kv, n_group = l->n_head / n_kv;
    struct tile c;
    for (int64_t i = begin; i < end; i++) {
        int64_t first = a->b->seq_begin[i / n_kv], n = a->b->seq_begin[i / n_kv + 1] - first;
        for (int64_t g = 0; g < n_group; g++) {
            struct place p = place_of(a, first, i % n_kv, g);
            for (int64_t i0 = 0; i0 < n; i0 += TILE) {
                tile_set(&c, a, i0, n, i_thread);
                const real *k = a->k + p.kv_at + c.k0 * p.ld_kv, *v = a->v + p.kv_at + c.k0 * p.ld_kv;
                blas_gemm(false, true, c.n, c.n_key, d, 1, a->q + p.q_at + i0 * p.ld_q, p.ld_q, k, p.ld_kv, 0, c.s, c.n_key);
                a->t->kern->attn_softmax(c.s, c.n_key, c.n, c.n_key, c.first, c.end, (real)a->t->hp.attn_scale, (real)a->t->hp.attn_softcap,
                                         a->lse + p.lse_at + i0 * l->n_head, l->n_head);
                blas_gemm(false, false, c.n, d, c.n_key, 1, c.s, c.n_key, v, p.ld_kv, 0, a->att + p.q_at + i0 * p.ld_q, p.ld_q);
            }
        }
    }
}

static void attend_tile_back(const struct attend_args *a, struct tile *c, const struct place *p) {
    int64_t d = a->l->d_head, q_at = p->q_at + c->i0 * p->ld_q, kv_at = p->kv_at + c->k0 * p->ld_kv;
    const real *datt = a->datt + q_at, *q = a->q + q_at;
    for (int64_t r = 0; r < c->n; r++) c->delta[r] = (real)a->t->kern->dot(datt + r * p->ld_q, a->att + q_at + r * p->ld_q, d);
    blas_gemm(false, true, c->n, c->n_key, d, 1, q, p->ld_q, a->k + kv_at, p->ld_kv, 0, c->s, c->n_key);
    blas_gemm(false, true, c->n, c->n_key, d, 1, datt, p->ld_q, a->v + kv_at, p->ld_kv, 0, c->dp, c->n_key);
    a->t->kern->attn_softmax_back(c->s, c->dp, c->n_key, c->n, c->n_key, c->first, c->end, (real)a->t->hp.attn_scale, (real)a->t->hp.attn_softcap,
                                  a->lse + p->lse_at + c->i0 * a->l->n_head, a->l->n_head, c->delta);
    blas_gemm(true, false, c->n_key, d, c->n, 1, c->s, c->n_key, datt, p->ld_q, 1, a->dv + kv_at, p->ld_kv);
    blas_gemm(false, false, c->n, d, c->n_key, 1, c->dp, c->n_key, a->k + kv_at, p->ld_kv, 0, a->dq + q_at, p->ld_q);
    blas_gemm(true, false, c->n_key, d, c->n, 1, c->dp, c->n_key, q, p->ld_q, 1, a->dk + kv_at, p->ld_kv);
}

static void attend_back_piece(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct attend_args *a = ctx;
    int64_t d = a->l->d_head, n_kv = a->l->n_head_kv, n_group = a->l->n_head / n_kv;
    struct tile c;
    for (int64_t i = begin; i < end; i++) {
        int64_t first = a->b->seq_begin[i / n_kv], n = a->b->seq_begin[i / n_kv + 1] - first;
        struct place p = place_of(a, first, i % n_kv, 0);
        for (int64_t r = 0; r < n; r++) {
            memset(a->dk + p.kv_at + r * p.ld_kv, 0, (size_t)d * sizeof(real));
            memset(a->dv + p.kv_at + r * p.ld_kv, 0, (size_t)d * sizeof(real));
        }
        for (int64_t g = 0; g < n_group; g++) {
            p = place_of(a, first, i % n_kv, g);
            for (int64_t i0 = 0; i0 < n; i0 += TILE) {
                tile_set(&c, a, i0, n, i_thread);
                attend_tile_back(a, &c, &p);
            }
        }
    }
}

void attention_forward(struct trainee *t, const struct train_batch *b, uint32_t i_layer, struct layer_acts *acts) {
    struct attend_args a = {.t = t, .b = b, .l = &t->hp.layer[i_layer], .q = acts->buf[ACT_Q], .k = acts->buf[ACT_K], .v = acts->buf[ACT_V],
                            .att = acts->buf[ACT_ATT], .lse = acts->buf[ACT_LSE]};
    pool_run(t->pool, (int64_t)b->n_seq * a.l->n_head_kv, 1, attend_piece, &a);
}

void attention_backward(struct trainee *t, const struct train_batch *b, uint32_t i_layer, struct layer_acts *acts, real *dq, real *dk, real *dv, const real *datt) {
    struct attend_args a = {.t = t, .b = b, .l = &t->hp.layer[i_layer], .q = acts->buf[ACT_Q], .k = acts->buf[ACT_K], .v = acts->buf[ACT_V],
                            .att = acts->buf[ACT_ATT], .lse = acts->buf[ACT_LSE], .datt = datt, .dq = dq, .dk = dk, .dv = dv};
    pool_run(t->pool, (int64_t)b->n_seq * a.l->n_head_kv, 1, attend_back_piece, &a);
}
