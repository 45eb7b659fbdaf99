/* rope.c -- every way in which the families stretch rotary positions ends as one table of angles per pair. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_int.h"

/* Pair number whose wavelength turns `rotations` times over the original context (YaRN's find_correction_dim). */
static double yarn_pair(const struct hparams *hp, double rotations) {
    return hp->n_rot * log(hp->n_ctx_orig / (rotations * 2 * M_PI)) / (2 * log((double)hp->rope_base));
}

/* Fast pairs keep their angle, slow ones are interpolated, a ramp between. */
static void yarn_apply(const struct hparams *hp, double *inv_freq) {
    double low = yarn_pair(hp, (double)hp->yarn_beta_fast), high = yarn_pair(hp, (double)hp->yarn_beta_slow);
    low = hp->yarn_truncate ? floor(low) : low;
    high = hp->yarn_truncate ? ceil(high) : high;
    low = low < 0 ? 0 : low;
    high = high > hp->n_rot - 1 ? hp->n_rot - 1 : high;
    for (uint32_t i = 0; i < hp->n_rot / 2; i++) {
        double ramp = (i - low) / fmax(0.001, high - low);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        inv_freq[i] = inv_freq[i] * (1 - ramp) + inv_freq[i] / (double)hp->yarn_factor * ramp;
    }
}

static double yarn_mscale(double factor, double mul) { return factor <= 1 ? 1 : 0.1 * mul * log(factor) + 1; }

slm_status rope_table_make(const struct slm_model *m, int32_t n_ctx, bool local, struct rope_table *out, slm_err *err) {
    const struct hparams *hp = &m->hp;
    uint32_t n_rot = local && hp->n_rot_local ? hp->n_rot_local : hp->n_rot, n_pair = n_rot / 2;
    void *mem;
    *out = (struct rope_table){.mscale = 1, .n_pair = n_pair};
    slm_status st = mem_alloc(&mem, n_pair + 1, sizeof(double), "rope table", err);
    if (st != SLM_OK) return st;
    double *f = out->inv_freq = mem;
    bool plain = local && hp->rope_base_local > 0;
    double base = (double)(plain ? hp->rope_base_local : hp->rope_base);
    for (uint32_t i = 0; i < n_pair; i++) f[i] = pow(base, -2.0 * i / n_rot);
    if (plain) return SLM_OK;
    const float *factors = m->global[W_ROPE_FREQS].vec;
    if (m->arch->rope_long && n_ctx > (int32_t)hp->n_ctx_orig && m->global[W_ROPE_LONG].vec) factors = m->global[W_ROPE_LONG].vec;
    else if (m->arch->rope_long && m->global[W_ROPE_SHORT].vec) factors = m->global[W_ROPE_SHORT].vec;
    for (uint32_t i = 0; i < n_pair; i++) {
        if (factors && !(factors[i] > 0)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": a rope factor is %g", gguf_path(m->gguf), (double)factors[i]);
        f[i] *= (double)hp->rope_scale / (factors ? (double)factors[i] : 1);
    }
    out->mscale = hp->rope_mscale;
    if (hp->yarn_factor > 1) {
        yarn_apply(hp, f);
        double mul = hp->yarn_log_mul != 0 ? yarn_mscale((double)hp->yarn_factor, (double)hp->yarn_log_mul) : 1;
        out->mscale *= (float)(yarn_mscale((double)hp->yarn_factor, 1) / mul);
    }
    return SLM_OK;
}
