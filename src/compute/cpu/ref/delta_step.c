/* delta_step.c -- the gated delta rule: a matrix that maps keys to values forgets a little, is asked for the key, and is
 * corrected by what the answer lacked. Source: Yang, Kautz and Hatamizadeh 2024 (Gated Delta Networks). */
#include "compute/cpu/ref/ref_int.h"

void ref_delta_step(float *y, float *s, const float *q, const float *k, const float *v, float decay, float beta, int64_t d_k, int64_t d_v) {
    for (int64_t j = 0; j < d_v; j++) {
        double answer = 0, out = 0;
        for (int64_t i = 0; i < d_k; i++) {
            s[i * d_v + j] *= decay;
            answer += (double)k[i] * (double)s[i * d_v + j];
        }
        double lack = ((double)v[j] - answer) * (double)beta;
        for (int64_t i = 0; i < d_k; i++) {
            s[i * d_v + j] = (float)((double)s[i * d_v + j] + (double)k[i] * lack);
            out += (double)q[i] * (double)s[i * d_v + j];
        }
        y[j] = (float)out;
    }
}
