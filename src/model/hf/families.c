/* families.c -- table: every class of dense Hugging Face decoder that can be read; experts.c has those with experts, hybrids.c those
 * whose layers differ, encoders.c those that make embeddings.
 *
 * A new one is a row at the end, with its tables of keys (config.json to metadata), rules (values that it can run) and tensors. The
 * arithmetic is that of the GGUF architecture it names (../arch). Fallbacks are the defaults of the class's configuration in
 * the transformers library: folders leave out what equals them.
 * Golden: tests/e2e/convert.sh turns every golden model into a folder and back; tests/unit/test_hf.c has real configurations. */
#include <math.h>
#include <string.h>

#include "base/show.h"
#include "model/hf/rows_int.h"

static const struct hf_key keys_llama[] = {KEYS_LLAMA(2048, 1e-6)};
static const struct hf_key keys_mistral[] = {KEYS_LLAMA(131072, 1e-6)}; /* the window: adjust_mistral */
static const struct hf_key keys_qwen2[] = {KEYS_LLAMA(32768, 1e-6)};
static const struct hf_key keys_qwen3[] = {KEYS_SIZES(32768), KEY_HEADS_KV(0), KEY_D_HEAD(128), KEY_RMS_EPS(1e-6)};
static const struct hf_key keys_gemma[] = {KEYS_SIZES(8192), KEY_HEADS_KV(0), KEY_D_HEAD(256), KEY_RMS_EPS(1e-6)};
static const struct hf_key keys_gemma2[] = {
    KEYS_SIZES(8192), KEY_HEADS_KV(0), KEY_D_HEAD(256), KEY_RMS_EPS(1e-6),
    {"sliding_window",          "attention.sliding_window", HP_U32, 0, 4096},
    {"attn_logit_softcapping",  "attn_logit_softcapping",   HP_F32, HF_ZERO, 0}, /* null is off, absent is 50: adjust_gemma2 */
    {"final_logit_softcapping", "final_logit_softcapping",  HP_F32, HF_ZERO, 0},
    {"query_pre_attn_scalar",   NULL,                       HP_F32, 0, 256},
};
static const struct hf_key keys_gemma3[] = {
    {"num_hidden_layers",       "block_count",              HP_U32, 0, 26},
    {"hidden_size",             "embedding_length",         HP_U32, 0, 2304},
    {"intermediate_size",       "feed_forward_length",      HP_U32, 0, 9216},
    {"num_attention_heads",     "attention.head_count",     HP_U32, 0, 8},
    {"max_position_embeddings", "context_length",           HP_U32, 0, 131072},
    KEY_HEADS_KV(4), KEY_D_HEAD(256), KEY_RMS_EPS(1e-6),
    {"sliding_window",          "attention.sliding_window", HP_U32, 0, 4096},
    {"final_logit_softcapping", "final_logit_softcapping",  HP_F32, 0, 0},
    {"query_pre_attn_scalar",   NULL,                       HP_F32, 0, 256},
    {"rope_local_base_freq",    NULL,                       HP_F32, 0, 10000},
};
static const struct hf_key keys_phi2[] = {
    KEYS_SIZES(2048), KEY_HEADS_KV(0), {"layer_norm_eps", "attention.layer_norm_epsilon", HP_F32, 0, 1e-5},
};
static const struct hf_key keys_phi3[] = {
    KEYS_SIZES(4096), KEY_HEADS_KV(0), KEY_D_HEAD(0), KEY_RMS_EPS(1e-5),
    {"original_max_position_embeddings", "rope.scaling.original_context_length", HP_U32, 0, 4096},
    {"sliding_window",                   "attention.sliding_window",             HP_U32, HF_ZERO, 0},
};
static const struct hf_key keys_smollm3[] = {KEYS_SIZES(32768), KEY_HEADS_KV(4), KEY_D_HEAD(0), KEY_RMS_EPS(1e-6)};
#define KEYS_GRANITE                                                      \
    {"embedding_multiplier", "embedding_scale", HP_F32, 0, 1},            \
    {"residual_multiplier",  "residual_scale",  HP_F32, 0, 1},            \
    {"attention_multiplier", "attention.scale", HP_F32, 0, 1},            \
    {"logits_scaling",       "logit_scale",     HP_F32, 0, 1}
