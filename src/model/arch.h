/* arch.h -- an architecture is data: hyper-parameter rows, tensor rows and switches.
 *
 * A new architecture is one file arch/<family>.c and one row in arch.c. hparams.c, weights.c, plan.c,
 * forward.c and `slm inspect` read the rows; nothing asks for a name. What a layer does follows from three things: the
 * switches below, the hyper-parameters, and which optional tensors the rows name (a bound bias is added, a bound
 * post-norm is applied). Only new mathematics adds code, behind a switch. */
#ifndef SLM_MODEL_ARCH_H
#define SLM_MODEL_ARCH_H

#include "base/status.h"
#include "compute/compute.h" /* enum act_kind */

/* Hyper-parameters, in our words; docs/glossary.md maps them to GGUF and Hugging Face names. */
struct hparams {
    uint32_t n_layer, d_model, d_ff, n_head, n_head_kv, d_head, n_rot, n_vocab, n_ctx_train;
    float norm_eps;
    /* rope: angle of pair i at position p is p * rope_scale * rope_base^(-2i / n_rot), then yarn or factor tables */
    float rope_base, rope_scale;
    uint32_t d_head_local, n_rot_local; /* of windowed layers; 0: as the others */
    float rope_base_local;      /* of windowed layers; 0: rope_base, and no scaling there either when set */
    float rope_mscale;          /* cosines and sines are multiplied by it */
    uint32_t n_ctx_orig;        /* context before rope was stretched; 0: n_ctx_train */
    float yarn_factor;          /* 1: no YaRN */
    float yarn_beta_fast, yarn_beta_slow, yarn_log_mul;
    uint32_t yarn_truncate;     /* 1: the ramp begins and ends at whole pairs */
    /* attention */
    uint32_t window;            /* a windowed layer sees this many positions, its own among them; 0: all */
    uint32_t window_period;     /* every window_period-th layer sees all (window_from_full: the first is one); 0: none does */
    uint32_t nope_period;       /* every nope_period-th layer has no rope; 0: all have it */
    float attn_scale;           /* scores are multiplied by it; derived: 1 / sqrt(d_head) */
    float attn_softcap;         /* scores become c * tanh(score / c); 0: off */
    float temp_scale;           /* queries at p are multiplied by 1 + temp_scale * ln(1 + floor(p / temp_len)); 0: off */
    uint32_t temp_len;
    uint32_t n_layer_shared;    /* that many last layers read the keys and values of the last one before them of their kind */
    uint32_t d_ple;             /* width of a layer's own embedding; 0: layers have none */
    uint32_t n_altup, d_laurel; /* copies of the stream, 0: one; width of the narrow product beside attention */
    float sparse_std;           /* the first n_layer_sparse layers cut what of the gate is below mean + sparse_std * deviation */
    uint32_t n_layer_sparse;
    /* layers that are no attention (arch_desc.mixer): those with no KV heads, or all but every attention_period-th */
    uint32_t attention_period;
    uint32_t conv_kernel;       /* taps of the short convolution */
    uint32_t n_head_k, n_head_v, d_state, d_inner; /* delta: key heads of d_state, value heads that share d_inner */
    /* experts */
    uint32_t n_expert, n_expert_used, d_ff_expert;
    uint32_t n_layer_dense;     /* the first layers have none */
    uint32_t moe_gating;        /* enum moe_gating */
    uint32_t moe_norm;          /* 1: a token's weights are made to sum to 1 */
    float moe_scale;            /* of the weights; 0: none */
    uint32_t n_layer_draft;     /* blocks after the last layer that guess ahead; not part of the model's own pass */
    /* multipliers */
    float embd_scale, residual_scale, logit_scale; /* logits are divided by logit_scale */
    float final_softcap;        /* logits become c * tanh(logit / c); 0: off */
    /* encoders */
    bool bidirectional;         /* a token attends to its whole text, half a window to each side; the file may differ from the descriptor */
    uint32_t pooling;           /* enum pooling: what an embedding is made of */
    uint32_t n_dense;           /* width between the dense layers over a pooled state */
    uint32_t n_type;            /* rows of the token type table; type 0 is added everywhere */
    uint32_t n_label;           /* scores of a classification head */
    struct layer_hparams *layer; /* [n_layer], made by hparams_read */
};

