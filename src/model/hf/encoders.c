/* encoders.c -- table: classes that make embeddings or a reranker's scores. A class that also has a head for masked words
 * runs without it. Golden: tests/e2e/convert.sh. */
#include <stdlib.h>
#include <string.h>

#include "model/hf/hf_int.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))
#define ROWS(k, r, t) .keys = (k), .n_keys = N_OF(k), .rules = (r), .n_rules = N_OF(r), .tensors = (t), .n_tensors = N_OF(t)

/* Keys */

#define KEYS_BERT(n_ctx)                                                                  \
    {"num_hidden_layers",       "block_count",                  HP_U32, 0, 12},           \
    {"hidden_size",             "embedding_length",             HP_U32, 0, 768},          \
    {"intermediate_size",       "feed_forward_length",          HP_U32, 0, 3072},         \
    {"num_attention_heads",     "attention.head_count",         HP_U32, 0, 12},           \
    {"max_position_embeddings", "context_length",               HP_U32, 0, n_ctx},        \
    {"layer_norm_eps",          "attention.layer_norm_epsilon", HP_F32, 0, 1e-12}
static const struct hf_key keys_bert[] = {KEYS_BERT(512)};
static const struct hf_key keys_nomic[] = {
    {"n_layer",                           "block_count",                  HP_U32, HF_REQUIRED, 0},
    {"n_embd",                            "embedding_length",             HP_U32, HF_REQUIRED, 0},
    {"n_inner",                           "feed_forward_length",          HP_U32, HF_REQUIRED, 0},
    {"n_head",                            "attention.head_count",         HP_U32, HF_REQUIRED, 0},
    {"max_trained_positions|n_positions", "context_length",               HP_U32, 0, 2048},
    {"layer_norm_epsilon",                "attention.layer_norm_epsilon", HP_F32, 0, 1e-12},
};
static const struct hf_key keys_modern[] = {
    {"num_hidden_layers",       "block_count",                  HP_U32, 0, 22},
    {"hidden_size",             "embedding_length",             HP_U32, 0, 768},
    {"intermediate_size",       "feed_forward_length",          HP_U32, 0, 1152},
    {"num_attention_heads",     "attention.head_count",         HP_U32, 0, 12},
    {"max_position_embeddings", "context_length",               HP_U32, 0, 8192},
    {"norm_eps|layer_norm_eps", "attention.layer_norm_epsilon", HP_F32, 0, 1e-5},
    {"local_attention",         "attention.sliding_window",     HP_U32, 0, 128},
};
static const struct hf_key keys_gemma_embedding[] = {
    {"num_hidden_layers",       "block_count",                      HP_U32, 0, 26},
    {"hidden_size",             "embedding_length",                 HP_U32, 0, 2304},
    {"intermediate_size",       "feed_forward_length",              HP_U32, 0, 9216},
    {"num_attention_heads",     "attention.head_count",             HP_U32, 0, 8},
    {"num_key_value_heads",     "attention.head_count_kv",          HP_U32, 0, 4},
    {"head_dim",                "attention.key_length",             HP_U32, 0, 256},
    {"max_position_embeddings", "context_length",                   HP_U32, 0, 131072},
    {"rms_norm_eps",            "attention.layer_norm_rms_epsilon", HP_F32, 0, 1e-6},
    {"sliding_window",          "attention.sliding_window",         HP_U32, HF_REQUIRED, 0},
    {"query_pre_attn_scalar",   NULL,                               HP_F32, 0, 256},
    {"rope_local_base_freq",    NULL,                               HP_F32, 0, 10000},
};

/* Rules */

