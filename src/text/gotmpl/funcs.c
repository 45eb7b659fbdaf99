/* funcs.c -- the functions of text/template and those that Ollama adds. */
#include <stdio.h>

#include "text/gotmpl/gotmpl_int.h"

static struct gval *flag(bool b) { return b ? &gv_true : &gv_false; }

bool gv_truth(const struct gval *v) {
    switch ((enum gkind)v->kind) {
    case G_NIL: return false;
    case G_BOOL: return v->u.b;
    case G_INT: return v->u.i != 0;
    case G_FLOAT: return v->u.f != 0;
    case G_STR: return v->u.s.len > 0;
    case G_LIST: return v->u.list.n > 0;
    case G_MAP: return v->type == &gt_inner ? !v->is_nil : v->u.map.n > 0;
    default: return true;
    }
}

const char *gv_type_name(const struct gval *v) {
    static const char *const names[] = {"nil", "bool", "int", "float64", "string", "[]interface {}", "map[string]interface {}", "struct"};
    return v->type ? v->type->name : names[v->kind];
}

static struct gval *f_not(struct jinja *J, struct gval **args, size_t n) {
    (void)J, (void)n;
    return flag(!gv_truth(args[0]));
}

/* Comparing */

static bool same_text(const struct gval *a, const struct gval *b) { return a->u.s.len == b->u.s.len && memcmp(a->u.s.ptr, b->u.s.ptr, a->u.s.len) == 0; }

static bool is_none(const struct gval *v) { return v->kind == G_NIL || v->is_nil; }

static bool equal(struct jinja *J, const struct gval *a, const struct gval *b) {
    bool is_basic = a->kind >= G_BOOL && a->kind <= G_STR, is_basic_b = b->kind >= G_BOOL && b->kind <= G_STR;
    if ((is_basic || is_basic_b) && a->kind != b->kind) {
        if (a->kind != G_NIL && b->kind != G_NIL) j_raise(J, JX_TYPE, "incompatible types for comparison: %s and %s", gv_type_name(a), gv_type_name(b));
        return false;
    }
    switch ((enum gkind)a->kind) {
    case G_BOOL: return a->u.b == b->u.b;
    case G_INT: return a->u.i == b->u.i;
    case G_FLOAT: return a->u.f >= b->u.f && a->u.f <= b->u.f;
    case G_STR: return same_text(a, b);
    default: break;
    }
    if ((a->kind == b->kind || a->kind == G_NIL || b->kind == G_NIL) && (is_none(a) || is_none(b))) return is_none(a) == is_none(b);
    if (a->type == &gt_message && b->type == &gt_message) return a == b; /* pointers */
    j_raise(J, JX_TYPE, "non-comparable types: %s and %s", gv_type_name(a), gv_type_name(b));
}

static struct gval *f_eq(struct jinja *J, struct gval **args, size_t n) {
    if (n < 2) j_raise(J, JX_TYPE, "missing argument for comparison");
    for (size_t i = 1; i < n; i++)
        if (equal(J, args[0], args[i])) return &gv_true;
    return &gv_false;
}

static struct gval *f_ne(struct jinja *J, struct gval **args, size_t n) {
    (void)n;
    return flag(!equal(J, args[0], args[1]));
}

/* -1, 0, 1; numbers that are none are never less: 2. */
static int order(struct jinja *J, const struct gval *a, const struct gval *b) {
    if (a->kind < G_BOOL || a->kind > G_STR || b->kind < G_BOOL || b->kind > G_STR) j_raise(J, JX_TYPE, "invalid type for comparison");
    if (a->kind != b->kind) j_raise(J, JX_TYPE, "incompatible types for comparison: %s and %s", gv_type_name(a), gv_type_name(b));
    if (a->kind == G_BOOL) j_raise(J, JX_TYPE, "invalid type for comparison");
    if (a->kind == G_INT) return (a->u.i > b->u.i) - (a->u.i < b->u.i);
    if (a->kind == G_FLOAT) return (a->u.f > b->u.f) - (a->u.f < b->u.f);
    size_t least = a->u.s.len < b->u.s.len ? a->u.s.len : b->u.s.len;
    int c = least ? memcmp(a->u.s.ptr, b->u.s.ptr, least) : 0;
    return c ? (c > 0) - (c < 0) : (a->u.s.len > b->u.s.len) - (a->u.s.len < b->u.s.len);
}

