/* layer_norm.c -- mean and variance normalisation. Source: Ba, Kiros and Hinton 2016. */
#include <math.h>

#include "compute/cpu/ref/ref_int.h"

void ref_layer_norm(float *y, const float *x, const float *w, const float *b, int64_t n_row, int64_t d, float eps) {
    for (int64_t i = 0; i < n_row; i++) {
        const float *xi = x + i * d;
        float *yi = y + i * d;
        double sum = 0, squares = 0;
        for (int64_t k = 0; k < d; k++) sum += (double)xi[k];
        double mean = sum / (double)d;
        for (int64_t k = 0; k < d; k++) squares += ((double)xi[k] - mean) * ((double)xi[k] - mean);
        double scale = 1.0 / sqrt(squares / (double)d + (double)eps);
        for (int64_t k = 0; k < d; k++)
            yi[k] = (float)(((double)xi[k] - mean) * scale * (double)w[k] + (b ? (double)b[k] : 0.0));
    }
}
