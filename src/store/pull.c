/* pull.c -- the order of things: blobs first, the manifest last, so that a name is whole or is not. */
#include "store/pull.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/make_int.h"

/* One file is in the store in the end, from wherever; *l says what it is. */
static slm_status get_file(struct store *s, const struct remote *r, const struct remote_file *f, const struct pull_options *o, char digest[DIGEST_MAX], uint64_t *size, slm_err *err) {
    if (f->digest[0]) store_keep(s, f->digest);
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
    slm_status st = fetch_blob(s, f->url, r->token, f->digest, f->size, &o->fetch, digest, size, err);
    if (st == SLM_OK && !f->digest[0]) store_keep(s, digest);
    return st;
}

/* The folder's files become one GGUF blob, of the type that the tag names. */
static slm_status convert(struct store *s, const struct remote *r, const struct pull_options *o, const struct manifest *files, struct manifest *m, slm_err *err) {
    slm_status st = SLM_OK;
    struct create_options co = {.n_threads = o->n_threads, .cancel = o->fetch.cancel, .progress = o->on_convert, .user = o->user};
    char *folder = NULL, digest[DIGEST_MAX];
    uint64_t size;
    if (strcmp(r->name.tag, "auto") != 0 && !(co.type = file_type_by_name(r->name.tag)))
        FAIL(SLM_E_USAGE, SLM_NOWHERE, "quant \"%s\": no such type to convert to", r->name.tag);
    TRY(view_make(s, files, LAYER_OTHER, &folder, err));
    TRY(make_from_folder(s, folder, co.type, &co, digest, &size, err));
    TRY(manifest_init(m, 1, err));
    TRY(manifest_add(m, LAYER_MODEL, digest, size, NULL, err));
out:
    free(folder);
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
    struct manifest files = {0};
    memset(m, 0, sizeof *m);
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
    TRY(store_commit(s, &r->name, m, err));
    for (size_t i = 0; i < files.n_layers; i++) store_unkeep(s, files.layers[i].digest);
out:
    manifest_fini(&files);
    if (st != SLM_OK) manifest_fini(m);
    return st;
}