static struct gval *f_lt(struct jinja *J, struct gval **args, size_t n) {
    (void)n;
    return flag(order(J, args[0], args[1]) < 0);
}
static struct gval *f_le(struct jinja *J, struct gval **args, size_t n) {
    (void)n;
    return flag(order(J, args[0], args[1]) <= 0);
}
static struct gval *f_gt(struct jinja *J, struct gval **args, size_t n) {
    (void)n;
    return flag(order(J, args[0], args[1]) > 0);
}
static struct gval *f_ge(struct jinja *J, struct gval **args, size_t n) {
    (void)n;
    return flag(order(J, args[0], args[1]) >= 0);
}

/* Parts */

static struct gval *f_len(struct jinja *J, struct gval **args, size_t n) {
    const struct gval *v = args[0];
    (void)n;
    if (v->kind == G_STR) return gv_int(J, (int64_t)v->u.s.len);
    if (v->kind == G_LIST) return gv_int(J, (int64_t)v->u.list.n);
    if (v->kind == G_MAP && v->type != &gt_inner) return gv_int(J, (int64_t)v->u.map.n);
    j_raise(J, JX_TYPE, "len of type %s", gv_type_name(v));
}

static size_t index_arg(struct jinja *J, const struct gval *v, size_t most) {
    if (v->kind != G_INT) j_raise(J, JX_TYPE, "cannot index slice/array with type %s", gv_type_name(v));
    if (v->u.i < 0 || (uint64_t)v->u.i > most) j_raise(J, JX_INDEX, "index out of range: %lld", (long long)v->u.i);
    return (size_t)v->u.i;
}

static struct gval *index_one(struct jinja *J, struct gval *v, const struct gval *at) {
    size_t len = v->kind == G_STR ? v->u.s.len : v->u.list.n;
    if (v->kind == G_NIL) j_raise(J, JX_TYPE, "index of untyped nil");
    if (v->kind == G_MAP && v->type != &gt_inner) {
        if (at->kind != G_STR) j_raise(J, JX_TYPE, "value has type %s; should be string", gv_type_name(at));
        struct gval *found = gv_get(v, (struct view){at->u.s.ptr, at->u.s.len});
        return found ? found : v->type == &gt_properties ? gv_property_none(J) : &gv_any;
    }
    if (v->kind != G_STR && v->kind != G_LIST) j_raise(J, JX_TYPE, "can't index item of type %s", gv_type_name(v));
    size_t i = index_arg(J, at, len);
    if (i == len) j_raise(J, JX_INDEX, "index out of range: %zu", i);
    return v->kind == G_STR ? gv_int(J, (unsigned char)v->u.s.ptr[i]) : v->u.list.v[i];
}

static struct gval *f_index(struct jinja *J, struct gval **args, size_t n) {
    struct gval *v = args[0];
    if (v->kind == G_NIL) j_raise(J, JX_TYPE, "index of untyped nil");
    for (size_t i = 1; i < n; i++) v = index_one(J, v, args[i]);
    return v;
}

static bool is_cut(const struct jstr *s, size_t at) { return at < s->len && ((unsigned char)s->ptr[at] & 0xC0) == 0x80; }

static struct gval *f_slice(struct jinja *J, struct gval **args, size_t n) {
    struct gval *v = args[0];
    if (v->kind != G_STR && v->kind != G_LIST) j_raise(J, JX_TYPE, v->kind == G_NIL ? "slice of untyped nil" : "can't slice item of type %s", gv_type_name(v));
    if (n == 4 && v->kind == G_STR) j_raise(J, JX_TYPE, "cannot 3-index slice a string");
    size_t len = v->kind == G_STR ? v->u.s.len : v->u.list.n, at[3] = {0, len, len};
    for (size_t i = 1; i < n; i++) at[i - 1] = index_arg(J, args[i], len);
    if (at[0] > at[1] || at[1] > at[2]) j_raise(J, JX_INDEX, "invalid slice index: %zu > %zu", at[at[0] > at[1] ? 0 : 1], at[at[0] > at[1] ? 1 : 2]);
    if (v->kind == G_STR) {
        if (is_cut(&v->u.s, at[0]) || is_cut(&v->u.s, at[1])) j_raise(J, JX_UNSUPPORTED, "slice: would cut a character in two");
        return gv_str(J, &js_sub(J, &v->u.s, at[0], at[1])->u.s);
    }
    struct gval *out = gv_new(J, G_LIST, v->type);
    out->u.list.v = v->u.list.v + at[0];
    out->u.list.n = at[1] - at[0];
    out->is_nil = v->is_nil;
    return out;
}

/* Text */

