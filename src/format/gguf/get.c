/* get.c -- what an open file answers: counts, look-ups by name, and values as the asked type.
 *
 * Values lie unaligned in the mapping, so elements are copied out. Integers of all widths are one kind; writers
 * disagree about widths, and a key's meaning does not depend on them. */
#include <string.h>

#include "format/gguf/gguf_int.h"

const char *gguf_path(const struct gguf *g) { return g->path; }
uint32_t gguf_version(const struct gguf *g) { return g->version; }
uint64_t gguf_file_bytes(const struct gguf *g) { return g->file_bytes; }
size_t gguf_n_kv(const struct gguf *g) { return g->n_kv; }
const struct gguf_kv *gguf_kv_at(const struct gguf *g, size_t i) { return &g->kv[i]; }
size_t gguf_n_tensor(const struct gguf *g) { return g->n_tensor; }
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i) { return &g->tensors[i]; }

const struct gguf_kv *gguf_find(const struct gguf *g, const char *key) {
    size_t i = gguf_index_find(&g->kv_index, (struct gguf_records){g->kv, sizeof *g->kv}, view_of(key));
    return i == GGUF_NONE ? NULL : &g->kv[i];
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name) {
    size_t i = gguf_index_find(&g->tensor_index, (struct gguf_records){g->tensors, sizeof *g->tensors}, view_of(name));
    return i == GGUF_NONE ? NULL : &g->tensors[i];
}

/* One element in the widest form of its kind. */
struct number {
    enum { NUMBER_NONE, NUMBER_SIGNED, NUMBER_UNSIGNED, NUMBER_FLOAT } kind;
    int64_t i;
    uint64_t u;
    double f;
};

static struct number load_number(const struct gguf_kv *kv, uint64_t i) {
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
        float f32;
        double f64;
    } v;
    size_t bytes = gguf_type_bytes(kv->elem_type);
    if (bytes == 0) return (struct number){.kind = NUMBER_NONE};
    memcpy(&v, kv->data.ptr + i * bytes, bytes);
    switch (kv->elem_type) {
    case GGUF_BOOL:
    case GGUF_U8: return (struct number){.kind = NUMBER_UNSIGNED, .u = v.u8};
    case GGUF_U16: return (struct number){.kind = NUMBER_UNSIGNED, .u = v.u16};
    case GGUF_U32: return (struct number){.kind = NUMBER_UNSIGNED, .u = v.u32};
    case GGUF_U64: return (struct number){.kind = NUMBER_UNSIGNED, .u = v.u64};
    case GGUF_I8: return (struct number){.kind = NUMBER_SIGNED, .i = v.i8};
    case GGUF_I16: return (struct number){.kind = NUMBER_SIGNED, .i = v.i16};
    case GGUF_I32: return (struct number){.kind = NUMBER_SIGNED, .i = v.i32};
    case GGUF_I64: return (struct number){.kind = NUMBER_SIGNED, .i = v.i64};
    case GGUF_F32: return (struct number){.kind = NUMBER_FLOAT, .f = (double)v.f32};
    case GGUF_F64: return (struct number){.kind = NUMBER_FLOAT, .f = v.f64};
    case GGUF_STRING:
    case GGUF_ARRAY: break;
    }
    return (struct number){.kind = NUMBER_NONE};
}

double gguf_kv_f64(const struct gguf_kv *kv, uint64_t i) {
    struct number n = load_number(kv, i);
    return n.kind == NUMBER_FLOAT      ? n.f
           : n.kind == NUMBER_SIGNED   ? (double)n.i
           : n.kind == NUMBER_UNSIGNED ? (double)n.u
                                       : 0;
}

/* A float is cut toward zero; what is out of range gives the nearest end. */
int64_t gguf_kv_i64(const struct gguf_kv *kv, uint64_t i) {
    struct number n = load_number(kv, i);
    if (n.kind == NUMBER_SIGNED) return n.i;
    if (n.kind == NUMBER_UNSIGNED) return n.u > INT64_MAX ? INT64_MAX : (int64_t)n.u;
    if (n.kind == NUMBER_NONE || n.f != n.f) return 0;
    return n.f >= 0x1p63 ? INT64_MAX : n.f < -0x1p63 ? INT64_MIN : (int64_t)n.f;
}

