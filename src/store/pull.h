/* pull.h -- from a name at its source to a name in the store, and from there to a file that model_open takes. */
#ifndef SLM_STORE_PULL_H
#define SLM_STORE_PULL_H

#include "store/fetch.h"
#include "store/remote.h"

struct pull_options {
    struct fetch_options fetch;
    int n_threads;                                            /* for a conversion */
    void (*on_file)(void *user, const struct remote_file *f); /* before each file; NULL: none */
    void (*on_convert)(void *user, uint64_t n_done, uint64_t n_all);
    void *user;
};

/* pull_model -- every file of r into the store (not those that are there, nor those that Ollama, llama.cpp or Hugging Face's tools keep on this
 * machine: these are linked), a folder converted, then the manifest. *m: what the name now is; manifest_fini.
 * Errors: those of fetch_blob, of hf_open and hf_write; the name then is as it was. */
slm_status pull_model(struct store *s, const struct remote *r, const struct pull_options *o, struct manifest *m, slm_err *err);

/* A model of the store, opened for use. */
struct pulled {
    char *path;              /* for model_open */
    int hold_fd;             /* as long as it is open the blob stays; -1: none */
    struct manifest manifest;
    char *adapters[ADAPTERS_MAX]; /* [n_adapters] files to be run beside it (model/lora.h); none unless that was asked for */
    size_t n_adapters;
};
/* How a use that takes long (adapters are merged once) is watched. */
struct use_options {
    const _Atomic bool *cancel; /* NULL: never */
    void (*progress)(void *user, uint64_t n_done, uint64_t n_all); /* bytes; NULL: none */
    void *user;
    bool keeps_adapters; /* pulled.adapters instead of a merged file */
};
/* store_use -- o NULL: neither watched nor ended. Errors: NOT_FOUND, UNSUPPORTED (no layer with a model; an adapter), IO, FORMAT (a blob is missing or of
 * another size), CANCELLED (nothing is left of what was made). */
slm_status store_use(struct store *s, struct model_name *name, const struct use_options *o, struct pulled *p, slm_err *err);
/* store_path_of -- the file of a manifest's model as it lies there, without its adapters; a new string. Errors: NOT_FOUND (no layer with a model), IO, NOMEM. */
slm_status store_path_of(struct store *s, const struct manifest *m, char **path, slm_err *err);
void pulled_fini(struct pulled *p);

/* cache_find -- a file of another program's on this machine with this digest, checked by reading it; a new string, or NULL. */
char *cache_find(const struct model_name *name, const struct remote_file *f, const _Atomic bool *cancel);

#endif
