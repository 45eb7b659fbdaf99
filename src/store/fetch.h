/* fetch.h -- one blob from the network into the store: parallel ranges, resumed after any interruption, checked before it appears. */
#ifndef SLM_STORE_FETCH_H
#define SLM_STORE_FETCH_H

#include "store/store.h"

#define FETCH_CHUNK_BYTES (8u << 20)
#define FETCH_CONNECTIONS_MAX 16

struct fetch_options {
    int n_connections;          /* 0: 4 */
    uint64_t rate_bytes_s;      /* 0: as fast as it comes */
    const _Atomic bool *cancel; /* NULL: never */
    void (*progress)(void *user, uint64_t n_done, uint64_t n_all, bool by_another); /* NULL: none; by_another: another process fetches it */
    void *user;
};

/* fetch_blob -- bytes of url into the store.
 * In:     digest: what they must hash to, or "" when nobody knows; size: of all, or UINT64_MAX when nobody knows. token may be NULL.
 * Out:    got [DIGEST_MAX]: the blob's digest; *got_size. A blob that is there already is not fetched.
 * Errors: NETWORK (refused, given up, changed under our hands), NOT_FOUND, FORMAT (size or hash differ: what was promised, what came),
 *         LIMIT (the disk is too small: both numbers), IO, CANCELLED. What was fetched stays for the next try, but after FORMAT. */
slm_status fetch_blob(struct store *s, const char *url, const char *token, const char *digest, uint64_t size, const struct fetch_options *o,
                      char got[DIGEST_MAX], uint64_t *got_size, slm_err *err);

#endif
