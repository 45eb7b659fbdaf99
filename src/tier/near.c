/* near.c -- words, rows of what may be said in other words, hashes. */
#include "tier/near.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/util.h"

#define WORDS_MAX 1024

struct words {
    struct view v[WORDS_MAX];
    size_t n;
};

/* ---- words ---- */

static bool is_letter(unsigned char c) { return isalnum(c) || c == '_' || c >= 0x80; }

/* An apostrophe between letters and a point or comma between digits belong to a word. */
static bool joins(struct view text, size_t i) {
    if (i == 0 || i + 1 >= text.len) return false;
    unsigned char before = (unsigned char)text.ptr[i - 1], c = (unsigned char)text.ptr[i], after = (unsigned char)text.ptr[i + 1];
    if (c == '\'') return isalpha(before) && isalpha(after);
    return (c == '.' || c == ',') && isdigit(before) && isdigit(after);
}

/* Marks at the end of what is said: they carry nothing. Any other sign is a word of its own. */
static bool is_mark(struct view text, size_t i) { return memchr(".,!?;:", text.ptr[i], 6) && (i + 1 == text.len || strchr(" \t\r\n.,!?;:", text.ptr[i + 1])); }

/* False: there are too many. */
static bool cut_words(struct view text, struct words *w) {
    w->n = 0;
    for (size_t i = 0, end; i < text.len; i = end) {
        unsigned char c = (unsigned char)text.ptr[i];
        end = i + 1;
        if (c <= ' ' || is_mark(text, i)) continue;
        if (is_letter(c))
            while (end < text.len && (is_letter((unsigned char)text.ptr[end]) || joins(text, end))) end++;
        if (w->n == WORDS_MAX) return false;
        w->v[w->n++] = (struct view){text.ptr + i, end - i};
    }
    return true;
}

/* ---- sketch ---- */

static void count(float *v, uint64_t h) { v[h % NEAR_N] += h >> 63 ? 1.0f : -1.0f; }

static uint64_t mix(uint64_t h, char c) {
    c = (char)tolower((unsigned char)c);
    return hash_bytes(h, &c, 1);
}

static uint64_t hash_word(struct view w) {
    uint64_t h = HASH_START;
    for (size_t i = 0; i < w.len; i++) h = mix(h, w.ptr[i]);
    return h;
}

static void count_runs(float *v, struct view w) {
    for (size_t i = 0; i < w.len; i++) { /* three letters around each, with a space before and behind the word */
        uint64_t h = mix(mix(mix(HASH_START ^ 3, i ? w.ptr[i - 1] : ' '), w.ptr[i]), i + 1 < w.len ? w.ptr[i + 1] : ' ');
        count(v, h);
    }
}

void near_sketch(struct view text, float out[NEAR_N]) {
    struct words w;
    uint64_t before = HASH_START;
    float sum = 0;
    memset(out, 0, NEAR_N * sizeof *out);
    if (text.len > NEAR_BYTES_MAX || !cut_words(text, &w)) return;
    for (size_t i = 0; i < w.n; i++) {
        uint64_t h = hash_word(w.v[i]);
        count(out, h);
        count(out, hash_bytes(before, &h, sizeof h));
        count_runs(out, w.v[i]);
        before = h;
    }
    for (size_t i = 0; i < NEAR_N; i++) sum += out[i] * out[i];
    for (size_t i = 0; i < NEAR_N && sum > 0; i++) out[i] /= sqrtf(sum);
}

