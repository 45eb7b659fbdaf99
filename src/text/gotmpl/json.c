/* json.c -- values as Go's encoding/json writes them: no spaces, keys of maps sorted, <, > and & escaped. */
#include <math.h>
#include <stdlib.h>

#include "base/util.h"
#include "text/gotmpl/gotmpl_int.h"

static void put_string(struct jinja *J, struct jsb *b, const struct jstr *s) {
    static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
    jsb_putc(J, b, '"');
    for (size_t i = 0, plain = 0; i <= s->len;) {
        uint32_t cp = 0;
        int n = i < s->len ? utf8_decode(s->ptr + i, s->len - i, &cp) : 0;
        const char *known = n == 1 && cp ? strchr(from, (int)cp) : NULL;
        bool is_escaped = n && (known || cp < 0x20 || cp == '<' || cp == '>' || cp == '&' || cp == 0x2028 || cp == 0x2029);
        if (n && !is_escaped) {
            i += (size_t)n;
            continue;
        }
        jsb_sub(J, b, s, plain, i);
        if (!n) break;
        size_t at = b->len;
        if (known) jsb_printf(J, b, "\\%c", to[known - from]);
        else jsb_printf(J, b, "\\u%04x", (unsigned)cp);
        if (js_marked(s, i)) jsb_mark(J, b, at);
        i += (size_t)n;
        plain = i;
    }
    jsb_putc(J, b, '"');
}

/* In full where it has up to 21 digits before its point and no more than 6 zeros after it; else with an exponent. */
static void put_float(struct jinja *J, struct jsb *b, double f) {
    struct gdigits d = gv_digits(f);
    double size = fabs(f);
    if (signbit(f)) jsb_putc(J, b, '-');
    if (size > 0 && (size < 1e-6 || size >= 1e21)) {
        jsb_putc(J, b, d.v[0]);
        if (d.n > 1) jsb_printf(J, b, ".%.*s", d.n - 1, d.v + 1);
        jsb_printf(J, b, "e%c%d", d.point - 1 < 0 ? '-' : '+', abs(d.point - 1));
        return;
    }
    if (d.point <= 0) jsb_puts(J, b, size > 0 ? "0." : "");
    for (int i = d.point; i < 0; i++) jsb_putc(J, b, '0');
    for (int i = 0; i < d.n || i < d.point; i++) {
        if (i && i == d.point) jsb_putc(J, b, '.');
        jsb_putc(J, b, i < d.n ? d.v[i] : '0');
    }
}

static bool is_empty(const struct gval *v) { return v->kind != G_STRUCT && (v->type == &gt_inner ? v->is_nil : !gv_truth(v)); }

static void put_list(struct jinja *J, struct jsb *b, const struct gval *v) {
    if (v->type == &gt_kinds && v->u.list.n == 1) {
        gv_json(J, b, v->u.list.v[0]);
        return;
    }
    jsb_putc(J, b, '[');
    for (size_t i = 0; i < v->u.list.n; i++) {
        if (i) jsb_putc(J, b, ',');
        gv_json(J, b, v->u.list.v[i]);
    }
    jsb_putc(J, b, ']');
}

static void put_map(struct jinja *J, struct jsb *b, const struct gval *v) {
    jsb_putc(J, b, '{');
    for (size_t i = 0; i < v->u.map.n; i++) {
        if (i) jsb_putc(J, b, ',');
        put_string(J, b, &v->u.map.v[i].key);
        jsb_putc(J, b, ':');
        gv_json(J, b, v->u.map.v[i].val);
    }
    jsb_putc(J, b, '}');
}

static void put_struct(struct jinja *J, struct jsb *b, const struct gval *v) {
    bool is_next = false;
    jsb_putc(J, b, '{');
    for (size_t i = 0; i < v->u.list.n; i++) {
        const struct gfield *f = &v->type->fields[i];
        if (f->omits_empty && is_empty(v->u.list.v[i])) continue;
        if (is_next) jsb_putc(J, b, ',');
        is_next = true;
        jsb_printf(J, b, "\"%s\":", f->json ? f->json : f->name);
        gv_json(J, b, v->u.list.v[i]);
    }
    jsb_putc(J, b, '}');
}

void gv_json(struct jinja *J, struct jsb *b, const struct gval *v) {
    j_enter(J);
    j_step(J, 1);
    if (v->kind == G_NIL || v->is_nil) jsb_puts(J, b, "null");
    else if (v->kind == G_BOOL) jsb_puts(J, b, v->u.b ? "true" : "false");
    else if (v->kind == G_INT) jsb_printf(J, b, "%lld", (long long)v->u.i);
    else if (v->kind == G_FLOAT) put_float(J, b, v->u.f);
    else if (v->kind == G_STR) put_string(J, b, &v->u.s);
    else if (v->kind == G_LIST) put_list(J, b, v);
    else if (v->kind == G_MAP) put_map(J, b, v);
    else put_struct(J, b, v);
    j_leave(J);
}