/* How a layer mixes its text: with keys and values kept for every position, or with a state of fixed size. */
enum mixer_kind { MIXER_ATTENTION, MIXER_CONV, MIXER_DELTA };

/* What may differ from layer to layer. */
struct layer_hparams {
    enum mixer_kind mixer;
    uint32_t n_head, n_head_kv, d_head, n_rot, d_ff;
    uint32_t window; /* positions that it sees; 0: all */
    uint32_t i_kv;   /* the layer whose keys and values it reads: itself, or an earlier one */
    bool is_local;   /* turns by the local rope table */
    bool has_rope;
    float sparse_std; /* of the gate, what is below mean + sparse_std * deviation is cut; 0: nothing */
    bool is_moe;     /* experts instead of one feed-forward block */
};

/* What weights are made of: all scores, each score, the chosen scores. As in GGUF's <arch>.expert_gating_func. */
enum moe_gating { MOE_UNSET, MOE_SOFTMAX, MOE_SIGMOID, MOE_SOFTMAX_CHOSEN, N_MOE_GATINGS };

/* As in GGUF's <arch>.pooling_type. */
enum pooling { POOLING_NONE, POOLING_MEAN, POOLING_CLS, POOLING_LAST, POOLING_RANK, N_POOLINGS };

/* Symbolic widths in tensor rows; resolved by hparams. */
enum dim {
    DIM_NONE, DIM_MODEL, DIM_FF, DIM_2FF, DIM_VOCAB, DIM_Q, DIM_KV, DIM_Q_KV, DIM_QKV, DIM_HEAD, DIM_ROT_HALF,
    DIM_CTX, DIM_TYPES, DIM_LABELS, DIM_DENSE, DIM_2Q, DIM_3MODEL, DIM_TAPS, DIM_DELTA_QKV, DIM_INNER, DIM_V_HEADS, DIM_V_HEAD,
    DIM_PLE, DIM_PLE_ALL, DIM_EXPERTS, DIM_FF_EXPERT, DIM_ALTUP, DIM_ALTUP_REST, DIM_ALTUP_2, DIM_LAUREL, DIM_HEADS,
    DIM_COUNT
};
uint64_t hparams_dim(const struct hparams *hp, enum dim d, uint32_t i_layer);
uint64_t hparams_dim_max(const struct hparams *hp, enum dim d); /* over the layers */
uint32_t hparams_n_pair_max(const struct hparams *hp); /* rotated pairs of a head, over the layers */
const char *dim_name(enum dim d);

enum hparam_type { HP_U32, HP_F32 };
struct arch_hparam {
    const char *key;        /* after "<arch>." */
    enum hparam_type type;
    size_t offset;          /* of the field in struct hparams */
    bool required;
    double fallback;        /* when absent; fields that derive from others: hparams.c */
    double min, max;        /* inclusive; a file outside is refused */
};

/* Slots of tensors that a model may have. Global ones first, then the per-layer ones. */
enum weight_slot {
    W_NONE,
    W_TOK_EMBD, W_POS_EMBD, W_TYPE_EMBD, W_EMBD_NORM, W_OUTPUT_NORM, W_OUTPUT, W_ROPE_FREQS, W_ROPE_LONG, W_ROPE_SHORT,
    W_ALTUP_PROJ, W_ALTUP_UNPROJ, W_PLE_EMBD, W_PLE_PROJ, W_PLE_PROJ_NORM,
    W_CLS, W_CLS_NORM, W_CLS_OUT, W_DENSE_2, W_DENSE_3,
    W_LAYER_FIRST,
    W_ATTN_NORM = W_LAYER_FIRST, W_ATTN_Q, W_ATTN_K, W_ATTN_V, W_ATTN_Q_NORM, W_ATTN_K_NORM, W_ATTN_OUT, W_ATTN_POST_NORM, W_ATTN_SINKS,
    W_MIX_IN, W_MIX_GATE, W_MIX_CONV, W_MIX_ALPHA, W_MIX_BETA, W_MIX_A, W_MIX_DT, W_MIX_NORM, W_MIX_OUT,
    W_ATTN_SUM_NORM, W_FFN_NORM, W_FFN_GATE, W_FFN_UP, W_FFN_DOWN, W_FFN_POST_NORM, W_FFN_SUM_NORM,
    W_PLE_GATE, W_PLE_OUT, W_PLE_POST_NORM, W_LAYER_SCALE,
    W_ALTUP_ROUTER, W_ALTUP_NORM, W_ALTUP_PREDICT, W_ALTUP_CORRECT, W_ALTUP_SCALE, W_LAUREL_IN, W_LAUREL_OUT, W_LAUREL_NORM,
    W_MOE_ROUTER, W_MOE_BIAS, W_MOE_GATE, W_MOE_UP, W_MOE_DOWN,
    W_COUNT
};