static const struct hf_rule rules_bert[] = {
    {"hidden_act", "gelu"}, {"position_embedding_type", "absolute|null"}, {"type_vocab_size", NULL}, {"classifier_dropout", NULL}, {"gradient_checkpointing", NULL},
    {"pooler_fc_size", NULL}, {"pooler_num_attention_heads", NULL}, {"pooler_num_fc_layers", NULL}, {"pooler_size_per_head", NULL}, {"pooler_type", NULL},
};
static const struct hf_rule rules_nomic[] = {
    {"activation_function", "swiglu"}, {"causal", "false|null"}, {"qkv_proj_bias", "false"}, {"mlp_fc1_bias", "false"}, {"mlp_fc2_bias", "false"},
    {"prenorm", "false"}, {"use_rms_norm", "false|null"}, {"rotary_emb_fraction", "1"}, {"rotary_emb_interleaved", "false|null"},
    {"rotary_emb_scale_base", "null"}, {"rotary_scaling_factor", "null"}, {"rotary_emb_base", NULL}, {"scale_attn_by_inverse_layer_idx", "false|null"},
    {"scale_attn_weights", "true|null"}, {"reorder_and_upcast_attn", NULL}, {"parallel_block", "false|null"}, {"parallel_block_tied_norm", NULL},
    {"n_positions", NULL}, {"type_vocab_size", NULL}, {"layer_norm_eps", NULL}, {"pad_vocab_size_multiple", NULL}, {"use_flash_attn", NULL},
    {"use_xentropy", NULL}, {"fused_bias_fc", NULL}, {"fused_dropout_add_ln", NULL}, {"dense_seq_output", NULL}, {"last_layer_subset", "false|null"},
    {"summary_activation", NULL}, {"summary_first_dropout", NULL}, {"summary_proj_to_labels", NULL}, {"summary_type", NULL}, {"summary_use_proj", NULL},
};
static const struct hf_rule rules_modern[] = {
    {"hidden_activation", "gelu"}, {"global_attn_every_n_layers", "3"}, {"norm_bias", "false|null"}, {"attention_bias", "false|null"},
    {"mlp_bias", "false|null"}, {"position_embedding_type", "absolute|null"}, {"global_rope_theta", NULL}, {"local_rope_theta", NULL}, {"layer_norm_eps", NULL},
    {"decoder_bias", NULL}, {"classifier_bias", NULL}, {"classifier_dropout", NULL}, {"classifier_pooling", NULL}, {"classifier_activation", "gelu|null"},
    {"embedding_dropout", NULL}, {"mlp_dropout", NULL}, {"deterministic_flash_attn", NULL}, {"gradient_checkpointing", NULL}, {"sparse_prediction", NULL},
    {"sparse_pred_ignore_index", NULL}, {"repad_logits_with_grad", NULL}, {"layer_types", NULL},
};
static const struct hf_rule rules_gemma_embedding[] = {
    {"hidden_activation", "gelu_pytorch_tanh|null"}, {"hidden_act", "gelu_pytorch_tanh|null"}, {"attention_bias", "false|null"},
    {"use_bidirectional_attention", "true"}, {"attn_logit_softcapping", "null"}, {"final_logit_softcapping", "null"}, {"layer_types", NULL},
    {"sliding_window_pattern", "6|null"}, {"_sliding_window_pattern", "6|null"},
};

/* Tensors */

#define TENSORS_BERT(positions)                                                                        \
    {"token_embd",               {"*embeddings.word_embeddings"}, HF_COPY, 0},                         \
    {"position_embd",            {"*embeddings.position_embeddings"}, positions, HF_F32},              \
    {"token_types",              {"*embeddings.token_type_embeddings"}, HF_COPY, HF_F32},              \
    {"token_embd_norm",          {"*embeddings.LayerNorm"}, HF_COPY, 0},                               \
    {"blk.%u.attn_q",            {"*encoder.layer.%u.attention.self.query"}, HF_COPY, 0},              \
    {"blk.%u.attn_k",            {"*encoder.layer.%u.attention.self.key"}, HF_COPY, 0},                \
    {"blk.%u.attn_v",            {"*encoder.layer.%u.attention.self.value"}, HF_COPY, 0},              \
    {"blk.%u.attn_output",       {"*encoder.layer.%u.attention.output.dense"}, HF_COPY, 0},            \
    {"blk.%u.attn_output_norm",  {"*encoder.layer.%u.attention.output.LayerNorm"}, HF_COPY, 0},        \
    {"blk.%u.ffn_up",            {"*encoder.layer.%u.intermediate.dense"}, HF_COPY, 0},                \
    {"blk.%u.ffn_down",          {"*encoder.layer.%u.output.dense"}, HF_COPY, 0},                      \
    {"blk.%u.layer_output_norm", {"*encoder.layer.%u.output.LayerNorm"}, HF_COPY, 0}
