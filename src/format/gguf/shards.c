/* shards.c -- opening and closing, and the other files of a model that is split over several.
 *
 * Split files are NAME-00001-of-000NN.gguf and so on; each is a whole GGUF file that says with three keys which
 * it is, how many there are, and how many tensors all have together. The model's own keys are those of the
 * first. All must be present and agree, so that no model loads with layers missing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/gguf/gguf_int.h"

#define KEY_NO "split.no"
#define KEY_COUNT "split.count"
#define KEY_TENSORS "split.tensors.count"

slm_status gguf_create(const char *path, struct gguf **out, slm_err *err) {
    void *p = NULL;
    slm_status st = mem_alloc(&p, 1, sizeof **out, "model file", err);
    if (st != SLM_OK) return st;
    struct gguf *g = p;
    g->path = strdup(path);
    if (!g->path) {
        free(g);
        return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "model file: out of memory");
    }
    *out = g;
    return SLM_OK;
}

void gguf_close(struct gguf *g) {
    if (!g) return;
    for (size_t i = 0; i < g->n_map; i++) file_map_close(&g->maps[i]);
    free(g->maps);
    gguf_index_fini(&g->kv_index);
    gguf_index_fini(&g->tensor_index);
    free(g->kv);
    free(g->tensors);
    free(g->path);
    if (g->release) g->release(g->user);
    free(g);
}

uint64_t gguf_identity(const struct gguf *g) {
    uint64_t h = HASH_START;
    for (size_t i = 0; i < g->n_map; i++) h = hash_bytes(h, &g->maps[i].identity, sizeof g->maps[i].identity);
    return g->n_map ? h | 1 : 0;
}

void gguf_forget(const struct gguf *g, const uint8_t *data, size_t n) {
    for (size_t i = 0; i < g->n_map; i++) {
        const struct file_map *m = &g->maps[i];
        if (data >= m->data && data < m->data + m->size) file_map_forget(m, (size_t)(data - m->data), n);
    }
}

static slm_status open_shard(const char *path, uint32_t i_shard, struct gguf **out, slm_err *err) {
    struct gguf *g = NULL;
    void *maps = NULL;
    slm_status st;
    *out = NULL;
    TRY(gguf_create(path, &g, err));
    TRY(mem_alloc(&maps, 1, sizeof *g->maps, "mapping", err));
    g->maps = maps;
    TRY(file_map_open(&g->maps[0], path, err));
    g->n_map = 1;
    g->file_bytes = g->maps[0].size;
    struct cursor c = {.path = path, .data = g->maps[0].data, .size = g->maps[0].size, .i_shard = i_shard};
    TRY(gguf_parse(g, &c, err));
    *out = g;
    g = NULL;
out:
    gguf_close(g);
    return st;
}

static slm_status get_optional(const struct gguf *g, const char *key, uint64_t *v, slm_err *err) {
    *v = 0;
    return gguf_find(g, key) ? gguf_get_u64(g, key, v, err) : SLM_OK;
}

/* The name of shard i beside the first one, which is `first`; false when first has another form of name. */
static bool shard_path(const char *first, uint64_t i, uint64_t n, char *out, size_t out_size) {
    char suffix[64];
    int n_suffix = snprintf(suffix, sizeof suffix, "-%05d-of-%05llu.gguf", 1, (unsigned long long)n);
    size_t len = strlen(first);
    if (len < (size_t)n_suffix || strcmp(first + len - (size_t)n_suffix, suffix) != 0) return false;
    int written = snprintf(out, out_size, "%.*s-%05llu-of-%05llu.gguf", (int)(len - (size_t)n_suffix), first,
                           (unsigned long long)i + 1, (unsigned long long)n);
    return written > 0 && (size_t)written < out_size;
}

/* Moves the tensors and the mapping of s behind those of g. */
static slm_status take_over(struct gguf *g, struct gguf *s, slm_err *err) {
    void *p = NULL;
    slm_status st;
    if (s->n_tensor > GGUF_N_TENSOR_MAX - g->n_tensor)
        return gguf_fail(err, s->path, SLM_E_UNSUPPORTED, SLM_NOWHERE,
                         "the model has too many tensors: the limit is %d", GGUF_N_TENSOR_MAX);
    TRY(mem_alloc(&p, g->n_tensor + s->n_tensor, sizeof *g->tensors, "tensor table", err));
    if (g->n_tensor) memcpy(p, g->tensors, g->n_tensor * sizeof *g->tensors);
    free(g->tensors);
    g->tensors = p;
    struct gguf_records records = {g->tensors, sizeof *g->tensors};
    for (size_t i = 0; i < s->n_tensor; i++) {
        const struct gguf_tensor *t = &s->tensors[i];
        if (gguf_index_find(&g->tensor_index, records, t->name) != GGUF_NONE) {
            st = gguf_fail(err, s->path, SLM_E_FORMAT, t->offset, "tensor \"%s\": is in an earlier shard too",
                           show_view(t->name).s);
            goto out;
        }
        g->tensors[g->n_tensor] = *t;
        TRY(gguf_index_add(&g->tensor_index, records, g->n_tensor, err));
        g->n_tensor++;
    }
    /* maps has room for all shards. */
    g->maps[g->n_map++] = s->maps[0];
    s->n_map = 0;
    g->file_bytes += s->file_bytes;
out:
    /* On failure s closes its mapping; tensors of g that point there are never handed out. */
    return st;
}

