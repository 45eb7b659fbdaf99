/* kern_int.h -- the code of kern.h's table, written once and compiled by each isa/<name>.c for its instruction set.
 *
 * Plain loops that compilers vectorize: no branches inside, an exponential of our own (relative error below 2e-7 in float;
 * the double build takes the library's), sums over independent elements. Everything is static: with external linkage
 * the linker could keep one instruction set's copy for all CPUs. */
#ifndef SLM_TRAIN_KERN_INT_H
#define SLM_TRAIN_KERN_INT_H

#include "train/kern.h"

#ifdef SLM_TRAIN_DOUBLE
static inline real k_exp(real x) { return exp(x); }
#else
/* exp(x) = 2^n * exp(r), |r| <= ln2 / 2; below -87 it is 0, above 88 it stays finite. */
static inline real k_exp(real x) {
    float y = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
    float n = rintf(y * 1.44269504f);
    float r = y - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    union { int32_t i; float f; } two = {((int32_t)n + 127) * 8388608};
    float e = p * two.f;
    return x < -87.0f ? 0.0f : e;
}
#endif

#ifdef SLM_TRAIN_DOUBLE
static inline real k_sqrt(real x) { return sqrt(x); }
#else
static inline real k_sqrt(real x) { return sqrtf(x); }
#endif
static inline real k_sigmoid(real x) { return R(1) / (R(1) + k_exp(-x)); }
static inline real k_tanh(real x) {
    real e = k_exp(R(-2) * (x < 0 ? -x : x));
    real t = (R(1) - e) / (R(1) + e);
    return x < 0 ? -t : t;
}

/* The activation and its derivative. */
#define GELU_C R(0.7978845608028654)
#define GELU_A R(0.044715)
static inline real silu_f(real x) { return x * k_sigmoid(x); }
static inline real silu_d(real x) {
    real s = k_sigmoid(x);
    return s * (R(1) + x * (R(1) - s));
}
static inline real gelu_f(real x) { return R(0.5) * x * (R(1) + k_tanh(GELU_C * (x + GELU_A * x * x * x))); }
static inline real gelu_d(real x) {
    real t = k_tanh(GELU_C * (x + GELU_A * x * x * x));
    return R(0.5) * (R(1) + t) + R(0.5) * x * (R(1) - t * t) * GELU_C * (R(1) + R(3) * GELU_A * x * x);
}
static inline real erf_f(real x) { return (real)(0.5 * (double)x * (1 + erf((double)x * 0.7071067811865475))); }
static inline real erf_d(real x) {
    double v = (double)x;
    return (real)(0.5 * (1 + erf(v * 0.7071067811865475)) + v * exp(-0.5 * v * v) * 0.3989422804014327);
}
#define ACT_SWITCH(BODY)                                                                           \
    if (act == KERN_SILU) BODY(silu_f, silu_d)                                                     \
    else if (act == KERN_GELU) BODY(gelu_f, gelu_d)                                                \
    else BODY(erf_f, erf_d)

static void k_act_mul(enum kern_act act, real *restrict h, const real *restrict gate, const real *restrict up, int64_t n) {
#define BODY(f, d) { for (int64_t i = 0; i < n; i++) h[i] = f(gate[i]) * up[i]; }
    ACT_SWITCH(BODY)
#undef BODY
}

static void k_act_mul_back(enum kern_act act, real *restrict dgate, real *restrict dup, const real *restrict dh, const real *restrict gate, const real *restrict up, int64_t n) {
#define BODY(f, d) { for (int64_t i = 0; i < n; i++) { real g = gate[i], u = up[i], e = dh[i]; dgate[i] = e * u * d(g); dup[i] = e * f(g); } }
    ACT_SWITCH(BODY)
#undef BODY
}

static void k_act(enum kern_act act, real *restrict h, const real *restrict x, int64_t n) {
#define BODY(f, d) { for (int64_t i = 0; i < n; i++) h[i] = f(x[i]); }
    ACT_SWITCH(BODY)
#undef BODY
}

static void k_act_back(enum kern_act act, real *restrict dx, const real *restrict dh, const real *restrict x, int64_t n) {
#define BODY(f, d) { for (int64_t i = 0; i < n; i++) dx[i] = dh[i] * d(x[i]); }
    ACT_SWITCH(BODY)
#undef BODY
}

static double k_dot(const real *a, const real *b, int64_t n) {
    double sum = 0;
    for (int64_t at = 0; at < n; at += 256) {
        real s = 0;
        int64_t end = n - at < 256 ? n : at + 256;
        for (int64_t i = at; i < end; i++) s += a[i] * b[i];
        sum += (double)s;
    }
    return sum;
}
static double k_sum_squares(const real *x, int64_t n) { return k_dot(x, x, n); }

