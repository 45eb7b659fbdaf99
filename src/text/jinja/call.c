/* call.c -- calling: arguments against parameters, functions, methods, macros, filters and tests by name. */
#include "text/jinja/jinja_int.h"

/* Signatures: "value, default=, boolean=". Leading marks: '@' Python counts one more (environment or context) in its
 * messages; '/' no keywords; '!' a C function of one argument. */
struct sig {
    struct view names[J_BIND_MAX];
    size_t n, n_required;
    bool hidden, positional, one;
};

static void sig_parse(const char *text, struct sig *s) {
    *s = (struct sig){0};
    for (; *text == '@' || *text == '/' || *text == '!'; text++) {
        s->one |= *text == '!';
        s->hidden |= *text == '@';
        s->positional |= *text == '/';
    }
    while (*text) {
        size_t len = strcspn(text, ",=");
        SLM_ASSERT(s->n < J_BIND_MAX);
        s->names[s->n++] = (struct view){text, len};
        text += len;
        if (*text == '=') text++;
        else s->n_required = s->n;
        if (*text == ',') text++;
        while (*text == ' ') text++;
    }
}

static _Noreturn void fail_missing(struct jinja *J, const char *name, const struct sig *s, struct jval *const *out) {
    struct jsb b = {0};
    size_t n_missing = 0, i_missing = 0;
    for (size_t i = 0; i < s->n_required; i++) n_missing += !out[i];
    jsb_printf(J, &b, "%.200s() missing %zu required positional argument%s: ", name, n_missing, n_missing == 1 ? "" : "s");
    for (size_t i = 0; i < s->n_required; i++) {
        if (out[i]) continue;
        const char *before = i_missing == 0 ? "" : i_missing + 1 < n_missing ? ", " : n_missing > 2 ? ", and " : " and ";
        jsb_printf(J, &b, "%s'%.*s'", before, VIEW_ARG(s->names[i]));
        i_missing++;
    }
    j_raise_str(J, JX_TYPE, &b);
}

static _Noreturn void fail_many(struct jinja *J, const char *name, const struct sig *s, size_t n_given) {
    size_t most = s->n + s->hidden, least = s->n_required + s->hidden, given = n_given + s->hidden;
    const char *were = given == 1 ? "was" : "were";
    if (most == least)
        j_raise(J, JX_TYPE, "%s() takes %zu positional argument%s but %zu %s given", name, most, most == 1 ? "" : "s", given, were);
    j_raise(J, JX_TYPE, "%s() takes from %zu to %zu positional arguments but %zu %s given", name, least, most, given, were);
}

/* C functions of Python have messages of their own. */
static void check_positional(struct jinja *J, const struct sig *s, const struct jargs *args) {
    const char *type = J->method_type ? J->method_type : "", *name = J->method ? J->method : "";
    if (args->n_kw) j_raise(J, JX_TYPE, "%s.%s() takes no keyword arguments", type, name);
    if (args->n_pos >= s->n_required && args->n_pos <= s->n) return;
    if (s->n == 0) j_raise(J, JX_TYPE, "%s.%s() takes no arguments (%zu given)", type, name, args->n_pos);
    if (s->n == 1 && s->n_required == 1) j_raise(J, JX_TYPE, "%s.%s() takes exactly one argument (%zu given)", type, name, args->n_pos);
    bool few = args->n_pos < s->n_required;
    size_t bound = few ? s->n_required : s->n;
    j_raise(J, JX_TYPE, "%s expected at %s %zu argument%s, got %zu", name, few ? "least" : "most", bound, bound == 1 ? "" : "s", args->n_pos);
}

