/* value.c -- values: making them, their truth, equality, order, length, and iteration, by Python's rules. */
#include <math.h>
#include <stdio.h>

#include "text/jinja/jinja_int.h"

struct jval jv_none = {.type = J_NONE}, jv_true = {.type = J_BOOL, .u.b = true}, jv_false = {.type = J_BOOL}, jv_missing = {.type = J_MISSING},
            jv_empty = {.type = J_STR, .u.s = {.ptr = ""}};

static struct jval *make(struct jinja *J, enum jtype type) {
    struct jval *v = j_alloc(J, 1, sizeof *v);
    v->type = (uint8_t)type;
    return v;
}

struct jval *jv_bool(bool b) { return b ? &jv_true : &jv_false; }

struct jval *jv_int(struct jinja *J, int64_t i) {
    struct jval *v = make(J, J_INT);
    v->u.i = i;
    return v;
}

struct jval *jv_float(struct jinja *J, double f) {
    struct jval *v = make(J, J_FLOAT);
    v->u.f = f;
    return v;
}

static struct jval *make_list(struct jinja *J, enum jtype type, size_t n) {
    struct jval *v = make(J, type);
    j_step(J, n / 16);
    v->u.l.v = n ? j_alloc(J, n, sizeof *v->u.l.v) : NULL;
    v->u.l.n = n;
    return v;
}
struct jval *jv_list(struct jinja *J, size_t n) { return make_list(J, J_LIST, n); }
struct jval *jv_tuple(struct jinja *J, size_t n) { return make_list(J, J_TUPLE, n); }

struct jval *jv_pair(struct jinja *J, struct jval *a, struct jval *b) {
    struct jval *t = jv_tuple(J, 2);
    t->u.l.v[0] = a;
    t->u.l.v[1] = b;
    return t;
}

struct jval *jv_dict(struct jinja *J) { return make(J, J_DICT); }

struct jval *jv_func(struct jinja *J, const struct jfunc_row *row) {
    struct jval *v = make(J, J_FUNC);
    v->u.func = row;
    return v;
}

struct jval *jv_iter(struct jinja *J, const char *type, struct jval *(*next)(struct jinja *, struct jiter *)) {
    struct jval *v = make(J, J_ITER);
    v->u.it = (struct jiter){.next = next, .type = type};
    return v;
}

void jl_push(struct jinja *J, struct jlist *l, size_t *cap, struct jval *v) {
    l->v = j_grow(J, l->v, l->n, cap, sizeof(struct jval *));
    l->v[l->n++] = v;
}

/* Undefined */

struct jval *jv_undefined(struct jinja *J, struct view name) {
    struct jval *v = make(J, J_UNDEFINED);
    v->u.undef.name = js_new(J, name);
    v->u.undef.exc = JX_UNDEFINED;
    return v;
}

struct jval *jv_undefined_of(struct jinja *J, struct jval *obj, struct jval *name) {
    struct jval *v = make(J, J_UNDEFINED);
    v->u.undef.obj = obj;
    v->u.undef.name = name;
    v->u.undef.exc = JX_UNDEFINED;
    return v;
}

struct jval *jv_undefined_hint(struct jinja *J, const char *hint, enum jexc exc) {
    struct jval *v = make(J, J_UNDEFINED);
    v->u.undef.hint = hint;
    v->u.undef.exc = exc;
    return v;
}

_Noreturn void jv_fail_undefined(struct jinja *J, const struct jval *u) {
    char type[96];
    struct jsb b = {0};
    if (u->u.undef.hint) {
        jsb_puts(J, &b, u->u.undef.hint);
    } else if (!u->u.undef.obj) {
        jr_repr(J, &b, u->u.undef.name);
        jsb_puts(J, &b, " is undefined");
    } else {
        jv_object_repr(u->u.undef.obj, type);
        bool element = u->u.undef.name->type != J_STR;
        if (element) jsb_puts(J, &b, type);
        else jr_repr(J, &b, js_lit(J, type));
        jsb_puts(J, &b, element ? " has no element " : " has no attribute ");
        jr_repr(J, &b, u->u.undef.name);
    }
    j_raise_str(J, u->u.undef.exc, &b);
}

/* Types */

