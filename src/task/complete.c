/* complete.c -- cutting what a model writes into a gap. */
#include "task/complete.h"

#include <math.h>
#include <string.h>

#include "model/gap.h"

#define N_MAX_DEFAULT 128
#define OVERLAP_MIN 8 /* bytes of the text after that make a repetition, when they are not a whole line */

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* The first line of the text after that says something, without its indentation. */
static struct view first_line(struct view after) {
    size_t i = 0, n;
    while (i < after.len && is_blank(after.ptr[i])) i++;
    for (n = 0; i + n < after.len && after.ptr[i + n] != '\n'; n++) continue;
    while (n > 0 && is_blank(after.ptr[i + n - 1])) n--;
    return (struct view){after.ptr + i, n};
}

/* Where text repeats the beginning of what comes after it: as a whole line, or as a long end. len: not at all. */
static size_t find_overlap(struct view after, struct view text) {
    struct view line = first_line(after);
    for (size_t start = 0; line.len && start < text.len;) {
        const char *end = memchr(text.ptr + start, '\n', text.len - start);
        size_t next = end ? (size_t)(end - text.ptr) : text.len, from = start, to = next;
        while (from < to && is_blank(text.ptr[from])) from++;
        while (to > from && is_blank(text.ptr[to - 1])) to--;
        if (start > 0 && to - from == line.len && memcmp(text.ptr + from, line.ptr, line.len) == 0) return start;
        start = next + 1;
    }
    for (size_t n = text.len < after.len ? text.len : after.len; n >= OVERLAP_MIN; n--)
        if (memcmp(text.ptr + text.len - n, after.ptr, n) == 0) return text.len - n;
    return text.len;
}

static size_t line_end(struct view text, bool *closed) {
    size_t i = 0;
    while (i < text.len && (text.ptr[i] == '\n' || text.ptr[i] == '\r')) i++; /* a gap may begin with the end of the line before */
    while (i < text.len && text.ptr[i] != '\n') i++;
    *closed = i < text.len;
    return i;
}

/* Columns that the line at s[at..] is indented by; a tab is one. *blank: it says nothing yet. */
static size_t indent_at(struct view v, size_t at, bool *blank) {
    size_t n = 0;
    while (at + n < v.len && (v.ptr[at + n] == ' ' || v.ptr[at + n] == '\t')) n++;
    *blank = at + n >= v.len || v.ptr[at + n] == '\n' || v.ptr[at + n] == '\r';
    return n;
}

/* The indentation of the line that the gap begins in. */
static size_t indent_before(struct view before) {
    bool blank;
    size_t at = before.len;
    while (at > 0 && before.ptr[at - 1] != '\n') at--;
    return indent_at(before, at, &blank);
}

static size_t block_end(struct view before, struct view text, bool *closed) {
    int depth = 0;
    char quote = 0;
    size_t indent = indent_before(before);
    *closed = true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (quote) {
            if (c == '\\') i++;
            else if (c == quote || c == '\n') quote = 0;
            continue;
        }
        if (c == '"') quote = c;
        else if (strchr("([{", c) && c) depth++;
        else if (strchr(")]}", c) && c && --depth < 0) return i;
        else if (c == '\n') {
            bool blank;
            size_t inside = indent_at(text, i + 1, &blank);
            if (blank || inside >= indent) continue;
            bool closes = i + 1 + inside < text.len && strchr(")]}", text.ptr[i + 1 + inside]) && depth > 0;
            if (!closes) return i + 1;
        }
    }
    *closed = false;
    return text.len;
}

size_t complete_cut(struct view before, struct view after, enum complete_shape shape, struct view text, bool *closed, bool *met_after) {
    bool ends = false;
    size_t n = shape == COMPLETE_LINE ? line_end(text, &ends) : shape == COMPLETE_BLOCK ? block_end(before, text, &ends) : text.len;
    size_t overlap = find_overlap(after, (struct view){text.ptr, n});
    *met_after = overlap < n;
    if (closed) *closed = ends || overlap < n;
    return overlap;
}

struct watching {
    struct view before, after;
    enum complete_shape shape;
};

static bool is_done(void *user, struct view so_far) {
    const struct watching *x = user;
    bool closed, met;
    complete_cut(x->before, x->after, x->shape, so_far, &closed, &met);
    return closed;
}

slm_status complete_run(struct worker *w, struct view before, struct view after, const struct complete_params *p, struct buf *out, struct completion *c, slm_err *err) {
    slm_status st = SLM_OK;
    struct tok_ids ids = {0};
    struct gap_ids gap;
    struct watching watching = {before, after, p->shape};
    size_t start = out->len;
    *c = (struct completion){.n_in = 0};
    signals_init(&c->signals);
    if (after.len == 0) TRY(tok_encode(w->model->tok, before, tok_config_of(w->model->tok)->add_bos ? TOK_ADD_BOS : 0u, &ids, err));
    else if (!gap_ids_find(w->model, &gap)) {
        st = err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "text after the gap: the model's vocabulary has no tokens for filling gaps");
        err_hint(err, "use a model that was made to fill gaps, or give only what stands before");
        goto out;
    } else TRY(gap_encode(w->model, &gap, before, after, &ids, err));
    struct writing writing = {.n_max = p->n_max ? p->n_max : N_MAX_DEFAULT, .is_done = is_done, .user = &watching};
    TRY(worker_write(w, &ids, &writing, out, &c->signals, &c->n_out, err));
    c->n_in = ids.n;
    bool closed;
    struct view text = {out->data ? out->data + start : "", out->len - start};
    out->len = start + complete_cut(before, after, p->shape, text, &closed, &c->met_after);
    if (out->data) out->data[out->len] = 0;
    c->suppressed = c->n_out > 0 && exp(c->signals.v[SIGNAL_LOGPROB_MEAN]) < p->show_min;
    if (c->suppressed && out->data) out->data[out->len = start] = 0;
out:
    tok_ids_fini(&ids);
    return st;
}
