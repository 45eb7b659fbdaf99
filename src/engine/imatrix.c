/* imatrix.c -- importance matrices as files: read, checked, looked up.
 *
 * A file is GGUF, so its counts and offsets are checked by the reader; here it is checked that what it holds are sums and
 * counts that belong together. Entries are kept sorted by name. */
#include "engine/imatrix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/show.h"

#define SUM_SUFFIX ".in_sum2"
#define COUNT_SUFFIX ".counts"
#define OUTER_SUFFIX ".in_outer"
#define SHRINK 0.05 /* of moments between inputs: measured on some ten thousand tokens they are noisy */
#define ARENA_BYTES_MAX ((size_t)4 << 30)

static bool ends_with(struct view v, struct view end) {
    return v.len > end.len && memcmp(v.ptr + v.len - end.len, end.ptr, end.len) == 0;
}

static slm_status copy_floats(struct imatrix *im, const char *path, const struct gguf_tensor *t, float min, float **out, slm_err *err) {
    *out = arena_alloc(&im->arena, t->n_elem * sizeof(float), 64);
    if (!*out) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "imatrix \"%s\": out of memory", show_path(path).s);
    memcpy(*out, t->data, t->n_elem * sizeof(float));
    for (uint64_t i = 0; i < t->n_elem; i++)
        if (!isfinite((*out)[i]) || (*out)[i] < min)
            return err_set(err, SLM_E_FORMAT, t->offset, "imatrix \"%s\": tensor \"%s\" holds a value that is no such sum", show_path(path).s,
                           show_view(t->name).s);
    return SLM_OK;
}

static slm_status read_outer(struct imatrix *im, const struct gguf *g, struct imatrix_entry *e, slm_err *err) {
    char name[GGUF_NAME_BYTES_MAX + sizeof OUTER_SUFFIX];
    snprintf(name, sizeof name, "%s" OUTER_SUFFIX, e->name);
    const struct gguf_tensor *t = gguf_find_tensor(g, name);
    if (!t) return SLM_OK;
    uint64_t width = t->n_dim == 2 ? t->shape[1] : 0;
    if (t->dtype != DTYPE_F32 || e->n_matrix != 1 || width == 0 || width > e->d_in || t->shape[0] != e->d_in)
        return err_set(err, SLM_E_FORMAT, t->offset, "imatrix \"%s\": tensor \"%s\" does not belong to its sums", show_path(gguf_path(g)).s, show_cstr(name).s);
    e->width = (uint32_t)width;
    return copy_floats(im, gguf_path(g), t, -INFINITY, &e->outer, err);
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
    slm_status st = copy_floats(im, path, sums, 0, &e->sum2, err);
    if (st == SLM_OK) st = copy_floats(im, path, counts, 0, &e->counts, err);
    if (st == SLM_OK) st = read_outer(im, g, e, err);
    if (st == SLM_OK) im->n++;
    return st;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct imatrix_entry *)a)->name, ((const struct imatrix_entry *)b)->name);
}

void imatrix_sort(struct imatrix *im) { qsort(im->entries, im->n, sizeof *im->entries, by_name); }

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

/* The older form: i32 number of entries; each i32 length, name, i32 calls, i32 number of sums, f32 sums; then perhaps i32 chunks, i32
 * length, name of the text. Sums over calls are mean squares. */
struct legacy {
    const uint8_t *at, *end;
    const char *path;
};

static slm_status legacy_bad(const struct legacy *l, const char *what, slm_err *err) {
    err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "imatrix \"%s\": no GGUF, and not of the older form: %s", show_path(l->path).s, what);
    err_hint(err, "make one with: slm imatrix -m MODEL -f TEXT -o FILE");
    return SLM_E_FORMAT;
}

static bool legacy_i32(struct legacy *l, int32_t *v) {
    if (l->end - l->at < 4) return false;
    memcpy(v, l->at, 4);
    l->at += 4;
    return true;
}

static bool legacy_bytes(struct legacy *l, int64_t n, struct view *v) {
    if (n < 0 || l->end - l->at < n) return false;
    *v = (struct view){(const char *)l->at, (size_t)n};
    l->at += n;
    return true;
}

static slm_status read_legacy_entry(struct imatrix *im, struct legacy *l, slm_err *err) {
    struct imatrix_entry *e = &im->entries[im->n];
    struct view name, sums;
    int32_t n_name, n_call, n_sum;
    if (!legacy_i32(l, &n_name) || n_name < 1 || n_name > GGUF_NAME_BYTES_MAX || !legacy_bytes(l, n_name, &name)) return legacy_bad(l, "a name", err);
    if (!legacy_i32(l, &n_call) || n_call < 0 || !legacy_i32(l, &n_sum) || n_sum < 1 || !legacy_bytes(l, 4 * (int64_t)n_sum, &sums))
        return legacy_bad(l, "counts of an entry", err);
    *e = (struct imatrix_entry){.name = arena_strdup(&im->arena, name), .n_matrix = 1, .d_in = (uint32_t)n_sum};
    e->sum2 = arena_alloc(&im->arena, sums.len, 64);
    e->counts = arena_alloc(&im->arena, sizeof *e->counts, 4);
    if (!e->name || !e->sum2 || !e->counts) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "imatrix \"%s\": out of memory", show_path(l->path).s);
    memcpy(e->sum2, sums.ptr, sums.len);
    e->counts[0] = (float)n_call;
    for (int32_t i = 0; i < n_sum; i++)
        if (!isfinite(e->sum2[i]) || e->sum2[i] < 0) return legacy_bad(l, "a value that is no sum of squares", err);
    im->n++;
    return SLM_OK;
}

