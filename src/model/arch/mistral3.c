/* mistral3.c -- Ministral 3: Llama's blocks with YaRN positions and queries that grow with the logarithm of the position
 * past the original context. Source: YaRN, Peng et al. 2023; the authors' configuration (llama_4_scaling_beta). */
#include "model/arch/arch_list.h"

static const struct arch_hparam hparam_rows[] = {
    HPARAMS_STANDARD,
    {"attention.temperature_scale", HP_F32, HP(temp_scale), false, 0, 0, 100},
};

static const struct arch_tensor tensor_rows[] = {TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(TENSOR_BIAS_OPTIONAL, TENSOR_BIAS_OPTIONAL), TENSORS_GATED_FFN(TENSOR_BIAS_OPTIONAL)};

static void adjust(struct hparams *hp) { hp->temp_len = hp->n_ctx_orig; }

const struct arch_desc arch_mistral3 = {
    .name = "mistral3",
    .families = "Ministral 3",
    .rope = ROPE_ADJACENT,
    .adjust = adjust,
    ARCH_TABLES(hparam_rows, tensor_rows),
};
