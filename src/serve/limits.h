/* limits.h -- what a client may take, as one table: sizes, counts and times of the HTTP side.
 *
 * Every row can be changed with `slm serve --limit NAME=VALUE`; docs/serving.md lists them. */
#ifndef SLM_SERVE_LIMITS_H
#define SLM_SERVE_LIMITS_H

#include "base/mem.h"

enum limit_id {
    LIMIT_HEAD_BYTES, LIMIT_HEADERS, LIMIT_BODY_BYTES, LIMIT_BODIES_BYTES, LIMIT_BLOB_BYTES, LIMIT_OUT_BYTES,
    LIMIT_HEAD_S, LIMIT_BODY_S, LIMIT_IDLE_S, LIMIT_STALL_S, LIMIT_DRAIN_S, LIMIT_PING_S,
    LIMIT_CONNECTIONS, LIMIT_REQUESTS, LIMIT_CHOICES, LIMIT_INPUTS, LIMIT_TOOLS, LIMIT_STOPS, LIMIT_LOGPROBS,
    LIMIT_COUNT
};
struct limit_row {
    const char *name;
    int64_t fallback, min, max;
    const char *what;
};
struct limits {
    int64_t v[LIMIT_COUNT];
};

const struct limit_row *limit_rows(void); /* LIMIT_COUNT rows */
void limits_init(struct limits *l);
/* limits_set -- one "NAME=VALUE". Errors: USAGE (no such limit, with the nearest; out of range). */
slm_status limits_set(struct limits *l, const char *text, slm_err *err);

#endif
