/* store.c -- paths, blobs, locks. */
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/util.h"

#define HASH_STEP_BYTES (1u << 20)
#define KEPT_S 86400

char *store_path(const struct store *s, const char *format, ...) {
    struct buf b;
    char tail[4096];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(tail, sizeof tail, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof tail) return NULL;
    buf_init(&b, 8192);
    buf_printf(&b, "%s/%s", s->root, tail);
    if (buf_status(&b, "path", NULL) != SLM_OK) buf_fini(&b);
    return b.data;
}

char *store_blob_path(const struct store *s, const char *digest) {
    SLM_ASSERT(digest_is(digest));
    return store_path(s, "blobs/sha256-%s", digest + 7);
}

slm_status store_make_parents(const char *path, slm_err *err) {
    char part[8192];
    size_t n = strlen(path);
    if (n >= sizeof part) return err_set(err, SLM_E_IO, SLM_NOWHERE, "folder \"%.200s\": name too long", path);
    for (size_t i = 1; i < n; i++) {
        if (path[i] != '/') continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0777) != 0 && errno != EEXIST) return err_set(err, SLM_E_IO, SLM_NOWHERE, "folder \"%.200s\": %s", part, strerror(errno));
    }
    return SLM_OK;
}

slm_status store_open(struct store *s, slm_err *err) {
    struct buf root;
    const char *own = env_get(ENV_SLM_STORE), *data = env_get(ENV_XDG_DATA_HOME), *home = env_get(ENV_HOME);
    slm_status st = SLM_OK;
    buf_init(&root, 4096);
    s->root = NULL;
    if (own) buf_puts(&root, own);
    else if (data) buf_printf(&root, "%s/slm", data);
    else if (home) buf_printf(&root, "%s/.local/share/slm", home);
    else FAIL(SLM_E_USAGE, SLM_NOWHERE, "the store has no folder: neither SLM_STORE nor HOME is set");
    TRY(buf_status(&root, "the store's folder", err));
    s->root = root.data;
    static const char *const folders[] = {"blobs/", "partial/", "manifests/"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && st == SLM_OK; i++) {
        char *path = store_path(s, "%s", folders[i]);
        st = path ? store_make_parents(path, err) : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "the store: out of memory");
        free(path);
    }
    if (st == SLM_OK) return SLM_OK;
out:
    buf_fini(&root);
    s->root = NULL;
    return st;
}

void store_close(struct store *s) {
    free(s->root);
    s->root = NULL;
}

bool store_has_blob(const struct store *s, const char *digest, uint64_t size) {
    struct stat info;
    char *path = store_blob_path(s, digest);
    bool has = path && stat(path, &info) == 0 && S_ISREG(info.st_mode) && (uint64_t)info.st_size == size;
    free(path);
    return has;
}

void store_keep(const struct store *s, const char *digest) {
    char *path = store_path(s, "kept/%s", digest + 7);
    int fd = path && store_make_parents(path, NULL) == SLM_OK ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
    if (fd >= 0) {
        futimens(fd, NULL);
        close(fd);
    }
    free(path);
}

void store_unkeep(const struct store *s, const char *digest) {
    char *path = store_path(s, "kept/%s", digest + 7);
    if (path) unlink(path);
    free(path);
}

bool store_is_kept(const struct store *s, const char *digest) {
    struct stat info;
    char *path = store_path(s, "kept/%s", digest + 7);
    bool is = path && stat(path, &info) == 0;
    bool is_old = is && time(NULL) - info.st_mtime > KEPT_S;
    if (is_old) unlink(path);
    free(path);
    return is && !is_old;
}

/* Older than work can be. */
static bool is_left_over(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0 && time(NULL) - info.st_mtime > KEPT_S;
}

/* Entries of a folder that are left over and whose names begin so: files, and folders with all their files. */
static void sweep_folder(const struct store *s, const char *below, const char *begin, bool is_within) {
    char *folder = store_path(s, "%s", below);
    DIR *d = folder ? opendir(folder) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        char inner[512];
        int n = snprintf(inner, sizeof inner, "%s/%s", below, e->d_name);
        if (e->d_name[0] == '.' || strncmp(e->d_name, begin, strlen(begin)) != 0 || n < 0 || (size_t)n >= sizeof inner) continue;
        char *path = store_path(s, "%s", inner);
        if (path && (is_within || is_left_over(path)) && unlink(path) != 0 && !is_within) {
            sweep_folder(s, inner, "", true);
            rmdir(path);
        }
        free(path);
    }
    if (d) closedir(d);
    free(folder);
}

void store_sweep(const struct store *s) {
    sweep_folder(s, "kept", "", false);
    sweep_folder(s, "partial", "making-", false);
    sweep_folder(s, "partial", "peek-", false);
    sweep_folder(s, "partial", "upload-", false);
}

