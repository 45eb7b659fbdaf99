/* rendered.h -- what the fuzz targets of both template languages ask of a rendering: UTF-8, its spans within it, apart and in order. */
#ifndef SLM_TESTS_FUZZ_RENDERED_H
#define SLM_TESTS_FUZZ_RENDERED_H

#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "text/jinja/jinja.h"

static inline void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

static inline void check_result(const struct jinja_result *r) {
    for (size_t i = 0; i < r->n_spans; i++) {
        demand(r->spans[i].start < r->spans[i].end && r->spans[i].end <= r->text.len, "a span is outside the text");
        demand(i == 0 || r->spans[i - 1].end < r->spans[i].start, "spans are not apart and in order");
    }
    for (size_t at = 0; at < r->text.len;) {
        uint32_t cp;
        int n = utf8_decode(r->text.data + at, r->text.len - at, &cp);
        demand(n > 0, "the text is not UTF-8");
        at += (size_t)n;
    }
}

#endif
