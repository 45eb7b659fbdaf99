/* fresh.c -- a random model, described to a GGUF writer and opened in place: so everything that takes a model takes this one. */
#include "train/fresh.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/show.h"
#include "base/util.h"

static const struct fresh_preset presets[] = {
    {"1m", {128, 4, 4, 2, 352}, 2048, "tasks with short texts"},
    {"3m", {256, 4, 8, 4, 704}, 2048, "tasks with short texts"},
    {"5m", {256, 6, 8, 4, 768}, 4096, "simple stories"},
    {"8m", {256, 8, 8, 4, 1024}, 4096, "simple stories"},
    {"15m", {384, 8, 6, 2, 1024}, 8192, "stories"},
    {"40m", {512, 10, 8, 4, 1536}, 16384, "days of one computer's time"},
    {"125m", {768, 16, 12, 4, 2048}, 32768, "many cores"},
};

const struct fresh_preset *fresh_preset_find(const char *name) {
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++)
        if (strcmp(presets[i].name, name) == 0) return &presets[i];
    return NULL;
}

slm_status fresh_shape_parse(const char *text, struct fresh_shape *out, slm_err *err) {
    static const struct { const char *key; size_t at; } keys[] = {
        {"d", offsetof(struct fresh_shape, d_model)}, {"L", offsetof(struct fresh_shape, n_layer)}, {"H", offsetof(struct fresh_shape, n_head)},
        {"KV", offsetof(struct fresh_shape, n_head_kv)}, {"ff", offsetof(struct fresh_shape, d_ff)},
    };
    *out = (struct fresh_shape){0};
    for (const char *s = text; *s;) {
        size_t i = 0, n = strcspn(s, "=");
        char *end = NULL;
        while (i < sizeof keys / sizeof keys[0] && (strlen(keys[i].key) != n || strncmp(keys[i].key, s, n) != 0)) i++;
        unsigned long v = i < sizeof keys / sizeof keys[0] && s[n] == '=' ? strtoul(s + n + 1, &end, 10) : 0;
        if (!end || v < 1 || v > 65536 || (*end && *end != ',')) {
            err_set(err, SLM_E_USAGE, SLM_NOWHERE, "shape \"%s\": not understood at \"%s\"", show_cstr(text).s, show_cstr(s).s);
            err_hint(err, "write it as d=256,L=6,H=8,KV=4,ff=768");
            return SLM_E_USAGE;
        }
        *(uint32_t *)(void *)((char *)out + keys[i].at) = (uint32_t)v;
        s = *end ? end + 1 : end;
    }
    if (!out->d_model || !out->n_layer || !out->n_head) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "shape \"%s\": d, L and H are needed", show_cstr(text).s);
    if (!out->n_head_kv) out->n_head_kv = out->n_head;
    if (!out->d_ff) out->d_ff = (out->d_model * 8 / 3 + 31) / 32 * 32;
    return SLM_OK;
}

/* ---- tensors ---- */

struct fresh {
    struct gguf_writer *writer;
    struct arena arena;
    const void **data;
    size_t n, cap;
    struct rng rng;
    double sum;
};

static void fresh_release(void *user) {
    struct fresh *f = user;
    gguf_writer_destroy(f->writer);
    arena_fini(&f->arena);
    free(f->data);
    free(f);
}

/* rows 0: a vector of ones. */
static slm_status add_tensor(struct fresh *f, const char *name, uint64_t rows, uint64_t cols, double deviation, slm_err *err) {
    uint64_t n = (rows ? rows : 1) * cols, shape[2] = {rows ? rows : cols, cols};
    float *w = arena_alloc(&f->arena, n * sizeof *w, 64);
    if (!w) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "tensor \"%s\": out of memory", name);
    for (uint64_t i = 0; i < n; i++) w[i] = rows ? (float)(deviation * (double)rng_normal(&f->rng)) : 1;
    SLM_ASSERT(f->n < f->cap);
    f->data[f->n++] = w;
    return gguf_add_tensor(f->writer, name, DTYPE_F32, rows ? 2 : 1, shape, err);
}

