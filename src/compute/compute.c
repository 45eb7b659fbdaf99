/* compute.c -- splits each operation of the forward pass over the pool.
 *
 * Every output element is made whole by one call of one slot, and a slot's element depends on its own inputs only, so
 * neither the number of threads nor the way of splitting changes a bit.
 *
 * Matrix products split the weight's rows into tiles. A thread decodes a tile to f32 in its own scratch, once, and
 * multiplies it with all tokens: the decoding cost is shared by the tokens, the tile stays in the thread's L2, and the
 * slot streams the activations past it a few tokens at a time. With one token nothing is shared, and a tile is as
 * small as fits the L1: up to twice as fast, measured. f32 weights are used where they lie. */
#include "compute/compute.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/util.h"

enum {
    ROWS_MULTIPLE = 8,       /* tiles are whole register blocks of every ISA's matmul_f32 */
    ROWS_MULTIPLE_ONE = 4,   /* the same for one token */
    ROWS_MAX = 64,           /* more rows gain nothing: a token's loads are shared well enough */
    TILE_BYTES = 256 * 1024, /* decoded tile that leaves room for activations in an L2 of 512 KiB */
    TILE_BYTES_ONE = 32 * 1024,
    RUNS_PER_THREAD = 4,      /* so that a late thread costs at most a quarter of its share */
    ELEMS_PER_RUN = 8 * 1024, /* element-wise work below this is faster on one thread */
    GROUP_ROWS = 16,          /* query heads handed to the attention slot at once */
};

static int64_t min_i64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t div_up(int64_t a, int64_t b) {
    return a / b + (a % b != 0);
}

static int threads_of(int n_threads) {
    if (n_threads > 0) return n_threads < POOL_THREADS_MAX ? n_threads : POOL_THREADS_MAX;
    struct cpu_info info;
    cpu_info_get(&info);
    return info.n_usable;
}

/* Rows of width d_in in a tile; once: it is decoded for one token. Never fewer than one register block. */
static int64_t tile_rows(int64_t d_in, bool once) {
    int64_t bytes = once ? TILE_BYTES_ONE : TILE_BYTES;
    int64_t multiple = once ? ROWS_MULTIPLE_ONE : ROWS_MULTIPLE;
    int64_t rows = bytes / (int64_t)sizeof(float) / (d_in > 0 ? d_in : 1);
    rows -= rows % multiple;
    if (rows < multiple) rows = multiple;
    return min_i64(rows, ROWS_MAX);
}

/* Scratch of one thread: enough for tile_rows(d, either) rows of any width d <= d_in_max. False on overflow. */
static bool scratch_bytes_of(int64_t d_in_max, size_t *bytes) {
    size_t wide;
    if (d_in_max < 0 || !size_mul((size_t)d_in_max, (size_t)ROWS_MULTIPLE * sizeof(float), &wide)) return false;
    if (wide < TILE_BYTES) wide = TILE_BYTES;
    if (!size_add(wide, 63, &wide)) return false;
    *bytes = wide & ~(size_t)63; /* threads do not share a cache line */
    return true;
}

size_t compute_scratch_bytes(int n_threads, int64_t d_in_max) {
    size_t bytes;
    if (!scratch_bytes_of(d_in_max, &bytes) || !size_mul(bytes, (size_t)threads_of(n_threads), &bytes)) return SIZE_MAX;
    return bytes;
}

slm_status compute_init(struct compute *c, int n_threads, int64_t d_in_max, slm_err *err) {
    slm_status st = SLM_OK;
    void *scratch = NULL;
    memset(c, 0, sizeof *c);
    const char *isa = env_get(ENV_SLM_CPU);
    st = ops_build(&c->ops, isa, err);
    if (st != SLM_OK) {
        err_wrap(err, st, "SLM_CPU");
        goto out;
    }
    TRY(pool_create(n_threads, &c->pool, err));
    if (!scratch_bytes_of(d_in_max, &c->scratch_bytes)) {
        FAIL(SLM_E_NOMEM, SLM_NOWHERE, "compute scratch: rows of %lld elements are too wide", (long long)d_in_max);
    }
    TRY(mem_alloc(&scratch, (size_t)pool_n_threads(c->pool), c->scratch_bytes, "compute scratch", err));
    c->scratch = scratch;
out:
    if (st != SLM_OK) compute_fini(c);
    return st;
}

