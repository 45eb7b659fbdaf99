/* quant_plan.c -- which tensor gets which type, before anything is written: mixes, overrides, rows that do not fit. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/show.h"
#include "engine/quantize_int.h"

/* A parsed "REGEX=TYPE". */
struct override {
    pcre2_code *code;
    enum dtype to;
};

static enum dtype dtype_near(const char *name) {
    const char *known[DTYPE_COUNT];
    for (int i = 0; i < DTYPE_COUNT; i++) known[i] = dtype_get((enum dtype)i)->name;
    const char *near = nearest_name(name, known, DTYPE_COUNT);
    return near && nearest_is_close(name, near) ? dtype_by_name(near)->id : DTYPE_COUNT;
}

static slm_status parse_override(const char *text, struct override *o, slm_err *err) {
    const char *equals = strrchr(text, '=');
    const struct dtype_desc *d = equals ? dtype_by_name(equals + 1) : NULL;
    int number;
    PCRE2_SIZE at;
    if (!equals || equals == text) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "tensor types \"%s\": not of the form REGEX=TYPE", show_cstr(text).s);
    if (!d || !d->from_f32) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "tensor type \"%s\": %s", show_cstr(equals + 1).s, d ? "cannot be written" : "unknown");
        enum dtype near = dtype_near(equals + 1);
        if (!d && near != DTYPE_COUNT) err_hint(err, "did you mean \"%s\"?", dtype_get(near)->name);
        return SLM_E_USAGE;
    }
    o->to = d->id;
    o->code = pcre2_compile((PCRE2_SPTR)text, (PCRE2_SIZE)(equals - text), 0, &number, &at, NULL);
    if (!o->code) {
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(number, why, sizeof why);
        return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "tensor pattern \"%s\": %s, at character %zu", show_cstr(text).s, (char *)why, (size_t)at);
    }
    return SLM_OK;
}

/* Place of the first override that matches, or n. A pattern that runs too long counts as none. */
static size_t match_override(const struct override *o, size_t n, struct view name) {
    for (size_t i = 0; i < n; i++) {
        pcre2_match_data *match = pcre2_match_data_create_from_pattern(o[i].code, NULL);
        int found = match ? pcre2_match(o[i].code, (PCRE2_SPTR)name.ptr, name.len, 0, 0, match, NULL) : -1;
        pcre2_match_data_free(match);
        if (found >= 0) return i;
    }
    return n;
}

static uint64_t get_u64(const struct gguf *g, struct view arch, const char *key, uint64_t fallback) {
    char name[192];
    uint64_t v = fallback;
    snprintf(name, sizeof name, "%.*s.%s", VIEW_ARG(arch), key);
    const struct gguf_kv *kv = gguf_find(g, name);
    if (!kv || kv->n_elem < 1 || kv->type == GGUF_STRING || (kv->type == GGUF_ARRAY && kv->elem_type == GGUF_STRING)) return fallback;
    int64_t first = gguf_kv_i64(kv, 0); /* of a list per layer the first stands for all: mixes look at the kind of model */
    return first > 0 ? (uint64_t)first : v;
}

/* What is the same for all tensors. */
static struct tensor_place place_of_file(const struct gguf *g, const struct quant_params *p) {
    struct view arch = {0};
    (void)gguf_get_string(g, "general.architecture", &arch, NULL);
    uint64_t n_head = get_u64(g, arch, "attention.head_count", 1), n_kv = get_u64(g, arch, "attention.head_count_kv", n_head);
    struct tensor_place place = {.has_imatrix = p->imatrix != NULL, .is_tied = !gguf_find_tensor(g, "output.weight")};
    place.n_layer = (uint32_t)get_u64(g, arch, "block_count", 0);
    place.n_group = (uint32_t)(n_head / (n_kv ? n_kv : 1));
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        uint32_t i_layer;
        (void)tensor_role_of(gguf_tensor_at(g, i)->name, &i_layer);
        if (i_layer >= place.n_layer && i_layer < 100000) place.n_layer = i_layer + 1;
    }
    return place;
}

static bool is_float(enum dtype d) { return d == DTYPE_F32 || d == DTYPE_F16 || d == DTYPE_BF16 || d == DTYPE_F64; }

static uint64_t d_in_of(const struct gguf_tensor *t) { return t->shape[t->n_dim ? t->n_dim - 1 : 0]; }

/* Vectors and the like become f32, which every reader takes; whole numbers stay what they are. */
static enum dtype kept_type(const struct gguf_tensor *t) { return is_float(t->dtype) && t->n_elem ? DTYPE_F32 : t->dtype; }

