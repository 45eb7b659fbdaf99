/* lanes_int.h -- sixteen floats at a time for the encoders, in whatever registers the machine has.
 *
 * GCC's vector types say the arithmetic once: the compiler splits a `lanes` over four, two or one registers. The order of
 * every sum is written out, and products are never fused into sums, so an encoder gives the same bits on every machine.
 * ENCODER compiles an encoder for the vector extensions of x86 too and picks one when it runs. Clang refuses to
 * inline across such versions, so it builds the plain one only. */
#ifndef SLM_FORMAT_QUANT_LANES_INT_H
#define SLM_FORMAT_QUANT_LANES_INT_H

#include <float.h>

#include "base/cpu.h"
#include "format/quant/quant_int.h"

#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wpsabi" /* lanes never cross a call: everything below is inlined */
#endif

#define LANES 16
#define LANES_FN static inline __attribute__((always_inline))
typedef float lanes __attribute__((vector_size(64)));
typedef int32_t lanes_bits __attribute__((vector_size(64)));
typedef float lanes_half __attribute__((vector_size(32)));
typedef float lanes_quarter __attribute__((vector_size(16)));

LANES_FN lanes lanes_load(const float *p) {
    lanes v;
    memcpy(&v, p, sizeof v);
    return v;
}
LANES_FN void lanes_store(float *p, lanes v) { memcpy(p, &v, sizeof v); }
LANES_FN lanes lanes_set(float f) { return f - (lanes){0}; }

/* A NaN in a gives b. */
LANES_FN lanes lanes_max(lanes a, lanes b) {
    lanes r;
    for (int i = 0; i < LANES; i++) r[i] = a[i] > b[i] ? a[i] : b[i];
    return r;
}
LANES_FN lanes lanes_min(lanes a, lanes b) {
    lanes r;
    for (int i = 0; i < LANES; i++) r[i] = a[i] < b[i] ? a[i] : b[i];
    return r;
}

/* Halves are added until one is left. */
LANES_FN float lanes_sum(lanes a) {
    lanes_half h = __builtin_shufflevector(a, a, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15);
    lanes_quarter q = __builtin_shufflevector(h, h, 0, 1, 2, 3) + __builtin_shufflevector(h, h, 4, 5, 6, 7);
    return (q[0] + q[2]) + (q[1] + q[3]);
}
LANES_FN float lanes_max_lane(lanes a) {
    float t[LANES];
    lanes_store(t, a);
    for (int k = LANES / 2; k > 0; k /= 2)
        for (int i = 0; i < k; i++) t[i] = t[i + k] > t[i] ? t[i + k] : t[i];
    return t[0];
}

/* Nearest whole number in [lo, hi], ties to even; not a number gives lo. |lo|, |hi| < 2^22: see round_to_level. */
LANES_FN lanes lanes_round(lanes x, float lo, float hi) {
    x = lanes_min(lanes_max(x, lanes_set(lo)), lanes_set(hi));
    return (x + 0x1.8p23f) - 0x1.8p23f;
}

/* v where x > edge, else 0. */
LANES_FN lanes lanes_pick_above(lanes x, float edge, float v) {
    lanes r;
    for (int i = 0; i < LANES; i++) r[i] = x[i] > edge ? v : 0;
    return r;
}
/* A magnitude with the sign of s. */
LANES_FN lanes lanes_sign(lanes magnitude, lanes s) {
    lanes r;
    for (int i = 0; i < LANES; i++) r[i] = s[i] < 0 ? -magnitude[i] : magnitude[i];
    return r;
}

/* a where c > 0, else b; not a number counts as b. */
LANES_FN lanes lanes_pick(lanes c, lanes a, lanes b) {
    lanes_bits m = (lanes_bits)(c > (lanes){0});
    return (lanes)(((lanes_bits)a & m) | ((lanes_bits)b & ~m));
}
/* Entries of a table of 32 or 16 floats; i is in range. */
LANES_FN lanes lanes_lookup32(const float *table, lanes_bits i) {
#if defined(__GNUC__) && !defined(__clang__)
    return __builtin_shuffle(lanes_load(table), lanes_load(table + LANES), i);
#else
    lanes r;
    for (int k = 0; k < LANES; k++) r[k] = table[i[k]];
    return r;
#endif
}
LANES_FN lanes lanes_lookup16(const float *table, lanes_bits i) {
#if defined(__GNUC__) && !defined(__clang__)
    return __builtin_shuffle(lanes_load(table), i);
#else
    return lanes_lookup32(table, i);
#endif
}

/* The lane of the largest, the first of equals. Not a number loses. Through memory: lanes taken out of a register one by one
 * cost more. */
LANES_FN int lanes_best(lanes a) {
    float t[LANES], top = -INFINITY;
    int best = 0;
    lanes_store(t, a);
    for (int i = 0; i < LANES; i++) {
        best = t[i] > top ? i : best;
        top = t[i] > top ? t[i] : top;
    }
    return best;
}

/* ENCODER_VERSIONS(type) -- type##_from_f32 from an inlined type##_rows with the same arguments. */
#define ENCODER_VERSION(type, suffix)                                                                                  \
    static void type##_from_f32##suffix(void *dst, const float *src, int64_t n, const float *importance) {            \
        type##_rows(dst, src, n, importance);                                                                          \
    }
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define ENCODER_VERSIONS(type)                                                                                         \
    ENCODER_VERSION(type, _plain)                                                                                      \
    __attribute__((target("avx2"))) ENCODER_VERSION(type, _avx2)                                                       \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) ENCODER_VERSION(type, _avx512)                       \
    static void type##_from_f32(void *dst, const float *src, int64_t n, const float *importance) {                     \
        uint32_t has = cpu_features();                                                                                 \
        (has & CPU_AVX512 ? type##_from_f32_avx512 : has & CPU_AVX2 ? type##_from_f32_avx2 : type##_from_f32_plain)(   \
            dst, src, n, importance);                                                                                  \
    }
#else
#define ENCODER_VERSIONS(type) ENCODER_VERSION(type, )
#endif

/* ENCODER(type, n) -- the same from encode_##type(struct block_##type *, const float *x, const float *w), which takes the n
 * elements of one block; w NULL: all weigh the same. */
#define ENCODER(type, n_elem)                                                                                          \
    LANES_FN void type##_rows(void *dst, const float *src, int64_t n, const float *importance) {                       \
        struct block_##type *b = dst;                                                                                  \
        for (int64_t i = 0; i < n / (n_elem); i++)                                                                     \
            encode_##type(b + i, src + i * (n_elem), importance ? importance + i * (n_elem) : NULL);                   \
    }                                                                                                                  \
    ENCODER_VERSIONS(type)

#endif
