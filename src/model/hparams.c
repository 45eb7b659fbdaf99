/* hparams.c -- hyper-parameters from metadata by the architecture's rows.
 *
 * Rows carry key, type, bounds and default; what derives from other fields (d_head, n_head_kv, n_rot, the attention scale)
 * is filled afterwards. Metadata that changes the arithmetic in a way that is not built is refused by key and value,
 * never ignored: a model that answers almost right is worse than one that does not load. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/model_int.h"

uint64_t hparams_dim(const struct hparams *hp, enum dim d, uint32_t i_layer) {
    const struct layer_hparams *l = &hp->layer[i_layer];
    uint64_t q = (uint64_t)l->n_head * l->d_head, kv = (uint64_t)l->n_head_kv * l->d_head, d_model = hp->d_model, n_altup = hp->n_altup;
    const uint64_t dims[DIM_COUNT] = {
        [DIM_NONE] = 1, [DIM_MODEL] = d_model, [DIM_3MODEL] = 3 * d_model, [DIM_FF] = l->d_ff, [DIM_2FF] = 2 * (uint64_t)l->d_ff,
        [DIM_VOCAB] = hp->n_vocab, [DIM_CTX] = hp->n_ctx_train, [DIM_TYPES] = hp->n_type, [DIM_LABELS] = hp->n_label, [DIM_DENSE] = hp->n_dense,
        [DIM_Q] = q, [DIM_2Q] = 2 * q, [DIM_KV] = kv, [DIM_Q_KV] = q + kv, [DIM_QKV] = q + 2 * kv, [DIM_HEADS] = l->n_head, [DIM_HEAD] = l->d_head,
        [DIM_ROT_HALF] = hp->n_rot / 2,
        [DIM_TAPS] = hp->conv_kernel, [DIM_INNER] = hp->d_inner, [DIM_DELTA_QKV] = 2 * (uint64_t)hp->n_head_k * hp->d_state + hp->d_inner,
        [DIM_V_HEADS] = hp->n_head_v, [DIM_V_HEAD] = hp->n_head_v ? hp->d_inner / hp->n_head_v : 0,
        [DIM_PLE] = hp->d_ple, [DIM_PLE_ALL] = (uint64_t)hp->d_ple * hp->n_layer,
        [DIM_EXPERTS] = hp->n_expert, [DIM_FF_EXPERT] = hp->d_ff_expert,
        [DIM_ALTUP] = n_altup, [DIM_ALTUP_REST] = n_altup ? n_altup - 1 : 0, [DIM_ALTUP_2] = n_altup * n_altup, [DIM_LAUREL] = hp->d_laurel,
    };
    return dims[d];
}

uint64_t hparams_dim_max(const struct hparams *hp, enum dim d) {
    uint64_t max = 0;
    for (uint32_t i = 0; i < hp->n_layer; i++) {
        uint64_t n = hparams_dim(hp, d, i);
        max = n > max ? n : max;
    }
    return max;
}

uint32_t hparams_n_pair_max(const struct hparams *hp) { return (hp->n_rot > hp->n_rot_local ? hp->n_rot : hp->n_rot_local) / 2; }

const char *dim_name(enum dim d) {
    static const char *const names[DIM_COUNT] = {
        [DIM_NONE] = "1", [DIM_MODEL] = "d_model", [DIM_3MODEL] = "3*d_model", [DIM_FF] = "d_ff", [DIM_2FF] = "2*d_ff", [DIM_VOCAB] = "n_vocab",
        [DIM_CTX] = "n_ctx_train", [DIM_TYPES] = "n_type", [DIM_LABELS] = "n_label", [DIM_DENSE] = "n_dense", [DIM_Q] = "n_head*d_head",
        [DIM_2Q] = "2*n_head*d_head", [DIM_KV] = "n_head_kv*d_head", [DIM_Q_KV] = "(n_head+n_head_kv)*d_head",
        [DIM_QKV] = "(n_head+2*n_head_kv)*d_head", [DIM_HEADS] = "n_head", [DIM_HEAD] = "d_head", [DIM_ROT_HALF] = "n_rot/2",
        [DIM_TAPS] = "conv_kernel", [DIM_INNER] = "d_inner", [DIM_DELTA_QKV] = "2*n_head_k*d_state+d_inner", [DIM_V_HEADS] = "n_head_v",
        [DIM_V_HEAD] = "d_inner/n_head_v", [DIM_PLE] = "d_ple", [DIM_PLE_ALL] = "d_ple*n_layer", [DIM_EXPERTS] = "n_expert",
        [DIM_FF_EXPERT] = "d_ff_expert", [DIM_ALTUP] = "n_altup", [DIM_ALTUP_REST] = "n_altup-1", [DIM_ALTUP_2] = "n_altup^2",
        [DIM_LAUREL] = "d_laurel",
    };
    return names[d];
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

static slm_status check_value(const struct slm_model *m, const struct gguf_kv *kv, const char *key, double v, const struct arch_hparam *row, slm_err *err) {
    if (!(v >= row->min && v <= row->max))
        return err_set(err, SLM_E_FORMAT, kv->offset, "\"%s\": key \"%s\": value %g is outside %g..%g", gguf_path(m->gguf), key, v, row->min, row->max);
    if (row->type == HP_U32 && v != floor(v))
        return err_set(err, SLM_E_FORMAT, kv->offset, "\"%s\": key \"%s\": value %g is not whole", gguf_path(m->gguf), key, v);
    return SLM_OK;
}

/* Sizes that a file may give layer by layer; the field in struct hparams is then the largest. */
static const struct {
    const char *key;
    size_t offset; /* in struct layer_hparams */
} layer_keys[] = {
    {"attention.head_count", offsetof(struct layer_hparams, n_head)},
    {"attention.head_count_kv", offsetof(struct layer_hparams, n_head_kv)},
    {"feed_forward_length", offsetof(struct layer_hparams, d_ff)},
};
#define N_LAYER_KEYS (sizeof layer_keys / sizeof layer_keys[0])

