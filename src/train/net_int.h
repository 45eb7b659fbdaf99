/* net_int.h -- the inside of a trainee: parameters by slot, activations by the plan, and the words that its files share. */
#ifndef SLM_TRAIN_NET_INT_H
#define SLM_TRAIN_NET_INT_H

#include "base/pool.h"
#include "base/util.h"
#include "model/rope.h"
#include "train/kern.h"
#include "train/trainee.h"

/* One tensor that training knows by name, as the file has it. Offsets count elements in the flat arrays. */
struct param {
    char name[GGUF_NAME_BYTES_MAX + 8];
    enum param_kind kind;
    int64_t rows, cols;     /* a vector has rows 1 */
    uint64_t at, n;
};

/* y = x w^T + b, and what may be added to it: scale * (x a^T) b^T of an adapter. */
struct adapter {
    int64_t r;
    real scale;
    const real *a, *b;  /* [r, d_in], [d_out, r] */
    real *da, *db;
};
struct linear {
    int64_t d_out, d_in;
    const real *w, *b;        /* w NULL: the base's, in its own type */
    real *dw, *db;            /* NULL: does not learn */
    const struct weight *base;
    struct adapter *adapter;  /* NULL: none */
};
struct norm {
    const real *w, *b;        /* w NULL: no norm here */
    real *dw, *db;
};
struct block {
    struct linear q, k, v, out, gate, up, down;
    struct norm attn_norm, ffn_norm, attn_post, ffn_post, q_norm, k_norm;
};

/* What the forward pass leaves for the backward pass; widths and levels: acts.c. */
enum act_id { ACT_X, ACT_XN1, ACT_Q_RAW, ACT_K_RAW, ACT_Q, ACT_K, ACT_V, ACT_ATT, ACT_LSE, ACT_PROJ, ACT_MID, ACT_XN2, ACT_GATE, ACT_UP, ACT_HIDDEN,
              ACT_FFN, N_ACT };
struct layer_acts {
    real *buf[N_ACT]; /* this layer's, or the shared one */
};

/* Gradients and scratch that all layers share, by row of a table (acts.c). */
enum scratch_id { SCR_DX, SCR_DBRANCH, SCR_DXN, SCR_DQ, SCR_DK, SCR_DV, SCR_DATT, SCR_DGATE, SCR_DUP, SCR_DHIDDEN, SCR_T, SCR_DT, N_SCRATCH };

struct trainee {
    const struct slm_model *base;   /* hyper-parameters, frozen weights; borrowed, or owned with the parameters inside */
    struct slm_model *live;         /* over the parameters; NULL: base is it */
    const struct arch_desc *arch;
    struct hparams hp;
    struct trainee_params set;
    struct pool *pool;
    const struct kern *kern;

    struct param *params;           /* [n_params] */
    size_t n_params, params_cap;
    uint64_t n_elem;                /* of all parameters that learn */
    real *w, *g;                    /* [n_elem] */

    struct linear embd, head;
    struct norm out_norm;
    struct block *blocks;           /* [n_layer] */
    struct adapter *adapters;
    size_t n_adapters, adapters_cap;
    struct arena arena;

    int32_t micro_tokens, n_ctx;    /* most tokens of a batch, longest sequence */
    int level;                      /* of recomputing */
    struct layer_acts *acts;              /* [n_layer + 1]; the last holds only ACT_X: what the head reads */
    real *scratch[N_SCRATCH];
    real *cs[2], *sn[2], *q_scale;  /* [n_ctx, n_pair] of the full and the local table; [n_ctx] */
    int64_t n_pair[2];
    real *dequant;                  /* [dequant_rows(..)] rows of a base matrix as f32 */
    uint64_t n_dequant;
    real *partial;                  /* [n_partial] sums of runs of rows */
    uint64_t n_partial;
    real *tile;                     /* [n_threads, n_tile] attention */
    uint64_t n_tile;
    real *head_x, *head_xn, *head_dx, *head_logits, *head_slope; /* rows with a loss; slope: of capped logits */
    int32_t *head_row;
    struct row_loss *head_loss;
    int32_t head_chunk;
    int32_t *pos;                   /* [micro_tokens] of the batch under way */
    void *blob;                     /* what all of the above lie in */
    uint64_t bytes;
};

