/* make.c -- conversions into blobs. A result is written beside the blobs, hashed, and then renamed to what it is. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/hf.h"
#include "model/model.h"
#include "store/make_int.h"
#include "train/adapter.h"

bool title_is_safe(const char *name) {
    if (!*name || *name == '/' || strlen(name) > 512 || strchr(name, '\\')) return false;
    for (const char *p = name; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
        if (*p == 0 || *p == '/' || *p == '.') return false; /* empty, ".", "..", hidden */
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < 0x21 || *p == '?' || *p == '#' || *p == '%' || *p == 0x7f) return false;
    return true;
}

uint64_t layers_key(const struct manifest *m) {
    uint64_t key = HASH_START;
    for (size_t i = 0; i < m->n_layers; i++) {
        const char *title = m->layers[i].title ? m->layers[i].title : "";
        key = hash_bytes(key, m->layers[i].digest, DIGEST_MAX);
        key = hash_bytes(key, title, strlen(title) + 1);
    }
    return key;
}

/* A link at path to target. One that is there may be of a blob that has moved since: it is made anew beside it, and takes its place at once. */
static slm_status link_set(const char *target, const char *path, slm_err *err) {
    char now[8192], beside[8192];
    if (symlink(target, path) == 0) return SLM_OK;
    if (errno != EEXIST) return err_set(err, SLM_E_IO, SLM_NOWHERE, "link \"%.200s\": %s", path, strerror(errno));
    ssize_t n = readlink(path, now, sizeof now - 1);
    if (n > 0 && (size_t)n == strlen(target) && memcmp(now, target, (size_t)n) == 0) return SLM_OK;
    if (snprintf(beside, sizeof beside, "%s.%d", path, (int)getpid()) >= (int)sizeof beside) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "link \"%.200s\": its path is too long", path);
    if (symlink(target, beside) == 0 && rename(beside, path) == 0) return SLM_OK;
    err_set(err, SLM_E_IO, SLM_NOWHERE, "link \"%.200s\": %s", path, strerror(errno));
    unlink(beside);
    return SLM_E_IO;
}

static slm_status view_link(struct store *s, const char *folder, const struct layer *l, slm_err *err) {
    slm_status st = SLM_OK;
    struct buf path;
    char *blob = store_blob_path(s, l->digest), *real = blob ? realpath(blob, NULL) : NULL;
    buf_init(&path, 8192);
    buf_printf(&path, "%s/%s", folder, l->title);
    if (!title_is_safe(l->title)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "file \"%.100s\" of the model: its name could leave the folder", l->title);
    if (!real) FAIL(SLM_E_IO, SLM_NOWHERE, "blob \"%s\": %s", l->digest, strerror(errno));
    TRY(buf_status(&path, "link", err));
    TRY(store_make_parents(path.data, err));
    TRY(link_set(real, path.data, err));
out:
    buf_fini(&path);
    free(blob);
    free(real);
    return st;
}

slm_status view_make(struct store *s, const struct manifest *m, enum layer_kind kind, char **folder, slm_err *err) {
    slm_status st = SLM_OK;
    *folder = store_path(s, "views/%016llx", (unsigned long long)layers_key(m));
    if (!*folder) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "view: out of memory");
    for (size_t i = 0; i < m->n_layers && st == SLM_OK; i++)
        if (m->layers[i].kind == kind && m->layers[i].title) st = view_link(s, *folder, &m->layers[i], err);
    return st;
}

/* A name for a file that is being made; of this process and call alone. */
static char *path_for_making(const struct store *s) {
    static atomic_uint count;
    return store_path(s, "partial/making-%d-%u.gguf", (int)getpid(), atomic_fetch_add(&count, 1));
}

static slm_status place(struct store *s, const char *made, const struct create_options *o, char digest[DIGEST_MAX], uint64_t *size, slm_err *err) {
    struct stat info;
    char *blob = NULL;
    slm_status st = SLM_OK;
    TRY(store_hash(made, digest, o->cancel, err));
    store_keep(s, digest);
    blob = store_blob_path(s, digest);
    if (!blob || stat(made, &info) != 0 || rename(made, blob) != 0) FAIL(SLM_E_IO, SLM_NOWHERE, "rename \"%.200s\": %s", made, strerror(errno));
    *size = (uint64_t)info.st_size;
out:
    free(blob);
    return st;
}

