/* hf.c -- opening a folder, and running it in place.
 *
 * Reading a folder fills a gguf_writer with keys and planned tensors. That one description is then either written (convert.c) or
 * shown as an open GGUF (here), so everything above sees one kind of model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/pool.h"
#include "model/hf/hf_int.h"

#define ARENA_BYTES_MAX ((size_t)64 << 20)

bool hf_is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

void hf_close(struct hf *h) {
    if (!h) return;
    for (size_t i = 0; h->owned && i < h->n_output; i++) free(h->owned[i]);
    free(h->owned);
    free(h->outputs);
    gguf_writer_destroy(h->w);
    safetensors_close(h->st);
    for (int i = 0; i < 2; i++) safetensors_close(h->dense[i]);
    json_decref(h->root);
    arena_fini(&h->arena);
    free(h->path_config);
    free(h->folder);
    free(h);
}

slm_status hf_create(const char *folder, struct hf **out, slm_err *err) {
    struct hf *h = NULL;
    void *p = NULL;
    slm_status st;
    *out = NULL;
    TRY(mem_alloc(&p, 1, sizeof *h, "model folder", err));
    h = p;
    arena_init(&h->arena, ARENA_BYTES_MAX);
    h->folder = strdup(folder);
    if (!h->folder || asprintf(&h->path_config, "%s/config.json", folder) < 0) {
        h->path_config = NULL;
        FAIL(SLM_E_NOMEM, SLM_NOWHERE, "model folder: out of memory");
    }
    TRY(gguf_writer_create(&h->w, err));
    *out = h;
    return SLM_OK;
out:
    hf_close(h);
    return st;
}

slm_status hf_open(const char *folder, struct hf **out, slm_err *err) {
    struct hf *h = NULL;
    slm_status st;
    *out = NULL;
    TRY(hf_create(folder, &h, err));
    TRY(hf_config_open(h, err));
    TRY(hf_config_choose(h, err));
    TRY(hf_put_keys(h, err));
    st = safetensors_open_folder(folder, &h->st, err);
    if (st == SLM_E_NOT_FOUND) st = SLM_E_FORMAT; /* a folder without weights is no model */
    TRY(st);
    TRY(hf_plan_tensors(h, err));
    TRY(hf_put_sentence(h, err));
    TRY(hf_tokenizer_put(h, err));
    *out = h;
    return SLM_OK;
out:
    hf_close(h);
    if (err && st != SLM_OK) err->code = st;
    return st;
}

/* Making what cannot stay where it is. */
struct making {
    const struct hf_output *o;
    uint8_t *dst;
    uint64_t row_bytes;
    float *scratch; /* [n_threads, HF_SCRATCH_ROWS, row elements] */
};

static void make_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct making *m = ctx;
    float *scratch = m->scratch + (uint64_t)i_thread * HF_SCRATCH_ROWS * hf_output_row_elems(m->o);
    hf_output_rows(m->o, (uint64_t)begin, (uint64_t)end, m->dst + (uint64_t)begin * m->row_bytes, scratch); /* plain types hold any value */
}

static slm_status make_output(struct pool *pool, const struct hf_output *o, void **out, slm_err *err) {
    struct making m = {.o = o};
    void *scratch = NULL;
    slm_status st;
    dtype_row_bytes(o->dtype, hf_output_row_elems(o), &m.row_bytes);
    TRY(mem_alloc(&scratch, (size_t)pool_n_threads(pool) * HF_SCRATCH_ROWS * hf_output_row_elems(o), sizeof(float), "scratch", err));
    TRY(mem_alloc(out, hf_output_n_row(o), m.row_bytes, "weights made in memory", err));
    m.dst = *out;
    m.scratch = scratch;
    pool_run(pool, (int64_t)hf_output_n_row(o), 64, make_rows, &m);
out:
    free(scratch);
    return st;
}

/* A vector or small table; binding reads them, and no other bytes. */
static slm_status make_small(const struct hf_output *o, void **out, slm_err *err) {
    void *scratch = NULL;
    slm_status st = mem_alloc(&scratch, HF_SCRATCH_ROWS * hf_output_row_elems(o), sizeof(float), "scratch", err);
    if (st == SLM_OK) st = mem_alloc(out, hf_output_n_row(o) * hf_output_row_elems(o), sizeof(float), "vector", err);
    if (st == SLM_OK) hf_output_rows(o, 0, hf_output_n_row(o), *out, scratch);
    free(scratch);
    return st;
}

static void release(void *user) { hf_close(user); }

slm_status hf_describe(struct hf *h, struct gguf **out, slm_err *err) {
    void *p = NULL;
    slm_status st;
    *out = NULL;
    if (!h->owned) {
        TRY(mem_alloc(&p, h->n_output + 1, sizeof(void *), "tensor table", err));
        h->owned = p;
    }
    TRY(mem_alloc(&p, h->n_output + 1, sizeof(void *), "tensor table", err));
    const void **data = p;
    for (size_t i = 0; st == SLM_OK && i < h->n_output; i++) {
        const struct hf_output *o = &h->outputs[i];
        data[i] = !o->is_small ? (const void *)o->part[0]->data : h->owned[i] ? h->owned[i] : hf_output_in_place(o);
        if (!data[i]) st = make_small(o, &h->owned[i], err);
        if (!data[i]) data[i] = h->owned[i];
    }
    if (st == SLM_OK) st = gguf_view(h->w, h->folder, data, NULL, NULL, out, err);
    free(data);
out:
    return st;
}

slm_status hf_open_in_place(const char *folder, struct gguf **out, slm_err *err) {
    struct hf *h = NULL;
    struct pool *pool = NULL;
    void *owned = NULL, *p = NULL;
    slm_status st;
    *out = NULL;
    TRY(hf_open(folder, &h, err));
    TRY(pool_create(0, &pool, err));
    TRY(mem_alloc(&owned, h->n_output + 1, sizeof(void *), "tensor table", err));
    h->owned = owned;
    TRY(mem_alloc(&p, h->n_output + 1, sizeof(void *), "tensor table", err));
    const void **data = p;
    for (size_t i = 0; i < h->n_output; i++) {
        data[i] = hf_output_in_place(&h->outputs[i]);
        if (data[i]) continue;
        TRY(make_output(pool, &h->outputs[i], &h->owned[i], err));
        data[i] = h->owned[i];
    }
    TRY(gguf_view(h->w, folder, data, release, h, out, err));
    h = NULL;
out:
    free(p);
    pool_destroy(pool);
    hf_close(h);
    return st;
}

slm_status hf_open_vocabulary(const char *folder, struct gguf **out, slm_err *err) {
    struct hf *h = NULL;
    slm_err ignored;
    slm_status st;
    *out = NULL;
    TRY(hf_create(folder, &h, err));
    /* A configuration helps (the size of the vocabulary, the architecture's habits) and is not needed. */
    if (hf_config_open(h, &ignored) == SLM_OK && hf_config_choose(h, &ignored) == SLM_OK)
        TRY(gguf_put_string(h->w, "general.architecture", view_of(h->arch->name), err));
    TRY(hf_tokenizer_put(h, err));
    TRY(gguf_view(h->w, folder, NULL, release, h, out, err));
    h = NULL;
out:
    hf_close(h);
    return st;
}
