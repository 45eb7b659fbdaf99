/* experts.c -- table: classes of Hugging Face decoders whose feed-forward is experts behind a router.
 *
 * Folders keep each expert's matrices apart, GGUF in one tensor for all; gpt-oss keeps them together, gates and ups in pairs, in
 * 4-bit blocks, or as plain matrices turned over. The rest is as in families.c. */
#include "model/hf/rows_int.h"

#define KEYS_EXPERTS(count_key, n, n_used)                                         \
    {count_key,             "expert_count",      HP_U32, 0, n},                    \
    {"num_experts_per_tok|experts_per_token", "expert_used_count", HP_U32, 0, n_used}
#define KEY_D_FF_EXPERT(n) {"moe_intermediate_size", "expert_feed_forward_length", HP_U32, 0, n}

static const struct hf_key keys_mixtral[] = {
    KEYS_SIZES(131072), KEY_HEADS_KV(8), KEY_D_HEAD(0), KEY_RMS_EPS(1e-5), KEYS_EXPERTS("num_local_experts|num_experts", 8, 2), KEY_WINDOW(0),
};
static const struct hf_key keys_qwen3moe[] = {
    KEYS_SIZES(32768), KEY_HEADS_KV(4), KEY_D_HEAD(128), KEY_RMS_EPS(1e-6), KEYS_EXPERTS("num_experts|num_local_experts", 128, 8), KEY_D_FF_EXPERT(768),
};
static const struct hf_key keys_olmoe[] = {
    KEYS_SIZES(4096), KEY_HEADS_KV(0), KEY_D_HEAD(0), KEY_RMS_EPS(1e-5), KEYS_EXPERTS("num_experts|num_local_experts", 64, 8),
};
static const struct hf_key keys_lfm2moe[] = {
    KEYS_SIZES(128000), KEY_HEADS_KV(8),
    {"conv_L_cache",            "shortconv.l_cache",                HP_U32, 0, 3},
    {"norm_eps|block_norm_eps", "attention.layer_norm_rms_epsilon", HP_F32, 0, 1e-5},
    {"num_dense_layers",        "leading_dense_block_count",        HP_U32, HF_ZERO, 2},
    {"routed_scaling_factor",   "expert_weights_scale",             HP_F32, 0, 1},
    KEYS_EXPERTS("num_experts|num_local_experts", 32, 4), KEY_D_FF_EXPERT(1792),
};
static const struct hf_key keys_gptoss[] = {
    KEYS_SIZES(131072), KEY_HEADS_KV(8), KEY_D_HEAD(64), KEY_RMS_EPS(1e-5), KEYS_EXPERTS("num_local_experts|num_experts", 128, 4), KEY_WINDOW(128),
};

static const struct hf_rule rules_mixtral[] = {RULE_SILU, RULE_NO_BIAS, {"router_jitter_noise", NULL}, {"layer_types", NULL}};
static const struct hf_rule rules_qwen3moe[] = {
    RULE_SILU, RULE_NO_BIAS, RULES_LAYERS, {"decoder_sparse_step", "1|null"}, {"norm_topk_prob", NULL},
};
static const struct hf_rule rules_olmoe[] = {RULE_SILU, RULE_NO_BIAS, {"clip_qkv", "null"}, {"norm_topk_prob", NULL}};
static const struct hf_rule rules_lfm2moe[] = {
    {"hidden_act", "silu|null"}, {"conv_bias", "false|null"}, {"layer_types", NULL}, {"full_attn_idxs", NULL}, {"tie_embedding", NULL}, {"norm_topk_prob", NULL},
    {"use_expert_bias", NULL}, {"use_pos_enc", "true|null"}, {"num_heads", NULL}, {"theta", "null"}, {"conv_dim", NULL}, {"conv_dim_out", NULL},
    {"conv_use_xavier_init", NULL}, {"block_mlp_init_scale", NULL}, {"block_out_init_scale", NULL},
};
static const struct hf_rule rules_gptoss[] = {
    RULE_SILU, {"attention_bias", "true|null"}, {"layer_types", NULL}, {"swiglu_limit", "7|null"}, {"swiglu_alpha", "1.702|null"}, {"initial_context_length", NULL},
};

