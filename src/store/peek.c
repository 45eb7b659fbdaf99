/* peek.c -- heads of files, laid into files of the full size whose rest are holes: so that the one reader of GGUF reads them too.
 *
 * How long the metadata is stands nowhere; it is asked for in pieces that grow until every tensor's data begins behind what is there. */
#include "store/peek.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/show.h"
#include "store/http.h"
#include "store/make_int.h"

#define FIRST_BYTES (1u << 20)
#define GROWTH 4
#define N_FILES_MAX 128
#define LICENSE_BYTES_MAX (256u << 10)

struct head_file {
    const struct remote_file *from;
    char *path;
    uint64_t size, n_have;
};

static slm_status place_file(struct peek *p, struct head_file *f, size_t i, slm_err *err) {
    struct buf path;
    const char *title = f->from->title, *base = title && strrchr(title, '/') ? strrchr(title, '/') + 1 : title;
    slm_status st = SLM_OK;
    int fd = -1;
    buf_init(&path, 8192);
    if (base && title_is_safe(base)) buf_printf(&path, "%s/%s", p->folder, base);
    else buf_printf(&path, "%s/%zu.gguf", p->folder, i);
    TRY(buf_status(&path, "file", err));
    TRY(store_make_parents(path.data, err));
    fd = open(path.data, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || ftruncate(fd, (off_t)f->size) != 0) FAIL(SLM_E_IO, SLM_NOWHERE, "\"%.200s\": %s", path.data, strerror(errno));
    f->path = path.data;
    path.data = NULL;
out:
    if (fd >= 0) close(fd);
    buf_fini(&path);
    return st;
}

/* Bytes [n_have, n) of the file at its source. */
static slm_status extend(struct peek *p, const struct remote *r, struct head_file *f, uint64_t n, const _Atomic bool *cancel, slm_err *err) {
    struct http_head head;
    struct buf bytes;
    slm_status st = SLM_OK;
    int fd = -1;
    if (n > f->size) n = f->size;
    if (n <= f->n_have) return SLM_OK;
    buf_init(&bytes, (size_t)(n - f->n_have));
    st = http_get_range(f->from->url, r->token, f->n_have, n, cancel, &bytes, &head, err);
    if (st == SLM_E_LIMIT || (st == SLM_OK && (head.status != 206 || bytes.len != n - f->n_have || head.range_begin != f->n_have)))
        FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%.200s\": the server sends no ranges", f->from->url);
    if (st != SLM_OK) goto out;
    if (head.range_total != UINT64_MAX && head.range_total != f->size)
        FAIL(SLM_E_FORMAT, SLM_NOWHERE, "\"%.200s\": has %llu bytes, %llu were promised", f->from->url, (unsigned long long)head.range_total, (unsigned long long)f->size);
    fd = open(f->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || pwrite(fd, bytes.data, bytes.len, (off_t)f->n_have) != (ssize_t)bytes.len) FAIL(SLM_E_IO, SLM_NOWHERE, "\"%.200s\": %s", f->path, strerror(errno));
    p->n_fetched += bytes.len;
    f->n_have = n;
out:
    if (fd >= 0) close(fd);
    buf_fini(&bytes);
    return st;
}

/* Is all metadata of all shards there? A shard's first tensor begins behind it. */
static bool is_enough(const struct gguf *g, const struct head_file *files, size_t n) {
    uint64_t first[N_FILES_MAX];
    for (size_t i = 0; i < n; i++) first[i] = UINT64_MAX;
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (t->i_shard >= n) return false;
        if (t->offset < first[t->i_shard]) first[t->i_shard] = t->offset;
    }
    for (size_t i = 0; i < n; i++)
        if (first[i] > files[i].n_have && files[i].n_have < files[i].size) return false;
    return true;
}

static slm_status read_heads(struct peek *p, const struct remote *r, struct head_file *files, size_t n, const _Atomic bool *cancel, slm_err *err) {
    slm_status st = SLM_OK;
    for (uint64_t want = FIRST_BYTES;; want *= GROWTH) {
        struct gguf *g = NULL;
        bool is_last = want >= PEEK_BYTES_MAX;
        for (size_t i = 0; i < n; i++) TRY(extend(p, r, &files[i], is_last ? PEEK_BYTES_MAX : want, cancel, err));
        st = gguf_open(files[0].path, &g, err);
        if (st == SLM_OK && is_enough(g, files, n)) return model_bind(g, 0, &p->model, err);
        gguf_close(g);
        if (is_last && st == SLM_OK) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "\"%.200s\": its metadata is longer than %u bytes", files[0].from->url, PEEK_BYTES_MAX);
        bool is_whole = true;
        for (size_t i = 0; i < n; i++) is_whole &= files[i].n_have == files[i].size;
        if (is_last || is_whole) return st;
    }
