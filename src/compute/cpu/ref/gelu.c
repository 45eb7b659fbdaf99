/* gelu.c -- the Gaussian error linear unit, exact and in its tanh form, and its gate. Source: Hendrycks and Gimpel 2016. */
#include <math.h>

#include "compute/cpu/ref/ref_int.h"

static double gelu_tanh(double a) { return 0.5 * a * (1.0 + tanh(sqrt(2.0 / M_PI) * (a + 0.044715 * a * a * a))); }

static double gelu_erf(double a) { return 0.5 * a * erfc(-a * M_SQRT1_2); }

void ref_gelu(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = (float)gelu_tanh((double)x[i]);
}

void ref_gelu_mul(float *gate, const float *up, int64_t n) {
    for (int64_t i = 0; i < n; i++) gate[i] = (float)gelu_tanh((double)gate[i]) * up[i];
}

void ref_gelu_erf(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = (float)gelu_erf((double)x[i]);
}

void ref_gelu_erf_mul(float *gate, const float *up, int64_t n) {
    for (int64_t i = 0; i < n; i++) gate[i] = (float)gelu_erf((double)gate[i]) * up[i];
}
