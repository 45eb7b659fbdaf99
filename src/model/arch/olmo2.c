/* olmo2.c -- OLMoE: Llama's blocks with experts, q and k normed over all heads at once. OLMo 2 and 3: norms only after attention and feed-forward; q and k normed over all heads at once. OLMo 3
 * adds a window on three layers of four, and stretches positions (YaRN) in the full layers only.
 * Source: 2 OLMo 2 Furious, 2024; the authors' model code. */
#include "model/arch/arch_list.h"

static const struct arch_hparam hparam_rows[] = {
    HPARAMS_STANDARD,
    {"attention.sliding_window", HP_U32, HP(window), false, 0, 0, 1u << 30},
};

static const struct arch_tensor tensor_rows[] = {
    TENSORS_EMBEDDING, TENSORS_ATTENTION(0, 0), TENSORS_QK_NORMS(DIM_Q, DIM_KV), TENSORS_POST_NORMS, TENSORS_GATED_FFN(0),
};

static void adjust(struct hparams *hp) {
    if (hp->window == 0) return;
    hp->window_period = 4;
    hp->rope_base_local = hp->rope_base;
}

const struct arch_desc arch_olmo2 = {
    .name = "olmo2",
    .families = "OLMo 2 and 3",
    .rope = ROPE_HALVES,
    .qk_norm_whole = true,
    .adjust = adjust,
    ARCH_TABLES(hparam_rows, tensor_rows),
};

static const struct arch_hparam hparams_moe[] = {HPARAMS_STANDARD, HPARAMS_MOE(MOE_SOFTMAX, 0)};
static const struct arch_tensor tensors_moe[] = {
    TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(0, 0), TENSORS_QK_NORMS(DIM_Q, DIM_KV), TENSORS_MOE(0),
};

const struct arch_desc arch_olmoe = {
    .name = "olmoe",
    .families = "OLMoE",
    .rope = ROPE_HALVES,
    .qk_norm_whole = true,
    ARCH_TABLES(hparams_moe, tensors_moe),
};
