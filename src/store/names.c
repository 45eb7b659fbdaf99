/* names.c -- manifests by name: reading, writing, listing, removing, and which blobs are then free.
 *
 * Listing walks four levels of folders; what does not parse as a name is not ours and is left alone. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/util.h"
#include "store/make_int.h"

#define N_NAMES_MAX 65536
#define N_LEVELS 4

/* Paths below manifests/, sorted. */
struct names {
    char **v;
    size_t n;
};

static void names_fini(struct names *l) {
    for (size_t i = 0; i < l->n; i++) free(l->v[i]);
    free(l->v);
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void add_below(const struct store *s, const char *path, int level, struct names *l) {
    char *folder = store_path(s, "manifests/%s", path);
    DIR *d = folder ? opendir(folder) : NULL;
    free(folder);
    for (struct dirent *e; d && (e = readdir(d)) && l->n < N_NAMES_MAX;) {
        char below[1024];
        int n = snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", e->d_name);
        if (e->d_name[0] == '.' || n < 0 || (size_t)n >= sizeof below) continue;
        if (level + 1 < N_LEVELS) add_below(s, below, level + 1, l);
        else l->v[l->n++] = strdup(below);
    }
    if (d) closedir(d);
}

static slm_status list(const struct store *s, struct names *l, slm_err *err) {
    void *mem;
    slm_status st = mem_alloc(&mem, N_NAMES_MAX, sizeof *l->v, "names", err);
    memset(l, 0, sizeof *l);
    if (st != SLM_OK) return st;
    l->v = mem;
    add_below(s, "", 0, l);
    qsort(l->v, l->n, sizeof *l->v, compare);
    return SLM_OK;
}

static slm_status read_at(const struct store *s, const char *path, struct manifest *m, double *changed_s, slm_err *err) {
    struct buf b;
    struct stat info;
    char *file = store_path(s, "manifests/%s", path);
    slm_status st = SLM_OK;
    buf_init(&b, MANIFEST_BYTES_MAX);
    if (!file) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "manifest: out of memory");
    TRY(file_read(&b, file, err));
    TRY(manifest_parse((struct view){b.data, b.len}, path, m, err));
    *changed_s = stat(file, &info) == 0 ? (double)info.st_mtime : 0;
out:
    buf_fini(&b);
    free(file);
    return st;
}

slm_status store_each(const struct store *s, store_visit visit, void *user, slm_err *err) {
    struct names l;
    slm_status st = list(s, &l, err);
    bool go_on = true;
    for (size_t i = 0; st == SLM_OK && go_on && i < l.n; i++) {
        struct model_name name;
        struct manifest m;
        slm_err bad;
        double changed_s;
        if (!l.v[i] || !name_from_path(l.v[i], &name)) continue;
        if (read_at(s, l.v[i], &m, &changed_s, &bad) != SLM_OK) {
            log_print(LOG_WARN, "%s", bad.msg);
            go_on = visit(user, &name, NULL, 0);
            continue;
        }
        if (name.kind == NAME_URL && m.source) snprintf(name.url, sizeof name.url, "%s", m.source);
        go_on = visit(user, &name, &m, changed_s);
        manifest_fini(&m);
    }
    names_fini(&l);
    return st;
}

/* A hub's name without a quant: the only one that is here. */
struct choice {
    const struct model_name *wanted;
    struct model_name found;
    struct buf all;
    size_t n;
};

static bool choose(void *user, const struct model_name *name, const struct manifest *m, double changed_s) {
    struct choice *c = user;
    (void)m;
    (void)changed_s;
    if (name->kind != NAME_HUB || strcmp(name->space, c->wanted->space) != 0 || strcmp(name->model, c->wanted->model) != 0) return true;
    c->found = *name;
    buf_printf(&c->all, "%s%s", c->n++ ? ", " : "", name->tag);
    return true;
}

static slm_status not_here(const struct model_name *name, slm_err *err) {
    struct buf b;
    buf_init(&b, 4096);
    name_print(name, &b);
    err_set(err, SLM_E_NOT_FOUND, SLM_NOWHERE, "model \"%s\": not in the store", b.data);
    err_hint(err, "slm pull %s; slm list shows what is there", b.data);
    buf_fini(&b);
    return SLM_E_NOT_FOUND;
}

