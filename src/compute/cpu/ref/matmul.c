/* matmul.c -- activations times the transpose of a row-major weight: one dot product for each output. */
#include "compute/cpu/ref/ref_int.h"

void ref_matmul_f32(float *y, int64_t ldy, const float *w, int64_t ldw, const float *x, int64_t ldx, int64_t n_tok,
                    int64_t n_row, int64_t d_in) {
    for (int64_t i = 0; i < n_tok; i++) {
        for (int64_t r = 0; r < n_row; r++) {
            const float *xi = x + i * ldx;
            const float *wr = w + r * ldw;
            double sum = 0;
            for (int64_t k = 0; k < d_in; k++) sum += (double)xi[k] * (double)wr[k];
            y[i * ldy + r] = (float)sum;
        }
    }
}
