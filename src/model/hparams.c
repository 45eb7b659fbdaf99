/* hparams.c -- hyper-parameters from metadata by the architecture's rows.
 *
 * Rows carry key, type, bounds and default; what derives from other fields (d_head, n_head_kv, n_rot, the attention scale)
 * is filled afterwards. Metadata that changes the arithmetic in a way that is not built is refused by key and value,
 * never ignored: a model that answers almost right is worse than one that does not load. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/model_int.h"

uint64_t hparams_dim(const struct hparams *hp, enum dim d) {
    uint64_t q = (uint64_t)hp->n_head * hp->d_head, kv = (uint64_t)hp->n_head_kv * hp->d_head;
    const uint64_t dims[DIM_COUNT] = {
        [DIM_NONE] = 1, [DIM_MODEL] = hp->d_model, [DIM_FF] = hp->d_ff, [DIM_2FF] = 2 * (uint64_t)hp->d_ff, [DIM_VOCAB] = hp->n_vocab,
        [DIM_Q] = q, [DIM_KV] = kv, [DIM_Q_KV] = q + kv, [DIM_QKV] = q + 2 * kv, [DIM_HEAD] = hp->d_head, [DIM_ROT_HALF] = hp->n_rot / 2,
    };
    return dims[d];
}

const char *dim_name(enum dim d) {
    static const char *const names[DIM_COUNT] = {
        [DIM_NONE] = "1", [DIM_MODEL] = "d_model", [DIM_FF] = "d_ff", [DIM_2FF] = "2*d_ff", [DIM_VOCAB] = "n_vocab",
        [DIM_Q] = "n_head*d_head", [DIM_KV] = "n_head_kv*d_head", [DIM_Q_KV] = "(n_head+n_head_kv)*d_head",
        [DIM_QKV] = "(n_head+2*n_head_kv)*d_head", [DIM_HEAD] = "d_head", [DIM_ROT_HALF] = "n_rot/2",
    };
    return names[d];
}

bool hparams_is_windowed(const struct hparams *hp, uint32_t i_layer) {
    return hp->window > 0 && (hp->window_period == 0 || (i_layer + 1) % hp->window_period != 0);
}

bool hparams_has_rope(const struct hparams *hp, uint32_t i_layer) {
    return hp->n_rot > 0 && (hp->nope_period == 0 || (i_layer + 1) % hp->nope_period != 0);
}

/* "<arch>.<key>"; a static buffer would not be safe with threads. */
struct key {
    char text[128];
};
static struct key full_key(const struct slm_model *m, const char *key) {
    struct key k;
    snprintf(k.text, sizeof k.text, "%s.%s", m->arch->name, key);
    return k;
}

static slm_status check_range(const struct slm_model *m, const struct gguf_kv *kv, const char *key, double v, double min, double max, slm_err *err) {
    if (v >= min && v <= max) return SLM_OK;
    return err_set(err, SLM_E_FORMAT, kv->offset, "\"%s\": key \"%s\": value %g is outside %g..%g", gguf_path(m->gguf), key, v, min, max);
}

static slm_status read_row(struct slm_model *m, const struct arch_hparam *row, slm_err *err) {
    struct key key = full_key(m, row->key);
    const struct gguf_kv *kv = gguf_find(m->gguf, key.text);
    double value = row->fallback;
    if (kv) {
        slm_status st = gguf_get_f64(m->gguf, key.text, &value, err);
        if (st == SLM_OK) st = check_range(m, kv, key.text, value, row->min, row->max, err);
        if (st != SLM_OK) return st;
        if (row->type == HP_U32 && value != floor(value))
            return err_set(err, SLM_E_FORMAT, kv->offset, "\"%s\": key \"%s\": value %g is not whole", gguf_path(m->gguf), key.text, value);
    } else if (row->required) {
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": key \"%s\" is missing", gguf_path(m->gguf), key.text);
    }
    void *field = (char *)&m->hp + row->offset;
    if (row->type == HP_U32) *(uint32_t *)field = (uint32_t)value;
    else *(float *)field = (float)value;
    return SLM_OK;
}

