/* print.c -- values as Go's fmt prints them: %v, and the plain verbs of printf. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "text/gotmpl/gotmpl_int.h"

struct gdigits gv_digits(double f) {
    struct gdigits d = {.n = 0};
    char text[40];
    int precision = 0;
    do snprintf(text, sizeof text, "%.*e", precision, fabs(f));
    while (strtod(text, NULL) != fabs(f) && ++precision < 17);
    for (const char *p = text; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9') d.v[d.n++] = *p;
    while (d.n > 1 && d.v[d.n - 1] == '0') d.n--;
    d.point = d.v[0] == '0' ? 0 : (int)strtol(strchr(text, 'e') + 1, NULL, 10) + 1;
    return d;
}

#define EXPONENT_MAX 6 /* from there on %v has an exponent */

/* %g of the shortest digits. */
static void put_float(struct jinja *J, struct jsb *b, double f) {
    if (isnan(f) || isinf(f)) {
        jsb_puts(J, b, isnan(f) ? "NaN" : f < 0 ? "-Inf" : "+Inf");
        return;
    }
    struct gdigits d = gv_digits(f);
    int exponent = d.point - 1;
    if (signbit(f)) jsb_putc(J, b, '-');
    if (f < 0 || f > 0) {
        if (exponent < -4 || exponent >= EXPONENT_MAX) {
            jsb_putc(J, b, d.v[0]);
            if (d.n > 1) jsb_printf(J, b, ".%.*s", d.n - 1, d.v + 1);
            jsb_printf(J, b, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
            return;
        }
        if (d.point <= 0) jsb_puts(J, b, "0.");
        for (int i = d.point; i < 0; i++) jsb_putc(J, b, '0');
        for (int i = 0; i < d.n || i < d.point; i++) {
            if (i && i == d.point) jsb_putc(J, b, '.');
            jsb_putc(J, b, i < d.n ? d.v[i] : '0');
        }
        return;
    }
    jsb_putc(J, b, '0');
}

static void put_list(struct jinja *J, struct jsb *b, const struct gval *v, char open, char close) {
    jsb_putc(J, b, open);
    for (size_t i = 0; i < v->u.list.n; i++) {
        if (i) jsb_putc(J, b, ' ');
        gv_print(J, b, v->u.list.v[i], 1);
    }
    jsb_putc(J, b, close);
}

static void put_map(struct jinja *J, struct jsb *b, const struct gval *v) {
    jsb_puts(J, b, "map[");
    for (size_t i = 0; i < v->u.map.n; i++) {
        if (i) jsb_putc(J, b, ' ');
        jsb_str(J, b, &v->u.map.v[i].key);
        jsb_putc(J, b, ':');
        gv_print(J, b, v->u.map.v[i].val, 1);
    }
    jsb_putc(J, b, ']');
}

/* Types that say themselves how they print; false: this is none of them. */
static bool put_typed(struct jinja *J, struct jsb *b, const struct gval *v, int depth) {
    if (v->type == &gt_inner && v->is_nil) jsb_puts(J, b, "<nil>");
    else if (v->type->is_pointer && (depth > 0 || v->type == &gt_inner)) j_raise(J, JX_UNSUPPORTED, "%s: would print as an address", v->type->name);
    else if (v->type->is_text && v->is_nil && v->kind == G_MAP) jsb_puts(J, b, "{}");
    else if (v->type->is_text) gv_json(J, b, v);
    else if (v->type == &gt_kinds && v->u.list.n < 2) v->u.list.n ? gv_print(J, b, v->u.list.v[0], 1) : (void)0;
    else return false;
    return true;
}

void gv_print(struct jinja *J, struct jsb *b, struct gval *v, int depth) {
    j_enter(J);
    j_step(J, 1);
    if (!v->type || !put_typed(J, b, v, depth)) switch ((enum gkind)v->kind) {
    case G_NIL: jsb_puts(J, b, "<nil>"); break;
    case G_BOOL: jsb_puts(J, b, v->u.b ? "true" : "false"); break;
    case G_INT: jsb_printf(J, b, "%lld", (long long)v->u.i); break;
    case G_FLOAT: put_float(J, b, v->u.f); break;
    case G_STR: jsb_str(J, b, &v->u.s); break;
    case G_LIST: put_list(J, b, v, '[', ']'); break;
    case G_STRUCT: put_list(J, b, v, '{', '}'); break;
    case G_MAP: put_map(J, b, v); break;
    }
    j_leave(J);
}

/* printf */

struct verb {
    bool is_left, has_plus, has_space, has_zero;
    int width, precision; /* precision -1: none */
    char c;
};
#define WIDTH_MAX 1000

static int read_small(struct jinja *J, struct view f, size_t *at) {
    int n = 0;
    for (; *at < f.len && f.ptr[*at] >= '0' && f.ptr[*at] <= '9'; ++*at) {
        n = n * 10 + f.ptr[*at] - '0';
        if (n > WIDTH_MAX) j_raise(J, JX_LIMIT, "printf: a width or precision of more than %d", WIDTH_MAX);
    }
    return n;
}

static struct verb read_verb(struct jinja *J, struct view f, size_t *at) {
    struct verb v = {.precision = -1};
    for (; *at < f.len && f.ptr[*at] && strchr("-+ 0", f.ptr[*at]); ++*at) {
        v.is_left |= f.ptr[*at] == '-';
        v.has_plus |= f.ptr[*at] == '+';
        v.has_space |= f.ptr[*at] == ' ';
        v.has_zero |= f.ptr[*at] == '0';
    }
    v.width = read_small(J, f, at);
    if (*at < f.len && f.ptr[*at] == '.') {
        ++*at;
        v.precision = read_small(J, f, at);
    }
    v.c = *at < f.len ? f.ptr[(*at)++] : 0;
    if (!v.c || !strchr("%vsdqtcefg", v.c)) j_raise(J, JX_UNSUPPORTED, "printf: the verb %%%c is not supported", v.c > ' ' && v.c < 0x7F ? v.c : '?');
    return v;
}

/* A text as Go writes it between quotes. */
static void put_quoted(struct jinja *J, struct jsb *b, const struct jstr *s) {
    static const char from[] = "\a\b\f\n\r\t\v\\\"", to[] = "abfnrtv\\\"";
    jsb_putc(J, b, '"');
    for (size_t i = 0; i < s->len;) {
        uint32_t cp = 0;
        int n = utf8_decode(s->ptr + i, s->len - i, &cp);
        const char *known = cp && cp < 0x80 ? strchr(from, (int)cp) : NULL;
        size_t at = b->len;
        if (known) jsb_printf(J, b, "\\%c", to[known - from]);
        else if (cp < 0x20 || cp == 0x7F) jsb_printf(J, b, "\\x%02x", (unsigned)cp);
        else if (cp != ' ' && !ju_is_printable(cp)) jsb_printf(J, b, cp < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)cp);
        else jsb_sub(J, b, s, i, i + (size_t)n);
        if (js_marked(s, i)) jsb_mark(J, b, at);
        i += (size_t)n;
    }
    jsb_putc(J, b, '"');
}