static slm_status add_layer(struct fresh *f, const struct fresh_shape *s, uint32_t i, slm_err *err) {
    uint64_t d = s->d_model, kv = d / s->n_head * s->n_head_kv, ff = s->d_ff;
    double in = 1 / sqrt((double)d), out = in / sqrt(2.0 * s->n_layer), down = 1 / sqrt((double)ff) / sqrt(2.0 * s->n_layer);
    const struct {
        const char *name;
        uint64_t rows, cols;
        double deviation;
    } rows[] = {
        {"attn_norm", 0, d, 0}, {"attn_q", d, d, in}, {"attn_k", kv, d, in}, {"attn_v", kv, d, in}, {"attn_output", d, d, out},
        {"ffn_norm", 0, d, 0}, {"ffn_gate", ff, d, in}, {"ffn_up", ff, d, in}, {"ffn_down", d, ff, down},
    };
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.%s.weight", i, rows[k].name);
        slm_status st = add_tensor(f, name, rows[k].rows, rows[k].cols, rows[k].deviation, err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

/* The vocabulary's size, of either kind. */
static slm_status vocab_size(const struct fresh_params *p, uint32_t *out, slm_err *err) {
    const struct gguf_kv *kv = p->tok ? NULL : gguf_find(p->tok_file, "tokenizer.ggml.tokens");
    *out = p->tok ? p->tok->n_vocab : kv ? (uint32_t)kv->n_elem : 0;
    if (*out) return SLM_OK;
    return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": has no vocabulary", gguf_path(p->tok_file));
}

static slm_status put_tokenizer(struct gguf_writer *w, const struct fresh_params *p, slm_err *err) {
    slm_status st = p->tok ? model_put_tokenizer(w, p->tok, err) : SLM_OK;
    for (size_t i = 0; !p->tok && i < gguf_n_kv(p->tok_file) && st == SLM_OK; i++) {
        const struct gguf_kv *kv = gguf_kv_at(p->tok_file, i);
        if (kv->key.len > 10 && memcmp(kv->key.ptr, "tokenizer.", 10) == 0) st = gguf_put_kv(w, kv, err);
    }
    if (st == SLM_OK && p->chat_template.len) st = gguf_put_string(w, "tokenizer.chat_template", p->chat_template, err);
    return st;
}

static slm_status put_keys(struct fresh *f, const struct fresh_params *p, uint32_t n_vocab, slm_err *err) {
    const struct fresh_shape *s = &p->shape;
    struct gguf_writer *w = f->writer;
    const struct {
        const char *key;
        uint32_t value;
    } rows[] = {
        {"llama.block_count", s->n_layer}, {"llama.context_length", p->n_ctx}, {"llama.embedding_length", s->d_model},
        {"llama.feed_forward_length", s->d_ff}, {"llama.attention.head_count", s->n_head}, {"llama.attention.head_count_kv", s->n_head_kv},
        {"llama.rope.dimension_count", s->d_model / s->n_head}, {"llama.vocab_size", n_vocab}, {"general.file_type", 0},
    };
    slm_status st = gguf_put_string(w, "general.architecture", VIEW("llama"), err);
    if (st == SLM_OK && p->name) st = gguf_put_string(w, "general.name", view_of(p->name), err);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && st == SLM_OK; i++) st = gguf_put_u32(w, rows[i].key, rows[i].value, err);
    if (st == SLM_OK) st = gguf_put_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f, err);
    if (st == SLM_OK) st = gguf_put_f32(w, "llama.rope.freq_base", p->rope_base > 0 ? p->rope_base : 10000, err);
    return st == SLM_OK ? put_tokenizer(w, p, err) : st;
}

static slm_status check_shape(const struct fresh_params *p, slm_err *err) {
    const struct fresh_shape *s = &p->shape;
    if (s->n_head && s->d_model % s->n_head == 0 && s->d_model / s->n_head % 2 == 0 && s->n_head_kv && s->n_head % s->n_head_kv == 0) return SLM_OK;
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "shape d=%u,H=%u,KV=%u: H must divide d into even parts, KV must divide H", s->d_model, s->n_head, s->n_head_kv);
    return SLM_E_USAGE;
}

slm_status fresh_create(const struct fresh_params *p, struct slm_model **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct fresh *f = NULL;
    struct gguf *g = NULL;
    void *mem = NULL;
    uint32_t n_vocab;
    *out = NULL;
    TRY(check_shape(p, err));
    TRY(mem_alloc(&mem, 1, sizeof *f, "model", err));
    f = mem;
    arena_init(&f->arena, SIZE_MAX);
    rng_init(&f->rng, p->seed);
    f->cap = 4 + (size_t)p->shape.n_layer * 9;
    TRY(mem_alloc(&mem, f->cap, sizeof *f->data, "tensors", err));
    f->data = mem;
    TRY(gguf_writer_create(&f->writer, err));
    TRY(vocab_size(p, &n_vocab, err));
    TRY(put_keys(f, p, n_vocab, err));
    TRY(add_tensor(f, "token_embd.weight", n_vocab, p->shape.d_model, 0.02, err));
    for (uint32_t i = 0; i < p->shape.n_layer; i++) TRY(add_layer(f, &p->shape, i, err));
    TRY(add_tensor(f, "output_norm.weight", 0, p->shape.d_model, 0, err));
    if (p->untied) TRY(add_tensor(f, "output.weight", n_vocab, p->shape.d_model, 1 / sqrt((double)p->shape.d_model), err));
    TRY(gguf_view(f->writer, p->name ? p->name : "fresh model", f->data, fresh_release, f, &g, err));
    f = NULL; /* the view's now */
    TRY(model_bind(g, 0, out, err));
out:
    if (f) fresh_release(f);
    return st;
}
