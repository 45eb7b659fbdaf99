/* qwen35.c -- Qwen 3.5 and 3.6 dense: three layers of a gated delta rule, whose memory is a matrix for each head, to one of
 * attention with gated output; part of each head is rotated. For text, the three position axes of its rope are one. Files
 * store value heads so that head h reads key head h modulo their number, and decay rates with their sign. Blocks after
 * the last layer (nextn) guess ahead; they are not used.
 * Source: Gated Delta Networks, Yang et al. 2024; Qwen3-Next, 2025; the authors' model code. Golden: tests/golden/models/qwen35*.gguf. */
#include "model/arch/arch_list.h"

static const struct arch_hparam hparam_rows[] = {
    HPARAMS_STANDARD,
    {"full_attention_interval", HP_U32, HP(attention_period), false, 4, 1, 1024},
    {"ssm.conv_kernel",         HP_U32, HP(conv_kernel),      true,  0, 2, 64},
    {"ssm.inner_size",          HP_U32, HP(d_inner),          true,  0, 1, 262144},
    {"ssm.state_size",          HP_U32, HP(d_state),          true,  0, 1, 4096},
    {"ssm.time_step_rank",      HP_U32, HP(n_head_v),         true,  0, 1, 1024},
    {"ssm.group_count",         HP_U32, HP(n_head_k),         true,  0, 1, 1024},
    {"nextn_predict_layers",    HP_U32, HP(n_layer_draft),    false, 0, 0, 16},
};

static const struct arch_tensor tensor_rows[] = {
    TENSORS_EMBEDDING,
    {W_ATTN_NORM,   "blk.%u.attn_norm",           DIM_NONE,  DIM_MODEL, TENSOR_VECTOR, 0, 0, 0},
    {W_FFN_NORM,    "blk.%u.post_attention_norm", DIM_NONE,  DIM_MODEL, TENSOR_VECTOR, 0, 0, 0},
    {W_ATTN_Q,      "blk.%u.attn_q",      DIM_2Q,    DIM_MODEL, TENSOR_ON_ATTENTION, 0, 0, 0},
    {W_ATTN_K,      "blk.%u.attn_k",      DIM_KV,    DIM_MODEL, TENSOR_ON_ATTENTION, 0, 0, 0},
    {W_ATTN_V,      "blk.%u.attn_v",      DIM_KV,    DIM_MODEL, TENSOR_ON_ATTENTION, 0, 0, 0},
    {W_ATTN_OUT,    "blk.%u.attn_output", DIM_MODEL, DIM_Q,     TENSOR_ON_ATTENTION, 0, 0, 0},
    {W_ATTN_Q_NORM, "blk.%u.attn_q_norm", DIM_NONE,  DIM_HEAD,  TENSOR_VECTOR | TENSOR_ON_ATTENTION, 0, 0, 0},
    {W_ATTN_K_NORM, "blk.%u.attn_k_norm", DIM_NONE,  DIM_HEAD,  TENSOR_VECTOR | TENSOR_ON_ATTENTION, 0, 0, 0},
    {W_MIX_IN,      "blk.%u.attn_qkv",    DIM_DELTA_QKV, DIM_MODEL, TENSOR_ON_MIXER, 0, 0, 0},
    {W_MIX_GATE,    "blk.%u.attn_gate",   DIM_INNER,     DIM_MODEL, TENSOR_ON_MIXER, 0, 0, 0},
    {W_MIX_CONV,    "blk.%u.ssm_conv1d",  DIM_DELTA_QKV, DIM_TAPS,  TENSOR_ON_MIXER | TENSOR_F32, 0, 0, 0},
    {W_MIX_ALPHA,   "blk.%u.ssm_alpha",   DIM_V_HEADS,   DIM_MODEL, TENSOR_ON_MIXER, 0, 0, 0},
    {W_MIX_BETA,    "blk.%u.ssm_beta",    DIM_V_HEADS,   DIM_MODEL, TENSOR_ON_MIXER, 0, 0, 0},
    {W_MIX_A,       "blk.%u.ssm_a",       DIM_NONE, DIM_V_HEADS, TENSOR_VECTOR | TENSOR_BARE | TENSOR_ON_MIXER, 0, 0, 0},
    {W_MIX_DT,      "blk.%u.ssm_dt.bias", DIM_NONE, DIM_V_HEADS, TENSOR_VECTOR | TENSOR_BARE | TENSOR_ON_MIXER, 0, 0, 0},
    {W_MIX_NORM,    "blk.%u.ssm_norm",    DIM_NONE, DIM_V_HEAD,  TENSOR_VECTOR | TENSOR_ON_MIXER, 0, 0, 0},
    {W_MIX_OUT,     "blk.%u.ssm_out",     DIM_MODEL, DIM_INNER,  TENSOR_ON_MIXER, 0, 0, 0},
    TENSORS_GATED_FFN(0),
};

const struct arch_desc arch_qwen35 = {
    .name = "qwen35",
    .families = "Qwen 3.5 and 3.6 dense (text)",
    .rope = ROPE_HALVES,
    .mixer = MIXER_DELTA,
    .attn_gate = true,
    ARCH_TABLES(hparam_rows, tensor_rows),
};