void compute_fini(struct compute *c) {
    free(c->scratch);
    if (c->pool) pool_destroy(c->pool);
    memset(c, 0, sizeof *c);
}

/* One run is not worth waking anybody. */
static void run_split(struct compute *c, int64_t n_items, int64_t grain, pool_fn fn, void *ctx) {
    if (n_items <= 0) return;
    if (n_items <= grain) {
        fn(ctx, 0, n_items, 0);
    } else {
        pool_run(c->pool, n_items, grain, fn, ctx);
    }
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

void compute_matmul(struct compute *c, float *y, int64_t ldy, const struct weight *w, const float *x, int64_t ldx,
                    int64_t n_tok) {
    if (n_tok <= 0) return;
    struct matmul_ctx m = {.c = c, .w = w, .y = y, .x = x, .ldy = ldy, .ldx = ldx, .n_tok = n_tok};
    m.in_place =
        w->dtype == DTYPE_F32 && (uintptr_t)w->data % sizeof(float) == 0 && w->row_bytes % (int64_t)sizeof(float) == 0;
    int64_t n_threads = pool_n_threads(c->pool);
    int64_t grain = div_up(div_up(w->d_out, n_threads * RUNS_PER_THREAD), ROWS_MULTIPLE) * ROWS_MULTIPLE;
    grain = n_threads == 1 ? w->d_out : min_i64(grain, tile_rows(w->d_in, false));
    run_split(c, w->d_out, grain, matmul_rows, &m);
}

struct rows_ctx {
    struct compute *c;
    const struct weight *w;
    float *y;
    const int32_t *ids;
};

static void get_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct rows_ctx *g = ctx;
    const struct weight *w = g->w;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        g->c->ops.to_f32[w->dtype](g->y + i * w->d_in, w->data + g->ids[i] * w->row_bytes, w->d_in);
    }
}

void compute_get_rows(struct compute *c, float *y, const struct weight *w, const int32_t *ids, int64_t n_tok) {
    struct rows_ctx g = {c, w, y, ids};
    run_split(c, n_tok, div_up(ELEMS_PER_RUN, w->d_in > 0 ? w->d_in : 1), get_rows, &g);
}

struct norm_ctx {
    struct compute *c;
    float *y;
    const float *x, *w, *b; /* b: LayerNorm's, may be NULL */
    int64_t d;
    float eps;
    bool is_layer_norm;
};

static void norm_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct norm_ctx *n = ctx;
    const struct ops *ops = &n->c->ops;
    int64_t at = begin * n->d;
    (void)i_thread;
    if (n->is_layer_norm) ops->layer_norm(n->y + at, n->x + at, n->w, n->b, end - begin, n->d, n->eps);
    else ops->rms_norm(n->y + at, n->x + at, n->w, end - begin, n->d, n->eps);
}

void compute_rms_norm(struct compute *c, float *y, const float *x, const float *w, int64_t n_tok, int64_t d, float eps) {
    struct norm_ctx n = {c, y, x, w, NULL, d, eps, false};
    run_split(c, n_tok, div_up(ELEMS_PER_RUN, d > 0 ? d : 1), norm_rows, &n);
}

void compute_layer_norm(struct compute *c, float *y, const float *x, const float *w, const float *b, int64_t n_tok, int64_t d, float eps) {
    struct norm_ctx n = {c, y, x, w, b, d, eps, true};
    run_split(c, n_tok, div_up(ELEMS_PER_RUN, d > 0 ? d : 1), norm_rows, &n);
}

