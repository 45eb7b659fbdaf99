/* weights.c -- bind every tensor row of the architecture to the file and check its shape.
 *
 * Matrices stay where they are in the mapping; a slot that is part of a fused tensor (q of q+k+v) is its run of rows, so
 * nothing above knows of fusing; a slot may have a row for either form, of which one stands. Vectors (norms, biases, factors) are copied to f32 once: they are small, and so kernels
 * need no second type for them. Every tensor of the file must be claimed by a row; one that is not (a bias this
 * architecture's arithmetic would leave out, say) is refused by name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_int.h"

struct binder {
    struct slm_model *m;
    bool *claimed; /* [gguf_n_tensor] */
};

/* What a row says about one tensor of the file: [rows, cols], or [cols] when rows is 0; ours are n_rows from first_row. */
struct expected {
    enum dim rows_dim, cols_dim;
    uint64_t rows, cols, first_row, n_rows;
};

static struct expected expect(const struct hparams *hp, const struct arch_tensor *row, uint32_t i_layer) {
    bool is_part = row->of && !(row->flags & TENSOR_STACK);
    struct expected e = {.rows_dim = is_part ? row->of : row->rows, .cols_dim = row->cols};
    e.rows = row->flags & TENSOR_VECTOR ? 0 : hparams_dim(hp, e.rows_dim, i_layer);
    e.cols = hparams_dim(hp, row->cols, i_layer);
    e.first_row = row->at ? hparams_dim(hp, row->at, i_layer) : 0;
    e.n_rows = hparams_dim(hp, row->rows, i_layer);
    return e;
}

static slm_status check_shape(const struct slm_model *m, const struct expected *e, const struct gguf_tensor *t, slm_err *err) {
    bool fits = e->rows ? t->n_dim == 2 && t->shape[0] == e->rows && t->shape[1] == e->cols : t->n_dim == 1 && t->shape[0] == e->cols;
    if (fits) return SLM_OK;
    char have[96] = "", want[160];
    for (uint32_t i = 0, n = 0; i < t->n_dim; i++)
        n += (uint32_t)snprintf(have + n, sizeof have - n, "%s%llu", i ? ", " : "", (unsigned long long)t->shape[i]);
    if (!e->rows) snprintf(want, sizeof want, "%s=%llu", dim_name(e->cols_dim), (unsigned long long)e->cols);
    else
        snprintf(want, sizeof want, "%s=%llu, %s=%llu", dim_name(e->rows_dim), (unsigned long long)e->rows, dim_name(e->cols_dim),
                 (unsigned long long)e->cols);
    return err_set(err, SLM_E_FORMAT, t->offset, "\"%s\": tensor \"%.*s\" is [%s], architecture \"%s\" needs [%s]", gguf_path(m->gguf),
                   VIEW_ARG(t->name), have, m->arch->name, want);
}

/* "blk.%u.attn_q" with the layer filled in and a suffix added. */
static void format_name(char *out, size_t n, const char *pattern, uint32_t i_layer, const char *suffix) {
    const char *mark = strstr(pattern, "%u");
    if (mark) snprintf(out, n, "%.*s%u%s%s", (int)(mark - pattern), pattern, i_layer, mark + 2, suffix);
    else snprintf(out, n, "%s%s", pattern, suffix);
}

void model_row_name(char *out, size_t n, const struct arch_tensor *row, uint32_t i_layer) {
    format_name(out, n, row->name, i_layer, row->flags & TENSOR_BARE ? "" : ".weight");
}

static bool has_form(const struct slm_model *m, const struct arch_tensor *row, uint32_t i_layer) {
    char name[GGUF_NAME_BYTES_MAX + 32];
    struct expected e = expect(&m->hp, row, i_layer);
    format_name(name, sizeof name, row->name, i_layer, ".weight");
    const struct gguf_tensor *t = gguf_find_tensor(m->gguf, name);
    return t && t->n_dim == 2 && t->shape[0] == e.rows;
}

