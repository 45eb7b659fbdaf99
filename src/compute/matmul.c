/* matmul.c -- matrix products: how they are cut in pieces, and which slots make a piece.
 *
 * Packed weights (panels of 64 rows): a piece is a panel by a block of tokens. For every 256 elements of k the panel's codes are
 * unpacked to bytes in the first-level cache, once, and multiplied with all tokens of the block; sums of the block's tokens
 * stay in the second-level cache. While it multiplies, the kernel asks memory for what comes next (PANEL_AHEAD_BYTES). With few tokens
 * codes are taken apart in registers where the ISA can (panel_few). Pieces are taken dynamically, so a thread that is slow takes fewer.
 *
 * Others (f32, half precision, types without a packed form): a thread decodes a tile of rows to f32 in its own scratch, once, and
 * multiplies it with all tokens: the decoding cost is shared by the tokens, the tile stays in the thread's L2, and the
 * slot streams the activations past it a few tokens at a time. With one token nothing is shared, and a tile is as
 * small as fits the L1: up to twice as fast, measured. f32 weights are used where they lie, halves with few tokens as well (matmul_half). */
#include <string.h>

#include "base/mem.h"
#include "compute/compute_int.h"

enum {
    ROWS_MULTIPLE = 8,       /* tiles are whole register blocks of every ISA's matmul_f32 */
    ROWS_MULTIPLE_ONE = 4,   /* the same for one token */
    ROWS_MAX = 64,           /* more rows gain nothing: a token's loads are shared well enough */
    TILE_BYTES = 256 * 1024, /* decoded tile that leaves room for activations in an L2 of 512 KiB */
    TILE_BYTES_ONE = 32 * 1024,
    RUNS_PER_THREAD = 4,     /* so that a late thread costs at most a quarter of its share */
    ELEMS_PER_RUN = 8 * 1024,
    TOKS_MAX = 512,          /* of a piece: 128 KiB of sums */
    TOKS_MIN = 48,           /* fewer share the unpacking too little */
    RUN_BYTES = 512 * 1024,  /* of few tokens a thread takes so much of neighbouring panels at once: what it asks for early is its own */
    TOKS_DIRECT = 8,         /* up to here sums go to y at once: so few lines do not push each other out */
};

/* What a thread needs for pieces of packed weights. */
struct piece_scratch {
    struct panel_buf buf;
    float sums[TOKS_MAX * PANEL_ROWS];
};

/* Rows of width d_in in a tile; once: it is decoded for one token. Never fewer than one register block. */
static int64_t tile_rows(int64_t d_in, bool once) {
    int64_t bytes = once ? TILE_BYTES_ONE : TILE_BYTES;
    int64_t multiple = once ? ROWS_MULTIPLE_ONE : ROWS_MULTIPLE;
    int64_t rows = bytes / (int64_t)sizeof(float) / (d_in > 0 ? d_in : 1);
    rows -= rows % multiple;
    if (rows < multiple) rows = multiple;
    return min_i64(rows, ROWS_MAX);
}

/* Enough for tile_rows(d, either) rows of any width d <= d_in_max, and for a piece. */
bool matmul_scratch_bytes(int64_t d_in_max, size_t *bytes) {
    size_t wide;
    if (d_in_max < 0 || !size_mul((size_t)d_in_max, (size_t)ROWS_MULTIPLE * sizeof(float), &wide)) return false;
    if (wide < TILE_BYTES) wide = TILE_BYTES;
    if (wide < sizeof(struct piece_scratch)) wide = sizeof(struct piece_scratch);
    if (!size_add(wide, 63, &wide)) return false;
    *bytes = wide & ~(size_t)63; /* threads do not share a cache line */
    return true;
}

/* Codes [n_tok, d_in], then groups [n_tok, d_in / ACT_GROUP]; rows rounded up to whole groups. */
bool matmul_acts_bytes(int64_t d_in_max, int64_t n_tok_max, size_t *bytes) {
    size_t groups;
    if (d_in_max < 0 || n_tok_max < 0) return false;
    if (!size_mul((size_t)div_up(d_in_max, ACT_GROUP), (size_t)n_tok_max, &groups)) return false;
    return size_mul(groups, ACT_GROUP + sizeof(struct act_group), bytes);
}