void j_bind(struct jinja *J, const struct jfunc_row *row, const struct jargs *args, struct jval *out[J_BIND_MAX]) {
    struct sig s;
    const char *name = row->python_name ? row->python_name : row->name;
    sig_parse(row->sig, &s);
    memset(out, 0, J_BIND_MAX * sizeof *out);
    if (s.positional) check_positional(J, &s, args);
    if (s.one && args->n_kw) j_raise(J, JX_TYPE, "%s() takes no keyword arguments", name);
    if (s.one && args->n_pos != 1) j_raise(J, JX_TYPE, "%s() takes exactly one argument (%zu given)", name, args->n_pos);
    if (args->n_pos > s.n) fail_many(J, name, &s, args->n_pos);
    for (size_t i = 0; i < args->n_pos; i++) out[i] = args->pos[i];
    for (size_t k = 0; k < args->n_kw; k++) {
        size_t i = 0;
        while (i < s.n && !view_eq(s.names[i], args->kw[k].name)) i++;
        if (i == s.n) j_raise(J, JX_TYPE, "%s() got an unexpected keyword argument '%.*s'", name, VIEW_ARG(args->kw[k].name));
        if (out[i]) j_raise(J, JX_TYPE, "%s() got multiple values for argument '%.*s'", name, VIEW_ARG(args->kw[k].name));
        out[i] = args->kw[k].val;
    }
    for (size_t i = 0; i < s.n_required; i++)
        if (!out[i]) fail_missing(J, name, &s, out);
}

int64_t j_arg_int(struct jinja *J, struct jval *v) {
    if (v->type == J_UNDEFINED) j_raise(J, JX_TYPE, "'Undefined' object cannot be interpreted as an integer");
    if (!jv_is_int(v)) j_raise(J, JX_TYPE, "'%s' object cannot be interpreted as an integer", jv_type_name(v));
    return jv_as_int(v);
}

int64_t j_arg_size(struct jinja *J, struct jval *v, int64_t if_absent) {
    return !v || v->type == J_NONE ? if_absent : j_arg_int(J, v);
}

struct jval *j_arg_str(struct jinja *J, struct jval *v, const char *what) {
    if (v->type != J_STR) j_raise(J, JX_TYPE, "%s must be str, not %s", what, jv_type_name(v));
    return v;
}

/* Arguments of a call node */

static void add_dynamic(struct jinja *J, struct jargs *out, struct jval *more, size_t *cap) {
    struct jval *item;
    if (!jv_is_iterable(more)) j_raise(J, JX_TYPE, "Value after * must be an iterable, not %s", jv_type_name(more));
    for (struct jiter *it = jv_iterate(J, more); (item = jit_next(J, it));) {
        out->pos = j_grow(J, out->pos, out->n_pos, cap, sizeof *out->pos);
        out->pos[out->n_pos++] = item;
    }
}

static void add_keyword(struct jinja *J, struct jargs *out, struct view name, struct jval *v, size_t *cap) {
    for (size_t i = 0; i < out->n_kw; i++)
        if (view_eq(out->kw[i].name, name)) j_raise(J, JX_TYPE, "got multiple values for keyword argument '%.*s'", VIEW_ARG(name));
    out->kw = j_grow(J, out->kw, out->n_kw, cap, sizeof *out->kw);
    out->kw[out->n_kw].name = name;
    out->kw[out->n_kw++].val = v;
}

void ev_args(struct jinja *J, const struct jnode *n, struct jact *act, struct jargs *out, size_t n_before) {
    size_t cap_pos = n->list.n + n_before, cap_kw = n->list2.n;
    *out = (struct jargs){.n_pos = n_before};
    out->pos = cap_pos ? j_alloc(J, cap_pos, sizeof *out->pos) : NULL;
    out->kw = cap_kw ? j_alloc(J, cap_kw, sizeof *out->kw) : NULL;
    for (size_t i = 0; i < n->list.n; i++) out->pos[out->n_pos++] = ev(J, n->list.v[i], act);
    for (size_t i = 0; i < n->list2.n; i++)
        add_keyword(J, out, js_view(n->list2.v[i]->konst), ev(J, n->list2.v[i]->a, act), &cap_kw);
    if (n->b) add_dynamic(J, out, ev(J, n->b, act), &cap_pos);
    if (!n->c) return;
    struct jval *more = ev(J, n->c, act);
    if (more->type != J_DICT && more->type != J_NAMESPACE) 
        j_raise(J, JX_TYPE, "jinja2.sandbox.SandboxedEnvironment.call() argument after ** must be a mapping, not %s", jv_type_name(more));
    for (size_t i = 0; i < more->u.d.n; i++) {
        if (more->u.d.v[i].key->type != J_STR) j_raise(J, JX_TYPE, "keywords must be strings");
        add_keyword(J, out, js_view(more->u.d.v[i].key), more->u.d.v[i].val, &cap_kw);
    }
}

