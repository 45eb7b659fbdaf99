/* lora_file.c -- adapters on file: whether one belongs to a base, and which halves belong to which tensor. */
#include <math.h>
#include <string.h>

#include "base/show.h"
#include "model/lora.h"

#define SUFFIX_A ".lora_a"
#define SUFFIX_B ".lora_b"
#define ALPHA_MAX 1e9
enum { SUFFIX_LEN = sizeof SUFFIX_A - 1 };

static const struct gguf_tensor *named(const struct gguf *g, struct view stem, const char *suffix) {
    char full[GGUF_NAME_BYTES_MAX + 16];
    if (stem.len + strlen(suffix) >= sizeof full) return NULL;
    memcpy(full, stem.ptr, stem.len);
    memcpy(full + stem.len, suffix, strlen(suffix) + 1);
    return gguf_find_tensor(g, full);
}

static bool ends_with(struct view name, const char *suffix) { return name.len > SUFFIX_LEN && memcmp(name.ptr + name.len - SUFFIX_LEN, suffix, SUFFIX_LEN) == 0; }

/* [rows, cols] of a matrix, or of each in a stack. */
static const uint64_t *matrix_of(const struct gguf_tensor *t) { return t->shape + (t->n_dim == 3); }

uint64_t lora_rank(const struct lora_halves *h) { return matrix_of(h->a)[0]; }

bool lora_file_find(const struct gguf *adapter, const struct gguf_tensor *base, struct lora_halves *out) {
    *out = (struct lora_halves){named(adapter, base->name, SUFFIX_A), named(adapter, base->name, SUFFIX_B)};
    return out->a && out->b;
}

slm_status lora_file_values(const struct gguf *adapter, const struct gguf_tensor *t, const uint8_t *from, float *to, uint64_t n, slm_err *err) {
    dtype_get(t->dtype)->to_f32(to, from, (int64_t)n);
    for (uint64_t i = 0; i < n; i++)
        if (!isfinite(to[i]))
            return err_set(err, SLM_E_FORMAT, t->offset, "\"%s\": tensor \"%s\" holds a value that is not finite", show_cstr(gguf_path(adapter)).s, show_view(t->name).s);
    return SLM_OK;
}

double lora_alpha_scale(double alpha, uint64_t r) { return alpha != 0 ? alpha / (double)r : 1; }

static slm_status misfit(const char *path, const struct gguf_tensor *t, const struct lora_halves *h, slm_err *err) {
    const uint64_t *s = matrix_of(t), *a = matrix_of(h->a), *b = matrix_of(h->b);
    err_set(err, SLM_E_FORMAT, h->a->offset, "\"%s\": does not fit the base: \"%.*s\" is [%llu, %llu], its parts are [%llu, %llu] and [%llu, %llu]%s", show_cstr(path).s, VIEW_ARG(t->name),
            (unsigned long long)s[0], (unsigned long long)s[1], (unsigned long long)b[0], (unsigned long long)b[1], (unsigned long long)a[0], (unsigned long long)a[1],
            t->n_dim == 3 ? ", or as many of them" : "");
    err_hint(err, "an adapter belongs to the model that it was trained on");
    return SLM_E_FORMAT;
}