static const struct hf_key keys_granite[] = {KEYS_LLAMA(2048, 1e-6), KEYS_GRANITE};
static const struct hf_key keys_granite_hybrid[] = {
    {"num_hidden_layers",        "block_count",          HP_U32, HF_REQUIRED, 0},
    {"hidden_size",              "embedding_length",     HP_U32, HF_REQUIRED, 0},
    {"shared_intermediate_size", "feed_forward_length",  HP_U32, HF_REQUIRED, 0},
    {"num_attention_heads",      "attention.head_count", HP_U32, HF_REQUIRED, 0},
    {"max_position_embeddings",  "context_length",       HP_U32, 0, 2048},
    KEY_HEADS_KV(0), KEY_D_HEAD(0), KEY_RMS_EPS(1e-6), KEYS_GRANITE,
};
static const struct hf_key keys_olmo2[] = {KEYS_SIZES(2048), KEY_HEADS_KV(0), KEY_D_HEAD(0), KEY_RMS_EPS(1e-5)};
static const struct hf_key keys_olmo3[] = {
    KEYS_SIZES(2048), KEY_HEADS_KV(0), KEY_D_HEAD(0), KEY_RMS_EPS(1e-5),
    {"sliding_window", "attention.sliding_window", HP_U32, 0, 4096},
};
static const struct hf_key keys_lfm2[] = {
    {"num_hidden_layers",       "block_count",                      HP_U32, HF_REQUIRED, 0},
    {"hidden_size",             "embedding_length",                 HP_U32, HF_REQUIRED, 0},
    {"num_attention_heads",     "attention.head_count",             HP_U32, HF_REQUIRED, 0},
    {"max_position_embeddings", "context_length",                   HP_U32, 0, 128000},
    {"conv_L_cache",            "shortconv.l_cache",                HP_U32, 0, 3},
    {"norm_eps|block_norm_eps", "attention.layer_norm_rms_epsilon", HP_F32, 0, 1e-5},
    KEY_HEADS_KV(8),
};
static const struct hf_key keys_mistral3[] = {KEYS_LLAMA(131072, 1e-6)};

/* Rules */

