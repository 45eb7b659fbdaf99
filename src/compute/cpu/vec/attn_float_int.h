/* attn_float_int.h -- one page of attention over f32 and f16: scores, weights, sums of values for 1..VEC_ATTN_ROWS rows.
 *
 * Both products have the rows' numbers broadcast and the page's side by side in vectors, so that what is loaded (and
 * widened) once serves all rows; a row's element is one chain of multiply-adds in the order of the summed index, the
 * same alone and in company. */
#ifndef SLM_COMPUTE_CPU_VEC_ATTN_FLOAT_INT_H
#define SLM_COMPUTE_CPU_VEC_ATTN_FLOAT_INT_H

#include <math.h>

#define ATTN_LOG2E 1.44269504f

/* Rows of a group on their way through a span: weights are relative to 2^max; sum: of weights, over lanes. A run of rows
 * begins anywhere in max and is loaded in vectors, so there is room behind. */
struct attn_state {
    float max[VEC_ATTN_ROWS + VEC_N];
    vec sum[VEC_ATTN_ROWS];
};
/* Rows r .. r + n of a state. */
struct attn_rows {
    float *max;
    vec *sum;
};

/* A query as the products take it. */
struct attn_query {
    const float *q;       /* f32, f16 */
    const uint8_t *level; /* q8, q4: signed bytes [d_pad(8)], aligned to 4 */
    float scale;          /* from a product to a score */
    int32_t level_sum;    /* q8, q4: of the levels, for what the keys' offset adds */
};

/* The tokens [begin, end) of one page. */
struct attn_run {
    const uint8_t *k, *v;
    int64_t begin, end;
    const float *k_scale, *v_log2, *v_inv; /* q8, q4: [KV_PAGE_TOK], 0, -infinity and 0 outside the run */
};

VEC_FN vec attn_load(const uint8_t *floats, int64_t i, const bool is_f16) {
    return is_f16 ? vec_load_f16((const uint16_t *)(const void *)floats + i) : vec_load((const float *)(const void *)floats + i);
}

VEC_FN vec attn_load_n(const uint8_t *floats, int64_t i, int64_t n, const bool is_f16) {
    return is_f16 ? vec_load_f16_n((const uint16_t *)(const void *)floats + i, n)
                  : vec_load_n((const float *)(const void *)floats + i, n);
}

/* score[r][t] = q[r] . k[t] for all tokens of the page; those outside the run mean nothing. */
VEC_FN void attn_products_float(float score[][KV_PAGE_TOK], const struct attn_query *query, const uint8_t *k, int64_t d,
                                const int n_row, const bool is_f16) {
    for (int64_t t = 0; t < KV_PAGE_TOK; t += VEC_ATTN_COLS * VEC_N) {
        vec acc[VEC_ATTN_ROWS][VEC_ATTN_COLS];
        VEC_UNROLL
        for (int r = 0; r < n_row; r++) {
            VEC_UNROLL
            for (int c = 0; c < VEC_ATTN_COLS; c++) acc[r][c] = vec_zero();
        }
        for (int64_t i = 0; i < d; i++) {
            vec kv[VEC_ATTN_COLS];
            VEC_UNROLL
            for (int c = 0; c < VEC_ATTN_COLS; c++) kv[c] = attn_load(k, i * KV_PAGE_TOK + t + c * VEC_N, is_f16);
            VEC_UNROLL
            for (int r = 0; r < n_row; r++) {
                vec q = vec_set(query[r].q[i]);
                VEC_UNROLL
                for (int c = 0; c < VEC_ATTN_COLS; c++) acc[r][c] = vec_fma(q, kv[c], acc[r][c]);
            }
        }
        VEC_UNROLL
        for (int r = 0; r < n_row; r++) {
            VEC_UNROLL
            for (int c = 0; c < VEC_ATTN_COLS; c++) vec_store(&score[r][t + c * VEC_N], acc[r][c]);
        }
    }
}

/* Products to scores in units of log2: product * scale, perhaps capped. */
static void attn_scores_capped(float score[KV_PAGE_TOK], float scale, float softcap) {
    vec inner = vec_set(scale / softcap), outer = vec_set(softcap * ATTN_LOG2E);
    for (int t = 0; t < KV_PAGE_TOK; t += VEC_N)
        vec_store(score + t, vec_mul(vec_tanh(vec_mul(vec_load(score + t), inner)), outer));
}

VEC_FN void attn_scores(float score[KV_PAGE_TOK], float scale, float softcap) {
    if (softcap > 0) {
        attn_scores_capped(score, scale, softcap);
        return;
    }
    vec to_score = vec_set(scale * ATTN_LOG2E);
    VEC_UNROLL
    for (int t = 0; t < KV_PAGE_TOK; t += VEC_N) vec_store(score + t, vec_mul(vec_load(score + t), to_score));
}

VEC_FN float attn_max(const float score[KV_PAGE_TOK]) {
    vec top = vec_load(score);
    VEC_UNROLL
    for (int t = VEC_N; t < KV_PAGE_TOK; t += VEC_N) top = vec_max(vec_load(score + t), top);
    return vec_max_lane(top);
}

