/* repr.c -- str() and repr() of values, as Python prints them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "text/jinja/jinja_int.h"

/* The fewest digits that read back as the same double; then fixed notation for exponents -4 to 15. */
void jr_float(struct jinja *J, struct jsb *b, double f) {
    char text[40], digits[24];
    int precision = 0, exponent, n = 0;
    if (isnan(f)) { jsb_puts(J, b, "nan"); return; }
    if (isinf(f)) { jsb_puts(J, b, f < 0 ? "-inf" : "inf"); return; }
    do snprintf(text, sizeof text, "%.*e", precision, f);
    while (strtod(text, NULL) != f && ++precision < 17);
    exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    for (const char *p = text; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9') digits[n++] = *p;
    if (signbit(f)) jsb_putc(J, b, '-');
    if (exponent < -4 || exponent >= 16) {
        jsb_putc(J, b, digits[0]);
        if (n > 1) jsb_printf(J, b, ".%.*s", n - 1, digits + 1);
        jsb_printf(J, b, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    } else if (exponent < 0) {
        jsb_printf(J, b, "0.%.*s%.*s", -exponent - 1, "0000", n, digits);
    } else {
        for (int i = 0; i <= exponent; i++) jsb_putc(J, b, i < n ? digits[i] : '0');
        jsb_putc(J, b, '.');
        if (n > exponent + 1) jsb_printf(J, b, "%.*s", n - exponent - 1, digits + exponent + 1);
        else jsb_putc(J, b, '0');
    }
}

static void quote_cp(struct jinja *J, struct jsb *b, uint32_t cp, char quote, bool ascii_only) {
    if (cp == (unsigned char)quote || cp == '\\') jsb_printf(J, b, "\\%c", (char)cp);
    else if (cp == '\n') jsb_puts(J, b, "\\n");
    else if (cp == '\r') jsb_puts(J, b, "\\r");
    else if (cp == '\t') jsb_puts(J, b, "\\t");
    else if (cp < 0x20 || cp == 0x7F) jsb_printf(J, b, "\\x%02x", (unsigned)cp);
    else if (cp < 0x7F || (!ascii_only && ju_is_printable(cp))) jsb_cp(J, b, cp, false);
    else if (cp < 0x100) jsb_printf(J, b, "\\x%02x", (unsigned)cp);
    else if (cp < 0x10000) jsb_printf(J, b, "\\u%04x", (unsigned)cp);
    else jsb_printf(J, b, "\\U%08x", (unsigned)cp);
}

static void jr_quote(struct jinja *J, struct jsb *b, const struct jstr *s, bool ascii_only) {
    bool single = s->len && memchr(s->ptr, '\'', s->len), dbl = s->len && memchr(s->ptr, '"', s->len);
    char quote = single && !dbl ? '"' : '\'';
    jsb_putc(J, b, quote);
    for (size_t i = 0; i < s->len;) {
        uint32_t cp;
        size_t at = b->len;
        int n = utf8_decode(s->ptr + i, s->len - i, &cp);
        SLM_ASSERT(n > 0);
        quote_cp(J, b, cp, quote, ascii_only);
        if (js_marked(s, i)) jsb_mark(J, b, at);
        i += (size_t)n;
    }
    jsb_putc(J, b, quote);
}

static void repr_items(struct jinja *J, struct jsb *b, const struct jlist *l, const char *open, const char *close) {
    jsb_puts(J, b, open);
    for (size_t i = 0; i < l->n; i++) {
        if (i) jsb_puts(J, b, ", ");
        jr_repr(J, b, l->v[i]);
    }
    jsb_puts(J, b, close);
}

static void repr_dict(struct jinja *J, struct jsb *b, const struct jdict *d) {
    jsb_putc(J, b, '{');
    for (size_t i = 0; i < d->n; i++) {
        if (i) jsb_puts(J, b, ", ");
        jr_repr(J, b, d->v[i].key);
        jsb_puts(J, b, ": ");
        jr_repr(J, b, d->v[i].val);
    }
    jsb_putc(J, b, '}');
}

static void repr_range(struct jinja *J, struct jsb *b, const struct jval *v) {
    jsb_printf(J, b, "range(%lld, %lld", (long long)v->u.range.start, (long long)v->u.range.stop);
    if (v->u.range.step != 1) jsb_printf(J, b, ", %lld", (long long)v->u.range.step);
    jsb_putc(J, b, ')');
}

static void repr_view(struct jinja *J, struct jsb *b, const struct jval *v) {
    jsb_printf(J, b, "%s([", jv_type_name(v));
    for (size_t i = 0; i < v->u.view.dict->u.d.n; i++) {
        if (i) jsb_puts(J, b, ", ");
        jr_repr(J, b, jv_view_item(J, v, i));
    }
    jsb_puts(J, b, "])");
}

static void repr_macro(struct jinja *J, struct jsb *b, const struct jval *v) {
    jsb_puts(J, b, "<Macro ");
    if (v->u.macro.node->name < 0) jsb_puts(J, b, "anonymous");
    else jr_repr(J, b, js_new(J, J->names[v->u.macro.node->name]));
    jsb_putc(J, b, '>');
}

/* Objects whose repr in Python is an address print none: an address would differ from run to run. */
static void repr_object(struct jinja *J, struct jsb *b, struct jval *v) {
    char type[96];
    switch ((enum jtype)v->type) {
    case J_MACRO: repr_macro(J, b, v); break;
    case J_NAMESPACE:
        jsb_puts(J, b, "<Namespace ");
        repr_dict(J, b, &v->u.d);
        jsb_putc(J, b, '>');
        break;
    case J_LOOP:
        jsb_printf(J, b, "<LoopContext %lld/", (long long)v->u.loop->index0 + 1);
        jsb_printf(J, b, "%lld>", (long long)jv_len(J, v));
        break;
    case J_SLICE:
        jsb_puts(J, b, "slice(");
        jr_repr(J, b, v->u.slice.start);
        jsb_puts(J, b, ", ");
        jr_repr(J, b, v->u.slice.stop);
        jsb_puts(J, b, ", ");
        jr_repr(J, b, v->u.slice.step);
        jsb_putc(J, b, ')');
        break;
    case J_FUNC: jsb_printf(J, b, "<function %.200s>", v->u.func->python_name ? v->u.func->python_name : v->u.func->name); break;
    case J_METHOD: jsb_printf(J, b, "<built-in method %.100s of %s object>", v->u.method.row->name, jv_type_name(v->u.method.self)); break;
    default: jsb_printf(J, b, "<%s>", jv_object_repr(v, type)); break;
    }
}

void jr_repr(struct jinja *J, struct jsb *b, struct jval *v) {
    j_enter(J);
    j_step(J, 1);
    switch ((enum jtype)v->type) {
    case J_UNDEFINED: jsb_puts(J, b, "Undefined"); break;
    case J_NONE: jsb_puts(J, b, "None"); break;
    case J_BOOL: jsb_puts(J, b, v->u.b ? "True" : "False"); break;
    case J_INT: jsb_printf(J, b, "%lld", (long long)v->u.i); break;
    case J_FLOAT: jr_float(J, b, v->u.f); break;
    case J_STR:
        if (v->u.s.safe) jsb_puts(J, b, "Markup(");
        jr_quote(J, b, &v->u.s, false);
        if (v->u.s.safe) jsb_putc(J, b, ')');
        break;
    case J_LIST: repr_items(J, b, &v->u.l, "[", "]"); break;
    case J_TUPLE: repr_items(J, b, &v->u.l, "(", v->u.l.n == 1 ? ",)" : ")"); break;
    case J_DICT: repr_dict(J, b, &v->u.d); break;
    case J_RANGE: repr_range(J, b, v); break;
    case J_VIEW: repr_view(J, b, v); break;
    default: repr_object(J, b, v); break;
    }
    j_leave(J);
}

void jr_str(struct jinja *J, struct jsb *b, struct jval *v) {
    if (v->type == J_STR) jsb_str(J, b, &v->u.s);
    else if (v->type != J_UNDEFINED) jr_repr(J, b, v);
}

struct jval *jv_str(struct jinja *J, struct jval *v) {
    struct jsb b = {0};
    if (v->type == J_STR) return v;
    jr_str(J, &b, v);
    return jsb_done(J, &b);
}

struct jval *jv_repr(struct jinja *J, struct jval *v) {
    struct jsb b = {0};
    jr_repr(J, &b, v);
    return jsb_done(J, &b);
}

const char *jv_repr_c(struct jinja *J, struct jval *v) {
    struct jsb b = {0};
    jr_repr(J, &b, v);
    jsb_putc(J, &b, 0);
    return b.ptr;
}