/* The rope.scaling keys mean the same in every architecture. */
static const struct arch_hparam scaling_rows[] = {
    {"rope.scaling.attn_factor",              HP_F32, offsetof(struct hparams, rope_mscale),    false, 1,  1e-3, 1e3},
    {"rope.scaling.original_context_length",  HP_U32, offsetof(struct hparams, n_ctx_orig),     false, 0,  0,    1u << 30},
    {"rope.scaling.yarn_beta_fast",           HP_F32, offsetof(struct hparams, yarn_beta_fast), false, 32, 1e-3, 1e6},
    {"rope.scaling.yarn_beta_slow",           HP_F32, offsetof(struct hparams, yarn_beta_slow), false, 1,  1e-3, 1e6},
    {"rope.scaling.yarn_log_multiplier",      HP_F32, offsetof(struct hparams, yarn_log_mul),   false, 0,  -1e3, 1e3},
};

static slm_status read_rope_scaling(struct slm_model *m, slm_err *err) {
    const char *path = gguf_path(m->gguf);
    struct key key = full_key(m, "rope.scaling.type"), factor_key = full_key(m, "rope.scaling.factor");
    struct view kind = VIEW("none");
    float factor = 1;
    slm_status st;
    for (size_t i = 0; i < sizeof scaling_rows / sizeof scaling_rows[0]; i++)
        if ((st = read_row(m, &scaling_rows[i], err)) != SLM_OK) return st;
    const struct gguf_kv *kv = gguf_find(m->gguf, factor_key.text);
    if (kv) {
        double v;
        st = gguf_get_f64(m->gguf, factor_key.text, &v, err);
        if (st == SLM_OK) st = check_range(m, kv, factor_key.text, v, 0, 1e6, err);
        if (st != SLM_OK) return st;
        factor = v > 0 ? (float)v : 1; /* 0 stands for none */
    }
    if (gguf_find(m->gguf, key.text) && (st = gguf_get_string(m->gguf, key.text, &kind, err)) != SLM_OK) return st;
    if (m->hp.n_ctx_orig == 0) m->hp.n_ctx_orig = m->hp.n_ctx_train;
    m->hp.rope_scale = 1;
    m->hp.yarn_factor = 1;
    if (view_eq(kind, VIEW("linear"))) m->hp.rope_scale = 1 / factor;
    else if (view_eq(kind, VIEW("yarn"))) m->hp.yarn_factor = factor;
    else if (!view_eq(kind, VIEW("none")) && !(view_eq(kind, VIEW("longrope")) && m->arch->rope_long))
        return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s\": rope scaling \"%.*s\" is not supported for architecture \"%s\"", path,
                       VIEW_ARG(kind), m->arch->name);
    return SLM_OK;
}

static bool row_names(const struct arch_desc *arch, const char *key) {
    for (size_t i = 0; i < arch->n_hparams; i++)
        if (strcmp(arch->hparams[i].key, key) == 0) return true;
    return false;
}

