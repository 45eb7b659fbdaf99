/* matmul_int.h -- y = x * w^T in f32, both row-major: every output is the dot product of two rows.
 *
 * An output has one accumulator vector. It runs along k in order with fused multiply-adds, the last step with zeros
 * in the missing lanes, and is summed by one fixed tree. So an output's bits do not depend on the tile that it fell in,
 * on the number of tokens, or on the blocking below; the one-token and the many-token code agree.
 *
 * Many tokens: a register block of ROWS x VEC_MATMUL_TOKS accumulators needs one load for each two to three
 * multiply-adds. K_BLOCK elements of the block's tokens (up to 24 KiB) stay in the first-level cache while ROW_PANEL
 * rows pass by from the second; accumulators wait in memory between two K blocks, which costs one load and store for
 * each 64 multiply-adds. Tokens are the outer loop: with a panel that fits the second-level cache (the caller's
 * tiles), activations are read from further away once for each tile.
 * One token: ROWS_1 rows side by side, as many as hide the latency of the multiply-add; speed is that of memory.
 *
 * Dropped: packing w so that lanes are rows. It needs no sums over lanes, but repacks every tile, and an output would
 * be one chain of d_in roundings instead of d_in / VEC_N. */
#ifndef SLM_COMPUTE_CPU_VEC_MATMUL_INT_H
#define SLM_COMPUTE_CPU_VEC_MATMUL_INT_H

enum {
    ROWS = 4, /* vec_sum4 sums them together */
    ROWS_1 = 8,
    ROW_PANEL = 32,
    K_BLOCK = 1024, /* a multiple of VEC_N, so that lanes fall the same with and without blocks */
};

/* Strides and what part of k a tile works on. */
struct mm_part {
    int64_t ldy, ldw, ldx;
    int64_t n_k;      /* elements of this K block */
    bool first, last; /* of the row's K blocks */
};

/* n_row x n_tok outputs; both are constants where this is inlined. acc: [ROWS * VEC_MATMUL_TOKS]. */
VEC_FN void mm_tile(float *y, const float *w, const float *x, const struct mm_part *part, vec *acc_mem, const int n_row,
                    const int n_tok) {
    vec acc[VEC_MATMUL_TOKS][ROWS];
    const int64_t ldw = part->ldw, ldx = part->ldx, n_k = part->n_k;
    VEC_UNROLL
    for (int t = 0; t < n_tok; t++) {
        VEC_UNROLL
        for (int r = 0; r < n_row; r++) acc[t][r] = part->first ? vec_zero() : acc_mem[t * ROWS + r];
    }
    int64_t k = 0;
    for (; k + VEC_N <= n_k; k += VEC_N) {
        vec wv[ROWS];
        VEC_UNROLL
        for (int r = 0; r < n_row; r++) wv[r] = vec_load(w + r * ldw + k);
        VEC_UNROLL
        for (int t = 0; t < n_tok; t++) {
            vec xv = vec_load(x + t * ldx + k);
            VEC_UNROLL
            for (int r = 0; r < n_row; r++) acc[t][r] = vec_fma(xv, wv[r], acc[t][r]);
        }
    }
    if (k < n_k) {
        VEC_UNROLL
        for (int t = 0; t < n_tok; t++) {
            vec xv = vec_load_n(x + t * ldx + k, n_k - k);
            VEC_UNROLL
            for (int r = 0; r < n_row; r++) acc[t][r] = vec_fma(xv, vec_load_n(w + r * ldw + k, n_k - k), acc[t][r]);
        }
    }
    VEC_UNROLL
    for (int t = 0; t < n_tok; t++) {
        if (!part->last) {
            VEC_UNROLL
            for (int r = 0; r < n_row; r++) acc_mem[t * ROWS + r] = acc[t][r];
        } else {
            vec4_store_n(y + t * part->ldy,
                         vec_sum4(acc[t][0], n_row > 1 ? acc[t][1] : vec_zero(), n_row > 2 ? acc[t][2] : vec_zero(),
                                  n_row > 3 ? acc[t][3] : vec_zero()),
                         n_row);
        }
    }
}

typedef void (*mm_tile_fn)(float *y, const float *w, const float *x, const struct mm_part *part, vec *acc_mem);

#define MM_TILE(R, T)                                                                                                  \
    static void mm_tile_##R##_##T(float *y, const float *w, const float *x, const struct mm_part *part, vec *acc) {    \
        mm_tile(y, w, x, part, acc, R, T);                                                                             \
    }
