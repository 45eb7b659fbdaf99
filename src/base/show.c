/* show.c -- what of a hostile text may reach a terminal.
 *
 * Two readings: a name in a message is one quoted line and shows everything that is not plain; running text keeps its
 * lines and its joiners (Persian, Hindi and emoji need them), and loses only what acts on the terminal. */
#include "base/show.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define PATH_SHOWN_MAX 150
#define ONE_BYTES 5 /* "\xNN", or a character of at most four bytes, and NUL */

/* C1 controls, and marks that turn the direction of text or cannot be seen. */
static bool hides_in_name(uint32_t cp) {
    return (cp >= 0x80 && cp < 0xa0) || cp == 0xad || (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
           (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff || cp >= 0xe0000;
}

/* C1 controls and the overrides of direction. */
static bool acts_in_text(uint32_t cp) {
    return (cp >= 0x80 && cp < 0xa0) || (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

static bool passes(unsigned char b, bool is_text) {
    if (is_text && (b == '\n' || b == '\t')) return true;
    return b >= 0x20 && b < 0x7f;
}

/* Writes one character or escaped byte to out; returns the bytes eaten. */
static size_t show_one(const char *s, size_t n, bool is_text, char out[ONE_BYTES], size_t *n_out) {
    unsigned char b = (unsigned char)s[0];
    uint32_t cp;
    int len = b < 0x80 ? 1 : utf8_decode(s, n, &cp);
    if (b >= 0x80 && len > 0 && !(is_text ? acts_in_text(cp) : hides_in_name(cp))) {
        memcpy(out, s, (size_t)len);
        *n_out = (size_t)len;
        return (size_t)len;
    }
    if (!is_text && (b == '"' || b == '\\')) *n_out = (size_t)snprintf(out, ONE_BYTES, "\\%c", b);
    else if (passes(b, is_text)) *n_out = (size_t)snprintf(out, ONE_BYTES, "%c", b);
    else *n_out = (size_t)snprintf(out, ONE_BYTES, "\\x%02x", b);
    return 1;
}

static void show_all(struct view v, bool is_text, struct buf *out) {
    for (size_t i = 0; i < v.len;) {
        char one[ONE_BYTES];
        size_t n_one;
        i += show_one(v.ptr + i, v.len - i, is_text, one, &n_one);
        buf_append(out, one, n_one);
    }
}

void show_quoted(struct view v, struct buf *out) { show_all(v, false, out); }

void show_text(struct view v, struct buf *out) { show_all(v, true, out); }

struct shown show_view(struct view v) {
    struct shown r;
    size_t at = 0, i = 0;
    while (i < v.len) {
        char one[ONE_BYTES];
        size_t n_one, eaten = show_one(v.ptr + i, v.len - i, false, one, &n_one);
        if (at + n_one + sizeof "..." > sizeof r.s) {
            memcpy(r.s + at, "...", 3);
            at += 3;
            break;
        }
        memcpy(r.s + at, one, n_one);
        at += n_one;
        i += eaten;
    }
    r.s[at] = 0;
    return r;
}

struct shown show_cstr(const char *s) { return show_view(view_of(s)); }

struct shown show_path(const char *path) {
    struct view v = view_of(path);
    if (v.len > PATH_SHOWN_MAX) v = view_of(path + v.len - PATH_SHOWN_MAX);
    return show_view(v);
}
