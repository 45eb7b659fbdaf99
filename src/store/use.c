/* use.c -- from a name of the store to a file that model_open takes.
 *
 * What needs its own file name (shards of a split GGUF, a folder of safetensors) is shown as a folder of symbolic links, views/<key>/. A model with
 * adapters runs with them beside it; for who needs one file it is merged with them once, into adapted/<key>.gguf, which goes when no name needs it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <fcntl.h>
#include <unistd.h>

#include "store/make_int.h"
#include "store/pull.h"

/* The first of several model layers through a view, so that it finds the others by their names; one alone as it lies. */
slm_status store_path_of(struct store *s, const struct manifest *m, char **path, slm_err *err) {
    const struct layer *first = manifest_find(m, LAYER_MODEL);
    size_t n = 0;
    slm_status st = SLM_OK;
    *path = NULL;
    if (!first) return err_set(err, SLM_E_NOT_FOUND, SLM_NOWHERE, "manifest: no layer with a model");
    for (size_t i = 0; i < m->n_layers; i++) n += m->layers[i].kind == LAYER_MODEL;
    if (n == 1) {
        *path = store_blob_path(s, first->digest);
        return *path ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "model: out of memory");
    }
    char *folder = NULL;
    TRY(view_make(s, m, LAYER_MODEL, &folder, err));
    struct buf b;
    buf_init(&b, 8192);
    buf_printf(&b, "%s/%s", folder, first->title ? first->title : "");
    st = buf_status(&b, "model path", err);
    *path = b.data;
out:
    free(folder);
    return st;
}

/* The files of the manifest's adapters. */
static slm_status find_adapters(struct store *s, struct pulled *p, slm_err *err) {
    for (size_t i = 0; i < p->manifest.n_layers; i++) {
        const struct layer *l = &p->manifest.layers[i];
        if (l->kind != LAYER_ADAPTER) continue;
        if (p->n_adapters == ADAPTERS_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "model: more than %d adapters", ADAPTERS_MAX);
        if (!(p->adapters[p->n_adapters] = store_blob_path(s, l->digest))) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "model: out of memory");
        p->n_adapters++;
    }
    return SLM_OK;
}

static void forget_adapters(struct pulled *p) {
    while (p->n_adapters > 0) free(p->adapters[--p->n_adapters]);
}

static slm_status merge(struct pulled *p, const char *path, const struct use_options *o, slm_err *err) {
    slm_status st = store_make_parents(path, err);
    return st == SLM_OK ? make_adapted(p->path, p->adapters, p->n_adapters, path, o, err) : st;
}

/* The merged file instead of the base, made by whoever comes first. */
static slm_status use_adapted(struct store *s, struct pulled *p, const struct use_options *o, slm_err *err) {
    slm_status st = SLM_OK;
    char *path = store_path(s, "adapted/%016llx.gguf", (unsigned long long)layers_key(&p->manifest));
    int lock = -1;
    if (!path) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "model: out of memory");
    if (access(path, R_OK) != 0) TRY(merge(p, path, o, err));
    TRY(store_lock(s, false, &lock, err)); /* nobody removes it between the two lines below */
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_SH) != 0) {
        if (fd >= 0) close(fd);
        FAIL(SLM_E_IO, SLM_NOWHERE, "open \"%.200s\": %s", path, strerror(errno));
    }
    close(p->hold_fd);
    p->hold_fd = fd;
    free(p->path);
    p->path = path;
    path = NULL;
out:
    free(path);
    if (lock >= 0) close(lock);
    return st;
}

slm_status store_use(struct store *s, struct model_name *name, const struct use_options *o, struct pulled *p, slm_err *err) {
    slm_status st = SLM_OK;
    *p = (struct pulled){.hold_fd = -1};
    TRY(store_read(s, name, &p->manifest, err));
    const struct layer *model = manifest_find(&p->manifest, LAYER_MODEL);
    if (!model) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "model \"%s\": it has no layer with a model", name->model);
    for (size_t i = 0; i < p->manifest.n_layers; i++) {
        const struct layer *l = &p->manifest.layers[i];
        if ((l->kind != LAYER_MODEL && l->kind != LAYER_ADAPTER) || store_has_blob(s, l->digest, l->size)) continue;
        err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "model \"%s\": blob %.19s... is missing or of another size", name->model, l->digest);
        err_hint(err, "pull it again");
        st = SLM_E_FORMAT;
        goto out;
    }
    TRY(store_hold(s, model->digest, &p->hold_fd, err));
    TRY(store_path_of(s, &p->manifest, &p->path, err));
    TRY(find_adapters(s, p, err));
    if (p->n_adapters && !(o && o->keeps_adapters)) {
        TRY(use_adapted(s, p, o, err));
        forget_adapters(p);
    }
out:
    if (st != SLM_OK) pulled_fini(p);
    return st;
}

void pulled_fini(struct pulled *p) {
    if (p->hold_fd >= 0) close(p->hold_fd);
    free(p->path);
    forget_adapters(p);
    manifest_fini(&p->manifest);
    *p = (struct pulled){.hold_fd = -1};
}
