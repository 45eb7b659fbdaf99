/* fuzz_detok.c -- any bytes, cut anywhere into ids: what comes out is UTF-8, at every step; correct input comes out as it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "text/tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_detok: %s\n", what);
    abort();
}

/* Whether s, from..n of its bytes, is UTF-8. */
static bool is_utf8(const char *s, size_t from, size_t n) {
    uint32_t cp;
    for (size_t i = from; i < n;) {
        int len = utf8_decode(s + i, n - i, &cp);
        if (len == 0) return false;
        i += (size_t)len;
    }
    return true;
}

/* 256 byte pieces, a character of two bytes, half of one, and a control piece. */
static struct tok *make_vocab(void) {
    static const char *const words[] = {"\xc3\xa9", "a\xe4\xbd", "<s>"};
    static char text[256][8];
    struct view pieces[259];
    int32_t types[259];
    float scores[259] = {0};
    struct tok_config c;
    struct tok *t;
    tok_config_init(&c);
    for (int i = 0; i < 259; i++) {
        if (i < 256) snprintf(text[i], 8, "<0x%02X>", (unsigned)i);
        pieces[i] = view_of(i < 256 ? text[i] : words[i - 256]);
        types[i] = i < 256 ? TOK_BYTE : i < 258 ? TOK_NORMAL : TOK_CONTROL;
    }
    c.family = "llama";
    c.n_vocab = 259;
    c.pieces = pieces;
    c.types = types;
    c.scores = scores;
    demand(tok_create(&c, &t, NULL) == SLM_OK, "the vocabulary is refused");
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct tok *t;
    struct detok d;
    struct buf out;
    size_t seen = 0; /* bytes found to be whole characters; a step's check starts behind them, so that a run is linear */
    bool only_bytes = true;
    if (!t) t = make_vocab();
    if (size > 4096) return 0;
    buf_init(&out, 1 << 16);
    detok_init(&d, t, size & 1, size & 2);
    d.strip_first = false;
    for (size_t i = 0; i < size; i++) {
        int32_t id = data[i];
        if (id == 0xff || id == 0xfe) id = 256 + (int32_t)(i % 3); /* bytes of no character: other pieces instead */
        only_bytes &= id < 256;
        detok_push(&d, id, &out);
        demand(is_utf8(out.data, seen, out.len), "what has come out is no UTF-8");
        seen = out.len;
    }
    detok_finish(&d, &out);
    demand(is_utf8(out.data, seen, out.len), "what has come out last is no UTF-8");
    if (only_bytes && is_utf8((const char *)data, 0, size)) demand(out.len == size && (size == 0 || memcmp(out.data, data, size) == 0), "text changed");
    buf_fini(&out);
    return 0;
}
