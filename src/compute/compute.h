/* compute.h -- the ops table plus threads: what model_forward calls.
 *
 * Each function splits its work over the pool; every output element is made by one thread in a fixed
 * order, so results do not depend on the number of threads. One compute belongs to one engine thread. */
#ifndef SLM_COMPUTE_COMPUTE_H
#define SLM_COMPUTE_COMPUTE_H

#include "base/pool.h"
#include "compute/ops.h"

struct compute {
    struct ops ops;
    struct pool *pool;
    uint8_t *scratch;       /* n_threads * scratch_bytes, from compute_init */
    size_t scratch_bytes;
    uint8_t *acts;          /* activations in 8 bits, of the product under way */
    size_t acts_bytes;
};

/* d_in_max, n_tok_max: widest row and most tokens that products will see (they size the scratch).
 * n_threads 0: default. ISA: SLM_CPU or the best. Errors: NOMEM, USAGE, UNSUPPORTED. */
slm_status compute_init(struct compute *c, int n_threads, int64_t d_in_max, int64_t n_tok_max, slm_err *err);
void compute_fini(struct compute *c); /* safe on a zeroed struct */
/* Bytes that compute_init will allocate, for the plan. */
size_t compute_scratch_bytes(int n_threads, int64_t d_in_max, int64_t n_tok_max);

/* y[n_tok, ldy] (first d_out of each row) = x[n_tok, d_in] * w^T. Packed weights: activations are rounded to 8 bits (pack.h),
 * the products of codes are exact. Others: rows are decoded to f32 once and used for all tokens. */
void compute_matmul(struct compute *c, float *y, int64_t ldy, const struct weight *w, const float *x, int64_t ldx, int64_t n_tok);
/* Several weights over the same x, as one piece of work: the activations are quantized once. */
struct product {
    float *y;
    int64_t ldy;
    const struct weight *w; /* all have the same d_in */
};
void compute_products(struct compute *c, const struct product *products, int n_products, const float *x, int64_t ldx, int64_t n_tok);
/* y[n_tok, d_in] = rows ids[i] of w, decoded, from the panels where there are any. ids are in range. */
void compute_get_rows(struct compute *c, float *y, const struct weight *w, const int32_t *ids, int64_t n_tok);
/* The plain ones, split over tokens. */
void compute_rms_norm(struct compute *c, float *y, const float *x, const float *w, int64_t n_tok, int64_t d, float eps);
void compute_layer_norm(struct compute *c, float *y, const float *x, const float *w, const float *b, int64_t n_tok, int64_t d, float eps);
void compute_add(struct compute *c, float *x, const float *y, float s, int64_t n);
void compute_add_bias(struct compute *c, float *y, const float *b, int64_t n_row, int64_t d);
void compute_scale(struct compute *c, float *x, float s, int64_t n);
void compute_sigmoid_mul(struct compute *c, float *x, const float *gate, int64_t n);
void compute_softcap(struct compute *c, float *x, float cap, int64_t n);

/* The activations, split over elements: gate[n] = act(gate[n]) * up[n], or x[n] = act(x[n]). */
enum act_kind { ACT_SILU, ACT_GELU, ACT_GELU_ERF };
void compute_act_mul(struct compute *c, enum act_kind act, float *gate, const float *up, int64_t n);
void compute_act(struct compute *c, enum act_kind act, float *x, int64_t n); /* ACT_SILU has no plain form */

/* Products of low rank, added: y[row, d_out] += row scale * scale * (x[row] a^T) b for rows of a batch. */
struct low_rank {
    const float *a; /* [r, d_in] */
    const float *b; /* [r, ldb], the first d_out of each row */
    int64_t r, d_in, d_out, ldb;
};
struct low_rank_row {
    int32_t row;
    float scale;
};
/* rows[n_row] rising; h: room for [n_row, r]. A row's result depends on nothing but the row. */
void compute_low_rank(struct compute *c, float *y, int64_t ldy, const struct low_rank *p, float scale, const float *x, int64_t ldx, const struct low_rank_row *rows,
                      int64_t n_row, float *h);

/* One piece of attention work: tokens of one sequence, and the n_group query heads that share a KV head. */
struct attn_range {
    int32_t first, end;               /* positions that a token sees: [first, end), not empty */
};
struct attn_job {
    struct attn_kv kv;
    const float *q;                   /* [n_tok, n_group, d_head], tokens ld elements apart */
    float *out;                       /* the same */
    int64_t ld;
    const struct attn_range *visible; /* [n_tok] */
    const float *sinks;               /* [n_group] of the heads; NULL: none */
    int32_t n_tok;
};
/* Tokens that a job should have at most: work for many threads, and as many rows as the slot likes. */
int32_t compute_attention_toks(int64_t n_group);
/* Floats of `parts`, so that a batch of n_tok tokens over n_head heads and n_ctx positions can be split over positions. */
uint64_t compute_attention_parts(int64_t n_tok, int64_t n_head, int64_t n_ctx, int64_t d_head);
/* n_part_floats: of parts; what does not fit there is not split. Bits do not depend on it. */
void compute_attention(struct compute *c, const struct attn_job *jobs, int64_t n_job, int64_t n_group, int64_t d_head,
                       const struct attn_params *params, float *parts, uint64_t n_part_floats);

#endif
