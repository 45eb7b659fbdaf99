/* pretty.c -- the pprint filter (Python's pprint.pformat: width 80, keys sorted), and the filters that need patterns.
 *
 * urlize and wordwrap are Python regular expressions at heart, so they run the same patterns with PCRE2. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

#include "base/util.h"
#include "text/jinja/jinja_int.h"

#define PRETTY_WIDTH 80
#define FILTER(name) static struct jval *f_##name(struct jinja *J, struct jval *self, struct jargs *args)
#define ARGS(python, signature)                                                           \
    static const struct jfunc_row me = {.name = python, .sig = signature};               \
    struct jval *v[J_BIND_MAX];                                                           \
    (void)self;                                                                           \
    j_bind(J, &me, args, v)

/* pprint */

static const char *order_name(const struct jval *v) { return v->type == J_STR ? "str" : jv_type_name(v); }

/* pprint's _safe_key: values that compare do; others go by the name of their type. */
static bool key_less(struct jinja *J, struct jval *a, struct jval *b) {
    bool comparable = (jv_is_number(a) && jv_is_number(b)) || (a->type == b->type && a->type == J_STR);
    return comparable ? jv_compare(J, CMP_LT, a, b) : strcmp(order_name(a), order_name(b)) < 0;
}

static struct jval *sort_keys(struct jinja *J, struct jval *v) { /* the same value, dicts ordered by key */
    struct jval *r = v;
    j_enter(J);
    if (v->type == J_LIST || v->type == J_TUPLE) {
        r = v->type == J_LIST ? jv_list(J, v->u.l.n) : jv_tuple(J, v->u.l.n);
        for (size_t i = 0; i < v->u.l.n; i++) r->u.l.v[i] = sort_keys(J, v->u.l.v[i]);
    } else if (v->type == J_DICT) {
        struct jdict_entry *e = j_alloc(J, v->u.d.n, sizeof *e);
        for (size_t i = 0; i < v->u.d.n; i++) {
            size_t at = i;
            for (; at > 0 && key_less(J, v->u.d.v[i].key, e[at - 1].key); at--) e[at] = e[at - 1];
            e[at] = v->u.d.v[i];
            j_step(J, i);
        }
        r = jv_dict(J);
        for (size_t i = 0; i < v->u.d.n; i++) jd_set(J, &r->u.d, e[i].key, sort_keys(J, e[i].val));
    }
    j_leave(J);
    return r;
}

static void pretty(struct jinja *J, struct jsb *b, struct jval *v, size_t indent, size_t allowance);

static void new_line(struct jinja *J, struct jsb *b, size_t indent) {
    jsb_puts(J, b, ",\n");
    for (size_t i = 0; i < indent; i++) jsb_putc(J, b, ' ');
}

static void pretty_items(struct jinja *J, struct jsb *b, const struct jlist *l, size_t indent, size_t allowance, const char *open, const char *close) {
    jsb_puts(J, b, open);
    for (size_t i = 0; i < l->n; i++) {
        bool last = i + 1 == l->n;
        if (i) new_line(J, b, indent + 1);
        pretty(J, b, l->v[i], indent + 1, last ? allowance + strlen(close) : 1);
    }
    jsb_puts(J, b, close);
}

static void pretty_dict(struct jinja *J, struct jsb *b, const struct jdict *d, size_t indent, size_t allowance) {
    jsb_putc(J, b, '{');
    for (size_t i = 0; i < d->n; i++) {
        struct jval *key = jv_repr(J, d->v[i].key);
        if (i) new_line(J, b, indent + 1);
        jsb_str(J, b, &key->u.s);
        jsb_puts(J, b, ": ");
        pretty(J, b, d->v[i].val, indent + js_chars(key) + 3, i + 1 == d->n ? allowance + 1 : 1);
    }
    jsb_putc(J, b, '}');
}

