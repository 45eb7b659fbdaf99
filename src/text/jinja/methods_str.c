/* methods_str.c -- the methods of str. Positions that templates give and get count characters; inside, bytes. */
#include <stdio.h>

#include "base/util.h"
#include "text/jinja/jinja_int.h"

static uint32_t next_cp(const struct jstr *s, size_t *i) {
    uint32_t cp;
    *i += (size_t)utf8_decode(s->ptr + *i, s->len - *i, &cp);
    return cp;
}

static size_t prev_start(const struct jstr *s, size_t i) { /* where the character before i begins */
    do i--;
    while (i > 0 && ((unsigned char)s->ptr[i] & 0xC0) == 0x80);
    return i;
}

static struct jval *str_arg(struct jinja *J, struct jval *v, const char *fmt) { /* fmt has one %s: the type */
    char text[160];
    if (v->type == J_STR) return v;
    snprintf(text, sizeof text, fmt, jv_type_name(v));
    j_raise(J, JX_TYPE, "%s", text);
}

/* Stripping and splitting */

static bool in_set(uint32_t cp, const struct jval *chars) {
    if (!chars) return ju_is_space(cp);
    for (size_t i = 0; i < chars->u.s.len;)
        if (next_cp(&chars->u.s, &i) == cp) return true;
    return false;
}

struct jval *jm_strip(struct jinja *J, struct jval *s, struct jval *chars, bool left, bool right) {
    const struct jstr *t = &s->u.s;
    size_t start = 0, end = t->len;
    if (chars && chars->type == J_NONE) chars = NULL;
    if (chars && chars->type != J_STR)
        j_raise(J, JX_TYPE, "%s arg must be None or str", left && right ? "strip" : left ? "lstrip" : "rstrip");
    while (left && start < end) {
        size_t next = start;
        if (!in_set(next_cp(t, &next), chars)) break;
        start = next;
        j_step(J, chars ? 1 + chars->u.s.len / 16 : 0);
    }
    while (right && end > start) {
        size_t at = prev_start(t, end), next = at;
        if (!in_set(next_cp(t, &next), chars)) break;
        end = at;
        j_step(J, chars ? 1 + chars->u.s.len / 16 : 0);
    }
    return js_sub(J, t, start, end);
}

/* Splits at whitespace runs; max < 0: everywhere. */
struct jval *jm_split_ws(struct jinja *J, struct jval *s, int64_t max) {
    struct jval *l = jv_list(J, 0);
    const struct jstr *t = &s->u.s;
    size_t cap = 0, i = 0;
    for (;;) {
        size_t start, next;
        while (i < t->len && (next = i, ju_is_space(next_cp(t, &next)))) i = next;
        if (i >= t->len) return l;
        if (max == 0) {
            jl_push(J, &l->u.l, &cap, js_sub(J, t, i, t->len));
            return l;
        }
        start = i;
        while (i < t->len && (next = i, !ju_is_space(next_cp(t, &next)))) i = next;
        jl_push(J, &l->u.l, &cap, js_sub(J, t, start, i));
        j_step(J, 1);
        max--;
    }
}

static void reverse(struct jlist *l) {
    for (size_t i = 0; i + 1 < l->n - i; i++) {
        struct jval *t = l->v[i];
        l->v[i] = l->v[l->n - 1 - i];
        l->v[l->n - 1 - i] = t;
    }
}

static struct jval *rsplit_ws(struct jinja *J, struct jval *s, int64_t max) {
    struct jval *l = jv_list(J, 0);
    const struct jstr *t = &s->u.s;
    size_t cap = 0, i = t->len;
    for (;;) {
        size_t end, at, next;
        while (i > 0 && (next = at = prev_start(t, i), ju_is_space(next_cp(t, &next)))) i = at;
        if (i == 0) break;
        if (max == 0) {
            jl_push(J, &l->u.l, &cap, js_sub(J, t, 0, i));
            break;
        }
        end = i;
        while (i > 0 && (next = at = prev_start(t, i), !ju_is_space(next_cp(t, &next)))) i = at;
        jl_push(J, &l->u.l, &cap, js_sub(J, t, i, end));
        j_step(J, 1);
        max--;
    }
    if (l->u.l.n) reverse(&l->u.l);
    return l;
}

