/* percent.c -- "..." % values, Python's printf-style formatting. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "text/jinja/jinja_int.h"

#define WIDTH_MAX 1000000

struct percent {
    struct view fmt;
    size_t i, i_arg;
    struct jval *arg;  /* a tuple: its items; else the one value */
    bool used;         /* the one value was taken */
    bool left, plus, space, alt, zero;
    int64_t width, precision; /* precision -1: none */
};

static bool is_mapping(const struct jval *v) { return v->type == J_DICT || v->type == J_LIST || v->type == J_RANGE || v->type == J_UNDEFINED; }

static struct jval *next_arg(struct jinja *J, struct percent *p) {
    if (p->arg->type == J_TUPLE) {
        if (p->i_arg < p->arg->u.l.n) return p->arg->u.l.v[p->i_arg++];
    } else if (!p->used) {
        p->used = true;
        return p->arg;
    }
    j_raise(J, JX_TYPE, "not enough arguments for format string");
}

static char peek(const struct percent *p) { return p->i < p->fmt.len ? p->fmt.ptr[p->i] : 0; }

static char need(struct jinja *J, struct percent *p) {
    if (p->i >= p->fmt.len) j_raise(J, JX_VALUE, "incomplete format");
    return p->fmt.ptr[p->i];
}

static int64_t number(struct jinja *J, struct percent *p) {
    int64_t n = 0;
    if (peek(p) == '*') {
        struct jval *v = next_arg(J, p);
        p->i++;
        if (!jv_is_int(v)) j_raise(J, JX_TYPE, "* wants int");
        n = jv_as_int(v);
    }
    for (; peek(p) >= '0' && peek(p) <= '9'; p->i++)
        if ((n = n * 10 + (peek(p) - '0')) > WIDTH_MAX) break;
    if (n > WIDTH_MAX || n < -WIDTH_MAX) j_raise(J, JX_LIMIT, "a width or precision beyond %d", WIDTH_MAX);
    return n;
}

static struct jval *keyed(struct jinja *J, struct percent *p) { /* after "%(": the value of the key */
    size_t start = ++p->i;
    if (!is_mapping(p->arg)) j_raise(J, JX_TYPE, "format requires a mapping");
    for (int depth = 1; depth > 0; p->i++) {
        if (p->i >= p->fmt.len) j_raise(J, JX_VALUE, "incomplete format key");
        depth += (p->fmt.ptr[p->i] == '(') - (p->fmt.ptr[p->i] == ')');
    }
    struct jval *key = js_new(J, (struct view){p->fmt.ptr + start, p->i - 1 - start});
    if (p->arg->type == J_UNDEFINED) jv_fail_undefined(J, p->arg);
    if (p->arg->type != J_DICT) j_raise(J, JX_TYPE, "%s indices must be integers or slices, not str", jv_type_name(p->arg));
    struct jval *v = jd_get(J, &p->arg->u.d, key);
    if (!v) j_raise(J, JX_KEY, "%s", jv_repr_c(J, key));
    return v;
}

static void pad(struct jinja *J, struct jsb *b, char c, int64_t n) {
    for (int64_t k = 0; k < n; k++) jsb_putc(J, b, c);
}

static void put_text(struct jinja *J, struct jsb *b, const struct percent *p, struct jval *text) {
    int64_t n = (int64_t)js_chars(text);
    if (p->precision >= 0 && p->precision < n) {
        text = js_sub(J, &text->u.s, 0, js_offset(text, (size_t)p->precision));
        n = p->precision;
    }
    if (!p->left) pad(J, b, ' ', p->width - n);
    jsb_str(J, b, &text->u.s);
    if (p->left) pad(J, b, ' ', p->width - n);
}

static void put_number(struct jinja *J, struct jsb *b, const struct percent *p, const char *sign, const char *prefix, struct view digits, bool zero_fill) {
    int64_t n = (int64_t)(strlen(sign) + strlen(prefix) + digits.len);
    bool zero = p->zero && !p->left && zero_fill;
    if (!p->left && !zero) pad(J, b, ' ', p->width - n);
    jsb_puts(J, b, sign);
    jsb_puts(J, b, prefix);
    if (zero) pad(J, b, '0', p->width - n);
    jsb_add(J, b, digits);
    if (p->left) pad(J, b, ' ', p->width - n);
}

static const char *sign_of(const struct percent *p, bool negative) { return negative ? "-" : p->plus ? "+" : p->space ? " " : ""; }

static void put_int(struct jinja *J, struct jsb *b, const struct percent *p, char c, struct jval *v) {
    struct jsb digits = {0};
    char text[40];
    bool decimal = c == 'd' || c == 'i' || c == 'u';
    if (decimal && !jv_is_number(v)) j_raise(J, JX_TYPE, "%%%c format: a real number is required, not %s", c, jv_type_name(v));
    if (!decimal && !jv_is_int(v)) j_raise(J, JX_TYPE, "%%%c format: an integer is required, not %s", c, jv_type_name(v));
    if (v->type == J_FLOAT && !(fabs(v->u.f) < 9e18)) {
        if (isfinite(v->u.f)) j_raise(J, JX_UNSUPPORTED, "an integer beyond 64 bits");
        j_raise(J, isnan(v->u.f) ? JX_VALUE : JX_OVERFLOW, "cannot convert float %s to integer", isnan(v->u.f) ? "NaN" : "infinity");
    }
    int64_t i = v->type == J_FLOAT ? (int64_t)v->u.f : jv_as_int(v);
    unsigned long long u = i < 0 ? 0 - (unsigned long long)i : (unsigned long long)i;
    int n = snprintf(text, sizeof text, decimal ? "%llu" : c == 'o' ? "%llo" : c == 'x' ? "%llx" : "%llX", u);
    pad(J, &digits, '0', p->precision - n);
    jsb_puts(J, &digits, text);
    put_number(J, b, p, sign_of(p, i < 0), p->alt && !decimal ? (c == 'o' ? "0o" : c == 'x' ? "0x" : "0X") : "", (struct view){digits.ptr, digits.len}, true);
}