/* A number for each row, in whole vectors. */
enum { ATTN_ROOM = (VEC_ATTN_ROWS + VEC_N - 1) / VEC_N * VEC_N };

/* Factors of the rows' sums in a page: of what was summed before, and of the page's, whose weights are relative to 2^top. */
struct attn_factors {
    float keep[ATTN_ROOM], add[ATTN_ROOM];
};

/* max[n] = the larger of max and top. */
VEC_FN void attn_join_max(struct attn_factors *f, float *max, const float *top, const int n) {
    VEC_UNROLL
    for (int i = 0; i < n; i += VEC_N) {
        const int lanes = n - i < VEC_N ? n - i : VEC_N;
        vec before = vec_load_n(max + i, lanes), page = vec_load_n(top + i, lanes);
        vec both = vec_max(before, page);
        vec_store(f->keep + i, vec_exp2(vec_sub(before, both))); /* 0 of nothing before: its max is minus infinity */
        vec_store(f->add + i, vec_exp2(vec_sub(page, both)));
        vec_store_n(max + i, both, lanes);
    }
}

/* Scores to weights relative to 2^max, in place; their sum, over lanes. */
VEC_FN vec attn_weights(float score[KV_PAGE_TOK], float max) {
    vec sum = vec_zero();
    VEC_UNROLL
    for (int t = 0; t < KV_PAGE_TOK; t += VEC_N) {
        vec e = vec_exp2(vec_sub(vec_load(score + t), vec_set(max)));
        vec_store(score + t, e);
        sum = vec_add(sum, e);
    }
    return sum;
}

/* out[r][i .. i + n_col * VEC_N) = out * keep[r] + sum over the run of weight[r][t] * v[t]; n < VEC_N: a short last vector. */
VEC_FN void attn_values_float(float *const *out, const float weight[][KV_PAGE_TOK], const struct attn_run *run, const float *keep,
                              int64_t d, int64_t i, int64_t n, const int n_col, const int n_row, const bool is_f16) {
    vec acc[VEC_ATTN_ROWS][VEC_ATTN_COLS];
    VEC_UNROLL
    for (int r = 0; r < n_row; r++) {
        VEC_UNROLL
        for (int c = 0; c < n_col; c++) {
            const float *at = out[r] + i + c * VEC_N;
            acc[r][c] = vec_mul(n < VEC_N ? vec_load_n(at, n) : vec_load(at), vec_set(keep[r]));
        }
    }
    for (int64_t t = run->begin; t < run->end; t++) {
        vec v[VEC_ATTN_COLS];
        VEC_UNROLL
        for (int c = 0; c < n_col; c++) {
            int64_t at = t * d + i + c * VEC_N;
            v[c] = n < VEC_N ? attn_load_n(run->v, at, n, is_f16) : attn_load(run->v, at, is_f16);
        }
        VEC_UNROLL
        for (int r = 0; r < n_row; r++) {
            vec w = vec_set(weight[r][t]);
            VEC_UNROLL
            for (int c = 0; c < n_col; c++) acc[r][c] = vec_fma(w, v[c], acc[r][c]);
        }
    }
    VEC_UNROLL
    for (int r = 0; r < n_row; r++) {
        VEC_UNROLL
        for (int c = 0; c < n_col; c++) {
            float *at = out[r] + i + c * VEC_N;
            if (n < VEC_N) vec_store_n(at, acc[r][c], n);
            else vec_store(at, acc[r][c]);
        }
    }
}

/* One page for n_row rows whose range covers it alike; n_row and is_f16 are constants where this is inlined. */
VEC_FN void attn_page_float(float *const *out, const struct attn_query *query, struct attn_rows state, const struct attn_run *run,
                            int64_t d, const struct attn_params *params, const int n_row, const bool is_f16) {
    float score[VEC_ATTN_ROWS][KV_PAGE_TOK], top[ATTN_ROOM];
    struct attn_factors f;
    attn_products_float(score, query, run->k, d, n_row, is_f16);
    for (int r = 0; r < n_row; r++) {
        attn_scores(score[r], query[r].scale, params->softcap);
        for (int64_t t = 0; t < run->begin; t++) score[r][t] = -INFINITY;
        for (int64_t t = run->end; t < KV_PAGE_TOK; t++) score[r][t] = -INFINITY;
        top[r] = attn_max(score[r]);
    }
    attn_join_max(&f, state.max, top, n_row);
    for (int r = 0; r < n_row; r++)
        state.sum[r] = vec_fma(state.sum[r], vec_set(f.keep[r]), attn_weights(score[r], state.max[r]));
    const float(*w)[KV_PAGE_TOK] = (const float(*)[KV_PAGE_TOK])score;
    int64_t i = 0;
    for (; i + VEC_ATTN_COLS * VEC_N <= d; i += VEC_ATTN_COLS * VEC_N)
        attn_values_float(out, w, run, f.keep, d, i, VEC_N, VEC_ATTN_COLS, n_row, is_f16);
    for (; i + VEC_N <= d; i += VEC_N) attn_values_float(out, w, run, f.keep, d, i, VEC_N, 1, n_row, is_f16);
    if (i < d) attn_values_float(out, w, run, f.keep, d, i, d - i, 1, n_row, is_f16);
}

#endif
