/* filters_text.c -- filters that make text: jinja2's do_* functions, one row each. */
#include <math.h>
#include <stdio.h>

#include "base/util.h"
#include "text/jinja/jinja_int.h"

#define FILTER(name) static struct jval *f_##name(struct jinja *J, struct jval *self, struct jargs *args)
/* Every filter's first lines: its row (for the signature), and its arguments in v[]. */
#define ARGS(python, signature)                                                           \
    static const struct jfunc_row me = {.name = python, .sig = signature};               \
    struct jval *v[J_BIND_MAX];                                                           \
    (void)self;                                                                           \
    j_bind(J, &me, args, v)

FILTER(upper) { ARGS("do_upper", "s"); return ju_case_map(J, jv_str(J, v[0]), JU_UPPER); }
FILTER(lower) { ARGS("do_lower", "s"); return ju_case_map(J, jv_str(J, v[0]), JU_LOWER); }
FILTER(capitalize) { ARGS("do_capitalize", "s"); return jm_capitalize(J, jv_str(J, v[0])); }
FILTER(string) { ARGS("markupsafe._speedups.soft_str", "!s"); return jv_str(J, v[0]); }
FILTER(trim) { ARGS("do_trim", "value, chars="); return jm_strip(J, jv_str(J, v[0]), v[1], true, true); }
FILTER(escape) { ARGS("markupsafe._speedups.escape", "!s"); return js_escape(J, v[0]); }
FILTER(safe) { ARGS("do_mark_safe", "value"); return js_safe(J, jv_str(J, v[0])); }

FILTER(forceescape) {
    ARGS("do_forceescape", "value");
    struct jval *plain = j_alloc(J, 1, sizeof *plain);
    *plain = *jv_str(J, v[0]);
    plain->u.s.safe = false;
    return js_escape(J, plain);
}

FILTER(center) {
    ARGS("do_center", "value, width=");
    return jm_center(J, jv_str(J, v[0]), v[1] ? j_arg_int(J, v[1]) : 80, NULL, '^');
}

FILTER(replace) {
    ARGS("do_replace", "@s, old, new, count=");
    struct jval *s = jv_str(J, v[0]), *old = jv_str(J, v[1]), *with = jv_str(J, v[2]);
    if (J->autoescape) {
        if (old->u.s.safe || (with->u.s.safe && !s->u.s.safe)) s = js_escape(J, s);
        if (s->u.s.safe && !with->u.s.safe) with = js_escape(J, with);
    }
    struct jval *r = jm_replace(J, s, old, with, j_arg_size(J, v[3], -1));
    return J->autoescape && s->u.s.safe ? js_safe(J, r) : r;
}

FILTER(format) {
    struct jval *rest;
    (void)self;
    if (args->n_pos > 1 && args->n_kw) j_raise(J, JX_FILTER_ARG, "can't handle positional and keyword arguments at the same time");
    if (args->n_kw) {
        rest = jv_dict(J);
        for (size_t i = 0; i < args->n_kw; i++) jd_set(J, &rest->u.d, js_new(J, args->kw[i].name), args->kw[i].val);
    } else {
        rest = jv_tuple(J, args->n_pos - 1);
        for (size_t i = 1; i < args->n_pos; i++) rest->u.l.v[i - 1] = args->pos[i];
    }
    return pf_percent(J, jv_str(J, args->pos[0]), rest);
}

static bool is_word_break(uint32_t cp) { return ju_is_space(cp) || (cp < 0x80 && strchr("-({[<", (int)cp) && cp); }

FILTER(title) {
    ARGS("do_title", "s");
    struct jval *s = jv_str(J, v[0]);
    struct jsb b = {0};
    for (size_t i = 0; i < s->u.s.len;) {
        uint32_t cp;
        size_t start = i, first;
        int n = utf8_decode(s->u.s.ptr + i, s->u.s.len - i, &cp);
        bool breaks = is_word_break(cp);
        i += (size_t)n;
        first = i;
        while (i < s->u.s.len && (n = utf8_decode(s->u.s.ptr + i, s->u.s.len - i, &cp), is_word_break(cp) == breaks)) i += (size_t)n;
        jsb_str(J, &b, &ju_case_map(J, js_sub(J, &s->u.s, start, first), JU_UPPER)->u.s);
        jsb_str(J, &b, &ju_case_map(J, js_sub(J, &s->u.s, first, i), JU_LOWER)->u.s);
    }
    return jsb_done(J, &b);
}

