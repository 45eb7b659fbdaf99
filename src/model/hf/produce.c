/* produce.c -- the bytes of an output: every way of making a tensor is a choice of the source row for each of its rows, and for a
 * few ways of the elements in it.
 *
 * So one loop serves fusing, splitting, stacking and permuting, any type on either side, and any run of rows: a file is written in
 * pieces by any number of threads with the same bytes.
 * Source of the 4-bit blocks: OCP Microscaling Formats 1.0; in folders byte j of a block has elements 2j and 2j + 1. */
#include <math.h>
#include <string.h>

#include "model/hf/hf_int.h"

#define MX_ELEMS 32
#define MX_BYTES 17

/* A row is the last dimension; a vector's elements are rows of one. */
uint64_t hf_output_n_row(const struct hf_output *o) {
    uint64_t n = o->shape[0];
    for (uint32_t i = 1; i + 1 < o->n_dim; i++) n *= o->shape[i];
    return n;
}

uint64_t hf_output_row_elems(const struct hf_output *o) { return o->n_dim > 1 ? o->shape[o->n_dim - 1] : 1; }

static uint64_t part_rows(const struct hf_output *o, const struct st_tensor *t) { return t->n_elem / hf_output_row_elems(o); }

/* Element r of n that value heads share, from GGUF's order to the folder's: head v is the (v / n_group)-th of key head v % n_group. */
static uint64_t value_element(const struct hf_output *o, uint64_t r, uint64_t n) {
    uint64_t d = n / o->n_head, v = r / d;
    return (v % o->n_group * (o->n_head / o->n_group) + v / o->n_group) * d + r % d;
}

/* Which row of the parts, counted through all of them, is row r. */
static uint64_t source_row(const struct hf_output *o, uint64_t r) {
    uint64_t d, head, pair, half;
    switch (o->how) {
    case HF_ROPE_Q:
    case HF_ROPE_K:
        d = o->shape[0] / o->n_head, head = r / d, pair = r % d / 2, half = r % 2;
        return head * d + half * (d / 2) + pair;
    case HF_V_ROWS:
    case HF_QKV_ROWS:
    case HF_DECAY: return r < o->first_row ? r : o->first_row + value_element(o, r - o->first_row, o->shape[0] - o->first_row);
    case HF_PAST_END: return r < part_rows(o, o->part[0]) ? r : 0;
    case HF_MX_EVEN:
    case HF_MX_ODD: return 2 * r + o->first_row;
    default: return o->first_row + r;
    }
}

/* Row r whole, in its place. */
static const uint8_t *plain_row(const struct hf_output *o, uint64_t r) {
    uint64_t row = source_row(o, r), n;
    uint32_t i = 0;
    while (i + 1 < o->n_part && row >= (n = part_rows(o, o->part[i]))) {
        row -= n;
        i++;
    }
    return o->part[i]->data + row * hf_output_row_elems(o) * (o->part[i]->type->bits / 8);
}

static enum dtype row_dtype(const struct hf_output *o, uint64_t r) {
    uint64_t row = source_row(o, r), n;
    uint32_t i = 0;
    if (o->how == HF_MX || o->how == HF_MX_EVEN || o->how == HF_MX_ODD) return DTYPE_MXFP4;
    while (i + 1 < o->n_part && row >= (n = part_rows(o, o->part[i]))) {
        row -= n;
        i++;
    }
    return o->part[i]->type->dtype;
}

/* Elements that stand apart, together to buf. */
static const uint8_t *gather_row(const struct hf_output *o, uint64_t r, uint8_t *buf) {
    uint64_t n = hf_output_row_elems(o), size = o->part[0]->type->bits / 8, rows = o->n_dim == 3 ? o->shape[1] : o->shape[0];
    const uint8_t *from = o->part[0]->data + (r / rows * o->stride.matrix + r % rows * o->stride.row + o->stride.first) * size;
    for (uint64_t i = 0; i < n; i++) memcpy(buf + i * size, from + i * o->stride.elem * size, size);
    return buf;
}

