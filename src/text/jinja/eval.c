/* eval.c -- the value of an expression node. */
#include "text/jinja/jinja_int.h"

struct jval **j_slot(struct jact *act, struct jref ref) {
    for (int i = 0; i < ref.hops; i++) act = act->up;
    return &act->slot[ref.slot];
}

struct jact *j_activate(struct jinja *J, const struct jfn *fn, struct jact *up) {
    struct jact *act = j_alloc(J, 1, sizeof *act);
    act->up = up;
    act->slot = fn->n_vars ? j_alloc(J, fn->n_vars, sizeof *act->slot) : NULL;
    j_step(J, fn->n_vars / 16);
    return act;
}

static struct jval *ev_name(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jval *v = *j_slot(act, n->ref);
    return v && v->type != J_MISSING ? v : jv_undefined(J, J->names[n->name]);
}

static struct jval *ev_items(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jval *l = n->kind == N_LIST ? jv_list(J, n->list.n) : jv_tuple(J, n->list.n);
    for (size_t i = 0; i < n->list.n; i++) l->u.l.v[i] = ev(J, n->list.v[i], act);
    return l;
}

static struct jval *ev_dict(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jval *d = jv_dict(J);
    for (size_t i = 0; i < n->list.n; i++) {
        struct jval *key = ev(J, n->list.v[i], act);
        jd_set(J, &d->u.d, key, ev(J, n->list2.v[i], act));
    }
    return d;
}

static struct jval *ev_cond(struct jinja *J, const struct jnode *n, struct jact *act) {
    if (jv_truth(J, ev(J, n->a, act))) return ev(J, n->b, act);
    if (n->c) return ev(J, n->c, act);
    struct jsb b = {0};
    jsb_printf(J, &b, "the inline if-expression on line %d evaluated to false and no else section was defined.", n->line);
    jsb_putc(J, &b, 0);
    return jv_undefined_hint(J, b.ptr, JX_UNDEFINED);
}

static struct jval *ev_compare(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jval *left = ev(J, n->a, act);
    for (size_t i = 0; i < n->list.n; i++) {
        struct jval *right = ev(J, n->list.v[i]->a, act);
        if (!op_compare(J, (enum jcompare_op)n->list.v[i]->op, left, right)) return &jv_false;
        left = right;
    }
    return &jv_true;
}

static struct jval *ev_concat(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jsb b = {0};
    bool escape = false;
    struct jval **parts = j_alloc(J, n->list.n, sizeof *parts);
    for (size_t i = 0; i < n->list.n; i++) {
        parts[i] = ev(J, n->list.v[i], act);
        escape |= J->autoescape && parts[i]->type == J_STR && parts[i]->u.s.safe;
    }
    for (size_t i = 0; i < n->list.n; i++) jr_str(J, &b, escape ? js_escape(J, parts[i]) : parts[i]);
    struct jval *r = jsb_done(J, &b);
    r->u.s.safe = escape;
    return r;
}

static struct jval *ev_slice(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jval *s = j_alloc(J, 1, sizeof *s);
    s->type = J_SLICE;
    s->u.slice.start = n->a ? ev(J, n->a, act) : &jv_none;
    s->u.slice.stop = n->b ? ev(J, n->b, act) : &jv_none;
    s->u.slice.step = n->c ? ev(J, n->c, act) : &jv_none;
    return s;
}

static struct jval *ev_getitem(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jval *obj = ev(J, n->a, act), *key = ev(J, n->b, act);
    bool folded = n->flag && (obj->type == J_NONE || jv_is_number(obj));
    return n->b->kind == N_SLICE && !folded ? at_slice(J, obj, key) : at_getitem(J, obj, key);
}

static struct jval *ev_call(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jargs args;
    struct jval *callee = ev(J, n->a, act);
    ev_args(J, n, act, &args, 0);
    J->line = n->line;
    return j_call(J, callee, &args);
}

/* A filter or test; input NULL: the node has its own. */
struct jval *ex_filter_node(struct jinja *J, const struct jnode *n, struct jval *input, struct jact *act) {
    struct jargs args;
    j_enter(J);
    struct jval *v = n->a ? n->kind == N_FILTER && n->a->kind == N_FILTER ? ex_filter_node(J, n->a, input, act) : ev(J, n->a, act) : input;
    j_step(J, 1);
    ev_args(J, n, act, &args, 1);
    args.pos[0] = v;
    J->line = n->line;
    if (!n->row) j_raise(J, JX_RUNTIME, "No %s named %s found.", n->kind == N_FILTER ? "filter" : "test", jv_repr_c(J, n->konst));
    j_leave(J);
    return j_call_row(J, n->row, NULL, &args);
}

static struct jval *ev_node(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jval *a;
    switch ((enum jkind)n->kind) {
    case N_CONST: return n->konst;
    case N_NAME: return ev_name(J, n, act);
    case N_LIST:
    case N_TUPLE: return ev_items(J, n, act);
    case N_DICT: return ev_dict(J, n, act);
    case N_COND: return ev_cond(J, n, act);
    case N_OR: return jv_truth(J, a = ev(J, n->a, act)) ? a : ev(J, n->b, act);
    case N_AND: return jv_truth(J, a = ev(J, n->a, act)) ? ev(J, n->b, act) : a;
    case N_NOT: return jv_bool(!jv_truth(J, ev(J, n->a, act)));
    case N_COMPARE: return ev_compare(J, n, act);
    case N_BINARY: return a = ev(J, n->a, act), op_binary(J, (enum jop)n->op, a, ev(J, n->b, act));
    case N_UNARY: return op_unary(J, (char)n->op, ev(J, n->a, act));
    case N_CONCAT: return ev_concat(J, n, act);
    case N_GETATTR: return at_getattr(J, ev(J, n->a, act), n->konst);
    case N_GETITEM: return ev_getitem(J, n, act);
    case N_SLICE: return ev_slice(J, n, act);
    case N_CALL: return ev_call(J, n, act);
    case N_FILTER:
    case N_TEST: return ex_filter_node(J, n, &jv_none, act);
    default: assert_failed("an expression", __FILE__, __LINE__);
    }
}

struct jval *ev(struct jinja *J, const struct jnode *n, struct jact *act) {
    j_enter(J);
    j_step(J, 1);
    J->line = n->line;
    struct jval *v = ev_node(J, n, act);
    j_leave(J);
    return v;
}