struct matmul_ctx {
    struct compute *c;
    const struct weight *w;
    float *y;
    const float *x;
    int64_t ldy, ldx, n_tok;
    bool in_place; /* the weight is f32 already */
};

static void matmul_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct matmul_ctx *m = ctx;
    const struct compute *c = m->c;
    const struct weight *w = m->w;
    int64_t n_max = tile_rows(w->d_in, m->n_tok == 1 && !m->in_place);
    for (int64_t r = begin; r < end; r += n_max) {
        int64_t n = min_i64(n_max, end - r);
        const uint8_t *rows = w->data + r * w->row_bytes;
        if (m->in_place) {
            c->ops.matmul_f32(m->y + r, m->ldy, (const float *)(const void *)rows,
                              w->row_bytes / (int64_t)sizeof(float), m->x, m->ldx, m->n_tok, n, w->d_in);
            continue;
        }
        float *tile = (float *)(void *)(c->scratch + (size_t)i_thread * c->scratch_bytes);
        for (int64_t i = 0; i < n; i++) c->ops.to_f32[w->dtype](tile + i * w->d_in, rows + i * w->row_bytes, w->d_in);
        c->ops.matmul_f32(m->y + r, m->ldy, tile, w->d_in, m->x, m->ldx, m->n_tok, n, w->d_in);
    }
}

/* Items are runs of ROWS_MULTIPLE rows. */
static void matmul_half_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct matmul_ctx *m = ctx;
    int64_t r = begin * ROWS_MULTIPLE, n_row = min_i64(end * ROWS_MULTIPLE, m->w->d_out) - r;
    struct half_weight w = {m->w->data + r * m->w->row_bytes, m->w->row_bytes, m->w->d_in, m->w->dtype == DTYPE_BF16};
    (void)i_thread;
    m->c->ops.matmul_half(m->y + r, m->ldy, &w, m->x, m->ldx, m->n_tok, n_row);
}

static bool is_half(const struct weight *w) { return w->dtype == DTYPE_F16 || w->dtype == DTYPE_BF16; }

static void matmul_by_rows(struct compute *c, const struct product *p, const float *x, int64_t ldx, int64_t n_tok) {
    const struct weight *w = p->w;
    struct matmul_ctx m = {.c = c, .w = w, .y = p->y, .x = x, .ldy = p->ldy, .ldx = ldx, .n_tok = n_tok};
    m.in_place =
        w->dtype == DTYPE_F32 && (uintptr_t)w->data % sizeof(float) == 0 && w->row_bytes % (int64_t)sizeof(float) == 0;
    if (is_half(w) && n_tok <= HALF_FEW && c->ops.matmul_half) {
        pool_run_long(c->pool, div_up(w->d_out, ROWS_MULTIPLE), RUN_BYTES / (ROWS_MULTIPLE * w->row_bytes), matmul_half_rows, &m);
        return;
    }
    int64_t n_threads = pool_n_threads(c->pool);
    int64_t grain = div_up(div_up(w->d_out, n_threads * RUNS_PER_THREAD), ROWS_MULTIPLE) * ROWS_MULTIPLE;
    grain = n_threads == 1 ? w->d_out : min_i64(grain, tile_rows(w->d_in, false));
    compute_run_split(c, w->d_out, grain, matmul_rows, &m);
}

/* Activations in 8 bits, cut in blocks of PANEL_K like panels: [block, n_tok, PANEL_K] (the last block narrower), so that the tokens of a block are
 * one stream, whatever d_in is. */
struct quantized {
    int8_t *q;
    struct act_group *groups;
    int64_t n_tok, d_in;
};

static int64_t block_k(int64_t d_in, int64_t k) { return min_i64(PANEL_K, d_in - k); }

