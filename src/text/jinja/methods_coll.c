/* methods_coll.c -- methods of lists, tuples, dicts, ranges, numbers, loops and cyclers.
 *
 * Rows without a function are attributes that the immutable sandbox does not give out: what changes a list or a dict. */
#include <math.h>

#include "text/jinja/jinja_int.h"

/* Lists and tuples */

static int64_t clip(int64_t i, int64_t n) { return i < 0 ? (i + n < 0 ? 0 : i + n) : i; }

static struct jval *m_index(struct jinja *J, struct jval *self, struct jargs *args) {
    static const struct jfunc_row row = {.name = "index", .sig = "/value, start=, stop="};
    struct jval *v[J_BIND_MAX], *item;
    struct jiter *it = jv_iterate(J, self);
    j_bind(J, &row, args, v);
    int64_t n = jv_len(J, self), start = v[1] ? clip(j_arg_int(J, v[1]), n) : 0, stop = v[2] ? clip(j_arg_int(J, v[2]), n) : n;
    for (int64_t i = 0; (item = jit_next(J, it)); i++)
        if (i >= start && i < stop && jv_eq(J, item, v[0])) return jv_int(J, i);
    if (self->type == J_TUPLE) j_raise(J, JX_VALUE, "tuple.index(x): x not in tuple");
    j_raise(J, JX_VALUE, "%s is not in %s", jv_repr_c(J, v[0]), jv_type_name(self));
}

static struct jval *m_count(struct jinja *J, struct jval *self, struct jargs *args) {
    static const struct jfunc_row row = {.name = "count", .sig = "/value"};
    struct jval *v[J_BIND_MAX], *item;
    int64_t n = 0;
    j_bind(J, &row, args, v);
    for (struct jiter *it = jv_iterate(J, self); (item = jit_next(J, it));) n += jv_eq(J, item, v[0]);
    return jv_int(J, n);
}

static void no_args(struct jinja *J, struct jargs *args) {
    static const struct jfunc_row row = {.name = "method", .sig = "/"};
    struct jval *v[J_BIND_MAX];
    j_bind(J, &row, args, v);
}

static struct jval *m_list_copy(struct jinja *J, struct jval *self, struct jargs *args) { return no_args(J, args), jv_to_list(J, self); }

const struct jfunc_row jm_list[] = {
    {"index", m_index, NULL, NULL}, {"count", m_count, NULL, NULL}, {"copy", m_list_copy, NULL, NULL}, {"append", NULL, NULL, NULL},
    {"clear", NULL, NULL, NULL}, {"pop", NULL, NULL, NULL}, {"reverse", NULL, NULL, NULL}, {"insert", NULL, NULL, NULL},
    {"sort", NULL, NULL, NULL}, {"extend", NULL, NULL, NULL}, {"remove", NULL, NULL, NULL}, {"__len__", NULL, NULL, NULL},
    {"__getitem__", NULL, NULL, NULL}, {"__contains__", NULL, NULL, NULL}, {"__iter__", NULL, NULL, NULL}, {NULL, NULL, NULL, NULL}};
const struct jfunc_row jm_tuple[] = {{"index", m_index, NULL, NULL}, {"count", m_count, NULL, NULL}, {"__len__", NULL, NULL, NULL},
                                     {"__getitem__", NULL, NULL, NULL}, {NULL, NULL, NULL, NULL}};
const struct jfunc_row jm_range[] = {{"index", m_index, NULL, NULL}, {"count", m_count, NULL, NULL}, {"__len__", NULL, NULL, NULL},
                                     {NULL, NULL, NULL, NULL}};

/* Dicts */

static struct jval *dict_view(struct jinja *J, struct jval *self, struct jargs *args, char kind) {
    struct jval *view = j_alloc(J, 1, sizeof *view);
    no_args(J, args);
    view->type = J_VIEW;
    view->u.view.dict = self;
    view->u.view.kind = kind;
    return view;
}
static struct jval *m_keys(struct jinja *J, struct jval *self, struct jargs *args) { return dict_view(J, self, args, 'k'); }
static struct jval *m_values(struct jinja *J, struct jval *self, struct jargs *args) { return dict_view(J, self, args, 'v'); }
static struct jval *m_items(struct jinja *J, struct jval *self, struct jargs *args) { return dict_view(J, self, args, 'i'); }

static struct jval *m_get(struct jinja *J, struct jval *self, struct jargs *args) {
    static const struct jfunc_row row = {.name = "dict.get", .sig = "/key, default="};
    struct jval *v[J_BIND_MAX];
    j_bind(J, &row, args, v);
    struct jval *found = jd_get(J, &self->u.d, v[0]);
    return found ? found : v[1] ? v[1] : &jv_none;
}

