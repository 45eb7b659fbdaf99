/* phi.c -- Phi 2: LayerNorm, biases everywhere, attention and a plain GELU feed-forward side by side, part of each head
 * rotated. Phi 3, 3.5, 4 and 4-mini: Llama's blocks with q, k, v and gate, up fused, LongRoPE factor tables, a sliding window in the
 * 4k members, and three quarters of each head rotated in 4-mini.
 * Source: the authors' model code; LongRoPE, Ding et al. 2024. Golden: tests/golden/logits/phi*.gguf. */
#include "model/arch/arch_list.h"

static const struct arch_hparam hparams_2[] = {HPARAMS_SIZES, HPARAMS_LAYER_NORM, HPARAMS_ROPE};
static const struct arch_hparam hparams_3[] = {
    HPARAMS_STANDARD,
    {"attention.sliding_window", HP_U32, HP(window), false, 0, 0, 1u << 30},
};

static const struct arch_tensor tensors_2[] = {
    {W_TOK_EMBD,    "token_embd",       DIM_VOCAB, DIM_MODEL, 0, 0, 0, 0},
    {W_OUTPUT_NORM, "output_norm",      DIM_NONE,  DIM_MODEL, TENSOR_VECTOR | TENSOR_BIAS, 0, 0, 0},
    {W_OUTPUT,      "output",           DIM_VOCAB, DIM_MODEL, TENSOR_BIAS, 0, 0, 0},
    {W_ATTN_NORM,   "blk.%u.attn_norm", DIM_NONE,  DIM_MODEL, TENSOR_VECTOR | TENSOR_BIAS, 0, 0, 0},
    TENSORS_FUSED_ATTENTION(TENSOR_BIAS),
    {W_FFN_UP,      "blk.%u.ffn_up",    DIM_FF,    DIM_MODEL, TENSOR_BIAS, 0, 0, 0},
    {W_FFN_DOWN,    "blk.%u.ffn_down",  DIM_MODEL, DIM_FF,    TENSOR_BIAS, 0, 0, 0},
};
static const struct arch_tensor tensors_3[] = {
    TENSORS_EMBEDDING,
    TENSORS_PRE_NORMS,
    TENSORS_FUSED_ATTENTION(0),
    TENSORS_FUSED_FFN,
    {W_ROPE_LONG,    "rope_factors_long",  DIM_NONE,  DIM_ROT_HALF, TENSOR_VECTOR | TENSOR_OPTIONAL, 0, 0, 0},
    {W_ROPE_SHORT,   "rope_factors_short", DIM_NONE,  DIM_ROT_HALF, TENSOR_VECTOR | TENSOR_OPTIONAL, 0, 0, 0},
};

const struct arch_desc arch_phi2 = {
    .name = "phi2", .families = "Phi 2", .rope = ROPE_HALVES, .norm = NORM_LAYER, .act = ACT_GELU, .plain_ffn = true, .parallel = true,
    ARCH_TABLES(hparams_2, tensors_2),
};
const struct arch_desc arch_phi3 = {
    .name = "phi3", .families = "Phi 3, 3.5, 4, 4-mini", .rope = ROPE_HALVES, .rope_long = true,
    ARCH_TABLES(hparams_3, tensors_3),
};
