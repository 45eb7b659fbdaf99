/* mem.c -- views, checked sizes, arenas and bounded buffers.
 *
 * Arena: a chain of blocks, each twice the one before up to a megabyte; an allocation never moves. Buffer: doubles up
 * to its stated maximum; its first failure sticks, so a run of appends is checked once. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct view view_of(const char *cstr) { return (struct view){cstr, cstr ? strlen(cstr) : 0}; }

bool view_eq(struct view a, struct view b) { return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0); }

bool text_copy(char *out, size_t cap, const char *from) {
    size_t n = strlen(from);
    bool fits = n < cap;
    if (fits) memcpy(out, from, n);
    out[fits ? n : 0] = 0;
    return fits;
}

bool size_mul(size_t a, size_t b, size_t *out) {
    size_t r;
    if (__builtin_mul_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}

bool size_add(size_t a, size_t b, size_t *out) {
    size_t r;
    if (__builtin_add_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}

#define ALIGN 64
#define ZERO_BY_KERNEL ((size_t)256 << 10) /* from here on */

/* Large blocks get new pages from the system, zeros when first touched: what is never used (most of a batch's buffers, with short prompts) takes
 * neither time nor memory. */
static void *zero(uint8_t *p, size_t n) {
#if defined(__linux__)
    size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (page - (uintptr_t)p % page) % page;
    if (n >= ZERO_BY_KERNEL) {
        size_t whole = (n - before) / page * page;
        if (madvise(p + before, whole, MADV_DONTNEED) == 0) {
            memset(p, 0, before);
            memset(p + before + whole, 0, n - before - whole);
            return p;
        }
    }
#endif
    return memset(p, 0, n);
}

slm_status mem_alloc(void **out, size_t n, size_t size, const char *what, slm_err *err) {
    size_t bytes, rounded;
    *out = NULL;
    if (!size_mul(n, size, &bytes) || !size_add(bytes, ALIGN, &rounded))
        return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "%s: %zu times %zu bytes is more than any memory", what, n, size);
    rounded = rounded / ALIGN * ALIGN; /* aligned_alloc wants a multiple; never 0, as ALIGN was added */
    void *p = aligned_alloc(ALIGN, rounded);
    if (!p) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "%s: no memory for %zu bytes", what, bytes);
    *out = zero(p, rounded);
    return SLM_OK;
}

/* Arena */

struct arena_block {
    struct arena_block *next;
    size_t cap, used;
    _Alignas(ALIGN) char bytes[];
};

#define BLOCK_BYTES_FIRST 4096
#define BLOCK_BYTES_LAST (1u << 20)

uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n) {
    const uint8_t *b = bytes;
    for (size_t i = 0; i < n; i++) h = (h ^ b[i]) * 0x100000001b3u;
    return h;
}

slm_status mem_reserve(void **out, size_t bytes, const char *what, slm_err *err) {
    *out = NULL;
    void *p = bytes ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) : MAP_FAILED;
    if (p == MAP_FAILED) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "%s: out of memory (%zu bytes)", what, bytes);
#if defined(MADV_HUGEPAGE)
    madvise(p, bytes, MADV_HUGEPAGE); /* a wish: 512 times fewer entries in the page table */
#endif
    *out = p;
    return SLM_OK;
}

void mem_release(void *p, size_t bytes) {
    if (p) munmap(p, bytes);
}

void arena_init(struct arena *a, size_t bytes_max) { *a = (struct arena){.bytes_max = bytes_max}; }

static struct arena_block *add_block(struct arena *a, size_t bytes) {
    size_t cap = a->head ? a->head->cap * 2 : BLOCK_BYTES_FIRST, total;
    if (cap > BLOCK_BYTES_LAST) cap = BLOCK_BYTES_LAST;
    if (cap < bytes) cap = bytes;
    if (!size_add(cap, sizeof(struct arena_block) + ALIGN, &total)) return NULL;
    struct arena_block *b = aligned_alloc(ALIGN, total / ALIGN * ALIGN);
    if (!b) return NULL;
    b->next = a->head;
    b->cap = cap;
    b->used = 0;
    a->head = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t bytes, size_t align) {
    SLM_ASSERT(align > 0 && align <= ALIGN && (align & (align - 1)) == 0);
    size_t used;
    if (!size_add(a->bytes_used, bytes, &used) || used > a->bytes_max) return NULL;
    struct arena_block *b = a->head;
    size_t start = b ? (b->used + align - 1) & ~(align - 1) : 0;
    if (!b || start > b->cap || bytes > b->cap - start) {
        b = add_block(a, bytes);
        if (!b) return NULL;
        start = 0;
    }
    b->used = start + bytes;
    a->bytes_used = used;
    return memset(b->bytes + start, 0, bytes);
}

char *arena_strdup(struct arena *a, struct view v) {
    char *s = v.len < SIZE_MAX ? arena_alloc(a, v.len + 1, 1) : NULL;
    if (s && v.len) memcpy(s, v.ptr, v.len);
    return s;
}

void arena_reset(struct arena *a) {
    struct arena_block *keep = a->head; /* the newest is the largest */
    if (keep) {
        for (struct arena_block *b = keep->next; b;) {
            struct arena_block *next = b->next;
            free(b);
            b = next;
        }
        keep->next = NULL;
        keep->used = 0;
    }
    a->bytes_used = 0;
}

void arena_fini(struct arena *a) {
    arena_reset(a);
    free(a->head);
    a->head = NULL;
}

/* Buffer */

#define BUF_BYTES_FIRST 64

void buf_init(struct buf *b, size_t max) { *b = (struct buf){.max = max, .failed = SLM_OK}; }

/* Room for n bytes more and the closing NUL. */
static bool buf_reserve(struct buf *b, size_t n) {
    size_t need;
    if (b->failed) return false;
    if (!size_add(b->len, n, &need) || need > b->max) {
        b->failed = SLM_E_LIMIT;
        return false;
    }
    if (need < b->cap) return true;
    size_t cap = b->cap ? b->cap : BUF_BYTES_FIRST;
    while (cap <= need) cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
    if (cap > b->max && b->max < SIZE_MAX) cap = b->max + 1;
    char *data = realloc(b->data, cap);
    if (!data) {
        b->failed = SLM_E_NOMEM;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void buf_append(struct buf *b, const void *bytes, size_t n) {
    if (!buf_reserve(b, n)) return;
    if (n) memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = 0;
}

void buf_puts(struct buf *b, const char *cstr) { buf_append(b, cstr, strlen(cstr)); }

void buf_putc(struct buf *b, char c) { buf_append(b, &c, 1); }

void buf_printf(struct buf *b, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n >= 0 && buf_reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_clear(struct buf *b) {
    b->len = 0;
    b->failed = SLM_OK;
    if (b->data) b->data[0] = 0;
}

slm_status buf_status(const struct buf *b, const char *what, slm_err *err) {
    switch ((int)b->failed) {
    case SLM_OK: return SLM_OK;
    case SLM_E_LIMIT: return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "%s: longer than %zu bytes", what, b->max);
    default: return err_set(err, b->failed, SLM_NOWHERE, "%s: out of memory", what);
    }
}

void buf_fini(struct buf *b) {
    free(b->data);
    *b = (struct buf){.max = b->max};
}