static const struct hf_tensor tensors_bert[] = {TENSORS_BERT(HF_COPY)};
static const struct hf_tensor tensors_bert_rank[] = {
    TENSORS_BERT(HF_COPY), {"cls", {"*pooler.dense"}, HF_COPY, 0}, {"cls.output", {"classifier"}, HF_COPY, 0},
};
static const struct hf_tensor tensors_roberta[] = {TENSORS_BERT(HF_PAST_PAD)};
static const struct hf_tensor tensors_roberta_rank[] = {
    TENSORS_BERT(HF_PAST_PAD), {"cls", {"classifier.dense"}, HF_COPY, 0}, {"cls.output", {"classifier.out_proj"}, HF_COPY, 0},
};
static const struct hf_tensor tensors_nomic[] = {
    {"token_embd",               {"*embeddings.word_embeddings"}, HF_COPY, 0},
    {"token_types",              {"*embeddings.token_type_embeddings"}, HF_COPY, HF_F32 | HF_OPTIONAL},
    {"token_embd_norm",          {"*emb_ln"}, HF_COPY, 0},
    {"blk.%u.attn_qkv",          {"*encoder.layers.%u.attn.Wqkv"}, HF_COPY, 0},
    {"blk.%u.attn_output",       {"*encoder.layers.%u.attn.out_proj"}, HF_COPY, 0},
    {"blk.%u.attn_output_norm",  {"*encoder.layers.%u.norm1"}, HF_COPY, 0},
    {"blk.%u.ffn_up",            {"*encoder.layers.%u.mlp.fc11"}, HF_COPY, 0},
    {"blk.%u.ffn_gate",          {"*encoder.layers.%u.mlp.fc12"}, HF_COPY, 0},
    {"blk.%u.ffn_down",          {"*encoder.layers.%u.mlp.fc2"}, HF_COPY, 0},
    {"blk.%u.layer_output_norm", {"*encoder.layers.%u.norm2"}, HF_COPY, 0},
};
#define TENSORS_MODERN                                                                                          \
    {"token_embd",         {"*embeddings.tok_embeddings"}, HF_COPY, 0},                                         \
    {"token_embd_norm",    {"*embeddings.norm"}, HF_COPY, 0},                                                   \
    {"output_norm",        {"*final_norm"}, HF_COPY, 0},                                                        \
    {"blk.%u.attn_norm",   {"*layers.%u.attn_norm"}, HF_COPY, HF_OPTIONAL}, /* the first layer has none */       \
    {"blk.%u.attn_qkv",    {"*layers.%u.attn.Wqkv"}, HF_COPY, 0},                                               \
    {"blk.%u.attn_output", {"*layers.%u.attn.Wo"}, HF_COPY, 0},                                                 \
    {"blk.%u.ffn_norm",    {"*layers.%u.mlp_norm"}, HF_COPY, 0},                                                \
    {"blk.%u.ffn_up",      {"*layers.%u.mlp.Wi"}, HF_COPY, 0},                                                  \
    {"blk.%u.ffn_down",    {"*layers.%u.mlp.Wo"}, HF_COPY, 0}
static const struct hf_tensor tensors_modern[] = {TENSORS_MODERN};
static const struct hf_tensor tensors_modern_rank[] = {
    TENSORS_MODERN, {"cls", {"head.dense"}, HF_COPY, 0}, {"cls.norm", {"head.norm"}, HF_COPY, 0}, {"cls.output", {"classifier"}, HF_COPY, 0},
};
static const struct hf_tensor tensors_gemma_embedding[] = {
    {"token_embd",                 {"*embed_tokens"}, HF_COPY, 0},
    {"output_norm",                {"*norm"}, HF_PLUS_ONE, 0},
    {"blk.%u.attn_norm",           {"*layers.%u.input_layernorm"}, HF_PLUS_ONE, 0},
    {"blk.%u.post_attention_norm", {"*layers.%u.post_attention_layernorm"}, HF_PLUS_ONE, 0},
    {"blk.%u.ffn_norm",            {"*layers.%u.pre_feedforward_layernorm"}, HF_PLUS_ONE, 0},
    {"blk.%u.post_ffw_norm",       {"*layers.%u.post_feedforward_layernorm"}, HF_PLUS_ONE, 0},
    {"blk.%u.attn_q",              {"*layers.%u.self_attn.q_proj"}, HF_COPY, 0},
    {"blk.%u.attn_k",              {"*layers.%u.self_attn.k_proj"}, HF_COPY, 0},
    {"blk.%u.attn_v",              {"*layers.%u.self_attn.v_proj"}, HF_COPY, 0},
    {"blk.%u.attn_output",         {"*layers.%u.self_attn.o_proj"}, HF_COPY, 0},
    {"blk.%u.attn_q_norm",         {"*layers.%u.self_attn.q_norm"}, HF_PLUS_ONE, 0},
    {"blk.%u.attn_k_norm",         {"*layers.%u.self_attn.k_norm"}, HF_PLUS_ONE, 0},
    {"blk.%u.ffn_gate",            {"*layers.%u.mlp.gate_proj"}, HF_COPY, 0},
    {"blk.%u.ffn_up",              {"*layers.%u.mlp.up_proj"}, HF_COPY, 0},
    {"blk.%u.ffn_down",            {"*layers.%u.mlp.down_proj"}, HF_COPY, 0},
};

