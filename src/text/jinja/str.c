/* str.c -- strings: UTF-8 bytes, their length in characters, and which bytes came from the input.
 *
 * Python counts characters; most text is ASCII, where a character is a byte, and else an index costs a walk. The spans of
 * input bytes go along with every copy, so that the caller can keep a user's text from becoming special tokens. */
#include <stdarg.h>
#include <stdio.h>

#include "base/util.h"
#include "text/jinja/jinja_int.h"

#define CHARS_UNKNOWN SIZE_MAX

struct jval *js_new(struct jinja *J, struct view v) {
    struct jval *s = j_alloc(J, 1, sizeof *s);
    s->type = J_STR;
    s->u.s = (struct jstr){.ptr = v.len ? v.ptr : "", .len = v.len, .n_chars = CHARS_UNKNOWN};
    return s;
}

struct jval *js_copy(struct jinja *J, struct view v) {
    char *copy = j_alloc(J, v.len + 1, 1);
    if (v.len) memcpy(copy, v.ptr, v.len);
    return js_new(J, (struct view){copy, v.len});
}

struct jval *js_lit(struct jinja *J, const char *cstr) { return js_new(J, view_of(cstr)); }

struct jval *js_input(struct jinja *J, struct view v) {
    struct jval *s = js_new(J, v);
    if (v.len) {
        struct jspan *span = j_alloc(J, 1, sizeof *span);
        *span = (struct jspan){0, v.len};
        s->u.s.spans = span;
        s->u.s.n_spans = 1;
    }
    return s;
}

/* Builder */

static void reserve(struct jinja *J, struct jsb *b, size_t n) {
    size_t need, cap = b->cap ? b->cap : 32;
    j_step(J, n / 64);
    if (!size_add(b->len, n, &need)) j_raise(J, JX_LIMIT, "a string longer than any memory");
    if (need <= b->cap) return;
    while (cap < need) cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
    char *wider = j_alloc(J, cap, 1);
    if (b->len) memcpy(wider, b->ptr, b->len);
    b->ptr = wider;
    b->cap = cap;
}

void jsb_add(struct jinja *J, struct jsb *b, struct view v) {
    reserve(J, b, v.len);
    if (v.len) memcpy(b->ptr + b->len, v.ptr, v.len);
    b->len += v.len;
}

void jsb_puts(struct jinja *J, struct jsb *b, const char *cstr) { jsb_add(J, b, view_of(cstr)); }

void jsb_putc(struct jinja *J, struct jsb *b, char c) { jsb_add(J, b, (struct view){&c, 1}); }

void jsb_printf(struct jinja *J, struct jsb *b, const char *fmt, ...) {
    char text[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    SLM_ASSERT(n >= 0 && (size_t)n < sizeof text);
    jsb_add(J, b, (struct view){text, (size_t)n});
}

static void add_span(struct jinja *J, struct jsb *b, size_t start, size_t end) {
    if (start == end) return;
    if (b->n_spans && b->spans[b->n_spans - 1].end == start) {
        b->spans[b->n_spans - 1].end = end;
        return;
    }
    b->spans = j_grow(J, b->spans, b->n_spans, &b->cap_spans, sizeof *b->spans);
    b->spans[b->n_spans++] = (struct jspan){start, end};
}

void jsb_cp(struct jinja *J, struct jsb *b, uint32_t cp, bool marked) {
    char bytes[4];
    size_t n = (size_t)utf8_encode(cp, bytes);
    jsb_add(J, b, (struct view){bytes, n});
    if (marked) add_span(J, b, b->len - n, b->len);
}

void jsb_mark(struct jinja *J, struct jsb *b, size_t start) {
    while (b->n_spans && b->spans[b->n_spans - 1].start >= start) b->n_spans--;
    if (b->n_spans && b->spans[b->n_spans - 1].end > start) b->spans[b->n_spans - 1].end = start;
    add_span(J, b, start, b->len);
}

void jsb_sub(struct jinja *J, struct jsb *b, const struct jstr *s, size_t start, size_t end) {
    size_t at = b->len;
    jsb_add(J, b, (struct view){s->ptr + start, end - start});
    for (size_t i = 0; i < s->n_spans && s->spans[i].start < end; i++) {
        size_t from = s->spans[i].start > start ? s->spans[i].start : start, to = s->spans[i].end < end ? s->spans[i].end : end;
        if (from < to) add_span(J, b, at + from - start, at + to - start);
    }
    j_step(J, s->n_spans / 16);
}

void jsb_str(struct jinja *J, struct jsb *b, const struct jstr *s) { jsb_sub(J, b, s, 0, s->len); }

struct jval *jsb_done(struct jinja *J, struct jsb *b) {
    struct jval *s = js_new(J, (struct view){b->ptr, b->len});
    s->u.s.spans = b->spans;
    s->u.s.n_spans = b->n_spans;
    return s;
}

/* Parts */

struct jval *js_sub(struct jinja *J, const struct jstr *s, size_t start, size_t end) {
    struct jval *r = js_new(J, (struct view){s->ptr + start, end - start});
    struct jsb spans = {0};
    for (size_t i = 0; i < s->n_spans && s->spans[i].start < end; i++) {
        size_t from = s->spans[i].start > start ? s->spans[i].start : start, to = s->spans[i].end < end ? s->spans[i].end : end;
        if (from < to) add_span(J, &spans, from - start, to - start);
    }
    j_step(J, s->n_spans / 16);
    r->u.s.spans = spans.spans;
    r->u.s.n_spans = spans.n_spans;
    r->u.s.safe = s->safe;
    return r;
}

bool js_marked(const struct jstr *s, size_t byte) {
    size_t low = 0, high = s->n_spans;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (s->spans[mid].end <= byte) low = mid + 1;
        else high = mid;
    }
    return low < s->n_spans && s->spans[low].start <= byte;
}

