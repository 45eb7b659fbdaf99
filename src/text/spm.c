/* spm.c -- SentencePiece's BPE: pieces joined by score, U+2581 for the space, byte pieces for what has none.
 *
 * Inside the vocabulary U+2581 is the space it stands for, so that text is encoded where it lies. SentencePiece sees one text without words;
 * a cut before a space is free of consequence when no piece has that byte before an inner space (`before_space`), for then no
 * merge can cross it: with it, texts become short words that repeat. Scores turn into keys that sort like BPE's ranks. */
#include <string.h>

#include "text/tok_int.h"

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_lower_one(const char *s, size_t n) { return n >= 3 && memcmp(s, "\xe2\x96\x81", 3) == 0; }

size_t piece_read_lower_one(struct view stored, enum tok_type type, char *out) {
    size_t n = 0;
    const char *s = stored.ptr;
    if (type == TOK_BYTE && stored.len == 6 && memcmp(s, "<0x", 3) == 0 && s[5] == '>' && hex_digit(s[3]) >= 0 && hex_digit(s[4]) >= 0) {
        out[0] = (char)(hex_digit(s[3]) * 16 + hex_digit(s[4]));
        return 1;
    }
    for (size_t i = 0; i < stored.len;) {
        bool lower_one = is_lower_one(s + i, stored.len - i);
        out[n++] = lower_one ? ' ' : s[i];
        i += lower_one ? 3 : 1;
    }
    return n;
}

slm_status spaces_unlower(struct job *j, struct view *text) {
    if (!memmem(text->ptr, text->len, "\xe2\x96\x81", 3)) return SLM_OK;
    char *copy = arena_alloc(&j->texts, text->len, 1);
    if (!copy) return err_set(j->err, SLM_E_NOMEM, SLM_NOWHERE, "text of %zu bytes: out of memory", text->len);
    *text = (struct view){copy, piece_read_lower_one(*text, TOK_NORMAL, copy)};
    return SLM_OK;
}

/* Smaller is better: a float's bits order like the number once negative ones are flipped. The largest key means "no pair". */
static uint32_t score_key(float score) {
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    bits = bits >> 31 ? bits : ~bits & 0x7fffffff;
    return bits < UINT32_MAX ? bits : UINT32_MAX - 1;
}

slm_status spaced_prepare(struct tok *t, const struct tok_config *c, slm_err *err) {
    for (uint32_t i = 0; i < t->c.n_vocab; i++) {
        struct view v = tok_bytes(t, (int32_t)i);
        if (t->types[i] != TOK_NORMAL && t->types[i] != TOK_USER_DEFINED) continue;
        for (size_t k = 1; k < v.len; k++)
            if (v.ptr[k] == ' ' && v.ptr[k - 1] != ' ') t->before_space[(unsigned char)v.ptr[k - 1]] = true;
    }
    return c->charsmap.len ? charsmap_create(c->charsmap, &t->charsmap, err) : SLM_OK;
}

static slm_status spm_prepare(struct tok *t, const struct tok_config *c, slm_err *err) {
    void *p;
    if (!c->scores) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "tokenizer family \"%s\": the vocabulary has no scores", t->family->name);
    slm_status st = mem_alloc(&p, c->n_vocab, sizeof *t->keys, "scores", err);
    if (st != SLM_OK) return st;
    t->keys = p;
    for (uint32_t i = 0; i < c->n_vocab; i++) t->keys[i] = score_key(c->scores[i]);
    return spaced_prepare(t, c, err);
}

/* One space for a run of them, none at either end. */
static slm_status squeeze_spaces(struct job *j, struct view *text) {
    char *copy = arena_alloc(&j->texts, text->len + 1, 1);
    size_t n = 0;
    if (!copy) return err_set(j->err, SLM_E_NOMEM, SLM_NOWHERE, "text of %zu bytes: out of memory", text->len);
    for (size_t i = 0; i < text->len; i++)
        if (text->ptr[i] != ' ' || (n > 0 && copy[n - 1] != ' ')) copy[n++] = text->ptr[i];
    if (n > 0 && copy[n - 1] == ' ') n--;
    *text = (struct view){copy, n};
    return SLM_OK;
}

/* Bytes of the first word of text[from..]: at least one. */
static size_t word_len(const struct tok *t, struct view text, size_t from) {
    for (size_t i = from + 1; i < text.len; i++)
        if (text.ptr[i] == ' ' && text.ptr[i - 1] != ' ' && !t->before_space[(unsigned char)text.ptr[i - 1]]) return i - from;
    return text.len - from;
}

slm_status spaced_encode(struct job *j, struct view text, bool after_special) {
    const struct tok *t = j->t;
    size_t at = 0;
    slm_status st = t->charsmap ? charsmap_apply(j, t->charsmap, &text) : SLM_OK;
    if (st == SLM_OK) st = spaces_unlower(j, &text);
    if (st == SLM_OK && t->c.remove_extra_whitespaces) st = squeeze_spaces(j, &text);
    bool prefix = t->c.add_space_prefix && after_special && text.len > 0;
    if (st == SLM_OK && prefix && !(t->c.prefix_unless_space && text.ptr[0] == ' ')) {
        at = word_len(t, text, 0);
        char *word = arena_alloc(&j->texts, at + 1, 1);
        if (!word) return err_set(j->err, SLM_E_NOMEM, SLM_NOWHERE, "word of %zu bytes: out of memory", at);
        word[0] = ' ';
        memcpy(word + 1, text.ptr, at);
        st = word_encode(j, (struct view){word, at + 1});
    }
    for (size_t n; st == SLM_OK && at < text.len; at += n) st = word_encode(j, (struct view){text.ptr + at, n = word_len(t, text, at)});
    return st;
}

const struct tok_family tok_family_spm = {
    .name = "llama", .add_bos = true, .spaces_are_lower_one = true, .read_piece = piece_read_lower_one,
    .prepare = spm_prepare, .encode = spaced_encode, .encode_word = merge_encode,
};
