/* convert.c -- a folder written as one GGUF file.
 *
 * First the model is bound as if it were to run: architecture, keys, shapes and tokenizer are checked by the code that would read
 * the file, and nothing is written when it fails. Then tensors go out in order, a piece of rows at a time: decoded, changed and
 * encoded by all threads, so memory is bounded by a piece whatever the model's size. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/pool.h"
#include "base/show.h"
#include "model/hf/hf_int.h"
#include "model/model.h"

#define PIECE_BYTES ((uint64_t)4 << 20)

/* general.file_type of what a folder may hold; ggml's numbers. */
static const struct { enum dtype type; uint32_t id; } file_types[] = {{DTYPE_F32, 0}, {DTYPE_F16, 1}, {DTYPE_BF16, 32}};

struct writing {
    const struct hf *h;
    const struct hf_write_params *p;
    struct pool *pool;
    uint64_t done_bytes, total_bytes;
    uint8_t *piece;   /* [piece_cap] */
    float *scratch;   /* [n_threads, HF_SCRATCH_ROWS, widest row] */
    uint64_t piece_cap, widest;
    /* the piece in work */
    const struct hf_output *o;
    uint64_t row_first, row_bytes;
    int64_t bad_row;  /* of the tensor, or -1; the lowest of all threads */
};

static uint64_t row_bytes_of(const struct hf_output *o) {
    uint64_t n = 0;
    dtype_row_bytes(o->dtype, hf_output_row_elems(o), &n);
    return n;
}

static void encode_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    struct writing *w = ctx;
    uint64_t from = w->row_first + (uint64_t)begin, to = w->row_first + (uint64_t)end;
    uint64_t stop = hf_output_rows(w->o, from, to, w->piece + (uint64_t)begin * w->row_bytes, w->scratch + (uint64_t)i_thread * HF_SCRATCH_ROWS * w->widest);
    if (stop == to) return;
    int64_t seen = __atomic_load_n(&w->bad_row, __ATOMIC_RELAXED);
    while ((seen < 0 || (int64_t)stop < seen) && !__atomic_compare_exchange_n(&w->bad_row, &seen, (int64_t)stop, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) continue;
}

/* gguf_source: tensor i in pieces. */
static slm_status give_tensor(void *user, size_t i, gguf_emit emit, void *sink, slm_err *err) {
    struct writing *w = user;
    const struct hf_output *o = w->o = &w->h->outputs[i];
    uint64_t n_row = hf_output_n_row(o);
    w->row_bytes = row_bytes_of(o);
    uint64_t n_piece = w->piece_cap / w->row_bytes;
    for (uint64_t r = 0; r < n_row; r += n_piece) {
        uint64_t n = n_row - r < n_piece ? n_row - r : n_piece;
        if (w->p->cancel && *w->p->cancel) return err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
        w->row_first = r;
        w->bad_row = -1;
        pool_run(w->pool, (int64_t)n, o->n_dim == 1 ? 4096 : 8, encode_rows, w);
        for (uint32_t k = 0; k < o->n_part; k++) {
            slm_status changed = file_check_unchanged(o->part[k]->data, err);
            if (changed != SLM_OK) return changed;
        }
        if (w->bad_row >= 0)
            return err_set(err, SLM_E_FORMAT, o->part[0]->offset, "\"%s\": tensor \"%s\" holds a value that is not finite, which \"%s\" cannot hold",
                           show_path(safetensors_path_of(o->source, o->part[0])).s, show_view(o->part[0]->name).s, dtype_get(o->dtype)->name);
        slm_status st = emit(sink, w->piece, n * w->row_bytes, err);
        if (st != SLM_OK) return st;
        w->done_bytes += n * w->row_bytes;
        for (uint32_t k = 0; k < o->n_part; k++) safetensors_forget(o->source, o->part[k]);
        if (w->p->on_progress) w->p->on_progress(w->p->user, i, w->done_bytes, w->total_bytes);
    }
    return SLM_OK;
}