/* A long string is cut into lines, and those at spaces: pprint's _pprint_str. */
static void pretty_str(struct jinja *J, struct jsb *b, struct jval *v, size_t indent, size_t allowance, bool top) {
    struct jval *lines = jm_splitlines(J, v, true), *parts = jv_list(J, 0);
    size_t cap = 0, width = PRETTY_WIDTH - indent - top;
    for (size_t i = 0; i < lines->u.l.n; i++) {
        struct jval *line = lines->u.l.v[i], *whole = jv_repr(J, line);
        size_t room = i + 1 == lines->u.l.n ? (width > allowance + top ? width - allowance - top : 0) : width, start = 0;
        if (js_chars(whole) <= room) {
            jl_push(J, &parts->u.l, &cap, whole);
            continue;
        }
        struct jval *current = &jv_empty;
        for (size_t at = 0; at < line->u.s.len;) { /* \S*\s*: words with the spaces after them */
            size_t end = at, next;
            uint32_t cp = 0;
            while (end < line->u.s.len && (next = end + (size_t)utf8_decode(line->u.s.ptr + end, line->u.s.len - end, &cp), !ju_is_space(cp))) end = next;
            while (end < line->u.s.len && (next = end + (size_t)utf8_decode(line->u.s.ptr + end, line->u.s.len - end, &cp), ju_is_space(cp))) end = next;
            struct jval *longer = js_sub(J, &line->u.s, start, end);
            size_t most = end == line->u.s.len && i + 1 == lines->u.l.n ? room : width;
            if (js_chars(jv_repr(J, longer)) > most) {
                if (current->u.s.len) jl_push(J, &parts->u.l, &cap, jv_repr(J, current));
                current = js_sub(J, &line->u.s, at, end);
                start = at;
            } else {
                current = longer;
            }
            at = end;
        }
        if (current->u.s.len) jl_push(J, &parts->u.l, &cap, jv_repr(J, current));
    }
    bool parens = top && parts->u.l.n > 1;
    if (parens) jsb_putc(J, b, '(');
    for (size_t i = 0; i < parts->u.l.n; i++) {
        if (i) {
            jsb_putc(J, b, '\n');
            for (size_t k = 0; k < indent + parens; k++) jsb_putc(J, b, ' ');
        }
        jsb_str(J, b, &parts->u.l.v[i]->u.s);
    }
    if (parens) jsb_putc(J, b, ')');
}

static void pretty(struct jinja *J, struct jsb *b, struct jval *v, size_t indent, size_t allowance) {
    struct jval *flat = jv_repr(J, v);
    bool fits = indent + allowance < PRETTY_WIDTH && js_chars(flat) <= PRETTY_WIDTH - indent - allowance;
    j_enter(J);
    if (fits || (v->type == J_STR && (v->u.s.safe || indent + 1 >= PRETTY_WIDTH))) jsb_str(J, b, &flat->u.s);
    else if (v->type == J_LIST) pretty_items(J, b, &v->u.l, indent, allowance, "[", "]");
    else if (v->type == J_TUPLE) pretty_items(J, b, &v->u.l, indent, allowance, "(", v->u.l.n == 1 ? ",)" : ")");
    else if (v->type == J_DICT && v->u.d.n) pretty_dict(J, b, &v->u.d, indent, allowance);
    else if (v->type == J_STR) pretty_str(J, b, v, indent, allowance, indent == 0);
    else jsb_str(J, b, &flat->u.s);
    j_leave(J);
}

FILTER(pprint) {
    ARGS("do_pprint", "value");
    struct jsb b = {0};
    pretty(J, &b, sort_keys(J, v[0]), 0, 0);
    return jsb_done(J, &b);
}

/* Patterns */

#define MATCH_STEPS_MAX 1000000

/* The first match at or after `from`; false: none. Patterns are ours: they compile. */
static bool match(struct jinja *J, const char *pattern, struct view text, size_t from, bool anchored, size_t *start, size_t *end) {
    int error;
    PCRE2_SIZE where;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_EXTENDED | PCRE2_CASELESS, &error, &where, NULL);
    pcre2_match_data *data = code ? pcre2_match_data_create_from_pattern(code, NULL) : NULL;
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    int n = -1;
    if (data && limits) {
        pcre2_set_match_limit(limits, MATCH_STEPS_MAX);
        n = pcre2_match(code, (PCRE2_SPTR)text.ptr, text.len, from, anchored ? PCRE2_ANCHORED : 0, data, limits);
    }
    if (n >= 0) {
        *start = pcre2_get_ovector_pointer(data)[0];
        *end = pcre2_get_ovector_pointer(data)[1];
    }
    pcre2_match_context_free(limits);
    pcre2_match_data_free(data);
    pcre2_code_free(code);
    j_step(J, 100 + text.len / 8);
    return n >= 0;
}

