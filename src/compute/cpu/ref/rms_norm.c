/* rms_norm.c -- root mean square normalisation. Source: Zhang and Sennrich 2019. */
#include <math.h>

#include "compute/cpu/ref/ref_int.h"

void ref_rms_norm(float *y, const float *x, const float *w, int64_t n_row, int64_t d, float eps) {
    for (int64_t i = 0; i < n_row; i++) {
        const float *xi = x + i * d;
        float *yi = y + i * d;
        double sum = 0;
        for (int64_t k = 0; k < d; k++) sum += (double)xi[k] * (double)xi[k];
        float scale = (float)(1.0 / sqrt(sum / (double)d + (double)eps));
        /* Two roundings in this order: the fast twins keep it. */
        for (int64_t k = 0; k < d; k++) yi[k] = xi[k] * scale * w[k];
    }
}
