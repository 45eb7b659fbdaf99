/* write.c -- the writer: everything is collected and checked first, so that sizes and offsets are known before
 * the first byte; then header, keys, tensor table and tensor bytes go out in one pass.
 *
 * Only metadata is held in memory. Tensor bytes come from the caller's source and are counted, because every
 * later offset depends on them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format/gguf/gguf_int.h"

#define SPLIT_PREFIX "split."

struct item { /* key and bytes are owned; the key's bytes are those of name.ptr */
    struct view name;
    enum gguf_type type, elem_type;
    uint64_t n_elem;
    uint8_t *bytes; /* as they stand in the file, behind type and count */
    size_t n_bytes;
};

struct planned {
    struct view name;
    enum dtype dtype;
    uint32_t n_dim;
    uint64_t shape[GGUF_N_DIM_MAX]; /* slowest first */
    uint64_t n_bytes;
};

struct gguf_writer {
    struct item *items;
    size_t n_item, cap_item;
    struct gguf_index item_index;
    struct planned *tensors;
    size_t n_tensor, cap_tensor;
    struct gguf_index tensor_index;
};

slm_status gguf_writer_create(struct gguf_writer **out, slm_err *err) {
    void *p = NULL;
    slm_status st = mem_alloc(&p, 1, sizeof **out, "gguf writer", err);
    *out = p;
    return st;
}

void gguf_writer_destroy(struct gguf_writer *w) {
    if (!w) return;
    for (size_t i = 0; i < w->n_item; i++) {
        free((char *)w->items[i].name.ptr);
        free(w->items[i].bytes);
    }
    for (size_t i = 0; i < w->n_tensor; i++) free((char *)w->tensors[i].name.ptr);
    gguf_index_fini(&w->item_index);
    gguf_index_fini(&w->tensor_index);
    free(w->items);
    free(w->tensors);
    free(w);
}

/* Room for one more record of `size` bytes in *records. */
static slm_status reserve(void **records, size_t *cap, size_t n, size_t size, slm_err *err) {
    if (n < *cap) return SLM_OK;
    size_t cap_new = *cap ? 2 * *cap : 32;
    void *p = NULL;
    slm_status st = mem_alloc(&p, cap_new, size, "gguf writer", err);
    if (st != SLM_OK) return st;
    if (n) memcpy(p, *records, n * size);
    free(*records);
    *records = p;
    *cap = cap_new;
    return SLM_OK;
}

static slm_status copy_name(struct view name, struct view *out, slm_err *err) {
    char *copy = malloc(name.len + 1);
    if (!copy) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "gguf writer: out of memory");
    memcpy(copy, name.ptr, name.len);
    copy[name.len] = 0;
    *out = (struct view){copy, name.len};
    return SLM_OK;
}

static slm_status check_key(struct view key, slm_err *err) {
    if (key.len == 0 || key.len > GGUF_KEY_BYTES_MAX)
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "key \"%s\": its length is not 1..%d", show_view(key).s,
                       GGUF_KEY_BYTES_MAX);
    return SLM_OK;
}

/* 0 when the value is no single integer. */
static uint64_t alignment_in(const struct item *item) {
    bool integer = item->type != GGUF_ARRAY && item->type != GGUF_STRING && item->type != GGUF_BOOL &&
                   item->type != GGUF_F32 && item->type != GGUF_F64;
    struct gguf_kv kv = {
        .type = item->type, .elem_type = item->type, .n_elem = 1, .data = {(char *)item->bytes, item->n_bytes}};
    return integer ? (uint64_t)gguf_kv_i64(&kv, 0) : 0;
}

static slm_status check_alignment(const struct item *item, slm_err *err) {
    uint64_t a = alignment_in(item);
    if (a < GGUF_ALIGNMENT_MIN || a > GGUF_ALIGNMENT_MAX || (a & (a - 1)) != 0)
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE,
                       "key \"" GGUF_KEY_ALIGNMENT "\": not a power of two from %d to %d", GGUF_ALIGNMENT_MIN,
                       GGUF_ALIGNMENT_MAX);
    return SLM_OK;
}