static const char http_pattern[] =
    "^((https?://|www\\.)(([\\w%-]+\\.)+)?([a-z]{2,63}|xn--[\\w%]{2,59})|([\\w%-]{2,63}\\.)+(com|net|int|edu|gov|org|info|mil)|"
    "(https?://)((([\\d]{1,3})(\\.[\\d]{1,3}){3})|(\\[([\\da-f]{0,4}:){2}([\\da-f]{0,4}:?){1,6}])))(?::[\\d]{1,5})?(?:[/?\\#]\\S*)?$";
static const char email_pattern[] = "^\\S+@\\w[\\w.-]*\\.\\w+$";

static bool matches(struct jinja *J, const char *pattern, struct view text) {
    size_t start, end;
    return match(J, pattern, text, 0, true, &start, &end);
}

static bool begins(struct view v, const char *with) { return js_find(v, view_of(with), 0) == 0; }

static size_t count(struct view hay, const char *needle) {
    size_t n = 0;
    for (size_t at = 0; (at = js_find(hay, view_of(needle), at)) != SIZE_MAX; at += strlen(needle)) n++;
    return n;
}

struct urlize {
    struct jval *rel, *target, *extra;
    int64_t limit; /* of characters shown, -1: none */
};

static void add_link(struct jinja *J, struct jsb *b, const struct urlize *u, const char *scheme, struct view url, bool plain, size_t skip) {
    struct jval *shown = js_new(J, (struct view){url.ptr + skip, url.len - skip});
    jsb_printf(J, b, "<a href=\"%s", scheme);
    jsb_add(J, b, url);
    jsb_putc(J, b, '"');
    if (!plain && u->rel->u.s.len) {
        jsb_puts(J, b, " rel=\"");
        jsb_str(J, b, &js_escape(J, u->rel)->u.s);
        jsb_putc(J, b, '"');
    }
    if (!plain && u->target) {
        jsb_puts(J, b, " target=\"");
        jsb_str(J, b, &js_escape(J, u->target)->u.s);
        jsb_putc(J, b, '"');
    }
    jsb_putc(J, b, '>');
    if (!plain && u->limit >= 0 && (int64_t)js_chars(shown) > u->limit) {
        jsb_str(J, b, &js_sub(J, &shown->u.s, 0, js_offset(shown, (size_t)u->limit))->u.s);
        jsb_puts(J, b, "...");
    } else {
        jsb_str(J, b, &shown->u.s);
    }
    jsb_puts(J, b, "</a>");
}

static void add_middle(struct jinja *J, struct jsb *b, const struct urlize *u, struct view middle) {
    struct view rest = middle;
    if (begins(middle, "mailto:")) rest = (struct view){middle.ptr + 7, middle.len - 7};
    if (matches(J, http_pattern, middle)) {
        add_link(J, b, u, begins(middle, "https://") || begins(middle, "http://") ? "" : "https://", middle, false, 0);
    } else if (rest.len != middle.len && matches(J, email_pattern, rest)) {
        add_link(J, b, u, "", middle, true, 7);
    } else if (count(middle, "@") && !begins(middle, "www.") && !count(middle, ":") && matches(J, email_pattern, middle)) {
        add_link(J, b, u, "mailto:", middle, true, 0);
    } else {
        jsb_add(J, b, middle);
    }
}