static struct gval *f_print(struct jinja *J, struct gval **args, size_t n) {
    struct jsb b = {0};
    for (size_t i = 0; i < n; i++) {
        if (i && args[i]->kind != G_STR && args[i - 1]->kind != G_STR) jsb_putc(J, &b, ' ');
        gv_print(J, &b, args[i], 1);
    }
    return gv_built(J, &b);
}

static struct gval *f_println(struct jinja *J, struct gval **args, size_t n) {
    struct jsb b = {0};
    for (size_t i = 0; i < n; i++) {
        if (i) jsb_putc(J, &b, ' ');
        gv_print(J, &b, args[i], 1);
    }
    jsb_putc(J, &b, '\n');
    return gv_built(J, &b);
}

static struct gval *f_json(struct jinja *J, struct gval **args, size_t n) {
    struct jsb b = {0};
    (void)n;
    gv_json(J, &b, args[0]);
    return gv_built(J, &b);
}

static struct gval *date(struct jinja *J, int n_days) {
    struct tm day = J->now;
    struct jsb b = {0};
    day.tm_mday += n_days;
    day.tm_hour = 12; /* far from the hours that a clock may skip */
    day.tm_isdst = -1;
    timegm(&day);
    jsb_printf(J, &b, "%04d-%02d-%02d", day.tm_year + 1900, day.tm_mon + 1, day.tm_mday);
    return gv_built(J, &b);
}
static struct gval *f_today(struct jinja *J, struct gval **args, size_t n) { /* arguments have no effect in Ollama either */
    (void)args, (void)n;
    return date(J, 0);
}
static struct gval *f_yesterday(struct jinja *J, struct gval **args, size_t n) {
    (void)args, (void)n;
    return date(J, -1);
}

/* TypeScript's word for a type of JSON Schema; several are alternatives. */
static const char *script_type(const struct gval *v) {
    static const char *const rows[][2] = {{"string", "string"}, {"number", "number"}, {"integer", "number"}, {"boolean", "boolean"}, {"array", "any[]"}, {"object", "Record<string, any>"}, {"null", "null"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (view_eq((struct view){v->u.s.ptr, v->u.s.len}, view_of(rows[i][0]))) return rows[i][1];
    return "any";
}

enum { PROPERTY_ANY_OF, PROPERTY_TYPE }; /* among gt_property's fields */

static void put_script_type(struct jinja *J, struct jsb *b, const struct gval *v) {
    const struct gval *any_of = v->u.list.v[PROPERTY_ANY_OF], *types = v->u.list.v[PROPERTY_TYPE];
    j_enter(J);
    for (size_t i = 0; i < any_of->u.list.n; i++) {
        if (i) jsb_puts(J, b, " | ");
        put_script_type(J, b, any_of->u.list.v[i]);
    }
    for (size_t i = 0; any_of->u.list.n == 0 && i < types->u.list.n; i++) {
        if (i) jsb_puts(J, b, " | ");
        jsb_puts(J, b, script_type(types->u.list.v[i]));
    }
    if (any_of->u.list.n == 0 && types->u.list.n == 0) jsb_puts(J, b, "any");
    j_leave(J);
}

static struct gval *f_script_type(struct jinja *J, struct gval **args, size_t n) {
    struct jsb b = {0};
    (void)n;
    if (args[0]->type == &gt_property) put_script_type(J, &b, args[0]);
    else jsb_puts(J, &b, "any");
    return gv_built(J, &b);
}

#define MANY 1000
static const struct gfunc rows[] = {
    {"and", NULL, 1, MANY, false}, {"or", NULL, 1, MANY, false}, {"not", f_not, 1, 1, false}, {"eq", f_eq, 1, MANY, false}, {"ne", f_ne, 2, 2, false},
    {"lt", f_lt, 2, 2, false}, {"le", f_le, 2, 2, false}, {"gt", f_gt, 2, 2, false}, {"ge", f_ge, 2, 2, false}, {"len", f_len, 1, 1, false},
    {"index", f_index, 1, MANY, false}, {"slice", f_slice, 1, 4, false}, {"print", f_print, 0, MANY, false}, {"println", f_println, 0, MANY, false},
    {"printf", gv_printf, 1, MANY, false}, {"json", f_json, 1, 1, false}, {"currentDate", f_today, 0, MANY, false}, {"yesterdayDate", f_yesterday, 0, MANY, false},
    {"toTypeScriptType", f_script_type, 1, 1, false},
    {"html", NULL, 0, 0, true}, {"js", NULL, 0, 0, true}, {"urlquery", NULL, 0, 0, true}, {"call", NULL, 0, 0, true},
};

const struct gfunc *gf_find(struct view name) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (view_eq(view_of(rows[i].name), name)) return &rows[i];
    return NULL;
}
