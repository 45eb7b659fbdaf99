/* input.c -- reading what users hand over; all of it may be anything. */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/show.h"
#include "cli/term.h"

static slm_status read_array(const json_t *array, const char *name, uint32_t n_vocab, struct tok_ids *ids, slm_err *err) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *v = json_array_get(array, i);
        if (!json_is_integer(v)) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "ids \"%s\": element %zu is not a whole number", name, i);
        json_int_t id = json_integer_value(v);
        if (id < 0 || id >= (json_int_t)n_vocab) {
            err_set(err, SLM_E_USAGE, SLM_NOWHERE, "ids \"%s\": element %zu is %lld, the model has tokens 0 to %u", name, i, (long long)id, n_vocab - 1);
            return SLM_E_USAGE;
        }
        slm_status st = tok_ids_push(ids, (int32_t)id, err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

slm_status input_ids(const char *source, uint32_t n_vocab, struct tok_ids *ids, slm_err *err) {
    slm_status st = SLM_OK;
    struct buf text;
    json_error_t fault;
    json_t *root = NULL;
    struct shown name = show_path(source);
    *ids = (struct tok_ids){0};
    buf_init(&text, INPUT_BYTES_MAX);
    const char *first = source + strspn(source, " \t\r\n");
    if (*first == '[' || *first == '{') buf_puts(&text, source);
    else TRY(file_read(&text, source, err));
    root = json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &fault);
    if (!root) {
        st = err_set(err, SLM_E_USAGE, (uint64_t)fault.position, "ids \"%s\": not JSON at byte %d: %s", name.s, fault.position, fault.text);
        err_hint(err, "write [1, 2, 3] or {\"ids\": [1, 2, 3]}, - for standard input, or the name of a file");
        goto out;
    }
    const json_t *array = json_is_object(root) ? json_object_get(root, "ids") : root;
    if (!json_is_array(array)) {
        st = err_set(err, SLM_E_USAGE, SLM_NOWHERE, "ids \"%s\": neither an array nor an object with \"ids\"", name.s);
        goto out;
    }
    TRY(read_array(array, name.s, n_vocab, ids, err));
out:
    json_decref(root);
    buf_fini(&text);
    if (st != SLM_OK) tok_ids_fini(ids);
    return st;
}

slm_status input_text(const char *text, const char *path, struct buf *out, slm_err *err) {
    if (!text) return file_read(out, path ? path : "-", err);
    buf_puts(out, text);
    return buf_status(out, "text", err);
}

slm_status input_lines_open(struct input_lines *l, const char *path, slm_err *err) {
    struct stat s;
    bool is_file = path && strcmp(path, "-") != 0;
    *l = (struct input_lines){.fd = STDIN_FILENO};
    buf_init(&l->line, INPUT_LINE_BYTES_MAX);
    if (is_file) l->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (l->fd < 0) return err_set(err, SLM_E_IO, SLM_NOWHERE, "\"%s\": %s", show_path(path).s, strerror(errno));
    if (fstat(l->fd, &s) == 0 && S_ISREG(s.st_mode)) l->n_whole = (uint64_t)s.st_size;
    return SLM_OK;
}

void input_lines_close(struct input_lines *l) {
    if (l->fd > STDIN_FILENO) close(l->fd);
    buf_fini(&l->line);
    l->fd = -1;
}

/* The next block; its n is 0 at the end. */
static slm_status refill(struct input_lines *l, slm_err *err) {
    ssize_t n;
    do {
        if (!interrupt_wait(l->fd)) return err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
        n = read(l->fd, l->block, sizeof l->block);
    } while (n < 0 && (errno == EINTR || errno == EAGAIN));
    if (n < 0) return err_set(err, SLM_E_IO, SLM_NOWHERE, "read: %s", strerror(errno));
    l->at = 0;
    l->n = (size_t)n;
    return SLM_OK;
}

slm_status input_lines_next(struct input_lines *l, bool *has_line, slm_err *err) {
    const char *end = NULL;
    *has_line = false;
    buf_clear(&l->line);
    while (!end) {
        if (l->at == l->n) {
            slm_status st = refill(l, err);
            if (st != SLM_OK) return st;
            if (l->n == 0) break;
        }
        end = memchr(l->block + l->at, '\n', l->n - l->at);
        size_t n = end ? (size_t)(end - l->block) + 1 - l->at : l->n - l->at;
        buf_append(&l->line, l->block + l->at, n);
        l->at += n;
        l->n_taken += n;
        *has_line = true;
        slm_status st = buf_status(&l->line, "a line", err);
        if (st != SLM_OK) return st;
    }
    while (l->line.len > 0 && (l->line.data[l->line.len - 1] == '\n' || l->line.data[l->line.len - 1] == '\r')) l->line.data[--l->line.len] = 0;
    return SLM_OK;
}
