/* input.c -- reading what users hand over; all of it may be anything. */
#include "cli/input.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

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

slm_status input_line(FILE *f, struct buf *line, size_t *n_read, slm_err *err) {
    char block[4096];
    size_t n = 0;
    int c = 0;
    *n_read = 0;
    buf_clear(line);
    errno = 0;
    while (c != '\n' && line->failed == SLM_OK && (c = getc(f)) != EOF) {
        block[n++] = (char)c;
        ++*n_read;
        if (n == sizeof block) buf_append(line, block, n), n = 0;
    }
    if (c == EOF && ferror(f)) {
        if (interrupt_flag) return err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
        return err_set(err, SLM_E_IO, SLM_NOWHERE, "read: %s", strerror(errno ? errno : EIO));
    }
    buf_append(line, block, n);
    slm_status st = buf_status(line, "a line", err);
    while (st == SLM_OK && line->len > 0 && (line->data[line->len - 1] == '\n' || line->data[line->len - 1] == '\r')) line->data[--line->len] = 0;
    return st;
}