FILTER(indent) {
    ARGS("do_indent", "s, width=, first=, blank=");
    bool first = v[2] && jv_truth(J, v[2]), blank = v[3] && jv_truth(J, v[3]);
    struct jsb b = {0};
    struct jval *pad = !v[1] ? js_lit(J, "    ") : v[1]->type == J_STR ? v[1] : NULL;
    if (!pad) {
        if (!jv_is_int(v[1])) j_raise(J, JX_TYPE, "can't multiply sequence by non-int of type '%s'", jv_type_name(v[1]));
        pad = js_repeat(J, js_lit(J, " "), jv_as_int(v[1]));
    }
    if (v[0]->type == J_UNDEFINED) jv_fail_undefined(J, v[0]);
    if (v[0]->type == J_TUPLE) op_binary(J, OP_ADD, v[0], &jv_empty); /* fails as it should */
    if (v[0]->type == J_LIST) j_raise(J, JX_ATTRIBUTE, "'list' object has no attribute 'splitlines'");
    if (v[0]->type != J_STR) j_raise(J, JX_TYPE, "unsupported operand type(s) for +=: '%s' and 'str'", jv_type_name(v[0]));
    struct jval *lines = jm_splitlines(J, js_concat(J, v[0], js_lit(J, "\n")), false);
    for (size_t i = 0; i < lines->u.l.n; i++) {
        struct jval *line = lines->u.l.v[i];
        if (i) jsb_putc(J, &b, '\n');
        if (i ? blank || line->u.s.len : first) jsb_str(J, &b, &pad->u.s);
        jsb_str(J, &b, &line->u.s);
    }
    struct jval *r = jsb_done(J, &b);
    r->u.s.safe = v[0]->u.s.safe;
    return r;
}

FILTER(truncate) {
    ARGS("do_truncate", "@s, length=, killwords=, end=, leeway=");
    int64_t length = v[1] ? j_arg_int(J, v[1]) : 255, leeway = j_arg_size(J, v[4], 5);
    struct jval *end = v[3] ? j_arg_str(J, v[3], "end") : js_lit(J, "..."), *s = v[0], *head;
    int64_t n_end = (int64_t)js_chars(end);
    if (length < n_end) j_raise(J, JX_ASSERT, "expected length >= %lld, got %lld", (long long)n_end, (long long)length);
    if (leeway < 0) j_raise(J, JX_ASSERT, "expected leeway >= 0, got %lld", (long long)leeway);
    if (jv_len(J, s) <= length + leeway) return s;
    if (s->type != J_STR) j_raise(J, JX_TYPE, "truncate wants a str, not %s", jv_type_name(s));
    head = js_sub(J, &s->u.s, 0, js_offset(s, (size_t)(length - n_end)));
    if (!(v[2] && jv_truth(J, v[2]))) {
        size_t space = js_rfind(js_view(head), VIEW(" "), SIZE_MAX);
        if (space != SIZE_MAX) head = js_sub(J, &head->u.s, 0, space);
    }
    return js_concat(J, head, end);
}

FILTER(wordcount) {
    ARGS("do_wordcount", "s");
    struct jval *s = jv_str(J, v[0]);
    int64_t n = 0;
    bool in_word = false;
    for (size_t i = 0; i < s->u.s.len;) {
        uint32_t cp;
        i += (size_t)utf8_decode(s->u.s.ptr + i, s->u.s.len - i, &cp);
        bool word = ju_is_word(cp);
        n += word && !in_word;
        in_word = word;
    }
    return jv_int(J, n);
}

