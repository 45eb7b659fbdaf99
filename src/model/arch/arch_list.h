/* arch_list.h -- one declaration per arch/<family>.c (arch.c lists them), and the rows that most families share.
 *
 * A family's table begins with the macros that fit and adds what is its own. Tensor row order:
 * slot, name, rows, cols, flags, tied, of, at. */
#ifndef SLM_MODEL_ARCH_LIST_H
#define SLM_MODEL_ARCH_LIST_H

#include "model/arch.h"

#define HP(field) offsetof(struct hparams, field)
#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

/* key, type, field, required, fallback, min, max */
#define HPARAMS_SIZES                                                                                  \
    {"block_count",              HP_U32, HP(n_layer),     true,  0, 1, 1024},                          \
    {"embedding_length",         HP_U32, HP(d_model),     true,  0, 1, 65536},                         \
    {"feed_forward_length",      HP_U32, HP(d_ff),        true,  0, 1, 1048576},                       \
    {"attention.head_count",     HP_U32, HP(n_head),      true,  0, 1, 1024},                          \
    {"attention.head_count_kv",  HP_U32, HP(n_head_kv),   false, 0, 1, 1024},                          \
    {"attention.key_length",     HP_U32, HP(d_head),      false, 0, 1, 4096},                          \
    {"context_length",           HP_U32, HP(n_ctx_train), true,  0, 1, 1u << 30},                      \
    {"pooling_type",             HP_U32, HP(pooling),     false, N_POOLINGS, 0, N_POOLINGS}
#define HPARAMS_RMS_NORM   {"attention.layer_norm_rms_epsilon", HP_F32, HP(norm_eps), true, 0, 0, 1}
#define HPARAMS_LAYER_NORM {"attention.layer_norm_epsilon",     HP_F32, HP(norm_eps), true, 0, 0, 1}
#define HPARAMS_ROPE                                                                                   \
    {"rope.dimension_count",     HP_U32, HP(n_rot),       false, 0,     2, 4096},                      \
    {"rope.freq_base",           HP_F32, HP(rope_base),   false, 10000, 1, 1e15}
#define HPARAMS_STANDARD HPARAMS_SIZES, HPARAMS_RMS_NORM, HPARAMS_ROPE

#define HPARAMS_MOE(gating, normed)                                                                    \
    {"expert_count",               HP_U32, HP(n_expert),      false, 0, 0, 1024},                      \
    {"expert_used_count",          HP_U32, HP(n_expert_used), false, 0, 0, 256},                       \
    {"expert_feed_forward_length", HP_U32, HP(d_ff_expert),   false, 0, 0, 1048576},                   \
    {"leading_dense_block_count",  HP_U32, HP(n_layer_dense), false, 0, 0, 1024},                      \
    {"expert_gating_func",         HP_U32, HP(moe_gating),    false, gating, 1, N_MOE_GATINGS - 1},    \
    {"expert_weights_norm",        HP_U32, HP(moe_norm),      false, normed, 0, 1},                    \
    {"expert_weights_scale",       HP_F32, HP(moe_scale),     false, 0, 0, 1e6}

#define TENSORS_EMBEDDING                                                                              \
    {W_TOK_EMBD,    "token_embd",         DIM_VOCAB, DIM_MODEL, 0, 0, 0, 0},                           \
    {W_OUTPUT_NORM, "output_norm",        DIM_NONE,  DIM_MODEL, TENSOR_VECTOR, 0, 0, 0},               \
    {W_OUTPUT,      "output",             DIM_VOCAB, DIM_MODEL, 0, W_TOK_EMBD, 0, 0}
#define TENSORS_PRE_NORMS                                                                              \
    {W_ATTN_NORM,   "blk.%u.attn_norm",   DIM_NONE,  DIM_MODEL, TENSOR_VECTOR, 0, 0, 0},               \
    {W_FFN_NORM,    "blk.%u.ffn_norm",    DIM_NONE,  DIM_MODEL, TENSOR_VECTOR, 0, 0, 0}
#define TENSORS_POST_NORMS                                                                             \
    {W_ATTN_POST_NORM, "blk.%u.post_attention_norm", DIM_NONE, DIM_MODEL, TENSOR_VECTOR, 0, 0, 0},     \
    {W_FFN_POST_NORM,  "blk.%u.post_ffw_norm",       DIM_NONE, DIM_MODEL, TENSOR_VECTOR, 0, 0, 0}
/* Queries, keys and values: each by itself, or the three as one. Either may be the other's other form. */
#define TENSORS_SPLIT_QKV(flags)                                                                       \
    {W_ATTN_Q,      "blk.%u.attn_q",      DIM_Q,     DIM_MODEL, flags, 0, 0, 0},                       \
    {W_ATTN_K,      "blk.%u.attn_k",      DIM_KV,    DIM_MODEL, flags, 0, 0, 0},                       \
    {W_ATTN_V,      "blk.%u.attn_v",      DIM_KV,    DIM_MODEL, flags, 0, 0, 0}
#define TENSORS_FUSED_QKV(flags)                                                                       \
    {W_ATTN_Q,      "blk.%u.attn_qkv",    DIM_Q,     DIM_MODEL, flags, 0, DIM_QKV, 0},                 \
    {W_ATTN_K,      "blk.%u.attn_qkv",    DIM_KV,    DIM_MODEL, flags, 0, DIM_QKV, DIM_Q},             \
    {W_ATTN_V,      "blk.%u.attn_qkv",    DIM_KV,    DIM_MODEL, flags, 0, DIM_QKV, DIM_Q_KV}
