/* gguf_raw.h -- GGUF bytes put together by hand, right or wrong, and a walk over all that an open file offers. */
#ifndef SLM_TESTS_GGUF_RAW_H
#define SLM_TESTS_GGUF_RAW_H

#include <stdlib.h>
#include <string.h>

#include "format/gguf.h"

struct raw {
    uint8_t bytes[2 << 20];
    size_t n;
};

static inline void raw_put(struct raw *r, const void *p, size_t n) {
    if (n > sizeof r->bytes - r->n) abort();
    memcpy(r->bytes + r->n, p, n);
    r->n += n;
}
static inline void raw_u8(struct raw *r, uint8_t v) { raw_put(r, &v, sizeof v); }
static inline void raw_u32(struct raw *r, uint32_t v) { raw_put(r, &v, sizeof v); }
static inline void raw_u64(struct raw *r, uint64_t v) { raw_put(r, &v, sizeof v); }
static inline void raw_f32(struct raw *r, float v) { raw_put(r, &v, sizeof v); }
static inline void raw_bytes(struct raw *r, const char *s) { raw_put(r, s, strlen(s)); }
static inline void raw_string(struct raw *r, const char *s) {
    raw_u64(r, strlen(s));
    raw_bytes(r, s);
}
static inline void raw_pad(struct raw *r, size_t alignment) {
    while (r->n % alignment) raw_u8(r, 0);
}
static inline void raw_head(struct raw *r, uint32_t version, uint64_t n_tensor, uint64_t n_kv) {
    r->n = 0;
    raw_bytes(r, "GGUF");
    raw_u32(r, version);
    raw_u64(r, n_tensor);
    raw_u64(r, n_kv);
}
static inline void raw_key(struct raw *r, const char *key, uint32_t type) {
    raw_string(r, key);
    raw_u32(r, type);
}
static inline void raw_key_u32(struct raw *r, const char *key, uint32_t v) {
    raw_key(r, key, GGUF_U32);
    raw_u32(r, v);
}
static inline void raw_key_string(struct raw *r, const char *key, const char *v) {
    raw_key(r, key, GGUF_STRING);
    raw_string(r, v);
}
static inline void raw_key_array(struct raw *r, const char *key, uint32_t elem_type, uint64_t n) {
    raw_key(r, key, GGUF_ARRAY);
    raw_u32(r, elem_type);
    raw_u64(r, n);
}
/* dims as the file has them: fastest first. */
static inline void raw_tensor(struct raw *r, const char *name, uint32_t n_dim, const uint64_t *dims, uint32_t type,
                              uint64_t offset) {
    raw_string(r, name);
    raw_u32(r, n_dim);
    for (uint32_t i = 0; i < n_dim; i++) raw_u64(r, dims[i]);
    raw_u32(r, type);
    raw_u64(r, offset);
}

/* Uses everything a file offers: every value by every getter, every string, every tensor byte. Returns a sum of
 * it all, so that nothing is left out by an optimizer. */
static inline uint64_t walk_kv(const struct gguf *g, const struct gguf_kv *kv) {
    uint64_t sum = kv->key.len + kv->type + kv->offset, u;
    struct view v;
    double f;
    bool b;
    for (size_t i = 0; i < kv->key.len; i++) sum += (unsigned char)kv->key.ptr[i];
    for (size_t i = 0; i < kv->data.len; i++) sum += (unsigned char)kv->data.ptr[i];
    sum += strlen(gguf_type_name(kv->type)) + strlen(gguf_type_name(kv->elem_type));
    if (kv->elem_type == GGUF_STRING) {
        struct view *strings = calloc(kv->n_elem + 1, sizeof *strings);
        if (!strings) abort();
        gguf_kv_strings(kv, strings);
        for (uint64_t i = 0; i < kv->n_elem; i++) {
            sum += strings[i].len;
            for (size_t k = 0; k < strings[i].len; k++) sum += (unsigned char)strings[i].ptr[k];
        }
        free(strings);
    } else {
        for (uint64_t i = 0; i < kv->n_elem; i++) {
            sum += (uint64_t)gguf_kv_i64(kv, i);
            f = gguf_kv_f64(kv, i);
            sum += f > 0;
        }
    }
    char *key = malloc(kv->key.len + 1);
    if (!key) abort();
    memcpy(key, kv->key.ptr, kv->key.len);
    key[kv->key.len] = 0;
    if (strlen(key) == kv->key.len && gguf_find(g, key) != kv) abort();
    slm_err err;
    sum += gguf_get_u64(g, key, &u, &err) + gguf_get_f64(g, key, &f, &err) + gguf_get_bool(g, key, &b, &err) +
           gguf_get_string(g, key, &v, &err) + gguf_get_u64(g, key, &u, NULL);
    free(key);
    return sum;
}

static inline uint64_t walk_tensor(const struct gguf_tensor *t) {
    const struct dtype_desc *d = dtype_get(t->dtype);
    uint64_t sum = t->n_elem + t->i_shard, n_elem = 1;
    float block[4 * 256];
    for (int i = 0; i < GGUF_N_DIM_MAX; i++) n_elem *= t->shape[i];
    if (n_elem != t->n_elem || t->n_dim < 1 || t->n_dim > GGUF_N_DIM_MAX || !t->data) abort();
    for (uint64_t i = 0; i < t->n_bytes; i++) sum += t->data[i];
    uint64_t n_block = t->n_elem / d->block_elems < 4 ? t->n_elem / d->block_elems : 4;
    d->to_f32(block, t->data, (int64_t)(n_block * d->block_elems));
    return sum + (block[0] > 0);
}

static inline uint64_t walk_gguf(const struct gguf *g) {
    uint64_t sum = gguf_version(g) + gguf_file_bytes(g) + strlen(gguf_path(g));
    for (size_t i = 0; i < gguf_n_kv(g); i++) sum += walk_kv(g, gguf_kv_at(g, i));
    for (size_t i = 0; i < gguf_n_tensor(g); i++) sum += walk_tensor(gguf_tensor_at(g, i));
    return sum;
}

#endif