static struct jval *split_at(struct jinja *J, struct jval *s, struct jval *sep, int64_t max) {
    struct jval *l = jv_list(J, 0);
    size_t cap = 0, start = 0, at;
    while (max != 0 && (at = js_find(js_view(s), js_view(sep), start)) != SIZE_MAX) {
        jl_push(J, &l->u.l, &cap, js_sub(J, &s->u.s, start, at));
        start = at + sep->u.s.len;
        j_step(J, 1);
        max--;
    }
    jl_push(J, &l->u.l, &cap, js_sub(J, &s->u.s, start, s->u.s.len));
    return l;
}

/* Searching from the right compares at every place: its cost is counted before. */
static void count_rfind(struct jinja *J, size_t hay, size_t needle) { j_step(J, (hay / 64) * (1 + needle / 64)); }

static struct jval *rsplit_at(struct jinja *J, struct jval *s, struct jval *sep, int64_t max) {
    struct jval *l = jv_list(J, 0);
    size_t cap = 0, end = s->u.s.len, at;
    count_rfind(J, end, sep->u.s.len);
    while (max != 0 && (at = js_rfind(js_view(s), js_view(sep), end)) != SIZE_MAX) {
        jl_push(J, &l->u.l, &cap, js_sub(J, &s->u.s, at + sep->u.s.len, end));
        end = at;
        j_step(J, 1);
        max--;
    }
    jl_push(J, &l->u.l, &cap, js_sub(J, &s->u.s, 0, end));
    reverse(&l->u.l);
    return l;
}

static const struct jfunc_row split_row = {.name = "split", .sig = "sep=, maxsplit="};

static struct jval *split(struct jinja *J, struct jval *self, struct jargs *args, bool from_right) {
    struct jval *v[J_BIND_MAX];
    j_bind(J, &split_row, args, v);
    int64_t max = v[1] ? j_arg_int(J, v[1]) : -1;
    if (!v[0] || v[0]->type == J_NONE) return from_right ? rsplit_ws(J, self, max) : jm_split_ws(J, self, max);
    str_arg(J, v[0], "must be str or None, not %s");
    if (v[0]->u.s.len == 0) j_raise(J, JX_VALUE, "empty separator");
    return from_right ? rsplit_at(J, self, v[0], max) : split_at(J, self, v[0], max);
}
static struct jval *m_split(struct jinja *J, struct jval *self, struct jargs *args) { return split(J, self, args, false); }
static struct jval *m_rsplit(struct jinja *J, struct jval *self, struct jargs *args) { return split(J, self, args, true); }

struct jval *jm_splitlines(struct jinja *J, struct jval *s, bool keep) {
    struct jval *l = jv_list(J, 0);
    const struct jstr *t = &s->u.s;
    size_t cap = 0, start = 0;
    for (size_t i = 0; i < t->len;) {
        size_t at = i;
        uint32_t cp = next_cp(t, &i);
        if (!ju_is_line_end(cp)) continue;
        if (cp == '\r' && i < t->len && t->ptr[i] == '\n') i++;
        jl_push(J, &l->u.l, &cap, js_sub(J, t, start, keep ? i : at));
        start = i;
    }
    j_step(J, t->len / 64);
    if (start < t->len) jl_push(J, &l->u.l, &cap, js_sub(J, t, start, t->len));
    return l;
}

static const struct jfunc_row one_optional = {.name = "splitlines", .sig = "keepends="};
static struct jval *m_splitlines(struct jinja *J, struct jval *self, struct jargs *args) {
    struct jval *v[J_BIND_MAX];
    j_bind(J, &one_optional, args, v);
    return jm_splitlines(J, self, v[0] && jv_truth(J, v[0]));
}

