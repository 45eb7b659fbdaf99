/* tensors.c -- which tensors of the folder make which tensors of the model, by the family's rows.
 *
 * Every tensor of the folder must be used by a row or stand in the list of those that need none; one that is left over would be
 * arithmetic that we leave out, and is refused by name. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "model/hf/hf_int.h"
#include "text/tok.h"

/* Where the language model's names begin ('*' in rows) and its head's ('^'). The first whose embeddings are there. */
static const struct prefix { const char *body, *head; } prefixes[] = {
    {"model.", ""}, {"language_model.model.", "language_model."}, {"model.language_model.", ""}, {"", ""}, {"bert.", ""}, {"roberta.", ""},
};

/* Needed by no row: buffers that are computed anew, and parts that are not language. */
static const char *const unused[] = {
    "*.rotary_emb.inv_freq", "*.attn.masked_bias", "*.attn.bias", "*embeddings.position_ids", NULL,
};
static const char *const unused_nested[] = {
    "vision_tower.*", "multi_modal_projector.*", "model.vision_tower.*", "model.multi_modal_projector.*", "model.visual.*", "visual.*", "model.audio_tower.*",
    "model.embed_vision.*", "model.embed_audio.*", NULL,
};

struct planner {
    struct hf *h;
    const struct prefix *prefix;
    bool *claimed; /* [n_tensor of the folder] */
    bool tied;
    uint64_t n_past_pad; /* rows up to that of the padding token */
};

/* "*layers.%u.mlp.up_proj" with prefix and layer filled in and a suffix added. False: too long. */
static bool format_name(const struct planner *p, char *out, size_t n, const char *pattern, uint32_t i_layer, const char *suffix) {
    const char *head = *pattern == '*' ? p->prefix->body : *pattern == '^' ? p->prefix->head : "";
    pattern += *pattern == '*' || *pattern == '^';
    const char *mark = strstr(pattern, "%u");
    int len = mark ? snprintf(out, n, "%s%.*s%u%s%s", head, (int)(mark - pattern), pattern, i_layer, mark + 2, suffix)
                   : snprintf(out, n, "%s%s%s", head, pattern, suffix);
    return len > 0 && (size_t)len < n;
}

static const struct st_tensor *claim(struct planner *p, const char *name) {
    const struct st_tensor *t = safetensors_find(p->h->st, name);
    if (t) p->claimed[t - safetensors_tensor_at(p->h->st, 0)] = true;
    return t;
}

/* The oldest models call the weight of a norm gamma and its bias beta. */
static const struct st_tensor *claim_old_name(struct planner *p, const char *name) {
    char old[ST_NAME_BYTES_MAX + 1];
    const char *dot = strrchr(name, '.');
    if (!dot || !strcasestr(name, "norm.")) return NULL;
    snprintf(old, sizeof old, "%.*s.%s", (int)(dot - name), name, strcmp(dot, ".bias") == 0 ? "beta" : "gamma");
    return claim(p, old);
}

static slm_status reserve(struct hf *h, slm_err *err) {
    if (h->n_output < h->cap_output) return SLM_OK;
    size_t cap = h->cap_output ? 2 * h->cap_output : 256;
    void *p = NULL;
    slm_status st = mem_alloc(&p, cap, sizeof *h->outputs, "tensor plan", err);
    if (st != SLM_OK) return st;
    if (h->n_output) memcpy(p, h->outputs, h->n_output * sizeof *h->outputs);
    free(h->outputs);
    h->outputs = p;
    h->cap_output = cap;
    return SLM_OK;
}

static slm_status add_output(struct hf *h, const char *name, struct hf_output *o, slm_err *err) {
    slm_status st = reserve(h, err);
    if (st != SLM_OK) return st;
    o->name = (struct view){arena_strdup(&h->arena, view_of(name)), strlen(name)};
    if (!o->name.ptr) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "tensor names: out of memory");
    st = gguf_add_tensor(h->w, name, o->dtype, o->n_dim, o->shape, err);
    if (st == SLM_OK) h->outputs[h->n_output++] = *o;
    return st;
}