/* The element-wise slots: dst[n] from itself, perhaps src[n], perhaps a number. One of the slots is set. */
struct elem_ctx {
    void (*unary)(float *x, int64_t n);
    void (*unary_with)(float *x, float s, int64_t n);
    void (*binary)(float *x, const float *y, int64_t n);
    void (*binary_with)(float *x, const float *y, float s, int64_t n);
    float *dst;
    const float *src;
    float s;
};

static void elem_run(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct elem_ctx *e = ctx;
    int64_t n = end - begin;
    (void)i_thread;
    if (e->unary) e->unary(e->dst + begin, n);
    else if (e->unary_with) e->unary_with(e->dst + begin, e->s, n);
    else if (e->binary) e->binary(e->dst + begin, e->src + begin, n);
    else e->binary_with(e->dst + begin, e->src + begin, e->s, n);
}

static void run_elems(struct compute *c, struct elem_ctx e, int64_t n) { run_split(c, n, ELEMS_PER_RUN, elem_run, &e); }

void compute_add(struct compute *c, float *x, const float *y, float s, int64_t n) {
    run_elems(c, (struct elem_ctx){.binary_with = c->ops.add, .dst = x, .src = y, .s = s}, n);
}

void compute_scale(struct compute *c, float *x, float s, int64_t n) {
    run_elems(c, (struct elem_ctx){.unary_with = c->ops.scale, .dst = x, .s = s}, n);
}

void compute_softcap(struct compute *c, float *x, float cap, int64_t n) {
    run_elems(c, (struct elem_ctx){.unary_with = c->ops.softcap, .dst = x, .s = cap}, n);
}

void compute_act_mul(struct compute *c, enum act_kind act, float *gate, const float *up, int64_t n) {
    void (*const slots[])(float *, const float *, int64_t) = {
        [ACT_SILU] = c->ops.silu_mul, [ACT_GELU] = c->ops.gelu_mul, [ACT_GELU_ERF] = c->ops.gelu_erf_mul,
    };
    run_elems(c, (struct elem_ctx){.binary = slots[act], .dst = gate, .src = up}, n);
}

void compute_act(struct compute *c, enum act_kind act, float *x, int64_t n) {
    SLM_ASSERT(act != ACT_SILU);
    run_elems(c, (struct elem_ctx){.unary = act == ACT_GELU ? c->ops.gelu : c->ops.gelu_erf, .dst = x}, n);
}

struct bias_ctx {
    struct compute *c;
    float *y;
    const float *b;
    int64_t d;
};

static void bias_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct bias_ctx *b = ctx;
    (void)i_thread;
    b->c->ops.add_bias(b->y + begin * b->d, b->b, end - begin, b->d);
}

void compute_add_bias(struct compute *c, float *y, const float *b, int64_t n_row, int64_t d) {
    struct bias_ctx ctx = {c, y, b, d};
    run_split(c, n_row, div_up(ELEMS_PER_RUN, d > 0 ? d : 1), bias_rows, &ctx);
}

struct attn_ctx {
    struct compute *c;
    const struct attn_job *jobs;
    int64_t n_group, d_head;
    const struct attn_params *params;
};

static void attn_jobs(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct attn_ctx *a = ctx;
    (void)i_thread;
    for (int64_t j = begin; j < end; j++) {
        const struct attn_job *job = &a->jobs[j];
        struct attn_row rows[GROUP_ROWS];
        for (int64_t g = 0; g < a->n_group; g += GROUP_ROWS) {
            int64_t n = min_i64(GROUP_ROWS, a->n_group - g);
            for (int64_t i = 0; i < n; i++) {
                int64_t at = (g + i) * a->d_head;
                rows[i] = (struct attn_row){job->q + at, job->out + at, job->pos_first, job->pos_end};
            }
            a->c->ops.attention(rows, n, &job->kv, a->d_head, a->params);
        }
    }
}

void compute_attention(struct compute *c, const struct attn_job *jobs, int64_t n_job, int64_t n_group, int64_t d_head,
                       const struct attn_params *params) {
    struct attn_ctx a = {c, jobs, n_group, d_head, params};
    run_split(c, n_job, 1, attn_jobs, &a);
}
