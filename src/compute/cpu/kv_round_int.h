/* kv_round_int.h -- rotation and rounding of cache rows and queries, in plain C, the same bits wherever it is compiled.
 *
 * The reference uses it as it stands; ISA folders include it to compile it with their instructions. Nothing here may be
 * contracted or reordered: the build turns contraction off, and sums are of pairs. */
#ifndef SLM_COMPUTE_CPU_KV_ROUND_INT_H
#define SLM_COMPUTE_CPU_KV_ROUND_INT_H

#include <float.h>
#include <math.h>

#include "compute/ops.h"

#define KV_V_SCALE_MIN 0x1p-60f /* smaller values round to 0: keeps 1 / scale and weights in range */

/* To the nearest integer, ties to even; |x| < 2^22. */
static inline float kv_round(float x) { return (x + 0x1.8p23f) - 0x1.8p23f; }

/* Walsh-Hadamard transform of x[width], a power of two. Steps of `half` elements, so that long steps are vectors. */
static inline void kv_rotate_group(float *x, int64_t width, float norm) {
    for (int64_t half = 1; half < width; half *= 2) {
        for (int64_t i = 0; i < width; i += 2 * half) {
            for (int64_t j = i; j < i + half; j++) {
                float a = x[j], b = x[j + half];
                x[j] = a + b;
                x[j + half] = a - b;
            }
        }
    }
    for (int64_t i = 0; i < width; i++) x[i] *= norm;
}

/* x[d] turned in place: groups of the largest power of two that divides d. Its own inverse but for rounding. */
static inline void kv_rotate(float *x, int64_t d) {
    int64_t width = d & -d;
    for (int64_t i = 0; i < d; i += width) kv_rotate_group(x + i, width, 1.0f / sqrtf((float)width));
}

/* Largest magnitude of x[d]; NaN when an element is not finite. */
static inline float kv_peak(const float *x, int64_t d) {
    float peak = 0, bad = 0;
    for (int64_t i = 0; i < d; i++) {
        float a = fabsf(x[i]);
        peak = a > peak ? a : peak;
        bad += x[i] - x[i];
    }
    return peak + bad;
}

/* level[d] = x / scale rounded, with scale = peak / n_level; a row of zeros has scale 0 and levels 0, a row that is not
 * finite scale NaN and levels 0. */
static inline float kv_round_row(float *level, const float *x, int64_t d, float n_level, float scale_min) {
    float peak = kv_peak(x, d);
    float scale = peak / n_level;
    if (scale < scale_min) scale = scale_min;
    float inv = scale > 0 && peak <= FLT_MAX ? 1.0f / scale : 0.0f;
    if (!(inv <= FLT_MAX)) inv = 0, scale = 0; /* a peak so small that its inverse overflows */
    for (int64_t i = 0; i < d; i++) {
        float l = inv > 0 ? x[i] * inv : 0.0f;
        level[i] = l > n_level ? n_level : l < -n_level ? -n_level : l;
    }
    return scale;
}

#endif
