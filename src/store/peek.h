/* peek.h -- what a remote model is and needs, from the heads of its files alone. */
#ifndef SLM_STORE_PEEK_H
#define SLM_STORE_PEEK_H

#include "model/model.h"
#include "store/remote.h"

#define PEEK_BYTES_MAX (64u << 20) /* of one file */

struct peek {
    struct slm_model *model; /* bound, but its weights are holes: for plans and metadata only */
    uint64_t n_fetched;
    char *folder;            /* where the holes lie */
    struct buf license;      /* its first line, as the source or the file has it; may be empty */
};
/* peek_open -- the first megabytes of each GGUF file by range requests, as much as the metadata takes. Errors: UNSUPPORTED (a folder of safetensors; a server
 * without ranges; an architecture that slm does not have), NETWORK, NOT_FOUND, FORMAT, IO, CANCELLED. peek_close also after a failure. */
slm_status peek_open(struct store *s, const struct remote *r, const _Atomic bool *cancel, struct peek *p, slm_err *err);
void peek_close(struct peek *p);

#endif
