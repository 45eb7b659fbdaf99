/* lora.c -- an adapter beside a model: halves of matrices as f32, bound to the slots that the forward pass multiplies by.
 *
 * b is kept transposed, [r, d_out], so that what a row gets is a sum of r rows (ops.rank_add). A slot that is part of a fused tensor (q of q+k+v) takes
 * the whole a and its columns of b. All lies in one region: it is counted in the plan, and read from the file once. */
#include "model/lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "base/util.h"
#include "model/lora_int.h"
#include "model/model_int.h"

bool lora_mix_is_none(const struct lora_mix *m) {
    for (size_t i = 0; m && i < LORAS_MAX; i++)
        if (m->scale[i] != 0) return false;
    return true;
}

bool lora_mix_equal(const struct lora_mix *a, const struct lora_mix *b) {
    static const struct lora_mix none;
    const struct lora_mix *p = a ? a : &none, *q = b ? b : &none;
    for (size_t i = 0; i < LORAS_MAX; i++)
        if (p->scale[i] < q->scale[i] || p->scale[i] > q->scale[i]) return false;
    return true;
}

uint64_t model_lora_bytes(const struct slm_model *m) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < m->n_loras; i++) bytes += m->loras[i]->bytes;
    return bytes;
}

uint32_t model_lora_rank_max(const struct slm_model *m) {
    uint32_t r = 0;
    for (uint32_t i = 0; i < m->n_loras; i++) r = m->loras[i]->rank_max > r ? m->loras[i]->rank_max : r;
    return r;
}

struct view_of_model {
    struct slm_model m; /* first */
    struct lora_mix mix;
};

slm_status model_with_lora(struct slm_model *m, const struct lora_mix *mix, int n_threads, struct slm_model **out, slm_err *err) {
    void *mem = NULL;
    *out = NULL;
    slm_status st = model_pack(m, n_threads, err);
    if (st == SLM_OK) st = mem_alloc(&mem, 1, sizeof(struct view_of_model), "model", err);
    if (st != SLM_OK) return st;
    struct view_of_model *v = mem;
    v->m = *m;
    v->mix = *mix;
    v->m.lora_default = &v->mix;
    *out = &v->m;
    return SLM_OK;
}

void model_view_end(struct slm_model *view) { free(view); }

const char *model_lora_path(const struct slm_model *m, uint32_t i) { return m->loras[i]->path; }

/* Slots that the forward pass reaches by forward_linears, row by row of the batch; the rest is looked up, stacked, or comes after pooling. */
static bool is_adaptable(const struct arch_tensor *row) {
    static const enum weight_slot others[] = {W_TOK_EMBD, W_POS_EMBD, W_TYPE_EMBD, W_PLE_EMBD, W_CLS, W_CLS_OUT, W_DENSE_2, W_DENSE_3};
    if (row->flags & (TENSOR_VECTOR | TENSOR_F32)) return false;
    if (row->flags & TENSOR_STACK) return row->slot == W_MOE_GATE || row->slot == W_MOE_UP || row->slot == W_MOE_DOWN;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (row->slot == others[i]) return false;
    return true;
}

struct binding {
    struct slm_model *m;
    const struct gguf *file;
    struct lora *lora;
    double alpha;
    uint64_t used; /* floats of the region */
};

static slm_status refuse(const struct binding *b, const struct lora_halves *h, struct view name, slm_err *err) {
    return err_set(err, SLM_E_UNSUPPORTED, h->a->offset, "\"%s\": an adapter of \"%s\" is not supported: only matrices that every token is multiplied by", show_cstr(gguf_path(b->file)).s,
                   show_view(name).s);
}

/* [d_out, r] -> [r, d_out], of each matrix in a stack. */
static slm_status copy_b(struct binding *b, const struct gguf_tensor *t, float *to, slm_err *err) {
    uint64_t r = t->shape[t->n_dim - 1], d_out = t->shape[t->n_dim - 2], n_row = t->n_elem / r;
    size_t row_bytes = t->n_bytes / n_row;
    float row[LORA_RANK_MAX];
    for (uint64_t n = 0; n < n_row; n++) {
        uint64_t i = n % d_out;
        if (n > 0 && i == 0) to += r * d_out;
        slm_status st = lora_file_values(b->file, t, t->data + n * row_bytes, row, r, err);
        if (st != SLM_OK) return st;
        for (uint64_t k = 0; k < r; k++) to[k * d_out + i] = row[k];
    }
    return SLM_OK;
}

/* A tensor of the base that the adapter has, once: where its halves lie. */
struct placed {
    const float *a, *b;
};

static slm_status place(struct binding *b, const struct lora_halves *h, struct placed *p, slm_err *err) {
    float *at = b->lora->weights + b->used;
    if (p->a) return SLM_OK;
    p->a = at;
    p->b = at + h->a->n_elem;
    b->used += h->a->n_elem + h->b->n_elem;
    SLM_ASSERT(b->used * sizeof(float) <= b->lora->bytes);
    slm_status st = lora_file_values(b->file, h->a, h->a->data, at, h->a->n_elem, err);
    return st == SLM_OK ? copy_b(b, h->b, at + h->a->n_elem, err) : st;
}

