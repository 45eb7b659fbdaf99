/* pack.h -- quantized matrices as row panels: the same bits as in the file, in the order in which kernels read them.
 *
 * A panel is PANEL_ROWS rows. Along k it is cut in blocks of PANEL_K elements (the last one may be shorter, by whole source
 * blocks), and blocks follow each other, so that a product reads a panel as one stream. A block holds, for n_k elements:
 *
 *   planes   the codes, most bits first. A plane of 4 bits: byte [n_k / 8, PANEL_ROWS, 4], two k-groups of 4 elements in
 *            its low and high half; of 2 bits: [n_k / 16, PANEL_ROWS, 4]; of 1: [n_k / 32, PANEL_ROWS, 4]; of 8: [n_k / 4, PANEL_ROWS, 4].
 *            So 64 bytes are 16 rows by 4 elements: what one multiply instruction of 512 bits takes.
 *   sides    for each source block along k, what the block has beside codes (scales, minima), unit by unit: [unit, PANEL_ROWS].
 *
 * Nothing is added and nothing lost: a panel is as large as its rows in the file (rows past the matrix are zeros).
 * A value is scale * (code - 2^offset_shift) + min, or scale * code + min when offset_shift is negative. */
#ifndef SLM_COMPUTE_PACK_H
#define SLM_COMPUTE_PACK_H

#include "format/dtype.h"

enum { PANEL_ROWS = 64, PANEL_K = 256 };

/* A run of units of 1 or 2 bytes that every source block has beside its codes. */
struct pack_side {
    uint8_t offset, unit, count;
};
/* Bits [shift, shift + bits) of every code. */
struct pack_plane {
    uint8_t bits, shift;
};
/* The packed form of a type: one row each in pack.c. */
struct pack_desc {
    enum dtype dtype;
    uint8_t group;       /* elements under one scale: 16 or 32 */
    int8_t offset_shift; /* -1: none */
    bool has_min;
    uint8_t code_max;    /* of the codes that kernels see; levels from tables are larger than what is stored */
    struct pack_plane planes[2];
    struct pack_side sides[2];
};
const struct pack_desc *pack_get(enum dtype dtype);        /* NULL: no packed form; by block -> f32 then */
/* A number for all that pack.c decides; files of packed panels are keyed by it. */
uint32_t pack_version(void);

/* Can rows of d_in elements be packed? */
bool pack_fits(enum dtype dtype, int64_t d_in);
/* Bytes of a block of n_k elements, of a panel, of a matrix. No overflow when the matrix's own bytes do not. */
size_t pack_block_bytes(const struct pack_desc *p, int64_t n_k);
size_t pack_panel_bytes(const struct pack_desc *p, int64_t d_in);
size_t pack_bytes(const struct pack_desc *p, int64_t d_out, int64_t d_in);

/* pack_panel -- rows [n_rows <= PANEL_ROWS, d_in] of row_bytes each, at src, to a panel at dst (64-byte aligned). */
void pack_panel(const struct pack_desc *p, uint8_t *dst, const uint8_t *src, int64_t row_bytes, int64_t n_rows, int64_t d_in);

/* A block as kernels multiply it: codes of 8 bits, scales and minima as floats. */
struct panel {
    const struct pack_desc *desc;
    const uint8_t *codes; /* [n_k / 4, PANEL_ROWS, 4] */
    const float *scale;   /* [n_k / group, PANEL_ROWS] */
    const float *min;     /* the same; only with has_min */
    int32_t n_k;
    /* What will be wanted soon: multiplying asks memory for it on the way, so that the memory works meanwhile. */
    const uint8_t *ahead;
    int32_t ahead_bytes;
};
/* How far in front of its reader a panel is asked for. Less than this comes too late; more than a few times this is thrown out
 * again before it is used (measured: docs/speed-log.md). Asking past the end of the panels is harmless. */
enum { PANEL_AHEAD_BYTES = 24 * 1024 };
/* Where a block is unpacked to; small enough for a first-level cache. 64-byte aligned. */
struct panel_buf {
    uint8_t codes[PANEL_K * PANEL_ROWS];
    float scale[PANEL_K / 16 * PANEL_ROWS];
    float min[PANEL_K / 16 * PANEL_ROWS];
};

/* Activations of one token, 32 elements: x = scale * q, q in [-127, 127]. */
struct act_group {
    float scale;        /* not a number when one of the 32 is not finite, so that it shows in every output */
    int32_t minus_sum[2]; /* - sum q of each 16: what offsets are multiplied by */
    float scaled_sum;   /* scale * sum q of the 32: what minima are multiplied by */
};
enum { ACT_GROUP = 32 };
/* Activations of several tokens: q [n_tok, ldq], groups [n_tok, ldg]. */
struct acts {
    const int8_t *q;
    const struct act_group *groups;
    int64_t ldq, ldg;
};

/* The same of few tokens over all of k, cut in blocks like panels: q [block, n_tok, PANEL_K], groups [block, n_tok, PANEL_K / ACT_GROUP]; the last
 * block is narrower. */
enum { PANEL_FEW = 16 };
struct acts_few {
    const int8_t *q;
    const struct act_group *groups;
    int64_t n_tok, d_in;
};

#endif
