/* unpack_int.h -- packed panels to codes of 8 bits and float scales, in byte words.
 *
 * Include it after the folder's vec_int.h and bvec_int.h. */
#ifndef SLM_COMPUTE_CPU_VEC_UNPACK_INT_H
#define SLM_COMPUTE_CPU_VEC_UNPACK_INT_H

#include "compute/cpu/vec/sides_int.h"

/* The two planes' bits of `n_k` codes; constants but n_k. table: what 4-bit codes stand for, or NULL. */
VEC_FN void unpack_codes(uint8_t *out, const uint8_t *src, int64_t n_k, const int bits, const int high_bits, const uint8_t *table) {
    const int per = 8 / bits, per_high = high_bits ? 8 / high_bits : 1;
    const uint8_t *high = src + n_k * bits / 8 * PANEL_ROWS;
    bvec levels = bvec_table(table ? table : src);
    enum { STEP = 4 * PANEL_ROWS }; /* bytes of one k-group */
    for (int64_t k = 0; k < n_k; k += 32, out += 8 * STEP, src += 8 / per * STEP, high += high_bits ? 8 / per_high * STEP : 0) {
        for (int x = 0; x < STEP; x += BVEC_N) {
            bvec low_word = bvec_zero(), high_word = bvec_zero();
            VEC_UNROLL
            for (int i = 0; i < 8; i++) {
                if (i % per == 0) low_word = bvec_load(src + i / per * STEP + x);
                bvec code = bvec_field(low_word, bits * (i % per), bits, 0);
                if (table) code = bvec_lookup(levels, code);
                if (high_bits) {
                    if (i % per_high == 0) high_word = bvec_load(high + i / per_high * STEP + x);
                    code = bvec_or(code, bvec_field(high_word, high_bits * (i % per_high), high_bits, bits));
                }
                bvec_store(out + i * STEP + x, code);
            }
        }
    }
}

typedef void (*unpack_fn)(struct panel *out, struct panel_buf *buf, const uint8_t *src, int64_t n_k);

static void unpack_Q8_0(struct panel *out, struct panel_buf *buf, const uint8_t *src, int64_t n_k) {
    out->codes = src;
    sides_half(buf->scale, buf->min, src + n_k * PANEL_ROWS, n_k);
}

#define X(ID, bits, high_bits, table, sides, group, has_min)                                                                                 \
    static void unpack_##ID(struct panel *out, struct panel_buf *buf, const uint8_t *src, int64_t n_k) {                  \
        (void)out;                                                                                                         \
        unpack_codes(buf->codes, src, n_k, bits, high_bits, table);                                                        \
        sides(buf->scale, buf->min, src + n_k * ((bits) + (high_bits)) / 8 * PANEL_ROWS, n_k);                             \
    }
UNPACK_LIST(X)
#undef X

static const unpack_fn unpack_of[DTYPE_COUNT] = {
    [DTYPE_Q8_0] = unpack_Q8_0,
#define X(ID, bits, high_bits, table, sides, group, has_min) [DTYPE_##ID] = unpack_##ID,
    UNPACK_LIST(X)
#undef X
};

static void vec_op_panel_unpack(struct panel *out, struct panel_buf *buf, const struct pack_desc *p, const uint8_t *src, int64_t n_k) {
    *out = (struct panel){.desc = p, .codes = buf->codes, .scale = buf->scale, .min = buf->min, .n_k = (int32_t)n_k, .ahead = src + PANEL_AHEAD_BYTES,
                          .ahead_bytes = (int32_t)pack_block_bytes(p, n_k)};
    unpack_of[p->dtype](out, buf, src, n_k);
}

#endif
