/* exp_int.h -- exponential of every lane, within 2 units in the last place.
 *
 * exp(x) = 2^n * exp(r) with n = round(x / ln 2), so that |r| <= ln(2) / 2; n * ln 2 is subtracted in two parts, the
 * first of which has so few bits that the product is exact. On that range the Taylor series to r^7 is off by less than
 * 6e-9, below the rounding of its own last step. Results pass through the subnormal numbers to 0 and up to infinity;
 * not a number stays so. */
#ifndef SLM_COMPUTE_CPU_VEC_EXP_INT_H
#define SLM_COMPUTE_CPU_VEC_EXP_INT_H

VEC_FN vec vec_exp(vec x) {
    /* Outside, the result is 0 or infinity and n would leave the range of vec_scale_pow2. */
    x = vec_min(vec_set(90.0f), vec_max(vec_set(-105.0f), x));
    vec n = vec_round(vec_mul(x, vec_set(0x1.715476p+0f))); /* 1 / ln 2 */
    vec r = vec_fma(n, vec_set(-0x1.62ep-1f), x);           /* ln 2 to 12 bits */
    r = vec_fma(n, vec_set(-0x1.0bfbe8p-15f), r);           /* and what is left of it */
    vec p = vec_set(1.0f / 5040);
    p = vec_fma(p, r, vec_set(1.0f / 720));
    p = vec_fma(p, r, vec_set(1.0f / 120));
    p = vec_fma(p, r, vec_set(1.0f / 24));
    p = vec_fma(p, r, vec_set(1.0f / 6));
    p = vec_fma(p, r, vec_set(0.5f));
    p = vec_fma(p, r, vec_set(1.0f));
    p = vec_fma(p, r, vec_set(1.0f));
    return vec_scale_pow2(p, n);
}

VEC_FN vec vec_tanh(vec u) {
    vec e = vec_exp(vec_add(u, u));
    return vec_sub(vec_set(1.0f), vec_div(vec_set(2.0f), vec_add(vec_set(1.0f), e)));
}

/* 2^x for x <= 0, within 2 units in the last place. Never below 2^-126, so that no subnormal number slows what follows. */
VEC_FN vec vec_exp2(vec x) {
    x = vec_max(vec_set(-126.0f), x);
    vec n = vec_round(x);
    vec r = vec_sub(x, n);
    vec p = vec_fma(vec_set(1.5252734e-5f), r, vec_set(1.5403530e-4f)); /* ln(2)^k / k! */
    p = vec_fma(p, r, vec_set(1.3333558e-3f));
    p = vec_fma(p, r, vec_set(9.6181291e-3f));
    p = vec_fma(p, r, vec_set(5.5504109e-2f));
    p = vec_fma(p, r, vec_set(0.24022651f));
    p = vec_fma(p, r, vec_set(0.69314718f));
    return vec_scale_pow2(vec_fma(p, r, vec_set(1.0f)), n);
}

/* 255 * 2^x for x <= 0, within 8.6e-5, relative, and exact at 0: for weights about to be rounded to whole numbers. A cubic of
 * x - floor(x), fitted to the least largest relative error. */
VEC_FN vec vec_exp2_255(vec x) {
    x = vec_max(vec_set(-126.0f), x);
    vec r = vec_fract(x);
    vec p = vec_fma(vec_set(19.652096f), r, vec_set(58.049473f));
    p = vec_fma(p, r, vec_set(177.25478f));
    return vec_scale_floor(vec_fma(p, r, vec_set(255.0f)), x);
}

#endif
