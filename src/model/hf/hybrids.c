/* hybrids.c -- table: classes of Hugging Face decoders whose layers differ in kind: Qwen 3.5 (the delta rule and attention), Gemma 3n and 4
 * (windows, heads and widths by the layer, embeddings of every layer, shared keys and values). The rest is as in families.c. */
#include <math.h>
#include <string.h>

#include "base/show.h"
#include "model/hf/rows_int.h"

#define N_LAYER_MAX 1024 /* hf_put_keys has checked it */

static const struct hf_key keys_qwen35[] = {
    KEYS_SIZES(32768), KEY_HEADS_KV(4), KEY_D_HEAD(256), KEY_RMS_EPS(1e-6),
    {"full_attention_interval", "full_attention_interval", HP_U32, 0, 4},
    {"linear_conv_kernel_dim",  "ssm.conv_kernel",         HP_U32, 0, 4},
    {"linear_key_head_dim",     "ssm.state_size",          HP_U32, 0, 128},
    {"linear_num_key_heads",    "ssm.group_count",         HP_U32, 0, 16},
    {"linear_num_value_heads",  "ssm.time_step_rank",      HP_U32, 0, 32},
    {"linear_value_head_dim",   NULL,                      HP_U32, 0, 128},
};
/* Lists and what null turns off: adjust. */
#define KEYS_GEMMA(n_layer, d_model, n_ctx)                                                   \
    {"num_hidden_layers",       "block_count",                      HP_U32, 0, n_layer},      \
    {"hidden_size",             "embedding_length",                 HP_U32, 0, d_model},      \
    {"num_attention_heads",     "attention.head_count",             HP_U32, 0, 8},            \
    {"max_position_embeddings", "context_length",                   HP_U32, 0, n_ctx},        \
    KEY_RMS_EPS(1e-6), KEY_WINDOW(512),                                                       \
    {"final_logit_softcapping", "final_logit_softcapping",          HP_F32, HF_ZERO, 0}
static const struct hf_key keys_gemma3n[] = {
    KEYS_GEMMA(35, 2048, 32768), KEY_HEADS_KV(2), KEY_D_HEAD(256),
    {"num_kv_shared_layers", "attention.shared_kv_layers", HP_U32, HF_ZERO, 15},
    {"hidden_size_per_layer_input", "embedding_length_per_layer_input", HP_U32, 0, 256},
    {"altup_num_inputs",     "altup.num_inputs",           HP_U32, 0, 4},
    {"altup_active_idx",     "altup.active_idx",           HP_U32, HF_ZERO, 0},
    {"rope_local_base_freq", NULL,                         HP_F32, 0, 10000},
};
static const struct hf_key keys_gemma4[] = {
    KEYS_GEMMA(30, 2304, 131072), KEY_HEADS_KV(4),
    {"global_head_dim",      "attention.key_length",       HP_U32, 0, 512},
    {"head_dim",             "attention.key_length_swa",   HP_U32, 0, 256},
    {"num_kv_shared_layers", "attention.shared_kv_layers", HP_U32, HF_ZERO, 0},
};

static const struct hf_rule rules_qwen35[] = {
    RULE_SILU, RULE_NO_BIAS, {"attn_output_gate", "true|null"}, {"output_gate_type", "swish|null"}, {"layer_types", NULL}, {"mamba_ssm_dtype", NULL},
    {"mtp_num_hidden_layers", NULL}, {"mtp_use_dedicated_embeddings", NULL},
};
#define RULES_GEMMA RULE_GELU, RULE_NO_BIAS, {"layer_types", NULL}, {"intermediate_size", NULL}, {"vocab_size_per_layer_input", NULL}
static const struct hf_rule rules_gemma3n[] = {
    RULES_GEMMA, {"altup_coef_clip", NULL /* of training */}, {"altup_lr_multiplier", NULL}, {"altup_correct_scale", "true|null"}, {"laurel_rank", NULL}, {"activation_sparsity_pattern", NULL},
    {"query_pre_attn_scalar", NULL /* scores are not scaled */}, {"sliding_window_pattern", NULL},
};
static const struct hf_rule rules_gemma4[] = {
    RULES_GEMMA, {"hidden_size_per_layer_input", NULL}, {"attention_k_eq_v", NULL}, {"num_global_key_value_heads", NULL}, {"use_double_wide_mlp", NULL},
    {"enable_moe_block", "false|null"}, {"use_bidirectional_attention", "vision|null|false"}, {"num_experts", NULL}, {"top_k_experts", NULL},
    {"moe_intermediate_size", NULL}, {"expert_intermediate_size", NULL},
};