static void tell(void *user, size_t i_tensor, uint64_t n_done, uint64_t n_all) {
    const struct create_options *o = user;
    (void)i_tensor;
    if (o->progress) o->progress(o->user, n_done, n_all);
}

slm_status make_from_folder(struct store *s, const char *folder, const struct file_type *type, const struct create_options *o, char digest[DIGEST_MAX], uint64_t *size, slm_err *err) {
    slm_status st = SLM_OK;
    struct hf_write_params p = {.n_threads = o->n_threads, .cancel = o->cancel, .file_type = -1, .on_progress = tell, .user = (void *)(uintptr_t)o};
    struct hf_write_result result;
    struct hf *h = NULL;
    struct gguf *g = NULL;
    enum dtype *types = NULL;
    char *made = path_for_making(s);
    if (!made) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "conversion: out of memory");
    TRY(hf_open(folder, &h, err));
    TRY(hf_describe(h, &g, err));
    if (type) TRY(quant_types(g, type, &types, err));
    if (type) p.file_type = type->gguf_id;
    p.types = types;
    TRY(hf_write(h, made, &p, &result, err));
    TRY(place(s, made, o, digest, size, err));
out:
    if (st != SLM_OK && made) unlink(made);
    gguf_close(g);
    hf_close(h);
    free(types);
    free(made);
    return st;
}

slm_status make_quantized(struct store *s, const struct gguf *g, const struct file_type *type, const struct create_options *o, char digest[DIGEST_MAX], uint64_t *size, slm_err *err) {
    slm_status st = SLM_OK;
    struct quant_params p = {.type = type, .n_threads = o->n_threads, .cancel = o->cancel, .progress = tell, .user = (void *)(uintptr_t)o};
    struct quant_plan plan = {0};
    char *made = path_for_making(s);
    if (!made) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "quantizing: out of memory");
    TRY(quant_plan_make(g, &p, &plan, err));
    TRY(quant_write(&plan, &p, NULL, 0, made, err));
    TRY(place(s, made, o, digest, size, err));
out:
    if (st != SLM_OK && made) unlink(made);
    quant_plan_fini(&plan);
    free(made);
    return st;
}

/* What was touched is f32 now: 16 bits are enough for it. The rest stays as it is, to the byte. */
static void keep_types(struct quant_plan *plan, const struct gguf *base) {
    for (size_t i = 0; i < plan->n; i++) {
        const struct gguf_tensor *t = plan->choices[i].tensor, *was = gguf_tensor_at(base, i);
        bool is_touched = t->dtype == DTYPE_F32 && was->dtype != DTYPE_F32;
        quant_choice_set(plan, i, is_touched ? DTYPE_F16 : t->dtype);
    }
}

static void tell_use(void *user, size_t i_tensor, uint64_t n_done, uint64_t n_all) {
    const struct use_options *o = user;
    (void)i_tensor;
    o->progress(o->user, n_done, n_all);
}

slm_status make_adapted(const char *base, char *const *adapters, size_t n, const char *path, const struct use_options *o, slm_err *err) {
    slm_status st = SLM_OK;
    struct gguf *g[ADAPTERS_MAX + 1] = {0};
    struct quant_plan plan = {0};
    struct quant_params p = {.type = file_type_get(FILE_TYPE_F16), .requantize = true, .cancel = o ? o->cancel : NULL, .progress = o && o->progress ? tell_use : NULL,
                             .user = (void *)(uintptr_t)o};
    if (n > ADAPTERS_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "model: %zu adapters, at most %d", n, ADAPTERS_MAX);
    TRY(model_open_file(base, 0, &g[0], err));
    for (size_t i = 0; i < n; i++) {
        if (p.cancel && *p.cancel) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted: nothing was written");
        TRY(adapter_merge(g[i], adapters[i], 1, 0, &g[i + 1], err));
    }
    TRY(quant_plan_make(g[n], &p, &plan, err));
    keep_types(&plan, g[0]);
    TRY(quant_write(&plan, &p, NULL, 0, path, err));
out:
    quant_plan_fini(&plan);
    for (size_t i = n + 1; i-- > 0;) gguf_close(g[i]);
    return st;
}