/* Whether kv, the value of an architecture's key, has one element for each layer. */
static bool is_per_layer(const struct slm_model *m, const char *key, const struct gguf_kv *kv) {
    for (size_t i = 0; i < N_LAYER_KEYS; i++)
        if (strcmp(layer_keys[i].key, key) == 0) return kv->type == GGUF_ARRAY && kv->n_elem == m->hp.n_layer + m->hp.n_layer_draft && kv->elem_type != GGUF_STRING;
    return false;
}

/* The largest of the layers' values; 0 is a layer that has none. */
static slm_status read_per_layer(const struct slm_model *m, const struct arch_hparam *row, const struct gguf_kv *kv, const char *key, double *value,
                                 slm_err *err) {
    struct arch_hparam bounds = *row;
    bounds.min = 0;
    *value = 0;
    for (uint64_t i = 0; i < kv->n_elem; i++) {
        double v = gguf_kv_f64(kv, i);
        slm_status st = check_value(m, kv, key, v, &bounds, err);
        if (st != SLM_OK) return st;
        *value = fmax(*value, v);
    }
    return check_value(m, kv, key, *value, row, err);
}

static slm_status read_row(struct slm_model *m, const struct arch_hparam *row, slm_err *err) {
    struct key key = full_key(m, row->key);
    const struct gguf_kv *kv = gguf_find(m->gguf, key.text);
    double value = row->fallback;
    slm_status st = SLM_OK;
    if (kv && is_per_layer(m, row->key, kv)) {
        st = read_per_layer(m, row, kv, key.text, &value, err);
    } else if (kv && kv->type == GGUF_BOOL) {
        bool flag;
        st = gguf_get_bool(m->gguf, key.text, &flag, err);
        value = flag;
        if (st == SLM_OK) st = check_value(m, kv, key.text, value, row, err);
    } else if (kv) {
        st = gguf_get_f64(m->gguf, key.text, &value, err);
        if (st == SLM_OK) st = check_value(m, kv, key.text, value, row, err);
    } else if (row->required) {
        st = err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": key \"%s\" is missing", gguf_path(m->gguf), key.text);
    }
    if (st != SLM_OK) return st;
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
    {"rope.scaling.yarn_truncate",            HP_U32, offsetof(struct hparams, yarn_truncate),  false, 1,  0,    1}, /* ours: gpt-oss does not */
    {"rope.scaling.yarn_log_multiplier",      HP_F32, offsetof(struct hparams, yarn_log_mul),   false, 0,  -1e3, 1e3},
};

