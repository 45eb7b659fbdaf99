/* config.c -- config.json: which family it is, its values by name, and that nothing in it is overlooked.
 *
 * A key may change the arithmetic; one that no row knows is let pass only when it is off (null, false, 0, empty), private
 * (begins with "_"), or has a name without any of the words of `telling` below. So a new switch of a family is refused until
 * somebody reads it, and a trainer's own notes are not. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/nearest.h"
#include "base/show.h"
#include "model/hf/hf_int.h"

#define CONFIG_BYTES_MAX (16u << 20)

/* Known in every class, and without effect on what a model computes. */
static const struct hf_rule common_rules[] = {
    {"architectures", NULL},         {"model_type", NULL},            {"torch_dtype", NULL},          {"dtype", NULL},
    {"transformers_version", NULL},  {"use_cache", NULL},             {"auto_map", NULL},             {"vocab_size", NULL},
    {"bos_token_id", NULL},          {"eos_token_id", NULL},          {"pad_token_id", NULL},         {"unk_token_id", NULL},
    {"cls_token_id", NULL},          {"sep_token_id", NULL},          {"mask_token_id", NULL},        {"decoder_start_token_id", NULL},
    {"initializer_range", NULL},     {"initializer_cutoff_factor", NULL}, {"attention_dropout", NULL}, {"hidden_dropout", NULL},
    {"resid_pdrop", NULL},           {"embd_pdrop", NULL},            {"attn_pdrop", NULL},           {"hidden_dropout_prob", NULL},
    {"attention_probs_dropout_prob", NULL}, {"tie_word_embeddings", NULL}, {"rope_theta", NULL},      {"rope_scaling", NULL},
    {"rope_parameters", NULL},       {"partial_rotary_factor", NULL}, {"pretraining_tp", NULL},       {"num_logits_to_keep", NULL},
    {"attn_implementation", NULL},   {"cache_implementation", NULL},  {"output_attentions", NULL},    {"output_hidden_states", NULL},
    {"return_dict", NULL},           {"chunk_size_feed_forward", NULL}, {"id2label", NULL},           {"label2id", NULL},
    {"problem_type", NULL},          {"task_specific_params", NULL},  {"max_length", NULL},           {"router_aux_loss_coef", NULL},
    {"output_router_logits", NULL},  {"quantization_config", NULL /* checked before */},
    {"is_decoder", NULL},            {"add_cross_attention", "false"}, {"cross_attention_hidden_size", "null"},
};

/* Words that tell of arithmetic. */
static const char *const telling[] = {
    "rope",   "attn",  "attention", "norm",   "bias",  "scal",   "multipl", "factor", "window", "sliding", "softcap", "clip",  "expert", "moe",
    "router", "head",  "layer",     "mlp",    "gate",  "activ",  "position", "mamba", "ssm",    "conv",    "lora",    "adapter", "quant", "residual",
    "embed",  "alibi", "logit",     "mtp",    "nextn", "hidden", "rotary",  "pool",   "yarn",   "theta",   "sparse",  "prune",
};