static void write_digest(const unsigned char hash[32], char digest[DIGEST_MAX]) {
    text_copy(digest, DIGEST_MAX, "sha256:");
    for (int i = 0; i < 32; i++) snprintf(digest + 7 + 2 * i, 3, "%02x", hash[i]);
}

slm_status store_hash(const char *path, char digest[DIGEST_MAX], const _Atomic bool *cancel, slm_err *err) {
    slm_status st = SLM_OK;
    unsigned char hash[EVP_MAX_MD_SIZE];
    void *step = NULL;
    ssize_t n;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) FAIL(SLM_E_IO, SLM_NOWHERE, "open \"%.200s\": %s", path, strerror(errno));
    TRY(mem_alloc(&step, HASH_STEP_BYTES, 1, "hashing", err));
    if (!c || EVP_DigestInit_ex(c, EVP_sha256(), NULL) != 1) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "hashing: out of memory");
    while ((n = read(fd, step, HASH_STEP_BYTES)) > 0) {
        EVP_DigestUpdate(c, step, (size_t)n);
        if (cancel && *cancel) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
    }
    if (n < 0) FAIL(SLM_E_IO, SLM_NOWHERE, "read \"%.200s\": %s", path, strerror(errno));
    EVP_DigestFinal_ex(c, hash, NULL);
    write_digest(hash, digest);
out:
    EVP_MD_CTX_free(c);
    free(step);
    if (fd >= 0) close(fd);
    return st;
}

slm_status manifest_digest(const struct manifest *m, char digest[DIGEST_MAX], slm_err *err) {
    unsigned char hash[EVP_MAX_MD_SIZE];
    json_t *v = manifest_json(m);
    char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
    json_decref(v);
    if (!text) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "manifest: out of memory");
    EVP_Digest(text, strlen(text), hash, NULL, EVP_sha256(), NULL);
    free(text);
    write_digest(hash, digest);
    return SLM_OK;
}

slm_status store_add(struct store *s, struct view bytes, char digest[DIGEST_MAX], slm_err *err) {
    unsigned char hash[EVP_MAX_MD_SIZE];
    EVP_Digest(bytes.len ? bytes.ptr : "", bytes.len, hash, NULL, EVP_sha256(), NULL);
    write_digest(hash, digest);
    store_keep(s, digest);
    if (store_has_blob(s, digest, bytes.len)) return SLM_OK;
    char *path = store_blob_path(s, digest);
    struct buf b = {.data = (char *)(uintptr_t)bytes.ptr, .len = bytes.len, .cap = bytes.len, .max = bytes.len};
    slm_status st = path ? file_write(&b, path, err) : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "blob: out of memory");
    free(path);
    return st;
}

slm_status store_link(struct store *s, const char *path, const char *digest, slm_err *err) {
    slm_status st = SLM_OK;
    char *to = store_blob_path(s, digest), *real = realpath(path, NULL);
    if (!to || !real) FAIL(SLM_E_IO, SLM_NOWHERE, "link to \"%.200s\": %s", path, strerror(errno));
    store_keep(s, digest);
    unlink(to); /* of another size, or a link that leads nowhere */
    if (link(real, to) != 0 && symlink(real, to) != 0 && errno != EEXIST) FAIL(SLM_E_IO, SLM_NOWHERE, "link \"%.200s\": %s", to, strerror(errno));
out:
    free(to);
    free(real);
    return st;
}

static slm_status open_locked(const char *path, int flags, int lock, int *fd, slm_err *err) {
    *fd = open(path, flags | O_CLOEXEC, 0666);
    if (*fd < 0) return err_set(err, errno == ENOENT ? SLM_E_NOT_FOUND : SLM_E_IO, SLM_NOWHERE, "open \"%.200s\": %s", path, strerror(errno));
    int rc;
    do rc = flock(*fd, lock);
    while (rc != 0 && errno == EINTR);
    if (rc == 0) return SLM_OK;
    err_set(err, SLM_E_IO, SLM_NOWHERE, "lock \"%.200s\": %s", path, strerror(errno));
    close(*fd);
    *fd = -1;
    return SLM_E_IO;
}

slm_status store_hold(const struct store *s, const char *digest, int *fd, slm_err *err) {
    char *path = store_blob_path(s, digest);
    slm_status st = path ? open_locked(path, O_RDONLY, LOCK_SH, fd, err) : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "blob: out of memory");
    free(path);
    return st;
}

slm_status store_lock(const struct store *s, bool exclusive, int *fd, slm_err *err) {
    char *path = store_path(s, "lock");
    slm_status st = path ? open_locked(path, O_RDWR | O_CREAT, exclusive ? LOCK_EX : LOCK_SH, fd, err)
                         : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "the store: out of memory");
    free(path);
    return st;
}
