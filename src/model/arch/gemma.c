/* gemma.c -- Gemma 1, 2 and 3: embeddings scaled by sqrt(d_model), gated GELU (tanh form), tied head. Files store norm
 * weights with the 1 already added. Gemma 2 adds norms after each block, soft caps on scores and logits, and a window on every
 * other layer; Gemma 3 drops the caps, norms q and k, and has five windowed layers, with a rope base of their own, to one full.
 * Source: Gemma, Gemma 2, Gemma 3 technical reports, 2024-2025. Golden: tests/golden/logits/gemma*.gguf. */
#include <math.h>

#include "model/arch/arch_list.h"

static const struct arch_hparam hparams_1[] = {HPARAMS_STANDARD};
static const struct arch_hparam hparams_2[] = {
    HPARAMS_STANDARD,
    {"attention.sliding_window",  HP_U32, HP(window),        true,  0,  0, 1u << 30},
    {"attn_logit_softcapping",    HP_F32, HP(attn_softcap),  false, 50, 0, 1e6},
    {"final_logit_softcapping",   HP_F32, HP(final_softcap), false, 30, 0, 1e6},
};
static const struct arch_hparam hparams_3[] = {
    HPARAMS_STANDARD,
    {"attention.sliding_window",  HP_U32, HP(window),          true,  0,     0, 1u << 30},
    {"rope.freq_base_swa",        HP_F32, HP(rope_base_local), false, 10000, 1, 1e15},
    {"final_logit_softcapping",   HP_F32, HP(final_softcap),   false, 0,     0, 1e6},
};

static const struct arch_tensor tensors_1[] = {TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(0, 0), TENSORS_GATED_FFN(0)};
static const struct arch_tensor tensors_2[] = {TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(0, 0), TENSORS_POST_NORMS, TENSORS_GATED_FFN(0)};
static const struct arch_tensor tensors_3[] = {
    TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(0, 0), TENSORS_QK_NORMS(DIM_HEAD, DIM_HEAD), TENSORS_POST_NORMS, TENSORS_GATED_FFN(0),
};
/* EmbeddingGemma: Gemma 3's layers without a direction, then two dense layers over the pooled state. */
static const struct arch_hparam hparams_embedding[] = {
    HPARAMS_STANDARD,
    {"attention.sliding_window",  HP_U32, HP(window),          true,  0,     0, 1u << 30},
    {"rope.freq_base_swa",        HP_F32, HP(rope_base_local), false, 10000, 1, 1e15},
};
static const struct arch_tensor tensors_embedding[] = {
    {W_TOK_EMBD,    "token_embd",  DIM_VOCAB, DIM_MODEL, 0, 0, 0, 0},
    {W_OUTPUT_NORM, "output_norm", DIM_NONE,  DIM_MODEL, TENSOR_VECTOR, 0, 0, 0},
    TENSORS_PRE_NORMS, TENSORS_ATTENTION(0, 0), TENSORS_QK_NORMS(DIM_HEAD, DIM_HEAD), TENSORS_POST_NORMS, TENSORS_GATED_FFN(0),
    {W_DENSE_2, "dense_2", DIM_DENSE, DIM_MODEL, TENSOR_OPTIONAL, 0, 0, 0},
    {W_DENSE_3, "dense_3", DIM_MODEL, DIM_DENSE, TENSOR_OPTIONAL, 0, 0, 0},
};

/* Gemma 4: windowed layers have narrower heads and a rope base of their own; values are normed; full layers may take their keys
 * for values; the last layers read earlier ones' keys and values; layers have embeddings of their own, and a scale. The
 * table of factors leaves most pairs of full layers unturned. */
