/* fuzz_privacy.c -- any text: what is found lies in order within it, and what is redacted comes back to the byte, in pieces of any size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tier/privacy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_privacy: %s\n", what);
    abort();
}

static struct privacy *detectors(void) {
    static struct privacy *p;
    char *names[] = {(char[]){"email"}, (char[]){"phone"}, (char[]){"card"}, (char[]){"iban"}, (char[]){"ip"}, (char[]){"secret"}};
    struct privacy_settings s = {.detectors = names, .n_detectors = 6};
    slm_err err;
    if (!p) demand(privacy_create(&s, &p, &err) == SLM_OK, "detectors");
    return p;
}

static void check_back(const struct redaction *r, const json_t *redacted, struct view want, size_t step) {
    struct restorer t;
    struct buf back;
    const char *s = json_string_value(redacted);
    size_t n = json_string_length(redacted);
    buf_init(&back, (size_t)16 << 20);
    restorer_init(&t, r, false);
    for (size_t at = 0; at < n; at += step) restorer_push(&t, (struct view){s + at, step < n - at ? step : n - at}, &back);
    restorer_finish(&t, &back);
    demand(back.len == want.len && (want.len == 0 || memcmp(back.data, want.ptr, want.len) == 0), "the way back");
    restorer_fini(&t);
    buf_fini(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct found f[64];
    struct view text = {(const char *)data, size};
    size_t n = privacy_scan(detectors(), text, f, 64), end = 0;
    for (size_t i = 0; i < n; i++) {
        demand(f[i].at >= end && f[i].n > 0 && f[i].at + f[i].n <= size, "finds in order, apart and within");
        end = f[i].at + f[i].n;
    }
    json_t *v = json_stringn(text.ptr, text.len);
    if (!v || memchr(text.ptr, 0, text.len)) {
        json_decref(v);
        return 0;
    }
    struct redaction r = {0};
    json_t *redacted = privacy_redact(detectors(), v, &r);
    demand(redacted != NULL, "redacted");
    check_back(&r, redacted, text, 1);
    check_back(&r, redacted, text, 5);
    json_decref(redacted);
    json_decref(v);
    redaction_fini(&r);
    return 0;
}