static slm_status read_rope_scaling(struct slm_model *m, slm_err *err) {
    const char *path = gguf_path(m->gguf);
    struct key key = full_key(m, "rope.scaling.type"), factor_key = full_key(m, "rope.scaling.factor");
    struct view kind = VIEW("linear"); /* a factor without a type is an old file's linear one */
    float factor = 1;
    slm_status st;
    for (size_t i = 0; i < sizeof scaling_rows / sizeof scaling_rows[0]; i++)
        if ((st = read_row(m, &scaling_rows[i], err)) != SLM_OK) return st;
    const struct gguf_kv *kv = gguf_find(m->gguf, factor_key.text);
    if (!kv) factor_key = full_key(m, "rope.scale_linear");
    kv = gguf_find(m->gguf, factor_key.text);
    if (kv) {
        double v;
        static const struct arch_hparam bounds = {.type = HP_F32, .min = 0, .max = 1e6};
        st = gguf_get_f64(m->gguf, factor_key.text, &v, err);
        if (st == SLM_OK) st = check_value(m, kv, factor_key.text, v, &bounds, err);
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
        {"logit_scale", 1}, {"embedding_scale", 1}, {"residual_scale", 1}, {"rope.scaling.yarn_ext_factor", 1},
        {"rope.scaling.yarn_attn_factor", 1},
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

/* Counts that no key holds: the rows of a tensor. */
static const struct {
    const char *tensor;
    size_t offset;
    uint32_t max;
    bool required;
} count_rows[] = {
    {"token_embd.weight", offsetof(struct hparams, n_vocab), TOK_N_VOCAB_MAX, true},
    {"token_types.weight", offsetof(struct hparams, n_type), 65536, false},
    {"cls.output.weight", offsetof(struct hparams, n_label), 65536, false},
    {"blk.0.laurel_l.weight", offsetof(struct hparams, d_laurel), 65536, false},
    {"dense_2.weight", offsetof(struct hparams, n_dense), 65536, false},
};

static slm_status count_tensors(struct slm_model *m, slm_err *err) {
    const char *path = gguf_path(m->gguf);
    for (size_t i = 0; i < sizeof count_rows / sizeof count_rows[0]; i++) {
        const struct gguf_tensor *t = gguf_find_tensor(m->gguf, count_rows[i].tensor);
        if (!t && !count_rows[i].required) continue;
        if (!t || t->n_dim != 2)
            return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": tensor \"%s\" is missing or no matrix", path, count_rows[i].tensor);
        if (t->shape[0] > count_rows[i].max)
            return err_set(err, SLM_E_FORMAT, t->offset, "\"%s\": tensor \"%s\" has %llu rows, at most %u are supported", path, count_rows[i].tensor,
                           (unsigned long long)t->shape[0], count_rows[i].max);
        *(uint32_t *)((char *)&m->hp + count_rows[i].offset) = (uint32_t)t->shape[0];
    }
    if (m->hp.n_vocab < tok_n_vocab(m->tok))
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": tensor \"token_embd.weight\" has %u rows, the tokenizer %u pieces", path, m->hp.n_vocab,
                       tok_n_vocab(m->tok));
    return SLM_OK;
}