static uint64_t bytes_of(const struct gguf_tensor *t, enum dtype d) {
    uint64_t bytes = 0;
    return dtype_row_bytes(d, t->n_elem, &bytes) ? bytes : 0;
}

static slm_status choose(const struct gguf_tensor *t, struct tensor_place place, const struct quant_params *p, const struct override *overrides,
                         struct quant_choice *c, slm_err *err) {
    size_t i = match_override(overrides, p->n_overrides, t->name);
    *c = (struct quant_choice){.tensor = t};
    place.role = tensor_role_of(t->name, &place.i_layer);
    c->is_fixed = i < p->n_overrides;
    c->is_kept = t->n_dim < 2 || t->n_elem == 0 || place.role == ROLE_KEPT || !dtype_get(t->dtype)->from_f32;
    if (t->n_dim < 2 && c->is_fixed && dtype_get(overrides[i].to)->block_elems > 1)
        return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "tensor \"%s\": a vector cannot be \"%s\"", show_view(t->name).s, dtype_get(overrides[i].to)->name);
    c->wanted = c->is_fixed ? overrides[i].to : c->is_kept ? kept_type(t) : file_type_choose(p->type, &place);
    if (t->n_elem == 0) c->wanted = t->dtype, c->is_fixed = false;
    if (c->is_kept && !c->is_fixed) {
        c->to = c->wanted;
    } else {
        c->to = dtype_that_fits(c->wanted, d_in_of(t));
        c->is_fallback = c->to != c->wanted;
    }
    if (!is_float(t->dtype) && c->to != t->dtype && !p->requantize) {
        err_set(err, SLM_E_UNSUPPORTED, t->offset, "tensor \"%s\": is \"%s\" already; quantizing twice adds both errors", show_view(t->name).s,
                dtype_get(t->dtype)->name);
        err_hint(err, "start from the F16, BF16 or F32 file, or say --requantize");
        return SLM_E_UNSUPPORTED;
    }
    c->bytes = bytes_of(t, c->to);
    return SLM_OK;
}

slm_status quant_plan_make(const struct gguf *g, const struct quant_params *p, struct quant_plan *plan, slm_err *err) {
    slm_status st = SLM_OK;
    struct override *overrides = NULL;
    size_t n_parsed = 0;
    void *mem = NULL;
    *plan = (struct quant_plan){.source = g, .n = gguf_n_tensor(g), .type = p->type};
    TRY(mem_alloc(&mem, p->n_overrides + 1, sizeof *overrides, "tensor patterns", err));
    overrides = mem;
    for (; n_parsed < p->n_overrides; n_parsed++) TRY(parse_override(p->overrides[n_parsed], &overrides[n_parsed], err));
    TRY(mem_alloc(&mem, plan->n + 1, sizeof *plan->choices, "tensor list", err));
    plan->choices = mem;
    struct tensor_place place = place_of_file(g, p);
    for (size_t i = 0; i < plan->n; i++) {
        TRY(choose(gguf_tensor_at(g, i), place, p, overrides, &plan->choices[i], err));
        plan->bytes_from += plan->choices[i].tensor->n_bytes;
        plan->bytes_to += plan->choices[i].bytes;
        plan->n_elem += plan->choices[i].tensor->n_elem;
    }
out:
    for (size_t i = 0; i < n_parsed; i++) pcre2_code_free(overrides[i].code);
    free(overrides);
    if (st != SLM_OK) quant_plan_fini(plan);
    return st;
}

void quant_plan_fini(struct quant_plan *plan) {
    free(plan->choices);
    *plan = (struct quant_plan){0};
}

void quant_choice_set(struct quant_plan *plan, size_t i, enum dtype to) {
    struct quant_choice *c = &plan->choices[i];
    plan->bytes_to -= c->bytes;
    c->wanted = to;
    c->to = dtype_that_fits(to, d_in_of(c->tensor));
    c->is_fallback = c->to != to;
    c->bytes = bytes_of(c->tensor, c->to);
    plan->bytes_to += c->bytes;
}

slm_status quant_types(const struct gguf *g, const struct file_type *type, enum dtype **types, slm_err *err) {
    struct quant_params p = {.type = type};
    struct quant_plan plan = {0};
    void *mem = NULL;
    slm_status st = SLM_OK;
    *types = NULL;
    TRY(quant_plan_make(g, &p, &plan, err));
    TRY(mem_alloc(&mem, plan.n + 1, sizeof **types, "tensor types", err));
    *types = mem;
    for (size_t i = 0; i < plan.n; i++) (*types)[i] = plan.choices[i].to;
out:
    quant_plan_fini(&plan);
    return st;
}
