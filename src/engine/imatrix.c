/* imatrix.c -- importance matrices as files: read, checked, looked up.
 *
 * A file is GGUF, so its counts and offsets are checked by the reader; here it is checked that what it holds are sums and
 * counts that belong together. Entries are kept sorted by name. */
#include "engine/imatrix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"

#define SUM_SUFFIX ".in_sum2"
#define COUNT_SUFFIX ".counts"
#define ARENA_BYTES_MAX ((size_t)4 << 30)

static bool ends_with(struct view v, struct view end) {
    return v.len > end.len && memcmp(v.ptr + v.len - end.len, end.ptr, end.len) == 0;
}

static slm_status copy_floats(struct imatrix *im, const char *path, const struct gguf_tensor *t, float **out, slm_err *err) {
    *out = arena_alloc(&im->arena, t->n_elem * sizeof(float), 64);
    if (!*out) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "imatrix \"%s\": out of memory", show_path(path).s);
    memcpy(*out, t->data, t->n_elem * sizeof(float));
    for (uint64_t i = 0; i < t->n_elem; i++)
        if (!isfinite((*out)[i]) || (*out)[i] < 0)
            return err_set(err, SLM_E_FORMAT, t->offset, "imatrix \"%s\": tensor \"%s\" holds a value that is no sum of squares", show_path(path).s,
                           show_view(t->name).s);
    return SLM_OK;
}

static slm_status read_entry(struct imatrix *im, const struct gguf *g, const struct gguf_tensor *sums, slm_err *err) {
    const char *path = gguf_path(g);
    struct imatrix_entry *e = &im->entries[im->n];
    struct view name = {sums->name.ptr, sums->name.len - strlen(SUM_SUFFIX)};
    char counts_name[GGUF_NAME_BYTES_MAX + sizeof COUNT_SUFFIX];
    snprintf(counts_name, sizeof counts_name, "%.*s" COUNT_SUFFIX, VIEW_ARG(name));
    const struct gguf_tensor *counts = gguf_find_tensor(g, counts_name);
    uint64_t d_in = sums->shape[sums->n_dim ? sums->n_dim - 1 : 0], n_matrix = d_in ? sums->n_elem / d_in : 0;
    if (!counts) return err_set(err, SLM_E_FORMAT, sums->offset, "imatrix \"%s\": tensor \"%s\" is missing", show_path(path).s, show_cstr(counts_name).s);
    if (sums->dtype != DTYPE_F32 || counts->dtype != DTYPE_F32 || d_in == 0 || d_in > INT32_MAX || n_matrix == 0 || n_matrix > INT32_MAX || counts->n_elem != n_matrix)
        return err_set(err, SLM_E_FORMAT, sums->offset, "imatrix \"%s\": \"%s\": sums and counts do not belong together", show_path(path).s, show_view(name).s);
    *e = (struct imatrix_entry){.name = arena_strdup(&im->arena, name), .n_matrix = (uint32_t)n_matrix, .d_in = (uint32_t)d_in};
    if (!e->name) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "imatrix \"%s\": out of memory", show_path(path).s);
    slm_status st = copy_floats(im, path, sums, &e->sum2, err);
    if (st == SLM_OK) st = copy_floats(im, path, counts, &e->counts, err);
    if (st == SLM_OK) im->n++;
    return st;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct imatrix_entry *)a)->name, ((const struct imatrix_entry *)b)->name);
}

static slm_status read_keys(struct imatrix *im, const struct gguf *g, slm_err *err) {
    slm_status st = SLM_OK;
    uint64_t n_chunk = 0, chunk_size = 0;
    struct view last = {0}, *all = NULL;
    const struct gguf_kv *sets = gguf_find(g, "imatrix.datasets");
    TRY(gguf_get_u64(g, "imatrix.chunk_count", &n_chunk, err));
    TRY(gguf_get_u64(g, "imatrix.chunk_size", &chunk_size, err));
    if (n_chunk > UINT32_MAX || chunk_size > INT32_MAX) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "imatrix \"%s\": counts of chunks are out of range", show_path(gguf_path(g)).s);
    if (sets && sets->n_elem > 0 && (sets->type == GGUF_STRING || (sets->type == GGUF_ARRAY && sets->elem_type == GGUF_STRING))) {
        void *mem = NULL;
        TRY(mem_alloc(&mem, (size_t)sets->n_elem, sizeof *all, "datasets", err));
        all = mem;
        gguf_kv_strings(sets, all);
        last = all[sets->n_elem - 1];
    }
    im->dataset = arena_strdup(&im->arena, last);
    if (!im->dataset) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "imatrix: out of memory");
    im->n_chunk = (uint32_t)n_chunk;
    im->chunk_size = (uint32_t)chunk_size;
