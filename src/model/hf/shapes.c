/* shapes.c -- the shape that a tensor's parts make together, by the way it is made.
 *
 * One function for each kind of way, chosen by a table; each refuses parts that do not fit by the name of the one that does not. All
 * products are of sizes that the reader of the folder has checked against the bytes of the file. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/show.h"
#include "model/hf/hf_int.h"

slm_status hf_tensor_fail(const struct safetensors *s, const struct st_tensor *t, slm_err *err, slm_status code, const char *fmt, ...) {
    char why[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return err_set(err, code, t->offset, "\"%s\": tensor \"%s\": %s", show_path(safetensors_path_of(s, t)).s, show_view(t->name).s, why);
}

static slm_status fail_first(const struct hf_output *o, slm_err *err, const char *what, uint64_t n) {
    return hf_tensor_fail(o->source, o->part[0], err, SLM_E_FORMAT, "%llu %s", (unsigned long long)n, what);
}

static slm_status check_floats(const struct hf_output *o, slm_err *err) {
    for (uint32_t i = 0; i < o->n_part; i++) {
        enum dtype d = o->part[i]->type->dtype;
        if (d != DTYPE_F32 && d != DTYPE_F16 && d != DTYPE_BF16 && d != DTYPE_F64)
            return hf_tensor_fail(o->source, o->part[i], err, SLM_E_UNSUPPORTED, "weights of type \"%s\" are not supported", o->part[i]->type->name);
    }
    return SLM_OK;
}

static slm_status check_same_rows(const struct hf_output *o, slm_err *err) {
    const struct st_tensor *first = o->part[0];
    for (uint32_t i = 1; i < o->n_part; i++) {
        const struct st_tensor *t = o->part[i];
        if (t->n_dim != first->n_dim || (t->n_dim == 2 && t->shape[1] != first->shape[1]))
            return hf_tensor_fail(o->source, t, err, SLM_E_FORMAT, "its rows differ from those of \"%s\", with which it makes one tensor",
                                  show_view(first->name).s);
    }
    return SLM_OK;
}

/* A vector, or a matrix of the rows of all parts. */
static slm_status shape_rows(const struct hf *h, struct hf_output *o, slm_err *err) {
    const struct st_tensor *first = o->part[0];
    (void)h;
    o->n_dim = first->n_dim;
    for (uint32_t i = 0; i < GGUF_N_DIM_MAX; i++) o->shape[i] = first->shape[i];
    if (o->n_dim == 3 && o->shape[1] == 1 && o->n_part == 1) { /* a convolution of one channel each: its taps are rows */
        o->n_dim = 2;
        o->shape[1] = o->shape[2];
        o->shape[2] = 1;
    }
    if (o->n_dim == 0 || o->n_dim > 2 || first->n_elem == 0)
        return hf_tensor_fail(o->source, first, err, SLM_E_FORMAT, "%u dimensions, %llu elements: a vector or matrix is needed", first->n_dim,
                              (unsigned long long)first->n_elem);
    slm_status st = check_floats(o, err);
    if (st == SLM_OK) st = check_same_rows(o, err);
    for (uint32_t i = 1; i < o->n_part; i++) o->shape[0] += o->part[i]->shape[0]; /* bounded by the size of files */
    return st;
}

static slm_status shape_heads(const struct hf *h, struct hf_output *o, slm_err *err) {
    slm_status st = shape_rows(h, o, err);
    if (st != SLM_OK) return st;
    o->n_head = o->how == HF_ROPE_Q ? h->n_head : h->n_head_kv;
    if (o->shape[0] % o->n_head == 0 && o->shape[0] / o->n_head % 2 == 0) return SLM_OK;
    return hf_tensor_fail(o->source, o->part[0], err, SLM_E_FORMAT, "%llu rows are not %u heads of an even width", (unsigned long long)o->shape[0], o->n_head);
}

static slm_status shape_half(const struct hf *h, struct hf_output *o, slm_err *err) {
    slm_status st = shape_rows(h, o, err);
    if (st != SLM_OK) return st;
    if (o->shape[0] % 2) return fail_first(o, err, "rows are not two halves", o->shape[0]);
    o->shape[0] /= 2;
    if (o->how == HF_SECOND) o->first_row = o->shape[0];
    return SLM_OK;
}

/* The rows of the vocabulary, however few the folder has. */
static slm_status shape_past_end(const struct hf *h, struct hf_output *o, slm_err *err) {
    slm_status st = shape_rows(h, o, err);
    if (st == SLM_OK && o->shape[0] < h->n_vocab) o->shape[0] = h->n_vocab;
    return st;
}

static slm_status shape_stack(const struct hf *h, struct hf_output *o, slm_err *err) {
    const struct st_tensor *first = o->part[0];
    (void)h;
    if (first->n_dim != 2 || first->n_elem == 0) return hf_tensor_fail(o->source, first, err, SLM_E_FORMAT, "%u dimensions: a matrix is needed", first->n_dim);
    for (uint32_t i = 1; i < o->n_part; i++)
        if (o->part[i]->n_dim != 2 || o->part[i]->shape[0] != first->shape[0] || o->part[i]->shape[1] != first->shape[1])
            return hf_tensor_fail(o->source, o->part[i], err, SLM_E_FORMAT, "its shape differs from that of \"%s\", with which it makes one tensor",
                                  show_view(first->name).s);
    o->n_dim = 3;
    o->shape[0] = o->n_part;
    o->shape[1] = first->shape[0];
    o->shape[2] = first->shape[1];
    o->shape[3] = 1;
    return check_floats(o, err);
}

