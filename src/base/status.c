/* status.c -- the one table of status codes, and how an slm_err is filled. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct status_row rows[] = {
    /* code                 name               exit  http  what */
    {SLM_OK,                "ok",              0,    200, "done"},
    {SLM_E_FAILED,          "failed",          1,    500, "the job itself failed"},
    {SLM_E_USAGE,           "usage",           2,    400, "wrong arguments"},
    {SLM_E_FORMAT,          "format",          3,    422, "a file breaks its format"},
    {SLM_E_UNSUPPORTED,     "unsupported",     3,    400, "a valid file or request asks for what is not there"},
    {SLM_E_NOMEM,           "out of memory",   4,    503, "the system has no memory left"},
    {SLM_E_LIMIT,           "limit",           4,    400, "a named limit would be passed"},
    {SLM_E_DEVICE,          "device",          5,    500, "a device failed"},
    {SLM_E_NETWORK,         "network",         6,    502, "the network or a server failed"},
    {SLM_E_NEEDS_FRONTIER,  "needs frontier",  7,    503, "only the frontier tier could answer and none is allowed"},
    {SLM_E_IO,              "io",              1,    500, "the system could not open, read or write"},
    {SLM_E_NOT_FOUND,       "not found",       1,    404, "what was asked for is not there"},
    {SLM_E_BUSY,            "busy",            1,    429, "a queue is full: try again"},
    {SLM_E_CANCELLED,       "cancelled",       130,  499, "interrupted"},
};
#define N_ROWS (sizeof rows / sizeof rows[0])

const struct status_row *status_rows(size_t *n_rows) {
    *n_rows = N_ROWS;
    return rows;
}

const struct status_row *status_get(slm_status code) {
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].code == code) return &rows[i];
    return &rows[SLM_E_FAILED];
}

slm_status err_set(slm_err *err, slm_status code, uint64_t where, const char *fmt, ...) {
    if (!err) return code;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, args);
    va_end(args);
    err->code = code;
    err->where = where;
    err->hint[0] = 0;
    return code;
}

void err_hint(slm_err *err, const char *fmt, ...) {
    if (!err) return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->hint, sizeof err->hint, fmt, args);
    va_end(args);
}

slm_status err_wrap(slm_err *err, slm_status code, const char *fmt, ...) {
    if (!err) return code;
    char joined[2 * sizeof err->msg];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(joined, sizeof err->msg, fmt, args);
    va_end(args);
    size_t at = n < 0 ? 0 : (size_t)n < sizeof err->msg ? (size_t)n : sizeof err->msg - 1;
    snprintf(joined + at, sizeof joined - at, ": %s", err->msg);
    memcpy(err->msg, joined, sizeof err->msg - 1);
    err->msg[sizeof err->msg - 1] = 0;
    return code;
}

void err_clear(slm_err *err) {
    if (err) *err = (slm_err){.code = SLM_OK, .where = SLM_NOWHERE};
}

void assert_failed(const char *cond, const char *file, int line) {
    fprintf(stderr, "slm: this is a bug: %s:%d: \"%s\" does not hold\n", file, line, cond);
    abort();
}