static slm_status choose_quant(const struct store *s, struct model_name *name, slm_err *err) {
    struct choice c = {.wanted = name};
    buf_init(&c.all, 4096);
    slm_status st = store_each(s, choose, &c, err);
    if (st == SLM_OK && c.n == 0) st = not_here(name, err);
    if (st == SLM_OK && c.n > 1) {
        st = err_set(err, SLM_E_USAGE, SLM_NOWHERE, "model \"%s/%s\": several quants are here: %s", name->space, name->model, c.all.data);
        err_hint(err, "say which: hf.co/%s/%s:QUANT", name->space, name->model);
    }
    if (st == SLM_OK) *name = c.found;
    buf_fini(&c.all);
    return st;
}

static slm_status path_of(const struct model_name *name, char out[1024], slm_err *err) {
    struct buf b;
    buf_init(&b, 1000);
    slm_status st = name_path(name, &b, err);
    if (st == SLM_OK) st = buf_status(&b, "model name", err);
    if (st == SLM_OK) text_copy(out, 1024, b.data);
    buf_fini(&b);
    return st;
}

slm_status store_read(const struct store *s, struct model_name *name, struct manifest *m, slm_err *err) {
    char path[1024];
    double changed_s;
    slm_status st = SLM_OK;
    memset(m, 0, sizeof *m);
    if (!name->tag[0]) TRY(choose_quant(s, name, err));
    TRY(path_of(name, path, err));
    char *file = store_path(s, "manifests/%s", path);
    bool exists = file && access(file, F_OK) == 0;
    free(file);
    if (!exists) return not_here(name, err);
    TRY(read_at(s, path, m, &changed_s, err));
out:
    return st;
}

static slm_status store_write(struct store *s, const struct model_name *name, const struct manifest *m, slm_err *err) {
    char path[1024], *file = NULL, *text = NULL;
    struct buf b;
    json_t *json = manifest_json(m);
    slm_status st = SLM_OK;
    buf_init(&b, MANIFEST_BYTES_MAX);
    TRY(path_of(name, path, err));
    file = store_path(s, "manifests/%s", path);
    text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (!file || !text) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "manifest: out of memory");
    buf_puts(&b, text);
    TRY(store_make_parents(file, err));
    TRY(file_write(&b, file, err));
out:
    buf_fini(&b);
    json_decref(json);
    free(text);
    free(file);
    return st;
}

/* Digests that manifests name, as a sorted list. */
struct needed {
    char (*v)[DIGEST_MAX];
    uint64_t *keys; /* of what is made from a manifest; [n_keys] */
    size_t n, cap, n_keys;
    bool failed;
};

static bool note_needed(void *user, const struct model_name *name, const struct manifest *m, double changed_s) {
    struct needed *k = user;
    (void)name;
    (void)changed_s;
    if (!m) return !(k->failed = true); /* what it needs is not known: nothing is removed */
    uint64_t *keys = realloc(k->keys, (k->n_keys + 1) * sizeof *keys);
    if (!keys) return !(k->failed = true);
    k->keys = keys;
    k->keys[k->n_keys++] = layers_key(m);
    if (k->n + m->n_layers > k->cap) {
        size_t cap = 2 * k->cap + m->n_layers;
        void *grown = realloc(k->v, cap * sizeof *k->v);
        if (!grown) return !(k->failed = true);
        k->v = grown;
        k->cap = cap;
    }
    for (size_t i = 0; i < m->n_layers; i++) memcpy(k->v[k->n++], m->layers[i].digest, DIGEST_MAX);
    return true;
}

static int compare_digest(const void *a, const void *b) { return strcmp(a, b); }

/* Remove a file unless somebody holds it. */
static uint64_t drop_file(const struct store *s, const char *folder, const char *file) {
    struct stat info;
    char *path = store_path(s, "%s/%s", folder, file);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    bool free_to_go = path && lstat(path, &info) == 0 && (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0);
    uint64_t n = 0;
    if (free_to_go && unlink(path) == 0 && S_ISREG(info.st_mode) && info.st_nlink == 1) n = (uint64_t)info.st_size;
    if (fd >= 0) close(fd);
    free(path);
    return n;
}