static void urlize_word(struct jinja *J, struct jsb *b, const struct urlize *u, struct view word) {
    static const char *const pairs[][2] = {{"(", ")"}, {"<", ">"}, {"&lt;", "&gt;"}};
    struct view middle = word, tail = {word.ptr + word.len, 0};
    size_t start, end;
    if (match(J, "^([(<]|&lt;)+", middle, 0, true, &start, &end)) {
        jsb_add(J, b, (struct view){middle.ptr, end});
        middle = (struct view){middle.ptr + end, middle.len - end};
    }
    if (match(J, "([)>.,\\n]|&gt;)+\\z", middle, 0, false, &start, &end)) {
        tail = (struct view){middle.ptr + start, middle.len - start};
        middle.len = start;
    }
    for (size_t i = 0; i < 3; i++) {
        size_t opens = count(middle, pairs[i][0]), closes = count(tail, pairs[i][1]);
        if (opens <= count(middle, pairs[i][1])) continue;
        for (size_t k = 0; k < opens && k < closes; k++) { /* middle and tail lie side by side */
            size_t take = js_find(tail, view_of(pairs[i][1]), 0) + strlen(pairs[i][1]);
            middle.len += take;
            tail = (struct view){tail.ptr + take, tail.len - take};
        }
    }
    add_middle(J, b, u, middle);
    jsb_add(J, b, tail);
}

static struct jval *rel_of(struct jinja *J, struct jval *rel, bool nofollow) { /* the words, sorted, once */
    struct jval *l = jm_split_ws(J, rel && rel->type == J_STR ? rel : &jv_empty, -1), *seen = jv_dict(J);
    size_t cap = l->u.l.n;
    if (nofollow) jl_push(J, &l->u.l, &cap, js_lit(J, "nofollow"));
    jl_push(J, &l->u.l, &cap, js_lit(J, "noopener"));
    for (size_t i = 0; i < l->u.l.n; i++) jd_set(J, &seen->u.d, l->u.l.v[i], &jv_true);
    l = jv_to_list(J, seen);
    jv_sort(J, l->u.l.v, l->u.l.v, l->u.l.n, false);
    return jm_join(J, js_lit(J, " "), l);
}

FILTER(urlize) {
    ARGS("do_urlize", "@value, trim_url_limit=, nofollow=, target=, rel=, extra_schemes=");
    struct urlize u = {.rel = rel_of(J, v[4], v[2] && jv_truth(J, v[2])), .target = v[3] && jv_truth(J, v[3]) ? jv_str(J, v[3]) : NULL, .limit = j_arg_size(J, v[1], -1)};
    struct jsb b = {0};
    struct jval *text = js_escape(J, v[0]);
    if (v[5] && jv_truth(J, v[5])) j_raise(J, JX_UNSUPPORTED, "urlize with extra_schemes");
    for (size_t i = 0, start = 0; i <= text->u.s.len;) {
        uint32_t cp = ' ';
        int n = i < text->u.s.len ? utf8_decode(text->u.s.ptr + i, text->u.s.len - i, &cp) : 1;
        if (ju_is_space(cp)) {
            if (i > start) urlize_word(J, &b, &u, (struct view){text->u.s.ptr + start, i - start});
            if (i < text->u.s.len) jsb_cp(J, &b, cp, false);
            start = i + (size_t)n;
        }
        i += (size_t)n;
    }
    if (text->u.s.n_spans) jsb_mark(J, &b, 0);
    struct jval *r = jsb_done(J, &b);
    return J->autoescape ? js_safe(J, r) : r;
}

/* wordwrap: Python's textwrap.wrap without whitespace replacement */

#define WP "[\\w!\"'&.,?]"
#define LT "[^\\d\\W]"
#define NWS "[^\\t\\n\\x0b\\x0c\\r\\x20]"
static const char chunk_hyphens[] = "([\\t\\n\\x0b\\x0c\\r\\x20]+|(?<=" WP ")-{2,}(?=\\w)|" NWS "+?(?:-(?:(?<=" LT LT "-)|(?<=" LT "-" WP "-))(?=" LT
                                    "-?" LT ")|(?=[\\t\\n\\x0b\\x0c\\r\\x20]|\\z)|(?<=" WP ")(?=-{2,}\\w)))";
static const char chunk_plain[] = "([\\t\\n\\x0b\\x0c\\r\\x20]+|" NWS "+)";

