/* partial.c -- the data file has its full size from the start; the map beside it is mapped memory, so that what a killed process had written
 * counts. After another boot only chunks count that were synced before they were marked. */
#include "store/partial_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/util.h"

#define MAGIC "slmpart1"
#define WAIT_MS 200

static slm_status io_error(const char *what, const char *path, slm_err *err) {
    return err_set(err, SLM_E_IO, SLM_NOWHERE, "%s \"%.200s\": %s", what, path, strerror(errno));
}

static void boot_id(char out[40]) {
    struct buf b;
    memset(out, 0, 40);
    buf_init(&b, 64);
    if (file_read(&b, "/proc/sys/kernel/random/boot_id", NULL) == SLM_OK && b.len >= 36) memcpy(out, b.data, 36);
    buf_fini(&b);
}

/* What another process has fetched so far, by its map. */
static void tell_other(int map_fd, const struct fetch_options *o) {
    struct partial_head head;
    uint64_t done, n = 0;
    if (!o->progress || pread(map_fd, &head, sizeof head, 0) != sizeof head) return;
    for (off_t at = sizeof head; pread(map_fd, &done, sizeof done, at) == sizeof done; at += (off_t)sizeof done) n += done & ~PARTIAL_SYNCED;
    if (n <= head.size) o->progress(o->user, n, head.size, true);
}

/* Whether the file at path is still the one that fd is. */
static bool is_current(int fd, const char *path) {
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

slm_status partial_lock(struct partial *p, struct store *s, const char *key, const char *digest, uint64_t size, const struct fetch_options *o, bool *appeared, slm_err *err) {
    slm_status st = SLM_OK;
    *p = (struct partial){.data_fd = -1, .map_fd = -1};
    *appeared = false;
    p->data_path = store_path(s, "partial/%s.data", key);
    p->map_path = store_path(s, "partial/%s.map", key);
    if (!p->data_path || !p->map_path) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "download: out of memory");
    for (;;) {
        if (*digest && store_has_blob(s, digest, size)) {
            *appeared = true;
            break;
        }
        if (p->map_fd < 0) p->map_fd = open(p->map_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (p->map_fd < 0) TRY(io_error("open", p->map_path, err));
        if (flock(p->map_fd, LOCK_EX | LOCK_NB) == 0) {
            if (is_current(p->map_fd, p->map_path)) return SLM_OK;
            close(p->map_fd); /* it was finished and removed while we waited */
            p->map_fd = -1;
            continue;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) TRY(io_error("lock", p->map_path, err));
        tell_other(p->map_fd, o);
        if (o->cancel && *o->cancel) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
        nanosleep(&(struct timespec){.tv_nsec = WAIT_MS * 1000000L}, NULL);
    }
out:
    partial_close(p);
    return st;
}

/* Refuse before anything is written when the disk cannot hold what is missing; blocks that an earlier try has count. */
static slm_status check_disk(const struct partial *p, slm_err *err) {
    struct statvfs fs;
    struct stat info;
    if (fstatvfs(p->data_fd, &fs) != 0 || fstat(p->data_fd, &info) != 0) return SLM_OK;
    uint64_t have = (uint64_t)info.st_blocks * 512, free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (have >= p->size || p->size - have <= free_bytes) return SLM_OK;
    err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "download of %llu MiB: the disk has %llu MiB free", (unsigned long long)(p->size >> 20), (unsigned long long)(free_bytes >> 20));
    err_hint(err, "slm rm frees what you do not need; SLM_STORE names another folder");
    return SLM_E_LIMIT;
}

static slm_status disk_full(const struct partial *p, slm_err *err) {
    err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "write \"%.200s\": the disk is full", p->data_path);
    err_hint(err, "slm rm frees what you do not need; what was fetched is kept for the next try");
    return SLM_E_LIMIT;
}

static slm_status allocate(struct partial *p, slm_err *err) {
    if (ftruncate(p->data_fd, (off_t)p->size) != 0) return errno == ENOSPC || errno == EFBIG ? disk_full(p, err) : io_error("write", p->data_path, err);
    if (p->size == 0) return SLM_OK;
    int rc = posix_fallocate(p->data_fd, 0, (off_t)p->size);
    if (rc == ENOSPC || rc == EFBIG) return disk_full(p, err);
    return SLM_OK; /* a file system without it finds a full disk later */
}

/* Whether the map describes this very download. */
static bool map_fits(const struct partial *p, const char *etag) {
    const struct partial_head *h = p->head;
    bool same_tag = !*etag || !h->etag[0] || strncmp(h->etag, etag, sizeof h->etag) == 0;
    return memcmp(h->magic, MAGIC, 8) == 0 && h->size == p->size && h->chunk_bytes == FETCH_CHUNK_BYTES && same_tag;
}

void partial_restart(struct partial *p) { memset(p->done, 0, p->n_chunk * sizeof *p->done); }

