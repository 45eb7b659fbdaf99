/* conv_step.c -- one step of a depthwise causal convolution: every channel sees its own last k inputs. */
#include "compute/cpu/ref/ref_int.h"

void ref_conv_step(float *y, float *hist, int64_t ld, const float *x, const float *w, int64_t n_ch, int64_t k) {
    for (int64_t c = 0; c < n_ch; c++) {
        float now = x[c];
        double sum = (double)w[c * k + k - 1] * (double)now;
        for (int64_t j = 0; j < k - 1; j++) sum += (double)w[c * k + j] * (double)hist[j * ld + c];
        for (int64_t j = 0; j + 1 < k - 1; j++) hist[j * ld + c] = hist[(j + 1) * ld + c];
        if (k > 1) hist[(k - 2) * ld + c] = now;
        y[c] = (float)sum;
    }
}
