/* fail.c -- error messages about files: the file first, then what was being read, then why. */
#include <stdarg.h>
#include <stdio.h>

#include "format/gguf/gguf_int.h"

slm_status gguf_fail(slm_err *err, const char *path, slm_status code, uint64_t where, const char *fmt, ...) {
    char why[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return err_set(err, code, where, "\"%s\": %s", show_path(path).s, why);
}

slm_status cursor_fail(slm_err *err, const struct cursor *c, slm_status code, uint64_t where, const char *fmt, ...) {
    char why[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return err_set(err, code, where, "\"%s\": %s: %s", show_path(c->path).s, c->what, why);
}