/* The router, and a stack for each of the expert's three matrices. */
#define TENSORS_EXPERTS(router, place, gate, up, down)                             \
    {"blk.%u.ffn_gate_inp",  {"*layers.%u." router}, HF_COPY, HF_OPTIONAL},       \
    {"blk.%u.ffn_gate_exps", {"*layers.%u." place ".#." gate}, HF_STACK, HF_OPTIONAL}, \
    {"blk.%u.ffn_up_exps",   {"*layers.%u." place ".#." up}, HF_STACK, HF_OPTIONAL},   \
    {"blk.%u.ffn_down_exps", {"*layers.%u." place ".#." down}, HF_STACK, HF_OPTIONAL}

static const struct hf_tensor tensors_mixtral[] = {
    TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(HF_ROPE_Q, HF_ROPE_K),
    TENSORS_EXPERTS("block_sparse_moe.gate", "block_sparse_moe.experts", "w1", "w3", "w2"),
};
static const struct hf_tensor tensors_qwen3moe[] = { /* OLMoE's too */
    TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(HF_COPY, HF_COPY), TENSORS_QK_NORMS(HF_COPY),
    TENSORS_EXPERTS("mlp.gate", "mlp.experts", "gate_proj", "up_proj", "down_proj"),
};
static const struct hf_tensor tensors_lfm2moe[] = {
    TENSORS_LFM2, TENSORS_EXPERTS("feed_forward.gate", "feed_forward.experts", "w1", "w3", "w2"),
    {"blk.%u.exp_probs_b.bias", {"*layers.%u.feed_forward.expert_bias"}, HF_COPY, HF_OPTIONAL | HF_WHOLE},
};
#define EXPERTS "*layers.%u.mlp.experts."
static const struct hf_tensor tensors_gptoss[] = {
    TENSORS_EMBEDDING,
    {"blk.%u.attn_norm",            {"*layers.%u.input_layernorm"}, HF_COPY, 0},
    {"blk.%u.post_attention_norm",  {"*layers.%u.post_attention_layernorm"}, HF_COPY, 0},
    TENSORS_ATTENTION(HF_COPY, HF_COPY),
    {"blk.%u.attn_sinks.weight",    {"*layers.%u.self_attn.sinks"}, HF_COPY, HF_WHOLE},
    {"blk.%u.ffn_gate_inp",         {"*layers.%u.mlp.router"}, HF_COPY, 0},
    {"blk.%u.ffn_gate_exps.weight", {EXPERTS "gate_up_proj_blocks", EXPERTS "gate_up_proj_scales"}, HF_MX_EVEN, HF_OPTIONAL | HF_WHOLE},
    {"blk.%u.ffn_up_exps.weight",   {EXPERTS "gate_up_proj_blocks", EXPERTS "gate_up_proj_scales"}, HF_MX_ODD, HF_OPTIONAL | HF_WHOLE},
    {"blk.%u.ffn_down_exps.weight", {EXPERTS "down_proj_blocks", EXPERTS "down_proj_scales"}, HF_MX, HF_OPTIONAL | HF_WHOLE},
    {"blk.%u.ffn_gate_exps.weight", {EXPERTS "gate_up_proj"}, HF_EVEN_T, HF_OPTIONAL | HF_WHOLE},
    {"blk.%u.ffn_up_exps.weight",   {EXPERTS "gate_up_proj"}, HF_ODD_T, HF_OPTIONAL | HF_WHOLE},
    {"blk.%u.ffn_down_exps.weight", {EXPERTS "down_proj"}, HF_T, HF_OPTIONAL | HF_WHOLE},
    {"blk.%u.ffn_gate_exps.bias",   {EXPERTS "gate_up_proj_bias"}, HF_EVEN, HF_WHOLE | HF_F32},
    {"blk.%u.ffn_up_exps.bias",     {EXPERTS "gate_up_proj_bias"}, HF_ODD, HF_WHOLE | HF_F32},
    {"blk.%u.ffn_down_exps.bias",   {EXPERTS "down_proj_bias"}, HF_COPY, HF_WHOLE | HF_F32},
};