/* Macros: jinja2's Macro.__call__ */

static struct jval *take_keyword(struct jargs *args, struct view name) {
    for (size_t i = 0; i < args->n_kw; i++) {
        if (!args->kw[i].val || !view_eq(args->kw[i].name, name)) continue;
        struct jval *v = args->kw[i].val;
        args->kw[i].val = NULL; /* taken */
        return v;
    }
    return NULL;
}

static void give_keywords(struct jinja *J, const struct jnode *n, struct jargs *args, struct jval **slot, const char *name) {
    struct jval *rest = jv_dict(J);
    for (size_t i = 0; i < args->n_kw; i++) {
        if (!args->kw[i].val) continue;
        if (n->c) jd_set(J, &rest->u.d, js_new(J, args->kw[i].name), args->kw[i].val);
        else if (view_eq(args->kw[i].name, VIEW("caller")))
            j_raise(J, JX_TYPE, "macro %s was invoked with two values for the special caller argument. This is most likely a bug.", name);
        else j_raise(J, JX_TYPE, "macro %s takes no keyword argument %s", name, jv_repr_c(J, js_new(J, args->kw[i].name)));
    }
    if (n->c) *slot = rest;
}

static void bind_macro(struct jinja *J, const struct jnode *n, struct jargs *args, struct jact *act) {
    size_t n_params = n->list3.n;
    const char *name = n->name < 0 ? "None" : jv_repr_c(J, js_new(J, J->names[n->name]));
    for (size_t i = 0; i < n_params; i++) {
        struct jval *v = i < args->n_pos ? args->pos[i] : take_keyword(args, J->names[n->list3.v[i]->name]);
        *j_slot(act, n->list3.v[i]->ref) = v ? v : &jv_missing;
    }
    if (n->b) {
        struct jval *caller = take_keyword(args, VIEW("caller"));
        bool given = caller && caller->type != J_NONE;
        *j_slot(act, n->b->ref) = given ? caller : jv_undefined_hint(J, "No caller defined", JX_UNDEFINED);
    }
    give_keywords(J, n, args, n->c ? j_slot(act, n->c->ref) : NULL, name);
    if (n->d) {
        struct jval *rest = jv_tuple(J, args->n_pos > n_params ? args->n_pos - n_params : 0);
        for (size_t i = 0; i < rest->u.l.n; i++) rest->u.l.v[i] = args->pos[n_params + i];
        *j_slot(act, n->d->ref) = rest;
    } else if (args->n_pos > n_params) {
        j_raise(J, JX_TYPE, "macro %s takes not more than %zu argument(s)", name, n_params);
    }
}

static void default_params(struct jinja *J, const struct jnode *n, struct jact *act) {
    for (size_t i = 0; i < n->list3.n; i++) {
        struct jval **slot = j_slot(act, n->list3.v[i]->ref);
        if ((*slot)->type != J_MISSING) continue;
        size_t from_end = n->list3.n - i;
        if (from_end <= n->list2.n) {
            *slot = ev(J, n->list2.v[n->list2.n - from_end], act);
        } else {
            struct jsb b = {0};
            struct jval *param = js_new(J, J->names[n->list3.v[i]->name]);
            jsb_puts(J, &b, "parameter ");
            jr_repr(J, &b, param);
            jsb_puts(J, &b, " was not provided");
            jsb_putc(J, &b, 0);
            *slot = jv_undefined_hint(J, b.ptr, JX_UNDEFINED);
        }
    }
}

void ex_enter_scope(struct jinja *J, const struct jscope *scope, struct jact *act);

static struct jval *ex_macro(struct jinja *J, struct jval *macro, struct jargs *args) {
    const struct jnode *n = macro->u.macro.node;
    struct jact *act = j_activate(J, n->fn, macro->u.macro.closure);
    struct jsb text = {0}, *out = J->out;
    j_enter(J);
    bind_macro(J, n, args, act);
    ex_enter_scope(J, n->scope, act);
    J->out = &text;
    default_params(J, n, act);
    ex_block(J, &n->list, act);
    J->out = out;
    j_leave(J);
    struct jval *r = jsb_done(J, &text);
    return J->autoescape ? js_safe(J, r) : r;
}