static const struct { const char *name, *module; } type_names[J_TYPE_COUNT] = {
    [J_MISSING] = {"MissingType", "jinja2.utils."}, [J_UNDEFINED] = {"Undefined", "jinja2.runtime."},
    [J_NONE] = {"NoneType", ""}, [J_BOOL] = {"bool", ""}, [J_INT] = {"int", ""}, [J_FLOAT] = {"float", ""}, [J_STR] = {"str", ""},
    [J_LIST] = {"list", ""}, [J_TUPLE] = {"tuple", ""}, [J_DICT] = {"dict", ""}, [J_RANGE] = {"range", ""}, [J_SLICE] = {"slice", ""},
    [J_ITER] = {"generator", ""}, [J_VIEW] = {"dict_items", ""}, [J_NAMESPACE] = {"Namespace", "jinja2.utils."},
    [J_MACRO] = {"Macro", "jinja2.runtime."}, [J_FUNC] = {"function", ""}, [J_METHOD] = {"builtin_function_or_method", ""},
    [J_LOOP] = {"LoopContext", "jinja2.runtime."}, [J_CYCLER] = {"Cycler", "jinja2.utils."}, [J_JOINER] = {"Joiner", "jinja2.utils."},
};

const char *jv_type_name(const struct jval *v) {
    if (v->type == J_ITER) return v->u.it.type;
    if (v->type == J_VIEW) return v->u.view.kind == 'k' ? "dict_keys" : v->u.view.kind == 'v' ? "dict_values" : "dict_items";
    if (v->type == J_STR && v->u.s.safe) return "Markup";
    if (v->type == J_TUPLE && v->u.l.is_group) return "_GroupTuple";
    return type_names[v->type].name;
}

const char *jv_object_repr(const struct jval *v, char out[96]) {
    const char *module = type_names[v->type].module;
    if (v->type == J_STR && v->u.s.safe) module = "markupsafe.";
    if (v->type == J_TUPLE && v->u.l.is_group) module = "jinja2.filters.";
    if (v->type == J_NONE) snprintf(out, 96, "None");
    else snprintf(out, 96, "%s%s object", module, jv_type_name(v));
    return out;
}

bool jv_is_int(const struct jval *v) { return v->type == J_INT || v->type == J_BOOL; }
bool jv_is_number(const struct jval *v) { return v->type == J_FLOAT || jv_is_int(v); }
int64_t jv_as_int(const struct jval *v) { return v->type == J_BOOL ? v->u.b : v->u.i; }
double jv_as_float(const struct jval *v) { return v->type == J_FLOAT ? v->u.f : (double)jv_as_int(v); }

bool jv_has_len(struct jinja *J, struct jval *v, int64_t *n) {
    switch ((enum jtype)v->type) {
    case J_UNDEFINED: *n = 0; return true;
    case J_STR: *n = (int64_t)js_chars(v); return true;
    case J_LIST:
    case J_TUPLE: *n = (int64_t)v->u.l.n; return true;
    case J_DICT: *n = (int64_t)v->u.d.n; return true;
    case J_VIEW: *n = (int64_t)v->u.view.dict->u.d.n; return true;
    case J_RANGE: *n = (int64_t)v->u.range.n; return true;
    case J_LOOP: *n = jv_as_int(at_getattr(J, v, js_lit(J, "length"))); return true;
    default: return false;
    }
}

int64_t jv_len(struct jinja *J, struct jval *v) {
    int64_t n = 0;
    if (!jv_has_len(J, v, &n)) j_raise(J, JX_TYPE, "object of type '%s' has no len()", jv_type_name(v));
    return n;
}

bool jv_truth(struct jinja *J, const struct jval *v) {
    (void)J;
    switch ((enum jtype)v->type) {
    case J_MISSING:
    case J_UNDEFINED:
    case J_NONE: return false;
    case J_BOOL: return v->u.b;
    case J_INT: return v->u.i != 0;
    case J_FLOAT: return v->u.f != 0;
    case J_STR: return v->u.s.len > 0;
    case J_LIST:
    case J_TUPLE: return v->u.l.n > 0;
    case J_DICT: return v->u.d.n > 0;
    case J_VIEW: return v->u.view.dict->u.d.n > 0;
    case J_RANGE: return v->u.range.n > 0;
    default: return true;
    }
}

/* Equality and order */

static int compare_int_float(int64_t i, double f) { /* -1, 0, 1; 2: f is not a number. Exact, as Python's */
    if (isnan(f)) return 2;
    if (f >= 9223372036854775808.0) return -1;
    if (f < -9223372036854775808.0) return 1;
    int64_t whole = (int64_t)f;
    if (i != whole) return i < whole ? -1 : 1;
    double rest = f - (double)whole;
    return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}