double near_cosine(const float a[NEAR_N], const float b[NEAR_N]) {
    double sum = 0;
    for (size_t i = 0; i < NEAR_N; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* ---- form ---- */

enum place { ANYWHERE, AT_START, AT_END };
/* What may be said in other words. In this order; what is at the start or the end is looked for again until nothing is found. */
static const struct saying { enum place place; const char *from, *to; } sayings[] = {
    {ANYWHERE, "can't", "can not"}, {ANYWHERE, "cannot", "can not"}, {ANYWHERE, "won't", "will not"}, {ANYWHERE, "cant", "can not"}, {ANYWHERE, "dont", "do not"},
    {ANYWHERE, "doesnt", "does not"}, {ANYWHERE, "didnt", "did not"}, {ANYWHERE, "isnt", "is not"}, {ANYWHERE, "what's", "what is"}, {ANYWHERE, "whats", "what is"},
    {ANYWHERE, "where's", "where is"}, {ANYWHERE, "wheres", "where is"}, {ANYWHERE, "who's", "who is"}, {ANYWHERE, "how's", "how is"}, {ANYWHERE, "when's", "when is"},
    {ANYWHERE, "that's", "that is"}, {ANYWHERE, "it's", "it is"}, {ANYWHERE, "there's", "there is"}, {ANYWHERE, "im", "i am"}, {ANYWHERE, "i'd like", "i would like"},
    {ANYWHERE, "i want to", "i would like to"}, {ANYWHERE, "i wish to", "i would like to"}, {ANYWHERE, "how can i", "how do i"}, {ANYWHERE, "how could i", "how do i"},
    {ANYWHERE, "how would i", "how do i"}, {ANYWHERE, "could you", "can you"},
    {AT_START, "hi", ""}, {AT_START, "hello", ""}, {AT_START, "hey", ""}, {AT_START, "ok", ""}, {AT_START, "okay", ""}, {AT_START, "um", ""}, {AT_START, "uh", ""},
    {AT_START, "can you please", ""}, {AT_START, "would you please", ""}, {AT_START, "will you please", ""}, /* without please it may be asked whether somebody can */
    {ANYWHERE, "please", ""}, {ANYWHERE, "kindly", ""},
    {AT_START, "tell me", ""}, {AT_START, "can you tell me", ""}, {AT_START, "would you tell me", ""}, {AT_START, "i would like to know", ""}, {AT_START, "i need to know", ""},
    {AT_START, "let me know", ""}, {AT_START, "how to", "how do i"},
    {AT_END, "thank you", ""}, {AT_END, "thanks", ""}, {AT_END, "thank you very much", ""}, {AT_END, "thanks a lot", ""},
};
/* Endings that stand for a word. */
static const struct { const char *from, *to; } endings[] = {{"n't", "not"}, {"'re", "are"}, {"'m", "am"}, {"'ve", "have"}, {"'ll", "will"}};
/* Dropped in the end, but where the word behind them hangs on them: "a few" is not "few". */
static const char *const dropped[] = {"a", "an", "the", "is", "are", "am"}, *const hanging[] = {"few", "little", "lot", "bit", "not"};

static bool is_one_of(struct view w, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (view_eq(w, view_of(list[i]))) return true;
    return false;
}

/* The next word of a phrase; empty: there is none. */
static struct view next_of(const char **phrase) {
    struct view w = {*phrase, strcspn(*phrase, " ")};
    *phrase += w.len + (w.ptr[w.len] == ' ');
    return w;
}

/* How many words of w from i on are the phrase; 0: they are not. */
static size_t n_said(const struct words *w, size_t i, const char *phrase) {
    size_t n = 0;
    for (struct view want; (want = next_of(&phrase)).len; n++)
        if (i + n >= w->n || !view_eq(w->v[i + n], want)) return 0;
    return n;
}

/* n words at i become a phrase's. False: there are too many then. */
static bool put(struct words *w, size_t i, size_t n, const char *phrase) {
    size_t n_new = 0;
    struct view made[4];
    for (struct view one; n_new < 4 && (one = next_of(&phrase)).len;) made[n_new++] = one;
    if (w->n - n + n_new > WORDS_MAX) return false;
    memmove(&w->v[i + n_new], &w->v[i + n], (w->n - i - n) * sizeof *w->v);
    memcpy(&w->v[i], made, n_new * sizeof *made);
    w->n = w->n - n + n_new;
    return true;
}

static size_t n_words(const char *phrase) {
    size_t n = 0;
    while (next_of(&phrase).len) n++;
    return n;
}

/* One row, wherever it may hold; *found: it did. */
static bool say_otherwise(struct words *w, const struct saying *s, bool *found) {
    size_t n_from = n_words(s->from), n;
    size_t first = s->place == AT_END ? (w->n < n_from ? w->n : w->n - n_from) : 0, end = s->place == AT_START && w->n ? 1 : w->n;
    for (size_t i = first; i < end && i < w->n; i++) {
        if (!(n = n_said(w, i, s->from))) continue;
        if (n == w->n && s->place != ANYWHERE) return true; /* all of it: that is what is asked */
        if (!put(w, i, n, s->to)) return false;
        *found = true;
        if (s->place != ANYWHERE) return true;
    }
    return true;
}

static bool split_endings(struct words *w) {
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = 0; k < sizeof endings / sizeof endings[0]; k++) {
            size_t n = strlen(endings[k].from);
            struct view one = w->v[i];
            if (one.len <= n || memcmp(one.ptr + one.len - n, endings[k].from, n) != 0) continue;
            if (!put(w, i, 1, endings[k].to) || w->n == WORDS_MAX) return false;
            memmove(&w->v[i + 1], &w->v[i], (w->n - i) * sizeof *w->v);
            w->v[i] = (struct view){one.ptr, one.len - n};
            w->n++;
            break;
        }
    return true;
}

/* In a copy of the text: one apostrophe; no capital where a sentence begins, nor in "I". */
static void fold(char *text, size_t *len) {
    static const char curly[] = "\xE2\x80\x99";
    size_t n = 0;
    for (size_t i = 0; i < *len; n++) {
        bool is_curly = *len - i >= 3 && memcmp(text + i, curly, 3) == 0;
        text[n] = is_curly ? '\'' : text[i];
        i += is_curly ? 3 : 1;
    }
    *len = n;
}

static void fold_words(char *text, const struct words *w) {
    for (size_t i = 0; i < w->n; i++) {
        struct view v = w->v[i];
        char *at = text + (v.ptr - text);
        bool is_plain = true, is_me = v.ptr[0] == 'I' && (v.len == 1 || v.ptr[1] == '\'');
        for (size_t k = 1; k < v.len; k++) is_plain &= !isupper((unsigned char)v.ptr[k]);
        if ((i == 0 && is_plain) || is_me) *at = (char)tolower((unsigned char)*at);
    }
}

bool near_form(struct view text, struct buf *out) {
    char copy[NEAR_BYTES_MAX];
    struct words w;
    size_t len = text.len, begin = out->len;
    bool found = true;
    if (len > NEAR_BYTES_MAX) return false;
    memcpy(copy, text.len ? text.ptr : "", len);
    fold(copy, &len);
    if (!cut_words((struct view){copy, len}, &w)) return false;
    fold_words(copy, &w);
    while (found) {
        found = false;
        for (size_t i = 0; i < sizeof sayings / sizeof sayings[0]; i++)
            if (!say_otherwise(&w, &sayings[i], &found)) return false;
    }
    if (!split_endings(&w)) return false;
    for (size_t i = 0; i < w.n; i++) {
        bool hangs = i + 1 < w.n && is_one_of(w.v[i + 1], hanging, sizeof hanging / sizeof hanging[0]);
        if (!hangs && is_one_of(w.v[i], dropped, sizeof dropped / sizeof dropped[0])) continue;
        if (out->len > begin) buf_puts(out, " ");
        buf_append(out, w.v[i].ptr, w.v[i].len);
    }
    return out->failed == SLM_OK && out->len > begin;
}