/* Takes item->bytes over, also on failure. A key that is there already gets the new value in its old place. */
static slm_status put_item(struct gguf_writer *w, struct view key, struct item item, slm_err *err) {
    struct gguf_records records = {w->items, sizeof *w->items};
    slm_status st;
    TRY(check_key(key, err));
    if (view_eq(key, VIEW(GGUF_KEY_ALIGNMENT))) TRY(check_alignment(&item, err));
    size_t at = gguf_index_find(&w->item_index, records, key);
    if (at != GGUF_NONE) {
        item.name = w->items[at].name;
        free(w->items[at].bytes);
        w->items[at] = item;
        return SLM_OK;
    }
    if (w->n_item >= GGUF_N_KV_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "too many keys: the limit is %d", GGUF_N_KV_MAX);
    void *p = w->items;
    st = reserve(&p, &w->cap_item, w->n_item, sizeof *w->items, err);
    w->items = p;
    TRY(st);
    TRY(copy_name(key, &item.name, err));
    w->items[w->n_item] = item;
    records.records = w->items;
    st = gguf_index_add(&w->item_index, records, w->n_item, err);
    if (st == SLM_OK) {
        w->n_item++;
        return SLM_OK;
    }
    free((char *)item.name.ptr);
out:
    free(item.bytes);
    return st;
}

static slm_status put_bytes(struct gguf_writer *w, struct view key, struct item item, const void *bytes, size_t n,
                            slm_err *err) {
    void *p = NULL;
    slm_status st = mem_alloc(&p, n + 1, 1, "value of a key", err);
    if (st != SLM_OK) return st;
    if (n) memcpy(p, bytes, n);
    item.bytes = p;
    item.n_bytes = n;
    return put_item(w, key, item, err);
}

static slm_status put_scalar(struct gguf_writer *w, const char *key, enum gguf_type type, const void *v, slm_err *err) {
    struct item item = {.type = type, .elem_type = type, .n_elem = 1};
    return put_bytes(w, view_of(key), item, v, gguf_type_bytes(type), err);
}

slm_status gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v, slm_err *err) {
    return put_scalar(w, key, GGUF_U32, &v, err);
}

slm_status gguf_put_u64(struct gguf_writer *w, const char *key, uint64_t v, slm_err *err) {
    return put_scalar(w, key, GGUF_U64, &v, err);
}

slm_status gguf_put_f32(struct gguf_writer *w, const char *key, float v, slm_err *err) {
    return put_scalar(w, key, GGUF_F32, &v, err);
}

slm_status gguf_put_bool(struct gguf_writer *w, const char *key, bool v, slm_err *err) {
    uint8_t byte = v;
    return put_scalar(w, key, GGUF_BOOL, &byte, err);
}

/* Strings as they stand in a file: each a length of 8 bytes and its bytes. */
static slm_status put_string_list(struct gguf_writer *w, const char *key, enum gguf_type type, const struct view *v,
                                  size_t n, slm_err *err) {
    size_t total = 0;
    void *p = NULL;
    if (n > GGUF_ARRAY_MAX)
        return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "key \"%s\": %zu elements: the limit is %u",
                       show_view(view_of(key)).s, n, GGUF_ARRAY_MAX);
    for (size_t i = 0; i < n; i++) {
        if (v[i].len > GGUF_STRING_BYTES_MAX || !size_add(total, v[i].len + sizeof(uint64_t), &total))
            return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "key \"%s\": string of %zu bytes: the limit is %u",
                           show_view(view_of(key)).s, v[i].len, GGUF_STRING_BYTES_MAX);
    }
    slm_status st = mem_alloc(&p, total + 1, 1, "value of a key", err);
    if (st != SLM_OK) return st;
    uint8_t *at = p;
    for (size_t i = 0; i < n; i++) {
        uint64_t len = v[i].len;
        memcpy(at, &len, sizeof len);
        if (len) memcpy(at + sizeof len, v[i].ptr, len);
        at += sizeof len + len;
    }
    struct item item = {.type = type, .elem_type = GGUF_STRING, .n_elem = n, .bytes = p, .n_bytes = total};
    return put_item(w, view_of(key), item, err);
}

slm_status gguf_put_string(struct gguf_writer *w, const char *key, struct view v, slm_err *err) {
    return put_string_list(w, key, GGUF_STRING, &v, 1, err);
}

slm_status gguf_put_strings(struct gguf_writer *w, const char *key, const struct view *v, size_t n, slm_err *err) {
    return put_string_list(w, key, GGUF_ARRAY, v, n, err);
}

slm_status gguf_put_array(struct gguf_writer *w, const char *key, enum gguf_type elem_type, const void *elems, size_t n,
                          slm_err *err) {
    if ((unsigned)elem_type >= GGUF_N_TYPE || gguf_type_bytes(elem_type) == 0)
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "key \"%s\": an array of \"%s\" has no fixed size",
                       show_view(view_of(key)).s, gguf_type_name(elem_type));
    if (n > GGUF_ARRAY_MAX)
        return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "key \"%s\": %zu elements: the limit is %u",
                       show_view(view_of(key)).s, n, GGUF_ARRAY_MAX);
    for (size_t i = 0; elem_type == GGUF_BOOL && i < n; i++)
        if (((const uint8_t *)elems)[i] > 1)
            return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "key \"%s\": a bool value is neither 0 nor 1",
                           show_view(view_of(key)).s);
    struct item item = {.type = GGUF_ARRAY, .elem_type = elem_type, .n_elem = n};
    return put_bytes(w, view_of(key), item, elems, n * gguf_type_bytes(elem_type), err);
}

