/* params.c -- what of an architecture can learn, and where each parameter lies.
 *
 * The rows of the architecture say which tensors there are; a tensor of the file becomes one run of the flat arrays, and slots point into it,
 * so fused tensors and tied heads need no case of their own. With adapters the base's matrices stay where they are. */
#include <stdio.h>
#include <stdlib.h>

#include "train/net_int.h"

/* ---- what has a backward pass ---- */

/* Slots by what they are in a block; `at` is the offset of the struct linear or struct norm. */
enum slot_use { SLOT_LINEAR, SLOT_NORM, SLOT_GLOBAL, SLOT_PASSIVE };
static const struct slot_row {
    enum weight_slot slot;
    enum slot_use use;
    size_t at;
    unsigned lora; /* the bit of an adapter's targets */
} slots[] = {
    {W_TOK_EMBD, SLOT_GLOBAL, offsetof(struct trainee, embd), 0}, {W_OUTPUT, SLOT_GLOBAL, offsetof(struct trainee, head), 0},
    {W_OUTPUT_NORM, SLOT_GLOBAL, offsetof(struct trainee, out_norm), 0},
    {W_ATTN_Q, SLOT_LINEAR, offsetof(struct block, q), LORA_Q}, {W_ATTN_K, SLOT_LINEAR, offsetof(struct block, k), LORA_K},
    {W_ATTN_V, SLOT_LINEAR, offsetof(struct block, v), LORA_V}, {W_ATTN_OUT, SLOT_LINEAR, offsetof(struct block, out), LORA_O},
    {W_FFN_GATE, SLOT_LINEAR, offsetof(struct block, gate), LORA_GATE}, {W_FFN_UP, SLOT_LINEAR, offsetof(struct block, up), LORA_UP},
    {W_FFN_DOWN, SLOT_LINEAR, offsetof(struct block, down), LORA_DOWN},
    {W_ATTN_NORM, SLOT_NORM, offsetof(struct block, attn_norm), 0}, {W_FFN_NORM, SLOT_NORM, offsetof(struct block, ffn_norm), 0},
    {W_ATTN_POST_NORM, SLOT_NORM, offsetof(struct block, attn_post), 0}, {W_FFN_POST_NORM, SLOT_NORM, offsetof(struct block, ffn_post), 0},
    {W_ATTN_Q_NORM, SLOT_NORM, offsetof(struct block, q_norm), 0}, {W_ATTN_K_NORM, SLOT_NORM, offsetof(struct block, k_norm), 0},
    {W_ROPE_FREQS, SLOT_PASSIVE, 0, 0}, {W_ROPE_LONG, SLOT_PASSIVE, 0, 0}, {W_ROPE_SHORT, SLOT_PASSIVE, 0, 0}, {W_CLS_OUT, SLOT_PASSIVE, 0, 0},
};
#define N_SLOTS (sizeof slots / sizeof slots[0])

static const struct slot_row *slot_find(enum weight_slot slot) {
    for (size_t i = 0; i < N_SLOTS; i++)
        if (slots[i].slot == slot) return &slots[i];
    return NULL;
}

static bool is_on_layer(const struct arch_tensor *row, const struct layer_hparams *l) {
    if (row->flags & (l->is_moe ? TENSOR_ON_DENSE : TENSOR_ON_MOE)) return false;
    return !(row->flags & (l->mixer == MIXER_ATTENTION ? TENSOR_ON_MIXER : TENSOR_ON_ATTENTION));
}

static const char *unsupported_piece(const struct arch_desc *arch, const struct hparams *hp) {
    if (arch->bidirectional || hp->bidirectional) return "an encoder's attention";
    if (hp->n_altup) return "a stream in several copies";
    if (hp->d_ple) return "embeddings of every layer";
    if (arch->attn_gate) return "gates of attention";
    if (arch->v_norm) return "norms of values";
    if (arch->parallel && hp->residual_scale != 1) return "parallel blocks with a scale";
    for (uint32_t i = 0; i < hp->n_layer; i++) {
        const struct layer_hparams *l = &hp->layer[i];
        if (l->mixer != MIXER_ATTENTION) return "layers with a state of fixed size";
        if (l->is_moe) return "experts";
        if (l->i_kv != i) return "layers that share keys and values";
        if (l->sparse_std > 0) return "gates cut by their spread";
        if (l->n_head_kv == 0 || l->n_head == 0) return "layers without attention";
    }
    for (size_t i = 0; i < arch->n_tensors; i++) {
        const struct arch_tensor *row = &arch->tensors[i];
        if (slot_find(row->slot) || hparams_dim(hp, row->rows, 0) == 0 || hparams_dim(hp, row->cols, 0) == 0) continue;
        for (uint32_t l = 0; l < hp->n_layer; l++)
            if (!(row->flags & TENSOR_OPTIONAL) && is_on_layer(row, &hp->layer[l])) return row->name;
    }
    return NULL;
}

