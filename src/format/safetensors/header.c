/* header.c -- the header of one file: a length, a JSON object of tensors, then their bytes without a gap.
 *
 * jansson checks the JSON (duplicate keys refused, depth bounded); here is checked what the object claims. Tensors must
 * cover the bytes behind the header exactly: sorted by offset each begins where the one before ends. jansson keeps no
 * positions, so a message finds the place of a tensor by its quoted name. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "format/safetensors/st_int.h"

#define LENGTH_BYTES 8
#define METADATA "__metadata__"

static const struct st_dtype dtype_rows[] = {
    {"BF16", 16, DTYPE_BF16},      {"F16", 16, DTYPE_F16},       {"F32", 32, DTYPE_F32},      {"F64", 64, DTYPE_F64},
    {"I8", 8, DTYPE_I8},           {"I16", 16, DTYPE_I16},       {"I32", 32, DTYPE_I32},      {"I64", 64, DTYPE_I64},
    {"U8", 8, DTYPE_COUNT},        {"U16", 16, DTYPE_COUNT},     {"U32", 32, DTYPE_COUNT},    {"U64", 64, DTYPE_COUNT},
    {"BOOL", 8, DTYPE_COUNT},      {"F8_E4M3", 8, DTYPE_COUNT},  {"F8_E5M2", 8, DTYPE_COUNT}, {"F8_E8M0", 8, DTYPE_COUNT},
    {"F6_E2M3", 6, DTYPE_COUNT},   {"F6_E3M2", 6, DTYPE_COUNT},  {"F4", 4, DTYPE_COUNT},      {"C64", 64, DTYPE_COUNT},
};
#define N_DTYPE (sizeof dtype_rows / sizeof dtype_rows[0])

/* What is being read, for messages. */
struct reading {
    struct safetensors *s;
    const char *path;
    const char *json; /* [n_json] */
    size_t n_json;
    const uint8_t *bytes; /* behind the header */
    uint64_t n_bytes;
    uint32_t i_shard;
};

/* Offset in the file of a tensor's entry; of the header when its name is written with escapes. */
static uint64_t place_of(const struct reading *r, const char *name) {
    size_t n = strlen(name);
    for (const char *p = r->json; n + 2 <= r->n_json && (p = memmem(p, r->n_json - (size_t)(p - r->json), name, n)); p++)
        if (p > r->json && p[-1] == '"' && p + n < r->json + r->n_json && p[n] == '"') return LENGTH_BYTES + (uint64_t)(p - r->json) - 1;
    return LENGTH_BYTES;
}

static slm_status fail_tensor(const struct reading *r, const char *name, slm_status code, slm_err *err, const char *fmt, ...) SLM_PRINTF(5, 6);
static slm_status fail_tensor(const struct reading *r, const char *name, slm_status code, slm_err *err, const char *fmt, ...) {
    char why[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return gguf_fail(err, r->path, code, place_of(r, name), "tensor \"%s\": %s", show_view(view_of(name)).s, why);
}

static slm_status read_dtype(const struct reading *r, const char *name, const json_t *entry, struct st_tensor *t, slm_err *err) {
    const char *text = json_string_value(json_object_get(entry, "dtype"));
    if (!text) return fail_tensor(r, name, SLM_E_FORMAT, err, "\"dtype\" is missing or no string");
    for (size_t i = 0; i < N_DTYPE && !t->type; i++)
        if (strcmp(dtype_rows[i].name, text) == 0) t->type = &dtype_rows[i];
    if (!t->type) return fail_tensor(r, name, SLM_E_UNSUPPORTED, err, "dtype \"%s\" is unknown", show_view(view_of(text)).s);
    return SLM_OK;
}

static slm_status read_shape(const struct reading *r, const char *name, const json_t *entry, struct st_tensor *t, slm_err *err) {
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape)) return fail_tensor(r, name, SLM_E_FORMAT, err, "\"shape\" is missing or no array");
    size_t n_dim = json_array_size(shape);
    if (n_dim > ST_N_DIM_MAX) return fail_tensor(r, name, SLM_E_UNSUPPORTED, err, "%zu dimensions: at most %d are supported", n_dim, ST_N_DIM_MAX);
    t->n_dim = (uint32_t)n_dim;
    t->n_elem = 1;
    for (size_t i = 0; i < ST_N_DIM_MAX; i++) t->shape[i] = 1;
    for (size_t i = 0; i < n_dim; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0) return fail_tensor(r, name, SLM_E_FORMAT, err, "dimension %zu is no whole number", i);
        t->shape[i] = (uint64_t)json_integer_value(dim);
        if (__builtin_mul_overflow(t->n_elem, t->shape[i], &t->n_elem)) return fail_tensor(r, name, SLM_E_FORMAT, err, "the number of elements overflows");
    }
    uint64_t bits;
    if (__builtin_mul_overflow(t->n_elem, (uint64_t)t->type->bits, &bits) || bits % 8 != 0)
        return fail_tensor(r, name, SLM_E_FORMAT, err, "%llu elements of %s are no whole number of bytes", (unsigned long long)t->n_elem, t->type->name);
    t->n_bytes = bits / 8;
    return SLM_OK;
}