slm_status gguf_put_kv(struct gguf_writer *w, const struct gguf_kv *kv, slm_err *err) {
    struct item item = {.type = kv->type, .elem_type = kv->elem_type, .n_elem = kv->n_elem};
    size_t n_prefix = sizeof SPLIT_PREFIX - 1;
    if (kv->key.len > n_prefix && memcmp(kv->key.ptr, SPLIT_PREFIX, n_prefix) == 0) return SLM_OK;
    if (kv->type != GGUF_STRING) return put_bytes(w, kv->key, item, kv->data.ptr, kv->data.len, err);
    uint64_t len = kv->data.len;
    void *p = NULL;
    slm_status st = mem_alloc(&p, sizeof len + len, 1, "value of a key", err);
    if (st != SLM_OK) return st;
    memcpy(p, &len, sizeof len);
    if (len) memcpy((uint8_t *)p + sizeof len, kv->data.ptr, len);
    item.bytes = p;
    item.n_bytes = sizeof len + len;
    return put_item(w, kv->key, item, err);
}

/* Shape and type give whole blocks and a number of bytes, which is filled. */
static slm_status check_size(struct planned *t, slm_err *err) {
    const struct dtype_desc *d = dtype_get(t->dtype);
    const char *name = t->name.ptr;
    slm_status st = SLM_OK;
    uint64_t n_elem = 1;
    if (t->n_dim == 0 || t->n_dim > GGUF_N_DIM_MAX)
        FAIL(SLM_E_FORMAT, SLM_NOWHERE, "tensor \"%s\": %u dimensions: 1 to %d are possible", name, t->n_dim,
             GGUF_N_DIM_MAX);
    for (uint32_t i = 0; i < t->n_dim; i++) {
        if (t->shape[i] == 0 || t->shape[i] > INT64_MAX / n_elem)
            FAIL(SLM_E_FORMAT, SLM_NOWHERE, "tensor \"%s\": dimension %u of %llu is empty or too large", name, i,
                 (unsigned long long)t->shape[i]);
        n_elem *= t->shape[i];
    }
    if (t->shape[t->n_dim - 1] % d->block_elems != 0)
        FAIL(SLM_E_FORMAT, SLM_NOWHERE,
             "tensor \"%s\": rows of %llu elements are no multiple of the %u in a block of %s", name,
             (unsigned long long)t->shape[t->n_dim - 1], d->block_elems, d->name);
    if (!dtype_row_bytes(t->dtype, n_elem, &t->n_bytes) || t->n_bytes > INT64_MAX / 2)
        FAIL(SLM_E_FORMAT, SLM_NOWHERE, "tensor \"%s\": the number of bytes overflows", name);
out:
    return st;
}

static slm_status check_tensor(const struct gguf_writer *w, struct planned *t, slm_err *err) {
    const char *name = t->name.ptr;
    slm_status st = SLM_OK;
    if (t->name.len == 0 || t->name.len > GGUF_NAME_BYTES_MAX)
        FAIL(SLM_E_FORMAT, SLM_NOWHERE, "tensor \"%s\": its length is not 1..%d", show_view(t->name).s,
             GGUF_NAME_BYTES_MAX);
    if (gguf_index_find(&w->tensor_index, (struct gguf_records){w->tensors, sizeof *w->tensors}, t->name) != GGUF_NONE)
        FAIL(SLM_E_FORMAT, SLM_NOWHERE, "tensor \"%s\": added twice", name);
    TRY(check_size(t, err));
    if (w->n_tensor >= GGUF_N_TENSOR_MAX)
        FAIL(SLM_E_LIMIT, SLM_NOWHERE, "too many tensors: the limit is %d", GGUF_N_TENSOR_MAX);
out:
    return st;
}

slm_status gguf_set_dtype(struct gguf_writer *w, size_t i, enum dtype dtype, slm_err *err) {
    SLM_ASSERT(i < w->n_tensor);
    struct planned t = w->tensors[i];
    t.dtype = dtype;
    slm_status st = check_size(&t, err);
    if (st == SLM_OK) w->tensors[i] = t;
    return st;
}

