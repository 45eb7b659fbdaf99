/* kv_page.h -- types of the KV cache, and how the keys and values of one head lie in one page.
 *
 * A page holds KV_PAGE_TOK positions. Attention multiplies a block of queries with all keys of a page, and a block of
 * probabilities with all its values, so both lie the way a matrix product reads its right side: lanes side by side,
 * the summed index outside. `d` is the head's width, d_pad(n) is d rounded up to a multiple of n; padding is 0.
 *
 *   f32, f16  keys    [d, KV_PAGE_TOK]                          values  [KV_PAGE_TOK, d]
 *   q8        keys    [d_pad(4)/4, KV_PAGE_TOK, 4] level + 128   values  [KV_PAGE_TOK/4, d, 4] level (signed)
 *   q4        keys    [d_pad(8)/8, KV_PAGE_TOK, 4] two levels    values  [KV_PAGE_TOK/4, d_pad(2)/2, 4] two levels
 *             keys: byte j of group g has element 8g + j in its low half, 8g + 4 + j in its high half;
 *             values: byte j of group g, column i has elements i and d_pad(2)/2 + i of token 4g + j
 *   then, for q8 and q4, after the keys one float for each token: scale; after the values two: log2(scale), 1 / scale.
 *
 * An element is level * scale (q8, level -127..127) or (level - 7.5) * scale (q4, level 0..15), the scale one for each
 * token and head. Rows of q8 and q4 are rotated before rounding, by a Hadamard matrix over the largest power of two that
 * divides d: it spreads the few large elements that keys of many models have over the row, scores do not change when the
 * queries turn with the keys, and attention turns its result back. Source: Ashkboos et al. 2024 (QuaRot). */
#ifndef SLM_COMPUTE_KV_PAGE_H
#define SLM_COMPUTE_KV_PAGE_H

#include "base/status.h"

enum { KV_PAGE_TOK = 64 };

enum kv_type { KV_F32, KV_F16, KV_Q8, KV_Q4, KV_TYPE_COUNT };
struct kv_type_row {
    const char *name; /* "q8": values of --kv */
    bool is_rotated;  /* levels in the rotated basis, with scales */
};
const struct kv_type_row *kv_type_get(enum kv_type type);
bool kv_type_by_name(const char *name, enum kv_type *type);

/* Bytes of one head's keys, or values, in a page: multiples of 64. *_scales: where in them the floats begin. */
size_t kv_page_k_bytes(enum kv_type type, int64_t d_head);
size_t kv_page_v_bytes(enum kv_type type, int64_t d_head);
size_t kv_page_k_scales(enum kv_type type, int64_t d_head);
size_t kv_page_v_scales(enum kv_type type, int64_t d_head);

/* kv_page_read_k, _v -- row i_tok of a head's keys or values as f32, in the basis it is kept in. For reference and tests. */
void kv_page_read_k(float *dst, const void *keys, enum kv_type type, int64_t i_tok, int64_t d_head);
void kv_page_read_v(float *dst, const void *values, enum kv_type type, int64_t i_tok, int64_t d_head);

#endif