static const struct hf_rule rules_llama[] = {RULE_SILU, {"attention_bias", NULL}, {"mlp_bias", NULL}};
static const struct hf_rule rules_mistral[] = {RULE_SILU, RULE_NO_BIAS, {"sliding_window", NULL}, {"layer_types", NULL}};
static const struct hf_rule rules_qwen[] = {RULE_SILU, RULE_NO_BIAS, RULES_LAYERS};
static const struct hf_rule rules_gemma[] = {RULE_GELU, RULE_NO_BIAS, {"use_bidirectional_attention", "false|null"}};
static const struct hf_rule rules_gemma2[] = {
    RULE_GELU, RULE_NO_BIAS, {"use_bidirectional_attention", "false|null"}, {"layer_types", NULL}, {"sliding_window_size", NULL},
};
static const struct hf_rule rules_gemma3[] = {
    RULE_GELU, RULE_NO_BIAS, {"use_bidirectional_attention", "false|null"}, {"attn_logit_softcapping", "null"},
    {"layer_types", NULL}, {"sliding_window_pattern", "6|null"}, {"_sliding_window_pattern", "6|null"},
};
static const struct hf_rule rules_phi2[] = {{"hidden_act", "gelu_new|gelu_fast|gelu_pytorch_tanh"}, {"qk_layernorm", "false|null"}};
static const struct hf_rule rules_phi3[] = {
    RULE_SILU, RULE_NO_BIAS, {"mlp_bias", "false|null"}, {"lm_head_bias", "false|null"}, {"full_attn_mod", "1|null"}, {"interpolate_factor", "1|null"},
};
static const struct hf_rule rules_smollm3[] = {
    RULE_SILU, RULE_NO_BIAS, {"mlp_bias", "false|null"}, {"no_rope_layers", NULL}, {"no_rope_layer_interval", "4|null"}, RULES_LAYERS,
};
static const struct hf_rule rules_granite[] = {RULE_SILU, {"attention_bias", NULL}, {"mlp_bias", NULL}};
static const struct hf_rule rules_granite_hybrid[] = {
    RULE_SILU, {"attention_bias", "false|null"}, {"mlp_bias", "false|null"}, {"num_local_experts", "0|null"}, {"num_experts_per_tok", "0|null"},
    {"position_embedding_type", "rope"}, {"normalization_function", "rmsnorm|null"}, {"layer_types", NULL}, {"layers_block_type", NULL},
    {"intermediate_size", NULL}, {"mamba_n_heads", NULL}, {"mamba_d_head", NULL}, {"mamba_d_state", NULL}, {"mamba_d_conv", NULL},
    {"mamba_n_groups", NULL}, {"mamba_expand", NULL}, {"mamba_chunk_size", NULL}, {"mamba_conv_bias", NULL}, {"mamba_proj_bias", NULL},
};
static const struct hf_rule rules_olmo[] = {RULE_SILU, RULE_NO_BIAS, {"clip_qkv", "null"}, {"layer_types", NULL}};
static const struct hf_rule rules_lfm2[] = {
    {"conv_bias", "false|null"}, {"layer_types", NULL}, {"full_attn_idxs", NULL}, {"block_ff_dim", NULL}, {"intermediate_size", NULL}, {"block_multiple_of", NULL},
    {"block_ffn_dim_multiplier", NULL}, {"block_auto_adjust_ff_dim", NULL}, {"block_use_swiglu", "true|null"}, {"use_pos_enc", "true|null"}, {"num_heads", NULL},
    {"tie_embedding", NULL}, {"theta", "null"}, {"conv_dim", NULL}, {"conv_dim_out", NULL}, {"conv_use_xavier_init", NULL}, {"block_norm_eps", NULL},
    {"block_mlp_init_scale", NULL}, {"block_out_init_scale", NULL},
};

/* Tensors */

#define TENSORS_GEMMA_EMBEDDING                        \
    {"token_embd",  {"*embed_tokens"}, HF_COPY, 0},    \
    {"output_norm", {"*norm"},         HF_PLUS_ONE, 0}, \
    {"output",      {"^lm_head"},      HF_COPY, HF_HEAD}
#define TENSORS_SANDWICH_NORMS                                                                      \
    {"blk.%u.attn_norm",           {"*layers.%u.input_layernorm"},            HF_PLUS_ONE, 0},      \
    {"blk.%u.post_attention_norm", {"*layers.%u.post_attention_layernorm"},   HF_PLUS_ONE, 0},      \
    {"blk.%u.ffn_norm",            {"*layers.%u.pre_feedforward_layernorm"},  HF_PLUS_ONE, 0},      \
    {"blk.%u.post_ffw_norm",       {"*layers.%u.post_feedforward_layernorm"}, HF_PLUS_ONE, 0}

