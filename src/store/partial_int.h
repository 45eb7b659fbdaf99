/* partial_int.h -- a download under way, on disk: the bytes, and how far each chunk is. */
#ifndef SLM_STORE_PARTIAL_INT_H
#define SLM_STORE_PARTIAL_INT_H

#include "store/fetch.h"

#define PARTIAL_SYNCED ((uint64_t)1 << 63) /* in a chunk's progress: it is whole, and on the disk */

struct partial_head {
    char magic[8], boot[40], etag[256];
    uint64_t size, chunk_bytes;
};

struct partial {
    char *data_path, *map_path;
    int data_fd, map_fd;          /* map_fd holds the lock */
    struct partial_head *head;    /* mapped */
    uint64_t *done;               /* [n_chunk], mapped behind the head: bytes from the chunk's beginning */
    size_t n_chunk, map_bytes;
    uint64_t size;
};

/* partial_lock -- take key's lock; waits while another process has it, telling progress. *appeared: the blob came meanwhile (digest given),
 * nothing is locked. Errors: IO, CANCELLED. */
slm_status partial_lock(struct partial *p, struct store *s, const char *key, const char *digest, uint64_t size, const struct fetch_options *o, bool *appeared, slm_err *err);
/* partial_open -- the bytes of what is locked: as far as an earlier try came, or empty when it was of another size or tag.
 * Errors: LIMIT (disk), IO. */
slm_status partial_open(struct partial *p, uint64_t size, const char *etag, slm_err *err);
void partial_restart(struct partial *p);
uint64_t partial_chunk_bytes(const struct partial *p, size_t i);
uint64_t partial_done(const struct partial *p, size_t i);
bool partial_is_whole(const struct partial *p);
uint64_t partial_bytes(const struct partial *p);
/* partial_write -- n bytes at offset, which is where chunk `offset / chunk` stands; may run on into the next chunks. Errors: IO, LIMIT (disk full). */
slm_status partial_write(struct partial *p, uint64_t offset, const void *bytes, size_t n, slm_err *err);
/* partial_finish -- all is there: the data becomes `path`. partial_discard -- both files go. partial_close -- unlock; files stay. */
slm_status partial_finish(struct partial *p, const char *path, slm_err *err);
void partial_discard(struct partial *p);
void partial_close(struct partial *p);

#endif