static const struct jfunc_row strip_row = {.name = "strip", .sig = "/chars="};
static struct jval *m_strip(struct jinja *J, struct jval *self, struct jargs *args) {
    struct jval *v[J_BIND_MAX];
    j_bind(J, &strip_row, args, v);
    return jm_strip(J, self, v[0], true, true);
}
static struct jval *m_lstrip(struct jinja *J, struct jval *self, struct jargs *args) {
    struct jval *v[J_BIND_MAX];
    j_bind(J, &strip_row, args, v);
    return jm_strip(J, self, v[0], true, false);
}
static struct jval *m_rstrip(struct jinja *J, struct jval *self, struct jargs *args) {
    struct jval *v[J_BIND_MAX];
    j_bind(J, &strip_row, args, v);
    return jm_strip(J, self, v[0], false, true);
}

static struct jval *partition(struct jinja *J, struct jval *self, struct jargs *args, bool from_right) {
    static const struct jfunc_row row = {.name = "partition", .sig = "/sep"};
    struct jval *v[J_BIND_MAX], *t = jv_tuple(J, 3);
    j_bind(J, &row, args, v);
    str_arg(J, v[0], "must be str, not %s");
    if (v[0]->u.s.len == 0) j_raise(J, JX_VALUE, "empty separator");
    if (from_right) count_rfind(J, self->u.s.len, v[0]->u.s.len);
    size_t at = from_right ? js_rfind(js_view(self), js_view(v[0]), SIZE_MAX) : js_find(js_view(self), js_view(v[0]), 0);
    bool found = at != SIZE_MAX;
    if (!found) at = from_right ? 0 : self->u.s.len;
    t->u.l.v[0] = js_sub(J, &self->u.s, 0, at);
    t->u.l.v[1] = found ? v[0] : &jv_empty;
    t->u.l.v[2] = js_sub(J, &self->u.s, found ? at + v[0]->u.s.len : at, self->u.s.len);
    return t;
}
static struct jval *m_partition(struct jinja *J, struct jval *self, struct jargs *args) { return partition(J, self, args, false); }
static struct jval *m_rpartition(struct jinja *J, struct jval *self, struct jargs *args) { return partition(J, self, args, true); }

/* Searching */

/* Bytes [from, to) for characters [start, end) as str.find takes them; false: start is past the end. */
static bool byte_range(struct jinja *J, struct jval *s, struct jval *start, struct jval *end, size_t *from, size_t *to) {
    int64_t n = (int64_t)js_chars(s), a = 0, b = n;
    if (start && start->type != J_NONE) a = j_arg_int(J, start);
    if (end && end->type != J_NONE) b = j_arg_int(J, end);
    if (b > n) b = n;
    if (b < 0) b = b + n < 0 ? 0 : b + n;
    if (a < 0) a = a + n < 0 ? 0 : a + n;
    if (a > b) return false;
    *from = js_offset(s, (size_t)a);
    *to = js_offset(s, (size_t)b);
    return true;
}

static int64_t chars_before(const struct jval *s, size_t byte) {
    int64_t n = 0;
    for (size_t i = 0; i < byte; i++) n += ((unsigned char)s->u.s.ptr[i] & 0xC0) != 0x80;
    return n;
}

static const struct jfunc_row find_row = {.name = "find", .sig = "/sub, start=, end="};

static int64_t find(struct jinja *J, struct jval *self, struct jargs *args, bool last) {
    struct jval *v[J_BIND_MAX];
    size_t from, to, at;
    j_bind(J, &find_row, args, v);
    str_arg(J, v[0], "must be str, not %s");
    if (!byte_range(J, self, v[1], v[2], &from, &to)) return -1;
    if (last) count_rfind(J, to, v[0]->u.s.len);
    else j_step(J, self->u.s.len / 64);
    struct view hay = {self->u.s.ptr, to};
    at = last ? js_rfind(hay, js_view(v[0]), to) : js_find(hay, js_view(v[0]), from);
    return at == SIZE_MAX || at < from ? -1 : chars_before(self, at);
}

