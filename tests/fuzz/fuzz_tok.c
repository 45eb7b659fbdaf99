/* fuzz_tok.c -- any vocabulary, any text: creation may refuse, encoding may not fail; ids lie in the vocabulary; with a piece for every
 * byte and nothing normalised or left out they say the text again, at least in length.
 *
 * Input: family; flags; pre-tokenizer; n pieces of {type, length, bytes}; n merges of {left piece, right piece}; the rest is text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/pretok_int.h"
#include "text/tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_PIECES_MAX 64
#define N_BYTES 256

static const char *const families[] = {"llama", "gpt2", "gemma4", "bert", "t5"};

struct input {
    const uint8_t *data;
    size_t size;
};

struct vocab {
    struct view pieces[N_BYTES + N_PIECES_MAX], merges[N_PIECES_MAX];
    int32_t types[N_BYTES + N_PIECES_MAX];
    float scores[N_BYTES + N_PIECES_MAX];
    char text[N_BYTES][8], joined[N_PIECES_MAX][520];
};

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_tok: %s\n", what);
    abort();
}

static uint8_t take(struct input *in) {
    if (in->size == 0) return 0;
    in->size--;
    return *in->data++;
}

static struct view take_bytes(struct input *in, size_t n) {
    if (n > in->size) n = in->size;
    struct view v = {(const char *)in->data, n};
    in->data += n;
    in->size -= n;
    return v;
}

/* GPT-2's letter of byte i, or SPM's byte piece. */
static void add_byte(struct vocab *v, int i, bool letters, int *n_extra) {
    bool itself = (i >= 0x21 && i <= 0x7e) || (i >= 0xa1 && i != 0xad);
    int cp = itself ? i : 256 + (*n_extra)++, n;
    v->types[i] = letters ? TOK_NORMAL : TOK_BYTE;
    if (!letters) n = snprintf(v->text[i], 8, "<0x%02X>", (unsigned)i);
    else if (cp < 0x80) v->text[i][0] = (char)cp, n = 1;
    else v->text[i][0] = (char)(0xc0 | cp >> 6), v->text[i][1] = (char)(0x80 | (cp & 0x3f)), n = 2;
    v->pieces[i] = (struct view){v->text[i], (size_t)n};
}

static void read_vocab(struct input *in, struct vocab *v, struct tok_config *c) {
    int n_extra = 0;
    uint8_t flags = take(in);
    bool letters = strcmp(c->family, "gpt2") == 0;
    for (int i = 0; i < N_BYTES; i++) add_byte(v, i, letters, &n_extra);
    c->n_vocab = N_BYTES + take(in) % N_PIECES_MAX;
    for (uint32_t i = N_BYTES; i < c->n_vocab; i++) {
        v->types[i] = 1 + take(in) % 6;
        v->scores[i] = (float)(int8_t)take(in);
        v->pieces[i] = take_bytes(in, take(in));
    }
    c->n_merges = take(in) % N_PIECES_MAX;
    for (uint32_t i = 0; i < c->n_merges; i++) {
        struct view l = v->pieces[N_BYTES + take(in) % N_PIECES_MAX], r = v->pieces[N_BYTES + take(in) % N_PIECES_MAX];
        if (l.len) memcpy(v->joined[i], l.ptr, l.len);
        v->joined[i][l.len] = ' ';
        if (r.len) memcpy(v->joined[i] + l.len + 1, r.ptr, r.len);
        v->merges[i] = (struct view){v->joined[i], l.len + 1 + r.len};
    }
    c->add_space_prefix = flags & 1;
    c->special_rstrip = flags & 2;
    if (flags & 4) c->unk = (int32_t)(c->n_vocab - 1);
    if (flags & 8) c->bos = 0;
    c->remove_extra_whitespaces = flags & 16;
    c->keep_case = flags & 32;
    if (flags & 64) c->charsmap = take_bytes(in, 4u * take(in));
    c->pieces = v->pieces;
    c->types = v->types;
    c->scores = v->scores;
    c->merges = v->merges;
}

/* said: ids repeat the text byte for byte: byte-level, no NFC, nothing special in the vocabulary. */
static void check_text(const struct tok *t, struct view text, unsigned flags, bool said) {
    struct tok_ids ids = {0};
    size_t n_said = 0;
    demand(tok_encode(t, text, flags, &ids, NULL) == SLM_OK, "encoding failed");
    for (size_t i = 0; i < ids.n; i++) {
        demand(ids.v[i] >= 0 && (uint32_t)ids.v[i] < tok_n_vocab(t), "id out of range");
        n_said += tok_piece(t, ids.v[i], true).len;
    }
    if (said) demand(n_said == text.len, "the ids do not say the text");
    tok_ids_fini(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct vocab v;
    struct input in = {data, size};
    struct tok_config c;
    struct tok *t;
    size_t n_rows;
    const struct pretok_row *rows = pretok_rows(&n_rows);
    if (size > 1 << 16) return 0;
    memset(&v, 0, sizeof v);
    tok_config_init(&c);
    c.family = families[take(&in) % 5];
    c.pre = rows[take(&in) % n_rows].name;
    read_vocab(&in, &v, &c);
    if (tok_create(&c, &t, NULL) != SLM_OK) {
        demand(!t, "refused, yet something came out");
        return 0;
    }
    struct view text = take_bytes(&in, in.size);
    bool said = strcmp(c.family, "gpt2") == 0 && !pretok_wants_nfc(t->pretok) && !t->strips;
    check_text(t, text, 0, said);
    check_text(t, text, TOK_PARSE_SPECIAL, said);
    check_text(t, text, TOK_PARSE_SPECIAL | TOK_ADD_BOS | TOK_ADD_EOS, false);
    tok_destroy(t);
    return 0;
}
