/* remote_int.h -- one source each: rows of remote.c. */
#ifndef SLM_STORE_REMOTE_INT_H
#define SLM_STORE_REMOTE_INT_H

#include "store/remote.h"

slm_status remote_ollama(const struct model_name *name, const struct remote_options *o, struct remote *r, slm_err *err);
slm_status remote_hub(const struct model_name *name, const struct remote_options *o, struct remote *r, slm_err *err);
slm_status remote_url(const struct model_name *name, const struct remote_options *o, struct remote *r, slm_err *err);

bool remote_is_loopback(const char *host); /* plain http is enough */
/* remote_room -- r->files for n_max more. remote_add -- one file; title may be NULL, the format makes the URL. Errors: LIMIT, NOMEM. */
slm_status remote_room(struct remote *r, size_t n_max, slm_err *err);
slm_status remote_add(struct remote *r, enum layer_kind kind, const char *digest, uint64_t size, const char *title, slm_err *err, const char *url, ...) SLM_PRINTF(7, 8);

/* hub_choose.c: which of a repository's files. */
struct hub_file {
    const char *name;   /* borrowed */
    const char *digest; /* "": not told */
    uint64_t size;
};
/* hub_choose -- the files of one quant (all shards, in order), their indices into files at chosen [n]. wanted: "" for what fits memory_bytes best.
 * label [NAME_PART_MAX]: its name. why (may stay empty): in words. n_chosen 0: there is no GGUF file at all. Errors: USAGE, LIMIT. */
slm_status hub_choose(const struct hub_file *files, size_t n, const char *wanted, uint64_t memory_bytes, size_t *chosen, size_t *n_chosen,
                      char label[NAME_PART_MAX], struct buf *why, slm_err *err);

#endif
