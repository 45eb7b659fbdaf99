/* push.h -- a model of the store to a registry: the blobs that it lacks, then the manifest. */
#ifndef SLM_STORE_PUSH_H
#define SLM_STORE_PUSH_H

#include "store/store.h"

struct push_options {
    const _Atomic bool *cancel; /* NULL: never */
    void (*progress)(void *user, const struct layer *l, uint64_t n_done); /* NULL: none; also for what is there already */
    void *user;
};

/* push_model -- to where its name says. Errors: NOT_FOUND, USAGE (no registry's name), NETWORK (refused: a registry that asks for a login is one slm cannot
 * push to), IO, CANCELLED. */
slm_status push_model(struct store *s, const struct model_name *name, const struct push_options *o, slm_err *err);

#endif
