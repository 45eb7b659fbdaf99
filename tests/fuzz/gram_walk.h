/* gram_walk.h -- a random text of an automaton, closed in time; shared by the fuzz targets of schemas, expressions and grammars. */
#ifndef SLM_TESTS_GRAM_WALK_H
#define SLM_TESTS_GRAM_WALK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/gram/gram.h"

#define WALK_BYTES 300 /* then it closes, however long that takes */
#define CLOSE_BYTES_MAX 2000 /* longer ones are left: each byte of an ambiguous one may take a thousand readings */

static inline void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

/* Append a complete text to out; false: a limit was met on the way. */
static inline bool gram_walk(const struct gram *g, uint32_t seed, struct buf *out) {
    struct gram_exec *x;
    slm_err err;
    if (gram_exec_create(g, &x, &err) != SLM_OK) return false;
    int32_t s = gram_start(x);
    demand(s >= 0, "no start");
    bool ok = gram_cost(x, s) < CLOSE_BYTES_MAX;
    for (size_t n = 0; ok && n < WALK_BYTES && !gram_is_final(x, s); n++) {
        seed = seed * 1664525u + 1013904223u;
        if (gram_accepts(x, s) && seed >> 29 == 0) break;
        uint8_t byte = (uint8_t)(seed >> 16);
        int32_t to = gram_next(x, s, byte);
        for (int tries = 0; to < 0 && tries < 256; tries++) to = gram_next(x, s, ++byte);
        if (to < 0) {
            demand(gram_accepts(x, s) || gram_exec_failed(x, &err) != SLM_OK, "a state without a way on");
            break;
        }
        int only = gram_only_byte(x, s);
        demand(only < 0 || only == byte || gram_exec_failed(x, &err) != SLM_OK, "the only byte is not the only one");
        if (gram_cost(x, to) > CLOSE_BYTES_MAX) break;
        buf_append(out, &byte, 1);
        s = to;
    }
    while (ok && gram_cost(x, s) > 0 && gram_exec_failed(x, &err) == SLM_OK) {
        uint32_t cost = gram_cost(x, s);
        int byte = gram_best_byte(x, s);
        if (byte < 0) break;
        s = gram_next(x, s, (uint8_t)byte);
        demand(s >= 0 && gram_cost(x, s) == cost - 1, "the cheapest completion is not what it cost");
        buf_putc(out, (char)byte);
    }
    ok = ok && gram_exec_failed(x, &err) == SLM_OK;
    if (ok) demand(gram_accepts(x, s), "a text that cannot be completed");
    gram_exec_destroy(x);
    return ok && out->failed == SLM_OK;
}

#endif
