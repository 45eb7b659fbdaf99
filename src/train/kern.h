/* kern.h -- elementwise work of training, as a table that the best instruction set of this CPU fills.
 *
 * kern_int.h has the code once; isa/<name>.c compile it for their instruction set. Rows are independent, sums within a row
 * and over rows run in an order that shapes alone decide, so a result does not depend on threads. Tensors are row-major. */
#ifndef SLM_TRAIN_KERN_H
#define SLM_TRAIN_KERN_H

#include <stdbool.h>

#include "train/real_int.h"

enum kern_act { KERN_SILU, KERN_GELU, KERN_GELU_ERF, N_KERN_ACTS };

struct kern {
    const char *name;
    /* y = x * rstd * w, rstd = 1 / sqrt(mean x^2 + eps) */
    void (*rms_norm)(real *y, const real *x, const real *w, int64_t n_row, int64_t d, real eps);
    /* dx += d/dx, dw += d/dw of the same for n_row rows; w or dw may be NULL (1; not wanted) */
    void (*rms_norm_back)(real *dx, real *dw, const real *dy, const real *x, const real *w, int64_t n_row, int64_t d, real eps);
    void (*layer_norm)(real *y, const real *x, const real *w, const real *b, int64_t n_row, int64_t d, real eps);
    void (*layer_norm_back)(real *dx, real *dw, real *db, const real *dy, const real *x, const real *w, int64_t n_row, int64_t d, real eps);
    /* h = act(gate) * up; back: gate and up become their gradients from dh */
    void (*act_mul)(enum kern_act act, real *h, const real *gate, const real *up, int64_t n);
    void (*act_mul_back)(enum kern_act act, real *dgate, real *dup, const real *dh, const real *gate, const real *up, int64_t n);
    /* h = act(x); dx = dh * act'(x) */
    void (*act)(enum kern_act act, real *h, const real *x, int64_t n);
    void (*act_back)(enum kern_act act, real *dx, const real *dh, const real *x, int64_t n);
    void (*add)(real *x, const real *y, real s, int64_t n);          /* x += s * y */
    void (*scale)(real *y, const real *x, real s, int64_t n);        /* y = s * x; y may be x */
    /* turn heads by the angles of cs, sn [n_pair]; sign -1 turns back */
    void (*rope)(bool adjacent, real *x, int64_t n_head, int64_t d_head, int64_t n_pair, const real *cs, const real *sn, real sign);
    /* Attention tile: s[n_row, ld] holds q . k of keys [0, n_key) of a window; row i sees keys [first[i], end[i]). Scaled, capped, then
     * p = softmax, and lse[i] its logarithm of the sum. Unseen places become 0. */
    void (*attn_softmax)(real *s, int64_t ld, int64_t n_row, int64_t n_key, const int32_t *first, const int32_t *end, real scale, real cap, real *lse, int64_t ld_lse);
    /* Back: s holds q . k again, becomes p; dp holds do . v, becomes the gradient of q . k. delta[i] = do_i . o_i */
    void (*attn_softmax_back)(real *s, real *dp, int64_t ld, int64_t n_row, int64_t n_key, const int32_t *first, const int32_t *end, real scale, real cap,
                              const real *lse, int64_t ld_lse, const real *delta);
    double (*dot)(const real *a, const real *b, int64_t n);
    /* log(sum exp(scale * x)); best, when not NULL: the first place of the highest x */
    double (*log_sum_exp)(const real *x, int64_t n, real scale, int32_t *best);
    /* z = a * exp(z - a_shift) + b * exp(b_scale * z - b_shift): one or two softmaxes' gradients in place */
    void (*mix_exp)(real *z, int64_t n, real a, real a_shift, real b, real b_scale, real b_shift);
    /* z = cap * tanh(z / cap); slope, when not NULL, its derivative */
    void (*cap)(real *z, real *slope, real cap, int64_t n);
    void (*mul)(real *x, const real *y, int64_t n);                  /* x *= y */
    double (*sum_squares)(const real *x, int64_t n);
    /* One AdamW step on n elements, gradients multiplied by g_scale first; c1 = 1 - beta1^t, c2 = 1 - beta2^t. */
    void (*adamw)(real *w, const real *g, real *m, real *v, int64_t n, real lr, real beta1, real beta2, real eps, real decay, real g_scale, real c1, real c2);
};

/* kern_get -- the best table of this CPU; SLM_CPU lowers it as it does inference's. */
const struct kern *kern_get(void);

#endif
