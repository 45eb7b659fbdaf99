/* softmax.c -- over one row. The maximum is subtracted first, so that nothing overflows. At least one x must be
 * greater than minus infinity; minus infinity elsewhere gives zero. */
#include <math.h>

#include "compute/cpu/ref/ref_int.h"

void ref_softmax(float *x, int64_t n) {
    if (n <= 0) return;
    float max = x[0];
    for (int64_t i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double e = exp((double)x[i] - (double)max);
        x[i] = (float)e;
        sum += e;
    }
    float inv = (float)(1.0 / sum);
    for (int64_t i = 0; i < n; i++) x[i] *= inv;
}
