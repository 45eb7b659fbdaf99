/* fuzz_stop.c -- any strings, any text, any pieces: the stream must equal the search in the whole text.
 *
 * Input: a byte n; n % 8 times a length byte and that many bytes, a stop string each; a byte that seeds the
 * cuts; the rest is text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/stop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_stop: %s\n", what);
    abort();
}

static size_t take(const uint8_t **data, size_t *size) {
    if (*size == 0) return 0;
    --*size;
    return *(*data)++;
}

static bool search(struct view text, const struct view *strings, size_t n, size_t *len_before) {
    for (size_t end = 1; end <= text.len; end++) {
        size_t longest = 0;
        for (size_t i = 0; i < n; i++) {
            size_t len = strings[i].len;
            if (len <= end && len > longest && memcmp(text.ptr + end - len, strings[i].ptr, len) == 0) longest = len;
        }
        *len_before = end - longest;
        if (longest > 0) return true;
    }
    *len_before = text.len;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view strings[8] = {{NULL, 0}};
    struct stop s;
    struct buf out;
    bool has_empty = false, met = false;
    int i_met = -1;
    if (size > 4096) return 0;
    size_t n = take(&data, &size) % 8;
    for (size_t i = 0; i < n; i++) {
        size_t len = take(&data, &size);
        if (len > size) len = size;
        strings[i] = (struct view){(const char *)data, len};
        has_empty |= len == 0;
        data += len;
        size -= len;
    }
    uint32_t cut = (uint32_t)take(&data, &size);
    struct view text = {(const char *)data, size};
    slm_status st = stop_init(&s, strings, n, NULL);
    demand(st == (has_empty ? SLM_E_USAGE : SLM_OK), "wrong status");
    if (st != SLM_OK) return 0;
    size_t want;
    bool want_met = search(text, strings, n, &want);
    buf_init(&out, 8192);
    for (size_t at = 0; at < text.len && !met;) {
        cut = cut * 1664525u + 1013904223u;
        size_t len = (cut >> 24) % 7;
        if (len > text.len - at) len = text.len - at;
        met = stop_push(&s, (struct view){text.ptr + at, len}, &out, &i_met);
        at += len;
    }
    if (!met) stop_finish(&s, &out);
    demand(met == want_met, "met differs from the search");
    demand(!met || (i_met >= 0 && (size_t)i_met < n), "index out of range");
    demand(out.len == want && (want == 0 || memcmp(out.data, text.ptr, want) == 0), "text differs from the search");
    buf_fini(&out);
    stop_fini(&s);
    return 0;
}