/* One tensor of the adapter: which one of the base it belongs to, its other half, their shapes. */
static slm_status check_tensor(const struct gguf *adapter, const struct gguf *base, const struct gguf_tensor *t, slm_err *err) {
    const char *path = gguf_path(adapter);
    bool is_a = ends_with(t->name, SUFFIX_A);
    struct lora_halves h;
    if (!is_a && !ends_with(t->name, SUFFIX_B))
        return err_set(err, SLM_E_FORMAT, t->offset, "\"%s\": tensor \"%s\" is no half of an adapter", show_cstr(path).s, show_view(t->name).s);
    struct view stem = {t->name.ptr, t->name.len - SUFFIX_LEN};
    const struct gguf_tensor *of = named(base, stem, "");
    if (!of) {
        err_set(err, SLM_E_FORMAT, t->offset, "\"%s\": does not fit the base, which has no tensor \"%s\"", show_cstr(path).s, show_view(stem).s);
        err_hint(err, "an adapter belongs to the model that it was trained on");
        return SLM_E_FORMAT;
    }
    if (!lora_file_find(adapter, of, &h))
        return err_set(err, SLM_E_FORMAT, t->offset, "\"%s\": tensor \"%s%s\" is missing", show_cstr(path).s, show_view(stem).s, is_a ? SUFFIX_B : SUFFIX_A);
    if (of->n_dim < 2 || of->n_dim > 3 || h.a->n_dim != of->n_dim || h.b->n_dim != of->n_dim)
        return err_set(err, SLM_E_FORMAT, t->offset, "\"%s\": does not fit the base: \"%s\" or a half of its adapter is no matrix", show_cstr(path).s, show_view(stem).s);
    const uint64_t *s = matrix_of(of), *a = matrix_of(h.a), *b = matrix_of(h.b);
    bool as_many = of->n_dim == 2 || (h.a->shape[0] == of->shape[0] && h.b->shape[0] == of->shape[0]);
    if (!as_many || a[1] != s[1] || b[0] != s[0] || a[0] != b[1] || a[0] == 0) return misfit(path, of, &h, err);
    if (a[0] > LORA_RANK_MAX)
        return err_set(err, SLM_E_LIMIT, t->offset, "\"%s\": tensor \"%s\": a rank of %llu, at most %d", show_cstr(path).s, show_view(t->name).s, (unsigned long long)a[0], LORA_RANK_MAX);
    if (dtype_get(t->dtype)->block_elems != 1)
        return err_set(err, SLM_E_UNSUPPORTED, t->offset, "\"%s\": tensor \"%s\": an adapter of type \"%s\" is not supported", show_cstr(path).s, show_view(t->name).s,
                       dtype_get(t->dtype)->name);
    return SLM_OK;
}

static slm_status check_keys(const struct gguf *adapter, const struct gguf *base, double *alpha, slm_err *err) {
    slm_status st = SLM_OK;
    struct view type, arch, base_arch;
    const char *path = gguf_path(adapter);
    static const char *const keys[] = {"adapter.type", "general.architecture", "adapter.lora.alpha"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!gguf_find(adapter, keys[i])) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": is no adapter: it has no key \"%s\"", show_cstr(path).s, keys[i]);
    TRY(gguf_get_string(adapter, "adapter.type", &type, err));
    if (!view_eq(type, VIEW("lora"))) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s\": adapters of type \"%s\" are not supported", show_cstr(path).s, show_view(type).s);
    if (gguf_find(adapter, "adapter.alora.invocation_tokens"))
        FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s\": adapters that begin at certain tokens (key \"adapter.alora.invocation_tokens\") are not supported", show_cstr(path).s);
    TRY(gguf_get_string(adapter, "general.architecture", &arch, err));
    TRY(gguf_get_string(base, "general.architecture", &base_arch, err));
    if (!view_eq(arch, base_arch))
        FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s\": is for architecture \"%s\", the base is \"%s\"", show_cstr(path).s, show_view(arch).s, show_view(base_arch).s);
    TRY(gguf_get_f64(adapter, "adapter.lora.alpha", alpha, err));
    if (!isfinite(*alpha) || fabs(*alpha) > ALPHA_MAX) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": key \"adapter.lora.alpha\" is no number up to %g", show_cstr(path).s, ALPHA_MAX);
out:
    return st;
}

slm_status lora_file_check(const struct gguf *adapter, const struct gguf *base, double *alpha, slm_err *err) {
    slm_status st = check_keys(adapter, base, alpha, err);
    for (size_t i = 0; i < gguf_n_tensor(adapter) && st == SLM_OK; i++) st = check_tensor(adapter, base, gguf_tensor_at(adapter, i), err);
    if (st == SLM_OK && gguf_n_tensor(adapter) == 0) st = err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": is no adapter: it has no tensors", show_cstr(gguf_path(adapter)).s);
    return st;
}
