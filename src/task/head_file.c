/* head_file.c -- heads on file. GGUF is the container: its reader already bounds every count, length and offset of a hostile file; what is
 * checked here is that shapes agree with each other and that numbers are numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "task/head.h"

#define VERSION 1
#define FORM_BYTES_MAX (1u << 20)

/* ---- writing ---- */

struct piece {
    const char *name;
    enum dtype dtype;
    uint32_t n_dim;
    uint64_t shape[2];
    const void *data; /* F32 or I32 values, in order */
};

struct pieces {
    struct piece v[8];
    size_t n;
};

static void add(struct pieces *p, const char *name, enum dtype dtype, uint64_t rows, uint64_t columns, const void *data) {
    p->v[p->n++] = (struct piece){name, dtype, rows ? 2u : 1u, {rows ? rows : columns, rows ? columns : 1}, data};
}

static struct pieces pieces_of(const struct head *h) {
    struct pieces p = {.n = 0};
    if (h->kind == HEAD_NGRAM) {
        add(&p, "feature.hash", DTYPE_I32, 0, h->table.n_feature, h->table.hash);
        add(&p, "feature.weight", DTYPE_F32, 0, h->table.n_feature, h->table.weight);
    } else {
        add(&p, "state.mean", DTYPE_F32, 0, h->d, h->mean);
        add(&p, "state.scale", DTYPE_F32, 0, h->d, h->scale);
    }
    if (h->whiten) add(&p, "state.whiten", DTYPE_F32, h->d, h->d, h->whiten);
    add(&p, "label.weight", h->kind == HEAD_NGRAM ? DTYPE_F16 : DTYPE_F32, h->softmax.n_feature, h->n_label, h->softmax.weight);
    add(&p, "label.bias", DTYPE_F32, 0, h->n_label, h->softmax.bias);
    return p;
}

static slm_status emit_piece(void *user, size_t i, gguf_emit emit, void *sink, slm_err *err) {
    const struct piece *p = &((const struct pieces *)user)->v[i];
    size_t n = (size_t)(p->shape[0] * p->shape[1]), n_row = 4096;
    if (p->dtype != DTYPE_F16) return emit(sink, p->data, n * 4, err);
    uint16_t half[4096];
    slm_status st = SLM_OK;
    for (size_t at = 0; at < n && st == SLM_OK; at += n_row) {
        size_t k = n - at < n_row ? n - at : n_row;
        for (size_t j = 0; j < k; j++) half[j] = f32_to_f16(((const float *)p->data)[at + j]);
        st = emit(sink, half, k * sizeof *half, err);
    }
    return st;
}

static slm_status put_keys(struct gguf_writer *w, const struct head *h, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    TRY(gguf_put_string(w, "general.architecture", VIEW("slm-head"), err));
    TRY(gguf_put_u32(w, "slm.head.version", VERSION, err));
    TRY(gguf_put_string(w, "slm.head.kind", view_of(head_kind_name(h->kind)), err));
    TRY(gguf_put_string(w, "slm.head.form", view_of(h->form), err));
    TRY(gguf_put_string(w, "slm.head.pooling", view_of(pooling_name(h->pooling)), err));
    TRY(gguf_put_u64(w, "slm.head.model", h->model, err));
    TRY(gguf_put_u64(w, "slm.head.tokenizer", h->tokenizer, err));
    TRY(gguf_put_f32(w, "slm.head.temper", (float)h->temper, err));
    TRY(gguf_put_f32(w, "slm.head.accuracy", (float)h->accuracy, err));
    TRY(gguf_put_u64(w, "slm.head.rows", h->n_row, err));
    TRY(gguf_put_u64(w, "slm.head.held", h->n_held, err));
    TRY(mem_alloc(&mem, h->n_label, sizeof(struct view), "labels", err));
    for (uint32_t i = 0; i < h->n_label; i++) ((struct view *)mem)[i] = view_of(h->labels[i]);
    TRY(gguf_put_strings(w, "slm.head.labels", mem, h->n_label, err));
out:
    free(mem);
    return st;
}

slm_status head_write(const struct head *h, const char *path, slm_err *err) {
    slm_status st = SLM_OK;
    struct gguf_writer *w = NULL;
    struct pieces p = pieces_of(h);
    TRY(gguf_writer_create(&w, err));
    TRY(put_keys(w, h, err));
    for (size_t i = 0; i < p.n; i++) TRY(gguf_add_tensor(w, p.v[i].name, p.v[i].dtype, p.v[i].n_dim, p.v[i].shape, err));
    TRY(gguf_write(w, path, emit_piece, &p, err));
out:
    gguf_writer_destroy(w);
    return st;
}

