/* quant_write.c -- the file, streamed: a slab of rows at a time is decoded, encoded by all threads and handed to the writer.
 *
 * Rows are independent, so threads change nothing. Pages of the source are given back after each slab: memory stays at a slab of
 * output and a row per thread, even when the source is larger than memory. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/show.h"
#include "engine/quantize.h"

#define SLAB_BYTES (16u << 20)
#define GRAIN_ELEMS 65536 /* of one claim of a thread */

struct slab {
    const struct gguf_tensor *t;
    enum dtype to;
    const struct input_weights *weights;
    uint64_t rows_per_matrix, first_row, d_in, row_bytes_from, row_bytes_to;
    uint8_t *dst;
    uint8_t *scratch; /* [n_threads, scratch_bytes]: rows, and what carrying takes */
    size_t scratch_bytes;
    int64_t n_row;
    _Atomic uint64_t bad_row; /* lowest row with a value that is not finite; UINT64_MAX: none */
};

static bool all_finite(const float *x, uint64_t n) {
    uint32_t worst = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7f800000u;
        worst = bits > worst ? bits : worst;
    }
    return worst < 0x7f800000u;
}

static bool load_row(struct slab *s, int64_t r, float *x) {
    uint64_t row = s->first_row + (uint64_t)r;
    dtype_get(s->t->dtype)->to_f32(x, s->t->data + row * s->row_bytes_from, (int64_t)s->d_in);
    if (all_finite(x, s->d_in)) return true;
    uint64_t seen = atomic_load(&s->bad_row);
    while (row < seen && !atomic_compare_exchange_weak(&s->bad_row, &seen, row)) {}
    return false;
}

static void encode_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    struct slab *s = ctx;
    const float *importance = s->weights->importance;
    float *x = (float *)(s->scratch + (size_t)i_thread * s->scratch_bytes), *scratch = x + s->d_in;
    for (int64_t r = begin; r < end; r++) {
        uint64_t matrix = (s->first_row + (uint64_t)r) / s->rows_per_matrix;
        load_row(s, r, x);
        dtype_encode_row(dtype_get(s->to), s->dst + (uint64_t)r * s->row_bytes_to, x, (int64_t)s->d_in, importance ? importance + matrix * s->d_in : NULL, scratch);
    }
}

/* begin, end: tiles of CARRY_ROWS rows. */
static void carry_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    struct slab *s = ctx;
    float *x = (float *)(s->scratch + (size_t)i_thread * s->scratch_bytes);
    for (int64_t tile = begin; tile < end; tile++) {
        int64_t r = tile * CARRY_ROWS;
        int n = s->n_row - r < CARRY_ROWS ? (int)(s->n_row - r) : CARRY_ROWS;
        bool is_fine = true;
        for (int i = 0; i < n; i++) is_fine &= load_row(s, r + i, x + (size_t)i * s->d_in);
        if (is_fine)
            carry_encode(s->weights->carry, dtype_get(s->to), x, n, s->weights->importance, s->dst + (uint64_t)r * s->row_bytes_to, x + CARRY_ROWS * s->d_in);
    }
}

slm_status quant_tensor(const struct gguf_tensor *t, enum dtype to, const struct input_weights *weights, uint64_t rows_per_matrix, struct pool *pool,
                        uint64_t first_row, uint64_t n_row, uint8_t *dst, const char *path, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    struct slab s = {.t = t, .to = to, .weights = weights, .rows_per_matrix = rows_per_matrix, .first_row = first_row, .dst = dst, .n_row = (int64_t)n_row};
    s.d_in = t->shape[t->n_dim ? t->n_dim - 1 : 0];
    atomic_init(&s.bad_row, UINT64_MAX);
    if (!dtype_row_bytes(t->dtype, s.d_in, &s.row_bytes_from) || !dtype_row_bytes(to, s.d_in, &s.row_bytes_to))
        FAIL(SLM_E_FORMAT, t->offset, "tensor \"%s\": rows of %llu do not fit its type", show_view(t->name).s, (unsigned long long)s.d_in);
    s.scratch_bytes = 3 * s.d_in * sizeof(float);
    if (weights->carry) s.scratch_bytes = CARRY_ROWS * s.d_in * sizeof(float) + carry_scratch_bytes(dtype_get(to), (uint32_t)s.d_in);
    TRY(mem_alloc(&mem, (size_t)pool_n_threads(pool), s.scratch_bytes, "rows", err));
    s.scratch = mem;
    int64_t grain = GRAIN_ELEMS / (int64_t)s.d_in;
    if (weights->carry) pool_run(pool, (s.n_row + CARRY_ROWS - 1) / CARRY_ROWS, 1, carry_rows, &s);
    else pool_run(pool, s.n_row, grain > 0 ? grain : 1, encode_rows, &s);
    uint64_t bad = atomic_load(&s.bad_row);
    if (bad != UINT64_MAX) {
        err_set(err, SLM_E_FORMAT, t->offset, "\"%s\": tensor \"%s\": row %llu has a value that is not finite", show_path(path).s,
                show_view(t->name).s, (unsigned long long)bad);
        err_hint(err, "the file is damaged, or its training failed");
        st = SLM_E_FORMAT;
    }
out:
    free(mem);
    return st;
}

struct writing {
    const struct quant_plan *plan;
    const struct quant_params *p;
    struct pool *pool;
    uint8_t *slab;
    uint64_t bytes_done;
};

static slm_status check_cancel(const struct quant_params *p, slm_err *err) {
    return p->cancel && *p->cancel ? err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "interrupted: nothing was written") : SLM_OK;
}

