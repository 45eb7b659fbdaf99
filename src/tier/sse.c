/* sse.c -- lines end in LF, CRLF or CR; an empty line tells the event. */
#include "tier/sse.h"

#include <stdio.h>
#include <string.h>

void sse_init(struct sse *s) {
    memset(s, 0, sizeof *s);
    buf_init(&s->line, SSE_EVENT_BYTES_MAX);
    buf_init(&s->data, SSE_EVENT_BYTES_MAX);
}

void sse_fini(struct sse *s) {
    buf_fini(&s->line);
    buf_fini(&s->data);
}

static void take_field(struct sse *s, struct view line) {
    const char *colon = memchr(line.ptr, ':', line.len);
    struct view name = {line.ptr, colon ? (size_t)(colon - line.ptr) : line.len}, value = {colon ? colon + 1 : "", colon ? line.len - name.len - 1 : 0};
    if (value.len && *value.ptr == ' ') value.ptr++, value.len--;
    if (view_eq(name, VIEW("data"))) {
        if (s->has_data) buf_putc(&s->data, '\n');
        buf_append(&s->data, value.ptr, value.len);
        s->has_data = true;
    } else if (view_eq(name, VIEW("event"))) snprintf(s->event, sizeof s->event, "%.*s", (int)(value.len < 63 ? value.len : 63), value.ptr);
}

static slm_status end_line(struct sse *s, sse_fn *fn, void *user) {
    static const char mark[] = "\xEF\xBB\xBF";
    struct view line = {s->line.data ? s->line.data : "", s->line.len};
    bool goes_on = true;
    if (!s->has_begun && line.len >= 3 && memcmp(line.ptr, mark, 3) == 0) line.ptr += 3, line.len -= 3;
    s->has_begun = true;
    if (line.len) take_field(s, line);
    else {
        if (s->has_data) goes_on = fn(user, s->event, (struct view){s->data.data ? s->data.data : "", s->data.len});
        s->has_data = false;
        s->event[0] = 0;
        buf_clear(&s->data);
    }
    buf_clear(&s->line);
    return goes_on ? SLM_OK : SLM_E_CANCELLED;
}

slm_status sse_push(struct sse *s, const char *bytes, size_t n, sse_fn *fn, void *user) {
    slm_status st = SLM_OK;
    for (size_t i = 0; i < n && st == SLM_OK;) {
        if (s->has_cr && bytes[i] == '\n') i++; /* the second half of CRLF */
        s->has_cr = false;
        size_t k = i;
        while (k < n && bytes[k] != '\n' && bytes[k] != '\r') k++;
        buf_append(&s->line, bytes + i, k - i);
        if (s->line.failed != SLM_OK || s->data.failed != SLM_OK) return SLM_E_LIMIT;
        if (k < n) {
            s->has_cr = bytes[k] == '\r';
            st = end_line(s, fn, user);
        }
        i = k + 1;
    }
    return st;
}
