/* olmo2.c -- OLMo 2 and 3: norms only after attention and feed-forward; q and k normed over all heads at once. OLMo 3
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
