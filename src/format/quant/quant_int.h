/* quant_int.h -- what the quant files share: the descriptors, and small inline arithmetic.
 *
 * Block structs are made of bytes only, so that they have alignment 1 and a block may lie anywhere in a file. */
#ifndef SLM_FORMAT_QUANT_INT_H
#define SLM_FORMAT_QUANT_INT_H

#include <math.h>
#include <string.h>

#include "format/dtype.h"

#define X(ID, name) extern const struct dtype_desc dtype_##name;
DTYPE_LIST(X)
#undef X

#define F16_MAX 65504.0f
#define COUNT(a) (int)(sizeof(a) / sizeof *(a))

static inline uint16_t load_u16(const uint8_t b[2]) { return (uint16_t)(b[0] | b[1] << 8); }

static inline uint32_t load_u32(const uint8_t b[4]) { return load_u16(b) | (uint32_t)load_u16(b + 2) << 16; }

static inline void store_u16(uint8_t b[2], uint16_t v) {
    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
}

static inline float load_f16(const uint8_t b[2]) { return f16_to_f32(load_u16(b)); }

/* Stores f as the nearest finite half and returns the stored value, which is what levels must be chosen against. */
static inline float store_f16(uint8_t b[2], float f) {
    float clipped = f > F16_MAX ? F16_MAX : f < -F16_MAX ? -F16_MAX : f;
    uint16_t h = f32_to_f16(clipped);
    store_u16(b, h);
    return f16_to_f32(h);
}

/* The 16 six-bit numbers of q4_k and q5_k in 12 bytes: groups 0..3 have their scale in the low six bits of bytes 0..3
 * and their minimum in those of bytes 4..7; groups 4..7 have the low four bits of both in bytes 8..11 and the two high
 * bits in what is left of bytes 0..7. */
static inline void load_scale_min(const uint8_t s[12], int group, int *scale, int *min) {
    if (group < 4) {
        *scale = s[group] & 63;
        *min = s[group + 4] & 63;
    } else {
        *scale = (s[group + 4] & 15) | s[group - 4] >> 6 << 4;
        *min = s[group + 4] >> 4 | s[group] >> 6 << 4;
    }
}

/* What load_scale_min reads; groups in rising order into bytes that start as zeros, as groups share them. */
static inline void store_scale_min(uint8_t s[12], int group, int scale, int min) {
    if (group < 4) {
        s[group] = (uint8_t)(s[group] | scale);
        s[group + 4] = (uint8_t)(s[group + 4] | min);
    } else {
        s[group + 4] = (uint8_t)((scale & 15) | (min & 15) << 4);
        s[group - 4] = (uint8_t)(s[group - 4] | scale >> 4 << 6);
        s[group] = (uint8_t)(s[group] | min >> 4 << 6);
    }
}

/* 32 half bytes in the order of elements: byte j holds element j in its low and element j + 16 in its high half. */
static inline void codes_of_halves(uint8_t dst[32], const uint8_t q[16]) {
    for (int j = 0; j < 16; j++) {
        dst[j] = q[j] & 15;
        dst[j + 16] = q[j] >> 4;
    }
}

/* What codes_of_halves reads. */
static inline void halves_of_codes(uint8_t q[16], const uint8_t code[32]) {
    for (int j = 0; j < 16; j++) q[j] = (uint8_t)(code[j] | code[j + 16] << 4);
}

/* Whole levels as codes from 0. */
static inline void codes_of_levels(uint8_t *code, const float *level, int n, int zero) {
    for (int j = 0; j < n; j++) code[j] = (uint8_t)((int)level[j] + zero);
}

/* Nearest integer in [lo, hi], ties to even; not a number gives lo. |lo|, |hi| < 2^22: adding 1.5 * 2^23 leaves no
 * room for a fraction, so the addition itself rounds, and the integer stands in the low bits. Unlike a call of
 * lrintf this is inlined and goes into vector code. */
static inline int round_to_level(float x, int lo, int hi) {
    x = x > (float)lo ? x : (float)lo;
    x = x < (float)hi ? x : (float)hi;
    x += 0x1.8p23f;
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits - 0x4b400000;
}

/* The value of largest magnitude, with its sign; the first one on a tie; 0 when all are 0 or not numbers. */
static inline float peak_of(const float *x, int n) {
    float peak = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(peak)) peak = x[i];
    return peak;
}

#endif
