/* q4_k.c -- 256 four-bit levels in 8 groups of 32, each with a 6-bit scale and a 6-bit minimum:
 * x = (d * scale) * q - (dmin * min).
 *
 * Nibbles: bytes 32p .. 32p+31 hold group 2p in their low and group 2p+1 in their high halves.
 * Scales and minima: see load_scale_min.
 *
 * Encoder: per group, a few starting steps are tried; each gives levels, and the levels give the best scale
 * and minimum by least squares. Then scales are rounded to six bits and levels chosen against the rounded ones. */
#include "format/quant/quant_int.h"

#define N 256
#define N_GROUP 8
#define GROUP 32
#define LEVEL_MAX 15
#define SCALE_MAX 63

struct block_q4_k {
    uint8_t d[2], dmin[2];
    uint8_t scales[12];
    uint8_t q[N / 2];
};
_Static_assert(sizeof(struct block_q4_k) == 144, "layout of the file");

/* What load_scale_min reads. Bytes must start as zeros: groups share them. */
static void pack_scale(uint8_t s[12], int group, int scale, int min) {
    if (group < 4) {
        s[group] = (uint8_t)(s[group] | scale);
        s[group + 4] = (uint8_t)(s[group + 4] | min);
    } else {
        s[group + 4] = (uint8_t)((scale & 15) | (min & 15) << 4);
        s[group - 4] = (uint8_t)(s[group - 4] | scale >> 4 << 6);
        s[group] = (uint8_t)(s[group] | min >> 4 << 6);
    }
}

static void q4_k_to_f32(float *dst, const void *src, int64_t n) {
    const struct block_q4_k *b = src;
    for (int64_t i = 0; i < n / N; i++, b++) {
        float d = load_f16(b->d), dmin = load_f16(b->dmin);
        for (int g = 0; g < N_GROUP; g++) {
            const uint8_t *q = b->q + g / 2 * GROUP;
            int scale, min, shift = g % 2 * 4;
            load_scale_min(b->scales, g, &scale, &min);
            float step = d * (float)scale, base = dmin * (float)min;
            for (int j = 0; j < GROUP; j++) *dst++ = step * (float)(q[j] >> shift & 15) - base;
        }
    }
}

struct fit {
    float step, base; /* x is near step * q - base; both are at least 0 */
};

/* The best step and base for given levels, and the squared error that they leave. */
static struct fit solve_levels(const float *x, const int *q, float *error) {
    float sx = 0, sq = 0, sqq = 0, sxq = 0;
    for (int j = 0; j < GROUP; j++) {
        float l = (float)q[j];
        sx += x[j];
        sq += l;
        sqq += l * l;
        sxq += x[j] * l;
    }
    struct fit f = {0, 0};
    float det = GROUP * sqq - sq * sq;
    if (det > 0) {
        f.step = (GROUP * sxq - sx * sq) / det;
        f.base = (f.step * sq - sx) / GROUP;
    }
    if (!(f.base > 0)) { /* the format has no negative minimum */
        f.base = 0;
        f.step = sqq > 0 ? sxq / sqq : 0;
    }
    if (!(f.step > 0)) f = (struct fit){0, sx < 0 ? -sx / GROUP : 0};
    *error = 0;
    for (int j = 0; j < GROUP; j++) {
        float r = x[j] - (f.step * (float)q[j] - f.base);
        *error += r * r;
    }
    return f;
}

static struct fit fit_group(const float *x) {
    float lo = 0, hi = 0;
    for (int j = 0; j < GROUP; j++) {
        if (x[j] < lo) lo = x[j];
        if (x[j] > hi) hi = x[j];
    }
    float start = hi / LEVEL_MAX - lo / LEVEL_MAX;
    struct fit best = {start, -lo};
    if (!(start > 0) || !isfinite(start)) return best;
    float best_error = INFINITY;
    for (int t = -10; t <= 10; t++) {
        float step = start * (1 + 0.02f * (float)t);
        int q[GROUP];
        for (int j = 0; j < GROUP; j++) q[j] = round_to_level((x[j] - lo) / step, 0, LEVEL_MAX);
        float error;
        struct fit f = solve_levels(x, q, &error);
        if (error < best_error) {
            best_error = error;
            best = f;
        }
    }
    return best;
}

static void encode_block(struct block_q4_k *b, const float *x) {
    struct fit fit[N_GROUP];
    float step_max = 0, base_max = 0;
    *b = (struct block_q4_k){0};
    for (int g = 0; g < N_GROUP; g++) {
        fit[g] = fit_group(x + g * GROUP);
        step_max = fmaxf(step_max, fit[g].step);
        base_max = fmaxf(base_max, fit[g].base);
    }
    float d = store_f16(b->d, step_max / SCALE_MAX), dmin = store_f16(b->dmin, base_max / SCALE_MAX);
    for (int g = 0; g < N_GROUP; g++) {
        int scale = d > 0 ? round_to_level(fit[g].step / d, 0, SCALE_MAX) : 0;
        int min = dmin > 0 ? round_to_level(fit[g].base / dmin, 0, SCALE_MAX) : 0;
        pack_scale(b->scales, g, scale, min);
        float step = d * (float)scale, base = dmin * (float)min;
        uint8_t *q = b->q + g / 2 * GROUP;
        for (int j = 0; j < GROUP; j++) {
            int level = step > 0 ? round_to_level((x[g * GROUP + j] + base) / step, 0, LEVEL_MAX) : 0;
            q[j] = (uint8_t)(q[j] | level << g % 2 * 4);
        }
    }
}

static void q4_k_from_f32(void *dst, const float *src, int64_t n) {
    struct block_q4_k *b = dst;
    for (int64_t i = 0; i < n / N; i++) encode_block(b + i, src + i * N);
}

static void q4_k_to_codes(uint8_t *dst, const void *src, int64_t n) {
    const struct block_q4_k *b = src;
    for (int64_t i = 0; i < n / N; i++, b++)
        for (int p = 0; p < N_GROUP / 2; p++, dst += 2 * GROUP)
            for (int j = 0; j < GROUP; j++) {
                dst[j] = b->q[p * GROUP + j] & 15;
                dst[GROUP + j] = b->q[p * GROUP + j] >> 4;
            }
}

const struct dtype_desc dtype_q4_k = {
    .id = DTYPE_Q4_K,
    .name = "q4_k",
    .gguf_id = 12,
    .block_elems = N,
    .block_bytes = sizeof(struct block_q4_k),
    .to_f32 = q4_k_to_f32,
    .from_f32 = q4_k_from_f32,
    .to_codes = q4_k_to_codes,
};
