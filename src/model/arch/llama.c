/* llama.c -- the Llama family: RMSNorm before each block, grouped-query attention with rotary positions,
 * gated SiLU feed-forward; a sliding window in the first Mistral, experts in Mixtral. GGUF files store the q and k rows permuted so that a
 * rotation turns adjacent pairs.
 * Llama 3.1 and later carry a table of frequency factors, rope_freqs; small members tie the head to the embedding.
 * Source: Touvron et al. 2023; The Llama 3 herd of models, 2024. Golden: tests/golden/logits/llama*.gguf. */
#include "model/arch/arch_list.h"

static const struct arch_hparam hparam_rows[] = {
    HPARAMS_STANDARD,
    {"attention.sliding_window", HP_U32, HP(window), false, 0, 0, 1u << 30},
    HPARAMS_MOE(MOE_SOFTMAX, 1),
};

static const struct arch_tensor tensor_rows[] = {
    TENSORS_EMBEDDING,
    TENSORS_PRE_NORMS,
    TENSORS_ATTENTION(TENSOR_BIAS_OPTIONAL, TENSOR_BIAS_OPTIONAL),
    TENSORS_GATED_FFN(TENSOR_BIAS_OPTIONAL | TENSOR_ON_DENSE),
    TENSORS_MOE(0),
    {W_ROPE_FREQS, "rope_freqs", DIM_NONE, DIM_ROT_HALF, TENSOR_VECTOR | TENSOR_OPTIONAL, 0, 0, 0},
};

const struct arch_desc arch_llama = {
    .name = "llama",
    .families = "Llama 2 and 3, TinyLlama, SmolLM2, Mistral 7B and Nemo, Mixtral, R1-distilled Llama",
    .rope = ROPE_ADJACENT,
    ARCH_TABLES(hparam_rows, tensor_rows),
};
