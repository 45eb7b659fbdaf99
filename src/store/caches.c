/* caches.c -- where Ollama, Hugging Face's tools and llama.cpp keep models on this machine: rows that make a path. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "store/pull.h"

#define PATH_BYTES 2048

/* Each writes where the file would be; false: it cannot be there. */
static bool in_ollama(const struct model_name *name, const struct remote_file *f, const char *home, char *out) {
    const char *own = env_get(ENV_OLLAMA_MODELS);
    (void)name;
    int n = own ? snprintf(out, PATH_BYTES, "%s/blobs/sha256-%s", own, f->digest + 7) : home ? snprintf(out, PATH_BYTES, "%s/.ollama/models/blobs/sha256-%s", home, f->digest + 7) : -1;
    return n > 0 && n < PATH_BYTES;
}

static bool in_ollama_service(const struct model_name *name, const struct remote_file *f, const char *home, char *out) {
    (void)name, (void)home;
    return snprintf(out, PATH_BYTES, "/usr/share/ollama/.ollama/models/blobs/sha256-%s", f->digest + 7) < PATH_BYTES;
}

static bool in_hugging_face(const struct model_name *name, const struct remote_file *f, const char *home, char *out) {
    const char *own = env_get(ENV_HF_HOME), *cache = env_get(ENV_XDG_CACHE_HOME);
    char root[1024];
    if (name->kind != NAME_HUB || (!own && !cache && !home)) return false;
    int n = own ? snprintf(root, sizeof root, "%s", own) : cache ? snprintf(root, sizeof root, "%s/huggingface", cache) : snprintf(root, sizeof root, "%s/.cache/huggingface", home);
    if (n < 0 || (size_t)n >= sizeof root) return false;
    return snprintf(out, PATH_BYTES, "%s/hub/models--%s--%s/blobs/%s", root, name->space, name->model, f->digest + 7) < PATH_BYTES;
}

static bool in_llama_cpp(const struct model_name *name, const struct remote_file *f, const char *home, char *out) {
    const char *cache = env_get(ENV_XDG_CACHE_HOME);
    if (name->kind != NAME_HUB || !f->title || (!cache && !home)) return false;
    int n = snprintf(out, PATH_BYTES, "%s%s/llama.cpp/", cache ? cache : home, cache ? "" : "/.cache");
    if (n < 0 || n >= PATH_BYTES) return false;
    size_t at = (size_t)n;
    n = snprintf(out + at, PATH_BYTES - at, "%s_%s_%s", name->space, name->model, f->title);
    for (char *p = out + at; *p; p++)
        if (*p == '/') *p = '_';
    return n > 0 && (size_t)n < PATH_BYTES - at;
}

static bool (*const places[])(const struct model_name *, const struct remote_file *, const char *, char *) = {in_ollama, in_ollama_service, in_hugging_face, in_llama_cpp};

char *cache_find(const struct model_name *name, const struct remote_file *f, const _Atomic bool *cancel) {
    char path[PATH_BYTES], digest[DIGEST_MAX];
    struct stat info;
    const char *home = env_get(ENV_HOME);
    if (!f->digest[0]) return NULL;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (!places[i](name, f, home, path) || stat(path, &info) != 0 || !S_ISREG(info.st_mode)) continue;
        if (f->size != UINT64_MAX && (uint64_t)info.st_size != f->size) continue;
        if (store_hash(path, digest, cancel, NULL) == SLM_OK && strcmp(digest, f->digest) == 0) return strdup(path);
    }
    return NULL;
}
