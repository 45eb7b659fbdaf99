/* detok.c -- ids to text as they come. A character may be spread over several pieces: its first bytes wait in `held` until it is
 * whole or can no longer become one; then one U+FFFD stands for each maximal part (Unicode 15, 3.9). */
#include <string.h>

#include "base/util.h"
#include "text/tok_int.h"

#define REPLACEMENT "\xef\xbf\xbd"

void detok_init(struct detok *d, const struct tok *t, bool strip_first, bool render_special) {
    *d = (struct detok){.t = t, .strip_first = strip_first && tok_config_of(t)->add_space_prefix, .render_special = render_special};
}

/* One more byte after those held. */
static void push_byte(struct detok *d, char c, struct buf *out) {
    int full;
    d->held[d->n_held++] = c;
    while (d->n_held > 0) {
        size_t n = utf8_prefix(d->held, d->n_held, &full);
        if (n == d->n_held && n < (size_t)full) return; /* may still become a character */
        if (n == (size_t)full && n > 0) buf_append(out, d->held, n);
        else buf_puts(out, REPLACEMENT);
        if (n == 0) n = 1;
        d->n_held -= n;
        memmove(d->held, d->held + n, d->n_held);
    }
}

void detok_push(struct detok *d, int32_t id, struct buf *out) {
    struct view piece = tok_piece(d->t, id, d->render_special);
    if (piece.len > 0 && d->strip_first) {
        d->strip_first = false;
        if (piece.ptr[0] == ' ') piece = (struct view){piece.ptr + 1, piece.len - 1};
    }
    for (size_t i = 0; i < piece.len;) {
        size_t n = d->n_held ? 0 : utf8_valid_run((struct view){piece.ptr + i, piece.len - i});
        if (n > 0) buf_append(out, piece.ptr + i, n);
        else push_byte(d, piece.ptr[i + n++], out);
        i += n;
    }
}

void detok_finish(struct detok *d, struct buf *out) {
    if (d->n_held) buf_puts(out, REPLACEMENT);
    d->n_held = 0;
}