static int compare_numbers(const struct jval *a, const struct jval *b) {
    if (a->type == J_FLOAT && b->type == J_FLOAT)
        return isnan(a->u.f) || isnan(b->u.f) ? 2 : a->u.f < b->u.f ? -1 : a->u.f > b->u.f ? 1 : 0;
    if (a->type == J_FLOAT) {
        int r = compare_int_float(jv_as_int(b), a->u.f);
        return r == 2 ? 2 : -r;
    }
    if (b->type == J_FLOAT) return compare_int_float(jv_as_int(a), b->u.f);
    int64_t x = jv_as_int(a), y = jv_as_int(b);
    return x < y ? -1 : x > y;
}

static int compare_str(const struct jstr *a, const struct jstr *b) { /* UTF-8 orders as code points do */
    size_t n = a->len < b->len ? a->len : b->len;
    int r = n ? memcmp(a->ptr, b->ptr, n) : 0;
    return r ? r : a->len < b->len ? -1 : a->len > b->len;
}

static bool eq_lists(struct jinja *J, const struct jlist *a, const struct jlist *b) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++)
        if (!jv_eq(J, a->v[i], b->v[i])) return false;
    return true;
}

static bool eq_dicts(struct jinja *J, const struct jdict *a, const struct jdict *b) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++) {
        struct jval *other = jd_get(J, b, a->v[i].key);
        if (!other || !jv_eq(J, a->v[i].val, other)) return false;
    }
    return true;
}

static bool eq_ranges(const struct jval *a, const struct jval *b) {
    if (a->u.range.n != b->u.range.n) return false;
    if (a->u.range.n == 0) return true;
    return a->u.range.start == b->u.range.start && (a->u.range.n == 1 || a->u.range.step == b->u.range.step);
}

bool jv_eq(struct jinja *J, const struct jval *a, const struct jval *b) {
    bool r;
    j_step(J, 1);
    if (a == b) return true;
    if (jv_is_number(a) && jv_is_number(b)) return compare_numbers(a, b) == 0;
    if (a->type != b->type) return false;
    j_enter(J);
    switch ((enum jtype)a->type) {
    case J_UNDEFINED:
    case J_NONE: r = true; break;
    case J_STR: r = a->u.s.len == b->u.s.len && compare_str(&a->u.s, &b->u.s) == 0; break;
    case J_LIST:
    case J_TUPLE: r = eq_lists(J, &a->u.l, &b->u.l); break;
    case J_DICT: r = eq_dicts(J, &a->u.d, &b->u.d); break;
    case J_RANGE: r = eq_ranges(a, b); break;
    case J_METHOD: r = a->u.method.row == b->u.method.row && a->u.method.self == b->u.method.self; break;
    case J_FUNC: r = a->u.func == b->u.func; break;
    default: r = false; break;
    }
    j_leave(J);
    return r;
}

static bool holds(enum jcmp op, int order) {
    switch (op) {
    case CMP_LT: return order < 0;
    case CMP_LE: return order <= 0;
    case CMP_GT: return order > 0 && order != 2;
    default: return order >= 0 && order != 2;
    }
}

static bool compare_lists(struct jinja *J, enum jcmp op, const struct jlist *a, const struct jlist *b) {
    for (size_t i = 0; i < a->n && i < b->n; i++)
        if (!jv_eq(J, a->v[i], b->v[i])) return jv_compare(J, op, a->v[i], b->v[i]);
    return holds(op, a->n < b->n ? -1 : a->n > b->n);
}

bool jv_compare(struct jinja *J, enum jcmp op, struct jval *a, struct jval *b) {
    static const char *const signs[] = {"<", "<=", ">", ">="};
    j_step(J, 1);
    if (a->type == J_UNDEFINED) jv_fail_undefined(J, a);
    if (b->type == J_UNDEFINED) jv_fail_undefined(J, b);
    if (jv_is_number(a) && jv_is_number(b)) {
        int order = compare_numbers(a, b);
        return order != 2 && holds(op, order);
    }
    if (a->type == J_STR && b->type == J_STR) {
        int order = compare_str(&a->u.s, &b->u.s);
        return holds(op, order < 0 ? -1 : order > 0);
    }
    if (a->type == b->type && (a->type == J_LIST || a->type == J_TUPLE)) {
        j_enter(J);
        bool r = compare_lists(J, op, &a->u.l, &b->u.l);
        j_leave(J);
        return r;
    }
    j_raise(J, JX_TYPE, "'%s' not supported between instances of '%s' and '%s'", signs[op], jv_type_name(a), jv_type_name(b));
}

