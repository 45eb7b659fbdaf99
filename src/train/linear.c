/* linear.c -- y = x w^T + b over the pool, forward and backward, with adapters and with bases of any tensor type.
 *
 * Work is cut into pieces by shapes alone: rows of x for y and dx, rows of w for dw. A piece is one product by one thread, and every sum
 * over tokens lies within one product, so bits do not depend on the number of threads. A base that is not f32 is decoded a block of rows
 * at a time, once for all tokens. */
#include "train/blas_int.h"
#include "train/net_int.h"

#define DEQUANT_BYTES (8 << 20)
#define ROWS_MIN 64
#define DW_ROWS_MIN 64 /* a piece of dw packs all of x */
#define ROWS_MAX 256
#define PIECES 16
#define COLS 1024

int64_t linear_dequant_rows(int64_t d_in) {
    int64_t n = DEQUANT_BYTES / (d_in * (int64_t)sizeof(real));
    return n < 64 ? 64 : n;
}

/* Rows of a piece, of n: a multiple of 32 that gives about PIECES. */
static int64_t piece_rows(int64_t n, int64_t min, int64_t max) {
    int64_t rows = (n / PIECES + 31) / 32 * 32;
    return rows < min ? min : rows > max ? max : rows;
}

/* ---- a block of a frozen base as real numbers ---- */

struct decode_args {
    const struct weight *w;
    real *out;
    int64_t first;
};

static void decode_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct decode_args *a = ctx;
    const struct dtype_desc *d = dtype_get(a->w->dtype);
    (void)i_thread;
    for (int64_t r = begin; r < end; r++) {
        const uint8_t *src = a->w->data + (a->first + r) * a->w->row_bytes;
        real *dst = a->out + r * a->w->d_in;
#ifdef SLM_TRAIN_DOUBLE
        float part[256];
        for (int64_t i = 0; i < a->w->d_in; i += 256) {
            int64_t n = a->w->d_in - i < 256 ? a->w->d_in - i : 256;
            d->to_f32(part, src + i / d->block_elems * d->block_bytes, n);
            for (int64_t j = 0; j < n; j++) dst[i + j] = (real)part[j];
        }
#else
        d->to_f32(dst, src, a->w->d_in);
#endif
    }
}

void linear_row(const struct linear *l, int64_t i_row, real *out) {
    struct decode_args a = {l->base, out, i_row};
    decode_rows(&a, 0, 1, 0);
}

/* Rows [first, first + n) of l's matrix. */
static const real *matrix_rows(struct trainee *t, const struct linear *l, int64_t first, int64_t n) {
    if (l->w) return l->w + first * l->d_in;
    if (l->base->dtype == DTYPE_F32 && sizeof(real) == sizeof(float)) return (const real *)(const void *)(l->base->data + first * l->base->row_bytes);
    struct decode_args a = {l->base, t->dequant, first};
    pool_run(t->pool, n, 8, decode_rows, &a);
    return t->dequant;
}

static int64_t block_rows(const struct linear *l) {
    if (l->w || (l->base->dtype == DTYPE_F32 && sizeof(real) == sizeof(float))) return l->d_out;
    int64_t n = linear_dequant_rows(l->d_in);
    return n < l->d_out ? n : l->d_out;
}

/* ---- forward ---- */

struct forward_args {
    struct trainee *t;
    const struct linear *l;
    const real *x, *w; /* w: rows [first, first + n_out) */
    real *y;
    int64_t n_tok, rows, first, n_out, n_cols; /* n_cols: pieces along the output */
};

static void forward_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct forward_args *a = ctx;
    const struct linear *l = a->l;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i / a->n_cols * a->rows, n = a->n_tok - at < a->rows ? a->n_tok - at : a->rows;
        int64_t col = i % a->n_cols * COLS, n_out = a->n_out - col < COLS ? a->n_out - col : COLS;
        real *y = a->y + at * l->d_out + a->first + col;
        blas_gemm(false, true, n, n_out, l->d_in, 1, a->x + at * l->d_in, l->d_in, a->w + col * l->d_in, l->d_in, 0, y, l->d_out);
        if (l->b)
            for (int64_t r = 0; r < n; r++) a->t->kern->add(y + r * l->d_out, l->b + a->first + col, 1, n_out);
    }
}

static void adapter_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct forward_args *a = ctx;
    const struct linear *l = a->l;
    const struct adapter *ad = l->adapter;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i * a->rows, n = a->n_tok - at < a->rows ? a->n_tok - at : a->rows;
        real *s = a->t->scratch[SCR_T] + at * ad->r;
        blas_gemm(false, true, n, ad->r, l->d_in, 1, a->x + at * l->d_in, l->d_in, ad->a, l->d_in, 0, s, ad->r);
        blas_gemm(false, true, n, l->d_out, ad->r, ad->scale, s, ad->r, ad->b, ad->r, 1, a->y + at * l->d_out, l->d_out);
    }
}

void linear_forward(struct trainee *t, const struct linear *l, real *y, const real *x, int64_t n_tok) {
    int64_t block = block_rows(l), rows = piece_rows(n_tok, ROWS_MIN, ROWS_MAX);
    struct forward_args a = {.t = t, .l = l, .x = x, .y = y, .n_tok = n_tok, .rows = rows};
    for (int64_t first = 0; first < l->d_out; first += block) {
        a.first = first;
        a.n_out = l->d_out - first < block ? l->d_out - first : block;
        a.w = matrix_rows(t, l, first, a.n_out);
        a.n_cols = (a.n_out + COLS - 1) / COLS;
        pool_run(t->pool, (n_tok + rows - 1) / rows * a.n_cols, 1, forward_rows, &a);
    }
    if (l->adapter) pool_run(t->pool, (n_tok + rows - 1) / rows, 1, adapter_rows, &a);
}