static void put_float(struct jinja *J, struct jsb *b, const struct percent *p, char c, struct jval *v) {
    struct jsb digits = {0};
    if (!jv_is_number(v)) j_raise(J, JX_TYPE, "must be real number, not %s", jv_type_name(v));
    double f = jv_as_float(v);
    fm_number(J, &digits, fabs(f), (char)(c | 0x20), p->precision < 0 ? 6 : (int)p->precision, p->alt, c < 'a');
    put_number(J, b, p, sign_of(p, signbit(f) && !isnan(f)), "", (struct view){digits.ptr, digits.len}, true);
}

static void put_char(struct jinja *J, struct jsb *b, const struct percent *p, struct jval *v) {
    struct jsb one = {0};
    if (v->type == J_STR && js_chars(v) == 1) {
        put_text(J, b, p, v);
        return;
    }
    if (!jv_is_int(v)) j_raise(J, JX_TYPE, "%%c requires int or char");
    int64_t i = jv_as_int(v);
    if (i < 0 || i > 0x10FFFF) j_raise(J, JX_OVERFLOW, "%%c arg not in range(0x110000)");
    if (i >= 0xD800 && i < 0xE000) j_raise(J, JX_UNSUPPORTED, "a surrogate character");
    jsb_cp(J, &one, (uint32_t)i, false);
    put_text(J, b, p, jsb_done(J, &one));
}

static void flags(struct percent *p) {
    for (;; p->i++) {
        switch (peek(p)) {
        case '-': p->left = true; break;
        case '+': p->plus = true; break;
        case ' ': p->space = true; break;
        case '#': p->alt = true; break;
        case '0': p->zero = true; break;
        default: return;
        }
    }
}

/* ascii(v): repr with everything beyond ASCII escaped. */
struct jval *pf_ascii(struct jinja *J, struct jval *v) {
    struct jval *r = jv_repr(J, v);
    struct jsb b = {0};
    for (size_t i = 0; i < r->u.s.len;) {
        uint32_t cp;
        i += (size_t)utf8_decode(r->u.s.ptr + i, r->u.s.len - i, &cp);
        if (cp < 0x80) jsb_putc(J, &b, (char)cp);
        else jsb_printf(J, &b, cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)cp);
    }
    return jsb_done(J, &b);
}

static void convert(struct jinja *J, struct jsb *b, struct percent *p) { /* i: after '%' */
    struct jval *v = NULL;
    need(J, p);
    if (peek(p) == '(') v = keyed(J, p);
    p->left = p->plus = p->space = p->alt = p->zero = false;
    flags(p);
    p->width = number(J, p);
    if (p->width < 0) {
        p->left = true;
        p->width = -p->width;
    }
    p->precision = -1;
    if (peek(p) == '.') {
        p->i++;
        p->precision = number(J, p);
        if (p->precision < 0) p->precision = 0;
    }
    if (peek(p) == 'h' || peek(p) == 'l' || peek(p) == 'L') p->i++;
    char c = need(J, p);
    size_t at = p->i++;
    if (c == '%') {
        jsb_putc(J, b, '%');
        return;
    }
    if (!c || !strchr("diuoxXeEfFgGcrsa", c)) {
        uint32_t cp = 0;
        int len = utf8_decode(p->fmt.ptr + at, p->fmt.len - at, &cp);
        if (!v) next_arg(J, p);
        j_raise(J, JX_VALUE, "unsupported format character '%.*s' (0x%x) at index %zu", len, p->fmt.ptr + at, (unsigned)cp, at);
    }
    if (!v) v = next_arg(J, p);
    if (c == 's') put_text(J, b, p, jv_str(J, v));
    else if (c == 'r') put_text(J, b, p, jv_repr(J, v));
    else if (c == 'a') put_text(J, b, p, pf_ascii(J, v));
    else if (c == 'c') put_char(J, b, p, v);
    else if (strchr("eEfFgG", c)) put_float(J, b, p, c, v);
    else put_int(J, b, p, c, v);
}

struct jval *pf_percent(struct jinja *J, struct jval *fmt, struct jval *arg) {
    struct percent p = {.fmt = js_view(fmt), .arg = arg};
    struct jsb b = {0};
    size_t start = 0;
    while (p.i < p.fmt.len) {
        if (p.fmt.ptr[p.i] != '%') {
            p.i++;
            continue;
        }
        jsb_sub(J, &b, &fmt->u.s, start, p.i);
        p.i++;
        convert(J, &b, &p);
        j_step(J, 1);
        start = p.i;
    }
    jsb_sub(J, &b, &fmt->u.s, start, p.fmt.len);
    if (arg->type == J_TUPLE ? p.i_arg < arg->u.l.n : !p.used && !is_mapping(arg))
        j_raise(J, JX_TYPE, "not all arguments converted during string formatting");
    struct jval *r = jsb_done(J, &b);
    r->u.s.safe = fmt->u.s.safe;
    return r;
}
