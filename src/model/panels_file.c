/* panels_file.c -- packed weights kept in a file of the user's cache, so that the next start maps them instead of packing.
 *
 * File: one page of header, then the panels as they are in memory. It is written in pieces that begin and end at large pages, since then Linux
 * keeps and maps it in large pages: 0.7 ms for 760 MB instead of 95, and as much less at the end. Its name is the hash of what it was made from:
 * the model file's identity (device, inode, size, time of change), the layout, the packing's version; the header has them again.
 *
 * It is written by a thread while the model already runs, under another name, and renamed when whole. Waiting for the disk comes after that:
 * a header that is not marked as safe on disk is trusted only in the boot that wrote it, when the bytes are in the system's
 * memory at least; after a crash it is not. So neither a start nor an end waits for a disk. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/signals.h"
#include "base/util.h"
#include "compute/pack.h"
#include "model/model_int.h"

#define HEADER_BYTES 4096
#define CHUNK_BYTES ((size_t)8 << 20) /* whole pages of the large kind */
#define BYTES_MIN ((size_t)64 << 20) /* less is packed in the time of a few blinks; a folder named by SLM_CACHE takes all */
#define PATCH_S 2.0                  /* a process that ends waits this long for its cache, if that suffices */
#define PATH_BYTES 4096

struct header {
    char magic[8];
    uint32_t version, is_safe; /* is_safe: the disk has everything */
    uint64_t identity, layout, bytes;
    char boot[40]; /* the boot that wrote it; empty: unknown */
};
_Static_assert(sizeof(struct header) <= HEADER_BYTES, "one page");

struct panels_file {
    char path[PATH_BYTES], path_tmp[PATH_BYTES + 16];
    struct header header;
    const uint8_t *panels; /* to be written */
    void *map;
    size_t map_bytes;
    int map_fd;            /* holds the lock that says: in use; of a map only */
    uint64_t cache_max;
    pthread_t writer;
    bool has_writer;
    _Atomic bool stop;
    _Atomic bool is_whole; /* renamed, or given up: panels are not read any more */
    _Atomic int n_users;   /* owner and writer; the last one frees */
};

static void release(struct panels_file *f) {
    if (atomic_fetch_sub(&f->n_users, 1) == 1) free(f);
}

static void read_boot(char out[40]) {
    memset(out, 0, 40);
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (!f) return;
    if (!fgets(out, 37, f)) out[0] = 0;
    fclose(f);
}

/* The cache's folder, made when it is not there. False: there is none. */
static bool folder_of(char *out, size_t n) {
    const char *named = env_get(ENV_SLM_CACHE), *xdg = env_get(ENV_XDG_CACHE_HOME), *home = env_get(ENV_HOME);
    int len = -1;
    if (named) len = snprintf(out, n, "%s", named);
    else if (xdg) len = snprintf(out, n, "%s/slm", xdg);
    else if (home) len = snprintf(out, n, "%s/.cache/slm", home);
    if (len <= 0 || (size_t)len >= n) return false;
    for (char *p = out + 1; *p; p++) {
        if (*p != '/') continue;
        *p = 0;
        mkdir(out, 0777); /* what is there already, or cannot be made, shows below */
        *p = '/';
    }
    mkdir(out, 0700);
    return access(out, R_OK | W_OK | X_OK) == 0;
}

bool model_cache_folder(char *out, size_t n) {
    const char *named = env_get(ENV_SLM_CACHE);
    return !(named && strcmp(named, "off") == 0) && folder_of(out, n);
}

static bool is_trusted(const struct header *have, const struct header *want) {
    return memcmp(have->magic, want->magic, sizeof have->magic) == 0 && have->version == want->version && have->identity == want->identity &&
           have->layout == want->layout && have->bytes == want->bytes &&
           (have->is_safe == 1 || (want->boot[0] && memcmp(have->boot, want->boot, sizeof have->boot) == 0));
}

/* Maps the file when it is the right one, whole, and this user's. */
static const uint8_t *map_panels(struct panels_file *f) {
    struct stat info;
    struct header have;
    size_t bytes = HEADER_BYTES + (size_t)f->header.bytes;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return NULL;
    void *map = MAP_FAILED;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid() && (uint64_t)info.st_size == bytes &&
        pread(fd, &have, sizeof have, 0) == (ssize_t)sizeof have && is_trusted(&have, &f->header))
        map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        close(fd);
        return NULL;
    }
    flock(fd, LOCK_SH | LOCK_NB); /* it fails only while someone removes the file, or has yet to sync it: the mapping lives on */
    futimens(fd, NULL);           /* used now: panels_trim.c goes by age */
    f->map_fd = fd;
    f->map = map;
    f->map_bytes = bytes;
    map_note(map, bytes, &info, f->path);
    return (const uint8_t *)map + HEADER_BYTES;
}