static struct jval *found_or_raise(struct jinja *J, int64_t at) {
    if (at < 0) j_raise(J, JX_VALUE, "substring not found");
    return jv_int(J, at);
}
static struct jval *m_find(struct jinja *J, struct jval *self, struct jargs *args) { return jv_int(J, find(J, self, args, false)); }
static struct jval *m_rfind(struct jinja *J, struct jval *self, struct jargs *args) { return jv_int(J, find(J, self, args, true)); }
static struct jval *m_index(struct jinja *J, struct jval *self, struct jargs *args) { return found_or_raise(J, find(J, self, args, false)); }
static struct jval *m_rindex(struct jinja *J, struct jval *self, struct jargs *args) { return found_or_raise(J, find(J, self, args, true)); }

static struct jval *m_count(struct jinja *J, struct jval *self, struct jargs *args) {
    struct jval *v[J_BIND_MAX];
    size_t from, to;
    int64_t n = 0;
    j_bind(J, &find_row, args, v);
    str_arg(J, v[0], "must be str, not %s");
    if (!byte_range(J, self, v[1], v[2], &from, &to)) return jv_int(J, 0);
    if (v[0]->u.s.len == 0) return jv_int(J, chars_before(self, to) - chars_before(self, from) + 1);
    struct view hay = {self->u.s.ptr, to};
    for (size_t at; (at = js_find(hay, js_view(v[0]), from)) != SIZE_MAX; from = at + v[0]->u.s.len) n++;
    j_step(J, self->u.s.len / 16);
    return jv_int(J, n);
}

static bool edge(struct jval *s, const struct jval *part, size_t from, size_t to, bool at_end) {
    size_t n = part->u.s.len;
    return n <= to - from && (n == 0 || memcmp(s->u.s.ptr + (at_end ? to - n : from), part->u.s.ptr, n) == 0);
}

static struct jval *starts_or_ends(struct jinja *J, struct jval *self, struct jargs *args, bool at_end) {
    struct jval *v[J_BIND_MAX];
    size_t from, to;
    const char *name = at_end ? "endswith" : "startswith";
    j_bind(J, &find_row, args, v);
    bool in_range = byte_range(J, self, v[1], v[2], &from, &to);
    if (v[0]->type != J_TUPLE && v[0]->type != J_STR)
        j_raise(J, JX_TYPE, "%s first arg must be str or a tuple of str, not %s", name, jv_type_name(v[0]));
    if (v[0]->type == J_STR) return jv_bool(in_range && edge(self, v[0], from, to, at_end));
    for (size_t i = 0; i < v[0]->u.l.n; i++) {
        struct jval *part = v[0]->u.l.v[i];
        if (part->type != J_STR) j_raise(J, JX_TYPE, "tuple for %s must only contain str, not %s", name, jv_type_name(part));
        if (in_range && edge(self, part, from, to, at_end)) return &jv_true;
    }
    return &jv_false;
}
static struct jval *m_startswith(struct jinja *J, struct jval *self, struct jargs *args) { return starts_or_ends(J, self, args, false); }
static struct jval *m_endswith(struct jinja *J, struct jval *self, struct jargs *args) { return starts_or_ends(J, self, args, true); }

static struct jval *m_removeprefix(struct jinja *J, struct jval *self, struct jargs *args) {
    static const struct jfunc_row row = {.name = "removeprefix", .sig = "/prefix"};
    struct jval *v[J_BIND_MAX];
    j_bind(J, &row, args, v);
    str_arg(J, v[0], "removeprefix() argument must be str, not %s");
    return edge(self, v[0], 0, self->u.s.len, false) ? js_sub(J, &self->u.s, v[0]->u.s.len, self->u.s.len) : self;
}
static struct jval *m_removesuffix(struct jinja *J, struct jval *self, struct jargs *args) {
    static const struct jfunc_row row = {.name = "removesuffix", .sig = "/suffix"};
    struct jval *v[J_BIND_MAX];
    j_bind(J, &row, args, v);
    str_arg(J, v[0], "removesuffix() argument must be str, not %s");
    return edge(self, v[0], 0, self->u.s.len, true) ? js_sub(J, &self->u.s, 0, self->u.s.len - v[0]->u.s.len) : self;
}

