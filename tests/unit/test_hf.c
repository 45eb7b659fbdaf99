/* Configurations of published models give the hyper-parameters that their authors state; what a configuration may not ask for is
 * refused by key. hf_configs.json holds, for each model, the numbers of its config.json (long tables of rope factors are stand-ins) and
 * what must come of them. */
#include "test.h"

#include <math.h>

#include "model/hf/hf_int.h"
#include "model/model_int.h"

#define FIELD_U32(name) {#name, offsetof(struct hparams, name), HP_U32}
#define FIELD_F32(name) {#name, offsetof(struct hparams, name), HP_F32}
static const struct { const char *name; size_t offset; enum hparam_type type; } fields[] = {
    FIELD_U32(n_layer), FIELD_U32(d_model), FIELD_U32(d_ff), FIELD_U32(n_head), FIELD_U32(n_head_kv), FIELD_U32(d_head), FIELD_U32(n_rot),
    FIELD_U32(n_ctx_train), FIELD_U32(n_ctx_orig), FIELD_U32(window), FIELD_U32(window_period), FIELD_U32(nope_period), FIELD_U32(temp_len),
    FIELD_F32(norm_eps), FIELD_F32(rope_base), FIELD_F32(rope_scale), FIELD_F32(rope_base_local), FIELD_F32(rope_mscale), FIELD_F32(yarn_factor),
    FIELD_F32(yarn_log_mul), FIELD_F32(attn_scale), FIELD_F32(attn_softcap), FIELD_F32(temp_scale), FIELD_F32(embd_scale), FIELD_F32(residual_scale),
    FIELD_F32(logit_scale), FIELD_F32(final_softcap), FIELD_U32(pooling), FIELD_U32(n_type), FIELD_U32(yarn_truncate), FIELD_U32(n_expert),
    FIELD_U32(n_expert_used), FIELD_U32(d_ff_expert), FIELD_U32(n_layer_dense), FIELD_U32(moe_norm), FIELD_U32(moe_gating), FIELD_U32(conv_kernel),
    FIELD_U32(n_layer_shared), FIELD_U32(d_ple), FIELD_U32(n_altup), FIELD_U32(n_layer_sparse), FIELD_U32(d_head_local), FIELD_U32(n_rot_local),
    FIELD_U32(attention_period), FIELD_U32(n_head_k), FIELD_U32(n_head_v), FIELD_U32(d_state), FIELD_U32(d_inner), FIELD_U32(n_layer_draft),
};

static slm_err err;

/* Keys and computed tensors from a configuration alone; an embedding matrix without bytes stands for the weights. */
static slm_status read_config(const char *json, struct hf **h) {
    uint64_t shape[2];
    err_clear(&err);
    assert_int_equal(hf_create("models/test", h, &err), SLM_OK);
    slm_status st = hf_config_parse(*h, json, strlen(json), &err);
    if (st == SLM_OK) st = hf_config_choose(*h, &err);
    if (st == SLM_OK) st = hf_put_keys(*h, &err);
    if (st != SLM_OK) return st;
    json_t *n_vocab = json_object_get((*h)->config, "vocab_size");
    shape[0] = json_is_integer(n_vocab) ? (uint64_t)json_integer_value(n_vocab) : 100;
    shape[1] = (*h)->d_model;
    st = gguf_add_tensor((*h)->w, "token_embd.weight", DTYPE_BF16, 2, shape, &err);
    shape[0] = 64;
    if (st == SLM_OK && strcmp((*h)->arch->name, "gemma3n") == 0) st = gguf_add_tensor((*h)->w, "blk.0.laurel_l.weight", DTYPE_BF16, 2, shape, &err);
    return st;
}