#define MM_TILES(T) MM_TILE(1, T) MM_TILE(2, T) MM_TILE(3, T) MM_TILE(4, T)
#define MM_ROW(T)                                                                                                      \
    { mm_tile_1_##T, mm_tile_2_##T, mm_tile_3_##T, mm_tile_4_##T }
MM_TILES(1)
MM_TILES(2)
MM_TILES(3)
#if VEC_MATMUL_TOKS > 3
MM_TILES(4)
MM_TILES(5)
MM_TILES(6)
#endif

/* [tokens - 1][rows - 1] */
static const mm_tile_fn mm_tiles[VEC_MATMUL_TOKS][ROWS] = {
    MM_ROW(1), MM_ROW(2), MM_ROW(3),
#if VEC_MATMUL_TOKS > 3
    MM_ROW(4), MM_ROW(5), MM_ROW(6),
#endif
};

/* All rows for at most VEC_MATMUL_TOKS tokens. */
static void mm_token_group(float *y, int64_t ldy, const float *w, int64_t ldw, const float *x, int64_t ldx, int n_tok,
                           int64_t n_row, int64_t d_in) {
    vec acc[ROW_PANEL / ROWS][ROWS * VEC_MATMUL_TOKS];
    for (int64_t panel = 0; panel < n_row; panel += ROW_PANEL) {
        int64_t panel_end = n_row - panel < ROW_PANEL ? n_row : panel + ROW_PANEL;
        for (int64_t k = 0; k == 0 || k < d_in; k += K_BLOCK) {
            int64_t left = d_in - k;
            struct mm_part part = {ldy, ldw, ldx, left < K_BLOCK ? left : K_BLOCK, k == 0, left <= K_BLOCK};
            for (int64_t r = panel; r < panel_end; r += ROWS) {
                int64_t n = panel_end - r < ROWS ? panel_end - r : ROWS;
                mm_tiles[n_tok - 1][n - 1](y + r, w + r * ldw + k, x + k, &part, acc[(r - panel) / ROWS]);
            }
        }
    }
}

/* ROWS_1 rows for one token. */
static void mm_rows_one_token(float *y, const float *w, int64_t ldw, const float *x, int64_t d_in) {
    vec acc[ROWS_1];
    VEC_UNROLL
    for (int r = 0; r < ROWS_1; r++) acc[r] = vec_zero();
    int64_t k = 0;
    for (; k + VEC_N <= d_in; k += VEC_N) {
        vec xv = vec_load(x + k);
        VEC_UNROLL
        for (int r = 0; r < ROWS_1; r++) acc[r] = vec_fma(xv, vec_load(w + r * ldw + k), acc[r]);
    }
    if (k < d_in) {
        vec xv = vec_load_n(x + k, d_in - k);
        VEC_UNROLL
        for (int r = 0; r < ROWS_1; r++) acc[r] = vec_fma(xv, vec_load_n(w + r * ldw + k, d_in - k), acc[r]);
    }
    vec4_store_n(y, vec_sum4(acc[0], acc[1], acc[2], acc[3]), 4);
    vec4_store_n(y + 4, vec_sum4(acc[4], acc[5], acc[6], acc[7]), 4);
}

static void vec_op_matmul_f32(float *y, int64_t ldy, const float *w, int64_t ldw, const float *x, int64_t ldx,
                              int64_t n_tok, int64_t n_row, int64_t d_in) {
    if (n_tok == 1) {
        int64_t r = 0;
        for (; r + ROWS_1 <= n_row; r += ROWS_1) mm_rows_one_token(y + r, w + r * ldw, ldw, x, d_in);
        if (r < n_row) mm_token_group(y + r, ldy, w + r * ldw, ldw, x, ldx, 1, n_row - r, d_in);
        return;
    }
    /* Groups of even size: 7 tokens go as 4 + 3, not as 6 + 1. */
    int64_t n_group = (n_tok + VEC_MATMUL_TOKS - 1) / VEC_MATMUL_TOKS;
    for (int64_t g = 0, i = 0; g < n_group; g++) {
        int n = (int)((n_tok - i + n_group - g - 1) / (n_group - g));
        mm_token_group(y + i * ldy, ldy, w, ldw, x + i * ldx, ldx, n, n_row, d_in);
        i += n;
    }
}

#endif