#define DELTA "*layers.%u.linear_attn."
static const struct hf_tensor tensors_qwen35[] = {
    {"token_embd",                 {"*embed_tokens"}, HF_COPY, 0},
    {"output_norm",                {"*norm"}, HF_PLUS_ONE, 0},
    {"output",                     {"^lm_head"}, HF_COPY, HF_HEAD},
    {"blk.%u.attn_norm",           {"*layers.%u.input_layernorm"}, HF_PLUS_ONE, 0},
    {"blk.%u.post_attention_norm", {"*layers.%u.post_attention_layernorm"}, HF_PLUS_ONE, 0},
    {"blk.%u.attn_q",              {"*layers.%u.self_attn.q_proj"}, HF_COPY, HF_OPTIONAL},
    {"blk.%u.attn_k",              {"*layers.%u.self_attn.k_proj"}, HF_COPY, HF_OPTIONAL},
    {"blk.%u.attn_v",              {"*layers.%u.self_attn.v_proj"}, HF_COPY, HF_OPTIONAL},
    {"blk.%u.attn_output",         {"*layers.%u.self_attn.o_proj"}, HF_COPY, HF_OPTIONAL},
    {"blk.%u.attn_q_norm",         {"*layers.%u.self_attn.q_norm"}, HF_PLUS_ONE, HF_OPTIONAL},
    {"blk.%u.attn_k_norm",         {"*layers.%u.self_attn.k_norm"}, HF_PLUS_ONE, HF_OPTIONAL},
    {"blk.%u.attn_qkv",            {DELTA "in_proj_qkv"}, HF_QKV_ROWS, HF_OPTIONAL},
    {"blk.%u.attn_gate",           {DELTA "in_proj_z"}, HF_V_ROWS, HF_OPTIONAL},
    {"blk.%u.ssm_conv1d",          {DELTA "conv1d"}, HF_QKV_ROWS, HF_OPTIONAL | HF_F32},
    {"blk.%u.ssm_alpha",           {DELTA "in_proj_a"}, HF_V_ROWS, HF_OPTIONAL},
    {"blk.%u.ssm_beta",            {DELTA "in_proj_b"}, HF_V_ROWS, HF_OPTIONAL},
    {"blk.%u.ssm_a",               {DELTA "A_log"}, HF_DECAY, HF_OPTIONAL | HF_WHOLE},
    {"blk.%u.ssm_dt.bias",         {DELTA "dt_bias"}, HF_V_ROWS, HF_OPTIONAL | HF_WHOLE},
    {"blk.%u.ssm_norm",            {DELTA "norm"}, HF_COPY, HF_OPTIONAL},
    {"blk.%u.ssm_out",             {DELTA "out_proj"}, HF_V_COLUMNS, HF_OPTIONAL},
    TENSORS_FFN,
};
#define TENSORS_GEMMA                                                                                \
    TENSORS_EMBEDDING,                                                                               \
    {"per_layer_token_embd",       {"*embed_tokens_per_layer"}, HF_PAST_END, HF_OPTIONAL},           \
    {"per_layer_model_proj",       {"*per_layer_model_projection"}, HF_COPY, HF_OPTIONAL},           \
    {"per_layer_proj_norm",        {"*per_layer_projection_norm"}, HF_COPY, HF_OPTIONAL},            \
    {"blk.%u.attn_norm",           {"*layers.%u.input_layernorm"}, HF_COPY, 0},                      \
    {"blk.%u.post_attention_norm", {"*layers.%u.post_attention_layernorm"}, HF_COPY, 0},             \
    {"blk.%u.ffn_norm",            {"*layers.%u.pre_feedforward_layernorm"}, HF_COPY, 0},            \
    {"blk.%u.post_ffw_norm",       {"*layers.%u.post_feedforward_layernorm"}, HF_COPY, 0},           \
    {"blk.%u.attn_q",              {"*layers.%u.self_attn.q_proj"}, HF_COPY, 0},                     \
    {"blk.%u.attn_k",              {"*layers.%u.self_attn.k_proj"}, HF_COPY, HF_OPTIONAL},           \
    {"blk.%u.attn_v",              {"*layers.%u.self_attn.v_proj"}, HF_COPY, HF_OPTIONAL},           \
    {"blk.%u.attn_output",         {"*layers.%u.self_attn.o_proj"}, HF_COPY, 0},                     \
    {"blk.%u.attn_q_norm",         {"*layers.%u.self_attn.q_norm"}, HF_COPY, 0},                     \
    {"blk.%u.attn_k_norm",         {"*layers.%u.self_attn.k_norm"}, HF_COPY, HF_OPTIONAL},           \
    {"blk.%u.inp_gate",            {"*layers.%u.per_layer_input_gate"}, HF_COPY, HF_OPTIONAL},       \
    {"blk.%u.proj",                {"*layers.%u.per_layer_projection"}, HF_COPY, HF_OPTIONAL},       \
    {"blk.%u.post_norm",           {"*layers.%u.post_per_layer_input_norm"}, HF_COPY, HF_OPTIONAL},  \
    TENSORS_FFN
