/* fuzz_gbnf.c -- any bytes as a grammar: refused, or every text begun can be ended. Input: a byte that seeds the walk; the rest is the
 * grammar. */
#include "gram_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct gram *g;
    struct buf text;
    slm_err err;
    if (size < 1 || size > 1024) return 0;
    slm_status st = gram_from_gbnf((struct view){(const char *)data + 1, size - 1}, &g, &err);
    demand((st == SLM_OK) == (g != NULL), "a status that is not the result");
    if (!g) return 0;
    buf_init(&text, 1u << 20);
    gram_walk(g, data[0] * 7919u, &text);
    buf_fini(&text);
    gram_destroy(g);
    return 0;
}
