/* rope.c -- rotary position embedding: pairs of elements turn by a position's angle. Source: Su et al. 2021.
 *
 * Products are rounded before the sum (no fused multiply-add), which every twin keeps: all agree bit for bit. */
#include "compute/cpu/ref/ref_int.h"

static void rotate(float *a, float *b, float c, float s) {
    float a0 = *a;
    float b0 = *b;
    *a = a0 * c - b0 * s;
    *b = a0 * s + b0 * c;
}

void ref_rope_adjacent(float *x, int64_t n_head, int64_t d_head, int64_t n_pair, const float *cs, const float *sn) {
    for (int64_t h = 0; h < n_head; h++) {
        float *xh = x + h * d_head;
        for (int64_t i = 0; i < n_pair; i++) rotate(&xh[2 * i], &xh[2 * i + 1], cs[i], sn[i]);
    }
}

void ref_rope_halves(float *x, int64_t n_head, int64_t d_head, int64_t n_pair, const float *cs, const float *sn) {
    for (int64_t h = 0; h < n_head; h++) {
        float *xh = x + h * d_head;
        for (int64_t i = 0; i < n_pair; i++) rotate(&xh[i], &xh[i + n_pair], cs[i], sn[i]);
    }
}
