/* rank_int.h -- the second half of a low-rank product (cpu/ref/rank_add.c), lanes over the outputs: a lane's sum runs over the rank in order
 * wherever it stands. RANK_VECS sums side by side hide the latency of the multiply-add. */
#ifndef SLM_COMPUTE_CPU_VEC_RANK_INT_H
#define SLM_COMPUTE_CPU_VEC_RANK_INT_H

enum { RANK_VECS = 4 };

static void vec_op_rank_add(float *y, const float *b, int64_t ldb, const float *h, int64_t r, int64_t n) {
    int64_t i = 0;
    for (; i + RANK_VECS * VEC_N <= n; i += RANK_VECS * VEC_N) {
        vec sum[RANK_VECS];
        VEC_UNROLL
        for (int j = 0; j < RANK_VECS; j++) sum[j] = vec_zero();
        for (int64_t k = 0; k < r; k++) {
            vec hk = vec_set(h[k]);
            VEC_UNROLL
            for (int j = 0; j < RANK_VECS; j++) sum[j] = vec_fma(hk, vec_load(b + k * ldb + i + j * VEC_N), sum[j]);
        }
        VEC_UNROLL
        for (int j = 0; j < RANK_VECS; j++) vec_store(y + i + j * VEC_N, vec_add(vec_load(y + i + j * VEC_N), sum[j]));
    }
    for (; i < n; i += VEC_N) {
        int64_t m = n - i < VEC_N ? n - i : VEC_N;
        vec sum = vec_zero();
        for (int64_t k = 0; k < r; k++) sum = vec_fma(vec_set(h[k]), vec_load_n(b + k * ldb + i, m), sum);
        vec_store_n(y + i, vec_add(vec_load_n(y + i, m), sum), m);
    }
}

#endif