/* Classes whose GGUF form turns adjacent pairs, and those that turn halves as the folder does. */
static const struct hf_tensor tensors_llama[] = {TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(HF_ROPE_Q, HF_ROPE_K), TENSORS_FFN};
static const struct hf_tensor tensors_qwen2[] = {TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(HF_COPY, HF_COPY), TENSORS_FFN};
static const struct hf_tensor tensors_qwen3[] = {
    TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(HF_COPY, HF_COPY), TENSORS_QK_NORMS(HF_COPY), TENSORS_FFN,
};
static const struct hf_tensor tensors_gemma[] = {
    TENSORS_GEMMA_EMBEDDING,
    {"blk.%u.attn_norm", {"*layers.%u.input_layernorm"}, HF_PLUS_ONE, 0},
    {"blk.%u.ffn_norm",  {"*layers.%u.post_attention_layernorm"}, HF_PLUS_ONE, 0},
    TENSORS_ATTENTION(HF_COPY, HF_COPY), TENSORS_FFN,
};
static const struct hf_tensor tensors_gemma2[] = {
    TENSORS_GEMMA_EMBEDDING, TENSORS_SANDWICH_NORMS, TENSORS_ATTENTION(HF_COPY, HF_COPY), TENSORS_FFN,
};
static const struct hf_tensor tensors_gemma3[] = {
    TENSORS_GEMMA_EMBEDDING, TENSORS_SANDWICH_NORMS, TENSORS_ATTENTION(HF_COPY, HF_COPY), TENSORS_QK_NORMS(HF_PLUS_ONE), TENSORS_FFN,
};
static const struct hf_tensor tensors_phi2[] = {
    {"token_embd",         {"*embed_tokens"}, HF_COPY, 0},
    {"output_norm",        {"*final_layernorm"}, HF_COPY, 0},
    {"output",             {"^lm_head"}, HF_COPY, HF_HEAD},
    {"blk.%u.attn_norm",   {"*layers.%u.input_layernorm"}, HF_COPY, 0},
    {"blk.%u.attn_qkv",    {"*layers.%u.self_attn.q_proj", "*layers.%u.self_attn.k_proj", "*layers.%u.self_attn.v_proj"}, HF_COPY, 0},
    {"blk.%u.attn_output", {"*layers.%u.self_attn.dense"}, HF_COPY, 0},
    {"blk.%u.ffn_up",      {"*layers.%u.mlp.fc1"}, HF_COPY, 0},
    {"blk.%u.ffn_down",    {"*layers.%u.mlp.fc2"}, HF_COPY, 0},
};
static const struct hf_tensor tensors_phi3[] = {
    TENSORS_EMBEDDING, TENSORS_PRE_NORMS,
    {"blk.%u.attn_qkv",    {"*layers.%u.self_attn.qkv_proj"}, HF_COPY, 0},
    {"blk.%u.attn_output", {"*layers.%u.self_attn.o_proj"}, HF_COPY, 0},
    {"blk.%u.ffn_up",      {"*layers.%u.mlp.gate_up_proj"}, HF_COPY, 0},
    {"blk.%u.ffn_down",    {"*layers.%u.mlp.down_proj"}, HF_COPY, 0},
};
static const struct hf_tensor tensors_granite_hybrid[] = {
    TENSORS_EMBEDDING, TENSORS_PRE_NORMS, TENSORS_ATTENTION(HF_ROPE_Q, HF_ROPE_K),
    {"blk.%u.ffn_gate",    {"*layers.%u.shared_mlp.input_linear"}, HF_FIRST, 0},
    {"blk.%u.ffn_up",      {"*layers.%u.shared_mlp.input_linear"}, HF_SECOND, 0},
    {"blk.%u.ffn_down",    {"*layers.%u.shared_mlp.output_linear"}, HF_COPY, 0},
};
static const struct hf_tensor tensors_olmo2[] = {
    TENSORS_EMBEDDING, TENSORS_ATTENTION(HF_COPY, HF_COPY), TENSORS_QK_NORMS(HF_COPY),
    {"blk.%u.post_attention_norm", {"*layers.%u.post_attention_layernorm"}, HF_COPY, 0},
    {"blk.%u.post_ffw_norm",       {"*layers.%u.post_feedforward_layernorm"}, HF_COPY, 0},
    TENSORS_FFN,
};
static const struct hf_tensor tensors_lfm2[] = {TENSORS_LFM2};

/* What rows cannot say */

slm_status hf_check_layers(const struct hf *h, const char *key, const char *full, const char *other, uint32_t period, slm_err *err) {
    const json_t *types = hf_config_get(h, key);
    if (!types) return SLM_OK;
    if (json_array_size(types) != h->n_layer)
        return hf_config_fail(h, err, SLM_E_FORMAT, "key \"%s\" has %zu entries for %u layers", key, json_array_size(types), h->n_layer);
    for (uint32_t i = 0; i < h->n_layer; i++) {
        const char *have = json_string_value(json_array_get(types, i));
        const char *want = period == 0 || (i + 1) % period == 0 ? full : other;
        if (!have || strcmp(have, want) != 0)
            return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"%s\": layer %u is \"%s\", only \"%s\" is supported there", key, i, show_cstr(have ? have : "").s, want);
    }
    return SLM_OK;
}