bool model_row_stands(const struct slm_model *m, const struct arch_tensor *row, uint32_t i_layer) {
    if (row->flags & TENSOR_OTHER_FORM) return has_form(m, row, i_layer);
    for (size_t i = 0; i < m->arch->n_tensors; i++) {
        const struct arch_tensor *other = &m->arch->tensors[i];
        if (other->slot == row->slot && other->flags & TENSOR_OTHER_FORM && has_form(m, other, i_layer)) return false;
    }
    return true;
}

/* Find and claim; NULL when absent. */
static const struct gguf_tensor *claim(struct binder *b, const char *name) {
    const struct gguf_tensor *t = gguf_find_tensor(b->m->gguf, name);
    if (t) b->claimed[t - gguf_tensor_at(b->m->gguf, 0)] = true;
    return t;
}

/* Elements [first, first + n) of a vector, or of a small matrix, as f32; NaN and infinity would poison every token, so they are refused here. */
static slm_status copy_vector(struct slm_model *m, const struct gguf_tensor *t, uint64_t first, uint64_t n, const float **out, slm_err *err) {
    const struct dtype_desc *d = dtype_get(t->dtype);
    if (d->block_elems != 1)
        return err_set(err, SLM_E_UNSUPPORTED, t->offset, "\"%s\": tensor \"%.*s\": a vector of type \"%s\" is not supported", gguf_path(m->gguf),
                       VIEW_ARG(t->name), d->name);
    float *v = arena_alloc(&m->arena, n * sizeof(float), 64);
    if (!v) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "tensor \"%.*s\": out of memory", VIEW_ARG(t->name));
    d->to_f32(v, t->data + first * d->block_bytes, (int64_t)n);
    for (uint64_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return err_set(err, SLM_E_FORMAT, t->offset, "\"%s\": tensor \"%.*s\" holds a value that is not finite", gguf_path(m->gguf), VIEW_ARG(t->name));
    *out = v;
    return SLM_OK;
}

/* A stack of matrices: one weight for each. */
static slm_status bind_stack(struct binder *b, const struct arch_tensor *row, const struct expected *e, const struct gguf_tensor *t, struct bound *out,
                               slm_err *err) {
    struct slm_model *m = b->m;
    uint64_t n = hparams_dim(&m->hp, row->of, 0), row_bytes = t->n_bytes / (t->shape[0] * t->shape[1]);
    if (t->n_dim != 3 || t->shape[0] != n || t->shape[1] != e->rows || t->shape[2] != e->cols)
        return err_set(err, SLM_E_FORMAT, t->offset, "\"%s\": tensor \"%.*s\" is [%llu, %llu, %llu], architecture \"%s\" needs [%s=%llu, %s=%llu, %s=%llu]",
                       gguf_path(m->gguf), VIEW_ARG(t->name), (unsigned long long)t->shape[0], (unsigned long long)t->shape[1],
                       (unsigned long long)t->shape[2], m->arch->name, dim_name(row->of), (unsigned long long)n, dim_name(row->rows), (unsigned long long)e->rows,
                       dim_name(row->cols), (unsigned long long)e->cols);
    out->stack = arena_alloc(&m->arena, n * sizeof *out->stack, 64);
    if (!out->stack) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "%llu matrices: out of memory", (unsigned long long)n);
    out->n_stack = (uint32_t)n;
    for (uint64_t i = 0; i < n; i++)
        out->stack[i] = (struct weight){.data = t->data + i * e->rows * row_bytes, .dtype = t->dtype, .d_out = (int64_t)e->rows, .d_in = (int64_t)e->cols,
                                         .row_bytes = (int64_t)row_bytes};
    return SLM_OK;
}

