/* adapter.c -- adapters written, and merged into the matrices that they were trained beside. */
#include "train/adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/show.h"
#include "model/lora.h"
#include "train/blas_int.h"
#include "train/net_int.h"

#define ROWS 64 /* of a merged piece */

/* ---- writing ---- */

struct adapter_out {
    struct trainee *t;
};

static slm_status emit_tensor(void *user, size_t i, gguf_emit emit, void *sink, slm_err *err) {
    const struct adapter_out *a = user;
    const struct param *p = &a->t->params[i];
    return emit(sink, a->t->w + p->at, p->n * sizeof(float), err);
}

slm_status adapter_write(struct trainee *t, const char *path, slm_err *err) {
    slm_status st = SLM_OK;
    struct gguf_writer *w = NULL;
    struct adapter_out out = {t};
    const struct lora_params *l = &t->set.lora;
    SLM_ASSERT(l->r > 0);
    double alpha = l->root ? (double)l->alpha * sqrt((double)l->r) : (double)l->alpha; /* readers divide by r */
    TRY(gguf_writer_create(&w, err));
    TRY(gguf_put_string(w, "general.type", VIEW("adapter"), err));
    TRY(gguf_put_string(w, "general.architecture", view_of(t->arch->name), err));
    TRY(gguf_put_string(w, "adapter.type", VIEW("lora"), err));
    TRY(gguf_put_f32(w, "adapter.lora.alpha", (float)alpha, err));
    for (size_t i = 0; i < t->n_params; i++) {
        const struct param *p = &t->params[i];
        TRY(gguf_add_tensor(w, p->name, DTYPE_F32, 2, (const uint64_t[]){(uint64_t)p->rows, (uint64_t)p->cols}, err));
    }
    TRY(gguf_write(w, path, emit_tensor, &out, err));
out:
    gguf_writer_destroy(w);
    return st;
}

/* ---- merging ---- */

struct merge {
    struct gguf_writer *writer;
    struct gguf *base; /* closed with the result; NULL: the caller's */
    const struct gguf *adapter;
    const void **data;
    float *merged;
    uint64_t bytes, used;
    double alpha;
    float strength;
    struct pool *pool;
};

static void release(void *user) {
    struct merge *m = user;
    gguf_writer_destroy(m->writer);
    mem_release(m->merged, m->bytes);
    gguf_close(m->base);
    free(m->data);
    free(m);
}

struct merge_args {
    enum dtype type;
    const uint8_t *from; /* [n_row, n_col] in rows of row_bytes */
    size_t row_bytes;
    const float *a, *b;  /* [r, n_col], [n_row, r] */
    float *out;
    int64_t n_row, n_col, r;
    double scale;
};

static void merge_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct merge_args *m = ctx;
    const struct dtype_desc *d = dtype_get(m->type);
    int64_t n_row = m->n_row, n_col = m->n_col;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i * ROWS, n = n_row - at < ROWS ? n_row - at : ROWS;
        for (int64_t k = 0; k < n; k++) d->to_f32(m->out + (at + k) * n_col, m->from + (size_t)(at + k) * m->row_bytes, n_col);
        blas_gemm(false, false, n, n_col, m->r, (float)m->scale, m->b + at * m->r, m->r, m->a, n_col, 1, m->out + at * n_col, n_col);
    }
}

static slm_status merge_tensor(struct merge *m, const struct gguf_tensor *t, const struct lora_halves *h, const void **data, slm_err *err) {
    const struct gguf_tensor *a = h->a, *b = h->b;
    void *pa = NULL, *pb = NULL;
    slm_status st = SLM_OK;
    TRY(mem_alloc(&pa, a->n_elem, sizeof(float), "adapter", err));
    TRY(mem_alloc(&pb, b->n_elem, sizeof(float), "adapter", err));
    TRY(lora_file_values(m->adapter, a, a->data, pa, a->n_elem, err));
    TRY(lora_file_values(m->adapter, b, b->data, pb, b->n_elem, err));
    int64_t r = (int64_t)lora_rank(h), n_col = (int64_t)t->shape[t->n_dim - 1], n_row = (int64_t)t->shape[t->n_dim - 2], n_stack = (int64_t)t->n_elem / n_col / n_row;
    struct merge_args args = {.type = t->dtype, .n_row = n_row, .n_col = n_col, .row_bytes = t->n_bytes / (uint64_t)(n_row * n_stack), .r = r,
                              .scale = (double)m->strength * lora_alpha_scale(m->alpha, (uint64_t)r)};
    for (int64_t i = 0; i < n_stack; i++) {
        args.from = t->data + (size_t)(i * n_row) * args.row_bytes;
        args.a = (const float *)pa + i * r * n_col;
        args.b = (const float *)pb + i * n_row * r;
        args.out = m->merged + m->used + (uint64_t)(i * n_row * n_col);
        pool_run(m->pool, (n_row + ROWS - 1) / ROWS, 1, merge_rows, &args);
    }
    for (uint64_t i = 0; i < t->n_elem; i++)
        if (!isfinite(m->merged[m->used + i])) FAIL(SLM_E_FORMAT, t->offset, "\"%s\": tensor \"%s\" is not finite with what the adapter adds", show_cstr(gguf_path(m->adapter)).s, show_view(t->name).s);
    *data = m->merged + m->used;
    m->used += t->n_elem;
out:
    free(pa);
    free(pb);
    return st;
}