/* Block at k, from token t on. */
static struct acts acts_at(const struct quantized *a, int64_t k, int64_t t) {
    int64_t n_k = block_k(a->d_in, k), at = k * a->n_tok + t * n_k;
    return (struct acts){a->q + at, a->groups + at / ACT_GROUP, n_k, n_k / ACT_GROUP};
}

struct quantize_ctx {
    struct compute *c;
    struct quantized to;
    const float *x;
    int64_t ldx;
};

static void quantize_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct quantize_ctx *a = ctx;
    int64_t d_in = a->to.d_in;
    (void)i_thread;
    for (int64_t t = begin; t < end; t++)
        for (int64_t k = 0; k < d_in; k += PANEL_K) {
            int64_t n_k = block_k(d_in, k), at = k * a->to.n_tok + t * n_k;
            a->c->ops.act_quantize(a->to.q + at, a->to.groups + at / ACT_GROUP, a->x + t * a->ldx + k, n_k);
        }
}

static struct quantized quantize(struct compute *c, const float *x, int64_t ldx, int64_t n_tok, int64_t d_in) {
    struct act_group *groups = (struct act_group *)(void *)c->acts; /* first: they want alignment */
    struct quantized to = {(int8_t *)(groups + n_tok * (d_in / ACT_GROUP)), groups, n_tok, d_in};
    struct quantize_ctx a = {c, to, x, ldx};
    size_t bytes;
    SLM_ASSERT(matmul_acts_bytes(d_in, n_tok, &bytes) && bytes <= c->acts_bytes);
    compute_run_split(c, n_tok, div_up(ELEMS_PER_RUN, d_in), quantize_rows, &a);
    return to;
}

struct pieces_ctx {
    struct compute *c;
    const struct product *products; /* those with panels have pieces, in order */
    int n_products;
    struct quantized acts;
    int64_t n_tok, toks; /* tokens of a piece */
};

static int64_t n_panels(const struct weight *w) { return w->panels ? div_up(w->d_out, PANEL_ROWS) : 0; }

void matmul_panel_row(struct compute *c, int i_thread, float *y, const struct weight *w, int64_t i_row) {
    struct piece_scratch *s = (struct piece_scratch *)(void *)(c->scratch + (size_t)i_thread * c->scratch_bytes);
    const struct pack_desc *desc = pack_get(w->dtype);
    const uint8_t *block = w->panels + (size_t)(i_row / PANEL_ROWS) * pack_panel_bytes(desc, w->d_in);
    const int64_t row = i_row % PANEL_ROWS;
    const int offset = desc->offset_shift < 0 ? 0 : 1 << desc->offset_shift;
    for (int64_t k = 0; k < w->d_in; k += PANEL_K, y += PANEL_K) {
        int64_t n_k = block_k(w->d_in, k);
        struct panel panel;
        c->ops.panel_unpack(&panel, &s->buf, desc, block, n_k);
        for (int64_t i = 0; i < n_k; i++) {
            int64_t side = i / desc->group * PANEL_ROWS + row;
            float scaled = (float)(panel.codes[(i / 4 * PANEL_ROWS + row) * 4 + i % 4] - offset) * panel.scale[side];
            y[i] = desc->has_min ? scaled + panel.min[side] : scaled;
        }
        block += pack_block_bytes(desc, n_k);
    }
}

/* sums[n_tok, ld] = one panel by tokens [t0, t0 + n_tok). */
static void panel_product(const struct pieces_ctx *c, float *sums, int64_t ld, const struct weight *w, const uint8_t *block, int64_t t0, int64_t n_tok, struct panel_buf *buf) {
    const struct ops *ops = &c->c->ops;
    const struct pack_desc *desc = pack_get(w->dtype);
    if (c->n_tok <= PANEL_FEW && ops->panel_few) {
        struct acts_few few = {c->acts.q, c->acts.groups, c->n_tok, w->d_in};
        SLM_ASSERT(n_tok == c->n_tok);
        ops->panel_few(sums, ld, desc, block, &few);
        return;
    }
    for (int64_t k = 0; k < w->d_in; k += PANEL_K) {
        int64_t n_k = block_k(w->d_in, k);
        struct panel panel;
        struct acts a = acts_at(&c->acts, k, t0);
        ops->panel_unpack(&panel, buf, desc, block, n_k);
        ops->panel_dot(sums, ld, &panel, &a, n_tok, k == 0);
        block += pack_block_bytes(desc, n_k);
    }
}

