/* remote.c -- the rows of sources, and a list of files that grows. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "store/remote_int.h"

#define REMOTE_BYTES_MAX (16u << 20)
#define FILES_MAX 512

static slm_status (*const resolvers[])(const struct model_name *, const struct remote_options *, struct remote *, slm_err *) = {
    [NAME_OLLAMA] = remote_ollama,
    [NAME_HUB] = remote_hub,
    [NAME_URL] = remote_url,
};

slm_status remote_resolve(const struct model_name *name, const struct remote_options *o, struct remote *r, slm_err *err) {
    struct remote_options own = *o;
    memset(r, 0, sizeof *r);
    arena_init(&r->mem, REMOTE_BYTES_MAX);
    r->name = *name;
    if (name->kind == NAME_FILE) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "model name \"%.200s\": it is a file, there is nothing to pull", name->url);
    if (own.memory_bytes == 0) {
        struct cpu_info cpu;
        cpu_info_get(&cpu);
        own.memory_bytes = cpu.mem_available_bytes;
    }
    return resolvers[name->kind](name, &own, r, err);
}

void remote_fini(struct remote *r) {
    arena_fini(&r->mem);
    memset(r, 0, sizeof *r);
}

slm_status remote_room(struct remote *r, size_t n_max, slm_err *err) {
    if (n_max > FILES_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "model: %zu files, at most %d", n_max, FILES_MAX);
    r->files = arena_alloc(&r->mem, (n_max + 1) * sizeof *r->files, 8);
    return r->files ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "model: out of memory");
}

slm_status remote_add(struct remote *r, enum layer_kind kind, const char *digest, uint64_t size, const char *title, slm_err *err, const char *url, ...) {
    char text[4096];
    struct remote_file *f = &r->files[r->n_files];
    va_list args;
    va_start(args, url);
    int n = vsnprintf(text, sizeof text, url, args);
    va_end(args);
    *f = (struct remote_file){.kind = kind, .size = size};
    if (*digest && !digest_is(digest)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "model: digest \"%.80s\" is not \"sha256:\" and 64 hex digits", digest);
    text_copy(f->digest, sizeof f->digest, digest);
    if (n < 0 || (size_t)n >= sizeof text) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "model: a URL longer than %zu bytes", sizeof text);
    f->url = arena_strdup(&r->mem, view_of(text));
    f->title = title ? arena_strdup(&r->mem, view_of(title)) : NULL;
    if (!f->url || (title && !f->title)) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "model: names longer than %u bytes", REMOTE_BYTES_MAX);
    r->n_files++;
    return SLM_OK;
}

uint64_t remote_bytes(const struct remote *r) {
    uint64_t n = 0;
    for (size_t i = 0; i < r->n_files; i++) n += r->files[i].size == UINT64_MAX ? 0 : r->files[i].size;
    return n;
}

slm_status remote_url(const struct model_name *name, const struct remote_options *o, struct remote *r, slm_err *err) {
    const char *file = strrchr(name->url, '/');
    slm_status st = remote_room(r, 1, err);
    (void)o;
    return st == SLM_OK ? remote_add(r, LAYER_MODEL, "", UINT64_MAX, file ? file + 1 : NULL, err, "%s", name->url) : st;
}
