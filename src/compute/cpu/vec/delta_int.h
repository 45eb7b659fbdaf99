/* delta_int.h -- one step of the gated delta rule (cpu/ref/delta_step.c), lanes over the values: columns of the state do not
 * meet, so a lane's sums run over the keys in order wherever it stands. */
#ifndef SLM_COMPUTE_CPU_VEC_DELTA_INT_H
#define SLM_COMPUTE_CPU_VEC_DELTA_INT_H

VEC_FN void vec_delta_column(float *y, float *s, const float *q, const float *k, const float *v, float decay, float beta, int64_t d_k, int64_t d_v,
                             int64_t n) {
    vec answer = vec_zero(), out = vec_zero(), keep = vec_set(decay);
    for (int64_t i = 0; i < d_k; i++) {
        vec row = vec_mul(n == VEC_N ? vec_load(s + i * d_v) : vec_load_n(s + i * d_v, n), keep);
        if (n == VEC_N) vec_store(s + i * d_v, row);
        else vec_store_n(s + i * d_v, row, n);
        answer = vec_fma(vec_set(k[i]), row, answer);
    }
    vec lack = vec_mul(vec_sub(n == VEC_N ? vec_load(v) : vec_load_n(v, n), answer), vec_set(beta));
    for (int64_t i = 0; i < d_k; i++) {
        vec row = vec_fma(vec_set(k[i]), lack, n == VEC_N ? vec_load(s + i * d_v) : vec_load_n(s + i * d_v, n));
        if (n == VEC_N) vec_store(s + i * d_v, row);
        else vec_store_n(s + i * d_v, row, n);
        out = vec_fma(vec_set(q[i]), row, out);
    }
    if (n == VEC_N) vec_store(y, out);
    else vec_store_n(y, out, n);
}

static void vec_op_delta_step(float *y, float *s, const float *q, const float *k, const float *v, float decay, float beta, int64_t d_k, int64_t d_v) {
    int64_t j = 0;
    for (; j + VEC_N <= d_v; j += VEC_N) vec_delta_column(y + j, s + j, q, k, v + j, decay, beta, d_k, d_v, VEC_N);
    if (j < d_v) vec_delta_column(y + j, s + j, q, k, v + j, decay, beta, d_k, d_v, d_v - j);
}

#endif
