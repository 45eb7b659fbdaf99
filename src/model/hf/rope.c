/* rope.c -- positions: the base, the part of a head that turns, and every way of stretching that a config.json may ask for.
 *
 * Up to transformers 4 the base is "rope_theta" and the rest in "rope_scaling"; from 5 on both are in "rope_parameters", which
 * may hold one object for full and one for sliding layers. What GGUF has no key for becomes a tensor: Llama 3.1's frequency
 * factors are computed here, LongRoPE's two tables copied.
 * Source: Peng et al. 2023 (YaRN); Ding et al. 2024 (LongRoPE); the transformers documentation of rope types. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/show.h"
#include "model/hf/hf_int.h"

struct rope {
    const json_t *full, *local; /* objects or NULL */
    const char *kind;
    double base, fraction;
    uint32_t n_rot;
};

struct rope_kind_row {
    const char *name;
    bool is_whole; /* heads turn whole, whatever the fraction */
    slm_status (*put)(struct hf *h, const struct rope *r, slm_err *err); /* NULL: nothing to put */
};

static double number_or(const json_t *object, const char *key, double fallback) {
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : fallback;
}

static slm_status need(const struct hf *h, const struct rope *r, const char *key, double least, double *out, slm_err *err) {
    *out = number_or(r->full, key, NAN);
    if (!(*out >= least) || *out > 1e12)
        return hf_config_fail(h, err, SLM_E_FORMAT, "rope type \"%s\" needs a number \"%s\" of at least %g", r->kind, key, least);
    return SLM_OK;
}

static slm_status put_linear(struct hf *h, const struct rope *r, slm_err *err) {
    double factor;
    slm_status st = need(h, r, "factor", 1, &factor, err);
    if (st == SLM_OK) st = hf_put_text(h, "rope.scaling.type", "linear", err);
    return st == SLM_OK ? hf_put_number(h, "rope.scaling.factor", HP_F32, factor, err) : st;
}

/* The wavelength decides: short ones keep their angle, long ones are slowed by `factor`, those between are blended. */
static slm_status put_llama3(struct hf *h, const struct rope *r, slm_err *err) {
    double factor, low, high, n_orig;
    slm_status st;
    TRY(need(h, r, "factor", 1, &factor, err));
    TRY(need(h, r, "low_freq_factor", 1e-6, &low, err));
    TRY(need(h, r, "high_freq_factor", 1e-6, &high, err));
    TRY(need(h, r, "original_max_position_embeddings", 1, &n_orig, err));
    if (low >= high) return hf_config_fail(h, err, SLM_E_FORMAT, "rope type \"llama3\": \"low_freq_factor\" is not below \"high_freq_factor\"");
    float *v = arena_alloc(&h->arena, r->n_rot / 2 * sizeof *v, 64);
    if (!v) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "rope factors: out of memory");
    for (uint32_t i = 0; i < r->n_rot / 2; i++) {
        double wavelength = 2 * M_PI * pow(r->base, 2.0 * i / r->n_rot);
        double blend = (n_orig / wavelength - low) / (high - low);
        v[i] = (float)(wavelength < n_orig / high ? 1 : wavelength > n_orig / low ? factor : 1 / ((1 - blend) / factor + blend));
    }
    TRY(hf_add_computed(h, "rope_freqs.weight", v, r->n_rot / 2, err));
out:
    return st;
}

static double mscale(double factor, double mul) { return factor <= 1 ? 1 : 0.1 * mul * log(factor) + 1; }

/* Cosines and sines are multiplied by what the config says, or by mscale(factor). The reader multiplies by
 * attn_factor * mscale(factor, 1) / mscale(factor, log_multiplier): attn_factor makes up for the difference. */