/* Whether a token's weights are made to sum to 1. */
static slm_status put_normed(struct hf *h, bool fallback, slm_err *err) {
    const json_t *v = hf_config_get(h, "norm_topk_prob");
    return hf_put_flag(h, "expert_weights_norm", json_is_boolean(v) ? json_is_true(v) : fallback, err);
}

/* The window is in all layers, or in none. */
static slm_status adjust_mixtral(struct hf *h, slm_err *err) {
    const char *type = hf_config_get(h, "sliding_window") ? "sliding_attention" : "full_attention";
    return hf_check_layers(h, "layer_types", type, "", 0, err);
}

static slm_status adjust_qwen3moe(struct hf *h, slm_err *err) {
    slm_status st = hf_adjust_full(h, err);
    return st == SLM_OK ? put_normed(h, false, err) : st;
}

static slm_status adjust_olmoe(struct hf *h, slm_err *err) { return put_normed(h, false, err); }

static slm_status adjust_lfm2moe(struct hf *h, slm_err *err) {
    slm_status st = hf_put_convolutions(h, err);
    if (st == SLM_OK) st = hf_put_number(h, "expert_gating_func", HP_U32, MOE_SIGMOID, err);
    return st == SLM_OK ? put_normed(h, true, err) : st;
}

static slm_status adjust_gptoss(struct hf *h, slm_err *err) {
    double width = 0;
    slm_status st = hf_check_layers(h, "layer_types", "full_attention", "sliding_attention", 2, err);
    if (st == SLM_OK && !hf_config_get(h, "rope_scaling|rope_parameters")) st = hf_config_fail(h, err, SLM_E_FORMAT, "key \"rope_scaling\" is missing");
    if (st == SLM_OK) st = hf_object_number(h, h->config, "intermediate_size", &width, err);
    return st == SLM_OK ? hf_put_number(h, "expert_feed_forward_length", HP_U32, width, err) : st;
}

const struct hf_family hf_experts[] = {
    {.class_name = "MixtralForCausalLM", .arch = "llama", .rope_base = 1e6, .rot_fraction = 1, .adjust = adjust_mixtral,
     ROWS(keys_mixtral, rules_mixtral, tensors_mixtral)},
    {.class_name = "Qwen3MoeForCausalLM", .arch = "qwen3moe", .rope_base = 10000, .rot_fraction = 1, .adjust = adjust_qwen3moe,
     ROWS(keys_qwen3moe, rules_qwen3moe, tensors_qwen3moe)},
    {.class_name = "OlmoeForCausalLM", .arch = "olmoe", .rope_base = 10000, .rot_fraction = 1, .adjust = adjust_olmoe,
     ROWS(keys_olmoe, rules_olmoe, tensors_qwen3moe)},
    {.class_name = "Lfm2MoeForCausalLM", .arch = "lfm2moe", .rope_base = 1e6, .rot_fraction = 1, .tied = true, .adjust = adjust_lfm2moe,
     ROWS(keys_lfm2moe, rules_lfm2moe, tensors_lfm2moe)},
    {.class_name = "GptOssForCausalLM", .arch = "gpt-oss", .rope_base = 150000, .rot_fraction = 1, .quant = "mxfp4", .adjust = adjust_gptoss,
     ROWS(keys_gptoss, rules_gptoss, tensors_gptoss)},
};
const size_t hf_n_experts = N_OF(hf_experts);