/* Making new strings */

struct jval *jm_replace(struct jinja *J, struct jval *s, struct jval *old, struct jval *with, int64_t count) {
    struct jsb b = {0};
    const struct jstr *t = &s->u.s;
    size_t start = 0, at = 0;
    if (old->u.s.len == 0) { /* between all characters */
        for (size_t i = 0; count != 0; count--) {
            jsb_sub(J, &b, t, start, i);
            jsb_str(J, &b, &with->u.s);
            j_step(J, 1);
            start = i;
            if (i >= t->len) break;
            next_cp(t, &i);
        }
        jsb_sub(J, &b, t, start, t->len);
        return jsb_done(J, &b);
    }
    for (; count != 0 && (at = js_find(js_view(s), js_view(old), start)) != SIZE_MAX; count--) {
        jsb_sub(J, &b, t, start, at);
        jsb_str(J, &b, &with->u.s);
        j_step(J, 1);
        start = at + old->u.s.len;
    }
    if (start == 0 && b.len == 0) return s;
    jsb_sub(J, &b, t, start, t->len);
    return jsb_done(J, &b);
}

static struct jval *m_replace(struct jinja *J, struct jval *self, struct jargs *args) {
    static const struct jfunc_row row = {.name = "replace", .sig = "/old, new, count="};
    struct jval *v[J_BIND_MAX];
    j_bind(J, &row, args, v);
    str_arg(J, v[0], "replace() argument 1 must be str, not %s");
    str_arg(J, v[1], "replace() argument 2 must be str, not %s");
    return jm_replace(J, self, v[0], v[1], v[2] ? j_arg_int(J, v[2]) : -1);
}

struct jval *jm_join(struct jinja *J, struct jval *sep, struct jval *items) {
    struct jsb b = {0};
    struct jval *item;
    size_t i = 0;
    if (!jv_is_iterable(items)) j_raise(J, JX_TYPE, "can only join an iterable");
    for (struct jiter *it = jv_iterate(J, items); (item = jit_next(J, it)); i++) {
        if (sep->u.s.safe) item = js_escape(J, item); /* Markup.join */
        if (item->type != J_STR) j_raise(J, JX_TYPE, "sequence item %zu: expected str instance, %s found", i, jv_type_name(item));
        if (i) jsb_str(J, &b, &sep->u.s);
        jsb_str(J, &b, &item->u.s);
    }
    return jsb_done(J, &b);
}

static struct jval *m_join(struct jinja *J, struct jval *self, struct jargs *args) {
    static const struct jfunc_row row = {.name = "join", .sig = "/iterable"};
    struct jval *v[J_BIND_MAX];
    j_bind(J, &row, args, v);
    return jm_join(J, self, v[0]);
}

static const struct jfunc_row none_row = {.name = "str method", .sig = "/"};
static void no_args(struct jinja *J, struct jargs *args) {
    struct jval *v[J_BIND_MAX];
    j_bind(J, &none_row, args, v);
}

static struct jval *m_upper(struct jinja *J, struct jval *self, struct jargs *args) { return no_args(J, args), ju_case_map(J, self, JU_UPPER); }
static struct jval *m_lower(struct jinja *J, struct jval *self, struct jargs *args) { return no_args(J, args), ju_case_map(J, self, JU_LOWER); }
static struct jval *m_casefold(struct jinja *J, struct jval *self, struct jargs *args) { return no_args(J, args), ju_case_map(J, self, JU_FOLD); }

static void add_mapped(struct jinja *J, struct jsb *b, const struct jstr *s, size_t at, uint32_t cp, enum ju_case to) {
    uint32_t out[3];
    int n = ju_map(cp, to, out);
    for (int k = 0; k < n; k++) jsb_cp(J, b, out[k], js_marked(s, at));
}

