/* produce.c -- the bytes of an output: every way of making a tensor is a choice of the source row for each of its rows.
 *
 * So one loop serves fusing, splitting and permuting, any type on either side, and any run of rows: a file is written in pieces
 * by any number of threads with the same bytes. */
#include <math.h>
#include <string.h>

#include "model/hf/hf_int.h"

/* A vector's elements are rows of one. */
uint64_t hf_output_n_row(const struct hf_output *o) { return o->shape[0]; }

uint64_t hf_output_row_elems(const struct hf_output *o) {
    uint64_t n = 1;
    for (uint32_t i = 1; i < o->n_dim; i++) n *= o->shape[i];
    return n;
}

/* Which row of the parts, counted through all of them, is row r. */
static uint64_t source_row(const struct hf_output *o, uint64_t r) {
    if (o->n_head == 0) return o->first_row + r;
    uint64_t d = o->shape[0] / o->n_head, head = r / d, pair = r % d / 2, half = r % 2;
    return head * d + half * (d / 2) + pair;
}

static const uint8_t *source_bytes(const struct hf_output *o, uint64_t r, enum dtype *dtype) {
    uint64_t row = source_row(o, r);
    uint32_t i = 0;
    while (i + 1 < o->n_part && row >= o->part[i]->shape[0]) row -= o->part[i++]->shape[0];
    const struct st_tensor *t = o->part[i];
    *dtype = t->type->dtype;
    return t->data + row * hf_output_row_elems(o) * dtype_get(*dtype)->block_bytes;
}

const void *hf_output_in_place(const struct hf_output *o) {
    if (o->values) return o->values;
    const struct st_tensor *t = o->part[0];
    bool whole = o->n_part == 1 && o->n_head == 0 && o->how != HF_PLUS_ONE && t->type->dtype == o->dtype;
    const uint8_t *data = t->data + o->first_row * hf_output_row_elems(o) * (t->type->bits / 8);
    return whole && (uintptr_t)data % dtype_get(o->dtype)->block_bytes == 0 ? data : NULL;
}

uint64_t hf_output_rows(const struct hf_output *o, uint64_t begin, uint64_t end, uint8_t *dst, float *scratch) {
    const struct dtype_desc *to = dtype_get(o->dtype);
    uint64_t n = hf_output_row_elems(o), row_bytes = 0;
    dtype_row_bytes(o->dtype, n, &row_bytes); /* the writer has checked that rows fill blocks */
    for (uint64_t r = begin; r < end; r++, dst += row_bytes) {
        if (o->values) {
            memcpy(dst, o->values + r, sizeof(float));
            continue;
        }
        enum dtype from;
        const uint8_t *src = source_bytes(o, r, &from);
        if (from == o->dtype && o->how != HF_PLUS_ONE) {
            memcpy(dst, src, row_bytes);
            continue;
        }
        dtype_get(from)->to_f32(scratch, src, (int64_t)n);
        if (o->how == HF_PLUS_ONE)
            for (uint64_t i = 0; i < n; i++) scratch[i] += 1;
        for (uint64_t i = 0; to->block_elems > 1 && i < n; i++)
            if (!isfinite(scratch[i])) return r;
        to->from_f32(dst, scratch, (int64_t)n, NULL);
    }
    return end;
}
