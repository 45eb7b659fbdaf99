/* fuzz_tok_source.c -- any tokenizer.json ('{' first) or SentencePiece model: refused, or read into a config from which a tokenizer can be
 * made or is refused, and which then encodes. */
#include <stdio.h>
#include <stdlib.h>

#include "text/tok_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_tok_source: %s\n", what);
    abort();
}

static void encode(const struct tok *t) {
    static const char text[] = "ab  <s>a\xc3\xa9\xe4\xbd\xa0 A1\n\xff";
    struct tok_ids ids = {0};
    demand(tok_encode(t, (struct view){text, sizeof text - 1}, TOK_PARSE_SPECIAL, &ids, NULL) == SLM_OK, "encoding failed");
    for (size_t i = 0; i < ids.n; i++) demand(ids.v[i] >= 0 && (uint32_t)ids.v[i] < tok_n_vocab(t), "id out of range");
    tok_ids_fini(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view v = {(const char *)data, size};
    struct tok_source s;
    struct tok *t;
    if (size > 1 << 16) return 0;
    slm_status st = size && data[0] == '{' ? tok_source_read_json(&s, v, (struct view){0}, NULL) : tok_source_read_spm(&s, v, NULL);
    if (st != SLM_OK) {
        demand(!s.arena.head && !s.config.pieces, "refused, yet something is left");
        return 0;
    }
    for (uint32_t i = 0; i < s.config.n_vocab; i++) demand(s.config.pieces[i].ptr != NULL, "a piece without text");
    if (s.config.n_vocab < 100000 && tok_create(&s.config, &t, NULL) == SLM_OK) {
        encode(t);
        tok_destroy(t);
    }
    tok_source_close(&s);
    return 0;
}