slm_status hf_add_computed(struct hf *h, const char *name, const float *values, uint64_t n, slm_err *err) {
    struct hf_output o = {.dtype = DTYPE_F32, .n_dim = 1, .shape = {n, 1, 1, 1}, .values = values, .is_small = true};
    return add_output(h, name, &o, err);
}

/* As the folder has it; vectors and small tables are F32, and so is what comes of parts of different types. */
static void choose_type(struct hf_output *o, unsigned flags) {
    enum dtype own = o->part[0]->type->dtype;
    bool is_mx = o->how == HF_MX || o->how == HF_MX_EVEN || o->how == HF_MX_ODD;
    for (uint32_t i = 1; i < o->n_part && !is_mx; i++)
        if (o->part[i]->type->dtype != own) own = DTYPE_F32;
    o->is_small = o->n_dim < 2 || flags & HF_F32;
    o->dtype = is_mx ? DTYPE_MXFP4 : o->is_small || own == DTYPE_F64 ? DTYPE_F32 : own;
}

/* A matrix of another file of the folder, as it is. */
slm_status hf_add_matrix(struct hf *h, const char *name, const struct safetensors *s, const struct st_tensor *t, slm_err *err) {
    const struct st_tensor **part = arena_alloc(&h->arena, sizeof(void *), sizeof(void *));
    if (!part) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "tensor plan: out of memory");
    part[0] = t;
    struct hf_output o = {.source = s, .part = part, .n_part = 1};
    slm_status st = hf_output_shape(h, &o, 0, err);
    if (st != SLM_OK) return st;
    choose_type(&o, 0);
    return add_output(h, name, &o, err);
}

/* The parts of one row in one layer; `missing` names the first that the folder has not. */
static slm_status find_parts(struct planner *p, const struct hf_tensor *row, uint32_t i_layer, const char *suffix, struct hf_output *o, char *missing, slm_err *err) {
    struct hf *h = p->h;
    uint32_t n = row->how == HF_STACK ? h->n_stack : HF_N_PATTERN_MAX;
    char name[ST_NAME_BYTES_MAX + 1], pattern[256];
    *missing = 0;
    o->part = arena_alloc(&h->arena, n * sizeof *o->part + 1, sizeof(void *));
    if (!o->part) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "tensor plan: out of memory");
    for (uint32_t i = 0; i < n && (row->how == HF_STACK || row->hf[i]); i++) {
        const char *from = row->how == HF_STACK ? row->hf[0] : row->hf[i], *mark = strchr(from, '#');
        if (mark) snprintf(pattern, sizeof pattern, "%.*s%u%s", (int)(mark - from), from, i, mark + 1);
        if (!format_name(p, name, sizeof name, mark ? pattern : from, i_layer, suffix)) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "a tensor's name is too long");
        const struct st_tensor *t = claim(p, name);
        if (!t) t = claim_old_name(p, name);
        if (t) o->part[o->n_part++] = t;
        else if (!*missing) memcpy(missing, name, sizeof name);
    }
    return SLM_OK;
}

/* One row, layer and suffix. *found: the folder has it. */
static slm_status plan_one(struct planner *p, const struct hf_tensor *row, uint32_t i_layer, const char *suffix, bool *found, slm_err *err) {
    struct hf *h = p->h;
    struct hf_output o = {.source = h->st, .how = row->how};
    char name[ST_NAME_BYTES_MAX + 1], missing[ST_NAME_BYTES_MAX + 1];
    *found = false;
    slm_status st = find_parts(p, row, i_layer, suffix, &o, missing, err);
    if (st != SLM_OK || (o.n_part == 0 && (row->flags & HF_OPTIONAL || strcmp(suffix, ".bias") == 0))) return st;
    if (missing[0] || o.n_part == 0) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": tensor \"%s\" is missing", show_path(h->folder).s, missing);
    if ((st = hf_output_shape(h, &o, p->n_past_pad, err)) != SLM_OK) return st;
    choose_type(&o, row->flags);
    *found = true;
    if (!format_name(p, name, sizeof name, row->gguf, i_layer, suffix)) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "a tensor's name is too long");
    return add_output(h, name, &o, err);
}