static const struct hf_tensor tensors_gemma3n[] = {
    TENSORS_GEMMA,
    {"altup_proj",                         {"*altup_projections.#"}, HF_STACK, 0},
    {"altup_unembd_proj",                  {"*altup_unembed_projections.#"}, HF_STACK, 0},
    {"blk.%u.altup_router",                {"*layers.%u.altup.modality_router"}, HF_COPY, 0},
    {"blk.%u.altup_router_norm",           {"*layers.%u.altup.router_norm"}, HF_COPY, 0},
    {"blk.%u.altup_predict_coef",          {"*layers.%u.altup.prediction_coefs"}, HF_COPY, 0},
    {"blk.%u.altup_correct_coef",          {"*layers.%u.altup.correction_coefs"}, HF_COPY, 0},
    {"blk.%u.altup_correct_scale.weight",  {"*layers.%u.altup.correct_output_scale"}, HF_COPY, HF_WHOLE},
    {"blk.%u.laurel_l",                    {"*layers.%u.laurel.linear_left"}, HF_COPY, 0},
    {"blk.%u.laurel_r",                    {"*layers.%u.laurel.linear_right"}, HF_COPY, 0},
    {"blk.%u.laurel_post_norm",            {"*layers.%u.laurel.post_laurel_norm"}, HF_COPY, 0},
};
static const struct hf_tensor tensors_gemma4[] = {
    TENSORS_GEMMA, {"blk.%u.layer_output_scale.weight", {"*layers.%u.layer_scalar"}, HF_COPY, HF_OPTIONAL | HF_WHOLE},
};
static const char *const unused_qwen35[] = {"mtp.*", "model.mtp.*", "model.language_model.mtp.*", NULL}; /* blocks that guess ahead */

static slm_status adjust_qwen35(struct hf *h, slm_err *err) {
    double interval = 4, d_value = 128;
    int32_t sections[4] = {11, 11, 10, 0};
    slm_status st;
    TRY(hf_object_number(h, h->config, "full_attention_interval", &interval, err));
    TRY(hf_object_number(h, h->config, "linear_value_head_dim", &d_value, err));
    TRY(hf_check_layers(h, "layer_types", "full_attention", "linear_attention", (uint32_t)interval, err));
    if (!(d_value >= 1 && d_value <= 65536) || h->n_head_k == 0 || h->n_head_v == 0 || h->n_head_v % h->n_head_k || h->n_head_v > 1024 || h->d_state > 65536)
        return hf_config_fail(h, err, SLM_E_FORMAT, "%u value heads of %g over %u key heads of %u do not fit", h->n_head_v, d_value, h->n_head_k, h->d_state);
    TRY(hf_put_number(h, "ssm.inner_size", HP_U32, h->n_head_v * d_value, err));
    const json_t *list = json_object_get(hf_config_get(h, "rope_parameters|rope_scaling"), "mrope_section");
    for (size_t i = 0; i < 3 && json_array_size(list) == 3; i++) sections[i] = (int32_t)json_integer_value(json_array_get(list, i));
    TRY(hf_put_list(h, "rope.dimension_sections", GGUF_I32, sections, 4, err)); /* for text the axes are one */
out:
    return st;
}

