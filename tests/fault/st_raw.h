/* st_raw.h -- safetensors bytes put together by hand, right or wrong, and a walk over all that an open file offers. */
#ifndef SLM_TESTS_ST_RAW_H
#define SLM_TESTS_ST_RAW_H

#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"

struct st_raw {
    uint8_t bytes[1 << 20];
    size_t n;
};

static inline void st_raw_put(struct st_raw *r, const char *json, size_t n_body) {
    uint64_t n = strlen(json);
    if (n + n_body + 8 > sizeof r->bytes) abort();
    memcpy(r->bytes, &n, 8);
    memcpy(r->bytes + 8, json, n);
    for (size_t i = 0; i < n_body; i++) r->bytes[8 + n + i] = (uint8_t)(i * 7);
    r->n = 8 + n + n_body;
}

/* Uses everything: every name by look-up, every byte of every tensor. */
static inline uint64_t walk_safetensors(const struct safetensors *s) {
    uint64_t sum = safetensors_file_bytes(s);
    for (size_t i = 0; i < safetensors_n_tensor(s); i++) {
        const struct st_tensor *t = safetensors_tensor_at(s, i);
        uint64_t n_elem = 1;
        for (int k = 0; k < ST_N_DIM_MAX; k++) n_elem *= t->shape[k];
        if (n_elem != t->n_elem || t->n_dim > ST_N_DIM_MAX || safetensors_find(s, t->name.ptr) != t || !*safetensors_path_of(s, t)) abort();
        if (t->n_bytes * 8 != t->n_elem * t->type->bits) abort();
        for (uint64_t k = 0; k < t->n_bytes; k++) sum += t->data[k];
    }
    return sum;
}

#endif