/* Everything that can be called */

struct jval *j_call_row(struct jinja *J, const struct jfunc_row *row, struct jval *self, struct jargs *args) {
    j_enter(J);
    struct jval *r = row->fn(J, self, args);
    j_leave(J);
    return r;
}

static struct jval *call_loop(struct jinja *J, struct jval *loop, struct jargs *args) {
    struct jloop *l = loop->u.loop;
    struct jval *v[J_BIND_MAX];
    static const struct jfunc_row row = {.name = "LoopContext.__call__", .sig = "@iterable"};
    j_bind(J, &row, args, v);
    if (!l->recurse) j_raise(J, JX_TYPE, "The loop must have the 'recursive' marker to be called recursively.");
    return ex_recurse(J, l->recurse, l->closure, v[0], l->depth0 + 1);
}

static struct jval *call_method(struct jinja *J, const struct jfunc_row *row, struct jval *self, struct jargs *args) {
    J->method = row->name;
    J->method_type = jv_type_name(self);
    struct jval *r = j_call_row(J, row, self, args);
    return self->type == J_STR && self->u.s.safe && r->type == J_STR ? js_safe(J, r) : r;
}

struct jval *j_call(struct jinja *J, struct jval *callee, struct jargs *args) {
    j_step(J, 1);
    switch ((enum jtype)callee->type) {
    case J_UNDEFINED: jv_fail_undefined(J, callee);
    case J_MACRO: return ex_macro(J, callee, args);
    case J_FUNC: return j_call_row(J, callee->u.func, NULL, args);
    case J_METHOD: return call_method(J, callee->u.method.row, callee->u.method.self, args);
    case J_LOOP: return call_loop(J, callee, args);
    case J_JOINER:
        if (args->n_pos || args->n_kw) j_raise(J, JX_TYPE, "Joiner.__call__() takes 1 positional argument but %zu were given", args->n_pos + args->n_kw + 1);
        if (callee->u.joiner.used) return callee->u.joiner.sep;
        callee->u.joiner.used = true;
        return &jv_empty;
    default: j_raise(J, JX_TYPE, "'%s' object is not callable", jv_type_name(callee));
    }
}

/* By name: map, select and their kin */

static _Noreturn void fail_unknown(struct jinja *J, const char *kind, struct jval *name) {
    if (name->type != J_UNDEFINED) j_raise(J, JX_RUNTIME, "No %s named %s.", kind, jv_repr_c(J, name));
    struct jval *message = name->u.undef.hint ? js_lit(J, name->u.undef.hint) : NULL;
    struct jsb b = {0};
    if (!message) {
        jr_repr(J, &b, name->u.undef.name);
        jsb_puts(J, &b, name->u.undef.obj ? " is not an attribute" : " is undefined");
        message = jsb_done(J, &b);
    }
    j_raise(J, JX_RUNTIME, "No %s named Undefined. (%.*s; did you forget to quote the callable name?)", kind, VIEW_ARG(js_view(message)));
}

static struct jargs prepend(struct jinja *J, struct jval *v, const struct jargs *args) {
    struct jargs all = *args;
    all.pos = j_alloc(J, args->n_pos + 1, sizeof *all.pos);
    all.pos[0] = v;
    if (args->n_pos) memcpy(all.pos + 1, args->pos, args->n_pos * sizeof *all.pos);
    all.n_pos++;
    return all;
}

struct jval *j_call_filter(struct jinja *J, struct jval *name, struct jval *v, struct jargs *args) {
    const struct jfunc_row *row = name->type == J_STR ? jinja_filter(js_view(name)) : NULL;
    struct jargs all = prepend(J, v, args);
    if (!row) fail_unknown(J, "filter", name);
    return j_call_row(J, row, NULL, &all);
}

bool j_call_test(struct jinja *J, struct jval *name, struct jval *v, struct jargs *args) {
    const struct jfunc_row *row = name->type == J_STR ? jinja_test(js_view(name)) : NULL;
    struct jargs all = prepend(J, v, args);
    if (!row) fail_unknown(J, "test", name);
    return jv_truth(J, j_call_row(J, row, NULL, &all));
}
