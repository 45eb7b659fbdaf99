/* live.c -- the model as it is now: a GGUF that is nowhere on disk whose tensors are the parameters themselves.
 *
 * The engine can run it, evaluation can score it and the quantizer can write it, without a copy. Only vectors are copied, because a model
 * keeps its own of those; trainee_model brings them up to date. */
#include <stdlib.h>

#include "train/net_int.h"

#ifdef SLM_TRAIN_DOUBLE /* a model's numbers are floats: the double build has none */

slm_status live_create(struct trainee *t, slm_err *err) {
    (void)t, (void)err;
    return SLM_OK;
}
void live_destroy(struct trainee *t) { (void)t; }

#else

#include "engine/quantize.h"

struct live_data {
    struct gguf_writer *writer;
    const void **data;
};

static void release(void *user) {
    struct live_data *l = user;
    gguf_writer_destroy(l->writer);
    free(l->data);
    free(l);
}

static const struct param *find_param(const struct trainee *t, struct view name) {
    for (size_t i = 0; i < t->n_params; i++)
        if (view_eq(view_of(t->params[i].name), name)) return &t->params[i];
    return NULL;
}

static slm_status describe(struct trainee *t, struct live_data *l, slm_err *err) {
    slm_status st = SLM_OK;
    const struct gguf *g = t->base->gguf;
    void *p = NULL;
    TRY(mem_alloc(&p, gguf_n_tensor(g) + 1, sizeof *l->data, "tensors", err));
    l->data = p;
    TRY(gguf_writer_create(&l->writer, err));
    for (size_t i = 0; i < gguf_n_kv(g); i++) TRY(gguf_put_kv(l->writer, gguf_kv_at(g, i), err));
    TRY(gguf_put_u32(l->writer, "general.file_type", 0, err));
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *file = gguf_tensor_at(g, i);
        const struct param *param = find_param(t, file->name);
        char name[GGUF_NAME_BYTES_MAX + 8];
        if (file->name.len >= sizeof name) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "tensor \"%.*s\": its name is too long", VIEW_ARG(file->name));
        memcpy(name, file->name.ptr, file->name.len);
        name[file->name.len] = 0;
        l->data[i] = param ? (const void *)(t->w + param->at) : file->data;
        TRY(gguf_add_tensor(l->writer, name, param ? DTYPE_F32 : file->dtype, file->n_dim, file->shape, err));
    }
out:
    return st;
}

slm_status live_create(struct trainee *t, slm_err *err) {
    slm_status st = SLM_OK;
    struct gguf *g = NULL;
    struct live_data *l = NULL;
    void *p = NULL;
    if (t->set.lora.r) return SLM_OK;
    TRY(mem_alloc(&p, 1, sizeof *l, "model", err));
    l = p;
    TRY(describe(t, l, err));
    TRY(gguf_view(l->writer, gguf_path(t->base->gguf), l->data, release, l, &g, err));
    l = NULL; /* the view's now */
    TRY(model_bind(g, 0, &t->live, err));
out:
    if (l) release(l);
    return st;
}

void live_destroy(struct trainee *t) {
    model_close(t->live);
    t->live = NULL;
}

/* The model's own copies of vectors; they are const to everyone else. */
static void sync_vector(const float *to, const real *from, size_t n) {
    if (to && from) memcpy((float *)(uintptr_t)to, from, n * sizeof *from);
}

struct slm_model *trainee_model(struct trainee *t) {
    if (!t->live) return (struct slm_model *)(uintptr_t)t->base;
    const struct hparams *hp = &t->hp;
    sync_vector(t->live->global[W_OUTPUT_NORM].vec, t->out_norm.w, hp->d_model);
    sync_vector(t->live->global[W_OUTPUT_NORM].bias, t->out_norm.b, hp->d_model);
    sync_vector(t->live->global[W_OUTPUT].bias, t->head.b, hp->n_vocab);
    for (uint32_t i = 0; i < hp->n_layer; i++)
        for (int s = W_LAYER_FIRST; s < W_COUNT; s++) {
            const struct bound *b = model_slot(t->live, (enum weight_slot)s, i);
            const struct norm *n = params_norm(t, (enum weight_slot)s, i);
            const struct linear *l = params_linear(t, (enum weight_slot)s, i);
            if (n) sync_vector(b->vec, n->w, params_width(t, (enum weight_slot)s, i));
            if (n) sync_vector(b->bias, n->b, params_width(t, (enum weight_slot)s, i));
            if (l) sync_vector(b->bias, l->b, (size_t)l->d_out);
        }
    return t->live;
}

slm_status trainee_export(struct trainee *t, const char *path, const char *type, const struct quant_note *notes, size_t n_notes, slm_err *err) {
    struct quant_plan plan = {0};
    struct quant_params p = {.type = file_type_by_name(type), .n_threads = pool_n_threads(t->pool), .requantize = true};
    if (!p.type) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "type \"%s\": unknown", type);
    slm_status st = quant_plan_make(trainee_model(t)->gguf, &p, &plan, err);
    if (st == SLM_OK) st = quant_write(&plan, &p, notes, n_notes, path, err);
    quant_plan_fini(&plan);
    return st;
}

uint64_t trainee_n_param(const struct trainee *t) {
    uint64_t n = 0;
    for (size_t i = 0; i < t->n_params; i++) n += t->params[i].n;
    return n;
}
size_t trainee_n_tensor(const struct trainee *t) { return t->n_params; }
struct trainee_view trainee_tensor(const struct trainee *t, size_t i) {
    const struct param *p = &t->params[i];
    return (struct trainee_view){p->name, p->kind, p->rows, p->cols, p->at, p->n};
}
float *trainee_weights(struct trainee *t) { return t->w; }
float *trainee_grads(struct trainee *t) { return t->g; }
struct pool *trainee_pool(struct trainee *t) { return t->pool; }
const struct trainee_params *trainee_params_of(const struct trainee *t) { return &t->set; }
uint64_t trainee_bytes(const struct trainee *t) { return t->bytes + t->n_elem * 2 * sizeof(real); }

#endif