/* Their biases [n_expert, rows]. */
static slm_status bind_stack_bias(struct binder *b, const struct arch_tensor *row, const struct expected *e, const char *name, struct bound *out, slm_err *err) {
    const struct gguf_tensor *t = claim(b, name);
    if (!t && row->flags & TENSOR_BIAS_OPTIONAL) return SLM_OK;
    if (!t) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": tensor \"%s\" is missing", gguf_path(b->m->gguf), name);
    if (t->n_dim != 2 || t->shape[0] != out->n_stack || t->shape[1] != e->rows)
        return err_set(err, SLM_E_FORMAT, t->offset, "\"%s\": tensor \"%s\" is not [%s=%u, %s=%llu]", gguf_path(b->m->gguf), name, dim_name(row->of), out->n_stack,
                       dim_name(row->rows), (unsigned long long)e->rows);
    return copy_vector(b->m, t, 0, t->n_elem, &out->bias, err);
}

static slm_status bind_bias(struct binder *b, const struct arch_tensor *row, const struct expected *e, const char *name, struct bound *out, slm_err *err) {
    struct expected whole = {.cols_dim = e->rows ? e->rows_dim : e->cols_dim, .cols = e->rows ? e->rows : e->cols};
    const struct gguf_tensor *t = claim(b, name);
    if (!t) {
        if (row->flags & TENSOR_BIAS_OPTIONAL) return SLM_OK;
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": tensor \"%s\" is missing", gguf_path(b->m->gguf), name);
    }
    slm_status st = check_shape(b->m, &whole, t, err);
    if (st != SLM_OK) return st;
    return copy_vector(b->m, t, e->first_row, e->rows ? e->n_rows : e->cols, &out->bias, err);
}

/* Bind one row for one layer (layer 0 for global rows). */
static slm_status bind_row(struct binder *b, const struct arch_tensor *row, uint32_t i_layer, slm_err *err) {
    struct slm_model *m = b->m;
    char name[GGUF_NAME_BYTES_MAX + 32];
    struct expected e = expect(&m->hp, row, i_layer);
    struct bound *out = row->slot < W_LAYER_FIRST ? &m->global[row->slot] : &m->layers[i_layer].slot[row->slot - W_LAYER_FIRST];
    enum mixer_kind mixer = m->hp.layer[i_layer].mixer;
    if (hparams_dim(&m->hp, row->rows, i_layer) == 0 || e.cols == 0) return SLM_OK; /* a part that this model has not */
    if (row->flags & (m->hp.layer[i_layer].is_moe ? TENSOR_ON_DENSE : TENSOR_ON_MOE)) return SLM_OK;
    if (row->flags & (mixer == MIXER_ATTENTION ? TENSOR_ON_MIXER : TENSOR_ON_ATTENTION)) return SLM_OK;
    if (!model_row_stands(m, row, i_layer)) return SLM_OK;
    model_row_name(name, sizeof name, row, i_layer);
    const struct gguf_tensor *t = claim(b, name);
    if (!t) {
        if (row->tied != W_NONE) {
            *out = m->global[row->tied];
            return SLM_OK;
        }
        bool shares = m->hp.layer[i_layer].i_kv != i_layer;
        if (row->flags & TENSOR_OPTIONAL || (row->flags & TENSOR_ON_OWN_KV && shares)) return SLM_OK;
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": tensor \"%s\" is missing", gguf_path(m->gguf), name);
    }
    slm_status st = row->flags & TENSOR_STACK ? bind_stack(b, row, &e, t, out, err) : check_shape(m, &e, t, err);
    if (st != SLM_OK) return st;
    if (row->flags & TENSOR_STACK) {
    } else if (row->flags & TENSOR_VECTOR) st = copy_vector(m, t, 0, e.cols, &out->vec, err);
    else if (row->flags & TENSOR_F32) st = copy_vector(m, t, 0, t->n_elem, &out->vec, err);
    else {
        uint64_t row_bytes = t->n_bytes / t->shape[0];
        out->w = (struct weight){t->data + e.first_row * row_bytes, t->dtype, (int64_t)e.n_rows, (int64_t)e.cols, (int64_t)row_bytes, NULL};
    }
    if (st == SLM_OK && row->flags & (TENSOR_BIAS | TENSOR_BIAS_OPTIONAL)) {
        format_name(name, sizeof name, row->name, i_layer, ".bias");
        st = row->flags & TENSOR_STACK ? bind_stack_bias(b, row, &e, name, out, err) : bind_bias(b, row, &e, name, out, err);
    }
    return st;
}

