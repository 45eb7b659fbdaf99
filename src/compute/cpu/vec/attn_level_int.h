/* attn_level_int.h -- one page of attention over q8 and q4: both products of bytes, summed exactly in 32-bit integers.
 *
 * Keys are unsigned levels with an offset, queries signed ones; what the offset adds depends on the query alone. The
 * weights of values carry the values' scales: weight = 2^(score + log2 scale), rounded to 255 levels of the page's largest,
 * so that the second product needs one factor for each row and page. The sum of probabilities takes the unrounded weights
 * divided by the scales. */
#ifndef SLM_COMPUTE_CPU_VEC_ATTN_LEVEL_INT_H
#define SLM_COMPUTE_CPU_VEC_ATTN_LEVEL_INT_H

/* One group of four summed bytes for all rows: bytes of the page in b, of the rows at row[r] + at. */
VEC_FN void attn_group_products(veci acc[][VEC_ATTN_COLS], const veci *b, const struct attn_query *query, int64_t at, const int n_row) {
    VEC_UNROLL
    for (int r = 0; r < n_row; r++) {
        veci q = veci_set(query[r].level + at);
        VEC_UNROLL
        for (int c = 0; c < VEC_ATTN_COLS; c++) acc[r][c] = veci_dot4(acc[r][c], b[c], q);
    }
}

/* score[r][t] = (levels of q[r]) . k[t]; tokens outside the run mean nothing. */
VEC_FN void attn_products_level(float score[][KV_PAGE_TOK], const struct attn_query *query, const struct attn_run *run, int64_t d,
                                const int n_row, const bool is_q4) {
    const int64_t n_group = is_q4 ? (d + 7) / 8 : (d + 3) / 4;
    for (int64_t t = 0; t < KV_PAGE_TOK; t += VEC_ATTN_COLS * VEC_N) {
        veci acc[VEC_ATTN_ROWS][VEC_ATTN_COLS], b[VEC_ATTN_COLS];
        VEC_UNROLL
        for (int r = 0; r < n_row; r++) {
            VEC_UNROLL
            for (int c = 0; c < VEC_ATTN_COLS; c++) acc[r][c] = is_q4 ? veci_zero() : veci_of(-128 * query[r].level_sum);
        }
        for (int64_t g = 0; g < n_group; g++) {
            const uint8_t *k = run->k + (g * KV_PAGE_TOK + t) * 4;
            VEC_UNROLL
            for (int c = 0; c < VEC_ATTN_COLS; c++) {
                b[c] = veci_load(k + c * VEC_N * 4);
                if (is_q4) b[c] = veci_low4(b[c]);
            }
            attn_group_products(acc, b, query, is_q4 ? 8 * g : 4 * g, n_row);
            if (!is_q4) continue;
            VEC_UNROLL
            for (int c = 0; c < VEC_ATTN_COLS; c++) b[c] = veci_high4(veci_load(k + c * VEC_N * 4));
            attn_group_products(acc, b, query, 8 * g + 4, n_row);
        }
        VEC_UNROLL
        for (int c = 0; c < VEC_ATTN_COLS; c++) {
            vec scale = vec_load(run->k_scale + t + c * VEC_N);
            VEC_UNROLL
            for (int r = 0; r < n_row; r++) {
                vec sum = veci_to_f32(acc[r][c]);
                if (is_q4) sum = vec_sub(sum, vec_set(7.5f * (float)query[r].level_sum));
                vec_store(&score[r][t + c * VEC_N], vec_mul(sum, scale));
            }
        }
    }
}

/* Products to scores plus log2 of the values' scales, in place: weights as powers of two. Returns the largest. */
VEC_FN float attn_level_scores(float score[KV_PAGE_TOK], const struct attn_query *query, const struct attn_run *run, float softcap) {
    vec to_score = vec_set(query->scale * ATTN_LOG2E), top = vec_set(-INFINITY);
    if (softcap > 0) {
        attn_scores_capped(score, query->scale, softcap);
        to_score = vec_set(1.0f);
    }
    VEC_UNROLL
    for (int t = 0; t < KV_PAGE_TOK; t += VEC_N) {
        vec w = vec_fma(vec_load(score + t), to_score, vec_load(run->v_log2 + t));
        vec_store(score + t, w);
        top = vec_max(w, top);
    }
    return vec_max_lane(top);
}

/* Powers of two to levels of 255 * 2^top. Returns the sum of weight / scale, in the same units; q4: *level_sum of levels. */
VEC_FN vec attn_levels(uint8_t level[KV_PAGE_TOK], const float score[KV_PAGE_TOK], const struct attn_run *run, float top,
                       float *level_sum, const bool is_q4) {
    vec sum = vec_zero(), whole = vec_zero(), e[4];
    VEC_UNROLL
    for (int t = 0; t < KV_PAGE_TOK; t += 4 * VEC_N) {
        VEC_UNROLL
        for (int i = 0; i < 4; i++) {
            e[i] = vec_exp2_255(vec_sub(vec_load(score + t + i * VEC_N), vec_set(top)));
            sum = vec_fma(e[i], vec_load(run->v_inv + t + i * VEC_N), sum);
            if (is_q4) whole = vec_add(whole, vec_round(e[i]));
        }
        vec_store4_u8(level + t, e);
    }
    if (is_q4) *level_sum = vec_sum(whole);
    return sum;
}