static slm_status read_hparams(struct hf *h, struct slm_model *m) {
    static const struct view pieces[3] = {{"<unk>", 5}, {"<s>", 3}, {"a", 1}};
    static const float scores[3] = {0};
    const void *data[8] = {NULL};
    struct tok_config c;
    tok_config_init(&c);
    c.family = "llama";
    c.n_vocab = 3;
    c.pieces = pieces;
    c.scores = scores;
    *m = (struct slm_model){.arch = h->arch};
    arena_init(&m->arena, 1 << 20);
    if (tok_create(&c, &m->tok, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_in_range(h->n_output, 0, 7);
    for (size_t i = 0; i < h->n_output; i++) data[i] = h->outputs[i].values;
    assert_int_equal(gguf_view(h->w, "test", data, NULL, NULL, &m->gguf, &err), SLM_OK);
    return hparams_read(m, &err);
}

static void check_number(const char *model, const char *what, double have, double want) {
    if (fabs(have - want) > 1e-6 * fabs(want) + 1e-12) fail_msg("%s: %s is %.9g, should be %.9g", model, what, have, want);
}

static void check_tensor(const char *model, const struct gguf *g, const json_t *expect) {
    const char *name = json_string_value(json_object_get(expect, "tensor"));
    if (!name) return;
    const struct gguf_tensor *t = gguf_find_tensor(g, name);
    if (!t) fail_msg("%s: no tensor \"%s\"", model, name);
    const float *v = (const float *)(const void *)t->data;
    check_number(model, "its first factor", (double)v[0], json_number_value(json_object_get(expect, "first")));
    check_number(model, "its last factor", (double)v[t->n_elem - 1], json_number_value(json_object_get(expect, "last")));
}

static void check_model(const char *name, const json_t *config, json_t *expect) {
    char *json = json_dumps(config, 0);
    struct hf *h;
    struct slm_model m;
    const char *key;
    json_t *value;
    if (read_config(json, &h) != SLM_OK) fail_msg("%s: %s", name, err.msg);
    if (read_hparams(h, &m) != SLM_OK) fail_msg("%s: %s", name, err.msg);
    assert_string_equal(h->arch->name, json_string_value(json_object_get(expect, "arch")));
    json_object_foreach(expect, key, value) {
        if (!json_is_number(value) || strcmp(key, "first") == 0 || strcmp(key, "last") == 0) continue;
        size_t i = 0;
        while (i < sizeof fields / sizeof fields[0] && strcmp(fields[i].name, key) != 0) i++;
        assert_true(i < sizeof fields / sizeof fields[0]);
        const void *field = (const char *)&m.hp + fields[i].offset;
        check_number(name, key, fields[i].type == HP_U32 ? *(const uint32_t *)field : (double)*(const float *)field, json_number_value(value));
    }
    check_tensor(name, m.gguf, expect);
    tok_destroy(m.tok);
    arena_fini(&m.arena);
    gguf_close(m.gguf);
    hf_close(h);
    free(json);
}

static void test_published(void **state) {
    json_error_t fault;
    json_t *list = json_load_file(test_data("unit/hf_configs.json"), 0, &fault);
    (void)state;
    if (!list) fail_msg("%s", fault.text);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i);
        check_model(json_string_value(json_object_get(row, "name")), json_object_get(row, "config"), json_object_get(row, "expect"));
    }
    printf("%zu published configurations\n", json_array_size(list));
    json_decref(list);
}

#define SIZES "\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":4,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":100,\"rms_norm_eps\":1e-5"
#define CONFIG(class_name, type, more) "{\"architectures\":[\"" class_name "\"],\"model_type\":\"" type "\"," SIZES more "}"
#define LLAMA(more) CONFIG("LlamaForCausalLM", "llama", more)
#define QWEN3(more) CONFIG("Qwen3ForCausalLM", "qwen3", more)

