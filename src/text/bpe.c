/* bpe.c -- byte-pair encoding: byte-level (GPT-2's alphabet of 256 printable letters) and Gemma 4's over characters.
 *
 * Pieces are turned into the bytes they stand for when the vocabulary is read, so that encoding never sees the alphabet. Merges are
 * kept per piece they build (see merge.c). Files list merges in the order of the pieces they build, or nearly: the piece of
 * the last merge or the one after it is tried before the map. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "text/pretok_int.h"

/* GPT-2's alphabet: printable Latin-1 stands for itself, the other 68 bytes for U+0100 onward, in order. */
bool bpe_byte_is_itself(int b) { return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae; }

static inline int letter_byte(uint32_t cp) {
    if (cp < 256) return bpe_byte_is_itself((int)cp) ? (int)cp : -1;
    if (cp > 0x143) return -1;
    int n = (int)cp - 256;
    if (n < 33) return n;                   /* 0x00..0x20 */
    if (n < 67) return 0x7f + n - 33;       /* 0x7f..0xa0 */
    return 0xad;
}

void bpe_put_letter(struct buf *b, unsigned char byte) {
    int cp = byte;
    char s[4];
    if (!bpe_byte_is_itself(byte)) cp = byte <= 0x20 ? 256 + byte : byte <= 0xa0 ? 256 + 33 + (byte - 0x7f) : 256 + 67;
    buf_append(b, s, (size_t)utf8_encode((uint32_t)cp, s));
}

/* A piece with a letter outside the alphabet stands for its own bytes, whole. Every letter is one byte or two of UTF-8. */
static size_t read_letters(struct view stored, enum tok_type type, char *out) {
    const unsigned char *s = (const unsigned char *)stored.ptr;
    size_t n = 0;
    (void)type;
    for (size_t i = 0; i < stored.len; i++) {
        int b = -1;
        if (s[i] < 0x80) b = letter_byte(s[i]);
        else if (s[i] >= 0xc2 && s[i] < 0xe0 && i + 1 < stored.len && (s[i + 1] & 0xc0) == 0x80) {
            b = letter_byte((s[i] & 0x1fu) << 6 | (s[i + 1] & 0x3fu));
            i++;
        }
        if (b < 0) {
            memcpy(out, stored.ptr, stored.len);
            return stored.len;
        }
        out[n++] = (char)b;
    }
    return n;
}

/* Merges */

/* Is piece id written as these two halves? */
static bool builds(const struct tok *t, const struct tok_config *c, int32_t id, struct view left, struct view right) {
    if (id < 0 || (uint32_t)id >= c->n_vocab || (t->types[id] != TOK_NORMAL && t->types[id] != TOK_USER_DEFINED)) return false;
    struct view v = c->pieces[id];
    return v.len == left.len + right.len && memcmp(v.ptr, left.ptr, left.len) == 0 && memcmp(v.ptr + left.len, right.ptr, right.len) == 0;
}

/* built[i], n_left[i] of every merge; room holds the longest. */
static slm_status read_merges(const struct tok *t, const struct tok_config *c, char *room, int32_t *built, uint32_t *n_left, slm_err *err) {
    int32_t id = TOK_NONE;
    for (uint32_t i = 0; i < c->n_merges; i++) {
        struct view m = c->merges[i];
        const char *gap = m.len > 2 ? memchr(m.ptr + 1, ' ', m.len - 2) : NULL; /* the left half may begin with a space */
        if (!gap) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "merge %u \"%.*s\": not two pieces with a space between", i, VIEW_ARG(m));
        struct view left = {m.ptr, (size_t)(gap - m.ptr)}, right = {gap + 1, m.len - left.len - 1};
        n_left[i] = (uint32_t)t->family->read_piece(left, TOK_NORMAL, room);
        if (!builds(t, c, id, left, right)) {
            size_t n = n_left[i] + t->family->read_piece(right, TOK_NORMAL, room + n_left[i]);
            id = builds(t, c, id + 1, left, right) ? id + 1 : piece_find(t, room, n);
        }
        if (id == TOK_NONE) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "merge %u \"%.*s\": builds no piece of the vocabulary", i, VIEW_ARG(m));
        built[i] = id;
    }
    return SLM_OK;
}

