/* rows_int.h -- the rows that most families share; a family's tables begin with the macros that fit and add what is its own. */
#ifndef SLM_MODEL_HF_ROWS_INT_H
#define SLM_MODEL_HF_ROWS_INT_H

#include "model/hf/hf_int.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))
#define ROWS(k, r, t) .keys = (k), .n_keys = N_OF(k), .rules = (r), .n_rules = N_OF(r), .tensors = (t), .n_tensors = N_OF(t)

/* Keys: config.json's, GGUF's, type, flags, the class's default */

#define KEYS_SIZES(n_ctx)                                                          \
    {"num_hidden_layers",       "block_count",             HP_U32, HF_REQUIRED, 0}, \
    {"hidden_size",             "embedding_length",        HP_U32, HF_REQUIRED, 0}, \
    {"intermediate_size",       "feed_forward_length",     HP_U32, HF_REQUIRED, 0}, \
    {"num_attention_heads",     "attention.head_count",    HP_U32, HF_REQUIRED, 0}, \
    {"max_position_embeddings", "context_length",          HP_U32, 0, n_ctx}
#define KEY_HEADS_KV(n)   {"num_key_value_heads", "attention.head_count_kv",           HP_U32, 0, n}
#define KEY_D_HEAD(n)     {"head_dim",            "attention.key_length",              HP_U32, 0, n}
#define KEY_RMS_EPS(eps)  {"rms_norm_eps",        "attention.layer_norm_rms_epsilon",  HP_F32, 0, eps}
#define KEYS_LLAMA(n_ctx, eps) KEYS_SIZES(n_ctx), KEY_HEADS_KV(0), KEY_D_HEAD(0), KEY_RMS_EPS(eps)

#define KEY_WINDOW(n)     {"sliding_window",      "attention.sliding_window",          HP_U32, 0, n}

/* Rules */

#define RULE_SILU   {"hidden_act", "silu|swish"}
#define RULE_GELU   {"hidden_act", "gelu|gelu_pytorch_tanh|null"}, {"hidden_activation", "gelu_pytorch_tanh|null"} /* the class takes tanh for both */
#define RULE_NO_BIAS {"attention_bias", "false|null"}
#define RULES_LAYERS {"layer_types", NULL}, {"use_sliding_window", "false|null"}, {"sliding_window", NULL}, {"max_window_layers", NULL} /* checked by adjust */

/* Tensors */

#define TENSORS_EMBEDDING                              \
    {"token_embd",  {"*embed_tokens"}, HF_COPY, 0},    \
    {"output_norm", {"*norm"},         HF_COPY, 0},    \
    {"output",      {"^lm_head"},      HF_COPY, HF_HEAD}
#define TENSORS_ATTENTION(q, k)                                                \
    {"blk.%u.attn_q",      {"*layers.%u.self_attn.q_proj"}, q, 0},             \
    {"blk.%u.attn_k",      {"*layers.%u.self_attn.k_proj"}, k, 0},             \
    {"blk.%u.attn_v",      {"*layers.%u.self_attn.v_proj"}, HF_COPY, 0},       \
    {"blk.%u.attn_output", {"*layers.%u.self_attn.o_proj"}, HF_COPY, 0}
#define TENSORS_PRE_NORMS                                                      \
    {"blk.%u.attn_norm",   {"*layers.%u.input_layernorm"},          HF_COPY, 0}, \
    {"blk.%u.ffn_norm",    {"*layers.%u.post_attention_layernorm"}, HF_COPY, 0}
#define TENSORS_QK_NORMS(how)                                                  \
    {"blk.%u.attn_q_norm", {"*layers.%u.self_attn.q_norm"}, how, 0},           \
    {"blk.%u.attn_k_norm", {"*layers.%u.self_attn.k_norm"}, how, 0}
#define TENSORS_FFN                                                            \
    {"blk.%u.ffn_gate",    {"*layers.%u.mlp.gate_proj"}, HF_COPY, 0},          \
    {"blk.%u.ffn_up",      {"*layers.%u.mlp.up_proj"},   HF_COPY, 0},          \
    {"blk.%u.ffn_down",    {"*layers.%u.mlp.down_proj"}, HF_COPY, 0}

/* LFM2. Which layers attend and which convolve, and which have experts, the folder says; the others' tensors are not there. */
#define TENSORS_LFM2 \
    {"token_embd",               {"*embed_tokens"}, HF_COPY, 0}, \
    {"token_embd_norm",          {"*embedding_norm"}, HF_COPY, 0}, \
    {"output",                   {"^lm_head"}, HF_COPY, HF_HEAD}, \
    {"blk.%u.attn_norm",         {"*layers.%u.operator_norm"}, HF_COPY, 0}, \
    {"blk.%u.ffn_norm",          {"*layers.%u.ffn_norm"}, HF_COPY, 0}, \
    {"blk.%u.attn_q",            {"*layers.%u.self_attn.q_proj"}, HF_COPY, HF_OPTIONAL}, \
    {"blk.%u.attn_k",            {"*layers.%u.self_attn.k_proj"}, HF_COPY, HF_OPTIONAL}, \
    {"blk.%u.attn_v",            {"*layers.%u.self_attn.v_proj"}, HF_COPY, HF_OPTIONAL}, \
    {"blk.%u.attn_output",       {"*layers.%u.self_attn.out_proj"}, HF_COPY, HF_OPTIONAL}, \
    {"blk.%u.attn_q_norm",       {"*layers.%u.self_attn.q_layernorm"}, HF_COPY, HF_OPTIONAL}, \
    {"blk.%u.attn_k_norm",       {"*layers.%u.self_attn.k_layernorm"}, HF_COPY, HF_OPTIONAL}, \
    {"blk.%u.shortconv.in_proj", {"*layers.%u.conv.in_proj"}, HF_COPY, HF_OPTIONAL}, \
    {"blk.%u.shortconv.conv",    {"*layers.%u.conv.conv"}, HF_COPY, HF_OPTIONAL | HF_F32}, \
    {"blk.%u.shortconv.out_proj", {"*layers.%u.conv.out_proj"}, HF_COPY, HF_OPTIONAL}, \
    {"blk.%u.ffn_gate",          {"*layers.%u.feed_forward.w1"}, HF_COPY, HF_OPTIONAL}, \
    {"blk.%u.ffn_up",            {"*layers.%u.feed_forward.w3"}, HF_COPY, HF_OPTIONAL}, \
    {"blk.%u.ffn_down",          {"*layers.%u.feed_forward.w2"}, HF_COPY, HF_OPTIONAL}

/* What rows cannot say, for more than one file. */

/* layer_types, when given, must be `full` in every period-th layer (0: in all) and `other` in the rest. */
slm_status hf_check_layers(const struct hf *h, const char *key, const char *full, const char *other, uint32_t period, slm_err *err);
slm_status hf_adjust_full(struct hf *h, slm_err *err);
/* LFM2: which layers convolve. */
slm_status hf_put_convolutions(struct hf *h, slm_err *err);
extern const struct hf_family hf_experts[], hf_hybrids[];
extern const size_t hf_n_experts, hf_n_hybrids;

#endif
