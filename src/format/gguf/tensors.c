/* tensors.c -- the tensor table of one file: descriptions first, then where their bytes lie.
 *
 * Bytes lie in the data section, which begins at the first aligned place behind the table; offsets count from
 * there. Overlap is found by sorting places by offset: in that order only neighbours can touch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/gguf/gguf_int.h"

static void name_tensor(struct cursor *c, const struct gguf_tensor *t) {
    snprintf(c->what, sizeof c->what, "tensor \"%s\"", show_view(t->name).s);
}

static slm_status read_shape(struct cursor *c, struct gguf_tensor *t, slm_err *err) {
    uint64_t where = c->pos, dims[GGUF_N_DIM_MAX];
    slm_status st;
    TRY(cursor_u32(c, &t->n_dim, err));
    if (t->n_dim == 0 || t->n_dim > GGUF_N_DIM_MAX) {
        st = cursor_fail(err, c, t->n_dim ? SLM_E_UNSUPPORTED : SLM_E_FORMAT, where,
                         "%u dimensions: 1 to %d are supported", t->n_dim, GGUF_N_DIM_MAX);
        goto out;
    }
    t->n_elem = 1;
    for (uint32_t i = 0; i < t->n_dim; i++) {
        where = c->pos;
        TRY(cursor_u64(c, &dims[i], err));
        if (dims[i] == 0 || dims[i] > INT64_MAX / t->n_elem) {
            st = cursor_fail(err, c, SLM_E_FORMAT, where, "dimension %u of %llu: %s", i, (unsigned long long)dims[i],
                             dims[i] ? "the number of elements overflows" : "a tensor has no empty dimensions");
            goto out;
        }
        t->n_elem *= dims[i];
    }
    for (uint32_t i = 0; i < GGUF_N_DIM_MAX; i++) t->shape[i] = i < t->n_dim ? dims[t->n_dim - 1 - i] : 1;
out:
    return st;
}

static slm_status read_dtype(struct cursor *c, struct gguf_tensor *t, slm_err *err) {
    uint64_t where = c->pos;
    uint32_t id;
    slm_status st = cursor_u32(c, &id, err);
    if (st != SLM_OK) return st;
    const struct dtype_desc *d = dtype_by_gguf_id(id);
    if (!d && !dtype_gguf_name(id)) return cursor_fail(err, c, SLM_E_UNSUPPORTED, where, "type %u is unknown", id);
    if (!d)
        return cursor_fail(err, c, SLM_E_UNSUPPORTED, where, "type \"%s\" (%u) is not supported", dtype_gguf_name(id),
                           id);
    t->dtype = d->id;
    uint64_t d_row = t->shape[t->n_dim - 1];
    if (d_row % d->block_elems != 0)
        return cursor_fail(err, c, SLM_E_FORMAT, where,
                           "rows of %llu elements are no multiple of the %u in a block of %s",
                           (unsigned long long)d_row, d->block_elems, d->name);
    if (!dtype_row_bytes(d->id, t->n_elem, &t->n_bytes))
        return cursor_fail(err, c, SLM_E_FORMAT, where, "the number of bytes overflows");
    return SLM_OK;
}

/* offset stays counted from the data section until place_tensor. */
static slm_status read_tensor(struct gguf *g, struct cursor *c, size_t i, slm_err *err) {
    struct gguf_tensor *t = &g->tensors[i];
    struct gguf_records records = {g->tensors, sizeof *g->tensors};
    uint64_t where = c->pos;
    slm_status st;
    snprintf(c->what, sizeof c->what, "tensor %zu", i);
    TRY(cursor_string(c, GGUF_NAME_BYTES_MAX, &t->name, err));
    if (t->name.len == 0) {
        st = cursor_fail(err, c, SLM_E_FORMAT, where, "its name is empty");
        goto out;
    }
    name_tensor(c, t);
    if (gguf_index_find(&g->tensor_index, records, t->name) != GGUF_NONE) {
        st = cursor_fail(err, c, SLM_E_FORMAT, where, "appears twice");
        goto out;
    }
    TRY(read_shape(c, t, err));
    TRY(read_dtype(c, t, err));
    TRY(cursor_u64(c, &t->offset, err));
    t->i_shard = c->i_shard;
    TRY(gguf_index_add(&g->tensor_index, records, i, err));
    g->n_tensor = i + 1;
out:
    return st;
}