static slm_status bind_slot(struct binding *b, const struct arch_tensor *row, uint32_t i_layer, struct placed *placed, slm_err *err) {
    const struct slm_model *m = b->m;
    char name[GGUF_NAME_BYTES_MAX + 32];
    struct lora_halves h;
    if (!model_row_stands(m, row, i_layer)) return SLM_OK;
    model_row_name(name, sizeof name, row, i_layer);
    const struct gguf_tensor *t = gguf_find_tensor(m->gguf, name);
    if (!t || !lora_file_find(b->file, t, &h)) return SLM_OK;
    if (!is_adaptable(row))
        return refuse(b, &h, t->name, err);
    const struct bound *bound = model_slot(m, row->slot, i_layer);
    const struct weight *w = bound->n_stack ? bound->stack : &bound->w;
    if (!w->data) return SLM_OK; /* a part that this layer has not */
    struct placed *p = &placed[t - gguf_tensor_at(m->gguf, 0)];
    slm_status st = place(b, &h, p, err);
    if (st != SLM_OK) return st;
    uint64_t n_row = t->n_elem / t->shape[t->n_dim - 1], first = (uint64_t)(w->data - t->data) / (t->n_bytes / n_row), r = lora_rank(&h);
    struct lora_part *part = row->slot < W_LAYER_FIRST ? &b->lora->global[row->slot] : &b->lora->layers[i_layer].slot[row->slot - W_LAYER_FIRST];
    *part = (struct lora_part){.p = {.a = p->a, .b = p->b + first, .r = (int64_t)r, .d_in = w->d_in, .d_out = w->d_out, .ldb = (int64_t)t->shape[t->n_dim - 2]},
                               .scale = lora_alpha_scale(b->alpha, r)};
    if (r > b->lora->rank_max) b->lora->rank_max = (uint32_t)r;
    return SLM_OK;
}

static slm_status bind_all(struct binding *b, slm_err *err) {
    slm_status st = SLM_OK;
    const struct slm_model *m = b->m;
    void *placed = NULL;
    TRY(mem_alloc(&placed, gguf_n_tensor(m->gguf) + 1, sizeof(struct placed), "adapter", err));
    for (size_t i = 0; i < m->arch->n_tensors; i++) {
        const struct arch_tensor *row = &m->arch->tensors[i];
        uint32_t n = row->slot < W_LAYER_FIRST ? 1 : m->hp.n_layer;
        for (uint32_t i_layer = 0; i_layer < n; i_layer++) TRY(bind_slot(b, row, i_layer, placed, err));
    }
    for (size_t i = 0; i < gguf_n_tensor(m->gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(m->gguf, i);
        struct lora_halves h;
        if (!((const struct placed *)placed)[i].a && lora_file_find(b->file, t, &h)) st = refuse(b, &h, t->name, err);
        if (st != SLM_OK) goto out;
    }
out:
    free(placed);
    return st;
}

void lora_destroy(struct lora *l) {
    if (!l) return;
    mem_release(l->weights, l->bytes);
    free(l->layers);
    free(l->path);
    free(l);
}

slm_status model_add_lora_open(struct slm_model *m, const struct gguf *adapter, float scale, uint32_t *i, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    struct binding b = {.m = m, .file = adapter};
    double t0 = trace_begin();
    if (!isfinite(scale)) FAIL(SLM_E_USAGE, SLM_NOWHERE, "\"%s\": its scale is no number", show_cstr(gguf_path(adapter)).s);
    if (m->n_loras == LORAS_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "\"%s\": more than %d adapters", show_cstr(gguf_path(adapter)).s, LORAS_MAX);
    TRY(lora_file_check(adapter, m->gguf, &b.alpha, err));
    if (!m->lora_default) {
        free(m->loras);
        m->loras = NULL;
        TRY(mem_alloc(&mem, LORAS_MAX, sizeof *m->loras, "adapters", err));
        m->loras = mem;
        TRY(mem_alloc(&mem, 1, sizeof *m->lora_default, "adapters", err));
        m->lora_default = mem;
    }
    TRY(mem_alloc(&mem, 1, sizeof *b.lora, "adapter", err));
    b.lora = mem;
    TRY(mem_alloc(&mem, m->hp.n_layer, sizeof *b.lora->layers, "adapter", err));
    b.lora->layers = mem;
    if (!(b.lora->path = strdup(gguf_path(adapter)))) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "adapter: out of memory");
    for (size_t k = 0; k < gguf_n_tensor(adapter); k++) b.lora->bytes += gguf_tensor_at(adapter, k)->n_elem * sizeof(float);
    TRY(mem_reserve(&mem, b.lora->bytes, "adapter", err));
    b.lora->weights = mem;
    TRY(bind_all(&b, err));
    m->lora_default->scale[m->n_loras] = scale;
    if (i) *i = m->n_loras;
    m->loras[m->n_loras++] = b.lora;
    b.lora = NULL;
    trace_end(t0, "model.lora", "%s", gguf_path(adapter));
out:
    lora_destroy(b.lora);
    return st;
}

slm_status model_add_lora(struct slm_model *m, const char *path, float scale, uint32_t *i, slm_err *err) {
    struct gguf *g = NULL;
    slm_status st = gguf_open(path, &g, err);
    if (st == SLM_OK) st = model_add_lora_open(m, g, scale, i, err);
    gguf_close(g);
    return st;
}
