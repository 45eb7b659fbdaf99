/* show.c -- error messages about files, with hostile text made harmless.
 *
 * Names in a file may hold anything, and a message may end on a terminal or in a log: only printable
 * characters pass. This is the one place that decides it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "format/gguf/gguf_int.h"

#define PATH_SHOWN_MAX 150

/* C1 controls, and marks that turn the direction of text or cannot be seen. */
static bool is_harmful(uint32_t cp) {
    return (cp >= 0x80 && cp < 0xa0) || cp == 0xad || (cp >= 0x200b && cp <= 0x200f) ||
           (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff || cp >= 0xe0000;
}

/* Writes one character or escaped byte at most 4 long to out; returns the bytes eaten. */
static size_t show_one(const char *s, size_t n, char out[5], size_t *n_out) {
    unsigned char b = (unsigned char)s[0];
    uint32_t cp;
    int len = b < 0x80 ? 1 : utf8_decode(s, n, &cp);
    if (b >= 0x80 && len > 0 && !is_harmful(cp)) {
        memcpy(out, s, (size_t)len);
        *n_out = (size_t)len;
        return (size_t)len;
    }
    if (b == '"' || b == '\\')
        *n_out = (size_t)snprintf(out, 5, "\\%c", b);
    else if (b >= 0x20 && b < 0x7f)
        *n_out = (size_t)snprintf(out, 5, "%c", b);
    else
        *n_out = (size_t)snprintf(out, 5, "\\x%02x", b);
    return 1;
}

struct shown gguf_show(struct view v) {
    struct shown r;
    size_t at = 0, i = 0;
    while (i < v.len) {
        char one[5];
        size_t n_one, eaten = show_one(v.ptr + i, v.len - i, one, &n_one);
        if (at + n_one + sizeof "..." > sizeof r.s) {
            memcpy(r.s + at, "...", 3);
            at += 3;
            break;
        }
        memcpy(r.s + at, one, n_one);
        at += n_one;
        i += eaten;
    }
    r.s[at] = 0;
    return r;
}

struct shown gguf_show_path(const char *path) {
    struct view v = view_of(path);
    if (v.len > PATH_SHOWN_MAX) v = view_of(path + v.len - PATH_SHOWN_MAX);
    return gguf_show(v);
}

slm_status gguf_fail(slm_err *err, const char *path, slm_status code, uint64_t where, const char *fmt, ...) {
    char why[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return err_set(err, code, where, "\"%s\": %s", gguf_show_path(path).s, why);
}

slm_status cursor_fail(slm_err *err, const struct cursor *c, slm_status code, uint64_t where, const char *fmt, ...) {
    char why[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return err_set(err, code, where, "\"%s\": %s: %s", gguf_show_path(c->path).s, c->what, why);
}
