/* map_guard.c -- the files that are mapped now: what else may be done with them, and what happens when somebody cuts one short.
 *
 * Reading past the end of a file that became shorter raises SIGBUS at any instruction of any thread, so nothing can be unwound: the handler says
 * what happened in the words of every other error and ends the program. Output appears by renaming, so none is half there. Tried: to put a page
 * of zeros there and go on to a check, which every reader of a map would have to make. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/show.h"

#define MAPS_MAX 1024 /* more are not watched */

static struct map_row {
    _Atomic uintptr_t begin; /* 0: free. Written last, so that the handler sees whole rows */
    size_t n;
    struct stat info;
    char *path;
    struct shown shown;
} maps[MAPS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all but the handler */
static int exit_code = 1;

void map_note(const void *data, size_t n, const struct stat *info, const char *path) {
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < MAPS_MAX; i++) {
        struct map_row *m = &maps[i];
        if (atomic_load(&m->begin) != 0) continue;
        m->n = n;
        m->info = *info;
        m->path = strdup(path);
        m->shown = show_path(path);
        atomic_store(&m->begin, (uintptr_t)data);
        break;
    }
    pthread_mutex_unlock(&lock);
}

void map_drop(const void *data) {
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < MAPS_MAX; i++) {
        struct map_row *m = &maps[i];
        if (atomic_load(&m->begin) != (uintptr_t)data) continue;
        atomic_store(&m->begin, 0);
        free(m->path);
        m->path = NULL;
        break;
    }
    pthread_mutex_unlock(&lock);
}

static struct map_row *find(uintptr_t at) {
    for (size_t i = 0; i < MAPS_MAX; i++) {
        uintptr_t begin = atomic_load(&maps[i].begin);
        if (begin && at >= begin && at - begin < maps[i].n) return &maps[i];
    }
    return NULL;
}

static bool is_same(const struct stat *a, const struct stat *b) { return a->st_dev == b->st_dev && a->st_ino == b->st_ino; }

static bool is_mapped(const char *path) {
    struct stat info;
    bool is = false;
    if (stat(path, &info) != 0) return false;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < MAPS_MAX && !is; i++) is = atomic_load(&maps[i].begin) && is_same(&maps[i].info, &info);
    pthread_mutex_unlock(&lock);
    return is;
}

slm_status file_check_output(const char *path, slm_err *err) {
    if (!is_mapped(path)) return SLM_OK;
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "output \"%s\": is a file that is read, by this name or another", show_path(path).s);
    err_hint(err, "give another name; the result can be renamed afterwards");
    return SLM_E_USAGE;
}

slm_status file_check_unchanged(const void *at, slm_err *err) {
    struct stat now;
    slm_status st = SLM_OK;
    pthread_mutex_lock(&lock);
    struct map_row *m = find((uintptr_t)at);
    bool is_known = m && m->path && stat(m->path, &now) == 0 && is_same(&m->info, &now); /* another file of that name leaves ours as it was */
    if (is_known && (now.st_size != m->info.st_size || now.st_mtim.tv_sec != m->info.st_mtim.tv_sec || now.st_mtim.tv_nsec != m->info.st_mtim.tv_nsec)) {
        st = err_set(err, SLM_E_IO, SLM_NOWHERE, "\"%s\": another program has written to it while it was read", m->shown.s);
        err_hint(err, "copy the file first, or wait until it is whole");
    }
    pthread_mutex_unlock(&lock);
    return st;
}

static void put(const char *s) {
    size_t n = strlen(s);
    while (n > 0) {
        ssize_t k = write(STDERR_FILENO, s, n);
        if (k <= 0) return;
        s += k;
        n -= (size_t)k;
    }
}

/* Nothing here but what a handler may call. */
static void on_bus_error(int number, siginfo_t *info, void *context) {
    const struct map_row *m = info->si_code > 0 ? find((uintptr_t)info->si_addr) : NULL; /* else somebody sent it, and there is no address */
    (void)context;
    if (!m) { /* not ours: as if there were no handler */
        signal(number, SIG_DFL);
        raise(number); /* comes when this returns: one that was sent would not come again by itself */
        return;
    }
    put("error: \"");
    put(m->shown.s);
    put("\": a part of it cannot be read: another program has made it shorter, or the disk fails\nhint: nothing was written; copy the file first, or wait until it is whole\n");
    _exit(exit_code);
}

void file_guard(int code) {
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    exit_code = code;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}
