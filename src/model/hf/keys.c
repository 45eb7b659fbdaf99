/* keys.c -- from config keys to metadata keys by the family's rows, and the keys that every file has. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/hf/hf_int.h"

#define QUANTIZATION_VERSION 2 /* of the block layouts, as ggml counts */

static void full_key(const struct hf *h, const char *key, char out[128]) { snprintf(out, 128, "%s.%s", h->arch->name, key); }

slm_status hf_put_number(struct hf *h, const char *key, enum hparam_type type, double value, slm_err *err) {
    char full[128];
    full_key(h, key, full);
    return type == HP_U32 ? gguf_put_u32(h->w, full, (uint32_t)value, err) : gguf_put_f32(h->w, full, (float)value, err);
}

slm_status hf_put_text(struct hf *h, const char *key, const char *value, slm_err *err) {
    char full[128];
    full_key(h, key, full);
    return gguf_put_string(h->w, full, view_of(value), err);
}

slm_status hf_put_flag(struct hf *h, const char *key, bool value, slm_err *err) {
    char full[128];
    full_key(h, key, full);
    return gguf_put_bool(h->w, full, value, err);
}

slm_status hf_put_list(struct hf *h, const char *key, enum gguf_type type, const void *values, size_t n, slm_err *err) {
    char full[128];
    full_key(h, key, full);
    return gguf_put_array(h->w, full, type, values, n, err);
}

slm_status hf_put_layers(struct hf *h, const char *key, enum gguf_type type, const void *values, slm_err *err) {
    return hf_put_list(h, key, type, values, h->n_layer, err);
}

static slm_status check_number(const struct hf *h, const struct hf_key *row, double v, slm_err *err) {
    if (!isfinite(v) || fabs(v) > 1e15) return hf_config_fail(h, err, SLM_E_FORMAT, "key \"%s\": %g is out of range", row->hf, v);
    if (row->type == HP_U32 && (v < 0 || v > UINT32_MAX || v != floor(v)))
        return hf_config_fail(h, err, SLM_E_FORMAT, "key \"%s\": %g is no whole number", row->hf, v);
    return SLM_OK;
}

static slm_status put_row(struct hf *h, const struct hf_key *row, slm_err *err) {
    const json_t *value = hf_config_get(h, row->hf);
    double v = row->fallback;
    slm_status st = SLM_OK;
    if (!value && row->flags & HF_REQUIRED) return hf_config_fail(h, err, SLM_E_FORMAT, "key \"%s\" is missing", row->hf);
    if (value) st = hf_config_number(h, value, row->hf, &v, err);
    if (st == SLM_OK) st = check_number(h, row, v, err);
    if (st != SLM_OK || !row->gguf || (!value && row->fallback == 0 && !(row->flags & HF_ZERO))) return st;
    return hf_put_number(h, row->gguf, row->type, v, err);
}

/* The sizes that permutations and rope need, after the rows gave them their keys. */
static slm_status read_size(struct hf *h, const char *gguf_key, uint32_t *out, slm_err *err) {
    for (size_t i = 0; i < h->family->n_keys; i++) {
        const struct hf_key *row = &h->family->keys[i];
        if (!row->gguf || strcmp(row->gguf, gguf_key) != 0) continue;
        const json_t *value = hf_config_get(h, row->hf);
        double v = row->fallback;
        slm_status st = value ? hf_config_number(h, value, row->hf, &v, err) : SLM_OK;
        if (st == SLM_OK) st = check_number(h, row, v, err);
        if (st == SLM_OK && v > 0) *out = (uint32_t)v;
        return st;
    }
    return SLM_OK;
}

static slm_status read_sizes(struct hf *h, slm_err *err) {
    slm_status st;
    TRY(read_size(h, "block_count", &h->n_layer, err));
    TRY(read_size(h, "embedding_length", &h->d_model, err));
    TRY(read_size(h, "attention.head_count", &h->n_head, err));
    TRY(read_size(h, "attention.head_count_kv", &h->n_head_kv, err));
    TRY(read_size(h, "attention.key_length", &h->d_head, err));
    TRY(read_size(h, "context_length", &h->n_ctx_train, err));
    TRY(read_size(h, "expert_count", &h->n_stack, err));
    TRY(read_size(h, "ssm.group_count", &h->n_head_k, err));
    TRY(read_size(h, "ssm.time_step_rank", &h->n_head_v, err));
    TRY(read_size(h, "ssm.state_size", &h->d_state, err));
    if (h->n_stack > HF_N_STACK_MAX) return hf_config_fail(h, err, SLM_E_LIMIT, "%u experts: the limit is %u", h->n_stack, HF_N_STACK_MAX);
    if (h->n_head == 0 || h->n_layer == 0 || h->d_model == 0) return hf_config_fail(h, err, SLM_E_FORMAT, "no layers, heads or width");
    if (h->n_layer > 1024) return hf_config_fail(h, err, SLM_E_FORMAT, "%u layers: the limit is 1024", h->n_layer);
    if (h->n_head_kv == 0) h->n_head_kv = h->n_head;
    if (h->d_head == 0 && h->d_model % h->n_head)
        return hf_config_fail(h, err, SLM_E_FORMAT, "a width of %u is no multiple of %u heads", h->d_model, h->n_head);
    if (h->d_head == 0) h->d_head = h->d_model / h->n_head;
out:
    return st;
}

/* A name for people from that of the folder; one in the hub's cache is "models--ORG--NAME/snapshots/<hash>". */
static slm_status put_name(struct hf *h, slm_err *err) {
    static const char cache[] = "models--";
    char *path = realpath(h->folder, NULL), *name = path ? strrchr(path, '/') : NULL, *at;
    if (name) name++;
    if (path && (at = strstr(path, cache)) && name && strlen(name) == 40) {
        char *slash = strchr(at, '/');
        if (slash) *slash = 0;
        for (name = at; (at = strstr(name, "--")); name = at + 2) continue;
    }
    for (char *p = name; p && *p; p++)
        if (*p == '-' || *p == '_') *p = ' ';
    slm_status st = gguf_put_string(h->w, "general.name", view_of(name && *name ? name : h->arch->name), err);
    free(path);
    return st;
}

slm_status hf_put_keys(struct hf *h, slm_err *err) {
    const struct hf_family *f = h->family;
    slm_status st;
    TRY(gguf_put_string(h->w, "general.architecture", view_of(h->arch->name), err));
    TRY(gguf_put_string(h->w, "general.type", VIEW("model"), err));
    TRY(put_name(h, err));
    TRY(gguf_put_u32(h->w, "general.quantization_version", QUANTIZATION_VERSION, err));
    TRY(hf_config_check(h, err));
    for (size_t i = 0; i < f->n_keys; i++) TRY(put_row(h, &f->keys[i], err));
    TRY(read_sizes(h, err));
    if (hf_config_get(h, "head_dim")) TRY(hf_put_number(h, "attention.value_length", HP_U32, h->d_head, err));
    if (f->rope_base > 0) TRY(hf_put_rope(h, err));
    if (f->adjust) TRY(f->adjust(h, err));
out:
    return st;
}
