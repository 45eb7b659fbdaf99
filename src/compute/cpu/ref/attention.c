/* attention.c -- softmax(cap(scale * q . K)) . V by online softmax. Source: Milakov and Gimelshein 2018.
 *
 * Positions are taken page by page within spans, spans are joined in order: a row's result depends on its own q, range
 * and cache only, and is the same whether one call takes all spans or several. Scores are in units of log2, so that
 * weights are powers of two. Sums run in double and are rounded once for each page.
 *
 * Over q8 and q4 the query turns with the keys and is rounded; the weights of a page are those of the values' levels
 * (probability times scale), rounded to 255 levels of the page's largest; the sum of probabilities is of unrounded ones. */
#include <math.h>
#include <string.h>

#include "compute/cpu/kv_round_int.h"
#include "compute/cpu/ref/ref_int.h"

/* A row on its way through one span: weights are relative to 2^max. */
struct online {
    double max, sum;
};

struct query {
    float q[D_HEAD_MAX]; /* over q8 and q4: what the levels stand for */
};

static void query_make(struct query *query, const float *q, enum kv_type type, int64_t d) {
    memcpy(query->q, q, (size_t)d * sizeof *q);
    if (!kv_type_get(type)->is_rotated) return;
    kv_rotate(query->q, d);
    float level[D_HEAD_MAX];
    float scale = kv_round_row(level, query->q, d, 127, 0);
    for (int64_t i = 0; i < d; i++) query->q[i] = kv_round(level[i]) * scale;
}

/* Score of token t in units of log2. */
static double score_of(const struct query *query, const uint8_t *keys, enum kv_type type, int64_t t, int64_t d,
                       const struct attn_params *params) {
    float k[D_HEAD_MAX];
    double dot = 0;
    kv_page_read_k(k, keys, type, t, d);
    for (int64_t i = 0; i < d; i++) dot += (double)query->q[i] * (double)k[i];
    dot *= (double)params->scale;
    if (params->softcap > 0) dot = (double)params->softcap * tanh(dot / (double)params->softcap);
    return dot * 1.4426950408889634;
}

/* Over q8 and q4: probability becomes the weight of the value's levels, max the largest of those. */
static float value_scale(const uint8_t *values, enum kv_type type, int64_t t, int64_t d) {
    float log2_scale;
    memcpy(&log2_scale, values + kv_page_v_scales(type, d) + 4 * t, sizeof log2_scale);
    return log2_scale;
}

/* Tokens [begin, end) of one page. */
static void attend_page(float *out, const struct query *query, const uint8_t *keys, const uint8_t *values, enum kv_type type,
                        int64_t begin, int64_t end, int64_t d, const struct attn_params *params, struct online *state) {
    const bool rounded = kv_type_get(type)->is_rotated;
    double score[KV_PAGE_TOK], weight[KV_PAGE_TOK], top = -INFINITY, sum = 0;
    for (int64_t t = begin; t < end; t++) {
        double shift = rounded ? (double)value_scale(values, type, t, d) : 0;
        score[t] = score_of(query, keys, type, t, d, params);
        weight[t] = score[t] + shift;
        top = weight[t] > top ? weight[t] : top;
    }
    double max = top > state->max ? top : state->max;
    double keep = exp2(state->max - max); /* 0 in the first page: its max was minus infinity */
    for (int64_t t = begin; t < end; t++) {
        sum += exp2(score[t] - max);
        weight[t] = rounded ? nearbyint(255 * exp2(weight[t] - top)) / 255 * exp2(top - max) : exp2(weight[t] - max);
        if (rounded) weight[t] /= exp2((double)value_scale(values, type, t, d)); /* the reader below gives level * scale */
    }
    double acc[D_HEAD_MAX] = {0};
    for (int64_t t = begin; t < end; t++) {
        float v[D_HEAD_MAX];
        kv_page_read_v(v, values, type, t, d);
        for (int64_t i = 0; i < d; i++) acc[i] += weight[t] * (double)v[i];
    }
    for (int64_t i = 0; i < d; i++) out[i] = (float)((double)out[i] * keep + acc[i]);
    state->sum = state->sum * keep + sum;
    state->max = max;
}