/* Keys that change the arithmetic: one that the architecture has no row for may only say "off". */
static slm_status check_neutral_keys(const struct slm_model *m, slm_err *err) {
    static const struct { const char *key; double neutral; } rows[] = {
        {"expert_count", 0}, {"attention.sliding_window", 0}, {"attn_logit_softcapping", 0}, {"final_logit_softcapping", 0},
        {"attention.clamp_kqv", 0}, {"attention.max_alibi_bias", 0}, {"attention.scale", 0}, {"attention.temperature_scale", 0},
        {"logit_scale", 1}, {"embedding_scale", 1}, {"residual_scale", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct key key = full_key(m, rows[i].key);
        const struct gguf_kv *kv = gguf_find(m->gguf, key.text);
        double value = rows[i].neutral;
        if (!kv || row_names(m->arch, rows[i].key)) continue;
        slm_status st = gguf_get_f64(m->gguf, key.text, &value, err);
        if (st != SLM_OK) return st;
        if (value != rows[i].neutral)
            return err_set(err, SLM_E_UNSUPPORTED, kv->offset, "\"%s\": key \"%s\" = %g is not supported for architecture \"%s\"",
                           gguf_path(m->gguf), key.text, value, m->arch->name);
    }
    return SLM_OK;
}

static slm_status derive_heads(struct slm_model *m, slm_err *err) {
    struct hparams *hp = &m->hp;
    const char *path = gguf_path(m->gguf);
    if (hp->n_head_kv == 0) hp->n_head_kv = hp->n_head;
    if (hp->d_head == 0) {
        if (hp->d_model % hp->n_head)
            return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": d_model %u is not a multiple of n_head %u", path, hp->d_model, hp->n_head);
        hp->d_head = hp->d_model / hp->n_head;
    }
    if (m->arch->rope == ROPE_NONE) hp->n_rot = 0;
    else if (hp->n_rot == 0) hp->n_rot = hp->d_head;
    if (hp->n_head % hp->n_head_kv)
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": n_head %u is not a multiple of n_head_kv %u", path, hp->n_head, hp->n_head_kv);
    if (hp->n_rot % 2 || hp->n_rot > hp->d_head)
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": %u rotated elements do not fit a head of %u", path, hp->n_rot, hp->d_head);
    uint64_t d_value = hp->d_head;
    struct key key = full_key(m, "attention.value_length");
    if (gguf_find(m->gguf, key.text)) {
        slm_status st = gguf_get_u64(m->gguf, key.text, &d_value, err);
        if (st != SLM_OK) return st;
    }
    if (d_value != hp->d_head)
        return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s\": key \"%s\" = %llu differs from the key length %u", path, key.text,
                       (unsigned long long)d_value, hp->d_head);
    return SLM_OK;
}

static slm_status derive_vocab(struct slm_model *m, slm_err *err) {
    const char *path = gguf_path(m->gguf);
    const struct gguf_tensor *embd = gguf_find_tensor(m->gguf, "token_embd.weight");
    if (!embd || embd->n_dim != 2)
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": tensor \"token_embd.weight\" is missing or no matrix", path);
    if (embd->shape[0] > TOK_N_VOCAB_MAX || embd->shape[0] < tok_n_vocab(m->tok))
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": tensor \"token_embd.weight\" has %llu rows, the tokenizer %u pieces", path,
                       (unsigned long long)embd->shape[0], tok_n_vocab(m->tok));
    m->hp.n_vocab = (uint32_t)embd->shape[0];
    return SLM_OK;
}

slm_status hparams_read(struct slm_model *m, slm_err *err) {
    struct hparams *hp = &m->hp;
    slm_status st = SLM_OK;
    *hp = (struct hparams){.embd_scale = 1, .residual_scale = 1, .logit_scale = 1, .rope_base = 10000};
    for (size_t i = 0; i < m->arch->n_hparams && st == SLM_OK; i++) st = read_row(m, &m->arch->hparams[i], err);
    if (st == SLM_OK) st = derive_heads(m, err);
    if (st == SLM_OK) st = derive_vocab(m, err);
    if (st == SLM_OK) st = read_rope_scaling(m, err);
    if (st == SLM_OK) st = check_neutral_keys(m, err);
    if (st != SLM_OK) return st;
    if (hp->attn_scale == 0) hp->attn_scale = (float)(1 / sqrt((double)hp->d_head));
    if (m->arch->embd_scale_sqrt) hp->embd_scale = (float)sqrt((double)hp->d_model);
    if (m->arch->adjust) m->arch->adjust(hp);
    return SLM_OK;
}