static void put_number(struct jinja *J, struct jsb *b, const struct verb *v, const struct gval *arg) {
    char format[8] = "%", text[WIDTH_MAX + 400];
    size_t n = 1;
    if (v->has_plus) format[n++] = '+';
    else if (v->has_space) format[n++] = ' ';
    if (arg->kind == G_INT) {
        memcpy(format + n, "lld", 4);
        snprintf(text, sizeof text, format, (long long)arg->u.i);
    } else {
        format[n++] = '.';
        format[n++] = '*';
        format[n++] = v->c;
        snprintf(text, sizeof text, format, v->precision < 0 ? 6 : v->precision, arg->u.f);
    }
    jsb_puts(J, b, text);
}

static void put_argument(struct jinja *J, struct jsb *b, const struct verb *v, struct gval *arg) {
    static const struct { char c; unsigned kinds; } rows[] = {{'d', 1u << G_INT}, {'q', 1u << G_STR}, {'t', 1u << G_BOOL}, {'c', 1u << G_INT}, {'e', 1u << G_FLOAT}, {'f', 1u << G_FLOAT}, {'g', 1u << G_FLOAT}};
    bool is_text = arg->kind == G_STR || (arg->type && (arg->type->is_text || arg->type == &gt_kinds)) || arg->kind == G_LIST;
    bool is_plain = v->precision < 0 && !v->has_plus && !v->has_space;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].c == v->c && !(rows[i].kinds >> arg->kind & 1)) j_raise(J, JX_TYPE, "printf: %%%c cannot write %s", v->c, gv_type_name(arg));
    if (v->c == 's' && !is_text) j_raise(J, JX_TYPE, "printf: %%s cannot write %s", gv_type_name(arg));
    if (v->c == 'g' && !is_plain) j_raise(J, JX_UNSUPPORTED, "printf: %%g with flags or a precision is not supported");
    if (v->precision >= 0 && v->c != 'e' && v->c != 'f' && !(v->c == 's' && arg->kind == G_STR)) j_raise(J, JX_UNSUPPORTED, "printf: a precision of %%%c is not supported", v->c);
    if (v->c == 'd' || v->c == 'e' || v->c == 'f') put_number(J, b, v, arg);
    else if (!is_plain && v->c != 's') j_raise(J, JX_UNSUPPORTED, "printf: the flags of %%%c are not supported", v->c);
    else if (v->c == 'q') put_quoted(J, b, &arg->u.s);
    else if (v->c == 'c') jsb_cp(J, b, arg->u.i < 0 || arg->u.i > 0x10FFFF || (arg->u.i >= 0xD800 && arg->u.i < 0xE000) ? 0xFFFD : (uint32_t)arg->u.i, false);
    else if (v->c == 's' && v->precision >= 0) {
        struct jval *s = js_sub(J, &arg->u.s, 0, arg->u.s.len);
        size_t n = js_chars(s);
        jsb_sub(J, b, &arg->u.s, 0, js_offset(s, (size_t)v->precision < n ? (size_t)v->precision : n));
    } else gv_print(J, b, arg, 1);
}

