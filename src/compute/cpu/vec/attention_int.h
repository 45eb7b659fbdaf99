/* attention_int.h -- softmax(cap(scale * q . K)) . V by online softmax. Source: Milakov and Gimelshein 2018.
 *
 * Positions are taken in runs of at most ATTN_RUN that begin at absolute positions (page starts and multiples of
 * ATTN_RUN within a page). In a run, scores of up to VEC_ATTN_ROWS query rows with the same range are made together, so
 * that a key is loaded and widened once for them; then their probabilities; then the weighted sum of values, column
 * block by column block, positions in order. A row's arithmetic is the same alone and in company: one accumulator
 * vector per score and per VEC_N columns, lanes past a run's end at minus infinity. */
#ifndef SLM_COMPUTE_CPU_VEC_ATTENTION_INT_H
#define SLM_COMPUTE_CPU_VEC_ATTENTION_INT_H

#include <math.h>

enum {
    ATTN_RUN = 64,
    ATTN_KEYS = 4, /* keys side by side: vec_sum4 sums them together */
    ATTN_COLS = 4, /* column vectors side by side */
};

struct attn_state {
    float max, sum; /* largest score so far; sum of exp(score - max) */
};

/* The tokens of one page that a run covers. */
struct attn_run {
    const uint8_t *k, *v; /* row of token `begin` */
    int64_t n;            /* tokens, 1..ATTN_RUN */
    int64_t row_bytes;
};

VEC_FN vec kv_load(const uint8_t *row, int64_t i, const bool is_f16) {
    return is_f16 ? vec_load_f16((const uint16_t *)(const void *)row + i)
                  : vec_load((const float *)(const void *)row + i);
}

VEC_FN vec kv_load_n(const uint8_t *row, int64_t i, int64_t n, const bool is_f16) {
    return is_f16 ? vec_load_f16_n((const uint16_t *)(const void *)row + i, n)
                  : vec_load_n((const float *)(const void *)row + i, n);
}

/* score[r][t] = scale * q[r] . k. Past the last key, the last one is taken again and not stored. */
VEC_FN void attn_scores(float score[][ATTN_RUN], const struct attn_row *rows, const struct attn_run *run,
                        int64_t d_head, float scale, const int n_row, const bool is_f16) {
    for (int64_t t = 0; t < run->n; t += ATTN_KEYS) {
        const uint8_t *k[ATTN_KEYS];
        vec acc[VEC_ATTN_ROWS][ATTN_KEYS];
        VEC_UNROLL
        for (int j = 0; j < ATTN_KEYS; j++) {
            k[j] = run->k + (t + j < run->n ? t + j : run->n - 1) * run->row_bytes;
            VEC_UNROLL
            for (int r = 0; r < n_row; r++) acc[r][j] = vec_zero();
        }
        int64_t i = 0;
        for (; i + VEC_N <= d_head; i += VEC_N) {
            VEC_UNROLL
            for (int j = 0; j < ATTN_KEYS; j++) {
                vec kv = kv_load(k[j], i, is_f16);
                VEC_UNROLL
                for (int r = 0; r < n_row; r++) acc[r][j] = vec_fma(vec_load(rows[r].q + i), kv, acc[r][j]);
            }
        }
        if (i < d_head) {
            VEC_UNROLL
            for (int j = 0; j < ATTN_KEYS; j++) {
                vec kv = kv_load_n(k[j], i, d_head - i, is_f16);
                VEC_UNROLL
                for (int r = 0; r < n_row; r++)
                    acc[r][j] = vec_fma(vec_load_n(rows[r].q + i, d_head - i), kv, acc[r][j]);
            }
        }
        int64_t n = run->n - t < ATTN_KEYS ? run->n - t : ATTN_KEYS;
        VEC_UNROLL
        for (int r = 0; r < n_row; r++) {
            vec4 s = vec_sum4(acc[r][0], acc[r][1], acc[r][2], acc[r][3]);
            vec4_store_n(&score[r][t], vec4_scale(s, scale), n);
        }
    }
}