static slm_status put_yarn(struct hf *h, const struct rope *r, slm_err *err) {
    double factor, total, mul = number_or(r->full, "mscale_all_dim", 0), own = number_or(r->full, "mscale", 0);
    double n_orig = number_or(r->full, "original_max_position_embeddings", h->n_ctx_train);
    slm_status st;
    TRY(need(h, r, "factor", 1, &factor, err));
    if (!(n_orig >= 1) || n_orig > UINT32_MAX) return hf_config_fail(h, err, SLM_E_FORMAT, "\"original_max_position_embeddings\" is out of range");
    if (own == 0 || mul == 0) own = mul = 0; /* one without the other is not used */
    total = own != 0 ? mscale(factor, own) / mscale(factor, mul) : mscale(factor, 1);
    total = number_or(r->full, "attention_factor", total);
    double attn_factor = total * (mul != 0 ? mscale(factor, mul) : 1) / mscale(factor, 1);
    TRY(hf_put_text(h, "rope.scaling.type", "yarn", err));
    TRY(hf_put_number(h, "rope.scaling.factor", HP_F32, factor, err));
    TRY(hf_put_number(h, "rope.scaling.original_context_length", HP_U32, n_orig, err));
    TRY(hf_put_number(h, "rope.scaling.yarn_beta_fast", HP_F32, number_or(r->full, "beta_fast", 32), err));
    TRY(hf_put_number(h, "rope.scaling.yarn_beta_slow", HP_F32, number_or(r->full, "beta_slow", 1), err));
    if (json_is_false(json_object_get(r->full, "truncate"))) TRY(hf_put_flag(h, "rope.scaling.yarn_truncate", false, err));
    if (mul != 0) TRY(hf_put_number(h, "rope.scaling.yarn_log_multiplier", HP_F32, mul, err));
    if (fabs(attn_factor - 1) > 1e-6) TRY(hf_put_number(h, "rope.scaling.attn_factor", HP_F32, attn_factor, err));
out:
    return st;
}

static slm_status put_factors(struct hf *h, const struct rope *r, const char *key, const char *tensor, slm_err *err) {
    const json_t *list = json_object_get(r->full, key);
    uint32_t n = r->n_rot / 2;
    if (json_array_size(list) != n)
        return hf_config_fail(h, err, SLM_E_FORMAT, "rope type \"%s\": \"%s\" has %zu numbers, %u pairs turn", r->kind, key, json_array_size(list), n);
    float *v = arena_alloc(&h->arena, n * sizeof *v, 64);
    if (!v) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "rope factors: out of memory");
    for (uint32_t i = 0; i < n; i++) {
        double x = json_number_value(json_array_get(list, i)); /* 0 for what is no number */
        if (!(x > 0) || x > 1e6) return hf_config_fail(h, err, SLM_E_FORMAT, "rope type \"%s\": \"%s\"[%u] is no positive number", r->kind, key, i);
        v[i] = (float)x;
    }
    return hf_add_computed(h, tensor, v, n, err);
}

static slm_status put_longrope(struct hf *h, const struct rope *r, slm_err *err) {
    double n_orig = number_or(r->full, "original_max_position_embeddings", 0);
    slm_status st;
    if (!h->arch->rope_long)
        return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "rope type \"%s\" is not supported for class \"%s\"", r->kind, h->family->class_name);
    TRY(hf_object_number(h, h->config, "original_max_position_embeddings", &n_orig, err));
    if (!(n_orig >= 2) || n_orig > UINT32_MAX) return hf_config_fail(h, err, SLM_E_FORMAT, "key \"original_max_position_embeddings\" is missing or out of range");
    double scale = h->n_ctx_train / n_orig, attn = scale > 1 ? sqrt(1 + log(scale) / log(n_orig)) : 1;
    TRY(hf_put_number(h, "rope.scaling.original_context_length", HP_U32, n_orig, err));
    TRY(hf_put_number(h, "rope.scaling.attn_factor", HP_F32, number_or(r->full, "attention_factor", attn), err));
    TRY(put_factors(h, r, "long_factor", "rope_factors_long.weight", err));
    TRY(put_factors(h, r, "short_factor", "rope_factors_short.weight", err));
out:
    return st;
}

/* The fraction of pairs that turns keeps the angles of a whole head; the others are slowed to nothing. */
static slm_status put_proportional(struct hf *h, const struct rope *r, slm_err *err) {
    uint32_t n = h->d_head / 2, n_turned = (uint32_t)(r->fraction * h->d_head) / 2;
    float *v = arena_alloc(&h->arena, n * sizeof *v + 1, 64);
    if (!v) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "rope factors: out of memory");
    for (uint32_t i = 0; i < n; i++) v[i] = i < n_turned ? 1 : 1e30f;
    return hf_add_computed(h, "rope_freqs.weight", v, n, err);
}

static const struct rope_kind_row kinds[] = {
    {"default", false, NULL},       {"linear", false, put_linear},     {"llama3", false, put_llama3},           {"yarn", false, put_yarn},
    {"longrope", false, put_longrope}, {"su", false, put_longrope},    {"proportional", true, put_proportional},
};