static slm_status plan_row(struct planner *p, const struct hf_tensor *row, slm_err *err) {
    uint32_t n = strstr(row->gguf, "%u") ? p->h->n_layer : 1;
    bool found;
    if (row->flags & HF_HEAD && p->tied) { /* a copy of the embeddings may be there all the same */
        char name[256];
        if (format_name(p, name, sizeof name, row->hf[0], 0, ".weight")) claim(p, name);
        return SLM_OK;
    }
    for (uint32_t i = 0; i < n; i++) {
        slm_status st = plan_one(p, row, i, row->flags & HF_WHOLE ? "" : ".weight", &found, err);
        if (st == SLM_OK && found && !(row->flags & HF_WHOLE)) st = plan_one(p, row, i, ".bias", &found, err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

static bool matches(const char *name, const char *const *patterns) {
    for (size_t i = 0; patterns && patterns[i]; i++)
        if (fnmatch(patterns[i], name, 0) == 0) return true;
    return false;
}

static slm_status check_claimed(const struct planner *p, slm_err *err) {
    for (size_t i = 0; i < safetensors_n_tensor(p->h->st); i++) {
        const struct st_tensor *t = safetensors_tensor_at(p->h->st, i);
        if (p->claimed[i] || matches(t->name.ptr, unused) || matches(t->name.ptr, p->h->family->unused)) continue;
        if (p->h->family->nested && matches(t->name.ptr, unused_nested)) continue;
        return hf_tensor_fail(p->h->st, t, err, SLM_E_UNSUPPORTED, "has no place in class \"%s\"", p->h->family->class_name);
    }
    return SLM_OK;
}

/* The first tensor planned is the embedding matrix: its rows are the vocabulary, whatever the tokenizer holds. */
static slm_status check_vocabulary(struct hf *h, const struct hf_output *embd, slm_err *err) {
    double n_vocab = (double)embd->shape[0];
    slm_status st = hf_object_number(h, h->config, "vocab_size", &n_vocab, err);
    if (st != SLM_OK) return st;
    if (n_vocab != (double)embd->shape[0] || embd->shape[0] > TOK_N_VOCAB_MAX)
        return hf_config_fail(h, err, SLM_E_FORMAT, "key \"vocab_size\" = %g, the embeddings have %llu rows", n_vocab,
                              (unsigned long long)embd->shape[0]);
    h->n_vocab = (uint32_t)embd->shape[0];
    return hf_put_number(h, "vocab_size", HP_U32, n_vocab, err);
}

static void choose_prefix(struct planner *p) {
    size_t n = sizeof prefixes / sizeof prefixes[0];
    char name[256];
    for (size_t i = 0; i < n; i++) {
        p->prefix = &prefixes[i];
        if (format_name(p, name, sizeof name, p->h->family->tensors[0].hf[0], 0, ".weight") && safetensors_find(p->h->st, name)) return;
    }
    p->prefix = &prefixes[0];
}

/* Tied: as the configuration says (the outer one for a nested class), else the class's default. */
static bool is_tied(const struct hf *h) {
    const json_t *v = hf_config_get(h, "tie_word_embeddings|tie_embedding");
    if (!json_is_boolean(v)) v = json_object_get(h->root, "tie_word_embeddings");
    return json_is_boolean(v) ? json_is_true(v) : h->family->tied;
}

slm_status hf_plan_tensors(struct hf *h, slm_err *err) {
    struct planner p = {.h = h, .tied = is_tied(h)};
    size_t n_computed = h->n_output;
    double pad = 1;
    void *claimed = NULL;
    slm_status st = mem_alloc(&claimed, safetensors_n_tensor(h->st) + 1, sizeof(bool), "tensor marks", err);
    p.claimed = claimed;
    if (st == SLM_OK) st = hf_object_number(h, h->config, "pad_token_id", &pad, err);
    p.n_past_pad = pad >= 0 && pad < 1e6 ? (uint64_t)pad + 1 : 0;
    choose_prefix(&p);
    for (size_t i = 0; st == SLM_OK && i < h->family->n_tensors; i++) {
        st = plan_row(&p, &h->family->tensors[i], err);
        if (st == SLM_OK && i == 0) st = check_vocabulary(h, &h->outputs[n_computed], err);
    }
    if (st == SLM_OK) st = check_claimed(&p, err);
    free(claimed);
    return st;
}