/* part [d_head + 2] of one span. */
static void attend_span(float *part, const struct query *query, const struct attn_kv *kv, int64_t pos_first, int64_t pos_end,
                        int64_t d, const struct attn_params *params) {
    struct online state = {-INFINITY, 0};
    for (int64_t i = 0; i < d; i++) part[i] = 0;
    for (int64_t pos = pos_first; pos < pos_end;) {
        int64_t p = pos / KV_PAGE_TOK, begin = pos % KV_PAGE_TOK;
        int64_t end = pos_end - pos < KV_PAGE_TOK - begin ? begin + pos_end - pos : KV_PAGE_TOK;
        attend_page(part, query, attn_k_page(kv, p), attn_v_page(kv, p), kv->type, begin, end, d, params, &state);
        pos += end - begin;
    }
    part[d] = (float)state.max;
    part[d + 1] = (float)state.sum;
}

/* Add a part to what was joined before it: total [d_head + 2], in f32 for every caller alike. */
static void join_part(float *total, const float *part, int64_t d) {
    float max = part[d] > total[d] ? part[d] : total[d];
    float keep = (float)exp2((double)total[d] - (double)max), add = (float)exp2((double)part[d] - (double)max);
    for (int64_t i = 0; i < d; i++) total[i] = total[i] * keep + part[i] * add;
    total[d] = max;
    total[d + 1] = total[d + 1] * keep + part[d + 1] * add;
}

/* A sink is there before any position: weight without a value. */
static void total_begin(float *total, const float *sink, int64_t d) {
    for (int64_t i = 0; i < d; i++) total[i] = 0;
    total[d] = sink ? (float)((double)*sink * M_LOG2E) : -INFINITY;
    total[d + 1] = sink ? 1 : 0;
}

static void total_end(float *out, const float *total, enum kv_type type, int64_t d) {
    float sum = total[d + 1];
    for (int64_t i = 0; i < d; i++) out[i] = sum == 0 ? 0 : total[i] / sum; /* 0: an empty range */
    if (kv_type_get(type)->is_rotated) kv_rotate(out, d);
}

void ref_attention_part(const struct attn_row *rows, int64_t n_row, const struct attn_kv *kv, int64_t d_head,
                        const struct attn_params *params) {
    struct query query;
    for (int64_t r = 0; r < n_row; r++) {
        query_make(&query, rows[r].q, kv->type, d_head);
        attend_span(rows[r].out, &query, kv, rows[r].pos_first, rows[r].pos_end, d_head, params);
    }
}

void ref_attention_join(float *out, const float *parts, int64_t n_part, const float *sink, enum kv_type type, int64_t d_head) {
    float total[D_HEAD_MAX + ATTN_PART_EXTRA];
    total_begin(total, sink, d_head);
    for (int64_t p = 0; p < n_part; p++) join_part(total, parts + p * (d_head + ATTN_PART_EXTRA), d_head);
    total_end(out, total, type, d_head);
}

void ref_attention(const struct attn_row *rows, int64_t n_row, const struct attn_kv *kv, int64_t d_head, const struct attn_params *params) {
    float total[D_HEAD_MAX + ATTN_PART_EXTRA], part[D_HEAD_MAX + ATTN_PART_EXTRA];
    struct query query;
    for (int64_t r = 0; r < n_row; r++) {
        query_make(&query, rows[r].q, kv->type, d_head);
        total_begin(total, rows[r].sink, d_head);
        for (int64_t pos = rows[r].pos_first; pos < rows[r].pos_end;) {
            int64_t end = (pos / ATTN_SPAN + 1) * ATTN_SPAN;
            if (end > rows[r].pos_end) end = rows[r].pos_end;
            attend_span(part, &query, kv, pos, end, d_head, params);
            join_part(total, part, d_head);
            pos = end;
        }
        total_end(rows[r].out, total, kv->type, d_head);
    }
}
