/* elementwise.c -- the residual sum and the gates: SwiGLU's and the sigmoid. Source: Shazeer 2020. */
#include <math.h>

#include "compute/cpu/ref/ref_int.h"

void ref_add(float *x, const float *y, float s, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] += s * y[i];
}

void ref_silu_mul(float *gate, const float *up, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        double a = (double)gate[i];
        gate[i] = (float)(a / (1.0 + exp(-a))) * up[i];
    }
}

void ref_sigmoid_mul(float *x, const float *gate, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] *= (float)(1.0 / (1.0 + exp(-(double)gate[i])));
}
