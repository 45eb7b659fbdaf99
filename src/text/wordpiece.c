/* wordpiece.c -- BERT's tokenizer (Devlin et al. 2018): text is cleaned, lower-cased and stripped of accents, cut at white space and
 * around punctuation and CJK characters, and each word is covered from the left by the longest pieces; a word that cannot be is unknown.
 *
 * GGUF writes U+2581 before pieces that begin a word and nothing before the others ("##ing" is "ing"). Here it is a space, as
 * everywhere in this room: a word is looked up with a space before it, which cannot occur inside one. */
#include <string.h>
#include <utf8proc.h>

#include "base/util.h"
#include "text/tok_int.h"

#define N_PARTS_MAX 32
#define WORD_CHARS_MAX 100 /* longer words are unknown, as the authors have it */

struct range {
    uint32_t first, last;
};

/* Written without spaces between words. */
static const struct range cjk[] = {
    {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xf900, 0xfaff}, {0x20000, 0x2a6df}, {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b820, 0x2ceaf}, {0x2f800, 0x2fa1f},
};

static bool is_cjk(uint32_t cp) {
    for (size_t i = 0; cp >= 0x3400 && i < sizeof cjk / sizeof cjk[0]; i++)
        if (cp >= cjk[i].first && cp <= cjk[i].last) return true;
    return false;
}

static bool is_punctuation(uint32_t cp) {
    if (cp < 0x80) return (cp > 0x20 && cp < 0x30) || (cp > 0x39 && cp < 0x41) || (cp > 0x5a && cp < 0x61) || (cp > 0x7a && cp < 0x7f);
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

/* Control, format, private, surrogate, and the replacement character: dropped. Unassigned ones stay, as in the authors' library. */
static bool is_dirt(uint32_t cp) {
    if (cp == '\t' || cp == '\n' || cp == '\r') return false;
    if (cp < 0x80) return cp < 0x20 || cp == 0x7f;
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return cp == 0xfffd || (c >= UTF8PROC_CATEGORY_CC && c <= UTF8PROC_CATEGORY_CO);
}

static void put_char(struct buf *out, uint32_t cp) {
    char s[4];
    buf_append(out, s, (size_t)utf8_encode(cp, s));
}

/* A character without accents and in lower case, or as it is when the model minds case: what it comes to, n of parts. */
static size_t fold(uint32_t cp, bool keep_case, uint32_t parts[N_PARTS_MAX]) {
    utf8proc_int32_t whole[N_PARTS_MAX];
    int last_class = 0;
    size_t n = 0;
    parts[0] = cp;
    if (keep_case) return 1;
    utf8proc_ssize_t n_whole = utf8proc_decompose_char((utf8proc_int32_t)cp, whole, N_PARTS_MAX, UTF8PROC_DECOMPOSE, &last_class);
    for (utf8proc_ssize_t i = 0; i < n_whole && i < N_PARTS_MAX; i++)
        if (utf8proc_category(whole[i]) != UTF8PROC_CATEGORY_MN) parts[n++] = (uint32_t)utf8proc_tolower(whole[i]);
    return n;
}

/* Words of text, each after one space. */
static void clean(struct buf *out, struct view text, bool keep_case) {
    bool in_word = false;
    for (size_t i = 0; i < text.len;) {
        uint32_t cp = 0xfffd, parts[N_PARTS_MAX];
        int n = utf8_decode(text.ptr + i, text.len - i, &cp);
        i += n ? (size_t)n : 1;
        if (n == 0 || is_dirt(cp)) continue;
        if (cp_is_space(cp)) {
            in_word = false;
            continue;
        }
        size_t n_parts = fold(cp, keep_case, parts);
        for (size_t k = 0; k < n_parts; k++) {
            bool alone = is_punctuation(parts[k]) || is_cjk(cp);
            if (alone || !in_word) buf_putc(out, ' ');
            put_char(out, parts[k]);
            in_word = !alone;
        }
    }
}

static slm_status wordpiece_word(struct job *j, struct view word) {
    const struct tok *t = j->t;
    size_t n_before = j->out->n, n_chars = 0;
    for (size_t i = 1; i < word.len; i++) n_chars += ((unsigned char)word.ptr[i] & 0xc0) != 0x80;
    for (size_t at = 0; at < word.len;) {
        size_t n = word.len - at < t->n_piece_max ? word.len - at : t->n_piece_max;
        int32_t id = TOK_NONE;
        for (; n > 0 && n_chars <= WORD_CHARS_MAX; n--) {
            if (at + n < word.len && ((unsigned char)word.ptr[at + n] & 0xc0) == 0x80) continue; /* not inside a character */
            if ((id = piece_find(t, word.ptr + at, n)) != TOK_NONE) break;
        }
        if (id == TOK_NONE) {
            j->out->n = n_before;
            return t->c.unk == TOK_NONE ? SLM_OK : tok_ids_push(j->out, t->c.unk, j->err);
        }
        slm_status st = tok_ids_push(j->out, id, j->err);
        if (st != SLM_OK) return st;
        at += n;
    }
    return SLM_OK;
}

static slm_status wordpiece_encode(struct job *j, struct view text, bool after_special) {
    struct buf words;
    struct view all = {NULL, 0};
    (void)after_special;
    buf_init(&words, 4 * (size_t)TOK_INPUT_BYTES_MAX);
    clean(&words, text, j->t->c.keep_case);
    slm_status st = buf_status(&words, "text in lower case", j->err);
    if (st == SLM_OK) st = job_keep(j, (struct view){words.data, words.len}, &all);
    buf_fini(&words);
    for (size_t at = 0, end; at < all.len && st == SLM_OK; at = end) {
        const char *next = at + 1 < all.len ? memchr(all.ptr + at + 1, ' ', all.len - at - 1) : NULL;
        end = next ? (size_t)(next - all.ptr) : all.len;
        if (end - at > 1) st = word_encode(j, (struct view){all.ptr + at, end - at});
    }
    return st;
}

static slm_status wordpiece_prepare(struct tok *t, const struct tok_config *c, slm_err *err) {
    (void)err;
    if (c->bos == TOK_NONE) t->c.bos = c->cls;
    if (c->eos == TOK_NONE) t->c.eos = c->sep;
    t->c.add_space_prefix = true; /* the first word's space is ours */
    return SLM_OK;
}

const struct tok_family tok_family_wordpiece = {
    .name = "bert", .add_bos = true, .add_eos = true, .spaces_are_lower_one = true, .read_piece = piece_read_lower_one,
    .prepare = wordpiece_prepare, .encode = wordpiece_encode, .encode_word = wordpiece_word,
};