static const struct arch_hparam hparams_4[] = {
    HPARAMS_STANDARD,
    {"attention.sliding_window",           HP_U32, HP(window),          true,  0,     0, 1u << 30},
    {"attention.key_length_swa",           HP_U32, HP(d_head_local),    false, 0,     1, 4096},
    {"rope.dimension_count_swa",           HP_U32, HP(n_rot_local),     false, 0,     2, 4096},
    {"rope.freq_base_swa",                 HP_F32, HP(rope_base_local), false, 10000, 1, 1e15},
    {"attention.shared_kv_layers",         HP_U32, HP(n_layer_shared),  false, 0,     0, 1024},
    {"embedding_length_per_layer_input",   HP_U32, HP(d_ple),           false, 0,     0, 65536},
    {"final_logit_softcapping",            HP_F32, HP(final_softcap),   false, 30,    0, 1e6},
};
static const struct arch_tensor tensors_4[] = {
    TENSORS_EMBEDDING,
    TENSORS_PRE_NORMS,
    {W_ATTN_Q,      "blk.%u.attn_q",      DIM_Q,     DIM_MODEL, 0, 0, 0, 0},
    {W_ATTN_K,      "blk.%u.attn_k",      DIM_KV,    DIM_MODEL, TENSOR_ON_OWN_KV, 0, 0, 0},
    {W_ATTN_V,      "blk.%u.attn_v",      DIM_KV,    DIM_MODEL, TENSOR_OPTIONAL, 0, 0, 0},
    {W_ATTN_OUT,    "blk.%u.attn_output", DIM_MODEL, DIM_Q,     0, 0, 0, 0},
    {W_ATTN_Q_NORM, "blk.%u.attn_q_norm", DIM_NONE,  DIM_HEAD,  TENSOR_VECTOR, 0, 0, 0},
    {W_ATTN_K_NORM, "blk.%u.attn_k_norm", DIM_NONE,  DIM_HEAD,  TENSOR_VECTOR | TENSOR_ON_OWN_KV, 0, 0, 0},
    TENSORS_POST_NORMS,
    TENSORS_GATED_FFN(0),
    TENSORS_PER_LAYER,
    {W_LAYER_SCALE, "blk.%u.layer_output_scale", DIM_NONE, DIM_NONE, TENSOR_VECTOR | TENSOR_OPTIONAL, 0, 0, 0},
    {W_ROPE_FREQS,  "rope_freqs", DIM_NONE, DIM_ROT_HALF, TENSOR_VECTOR | TENSOR_OPTIONAL, 0, 0, 0},
};
static void adjust_4(struct hparams *hp) {
    hp->attn_scale = 1;
    hp->window_period = 6;
}

/* Gemma 3n: the stream in four copies (altup.c), a narrow product beside attention, gates of the first layers cut to their
 * largest twentieth, embeddings of every layer; layers past the twentieth read earlier keys and values. */