static slm_status copy_tensor(struct writing *w, const struct gguf_tensor *t, gguf_emit emit, void *sink, slm_err *err) {
    for (uint64_t at = 0; at < t->n_bytes;) {
        uint64_t n = t->n_bytes - at < SLAB_BYTES ? t->n_bytes - at : SLAB_BYTES;
        slm_status st = check_cancel(w->p, err);
        if (st == SLM_OK) st = emit(sink, t->data + at, n, err);
        if (st != SLM_OK) return st;
        gguf_forget(w->plan->source, t->data + at, (size_t)n);
        at += n;
    }
    return SLM_OK;
}

static slm_status convert_tensor(struct writing *w, const struct quant_choice *c, gguf_emit emit, void *sink, slm_err *err) {
    const struct gguf_tensor *t = c->tensor;
    slm_status st = SLM_OK;
    struct input_weights weights = {0};
    uint64_t d_in = t->shape[t->n_dim ? t->n_dim - 1 : 0], n_row = t->n_elem / d_in, row_bytes_to = c->bytes / n_row;
    uint64_t row_bytes_from = t->n_bytes / n_row, n_slab = SLAB_BYTES / row_bytes_to;
    TRY(input_weights_get(w->p->imatrix, t, c->to, &weights, err));
    if (n_slab < 1) n_slab = 1;
    for (uint64_t row = 0; row < n_row; row += n_slab) {
        uint64_t n = n_row - row < n_slab ? n_row - row : n_slab;
        TRY(check_cancel(w->p, err));
        TRY(quant_tensor(t, c->to, &weights, t->n_dim > 1 ? t->shape[t->n_dim - 2] : 1, w->pool, row, n, w->slab, gguf_path(w->plan->source), err));
        TRY(emit(sink, w->slab, (size_t)(n * row_bytes_to), err));
        gguf_forget(w->plan->source, t->data + row * row_bytes_from, (size_t)(n * row_bytes_from));
        if (w->p->progress) w->p->progress(w->p->user, (size_t)(c - w->plan->choices), w->bytes_done + (row + n) * row_bytes_from, w->plan->bytes_from);
    }
out:
    input_weights_fini(&weights);
    return st;
}

static slm_status write_tensor(void *user, size_t i_tensor, gguf_emit emit, void *sink, slm_err *err) {
    struct writing *w = user;
    const struct quant_choice *c = &w->plan->choices[i_tensor];
    slm_status st = c->to == c->tensor->dtype ? copy_tensor(w, c->tensor, emit, sink, err) : convert_tensor(w, c, emit, sink, err);
    w->bytes_done += c->tensor->n_bytes;
    if (st == SLM_E_CANCELLED || !c->tensor->data) return st;
    slm_status changed = file_check_unchanged(c->tensor->data, err); /* also where what was read made no sense: this is why */
    return changed != SLM_OK ? changed : st;
}

static slm_status put_metadata(struct gguf_writer *w, const struct quant_plan *plan, const struct quant_params *p, const struct quant_note *notes,
                               size_t n_notes, slm_err *err) {
    slm_status st = SLM_OK;
    for (size_t i = 0; i < gguf_n_kv(plan->source); i++) TRY(gguf_put_kv(w, gguf_kv_at(plan->source, i), err));
    TRY(gguf_put_u32(w, "general.file_type", plan->type->gguf_id, err));
    TRY(gguf_put_u32(w, "general.quantization_version", 2, err));
    if (p->imatrix) {
        TRY(gguf_put_string(w, "quantize.imatrix.dataset", view_of(p->imatrix->dataset), err));
        TRY(gguf_put_u32(w, "quantize.imatrix.entries_count", (uint32_t)p->imatrix->n, err));
        TRY(gguf_put_u32(w, "quantize.imatrix.chunks_count", p->imatrix->n_chunk, err));
    }
    for (size_t i = 0; i < n_notes; i++) {
        if (notes[i].text) TRY(gguf_put_string(w, notes[i].key, view_of(notes[i].text), err));
        else TRY(gguf_put_f32(w, notes[i].key, (float)notes[i].number, err));
    }
out:
    return st;
}

slm_status quant_write(const struct quant_plan *plan, const struct quant_params *p, const struct quant_note *notes, size_t n_notes,
                       const char *path, slm_err *err) {
    slm_status st = SLM_OK;
    struct gguf_writer *writer = NULL;
    struct writing w = {.plan = plan, .p = p};
    uint64_t slab_bytes = SLAB_BYTES;
    void *mem = NULL;
    TRY(file_check_output(path, err));
    TRY(pool_create(p->n_threads, &w.pool, err));
    TRY(gguf_writer_create(&writer, err));
    TRY(put_metadata(writer, plan, p, notes, n_notes, err));
    for (size_t i = 0; i < plan->n; i++) {
        const struct gguf_tensor *t = plan->choices[i].tensor;
        char name[GGUF_NAME_BYTES_MAX + 1];
        snprintf(name, sizeof name, "%.*s", VIEW_ARG(t->name));
        TRY(gguf_add_tensor(writer, name, plan->choices[i].to, t->n_dim, t->shape, err));
        uint64_t d_in = t->shape[t->n_dim ? t->n_dim - 1 : 0], row_bytes = t->n_elem ? plan->choices[i].bytes / (t->n_elem / d_in) : 0;
        if (row_bytes > slab_bytes) slab_bytes = row_bytes; /* a slab is at least one row */
    }
    TRY(mem_alloc(&mem, (size_t)slab_bytes, 1, "output rows", err));
    w.slab = mem;
    TRY(gguf_write(writer, path, write_tensor, &w, err));
out:
    free(mem);
    gguf_writer_destroy(writer);
    pool_destroy(w.pool);
    return st;
}
