/* remote.h -- what a name means at its source, before a byte of it is fetched. */
#ifndef SLM_STORE_REMOTE_H
#define SLM_STORE_REMOTE_H

#include "store/store.h"

struct remote_file {
    enum layer_kind kind;
    char *url, *title;       /* title: the file's name there; NULL: none */
    char digest[DIGEST_MAX]; /* "": not told */
    uint64_t size;           /* UINT64_MAX: not told */
};

struct remote {
    struct model_name name;  /* complete: with the quant that was chosen */
    struct remote_file *files;
    size_t n_files;
    const char *token;       /* for all files; NULL: none */
    char *license;           /* as the source names it; NULL: not told */
    char *why;               /* of a quant that was chosen; NULL: it was asked for */
    bool is_folder;          /* a Hugging Face folder, to be converted */
    struct arena mem;
};

struct remote_options {
    uint64_t memory_bytes;   /* what a model may take; 0: what is free */
    const _Atomic bool *cancel;
};

/* remote_resolve -- Errors: NOT_FOUND, NETWORK, FORMAT (its answer), LIMIT (no quant fits: numbers), USAGE (no such quant: the list), UNSUPPORTED
 * (nothing there that could run). Ends with remote_fini, also after a failure. */
slm_status remote_resolve(const struct model_name *name, const struct remote_options *o, struct remote *r, slm_err *err);
void remote_fini(struct remote *r);
uint64_t remote_bytes(const struct remote *r); /* those that are told */

#endif