static void k_rms_norm(real *y, const real *x, const real *w, int64_t n_row, int64_t d, real eps) {
    for (int64_t r = 0; r < n_row; r++, x += d, y += d) {
        real rstd = (real)(1 / sqrt(k_dot(x, x, d) / (double)d + (double)eps));
        if (w)
            for (int64_t i = 0; i < d; i++) y[i] = x[i] * rstd * w[i];
        else
            for (int64_t i = 0; i < d; i++) y[i] = x[i] * rstd;
    }
}

/* With h = x * rstd: dx = rstd * (w dy - h * mean(w dy h)), dw = dy h. */
static void k_rms_norm_back(real *dx, real *dw, const real *dy, const real *x, const real *w, int64_t n_row, int64_t d, real eps) {
    for (int64_t r = 0; r < n_row; r++, x += d, dy += d, dx += d) {
        real rstd = (real)(1 / sqrt(k_dot(x, x, d) / (double)d + (double)eps));
        real sum = 0;
        if (w)
            for (int64_t i = 0; i < d; i++) sum += dy[i] * w[i] * x[i];
        else
            for (int64_t i = 0; i < d; i++) sum += dy[i] * x[i];
        real c = sum * rstd * rstd * rstd / (real)d;
        if (w)
            for (int64_t i = 0; i < d; i++) dx[i] += rstd * w[i] * dy[i] - c * x[i];
        else
            for (int64_t i = 0; i < d; i++) dx[i] += rstd * dy[i] - c * x[i];
        if (dw)
            for (int64_t i = 0; i < d; i++) dw[i] += dy[i] * x[i] * rstd;
    }
}

struct row_stats {
    real mean, rstd;
};
static struct row_stats layer_stats(const real *x, int64_t d, real eps) {
    real sum = 0, squares = 0;
    for (int64_t i = 0; i < d; i++) sum += x[i];
    real mean = sum / (real)d;
    for (int64_t i = 0; i < d; i++) squares += (x[i] - mean) * (x[i] - mean);
    return (struct row_stats){mean, (real)(1 / sqrt((double)squares / (double)d + (double)eps))};
}

static void k_layer_norm(real *y, const real *x, const real *w, const real *b, int64_t n_row, int64_t d, real eps) {
    for (int64_t r = 0; r < n_row; r++, x += d, y += d) {
        struct row_stats s = layer_stats(x, d, eps);
        for (int64_t i = 0; i < d; i++) y[i] = (x[i] - s.mean) * s.rstd * w[i] + (b ? b[i] : 0);
    }
}

/* With h the normed row: dx = rstd * (w dy - mean(w dy) - h * mean(w dy h)). */
static void k_layer_norm_back(real *dx, real *dw, real *db, const real *dy, const real *x, const real *w, int64_t n_row, int64_t d, real eps) {
    for (int64_t r = 0; r < n_row; r++, x += d, dy += d, dx += d) {
        struct row_stats s = layer_stats(x, d, eps);
        real sum = 0, sum_h = 0;
        for (int64_t i = 0; i < d; i++) {
            real e = dy[i] * w[i];
            sum += e;
            sum_h += e * (x[i] - s.mean) * s.rstd;
        }
        sum /= (real)d;
        sum_h /= (real)d;
        for (int64_t i = 0; i < d; i++) dx[i] += s.rstd * (dy[i] * w[i] - sum - (x[i] - s.mean) * s.rstd * sum_h);
        if (dw)
            for (int64_t i = 0; i < d; i++) dw[i] += dy[i] * (x[i] - s.mean) * s.rstd;
        if (db)
            for (int64_t i = 0; i < d; i++) db[i] += dy[i];
    }
}

static void k_add(real *restrict x, const real *restrict y, real s, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] += s * y[i];
}
static void k_scale(real *y, const real *x, real s, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = s * x[i];
}

static void k_rope(bool adjacent, real *x, int64_t n_head, int64_t d_head, int64_t n_pair, const real *cs, const real *sn, real sign) {
    for (int64_t h = 0; h < n_head; h++, x += d_head) {
        if (adjacent)
            for (int64_t i = 0; i < n_pair; i++) {
                real a = x[2 * i], b = x[2 * i + 1], s = sign * sn[i];
                x[2 * i] = a * cs[i] - b * s;
                x[2 * i + 1] = a * s + b * cs[i];
            }
        else {
            real *restrict lo = x, *restrict hi = x + n_pair;
            for (int64_t i = 0; i < n_pair; i++) {
                real a = lo[i], b = hi[i], s = sign * sn[i];
                lo[i] = a * cs[i] - b * s;
                hi[i] = a * s + b * cs[i];
            }
        }
    }
}

static void k_cap(real *restrict z, real *restrict slope, real cap, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        real t = k_tanh(z[i] / cap);
        z[i] = cap * t;
        if (slope) slope[i] = R(1) - t * t;
    }
}