slm_status trainee_supports(const struct arch_desc *arch, const struct hparams *hp, slm_err *err) {
    const char *piece = unsupported_piece(arch, hp);
    if (!piece) return SLM_OK;
    err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "architecture \"%s\": training has no backward pass for %s", arch->name, piece);
    err_hint(err, "llama, qwen2, qwen3, gemma, gemma2, gemma3, phi2, phi3, smollm3, granite, olmo2 and mistral3 can be trained");
    return SLM_E_UNSUPPORTED;
}

/* ---- layout ---- */

static void format_name(char *out, size_t n, const struct arch_tensor *row, uint32_t i_layer, const char *suffix) {
    const char *mark = strstr(row->name, "%u");
    if (row->flags & TENSOR_BARE) suffix = "";
    if (mark) snprintf(out, n, "%.*s%u%s%s", (int)(mark - row->name), row->name, i_layer, mark + 2, suffix);
    else snprintf(out, n, "%s%s", row->name, suffix);
}

/* The parameter of a name, added when it is new. */
static slm_status param_get(struct trainee *t, const char *name, enum param_kind kind, int64_t n_row, int64_t n_col, struct param **out, slm_err *err) {
    for (size_t i = 0; i < t->n_params; i++)
        if (strcmp(t->params[i].name, name) == 0) {
            *out = &t->params[i];
            return SLM_OK;
        }
    SLM_ASSERT(t->n_params < t->params_cap);
    *out = &t->params[t->n_params++];
    **out = (struct param){.kind = kind, .rows = n_row, .cols = n_col, .at = t->n_elem, .n = (uint64_t)n_row * (uint64_t)n_col};
    if (snprintf((*out)->name, sizeof (*out)->name, "%s", name) >= (int)sizeof (*out)->name) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "tensor \"%s\": its name is too long", name);
    t->n_elem += ((*out)->n + 15) / 16 * 16;
    return SLM_OK;
}

/* A slot's own struct in the trainee or in a block. */
static void *slot_target(struct trainee *t, const struct slot_row *s, uint32_t i_layer) {
    return s->use == SLOT_GLOBAL ? (char *)t + s->at : (char *)&t->blocks[i_layer] + s->at;
}

/* Pointers are offsets until the arrays exist; 0 is none, so they are kept plus one. */
static const real *mark_of(uint64_t at) { return (const real *)(uintptr_t)(at + 1); }

static slm_status bind_learning(struct trainee *t, const struct arch_tensor *row, const struct slot_row *s, uint32_t i_layer, slm_err *err) {
    const struct hparams *hp = &t->hp;
    char name[GGUF_NAME_BYTES_MAX + 32];
    bool is_vector = row->flags & TENSOR_VECTOR;
    uint64_t first = row->at ? hparams_dim(hp, row->at, i_layer) : 0;
    struct param *p;
    format_name(name, sizeof name, row, i_layer, ".weight");
    const struct gguf_tensor *file = gguf_find_tensor(t->base->gguf, name);
    if (!file && row->tied == W_TOK_EMBD) t->head = t->embd;
    if (!file) return SLM_OK; /* optional, or tied: the model was bound, so it is neither missing nor wrong */
    int64_t n_row = is_vector ? 1 : (int64_t)file->shape[0], n_col = (int64_t)file->shape[file->n_dim - 1];
    slm_status st = param_get(t, name, is_vector ? PARAM_VECTOR : s->slot == W_TOK_EMBD || s->slot == W_OUTPUT ? PARAM_EMBEDDING : PARAM_MATRIX, n_row, n_col, &p, err);
    if (st != SLM_OK) return st;
    const real *w = mark_of(p->at + first * (uint64_t)n_col), *b = NULL;
    format_name(name, sizeof name, row, i_layer, ".bias");
    if (row->flags & (TENSOR_BIAS | TENSOR_BIAS_OPTIONAL) && (file = gguf_find_tensor(t->base->gguf, name)) != NULL) {
        if ((st = param_get(t, name, PARAM_VECTOR, 1, (int64_t)file->shape[0], &p, err)) != SLM_OK) return st;
        b = mark_of(p->at + first);
    }
    void *target = slot_target(t, s, i_layer);
    if (is_vector) *(struct norm *)target = (struct norm){.w = w, .b = b};
    else *(struct linear *)target = (struct linear){.d_out = (int64_t)hparams_dim(hp, row->rows, i_layer), .d_in = n_col, .w = w, .b = b};
    return SLM_OK;
}