static const struct { const char *json; slm_status want; const char *says; } refusals[] = {
    {LLAMA(""), SLM_OK, ""},
    {LLAMA(",\"my_own_note\":\"x\",\"unsloth_version\":\"2025.1\",\"_private_scale\":7,\"rope_interleaved\":false"), SLM_OK, ""},
    {"", SLM_E_FORMAT, "no JSON"},
    {"{\"a\":1,\"a\":2}", SLM_E_FORMAT, "duplicate"},
    {"[]", SLM_E_FORMAT, "no JSON object"},
    {"{}", SLM_E_FORMAT, "\"architectures\" names no class"},
    {"{\"architectures\":[]}", SLM_E_FORMAT, "\"architectures\" names no class"},
    {"{\"architectures\":\"LlamaForCausalLM\"}", SLM_E_FORMAT, "\"architectures\" names no class"},
    {CONFIG("LlamaForCausalML", "llama", ""), SLM_E_UNSUPPORTED, "class \"LlamaForCausalML\" is not supported"},
    {CONFIG("Qwen3NextForCausalLM", "qwen3_next", ""), SLM_E_UNSUPPORTED, "class \"Qwen3NextForCausalLM\" is not supported"},
    {CONFIG("a\\u001b[2J", "llama", ""), SLM_E_UNSUPPORTED, "class \"a\\x1b[2J\" is not supported"},
    {CONFIG("Mistral3ForConditionalGeneration", "mistral4", ""), SLM_E_UNSUPPORTED, "with model_type \"mistral4\" is not supported"},
    {LLAMA(",\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4}"), SLM_E_UNSUPPORTED, "the weights are quantized (\"quantization_config\", method \"gptq\")"},
    {LLAMA(",\"text_config\":{\"hidden_size\":1,\"model_type\":\"llama\"}"), SLM_E_UNSUPPORTED, "key \"text_config\" is not supported"},
    {LLAMA(",\"hidden_act\":\"gelu\""), SLM_E_UNSUPPORTED, "key \"hidden_act\" = gelu is not supported"},
    {LLAMA(",\"rope_interleaved\":true"), SLM_E_UNSUPPORTED, "key \"rope_interleaved\" = true is unknown for class"},
    {LLAMA(",\"attn_logit_scale\":0.5"), SLM_E_UNSUPPORTED, "key \"attn_logit_scale\" = 0.5 is unknown for class"},
    {LLAMA(",\"num_experts\":8"), SLM_E_UNSUPPORTED, "key \"num_experts\" = 8 is unknown for class"},
    {LLAMA(",\"partial_rotary_factor\":0.5"), SLM_E_UNSUPPORTED, "key \"partial_rotary_factor\" = 0.5"},
    {LLAMA(",\"head_dim\":\"64\""), SLM_E_FORMAT, "key \"head_dim\" is no number"},
    {LLAMA(",\"head_dim\":6.5"), SLM_E_FORMAT, "key \"head_dim\": 6.5 is no whole number"},
    {LLAMA(",\"head_dim\":-64"), SLM_E_FORMAT, "key \"head_dim\": -64 is no whole number"},
    {LLAMA(",\"max_position_embeddings\":1e99"), SLM_E_FORMAT, "out of range"},
    {"{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":64}", SLM_E_FORMAT, "key \"num_hidden_layers\" is missing"},
    {LLAMA(",\"rope_theta\":0"), SLM_E_FORMAT, "key \"rope_theta\": 0 is out of range"},
    {LLAMA(",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2.0}"), SLM_E_UNSUPPORTED, "rope type \"dynamic\" is not supported"},
    {LLAMA(",\"rope_scaling\":{\"type\":\"linear\"}"), SLM_E_FORMAT, "rope type \"linear\" needs a number \"factor\""},
    {LLAMA(",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0.5}"), SLM_E_FORMAT, "\"factor\" of at least 1"},
    {LLAMA(",\"rope_scaling\":{\"rope_type\":\"default\",\"mrope_section\":[1,2]}"), SLM_E_UNSUPPORTED, "rope key \"mrope_section\" is not supported"},
    {LLAMA(",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0}"), SLM_E_FORMAT, "needs a number \"low_freq_factor\""},
    {LLAMA(",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4,\"original_max_position_embeddings\":64}"),
     SLM_E_FORMAT, "is not below"},
    {LLAMA(",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0,\"truncate\":false}"), SLM_OK, ""},
    {LLAMA(",\"rope_scaling\":{\"rope_type\":\"longrope\",\"original_max_position_embeddings\":64,\"long_factor\":[1],\"short_factor\":[1]}"), SLM_E_UNSUPPORTED,
     "rope type \"longrope\" is not supported for class"},
    {CONFIG("Phi3ForCausalLM", "phi3", ",\"rope_scaling\":{\"rope_type\":\"longrope\",\"long_factor\":[1],\"short_factor\":[1]}"), SLM_E_FORMAT, "\"original_max_position_embeddings\" is missing"},
    {CONFIG("Phi3ForCausalLM", "phi3", ",\"original_max_position_embeddings\":64,\"rope_scaling\":{\"rope_type\":\"longrope\",\"long_factor\":[1],\"short_factor\":[1]}"),
     SLM_E_FORMAT, "\"long_factor\" has 1 numbers, 8 pairs turn"},
    {QWEN3(",\"attention_bias\":true"), SLM_E_UNSUPPORTED, "key \"attention_bias\" = true is not supported"},
    {QWEN3(",\"use_sliding_window\":true,\"sliding_window\":16"), SLM_E_UNSUPPORTED, "key \"use_sliding_window\" = true is not supported"},
    {QWEN3(",\"layer_types\":[\"full_attention\",\"sliding_attention\",\"full_attention\",\"full_attention\"]"), SLM_E_UNSUPPORTED, "layer 1 is \"sliding_attention\""},
    {QWEN3(",\"layer_types\":[\"full_attention\"]"), SLM_E_FORMAT, "has 1 entries for 4 layers"},
    {CONFIG("SmolLM3ForCausalLM", "smollm3", ",\"no_rope_layers\":[1,1,1,1]"), SLM_E_UNSUPPORTED, "key \"no_rope_layers\""},
    {CONFIG("GraniteMoeHybridForCausalLM", "granitemoehybrid", ",\"shared_intermediate_size\":96,\"position_embedding_type\":\"rope\",\"layer_types\":[\"mamba\",\"mamba\",\"mamba\",\"mamba\"]"),
     SLM_E_UNSUPPORTED, "layer 0 is \"mamba\""},
    {CONFIG("GraniteMoeHybridForCausalLM", "granitemoehybrid", ",\"shared_intermediate_size\":96,\"position_embedding_type\":\"nope\""), SLM_E_UNSUPPORTED, "\"position_embedding_type\" = nope"},
    {CONFIG("GraniteMoeHybridForCausalLM", "granitemoehybrid", ",\"shared_intermediate_size\":96,\"num_local_experts\":62"), SLM_E_UNSUPPORTED, "\"num_local_experts\" = 62"},
    {CONFIG("Gemma2ForCausalLM", "gemma2", ",\"head_dim\":16,\"query_pre_attn_scalar\":224"), SLM_E_UNSUPPORTED, "key \"query_pre_attn_scalar\" = 224"},
    {CONFIG("Gemma3ForCausalLM", "gemma3_text", ",\"head_dim\":256,\"sliding_window_pattern\":5"), SLM_E_UNSUPPORTED, "key \"sliding_window_pattern\" = 5"},
    {"{\"architectures\":[\"PhiForCausalLM\"],\"qk_layernorm\":true}", SLM_E_UNSUPPORTED, "key \"qk_layernorm\" = true"},
    {CONFIG("PhiForCausalLM", "phi", ""), SLM_E_UNSUPPORTED, "key \"rms_norm_eps\" = 1e-05 is unknown for class"},
    {CONFIG("Olmo2ForCausalLM", "olmo2", ",\"clip_qkv\":8.0"), SLM_E_UNSUPPORTED, "key \"clip_qkv\" = 8"},
};

