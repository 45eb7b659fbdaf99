/* affine.c -- biases, scales and soft caps. */
#include <math.h>

#include "compute/cpu/ref/ref_int.h"

void ref_add_bias(float *y, const float *b, int64_t n_row, int64_t d) {
    for (int64_t i = 0; i < n_row; i++)
        for (int64_t k = 0; k < d; k++) y[i * d + k] += b[k];
}

void ref_scale(float *x, float s, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] *= s;
}

/* Source: Gemma 2 technical report, 2024, section 2. */
void ref_softcap(float *x, float cap, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = (float)((double)cap * tanh((double)x[i] / (double)cap));
}