/* Bind the model over its description. Bytes of matrices are not looked at, so they need not be made; vectors are. */
static slm_status check_model(struct hf *h, slm_err *err) {
    struct slm_model *m = NULL;
    struct gguf *g = NULL;
    slm_status st = hf_describe(h, &g, err);
    if (st == SLM_OK) st = model_bind(g, 0, &m, err);
    model_close(m);
    return st;
}

static slm_status set_types(struct hf *h, const enum dtype *types, slm_err *err) {
    for (size_t i = 0; i < h->n_output; i++) {
        slm_status st = gguf_set_dtype(h->w, i, types[i], err);
        if (st != SLM_OK) return st;
        h->outputs[i].dtype = types[i];
    }
    return SLM_OK;
}

/* The type of most bytes. */
static enum dtype main_type(const struct hf *h, uint64_t *total_bytes, uint64_t *n_param) {
    uint64_t bytes[DTYPE_COUNT] = {0};
    enum dtype best = DTYPE_F32;
    *total_bytes = *n_param = 0;
    for (size_t i = 0; i < h->n_output; i++) {
        uint64_t n = hf_output_n_row(&h->outputs[i]) * row_bytes_of(&h->outputs[i]);
        *total_bytes += n;
        *n_param += hf_output_n_row(&h->outputs[i]) * hf_output_row_elems(&h->outputs[i]);
        if (h->outputs[i].n_dim > 1) bytes[h->outputs[i].dtype] += n;
    }
    for (int t = 0; t < DTYPE_COUNT; t++)
        if (bytes[t] > bytes[best]) best = (enum dtype)t;
    return best;
}

static slm_status put_file_type(struct hf *h, int64_t asked, enum dtype type, slm_err *err) {
    if (asked >= 0) return gguf_put_u32(h->w, "general.file_type", (uint32_t)asked, err);
    for (size_t i = 0; i < sizeof file_types / sizeof file_types[0]; i++)
        if (file_types[i].type == type) return gguf_put_u32(h->w, "general.file_type", file_types[i].id, err);
    return SLM_OK;
}

static slm_status make_room(struct writing *w, slm_err *err) {
    void *piece = NULL, *scratch = NULL;
    w->piece_cap = PIECE_BYTES;
    for (size_t i = 0; i < w->h->n_output; i++) {
        uint64_t n = hf_output_row_elems(&w->h->outputs[i]), bytes = row_bytes_of(&w->h->outputs[i]);
        if (n > w->widest) w->widest = n;
        if (bytes > w->piece_cap) w->piece_cap = bytes;
    }
    slm_status st = mem_alloc(&piece, w->piece_cap, 1, "a piece of the file", err);
    w->piece = piece;
    if (st == SLM_OK) st = mem_alloc(&scratch, (size_t)pool_n_threads(w->pool) * HF_SCRATCH_ROWS * w->widest, sizeof(float), "scratch", err);
    w->scratch = scratch;
    return st;
}

slm_status hf_write(struct hf *h, const char *path, const struct hf_write_params *p, struct hf_write_result *result, slm_err *err) {
    struct writing w = {.h = h, .p = p};
    slm_status st;
    *result = (struct hf_write_result){0};
    TRY(file_check_output(path, err));
    TRY(check_model(h, err));
    if (p->types) TRY(set_types(h, p->types, err));
    enum dtype type = main_type(h, &w.total_bytes, &result->n_param);
    TRY(put_file_type(h, p->file_type, type, err));
    TRY(pool_create(p->n_threads, &w.pool, err));
    TRY(make_room(&w, err));
    TRY(gguf_write(h->w, path, give_tensor, &w, err));
    result->arch = h->arch->name;
    result->type = type;
    result->n_tensor = h->n_output;
    result->bytes = w.total_bytes;
out:
    free(w.piece);
    free(w.scratch);
    pool_destroy(w.pool);
    return st;
}
