/* gptoss.c -- gpt-oss: biases everywhere, a learned score for each head that takes attention's weight and gives nothing (a sink),
 * a window on every other layer, YaRN positions, and experts whose gate is clamped; the weights of the chosen experts are the
 * softmax of their scores alone. Files keep experts in MXFP4.
 * Source: gpt-oss model card, 2025; the authors' model code. Golden: tests/golden/models/gpt-oss.gguf. */
#include "model/arch/arch_list.h"

static const struct arch_hparam hparam_rows[] = {
    HPARAMS_STANDARD,
    {"attention.sliding_window", HP_U32, HP(window), true, 0, 0, 1u << 30},
    HPARAMS_MOE(MOE_SOFTMAX_CHOSEN, 0),
};

static const struct arch_tensor tensor_rows[] = {
    TENSORS_EMBEDDING,
    {W_ATTN_NORM,  "blk.%u.attn_norm",           DIM_NONE,  DIM_MODEL, TENSOR_VECTOR, 0, 0, 0},
    {W_FFN_NORM,   "blk.%u.post_attention_norm", DIM_NONE,  DIM_MODEL, TENSOR_VECTOR, 0, 0, 0},
    TENSORS_ATTENTION(TENSOR_BIAS, TENSOR_BIAS),
    {W_ATTN_SINKS, "blk.%u.attn_sinks",          DIM_NONE,  DIM_HEADS, TENSOR_VECTOR, 0, 0, 0},
    TENSORS_MOE(TENSOR_BIAS),
};

static void adjust(struct hparams *hp) { hp->window_period = 2; }

const struct arch_desc arch_gptoss = {
    .name = "gpt-oss",
    .families = "gpt-oss",
    .rope = ROPE_HALVES,
    .moe_clamped = true,
    .adjust = adjust,
    ARCH_TABLES(hparam_rows, tensor_rows),
};