static void put_padded(struct jinja *J, struct jsb *out, const struct verb *v, struct gval *arg) {
    struct jsb b = {0};
    bool is_many = arg->kind == G_STRUCT || arg->kind == G_MAP || (arg->kind == G_LIST && arg->type != &gt_kinds);
    if (v->width && is_many && !(arg->type && arg->type->is_text)) j_raise(J, JX_UNSUPPORTED, "printf: a width for %s is not supported", gv_type_name(arg));
    put_argument(J, &b, v, arg);
    struct jval *s = jsb_done(J, &b);
    size_t n = js_chars(s), n_pad = (size_t)v->width > n ? (size_t)v->width - n : 0, at = 0;
    bool has_zeros = v->has_zero && !v->is_left && strchr("def", v->c);
    if (v->has_zero && v->width && !has_zeros && !v->is_left) j_raise(J, JX_UNSUPPORTED, "printf: zeros before %%%c are not supported", v->c);
    if (has_zeros && s->u.s.len && strchr("+- ", s->u.s.ptr[0])) jsb_sub(J, out, &s->u.s, 0, at = 1);
    for (size_t i = 0; i < n_pad && !v->is_left; i++) jsb_putc(J, out, has_zeros ? '0' : ' ');
    jsb_sub(J, out, &s->u.s, at, s->u.s.len);
    for (size_t i = 0; i < n_pad && v->is_left; i++) jsb_putc(J, out, ' ');
}

struct gval *gv_printf(struct jinja *J, struct gval **args, size_t n) {
    struct jsb b = {0};
    size_t i_arg = 1;
    if (args[0]->kind != G_STR) j_raise(J, JX_TYPE, "printf: its first argument is not a text");
    const struct jstr *s = &args[0]->u.s;
    struct view f = {s->ptr, s->len};
    for (size_t at = 0; at < f.len;) {
        size_t next = js_find(f, VIEW("%"), at);
        jsb_sub(J, &b, s, at, next == SIZE_MAX ? f.len : next);
        if (next == SIZE_MAX) break;
        at = next + 1;
        struct verb v = read_verb(J, f, &at);
        if (v.c == '%') {
            jsb_putc(J, &b, '%');
            continue;
        }
        if (i_arg == n) j_raise(J, JX_TYPE, "printf: fewer arguments than verbs");
        put_padded(J, &b, &v, args[i_arg++]);
    }
    if (i_arg < n) j_raise(J, JX_TYPE, "printf: more arguments than verbs");
    return gv_built(J, &b);
}