/* Blocks that guess ahead are no part of the model's own pass: "blk.<n_layer and more>.". */
static bool is_draft(const struct slm_model *m, struct view name) {
    for (uint32_t i = 0; i < m->hp.n_layer_draft; i++) {
        char prefix[32];
        size_t n = (size_t)snprintf(prefix, sizeof prefix, "blk.%u.", m->hp.n_layer + i);
        if (name.len > n && memcmp(name.ptr, prefix, n) == 0) return true;
    }
    return false;
}

slm_status weights_bind(struct slm_model *m, slm_err *err) {
    slm_status st = SLM_OK;
    struct binder b = {.m = m};
    size_t n_tensor = gguf_n_tensor(m->gguf);
    void *claimed = NULL;
    TRY(mem_alloc(&claimed, n_tensor + 1, sizeof(bool), "tensor marks", err));
    b.claimed = claimed;
    m->layers = arena_alloc(&m->arena, m->hp.n_layer * sizeof *m->layers, 64);
    if (!m->layers) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "%u layers: out of memory", m->hp.n_layer);
    for (size_t i = 0; i < m->arch->n_tensors; i++) {
        const struct arch_tensor *row = &m->arch->tensors[i];
        uint32_t n = row->slot < W_LAYER_FIRST ? 1 : m->hp.n_layer;
        for (uint32_t i_layer = 0; i_layer < n; i_layer++) TRY(bind_row(&b, row, i_layer, err));
    }
    for (size_t i = 0; i < n_tensor; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(m->gguf, i);
        if (!b.claimed[i] && !is_draft(m, t->name))
            FAIL(SLM_E_UNSUPPORTED, t->offset, "\"%s\": tensor \"%.*s\" has no place in architecture \"%s\"", gguf_path(m->gguf), VIEW_ARG(t->name),
                 m->arch->name);
        m->n_param += t->n_elem;
        m->weight_bytes += t->n_bytes;
    }
out:
    free(claimed);
    return st;
}

static void move_weight(struct weight *w, const uint8_t *from, size_t n_bytes, size_t from_row, const uint8_t *to, enum dtype dtype, size_t to_row) {
    if (!w->data || w->data < from || w->data >= from + n_bytes) return;
    size_t row = (size_t)(w->data - from) / from_row;
    w->data = to + row * to_row;
    w->dtype = dtype;
    w->row_bytes = (int64_t)to_row;
    w->panels = NULL;
}

static void move_bound(struct bound *b, const uint8_t *from, size_t n_bytes, size_t from_row, const uint8_t *to, enum dtype dtype, size_t to_row) {
    move_weight(&b->w, from, n_bytes, from_row, to, dtype, to_row);
    for (uint32_t e = 0; e < b->n_stack; e++) move_weight(&b->stack[e], from, n_bytes, from_row, to, dtype, to_row);
}

void model_move_weights(struct slm_model *m, const uint8_t *from, size_t n_bytes, size_t from_row, const uint8_t *to, enum dtype dtype, size_t to_row) {
    for (int i = 0; i < W_LAYER_FIRST; i++) move_bound(&m->global[i], from, n_bytes, from_row, to, dtype, to_row);
    for (uint32_t l = 0; l < m->hp.n_layer; l++)
        for (int i = 0; i < W_COUNT - W_LAYER_FIRST; i++) move_bound(&m->layers[l].slot[i], from, n_bytes, from_row, to, dtype, to_row);
}