/* Everything that an object may hold; another key could change the angles. */
static slm_status check_object(const struct hf *h, const json_t *object, slm_err *err) {
    static const char *const known[] = {
        "rope_type", "type", "rope_theta", "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings", "beta_fast", "beta_slow",
        "attention_factor", "mscale", "mscale_all_dim", "long_factor", "short_factor", "llama_4_scaling_beta", "partial_rotary_factor", "truncate",
        "max_position_embeddings",
    };
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        size_t i = 0, n = sizeof known / sizeof known[0];
        while (i < n && strcmp(known[i], key) != 0) i++;
        if (i == n && !json_is_null(value) && !hf_names_hold(h->family->rope_keys, key)) return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "rope key \"%s\" is not supported", show_cstr(key).s);
    }
    return SLM_OK;
}

static slm_status read_rope(const struct hf *h, struct rope *r, slm_err *err) {
    const json_t *both = hf_config_get(h, "rope_parameters"), *old = hf_config_get(h, "rope_scaling");
    double fraction = h->family->rot_fraction;
    slm_status st;
    *r = (struct rope){.full = json_is_object(both) ? both : json_is_object(old) ? old : NULL, .base = h->family->rope_base, .kind = "default"};
    if (json_is_object(json_object_get(r->full, "full_attention"))) {
        r->local = json_object_get(r->full, "sliding_attention");
        r->full = json_object_get(r->full, "full_attention");
    }
    TRY(check_object(h, r->full, err));
    TRY(hf_object_number(h, h->config, "rope_theta|global_rope_theta|rotary_emb_base", &r->base, err));
    TRY(hf_object_number(h, r->full, "rope_theta", &r->base, err));
    TRY(hf_object_number(h, h->config, "partial_rotary_factor", &fraction, err));
    TRY(hf_object_number(h, r->full, "partial_rotary_factor", &fraction, err));
    const json_t *kind = json_object_get(r->full, "rope_type");
    if (!json_is_string(kind)) kind = json_object_get(r->full, "type");
    if (json_is_string(kind)) r->kind = json_string_value(kind);
    if (!(r->base >= 1) || r->base > 1e15) return hf_config_fail(h, err, SLM_E_FORMAT, "key \"rope_theta\": %g is out of range", r->base);
    if (!(fraction > 0) || fraction > 1) return hf_config_fail(h, err, SLM_E_FORMAT, "key \"partial_rotary_factor\": %g is outside 0..1", fraction);
    if (h->arch->rope == ROPE_ADJACENT && fraction < 1) /* whole heads are permuted */
        return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "key \"partial_rotary_factor\" = %g is not supported for class \"%s\"", fraction,
                              h->family->class_name);
    r->fraction = fraction;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].is_whole && strcmp(kinds[i].name, r->kind) == 0) fraction = 1;
    r->n_rot = (uint32_t)(fraction * h->d_head);
    if (r->n_rot == 0 || r->n_rot % 2) return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "%u rotated elements of a head are not supported", r->n_rot);
out:
    return st;
}

/* Layers with a window turn by a base of their own, unstretched. */
static slm_status put_local(struct hf *h, const struct rope *r, slm_err *err) {
    double base = 0;
    slm_status st = hf_object_number(h, h->config, "rope_local_base_freq|local_rope_theta", &base, err);
    if (st == SLM_OK) st = check_object(h, r->local, err);
    if (st == SLM_OK) st = hf_object_number(h, r->local, "rope_theta", &base, err);
    const char *kind = json_string_value(json_object_get(r->local, "rope_type"));
    if (st == SLM_OK && kind && strcmp(kind, "default") != 0)
        st = hf_config_fail(h, err, SLM_E_UNSUPPORTED, "rope type \"%s\" in sliding layers is not supported", show_cstr(kind).s);
    if (st != SLM_OK || base == 0) return st;
    bool own = false;
    for (size_t i = 0; i < h->arch->n_hparams; i++) own |= strcmp(h->arch->hparams[i].key, "rope.freq_base_swa") == 0;
    if (own) return hf_put_number(h, "rope.freq_base_swa", HP_F32, base, err);
    if (base == r->base) return SLM_OK;
    return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "a rope base of their own (%g) in sliding layers is not supported for class \"%s\"", base,
                          h->family->class_name);
}

slm_status hf_put_rope(struct hf *h, slm_err *err) {
    struct rope r;
    slm_status st;
    TRY(read_rope(h, &r, err));
    TRY(hf_put_number(h, "rope.dimension_count", HP_U32, r.n_rot, err));
    TRY(hf_put_number(h, "rope.freq_base", HP_F32, r.base, err));
    TRY(put_local(h, &r, err));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, r.kind) == 0) return kinds[i].put ? kinds[i].put(h, &r, err) : SLM_OK;
    return hf_config_fail(h, err, SLM_E_UNSUPPORTED, "rope type \"%s\" is not supported", show_cstr(r.kind).s);
out:
    return st;
}