/* A frozen base: matrices where they are, vectors from the model. In double the vectors are copied. */
static const real *frozen_vector(struct trainee *t, const float *v, uint64_t n) {
#ifdef SLM_TRAIN_DOUBLE
    real *out = v ? arena_alloc(&t->arena, n * sizeof(real), 64) : NULL;
    for (uint64_t i = 0; i < n && out; i++) out[i] = (real)v[i];
    return out;
#else
    (void)t, (void)n;
    return v;
#endif
}

static slm_status bind_frozen(struct trainee *t, const struct arch_tensor *row, const struct slot_row *s, uint32_t i_layer, slm_err *err) {
    const struct bound *b = model_slot(t->base, s->slot, i_layer);
    void *target = slot_target(t, s, i_layer);
    char name[GGUF_NAME_BYTES_MAX + 32];
    struct param *p;
    slm_status st;
    if (row->flags & TENSOR_VECTOR) {
        uint64_t n = hparams_dim(&t->hp, row->cols, i_layer);
        if (b->vec) *(struct norm *)target = (struct norm){.w = frozen_vector(t, b->vec, n), .b = frozen_vector(t, b->bias, n)};
        return SLM_OK;
    }
    if (!b->w.data) return SLM_OK;
    struct linear *l = target;
    *l = (struct linear){.d_out = b->w.d_out, .d_in = b->w.d_in, .base = &b->w, .b = frozen_vector(t, b->bias, (uint64_t)b->w.d_out)};
    if (!(s->lora & t->set.lora.targets)) return SLM_OK;
    SLM_ASSERT(t->n_adapters < t->adapters_cap);
    l->adapter = &t->adapters[t->n_adapters++];
    l->adapter->r = t->set.lora.r;
    l->adapter->scale = (real)((double)t->set.lora.alpha / (t->set.lora.root ? sqrt((double)t->set.lora.r) : (double)t->set.lora.r));
    format_name(name, sizeof name, row, i_layer, ".weight.lora_a");
    if ((st = param_get(t, name, PARAM_MATRIX, l->adapter->r, l->d_in, &p, err)) != SLM_OK) return st;
    l->adapter->a = mark_of(p->at);
    format_name(name, sizeof name, row, i_layer, ".weight.lora_b");
    int64_t n_row = row->of ? (int64_t)hparams_dim(&t->hp, row->of, i_layer) : l->d_out, first = row->at ? (int64_t)hparams_dim(&t->hp, row->at, i_layer) : 0;
    if ((st = param_get(t, name, PARAM_MATRIX, n_row, l->adapter->r, &p, err)) != SLM_OK) return st;
    l->adapter->b = mark_of(p->at + (uint64_t)(first * l->adapter->r)); /* parts of a fused tensor share a, and have their rows of b */
    return SLM_OK;
}

/* ---- from marks to pointers ---- */

static void resolve(const struct trainee *t, const real **w, real **g) {
    if (!*w) return;
    uint64_t at = (uint64_t)(uintptr_t)*w - 1;
    *w = t->w + at;
    *g = t->g + at;
}

static void resolve_linear(struct trainee *t, struct linear *l) {
    if (t->set.lora.r == 0) {
        resolve(t, &l->w, &l->dw);
        resolve(t, &l->b, &l->db);
    }
    if (!l->adapter) return;
    resolve(t, &l->adapter->a, &l->adapter->da);
    resolve(t, &l->adapter->b, &l->adapter->db);
}

static void resolve_norm(struct trainee *t, struct norm *n) {
    if (t->set.lora.r) return;
    resolve(t, &n->w, &n->dw);
    resolve(t, &n->b, &n->db);
}