slm_status hf_adjust_full(struct hf *h, slm_err *err) { return hf_check_layers(h, "layer_types", "full_attention", "", 0, err); }

/* Mistral 7B v0.1 has a window of 4096 in all layers, which is also the class's default; later ones say null. */
static slm_status adjust_mistral(struct hf *h, slm_err *err) {
    const json_t *v = json_object_get(h->config, "sliding_window");
    double window = v ? 0 : 4096;
    slm_status st = hf_object_number(h, h->config, "sliding_window", &window, err);
    if (st != SLM_OK || !(window > 0) || window >= h->n_ctx_train) return st;
    st = hf_check_layers(h, "layer_types", "sliding_attention", "", 0, err);
    return st == SLM_OK ? hf_put_number(h, "attention.sliding_window", HP_U32, window, err) : st;
}

/* Scores are scaled by a number of their own, which must be the one the architecture derives. */
static slm_status check_query_scale(const struct hf *h, uint32_t n_layer_of_27b, slm_err *err) {
    double scalar = 256, want = h->n_layer == n_layer_of_27b ? (double)h->d_model / h->n_head : h->d_head;
    slm_status st = hf_object_number(h, h->config, "query_pre_attn_scalar", &scalar, err);
    if (st == SLM_OK && scalar != want)
        st = hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"query_pre_attn_scalar\" = %g is not supported: %g is", scalar, want);
    return st;
}

static slm_status put_default(struct hf *h, const char *key, double value, slm_err *err) {
    return json_object_get(h->config, key) ? SLM_OK : hf_put_number(h, key, HP_F32, value, err);
}

static slm_status adjust_gemma2(struct hf *h, slm_err *err) {
    slm_status st = check_query_scale(h, 46, err);
    if (st == SLM_OK) st = hf_check_layers(h, "layer_types", "full_attention", "sliding_attention", 2, err);
    if (st == SLM_OK) st = put_default(h, "attn_logit_softcapping", 50, err);
    return st == SLM_OK ? put_default(h, "final_logit_softcapping", 30, err) : st;
}

static slm_status adjust_gemma3(struct hf *h, slm_err *err) {
    slm_status st = check_query_scale(h, 62, err);
    return st == SLM_OK ? hf_check_layers(h, "layer_types", "full_attention", "sliding_attention", 6, err) : st;
}

static slm_status adjust_smollm3(struct hf *h, slm_err *err) {
    const json_t *list = hf_config_get(h, "no_rope_layers");
    for (uint32_t i = 0; list && i < h->n_layer; i++)
        if (json_integer_value(json_array_get(list, i)) != ((i + 1) % 4 != 0))
            return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"no_rope_layers\": only every fourth layer without rope is supported");
    return hf_adjust_full(h, err);
}

static slm_status adjust_granite_hybrid(struct hf *h, slm_err *err) {
    slm_status st = hf_check_layers(h, "layer_types", "attention", "", 0, err);
    if (st == SLM_OK) st = hf_check_layers(h, "layers_block_type", "attention", "", 0, err);
    if (st == SLM_OK && !hf_config_get(h, "layer_types") && !hf_config_get(h, "layers_block_type"))
        st = hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"layer_types\" is missing: the layers would be of the Mamba kind");
    return st;
}

static slm_status adjust_olmo3(struct hf *h, slm_err *err) { return hf_check_layers(h, "layer_types", "full_attention", "sliding_attention", 4, err); }