/* ---- backward ---- */

struct backward_args {
    struct trainee *t;
    const struct linear *l;
    const real *x, *w, *dy;
    real *dx;
    bool add;
    int64_t n_tok, rows, first, n_out;
    int64_t n_dw;      /* pieces of dw, the larger ones, come first; those of dx follow */
    int64_t out_rows;  /* of a piece of dw */
};

static void dx_piece(const struct backward_args *a, int64_t i) {
    const struct linear *l = a->l;
    int64_t at = i * a->rows, n = a->n_tok - at < a->rows ? a->n_tok - at : a->rows;
    blas_gemm(false, false, n, l->d_in, a->n_out, 1, a->dy + at * l->d_out + a->first, l->d_out, a->w, l->d_in, a->add ? 1 : 0, a->dx + at * l->d_in, l->d_in);
}

static void dw_piece(const struct backward_args *a, int64_t i) {
    const struct linear *l = a->l;
    int64_t o = i * a->out_rows, n = l->d_out - o < a->out_rows ? l->d_out - o : a->out_rows;
    if (l->dw) blas_gemm(true, false, n, l->d_in, a->n_tok, 1, a->dy + o, l->d_out, a->x, l->d_in, 1, l->dw + o * l->d_in, l->d_in);
    if (l->db)
        for (int64_t r = 0; r < a->n_tok; r++) a->t->kern->add(l->db + o, a->dy + r * l->d_out + o, 1, n);
}

static void backward_piece(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct backward_args *a = ctx;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++)
        if (i < a->n_dw) dw_piece(a, i);
        else dx_piece(a, i - a->n_dw);
}

/* t = x a^T, dt = scale * dy b, dx += dt a, for a piece of rows. */
static void adapter_dx(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct backward_args *a = ctx;
    const struct linear *l = a->l;
    const struct adapter *ad = l->adapter;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i * a->rows, n = a->n_tok - at < a->rows ? a->n_tok - at : a->rows;
        real *s = a->t->scratch[SCR_T] + at * ad->r, *ds = a->t->scratch[SCR_DT] + at * ad->r;
        blas_gemm(false, true, n, ad->r, l->d_in, 1, a->x + at * l->d_in, l->d_in, ad->a, l->d_in, 0, s, ad->r);
        blas_gemm(false, false, n, ad->r, l->d_out, ad->scale, a->dy + at * l->d_out, l->d_out, ad->b, ad->r, 0, ds, ad->r);
        if (a->dx) blas_gemm(false, false, n, l->d_in, ad->r, 1, ds, ad->r, ad->a, l->d_in, 1, a->dx + at * l->d_in, l->d_in);
    }
}

/* db += scale * dy^T t by rows of b, then da += dt^T x by columns of a. */
static void adapter_dw(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct backward_args *a = ctx;
    const struct linear *l = a->l;
    const struct adapter *ad = l->adapter;
    const real *s = a->t->scratch[SCR_T], *ds = a->t->scratch[SCR_DT];
    int64_t n_db = (l->d_out + a->out_rows - 1) / a->out_rows;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t o = (i < n_db ? i : i - n_db) * a->out_rows, d = i < n_db ? l->d_out : l->d_in, n = d - o < a->out_rows ? d - o : a->out_rows;
        if (i < n_db) blas_gemm(true, false, n, ad->r, a->n_tok, ad->scale, a->dy + o, l->d_out, s, ad->r, 1, ad->db + o * ad->r, ad->r);
        else blas_gemm(true, false, ad->r, n, a->n_tok, 1, ds, ad->r, a->x + o, l->d_in, 1, ad->da + o, l->d_in);
    }
}

void linear_backward(struct trainee *t, const struct linear *l, real *dx, bool add, const real *dy, const real *x, int64_t n_tok) {
    int64_t block = block_rows(l), rows = piece_rows(n_tok, ROWS_MIN, ROWS_MAX), out_rows = piece_rows(l->d_out, DW_ROWS_MIN, ROWS_MAX);
    int64_t n_dx = dx ? (n_tok + rows - 1) / rows : 0, n_dw = l->dw || l->db ? (l->d_out + out_rows - 1) / out_rows : 0;
    struct backward_args a = {.t = t, .l = l, .x = x, .dy = dy, .dx = dx, .add = add, .n_tok = n_tok, .rows = rows, .n_dw = n_dw, .out_rows = out_rows};
    for (int64_t first = 0; first < l->d_out; first += block) {
        a.first = first;
        a.n_out = l->d_out - first < block ? l->d_out - first : block;
        a.w = dx ? matrix_rows(t, l, first, a.n_out) : NULL;
        pool_run(t->pool, n_dx + a.n_dw, 1, backward_piece, &a);
        a.add = true;
        a.n_dw = 0;
    }
    if (!l->adapter) return;
    pool_run(t->pool, (n_tok + rows - 1) / rows, 1, adapter_dx, &a);
    pool_run(t->pool, (l->d_out + out_rows - 1) / out_rows + (l->d_in + out_rows - 1) / out_rows, 1, adapter_dw, &a);
}