static const uint8_t *value_columns(const struct hf_output *o, uint64_t r, uint8_t *buf) {
    uint64_t n = hf_output_row_elems(o), size = o->part[0]->type->bits / 8;
    const uint8_t *from = o->part[0]->data + r * n * size;
    for (uint64_t i = 0; i < n; i++) memcpy(buf + i * size, from + value_element(o, i, n) * size, size);
    return buf;
}

/* The folder's neighbours in a byte are half a block apart in GGUF's. */
static const uint8_t *mxfp4_row(const struct hf_output *o, uint64_t r, uint8_t *buf) {
    uint64_t n_block = hf_output_row_elems(o) / MX_ELEMS, row = source_row(o, r);
    const uint8_t *q = o->part[0]->data + row * n_block * 16, *scale = o->part[1]->data + row * n_block;
    for (uint64_t b = 0; b < n_block; b++, q += 16) {
        uint8_t *to = buf + b * MX_BYTES;
        to[0] = scale[b];
        for (int j = 0; j < 16; j++) {
            int low = q[j / 2] >> j % 2 * 4 & 15, high = q[8 + j / 2] >> j % 2 * 4 & 15;
            to[1 + j] = (uint8_t)(low | high << 4);
        }
    }
    return buf;
}

static const uint8_t *(*row_reader(enum hf_how how))(const struct hf_output *o, uint64_t r, uint8_t *buf) {
    switch (how) {
    case HF_V_COLUMNS: return value_columns;
    case HF_EVEN:
    case HF_ODD:
    case HF_EVEN_T:
    case HF_ODD_T:
    case HF_T: return gather_row;
    case HF_MX:
    case HF_MX_EVEN:
    case HF_MX_ODD: return mxfp4_row;
    default: return NULL; /* rows stand whole in their place */
    }
}

static bool changes_values(const struct hf_output *o) { return o->how == HF_PLUS_ONE || o->how == HF_DECAY; }

const void *hf_output_in_place(const struct hf_output *o) {
    if (o->values) return o->values;
    const struct st_tensor *t = o->part[0];
    bool is_run = o->how == HF_COPY || o->how == HF_FIRST || o->how == HF_SECOND || o->how == HF_PAST_PAD;
    if (!is_run || o->n_part != 1 || t->type->dtype != o->dtype) return NULL;
    const uint8_t *data = t->data + o->first_row * hf_output_row_elems(o) * (t->type->bits / 8);
    return (uintptr_t)data % dtype_get(o->dtype)->block_bytes == 0 ? data : NULL;
}

uint64_t hf_output_rows(const struct hf_output *o, uint64_t begin, uint64_t end, uint8_t *dst, float *scratch) {
    const struct dtype_desc *to = dtype_get(o->dtype);
    const uint8_t *(*read)(const struct hf_output *, uint64_t, uint8_t *) = row_reader(o->how);
    uint64_t n = hf_output_row_elems(o), row_bytes = 0;
    dtype_row_bytes(o->dtype, n, &row_bytes); /* the writer has checked that rows fill blocks */
    for (uint64_t r = begin; r < end; r++, dst += row_bytes) {
        if (o->values) {
            memcpy(dst, o->values + r, sizeof(float));
            continue;
        }
        enum dtype from = row_dtype(o, r);
        const uint8_t *src = read ? read(o, r, (uint8_t *)(scratch + n)) : plain_row(o, r);
        if (from == o->dtype && !changes_values(o)) {
            memcpy(dst, src, row_bytes);
            continue;
        }
        dtype_get(from)->to_f32(scratch, src, (int64_t)n);
        if (o->how == HF_PLUS_ONE)
            for (uint64_t i = 0; i < n; i++) scratch[i] += 1;
        if (o->how == HF_DECAY)
            for (uint64_t i = 0; i < n; i++) scratch[i] = -expf(scratch[i]);
        for (uint64_t i = 0; to->block_elems > 1 && i < n; i++)
            if (!isfinite(scratch[i])) return r;
        dtype_encode_row(to, dst, scratch, (int64_t)n, NULL, scratch + n);
    }
    return end;
}
