/* forward_int.h -- the working memory of a forward pass and the words that its parts share. */
#ifndef SLM_MODEL_FORWARD_INT_H
#define SLM_MODEL_FORWARD_INT_H

#include "model/forward.h"
#include "model/model_int.h"

/* Windowed layers may turn by another table than full ones. */
enum { ROPE_FULL, ROPE_LOCAL, N_ROPE_TABLES };

/* The rows of a batch that one adapter adds to. */
struct lora_group {
    const struct lora *lora;
    int32_t first, n; /* of lora_rows */
};

struct forward {
    const struct slm_model *m;
    struct compute *c;
    int32_t n_batch, n_out;
    struct rope_table rope[N_ROPE_TABLES];
    float *x, *xn, *q, *k, *v, *att, *branch, *gate, *up, *cos, *sin; /* shapes: plan.c */
    float *q_scale;                                                   /* [n_batch] of the positions */
    int32_t *end;                                                     /* [n_batch] positions before it are seen */
    struct attn_range *visible;                                       /* [n_batch] of the layer under way */
    struct attn_job *jobs;                                            /* [n_batch, n_head_kv] */
    float *att_parts;                                                 /* [n_part_floats] of attention cut at spans */
    uint64_t n_part_floats;
    float *mix, *mix_gate, *mix_scalars;                              /* of layers that are no attention */
    float *ple, *ple_in;                                              /* [n_batch, n_layer, d_ple] per-layer embeddings */
    float *ones;
    float *copies, *predicted, *altup_mode, *altup_coef;              /* of a stream in several copies */
    float *moe_score, *moe_weight, *moe_in, *moe_out;                 /* of layers with experts */
    int32_t *moe_id;
    uint32_t n_loras, n_lora_groups;                                  /* adapters of the model; groups of the batch under way */
    struct lora_group *lora_groups;                                   /* [n_loras] */
    struct low_rank_row *lora_rows, *lora_expert_rows;                /* [n_loras, n_batch]; [n_batch] of one group's tokens of one expert */
    float *lora_h;                                                    /* [n_batch, rank] */
    forward_observer observer;                                        /* NULL: none */
    void *observer_user;
};

/* y[n_tok, d_out] = x[n_tok, d_in] through a slot's matrix and bias; a slot that the architecture lacks may not be asked. */
void forward_linear(struct forward *f, float *y, enum weight_slot slot, uint32_t i_layer, const float *x, int64_t n_tok);
/* Up to three slots over the same input. */
void forward_linears(struct forward *f, float *const y[], const enum weight_slot slots[], int n_slots, uint32_t i_layer, const float *x, int64_t n_tok);
/* Adapters (lora_forward.c): whose rows are in the batch, of all tokens or of those that `which` names; then what they add to a slot's product of
 * x, whose rows are those; and the end, after which nothing is added. */
void forward_lora_begin(struct forward *f, const struct batch *b, const bool *which);
void forward_lora_add(struct forward *f, float *y, enum weight_slot slot, uint32_t i_layer, const float *x);
void forward_lora_end(struct forward *f);
/* The same of expert e's slots: rows of x and y are its tokens among the batch's n_tok, as forward_moe gathers them. */
void forward_lora_add_expert(struct forward *f, int n_slots, float *const y[], const enum weight_slot slots[], uint32_t e, uint32_t i_layer, const float *x, int64_t n_tok);
/* y = norm(x), the architecture's kind, by a slot's vector; y may be x. A slot that is not there copies. */
void forward_norm(struct forward *f, float *y, enum weight_slot slot, uint32_t i_layer, const float *x, int64_t n_row, int64_t d);

/* Per-layer embeddings (ple.c): those of the batch, from x; then out[n, d_model] = a layer's part of them. */
bool forward_has_ple(const struct forward *f);
void forward_ple_begin(struct forward *f, const struct batch *b);
void forward_ple(struct forward *f, int64_t n, uint32_t i_layer, const float *x, float *out);

/* branch = attention, and feed-forward, of xn (forward.c). */
void forward_attention(struct forward *f, struct kv *kv, const struct batch *b, uint32_t i_layer);
void forward_ffn(struct forward *f, int64_t n_tok, uint32_t i_layer);

/* A stream in several copies (altup.c): from x, through a layer, and back to x. */
void forward_altup_begin(struct forward *f, int64_t n_tok);
void forward_altup_layer(struct forward *f, struct kv *kv, const struct batch *b, uint32_t i_layer);
void forward_altup_end(struct forward *f, int64_t n_tok);

/* forward_moe -- branch = the experts of xn (moe.c). */
void forward_moe(struct forward *f, int64_t n_tok, uint32_t i_layer);

/* forward_mix -- branch = what a layer that is no attention makes of xn. Source: arch/lfm2.c, arch/qwen35.c. */
void forward_mix(struct forward *f, struct kv *kv, const struct batch *b, uint32_t i_layer);

#endif
