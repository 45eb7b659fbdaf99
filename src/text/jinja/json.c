/* json.c -- tojson as transformers defines it: json.dumps without HTML escapes, with its parameters. */
#include <math.h>
#include <stdio.h>

#include "base/util.h"
#include "text/jinja/jinja_int.h"

struct dump {
    struct jinja *J;
    struct jsb *b;
    bool ascii, sort, has_indent;
    struct jval *indent; /* one level of it */
    struct jval *item, *key; /* separators */
    int depth;
};

static void put_escape(struct dump *d, uint32_t cp) {
    if (cp < 0x10000) {
        jsb_printf(d->J, d->b, "\\u%04x", (unsigned)cp);
        return;
    }
    cp -= 0x10000;
    jsb_printf(d->J, d->b, "\\u%04x\\u%04x", (unsigned)(0xD800 + (cp >> 10)), (unsigned)(0xDC00 + (cp & 0x3FF)));
}

static void put_string(struct dump *d, const struct jstr *s) {
    static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
    struct jinja *J = d->J;
    jsb_putc(J, d->b, '"');
    for (size_t i = 0, plain = 0; i <= s->len;) {
        uint32_t cp = 0;
        int n = i < s->len ? utf8_decode(s->ptr + i, s->len - i, &cp) : 0;
        const char *known = n == 1 && cp ? strchr(from, (int)cp) : NULL;
        bool escaped = n && (known || cp < 0x20 || (d->ascii && cp > 0x7E));
        if (n && !escaped) {
            i += (size_t)n;
            continue;
        }
        jsb_sub(J, d->b, s, plain, i);
        if (!n) break;
        size_t at = d->b->len;
        if (known) jsb_printf(J, d->b, "\\%c", to[known - from]);
        else put_escape(d, cp);
        if (js_marked(s, i)) jsb_mark(J, d->b, at);
        i += (size_t)n;
        plain = i;
    }
    jsb_putc(J, d->b, '"');
}

static void put_float(struct dump *d, double f) {
    if (isnan(f)) jsb_puts(d->J, d->b, "NaN");
    else if (isinf(f)) jsb_puts(d->J, d->b, f < 0 ? "-Infinity" : "Infinity");
    else jr_float(d->J, d->b, f);
}

static void new_line(struct dump *d) {
    if (!d->has_indent) return;
    jsb_putc(d->J, d->b, '\n');
    for (int i = 0; i < d->depth; i++) jsb_str(d->J, d->b, &d->indent->u.s);
}

static void put(struct dump *d, struct jval *v);

static void put_list(struct dump *d, const struct jlist *l) {
    if (l->n == 0) {
        jsb_puts(d->J, d->b, "[]");
        return;
    }
    jsb_putc(d->J, d->b, '[');
    d->depth++;
    for (size_t i = 0; i < l->n; i++) {
        if (i) jsb_str(d->J, d->b, &d->item->u.s);
        new_line(d);
        put(d, l->v[i]);
    }
    d->depth--;
    new_line(d);
    jsb_putc(d->J, d->b, ']');
}

static void put_key(struct dump *d, struct jval *key) {
    struct jsb b = {0}, *out = d->b;
    if (key->type == J_STR) {
        put_string(d, &key->u.s);
        return;
    }
    if (key->type != J_NONE && !jv_is_number(key))
        j_raise(d->J, JX_TYPE, "keys must be str, int, float, bool or None, not %s", jv_type_name(key));
    d->b = &b;
    put(d, key);
    d->b = out;
    jsb_putc(d->J, d->b, '"');
    jsb_add(d->J, d->b, (struct view){b.ptr, b.len});
    jsb_putc(d->J, d->b, '"');
}

static struct jdict_entry *sorted(struct dump *d, const struct jdict *dict) {
    struct jinja *J = d->J;
    struct jval **keys = j_alloc(J, dict->n, sizeof *keys), **items = j_alloc(J, dict->n, sizeof *items);
    struct jdict_entry *v = j_alloc(J, dict->n, sizeof *v);
    for (size_t i = 0; i < dict->n; i++) {
        keys[i] = dict->v[i].key;
        items[i] = jv_pair(J, dict->v[i].key, dict->v[i].val);
    }
    jv_sort(J, items, keys, dict->n, false);
    for (size_t i = 0; i < dict->n; i++) v[i] = (struct jdict_entry){.key = items[i]->u.l.v[0], .val = items[i]->u.l.v[1]};
    return v;
}

static void put_dict(struct dump *d, const struct jdict *dict) {
    const struct jdict_entry *v = d->sort ? sorted(d, dict) : dict->v;
    if (dict->n == 0) {
        jsb_puts(d->J, d->b, "{}");
        return;
    }
    jsb_putc(d->J, d->b, '{');
    d->depth++;
    for (size_t i = 0; i < dict->n; i++) {
        if (i) jsb_str(d->J, d->b, &d->item->u.s);
        new_line(d);
        put_key(d, v[i].key);
        jsb_str(d->J, d->b, &d->key->u.s);
        put(d, v[i].val);
    }
    d->depth--;
    new_line(d);
    jsb_putc(d->J, d->b, '}');
}

static void put(struct dump *d, struct jval *v) {
    struct jinja *J = d->J;
    j_enter(J);
    j_step(J, 1);
    switch ((enum jtype)v->type) {
    case J_NONE: jsb_puts(J, d->b, "null"); break;
    case J_BOOL: jsb_puts(J, d->b, v->u.b ? "true" : "false"); break;
    case J_INT: jsb_printf(J, d->b, "%lld", (long long)v->u.i); break;
    case J_FLOAT: put_float(d, v->u.f); break;
    case J_STR: put_string(d, &v->u.s); break;
    case J_LIST:
    case J_TUPLE: put_list(d, &v->u.l); break;
    case J_DICT: put_dict(d, &v->u.d); break;
    default: j_raise(J, JX_TYPE, "Object of type %s is not JSON serializable", jv_type_name(v));
    }
    j_leave(J);
}

static int64_t indent_width(struct jinja *J, struct jval *v) {
    if (!jv_is_int(v)) j_raise(J, JX_TYPE, "can't multiply sequence by non-int of type '%s'", jv_type_name(v));
    return jv_as_int(v);
}

struct jval *json_dump(struct jinja *J, struct jval *v, struct jval *args[4]) {
    struct jsb b = {0};
    struct dump d = {.J = J, .b = &b, .ascii = args[0] && jv_truth(J, args[0]), .sort = args[3] && jv_truth(J, args[3])};
    struct jval *indent = args[1];
    d.has_indent = indent && indent->type != J_NONE;
    d.item = js_lit(J, d.has_indent ? "," : ", ");
    d.key = js_lit(J, ": ");
    if (d.has_indent) d.indent = indent->type == J_STR ? indent : js_repeat(J, js_lit(J, " "), indent_width(J, indent));
    if (args[2] && args[2]->type != J_NONE) {
        struct jval *pair = jv_to_list(J, args[2]);
        if (pair->u.l.n < 2) j_raise(J, JX_VALUE, "not enough values to unpack (expected 2, got %zu)", pair->u.l.n);
        if (pair->u.l.n > 2) j_raise(J, JX_VALUE, "too many values to unpack (expected 2)");
        d.item = j_arg_str(J, pair->u.l.v[0], "item separator");
        d.key = j_arg_str(J, pair->u.l.v[1], "key separator");
    }
    put(&d, v);
    return jsb_done(J, &b);
}