struct jval *jm_capitalize(struct jinja *J, struct jval *self) {
    struct jsb b = {0};
    size_t i = 0;
    if (self->u.s.len == 0) return self;
    uint32_t cp = next_cp(&self->u.s, &i);
    add_mapped(J, &b, &self->u.s, 0, cp, JU_TITLE);
    jsb_str(J, &b, &ju_case_map(J, js_sub(J, &self->u.s, i, self->u.s.len), JU_LOWER)->u.s);
    return jsb_done(J, &b);
}
static struct jval *m_capitalize(struct jinja *J, struct jval *self, struct jargs *args) { return no_args(J, args), jm_capitalize(J, self); }

static bool is_cased(uint32_t cp) { return ju_is_upper(cp) || ju_is_lower(cp) || ju_is_title(cp); }

static struct jval *m_title(struct jinja *J, struct jval *self, struct jargs *args) {
    struct jsb b = {0};
    bool in_word = false;
    no_args(J, args);
    for (size_t i = 0; i < self->u.s.len;) {
        size_t at = i;
        uint32_t cp = next_cp(&self->u.s, &i);
        add_mapped(J, &b, &self->u.s, at, cp, in_word ? JU_LOWER : JU_TITLE);
        in_word = is_cased(cp);
    }
    return jsb_done(J, &b);
}

static struct jval *m_swapcase(struct jinja *J, struct jval *self, struct jargs *args) {
    struct jsb b = {0};
    no_args(J, args);
    for (size_t i = 0; i < self->u.s.len;) {
        size_t at = i;
        uint32_t cp = next_cp(&self->u.s, &i);
        if (ju_is_upper(cp)) add_mapped(J, &b, &self->u.s, at, cp, JU_LOWER);
        else if (ju_is_lower(cp)) add_mapped(J, &b, &self->u.s, at, cp, JU_UPPER);
        else jsb_cp(J, &b, cp, js_marked(&self->u.s, at));
    }
    return jsb_done(J, &b);
}

static void pad(struct jinja *J, struct jsb *b, struct jval *fill, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        j_step(J, 1);
        jsb_str(J, b, &fill->u.s);
    }
}

/* how: '<' left, '>' right, '^' centred. */
struct jval *jm_center(struct jinja *J, struct jval *s, int64_t width, struct jval *fill, char how) {
    struct jsb b = {0};
    int64_t n = (int64_t)js_chars(s), missing = width - n, left;
    if (fill && fill->type != J_STR) j_raise(J, JX_TYPE, "The fill character must be a unicode character, not %s", jv_type_name(fill));
    if (fill && js_chars(fill) != 1) j_raise(J, JX_TYPE, "The fill character must be exactly one character long");
    if (width <= n) return s;
    if (!fill) fill = js_lit(J, " ");
    left = how == '<' ? 0 : how == '>' ? missing : missing / 2 + (missing & width & 1);
    pad(J, &b, fill, left);
    jsb_str(J, &b, &s->u.s);
    pad(J, &b, fill, missing - left);
    return jsb_done(J, &b);
}

static struct jval *justify(struct jinja *J, struct jval *self, struct jargs *args, char how) {
    static const struct jfunc_row row = {.name = "center", .sig = "/width, fillchar="};
    struct jval *v[J_BIND_MAX];
    j_bind(J, &row, args, v);
    return jm_center(J, self, j_arg_int(J, v[0]), v[1], how);
}
static struct jval *m_center(struct jinja *J, struct jval *self, struct jargs *args) { return justify(J, self, args, '^'); }
static struct jval *m_ljust(struct jinja *J, struct jval *self, struct jargs *args) { return justify(J, self, args, '<'); }
static struct jval *m_rjust(struct jinja *J, struct jval *self, struct jargs *args) { return justify(J, self, args, '>'); }