/* Which layers have the window: as layer_types says, else all but every period-th and, when forced, the last. */
static slm_status read_windows(const struct hf *h, uint32_t period, bool last_is_full, bool windowed[N_LAYER_MAX], slm_err *err) {
    const json_t *types = hf_config_get(h, "layer_types");
    if (types && json_array_size(types) != h->n_layer)
        return hf_config_fail(h, err, SLM_E_FORMAT, "key \"layer_types\" has %zu entries for %u layers", json_array_size(types), h->n_layer);
    for (uint32_t i = 0; i < h->n_layer; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        windowed[i] = types ? type && strcmp(type, "sliding_attention") == 0 : (i + 1) % period != 0;
        if (types && !windowed[i] && (!type || strcmp(type, "full_attention") != 0))
            return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"layer_types\": layer %u is \"%s\"", i, show_cstr(type ? type : "").s);
    }
    if (last_is_full) windowed[h->n_layer - 1] = false;
    return SLM_OK;
}

/* The width of the feed-forward: one for all or a list; twice as wide in the last n_wide layers. */
static slm_status put_widths(struct hf *h, double fallback, uint32_t n_wide, slm_err *err) {
    const json_t *v = hf_config_get(h, "intermediate_size");
    int32_t widths[N_LAYER_MAX];
    bool varies = n_wide > 0;
    if (json_is_array(v) && json_array_size(v) != h->n_layer)
        return hf_config_fail(h, err, SLM_E_FORMAT, "key \"intermediate_size\" has %zu entries for %u layers", json_array_size(v), h->n_layer);
    for (uint32_t i = 0; i < h->n_layer; i++) {
        double width = fallback;
        const json_t *own = json_is_array(v) ? json_array_get(v, i) : v;
        slm_status st = own ? hf_config_number(h, own, "intermediate_size", &width, err) : SLM_OK;
        if (st != SLM_OK) return st;
        if (!(width >= 1 && width <= 1e7) || width != floor(width)) return hf_config_fail(h, err, SLM_E_FORMAT, "key \"intermediate_size\": %g is out of range", width);
        widths[i] = (int32_t)width * (i + n_wide >= h->n_layer ? 2 : 1);
        varies |= widths[i] != widths[0];
    }
    return varies ? hf_put_layers(h, "feed_forward_length", GGUF_I32, widths, err) : hf_put_number(h, "feed_forward_length", HP_U32, widths[0], err);
}

/* The gates of the first ten layers keep their largest twentieth, those of the others all. */
static slm_status check_sparsity(const struct hf *h, slm_err *err) {
    const json_t *list = hf_config_get(h, "activation_sparsity_pattern");
    if (list ? json_array_size(list) != h->n_layer : h->n_layer <= 10)
        return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"activation_sparsity_pattern\" is missing, or has not one number for each of %u layers", h->n_layer);
    for (uint32_t i = 0; list && i < h->n_layer; i++) {
        double have = json_number_value(json_array_get(list, i)), want = i < 10 ? 0.95 : 0;
        if (fabs(have - want) > 1e-6)
            return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"activation_sparsity_pattern\": layer %u has %g, only %g is supported there", i, have, want);
    }
    return SLM_OK;
}

static slm_status adjust_gemma3n(struct hf *h, slm_err *err) {
    bool windowed[N_LAYER_MAX];
    double n_copy = 4, active = 0;
    slm_status st;
    TRY(hf_object_number(h, h->config, "altup_num_inputs", &n_copy, err));
    TRY(hf_object_number(h, h->config, "altup_active_idx", &active, err));
    if (!(n_copy >= 2 && n_copy <= 16) || active != 0) return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "%g copies of the stream, %g first, are not supported", n_copy, active);
    h->n_stack = (uint32_t)n_copy - 1;
    TRY(check_sparsity(h, err));
    TRY(read_windows(h, 5, false, windowed, err));
    TRY(hf_put_layers(h, "attention.sliding_window_pattern", GGUF_BOOL, windowed, err));
    TRY(put_widths(h, 16384, 0, err));
    if (!json_object_get(h->config, "final_logit_softcapping")) TRY(hf_put_number(h, "final_logit_softcapping", HP_F32, 30, err));
out:
    return st;
}