static void quote_url(struct jinja *J, struct jsb *b, struct jval *v, bool for_query) {
    struct jval *s = jv_str(J, v);
    for (size_t i = 0; i < s->u.s.len; i++) {
        unsigned char c = (unsigned char)s->u.s.ptr[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr("_.-~", c)) || (c == '/' && !for_query);
        size_t at = b->len;
        if (plain) jsb_putc(J, b, (char)c);
        else if (c == ' ' && for_query) jsb_putc(J, b, '+');
        else jsb_printf(J, b, "%%%02X", c);
        if (js_marked(&s->u.s, i)) jsb_mark(J, b, at);
    }
}

FILTER(urlencode) {
    ARGS("do_urlencode", "value");
    struct jsb b = {0};
    struct jval *pair;
    size_t n = 0;
    if (v[0]->type == J_STR || !jv_is_iterable(v[0])) {
        quote_url(J, &b, v[0], false);
        return jsb_done(J, &b);
    }
    struct jval *pairs = v[0];
    if (pairs->type == J_DICT) pairs = j_call(J, at_getattr(J, pairs, js_lit(J, "items")), &(struct jargs){0});
    for (struct jiter *it = jv_iterate(J, pairs); (pair = jit_next(J, it)); n++) {
        if (!jv_is_iterable(pair)) j_raise(J, JX_TYPE, "cannot unpack non-iterable %s object", jv_type_name(pair));
        struct jval *kv = jv_to_list(J, pair);
        if (kv->u.l.n != 2) j_raise(J, JX_VALUE, kv->u.l.n < 2 ? "not enough values to unpack (expected 2, got %zu)" : "too many values to unpack (expected 2)", kv->u.l.n);
        if (n) jsb_putc(J, &b, '&');
        quote_url(J, &b, kv->u.l.v[0], true);
        jsb_putc(J, &b, '=');
        quote_url(J, &b, kv->u.l.v[1], true);
    }
    return jsb_done(J, &b);
}

FILTER(xmlattr) {
    ARGS("do_xmlattr", "@d, autospace=");
    struct jsb b = {0};
    if (v[0]->type == J_UNDEFINED) jv_fail_undefined(J, v[0]);
    if (v[0]->type != J_DICT) j_raise(J, JX_ATTRIBUTE, "'%s' object has no attribute 'items'", jv_type_name(v[0]));
    for (size_t i = 0; i < v[0]->u.d.n; i++) {
        const struct jdict_entry *e = &v[0]->u.d.v[i];
        if (e->val->type == J_NONE || e->val->type == J_UNDEFINED) continue;
        if (e->key->type != J_STR) j_raise(J, JX_TYPE, "expected string or bytes-like object, got '%s'", jv_type_name(e->key));
        for (size_t k = 0; k < e->key->u.s.len; k++)
            if (strchr(" \t\n\r\f\v/>=", e->key->u.s.ptr[k])) j_raise(J, JX_VALUE, "Invalid character in attribute name: %s", jv_repr_c(J, e->key));
        if (b.len || !v[1] || jv_truth(J, v[1])) jsb_putc(J, &b, ' ');
        jsb_str(J, &b, &js_escape(J, e->key)->u.s);
        jsb_puts(J, &b, "=\"");
        jsb_str(J, &b, &js_escape(J, e->val)->u.s);
        jsb_putc(J, &b, '"');
    }
    struct jval *r = jsb_done(J, &b);
    return J->autoescape ? js_safe(J, r) : r;
}

/* Markup.striptags: comments, then tags, then whitespace runs to one space, then entities back to characters. */
static void unescape(struct jinja *J, struct jsb *b, struct view s) {
    static const struct { const char *name, *text; } entities[] = {
        {"amp;", "&"}, {"lt;", "<"}, {"gt;", ">"}, {"quot;", "\""}, {"apos;", "'"}, {"nbsp;", "\xC2\xA0"}, {"#39;", "'"}, {"#34;", "\""}};
    for (size_t i = 0; i < s.len; i++) {
        size_t k = 0;
        const size_t n = sizeof entities / sizeof *entities;
        while (s.ptr[i] == '&' && k < n && js_find((struct view){s.ptr + i + 1, s.len - i - 1}, view_of(entities[k].name), 0) != 0) k++;
        if (s.ptr[i] == '&' && k < n) {
            jsb_puts(J, b, entities[k].text);
            i += strlen(entities[k].name);
        } else {
            jsb_putc(J, b, s.ptr[i]);
        }
    }
}