static struct jval *m_zfill(struct jinja *J, struct jval *self, struct jargs *args) {
    static const struct jfunc_row row = {.name = "zfill", .sig = "/width"};
    struct jval *v[J_BIND_MAX];
    struct jsb b = {0};
    j_bind(J, &row, args, v);
    int64_t missing = j_arg_int(J, v[0]) - (int64_t)js_chars(self);
    size_t sign = self->u.s.len && (self->u.s.ptr[0] == '-' || self->u.s.ptr[0] == '+');
    if (missing <= 0) return self;
    jsb_sub(J, &b, &self->u.s, 0, sign);
    pad(J, &b, js_lit(J, "0"), missing);
    jsb_sub(J, &b, &self->u.s, sign, self->u.s.len);
    return jsb_done(J, &b);
}

static struct jval *m_expandtabs(struct jinja *J, struct jval *self, struct jargs *args) {
    static const struct jfunc_row row = {.name = "expandtabs", .sig = "tabsize="};
    struct jval *v[J_BIND_MAX], *space = js_lit(J, " ");
    struct jsb b = {0};
    int64_t column = 0, size;
    j_bind(J, &row, args, v);
    size = v[0] ? j_arg_int(J, v[0]) : 8;
    for (size_t i = 0; i < self->u.s.len;) {
        size_t at = i;
        uint32_t cp = next_cp(&self->u.s, &i);
        if (cp == '\t') {
            int64_t n = size > 0 ? size - column % size : 0;
            pad(J, &b, space, n);
            column += n;
            continue;
        }
        jsb_cp(J, &b, cp, js_marked(&self->u.s, at));
        column = cp == '\n' || cp == '\r' ? 0 : column + 1;
    }
    return jsb_done(J, &b);
}

/* Questions */

static bool all_are(const struct jval *s, bool (*is)(uint32_t), bool if_empty) {
    if (s->u.s.len == 0) return if_empty;
    for (size_t i = 0; i < s->u.s.len;)
        if (!is(next_cp(&s->u.s, &i))) return false;
    return true;
}

static bool is_alnum(uint32_t cp) { return ju_is_alpha(cp) || ju_is_numeric(cp); }
static bool is_ascii(uint32_t cp) { return cp < 0x80; }

#define QUESTION(name, is, if_empty)                                                                      \
    static struct jval *m_##name(struct jinja *J, struct jval *self, struct jargs *args) {                \
        return no_args(J, args), jv_bool(all_are(self, is, if_empty));                                    \
    }
QUESTION(isalpha, ju_is_alpha, false)
QUESTION(isalnum, is_alnum, false)
QUESTION(isascii, is_ascii, true)
QUESTION(isdecimal, ju_is_decimal, false)
QUESTION(isdigit, ju_is_digit, false)
QUESTION(isnumeric, ju_is_numeric, false)
QUESTION(isspace, ju_is_space, false)
QUESTION(isprintable, ju_is_printable, true)

static struct jval *m_isidentifier(struct jinja *J, struct jval *self, struct jargs *args) {
    size_t i = 0;
    no_args(J, args);
    return jv_bool(self->u.s.len && ju_is_name_start(next_cp(&self->u.s, &i)) && all_are(self, ju_is_name, false));
}

bool jm_is_cased(struct jval *s, bool upper) {
    bool any = false;
    for (size_t i = 0; i < s->u.s.len;) {
        uint32_t cp = next_cp(&s->u.s, &i);
        if (ju_is_title(cp) || (upper ? ju_is_lower(cp) : ju_is_upper(cp))) return false;
        any |= upper ? ju_is_upper(cp) : ju_is_lower(cp);
    }
    return any;
}
static struct jval *m_isupper(struct jinja *J, struct jval *self, struct jargs *args) { return no_args(J, args), jv_bool(jm_is_cased(self, true)); }
static struct jval *m_islower(struct jinja *J, struct jval *self, struct jargs *args) { return no_args(J, args), jv_bool(jm_is_cased(self, false)); }

static struct jval *m_istitle(struct jinja *J, struct jval *self, struct jargs *args) {
    bool in_word = false, any = false;
    no_args(J, args);
    for (size_t i = 0; i < self->u.s.len;) {
        uint32_t cp = next_cp(&self->u.s, &i);
        if (ju_is_upper(cp) || ju_is_title(cp)) {
            if (in_word) return &jv_false;
            in_word = any = true;
        } else if (ju_is_lower(cp)) {
            if (!in_word) return &jv_false;
            any = true;
        } else {
            in_word = false;
        }
    }
    return jv_bool(any);
}

