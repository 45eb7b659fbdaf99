/* pull.c -- the order of things: blobs first, the manifest last, so that a name is whole or is not.
 *
 * What needs its own file name (shards of a split GGUF, a folder of safetensors) is shown as a folder of symbolic links, views/<hash>/. */
#include "store/pull.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/quantize.h"
#include "model/hf.h"

/* One file is in the store in the end, from wherever; *l says what it is. */
static slm_status get_file(struct store *s, const struct remote *r, const struct remote_file *f, const struct pull_options *o, char digest[DIGEST_MAX], uint64_t *size, slm_err *err) {
    if (f->digest[0] && f->size != UINT64_MAX && store_has_blob(s, f->digest, f->size)) {
        memcpy(digest, f->digest, DIGEST_MAX);
        *size = f->size;
        return SLM_OK;
    }
    if (o->on_file) o->on_file(o->user, f);
    char *cached = cache_find(&r->name, f, o->fetch.cancel);
    if (cached) {
        struct stat info;
        slm_status st = store_link(s, cached, f->digest, err);
        *size = stat(cached, &info) == 0 ? (uint64_t)info.st_size : 0;
        memcpy(digest, f->digest, DIGEST_MAX);
        free(cached);
        return st;
    }
    return fetch_blob(s, f->url, r->token, f->digest, f->size, &o->fetch, digest, size, err);
}

/* views/<key>/<title> -> blob, for all layers that have a title and are of the kind. Returns the folder. */
static slm_status make_view(struct store *s, const struct manifest *m, enum layer_kind kind, char **folder, slm_err *err) {
    uint64_t key = HASH_START;
    slm_status st = SLM_OK;
    for (size_t i = 0; i < m->n_layers; i++) key = hash_bytes(key, m->layers[i].digest, DIGEST_MAX);
    *folder = store_path(s, "views/%016llx", (unsigned long long)key);
    if (!*folder) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "view: out of memory");
    for (size_t i = 0; i < m->n_layers && st == SLM_OK; i++) {
        const struct layer *l = &m->layers[i];
        if (l->kind != kind || !l->title) continue;
        char *path = store_path(s, "views/%016llx/%s", (unsigned long long)key, l->title), *blob = store_blob_path(s, l->digest), *real = blob ? realpath(blob, NULL) : NULL;
        if (!path || !real) st = err_set(err, SLM_E_IO, SLM_NOWHERE, "blob \"%s\": %s", l->digest, strerror(errno));
        if (st == SLM_OK) st = store_make_parents(path, err);
        if (st == SLM_OK && symlink(real, path) != 0 && errno != EEXIST) st = err_set(err, SLM_E_IO, SLM_NOWHERE, "link \"%.200s\": %s", path, strerror(errno));
        free(path);
        free(blob);
        free(real);
    }
    return st;
}

/* The folder's files become one GGUF blob, of the type that the tag names. */
static slm_status convert(struct store *s, const struct remote *r, const struct pull_options *o, const struct manifest *files, struct manifest *m, slm_err *err) {
    slm_status st = SLM_OK;
    struct hf_write_params p = {.n_threads = o->n_threads, .cancel = o->fetch.cancel, .file_type = -1};
    struct hf_write_result result;
    const struct file_type *type = NULL;
    struct hf *h = NULL;
    struct gguf *g = NULL;
    enum dtype *types = NULL;
    struct stat info;
    char *folder = NULL, *out = store_path(s, "partial/%s-%s-%d.gguf", r->name.space, r->name.model, (int)getpid()), *blob = NULL, digest[DIGEST_MAX];
    if (!out) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "conversion: out of memory");
    if (strcmp(r->name.tag, "auto") != 0 && !(type = file_type_by_name(r->name.tag)))
        FAIL(SLM_E_USAGE, SLM_NOWHERE, "quant \"%s\": no such type to convert to", r->name.tag);
    TRY(make_view(s, files, LAYER_OTHER, &folder, err));
    TRY(hf_open(folder, &h, err));
    TRY(hf_describe(h, &g, err));
    if (type) TRY(quant_types(g, type, &types, err));
    if (type) p.file_type = type->gguf_id;
    p.types = types;
    TRY(hf_write(h, out, &p, &result, err));
    TRY(store_hash(out, digest, o->fetch.cancel, err));
    blob = store_blob_path(s, digest);
    if (!blob || stat(out, &info) != 0 || rename(out, blob) != 0) FAIL(SLM_E_IO, SLM_NOWHERE, "rename \"%.200s\": %s", out, strerror(errno));
    TRY(manifest_init(m, 1, err));
    TRY(manifest_add(m, LAYER_MODEL, digest, (uint64_t)info.st_size, NULL, err));