/* Full layers may have KV heads of their own number. */
static slm_status put_kv_heads(struct hf *h, const bool *windowed, slm_err *err) {
    int32_t n_head_kv[N_LAYER_MAX];
    double full = h->n_head_kv;
    if (json_is_true(hf_config_get(h, "attention_k_eq_v"))) {
        slm_status st = hf_object_number(h, h->config, "num_global_key_value_heads", &full, err);
        if (st != SLM_OK) return st;
    }
    if (!(full >= 1 && full <= 1024)) return hf_config_fail(h, err, SLM_E_FORMAT, "key \"num_global_key_value_heads\": %g is out of range", full);
    if (full == h->n_head_kv) return SLM_OK;
    for (uint32_t i = 0; i < h->n_layer; i++) n_head_kv[i] = windowed[i] ? (int32_t)h->n_head_kv : (int32_t)full;
    return hf_put_layers(h, "attention.head_count_kv", GGUF_I32, n_head_kv, err);
}

static slm_status adjust_gemma4(struct hf *h, slm_err *err) {
    bool windowed[N_LAYER_MAX];
    double d_ple = json_object_get(h->config, "hidden_size_per_layer_input") ? 0 : 256, n_shared = 0, d_local = 256, fraction = 1;
    const json_t *rope = hf_config_get(h, "rope_parameters");
    slm_status st;
    TRY(hf_object_number(h, h->config, "hidden_size_per_layer_input", &d_ple, err));
    TRY(hf_object_number(h, h->config, "num_kv_shared_layers", &n_shared, err));
    TRY(hf_object_number(h, h->config, "head_dim", &d_local, err));
    TRY(hf_object_number(h, json_object_get(rope, "sliding_attention"), "partial_rotary_factor", &fraction, err));
    if (!json_is_object(json_object_get(rope, "full_attention"))) return hf_config_fail(h, err, SLM_E_FORMAT, "key \"rope_parameters\" has no \"full_attention\"");
    if (!(d_ple >= 0 && d_ple <= 65536) || !(d_local >= 2 && d_local <= 65536) || !(fraction > 0 && fraction <= 1) || !(n_shared >= 0 && n_shared < h->n_layer))
        return hf_config_fail(h, err, SLM_E_FORMAT, "heads of %g, %g shared layers or embeddings of %g in layers are out of range", d_local, n_shared, d_ple);
    TRY(hf_put_number(h, "embedding_length_per_layer_input", HP_U32, d_ple, err));
    TRY(hf_put_number(h, "attention.value_length_swa", HP_U32, d_local, err));
    TRY(hf_put_number(h, "rope.dimension_count_swa", HP_U32, floor(d_local * fraction), err));
    TRY(read_windows(h, 6, true, windowed, err));
    TRY(hf_put_layers(h, "attention.sliding_window_pattern", GGUF_BOOL, windowed, err));
    TRY(put_kv_heads(h, windowed, err));
    TRY(put_widths(h, 9216, json_is_true(hf_config_get(h, "use_double_wide_mlp")) ? (uint32_t)n_shared : 0, err));
out:
    return st;
}

#define QWEN35 .arch = "qwen35", .rope_base = 10000, .rot_fraction = 0.25, .rope_keys = "mrope_section|mrope_interleaved", .unused = unused_qwen35, \
               .adjust = adjust_qwen35, ROWS(keys_qwen35, rules_qwen35, tensors_qwen35)
#define GEMMA3N .arch = "gemma3n", .rope_base = 1e6, .rot_fraction = 1, .tied = true, .adjust = adjust_gemma3n, ROWS(keys_gemma3n, rules_gemma3n, tensors_gemma3n)
#define GEMMA4 .arch = "gemma4", .rope_base = 1e6, .rot_fraction = 1, .tied = true, .adjust = adjust_gemma4, ROWS(keys_gemma4, rules_gemma4, tensors_gemma4)
const struct hf_family hf_hybrids[] = {
    {.class_name = "Qwen3_5ForCausalLM", QWEN35},
    {.class_name = "Qwen3_5ForConditionalGeneration", .nested = true, QWEN35},
    {.class_name = "Gemma3nForCausalLM", GEMMA3N},
    {.class_name = "Gemma3nForConditionalGeneration", .nested = true, GEMMA3N},
    {.class_name = "Gemma4ForCausalLM", GEMMA4},
    {.class_name = "Gemma4ForConditionalGeneration", .nested = true, GEMMA4},
};
const size_t hf_n_hybrids = N_OF(hf_hybrids);