/* Room for what the adapter touches. */
static slm_status measure(struct merge *m, const struct gguf *base, slm_err *err) {
    struct lora_halves h;
    for (size_t i = 0; i < gguf_n_tensor(base); i++)
        if (lora_file_find(m->adapter, gguf_tensor_at(base, i), &h)) m->bytes += gguf_tensor_at(base, i)->n_elem * sizeof(float);
    return mem_reserve((void **)&m->merged, m->bytes, "merged matrices", err);
}

static slm_status describe(struct merge *m, const struct gguf *base, slm_err *err) {
    slm_status st = SLM_OK;
    void *p = NULL;
    TRY(gguf_writer_create(&m->writer, err));
    TRY(mem_alloc(&p, gguf_n_tensor(base) + 1, sizeof *m->data, "tensors", err));
    m->data = p;
    for (size_t i = 0; i < gguf_n_kv(base); i++) TRY(gguf_put_kv(m->writer, gguf_kv_at(base, i), err));
    for (size_t i = 0; i < gguf_n_tensor(base); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(base, i);
        struct lora_halves h;
        bool is_merged = lora_file_find(m->adapter, t, &h);
        char name[GGUF_NAME_BYTES_MAX + 8];
        if (t->name.len >= sizeof name) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "tensor \"%.*s\": its name is too long", VIEW_ARG(t->name));
        memcpy(name, t->name.ptr, t->name.len);
        name[t->name.len] = 0;
        m->data[i] = t->data;
        if (is_merged) TRY(merge_tensor(m, t, &h, &m->data[i], err));
        TRY(gguf_add_tensor(m->writer, name, is_merged ? DTYPE_F32 : t->dtype, t->n_dim, t->shape, err));
    }
out:
    return st;
}

/* base_owned: base itself, when the result is to close it, else NULL; taken on success only. */
static slm_status merge(const struct gguf *base, struct gguf *base_owned, const struct gguf *adapter, float strength, int n_threads, struct gguf **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct merge *m = NULL;
    void *p = NULL;
    *out = NULL;
    TRY(blas_load(err));
    TRY(mem_alloc(&p, 1, sizeof *m, "merge", err));
    m = p;
    m->adapter = adapter;
    TRY(pool_create(n_threads, &m->pool, err));
    m->strength = strength;
    TRY(lora_file_check(adapter, base, &m->alpha, err));
    TRY(measure(m, base, err));
    TRY(describe(m, base, err));
    pool_destroy(m->pool);
    m->pool = NULL;
    TRY(gguf_view(m->writer, gguf_path(base), m->data, release, m, out, err));
    m->base = base_owned;
    return SLM_OK;
out:
    if (m) {
        pool_destroy(m->pool);
        release(m);
    }
    return st;
}

slm_status adapter_merge_open(const struct gguf *base, const struct gguf *adapter, float strength, int n_threads, struct gguf **out, slm_err *err) {
    return merge(base, NULL, adapter, strength, n_threads, out, err);
}

slm_status adapter_merge(const struct gguf *base, const char *path, float strength, int n_threads, struct gguf **out, slm_err *err) {
    struct gguf *adapter = NULL;
    slm_status st = gguf_open(path, &adapter, err);
    if (st == SLM_OK) st = merge(base, NULL, adapter, strength, n_threads, out, err);
    gguf_close(adapter);
    return st;
}

slm_status adapter_open(const char *model, const char *adapter, int n_threads, struct slm_model **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct gguf *base = NULL, *a = NULL, *merged = NULL;
    *out = NULL;
    if (!adapter) return model_open(model, 0, out, err);
    TRY(model_open_file(model, 0, &base, err));
    TRY(gguf_open(adapter, &a, err));
    TRY(merge(base, base, a, 1, n_threads, &merged, err));
    base = NULL; /* merged's now */
    TRY(model_bind(merged, 0, out, err));
out:
    gguf_close(a);
    gguf_close(base);
    return st;
}