slm_status hf_config_fail(const struct hf *h, slm_err *err, slm_status code, const char *fmt, ...) {
    char why[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return err_set(err, code, SLM_NOWHERE, "\"%s\": %s", show_path(h->path_config).s, why);
}

/* Calls nothing, allocates nothing: the next of '|'-separated names, or an empty view. */
static struct view next_name(const char **names) {
    const char *from = *names, *bar = strchr(from, '|');
    struct view v = {from, bar ? (size_t)(bar - from) : strlen(from)};
    *names = bar ? bar + 1 : from + v.len;
    return v;
}

bool hf_names_hold(const char *names, const char *key) {
    while (names && *names)
        if (view_eq(next_name(&names), view_of(key))) return true;
    return false;
}

static const json_t *object_get(const json_t *object, const char *names) {
    while (*names) {
        struct view v = next_name(&names);
        char key[128];
        snprintf(key, sizeof key, "%.*s", VIEW_ARG(v));
        const json_t *value = json_object_get(object, key);
        if (value && !json_is_null(value)) return value;
    }
    return NULL;
}

const json_t *hf_config_get(const struct hf *h, const char *names) { return object_get(h->config, names); }

slm_status hf_config_number(const struct hf *h, const json_t *value, const char *name, double *out, slm_err *err) {
    *out = 0;
    if (!json_is_number(value)) return hf_config_fail(h, err, SLM_E_FORMAT, "key \"%s\" is no number", name);
    *out = json_number_value(value);
    return SLM_OK;
}

slm_status hf_object_number(const struct hf *h, const json_t *object, const char *names, double *out, slm_err *err) {
    const json_t *value = object_get(object, names);
    return value ? hf_config_number(h, value, names, out, err) : SLM_OK;
}

/* A scalar as text, for rules and messages. */
struct scalar {
    char text[sizeof(struct shown)];
};
static struct scalar scalar_of(const json_t *v) {
    struct scalar s;
    if (!v || json_is_null(v)) snprintf(s.text, sizeof s.text, "null");
    else if (json_is_boolean(v)) snprintf(s.text, sizeof s.text, json_is_true(v) ? "true" : "false");
    else if (json_is_number(v)) snprintf(s.text, sizeof s.text, "%g", json_number_value(v));
    else if (json_is_string(v)) snprintf(s.text, sizeof s.text, "%s", show_cstr(json_string_value(v)).s);
    else snprintf(s.text, sizeof s.text, json_is_array(v) ? "an array" : "an object");
    return s;
}

static bool is_off(const json_t *v) {
    return json_is_null(v) || json_is_false(v) || (json_is_number(v) && json_number_value(v) == 0) ||
           (json_is_string(v) && json_string_length(v) == 0) || (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0);
}

static bool is_telling(const char *key) {
    for (size_t i = 0; i < sizeof telling / sizeof telling[0]; i++)
        if (strcasestr(key, telling[i])) return true;
    return false;
}

static const struct hf_rule *find_rule(const struct hf_rule *rules, size_t n, const char *key) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(rules[i].key, key) == 0) return &rules[i];
    return NULL;
}

static slm_status check_key(const struct hf *h, const char *key, const json_t *value, slm_err *err) {
    const struct hf_family *f = h->family;
    const struct hf_rule *rule = find_rule(f->rules, f->n_rules, key);
    if (!rule) rule = find_rule(common_rules, sizeof common_rules / sizeof common_rules[0], key);
    if (rule) {
        struct scalar s = scalar_of(value);
        if (!rule->allowed || hf_names_hold(rule->allowed, s.text)) return SLM_OK;
        slm_status st = hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"%s\" = %s is not supported for class \"%s\"", key, s.text, f->class_name);
        err_hint(err, "supported: %s", rule->allowed);
        return st;
    }
    for (size_t i = 0; i < f->n_keys; i++)
        if (hf_names_hold(f->keys[i].hf, key)) return SLM_OK;
    if (key[0] == '_' || is_off(value) || !is_telling(key)) return SLM_OK;
    return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"%s\" = %s is unknown for class \"%s\" and could change what the model computes", show_cstr(key).s,
                          scalar_of(value).text, f->class_name);
}

