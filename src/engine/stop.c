/* stop.c -- stop strings over a stream of bytes.
 *
 * Each string runs its own Knuth-Morris-Pratt matcher, whose state is just what is needed: how many bytes of
 * the string the text so far ends with. The largest state is how much text must be held back, no more and no
 * less; a state equal to a length is a match. Each byte costs amortised constant time per string, whatever
 * the strings are. All memory is taken in stop_init.
 *
 * Invariant between calls: held is the last max(n_matched) bytes of the text, all before it has come out. */
#include "engine/stop.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(STOP_BYTES_MAX <= UINT16_MAX, "states fit their type");

/* border[i]: length of the longest proper prefix of string[0..i] that it also ends with. */
static void borders_fill(struct view string, uint16_t *border) {
    size_t k = 0;
    border[0] = 0;
    for (size_t i = 1; i < string.len; i++) {
        while (k > 0 && string.ptr[i] != string.ptr[k]) k = border[k - 1];
        if (string.ptr[i] == string.ptr[k]) k++;
        border[i] = (uint16_t)k;
    }
}

slm_status stop_init(struct stop *s, const struct view *strings, size_t n, slm_err *err) {
    slm_status st = SLM_OK;
    size_t n_bytes = 0;
    struct view longest = {NULL, 0};
    memset(s, 0, sizeof *s);
    buf_init(&s->held, STOP_BYTES_MAX);
    if (n > STOP_N_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "stop strings \"%zu\": at most %d", n, STOP_N_MAX);
    for (size_t i = 0; i < n; i++) {
        if (strings[i].len == 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "stop string \"\": must not be empty");
        if (strings[i].len > STOP_BYTES_MAX)
            FAIL(SLM_E_LIMIT, SLM_NOWHERE, "stop string \"%.40s...\": %zu bytes long, at most %d", strings[i].ptr,
                 strings[i].len, STOP_BYTES_MAX);
        n_bytes += strings[i].len;
        if (strings[i].len > longest.len) longest = strings[i];
    }
    if (n == 0) goto out;
    TRY(mem_alloc((void **)&s->borders, n_bytes, sizeof *s->borders, "stop strings", err));
    /* The held text never gets longer than this: later appends find the memory there. */
    buf_append(&s->held, longest.ptr, longest.len - 1);
    TRY(buf_status(&s->held, "stop strings", err));
    buf_clear(&s->held);
    uint16_t *border = s->borders;
    for (size_t i = 0; i < n; i++) {
        s->strings[i] = strings[i];
        s->border[i] = border;
        borders_fill(strings[i], border);
        border += strings[i].len;
    }
    s->n = (int)n;
out:
    if (st != SLM_OK) stop_fini(s);
    return st;
}

void stop_fini(struct stop *s) {
    free(s->borders);
    buf_fini(&s->held);
    memset(s, 0, sizeof *s);
}

static void stop_reset(struct stop *s) {
    memset(s->n_matched, 0, sizeof s->n_matched);
    buf_clear(&s->held);
}

/* Step every matcher by one byte. Returns the longest string that it completes, or -1. */
static int step(struct stop *s, char byte) {
    int i_best = -1;
    for (int i = 0; i < s->n; i++) {
        const struct view string = s->strings[i];
        size_t k = s->n_matched[i]; /* < len: a match ends the run */
        while (k > 0 && string.ptr[k] != byte) k = s->border[i][k - 1];
        if (string.ptr[k] == byte) k++;
        s->n_matched[i] = (uint16_t)k;
        if (k == string.len && (i_best < 0 || k > s->strings[i_best].len)) i_best = i;
    }
    return i_best;
}

/* The first n bytes of held followed by text. */
static void put(const struct stop *s, struct view text, size_t n, struct buf *out) {
    size_t n_old = n < s->held.len ? n : s->held.len;
    if (n_old > 0) buf_append(out, s->held.data, n_old);
    if (n > n_old) buf_append(out, text.ptr, n - n_old);
}

/* held becomes the last n bytes of held followed by text. */
static void hold(struct stop *s, struct view text, size_t n) {
    struct buf *held = &s->held;
    size_t n_old = n > text.len ? n - text.len : 0;
    size_t n_new = n - n_old;
    if (n_old > 0) memmove(held->data, held->data + (held->len - n_old), n_old);
    held->len = n_old;
    if (n_new > 0) buf_append(held, text.ptr + (text.len - n_new), n_new);
    assert(held->failed == SLM_OK);
}

bool stop_push(struct stop *s, struct view text, struct buf *out, int *i_matched) {
    for (size_t t = 0; t < text.len; t++) {
        int i = step(s, text.ptr[t]);
        if (i < 0) continue;
        put(s, text, s->held.len + t + 1 - s->strings[i].len, out);
        stop_reset(s);
        if (i_matched) *i_matched = i;
        return true;
    }
    size_t n_hold = 0;
    for (int i = 0; i < s->n; i++) {
        if (s->n_matched[i] > n_hold) n_hold = s->n_matched[i];
    }
    put(s, text, s->held.len + text.len - n_hold, out);
    hold(s, text, n_hold);
    return false;
}

void stop_finish(struct stop *s, struct buf *out) {
    if (s->held.len > 0) buf_append(out, s->held.data, s->held.len);
    stop_reset(s);
}
