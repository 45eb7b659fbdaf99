/* sse.h -- events of a text/event-stream out of bytes in any pieces (WHATWG HTML, 9.2.6). Comments, ids and retry are dropped. */
#ifndef SLM_TIER_SSE_H
#define SLM_TIER_SSE_H

#include "base/mem.h"

#define SSE_EVENT_BYTES_MAX ((size_t)16 << 20)

struct sse {
    struct buf line, data;
    char event[64];
    bool has_cr, has_data, has_begun;
};
/* event "" when it has no name. False ends the reading. */
typedef bool sse_fn(void *user, const char *event, struct view data);
void sse_init(struct sse *s);
/* sse_push -- Errors: LIMIT (an event is too long), CANCELLED (fn said so). What was not ended by an empty line is never told. */
slm_status sse_push(struct sse *s, const char *bytes, size_t n, sse_fn *fn, void *user);
void sse_fini(struct sse *s);
#endif