slm_status hf_config_check(const struct hf *h, slm_err *err) {
    const char *key;
    json_t *value;
    json_object_foreach(h->config, key, value) {
        slm_status st = check_key(h, key, value, err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

/* The row of a class, among those the one of this model_type. */
static const struct hf_family *find_family(const char *class_name, const char *model_type) {
    const struct hf_family *f;
    for (size_t i = 0; (f = hf_family_at(i)); i++)
        if (strcmp(f->class_name, class_name) == 0 && (!f->model_type || (model_type && strcmp(f->model_type, model_type) == 0))) break;
    return f;
}

static slm_status refuse_class(const struct hf *h, const char *class_name, const char *model_type, slm_err *err) {
    const char *names[128];
    const struct hf_family *f;
    size_t n_names = 0;
    bool is_known = false;
    slm_status st;
    struct shown s = show_cstr(class_name);
    for (size_t i = 0; (f = hf_family_at(i)) && n_names < 128; i++) {
        names[n_names++] = f->class_name;
        is_known |= strcmp(f->class_name, class_name) == 0;
    }
    if (is_known)
        return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "class \"%s\" with model_type \"%s\" is not supported", s.s, show_cstr(model_type ? model_type : "").s);
    st = hf_config_fail(h, err, SLM_E_UNSUPPORTED, "class \"%s\" is not supported", s.s);
    err_hint(err, "the nearest supported class is \"%s\"", nearest_name(class_name, names, n_names));
    return st;
}

slm_status hf_config_choose(struct hf *h, slm_err *err) {
    const char *class_name = json_string_value(json_array_get(json_object_get(h->root, "architectures"), 0));
    json_t *text = json_object_get(h->root, "text_config");
    const char *model_type = json_string_value(json_object_get(json_is_object(text) ? text : h->root, "model_type"));
    const json_t *quant = json_object_get(h->root, "quantization_config");
    if (!class_name) return hf_config_fail(h, err, SLM_E_FORMAT, "key \"architectures\" names no class");
    h->family = find_family(class_name, model_type);
    if (!h->family) return refuse_class(h, class_name, model_type, err);
    if (json_is_object(text)) {
        if (!h->family->nested) return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"text_config\" is not supported for class \"%s\"", class_name);
        h->config = text;
        if (!json_is_object(quant)) quant = json_object_get(text, "quantization_config");
    }
    const char *method = json_string_value(json_object_get(quant, "quant_method"));
    if (json_is_object(quant) && !(h->family->quant && method && strcmp(h->family->quant, method) == 0)) {
        slm_status st = hf_config_fail(h, err, SLM_E_UNSUPPORTED, "the weights are quantized (\"quantization_config\", method \"%s\")",
                                       scalar_of(json_object_get(quant, "quant_method")).text);
        err_hint(err, "take the folder with the original BF16 or F16 weights");
        return st;
    }
    h->arch = arch_find(h->family->arch);
    SLM_ASSERT(h->arch);
    return SLM_OK;
}

static slm_status parse_json(const char *path, const char *json, size_t n, json_t **out, slm_err *err) {
    json_error_t fault;
    *out = json_loadb(json, n, JSON_REJECT_DUPLICATES, &fault);
    if (*out) return SLM_OK;
    return err_set(err, SLM_E_FORMAT, (uint64_t)(fault.position > 0 ? fault.position : 0), "\"%s\": no JSON: %s", show_path(path).s, show_cstr(fault.text).s);
}

slm_status hf_read_json(const char *path, json_t **out, slm_err *err) {
    struct buf text;
    *out = NULL;
    buf_init(&text, CONFIG_BYTES_MAX);
    slm_status st = file_read(&text, path, err);
    if (st == SLM_OK) st = parse_json(path, text.data ? text.data : "", text.len, out, err);
    buf_fini(&text);
    return st;
}

static slm_status take_root(struct hf *h, slm_err *err) {
    h->config = h->root;
    return json_is_object(h->root) ? SLM_OK : hf_config_fail(h, err, SLM_E_FORMAT, "no JSON object");
}

slm_status hf_config_parse(struct hf *h, const char *json, size_t n, slm_err *err) {
    slm_status st = parse_json(h->path_config, json, n, &h->root, err);
    return st == SLM_OK ? take_root(h, err) : st;
}

slm_status hf_config_open(struct hf *h, slm_err *err) {
    if (access(h->path_config, F_OK) != 0 && hf_is_folder(h->folder)) {
        err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": config.json is not there", show_path(h->folder).s);
        err_hint(err, "a model's folder has config.json, safetensors and tokenizer.json or tokenizer.model");
        return SLM_E_FORMAT;
    }
    slm_status st = hf_read_json(h->path_config, &h->root, err);
    return st == SLM_OK ? take_root(h, err) : st;
}