static void resolve_all(struct trainee *t) {
    resolve_linear(t, &t->embd);
    resolve_linear(t, &t->head);
    resolve_norm(t, &t->out_norm);
    for (uint32_t i = 0; i < t->hp.n_layer; i++)
        for (size_t s = 0; s < N_SLOTS; s++) {
            if (slots[s].use == SLOT_LINEAR) resolve_linear(t, slot_target(t, &slots[s], i));
            if (slots[s].use == SLOT_NORM) resolve_norm(t, slot_target(t, &slots[s], i));
        }
}

/* ---- values ---- */

static void load_tensor(const struct trainee *t, const struct param *p) {
    const struct gguf_tensor *file = gguf_find_tensor(t->base->gguf, p->name);
    const struct dtype_desc *d = dtype_get(file->dtype);
    real *w = t->w + p->at;
#ifdef SLM_TRAIN_DOUBLE
    float part[256];
    for (uint64_t i = 0; i < p->n; i += 256) {
        uint64_t n = p->n - i < 256 ? p->n - i : 256;
        d->to_f32(part, file->data + i / d->block_elems * d->block_bytes, (int64_t)n);
        for (uint64_t j = 0; j < n; j++) w[i + j] = (real)part[j];
    }
#else
    d->to_f32(w, file->data, (int64_t)p->n);
#endif
}

/* An adapter's a is normal with deviation 1 / sqrt(d_in), its b is 0. */
static void load_adapter(const struct trainee *t, const struct param *p, struct rng *rng) {
    size_t n = strlen(p->name);
    real scale = (real)(1 / sqrt((double)p->cols));
    if (p->name[n - 1] != 'a') return;
    for (uint64_t i = 0; i < p->n; i++) t->w[p->at + i] = scale * (real)rng_normal(rng);
}

slm_status params_layout(struct trainee *t, slm_err *err) {
    slm_status st = SLM_OK;
    void *p;
    struct rng rng;
    size_t cap = (size_t)t->hp.n_layer * 32 + 16;
    TRY(mem_alloc(&p, t->hp.n_layer, sizeof *t->blocks, "layers", err));
    t->blocks = p;
    TRY(mem_alloc(&p, cap, sizeof *t->params, "parameters", err));
    t->params = p;
    t->params_cap = cap;
    TRY(mem_alloc(&p, (size_t)t->hp.n_layer * 7, sizeof *t->adapters, "adapters", err));
    t->adapters = p;
    t->adapters_cap = (size_t)t->hp.n_layer * 7;
    for (size_t i = 0; i < t->arch->n_tensors; i++) {
        const struct arch_tensor *row = &t->arch->tensors[i];
        const struct slot_row *s = slot_find(row->slot);
        uint32_t n = row->slot < W_LAYER_FIRST ? 1 : t->hp.n_layer;
        for (uint32_t l = 0; s && s->use != SLOT_PASSIVE && l < n; l++) {
            if (!model_row_stands(t->base, row, l)) continue;
            TRY(t->set.lora.r ? bind_frozen(t, row, s, l, err) : bind_learning(t, row, s, l, err));
        }
    }
    if (t->n_elem == 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "no tensor would learn: the targets name none of this model");
    TRY(mem_reserve((void **)&t->w, t->n_elem * sizeof(real), "parameters", err));
    TRY(mem_reserve((void **)&t->g, t->n_elem * sizeof(real), "gradients", err));
    resolve_all(t);
    rng_init(&rng, t->set.lora.seed);
    for (size_t i = 0; i < t->n_params; i++) {
        if (t->set.lora.r) load_adapter(t, &t->params[i], &rng);
        else load_tensor(t, &t->params[i]);
    }
out:
    return st;
}

const struct norm *params_norm(const struct trainee *t, enum weight_slot slot, uint32_t i_layer) {
    const struct slot_row *s = slot_find(slot);
    return s && s->use == SLOT_NORM ? (const struct norm *)(const void *)((const char *)&t->blocks[i_layer] + s->at) : NULL;
}

const struct linear *params_linear(const struct trainee *t, enum weight_slot slot, uint32_t i_layer) {
    const struct slot_row *s = slot_find(slot);
    return s && s->use == SLOT_LINEAR ? (const struct linear *)(const void *)((const char *)&t->blocks[i_layer] + s->at) : NULL;
}

uint64_t params_width(const struct trainee *t, enum weight_slot slot, uint32_t i_layer) {
    for (size_t i = 0; i < t->arch->n_tensors; i++)
        if (t->arch->tensors[i].slot == slot) return hparams_dim(&t->hp, t->arch->tensors[i].cols, i_layer);
    return 0;
}