static slm_status read_offsets(const struct reading *r, const char *name, const json_t *entry, struct st_tensor *t, slm_err *err) {
    const json_t *pair = json_object_get(entry, "data_offsets");
    const json_t *from = json_array_get(pair, 0), *to = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(from) || !json_is_integer(to))
        return fail_tensor(r, name, SLM_E_FORMAT, err, "\"data_offsets\" is missing or no pair of whole numbers");
    json_int_t begin = json_integer_value(from), end = json_integer_value(to);
    if (begin < 0 || end < begin || (uint64_t)end > r->n_bytes)
        return fail_tensor(r, name, SLM_E_FORMAT, err, "its bytes %lld to %lld pass the %llu that the file has", (long long)begin, (long long)end,
                           (unsigned long long)r->n_bytes);
    if ((uint64_t)(end - begin) != t->n_bytes)
        return fail_tensor(r, name, SLM_E_FORMAT, err, "its shape needs %llu bytes of %s, its offsets give %lld", (unsigned long long)t->n_bytes,
                           t->type->name, (long long)(end - begin));
    t->data = r->bytes + begin;
    t->offset = LENGTH_BYTES + r->n_json + (uint64_t)begin;
    return SLM_OK;
}

/* A key that we do not know may be one that changes what the bytes mean. */
static slm_status check_entry(const struct reading *r, const char *name, json_t *entry, slm_err *err) {
    const char *key;
    json_t *value;
    if (!json_is_object(entry)) return fail_tensor(r, name, SLM_E_FORMAT, err, "its entry is no object");
    json_object_foreach(entry, key, value) {
        if (strcmp(key, "dtype") != 0 && strcmp(key, "shape") != 0 && strcmp(key, "data_offsets") != 0)
            return fail_tensor(r, name, SLM_E_FORMAT, err, "key \"%s\" is unknown", show_view(view_of(key)).s);
    }
    return SLM_OK;
}

static slm_status read_tensor(const struct reading *r, const char *name, json_t *entry, slm_err *err) {
    struct safetensors *s = r->s;
    struct gguf_records records = {s->tensors, sizeof *s->tensors};
    struct st_tensor t = {.i_shard = r->i_shard};
    slm_status st = SLM_OK;
    size_t n = strlen(name);
    if (n == 0 || n > ST_NAME_BYTES_MAX) return fail_tensor(r, name, SLM_E_FORMAT, err, "the length of its name is not 1..%d", ST_NAME_BYTES_MAX);
    if (gguf_index_find(&s->index, records, view_of(name)) != GGUF_NONE) return fail_tensor(r, name, SLM_E_FORMAT, err, "is in an earlier shard too");
    TRY(check_entry(r, name, entry, err));
    TRY(read_dtype(r, name, entry, &t, err));
    TRY(read_shape(r, name, entry, &t, err));
    TRY(read_offsets(r, name, entry, &t, err));
    t.name = (struct view){arena_strdup(&s->names, view_of(name)), n};
    if (!t.name.ptr) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "tensor names: out of memory");
    s->tensors[s->n_tensor] = t;
    TRY(gguf_index_add(&s->index, records, s->n_tensor, err));
    s->n_tensor++;
out:
    return st;
}

static slm_status check_metadata(const struct reading *r, json_t *metadata, slm_err *err) {
    const char *key;
    json_t *value;
    if (!json_is_object(metadata)) return gguf_fail(err, r->path, SLM_E_FORMAT, place_of(r, METADATA), "key \"" METADATA "\" is no object");
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return gguf_fail(err, r->path, SLM_E_FORMAT, place_of(r, METADATA), "key \"" METADATA "\": the value of \"%s\" is no string",
                             show_view(view_of(key)).s);
    }
    return SLM_OK;
}

static int by_offset(const void *a, const void *b) {
    const struct st_tensor *x = *(struct st_tensor *const *)a, *y = *(struct st_tensor *const *)b;
    if (x->offset != y->offset) return x->offset > y->offset ? 1 : -1;
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes); /* empty ones first */
}