/* ---- reading ---- */

/* A tensor of this shape as a new array of 4-byte values; rows 0: a vector. */
static slm_status take(const struct gguf *g, const char *name, bool is_int, uint64_t rows, uint64_t columns, void *out, slm_err *err) {
    const struct gguf_tensor *t = gguf_find_tensor(g, name);
    void *mem = NULL;
    if (!t) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "head: tensor \"%s\" is missing", name);
    if (t->n_dim != (rows ? 2u : 1u) || t->shape[0] != (rows ? rows : columns) || (rows && t->shape[1] != columns))
        return err_set(err, SLM_E_FORMAT, t->offset, "head: tensor \"%s\" has another shape than the keys say", name);
    if (is_int ? t->dtype != DTYPE_I32 : t->dtype != DTYPE_F32 && t->dtype != DTYPE_F16)
        return err_set(err, SLM_E_FORMAT, t->offset, "head: tensor \"%s\" is of type %s", name, dtype_get(t->dtype)->name);
    slm_status st = mem_alloc(&mem, (size_t)t->n_elem + 1, 4, name, err);
    if (st != SLM_OK) return st;
    if (is_int) memcpy(mem, t->data, (size_t)t->n_elem * 4);
    else dtype_get(t->dtype)->to_f32(mem, t->data, (int64_t)t->n_elem);
    for (uint64_t i = 0; !is_int && i < t->n_elem; i++)
        if (!isfinite(((const float *)mem)[i])) {
            free(mem);
            return err_set(err, SLM_E_FORMAT, t->offset, "head: tensor \"%s\" has a value that is no number", name);
        }
    memcpy(out, &mem, sizeof mem);
    return SLM_OK;
}

static slm_status take_labels(const struct gguf *g, struct head *h, slm_err *err) {
    const struct gguf_kv *kv = gguf_find(g, "slm.head.labels");
    void *mem = NULL, *names_mem = NULL;
    slm_status st = SLM_OK;
    if (!kv || kv->type != GGUF_ARRAY || kv->elem_type != GGUF_STRING || kv->n_elem < 2 || kv->n_elem > SOFTMAX_N_LABEL_MAX)
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "head: key \"slm.head.labels\": not 2 to %u names", SOFTMAX_N_LABEL_MAX);
    TRY(mem_alloc(&mem, (size_t)kv->n_elem, sizeof(struct view), "labels", err));
    TRY(mem_alloc(&names_mem, (size_t)kv->n_elem, sizeof(char *), "labels", err));
    struct view *v = mem;
    gguf_kv_strings(kv, v);
    h->labels = names_mem;
    h->n_label = (uint32_t)kv->n_elem;
    for (uint32_t i = 0; i < h->n_label; i++) {
        if (v[i].len == 0 || memchr(v[i].ptr, 0, v[i].len)) FAIL(SLM_E_FORMAT, kv->offset, "head: label %u is empty or has a zero byte", i);
        if (!(h->labels[i] = strndup(v[i].ptr, v[i].len))) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "labels: out of memory");
        if (i > 0 && strcmp(h->labels[i - 1], h->labels[i]) >= 0) FAIL(SLM_E_FORMAT, kv->offset, "head: labels are not in order of names");
    }
out:
    free(mem);
    return st;
}