slm_status gguf_add_tensor(struct gguf_writer *w, const char *name, enum dtype dtype, uint32_t n_dim,
                           const uint64_t *shape, slm_err *err) {
    struct planned t = {.name = view_of(name), .dtype = dtype, .n_dim = n_dim};
    for (uint32_t i = 0; n_dim <= GGUF_N_DIM_MAX && i < n_dim; i++) t.shape[i] = shape[i];
    slm_status st = check_tensor(w, &t, err);
    if (st != SLM_OK) return st;
    void *p = w->tensors;
    st = reserve(&p, &w->cap_tensor, w->n_tensor, sizeof *w->tensors, err);
    w->tensors = p;
    if (st == SLM_OK) st = copy_name(t.name, &t.name, err);
    if (st != SLM_OK) return st;
    w->tensors[w->n_tensor] = t;
    st = gguf_index_add(&w->tensor_index, (struct gguf_records){w->tensors, sizeof *w->tensors}, w->n_tensor, err);
    if (st == SLM_OK)
        w->n_tensor++;
    else
        free((char *)t.name.ptr);
    return st;
}

/* Where bytes go, counted. */
struct sink {
    FILE *stream;
    const char *path;
    uint64_t pos;
    const struct planned *tensor; /* being written; NULL in the metadata */
    uint64_t n_left;              /* of the tensor */
};

static slm_status emit(void *user, const void *bytes, size_t n, slm_err *err) {
    struct sink *s = user;
    if (s->tensor && n > s->n_left)
        return gguf_fail(err, s->path, SLM_E_FAILED, SLM_NOWHERE,
                         "tensor \"%s\": its source gives more than %llu bytes", show_view(s->tensor->name).s,
                         (unsigned long long)s->tensor->n_bytes);
    if (n && fwrite(bytes, 1, n, s->stream) != n)
        return gguf_fail(err, s->path, SLM_E_IO, s->pos, "cannot write: %s", strerror(errno));
    s->pos += n;
    if (s->tensor) s->n_left -= n;
    return SLM_OK;
}

static slm_status emit_u32(struct sink *s, uint32_t v, slm_err *err) { return emit(s, &v, sizeof v, err); }
static slm_status emit_u64(struct sink *s, uint64_t v, slm_err *err) { return emit(s, &v, sizeof v, err); }

static slm_status emit_name(struct sink *s, struct view v, slm_err *err) {
    slm_status st = emit_u64(s, v.len, err);
    return st == SLM_OK ? emit(s, v.ptr, v.len, err) : st;
}

static slm_status emit_padding(struct sink *s, uint64_t alignment, slm_err *err) {
    static const uint8_t zeros[256];
    slm_status st = SLM_OK;
    for (uint64_t n = (alignment - s->pos % alignment) % alignment; n > 0 && st == SLM_OK;) {
        uint64_t run = n < sizeof zeros ? n : sizeof zeros;
        st = emit(s, zeros, run, err);
        n -= run;
    }
    return st;
}

static uint64_t alignment_of(const struct gguf_writer *w) {
    size_t at =
        gguf_index_find(&w->item_index, (struct gguf_records){w->items, sizeof *w->items}, VIEW(GGUF_KEY_ALIGNMENT));
    return at == GGUF_NONE ? GGUF_ALIGNMENT_DEFAULT : alignment_in(&w->items[at]); /* checked when it was put */
}

static slm_status write_items(const struct gguf_writer *w, struct sink *s, slm_err *err) {
    slm_status st = SLM_OK;
    for (size_t i = 0; i < w->n_item; i++) {
        const struct item *item = &w->items[i];
        TRY(emit_name(s, item->name, err));
        TRY(emit_u32(s, item->type, err));
        if (item->type == GGUF_ARRAY) {
            TRY(emit_u32(s, item->elem_type, err));
            TRY(emit_u64(s, item->n_elem, err));
        }
        TRY(emit(s, item->bytes, item->n_bytes, err));
    }
out:
    return st;
}

static slm_status write_table(const struct gguf_writer *w, struct sink *s, uint64_t alignment, slm_err *err) {
    slm_status st = SLM_OK;
    uint64_t offset = 0;
    for (size_t i = 0; i < w->n_tensor; i++) {
        const struct planned *t = &w->tensors[i];
        TRY(emit_name(s, t->name, err));
        TRY(emit_u32(s, t->n_dim, err));
        for (uint32_t k = 0; k < t->n_dim; k++) TRY(emit_u64(s, t->shape[t->n_dim - 1 - k], err));
        TRY(emit_u32(s, dtype_get(t->dtype)->gguf_id, err));
        TRY(emit_u64(s, offset, err));
        uint64_t padded = (t->n_bytes + alignment - 1) / alignment * alignment;
        if (padded > INT64_MAX - offset)
            FAIL(SLM_E_FORMAT, SLM_NOWHERE, "tensor \"%s\": the size of the file overflows", show_view(t->name).s);
        offset += padded;
    }
out:
    return st;
}