static void test_refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct hf *h;
        slm_status st = read_config(refusals[i].json, &h);
        if (st != refusals[i].want || !strstr(err.msg, refusals[i].says)) fail_msg("%s: status %d: %s", refusals[i].json, st, err.msg);
        if (st != SLM_OK) {
            assert_non_null(strstr(err.msg, "models/test/config.json"));
            for (const char *p = err.msg; *p; p++) assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
        }
        hf_close(h);
    }
    struct hf *h;
    assert_int_equal(read_config(CONFIG("LlamaForCausalML", "llama", ""), &h), SLM_E_UNSUPPORTED);
    assert_string_equal(err.hint, "the nearest supported class is \"LlamaForCausalLM\"");
    hf_close(h);
}

/* Gemma 2: a cap that is null is off, one that is absent is the class's default. */
static void test_gemma2_caps(void **state) {
    struct hf *h;
    struct slm_model m;
    (void)state;
    for (int is_null = 0; is_null < 2; is_null++) {
        const char *json = is_null ? CONFIG("Gemma2ForCausalLM", "gemma2", ",\"head_dim\":256,\"attn_logit_softcapping\":null")
                                   : CONFIG("Gemma2ForCausalLM", "gemma2", ",\"head_dim\":256");
        if (read_config(json, &h) != SLM_OK || read_hparams(h, &m) != SLM_OK) fail_msg("%s", err.msg);
        check_number("gemma2", "attn_softcap", (double)m.hp.attn_softcap, is_null ? 0 : 50);
        check_number("gemma2", "final_softcap", (double)m.hp.final_softcap, 30);
        tok_destroy(m.tok);
        arena_fini(&m.arena);
        gguf_close(m.gguf);
        hf_close(h);
    }
}

/* Every table can be walked: names are there, rows name architectures that exist, keys do not repeat. */
static void test_tables(void **state) {
    const struct hf_family *f, *other;
    (void)state;
    for (size_t i = 0; (f = hf_family_at(i)); i++) {
        assert_non_null(arch_find(f->arch));
        assert_true(f->n_keys > 0 && f->n_rules > 0 && f->n_tensors > 0);
        for (size_t k = 0; k < f->n_keys; k++)
            for (size_t j = 0; j < k; j++) assert_string_not_equal(f->keys[k].hf, f->keys[j].hf);
        for (size_t k = 0; k < f->n_tensors; k++) {
            assert_non_null(f->tensors[k].hf[0]);
            assert_int_equal(strstr(f->tensors[k].gguf, "%u") != NULL, strstr(f->tensors[k].hf[0], "%u") != NULL);
            for (size_t j = 0; j < k; j++) /* two ways to one tensor are both optional */
                if (strcmp(f->tensors[k].gguf, f->tensors[j].gguf) == 0) assert_true(f->tensors[k].flags & f->tensors[j].flags & HF_OPTIONAL);
        }
        for (size_t j = 0; j < i; j++) {
            other = hf_family_at(j);
            if (strcmp(f->class_name, other->class_name) == 0)
                assert_true(f->model_type && other->model_type && strcmp(f->model_type, other->model_type) != 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_refusals), cmocka_unit_test(test_gemma2_caps), cmocka_unit_test(test_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