static struct jval *m_format(struct jinja *J, struct jval *self, struct jargs *args) { return fm_format(J, self, args, NULL); }

static struct jval *m_format_map(struct jinja *J, struct jval *self, struct jargs *args) {
    struct jargs none = {0};
    if (args->n_kw) j_raise(J, JX_TYPE, "format_map() takes no keyword arguments");
    if (args->n_pos != 1) j_raise(J, JX_TYPE, "format_map() takes exactly one argument (%zu given)", args->n_pos);
    return fm_format(J, self, &none, args->pos[0]);
}

static struct jval *m_unsupported(struct jinja *J, struct jval *self, struct jargs *args) {
    (void)self;
    (void)args;
    j_raise(J, JX_UNSUPPORTED, "str.encode, str.translate and str.maketrans: bytes and tables have no place in a template");
}

const struct jfunc_row jm_str[] = {
    {"capitalize", m_capitalize, NULL, NULL}, {"casefold", m_casefold, NULL, NULL}, {"center", m_center, NULL, NULL},
    {"count", m_count, NULL, NULL}, {"encode", m_unsupported, NULL, NULL}, {"endswith", m_endswith, NULL, NULL},
    {"expandtabs", m_expandtabs, NULL, NULL}, {"find", m_find, NULL, NULL}, {"format", m_format, NULL, NULL},
    {"format_map", m_format_map, NULL, NULL}, {"index", m_index, NULL, NULL}, {"isalnum", m_isalnum, NULL, NULL},
    {"isalpha", m_isalpha, NULL, NULL}, {"isascii", m_isascii, NULL, NULL}, {"isdecimal", m_isdecimal, NULL, NULL},
    {"isdigit", m_isdigit, NULL, NULL}, {"isidentifier", m_isidentifier, NULL, NULL}, {"islower", m_islower, NULL, NULL},
    {"isnumeric", m_isnumeric, NULL, NULL}, {"isprintable", m_isprintable, NULL, NULL}, {"isspace", m_isspace, NULL, NULL},
    {"istitle", m_istitle, NULL, NULL}, {"isupper", m_isupper, NULL, NULL}, {"join", m_join, NULL, NULL}, {"ljust", m_ljust, NULL, NULL},
    {"lower", m_lower, NULL, NULL}, {"lstrip", m_lstrip, NULL, NULL}, {"maketrans", m_unsupported, NULL, NULL},
    {"partition", m_partition, NULL, NULL}, {"removeprefix", m_removeprefix, NULL, NULL}, {"removesuffix", m_removesuffix, NULL, NULL},
    {"replace", m_replace, NULL, NULL}, {"rfind", m_rfind, NULL, NULL}, {"rindex", m_rindex, NULL, NULL}, {"rjust", m_rjust, NULL, NULL},
    {"rpartition", m_rpartition, NULL, NULL}, {"rsplit", m_rsplit, NULL, NULL}, {"rstrip", m_rstrip, NULL, NULL},
    {"split", m_split, NULL, NULL}, {"splitlines", m_splitlines, NULL, NULL}, {"startswith", m_startswith, NULL, NULL},
    {"strip", m_strip, NULL, NULL}, {"swapcase", m_swapcase, NULL, NULL}, {"title", m_title, NULL, NULL},
    {"translate", m_unsupported, NULL, NULL}, {"upper", m_upper, NULL, NULL}, {"zfill", m_zfill, NULL, NULL},
    {"__len__", NULL, NULL, NULL}, {"__getitem__", NULL, NULL, NULL}, {"__contains__", NULL, NULL, NULL}, {"__iter__", NULL, NULL, NULL},
    {"__add__", NULL, NULL, NULL}, {"__mul__", NULL, NULL, NULL}, {"__mod__", NULL, NULL, NULL}, {NULL, NULL, NULL, NULL}};