/* "attention.sliding_window_pattern": a period, or which layers have the window. */
static slm_status read_window_pattern(struct slm_model *m, const struct gguf_kv **pattern, slm_err *err) {
    static const struct arch_hparam row = {"attention.sliding_window_pattern", HP_U32, offsetof(struct hparams, window_period), false, 0, 0, 1024};
    struct key key = full_key(m, row.key);
    const struct gguf_kv *kv = gguf_find(m->gguf, key.text);
    *pattern = NULL;
    if (!kv || m->hp.window == 0) return SLM_OK;
    if (kv->type != GGUF_ARRAY) return read_row(m, &row, err);
    if (kv->n_elem != m->hp.n_layer || kv->elem_type == GGUF_STRING)
        return err_set(err, SLM_E_FORMAT, kv->offset, "\"%s\": key \"%s\": needs one element for each of %u layers", gguf_path(m->gguf), key.text,
                       m->hp.n_layer);
    *pattern = kv;
    return SLM_OK;
}

static bool is_windowed(const struct slm_model *m, const struct gguf_kv *pattern, uint32_t i_layer) {
    const struct hparams *hp = &m->hp;
    if (hp->window == 0) return false;
    if (pattern) return gguf_kv_i64(pattern, i_layer) != 0;
    if (hp->window_period == 0) return true;
    return (i_layer + !m->arch->window_from_full) % hp->window_period != 0;
}

/* The last layers read what the last layer before them of their kind wrote. */
static slm_status share_kv(struct slm_model *m, slm_err *err) {
    struct hparams *hp = &m->hp;
    uint32_t n_own = hp->n_layer - hp->n_layer_shared;
    for (uint32_t i = n_own; i < hp->n_layer; i++) {
        struct layer_hparams *l = &hp->layer[i];
        uint32_t k = n_own;
        while (k > 0 && hp->layer[k - 1].is_local != l->is_local) k--;
        if (k == 0 || hp->layer[k - 1].d_head != l->d_head || l->n_head % hp->layer[k - 1].n_head_kv)
            return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": layer %u finds no layer before %u whose keys and values fit it", gguf_path(m->gguf), i, n_own);
        l->i_kv = k - 1;
        l->n_head_kv = hp->layer[k - 1].n_head_kv;
    }
    return SLM_OK;
}

/* What each layer is. A width that its own key gives wins over the model's. */
static slm_status make_layers(struct slm_model *m, slm_err *err) {
    struct hparams *hp = &m->hp;
    const struct gguf_kv *pattern;
    slm_status st = read_window_pattern(m, &pattern, err);
    if (st != SLM_OK) return st;
    hp->layer = arena_alloc(&m->arena, hp->n_layer * sizeof *hp->layer, 64);
    if (!hp->layer) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "%u layers: out of memory", hp->n_layer);
    for (uint32_t i = 0; i < hp->n_layer; i++) {
        struct layer_hparams *l = &hp->layer[i];
        bool local = is_windowed(m, pattern, i);
        *l = (struct layer_hparams){
            .n_head = hp->n_head, .n_head_kv = hp->n_head_kv, .d_ff = hp->d_ff, .i_kv = i,
            .d_head = local && hp->d_head_local ? hp->d_head_local : hp->d_head, .n_rot = local && hp->n_rot_local ? hp->n_rot_local : hp->n_rot,
            .mixer = hp->attention_period && (i + 1) % hp->attention_period ? m->arch->mixer : MIXER_ATTENTION,
            .sparse_std = i < hp->n_layer_sparse ? hp->sparse_std : 0,
            .is_moe = hp->n_expert > 0 && i >= hp->n_layer_dense,
            .window = local ? hp->window : 0, .is_local = local,
            .has_rope = hp->n_rot > 0 && (hp->nope_period == 0 || (i + 1) % hp->nope_period != 0),
        };
        for (size_t k = 0; k < N_LAYER_KEYS; k++) {
            struct key key = full_key(m, layer_keys[k].key);
            const struct gguf_kv *kv = gguf_find(m->gguf, key.text);
            if (kv && is_per_layer(m, layer_keys[k].key, kv)) *(uint32_t *)((char *)l + layer_keys[k].offset) = (uint32_t)gguf_kv_i64(kv, i);
        }
        if (l->n_head_kv == 0) l->mixer = m->arch->mixer;
        if (l->mixer != MIXER_ATTENTION) l->n_head_kv = 0;
        bool heads_fit = l->mixer != MIXER_ATTENTION || (l->n_head > 0 && l->n_head_kv > 0 && l->n_head % l->n_head_kv == 0);
        if (!heads_fit || l->d_ff == 0)
            return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s\": layer %u with %u heads over %u and d_ff %u is not supported", gguf_path(m->gguf), i,
                           l->n_head, l->n_head_kv, l->d_ff);
    }
    return share_kv(m, err);
}