/* Queries grow with the logarithm of the position. */
static slm_status adjust_ministral3(struct hf *h, slm_err *err) {
    const json_t *rope = hf_config_get(h, "rope_parameters|rope_scaling");
    double beta = 0;
    slm_status st = hf_object_number(h, rope, "llama_4_scaling_beta", &beta, err);
    if (st == SLM_OK && beta != 0) st = hf_put_number(h, "attention.temperature_scale", HP_F32, beta, err);
    if (st != SLM_OK || !hf_config_get(h, "sliding_window")) return st;
    return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"sliding_window\" is not supported for class \"%s\"", h->family->class_name);
}

/* The width of LFM2's feed-forward: two thirds of what is stated, rounded up, unless it says not to. */
static slm_status put_lfm2_width(struct hf *h, slm_err *err) {
    double width = 0, mul = 1, multiple = 256;
    slm_status st;
    TRY(hf_object_number(h, h->config, "block_ff_dim|intermediate_size", &width, err));
    TRY(hf_object_number(h, h->config, "block_ffn_dim_multiplier", &mul, err));
    TRY(hf_object_number(h, h->config, "block_multiple_of", &multiple, err));
    if (!(width >= 1 && width <= 1e7 && mul > 0 && mul <= 1e3 && multiple >= 1 && multiple <= 1e6))
        return hf_config_fail(h, err, SLM_E_FORMAT, "the width of the feed-forward is missing or out of range");
    if (!json_is_false(hf_config_get(h, "block_auto_adjust_ff_dim"))) width = multiple * ceil(floor(mul * floor(2 * width / 3)) / multiple);
    TRY(hf_put_number(h, "feed_forward_length", HP_U32, width, err));
out:
    return st;
}

static bool is_listed(const json_t *list, uint32_t i) {
    for (size_t k = 0; k < json_array_size(list); k++)
        if (json_integer_value(json_array_get(list, k)) == i) return true;
    return false;
}

/* A layer without key heads is a convolution. */
slm_status hf_put_convolutions(struct hf *h, slm_err *err) {
    const json_t *types = hf_config_get(h, "layer_types"), *full = hf_config_get(h, "full_attn_idxs");
    int32_t n_head_kv[1024]; /* as many as there may be layers */
    for (uint32_t i = 0; i < h->n_layer; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        bool attends = types ? type && strcmp(type, "full_attention") == 0 : !full || is_listed(full, i);
        if (types && !attends && (!type || strcmp(type, "conv") != 0))
            return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"layer_types\": layer %u is \"%s\"", i, show_cstr(type ? type : "").s);
        n_head_kv[i] = attends ? (int32_t)h->n_head_kv : 0;
    }
    return hf_put_layers(h, "attention.head_count_kv", GGUF_I32, n_head_kv, err);
}

static slm_status adjust_lfm2(struct hf *h, slm_err *err) {
    slm_status st = hf_put_convolutions(h, err);
    return st == SLM_OK ? put_lfm2_width(h, err) : st;
}