struct panels_file *panels_file_open(uint64_t identity, uint64_t layout, size_t bytes, uint64_t cache_max, const uint8_t **panels) {
    char folder[PATH_BYTES - 64];
    void *p = NULL;
    const char *named = env_get(ENV_SLM_CACHE);
    *panels = NULL;
    if (identity == 0 || (named && strcmp(named, "off") == 0) || (!named && bytes < BYTES_MIN) || !folder_of(folder, sizeof folder)) return NULL;
    if (mem_alloc(&p, 1, sizeof(struct panels_file), "cache of packed weights", NULL) != SLM_OK) return NULL;
    struct panels_file *f = p;
    f->header = (struct header){.magic = "slmpanel", .version = pack_version(), .identity = identity, .layout = layout, .bytes = bytes};
    uint64_t name = hash_bytes(HASH_START, &f->header, sizeof f->header); /* before the boot's name gets in */
    read_boot(f->header.boot);
    f->cache_max = cache_max;
    snprintf(f->path, sizeof f->path, "%s/%016llx.panels", folder, (unsigned long long)name);
    snprintf(f->path_tmp, sizeof f->path_tmp, "%s.tmp-XXXXXX", f->path);
    atomic_init(&f->n_users, 1);
    *panels = map_panels(f);
    return f;
}

/* Older files give way to this one. */
static bool has_room(const struct panels_file *f, uint64_t bytes) {
    struct statvfs fs;
    char folder[PATH_BYTES];
    snprintf(folder, sizeof folder, "%s", f->path);
    *strrchr(folder, '/') = 0;
    return panels_cache_trim(folder, f->cache_max, bytes) && statvfs(folder, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize / 2 > bytes; /* leave as much as is taken */
}

static bool write_all(int fd, const void *bytes, size_t n, off_t at) {
    const uint8_t *p = bytes;
    while (n > 0) {
        ssize_t k = pwrite(fd, p, n, at);
        if (k <= 0) return false;
        p += k;
        n -= (size_t)k;
        at += k;
    }
    return true;
}

/* Everything but the header, which is last: the file is not one before. False: given up. */
static bool write_panels(struct panels_file *f, int fd) {
    double t0 = time_now_s();
    size_t bytes = HEADER_BYTES + (size_t)f->header.bytes;
    for (size_t at = HEADER_BYTES, end; at < bytes; at = end) {
        end = (at / CHUNK_BYTES + 1) * CHUNK_BYTES;
        if (end > bytes) end = bytes;
        if (!write_all(fd, f->panels + at - HEADER_BYTES, end - at, (off_t)at)) return false;
        double per_byte = (time_now_s() - t0) / (double)end;
        if (atomic_load(&f->stop) && per_byte * (double)(bytes - end) > PATCH_S) return false;
    }
    return write_all(fd, &f->header, sizeof f->header, 0);
}

static void *writer_main(void *arg) {
    struct panels_file *f = arg;
    int fd = mkostemp(f->path_tmp, O_CLOEXEC);
    if (fd >= 0) flock(fd, LOCK_EX | LOCK_NB); /* in use, for panels_trim.c */
    bool is_written = fd >= 0 && write_panels(f, fd) && rename(f->path_tmp, f->path) == 0;
    if (fd >= 0 && !is_written) unlink(f->path_tmp);
    log_print(LOG_INFO, "packed weights: \"%s\" %s", f->path, is_written ? "written" : "could not be written");
    if (is_written) flock(fd, LOCK_SH | LOCK_NB); /* readers may have it too */
    atomic_store(&f->is_whole, true);
    if (is_written && fsync(fd) == 0) {
        f->header.is_safe = 1;
        if (!write_all(fd, &f->header, sizeof f->header, 0)) unlink(f->path);
    }
    if (fd >= 0) close(fd);
    release(f);
    return NULL;
}

void panels_file_write(struct panels_file *f, const uint8_t *panels) {
    if (!f || !has_room(f, HEADER_BYTES + f->header.bytes)) return;
    sigset_t before;
    f->panels = panels;
    atomic_fetch_add(&f->n_users, 1);
    signals_hold(&before);
    f->has_writer = pthread_create(&f->writer, NULL, writer_main, f) == 0;
    signals_release(&before);
    if (!f->has_writer) release(f);
}

void panels_file_close(struct panels_file *f) {
    if (!f) return;
    if (f->map) {
        map_drop(f->map);
        munmap(f->map, f->map_bytes);
        close(f->map_fd);
    }
    if (f->has_writer) {
        atomic_store(&f->stop, true);
        while (!atomic_load(&f->is_whole)) usleep(1000); /* it may be within PATCH_S of its end, and reads panels until then */
        pthread_detach(f->writer);
    }
    release(f);
}
