/* make_int.h -- files of models that are made here and not fetched: folders of links, conversions, quantized and adapted models. */
#ifndef SLM_STORE_MAKE_INT_H
#define SLM_STORE_MAKE_INT_H

#include "engine/quantize.h"
#include "store/create.h"
#include "store/pull.h"
#include "store/store.h"

/* view_make -- views/<key>/<title> -> blob, for all layers of the kind that have a title. *folder: a new string. Errors: IO, FORMAT (a title that could
 * leave the folder), NOMEM. */
slm_status view_make(struct store *s, const struct manifest *m, enum layer_kind kind, char **folder, slm_err *err);
/* layers_key -- a number of what a manifest is made of, digests and titles: names what is made from it. */
uint64_t layers_key(const struct manifest *m);
/* title_is_safe -- a relative path without "..", hidden parts, or letters that mean something in a URL. */
bool title_is_safe(const char *title);

/* Each makes one blob. type NULL: as it is there. */
slm_status make_from_folder(struct store *s, const char *folder, const struct file_type *type, const struct create_options *o, char digest[DIGEST_MAX], uint64_t *size, slm_err *err);
slm_status make_quantized(struct store *s, const struct gguf *g, const struct file_type *type, const struct create_options *o, char digest[DIGEST_MAX], uint64_t *size, slm_err *err);
/* make_adapted -- the base with its adapters' products added, at path: matrices that they touch in 16 bits, all else as it is.
 * o may be NULL. Errors: those of adapter_merge and quant_write; CANCELLED. */
slm_status make_adapted(const char *base, char *const *adapters, size_t n, const char *path, const struct use_options *o, slm_err *err);

#endif