static const struct hf_family rows[] = {
    {.class_name = "LlamaForCausalLM", .arch = "llama", .rope_base = 10000, .rot_fraction = 1, ROWS(keys_llama, rules_llama, tensors_llama)},
    {.class_name = "MistralForCausalLM", .arch = "llama", .rope_base = 10000, .rot_fraction = 1, .adjust = adjust_mistral,
     ROWS(keys_mistral, rules_mistral, tensors_llama)},
    {.class_name = "Ministral3ForCausalLM", .arch = "mistral3", .rope_base = 1e6, .rot_fraction = 1, .adjust = adjust_ministral3,
     ROWS(keys_mistral3, rules_mistral, tensors_llama)},
    {.class_name = "Mistral3ForConditionalGeneration", .model_type = "ministral3", .arch = "mistral3", .rope_base = 1e6, .rot_fraction = 1, .nested = true,
     .adjust = adjust_ministral3, ROWS(keys_mistral3, rules_mistral, tensors_llama)},
    {.class_name = "Mistral3ForConditionalGeneration", .model_type = "mistral", .arch = "mistral3", .rope_base = 10000, .rot_fraction = 1, .nested = true,
     .adjust = adjust_ministral3, ROWS(keys_mistral3, rules_mistral, tensors_llama)},
    {.class_name = "Qwen2ForCausalLM", .arch = "qwen2", .rope_base = 10000, .rot_fraction = 1, .adjust = hf_adjust_full,
     ROWS(keys_qwen2, rules_qwen, tensors_qwen2)},
    {.class_name = "Qwen3ForCausalLM", .arch = "qwen3", .rope_base = 10000, .rot_fraction = 1, .adjust = hf_adjust_full,
     ROWS(keys_qwen3, rules_qwen, tensors_qwen3)},
    {.class_name = "GemmaForCausalLM", .arch = "gemma", .rope_base = 10000, .rot_fraction = 1, .tied = true, ROWS(keys_gemma, rules_gemma, tensors_gemma)},
    {.class_name = "Gemma2ForCausalLM", .arch = "gemma2", .rope_base = 10000, .rot_fraction = 1, .tied = true, .adjust = adjust_gemma2,
     ROWS(keys_gemma2, rules_gemma2, tensors_gemma2)},
    {.class_name = "Gemma3ForCausalLM", .arch = "gemma3", .rope_base = 1e6, .rot_fraction = 1, .tied = true, .adjust = adjust_gemma3,
     ROWS(keys_gemma3, rules_gemma3, tensors_gemma3)},
    {.class_name = "Gemma3ForConditionalGeneration", .arch = "gemma3", .rope_base = 1e6, .rot_fraction = 1, .tied = true, .nested = true,
     .adjust = adjust_gemma3, ROWS(keys_gemma3, rules_gemma3, tensors_gemma3)},
    {.class_name = "PhiForCausalLM", .arch = "phi2", .rope_base = 10000, .rot_fraction = 0.5, ROWS(keys_phi2, rules_phi2, tensors_phi2)},
    {.class_name = "Phi3ForCausalLM", .arch = "phi3", .rope_base = 10000, .rot_fraction = 1, ROWS(keys_phi3, rules_phi3, tensors_phi3)},
    {.class_name = "SmolLM3ForCausalLM", .arch = "smollm3", .rope_base = 2e6, .rot_fraction = 1, .tied = true, .adjust = adjust_smollm3,
     ROWS(keys_smollm3, rules_smollm3, tensors_llama)},
    {.class_name = "GraniteForCausalLM", .arch = "granite", .rope_base = 10000, .rot_fraction = 1, ROWS(keys_granite, rules_granite, tensors_llama)},
    {.class_name = "GraniteMoeHybridForCausalLM", .arch = "granite", .rope_base = 10000, .rot_fraction = 1, .adjust = adjust_granite_hybrid,
     ROWS(keys_granite_hybrid, rules_granite_hybrid, tensors_granite_hybrid)},
    {.class_name = "Lfm2ForCausalLM", .arch = "lfm2", .rope_base = 1e6, .rot_fraction = 1, .tied = true, .adjust = adjust_lfm2,
     ROWS(keys_lfm2, rules_lfm2, tensors_lfm2)},
    {.class_name = "Olmo2ForCausalLM", .arch = "olmo2", .rope_base = 10000, .rot_fraction = 1, ROWS(keys_olmo2, rules_olmo, tensors_olmo2)},
    {.class_name = "Olmo3ForCausalLM", .arch = "olmo2", .rope_base = 10000, .rot_fraction = 1, .adjust = adjust_olmo3,
     ROWS(keys_olmo3, rules_olmo, tensors_olmo2)},
};

const struct hf_family *hf_family_at(size_t i) {
    const struct { const struct hf_family *rows; size_t n; } lists[] = {
        {rows, N_OF(rows)}, {hf_experts, hf_n_experts}, {hf_hybrids, hf_n_hybrids}, {hf_encoders, hf_n_encoders},
    };
    for (size_t k = 0; k < N_OF(lists); k++) {
        if (i < lists[k].n) return &lists[k].rows[i];
        i -= lists[k].n;
    }
    return NULL;
}
