/* file.c -- files read by mapping, and written so that they appear whole or not at all. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES 65536

static slm_status io_error(slm_err *err, const char *verb, const char *path, int number) {
    return err_set(err, SLM_E_IO, SLM_NOWHERE, "%s \"%.200s\": %s", verb, path, strerror(number));
}

static uint64_t identity_of(const struct stat *s) {
    const uint64_t parts[] = {(uint64_t)s->st_dev, (uint64_t)s->st_ino, (uint64_t)s->st_size, (uint64_t)s->st_mtim.tv_sec, (uint64_t)s->st_mtim.tv_nsec};
    return hash_bytes(HASH_START, parts, sizeof parts);
}

slm_status file_map_open(struct file_map *m, const char *path, slm_err *err) {
    slm_status st = SLM_OK;
    struct stat info;
    *m = (struct file_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block us before it is refused */
    if (fd < 0) return io_error(err, "open", path, errno);
    if (fstat(fd, &info) != 0) {
        st = io_error(err, "open", path, errno);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) FAIL(SLM_E_IO, SLM_NOWHERE, "open \"%.200s\": %s", path, S_ISDIR(info.st_mode) ? "it is a directory" : "it is not a file");
    if (info.st_size == 0) goto out;
    if ((uint64_t)info.st_size > SIZE_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "open \"%.200s\": too large for this machine", path);
    void *p = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        st = io_error(err, "map", path, errno);
        goto out;
    }
    *m = (struct file_map){p, (size_t)info.st_size, identity_of(&info)};
    map_note(p, m->size, &info, path);
out:
    close(fd);
    return st;
}

void file_map_close(struct file_map *m) {
    if (m->data) {
        map_drop(m->data);
        munmap((void *)(uintptr_t)m->data, m->size);
    }
    *m = (struct file_map){0};
}

void file_map_forget(const struct file_map *m, size_t offset, size_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), begin = (offset + page - 1) / page * page, end = (offset + n) / page * page;
    if (end > begin && offset + n <= m->size) madvise((void *)(uintptr_t)(m->data + begin), end - begin, MADV_DONTNEED);
}

slm_status file_read(struct buf *b, const char *path, slm_err *err) {
    bool is_stdin = strcmp(path, "-") == 0;
    char chunk[READ_BYTES];
    slm_status st = SLM_OK;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return io_error(err, "open", path, errno);
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            st = io_error(err, "read", path, errno);
            break;
        }
        if (n == 0) break;
        buf_append(b, chunk, (size_t)n);
        if ((st = buf_status(b, path, err)) != SLM_OK) break;
    }
    if (!is_stdin) close(fd);
    return st;
}

/* A file without a name, in the folder of path: however the process ends, nothing is left. -1 where the system has none. */
static int open_nameless(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    char link[64];
    int fd = folder ? open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666) : -1;
    free(folder);
    if (fd < 0) return -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* how it will get its name */
    if (access(link, F_OK) == 0) return fd;
    close(fd);
    return -1;
}

static int open_named(char *path_tmp) {
    int fd = mkstemp(path_tmp);
    mode_t mask = umask(0);
    umask(mask);
    if (fd >= 0) fchmod(fd, 0666 & ~mask); /* mkstemp's 0600 would surprise who shares the file */
    return fd;
}

slm_status file_out_open(struct file_out *f, const char *path, slm_err *err) {
    slm_status st = SLM_OK;
    size_t n = strlen(path);
    struct stat info;
    *f = (struct file_out){0};
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return io_error(err, "write", path, EISDIR); /* before the work, not after it */
    int fd = open_nameless(path);
    f->is_nameless = fd >= 0;
    f->path = strdup(path);
    f->path_tmp = malloc(n + 16);
    if (!f->path || !f->path_tmp) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "write \"%.200s\": out of memory", path);
    snprintf(f->path_tmp, n + 16, "%s.tmp-XXXXXX", path);
    if (fd < 0) fd = open_named(f->path_tmp);
    if (fd < 0) {
        int number = errno;
        free(f->path_tmp); /* nothing to unlink */
        f->path_tmp = NULL;
        st = io_error(err, "write", path, number);
        goto out;
    }
    f->stream = fdopen(fd, "wb");
    if (!f->stream) st = io_error(err, "write", path, errno);
    else fd = -1;
out:
    if (fd >= 0) close(fd);
    if (st != SLM_OK) file_out_discard(f);
    return st;
}

/* Gives a nameless file its name at once where nothing is there, else the temporary one: only a rename can replace. */
static bool give_name(struct file_out *f) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fileno(f->stream));
    if (linkat(AT_FDCWD, link, AT_FDCWD, f->path, AT_SYMLINK_FOLLOW) == 0) {
        f->is_nameless = false;
        f->is_placed = true;
        return true;
    }
    for (int i = 0; i < 100; i++) {
        char *x = f->path_tmp + strlen(f->path_tmp) - 6;
        snprintf(x, 7, "%06x", (unsigned)((uint64_t)getpid() * 7919 + (uint64_t)i * 104729) & 0xffffff);
        if (linkat(AT_FDCWD, link, AT_FDCWD, f->path_tmp, AT_SYMLINK_FOLLOW) == 0) {
            f->is_nameless = false;
            return true;
        }
        if (errno != EEXIST) return false;
    }
    return false;
}

/* The rename is durable only when the directory is. */
static void sync_directory(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

slm_status file_place(const char *made, const char *path, slm_err *err) {
    int fd = open(made, O_RDONLY | O_CLOEXEC);
    bool is_placed = fd >= 0 && fsync(fd) == 0 && rename(made, path) == 0;
    int number = errno;
    if (fd >= 0) close(fd);
    if (!is_placed) return io_error(err, "write", path, number);
    sync_directory(path);
    return SLM_OK;
}

slm_status file_out_commit(struct file_out *f, slm_err *err) {
    slm_status st = SLM_OK;
    bool bad = fflush(f->stream) != 0 || ferror(f->stream) || fsync(fileno(f->stream)) != 0 || (f->is_nameless && !give_name(f));
    int number = errno;
    if (fclose(f->stream) != 0 && !bad) {
        bad = true;
        number = errno;
    }
    f->stream = NULL;
    if (!bad && !f->is_placed && rename(f->path_tmp, f->path) != 0) {
        bad = true;
        number = errno;
    }
    if (bad) st = io_error(err, "write", f->path, number);
    else {
        free(f->path_tmp);
        f->path_tmp = NULL;
        sync_directory(f->path);
    }
    file_out_discard(f);
    return st;
}

void file_out_discard(struct file_out *f) {
    if (f->stream) fclose(f->stream);
    if (f->path_tmp && !f->is_nameless && !f->is_placed) unlink(f->path_tmp);
    free(f->path);
    free(f->path_tmp);
    *f = (struct file_out){0};
}

slm_status file_write(const struct buf *b, const char *path, slm_err *err) {
    struct file_out file = {0};
    slm_status st = buf_status(b, path, err);
    if (st != SLM_OK) return st;
    TRY(file_out_open(&file, path, err));
    fwrite(b->data, 1, b->len, file.stream); /* a failed write is found by the commit */
    TRY(file_out_commit(&file, err));
out:
    if (st != SLM_OK) file_out_discard(&file);
    return st;
}