/* Tables of BPE merges, with the letters that family->read_piece reads. */
static slm_status merges_prepare(struct tok *t, const struct tok_config *c, slm_err *err) {
    slm_status st = SLM_OK;
    size_t n_room = 32;
    void *p;
    char *room = NULL;
    int32_t *built = NULL;
    uint32_t *n_left = NULL;
    for (uint32_t i = 0; i < c->n_merges; i++)
        if (c->merges[i].len + 32 > n_room) n_room = c->merges[i].len + 32;
    TRY(mem_alloc(&p, n_room, 1, "merges", err));
    room = p;
    TRY(mem_alloc(&p, c->n_merges + 1u, sizeof *built, "merges", err));
    built = p;
    TRY(mem_alloc(&p, c->n_merges + 1u, sizeof *n_left, "merges", err));
    n_left = p;
    TRY(mem_alloc(&p, c->n_merges + 1u, sizeof *t->merges, "merges", err));
    t->merges = p;
    TRY(mem_alloc(&p, c->n_vocab + 2u, sizeof *t->merge_at, "merges", err));
    t->merge_at = p;
    TRY(read_merges(t, c, room, built, n_left, err));
    /* Counting sort by the piece: starts are counted one place further on, and are in place once filling has moved them. */
    uint32_t *at = t->merge_at + 1;
    for (uint32_t i = 0; i < c->n_merges; i++)
        if ((uint32_t)built[i] + 1 < c->n_vocab) at[built[i] + 1]++;
    for (uint32_t i = 1; i < c->n_vocab; i++) at[i] += at[i - 1];
    for (uint32_t i = 0; i < c->n_merges; i++) t->merges[at[built[i]]++] = (struct merge_row){i, n_left[i]};
out:
    free(room);
    free(built);
    free(n_left);
    return st;
}

/* Encoding */

static slm_status bpe_word(struct job *j, struct view word) {
    int32_t id = pretok_ignore_merges(j->t->pretok) ? piece_find(j->t, word.ptr, word.len) : TOK_NONE;
    return id != TOK_NONE ? tok_ids_push(j->out, id, j->err) : merge_encode(j, word);
}

static slm_status bpe_encode(struct job *j, struct view text, bool after_special) {
    (void)after_special;
    if (pretok_wants_nfc(j->t->pretok)) {
        slm_status st = normalise_nfc(j, &text);
        if (st != SLM_OK) return st;
    }
    return pretok_split(j->t->pretok, j, text, word_encode);
}

static slm_status bpe_prepare(struct tok *t, const struct tok_config *c, slm_err *err) {
    unsigned flags = (c->ignore_merges ? PRETOK_IGNORE_MERGES : 0u) | (c->nfc ? PRETOK_NFC : 0u);
    slm_status st = c->patterns ? pretok_create_patterns(c->patterns, flags, &t->pretok, err) : pretok_create(c->pre ? c->pre : "default", &t->pretok, err);
    return st == SLM_OK ? merges_prepare(t, c, err) : st;
}

/* A run of newlines that is a piece is that piece. */
static slm_status gemma4_word(struct job *j, struct view word) {
    int32_t id = word.ptr[0] == '\n' ? piece_find(j->t, word.ptr, word.len) : TOK_NONE;
    return id != TOK_NONE ? tok_ids_push(j->out, id, j->err) : merge_encode(j, word);
}

static slm_status gemma4_encode(struct job *j, struct view text, bool after_special) {
    (void)after_special;
    slm_status st = spaces_unlower(j, &text);
    return st == SLM_OK ? pretok_split(j->t->pretok, j, text, word_encode) : st;
}

static slm_status gemma4_prepare(struct tok *t, const struct tok_config *c, slm_err *err) {
    slm_status st = pretok_create("gemma4", &t->pretok, err);
    return st == SLM_OK ? merges_prepare(t, c, err) : st;
}

const struct tok_family tok_family_bpe = {
    .name = "gpt2", .symbols_are_bytes = true, .read_piece = read_letters,
    .prepare = bpe_prepare, .encode = bpe_encode, .encode_word = bpe_word,
};
const struct tok_family tok_family_gemma4 = {
    .name = "gemma4", .add_bos = true, .spaces_are_lower_one = true, .read_piece = piece_read_lower_one,
    .prepare = gemma4_prepare, .encode = gemma4_encode, .encode_word = gemma4_word,
};
