/* bert.c -- encoders, whose tokens see the whole text, for embeddings and reranking. BERT (also BGE, E5, MiniLM, XLM-R):
 * learned positions, norms of the sums after attention and feed-forward, GELU. Nomic: rotary positions, fused q, k, v,
 * gated SiLU. ModernBERT: norms before, no biases, gated GELU from one fused tensor, a window around each token on two
 * layers of three with a rope base of its own; its first layer has no attention norm, the embedding's stands for it.
 * Source: Devlin et al. 2018; Nussbaum et al. 2024; Warner et al. 2024; the authors use GELU with the error function. */
#include "model/arch/arch_list.h"

static const struct arch_hparam hparams_bert[] = {HPARAMS_SIZES, HPARAMS_LAYER_NORM};
static const struct arch_hparam hparams_nomic[] = {HPARAMS_SIZES, HPARAMS_LAYER_NORM, HPARAMS_ROPE};
static const struct arch_hparam hparams_modern[] = {
    HPARAMS_SIZES,
    HPARAMS_LAYER_NORM,
    HPARAMS_ROPE,
    {"attention.sliding_window", HP_U32, HP(window),          false, 0,     0, 1u << 30},
    {"rope.freq_base_swa",       HP_F32, HP(rope_base_local), false, 10000, 1, 1e15},
};

#define NORMED TENSOR_VECTOR | TENSOR_BIAS
#define TENSORS_CLASSIFIER                                                                                        \
    {W_CLS,     "cls",        DIM_MODEL,  DIM_MODEL, TENSOR_OPTIONAL | TENSOR_BIAS_OPTIONAL, 0, 0, 0},                \
    {W_CLS_OUT, "cls.output", DIM_LABELS, DIM_MODEL, TENSOR_OPTIONAL | TENSOR_BIAS_OPTIONAL, 0, 0, 0}

static const struct arch_tensor tensors_bert[] = {
    {W_TOK_EMBD,      "token_embd",                DIM_VOCAB, DIM_MODEL, 0, 0, 0, 0},
    {W_POS_EMBD,      "position_embd",             DIM_CTX,   DIM_MODEL, 0, 0, 0, 0},
    {W_TYPE_EMBD,     "token_types",               DIM_TYPES, DIM_MODEL, TENSOR_OPTIONAL, 0, 0, 0},
    {W_EMBD_NORM,     "token_embd_norm",           DIM_NONE,  DIM_MODEL, NORMED, 0, 0, 0},
    TENSORS_ATTENTION(TENSOR_BIAS, TENSOR_BIAS),
    {W_ATTN_SUM_NORM, "blk.%u.attn_output_norm",   DIM_NONE,  DIM_MODEL, NORMED, 0, 0, 0},
    {W_FFN_UP,        "blk.%u.ffn_up",             DIM_FF,    DIM_MODEL, TENSOR_BIAS, 0, 0, 0},
    {W_FFN_DOWN,      "blk.%u.ffn_down",           DIM_MODEL, DIM_FF,    TENSOR_BIAS, 0, 0, 0},
    {W_FFN_SUM_NORM,  "blk.%u.layer_output_norm",  DIM_NONE,  DIM_MODEL, NORMED, 0, 0, 0},
    TENSORS_CLASSIFIER,
};
static const struct arch_tensor tensors_nomic[] = {
    {W_TOK_EMBD,      "token_embd",                DIM_VOCAB, DIM_MODEL, 0, 0, 0, 0},
    {W_TYPE_EMBD,     "token_types",               DIM_TYPES, DIM_MODEL, TENSOR_OPTIONAL, 0, 0, 0},
    {W_EMBD_NORM,     "token_embd_norm",           DIM_NONE,  DIM_MODEL, NORMED, 0, 0, 0},
    TENSORS_FUSED_ATTENTION(TENSOR_BIAS_OPTIONAL),
    {W_ATTN_SUM_NORM, "blk.%u.attn_output_norm",   DIM_NONE,  DIM_MODEL, NORMED, 0, 0, 0},
    TENSORS_GATED_FFN(TENSOR_BIAS_OPTIONAL),
    {W_FFN_SUM_NORM,  "blk.%u.layer_output_norm",  DIM_NONE,  DIM_MODEL, NORMED, 0, 0, 0},
    TENSORS_CLASSIFIER,
};
static const struct arch_tensor tensors_modern[] = {
    {W_TOK_EMBD,      "token_embd",                DIM_VOCAB, DIM_MODEL, 0, 0, 0, 0},
    {W_EMBD_NORM,     "token_embd_norm",           DIM_NONE,  DIM_MODEL, TENSOR_VECTOR, 0, 0, 0},
    {W_OUTPUT_NORM,   "output_norm",               DIM_NONE,  DIM_MODEL, TENSOR_VECTOR, 0, 0, 0},
    {W_ATTN_NORM,     "blk.%u.attn_norm",          DIM_NONE,  DIM_MODEL, TENSOR_VECTOR | TENSOR_OPTIONAL, 0, 0, 0},
    TENSORS_FUSED_ATTENTION(0),
    {W_FFN_NORM,      "blk.%u.ffn_norm",           DIM_NONE,  DIM_MODEL, TENSOR_VECTOR, 0, 0, 0},
    TENSORS_FUSED_FFN,
    TENSORS_CLASSIFIER,
    {W_CLS_NORM,      "cls.norm",                  DIM_NONE,  DIM_MODEL, TENSOR_VECTOR | TENSOR_OPTIONAL, 0, 0, 0},
};

static void adjust_modern(struct hparams *hp) {
    hp->window_period = 3;
}

#define ENCODER .norm = NORM_LAYER, .bidirectional = true
const struct arch_desc arch_bert = {
    .name = "bert", .families = "BERT, BGE, E5, MiniLM, XLM-RoBERTa (embeddings)", ENCODER, .act = ACT_GELU_ERF, .plain_ffn = true,
    .cls_act = CLS_TANH, ARCH_TABLES(hparams_bert, tensors_bert),
};
const struct arch_desc arch_nomic_bert = {
    .name = "nomic-bert", .families = "Nomic Embed", ENCODER, .rope = ROPE_HALVES, .cls_act = CLS_TANH, ARCH_TABLES(hparams_nomic, tensors_nomic),
};
const struct arch_desc arch_modern_bert = {
    .name = "modern-bert", .families = "ModernBERT (embeddings)", ENCODER, .rope = ROPE_HALVES, .act = ACT_GELU_ERF, .window_from_full = true,
    .cls_act = CLS_GELU, .adjust = adjust_modern, ARCH_TABLES(hparams_modern, tensors_modern),
};