/* One group of four tokens for all rows: their values' bytes in b, the rows' weights at level[r] + at. */
VEC_FN void attn_group_values(veci acc[][VEC_ATTN_COLS], const veci *b, const uint8_t level[][KV_PAGE_TOK], int64_t at,
                              const int n_col, const int n_row) {
    VEC_UNROLL
    for (int r = 0; r < n_row; r++) {
        veci w = veci_set(level[r] + at);
        VEC_UNROLL
        for (int c = 0; c < n_col; c++) acc[r][c] = veci_dot4(acc[r][c], w, b[c]);
    }
}

/* Where column vector c of the sums begins, and how many of its lanes are elements: q4 has two halves of the row. */
struct attn_cols {
    int64_t i, n, half; /* first byte column, lanes of a vector, columns of bytes in a row */
    int n_b;            /* vectors of bytes; a vector of q4 bytes has two of sums */
};
VEC_FN int64_t attn_col_at(const struct attn_cols *cols, int c) {
    return c < cols->n_b ? cols->i + c * VEC_N : cols->half + cols->i + (c - cols->n_b) * VEC_N;
}

VEC_FN void attn_put_values(float *out, veci acc, const struct attn_factors *f, float level_sum, int r, int64_t n, const bool is_q4) {
    vec sum = veci_to_f32(acc);
    if (is_q4) sum = vec_sub(sum, vec_set(7.5f * level_sum));
    vec kept = vec_mul(n < VEC_N ? vec_load_n(out, n) : vec_load(out), vec_set(f->keep[r]));
    sum = vec_fma(sum, vec_set(f->add[r]), kept);
    if (n < VEC_N) vec_store_n(out, sum, n);
    else vec_store(out, sum);
}

/* As attn_values_float, for n_b vectors of bytes from column i. Weights outside the run are 0, so whole groups of tokens
 * are taken. */
VEC_FN void attn_values_level(float *const *out, const uint8_t level[][KV_PAGE_TOK], const struct attn_run *run,
                              const struct attn_factors *f, const float *level_sum, int64_t d, int64_t i, int64_t n, const int n_b,
                              const int n_row, const bool is_q4) {
    const struct attn_cols cols = {i, n, is_q4 ? (d + 1) / 2 : d, n_b};
    const int n_col = is_q4 ? 2 * n_b : n_b;
    veci acc[VEC_ATTN_ROWS][VEC_ATTN_COLS], b[VEC_ATTN_COLS];
    VEC_UNROLL
    for (int r = 0; r < n_row; r++) {
        VEC_UNROLL
        for (int c = 0; c < n_col; c++) acc[r][c] = veci_zero();
    }
    for (int64_t g = run->begin / 4; g * 4 < run->end; g++) {
        const uint8_t *v = run->v + (g * cols.half + i) * 4;
        VEC_UNROLL
        for (int c = 0; c < n_b; c++) {
            b[c] = n < VEC_N ? veci_load_n(v, n) : veci_load(v + c * VEC_N * 4);
            if (!is_q4) continue;
            b[n_b + c] = veci_high4(b[c]);
            b[c] = veci_low4(b[c]);
        }
        attn_group_values(acc, b, level, g * 4, n_col, n_row);
    }
    VEC_UNROLL
    for (int r = 0; r < n_row; r++) {
        VEC_UNROLL
        for (int c = 0; c < n_col; c++) {
            int64_t at = attn_col_at(&cols, c), lanes = d - at < n ? d - at : n; /* an odd row's second half is shorter */
            attn_put_values(out[r] + at, acc[r][c], f, is_q4 ? level_sum[r] : 0, r, lanes, is_q4);
        }
    }
}

/* One page for n_row rows whose range covers it alike; n_row and is_q4 are constants where this is inlined. */
VEC_FN void attn_page_level(float *const *out, const struct attn_query *query, struct attn_rows state, const struct attn_run *run,
                            int64_t d, const struct attn_params *params, const int n_row, const bool is_q4) {
    float score[VEC_ATTN_ROWS][KV_PAGE_TOK], top[ATTN_ROOM], sum[ATTN_ROOM];
    _Alignas(4) uint8_t level[VEC_ATTN_ROWS][KV_PAGE_TOK];
    struct attn_factors f;
    attn_products_level(score, query, run, d, n_row, is_q4);
    for (int r = 0; r < n_row; r++) top[r] = attn_level_scores(score[r], &query[r], run, params->softcap);
    attn_join_max(&f, state.max, top, n_row);
    for (int r = 0; r < n_row; r++) {
        f.add[r] *= 1.0f / 255;
        vec weights = attn_levels(level[r], score[r], run, top[r], &sum[r], is_q4);
        state.sum[r] = vec_fma(weights, vec_set(f.add[r]), vec_mul(state.sum[r], vec_set(f.keep[r])));
    }
    const uint8_t(*w)[KV_PAGE_TOK] = (const uint8_t(*)[KV_PAGE_TOK])level;
    const int n_b = is_q4 ? VEC_ATTN_COLS / 2 : VEC_ATTN_COLS;
    const int64_t width = is_q4 ? (d + 1) / 2 : d;
    int64_t i = 0;
    for (; i + n_b * VEC_N <= width; i += n_b * VEC_N) attn_values_level(out, w, run, &f, sum, d, i, VEC_N, n_b, n_row, is_q4);
    for (; i + VEC_N <= width; i += VEC_N) attn_values_level(out, w, run, &f, sum, d, i, VEC_N, 1, n_row, is_q4);
    if (i < width) attn_values_level(out, w, run, &f, sum, d, i, width - i, 1, n_row, is_q4);
}

#endif