/* Counts that must fit each other. Draft blocks are counted with the layers in files. */
static slm_status check_counts(struct slm_model *m, slm_err *err) {
    struct hparams *hp = &m->hp;
    if (hp->n_layer_draft >= hp->n_layer)
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": %u of %u blocks are drafts", gguf_path(m->gguf), hp->n_layer_draft, hp->n_layer);
    hp->n_layer -= hp->n_layer_draft;
    if (hp->n_layer_shared >= hp->n_layer || (hp->n_layer_shared && m->arch->mixer != MIXER_ATTENTION))
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": %u of %u layers share keys and values", gguf_path(m->gguf), hp->n_layer_shared, hp->n_layer);
    if (hp->n_altup && hp->d_laurel == 0) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": tensor \"blk.0.laurel_l.weight\" is missing", gguf_path(m->gguf));
    if (hp->n_rot_local % 2 || (hp->n_rot_local && hp->n_rot_local > (hp->d_head_local ? hp->d_head_local : hp->d_head)))
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": %u rotated elements do not fit a windowed head", gguf_path(m->gguf), hp->n_rot_local);
    if (hp->d_head_local && !hp->n_rot_local && hp->n_rot > hp->d_head_local) hp->n_rot_local = hp->d_head_local;
    if (hp->n_expert && (hp->n_expert_used == 0 || hp->n_expert_used > hp->n_expert))
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": %u of %u experts for each token", gguf_path(m->gguf), hp->n_expert_used, hp->n_expert);
    if (hp->n_expert && hp->d_ff_expert == 0) hp->d_ff_expert = hp->d_ff; /* before experts had a width of their own */
    if (m->arch->mixer == MIXER_DELTA && (hp->n_head_v % hp->n_head_k || hp->d_inner % hp->n_head_v))
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": %u value heads of %u over %u key heads do not fit", gguf_path(m->gguf), hp->n_head_v,
                       hp->d_inner, hp->n_head_k);
    return SLM_OK;
}

slm_status hparams_read(struct slm_model *m, slm_err *err) {
    struct hparams *hp = &m->hp;
    slm_status st = SLM_OK;
    *hp = (struct hparams){.embd_scale = 1, .residual_scale = 1, .logit_scale = 1, .rope_base = 10000};
    for (size_t i = 0; i < m->arch->n_hparams && st == SLM_OK; i++) st = read_row(m, &m->arch->hparams[i], err);
    if (st == SLM_OK) st = derive_heads(m, err);
    if (st == SLM_OK) st = count_tensors(m, err);
    if (st == SLM_OK) st = read_rope_scaling(m, err);
    if (st == SLM_OK) st = check_neutral_keys(m, err);
    if (st != SLM_OK) return st;
    if (hp->attn_scale == 0) hp->attn_scale = (float)(1 / sqrt((double)hp->d_head));
    if (m->arch->embd_scale_sqrt) hp->embd_scale = (float)sqrt((double)hp->d_model);
    struct key causal_key = full_key(m, "attention.causal");
    bool causal = !m->arch->bidirectional;
    if (gguf_find(m->gguf, causal_key.text) && (st = gguf_get_bool(m->gguf, causal_key.text, &causal, err)) != SLM_OK) return st;
    hp->bidirectional = !causal;
    if (m->arch->adjust) m->arch->adjust(hp);
    if (hp->pooling == N_POOLINGS) hp->pooling = hp->bidirectional ? POOLING_MEAN : POOLING_LAST;
    st = check_counts(m, err);
    return st == SLM_OK ? make_layers(m, err) : st;
}
