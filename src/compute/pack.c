/* pack.c -- the packed form of every type, as rows, and the one function that packs them all.
 *
 * What differs between types is data: which bits of a code go to which plane, and which bytes of a block stand beside the
 * codes. The codes come from the type's own to_codes. Packing is a transposition of 4-byte groups: each row's group goes
 * to its place in a line of 64 rows, so a block's destination (at most 18 KB) stays in the first-level cache while 64 rows
 * fill it. */
#include "compute/pack.h"

#include <string.h>

#include "base/status.h"

#define NO_OFFSET (-1)

/* New packed type: to_codes in its format/quant/<type>.c, a row here, its scales in cpu/vec/sides_int.h and
 * cpu/ref/panel.c; tests/ops walks this list. */
static const struct pack_desc rows[] = {
    {DTYPE_Q8_0, 32, 7, false, 255, {{8, 0}}, {{0, 2, 1}}},
    {DTYPE_Q4_0, 32, 3, false, 15, {{4, 0}}, {{0, 2, 1}}},
    {DTYPE_Q4_1, 32, NO_OFFSET, true, 15, {{4, 0}}, {{0, 2, 2}}},
    {DTYPE_Q5_0, 32, 4, false, 31, {{4, 0}, {1, 4}}, {{0, 2, 1}}},
    {DTYPE_Q5_1, 32, NO_OFFSET, true, 31, {{4, 0}, {1, 4}}, {{0, 2, 2}}},
    {DTYPE_MXFP4, 32, 4, false, 31, {{4, 0}}, {{0, 1, 1}}},
    {DTYPE_IQ4_NL, 32, 7, false, 255, {{4, 0}}, {{0, 2, 1}}},
    {DTYPE_IQ4_XS, 32, 7, false, 255, {{4, 0}}, {{0, 2, 1}, {2, 1, 6}}},
    {DTYPE_Q2_K, 16, NO_OFFSET, true, 3, {{2, 0}}, {{80, 2, 2}, {0, 1, 16}}},
    {DTYPE_Q3_K, 16, 2, false, 7, {{2, 0}, {1, 2}}, {{108, 2, 1}, {96, 1, 12}}},
    {DTYPE_Q4_K, 32, NO_OFFSET, true, 15, {{4, 0}}, {{0, 2, 2}, {4, 1, 12}}},
    {DTYPE_Q5_K, 32, NO_OFFSET, true, 31, {{4, 0}, {1, 4}}, {{0, 2, 2}, {4, 1, 12}}},
    {DTYPE_Q6_K, 16, 5, false, 63, {{4, 0}, {2, 4}}, {{208, 2, 1}, {192, 1, 16}}},
};
#define N_ROWS (sizeof rows / sizeof rows[0])
#define N_PLANES 2
#define N_SIDES 2

/* Raise it when a row above or the order of anything in a panel changes. */
uint32_t pack_version(void) { return 1; }

const struct pack_desc *pack_get(enum dtype dtype) {
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].dtype == dtype) return &rows[i];
    return NULL;
}

bool pack_fits(enum dtype dtype, int64_t d_in) {
    return pack_get(dtype) != NULL && d_in > 0 && d_in % dtype_get(dtype)->block_elems == 0 && d_in % ACT_GROUP == 0;
}

size_t pack_block_bytes(const struct pack_desc *p, int64_t n_k) {
    const struct dtype_desc *d = dtype_get(p->dtype);
    return (size_t)(n_k / d->block_elems) * d->block_bytes * PANEL_ROWS;
}

size_t pack_panel_bytes(const struct pack_desc *p, int64_t d_in) { return pack_block_bytes(p, d_in); }

size_t pack_bytes(const struct pack_desc *p, int64_t d_out, int64_t d_in) {
    return (size_t)((d_out + PANEL_ROWS - 1) / PANEL_ROWS) * pack_panel_bytes(p, d_in);
}

/* One row's codes into a plane. Codes of one group of 4 are the bytes of a word, and lower groups take lower bits. */
static void put_plane(uint8_t *dst, const uint8_t *codes, int64_t n_k, int bits, int shift) {
    int64_t per_byte = 8 / bits;
    uint32_t mask = ((1u << bits) - 1) * 0x01010101u;
    for (int64_t k = 0; k < n_k; k += 4 * per_byte, dst += 4 * PANEL_ROWS) {
        uint32_t word = 0;
        for (int64_t i = 0; i < per_byte; i++) {
            uint32_t four;
            memcpy(&four, codes + k + 4 * i, sizeof four);
            word |= (four >> shift & mask) << (bits * (int)i);
        }
        memcpy(dst, &word, sizeof word);
    }
}

/* One row's block beside its codes. */
static uint8_t *put_sides(const struct pack_desc *p, uint8_t *dst, const uint8_t *block, int64_t row) {
    for (int s = 0; s < N_SIDES; s++) {
        const struct pack_side *side = &p->sides[s];
        for (int i = 0; i < side->count; i++, dst += PANEL_ROWS * side->unit)
            memcpy(dst + row * side->unit, block + side->offset + i * side->unit, side->unit);
    }
    return dst;
}

static void pack_row(const struct pack_desc *p, uint8_t *dst, const uint8_t *src, int64_t row, int64_t n_k) {
    const struct dtype_desc *d = dtype_get(p->dtype);
    uint8_t codes[PANEL_K];
    d->to_codes(codes, src, n_k);
    for (int i = 0; i < N_PLANES && p->planes[i].bits; i++) {
        int bits = p->planes[i].bits, shift = p->planes[i].shift;
        uint8_t *plane = dst + row * 4;
        /* Constants make the inner loop straight. */
        if (bits == 8) put_plane(plane, codes, n_k, 8, 0);
        else if (bits == 4) put_plane(plane, codes, n_k, 4, 0);
        else if (bits == 2) put_plane(plane, codes, n_k, 2, shift);
        else put_plane(plane, codes, n_k, 1, shift);
        dst += n_k * bits / 8 * PANEL_ROWS;
    }
    for (int64_t k = 0; k < n_k; k += d->block_elems, src += d->block_bytes) dst = put_sides(p, dst, src, row);
}

void pack_panel(const struct pack_desc *p, uint8_t *dst, const uint8_t *src, int64_t row_bytes, int64_t n_rows, int64_t d_in) {
    const struct dtype_desc *d = dtype_get(p->dtype);
    SLM_ASSERT(n_rows > 0 && n_rows <= PANEL_ROWS && (uintptr_t)dst % 64 == 0);
    for (int64_t k = 0; k < d_in; k += PANEL_K) {
        int64_t n_k = d_in - k < PANEL_K ? d_in - k : PANEL_K;
        size_t bytes = pack_block_bytes(p, n_k);
        if (n_rows < PANEL_ROWS) memset(dst, 0, bytes);
        for (int64_t r = 0; r < n_rows; r++) pack_row(p, dst, src + r * row_bytes + k / d->block_elems * d->block_bytes, r, n_k);
        dst += bytes;
    }
}
