/* attention.c -- softmax(cap(scale * q . K)) . V of one query row by online softmax. Source: Milakov and Gimelshein 2018.
 *
 * Positions are taken in runs of at most ATTN_RUN that begin at absolute positions (page starts and multiples of
 * ATTN_RUN within a page): a row's result depends on its own q, range and cache only. `out` holds the sum so far in
 * f32, relative to the largest score so far; all sums of one run are taken in double and rounded once into it. */
#include <math.h>

#include "compute/cpu/ref/ref_int.h"

enum { ATTN_RUN = 64 };

static double kv_at(const void *row, enum dtype dtype, int64_t i) {
    return dtype == DTYPE_F16 ? (double)f16_to_f32(((const uint16_t *)row)[i]) : (double)((const float *)row)[i];
}

static const void *kv_row_at(const void *page, enum dtype dtype, int64_t i_tok, int64_t d_head) {
    size_t bytes = dtype == DTYPE_F16 ? sizeof(uint16_t) : sizeof(float);
    return (const uint8_t *)page + (size_t)(i_tok * d_head) * bytes;
}

/* State of one row: the largest score so far and the sum of exp(score - max). */
struct online {
    double max, sum;
};

/* Tokens [begin, end) of page `p`, at most ATTN_RUN of them. */
static void attend_run(const struct attn_row *row, const struct attn_kv *kv, int64_t p, int64_t begin, int64_t end,
                       int64_t d_head, const struct attn_params *params, struct online *state) {
    double prob[ATTN_RUN];
    double max = state->max;
    for (int64_t t = begin; t < end; t++) {
        const void *k = kv_row_at(attn_k_page(kv, p), kv->dtype, t, d_head);
        double dot = 0;
        for (int64_t i = 0; i < d_head; i++) dot += (double)row->q[i] * kv_at(k, kv->dtype, i);
        dot *= (double)params->scale;
        if (params->softcap > 0) dot = (double)params->softcap * tanh(dot / (double)params->softcap);
        prob[t - begin] = dot;
        max = prob[t - begin] > max ? prob[t - begin] : max;
    }
    double keep = exp(state->max - max); /* 0 in the first run: its max was minus infinity */
    double sum = 0;
    for (int64_t t = 0; t < end - begin; t++) {
        prob[t] = exp(prob[t] - max);
        sum += prob[t];
    }
    for (int64_t i = 0; i < d_head; i++) {
        double acc = 0;
        for (int64_t t = begin; t < end; t++) {
            acc += prob[t - begin] * kv_at(kv_row_at(attn_v_page(kv, p), kv->dtype, t, d_head), kv->dtype, i);
        }
        row->out[i] = (float)((double)row->out[i] * keep + acc);
    }
    state->sum = state->sum * keep + sum;
    state->max = max;
}

static void attend_row(const struct attn_row *row, const struct attn_kv *kv, int64_t d_head, const struct attn_params *params) {
    struct online state = {-INFINITY, 0};
    for (int64_t i = 0; i < d_head; i++) row->out[i] = 0;
    for (int64_t pos = row->pos_first; pos < row->pos_end;) {
        int64_t p = pos / kv->page_tok;
        int64_t begin = pos % kv->page_tok;
        int64_t end = (begin / ATTN_RUN + 1) * ATTN_RUN;
        end = end < kv->page_tok ? end : kv->page_tok;
        int64_t left = row->pos_end - pos;
        end = end - begin < left ? end : begin + left;
        attend_run(row, kv, p, begin, end, d_head, params, &state);
        pos += end - begin;
    }
    for (int64_t i = 0; i < d_head && state.sum > 0; i++) row->out[i] = (float)((double)row->out[i] / state.sum);
}

void ref_attention(const struct attn_row *rows, int64_t n_row, const struct attn_kv *kv, int64_t d_head, const struct attn_params *params) {
    for (int64_t r = 0; r < n_row; r++) attend_row(&rows[r], kv, d_head, params);
}