uint64_t jv_hash(struct jinja *J, const struct jval *v) {
    uint64_t h = 1469598103934665603u;
    switch ((enum jtype)v->type) {
    case J_STR:
        j_step(J, v->u.s.len / 64);
        for (size_t i = 0; i < v->u.s.len; i++) h = (h ^ (unsigned char)v->u.s.ptr[i]) * 1099511628211u;
        return h;
    case J_BOOL:
    case J_INT: return (uint64_t)jv_as_int(v) * 0x9E3779B97F4A7C15u;
    case J_FLOAT:
        if (v->u.f == floor(v->u.f) && fabs(v->u.f) < 9e18) return (uint64_t)(int64_t)v->u.f * 0x9E3779B97F4A7C15u;
        memcpy(&h, &v->u.f, sizeof h);
        return h * 0x9E3779B97F4A7C15u;
    case J_TUPLE:
        j_enter(J);
        for (size_t i = 0; i < v->u.l.n; i++) h = (h ^ jv_hash(J, v->u.l.v[i])) * 1099511628211u;
        j_leave(J);
        return h;
    case J_LIST:
    case J_DICT:
    case J_SLICE: j_raise(J, JX_TYPE, "unhashable type: '%s'", jv_type_name(v));
    case J_VIEW:
        if (v->u.view.kind != 'v') j_raise(J, JX_TYPE, "unhashable type: '%s'", jv_type_name(v));
        return (uint64_t)(uintptr_t)v;
    case J_NONE:
    case J_UNDEFINED: return (uint64_t)v->type * 0x9E3779B97F4A7C15u;
    case J_RANGE: return v->u.range.n * 0x9E3779B97F4A7C15u;
    case J_FUNC: return (uint64_t)(uintptr_t)v->u.func;
    case J_METHOD: return (uint64_t)(uintptr_t)v->u.method.row;
    default: return (uint64_t)(uintptr_t)v;
    }
}

/* Dicts */

#define DICT_SCAN_MAX 8

static size_t probe(struct jinja *J, const struct jdict *d, const struct jval *key, uint64_t hash) { /* entry, or SIZE_MAX */
    if (!d->index) {
        for (size_t i = 0; i < d->n; i++)
            if (d->v[i].hash == hash && jv_eq(J, d->v[i].key, key)) return i;
        return SIZE_MAX;
    }
    for (size_t i = hash & (d->n_index - 1); d->index[i]; i = (i + 1) & (d->n_index - 1)) {
        const struct jdict_entry *e = &d->v[d->index[i] - 1];
        j_step(J, 1);
        if (e->hash == hash && jv_eq(J, e->key, key)) return d->index[i] - 1;
    }
    return SIZE_MAX;
}

struct jval *jd_get(struct jinja *J, const struct jdict *d, const struct jval *key) {
    size_t i = probe(J, d, key, jv_hash(J, key));
    return i == SIZE_MAX ? NULL : d->v[i].val;
}

struct jval *jd_get_view(struct jinja *J, const struct jdict *d, struct view key) {
    struct jval k = {.type = J_STR, .u.s = {.ptr = key.ptr, .len = key.len, .n_chars = SIZE_MAX}};
    return jd_get(J, d, &k);
}

static void index_add(struct jdict *d, size_t i_entry) {
    size_t i = d->v[i_entry].hash & (d->n_index - 1);
    while (d->index[i]) i = (i + 1) & (d->n_index - 1);
    d->index[i] = (uint32_t)i_entry + 1;
}

void jd_set(struct jinja *J, struct jdict *d, struct jval *key, struct jval *val) {
    uint64_t hash = jv_hash(J, key);
    size_t at = probe(J, d, key, hash);
    if (at != SIZE_MAX) {
        d->v[at].val = val;
        return;
    }
    if (d->n >= UINT32_MAX / 4) j_raise(J, JX_LIMIT, "a dict with more than %u items", UINT32_MAX / 4);
    d->v = j_grow(J, d->v, d->n, &d->cap, sizeof *d->v);
    d->v[d->n++] = (struct jdict_entry){key, val, hash};
    if (d->n <= DICT_SCAN_MAX) return;
    if (d->n * 2 > d->n_index) {
        d->n_index = d->n_index ? d->n_index * 2 : 32;
        d->index = j_alloc(J, d->n_index, sizeof *d->index);
        for (size_t i = 0; i < d->n; i++) index_add(d, i);
    } else {
        index_add(d, d->n - 1);
    }
}

struct jval *jv_view_item(struct jinja *J, const struct jval *view, size_t i) {
    const struct jdict_entry *e = &view->u.view.dict->u.d.v[i];
    return view->u.view.kind == 'k' ? e->key : view->u.view.kind == 'v' ? e->val : jv_pair(J, e->key, e->val);
}

