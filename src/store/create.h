/* create.h -- a new name from a recipe: what it is made from is linked, not copied, unless it has to be converted. */
#ifndef SLM_STORE_CREATE_H
#define SLM_STORE_CREATE_H

#include "store/recipe.h"
#include "store/store.h"


struct file_type;
struct create_options {
    const char *folder;            /* where relative paths of the recipe begin; NULL: it may name no paths (a request) */
    const struct file_type *type;  /* to convert or quantize to; NULL: as it is */
    int n_threads;                 /* 0: all usable */
    const _Atomic bool *cancel;   /* NULL: never */
    void (*progress)(void *user, uint64_t n_done, uint64_t n_all); /* of a conversion, in bytes; NULL: none */
    void *user;
};

/* create_model -- Errors: NOT_FOUND (what it is made from), FORMAT (of its files), USAGE, UNSUPPORTED, LIMIT, IO, CANCELLED. *m: what the name now is,
 * for manifest_fini; the name appears whole or stays as it was. */
slm_status create_model(struct store *s, const struct model_name *name, const struct recipe *r, const struct create_options *o, struct manifest *m, slm_err *err);

/* create_is_own -- whether a layer's text was given by a recipe. What comes with a pulled model in Go's language says what its file's own template says in
 * Jinja; what a recipe gives is meant to replace it. */
bool create_is_own(const struct layer *l);
/* create_recipe -- a manifest's texts as a recipe, for show: from is the path of the model's file. Errors: IO, FORMAT. */
slm_status create_recipe(const struct store *s, const struct manifest *m, struct recipe *r, slm_err *err);

#endif
