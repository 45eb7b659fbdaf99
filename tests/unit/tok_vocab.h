/* tok_vocab.h -- small vocabularies written in place, for the tests of tokenizers. */
#ifndef SLM_TESTS_TOK_VOCAB_H
#define SLM_TESTS_TOK_VOCAB_H

#include "test.h"

#include "text/tok.h"

#define VOCAB_MAX 600

struct vocab {
    struct tok_config c;
    struct view pieces[VOCAB_MAX], merges[VOCAB_MAX];
    float scores[VOCAB_MAX];
    int32_t types[VOCAB_MAX];
    char text[VOCAB_MAX * 16];
    size_t n_text;
};

static inline void vocab_init(struct vocab *v, const char *family) {
    memset(v, 0, sizeof *v);
    tok_config_init(&v->c);
    v->c.family = family;
    v->c.pre = "gpt-2";
    v->c.pieces = v->pieces;
    v->c.merges = v->merges;
    v->c.scores = v->scores;
    v->c.types = v->types;
}

static inline int32_t vocab_add(struct vocab *v, const char *piece, enum tok_type type, float score) {
    uint32_t i = v->c.n_vocab++;
    size_t n = strlen(piece);
    assert_true(i < VOCAB_MAX && v->n_text + n < sizeof v->text);
    memcpy(v->text + v->n_text, piece, n);
    v->pieces[i] = (struct view){v->text + v->n_text, n};
    v->n_text += n;
    v->types[i] = (int32_t)type;
    v->scores[i] = score;
    return (int32_t)i;
}

static inline void vocab_merge(struct vocab *v, const char *merge) { v->merges[v->c.n_merges++] = view_of(merge); }

/* The 256 letters of byte-level BPE, ids in the order of GPT-2's alphabet (printable first). */
static inline void vocab_add_bytes(struct vocab *v) {
    for (int pass = 0, extra = 0; pass < 2; pass++)
        for (int b = 0; b < 256; b++) {
            bool itself = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad);
            int cp = itself ? b : 256 + extra;
            if (itself == (pass == 1)) continue;
            extra += !itself;
            char s[3] = {(char)cp, 0, 0};
            if (cp >= 0x80) s[0] = (char)(0xc0 | cp >> 6), s[1] = (char)(0x80 | (cp & 0x3f));
            vocab_add(v, s, TOK_NORMAL, 0);
        }
}

/* <0x00> .. <0xFF> of SPM. */
static inline void vocab_add_byte_pieces(struct vocab *v) {
    for (int b = 0; b < 256; b++) {
        char s[8];
        snprintf(s, sizeof s, "<0x%02X>", (unsigned)b);
        vocab_add(v, s, TOK_BYTE, 0);
    }
}

static inline struct tok *vocab_tok(const struct vocab *v) {
    struct tok *t;
    slm_err err;
    if (tok_create(&v->c, &t, &err) != SLM_OK) fail_msg("%s", err.msg);
    return t;
}

/* Ids of text as "1 2 3", in a static buffer. */
static inline const char *ids_text(const struct tok *t, const char *text, unsigned flags) {
    static char s[4096];
    struct tok_ids ids = {0};
    size_t n = 0;
    assert_int_equal(tok_encode(t, view_of(text), flags, &ids, NULL), SLM_OK);
    s[0] = 0;
    for (size_t i = 0; i < ids.n && n < sizeof s - 16; i++) n += (size_t)snprintf(s + n, sizeof s - n, "%s%d", i ? " " : "", ids.v[i]);
    tok_ids_fini(&ids);
    return s;
}

#endif
