/* store.h -- models on disk by name: blobs by their hash, manifests by name. Layout and reasons: docs/store.md.
 *
 * Several processes may use one store at a time: what appears, appears whole (rename), and removing takes the store's lock. */
#ifndef SLM_STORE_STORE_H
#define SLM_STORE_STORE_H

#include "store/manifest.h"
#include "store/name.h"

struct store {
    char *root;
};

/* store_open -- the folder of SLM_STORE or the user's own; made when missing. Errors: IO, USAGE (no folder known). */
slm_status store_open(struct store *s, slm_err *err);
void store_close(struct store *s);

/* Paths, as new strings to free; NULL without memory. */
char *store_path(const struct store *s, const char *format, ...) SLM_PRINTF(2, 3);
char *store_blob_path(const struct store *s, const char *digest);
bool store_has_blob(const struct store *s, const char *digest, uint64_t size);
/* store_make_parents -- the folders above path. Errors: IO. */
slm_status store_make_parents(const char *path, slm_err *err);

/* store_hash -- the digest of a file. Errors: IO, CANCELLED (cancel may be NULL). */
slm_status store_hash(const char *path, char digest[DIGEST_MAX], const _Atomic bool *cancel, slm_err *err);
/* store_add -- a small blob from memory. Errors: IO. */
slm_status store_add(struct store *s, struct view bytes, char digest[DIGEST_MAX], slm_err *err);
/* store_link -- a blob that another file holds: hard link, else symbolic link. The caller has checked what it holds. Errors: IO. */
slm_status store_link(struct store *s, const char *path, const char *digest, slm_err *err);

/* store_keep -- before a blob appears: it is needed, for a day at most, though no name has it yet. store_unkeep: a name has it. So removing need not wait
 * for downloads. Whatever makes a blob here keeps it. */
void store_keep(const struct store *s, const char *digest);
void store_unkeep(const struct store *s, const char *digest);
bool store_is_kept(const struct store *s, const char *digest);
/* store_sweep -- what work that never ended has left for a day: marks of kept blobs, half-made files, heads of files that were looked at, bodies
 * of uploads. */
void store_sweep(const struct store *s);

/* store_read -- the manifest of a name. A hub's name without a quant is the only one that is there. Errors: NOT_FOUND (with what to do), FORMAT, USAGE (several: listed). */
slm_status store_read(const struct store *s, struct model_name *name, struct manifest *m, slm_err *err);
/* manifest_digest -- the hash of a manifest as the store writes it. Errors: NOMEM. */
slm_status manifest_digest(const struct manifest *m, char digest[DIGEST_MAX], slm_err *err);
/* store_commit -- the name is this manifest now, whose blobs were made for it. Errors: IO, FAILED (one was removed meanwhile). */
slm_status store_commit(struct store *s, const struct model_name *name, const struct manifest *m, slm_err *err);
/* store_each -- every name, sorted; m is NULL where a manifest cannot be read, of which a warning was given. */
typedef bool (*store_visit)(void *user, const struct model_name *name, const struct manifest *m, double changed_s);
slm_status store_each(const struct store *s, store_visit visit, void *user, slm_err *err);

/* store_remove -- the name, then every blob that no name needs and nobody runs. *n_freed: bytes. Errors: NOT_FOUND, IO. */
slm_status store_remove(struct store *s, const struct model_name *name, uint64_t *n_freed, slm_err *err);
/* store_hold -- as long as *fd is open the blob is in use. Errors: NOT_FOUND, IO. */
slm_status store_hold(const struct store *s, const char *digest, int *fd, slm_err *err);
/* store_lock -- exclusive, for who removes; shared, for who looks at what is there and then relies on it: for moments only. Closing *fd ends it. */
slm_status store_lock(const struct store *s, bool exclusive, int *fd, slm_err *err);

#endif
