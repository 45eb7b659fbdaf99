/* lfm2.c -- LFM2: most layers mix their text with a short convolution between two gates, the others with grouped-query attention;
 * which is which the file says by KV heads of 0. The last norm has the name of an embedding's in files. The
 * larger member has experts after its first layers, chosen by sigmoid scores and a bias that only the choice sees.
 * Source: LFM2 technical report, 2025; the authors' model code. Golden: tests/golden/models/lfm2*.gguf. */
#include "model/arch/arch_list.h"

#define HPARAMS_LFM2 HPARAMS_STANDARD, {"shortconv.l_cache", HP_U32, HP(conv_kernel), true, 0, 2, 64}
static const struct arch_hparam hparam_rows[] = {HPARAMS_LFM2};
static const struct arch_hparam hparams_moe[] = {HPARAMS_LFM2, HPARAMS_MOE(MOE_SIGMOID, 1)};

#define TENSORS_LFM2                                                                                             \
    {W_TOK_EMBD,    "token_embd",      DIM_VOCAB, DIM_MODEL, 0, 0, 0, 0}, \
    {W_OUTPUT_NORM, "token_embd_norm", DIM_NONE,  DIM_MODEL, TENSOR_VECTOR, 0, 0, 0}, \
    {W_OUTPUT,      "output",          DIM_VOCAB, DIM_MODEL, 0, W_TOK_EMBD, 0, 0}, \
    TENSORS_PRE_NORMS, \
    TENSORS_ATTENTION(TENSOR_ON_ATTENTION, TENSOR_ON_ATTENTION), \
    {W_ATTN_Q_NORM, "blk.%u.attn_q_norm", DIM_NONE, DIM_HEAD, TENSOR_VECTOR | TENSOR_ON_ATTENTION, 0, 0, 0}, \
    {W_ATTN_K_NORM, "blk.%u.attn_k_norm", DIM_NONE, DIM_HEAD, TENSOR_VECTOR | TENSOR_ON_ATTENTION, 0, 0, 0}, \
    {W_MIX_IN,      "blk.%u.shortconv.in_proj",  DIM_3MODEL, DIM_MODEL, TENSOR_ON_MIXER, 0, 0, 0}, \
    {W_MIX_CONV,    "blk.%u.shortconv.conv",     DIM_MODEL,  DIM_TAPS,  TENSOR_ON_MIXER | TENSOR_F32, 0, 0, 0}, \
    {W_MIX_OUT,     "blk.%u.shortconv.out_proj", DIM_MODEL,  DIM_MODEL, TENSOR_ON_MIXER, 0, 0, 0}

static const struct arch_tensor tensor_rows[] = {TENSORS_LFM2, TENSORS_GATED_FFN(0)};
static const struct arch_tensor tensors_moe[] = {
    TENSORS_LFM2, TENSORS_GATED_FFN(TENSOR_ON_DENSE), TENSORS_MOE(0),
    {W_MOE_BIAS, "blk.%u.exp_probs_b.bias", DIM_NONE, DIM_EXPERTS, TENSOR_VECTOR | TENSOR_BARE | TENSOR_OPTIONAL | TENSOR_ON_MOE, 0, 0, 0},
};

const struct arch_desc arch_lfm2 = {
    .name = "lfm2",
    .families = "LFM2 and 2.5 dense",
    .rope = ROPE_HALVES,
    .mixer = MIXER_CONV,
    ARCH_TABLES(hparam_rows, tensor_rows),
};
const struct arch_desc arch_lfm2moe = {
    .name = "lfm2moe",
    .families = "LFM2 with experts (8B-A1B)",
    .rope = ROPE_HALVES,
    .mixer = MIXER_CONV,
    ARCH_TABLES(hparams_moe, tensors_moe),
};