slm_status partial_open(struct partial *p, uint64_t size, const char *etag, slm_err *err) {
    struct stat info;
    char boot[40];
    p->size = size;
    p->n_chunk = (size_t)((size + FETCH_CHUNK_BYTES - 1) / FETCH_CHUNK_BYTES);
    p->map_bytes = sizeof *p->head + p->n_chunk * sizeof *p->done;
    p->data_fd = open(p->data_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (p->data_fd < 0) return io_error("open", p->data_path, err);
    bool is_old = fstat(p->map_fd, &info) == 0 && (size_t)info.st_size == p->map_bytes && fstat(p->data_fd, &info) == 0 && (uint64_t)info.st_size == size;
    slm_status st = check_disk(p, err);
    if (st == SLM_OK && !is_old) st = allocate(p, err);
    if (st != SLM_OK) return st;
    /* posix_fallocate: a mapped page without a block behind it would be a signal, not an error */
    if (ftruncate(p->map_fd, (off_t)p->map_bytes) != 0 || posix_fallocate(p->map_fd, 0, (off_t)p->map_bytes) == ENOSPC) return disk_full(p, err);
    void *map = mmap(NULL, p->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->map_fd, 0);
    if (map == MAP_FAILED) return io_error("map", p->map_path, err);
    p->head = map;
    p->done = (uint64_t *)(p->head + 1);
    boot_id(boot);
    if (!is_old || !map_fits(p, etag)) partial_restart(p);
    bool same_boot = boot[0] && memcmp(p->head->boot, boot, sizeof boot) == 0;
    for (size_t i = 0; i < p->n_chunk; i++) {
        bool is_synced = p->done[i] == (PARTIAL_SYNCED | partial_chunk_bytes(p, i));
        if (!is_synced && (!same_boot || p->done[i] > partial_chunk_bytes(p, i))) p->done[i] = 0;
    }
    memcpy(p->head->boot, boot, sizeof boot);
    p->head->size = size;
    p->head->chunk_bytes = FETCH_CHUNK_BYTES;
    if (*etag) strncpy(p->head->etag, etag, sizeof p->head->etag - 1);
    memcpy(p->head->magic, MAGIC, 8);
    return SLM_OK;
}

uint64_t partial_chunk_bytes(const struct partial *p, size_t i) {
    uint64_t at = (uint64_t)i * FETCH_CHUNK_BYTES, left = p->size - at;
    return left < FETCH_CHUNK_BYTES ? left : FETCH_CHUNK_BYTES;
}

uint64_t partial_done(const struct partial *p, size_t i) { return p->done[i] & ~PARTIAL_SYNCED; }

bool partial_is_whole(const struct partial *p) {
    for (size_t i = 0; i < p->n_chunk; i++)
        if (partial_done(p, i) != partial_chunk_bytes(p, i)) return false;
    return true;
}

uint64_t partial_bytes(const struct partial *p) {
    uint64_t n = 0;
    for (size_t i = 0; i < p->n_chunk; i++) n += partial_done(p, i);
    return n;
}

static slm_status write_all(struct partial *p, uint64_t at, const char *bytes, size_t n, slm_err *err) {
    while (n > 0) {
        ssize_t k = pwrite(p->data_fd, bytes, n, (off_t)at);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? disk_full(p, err) : io_error("write", p->data_path, err);
        at += (uint64_t)k;
        bytes += k;
        n -= (size_t)k;
    }
    return SLM_OK;
}

slm_status partial_write(struct partial *p, uint64_t offset, const void *bytes, size_t n, slm_err *err) {
    const char *from = bytes;
    while (n > 0) {
        size_t i = (size_t)(offset / FETCH_CHUNK_BYTES);
        uint64_t within = offset % FETCH_CHUNK_BYTES, room = partial_chunk_bytes(p, i) - within;
        size_t k = n < room ? n : (size_t)room;
        slm_status st = write_all(p, offset, from, k, err);
        if (st != SLM_OK) return st;
        p->done[i] = within + k;
        if (within + k == partial_chunk_bytes(p, i)) {
            if (fdatasync(p->data_fd) != 0) return io_error("write", p->data_path, err);
            p->done[i] |= PARTIAL_SYNCED;
        }
        from += k;
        offset += k;
        n -= k;
    }
    return SLM_OK;
}

slm_status partial_finish(struct partial *p, const char *path, slm_err *err) {
    if (fsync(p->data_fd) != 0) return io_error("write", p->data_path, err);
    if (rename(p->data_path, path) != 0) return io_error("rename", p->data_path, err);
    unlink(p->map_path);
    return SLM_OK;
}

void partial_discard(struct partial *p) {
    unlink(p->data_path);
    unlink(p->map_path);
}

void partial_close(struct partial *p) {
    if (p->head) munmap(p->head, p->map_bytes);
    if (p->data_fd >= 0) close(p->data_fd);
    if (p->map_fd >= 0) close(p->map_fd);
    free(p->data_path);
    free(p->map_path);
    *p = (struct partial){.data_fd = -1, .map_fd = -1};
}
