/* read.c -- the checked cursor, the header and the keys of one file.
 *
 * Everything is read once, front to back. A count is believed only when the bytes that are left could hold that
 * many entries, so memory asked for is bounded by a small multiple of the file's size. String arrays are
 * walked once to check their lengths and are not copied: a vocabulary of 150,000 strings costs no allocation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/gguf/gguf_int.h"

#define KV_BYTES_MIN (8 + 1 + 4 + 1) /* key length, key, type, value */

static const struct {
    const char *name;
    size_t bytes;
} types[GGUF_N_TYPE] = {
    [GGUF_U8] = {"u8", 1},       [GGUF_I8] = {"i8", 1},   [GGUF_U16] = {"u16", 2}, [GGUF_I16] = {"i16", 2},
    [GGUF_U32] = {"u32", 4},     [GGUF_I32] = {"i32", 4}, [GGUF_F32] = {"f32", 4}, [GGUF_BOOL] = {"bool", 1},
    [GGUF_U64] = {"u64", 8},     [GGUF_I64] = {"i64", 8}, [GGUF_F64] = {"f64", 8}, [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0},
};

const char *gguf_type_name(enum gguf_type t) { return (unsigned)t < GGUF_N_TYPE ? types[t].name : "unknown"; }
size_t gguf_type_bytes(enum gguf_type t) { return types[t].bytes; }

static slm_status cursor_take(struct cursor *c, uint64_t n, const uint8_t **p, slm_err *err) {
    if (n > c->size - c->pos)
        return cursor_fail(err, c, SLM_E_FORMAT, c->pos, "cut short: %llu bytes are needed, %zu are left",
                           (unsigned long long)n, c->size - c->pos);
    *p = c->data + c->pos;
    c->pos += n;
    return SLM_OK;
}

slm_status cursor_u32(struct cursor *c, uint32_t *v, slm_err *err) {
    const uint8_t *p = NULL;
    slm_status st = cursor_take(c, sizeof *v, &p, err);
    if (st == SLM_OK) memcpy(v, p, sizeof *v);
    return st;
}

slm_status cursor_u64(struct cursor *c, uint64_t *v, slm_err *err) {
    const uint8_t *p = NULL;
    slm_status st = cursor_take(c, sizeof *v, &p, err);
    if (st == SLM_OK) memcpy(v, p, sizeof *v);
    return st;
}

slm_status cursor_string(struct cursor *c, uint64_t bytes_max, struct view *v, slm_err *err) {
    uint64_t where = c->pos, n = 0;
    const uint8_t *p = NULL;
    slm_status st = cursor_u64(c, &n, err);
    if (st == SLM_OK && n > bytes_max && n <= c->size - c->pos)
        st = cursor_fail(err, c, SLM_E_UNSUPPORTED, where, "string of %llu bytes: the limit is %llu",
                         (unsigned long long)n, (unsigned long long)bytes_max);
    if (st == SLM_OK) st = cursor_take(c, n, &p, err);
    if (st == SLM_OK) *v = (struct view){(const char *)p, n};
    return st;
}

/* What a file that is not GGUF may be: first match wins. */
static const struct {
    size_t at;
    const char *bytes; /* letters in any case */
    size_t n;
    const char *what;
} lookalikes[] = {
    {0, "FUGG", 4, "a big-endian GGUF file"},
    {0, "lmgg", 4, "an old GGML file"},
    {0, "fmgg", 4, "an old GGMF file"},
    {0, "tjgg", 4, "an old GGJT file"},
    {0, "algg", 4, "an old GGLA adapter"},
    {0, "PK\3\4", 4, "a zip archive, perhaps a PyTorch checkpoint"},
    {0, "\x80\2", 2, "a Python pickle, perhaps a PyTorch checkpoint"},
    {0, "\x1f\x8b", 2, "a gzip-compressed file"},
    {0, "\x28\xb5\x2f\xfd", 4, "a zstd-compressed file"},
    {0, "BZh", 3, "a bzip2-compressed file"},
    {0,
     "\xfd"
     "7zXZ",
     5, "an xz-compressed file"},
    {0, "version https://git-lfs", 23, "a Git LFS pointer, not the file itself"},
    {0, "<!doctype", 9, "an HTML page"},
    {0, "<html", 5, "an HTML page"},
    {0, "<?xml", 5, "an XML document"},
    {8, "{\"", 2, "a safetensors file"},
    {0, "{", 1, "a JSON document"},
    {0, "[", 1, "a JSON document"},
    {0,
     "\x7f"
     "ELF",
     4, "a program"},
    {0, "\0\0\0\0", 4, "zeros, as a broken download is"},
};