/* Scores to exp(score - max), in place; returns the factor that what was summed before keeps. */
VEC_FN float attn_probs(float score[ATTN_RUN], struct attn_state *state) {
    vec top = vec_set(state->max);
    VEC_UNROLL
    for (int i = 0; i < ATTN_RUN; i += VEC_N) top = vec_max(vec_load(score + i), top);
    float max = vec_max_lane(top);
    vec sum = vec_zero();
    VEC_UNROLL
    for (int i = 0; i < ATTN_RUN; i += VEC_N) {
        vec e = vec_exp(vec_sub(vec_load(score + i), vec_set(max)));
        vec_store(score + i, e);
        sum = vec_add(sum, e);
    }
    float lanes[VEC_N];
    vec_store(lanes, vec_exp(vec_sub(vec_set(state->max), vec_set(max)))); /* 0 in the first run */
    state->max = max;
    state->sum = state->sum * lanes[0] + vec_sum(sum);
    return lanes[0];
}

/* out[r][n_col * VEC_N columns from i] = out * keep[r] + sum over t of prob[r][t] * v[t]; n < VEC_N: a short last
 * vector. */
VEC_FN void attn_values_at(float prob[][ATTN_RUN], const struct attn_row *rows, const struct attn_run *run,
                           const float *keep, int64_t i, int64_t n, const int n_col, const int n_row,
                           const bool is_f16) {
    vec acc[VEC_ATTN_ROWS][ATTN_COLS];
    VEC_UNROLL
    for (int r = 0; r < n_row; r++) {
        VEC_UNROLL
        for (int c = 0; c < n_col; c++) {
            const float *out = rows[r].out + i + c * VEC_N;
            acc[r][c] = vec_mul(n < VEC_N ? vec_load_n(out, n) : vec_load(out), vec_set(keep[r]));
        }
    }
    for (int64_t t = 0; t < run->n; t++) {
        const uint8_t *row = run->v + t * run->row_bytes;
        VEC_UNROLL
        for (int c = 0; c < n_col; c++) {
            vec v = n < VEC_N ? kv_load_n(row, i, n, is_f16) : kv_load(row, i + c * VEC_N, is_f16);
            VEC_UNROLL
            for (int r = 0; r < n_row; r++) acc[r][c] = vec_fma(vec_set(prob[r][t]), v, acc[r][c]);
        }
    }
    VEC_UNROLL
    for (int r = 0; r < n_row; r++) {
        VEC_UNROLL
        for (int c = 0; c < n_col; c++) {
            float *out = rows[r].out + i + c * VEC_N;
            if (n < VEC_N) {
                vec_store_n(out, acc[r][c], n);
            } else {
                vec_store(out, acc[r][c]);
            }
        }
    }
}

/* One run for n_row rows; n_row and is_f16 are constants where this is inlined. */
VEC_FN void attn_run_rows(const struct attn_row *rows, struct attn_state *state, const struct attn_run *run,
                          int64_t d_head, const struct attn_params *params, const int n_row, const bool is_f16) {
    float score[VEC_ATTN_ROWS][ATTN_RUN];
    float keep[VEC_ATTN_ROWS];
    for (int r = 0; r < n_row; r++) {
        for (int i = 0; i < ATTN_RUN; i += VEC_N) vec_store(score[r] + i, vec_set(-INFINITY));
    }
    attn_scores(score, rows, run, d_head, params->scale, n_row, is_f16);
    if (params->softcap > 0) {
        for (int r = 0; r < n_row; r++) vec_op_softcap(score[r], params->softcap, run->n);
    }
    for (int r = 0; r < n_row; r++) keep[r] = attn_probs(score[r], &state[r]);
    int64_t i = 0;
    for (; i + ATTN_COLS * VEC_N <= d_head; i += ATTN_COLS * VEC_N) {
        attn_values_at(score, rows, run, keep, i, VEC_N, ATTN_COLS, n_row, is_f16);
    }
    for (; i + VEC_N <= d_head; i += VEC_N) attn_values_at(score, rows, run, keep, i, VEC_N, 1, n_row, is_f16);
    if (i < d_head) attn_values_at(score, rows, run, keep, i, d_head - i, 1, n_row, is_f16);
}

