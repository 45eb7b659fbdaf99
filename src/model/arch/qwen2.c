/* qwen2.c -- Qwen 2 and 2.5: Llama's blocks with biases on q, k and v. Source: Qwen2 technical report, 2024.
 * Golden: tests/golden/logits/qwen2.gguf. */
#include "model/arch/arch_list.h"

static const struct arch_hparam hparam_rows[] = {HPARAMS_STANDARD};

static const struct arch_tensor tensor_rows[] = {TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(TENSOR_BIAS, TENSOR_BIAS_OPTIONAL), TENSORS_GATED_FFN(0)};

const struct arch_desc arch_qwen2 = {
    .name = "qwen2",
    .families = "Qwen 2 and 2.5, R1-distilled Qwen",
    .rope = ROPE_HALVES,
    ARCH_TABLES(hparam_rows, tensor_rows),
};