/* Iteration */

static struct jval *next_item(struct jinja *J, struct jiter *it) {
    struct jval *v = it->src;
    size_t i = it->i++;
    switch ((enum jtype)v->type) {
    case J_LIST:
    case J_TUPLE: return i < v->u.l.n ? v->u.l.v[i] : NULL;
    case J_DICT: return i < v->u.d.n ? v->u.d.v[i].key : NULL;
    case J_VIEW: return i < v->u.view.dict->u.d.n ? jv_view_item(J, v, i) : NULL;
    case J_RANGE: return i < v->u.range.n ? jv_int(J, v->u.range.start + (int64_t)i * v->u.range.step) : NULL;
    default: return NULL;
    }
}

static struct jval *next_char(struct jinja *J, struct jiter *it) { /* i: byte offset */
    const struct jstr *s = &it->src->u.s;
    size_t start = it->i, end = start + 1;
    if (start >= s->len) return NULL;
    while (end < s->len && ((unsigned char)s->ptr[end] & 0xC0) == 0x80) end++;
    it->i = end;
    struct jval *c = js_sub(J, s, start, end);
    c->u.s.safe = false; /* the characters of Markup are plain strings */
    return c;
}

static struct jval *next_loop(struct jinja *J, struct jiter *it) {
    struct jloop *l = it->src->u.loop;
    struct jval *v = l->has_after ? l->after : jit_next(J, l->it);
    l->has_after = false;
    if (!v || v->type == J_MISSING) return NULL;
    l->index0++;
    l->before = l->current;
    l->current = v;
    return jv_pair(J, v, it->src);
}

bool jv_is_iterable(const struct jval *v) {
    switch ((enum jtype)v->type) {
    case J_UNDEFINED:
    case J_STR:
    case J_LIST:
    case J_TUPLE:
    case J_DICT:
    case J_RANGE:
    case J_ITER:
    case J_VIEW:
    case J_LOOP: return true;
    default: return false;
    }
}

struct jiter *jv_iterate(struct jinja *J, struct jval *v) {
    static const char *const names[J_TYPE_COUNT] = {[J_LIST] = "list_iterator", [J_TUPLE] = "tuple_iterator", [J_DICT] = "dict_keyiterator",
                                                    [J_RANGE] = "range_iterator", [J_STR] = "str_ascii_iterator", [J_UNDEFINED] = "generator"};
    if (v->type == J_ITER) return &v->u.it;
    if (!jv_is_iterable(v)) j_raise(J, JX_TYPE, "'%s' object is not iterable", jv_type_name(v));
    struct jval *it = jv_iter(J, names[v->type] ? names[v->type] : "iterator", v->type == J_STR ? next_char : v->type == J_LOOP ? next_loop : next_item);
    it->u.it.src = v;
    return &it->u.it;
}

struct jval *jit_next(struct jinja *J, struct jiter *it) {
    j_step(J, 1);
    return it->next(J, it);
}

struct jval *jv_to_list(struct jinja *J, struct jval *v) {
    struct jval *l = jv_list(J, 0), *item;
    size_t cap = 0;
    if (v->type == J_LIST || v->type == J_TUPLE) {
        struct jval *same = jv_list(J, v->u.l.n);
        if (v->u.l.n) memcpy(same->u.l.v, v->u.l.v, v->u.l.n * sizeof(struct jval *));
        return same;
    }
    for (struct jiter *it = jv_iterate(J, v); (item = jit_next(J, it));) jl_push(J, &l->u.l, &cap, item);
    return l;
}

bool jv_contains(struct jinja *J, struct jval *seq, struct jval *item) {
    struct jval *v;
    if (seq->type == J_STR) {
        if (item->type != J_STR)
            j_raise(J, JX_TYPE, "'in <string>' requires string as left operand, not %s", jv_type_name(item));
        j_step(J, seq->u.s.len / 64);
        return js_find(js_view(seq), js_view(item), 0) != SIZE_MAX;
    }
    if (seq->type == J_DICT || (seq->type == J_VIEW && seq->u.view.kind == 'k'))
        return jd_get(J, seq->type == J_DICT ? &seq->u.d : &seq->u.view.dict->u.d, item) != NULL;
    if (!jv_is_iterable(seq)) j_raise(J, JX_TYPE, "argument of type '%s' is not iterable", jv_type_name(seq));
    for (struct jiter *it = jv_iterate(J, seq); (v = jit_next(J, it));)
        if (jv_eq(J, v, item)) return true;
    return false;
}
