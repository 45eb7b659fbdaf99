/* sentence.c -- what the sentence-transformers library keeps beside a model: how an embedding is made of the tokens' states.
 *
 * modules.json lists the steps. Pooling is a key; two dense layers are EmbeddingGemma's; normalising is what `slm embed` does
 * anyway. Another step would change every embedding, and is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/show.h"
#include "model/hf/hf_int.h"

#define MODULES "modules.json"
#define POOLING_CONFIG "1_Pooling/config.json"

static const struct { const char *key; enum pooling pooling; } pooling_rows[] = {
    {"pooling_mode_cls_token", POOLING_CLS}, {"pooling_mode_mean_tokens", POOLING_MEAN}, {"pooling_mode_lasttoken", POOLING_LAST},
};

static slm_status path_of(const struct hf *h, const char *name, char **path, slm_err *err) {
    if (asprintf(path, "%s/%s", h->folder, name) >= 0) return SLM_OK;
    *path = NULL;
    return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "path: out of memory");
}

/* NULL when there is no such file. */
static slm_status read_optional(const struct hf *h, const char *name, json_t **out, slm_err *err) {
    char *path;
    *out = NULL;
    slm_status st = path_of(h, name, &path, err);
    if (st == SLM_OK && access(path, F_OK) == 0) st = hf_read_json(path, out, err);
    free(path);
    return st;
}

static slm_status put_pooling(struct hf *h, slm_err *err) {
    json_t *config, *value;
    const char *key;
    int found = -1;
    slm_status st = read_optional(h, POOLING_CONFIG, &config, err);
    if (st != SLM_OK || !config) return st;
    json_object_foreach(config, key, value) {
        if (strncmp(key, "pooling_mode_", 13) != 0 || !json_is_true(value)) continue;
        int i = 0, n = sizeof pooling_rows / sizeof pooling_rows[0];
        while (i < n && strcmp(pooling_rows[i].key, key) != 0) i++;
        if (i == n || found >= 0) {
            st = err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s/" POOLING_CONFIG "\": key \"%s\" is not supported%s", show_path(h->folder).s, show_cstr(key).s,
                         found >= 0 ? " beside another" : "");
            goto out;
        }
        found = i;
    }
    if (found >= 0) st = hf_put_number(h, "pooling_type", HP_U32, pooling_rows[found].pooling, err);
out:
    json_decref(config);
    return st;
}

/* A linear layer over the pooled state: module i of "2_Dense", "3_Dense". */
static slm_status put_dense(struct hf *h, int i, slm_err *err) {
    char name[64], *path = NULL;
    json_t *config = NULL;
    slm_status st;
    snprintf(name, sizeof name, "%d_Dense/config.json", i + 2);
    TRY(read_optional(h, name, &config, err));
    const char *act = json_string_value(json_object_get(config, "activation_function"));
    if (act && !strstr(act, "Identity")) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s/%s\": activation \"%s\" is not supported", show_path(h->folder).s, name, show_cstr(act).s);
    snprintf(name, sizeof name, "%d_Dense/model.safetensors", i + 2);
    TRY(path_of(h, name, &path, err));
    TRY(safetensors_open(path, &h->dense[i], err));
    const struct st_tensor *t = safetensors_find(h->dense[i], "linear.weight");
    if (!t || safetensors_n_tensor(h->dense[i]) != 1) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s\": only \"linear.weight\" is supported in it", show_path(path).s);
    snprintf(name, sizeof name, "dense_%d.weight", i + 2);
    TRY(hf_add_matrix(h, name, h->dense[i], t, err));
    snprintf(name, sizeof name, "dense_%d_feat_in", i + 2);
    TRY(hf_put_number(h, name, HP_U32, (double)t->shape[1], err));
    snprintf(name, sizeof name, "dense_%d_feat_out", i + 2);
    TRY(hf_put_number(h, name, HP_U32, (double)t->shape[0], err));
out:
    json_decref(config);
    free(path);
    return st;
}

static bool has_dense(const struct arch_desc *arch) {
    for (size_t i = 0; i < arch->n_tensors; i++)
        if (arch->tensors[i].slot == W_DENSE_2) return true;
    return false;
}

/* Each module is known; those of dense layers are put. */
static slm_status read_modules(struct hf *h, const json_t *modules, slm_err *err) {
    int n_dense = 0;
    for (size_t i = 0; i < json_array_size(modules); i++) {
        const char *type = json_string_value(json_object_get(json_array_get(modules, i), "type"));
        const char *kind = type ? strrchr(type, '.') : NULL;
        kind = kind ? kind + 1 : "";
        if (strcmp(kind, "Transformer") == 0 || strcmp(kind, "Pooling") == 0 || strcmp(kind, "Normalize") == 0) continue;
        if (strcmp(kind, "Dense") != 0 || n_dense == 2 || !has_dense(h->arch))
            return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s/" MODULES "\": module \"%s\" is not supported for class \"%s\"", show_path(h->folder).s,
                           show_cstr(type ? type : "").s, h->family->class_name);
        slm_status st = put_dense(h, n_dense++, err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

slm_status hf_put_sentence(struct hf *h, slm_err *err) {
    json_t *modules;
    slm_status st = read_optional(h, MODULES, &modules, err);
    if (st == SLM_OK && modules) st = put_pooling(h, err);
    if (st == SLM_OK && modules) st = read_modules(h, modules, err);
    json_decref(modules);
    return st;
}
