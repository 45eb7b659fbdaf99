/* shipped.c -- where the program lies tells where its models are. */
#include "store/shipped.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

#define PATH_BYTES 4096

/* From the program's own folder. */
static const char *const places[] = {"models", "../share/slm/models"};

/* Letters, digits, "_" and "-" only: what names no folder, host or tag. */
static bool is_plain(const char *name) {
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return n > 0 && n < 128 && name[n] == 0;
}

/* "" when the system does not tell. */
static void program_folder(char out[PATH_BYTES]) {
    ssize_t n = readlink("/proc/self/exe", out, PATH_BYTES - 1);
    out[n > 0 ? n : 0] = 0;
    char *slash = strrchr(out, '/');
    if (slash) *slash = 0;
}

static bool is_there(char out[PATH_BYTES], const char *folder, const char *name) {
    int n = snprintf(out, PATH_BYTES, "%s/%s.gguf", folder, name);
    return n > 0 && n < PATH_BYTES && access(out, R_OK) == 0;
}

/* The folders that are looked into, in order; [n]. */
static size_t folders_of(char out[2][PATH_BYTES]) {
    char program[PATH_BYTES];
    const char *asked = env_get(ENV_SLM_MODELS);
    size_t n = 0;
    if (asked) return snprintf(out[0], PATH_BYTES, "%s", asked) < PATH_BYTES ? 1 : 0;
    program_folder(program);
    for (size_t i = 0; i < sizeof places / sizeof places[0] && program[0]; i++)
        if (snprintf(out[n], PATH_BYTES, "%s/%s", program, places[i]) < PATH_BYTES) n++;
    return n;
}

slm_status shipped_find(const char *name, char **path, slm_err *err) {
    char folders[2][PATH_BYTES], at[PATH_BYTES];
    bool found = false;
    *path = NULL;
    if (!is_plain(name)) return SLM_OK;
    size_t n = folders_of(folders);
    for (size_t i = 0; i < n && !found; i++) found = is_there(at, folders[i], name);
    if (!found) return SLM_OK;
    char *real = realpath(at, NULL);
    *path = real ? real : strdup(at);
    return *path ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "model \"%s\": out of memory", name);
}

static int is_model(const struct dirent *e) {
    size_t n = strlen(e->d_name);
    return n > 5 && strcmp(e->d_name + n - 5, ".gguf") == 0;
}

slm_status shipped_each(shipped_visit visit, void *user, slm_err *err) {
    char folders[2][PATH_BYTES];
    size_t n = folders_of(folders);
    slm_status st = SLM_OK;
    for (size_t i = 0; i < n; i++) {
        struct dirent **list = NULL;
        int n_file = scandir(folders[i], &list, is_model, alphasort);
        for (int k = 0; k < n_file; k++) {
            char *name = list[k]->d_name, first[PATH_BYTES], *path = NULL;
            name[strlen(name) - 5] = 0;
            bool is_hidden = i > 0 && is_there(first, folders[0], name); /* the one before it is what the name means */
            if (st == SLM_OK && !is_hidden) st = shipped_find(name, &path, err);
            if (path) visit(user, name, path);
            free(path);
            free(list[k]);
        }
        free(list);
    }
    return st;
}
