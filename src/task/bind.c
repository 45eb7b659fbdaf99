/* bind.c -- fingerprints. Not against who makes collisions: against a mistake. */
#include "task/bind.h"

#include <string.h>

#define N_SAMPLES 64
#define SAMPLE_BYTES 64

static uint64_t hash_kvs(const struct gguf *g, bool of_tokenizer) {
    uint64_t h = HASH_START;
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        bool is_tokenizer = kv->key.len > 10 && memcmp(kv->key.ptr, "tokenizer.", 10) == 0;
        if (is_tokenizer != of_tokenizer) continue;
        h = hash_bytes(h, kv->key.ptr, kv->key.len);
        h = hash_bytes(h, &kv->type, sizeof kv->type);
        h = hash_bytes(h, kv->data.ptr, kv->data.len);
    }
    return h;
}

uint64_t bind_tokenizer(const struct gguf *g) { return g ? hash_kvs(g, true) : 0; }

uint64_t bind_model(const struct gguf *g) {
    if (!g) return 0;
    uint64_t h = hash_kvs(g, false);
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        h = hash_bytes(h, t->name.ptr, t->name.len);
        h = hash_bytes(h, &t->dtype, sizeof t->dtype);
        h = hash_bytes(h, t->shape, sizeof t->shape);
        if (!t->data || t->n_bytes == 0) continue;
        for (uint64_t k = 0; k < N_SAMPLES; k++) {
            uint64_t at = t->n_bytes > SAMPLE_BYTES ? (t->n_bytes - SAMPLE_BYTES) / (N_SAMPLES - 1) * k : 0;
            h = hash_bytes(h, t->data + at, t->n_bytes < SAMPLE_BYTES ? (size_t)t->n_bytes : SAMPLE_BYTES);
        }
    }
    return h;
}

uint64_t bind_texts(const char *form, const char *const *texts, size_t n) {
    uint64_t h = hash_bytes(HASH_START, form ? form : "", form ? strlen(form) + 1 : 1);
    for (size_t i = 0; i < n; i++) h = texts[i] ? hash_bytes(h, texts[i], strlen(texts[i]) + 1) : hash_bytes(h, "\xff", 1); /* a byte of no text */
    return h;
}