out:
    free(all);
    return st;
}

slm_status imatrix_read(const char *path, struct imatrix **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct imatrix *im = NULL;
    struct gguf *g = NULL;
    struct view type = {0};
    void *mem = NULL;
    *out = NULL;
    TRY(gguf_open(path, &g, err));
    if (gguf_get_string(g, "general.type", &type, NULL) != SLM_OK || !view_eq(type, VIEW("imatrix"))) {
        err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "imatrix \"%s\": general.type is not \"imatrix\"", show_path(path).s);
        err_hint(err, "make one with: slm imatrix -m MODEL -f TEXT -o FILE");
        st = SLM_E_FORMAT;
        goto out;
    }
    TRY(mem_alloc(&mem, 1, sizeof *im, "imatrix", err));
    im = mem;
    arena_init(&im->arena, ARENA_BYTES_MAX);
    TRY(mem_alloc(&mem, gguf_n_tensor(g) + 1, sizeof *im->entries, "imatrix", err));
    im->entries = mem;
    TRY(read_keys(im, g, err));
    for (size_t i = 0; i < gguf_n_tensor(g); i++)
        if (ends_with(gguf_tensor_at(g, i)->name, VIEW(SUM_SUFFIX))) TRY(read_entry(im, g, gguf_tensor_at(g, i), err));
    if (im->n == 0) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "imatrix \"%s\": holds no sums", show_path(path).s);
    qsort(im->entries, im->n, sizeof *im->entries, by_name);
    *out = im;
    im = NULL;
out:
    imatrix_destroy(im);
    gguf_close(g);
    return st;
}

void imatrix_destroy(struct imatrix *im) {
    if (!im) return;
    arena_fini(&im->arena);
    free(im->entries);
    free(im);
}

const struct imatrix_entry *imatrix_find(const struct imatrix *im, const char *name, size_t n_name) {
    size_t lo = 0, hi = im->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int order = strncmp(im->entries[mid].name, name, n_name);
        if (order == 0) order = im->entries[mid].name[n_name] != 0;
        if (order == 0) return &im->entries[mid];
        if (order < 0) lo = mid + 1;
        else hi = mid;
    }
    return NULL;
}

slm_status imatrix_importance(const struct imatrix *im, const struct gguf_tensor *t, float **out, slm_err *err) {
    const struct imatrix_entry *e = imatrix_find(im, t->name.ptr, t->name.len);
    uint64_t d_in = t->shape[t->n_dim ? t->n_dim - 1 : 0];
    uint64_t n_matrix = t->n_dim > 2 && t->n_elem ? t->n_elem / d_in / t->shape[t->n_dim - 2] : 1;
    void *mem = NULL;
    *out = NULL;
    if (!e || t->n_dim < 2) return SLM_OK;
    if (e->d_in != d_in || e->n_matrix != n_matrix) {
        err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "imatrix entry \"%s\": is [%u, %u], the tensor needs [%llu, %llu]", show_cstr(e->name).s, e->n_matrix,
                e->d_in, (unsigned long long)n_matrix, (unsigned long long)d_in);
        err_hint(err, "the imatrix is of another model");
        return SLM_E_FORMAT;
    }
    slm_status st = mem_alloc(&mem, (size_t)(n_matrix * d_in), sizeof(float), "importance", err);
    if (st != SLM_OK) return st;
    *out = mem;
    for (uint64_t m = 0; m < n_matrix; m++)
        for (uint64_t j = 0; j < d_in; j++) (*out)[m * d_in + j] = e->counts[m] > 0 ? e->sum2[m * d_in + j] / e->counts[m] : 1;
    return SLM_OK;
}