size_t js_chars(struct jval *s) {
    if (s->u.s.n_chars == CHARS_UNKNOWN) {
        size_t n = 0;
        for (size_t i = 0; i < s->u.s.len; i++) n += ((unsigned char)s->u.s.ptr[i] & 0xC0) != 0x80;
        s->u.s.n_chars = n;
    }
    return s->u.s.n_chars;
}

size_t js_offset(struct jval *s, size_t i_char) {
    if (js_chars(s) == s->u.s.len) return i_char;
    size_t at = 0;
    for (; i_char > 0 && at < s->u.s.len; i_char--)
        do at++;
        while (at < s->u.s.len && ((unsigned char)s->u.s.ptr[at] & 0xC0) == 0x80);
    return at;
}

size_t js_find(struct view hay, struct view needle, size_t from) {
    if (from > hay.len || needle.len > hay.len - from) return SIZE_MAX;
    if (needle.len == 0) return from;
    const char *p = memmem(hay.ptr + from, hay.len - from, needle.ptr, needle.len);
    return p ? (size_t)(p - hay.ptr) : SIZE_MAX;
}

size_t js_rfind(struct view hay, struct view needle, size_t end) {
    if (end > hay.len) end = hay.len;
    if (needle.len > end) return SIZE_MAX;
    for (size_t at = end - needle.len + 1; at-- > 0;)
        if (needle.len == 0 || memcmp(hay.ptr + at, needle.ptr, needle.len) == 0) return at;
    return SIZE_MAX;
}

/* Whole-string operations */

struct jval *js_concat(struct jinja *J, struct jval *a, struct jval *b) {
    struct jsb sb = {0};
    bool safe = a->u.s.safe || b->u.s.safe;
    if (safe && !a->u.s.safe) a = js_escape(J, a);
    if (safe && !b->u.s.safe) b = js_escape(J, b);
    reserve(J, &sb, a->u.s.len + b->u.s.len);
    jsb_str(J, &sb, &a->u.s);
    jsb_str(J, &sb, &b->u.s);
    struct jval *r = jsb_done(J, &sb);
    r->u.s.safe = safe;
    return r;
}

struct jval *js_repeat(struct jinja *J, struct jval *s, int64_t n) {
    struct jsb sb = {0};
    size_t total;
    if (n > 0 && !size_mul(s->u.s.len, (size_t)n, &total)) j_raise(J, JX_LIMIT, "a string longer than any memory");
    for (int64_t i = 0; s->u.s.len > 0 && i < n; i++) {
        j_step(J, 1);
        jsb_str(J, &sb, &s->u.s);
    }
    struct jval *r = jsb_done(J, &sb);
    r->u.s.safe = s->u.s.safe;
    return r;
}

struct jval *js_safe(struct jinja *J, struct jval *s) {
    struct jval *r = j_alloc(J, 1, sizeof *r);
    *r = *s;
    r->u.s.safe = true;
    return r;
}

static const char *html_entity(char c) {
    switch (c) {
    case '&': return "&amp;";
    case '>': return "&gt;";
    case '<': return "&lt;";
    case '\'': return "&#39;";
    case '"': return "&#34;";
    default: return NULL;
    }
}

struct jval *js_escape(struct jinja *J, struct jval *v) {
    struct jsb sb = {0};
    struct jval *s = jv_str(J, v);
    if (v->type == J_STR && v->u.s.safe) return v;
    for (size_t i = 0, from = 0; i <= s->u.s.len; i++) {
        const char *entity = i < s->u.s.len ? html_entity(s->u.s.ptr[i]) : NULL;
        if (!entity && i < s->u.s.len) continue;
        jsb_sub(J, &sb, &s->u.s, from, i);
        if (entity) {
            size_t at = sb.len;
            jsb_puts(J, &sb, entity);
            if (js_marked(&s->u.s, i)) jsb_mark(J, &sb, at);
        }
        from = i + 1;
    }
    return js_safe(J, jsb_done(J, &sb));
}
