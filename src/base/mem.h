/* mem.h -- views, checked sizes, arenas and bounded growing buffers. */
#ifndef SLM_BASE_MEM_H
#define SLM_BASE_MEM_H

#include "base/status.h"

/* A borrowed run of bytes; not NUL-terminated; never owns. */
struct view {
    const char *ptr;
    size_t len;
};
#define VIEW(literal) ((struct view){(literal), sizeof(literal) - 1})
struct view view_of(const char *cstr); /* NULL gives the empty view */
bool view_eq(struct view a, struct view b);
/* For printf("%.*s"): precision clipped to 200 bytes, so that a hostile name cannot flood a message. */
#define VIEW_ARG(v) (int)((v).len > 200 ? 200 : (v).len), (v).ptr

/* text_copy -- a C string into out[cap]; false, and out empty, when it does not fit. */
bool text_copy(char *out, size_t cap, const char *from);

/* Checked arithmetic on sizes: false on overflow, *out untouched. */
bool size_mul(size_t a, size_t b, size_t *out);
bool size_add(size_t a, size_t b, size_t *out);

/* hash_bytes -- FNV-1a over 64 bits, continued from h: for keys, not against who makes collisions. */
#define HASH_START 0xcbf29ce484222325u
uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n);

/* mem_alloc -- zeroed array of n * size bytes, 64-byte aligned; freed with free().
 * Errors: SLM_E_NOMEM (also on overflow), message names `what`. */
slm_status mem_alloc(void **out, size_t n, size_t size, const char *what, slm_err *err);

/* mem_reserve -- zeroed pages for gigabytes, large pages where the system has them; freed with mem_release.
 * Errors: SLM_E_NOMEM, message names `what`. */
slm_status mem_reserve(void **out, size_t bytes, const char *what, slm_err *err);
void mem_release(void *p, size_t bytes); /* NULL is fine */

/* Arena: many small allocations freed at once. Owner frees with arena_fini; not thread-safe. */
struct arena {
    struct arena_block *head;
    size_t bytes_used, bytes_max;
};
void arena_init(struct arena *a, size_t bytes_max);
void *arena_alloc(struct arena *a, size_t bytes, size_t align); /* zeroed; NULL past bytes_max or no memory */
char *arena_strdup(struct arena *a, struct view v);             /* NUL-terminated copy, or NULL */
void arena_reset(struct arena *a);                              /* forget all, keep one block */
void arena_fini(struct arena *a);

/* Growing buffer with a stated maximum. Failure sticks: after one failed append the later ones do
 * nothing, so that a run of appends is checked once, by buf_status. data is always NUL-terminated
 * when not NULL. */
struct buf {
    char *data;
    size_t len, cap, max;
    slm_status failed;
};
void buf_init(struct buf *b, size_t max);
void buf_append(struct buf *b, const void *bytes, size_t n);
void buf_puts(struct buf *b, const char *cstr);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) SLM_PRINTF(2, 3);
void buf_clear(struct buf *b); /* length 0 and failure forgotten; memory kept */
slm_status buf_status(const struct buf *b, const char *what, slm_err *err);
void buf_fini(struct buf *b);

#endif