/* Value heads: all rows, those behind queries and keys, or columns. */
static slm_status shape_value_heads(const struct hf *h, struct hf_output *o, slm_err *err) {
    slm_status st = shape_rows(h, o, err);
    if (st != SLM_OK) return st;
    uint64_t n = o->shape[o->how == HF_V_COLUMNS ? 1 : 0];
    o->n_head = h->n_head_v;
    o->n_group = h->n_head_k;
    if (o->how == HF_QKV_ROWS) o->first_row = 2 * (uint64_t)h->n_head_k * h->d_state;
    if (o->n_part == 1 && n > o->first_row && (n - o->first_row) % o->n_head == 0) return SLM_OK;
    return hf_tensor_fail(o->source, o->part[0], err, SLM_E_FORMAT, "%llu %s are not %llu and %u value heads", (unsigned long long)n,
                          o->how == HF_V_COLUMNS ? "columns" : "rows", (unsigned long long)o->first_row, o->n_head);
}

/* Every other element of the rows of a matrix. */
static slm_status shape_pairs(const struct hf *h, struct hf_output *o, slm_err *err) {
    slm_status st = shape_rows(h, o, err);
    if (st != SLM_OK) return st;
    if (o->n_part != 1 || o->n_dim != 2 || o->shape[1] % 2) return fail_first(o, err, "dimensions: a matrix of pairs is needed", o->n_dim);
    o->stride.matrix = 0;
    o->stride.row = o->shape[1];
    o->stride.elem = 2;
    o->stride.first = o->how == HF_ODD;
    o->shape[1] /= 2;
    return SLM_OK;
}

/* [n, cols, rows] read as [n, rows, cols], perhaps of pairs of rows only one each. */
static slm_status shape_turned(const struct hf *h, struct hf_output *o, slm_err *err) {
    const struct st_tensor *t = o->part[0];
    uint64_t step = o->how == HF_T ? 1 : 2;
    (void)h;
    if (o->n_part != 1 || t->n_dim != 3 || t->n_elem == 0 || t->shape[2] % step) return fail_first(o, err, "dimensions: a stack of matrices is needed", t->n_dim);
    o->n_dim = 3;
    o->shape[0] = t->shape[0];
    o->shape[1] = t->shape[2] / step;
    o->shape[2] = t->shape[1];
    o->shape[3] = 1;
    o->stride.matrix = t->shape[1] * t->shape[2];
    o->stride.row = step;
    o->stride.elem = t->shape[2];
    o->stride.first = o->how == HF_ODD_T;
    return check_floats(o, err);
}

static slm_status shape_mxfp4(const struct hf *h, struct hf_output *o, slm_err *err) {
    const struct st_tensor *q = o->part[0], *scale = o->n_part == 2 ? o->part[1] : NULL;
    uint64_t step = o->how == HF_MX ? 1 : 2;
    (void)h;
    bool fits = scale && strcmp(q->type->name, "U8") == 0 && strcmp(scale->type->name, "U8") == 0 && q->n_dim == 4 && scale->n_dim == 3 && q->shape[3] == 16 &&
                q->n_elem > 0 && q->shape[1] % step == 0;
    for (uint32_t i = 0; fits && i < 3; i++) fits = q->shape[i] == scale->shape[i];
    if (!fits) return fail_first(o, err, "dimensions: bytes [n, rows, blocks, 16] with scales [n, rows, blocks] are needed", q->n_dim);
    o->n_dim = 3;
    o->shape[0] = q->shape[0];
    o->shape[1] = q->shape[1] / step;
    o->shape[2] = q->shape[2] * 32;
    o->shape[3] = 1;
    o->first_row = o->how == HF_MX_ODD;
    return SLM_OK;
}

slm_status hf_output_shape(const struct hf *h, struct hf_output *o, uint64_t n_past_pad, slm_err *err) {
    static slm_status (*const shapes[HF_N_HOWS])(const struct hf *h, struct hf_output *o, slm_err *err) = {
        [HF_COPY] = shape_rows,          [HF_PLUS_ONE] = shape_rows,        [HF_PAST_PAD] = shape_rows,          [HF_ROPE_Q] = shape_heads,
        [HF_ROPE_K] = shape_heads,       [HF_FIRST] = shape_half,           [HF_SECOND] = shape_half,            [HF_PAST_END] = shape_past_end,
        [HF_STACK] = shape_stack,        [HF_V_ROWS] = shape_value_heads,   [HF_QKV_ROWS] = shape_value_heads,   [HF_V_COLUMNS] = shape_value_heads,
        [HF_DECAY] = shape_value_heads,  [HF_EVEN] = shape_pairs,           [HF_ODD] = shape_pairs,              [HF_EVEN_T] = shape_turned,
        [HF_ODD_T] = shape_turned,       [HF_T] = shape_turned,             [HF_MX_EVEN] = shape_mxfp4,          [HF_MX_ODD] = shape_mxfp4,
        [HF_MX] = shape_mxfp4,
    };
    slm_status st = shapes[o->how](h, o, err);
    if (st != SLM_OK || o->how != HF_PAST_PAD) return st;
    if (o->shape[0] <= n_past_pad) return fail_first(o, err, "rows, none behind the padding token", o->shape[0]);
    o->shape[0] -= o->first_row = n_past_pad;
    return SLM_OK;
}