static void make_piece(const struct pieces_ctx *c, const struct product *p, int64_t i_panel, int64_t t0, int64_t n_tok, struct piece_scratch *s) {
    const struct weight *w = p->w;
    const uint8_t *panel = w->panels + (size_t)i_panel * pack_panel_bytes(pack_get(w->dtype), w->d_in);
    int64_t row = i_panel * PANEL_ROWS, n_rows = min_i64(PANEL_ROWS, w->d_out - row);
    float *y = p->y + t0 * p->ldy + row;
    if (n_rows == PANEL_ROWS && n_tok <= TOKS_DIRECT) {
        panel_product(c, y, p->ldy, w, panel, t0, n_tok, &s->buf);
        return;
    }
    panel_product(c, s->sums, PANEL_ROWS, w, panel, t0, n_tok, &s->buf);
    for (int64_t t = 0; t < n_tok; t++) memcpy(y + t * p->ldy, s->sums + t * PANEL_ROWS, (size_t)n_rows * sizeof(float));
}

/* Pieces are numbered by panel, then by tokens: two threads work on the same panel at once where panels are few. */
static void make_pieces(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct pieces_ctx *c = ctx;
    struct piece_scratch *s = (struct piece_scratch *)(void *)(c->c->scratch + (size_t)i_thread * c->c->scratch_bytes);
    int64_t per_panel = div_up(c->n_tok, c->toks);
    for (int64_t i = begin; i < end; i++) {
        int64_t i_panel = i / per_panel, t0 = i % per_panel * c->toks;
        const struct product *p = c->products;
        for (; i_panel >= n_panels(p->w); p++) i_panel -= n_panels(p->w);
        make_piece(c, p, i_panel, t0, min_i64(c->toks, c->n_tok - t0), s);
    }
}

/* Tokens of a piece: all, unless that leaves threads idle. */
static int64_t piece_toks(int64_t n_tok, int64_t panels, int64_t n_threads) {
    int64_t toks = min_i64(n_tok, TOKS_MAX);
    int64_t blocks = n_threads > 1 ? div_up(n_threads * RUNS_PER_THREAD, panels) : 1;
    if (blocks > 1 && n_tok > TOKS_MIN) {
        int64_t even = div_up(n_tok, blocks);
        toks = min_i64(toks, even < TOKS_MIN ? TOKS_MIN : even);
    }
    return toks;
}

void compute_products(struct compute *c, const struct product *products, int n_products, const float *x, int64_t ldx, int64_t n_tok) {
    int64_t panels = 0;
    if (n_tok <= 0) return;
    for (int i = 0; i < n_products; i++) {
        panels += n_panels(products[i].w);
        if (!products[i].w->panels) matmul_by_rows(c, &products[i], x, ldx, n_tok);
    }
    if (panels == 0) return;
    struct pieces_ctx p = {.c = c, .products = products, .n_products = n_products, .n_tok = n_tok};
    p.acts = quantize(c, x, ldx, n_tok, products[0].w->d_in);
    p.toks = piece_toks(n_tok, panels, pool_n_threads(c->pool));
    int64_t run = n_tok <= PANEL_FEW ? RUN_BYTES / (products[0].w->d_in / 2) / PANEL_ROWS : 1;
    pool_run_long(c->pool, panels * div_up(n_tok, p.toks), run, make_pieces, &p);
}

void compute_matmul(struct compute *c, float *y, int64_t ldy, const struct weight *w, const float *x, int64_t ldx, int64_t n_tok) {
    struct product p = {y, ldy, w};
    compute_products(c, &p, 1, x, ldx, n_tok);
}
