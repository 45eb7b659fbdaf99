/* qwen3.c -- Qwen 3: q and k are normed per head before rope; no biases; the head width is its own number.
 * The larger members have experts, of which a router picks a few for each token; their weights sum to one.
 * Source: Qwen3 technical report, 2025. Golden: tests/golden/logits/qwen3*.gguf. */
#include "model/arch/arch_list.h"

static const struct arch_hparam hparam_rows[] = {HPARAMS_STANDARD};

static const struct arch_tensor tensor_rows[] = {
    TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(0, 0), TENSORS_QK_NORMS(DIM_HEAD, DIM_HEAD), TENSORS_GATED_FFN(0),
    {W_CLS_OUT, "cls.output", DIM_LABELS, DIM_MODEL, TENSOR_OPTIONAL | TENSOR_BIAS_OPTIONAL, 0, 0, 0}, /* the reranker */
};

const struct arch_desc arch_qwen3 = {
    .name = "qwen3",
    .families = "Qwen 3 dense, Qwen 3 Embedding and Reranker",
    .rope = ROPE_HALVES,
    .cls_softmax = true,
    ARCH_TABLES(hparam_rows, tensor_rows),
};

static const struct arch_hparam hparams_moe[] = {HPARAMS_STANDARD, HPARAMS_MOE(MOE_SOFTMAX, 1)};
static const struct arch_tensor tensors_moe[] = {
    TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(0, 0), TENSORS_QK_NORMS(DIM_HEAD, DIM_HEAD), TENSORS_MOE(0),
};

const struct arch_desc arch_qwen3moe = {
    .name = "qwen3moe",
    .families = "Qwen 3 with experts (30B-A3B)",
    .rope = ROPE_HALVES,
    ARCH_TABLES(hparams_moe, tensors_moe),
};