static struct jval *m_dict_copy(struct jinja *J, struct jval *self, struct jargs *args) {
    struct jval *d = jv_dict(J);
    no_args(J, args);
    for (size_t i = 0; i < self->u.d.n; i++) jd_set(J, &d->u.d, self->u.d.v[i].key, self->u.d.v[i].val);
    return d;
}

static struct jval *m_fromkeys(struct jinja *J, struct jval *self, struct jargs *args) {
    static const struct jfunc_row row = {.name = "fromkeys", .sig = "/iterable, value="};
    struct jval *v[J_BIND_MAX], *d = jv_dict(J), *key;
    (void)self;
    j_bind(J, &row, args, v);
    for (struct jiter *it = jv_iterate(J, v[0]); (key = jit_next(J, it));) jd_set(J, &d->u.d, key, v[1] ? v[1] : &jv_none);
    return d;
}

const struct jfunc_row jm_dict[] = {
    {"keys", m_keys, NULL, NULL}, {"values", m_values, NULL, NULL}, {"items", m_items, NULL, NULL}, {"get", m_get, NULL, NULL},
    {"copy", m_dict_copy, NULL, NULL}, {"fromkeys", m_fromkeys, NULL, NULL}, {"clear", NULL, NULL, NULL}, {"pop", NULL, NULL, NULL},
    {"popitem", NULL, NULL, NULL}, {"setdefault", NULL, NULL, NULL}, {"update", NULL, NULL, NULL}, {"__len__", NULL, NULL, NULL},
    {"__getitem__", NULL, NULL, NULL}, {"__contains__", NULL, NULL, NULL}, {"__iter__", NULL, NULL, NULL}, {NULL, NULL, NULL, NULL}};

/* Numbers */

static struct jval *m_bit_length(struct jinja *J, struct jval *self, struct jargs *args) {
    int64_t i = jv_as_int(self), n = 0;
    no_args(J, args);
    for (uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i; u; u >>= 1) n++;
    return jv_int(J, n);
}

static struct jval *m_bit_count(struct jinja *J, struct jval *self, struct jargs *args) {
    int64_t i = jv_as_int(self);
    no_args(J, args);
    return jv_int(J, __builtin_popcountll(i < 0 ? 0 - (uint64_t)i : (uint64_t)i));
}

static struct jval *m_conjugate(struct jinja *J, struct jval *self, struct jargs *args) {
    no_args(J, args);
    return self->type == J_FLOAT ? self : jv_int(J, jv_as_int(self));
}

static struct jval *m_is_integer(struct jinja *J, struct jval *self, struct jargs *args) {
    no_args(J, args);
    return jv_bool(isfinite(self->u.f) && self->u.f == floor(self->u.f));
}

const struct jfunc_row jm_int[] = {{"bit_length", m_bit_length, NULL, NULL}, {"bit_count", m_bit_count, NULL, NULL},
                                   {"conjugate", m_conjugate, NULL, NULL}, {NULL, NULL, NULL, NULL}};
const struct jfunc_row jm_float[] = {{"is_integer", m_is_integer, NULL, NULL}, {"conjugate", m_conjugate, NULL, NULL}, {NULL, NULL, NULL, NULL}};

/* Loops and cyclers */

static struct jval *m_cycle(struct jinja *J, struct jval *self, struct jargs *args) {
    if (args->n_pos == 0) j_raise(J, JX_TYPE, "no items for cycling given");
    return args->pos[(size_t)self->u.loop->index0 % args->n_pos];
}

static struct jval *m_changed(struct jinja *J, struct jval *self, struct jargs *args) {
    struct jval *now = jv_tuple(J, args->n_pos);
    if (args->n_pos) memcpy(now->u.l.v, args->pos, args->n_pos * sizeof *args->pos);
    if (self->u.loop->changed && jv_eq(J, self->u.loop->changed, now)) return &jv_false;
    self->u.loop->changed = now;
    return &jv_true;
}
const struct jfunc_row jm_loop[] = {{"cycle", m_cycle, NULL, NULL}, {"changed", m_changed, NULL, NULL}, {NULL, NULL, NULL, NULL}};

static struct jval *m_next(struct jinja *J, struct jval *self, struct jargs *args) {
    no_args(J, args);
    struct jval *v = self->u.cycler.items.v[self->u.cycler.pos];
    self->u.cycler.pos = (self->u.cycler.pos + 1) % self->u.cycler.items.n;
    return v;
}

static struct jval *m_reset(struct jinja *J, struct jval *self, struct jargs *args) {
    no_args(J, args);
    self->u.cycler.pos = 0;
    return &jv_none;
}
const struct jfunc_row jm_cycler[] = {{"next", m_next, NULL, NULL}, {"reset", m_reset, NULL, NULL}, {NULL, NULL, NULL, NULL}};