void gguf_kv_strings(const struct gguf_kv *kv, struct view *out) {
    if (kv->type == GGUF_STRING) {
        out[0] = kv->data;
        return;
    }
    if (kv->elem_type != GGUF_STRING) return;
    const char *p = kv->data.ptr;
    for (uint64_t i = 0; i < kv->n_elem; i++) { /* lengths were checked at open */
        uint64_t n;
        memcpy(&n, p, sizeof n);
        out[i] = (struct view){p + sizeof n, n};
        p += sizeof n + n;
    }
}

static slm_status fail_type(const struct gguf *g, const struct gguf_kv *kv, const char *wanted, slm_err *err) {
    bool array = kv->type == GGUF_ARRAY;
    return gguf_fail(err, g->path, SLM_E_FORMAT, kv->offset, "key \"%s\": type is %s%s, %s is needed",
                     show_view(kv->key).s, array ? "array of " : "", gguf_type_name(kv->elem_type), wanted);
}

static slm_status find_needed(const struct gguf *g, const char *key, const struct gguf_kv **kv, slm_err *err) {
    *kv = gguf_find(g, key);
    if (*kv) return SLM_OK;
    return gguf_fail(err, g->path, SLM_E_NOT_FOUND, SLM_NOWHERE, "key \"%s\": missing", show_view(view_of(key)).s);
}

/* An array stands for its one value when all its elements are the same, as writers do for per-layer keys. */
static slm_status find_number(const struct gguf *g, const char *key, const char *wanted, struct number *n,
                              slm_err *err) {
    const struct gguf_kv *kv;
    slm_status st = find_needed(g, key, &kv, err);
    if (st != SLM_OK) return st;
    size_t bytes = gguf_type_bytes(kv->elem_type);
    if (bytes == 0 || kv->elem_type == GGUF_BOOL) return fail_type(g, kv, wanted, err);
    if (kv->n_elem == 0)
        return gguf_fail(err, g->path, SLM_E_FORMAT, kv->offset, "key \"%s\": the array is empty", key);
    if (memcmp(kv->data.ptr, kv->data.ptr + bytes, kv->data.len - bytes) != 0)
        return gguf_fail(err, g->path, SLM_E_UNSUPPORTED, kv->offset,
                         "key \"%s\": an array with different values, one is needed", key);
    *n = load_number(kv, 0);
    return SLM_OK;
}

slm_status gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out, slm_err *err) {
    struct number n;
    *out = 0;
    slm_status st = find_number(g, key, "an integer", &n, err);
    if (st != SLM_OK) return st;
    const struct gguf_kv *kv = gguf_find(g, key);
    if (n.kind == NUMBER_FLOAT) return fail_type(g, kv, "an integer", err);
    if (n.kind == NUMBER_SIGNED && n.i < 0)
        return gguf_fail(err, g->path, SLM_E_FORMAT, kv->offset, "key \"%s\": %lld is negative", key, (long long)n.i);
    *out = n.kind == NUMBER_SIGNED ? (uint64_t)n.i : n.u;
    return SLM_OK;
}

slm_status gguf_get_f64(const struct gguf *g, const char *key, double *out, slm_err *err) {
    struct number n;
    *out = 0;
    slm_status st = find_number(g, key, "a number", &n, err);
    if (st != SLM_OK) return st;
    *out = gguf_kv_f64(gguf_find(g, key), 0);
    return SLM_OK;
}

slm_status gguf_get_bool(const struct gguf *g, const char *key, bool *out, slm_err *err) {
    const struct gguf_kv *kv;
    *out = false;
    slm_status st = find_needed(g, key, &kv, err);
    if (st != SLM_OK) return st;
    if (kv->type != GGUF_BOOL) return fail_type(g, kv, "a bool", err);
    *out = kv->data.ptr[0] != 0;
    return SLM_OK;
}

slm_status gguf_get_string(const struct gguf *g, const char *key, struct view *out, slm_err *err) {
    const struct gguf_kv *kv;
    *out = (struct view){0};
    slm_status st = find_needed(g, key, &kv, err);
    if (st != SLM_OK) return st;
    if (kv->type != GGUF_STRING) return fail_type(g, kv, "a string", err);
    *out = kv->data;
    return SLM_OK;
}
