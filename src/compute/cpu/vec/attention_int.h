/* attention_int.h -- softmax(cap(scale * q . K)) . V by online softmax. Source: Milakov and Gimelshein 2018; tiles of
 * queries after Dao et al. 2022.
 *
 * Rows are taken in groups of up to VEC_ATTN_ROWS, positions in spans, spans page by page. Between two pages a row carries
 * its largest score, the sum of weights and the weighted sum of values, between spans they are joined: nothing depends
 * on who else is in the group or on which call takes a span. In a page, rows of a group whose range covers it alike are
 * computed together, which is all of them but at the causal edge: no row touches a token outside its range.
 *
 * A span's keys and values stay in the second-level cache while the groups pass over them, one after another. */
#ifndef SLM_COMPUTE_CPU_VEC_ATTENTION_INT_H
#define SLM_COMPUTE_CPU_VEC_ATTENTION_INT_H

#include <string.h>

#include "compute/cpu/kv_round_int.h"

enum {
    ATTN_TILE_ROWS = 64,           /* queries prepared at once */
    ATTN_LEVEL_BYTES = 64 * 1024,  /* of their levels */
};

typedef void (*attn_page_fn)(float *const *out, const struct attn_query *query, struct attn_rows state,
                             const struct attn_run *run, int64_t d, const struct attn_params *params);

#define ATTN_PAGE_FN(R, TYPE, KIND, FLAG)                                                                              \
    static void attn_page_##R##_##TYPE(float *const *out, const struct attn_query *query, struct attn_rows state,     \
                                       const struct attn_run *run, int64_t d, const struct attn_params *params) {      \
        attn_page_##KIND(out, query, state, run, d, params, R, FLAG);                                                  \
    }
#define ATTN_PAGE_FNS(R)                                                                                               \
    ATTN_PAGE_FN(R, f32, float, false)                                                                                 \
    ATTN_PAGE_FN(R, f16, float, true) ATTN_PAGE_FN(R, q8, level, false) ATTN_PAGE_FN(R, q4, level, true)