typedef void (*attn_run_fn)(const struct attn_row *rows, struct attn_state *state, const struct attn_run *run,
                            int64_t d_head, const struct attn_params *params);

#define ATTN_RUN_FN(R, TYPE, IS_F16)                                                                                   \
    static void attn_run_##R##_##TYPE(const struct attn_row *rows, struct attn_state *state,                           \
                                      const struct attn_run *run, int64_t d_head, const struct attn_params *params) { \
        attn_run_rows(rows, state, run, d_head, params, R, IS_F16);                                                     \
    }
#define ATTN_RUN_FNS(R) ATTN_RUN_FN(R, f32, false) ATTN_RUN_FN(R, f16, true)
#define ATTN_FN_ROW(R)                                                                                                 \
    { attn_run_##R##_f32, attn_run_##R##_f16 }
ATTN_RUN_FNS(1)
ATTN_RUN_FNS(2)
#if VEC_ATTN_ROWS > 2
ATTN_RUN_FNS(3)
ATTN_RUN_FNS(4)
#endif

/* [rows - 1][is_f16] */
static const attn_run_fn attn_run_fns[VEC_ATTN_ROWS][2] = {
    ATTN_FN_ROW(1),
    ATTN_FN_ROW(2),
#if VEC_ATTN_ROWS > 2
    ATTN_FN_ROW(3),
    ATTN_FN_ROW(4),
#endif
};

/* 1..VEC_ATTN_ROWS rows with the same range. */
static void attn_group(const struct attn_row *rows, int n_row, const struct attn_kv *kv, int64_t d_head,
                       const struct attn_params *params) {
    struct attn_state state[VEC_ATTN_ROWS];
    const bool is_f16 = kv->dtype == DTYPE_F16;
    struct attn_run run = {.row_bytes = d_head * (is_f16 ? 2 : 4)};
    for (int r = 0; r < n_row; r++) {
        state[r] = (struct attn_state){-INFINITY, 0};
        for (int64_t i = 0; i < d_head; i++) rows[r].out[i] = 0;
    }
    for (int64_t pos = rows->pos_first; pos < rows->pos_end; pos += run.n) {
        int64_t p = pos / kv->page_tok;
        int64_t tok = pos % kv->page_tok;
        int64_t left = rows->pos_end - pos;
        int64_t room = kv->page_tok - tok;
        run.n = ATTN_RUN - tok % ATTN_RUN;
        run.n = run.n < room ? run.n : room;
        run.n = run.n < left ? run.n : left;
        run.k = (const uint8_t *)attn_k_page(kv, p) + tok * run.row_bytes;
        run.v = (const uint8_t *)attn_v_page(kv, p) + tok * run.row_bytes;
        attn_run_fns[n_row - 1][is_f16](rows, state, &run, d_head, params);
    }
    for (int r = 0; r < n_row; r++) {
        float inv = state[r].sum > 0 ? 1.0f / state[r].sum : 0.0f; /* an empty range gives zeros */
        for (int64_t i = 0; i < d_head; i++) rows[r].out[i] *= inv;
    }
}

static void vec_op_attention(const struct attn_row *rows, int64_t n_row, const struct attn_kv *kv, int64_t d_head,
                             const struct attn_params *params) {
    for (int64_t r = 0; r < n_row;) {
        int n = 1;
        while (n < VEC_ATTN_ROWS && r + n < n_row && rows[r + n].pos_first == rows[r].pos_first &&
               rows[r + n].pos_end == rows[r].pos_end) {
            n++;
        }
        attn_group(rows + r, n, kv, d_head, params);
        r += n;
    }
}

#endif
