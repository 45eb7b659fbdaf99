/* ground.c -- strict and literal: a claim that cannot be found is not kept. Letters beyond ASCII are letters; which of them are capitals utf8proc knows. */
#include "task/ground.h"

#include <string.h>
#include <utf8proc.h>

#include "base/util.h"

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80; }
static bool is_word(char c) { return is_letter(c) || is_digit(c); }

/* ---- sentences ---- */

/* Whether a sentence ends behind at. A point within a number, behind one capital or an abbreviation's letter, does not end it. */
static bool ends_at(struct view v, size_t at) {
    char c = v.ptr[at];
    if (c == '\n') return at + 1 < v.len && v.ptr[at + 1] == '\n';
    if (c != '.' && c != '!' && c != '?') return false;
    size_t next = at + 1;
    while (next < v.len && (v.ptr[next] == '"' || v.ptr[next] == '\'' || v.ptr[next] == ')')) next++;
    if (next < v.len && !is_space(v.ptr[next])) return false;
    bool initial = c == '.' && at > 0 && v.ptr[at - 1] >= 'A' && v.ptr[at - 1] <= 'Z' && (at == 1 || !is_word(v.ptr[at - 2]));
    return !initial;
}

static struct view trim(const char *s, size_t n) {
    while (n && is_space(*s)) s++, n--;
    while (n && is_space(s[n - 1])) n--;
    return (struct view){s, n};
}

size_t ground_sentences(struct view text, struct view *out, size_t n_max) {
    size_t n = 0, start = 0;
    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && !ends_at(text, i)) continue;
        size_t end = i < text.len ? i + 1 : i;
        while (end < text.len && (text.ptr[end] == '"' || text.ptr[end] == '\'' || text.ptr[end] == ')')) end++;
        struct view s = trim(text.ptr + start, end - start);
        start = end;
        if (s.len == 0) continue;
        if (n < n_max) out[n] = s;
        n++;
    }
    return n;
}

size_t ground_count_words(struct view text) {
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) n += !is_space(text.ptr[i]) && (i == 0 || is_space(text.ptr[i - 1])) ? 1 : 0;
    return n;
}

/* ---- claims ---- */

/* Whole: no digit or letter goes on at its ends. */
static bool occurs(struct view source, struct view what) {
    const char *end = source.ptr + source.len;
    for (const char *at = source.ptr; at < end && (at = memmem(at, (size_t)(end - at), what.ptr, what.len)) != NULL; at++) {
        const char *behind = at + what.len;
        bool begins = at == source.ptr || !is_word(at[-1]) || !is_word(at[0]), stops = behind == end || !is_word(behind[0]) || !is_word(behind[-1]);
        bool splits = (at > source.ptr + 1 && is_digit(at[0]) && (at[-1] == '.' || at[-1] == ',') && is_digit(at[-2])) ||
                      (behind + 1 < end && is_digit(behind[-1]) && (behind[0] == '.' || behind[0] == ',') && is_digit(behind[1]));
        if (begins && stops && !splits) return true;
    }
    return false;
}

static bool is_capital(struct view w) {
    uint32_t c;
    return utf8_decode(w.ptr, w.len, &c) > 0 && utf8proc_tolower((int32_t)c) != (int32_t)c;
}

/* The same word with a small first letter. */
static bool occurs_small(struct view source, struct view w) {
    char room[256];
    uint32_t c;
    int n = utf8_decode(w.ptr, w.len, &c);
    if (n <= 0 || w.len + 8 > sizeof room) return false;
    int k = utf8_encode((uint32_t)utf8proc_tolower((int32_t)c), room);
    memcpy(room + k, w.ptr + n, w.len - (size_t)n);
    return occurs(source, (struct view){room, (size_t)k + w.len - (size_t)n});
}

/* The next run of letters, or number with its points and commas, from *at. */
static bool next_word(struct view v, size_t *at, struct view *out, bool *is_number) {
    size_t i = *at;
    while (i < v.len && !is_word(v.ptr[i])) i++;
    if (i == v.len) return false;
    size_t start = i;
    *is_number = is_digit(v.ptr[i]);
    while (i < v.len && (is_word(v.ptr[i]) || (i + 1 < v.len && is_word(v.ptr[i + 1]) && (v.ptr[i] == '\'' || (*is_number && strchr(".,:/", v.ptr[i]) && is_digit(v.ptr[i + 1])))))) i++;
    *out = (struct view){v.ptr + start, i - start};
    *at = i;
    return true;
}

static struct view without_s(struct view w) {
    if (w.len > 2 && w.ptr[w.len - 2] == '\'' && w.ptr[w.len - 1] == 's') w.len -= 2;
    return w;
}

static bool check_quotes(struct view source, struct view v, struct view *missing) {
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] != '"') continue;
        const char *end = memchr(v.ptr + i + 1, '"', v.len - i - 1);
        if (!end) return true;
        struct view said = trim(v.ptr + i + 1, (size_t)(end - v.ptr) - i - 1);
        while (said.len && strchr(".,!?", said.ptr[said.len - 1])) said.len--;
        if (said.len && !memmem(source.ptr, source.len, said.ptr, said.len)) {
            *missing = said;
            return false;
        }
        i = (size_t)(end - v.ptr);
    }
    return true;
}

bool ground_check(struct view source, struct view sentence, struct view *missing) {
    struct view w, none, after;
    bool is_number, next_number;
    size_t at = 0, i = 0;
    if (!missing) missing = &none;
    for (; next_word(sentence, &at, &w, &is_number); i++) {
        w = without_s(w);
        if (!is_number && !is_capital(w)) continue;
        if (occurs(source, w)) continue;
        if (!is_number && i == 0 && w.len > 1) {
            size_t peek = at;
            bool inner = false;
            for (size_t k = 1; k < w.len; k++) inner |= w.ptr[k] >= 'A' && w.ptr[k] <= 'Z';
            bool name = next_word(sentence, &peek, &after, &next_number) && !next_number && is_capital(after);
            if (occurs_small(source, w) || (!inner && !name)) continue; /* an ordinary word that begins the sentence */
        }
        if (!is_number && w.len == 1 && (*w.ptr == 'I' || *w.ptr == 'A')) continue;
        *missing = w;
        return false;
    }
    return check_quotes(source, sentence, missing);
}
