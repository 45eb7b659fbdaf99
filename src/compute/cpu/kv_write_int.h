/* kv_write_int.h -- writes one token's key and value of one head into a page, in plain C; kv_page.h has the layouts.
 *
 * Also compiled in the ISA folders, whose writers replace what a vector word does better (half precision). */
#ifndef SLM_COMPUTE_CPU_KV_WRITE_INT_H
#define SLM_COMPUTE_CPU_KV_WRITE_INT_H

#include <string.h>

#include "compute/cpu/kv_round_int.h"

static inline void kv_put_float(uint8_t *floats, int64_t i, float f) { memcpy(floats + 4 * i, &f, sizeof f); }

static inline void kv_write_f32(uint8_t *keys, uint8_t *values, int64_t i_tok, const float *k, const float *v, int64_t d) {
    for (int64_t i = 0; i < d; i++) kv_put_float(keys, i * KV_PAGE_TOK + i_tok, k[i]);
    memcpy(values + (size_t)(i_tok * d) * sizeof *v, v, (size_t)d * sizeof *v);
}

static inline void kv_write_levels_q8(uint8_t *keys, uint8_t *values, int64_t i_tok, const float *k, const float *v, int64_t d) {
    uint8_t *k_at = keys + i_tok * 4, *v_at = values + i_tok / 4 * d * 4 + i_tok % 4;
    for (int64_t i = 0; i < d; i++) k_at[i / 4 * KV_PAGE_TOK * 4 + i % 4] = (uint8_t)(128 + (int)kv_round(k[i]));
    for (int64_t i = d; i % 4; i++) k_at[i / 4 * KV_PAGE_TOK * 4 + i % 4] = 0;
    for (int64_t i = 0; i < d; i++) v_at[i * 4] = (uint8_t)(int8_t)kv_round(v[i]);
}

static inline uint8_t kv_level4(const float *x, int64_t i, int64_t d) { return i < d ? (uint8_t)kv_round(x[i] + 7.5f) : 0; }

static inline void kv_write_levels_q4(uint8_t *keys, uint8_t *values, int64_t i_tok, const float *k, const float *v, int64_t d) {
    int64_t half = (d + 1) / 2;
    uint8_t *k_at = keys + i_tok * 4, *v_at = values + i_tok / 4 * half * 4 + i_tok % 4;
    for (int64_t i = 0; i < d; i += 8)
        for (int64_t j = i; j < i + 4; j++)
            k_at[i / 8 * KV_PAGE_TOK * 4 + j % 4] = (uint8_t)(kv_level4(k, j, d) | kv_level4(k, j + 4, d) << 4);
    for (int64_t i = 0; i < half; i++) v_at[i * 4] = (uint8_t)(kv_level4(v, i, d) | kv_level4(v, half + i, d) << 4);
}

static inline void kv_write_rounded(uint8_t *keys, uint8_t *values, enum kv_type type, int64_t i_tok, const float *k, const float *v,
                                    int64_t d) {
    float turned[D_HEAD_MAX], k_level[D_HEAD_MAX], v_level[D_HEAD_MAX];
    float n_level = type == KV_Q8 ? 127.0f : 7.5f;
    memcpy(turned, k, (size_t)d * sizeof *k);
    kv_rotate(turned, d);
    float k_scale = kv_round_row(k_level, turned, d, n_level, 0);
    memcpy(turned, v, (size_t)d * sizeof *v);
    kv_rotate(turned, d);
    float v_scale = kv_round_row(v_level, turned, d, n_level, KV_V_SCALE_MIN);
    if (type == KV_Q8) kv_write_levels_q8(keys, values, i_tok, k_level, v_level, d);
    else kv_write_levels_q4(keys, values, i_tok, k_level, v_level, d);
    uint8_t *v_scales = values + kv_page_v_scales(type, d);
    kv_put_float(keys + kv_page_k_scales(type, d), i_tok, k_scale);
    kv_put_float(v_scales, i_tok, log2f(v_scale));
    kv_put_float(v_scales, KV_PAGE_TOK + i_tok, 1.0f / v_scale);
}

#endif
