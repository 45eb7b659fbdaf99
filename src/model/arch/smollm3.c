/* smollm3.c -- SmolLM3: Llama's blocks without rotary positions in every fourth layer.
 * Source: NoPE, Yang et al. 2025; the authors' configuration. Golden: tests/golden/logits/smollm3.gguf. */
#include "model/arch/arch_list.h"

static const struct arch_hparam hparam_rows[] = {HPARAMS_STANDARD};

static const struct arch_tensor tensor_rows[] = {TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(0, 0), TENSORS_GATED_FFN(0)};

static void adjust(struct hparams *hp) { hp->nope_period = 4; }

const struct arch_desc arch_smollm3 = {
    .name = "smollm3",
    .families = "SmolLM3",
    .rope = ROPE_ADJACENT,
    .adjust = adjust,
    ARCH_TABLES(hparam_rows, tensor_rows),
};
