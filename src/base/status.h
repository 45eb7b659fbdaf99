/* status.h -- how functions fail.
 *
 * What can fail returns slm_status and takes slm_err *err last (NULL allowed). The function that
 * detects a fault fills err once; callers may prefix context with err_wrap; nobody logs and returns.
 * A function that fails leaves its outputs empty. */
#ifndef SLM_BASE_STATUS_H
#define SLM_BASE_STATUS_H

#include <slm/slm.h>

#if defined(__GNUC__)
#define SLM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define SLM_PRINTF(f, a)
#endif

struct status_row {
    slm_status code;
    const char *name;  /* "format" */
    int exit_code;     /* the command contract's */
    int http_status;
    const char *what;  /* one line for the manual */
};

/* status_rows -- the whole table, in code order. Never NULL. */
const struct status_row *status_rows(size_t *n_rows);
/* status_get -- the row of a code; an unknown code gives the row of SLM_E_FAILED. */
const struct status_row *status_get(slm_status code);

/* err_set -- fill *err (hint emptied) and return code. where: byte offset or SLM_NOWHERE. */
slm_status err_set(slm_err *err, slm_status code, uint64_t where, const char *fmt, ...) SLM_PRINTF(4, 5);
/* err_hint -- set the hint of a filled err. */
void err_hint(slm_err *err, const char *fmt, ...) SLM_PRINTF(2, 3);
/* err_wrap -- put "context: " before the message of a filled err; returns its code. */
slm_status err_wrap(slm_err *err, slm_status code, const char *fmt, ...) SLM_PRINTF(3, 4);
/* err_clear -- empty an err (code SLM_OK, where SLM_NOWHERE). */
void err_clear(slm_err *err);

/* SLM_ASSERT -- for our own bugs only, never for bytes from a file, the network or a user. Kept in every build. */
#define SLM_ASSERT(cond) ((cond) ? (void)0 : assert_failed(#cond, __FILE__, __LINE__))
_Noreturn void assert_failed(const char *cond, const char *file, int line);

/* Both expect `slm_status st` and the label `out` in scope; FAIL also `slm_err *err`. */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        st = (expr);                                                                               \
        if (st != SLM_OK) goto out;                                                                \
    } while (0)
#define FAIL(code, where, ...)                                                                     \
    do {                                                                                           \
        st = err_set(err, (code), (where), __VA_ARGS__);                                           \
        goto out;                                                                                  \
    } while (0)

#endif