out:
    return st;
}

static slm_status fill_size(const struct remote *r, struct head_file *f, const _Atomic bool *cancel, slm_err *err) {
    struct http_head head;
    f->size = f->from->size;
    if (f->size != UINT64_MAX) return SLM_OK;
    slm_status st = http_head_of(f->from->url, r->token, cancel, &head, err);
    if (st == SLM_OK && head.length == UINT64_MAX) st = err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%.200s\": the server does not say how long it is", f->from->url);
    f->size = head.length;
    return st;
}

static void take_line(struct peek *p, struct view text) {
    while (text.len && strchr(" \t\r\n", *text.ptr)) text.ptr++, text.len--;
    size_t n = 0;
    while (n < text.len && n < 200 && text.ptr[n] != '\n' && text.ptr[n] != '\r') n++;
    buf_append(&p->license, text.ptr, n);
}

/* Of the source, of a licence's layer, or of the file. */
static void find_license(struct peek *p, const struct remote *r, const _Atomic bool *cancel) {
    struct buf text;
    struct view v;
    buf_init(&text, LICENSE_BYTES_MAX);
    if (r->license) take_line(p, view_of(r->license));
    for (size_t i = 0; i < r->n_files && !p->license.len; i++)
        if (r->files[i].kind == LAYER_LICENSE && http_get(r->files[i].url, r->token, NULL, cancel, &text, NULL) == SLM_OK) take_line(p, (struct view){text.data, text.len});
    if (!p->license.len && p->model && gguf_get_string(p->model->gguf, "general.license", &v, NULL) == SLM_OK) take_line(p, v);
    buf_fini(&text);
}

/* The path of a file of holes says nothing to anybody: the name of the file that it stands for does. A path is shown by its end, so only the folder's own
 * name is looked for. */
static void forget_path(const struct peek *p, const struct head_file *files, size_t n, slm_err *err) {
    const char *folder = p->folder ? strrchr(p->folder, '/') : NULL, *at = err && folder ? strstr(err->msg, folder) : NULL;
    struct buf text;
    if (!at) return;
    const char *begin = at, *end = at + strcspn(at, "\""), *base = at + strlen(folder);
    while (begin > err->msg && begin[-1] != '"') begin--;
    const char *name = files[0].from->url;
    for (size_t i = 0; i < n; i++) {
        const char *own = files[i].path ? strrchr(files[i].path, '/') : NULL;
        if (own && strncmp(own, base, (size_t)(end - base)) == 0) name = files[i].from->title ? files[i].from->title : files[i].from->url;
    }
    buf_init(&text, 2 * sizeof err->msg);
    buf_append(&text, err->msg, (size_t)(begin - err->msg));
    buf_puts(&text, show_path(name).s);
    buf_puts(&text, end);
    if (!text.failed) snprintf(err->msg, sizeof err->msg, "%s", text.data);
    buf_fini(&text);
}

slm_status peek_open(struct store *s, const struct remote *r, const _Atomic bool *cancel, struct peek *p, slm_err *err) {
    struct head_file files[N_FILES_MAX] = {0};
    size_t n = 0;
    slm_status st = SLM_OK;
    *p = (struct peek){0};
    buf_init(&p->license, 4096);
    if (r->is_folder) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "a folder of safetensors says what it needs only when it is here");
    p->folder = store_path(s, "partial/peek-%d", (int)getpid());
    if (!p->folder) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "peek: out of memory");
    for (size_t i = 0; i < r->n_files; i++) {
        if (r->files[i].kind != LAYER_MODEL) continue;
        if (n == N_FILES_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "model: more than %d files", N_FILES_MAX);
        files[n] = (struct head_file){.from = &r->files[i]};
        TRY(fill_size(r, &files[n], cancel, err));
        TRY(place_file(p, &files[n], n, err));
        n++;
    }
    st = n ? read_heads(p, r, files, n, cancel, err) : err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "model: it has no file");
out:
    if (st != SLM_OK) forget_path(p, files, n, err);
    find_license(p, r, cancel);
    for (size_t i = 0; i < N_FILES_MAX; i++) {
        if (files[i].path) unlink(files[i].path); /* what is mapped stays */
        free(files[i].path);
    }
    return st;
}

void peek_close(struct peek *p) {
    model_close(p->model);
    if (p->folder) rmdir(p->folder);
    free(p->folder);
    buf_fini(&p->license);
    *p = (struct peek){0};
}
