/* compute.c -- start and end of a compute, and the plain operations split over the pool (matrix products: matmul.c).
 *
 * Every output element is made whole by one call of one slot, and a slot's element depends on its own inputs only, so
 * neither the number of threads nor the way of splitting changes a bit. */
#include "compute/compute.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/util.h"
#include "compute/compute_int.h"

enum {
    ELEMS_PER_RUN = 8 * 1024, /* element-wise work below this is faster on one thread */
};

static int threads_of(int n_threads) {
    if (n_threads > 0) return n_threads < POOL_THREADS_MAX ? n_threads : POOL_THREADS_MAX;
    struct cpu_info info;
    cpu_info_get(&info);
    return info.n_usable;
}

size_t compute_scratch_bytes(int n_threads, int64_t d_in_max, int64_t n_tok_max) {
    size_t bytes, acts;
    if (!matmul_scratch_bytes(d_in_max, &bytes) || !size_mul(bytes, (size_t)threads_of(n_threads), &bytes)) return SIZE_MAX;
    if (!matmul_acts_bytes(d_in_max, n_tok_max, &acts) || !size_add(bytes, acts, &bytes)) return SIZE_MAX;
    return bytes;
}

slm_status compute_init(struct compute *c, int n_threads, int64_t d_in_max, int64_t n_tok_max, slm_err *err) {
    slm_status st = SLM_OK;
    void *p = NULL;
    size_t acts_bytes;
    memset(c, 0, sizeof *c);
    const char *isa = env_get(ENV_SLM_CPU);
    st = ops_build(&c->ops, isa, err);
    if (st != SLM_OK) {
        err_wrap(err, st, "SLM_CPU");
        goto out;
    }
    TRY(pool_create(n_threads, &c->pool, err));
    if (!matmul_scratch_bytes(d_in_max, &c->scratch_bytes) || !matmul_acts_bytes(d_in_max, n_tok_max, &acts_bytes))
        FAIL(SLM_E_NOMEM, SLM_NOWHERE, "compute scratch: %lld rows of %lld elements are too much", (long long)n_tok_max, (long long)d_in_max);
    TRY(mem_alloc(&p, (size_t)pool_n_threads(c->pool), c->scratch_bytes, "compute scratch", err));
    c->scratch = p;
    TRY(mem_alloc(&p, acts_bytes, 1, "quantized activations", err));
    c->acts = p;
    c->acts_bytes = acts_bytes;
out:
    if (st != SLM_OK) compute_fini(c);
    return st;
}

void compute_fini(struct compute *c) {
    free(c->scratch);
    free(c->acts);
    if (c->pool) pool_destroy(c->pool);
    memset(c, 0, sizeof *c);
}

void compute_run_split(struct compute *c, int64_t n_items, int64_t grain, pool_fn fn, void *ctx) {
    if (n_items <= 0) return;
    if (n_items <= grain) {
        fn(ctx, 0, n_items, 0);
    } else {
        pool_run(c->pool, n_items, grain, fn, ctx);
    }
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
    for (int64_t i = begin; i < end; i++) {
        if (w->panels) matmul_panel_row(g->c, i_thread, g->y + i * w->d_in, w, g->ids[i]);
        else g->c->ops.to_f32[w->dtype](g->y + i * w->d_in, w->data + g->ids[i] * w->row_bytes, w->d_in);
    }
}

void compute_get_rows(struct compute *c, float *y, const struct weight *w, const int32_t *ids, int64_t n_tok) {
    struct rows_ctx g = {c, w, y, ids};
    compute_run_split(c, n_tok, div_up(ELEMS_PER_RUN, w->d_in > 0 ? w->d_in : 1), get_rows, &g);
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
    compute_run_split(c, n_tok, div_up(ELEMS_PER_RUN, d > 0 ? d : 1), norm_rows, &n);
}

void compute_layer_norm(struct compute *c, float *y, const float *x, const float *w, const float *b, int64_t n_tok, int64_t d, float eps) {
    struct norm_ctx n = {c, y, x, w, b, d, eps, true};
    compute_run_split(c, n_tok, div_up(ELEMS_PER_RUN, d > 0 ? d : 1), norm_rows, &n);
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

static void run_elems(struct compute *c, struct elem_ctx e, int64_t n) { compute_run_split(c, n, ELEMS_PER_RUN, elem_run, &e); }

void compute_add(struct compute *c, float *x, const float *y, float s, int64_t n) {
    run_elems(c, (struct elem_ctx){.binary_with = c->ops.add, .dst = x, .src = y, .s = s}, n);
}

void compute_scale(struct compute *c, float *x, float s, int64_t n) {
    run_elems(c, (struct elem_ctx){.unary_with = c->ops.scale, .dst = x, .s = s}, n);
}

void compute_sigmoid_mul(struct compute *c, float *x, const float *gate, int64_t n) {
    run_elems(c, (struct elem_ctx){.binary = c->ops.sigmoid_mul, .dst = x, .src = gate}, n);
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
    compute_run_split(c, n_row, div_up(ELEMS_PER_RUN, d > 0 ? d : 1), bias_rows, &ctx);
}
