/* granite.c -- Granite 3 and 4 dense: Llama's blocks with multipliers on embeddings, scores, residual branches and logits.
 * Source: the authors' model code. Golden: tests/golden/logits/granite.gguf. */
#include "model/arch/arch_list.h"

static const struct arch_hparam hparam_rows[] = {
    HPARAMS_STANDARD,
    {"embedding_scale", HP_F32, HP(embd_scale),     false, 1, 1e-6, 1e6},
    {"residual_scale",  HP_F32, HP(residual_scale), false, 1, 1e-6, 1e6},
    {"attention.scale", HP_F32, HP(attn_scale),     false, 0, 0,    1e6},
    {"logit_scale",     HP_F32, HP(logit_scale),    false, 1, 1e-6, 1e6},
};

static const struct arch_tensor tensor_rows[] = {TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(TENSOR_BIAS_OPTIONAL, TENSOR_BIAS_OPTIONAL), TENSORS_GATED_FFN(TENSOR_BIAS_OPTIONAL)};

const struct arch_desc arch_granite = {
    .name = "granite",
    .families = "Granite 3 and 4 dense",
    .rope = ROPE_ADJACENT,
    ARCH_TABLES(hparam_rows, tensor_rows),
};