static struct jval *without(struct jinja *J, struct jval *s, const char *open, const char *close) {
    struct jsb b = {0};
    size_t start = 0, at, end;
    while ((at = js_find(js_view(s), view_of(open), start)) != SIZE_MAX && (end = js_find(js_view(s), view_of(close), at)) != SIZE_MAX) {
        jsb_sub(J, &b, &s->u.s, start, at);
        start = end + strlen(close);
    }
    jsb_sub(J, &b, &s->u.s, start, s->u.s.len);
    return jsb_done(J, &b);
}

FILTER(striptags) {
    ARGS("do_striptags", "value");
    struct jsb b = {0}, spaced = {0};
    struct jval *s = without(J, without(J, jv_str(J, v[0]), "<!--", "-->"), "<", ">"), *words = jm_split_ws(J, s, -1);
    for (size_t i = 0; i < words->u.l.n; i++) {
        if (i) jsb_putc(J, &spaced, ' ');
        jsb_str(J, &spaced, &words->u.l.v[i]->u.s);
    }
    unescape(J, &b, (struct view){spaced.ptr, spaced.len});
    if (v[0]->type == J_STR && v[0]->u.s.n_spans) jsb_mark(J, &b, 0);
    return jsb_done(J, &b);
}

FILTER(filesizeformat) {
    ARGS("do_filesizeformat", "value, binary=");
    static const char prefixes[] = "kMGTPEZY";
    bool binary = v[1] && jv_truth(J, v[1]);
    double base = binary ? 1024 : 1000, unit = base, bytes = 0;
    struct jsb b = {0};
    if (v[0]->type == J_UNDEFINED) jv_fail_undefined(J, v[0]);
    if (jv_is_number(v[0])) bytes = jv_as_float(v[0]);
    else if (v[0]->type != J_STR) j_raise(J, JX_TYPE, "float() argument must be a string or a real number, not '%s'", jv_type_name(v[0]));
    else if (!jt_string_to_float(js_view(v[0]), &bytes)) j_raise(J, JX_VALUE, "could not convert string to float: %s", jv_repr_c(J, v[0]));
    if (bytes == 1) return js_lit(J, "1 Byte");
    if (bytes < base) {
        if (!(bytes > -9e18)) j_raise(J, JX_UNSUPPORTED, "an integer beyond 64 bits");
        jsb_printf(J, &b, "%lld Bytes", (long long)bytes);
        return jsb_done(J, &b);
    }
    size_t i = 0;
    for (unit = base * base; i < 7 && !(bytes < unit); i++) unit *= base;
    jsb_printf(J, &b, "%.1f %c%sB", base * bytes / unit, i == 0 && binary ? 'K' : prefixes[i], binary ? "i" : "");
    return jsb_done(J, &b);
}

FILTER(tojson) {
    ARGS("tojson", "x, ensure_ascii=, indent=, separators=, sort_keys=");
    return json_dump(J, v[0], v + 1);
}

const struct jfunc_row jf_text[] = {
    {"capitalize", f_capitalize, NULL, NULL}, {"center", f_center, NULL, NULL}, {"e", f_escape, NULL, NULL}, {"escape", f_escape, NULL, NULL},
    {"filesizeformat", f_filesizeformat, NULL, NULL}, {"forceescape", f_forceescape, NULL, NULL}, {"format", f_format, NULL, NULL},
    {"indent", f_indent, NULL, NULL}, {"lower", f_lower, NULL, NULL}, {"replace", f_replace, NULL, NULL}, {"safe", f_safe, NULL, NULL},
    {"string", f_string, NULL, NULL}, {"striptags", f_striptags, NULL, NULL}, {"title", f_title, NULL, NULL}, {"tojson", f_tojson, NULL, NULL},
    {"trim", f_trim, NULL, NULL}, {"truncate", f_truncate, NULL, NULL}, {"upper", f_upper, NULL, NULL}, {"urlencode", f_urlencode, NULL, NULL},
    {"wordcount", f_wordcount, NULL, NULL}, {"xmlattr", f_xmlattr, NULL, NULL}, {NULL, NULL, NULL, NULL}};