static slm_status add_shard(struct gguf *g, uint64_t i, uint64_t n, slm_err *err) {
    struct gguf *s = NULL;
    uint64_t no = 0, count = 0;
    size_t path_size = strlen(g->path) + 32;
    void *p = NULL;
    slm_status st = mem_alloc(&p, path_size, 1, "shard path", err);
    if (st != SLM_OK) return st;
    char *path = p;
    if (!shard_path(g->path, i, n, path, path_size)) {
        st = gguf_fail(err, g->path, SLM_E_UNSUPPORTED, SLM_NOWHERE,
                       "the first of %llu shards, but its name does not end in \"-00001-of-%05llu.gguf\"",
                       (unsigned long long)n, (unsigned long long)n);
        err_hint(err, "rename the shards back; the names of the others are made from the first");
        goto out;
    }
    st = open_shard(path, (uint32_t)i, &s, err);
    if (st == SLM_E_IO) {
        err_wrap(err, st, "shard %llu of %llu", (unsigned long long)i + 1, (unsigned long long)n);
        err_hint(err, "put all shards into one folder");
    }
    TRY(st);
    TRY(get_optional(s, KEY_NO, &no, err));
    TRY(get_optional(s, KEY_COUNT, &count, err));
    if (no != i || count != n) {
        st = gguf_fail(err, path, SLM_E_FORMAT, SLM_NOWHERE, "says that it is shard %llu of %llu, not %llu of %llu",
                       (unsigned long long)no + 1, (unsigned long long)count, (unsigned long long)i + 1,
                       (unsigned long long)n);
        goto out;
    }
    TRY(take_over(g, s, err));
out:
    gguf_close(s);
    free(path);
    return st;
}

static slm_status add_shards(struct gguf *g, slm_err *err) {
    uint64_t no, n, n_tensor;
    void *maps = NULL;
    slm_status st;
    TRY(get_optional(g, KEY_NO, &no, err));
    TRY(get_optional(g, KEY_COUNT, &n, err));
    TRY(get_optional(g, KEY_TENSORS, &n_tensor, err));
    if (n <= 1 && no == 0) goto out;
    if (no != 0) {
        st = gguf_fail(err, g->path, SLM_E_UNSUPPORTED, gguf_find(g, KEY_NO)->offset,
                       "shard %llu of %llu, not the first", (unsigned long long)no + 1, (unsigned long long)n);
        err_hint(err, "open the first shard, \"...-00001-of-%05llu.gguf\"", (unsigned long long)n);
        goto out;
    }
    if (n > GGUF_N_SHARD_MAX) {
        st = gguf_fail(err, g->path, SLM_E_UNSUPPORTED, gguf_find(g, KEY_COUNT)->offset, "%llu shards: the limit is %d",
                       (unsigned long long)n, GGUF_N_SHARD_MAX);
        goto out;
    }
    if (!g->maps) {
        st = gguf_fail(err, g->path, SLM_E_UNSUPPORTED, gguf_find(g, KEY_COUNT)->offset,
                       "one of %llu shards: shards are opened from files only", (unsigned long long)n);
        goto out;
    }
    TRY(mem_alloc(&maps, n, sizeof *g->maps, "mappings", err));
    memcpy(maps, g->maps, sizeof *g->maps);
    free(g->maps);
    g->maps = maps;
    for (uint64_t i = 1; i < n; i++) TRY(add_shard(g, i, n, err));
    if (gguf_find(g, KEY_TENSORS) && n_tensor != g->n_tensor)
        st = gguf_fail(err, g->path, SLM_E_FORMAT, gguf_find(g, KEY_TENSORS)->offset,
                       "the shards have %zu tensors, not %llu", g->n_tensor, (unsigned long long)n_tensor);
out:
    return st;
}

slm_status gguf_open(const char *path, struct gguf **out, slm_err *err) {
    struct gguf *g = NULL;
    slm_status st;
    *out = NULL;
    TRY(open_shard(path, 0, &g, err));
    TRY(add_shards(g, err));
    *out = g;
    g = NULL;
out:
    gguf_close(g);
    return st;
}

slm_status gguf_open_memory(const void *data, size_t size, const char *name, struct gguf **out, slm_err *err) {
    struct gguf *g = NULL;
    slm_status st;
    *out = NULL;
    TRY(gguf_create(name, &g, err));
    g->file_bytes = size;
    struct cursor c = {.path = name, .data = data, .size = size};
    TRY(gguf_parse(g, &c, err));
    TRY(add_shards(g, err));
    *out = g;
    g = NULL;
out:
    gguf_close(g);
    return st;
}
