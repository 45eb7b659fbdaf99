/* shipped.c -- where the program lies tells where its models are. */
#include "store/shipped.h"

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

static bool is_there(char out[PATH_BYTES], const char *folder, const char *place, const char *name) {
    int n = snprintf(out, PATH_BYTES, "%s%s%s/%s.gguf", folder, *place ? "/" : "", place, name);
    return n > 0 && n < PATH_BYTES && access(out, R_OK) == 0;
}

slm_status shipped_find(const char *name, char **path, slm_err *err) {
    char folder[PATH_BYTES], at[PATH_BYTES];
    const char *asked = env_get(ENV_SLM_MODELS);
    bool found = false;
    *path = NULL;
    if (!is_plain(name)) return SLM_OK;
    if (asked) found = is_there(at, asked, "", name);
    else {
        program_folder(folder);
        for (size_t i = 0; i < sizeof places / sizeof places[0] && !found && folder[0]; i++) found = is_there(at, folder, places[i], name);
    }
    if (!found) return SLM_OK;
    char *real = realpath(at, NULL);
    *path = real ? real : strdup(at);
    return *path ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "model \"%s\": out of memory", name);
}