ATTN_PAGE_FNS(1)
ATTN_PAGE_FNS(2)
ATTN_PAGE_FNS(3)
ATTN_PAGE_FNS(4)
ATTN_PAGE_FNS(5)
ATTN_PAGE_FNS(6)
#define ATTN_PAGE_ROW(R)                                                                                               \
    { [KV_F32] = attn_page_##R##_f32, [KV_F16] = attn_page_##R##_f16, [KV_Q8] = attn_page_##R##_q8, [KV_Q4] = attn_page_##R##_q4 }

/* [rows - 1][type] */
static const attn_page_fn attn_page_fns[VEC_ATTN_ROWS][KV_TYPE_COUNT] = {
    ATTN_PAGE_ROW(1), ATTN_PAGE_ROW(2), ATTN_PAGE_ROW(3), ATTN_PAGE_ROW(4), ATTN_PAGE_ROW(5), ATTN_PAGE_ROW(6),
};

/* What one call works on. */
struct attn_call {
    const struct attn_kv *kv;
    const struct attn_params *params;
    int64_t d;
};

/* Rows of a group, and their part of the span under way. */
struct attn_group {
    const struct attn_query *query;
    float *part[VEC_ATTN_ROWS];
    struct attn_state state;
    int32_t first[VEC_ATTN_ROWS], end[VEC_ATTN_ROWS];
    int n_row;
};

/* Scales of a page that the run covers in part. */
struct attn_edge {
    float k_scale[KV_PAGE_TOK], v_log2[KV_PAGE_TOK], v_inv[KV_PAGE_TOK];
};

static void attn_cut_scales(struct attn_run *run, struct attn_edge *edge) {
    for (int64_t t = 0; t < KV_PAGE_TOK; t++) {
        bool in = t >= run->begin && t < run->end;
        edge->k_scale[t] = in ? run->k_scale[t] : 0;
        edge->v_log2[t] = in ? run->v_log2[t] : -INFINITY;
        edge->v_inv[t] = in ? run->v_inv[t] : 0;
    }
    run->k_scale = edge->k_scale;
    run->v_log2 = edge->v_log2;
    run->v_inv = edge->v_inv;
}

/* Page p for the rows of a group. */
static void attn_group_page(const struct attn_call *call, struct attn_group *g, int64_t p) {
    const struct attn_kv *kv = call->kv;
    const int64_t d = call->d;
    const int32_t pos = (int32_t)(p * KV_PAGE_TOK);
    struct attn_edge edge;
    struct attn_run page = {.k = attn_k_page(kv, p), .v = attn_v_page(kv, p)};
    if (kv_type_get(kv->type)->is_rotated) {
        page.k_scale = (const float *)(const void *)(page.k + kv_page_k_scales(kv->type, d));
        page.v_log2 = (const float *)(const void *)(page.v + kv_page_v_scales(kv->type, d));
        page.v_inv = page.v_log2 + KV_PAGE_TOK;
    }
    for (int r = 0; r < g->n_row;) {
        int n = 1;
        int32_t begin = g->first[r] > pos ? g->first[r] : pos, end = g->end[r] < pos + KV_PAGE_TOK ? g->end[r] : pos + KV_PAGE_TOK;
        while (r + n < g->n_row && (g->first[r + n] > pos ? g->first[r + n] : pos) == begin &&
               (g->end[r + n] < pos + KV_PAGE_TOK ? g->end[r + n] : pos + KV_PAGE_TOK) == end) {
            n++;
        }
        if (begin < end) {
            struct attn_run run = page;
            run.begin = begin - pos;
            run.end = end - pos;
            if (run.k_scale && run.end - run.begin < KV_PAGE_TOK) attn_cut_scales(&run, &edge);
            attn_page_fns[n - 1][kv->type](g->part + r, g->query + r, (struct attn_rows){g->state.max + r, g->state.sum + r}, &run, d,
                                           call->params);
        }
        r += n;
    }
}

/* Positions [begin, end), within one span, of the rows of a group, into their parts. */
static void attn_group_span(const struct attn_call *call, struct attn_group *g, const struct attn_row *rows, int64_t begin, int64_t end) {
    int64_t first = end, last = begin;
    for (int r = 0; r < g->n_row; r++) {
        g->first[r] = (int32_t)(rows[r].pos_first > begin ? rows[r].pos_first : begin);
        g->end[r] = (int32_t)(rows[r].pos_end < end ? rows[r].pos_end : end);
        if (g->first[r] >= g->end[r]) continue;
        first = g->first[r] < first ? g->first[r] : first;
        last = g->end[r] > last ? g->end[r] : last;
    }
    for (int r = 0; r < g->n_row; r++) {
        g->state.max[r] = -INFINITY;
        g->state.sum[r] = vec_zero();
        for (int64_t i = 0; i < call->d; i++) g->part[r][i] = 0;
    }
    for (int64_t p = first / KV_PAGE_TOK; p * KV_PAGE_TOK < last; p++) attn_group_page(call, g, p);
}

/* Sums of a row over the spans so far; the weighted values are in its out. */
struct attn_total {
    float max, sum;
};

static void attn_join(float *out, struct attn_total *total, const float *part, float part_max, float part_sum, int64_t d) {
    struct attn_factors f;
    attn_join_max(&f, &total->max, &part_max, 1);
    vec keep_v = vec_set(f.keep[0]), add_v = vec_set(f.add[0]);
    int64_t i = 0;
    for (; i + VEC_N <= d; i += VEC_N) vec_store(out + i, vec_fma(vec_load(part + i), add_v, vec_mul(vec_load(out + i), keep_v)));
    if (i < d) vec_store_n(out + i, vec_fma(vec_load_n(part + i, d - i), add_v, vec_mul(vec_load_n(out + i, d - i), keep_v)), d - i);
    total->sum = total->sum * f.keep[0] + part_sum * f.add[0];
}

/* A sink is there before any position: weight without a value. */
static struct attn_total attn_total_begin(float *out, const float *sink, int64_t d) {
    for (int64_t i = 0; i < d; i++) out[i] = 0;
    if (sink) return (struct attn_total){*sink * ATTN_LOG2E, 1};
    return (struct attn_total){-INFINITY, 0};
}

static void attn_total_end(float *out, const struct attn_total *total, enum kv_type type, int64_t d) {
    float inv = total->sum == 0 ? 0.0f : 1.0f / total->sum;
    for (int64_t i = 0; i < d; i++) out[i] *= inv;
    if (kv_type_get(type)->is_rotated) kv_rotate(out, d);
}

/* The queries of a tile as the products take them; levels [n_row, d_pad]. */
static void attn_queries(struct attn_query *query, uint8_t *levels, const struct attn_row *rows, int64_t n_row,
                         const struct attn_call *call) {
    const enum kv_type type = call->kv->type;
    const int64_t d = call->d, d_pad = (d + 7) / 8 * 8;
    for (int64_t r = 0; r < n_row; r++) {
        query[r] = (struct attn_query){.q = rows[r].q, .scale = call->params->scale};
        if (!kv_type_get(type)->is_rotated) continue;
        float turned[D_HEAD_MAX], level[D_HEAD_MAX];
        int32_t sum = 0;
        uint8_t *bytes = levels + r * d_pad;
        memcpy(turned, rows[r].q, (size_t)d * sizeof *turned);
        kv_rotate(turned, d);
        query[r].scale *= kv_round_row(level, turned, d, 127, 0);
        for (int64_t i = 0; i < d_pad; i++) {
            int32_t l = i < d ? (int32_t)kv_round(level[i]) : 0;
            sum += l;
            bytes[i] = (uint8_t)(int8_t)l;
        }
        query[r].level = bytes;
        query[r].level_sum = sum;
    }
}

/* 1..ATTN_TILE_ROWS rows over all their positions. */
static void attn_tile(const struct attn_call *call, const struct attn_row *rows, const struct attn_query *query, int n_row) {
    struct attn_total total[ATTN_TILE_ROWS];
    float part[VEC_ATTN_ROWS * D_HEAD_MAX];
    int64_t first = INT32_MAX, last = 0;
    const int n_group = (n_row + VEC_ATTN_ROWS - 1) / VEC_ATTN_ROWS;
    for (int r = 0; r < n_row; r++) {
        total[r] = attn_total_begin(rows[r].out, rows[r].sink, call->d);
        if (rows[r].pos_first >= rows[r].pos_end) continue;
        first = rows[r].pos_first < first ? rows[r].pos_first : first;
        last = rows[r].pos_end > last ? rows[r].pos_end : last;
    }
    for (int64_t span = first / ATTN_SPAN * ATTN_SPAN; span < last; span += ATTN_SPAN) {
        for (int i = 0, r = 0; i < n_group; i++) {
            struct attn_group g = {.query = query + r, .n_row = (n_row - r + n_group - i - 1) / (n_group - i)};
            for (int j = 0; j < g.n_row; j++) g.part[j] = part + j * call->d;
            attn_group_span(call, &g, rows + r, span, span + ATTN_SPAN);
            for (int j = 0; j < g.n_row; j++, r++) {
                if (g.first[j] < g.end[j]) attn_join(rows[r].out, &total[r], g.part[j], g.state.max[j], vec_sum(g.state.sum[j]), call->d);
            }
        }
    }
    for (int r = 0; r < n_row; r++) attn_total_end(rows[r].out, &total[r], call->kv->type, call->d);
}

/* Rows whose levels fit the stack buffer. */
static int attn_tile_rows(int64_t d) {
    int64_t n = ATTN_LEVEL_BYTES / ((d + 7) / 8 * 8);
    return n < ATTN_TILE_ROWS ? (int)n : ATTN_TILE_ROWS;
}

static void vec_op_attention(const struct attn_row *rows, int64_t n_row, const struct attn_kv *kv, int64_t d_head,
                             const struct attn_params *params) {
    const struct attn_call call = {kv, params, d_head};
    struct attn_query query[ATTN_TILE_ROWS];
    _Alignas(64) uint8_t levels[ATTN_LEVEL_BYTES];
    const int64_t n_max = attn_tile_rows(d_head);
    for (int64_t r = 0; r < n_row; r += n_max) {
        int64_t n = n_row - r < n_max ? n_row - r : n_max;
        attn_queries(query, levels, rows + r, n, &call);
        attn_tile(&call, rows + r, query, (int)n);
    }
}

static void vec_op_attention_part(const struct attn_row *rows, int64_t n_row, const struct attn_kv *kv, int64_t d_head,
                                  const struct attn_params *params) {
    const struct attn_call call = {kv, params, d_head};
    struct attn_query query[VEC_ATTN_ROWS];
    _Alignas(64) uint8_t levels[VEC_ATTN_ROWS * D_HEAD_MAX];
    for (int64_t r = 0; r < n_row;) {
        int64_t n_group = (n_row - r + VEC_ATTN_ROWS - 1) / VEC_ATTN_ROWS;
        struct attn_group g = {.query = query, .n_row = (int)((n_row - r + n_group - 1) / n_group)};
        int64_t span = rows[r].pos_first / ATTN_SPAN * ATTN_SPAN;
        attn_queries(query, levels, rows + r, g.n_row, &call);
        for (int j = 0; j < g.n_row; j++) g.part[j] = rows[r + j].out;
        attn_group_span(&call, &g, rows + r, span, span + ATTN_SPAN);
        for (int j = 0; j < g.n_row; j++, r++) {
            rows[r].out[d_head] = g.state.max[j];
            rows[r].out[d_head + 1] = vec_sum(g.state.sum[j]);
        }
    }
}

static void vec_op_attention_join(float *out, const float *parts, int64_t n_part, const float *sink, enum kv_type type, int64_t d_head) {
    struct attn_total total = attn_total_begin(out, sink, d_head);
    for (int64_t p = 0; p < n_part; p++) {
        const float *part = parts + p * (d_head + ATTN_PART_EXTRA);
        attn_join(out, &total, part, part[d_head], part[d_head + 1], d_head);
    }
    attn_total_end(out, &total, type, d_head);
}

#endif
