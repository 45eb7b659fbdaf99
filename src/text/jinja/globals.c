/* globals.c -- the functions a template finds without being given them. */
#include "text/jinja/jinja_int.h"

#define RANGE_MAX 100000
#define GLOBAL(name) static struct jval *g_##name(struct jinja *J, struct jval *self, struct jargs *args)

static size_t range_length(int64_t start, int64_t stop, int64_t step) {
    if (step > 0 ? start >= stop : start <= stop) return 0;
    uint64_t span = step > 0 ? (uint64_t)stop - (uint64_t)start : (uint64_t)start - (uint64_t)stop;
    uint64_t by = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    return (size_t)((span - 1) / by + 1);
}

GLOBAL(range) {
    (void)self;
    int64_t v[3] = {0, 0, 1};
    if (args->n_kw) j_raise(J, JX_TYPE, "range() takes no keyword arguments");
    if (args->n_pos == 0) j_raise(J, JX_TYPE, "range expected at least 1 argument, got 0");
    if (args->n_pos > 3) j_raise(J, JX_TYPE, "range expected at most 3 arguments, got %zu", args->n_pos);
    for (size_t i = 0; i < args->n_pos; i++) v[args->n_pos == 1 ? 1 : i] = j_arg_int(J, args->pos[i]);
    if (v[2] == 0) j_raise(J, JX_VALUE, "range() arg 3 must not be zero");
    struct jval *r = j_alloc(J, 1, sizeof *r);
    r->type = J_RANGE;
    r->u.range.start = v[0];
    r->u.range.stop = v[1];
    r->u.range.step = v[2];
    r->u.range.n = range_length(v[0], v[1], v[2]);
    if (r->u.range.n > RANGE_MAX)
        j_raise(J, JX_OVERFLOW, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", RANGE_MAX);
    return r;
}

static void update_from(struct jinja *J, struct jdict *d, struct jval *from) {
    struct jval *item;
    if (from->type == J_DICT) {
        for (size_t i = 0; i < from->u.d.n; i++) jd_set(J, d, from->u.d.v[i].key, from->u.d.v[i].val);
        return;
    }
    struct jiter *it = jv_iterate(J, from);
    for (size_t i = 0; (item = jit_next(J, it)); i++) {
        if (!jv_is_iterable(item)) j_raise(J, JX_TYPE, "cannot convert dictionary update sequence element #%zu to a sequence", i);
        struct jval *pair = jv_to_list(J, item);
        if (pair->u.l.n != 2)
            j_raise(J, JX_VALUE, "dictionary update sequence element #%zu has length %zu; 2 is required", i, pair->u.l.n);
        jd_set(J, d, pair->u.l.v[0], pair->u.l.v[1]);
    }
}

static struct jval *make_dict(struct jinja *J, struct jargs *args, enum jtype type) {
    struct jval *d = jv_dict(J);
    d->type = (uint8_t)type;
    if (args->n_pos > 1) j_raise(J, JX_TYPE, "dict expected at most 1 argument, got %zu", args->n_pos);
    if (args->n_pos) update_from(J, &d->u.d, args->pos[0]);
    for (size_t i = 0; i < args->n_kw; i++) jd_set(J, &d->u.d, js_new(J, args->kw[i].name), args->kw[i].val);
    return d;
}
GLOBAL(dict) { (void)self; return make_dict(J, args, J_DICT); }
GLOBAL(namespace) { (void)self; return make_dict(J, args, J_NAMESPACE); }

GLOBAL(cycler) {
    (void)self;
    if (args->n_kw) j_raise(J, JX_TYPE, "Cycler.__init__() got an unexpected keyword argument '%.*s'", VIEW_ARG(args->kw[0].name));
    if (args->n_pos == 0) j_raise(J, JX_PYTHON_RUNTIME, "at least one item has to be provided");
    struct jval *v = j_alloc(J, 1, sizeof *v);
    v->type = J_CYCLER;
    v->u.cycler.items = jv_tuple(J, args->n_pos)->u.l;
    memcpy(v->u.cycler.items.v, args->pos, args->n_pos * sizeof *args->pos);
    return v;
}

GLOBAL(joiner) {
    static const struct jfunc_row me = {.name = "Joiner.__init__", .sig = "@sep="};
    struct jval *v[J_BIND_MAX], *r = j_alloc(J, 1, sizeof *r);
    (void)self;
    j_bind(J, &me, args, v);
    r->type = J_JOINER;
    r->u.joiner.sep = v[0] ? v[0] : js_lit(J, ", ");
    return r;
}

GLOBAL(lipsum) {
    (void)self;
    (void)args;
    j_raise(J, JX_UNSUPPORTED, "lipsum: random text would make a prompt that differs from run to run");
}

GLOBAL(raise_exception) {
    static const struct jfunc_row me = {.name = "raise_exception", .sig = "message"};
    struct jval *v[J_BIND_MAX];
    struct jsb b = {0};
    (void)self;
    j_bind(J, &me, args, v);
    jr_str(J, &b, v[0]);
    j_raise_str(J, JX_TEMPLATE, &b);
}

GLOBAL(strftime_now) {
    static const struct jfunc_row me = {.name = "strftime_now", .sig = "format"};
    struct jval *v[J_BIND_MAX];
    char text[1024];
    (void)self;
    j_bind(J, &me, args, v);
    if (v[0]->type != J_STR) j_raise(J, JX_TYPE, "strftime() argument 1 must be str, not %s", jv_type_name(v[0]));
    if (v[0]->u.s.len == 0) return &jv_empty;
    if (v[0]->u.s.len > 256 || memchr(v[0]->u.s.ptr, 0, v[0]->u.s.len)) j_raise(J, JX_LIMIT, "a time format of more than 256 bytes, or with a NUL");
    struct jval *format = js_concat(J, js_copy(J, js_view(v[0])), js_lit(J, ""));
    struct jsb z = {0};
    jsb_add(J, &z, js_view(format));
    jsb_putc(J, &z, 0);
    size_t n = strftime(text, sizeof text, z.ptr, &J->now);
    return js_copy(J, (struct view){text, n});
}

static const struct jfunc_row rows[] = {
    {"range", g_range, NULL, NULL}, {"dict", g_dict, NULL, NULL}, {"lipsum", g_lipsum, NULL, NULL}, {"cycler", g_cycler, NULL, NULL},
    {"joiner", g_joiner, NULL, NULL}, {"namespace", g_namespace, NULL, NULL}, {"raise_exception", g_raise_exception, NULL, NULL},
    {"strftime_now", g_strftime_now, NULL, NULL}};

const struct jfunc_row *jinja_globals(size_t *n) {
    *n = sizeof rows / sizeof *rows;
    return rows;
}
