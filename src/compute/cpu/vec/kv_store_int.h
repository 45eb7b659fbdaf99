/* kv_store_int.h -- the cache's writer: half precision by vector words, the rest plain C under this ISA's flags. */
#ifndef SLM_COMPUTE_CPU_VEC_KV_STORE_INT_H
#define SLM_COMPUTE_CPU_VEC_KV_STORE_INT_H

#include "compute/cpu/kv_write_int.h"

static void kv_halves(uint16_t *dst, const float *src, int64_t n) {
    int64_t i = 0;
    for (; i + VEC_N <= n; i += VEC_N) vec_store_f16(dst + i, vec_load(src + i));
    if (i < n) vec_store_f16_n(dst + i, vec_load_n(src + i, n - i), n - i);
}

static void kv_write_f16(uint8_t *keys, uint8_t *values, int64_t i_tok, const float *k, const float *v, int64_t d) {
    uint16_t half[D_HEAD_MAX];
    kv_halves(half, k, d);
    for (int64_t i = 0; i < d; i++) memcpy(keys + 2 * (i * KV_PAGE_TOK + i_tok), &half[i], sizeof *half);
    kv_halves(half, v, d);
    memcpy(values + 2 * i_tok * d, half, (size_t)d * sizeof *half);
}

static void vec_op_kv_store(void *keys, void *values, enum kv_type type, int64_t i_tok, const float *k, const float *v, int64_t d_head) {
    switch (type) {
    case KV_F32: kv_write_f32(keys, values, i_tok, k, v, d_head); break;
    case KV_F16: kv_write_f16(keys, values, i_tok, k, v, d_head); break;
    default: kv_write_rounded(keys, values, type, i_tok, k, v, d_head);
    }
}

#endif
