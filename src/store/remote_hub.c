/* remote_hub.c -- a Hugging Face repository: its list of files, and which of them make a model here.
 *
 * GGUF files are taken before safetensors. File names come from outside: one that could leave its folder is refused. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "store/http.h"
#include "store/make_int.h"
#include "store/remote_int.h"

#define ANSWER_BYTES_MAX (32u << 20)
#define N_FILES_MAX 65536

/* Files of a folder that are needed beside the weights. */
static const char *const folder_files[] = {
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json",
    "added_tokens.json", "chat_template.jinja", "chat_template.json", "vocab.json", "vocab.txt", "merges.txt", "model.safetensors.index.json",
    "config_sentence_transformers.json", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json",
};

static bool ends(const char *text, const char *with) {
    size_t n = strlen(text), k = strlen(with);
    return n >= k && strcmp(text + n - k, with) == 0;
}

static slm_status read_files(const json_t *root, struct hub_file **files, size_t *n, struct arena *mem, slm_err *err) {
    const json_t *list = json_object_get(root, "siblings");
    *n = 0;
    if (!json_is_array(list)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "hub: the answer has no list of files");
    size_t n_all = json_array_size(list);
    if (n_all > N_FILES_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "hub: %zu files, at most %d", n_all, N_FILES_MAX);
    *files = arena_alloc(mem, (n_all + 1) * sizeof **files, 8);
    if (!*files) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "hub: out of memory");
    for (size_t i = 0; i < n_all; i++) {
        const json_t *v = json_array_get(list, i), *size = json_object_get(v, "size"), *lfs = json_object_get(v, "lfs");
        const char *name = json_string_value(json_object_get(v, "rfilename")), *sha = json_string_value(json_object_get(lfs, "sha256"));
        if (!name || !title_is_safe(name)) continue;
        char digest[DIGEST_MAX] = "";
        if (sha && strlen(sha) == 64) snprintf(digest, sizeof digest, "sha256:%s", sha);
        struct hub_file *f = &(*files)[(*n)++];
        f->name = name;
        f->digest = arena_strdup(mem, view_of(digest));
        f->size = json_is_integer(size) && json_integer_value(size) >= 0 ? (uint64_t)json_integer_value(size) : UINT64_MAX;
        if (!f->digest) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "hub: out of memory");
    }
    return SLM_OK;
}

static bool is_folder_file(const char *name) {
    for (size_t i = 0; i < sizeof folder_files / sizeof folder_files[0]; i++)
        if (strcmp(name, folder_files[i]) == 0) return true;
    return ends(name, ".safetensors") && !strchr(name, '/');
}

static slm_status add_folder(const char *endpoint, const struct hub_file *files, size_t n, struct remote *r, slm_err *err) {
    bool has_weights = false;
    r->is_folder = true;
    for (size_t i = 0; i < n; i++) {
        if (!is_folder_file(files[i].name)) continue;
        has_weights |= ends(files[i].name, ".safetensors");
        slm_status st = remote_add(r, LAYER_OTHER, files[i].digest, files[i].size, files[i].name, err, "%s/%s/%s/resolve/main/%s", endpoint, r->name.space, r->name.model, files[i].name);
        if (st != SLM_OK) return st;
    }
    if (has_weights) return SLM_OK;
    err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s/%s\": it has neither GGUF nor safetensors files", r->name.space, r->name.model);
    err_hint(err, "look for a repository of the same model with GGUF files");
    return SLM_E_UNSUPPORTED;
}

static slm_status add_files(const char *endpoint, const struct hub_file *files, size_t n, const struct remote_options *o, struct remote *r, slm_err *err) {
    slm_status st = SLM_OK;
    size_t *chosen = calloc(n + 1, sizeof *chosen), n_chosen = 0;
    struct buf why;
    buf_init(&why, 4096);
    if (!chosen) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "hub: out of memory");
    TRY(hub_choose(files, n, r->name.tag, o->memory_bytes, chosen, &n_chosen, r->name.tag, &why, err));
    TRY(remote_room(r, n_chosen ? n_chosen : n < 512 ? n : 512, err));
    if (n_chosen == 0) {
        if (!r->name.tag[0]) text_copy(r->name.tag, sizeof r->name.tag, "auto");
        TRY(add_folder(endpoint, files, n, r, err));
    }
    for (size_t i = 0; i < n_chosen; i++) {
        const struct hub_file *f = &files[chosen[i]];
        TRY(remote_add(r, LAYER_MODEL, f->digest, f->size, f->name, err, "%s/%s/%s/resolve/main/%s", endpoint, r->name.space, r->name.model, f->name));
    }
    if (why.len) r->why = arena_strdup(&r->mem, (struct view){why.data, why.len});
out:
    buf_fini(&why);
    free(chosen);
    return st;
}

slm_status remote_hub(const struct model_name *name, const struct remote_options *o, struct remote *r, slm_err *err) {
    char url[2048];
    struct buf b;
    struct hub_file *files = NULL;
    size_t n;
    json_error_t e;
    json_t *root = NULL;
    const char *endpoint = env_get(ENV_HF_ENDPOINT);
    slm_status st = SLM_OK;
    buf_init(&b, ANSWER_BYTES_MAX);
    if (!endpoint) endpoint = "https://huggingface.co";
    r->token = env_get(ENV_HF_TOKEN);
    if (strlen(endpoint) > 512) FAIL(SLM_E_USAGE, SLM_NOWHERE, "HF_ENDPOINT: longer than 512 bytes");
    snprintf(url, sizeof url, "%s/api/models/%s/%s?blobs=true", endpoint, name->space, name->model);
    TRY(http_get(url, r->token, NULL, o->cancel, &b, err));
    root = json_loadb(b.data, b.len, 0, &e);
    if (!json_is_object(root)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "\"%.300s\": the answer is no JSON object", url);
    TRY(read_files(root, &files, &n, &r->mem, err));
    const char *license = json_string_value(json_object_get(json_object_get(root, "cardData"), "license"));
    if (license) r->license = arena_strdup(&r->mem, view_of(license));
    TRY(add_files(endpoint, files, n, o, r, err));
out:
    json_decref(root);
    buf_fini(&b);
    return st;
}
