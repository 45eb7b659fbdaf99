/* open.c -- opening and closing: one file, bytes in memory, or all shards of a folder.
 *
 * A folder's index is believed only where the shards agree: each tensor it names must be in the shard it names, so that no
 * model loads with parts missing or from the wrong file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/safetensors/st_int.h"

#define NAMES_BYTES_MAX ((size_t)ST_N_TENSOR_MAX * 2 * ST_NAME_BYTES_MAX)
#define FILE_WHOLE "model.safetensors"
#define FILE_INDEX "model.safetensors.index.json"

static slm_status create(size_t n_shard, struct safetensors **out, slm_err *err) {
    void *s = NULL, *maps = NULL, *paths = NULL;
    slm_status st;
    TRY(mem_alloc(&s, 1, sizeof **out, "tensor file", err));
    TRY(mem_alloc(&maps, n_shard, sizeof(struct file_map), "mappings", err));
    TRY(mem_alloc(&paths, n_shard, sizeof(char *), "paths", err));
    *out = s;
    **out = (struct safetensors){.maps = maps, .paths = paths};
    arena_init(&(*out)->names, NAMES_BYTES_MAX);
    return SLM_OK;
out:
    free(s);
    free(maps);
    return st;
}

void safetensors_close(struct safetensors *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n_shard; i++) {
        file_map_close(&s->maps[i]);
        free(s->paths[i]);
    }
    free(s->maps);
    free(s->paths);
    free(s->tensors);
    gguf_index_fini(&s->index);
    arena_fini(&s->names);
    free(s);
}

/* The next shard: its path is taken over, its file mapped and read. */
static slm_status add_file(struct safetensors *s, char *path, slm_err *err) {
    size_t i = s->n_shard++;
    s->paths[i] = path;
    slm_status st = file_map_open(&s->maps[i], path, err);
    if (st != SLM_OK) return st;
    s->file_bytes += s->maps[i].size;
    return st_parse(s, (uint32_t)i, s->maps[i].data, s->maps[i].size, err);
}

static slm_status no_memory(slm_err *err) { return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "paths: out of memory"); }

slm_status safetensors_open(const char *path, struct safetensors **out, slm_err *err) {
    struct safetensors *s = NULL;
    slm_status st;
    *out = NULL;
    TRY(create(1, &s, err));
    char *copy = strdup(path);
    TRY(copy ? SLM_OK : no_memory(err));
    TRY(add_file(s, copy, err));
    *out = s;
    return SLM_OK;
out:
    safetensors_close(s);
    return st;
}

slm_status safetensors_open_memory(const void *data, size_t size, const char *name, struct safetensors **out, slm_err *err) {
    struct safetensors *s = NULL;
    slm_status st;
    *out = NULL;
    TRY(create(1, &s, err));
    s->n_shard = 1;
    s->paths[0] = strdup(name);
    TRY(s->paths[0] ? SLM_OK : no_memory(err));
    s->file_bytes = size;
    TRY(st_parse(s, 0, data, size, err));
    *out = s;
    return SLM_OK;
out:
    safetensors_close(s);
    return st;
}

static char *join(const char *folder, const char *name) {
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static slm_status check_map(const struct safetensors *s, const struct st_index *x, const char *path, slm_err *err) {
    for (size_t i = 0; i < x->n_tensor; i++) {
        const struct st_tensor *t = safetensors_find(s, x->names[i].ptr);
        if (!t || t->i_shard != x->i_shard[i])
            return gguf_fail(err, path, SLM_E_FORMAT, SLM_NOWHERE, "tensor \"%s\" is not in \"%s\", where the index puts it", show_view(x->names[i]).s,
                             show_view(view_of(x->shards[x->i_shard[i]])).s);
    }
    return SLM_OK;
}

static slm_status open_shards(const char *folder, const char *path_index, struct safetensors **out, slm_err *err) {
    struct st_index x = {0};
    struct buf json;
    slm_status st;
    buf_init(&json, ST_HEADER_BYTES_MAX);
    TRY(file_read(&json, path_index, err));
    TRY(st_index_parse(&x, json.data ? json.data : "", json.len, path_index, err));
    TRY(create(x.n_shard, out, err));
    for (size_t i = 0; i < x.n_shard; i++) {
        char *path = join(folder, x.shards[i]);
        bool is_there = path && access(path, F_OK) == 0;
        TRY(path ? SLM_OK : no_memory(err));
        st = add_file(*out, path, err);
        if (st == SLM_E_IO) {
            if (!is_there) st = SLM_E_FORMAT; /* the folder is no whole model */
            err_wrap(err, st, "shard %zu of %zu", i + 1, x.n_shard);
            err_hint(err, "the index of the folder names this file: download it again");
        }
        TRY(st);
    }
    TRY(check_map(*out, &x, path_index, err));
out:
    st_index_fini(&x);
    buf_fini(&json);
    return st;
}

slm_status safetensors_open_folder(const char *folder, struct safetensors **out, slm_err *err) {
    char *whole = join(folder, FILE_WHOLE), *index = join(folder, FILE_INDEX), *torch = join(folder, "pytorch_model.bin");
    slm_status st;
    *out = NULL;
    if (!whole || !index || !torch) st = no_memory(err);
    else if (access(whole, F_OK) == 0) st = safetensors_open(whole, out, err);
    else if (access(index, F_OK) == 0) st = open_shards(folder, index, out, err);
    else {
        st = gguf_fail(err, folder, SLM_E_NOT_FOUND, SLM_NOWHERE, "the folder has neither \"" FILE_WHOLE "\" nor \"" FILE_INDEX "\"");
        if (access(torch, F_OK) == 0) err_hint(err, "weights in pickle files (pytorch_model.bin) can run code when read and are not supported: save them as safetensors");
    }
    if (st != SLM_OK) {
        safetensors_close(*out);
        *out = NULL;
    }
    free(whole);
    free(index);
    free(torch);
    return st;
}

size_t safetensors_n_tensor(const struct safetensors *s) { return s->n_tensor; }
const struct st_tensor *safetensors_tensor_at(const struct safetensors *s, size_t i) { return &s->tensors[i]; }
uint64_t safetensors_file_bytes(const struct safetensors *s) { return s->file_bytes; }
const char *safetensors_path_of(const struct safetensors *s, const struct st_tensor *t) { return s->paths[t->i_shard]; }

void safetensors_forget(const struct safetensors *s, const struct st_tensor *t) {
    if (s->maps[t->i_shard].data) file_map_forget(&s->maps[t->i_shard], t->offset, t->n_bytes); /* bytes of the caller's have no map */
}

const struct st_tensor *safetensors_find(const struct safetensors *s, const char *name) {
    size_t i = gguf_index_find(&s->index, (struct gguf_records){s->tensors, sizeof *s->tensors}, view_of(name));
    return i == GGUF_NONE ? NULL : &s->tensors[i];
}