enum {
    TENSOR_VECTOR = 1,        /* [cols], kept as f32 */
    TENSOR_OPTIONAL = 2,
    TENSOR_BIAS = 4,          /* "<name>.bias" [rows, or cols of a vector] must be there */
    TENSOR_BIAS_OPTIONAL = 8,
    TENSOR_BARE = 16,         /* the name is whole: no ".weight" follows */
    TENSOR_F32 = 32,          /* a small matrix, kept as f32 like a vector */
    TENSOR_ON_ATTENTION = 64, /* only on layers that are attention */
    TENSOR_ON_MIXER = 128,    /* only on the others */
    TENSOR_ON_MOE = 512,      /* only on layers with experts */
    TENSOR_ON_DENSE = 1024,   /* only on the others */
    TENSOR_STACK = 2048,      /* `of` matrices in one tensor, [of, rows, cols]; bias [of, rows] */
    TENSOR_ON_OWN_KV = 256,   /* optional on layers that read another's keys and values */
    TENSOR_OTHER_FORM = 4096, /* stands when the file has this tensor in this shape; the slot's row without the flag stands otherwise */
};
struct arch_tensor {
    enum weight_slot slot;
    const char *name;         /* without ".weight": "blk.%u.attn_q"; %u is the layer */
    enum dim rows, cols;      /* [rows, cols]; a vector has rows DIM_NONE and cols its length */
    unsigned flags;
    enum weight_slot tied;    /* when absent take this slot's tensor; W_NONE: it must be there, or is optional */
    /* A slot that is a part of a fused tensor: the file's tensor has rows `of`, ours begin at `at`. DIM_NONE: the whole. */
    enum dim of, at;
};

enum rope_kind { ROPE_NONE, ROPE_ADJACENT, ROPE_HALVES };
enum norm_kind { NORM_RMS, NORM_LAYER };
enum cls_act { CLS_TANH, CLS_GELU };

struct arch_desc {
    const char *name;         /* GGUF general.architecture */
    const char *families;     /* for people: "Llama 2/3, TinyLlama, SmolLM2, Mistral 7B" */
    enum rope_kind rope;
    enum norm_kind norm;
    enum act_kind act;
    bool plain_ffn;           /* down(act(up(x))) instead of down(act(gate(x)) * up(x)) */
    bool parallel;            /* attention and feed-forward read the same norm and are added together */
    bool embd_scale_sqrt;     /* embeddings are multiplied by sqrt(d_model) */
    enum mixer_kind mixer;    /* of the layers that are no attention */
    bool attn_gate;           /* W_ATTN_Q gives [n_head, 2, d_head]: queries, and gates whose sigmoid scales what attention gives */
    bool moe_clamped;         /* experts gate as gpt-oss: clamped, slope 1.702, plus one */
    bool v_norm;              /* values are normed per head, without a weight */
    bool qk_norm_whole;       /* q and k norms run over all heads at once, not per head */
    bool bidirectional;       /* an encoder */
    bool window_from_full;    /* of a window period the first layer sees all, not the last */
    enum cls_act cls_act;     /* between the two layers of the classification head */
    bool cls_softmax;         /* two scores, no and yes, become probabilities */
    bool rope_long;           /* longrope: W_ROPE_LONG when the run's context passes n_ctx_orig, else W_ROPE_SHORT */
    const struct arch_hparam *hparams;
    size_t n_hparams;
    const struct arch_tensor *tensors;
    size_t n_tensors;
    /* adjust -- what the authors derive instead of storing; NULL: nothing. Runs after the rows were read. */
    void (*adjust)(struct hparams *hp);
};

const struct arch_desc *arch_find(const char *name);    /* NULL: not there */
const char *arch_nearest(const char *name);             /* nearest supported name, for the error */

#endif