static slm_status refuse_magic(const struct cursor *c, slm_err *err) {
    for (size_t i = 0; i < sizeof lookalikes / sizeof *lookalikes; i++) {
        size_t at = lookalikes[i].at, n = lookalikes[i].n, same = 0;
        if (c->size < at + n) continue;
        while (same < n) {
            unsigned char a = c->data[at + same], b = (unsigned char)lookalikes[i].bytes[same];
            if (a != b && !(b >= 'a' && b <= 'z' && a + 32 == b)) break;
            same++;
        }
        if (same == n)
            return gguf_fail(err, c->path, SLM_E_FORMAT, 0, "not a GGUF file: it looks like %s", lookalikes[i].what);
    }
    return gguf_fail(err, c->path, SLM_E_FORMAT, 0, "not a GGUF file: it does not begin with \"" GGUF_MAGIC "\"");
}

static slm_status read_version(struct gguf *g, struct cursor *c, slm_err *err) {
    if (c->size == 0) return gguf_fail(err, c->path, SLM_E_FORMAT, 0, "not a GGUF file: it is empty");
    if (c->size < 4 || memcmp(c->data, GGUF_MAGIC, 4) != 0) return refuse_magic(c, err);
    c->pos = 4;
    slm_status st = cursor_u32(c, &g->version, err);
    if (st != SLM_OK) return st;
    if (g->version == 2 || g->version == 3) return SLM_OK;
    uint32_t swapped = __builtin_bswap32(g->version);
    if (swapped >= 1 && swapped <= 3)
        return gguf_fail(err, c->path, SLM_E_UNSUPPORTED, 4,
                         "a big-endian GGUF file: only little-endian files are supported");
    return gguf_fail(err, c->path, SLM_E_UNSUPPORTED, 4, "GGUF version %u is not supported: only 2 and 3 are",
                     g->version);
}

static slm_status check_bools(const struct cursor *c, const struct gguf_kv *kv, slm_err *err) {
    for (uint64_t i = 0; i < kv->n_elem; i++)
        if ((unsigned char)kv->data.ptr[i] > 1)
            return cursor_fail(err, c, SLM_E_FORMAT, kv->offset + i, "bool value %d is neither 0 nor 1",
                               (unsigned char)kv->data.ptr[i]);
    return SLM_OK;
}

/* One pass over the lengths; the cursor ends behind the last string. */
static slm_status skip_strings(struct cursor *c, uint64_t n_string, slm_err *err) {
    size_t pos = c->pos;
    for (uint64_t i = 0; i < n_string; i++) {
        uint64_t n = 0;
        if (c->size - pos >= sizeof n) memcpy(&n, c->data + pos, sizeof n);
        if (c->size - pos < sizeof n || n > c->size - pos - sizeof n)
            return cursor_fail(err, c, SLM_E_FORMAT, pos, "string %llu of %llu passes the end of the file",
                               (unsigned long long)i, (unsigned long long)n_string);
        if (n > GGUF_STRING_BYTES_MAX)
            return cursor_fail(err, c, SLM_E_UNSUPPORTED, pos, "string %llu of %llu bytes: the limit is %u",
                               (unsigned long long)i, (unsigned long long)n, GGUF_STRING_BYTES_MAX);
        pos += sizeof n + n;
    }
    c->pos = pos;
    return SLM_OK;
}

static slm_status read_type(struct cursor *c, enum gguf_type *t, slm_err *err) {
    uint64_t where = c->pos;
    uint32_t id;
    slm_status st = cursor_u32(c, &id, err);
    if (st == SLM_OK && id >= GGUF_N_TYPE)
        st = cursor_fail(err, c, SLM_E_FORMAT, where, "value type %u is unknown", id);
    if (st == SLM_OK) *t = (enum gguf_type)id;
    return st;
}