/* ---- linear.c ---- */
/* y[n_tok, d_out] = linear(x). Several over the same x at once. */
void linear_forward(struct trainee *t, const struct linear *l, real *y, const real *x, int64_t n_tok);
/* dx (+)= through l, and its weight gradients. dx NULL: not wanted; add: dx is added to. */
void linear_backward(struct trainee *t, const struct linear *l, real *dx, bool add, const real *dy, const real *x, int64_t n_tok);
int64_t linear_dequant_rows(int64_t d_in);
void linear_row(const struct linear *l, int64_t i_row, real *out); /* of a frozen base */

/* ---- rows.c: elementwise work over the pool ---- */
void rows_norm(struct trainee *t, const struct norm *n, real *y, const real *x, int64_t n_row, int64_t d);
/* dx += */
void rows_norm_back(struct trainee *t, const struct norm *n, real *dx, const real *dy, const real *x, int64_t n_row, int64_t d);
void rows_act(struct trainee *t, real *h, const real *gate, const real *up, int64_t n);              /* gate NULL: plain */
void rows_act_back(struct trainee *t, real *dgate, real *dup, const real *dh, const real *gate, const real *up, int64_t n);
void rows_add(struct trainee *t, real *x, const real *y, real s, int64_t n);
void rows_scale(struct trainee *t, real *y, const real *x, real s, int64_t n);
void rows_bias_back(struct trainee *t, real *db, const real *dy, int64_t n_row, int64_t d);
/* q and k of a layer: norm per head, turn, position scale; and back. */
void rows_place(struct trainee *t, uint32_t i_layer, struct layer_acts *a, int64_t n_tok);
void rows_place_back(struct trainee *t, uint32_t i_layer, struct layer_acts *a, real *dq, real *dk, int64_t n_tok);

/* ---- attention.c ---- */
uint64_t attention_tile(const struct hparams *hp, int32_t n_ctx);
void attention_forward(struct trainee *t, const struct train_batch *b, uint32_t i_layer, struct layer_acts *a);
void attention_backward(struct trainee *t, const struct train_batch *b, uint32_t i_layer, struct layer_acts *a, real *dq, real *dk, real *dv, const real *datt);

/* ---- block.c ---- */
void block_forward(struct trainee *t, const struct train_batch *b, uint32_t i_layer);
void block_backward(struct trainee *t, const struct train_batch *b, uint32_t i_layer);

/* ---- loss.c ---- */
struct row_loss {
    double loss, weight;
    int32_t best;
    float ce;
};
void head_loss(struct trainee *t, const struct train_batch *b, bool backward, double weight_all, const bool *allowed, double *sum, double *weight,
               struct train_score *scores);

/* ---- acts.c ---- */
slm_status acts_plan(struct trainee *t, slm_err *err);
bool acts_is_kept(const struct trainee *t, enum act_id id);
void acts_fini(struct trainee *t);

/* ---- params.c ---- */
slm_status params_layout(struct trainee *t, slm_err *err); /* params, w, g, slots */
/* What a slot is in this trainee, and how long its vector; NULL: not of that kind. */
const struct norm *params_norm(const struct trainee *t, enum weight_slot slot, uint32_t i_layer);
const struct linear *params_linear(const struct trainee *t, enum weight_slot slot, uint32_t i_layer);
uint64_t params_width(const struct trainee *t, enum weight_slot slot, uint32_t i_layer);

/* ---- live.c: the model as it is now ---- */
slm_status live_create(struct trainee *t, slm_err *err);
void live_destroy(struct trainee *t);

#endif
