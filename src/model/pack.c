/* pack.c -- a model's quantized matrices as panels (compute/pack.h).
 *
 * Panels are one region: slot after slot in the order of the architecture's rows. Embedding tables are read by rows, so they stay as
 * they are, unless one is the output head as well: its rows are then taken from the panels, so that memory does not hold the table
 * twice. A matrix's pages of the file leave memory as soon as it is packed: the sum stays that of the file. Packing is a pass over memory, so the threads share it panel by panel. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/pool.h"
#include "base/util.h"
#include "model/model_int.h"

/* Calls fn for every slot that has a packed form. */
typedef void (*slot_fn)(struct weight *w, void *ctx);

static void visit(struct bound *b, slot_fn fn, void *ctx) {
    if (b->w.data && pack_fits(b->w.dtype, b->w.d_in)) fn(&b->w, ctx);
    for (uint32_t e = 0; e < b->n_stack; e++)
        if (pack_fits(b->stack[e].dtype, b->stack[e].d_in)) fn(&b->stack[e], ctx);
}

static void for_each_slot(const struct slm_model *m, slot_fn fn, void *ctx) {
    struct slm_model *w = (struct slm_model *)(uintptr_t)m; /* fn decides whether it changes anything */
    if (!m->arch) return;
    for (int i = 0; i < W_LAYER_FIRST; i++)
        if (i != W_TOK_EMBD && i != W_POS_EMBD && i != W_TYPE_EMBD && i != W_PLE_EMBD) visit(&w->global[i], fn, ctx);
    for (uint32_t l = 0; l < m->hp.n_layer; l++)
        for (int i = 0; i < W_COUNT - W_LAYER_FIRST; i++) visit(&w->layers[l].slot[i], fn, ctx);
}

static void add_bytes(struct weight *w, void *ctx) { *(size_t *)ctx += pack_bytes(pack_get(w->dtype), w->d_out, w->d_in); }

static slm_status wants_panels(bool *wants, slm_err *err) {
    const char *how = env_get(ENV_SLM_MATMUL);
    *wants = !how || strcmp(how, "f32") != 0;
    if (how && *wants && strcmp(how, "int8") != 0)
        return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "SLM_MATMUL \"%.40s\": must be int8 or f32", how);
    return SLM_OK;
}

uint64_t model_pack_bytes(const struct slm_model *m) {
    size_t bytes = 0;
    bool wants;
    if (wants_panels(&wants, NULL) != SLM_OK || !wants) return 0;
    for_each_slot(m, add_bytes, &bytes);
    return bytes;
}

struct packing {
    const struct slm_model *m;
    struct pool *pool;
    uint8_t *next; /* free part of the region */
};

struct panels_ctx {
    const struct weight *w;
    uint8_t *dst;
};

static void pack_panels(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct panels_ctx *c = ctx;
    const struct weight *w = c->w;
    const struct pack_desc *p = pack_get(w->dtype);
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t row = i * PANEL_ROWS, n = w->d_out - row < PANEL_ROWS ? w->d_out - row : PANEL_ROWS;
        pack_panel(p, c->dst + (size_t)i * pack_panel_bytes(p, w->d_in), w->data + row * w->row_bytes, w->row_bytes, n, w->d_in);
    }
}

static void pack_slot(struct weight *w, void *ctx) {
    struct packing *p = ctx;
    struct panels_ctx c = {w, p->next};
    pool_run(p->pool, (w->d_out + PANEL_ROWS - 1) / PANEL_ROWS, 1, pack_panels, &c);
    w->panels = p->next;
    p->next += pack_bytes(pack_get(w->dtype), w->d_out, w->d_in);
    gguf_forget(p->m->gguf, w->data, (size_t)(w->d_out * w->row_bytes));
}

static void add_layout(struct weight *w, void *ctx) {
    const int64_t parts[] = {w->dtype, w->d_out, w->d_in};
    *(uint64_t *)ctx = hash_bytes(*(uint64_t *)ctx, parts, sizeof parts);
}

static void use_mapped(struct weight *w, void *ctx) {
    const uint8_t **next = ctx;
    w->panels = *next;
    *next += pack_bytes(pack_get(w->dtype), w->d_out, w->d_in);
}

/* Both the file's pages and the panels' are counted: the file's are given back while panels are made. */
static slm_status check_memory(size_t bytes, slm_err *err) {
    struct cpu_info cpu;
    cpu_info_get(&cpu);
    if (cpu.mem_available_bytes == 0 || bytes <= cpu.mem_available_bytes) return SLM_OK;
    slm_status st = err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "packed weights need %zu MiB, %llu MiB are free", bytes >> 20,
                            (unsigned long long)(cpu.mem_available_bytes >> 20));
    err_hint(err, "SLM_MATMUL=f32 multiplies from the file, several times slower");
    return st;
}

static slm_status pack_all(struct slm_model *m, int n_threads, size_t bytes, slm_err *err) {
    slm_status st = SLM_OK;
    struct packing p = {.m = m};
    void *region = NULL;
    TRY(check_memory(bytes, err));
    TRY(pool_create(n_threads, &p.pool, err));
    TRY(mem_reserve(&region, bytes, "packed weights", err));
    m->panels = p.next = region;
    m->panels_bytes = bytes;
    for_each_slot(m, pack_slot, &p);
    SLM_ASSERT(p.next == m->panels + bytes);
out:
    pool_destroy(p.pool);
    return st;
}

static slm_status pack_or_map(struct slm_model *m, int n_threads, slm_err *err) {
    slm_status st = SLM_OK;
    const uint8_t *mapped = NULL;
    uint64_t layout = HASH_START, cache_max;
    size_t bytes = (size_t)model_pack_bytes(m);
    bool wants;
    TRY(wants_panels(&wants, err));
    TRY(panels_cache_limit(&cache_max, err));
    if (bytes == 0 || m->is_packed) goto out;
    double t0 = trace_begin();
    for_each_slot(m, add_layout, &layout);
    m->panels_file = panels_file_open(gguf_identity(m->gguf), layout, bytes, cache_max, &mapped);
    if (mapped) {
        for_each_slot(m, use_mapped, &mapped);
    } else {
        TRY(pack_all(m, n_threads, bytes, err));
        panels_file_write(m->panels_file, m->panels);
    }
    if (m->global[W_TOK_EMBD].w.data == m->global[W_OUTPUT].w.data) m->global[W_TOK_EMBD].w.panels = m->global[W_OUTPUT].w.panels;
    m->is_packed = true;
    trace_end(t0, "model.pack", "%zu bytes %s", bytes, m->panels ? "packed" : "mapped");
out:
    return st;
}

slm_status model_pack(struct slm_model *m, int n_threads, slm_err *err) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* two first sessions at once */
    pthread_mutex_lock(&lock);
    slm_status st = pack_or_map(m, n_threads, err);
    pthread_mutex_unlock(&lock);
    return st;
}

void model_unpack(struct slm_model *m) {
    panels_file_close(m->panels_file);
    mem_release(m->panels, m->panels_bytes);
    m->panels_file = NULL;
    m->panels = NULL;
}
