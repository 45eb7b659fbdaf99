/* index.c -- model.safetensors.index.json: which shard holds which tensor.
 *
 * Its file names come from whoever made the folder, and are opened; so they must be plain names in that folder. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "format/safetensors/st_int.h"

#define ARENA_BYTES_MAX ((size_t)64 << 20)
#define SUFFIX ".safetensors"

/* No separator, no "..", nothing hidden, nothing that a terminal would act on. */
static bool is_plain_name(const char *s) {
    size_t n = strlen(s), n_suffix = sizeof SUFFIX - 1;
    if (n <= n_suffix || n > 255 || s[0] == '.' || strcmp(s + n - n_suffix, SUFFIX) != 0) return false;
    for (; *s; s++)
        if (*s == '/' || *s == '\\' || (unsigned char)*s < 0x20 || *s == 0x7f) return false;
    return true;
}

static slm_status find_shard(struct st_index *x, const char *file, uint32_t *i, slm_err *err, const char *path) {
    for (*i = 0; *i < x->n_shard; ++*i)
        if (strcmp(x->shards[*i], file) == 0) return SLM_OK;
    if (!is_plain_name(file))
        return gguf_fail(err, path, SLM_E_FORMAT, SLM_NOWHERE, "\"weight_map\" names the file \"%s\": a plain name ending in \"" SUFFIX "\" is needed",
                         show_view(view_of(file)).s);
    if (x->n_shard >= ST_N_SHARD_MAX) return gguf_fail(err, path, SLM_E_UNSUPPORTED, SLM_NOWHERE, "too many shards: the limit is %d", ST_N_SHARD_MAX);
    x->shards[x->n_shard] = arena_strdup(&x->arena, view_of(file));
    if (!x->shards[x->n_shard]) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "shard names: out of memory");
    x->n_shard++;
    return SLM_OK;
}

static slm_status read_map(struct st_index *x, json_t *map, const char *path, slm_err *err) {
    size_t n = json_object_size(map);
    const char *name;
    json_t *file;
    if (n == 0) return gguf_fail(err, path, SLM_E_FORMAT, SLM_NOWHERE, "key \"weight_map\" is missing, no object or empty");
    if (n > ST_N_TENSOR_MAX) return gguf_fail(err, path, SLM_E_UNSUPPORTED, SLM_NOWHERE, "too many tensors: the limit is %d", ST_N_TENSOR_MAX);
    x->names = arena_alloc(&x->arena, n * sizeof *x->names, _Alignof(struct view));
    x->i_shard = arena_alloc(&x->arena, n * sizeof *x->i_shard, _Alignof(uint32_t));
    x->shards = arena_alloc(&x->arena, ST_N_SHARD_MAX * sizeof *x->shards, _Alignof(char *));
    if (!x->names || !x->i_shard || !x->shards) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "shard names: out of memory");
    json_object_foreach(map, name, file) {
        struct view key = view_of(name);
        if (!json_is_string(file))
            return gguf_fail(err, path, SLM_E_FORMAT, SLM_NOWHERE, "\"weight_map\": the file of tensor \"%s\" is no string", show_view(key).s);
        slm_status st = find_shard(x, json_string_value(file), &x->i_shard[x->n_tensor], err, path);
        if (st != SLM_OK) return st;
        key.ptr = arena_strdup(&x->arena, key);
        if (!key.ptr) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "tensor names: out of memory");
        x->names[x->n_tensor++] = key;
    }
    return SLM_OK;
}

slm_status st_index_parse(struct st_index *x, const char *json, size_t n, const char *path, slm_err *err) {
    json_error_t fault;
    *x = (struct st_index){0};
    arena_init(&x->arena, ARENA_BYTES_MAX);
    json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, &fault);
    if (!root)
        return gguf_fail(err, path, SLM_E_FORMAT, (uint64_t)(fault.position > 0 ? fault.position : 0), "no JSON: %s", show_view(view_of(fault.text)).s);
    slm_status st = read_map(x, json_object_get(root, "weight_map"), path, err);
    json_decref(root);
    return st;
}

void st_index_fini(struct st_index *x) { arena_fini(&x->arena); }