/* Links into blobs that are gone lead nowhere; folders of them go when they are empty. */
static void drop_view(const struct store *s, const char *below, int level) {
    char *folder = store_path(s, "views/%s", below);
    DIR *d = folder ? opendir(folder) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[1024];
        int n = snprintf(path, sizeof path, "%s/%s", below, e->d_name);
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || n < 0 || (size_t)n >= sizeof path) continue;
        char *full = store_path(s, "views/%s", path);
        if (full && unlink(full) != 0 && level < N_LEVELS) drop_view(s, path, level + 1);
        free(full);
    }
    if (d) closedir(d);
    if (folder) rmdir(folder);
    free(folder);
}

static bool is_key_needed(const struct needed *k, const char *name) {
    char *end;
    uint64_t key = strtoull(name, &end, 16);
    for (size_t i = 0; end == name + 16 && i < k->n_keys; i++)
        if (k->keys[i] == key) return true;
    return end != name + 16; /* not ours */
}

/* What was made from a manifest that is no more: folders of links, models merged with adapters. */
static uint64_t drop_made(const struct store *s, const struct needed *k) {
    static const char *const folders[] = {"adapted", "views"};
    uint64_t n = 0;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char *folder = store_path(s, "%s", folders[i]);
        DIR *d = folder ? opendir(folder) : NULL;
        for (struct dirent *e; d && (e = readdir(d));) {
            if (e->d_name[0] == '.' || is_key_needed(k, e->d_name)) continue;
            if (i == 0) n += drop_file(s, folders[i], e->d_name);
            else drop_view(s, e->d_name, 0);
        }
        if (d) closedir(d);
        free(folder);
    }
    return n;
}

static slm_status collect_garbage(const struct store *s, uint64_t *n_freed, slm_err *err) {
    struct needed k = {0};
    slm_status st = store_each(s, note_needed, &k, err);
    char *folder = store_path(s, "blobs");
    DIR *d = st == SLM_OK && !k.failed && folder ? opendir(folder) : NULL;
    if (k.n) qsort(k.v, k.n, sizeof *k.v, compare_digest);
    for (struct dirent *e; d && (e = readdir(d));) {
        char digest[DIGEST_MAX];
        if (strlen(e->d_name) != DIGEST_MAX - 1 || strncmp(e->d_name, "sha256-", 7) != 0) continue;
        memcpy(digest, e->d_name, DIGEST_MAX);
        digest[6] = ':';
        if ((!k.n || !bsearch(digest, k.v, k.n, sizeof *k.v, compare_digest)) && !store_is_kept(s, digest)) *n_freed += drop_file(s, "blobs", e->d_name);
    }
    if (d) *n_freed += drop_made(s, &k);
    store_sweep(s);
    if (d) closedir(d);
    free(folder);
    free(k.v);
    free(k.keys);
    return st;
}

slm_status store_remove(struct store *s, const struct model_name *name, uint64_t *n_freed, slm_err *err) {
    struct model_name full = *name;
    struct manifest m;
    char path[1024], *file = NULL;
    int lock = -1;
    slm_status st = SLM_OK;
    *n_freed = 0;
    TRY(store_lock(s, true, &lock, err));
    TRY(store_read(s, &full, &m, err));
    manifest_fini(&m);
    TRY(path_of(&full, path, err));
    file = store_path(s, "manifests/%s", path);
    if (!file || unlink(file) != 0) FAIL(SLM_E_IO, SLM_NOWHERE, "remove \"%s\": %s", path, strerror(errno));
    TRY(collect_garbage(s, n_freed, err));
out:
    free(file);
    if (lock >= 0) close(lock);
    return st;
}

slm_status store_commit(struct store *s, const struct model_name *name, const struct manifest *m, slm_err *err) {
    slm_status st = SLM_OK;
    int lock = -1;
    TRY(store_lock(s, false, &lock, err));
    for (size_t i = 0; i < m->n_layers; i++)
        if (!store_has_blob(s, m->layers[i].digest, m->layers[i].size)) FAIL(SLM_E_FAILED, SLM_NOWHERE, "blob %.19s...: was removed while the model was made; try again", m->layers[i].digest);
    TRY(store_write(s, name, m, err));
    for (size_t i = 0; i < m->n_layers; i++) store_unkeep(s, m->layers[i].digest);
out:
    if (lock >= 0) close(lock);
    return st;
}
