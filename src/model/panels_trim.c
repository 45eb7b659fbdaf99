/* panels_trim.c -- keeps the cache of packed weights within a number of bytes: before a file is written, those whose last use is longest ago go.
 *
 * A file's time of change is its last use (panels_file.c sets it). Who has one open holds a lock on it (flock, shared for readers, exclusive for
 * writers); a file whose lock cannot be had is in use and stays, and so does everything that does not bear the names that are given
 * here. What a writer that was killed left behind goes first. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "model/model_int.h"

#define BYTES_DEFAULT ((uint64_t)32 << 30)
#define N_FILES_MAX 1024 /* more are left alone */
#define NAME_DIGITS 16
#define ENDING ".panels"

slm_status panels_cache_limit(uint64_t *bytes, slm_err *err) {
    static const char units[] = "KMGT";
    const char *text = env_get(ENV_SLM_CACHE_MAX);
    char *end;
    *bytes = BYTES_DEFAULT;
    if (!text) return SLM_OK;
    errno = 0;
    uint64_t n = strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    if (*text < '0' || *text > '9' || errno || (*end && (!unit || end[1])) || n > UINT64_MAX >> shift) {
        slm_status st = err_set(err, SLM_E_USAGE, SLM_NOWHERE, "SLM_CACHE_MAX \"%.40s\": must be a number of bytes", text);
        err_hint(err, "such as 20G; K, M, G, T are powers of 1024; 0 keeps nothing");
        return st;
    }
    *bytes = n << shift;
    return SLM_OK;
}

/* "<16 hexadecimal digits>.panels", and the same with ".tmp-..." while it is written. */
static bool is_ours(const char *name, bool *is_tmp) {
    if (strspn(name, "0123456789abcdef") != NAME_DIGITS || strncmp(name + NAME_DIGITS, ENDING, strlen(ENDING)) != 0) return false;
    const char *rest = name + NAME_DIGITS + strlen(ENDING);
    *is_tmp = strncmp(rest, ".tmp-", 5) == 0;
    return *rest == 0 || *is_tmp;
}

struct kept {
    char name[64];
    uint64_t bytes;
    struct timespec used;
    bool is_tmp;
};

static int by_use(const void *a, const void *b) {
    const struct kept *x = a, *y = b;
    if (x->is_tmp != y->is_tmp) return x->is_tmp ? -1 : 1;
    if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

static size_t list(DIR *dir, struct kept *files, uint64_t *sum) {
    size_t n = 0;
    struct dirent *entry;
    struct stat info;
    while (n < N_FILES_MAX && (entry = readdir(dir))) {
        struct kept *k = &files[n];
        if (!is_ours(entry->d_name, &k->is_tmp) || strlen(entry->d_name) >= sizeof k->name) continue;
        if (fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode)) continue;
        snprintf(k->name, sizeof k->name, "%s", entry->d_name);
        k->bytes = (uint64_t)info.st_blocks * 512;
        k->used = info.st_mtim;
        *sum += k->bytes;
        n++;
    }
    return n;
}

/* False: in use, or not to be removed. */
static bool remove_unused(int folder, const struct kept *k) {
    int fd = openat(folder, k->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0) return false;
    bool is_removed = flock(fd, LOCK_EX | LOCK_NB) == 0 && unlinkat(folder, k->name, 0) == 0;
    close(fd);
    return is_removed;
}

bool panels_cache_trim(const char *folder, uint64_t bytes_max, uint64_t bytes_new) {
    uint64_t sum = 0;
    void *p = NULL;
    DIR *dir = opendir(folder);
    if (!dir || bytes_new > bytes_max || mem_alloc(&p, N_FILES_MAX, sizeof(struct kept), "list of a cache", NULL) != SLM_OK) {
        if (dir) closedir(dir);
        return false;
    }
    struct kept *files = p;
    size_t n = list(dir, files, &sum);
    qsort(files, n, sizeof *files, by_use);
    for (size_t i = 0; i < n && (files[i].is_tmp || sum > bytes_max - bytes_new); i++) {
        if (!remove_unused(dirfd(dir), &files[i])) continue;
        log_print(LOG_INFO, "packed weights: \"%s/%s\" removed", folder, files[i].name);
        sum -= files[i].bytes;
    }
    free(files);
    closedir(dir);
    return sum <= bytes_max - bytes_new;
}