static void k_attn_softmax(real *s, int64_t ld, int64_t n_row, int64_t n_key, const int32_t *first, const int32_t *end, real scale, real cap, real *lse, int64_t ld_lse) {
    for (int64_t r = 0; r < n_row; r++, s += ld) {
        int64_t a = first[r], b = end[r];
        k_scale(s + a, s + a, scale, b - a);
        if (cap > 0) k_cap(s + a, NULL, cap, b - a);
        real max = s[a];
        for (int64_t i = a; i < b; i++) max = s[i] > max ? s[i] : max;
        real sum = 0;
        for (int64_t i = a; i < b; i++) {
            real e = k_exp(s[i] - max);
            s[i] = e;
            sum += e;
        }
        k_scale(s + a, s + a, R(1) / sum, b - a);
        for (int64_t i = 0; i < a; i++) s[i] = 0;
        for (int64_t i = b; i < n_key; i++) s[i] = 0;
        lse[r * ld_lse] = max + (real)log((double)sum);
    }
}

static void k_attn_softmax_back(real *s, real *dp, int64_t ld, int64_t n_row, int64_t n_key, const int32_t *first, const int32_t *end, real scale, real cap,
                                const real *lse, int64_t ld_lse, const real *delta) {
    for (int64_t r = 0; r < n_row; r++, s += ld, dp += ld) {
        int64_t a = first[r], b = end[r];
        real l = lse[r * ld_lse], e = delta[r];
        if (cap > 0)
            for (int64_t i = a; i < b; i++) {
                real t = k_tanh(scale * s[i] / cap), p = k_exp(cap * t - l);
                s[i] = p;
                dp[i] = p * (dp[i] - e) * scale * (R(1) - t * t);
            }
        else
            for (int64_t i = a; i < b; i++) {
                real p = k_exp(scale * s[i] - l);
                s[i] = p;
                dp[i] = p * (dp[i] - e) * scale;
            }
        for (int64_t i = 0; i < a; i++) s[i] = dp[i] = 0;
        for (int64_t i = b; i < n_key; i++) s[i] = dp[i] = 0;
    }
}

static void k_mul(real *restrict x, const real *restrict y, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] *= y[i];
}

static double k_log_sum_exp(const real *x, int64_t n, real scale, int32_t *best) {
    real max = x[0];
    int64_t at = 0;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) max = x[i] > max ? x[i] : max;
    while (best && at + 1 < n && x[at] != max) at++;
    if (best) *best = (int32_t)at;
    real shift = max * scale;
    for (int64_t from = 0; from < n; from += 256) {
        real s = 0;
        int64_t to = n - from < 256 ? n : from + 256;
        for (int64_t i = from; i < to; i++) s += k_exp(scale * x[i] - shift);
        sum += (double)s;
    }
    return (double)shift + log(sum);
}

static void k_mix_exp(real *z, int64_t n, real a, real a_shift, real b, real b_scale, real b_shift) {
    if (b == 0)
        for (int64_t i = 0; i < n; i++) z[i] = a * k_exp(z[i] - a_shift);
    else
        for (int64_t i = 0; i < n; i++) z[i] = a * k_exp(z[i] - a_shift) + b * k_exp(b_scale * z[i] - b_shift);
}

static void k_adamw(real *restrict w, const real *restrict g, real *restrict m, real *restrict v, int64_t n, real lr, real beta1, real beta2, real eps, real decay,
                    real g_scale, real c1, real c2) {
    real step = lr / c1, inv_c2 = R(1) / c2, keep = R(1) - lr * decay;
    for (int64_t i = 0; i < n; i++) {
        real e = g[i] * g_scale;
        real a = beta1 * m[i] + (R(1) - beta1) * e, b = beta2 * v[i] + (R(1) - beta2) * e * e;
        m[i] = a;
        v[i] = b;
        w[i] = w[i] * keep - step * a / (k_sqrt(b * inv_c2) + eps);
    }
}

#define KERN_TABLE(isa)                                                                                                                        \
    {                                                                                                                                          \
        .name = isa, .rms_norm = k_rms_norm, .rms_norm_back = k_rms_norm_back, .layer_norm = k_layer_norm, .layer_norm_back = k_layer_norm_back, \
        .act_mul = k_act_mul, .act_mul_back = k_act_mul_back, .act = k_act, .act_back = k_act_back, .add = k_add, .scale = k_scale,            \
        .rope = k_rope, .attn_softmax = k_attn_softmax, .attn_softmax_back = k_attn_softmax_back, .dot = k_dot,                                \
        .log_sum_exp = k_log_sum_exp, .mix_exp = k_mix_exp, .mul = k_mul, .cap = k_cap, .sum_squares = k_sum_squares, .adamw = k_adamw,              \
    }

#endif
