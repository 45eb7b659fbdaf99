/* low_rank.c -- products of low rank, added to some rows of a batch: first h = scale * (a x), then y += b h.
 *
 * Both halves are cut in blocks of rows by blocks of outputs, so that many threads share one row's work as well as many rows', and a block of the
 * matrix is read once for its rows. Rows that follow each other go through the product together. An output is made whole by one call of a slot in a fixed
 * order, so neither cutting changes a bit. */
#include "compute/compute_int.h"

enum {
    ROWS_PER_BLOCK = 16,
    RANKS_PER_BLOCK = 8,  /* whole register blocks of matmul_f32 */
    OUTS_PER_BLOCK = 512,
    WORK_PER_RUN = 32 * 1024, /* multiply-adds that are worth waking a thread */
};

struct low_rank_ctx {
    struct compute *c;
    const struct low_rank *p;
    float scale;
    float *y, *h;
    const float *x;
    int64_t ldy, ldx, n_row, n_across; /* blocks side by side */
    const struct low_rank_row *rows;
};

/* Block i: rows [first, end). */
static int64_t rows_of(const struct low_rank_ctx *l, int64_t i, int64_t *end) {
    int64_t first = i / l->n_across * ROWS_PER_BLOCK;
    *end = min_i64(first + ROWS_PER_BLOCK, l->n_row);
    return first;
}

static void narrow(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct low_rank_ctx *l = ctx;
    const struct low_rank *p = l->p;
    const struct ops *ops = &l->c->ops;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t k = i % l->n_across * RANKS_PER_BLOCK, n_k = min_i64(RANKS_PER_BLOCK, p->r - k), stop, next;
        for (int64_t t = rows_of(l, i, &stop); t < stop; t = next) {
            for (next = t + 1; next < stop && l->rows[next].row == l->rows[next - 1].row + 1; next++) {}
            ops->matmul_f32(l->h + t * p->r + k, p->r, p->a + k * p->d_in, p->d_in, l->x + l->rows[t].row * l->ldx, l->ldx, next - t, n_k, p->d_in);
            for (int64_t j = t; j < next; j++) ops->scale(l->h + j * p->r + k, l->rows[j].scale * l->scale, n_k);
        }
    }
}

static void widen(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct low_rank_ctx *l = ctx;
    const struct low_rank *p = l->p;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i % l->n_across * OUTS_PER_BLOCK, n = min_i64(OUTS_PER_BLOCK, p->d_out - at), stop;
        for (int64_t t = rows_of(l, i, &stop); t < stop; t++)
            l->c->ops.rank_add(l->y + l->rows[t].row * l->ldy + at, p->b + at, p->ldb, l->h + t * p->r, p->r, n);
    }
}

static void run_blocks(struct low_rank_ctx *l, int64_t n_across, int64_t work, pool_fn fn) {
    int64_t n = div_up(l->n_row, ROWS_PER_BLOCK) * n_across;
    l->n_across = n_across;
    compute_run_split(l->c, n, div_up(WORK_PER_RUN * n, work), fn, l);
}

void compute_low_rank(struct compute *c, float *y, int64_t ldy, const struct low_rank *p, float scale, const float *x, int64_t ldx, const struct low_rank_row *rows,
                      int64_t n_row, float *h) {
    struct low_rank_ctx l = {.c = c, .p = p, .scale = scale, .y = y, .h = h, .x = x, .ldy = ldy, .ldx = ldx, .n_row = n_row, .rows = rows};
    if (n_row <= 0) return;
    run_blocks(&l, div_up(p->r, RANKS_PER_BLOCK), n_row * p->r * p->d_in, narrow);
    run_blocks(&l, div_up(p->d_out, OUTS_PER_BLOCK), n_row * p->r * p->d_out, widen);
}