static slm_status take_keys(const struct gguf *g, struct head *h, slm_err *err) {
    slm_status st = SLM_OK;
    struct view kind, form, pooling;
    char name[32];
    uint64_t version;
    TRY(gguf_get_u64(g, "slm.head.version", &version, err));
    if (version != VERSION) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "head: version %llu of the format, this program reads %d", (unsigned long long)version, VERSION);
    TRY(gguf_get_string(g, "slm.head.kind", &kind, err));
    TRY(gguf_get_string(g, "slm.head.form", &form, err));
    TRY(gguf_get_string(g, "slm.head.pooling", &pooling, err));
    TRY(gguf_get_u64(g, "slm.head.model", &h->model, err));
    TRY(gguf_get_u64(g, "slm.head.tokenizer", &h->tokenizer, err));
    TRY(gguf_get_f64(g, "slm.head.temper", &h->temper, err));
    TRY(gguf_get_f64(g, "slm.head.accuracy", &h->accuracy, err));
    TRY(gguf_get_u64(g, "slm.head.rows", &h->n_row, err));
    TRY(gguf_get_u64(g, "slm.head.held", &h->n_held, err));
    snprintf(name, sizeof name, "%.*s", (int)(kind.len < 31 ? kind.len : 31), kind.ptr);
    if (!head_kind_by_name(name, &h->kind)) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "head: kind \"%s\" is not known", show_cstr(name).s);
    snprintf(name, sizeof name, "%.*s", (int)(pooling.len < 31 ? pooling.len : 31), pooling.ptr);
    if (!pooling_by_name(name, &h->pooling)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "head: pooling \"%s\" is not known", show_cstr(name).s);
    if (form.len > FORM_BYTES_MAX || (form.len && memchr(form.ptr, 0, form.len))) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "head: key \"slm.head.form\": no text");
    if (!(h->temper > 0 && h->temper < 1e6) || !(h->accuracy >= 0 && h->accuracy <= 1)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "head: temperature or accuracy out of range");
    if (!(h->form = strndup(form.ptr, form.len))) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "head: out of memory");
out:
    if (st != SLM_E_NOT_FOUND) return st;
    if (err) err->code = SLM_E_FORMAT; /* the file is there: its key is not */
    return err_wrap(err, SLM_E_FORMAT, "head");
}

static slm_status take_ngram(const struct gguf *g, struct head *h, slm_err *err) {
    const struct gguf_tensor *t = gguf_find_tensor(g, "feature.hash");
    if (!t || t->n_elem == 0 || t->n_elem > NGRAM_N_FEATURE_MAX) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "head: tensor \"feature.hash\": not 1 to %u features", NGRAM_N_FEATURE_MAX);
    h->table.n_feature = h->table.cap = (uint32_t)t->n_elem;
    h->softmax.n_feature = h->table.n_feature;
    slm_status st = take(g, "feature.hash", true, 0, t->n_elem, &h->table.hash, err);
    if (st == SLM_OK) st = take(g, "feature.weight", false, 0, t->n_elem, &h->table.weight, err);
    return st == SLM_OK ? ngram_table_index(&h->table, err) : st;
}

static slm_status take_states(const struct gguf *g, struct head *h, slm_err *err) {
    const struct gguf_tensor *t = gguf_find_tensor(g, "state.mean");
    if (!t || t->n_elem == 0 || t->n_elem > 1u << 16) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "head: tensor \"state.mean\": not 1 to 65536 dimensions");
    h->d = h->softmax.n_feature = (uint32_t)t->n_elem;
    slm_status st = take(g, "state.mean", false, 0, h->d, &h->mean, err);
    if (st == SLM_OK) st = take(g, "state.scale", false, 0, h->d, &h->scale, err);
    if (st == SLM_OK && h->kind == HEAD_CENTROID) st = take(g, "state.whiten", false, h->d, h->d, &h->whiten, err);
    return st;
}

static slm_status take_all(const struct gguf *g, struct head *out, slm_err *err) {
    slm_status st = SLM_OK;
    *out = (struct head){0};
    TRY(take_keys(g, out, err));
    TRY(take_labels(g, out, err));
    TRY(out->kind == HEAD_NGRAM ? take_ngram(g, out, err) : take_states(g, out, err));
    out->softmax.n_label = out->n_label;
    TRY(take(g, "label.weight", false, out->softmax.n_feature, out->n_label, &out->softmax.weight, err));
    TRY(take(g, "label.bias", false, 0, out->n_label, &out->softmax.bias, err));
out:
    if (st != SLM_OK) head_fini(out);
    return st;
}

slm_status head_open(const char *path, struct head *out, slm_err *err) {
    struct gguf *g = NULL;
    *out = (struct head){0};
    slm_status st = gguf_open(path, &g, err);
    if (st == SLM_OK && (st = take_all(g, out, err)) != SLM_OK) err_wrap(err, st, "\"%s\"", show_path(path).s);
    gguf_close(g);
    return st;
}

slm_status head_open_memory(const void *bytes, size_t n, struct head *out, slm_err *err) {
    struct gguf *g = NULL;
    *out = (struct head){0};
    slm_status st = gguf_open_memory(bytes, n, "head", &g, err);
    if (st == SLM_OK) st = take_all(g, out, err);
    gguf_close(g);
    return st;
}