#define TENSORS_ATTENTION(qkv_flags, out_flags)                                                        \
    TENSORS_SPLIT_QKV(qkv_flags), TENSORS_FUSED_QKV((qkv_flags) | TENSOR_OTHER_FORM),                  \
    {W_ATTN_OUT,    "blk.%u.attn_output", DIM_MODEL, DIM_Q,     out_flags, 0, 0, 0}
#define TENSORS_FUSED_ATTENTION(flags)                                                                 \
    TENSORS_FUSED_QKV(flags), TENSORS_SPLIT_QKV((flags) | TENSOR_OTHER_FORM),                          \
    {W_ATTN_OUT,    "blk.%u.attn_output", DIM_MODEL, DIM_Q,     flags, 0, 0, 0}
#define TENSORS_QK_NORMS(q_dim, k_dim)                                                                 \
    {W_ATTN_Q_NORM, "blk.%u.attn_q_norm", DIM_NONE,  q_dim,     TENSOR_VECTOR, 0, 0, 0},               \
    {W_ATTN_K_NORM, "blk.%u.attn_k_norm", DIM_NONE,  k_dim,     TENSOR_VECTOR, 0, 0, 0}
#define TENSORS_GATED_FFN(flags)                                                                        \
    {W_FFN_GATE,    "blk.%u.ffn_gate",    DIM_FF,    DIM_MODEL, flags, 0, 0, 0},                           \
    {W_FFN_UP,      "blk.%u.ffn_up",      DIM_FF,    DIM_MODEL, flags, 0, 0, 0},                           \
    {W_FFN_DOWN,    "blk.%u.ffn_down",    DIM_MODEL, DIM_FF,    flags, 0, 0, 0}
#define TENSORS_MOE(flags)                                                                             \
    {W_MOE_ROUTER,  "blk.%u.ffn_gate_inp",  DIM_EXPERTS,   DIM_MODEL,     TENSOR_ON_MOE | (flags), 0, 0, 0},                  \
    {W_MOE_GATE,    "blk.%u.ffn_gate_exps", DIM_FF_EXPERT, DIM_MODEL,     TENSOR_ON_MOE | TENSOR_STACK | (flags), 0, DIM_EXPERTS, 0}, \
    {W_MOE_UP,      "blk.%u.ffn_up_exps",   DIM_FF_EXPERT, DIM_MODEL,     TENSOR_ON_MOE | TENSOR_STACK | (flags), 0, DIM_EXPERTS, 0}, \
    {W_MOE_DOWN,    "blk.%u.ffn_down_exps", DIM_MODEL,     DIM_FF_EXPERT, TENSOR_ON_MOE | TENSOR_STACK | (flags), 0, DIM_EXPERTS, 0}
#define TENSORS_FUSED_FFN                                                                              \
    {W_FFN_GATE,    "blk.%u.ffn_up",      DIM_FF,    DIM_MODEL, 0, 0, DIM_2FF, 0},                     \
    {W_FFN_UP,      "blk.%u.ffn_up",      DIM_FF,    DIM_MODEL, 0, 0, DIM_2FF, DIM_FF},                \
    {W_FFN_GATE,    "blk.%u.ffn_gate",    DIM_FF,    DIM_MODEL, TENSOR_OTHER_FORM, 0, 0, 0},           \
    {W_FFN_UP,      "blk.%u.ffn_up",      DIM_FF,    DIM_MODEL, TENSOR_OTHER_FORM, 0, 0, 0},           \
    {W_FFN_DOWN,    "blk.%u.ffn_down",    DIM_MODEL, DIM_FF,    0, 0, 0, 0}
#define TENSORS_PER_LAYER                                                                              \
    {W_PLE_EMBD,      "per_layer_token_embd", DIM_VOCAB,   DIM_PLE_ALL, 0,     0, 0, 0},               \
    {W_PLE_PROJ,      "per_layer_model_proj", DIM_PLE_ALL, DIM_MODEL,   0,     0, 0, 0},               \
    {W_PLE_PROJ_NORM, "per_layer_proj_norm",  DIM_NONE,    DIM_PLE,     TENSOR_VECTOR, 0, 0, 0}, \
    {W_PLE_GATE,      "blk.%u.inp_gate",      DIM_PLE,     DIM_MODEL,   0,     0, 0, 0},               \
    {W_PLE_OUT,       "blk.%u.proj",          DIM_MODEL,   DIM_PLE,     0,     0, 0, 0},               \
    {W_PLE_POST_NORM, "blk.%u.post_norm",     DIM_NONE,    DIM_MODEL,   TENSOR_VECTOR | TENSOR_OPTIONAL, 0, 0, 0}

/* The fields that every descriptor sets from its two tables. */
#define ARCH_TABLES(hp_rows, t_rows)                                                                   \
    .hparams = (hp_rows), .n_hparams = N_OF(hp_rows), .tensors = (t_rows), .n_tensors = N_OF(t_rows)

extern const struct arch_desc arch_llama, arch_mistral3, arch_qwen2, arch_qwen3, arch_gemma, arch_gemma2, arch_gemma3, arch_phi2,
    arch_phi3, arch_smollm3, arch_granite, arch_olmo2, arch_bert, arch_nomic_bert, arch_modern_bert, arch_gemma_embedding, arch_lfm2,
    arch_qwen35, arch_gemma4, arch_qwen3moe, arch_lfm2moe, arch_olmoe, arch_gemma3n, arch_gptoss;

#endif