/* Heads for masked words, and the pooler that sentence embeddings leave out. */
static const char *const unused_bert[] = {"pooler.*", "bert.pooler.*", "roberta.pooler.*", "cls.*", "lm_head.*", NULL};
static const char *const unused_modern[] = {"head.*", "decoder.*", NULL};

/* What rows cannot say */

static slm_status put_types(struct hf *h, double fallback, slm_err *err) {
    double n = fallback;
    slm_status st = hf_object_number(h, h->config, "type_vocab_size", &n, err);
    if (st != SLM_OK) return st;
    if (!(n >= 1) || n > 1024) return hf_config_fail(h, err, SLM_E_FORMAT, "key \"type_vocab_size\": %g is out of range", n);
    return gguf_put_u32(h->w, "tokenizer.ggml.token_type_count", (uint32_t)n, err);
}

static slm_status adjust_encoder(struct hf *h, slm_err *err) {
    slm_status st = hf_put_flag(h, "attention.causal", false, err);
    return st == SLM_OK ? put_types(h, 2, err) : st;
}

/* Positions are counted from behind the padding token. */
static slm_status adjust_roberta(struct hf *h, slm_err *err) {
    double n_ctx = 514, pad = 1;
    slm_status st = adjust_encoder(h, err);
    if (st == SLM_OK) st = hf_object_number(h, h->config, "max_position_embeddings", &n_ctx, err);
    if (st == SLM_OK) st = hf_object_number(h, h->config, "pad_token_id", &pad, err);
    if (st != SLM_OK) return st;
    if (!(pad >= 0) || !(n_ctx > pad + 1) || n_ctx > 1e9) return hf_config_fail(h, err, SLM_E_FORMAT, "no positions are left behind the padding token");
    return hf_put_number(h, "context_length", HP_U32, n_ctx - pad - 1, err);
}

static slm_status put_labels(struct hf *h, slm_err *err) {
    struct view names[64];
    char key[96], id[16];
    const json_t *labels = hf_config_get(h, "id2label");
    size_t n = json_object_size(labels);
    if (n == 0 || n > sizeof names / sizeof names[0]) return SLM_OK;
    for (size_t i = 0; i < n; i++) {
        snprintf(id, sizeof id, "%zu", i);
        const char *text = json_string_value(json_object_get(labels, id));
        if (!text) return hf_config_fail(h, err, SLM_E_FORMAT, "key \"id2label\" names no label %zu", i);
        names[i] = view_of(text);
    }
    snprintf(key, sizeof key, "%s.classifier.output_labels", h->arch->name);
    return gguf_put_strings(h->w, key, names, n, err);
}

static slm_status put_rank(struct hf *h, slm_err *err) {
    slm_status st = hf_put_number(h, "pooling_type", HP_U32, POOLING_RANK, err);
    return st == SLM_OK ? put_labels(h, err) : st;
}

static slm_status adjust_bert_rank(struct hf *h, slm_err *err) {
    slm_status st = adjust_encoder(h, err);
    return st == SLM_OK ? put_rank(h, err) : st;
}

static slm_status adjust_roberta_rank(struct hf *h, slm_err *err) {
    slm_status st = adjust_roberta(h, err);
    return st == SLM_OK ? put_rank(h, err) : st;
}

