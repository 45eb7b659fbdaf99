/* rank_add.c -- the second half of a low-rank product, added to what is there. Source: Hu et al. 2021 (LoRA). */
#include "compute/cpu/ref/ref_int.h"

void ref_rank_add(float *y, const float *b, int64_t ldb, const float *h, int64_t r, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t k = 0; k < r; k++) sum += (double)h[k] * (double)b[k * ldb + i];
        y[i] = (float)((double)y[i] + sum);
    }
}