static slm_status read_legacy(const struct file_map *map, const char *path, struct imatrix **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct legacy l = {map->data, map->data + map->size, path};
    struct imatrix *im = NULL;
    struct view dataset = {0};
    int32_t n_entry, n_chunk = 0, n_name;
    void *mem = NULL;
    if (!legacy_i32(&l, &n_entry) || n_entry < 1 || n_entry > (l.end - l.at) / 12) return legacy_bad(&l, "the number of entries", err);
    TRY(mem_alloc(&mem, 1, sizeof *im, "imatrix", err));
    im = mem;
    im->is_legacy = true;
    arena_init(&im->arena, ARENA_BYTES_MAX);
    TRY(mem_alloc(&mem, (size_t)n_entry, sizeof *im->entries, "imatrix", err));
    im->entries = mem;
    while (im->n < (size_t)n_entry) TRY(read_legacy_entry(im, &l, err));
    if (l.at < l.end && (!legacy_i32(&l, &n_chunk) || n_chunk < 0)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "imatrix \"%s\": bad number of chunks", show_path(path).s);
    if (l.at < l.end && (!legacy_i32(&l, &n_name) || !legacy_bytes(&l, n_name, &dataset))) {
        st = legacy_bad(&l, "the name of its text", err);
        goto out;
    }
    im->n_chunk = (uint32_t)n_chunk;
    im->dataset = arena_strdup(&im->arena, dataset);
    if (!im->dataset) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "imatrix: out of memory");
    imatrix_sort(im);
    *out = im;
    im = NULL;
out:
    imatrix_destroy(im);
    return st;
}

slm_status imatrix_read(const char *path, struct imatrix **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct imatrix *im = NULL;
    struct gguf *g = NULL;
    struct view type = {0};
    struct file_map map = {0};
    void *mem = NULL;
    *out = NULL;
    TRY(file_map_open(&map, path, err));
    if (map.size < 4 || memcmp(map.data, "GGUF", 4) != 0) {
        st = read_legacy(&map, path, out, err);
        goto out;
    }
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
    imatrix_sort(im);
    *out = im;
    im = NULL;
out:
    imatrix_destroy(im);
    gguf_close(g);
    file_map_close(&map);
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

/* The entry that keeps the moments of e's inputs: itself, or one whose sums are the same to the bit. */
static const struct imatrix_entry *with_outer(const struct imatrix *im, const struct imatrix_entry *e) {
    if (e->outer || e->n_matrix != 1) return e;
    for (size_t i = 0; i < im->n; i++) {
        const struct imatrix_entry *o = &im->entries[i];
        if (o->outer && o->d_in == e->d_in && o->counts[0] == e->counts[0] && memcmp(o->sum2, e->sum2, e->d_in * sizeof *e->sum2) == 0) return o;
    }
    return e;
}

slm_status input_weights_get(const struct imatrix *im, const struct gguf_tensor *t, enum dtype to, struct input_weights *w, slm_err *err) {
    const struct imatrix_entry *e = im ? imatrix_find(im, t->name.ptr, t->name.len) : NULL;
    uint64_t d_in = t->shape[t->n_dim ? t->n_dim - 1 : 0];
    uint64_t n_matrix = t->n_dim > 2 && t->n_elem ? t->n_elem / d_in / t->shape[t->n_dim - 2] : 1;
    void *mem = NULL;
    *w = (struct input_weights){0};
    if (!e || t->n_dim < 2) return SLM_OK;
    if ((uint64_t)e->d_in * e->n_matrix != d_in * n_matrix || (e->n_matrix != n_matrix && !im->is_legacy)) {
        err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "imatrix entry \"%s\": is [%u, %u], the tensor needs [%llu, %llu]", show_cstr(e->name).s, e->n_matrix,
                e->d_in, (unsigned long long)n_matrix, (unsigned long long)d_in);
        err_hint(err, "the imatrix is of another model");
        return SLM_E_FORMAT;
    }
    slm_status st = mem_alloc(&mem, (size_t)(n_matrix * d_in), sizeof(float), "importance", err);
    if (st != SLM_OK) return st;
    w->importance = mem;
    for (uint64_t m = 0; m < n_matrix; m++) {
        float count = e->counts[e->n_matrix == n_matrix ? m : 0];
        for (uint64_t j = 0; j < d_in; j++) w->importance[m * d_in + j] = count > 0 ? e->sum2[m * d_in + j] / count : 1;
    }
    const struct imatrix_entry *o = with_outer(im, e);
    if (!o->outer || im->no_carry || !(o->counts[0] > 0) || view_eq(t->name, VIEW("token_embd.weight")) || (to != DTYPE_COUNT && (!carry_can(dtype_get(to)) || !carry_fits(dtype_get(to), o->d_in, o->width))))
        return SLM_OK;
    return carry_create(o->outer, o->d_in, o->width, (double)o->counts[0], SHRINK, &w->carry, err);
}

void input_weights_fini(struct input_weights *w) {
    free(w->importance);
    carry_destroy(w->carry);
    *w = (struct input_weights){0};
}