/* The type and count of an array; the count is one that the bytes left can hold. */
static slm_status read_array_head(struct cursor *c, struct gguf_kv *kv, slm_err *err) {
    uint64_t where = c->pos;
    slm_status st;
    TRY(read_type(c, &kv->elem_type, err));
    if (kv->elem_type == GGUF_ARRAY) {
        st = cursor_fail(err, c, SLM_E_UNSUPPORTED, where, "arrays of arrays are not supported");
        goto out;
    }
    TRY(cursor_u64(c, &kv->n_elem, err));
    size_t least = kv->elem_type == GGUF_STRING ? sizeof(uint64_t) : types[kv->elem_type].bytes;
    if (kv->n_elem > (c->size - c->pos) / least)
        st = cursor_fail(err, c, SLM_E_FORMAT, where + 4, "array of %llu elements passes the end of the file",
                         (unsigned long long)kv->n_elem);
    else if (kv->n_elem > GGUF_ARRAY_MAX)
        st = cursor_fail(err, c, SLM_E_UNSUPPORTED, where + 4, "array of %llu elements: the limit is %u",
                         (unsigned long long)kv->n_elem, GGUF_ARRAY_MAX);
out:
    return st;
}

static slm_status read_value(struct cursor *c, struct gguf_kv *kv, slm_err *err) {
    slm_status st;
    TRY(read_type(c, &kv->type, err));
    kv->n_elem = 1;
    kv->elem_type = kv->type;
    if (kv->type == GGUF_ARRAY) TRY(read_array_head(c, kv, err));
    kv->offset = c->pos;
    if (kv->type == GGUF_STRING) {
        TRY(cursor_string(c, GGUF_STRING_BYTES_MAX, &kv->data, err));
        kv->offset += sizeof(uint64_t);
    } else if (kv->elem_type == GGUF_STRING) {
        TRY(skip_strings(c, kv->n_elem, err));
        kv->data = (struct view){(const char *)c->data + kv->offset, c->pos - kv->offset};
    } else {
        const uint8_t *p = NULL;
        TRY(cursor_take(c, kv->n_elem * types[kv->elem_type].bytes, &p, err));
        kv->data = (struct view){(const char *)p, kv->n_elem * types[kv->elem_type].bytes};
        if (kv->elem_type == GGUF_BOOL) TRY(check_bools(c, kv, err));
    }
out:
    return st;
}

static slm_status read_kv(struct gguf *g, struct cursor *c, size_t i, slm_err *err) {
    struct gguf_kv *kv = &g->kv[i];
    struct gguf_records records = {g->kv, sizeof *g->kv};
    uint64_t where = c->pos;
    slm_status st;
    snprintf(c->what, sizeof c->what, "key %zu", i);
    TRY(cursor_string(c, GGUF_KEY_BYTES_MAX, &kv->key, err));
    if (kv->key.len == 0) {
        st = cursor_fail(err, c, SLM_E_FORMAT, where, "its name is empty");
        goto out;
    }
    snprintf(c->what, sizeof c->what, "key \"%s\"", show_view(kv->key).s);
    if (gguf_index_find(&g->kv_index, records, kv->key) != GGUF_NONE) {
        st = cursor_fail(err, c, SLM_E_FORMAT, where, "appears twice");
        goto out;
    }
    TRY(read_value(c, kv, err));
    TRY(gguf_index_add(&g->kv_index, records, i, err));
    g->n_kv = i + 1;
out:
    return st;
}

static slm_status check_count(const struct cursor *c, uint64_t where, uint64_t n, uint64_t limit, size_t least,
                              const char *what, slm_err *err) {
    if (n > (c->size - c->pos) / least)
        return gguf_fail(err, c->path, SLM_E_FORMAT, where, "claims %llu %s, more than its %zu bytes can hold",
                         (unsigned long long)n, what, c->size);
    if (n > limit)
        return gguf_fail(err, c->path, SLM_E_UNSUPPORTED, where, "has %llu %s: the limit is %llu",
                         (unsigned long long)n, what, (unsigned long long)limit);
    return SLM_OK;
}

slm_status gguf_parse(struct gguf *g, struct cursor *c, slm_err *err) {
    uint64_t n_tensor = 0, n_kv = 0;
    void *kv = NULL;
    slm_status st;
    snprintf(c->what, sizeof c->what, "header");
    TRY(read_version(g, c, err));
    TRY(cursor_u64(c, &n_tensor, err));
    TRY(cursor_u64(c, &n_kv, err));
    TRY(check_count(c, 8, n_tensor, GGUF_N_TENSOR_MAX, TENSOR_BYTES_MIN, "tensors", err));
    TRY(check_count(c, 16, n_kv, GGUF_N_KV_MAX, KV_BYTES_MIN, "keys", err));
    if (n_kv > 0) TRY(mem_alloc(&kv, n_kv, sizeof *g->kv, "key table", err));
    g->kv = kv;
    for (size_t i = 0; i < n_kv; i++) TRY(read_kv(g, c, i, err));
    TRY(gguf_parse_tensors(g, c, n_tensor, err));
out:
    return st;
}