static const struct arch_hparam hparams_3n[] = {
    HPARAMS_STANDARD,
    {"attention.sliding_window",         HP_U32, HP(window),          true,  0,     0, 1u << 30},
    {"rope.freq_base_swa",               HP_F32, HP(rope_base_local), false, 10000, 1, 1e15},
    {"attention.shared_kv_layers",       HP_U32, HP(n_layer_shared),  false, UINT32_MAX, 0, 1024},
    {"embedding_length_per_layer_input", HP_U32, HP(d_ple),           false, 256,   1, 65536},
    {"altup.num_inputs",                 HP_U32, HP(n_altup),         false, 4,     2, 16},
    {"final_logit_softcapping",          HP_F32, HP(final_softcap),   false, 30,    0, 1e6},
};
static const struct arch_tensor tensors_3n[] = {
    TENSORS_EMBEDDING, TENSORS_PRE_NORMS,
    {W_ATTN_Q,        "blk.%u.attn_q",      DIM_Q,     DIM_MODEL, 0, 0, 0, 0},
    {W_ATTN_K,        "blk.%u.attn_k",      DIM_KV,    DIM_MODEL, TENSOR_ON_OWN_KV, 0, 0, 0},
    {W_ATTN_V,        "blk.%u.attn_v",      DIM_KV,    DIM_MODEL, TENSOR_ON_OWN_KV, 0, 0, 0},
    {W_ATTN_OUT,      "blk.%u.attn_output", DIM_MODEL, DIM_Q,     0, 0, 0, 0},
    {W_ATTN_Q_NORM,   "blk.%u.attn_q_norm", DIM_NONE,  DIM_HEAD,  TENSOR_VECTOR, 0, 0, 0},
    {W_ATTN_K_NORM,   "blk.%u.attn_k_norm", DIM_NONE,  DIM_HEAD,  TENSOR_VECTOR | TENSOR_ON_OWN_KV, 0, 0, 0},
    TENSORS_POST_NORMS, TENSORS_GATED_FFN(0), TENSORS_PER_LAYER,
    {W_ALTUP_PROJ,    "altup_proj",         DIM_MODEL, DIM_MODEL, TENSOR_STACK, 0, DIM_ALTUP_REST, 0},
    {W_ALTUP_UNPROJ,  "altup_unembd_proj",  DIM_MODEL, DIM_MODEL, TENSOR_STACK, 0, DIM_ALTUP_REST, 0},
    {W_ALTUP_ROUTER,  "blk.%u.altup_router",        DIM_ALTUP,   DIM_MODEL, 0, 0, 0, 0},
    {W_ALTUP_NORM,    "blk.%u.altup_router_norm",   DIM_NONE,    DIM_MODEL, TENSOR_VECTOR, 0, 0, 0},
    {W_ALTUP_PREDICT, "blk.%u.altup_predict_coef",  DIM_ALTUP_2, DIM_ALTUP, 0, 0, 0, 0},
    {W_ALTUP_CORRECT, "blk.%u.altup_correct_coef",  DIM_ALTUP,   DIM_ALTUP, 0, 0, 0, 0},
    {W_ALTUP_SCALE,   "blk.%u.altup_correct_scale", DIM_NONE,    DIM_MODEL, TENSOR_VECTOR, 0, 0, 0},
    {W_LAUREL_IN,     "blk.%u.laurel_l",            DIM_LAUREL,  DIM_MODEL, 0, 0, 0, 0},
    {W_LAUREL_OUT,    "blk.%u.laurel_r",            DIM_MODEL,   DIM_LAUREL, 0, 0, 0, 0},
    {W_LAUREL_NORM,   "blk.%u.laurel_post_norm",    DIM_NONE,    DIM_MODEL, TENSOR_VECTOR, 0, 0, 0},
};
static void adjust_3n(struct hparams *hp) {
    hp->attn_scale = 1;
    hp->window_period = 5;
    hp->n_layer_sparse = 10;
    hp->sparse_std = 1.6448536f; /* a normal distribution's 95 % */
    if (hp->n_layer_shared == UINT32_MAX) hp->n_layer_shared = hp->n_layer > 20 ? hp->n_layer - 20 : 0;
}

/* The 27B members scale scores by the model's width per head, not the head's; files do not say so, their depth does. */
static void scale_by_model_width(struct hparams *hp, uint32_t n_layer_of_27b) {
    if (hp->n_layer == n_layer_of_27b) hp->attn_scale = (float)(1 / sqrt((double)hp->d_model / hp->n_head));
}
static void adjust_2(struct hparams *hp) {
    hp->window_period = 2;
    scale_by_model_width(hp, 46);
}
static void adjust_3(struct hparams *hp) {
    hp->window_period = 6;
    scale_by_model_width(hp, 62);
}

#define GEMMA .rope = ROPE_HALVES, .act = ACT_GELU, .embd_scale_sqrt = true
const struct arch_desc arch_gemma = {.name = "gemma", .families = "Gemma", GEMMA, ARCH_TABLES(hparams_1, tensors_1)};
const struct arch_desc arch_gemma2 = {.name = "gemma2", .families = "Gemma 2", GEMMA, .adjust = adjust_2, ARCH_TABLES(hparams_2, tensors_2)};
const struct arch_desc arch_gemma3 = {.name = "gemma3", .families = "Gemma 3 (text)", GEMMA, .adjust = adjust_3, ARCH_TABLES(hparams_3, tensors_3)};
const struct arch_desc arch_gemma_embedding = {
    .name = "gemma-embedding", .families = "EmbeddingGemma", GEMMA, .bidirectional = true, .adjust = adjust_3,
    ARCH_TABLES(hparams_embedding, tensors_embedding),
};
const struct arch_desc arch_gemma4 = {
    .name = "gemma4", .families = "Gemma 4 dense (text)", GEMMA, .v_norm = true, .adjust = adjust_4, ARCH_TABLES(hparams_4, tensors_4),
};
const struct arch_desc arch_gemma3n = {
    .name = "gemma3n", .families = "Gemma 3n (text)", GEMMA, .v_norm = true, .adjust = adjust_3n, ARCH_TABLES(hparams_3n, tensors_3n),
};