out:
    if (st != SLM_OK && out) unlink(out);
    gguf_close(g);
    hf_close(h);
    free(types);
    free(folder);
    free(out);
    free(blob);
    return st;
}

static slm_status add_license(struct store *s, const struct remote *r, struct manifest *m, slm_err *err) {
    char digest[DIGEST_MAX];
    if (!r->license || manifest_find(m, LAYER_LICENSE)) return SLM_OK;
    slm_status st = store_add(s, view_of(r->license), digest, err);
    return st == SLM_OK ? manifest_add(m, LAYER_LICENSE, digest, strlen(r->license), NULL, err) : st;
}

slm_status pull_model(struct store *s, const struct remote *r, const struct pull_options *o, struct manifest *m, slm_err *err) {
    slm_status st = SLM_OK;
    int lock = -1;
    struct manifest files = {0};
    memset(m, 0, sizeof *m);
    TRY(store_lock(s, false, &lock, err));
    TRY(manifest_init(&files, r->n_files + 1, err));
    for (size_t i = 0; i < r->n_files; i++) {
        char digest[DIGEST_MAX];
        uint64_t size;
        TRY(get_file(s, r, &r->files[i], o, digest, &size, err));
        TRY(manifest_add(&files, r->files[i].kind, digest, size, r->files[i].title, err));
    }
    if (r->is_folder) TRY(convert(s, r, o, &files, m, err));
    else {
        *m = files;
        memset(&files, 0, sizeof files);
    }
    if (r->name.kind != NAME_OLLAMA) TRY(add_license(s, r, m, err));
    if (r->n_files) m->source = arena_strdup(&m->mem, view_of(r->files[0].url));
    TRY(store_write(s, &r->name, m, err));
out:
    manifest_fini(&files);
    if (lock >= 0) close(lock);
    if (st != SLM_OK) manifest_fini(m);
    return st;
}

/* The first of several model layers through a view, so that it finds the others by their names; one alone as it lies. */
static slm_status path_of_model(struct store *s, const struct manifest *m, char **path, slm_err *err) {
    const struct layer *first = manifest_find(m, LAYER_MODEL);
    size_t n = 0;
    slm_status st = SLM_OK;
    for (size_t i = 0; i < m->n_layers; i++) n += m->layers[i].kind == LAYER_MODEL;
    if (n == 1) {
        *path = store_blob_path(s, first->digest);
        return *path ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "model: out of memory");
    }
    char *folder = NULL;
    TRY(make_view(s, m, LAYER_MODEL, &folder, err));
    struct buf b;
    buf_init(&b, 8192);
    buf_printf(&b, "%s/%s", folder, first->title ? first->title : "");
    st = buf_status(&b, "model path", err);
    *path = b.data;
out:
    free(folder);
    return st;
}

slm_status store_use(struct store *s, struct model_name *name, struct pulled *p, slm_err *err) {
    slm_status st = SLM_OK;
    *p = (struct pulled){.hold_fd = -1};
    TRY(store_read(s, name, &p->manifest, err));
    const struct layer *model = manifest_find(&p->manifest, LAYER_MODEL);
    if (!model) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "model \"%s\": it has no layer with a model", name->model);
    if (manifest_find(&p->manifest, LAYER_ADAPTER))
        FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "model \"%s\": it comes with an adapter, which is not applied here", name->model);
    for (size_t i = 0; i < p->manifest.n_layers; i++) {
        const struct layer *l = &p->manifest.layers[i];
        if (l->kind != LAYER_MODEL || store_has_blob(s, l->digest, l->size)) continue;
        err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "model \"%s\": blob %.19s... is missing or of another size", name->model, l->digest);
        err_hint(err, "pull it again");
        st = SLM_E_FORMAT;
        goto out;
    }
    TRY(store_hold(s, model->digest, &p->hold_fd, err));
    TRY(path_of_model(s, &p->manifest, &p->path, err));
out:
    if (st != SLM_OK) pulled_fini(p);
    return st;
}

void pulled_fini(struct pulled *p) {
    if (p->hold_fd >= 0) close(p->hold_fd);
    free(p->path);
    manifest_fini(&p->manifest);
    *p = (struct pulled){.hold_fd = -1};
}
