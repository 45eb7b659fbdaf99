/* kv_store.c -- writes a token's key and value into the cache's type. */
#include "compute/cpu/kv_write_int.h"
#include "compute/cpu/ref/ref_int.h"

static void write_f16(uint8_t *keys, uint8_t *values, int64_t i_tok, const float *k, const float *v, int64_t d) {
    for (int64_t i = 0; i < d; i++) {
        uint16_t key = f32_to_f16(k[i]), value = f32_to_f16(v[i]);
        memcpy(keys + 2 * (i * KV_PAGE_TOK + i_tok), &key, sizeof key);
        memcpy(values + 2 * (i_tok * d + i), &value, sizeof value);
    }
}

void ref_kv_store(void *keys, void *values, enum kv_type type, int64_t i_tok, const float *k, const float *v, int64_t d_head) {
    switch (type) {
    case KV_F32: kv_write_f32(keys, values, i_tok, k, v, d_head); break;
    case KV_F16: write_f16(keys, values, i_tok, k, v, d_head); break;
    default: kv_write_rounded(keys, values, type, i_tok, k, v, d_head);
    }
}