static slm_status write_data(const struct gguf_writer *w, struct sink *s, uint64_t alignment, gguf_source source,
                             void *user, slm_err *err) {
    slm_status st = SLM_OK;
    for (size_t i = 0; i < w->n_tensor; i++) {
        TRY(emit_padding(s, alignment, err));
        s->tensor = &w->tensors[i];
        s->n_left = s->tensor->n_bytes;
        TRY(source(user, i, emit, s, err));
        if (s->n_left != 0)
            FAIL(SLM_E_FAILED, SLM_NOWHERE, "\"%s\": tensor \"%s\": its source gives %llu bytes too few",
                 show_path(s->path).s, show_view(s->tensor->name).s, (unsigned long long)s->n_left);
        s->tensor = NULL;
    }
    TRY(emit_padding(s, alignment, err));
out:
    return st;
}

slm_status gguf_write(struct gguf_writer *w, const char *path, gguf_source source, void *user, slm_err *err) {
    struct file_out file = {0};
    uint64_t alignment = alignment_of(w);
    slm_status st;
    TRY(file_out_open(&file, path, err));
    struct sink s = {.stream = file.stream, .path = path};
    TRY(emit(&s, GGUF_MAGIC, 4, err));
    TRY(emit_u32(&s, 3, err));
    TRY(emit_u64(&s, w->n_tensor, err));
    TRY(emit_u64(&s, w->n_item, err));
    TRY(write_items(w, &s, err));
    TRY(write_table(w, &s, alignment, err));
    TRY(write_data(w, &s, alignment, source, user, err));
    return file_out_commit(&file, err);
out:
    file_out_discard(&file);
    return st;
}

static struct gguf_kv kv_of(const struct item *item) {
    struct gguf_kv kv = {.key = item->name, .type = item->type, .elem_type = item->elem_type, .n_elem = item->n_elem, .offset = SLM_NOWHERE};
    size_t n_length = item->type == GGUF_STRING ? sizeof(uint64_t) : 0;
    kv.data = (struct view){(const char *)item->bytes + n_length, item->n_bytes - n_length};
    return kv;
}

static struct gguf_tensor tensor_of(const struct planned *t, const void *data) {
    struct gguf_tensor r = {.name = t->name, .dtype = t->dtype, .n_dim = t->n_dim, .n_elem = 1, .n_bytes = t->n_bytes, .data = data};
    r.offset = SLM_NOWHERE;
    for (uint32_t i = 0; i < GGUF_N_DIM_MAX; i++) r.shape[i] = i < t->n_dim ? t->shape[i] : 1;
    for (uint32_t i = 0; i < t->n_dim; i++) r.n_elem *= t->shape[i];
    return r;
}

slm_status gguf_view(const struct gguf_writer *w, const char *path, const void *const *data, void (*release)(void *user),
                     void *user, struct gguf **out, slm_err *err) {
    struct gguf *g = NULL;
    void *kv = NULL, *tensors = NULL;
    slm_status st;
    *out = NULL;
    TRY(gguf_create(path, &g, err));
    TRY(mem_alloc(&kv, w->n_item + 1, sizeof *g->kv, "key table", err));
    g->kv = kv;
    TRY(mem_alloc(&tensors, w->n_tensor + 1, sizeof *g->tensors, "tensor table", err));
    g->tensors = tensors;
    g->version = 3;
    for (; g->n_kv < w->n_item; g->n_kv++) {
        g->kv[g->n_kv] = kv_of(&w->items[g->n_kv]);
        TRY(gguf_index_add(&g->kv_index, (struct gguf_records){g->kv, sizeof *g->kv}, g->n_kv, err));
    }
    for (; g->n_tensor < w->n_tensor; g->n_tensor++) {
        g->tensors[g->n_tensor] = tensor_of(&w->tensors[g->n_tensor], data[g->n_tensor]);
        g->file_bytes += g->tensors[g->n_tensor].n_bytes;
        TRY(gguf_index_add(&g->tensor_index, (struct gguf_records){g->tensors, sizeof *g->tensors}, g->n_tensor, err));
    }
    g->release = release;
    g->user = user;
    *out = g;
    return SLM_OK;
out:
    gguf_close(g);
    return st;
}
