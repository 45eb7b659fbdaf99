/* attr.c -- attributes, items and slices, in the order that the sandboxed environment tries them. */
#include "text/jinja/jinja_int.h"

static const struct jfunc_row *const method_tables[J_TYPE_COUNT] = {
    [J_STR] = jm_str, [J_LIST] = jm_list, [J_TUPLE] = jm_tuple, [J_DICT] = jm_dict, [J_RANGE] = jm_range,
    [J_BOOL] = jm_int, [J_INT] = jm_int, [J_FLOAT] = jm_float, [J_CYCLER] = jm_cycler, [J_LOOP] = jm_loop,
};

/* What every Python object has; the sandbox gives out none of it. */
static bool is_object_attr(struct view name) {
    static const char *const names[] = {
        "__class__", "__delattr__", "__dir__", "__doc__", "__eq__", "__format__", "__ge__", "__getattribute__", "__getstate__", "__gt__",
        "__hash__", "__init__", "__init_subclass__", "__le__", "__lt__", "__ne__", "__new__", "__reduce__", "__reduce_ex__", "__repr__",
        "__setattr__", "__sizeof__", "__str__", "__subclasshook__"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (view_eq(name, view_of(names[i]))) return true;
    return false;
}

static struct jval *bound(struct jinja *J, struct jval *self, const struct jfunc_row *row) {
    struct jval *m = j_alloc(J, 1, sizeof *m);
    m->type = J_METHOD;
    m->u.method.self = self;
    m->u.method.row = row;
    return m;
}

/* Attributes that are values */

static struct jval *loop_length(struct jinja *J, struct jval *v) {
    struct jloop *l = v->u.loop;
    int64_t n;
    if (l->length >= 0) return jv_int(J, l->length);
    if (jv_has_len(J, l->iterable, &n)) {
        l->length = n;
    } else {
        struct jval *rest = jv_list(J, 0), *item;
        size_t cap = 0;
        while ((item = jit_next(J, l->it))) jl_push(J, &rest->u.l, &cap, item);
        l->it = jv_iterate(J, rest);
        l->length = (int64_t)rest->u.l.n + l->index0 + 1 + l->has_after;
    }
    return jv_int(J, l->length);
}

static struct jval *loop_peek(struct jinja *J, struct jloop *l) { /* NULL at the end */
    if (l->has_after) return l->after;
    l->after = jit_next(J, l->it);
    l->has_after = l->after != NULL;
    return l->after;
}

static struct jval *loop_attr(struct jinja *J, struct jval *v, struct view name) {
    struct jloop *l = v->u.loop;
    struct jval *next;
#define IS(text) view_eq(name, VIEW(text))
    if (IS("index")) return jv_int(J, l->index0 + 1);
    if (IS("index0")) return jv_int(J, l->index0);
    if (IS("first")) return jv_bool(l->index0 == 0);
    if (IS("last")) return jv_bool(!loop_peek(J, l));
    if (IS("length")) return loop_length(J, v);
    if (IS("revindex")) return jv_int(J, jv_as_int(loop_length(J, v)) - l->index0);
    if (IS("revindex0")) return jv_int(J, jv_as_int(loop_length(J, v)) - l->index0 - 1);
    if (IS("depth")) return jv_int(J, l->depth0 + 1);
    if (IS("depth0")) return jv_int(J, l->depth0);
    if (IS("previtem")) return l->index0 == 0 || !l->before ? jv_undefined_hint(J, "there is no previous item", JX_UNDEFINED) : l->before;
    if (!IS("nextitem")) return NULL;
    next = loop_peek(J, l);
    return next ? next : jv_undefined_hint(J, "there is no next item", JX_UNDEFINED);
}

static struct jval *macro_attr(struct jinja *J, struct jval *v, struct view name) {
    const struct jnode *n = v->u.macro.node;
    if (IS("name")) return n->name < 0 ? &jv_none : js_new(J, J->names[n->name]);
    if (IS("catch_kwargs")) return jv_bool(n->c != NULL);
    if (IS("catch_varargs")) return jv_bool(n->d != NULL);
    if (IS("caller")) return jv_bool(n->flag);
    if (!IS("arguments")) return NULL;
    struct jval *t = jv_tuple(J, n->list3.n);
    for (size_t i = 0; i < t->u.l.n; i++) t->u.l.v[i] = js_new(J, J->names[n->list3.v[i]->name]);
    return t;
}

static struct jval *value_attr(struct jinja *J, struct jval *v, struct view name) {
    switch ((enum jtype)v->type) {
    case J_LOOP: return loop_attr(J, v, name);
    case J_MACRO: return macro_attr(J, v, name);
    case J_NAMESPACE: return jd_get_view(J, &v->u.d, name);
    case J_BOOL:
    case J_INT:
        if (IS("real") || IS("numerator")) return jv_int(J, jv_as_int(v));
        return IS("imag") ? jv_int(J, 0) : IS("denominator") ? jv_int(J, 1) : NULL;
    case J_FLOAT: return IS("real") ? v : IS("imag") ? jv_float(J, 0) : NULL;
    case J_RANGE:
        return IS("start") ? jv_int(J, v->u.range.start) : IS("stop") ? jv_int(J, v->u.range.stop) : IS("step") ? jv_int(J, v->u.range.step) : NULL;
    case J_SLICE: return IS("start") ? v->u.slice.start : IS("stop") ? v->u.slice.stop : IS("step") ? v->u.slice.step : NULL;
    case J_TUPLE:
        if (!v->u.l.is_group) return NULL;
        return IS("grouper") ? v->u.l.v[0] : IS("list") ? v->u.l.v[1] : NULL;
    case J_CYCLER:
        if (IS("pos")) return jv_int(J, (int64_t)v->u.cycler.pos);
        if (IS("current")) return v->u.cycler.items.v[v->u.cycler.pos];
        if (!IS("items")) return NULL;
        struct jval *t = jv_tuple(J, 0);
        t->u.l = v->u.cycler.items;
        return t;
    case J_JOINER: return IS("sep") ? v->u.joiner.sep : IS("used") ? jv_bool(v->u.joiner.used) : NULL;
    default: return NULL;
    }
}
#undef IS

struct jval *at_python_attr(struct jinja *J, struct jval *obj, struct view name, bool *is_unsafe) {
    const struct jfunc_row *row = method_tables[obj->type];
    struct jval *v = value_attr(J, obj, name);
    *is_unsafe = v && name.len > 0 && name.ptr[0] == '_';
    if (v) return *is_unsafe ? NULL : v;
    if (obj->type == J_NAMESPACE) {
        *is_unsafe = view_eq(name, VIEW("__class__"));
        return NULL;
    }
    for (; row && row->name; row++) {
        if (!view_eq(name, view_of(row->name))) continue;
        *is_unsafe = !row->fn;
        return row->fn ? bound(J, obj, row) : NULL;
    }
    *is_unsafe = is_object_attr(name);
    return NULL;
}

static struct jval *unsafe(struct jinja *J, struct jval *obj, struct jval *name) {
    struct jsb b = {0};
    jsb_puts(J, &b, "access to attribute ");
    jr_repr(J, &b, name);
    jsb_printf(J, &b, " of '%s' object is unsafe.", jv_type_name(obj));
    jsb_putc(J, &b, 0);
    return jv_undefined_hint(J, b.ptr, JX_SECURITY);
}

struct jval *at_getattr(struct jinja *J, struct jval *obj, struct jval *name) {
    bool is_unsafe;
    if (obj->type == J_UNDEFINED) jv_fail_undefined(J, obj);
    struct jval *v = at_python_attr(J, obj, js_view(name), &is_unsafe);
    if (v) return v;
    if (is_unsafe) return unsafe(J, obj, name);
    v = obj->type == J_DICT ? jd_get(J, &obj->u.d, name) : NULL;
    return v ? v : jv_undefined_of(J, obj, name);
}

static bool is_hashable(const struct jval *v) {
    if (v->type == J_LIST || v->type == J_DICT || v->type == J_SLICE) return false;
    if (v->type == J_VIEW && v->u.view.kind != 'v') return false;
    for (size_t i = 0; v->type == J_TUPLE && i < v->u.l.n; i++)
        if (!is_hashable(v->u.l.v[i])) return false;
    return true;
}

/* obj[key]; NULL where Python raises a TypeError or LookupError. */
static struct jval *item(struct jinja *J, struct jval *obj, struct jval *key) {
    int64_t n, i;
    if (obj->type == J_DICT) return is_hashable(key) ? jd_get(J, &obj->u.d, key) : NULL;
    if (!jv_is_int(key) || !(obj->type == J_STR || obj->type == J_LIST || obj->type == J_TUPLE || obj->type == J_RANGE)) return NULL;
    jv_has_len(J, obj, &n);
    i = jv_as_int(key);
    if (i < 0) i += n;
    if (i < 0 || i >= n) return NULL;
    if (obj->type == J_RANGE) return jv_int(J, obj->u.range.start + i * obj->u.range.step);
    if (obj->type != J_STR) return obj->u.l.v[i];
    size_t start = js_offset(obj, (size_t)i), end = start + 1;
    j_step(J, start / 64);
    while (end < obj->u.s.len && ((unsigned char)obj->u.s.ptr[end] & 0xC0) == 0x80) end++;
    return js_sub(J, &obj->u.s, start, end);
}

struct jval *at_getitem(struct jinja *J, struct jval *obj, struct jval *key) {
    bool is_unsafe;
    if (obj->type == J_UNDEFINED) jv_fail_undefined(J, obj);
    struct jval *v = item(J, obj, key);
    if (v) return v;
    if (key->type != J_STR) return jv_undefined_of(J, obj, key);
    v = at_python_attr(J, obj, js_view(key), &is_unsafe);
    if (v) return v;
    return is_unsafe ? unsafe(J, obj, key) : jv_undefined_of(J, obj, key);
}

struct jval *at_path(struct jinja *J, struct jval *obj, struct jval *path, struct jval *if_undefined) {
    if (!path || path->type == J_NONE) return obj;
    if (path->type != J_STR) {
        obj = at_getitem(J, obj, path);
        return if_undefined && obj->type == J_UNDEFINED ? if_undefined : obj;
    }
    const struct jstr *s = &path->u.s;
    for (size_t start = 0, end; start <= s->len; start = end + 1) {
        int64_t i;
        bool digits = true;
        end = js_find(js_view(path), VIEW("."), start);
        if (end == SIZE_MAX) end = s->len;
        for (size_t k = start; k < end; k++) digits &= s->ptr[k] >= '0' && s->ptr[k] <= '9';
        struct view part = {s->ptr + start, end - start};
        bool is_index = digits && end > start && jt_string_to_int(J, part, 10, &i);
        obj = at_getitem(J, obj, is_index ? jv_int(J, i) : js_new(J, part));
        if (if_undefined && obj->type == J_UNDEFINED) obj = if_undefined;
    }
    return obj;
}

/* Slices: Python's PySlice_AdjustIndices */

static bool slice_index(struct jinja *J, struct jval *v, int64_t *out) { /* false: None */
    if (v->type == J_NONE) return false;
    if (!jv_is_int(v)) j_raise(J, JX_TYPE, "slice indices must be integers or None or have an __index__ method");
    *out = jv_as_int(v);
    return true;
}

static int64_t clip(int64_t i, int64_t len, bool backward) {
    if (i < 0) {
        i = i < -len ? -1 : i + len;
        if (i < 0) return backward ? -1 : 0;
    }
    return i >= len ? (backward ? len - 1 : len) : i;
}

static bool at_slice_indices(struct jinja *J, struct jval *slice, int64_t len, int64_t *start, int64_t *step, int64_t *n) {
    int64_t from, to;
    *step = 1;
    slice_index(J, slice->u.slice.step, step);
    if (*step == 0) j_raise(J, JX_VALUE, "slice step cannot be zero");
    if (*step < -INT64_MAX) *step = -INT64_MAX;
    bool backward = *step < 0;
    from = slice_index(J, slice->u.slice.start, &from) ? clip(from, len, backward) : backward ? len - 1 : 0;
    to = slice_index(J, slice->u.slice.stop, &to) ? clip(to, len, backward) : backward ? -1 : len;
    *start = from;
    if (backward) *n = to < from ? (from - to - 1) / -*step + 1 : 0;
    else *n = from < to ? (to - from - 1) / *step + 1 : 0;
    return *n > 0;
}

static struct jval *slice_str(struct jinja *J, struct jval *s, int64_t start, int64_t step, int64_t n) {
    struct jsb b = {0};
    if (step == 1) {
        size_t from = js_offset(s, (size_t)start), to = js_offset(s, (size_t)(start + n));
        j_step(J, to / 64);
        return js_sub(J, &s->u.s, from, to);
    }
    size_t *at = j_alloc(J, js_chars(s) + 1, sizeof *at), n_chars = 0;
    for (size_t i = 0; i <= s->u.s.len; i++)
        if (i == s->u.s.len || ((unsigned char)s->u.s.ptr[i] & 0xC0) != 0x80) at[n_chars++] = i;
    for (int64_t k = 0; k < n; k++) {
        int64_t i = start + k * step;
        jsb_sub(J, &b, &s->u.s, at[i], at[i + 1]);
    }
    struct jval *r = jsb_done(J, &b);
    r->u.s.safe = s->u.s.safe;
    return r;
}

struct jval *at_slice(struct jinja *J, struct jval *obj, struct jval *slice) {
    int64_t len = 0, start, step, n;
    if (obj->type == J_UNDEFINED) jv_fail_undefined(J, obj);
    if (obj->type == J_DICT) j_raise(J, JX_TYPE, "unhashable type: 'slice'");
    if (!(obj->type == J_STR || obj->type == J_LIST || obj->type == J_TUPLE || obj->type == J_RANGE))
        j_raise(J, JX_TYPE, "'%s' object is not subscriptable", jv_type_name(obj));
    jv_has_len(J, obj, &len);
    bool any = at_slice_indices(J, slice, len, &start, &step, &n);
    if (obj->type == J_STR) return any ? slice_str(J, obj, start, step, n) : &jv_empty;
    if (obj->type == J_RANGE) {
        struct jval *r = j_alloc(J, 1, sizeof *r);
        r->type = J_RANGE;
        r->u.range.start = obj->u.range.start + start * obj->u.range.step;
        if (n < 2 || __builtin_mul_overflow(obj->u.range.step, step, &r->u.range.step)) r->u.range.step = 1; /* no second item */
        r->u.range.n = (size_t)n;
        if (__builtin_add_overflow(r->u.range.start, n * r->u.range.step, &r->u.range.stop)) r->u.range.stop = INT64_MAX;
        return r;
    }
    struct jval *l = obj->type == J_LIST ? jv_list(J, (size_t)n) : jv_tuple(J, (size_t)n);
    for (int64_t k = 0; k < n; k++) l->u.l.v[k] = obj->u.l.v[start + k * step];
    return l;
}