/* The tensors from `first` on, in order of offset, are the bytes of the file without hole or overlap. */
static slm_status check_cover(const struct reading *r, size_t first, slm_err *err) {
    const struct safetensors *s = r->s;
    size_t n = s->n_tensor - first;
    uint64_t end = LENGTH_BYTES + r->n_json;
    void *p = NULL;
    slm_status st = mem_alloc(&p, n + 1, sizeof(struct st_tensor *), "tensor order", err);
    if (st != SLM_OK) return st;
    struct st_tensor **order = p;
    for (size_t i = 0; i < n; i++) order[i] = &s->tensors[first + i];
    qsort(order, n, sizeof(struct st_tensor *), by_offset);
    for (size_t i = 0; i < n && st == SLM_OK; i++) {
        const struct st_tensor *t = order[i];
        if (t->offset < end)
            st = gguf_fail(err, r->path, SLM_E_FORMAT, t->offset, "tensor \"%s\": overlaps tensor \"%s\"", show_view(t->name).s,
                           show_view(order[i - 1]->name).s); /* i > 0: no offset lies before the first byte */
        else if (t->offset > end)
            st = gguf_fail(err, r->path, SLM_E_FORMAT, end, "%llu bytes before tensor \"%s\" belong to no tensor", (unsigned long long)(t->offset - end),
                           show_view(t->name).s);
        end = t->offset + t->n_bytes;
    }
    free(order);
    uint64_t size = LENGTH_BYTES + r->n_json + r->n_bytes;
    if (st == SLM_OK && end != size)
        st = gguf_fail(err, r->path, SLM_E_FORMAT, end, "%llu bytes at the end belong to no tensor", (unsigned long long)(size - end));
    return st;
}

static slm_status read_object(struct reading *r, json_t *root, slm_err *err) {
    struct safetensors *s = r->s;
    size_t first = s->n_tensor, n = json_object_size(root);
    const char *name;
    json_t *entry;
    void *p = NULL;
    slm_status st;
    if (n > ST_N_TENSOR_MAX - first)
        return gguf_fail(err, r->path, SLM_E_UNSUPPORTED, LENGTH_BYTES, "the model has too many tensors: the limit is %d", ST_N_TENSOR_MAX);
    TRY(mem_alloc(&p, first + n + 1, sizeof *s->tensors, "tensor table", err));
    if (first) memcpy(p, s->tensors, first * sizeof *s->tensors);
    free(s->tensors);
    s->tensors = p;
    json_object_foreach(root, name, entry) {
        if (strcmp(name, METADATA) == 0) TRY(check_metadata(r, entry, err));
        else TRY(read_tensor(r, name, entry, err));
    }
    TRY(check_cover(r, first, err));
out:
    return st;
}

/* What a file that is not one may be. */
static slm_status refuse_length(const struct reading *r, const uint8_t *data, size_t size, uint64_t n_json, slm_err *err) {
    static const struct { const char *bytes, *what; } rows[] = {
        {"version https://git-lfs", "a Git LFS pointer, not the file itself"}, {"GGUF", "a GGUF file"}, {"PK\3\4", "a PyTorch checkpoint or zip archive"},
        {"\x80\2", "a Python pickle"}, {"<", "a web page"}, {"{", "a JSON document"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = strlen(rows[i].bytes);
        if (size >= n && memcmp(data, rows[i].bytes, n) == 0)
            return gguf_fail(err, r->path, SLM_E_FORMAT, 0, "not a safetensors file: it looks like %s", rows[i].what);
    }
    if (size < LENGTH_BYTES) return gguf_fail(err, r->path, SLM_E_FORMAT, 0, "cut short: %zu bytes cannot hold a header's length", size);
    if (n_json > size - LENGTH_BYTES)
        return gguf_fail(err, r->path, SLM_E_FORMAT, 0, "cut short: its header has %llu bytes, %zu are left", (unsigned long long)n_json, size - LENGTH_BYTES);
    return gguf_fail(err, r->path, SLM_E_UNSUPPORTED, 0, "a header of %llu bytes: the limit is %u", (unsigned long long)n_json, ST_HEADER_BYTES_MAX);
}

slm_status st_parse(struct safetensors *s, uint32_t i_shard, const uint8_t *data, size_t size, slm_err *err) {
    struct reading r = {.s = s, .path = s->paths[i_shard], .i_shard = i_shard};
    uint64_t n_json = 0;
    json_error_t fault;
    if (size == 0) return gguf_fail(err, r.path, SLM_E_FORMAT, 0, "not a safetensors file: it is empty");
    if (size >= LENGTH_BYTES) memcpy(&n_json, data, LENGTH_BYTES);
    if (size < LENGTH_BYTES || n_json > size - LENGTH_BYTES || n_json > ST_HEADER_BYTES_MAX) return refuse_length(&r, data, size, n_json, err);
    r.json = (const char *)data + LENGTH_BYTES;
    r.n_json = n_json;
    r.bytes = data + LENGTH_BYTES + n_json;
    r.n_bytes = size - LENGTH_BYTES - n_json;
    if (n_json == 0 || r.json[0] != '{') return gguf_fail(err, r.path, SLM_E_FORMAT, LENGTH_BYTES, "the header does not begin with \"{\"");
    json_t *root = json_loadb(r.json, r.n_json, JSON_REJECT_DUPLICATES, &fault);
    if (!root)
        return gguf_fail(err, r.path, SLM_E_FORMAT, LENGTH_BYTES + (uint64_t)(fault.position > 0 ? fault.position : 0), "the header is no JSON: %s",
                         show_view(view_of(fault.text)).s);
    slm_status st = read_object(&r, root, err);
    json_decref(root);
    return st;
}