/* layer_types, when given, says the same as global_attn_every_n_layers. */
static slm_status check_modern_layers(const struct hf *h, slm_err *err) {
    const json_t *types = hf_config_get(h, "layer_types");
    for (uint32_t i = 0; types && i < h->n_layer; i++) {
        const char *have = json_string_value(json_array_get(types, i)), *want = i % 3 ? "sliding_attention" : "full_attention";
        if (!have || strcmp(have, want) != 0) return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"layer_types\": layer %u must be \"%s\"", i, want);
    }
    return SLM_OK;
}

static slm_status adjust_modern(struct hf *h, slm_err *err) {
    slm_status st = check_modern_layers(h, err);
    return st == SLM_OK ? adjust_encoder(h, err) : st;
}

static slm_status adjust_modern_rank(struct hf *h, slm_err *err) {
    const char *pooling = json_string_value(hf_config_get(h, "classifier_pooling"));
    slm_status st = adjust_modern(h, err);
    if (st == SLM_OK && pooling && strcmp(pooling, "cls") != 0)
        st = hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"classifier_pooling\": only \"cls\" is supported");
    return st == SLM_OK ? put_rank(h, err) : st;
}

static slm_status adjust_gemma_embedding(struct hf *h, slm_err *err) {
    double scalar = 256;
    slm_status st = hf_object_number(h, h->config, "query_pre_attn_scalar", &scalar, err);
    if (st == SLM_OK && scalar != h->d_head)
        st = hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"query_pre_attn_scalar\" = %g is not supported: %u is", scalar, h->d_head);
    if (st == SLM_OK && !json_is_true(hf_config_get(h, "use_bidirectional_attention")))
        st = hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"use_bidirectional_attention\" is not true: the class is supported as EmbeddingGemma only");
    return st == SLM_OK ? hf_put_flag(h, "attention.causal", false, err) : st;
}

#define BERT .arch = "bert", .unused = unused_bert
#define MODERN .arch = "modern-bert", .rope_base = 160000, .rot_fraction = 1
const struct hf_family hf_encoders[] = {
    {.class_name = "BertModel", BERT, .adjust = adjust_encoder, ROWS(keys_bert, rules_bert, tensors_bert)},
    {.class_name = "BertForMaskedLM", BERT, .adjust = adjust_encoder, ROWS(keys_bert, rules_bert, tensors_bert)},
    {.class_name = "BertForSequenceClassification", .arch = "bert", .adjust = adjust_bert_rank, ROWS(keys_bert, rules_bert, tensors_bert_rank)},
    {.class_name = "RobertaModel", BERT, .adjust = adjust_roberta, ROWS(keys_bert, rules_bert, tensors_roberta)},
    {.class_name = "XLMRobertaModel", BERT, .adjust = adjust_roberta, ROWS(keys_bert, rules_bert, tensors_roberta)},
    {.class_name = "RobertaForSequenceClassification", .arch = "bert", .adjust = adjust_roberta_rank, ROWS(keys_bert, rules_bert, tensors_roberta_rank)},
    {.class_name = "XLMRobertaForSequenceClassification", .arch = "bert", .adjust = adjust_roberta_rank, ROWS(keys_bert, rules_bert, tensors_roberta_rank)},
    {.class_name = "NomicBertModel", .arch = "nomic-bert", .rope_base = 1000, .rot_fraction = 1, .adjust = adjust_encoder,
     ROWS(keys_nomic, rules_nomic, tensors_nomic)},
    {.class_name = "ModernBertModel", MODERN, .adjust = adjust_modern, ROWS(keys_modern, rules_modern, tensors_modern)},
    {.class_name = "ModernBertForMaskedLM", MODERN, .unused = unused_modern, .adjust = adjust_modern, ROWS(keys_modern, rules_modern, tensors_modern)},
    {.class_name = "ModernBertForSequenceClassification", MODERN, .adjust = adjust_modern_rank, ROWS(keys_modern, rules_modern, tensors_modern_rank)},
    {.class_name = "Gemma3TextModel", .arch = "gemma-embedding", .rope_base = 1e6, .rot_fraction = 1, .adjust = adjust_gemma_embedding,
     ROWS(keys_gemma_embedding, rules_gemma_embedding, tensors_gemma_embedding)},
};
const size_t hf_n_encoders = N_OF(hf_encoders);