static bool is_blank(const struct jval *s) {
    for (size_t i = 0; i < s->u.s.len; i++)
        if (!ju_is_space((unsigned char)s->u.s.ptr[i])) return false;
    return true;
}

static struct jval *chunks_of(struct jinja *J, struct jval *line, bool hyphens) { /* re.split: also what lies between matches */
    struct jval *l = jv_list(J, 0);
    size_t cap = 0, at = 0, start, end;
    while (at < line->u.s.len && match(J, hyphens ? chunk_hyphens : chunk_plain, js_view(line), at, false, &start, &end) && end > at) {
        if (start > at) jl_push(J, &l->u.l, &cap, js_sub(J, &line->u.s, at, start));
        if (end > start) jl_push(J, &l->u.l, &cap, js_sub(J, &line->u.s, start, end));
        at = end;
    }
    if (at < line->u.s.len) jl_push(J, &l->u.l, &cap, js_sub(J, &line->u.s, at, line->u.s.len));
    return l;
}

static void wrap_line(struct jinja *J, struct jsb *b, struct jval *chunks, int64_t width, bool break_long, struct jval *newline) {
    size_t i = 0, n = chunks->u.l.n, n_lines = 0;
    while (i < n) {
        struct jsb line = {0};
        int64_t used = 0;
        struct jval *last = NULL;
        size_t last_start = 0;
        if (n_lines > 0 && is_blank(chunks->u.l.v[i])) i++;
        for (; i < n && used + (int64_t)js_chars(chunks->u.l.v[i]) <= width; i++) {
            last = chunks->u.l.v[i];
            last_start = line.len;
            jsb_str(J, &line, &last->u.s);
            used += (int64_t)js_chars(last);
        }
        if (i < n && (int64_t)js_chars(chunks->u.l.v[i]) > width) {
            struct jval *chunk = chunks->u.l.v[i];
            size_t room = width < 1 ? 1 : (size_t)(width - used), cut = js_offset(chunk, room);
            last_start = line.len;
            if (break_long) {
                last = js_sub(J, &chunk->u.s, 0, cut);
                jsb_str(J, &line, &last->u.s);
                chunks->u.l.v[i] = js_sub(J, &chunk->u.s, cut, chunk->u.s.len);
                if (cut == 0) last = NULL;
            } else if (line.len == 0) {
                last = chunk;
                jsb_str(J, &line, &chunk->u.s);
                i++;
            }
        }
        if (last && is_blank(last)) line.len = last_start;
        if (line.len == 0) continue;
        if (n_lines++) jsb_str(J, b, &newline->u.s);
        jsb_str(J, b, &jsb_done(J, &line)->u.s);
    }
}

FILTER(wordwrap) {
    ARGS("do_wordwrap", "@s, width=, break_long_words=, wrapstring=, break_on_hyphens=");
    int64_t width = v[1] ? j_arg_int(J, v[1]) : 79;
    struct jval *newline = v[3] && v[3]->type != J_NONE ? j_arg_str(J, v[3], "wrapstring") : js_lit(J, "\n"), *lines;
    struct jsb b = {0};
    if (v[0]->type == J_UNDEFINED) jv_fail_undefined(J, v[0]);
    if (v[0]->type != J_STR) j_raise(J, JX_ATTRIBUTE, "'%s' object has no attribute 'splitlines'", jv_type_name(v[0]));
    lines = jm_splitlines(J, v[0], false);
    for (size_t i = 0; i < lines->u.l.n; i++) {
        if (width <= 0) j_raise(J, JX_VALUE, "invalid width %lld (must be > 0)", (long long)width);
        if (i) jsb_str(J, &b, &newline->u.s);
        wrap_line(J, &b, chunks_of(J, lines->u.l.v[i], !v[4] || jv_truth(J, v[4])), width, !v[2] || jv_truth(J, v[2]), newline);
    }
    return jsb_done(J, &b);
}

const struct jfunc_row jf_misc[] = {{"pprint", f_pprint, NULL, NULL}, {"urlize", f_urlize, NULL, NULL}, {"wordwrap", f_wordwrap, NULL, NULL},
                                    {NULL, NULL, NULL, NULL}};