static slm_status read_alignment(const struct gguf *g, uint64_t *alignment, slm_err *err) {
    const struct gguf_kv *kv = gguf_find(g, GGUF_KEY_ALIGNMENT);
    *alignment = GGUF_ALIGNMENT_DEFAULT;
    if (!kv) return SLM_OK;
    slm_status st = gguf_get_u64(g, GGUF_KEY_ALIGNMENT, alignment, err);
    if (st != SLM_OK) return st;
    uint64_t a = *alignment;
    if (a < GGUF_ALIGNMENT_MIN || a > GGUF_ALIGNMENT_MAX || (a & (a - 1)) != 0)
        return gguf_fail(err, g->path, SLM_E_FORMAT, kv->offset,
                         "key \"" GGUF_KEY_ALIGNMENT "\": %llu is not a power of two from %d to %d",
                         (unsigned long long)a, GGUF_ALIGNMENT_MIN, GGUF_ALIGNMENT_MAX);
    return SLM_OK;
}

static slm_status place_tensor(struct cursor *c, struct gguf_tensor *t, uint64_t data_start, uint64_t alignment,
                               slm_err *err) {
    uint64_t offset = t->offset;
    name_tensor(c, t);
    if (offset % alignment != 0)
        return cursor_fail(err, c, SLM_E_FORMAT, c->pos, "offset %llu is not aligned to %llu",
                           (unsigned long long)offset, (unsigned long long)alignment);
    if (data_start > c->size || offset > c->size - data_start || t->n_bytes > c->size - data_start - offset)
        return cursor_fail(err, c, SLM_E_FORMAT, c->size, "its %llu bytes at offset %llu pass the end of the file",
                           (unsigned long long)t->n_bytes, (unsigned long long)offset);
    t->offset = data_start + offset;
    t->data = c->data + t->offset;
    return SLM_OK;
}

static int by_offset(const void *a, const void *b) {
    const struct gguf_tensor *x = *(struct gguf_tensor *const *)a, *y = *(struct gguf_tensor *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static slm_status check_overlap(const struct gguf *g, struct cursor *c, slm_err *err) {
    void *p = NULL;
    slm_status st = mem_alloc(&p, g->n_tensor, sizeof(struct gguf_tensor *), "tensor order", err);
    if (st != SLM_OK) return st;
    struct gguf_tensor **order = p;
    for (size_t i = 0; i < g->n_tensor; i++) order[i] = &g->tensors[i];
    qsort(order, g->n_tensor, sizeof *order, by_offset);
    for (size_t i = 1; i < g->n_tensor && st == SLM_OK; i++) {
        const struct gguf_tensor *a = order[i - 1], *b = order[i];
        if (b->offset - a->offset >= a->n_bytes) continue;
        name_tensor(c, b);
        st = cursor_fail(err, c, SLM_E_FORMAT, b->offset, "overlaps tensor \"%s\"", show_view(a->name).s);
    }
    free(order);
    return st;
}

slm_status gguf_parse_tensors(struct gguf *g, struct cursor *c, size_t n, slm_err *err) {
    uint64_t alignment;
    void *p = NULL;
    slm_status st;
    TRY(read_alignment(g, &alignment, err));
    if (n == 0) goto out;
    TRY(mem_alloc(&p, n, sizeof *g->tensors, "tensor table", err));
    g->tensors = p;
    for (size_t i = 0; i < n; i++) TRY(read_tensor(g, c, i, err));
    uint64_t data_start = ((uint64_t)c->pos + alignment - 1) / alignment * alignment;
    for (size_t i = 0; i < n; i++) TRY(place_tensor(c, &g->tensors[i], data_start, alignment, err));
    TRY(check_overlap(g, c, err));
out:
    return st;
}
