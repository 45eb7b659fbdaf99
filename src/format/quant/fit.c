/* fit.c -- the best step for a group under symmetric levels -n .. n-1, by search and least squares.
 *
 * Candidates put the peak near level -n, from some levels short of it (fine steps, the peak clipped) to
 * some beyond it. Levels by rounding, then the step that is best for those levels in closed form: with it the
 * squared error is |x|^2 - sxq^2 / sqq, so the candidate with the largest gain wins and no error is summed.
 * Tried: the peak exactly on -n without search; 4-bit error is 4 % larger. */
#include "format/quant/quant_int.h"

#define N_SIDE 12
#define LEVEL_STEP 0.1f

float fit_symmetric(const float *x, int n_elem, int n) {
    float peak = peak_of(x, n_elem), best = 0, best_gain = 0;
    if (!isfinite(peak)) return 0;
    for (int t = -N_SIDE; t <= N_SIDE; t++) {
        float step = -peak / ((float)n + LEVEL_STEP * (float)t), sxq = 0, sqq = 0;
        if (step == 0) continue;
        for (int j = 0; j < n_elem; j++) {
            float level = (float)round_to_level(x[j] / step, -n, n - 1);
            sxq += x[j] * level;
            sqq += level * level;
        }
        if (sqq > 0 && sxq * (sxq / sqq) > best_gain) {
            best_gain = sxq * (sxq / sqq);
            best = sxq / sqq;
        }
    }
    return best;
}
