/* exec.c -- running statements: text goes to J->out. */
#include "text/jinja/jinja_int.h"

void ex_enter_scope(struct jinja *J, const struct jscope *scope, struct jact *act);

static struct jval *resolve(struct jinja *J, int name) {
    struct jval *v = J->exported ? jd_get_view(J, &J->exported->u.d, J->names[name]) : NULL;
    if (!v) v = jd_get_view(J, &J->globals->u.d, J->names[name]);
    return v ? v : &jv_missing;
}

void ex_enter_scope(struct jinja *J, const struct jscope *scope, struct jact *act) {
    for (size_t i = 0; i < scope->n; i++) {
        const struct jload *l = &scope->v[i];
        if (l->action == LOAD_RESOLVE) act->slot[l->slot] = resolve(J, l->name);
        else if (l->action == LOAD_ALIAS) act->slot[l->slot] = *j_slot(act, l->from);
        else if (l->action == LOAD_UNDEFINED) act->slot[l->slot] = &jv_missing;
    }
    j_step(J, 1 + scope->n / 4);
}

static void leave_scope(const struct jscope *scope, struct jact *act) {
    for (size_t i = 0; i < scope->n; i++) act->slot[scope->v[i].slot] = &jv_missing;
}

static void write(struct jinja *J, struct jval *v) {
    if (J->autoescape) v = js_escape(J, v);
    jr_str(J, J->out, v);
}

/* Assignment */

static void assign(struct jinja *J, const struct jnode *target, struct jval *v, struct jact *act);

static void unpack(struct jinja *J, const struct jblock *targets, struct jval *v, struct jact *act) {
    if (!jv_is_iterable(v)) j_raise(J, JX_TYPE, "cannot unpack non-iterable %s object", jv_type_name(v));
    struct jiter *it = jv_iterate(J, v);
    struct jval **items = j_alloc(J, targets->n, sizeof *items);
    for (size_t i = 0; i < targets->n; i++) {
        items[i] = jit_next(J, it);
        if (!items[i]) j_raise(J, JX_VALUE, "not enough values to unpack (expected %zu, got %zu)", targets->n, i);
    }
    if (jit_next(J, it)) j_raise(J, JX_VALUE, "too many values to unpack (expected %zu)", targets->n);
    for (size_t i = 0; i < targets->n; i++) assign(J, targets->v[i], items[i], act);
}

static struct jval *namespace_of(struct jinja *J, const struct jnode *target, struct jact *act) {
    struct jval *ns = *j_slot(act, target->ref);
    if (!ns || ns->type != J_NAMESPACE) j_raise(J, JX_RUNTIME, "cannot assign attribute on non-namespace object");
    return ns;
}

static void assign(struct jinja *J, const struct jnode *target, struct jval *v, struct jact *act) {
    j_enter(J);
    if (target->kind == N_TUPLE) unpack(J, &target->list, v, act);
    else if (target->kind == N_NSREF) jd_set(J, &namespace_of(J, target, act)->u.d, target->konst, v);
    else *j_slot(act, target->ref) = v;
    j_leave(J);
}

static void export_target(struct jinja *J, const struct jnode *target, struct jact *act) { /* blocks see top-level variables */
    for (size_t i = 0; target->kind == N_TUPLE && i < target->list.n; i++) export_target(J, target->list.v[i], act);
    if (target->kind == N_NAME) jd_set(J, &J->exported->u.d, js_new(J, J->names[target->name]), *j_slot(act, target->ref));
}

static void ex_set(struct jinja *J, const struct jnode *n, struct jact *act) {
    if (n->a->kind == N_NSREF) namespace_of(J, n->a, act);
    assign(J, n->a, ev(J, n->b, act), act);
    if (n->flag3 && J->exported) export_target(J, n->a, act);
}

/* Runs a body with its text going to `text`. */
static enum jflow capture(struct jinja *J, const struct jblock *body, struct jact *act, struct jsb *text) {
    struct jsb *out = J->out;
    J->out = text;
    enum jflow flow = ex_block(J, body, act);
    J->out = out;
    return flow;
}

static struct jval *captured(struct jinja *J, struct jsb *text) {
    struct jval *v = jsb_done(J, text);
    return J->autoescape ? js_safe(J, v) : v;
}

static enum jflow ex_set_block(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jsb text = {0};
    ex_enter_scope(J, n->scope, act);
    enum jflow flow = capture(J, &n->list, act, &text);
    if (flow != FLOW_ON) return flow;
    struct jval *v = captured(J, &text);
    if (n->a->kind == N_NSREF) namespace_of(J, n->a, act);
    if (n->b) v = ex_filter_node(J, n->b, v, act);
    assign(J, n->a, v, act);
    leave_scope(n->scope, act);
    if (n->flag3 && J->exported) export_target(J, n->a, act);
    return FLOW_ON;
}

static enum jflow ex_filter_block(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jsb text = {0};
    ex_enter_scope(J, n->scope, act);
    enum jflow flow = capture(J, &n->list, act, &text);
    if (flow != FLOW_ON) return flow;
    jr_str(J, J->out, ex_filter_node(J, n->a, captured(J, &text), act));
    leave_scope(n->scope, act);
    return FLOW_ON;
}

static enum jflow ex_with(struct jinja *J, const struct jnode *n, struct jact *act) {
    ex_enter_scope(J, n->scope, act);
    for (size_t i = 0; i < n->list3.n; i++) assign(J, n->list3.v[i], ev(J, n->list2.v[i], act), act);
    enum jflow flow = ex_block(J, &n->list, act);
    if (flow == FLOW_ON) leave_scope(n->scope, act);
    return flow;
}

static enum jflow ex_autoescape(struct jinja *J, const struct jnode *n, struct jact *act) {
    bool was = J->autoescape;
    ex_enter_scope(J, n->scope, act);
    J->autoescape = jv_truth(J, ev(J, n->a, act));
    enum jflow flow = ex_block(J, &n->list, act);
    J->autoescape = was;
    return flow;
}

/* Loops */

struct filter_state {
    const struct jnode *loop;
    struct jact *act;
};

static struct jval *next_filtered(struct jinja *J, struct jiter *it) {
    struct filter_state *s = it->state;
    struct jval *v;
    while ((v = jit_next(J, it->in))) {
        assign(J, s->loop->list3.v[0], v, s->act);
        if (jv_truth(J, ev(J, s->loop->c, s->act))) return v;
    }
    return NULL;
}

static struct jval *filtered(struct jinja *J, const struct jnode *n, struct jval *iterable, struct jact *closure) {
    struct filter_state *s = j_alloc(J, 1, sizeof *s);
    struct jval *v = jv_iter(J, "generator", next_filtered);
    s->loop = n;
    s->act = j_activate(J, n->fn2, closure);
    ex_enter_scope(J, n->scope3, s->act);
    v->u.it.in = jv_iterate(J, iterable);
    v->u.it.state = s;
    return v;
}

static struct jval *make_loop(struct jinja *J, const struct jnode *n, struct jval *iterable, struct jact *closure, int64_t depth0) {
    struct jval *v = j_alloc(J, 1, sizeof *v);
    struct jloop *l = j_alloc(J, 1, sizeof *l);
    *l = (struct jloop){.iterable = iterable, .it = jv_iterate(J, iterable), .index0 = -1, .depth0 = depth0, .length = -1};
    l->recurse = n->flag ? n : NULL;
    l->closure = closure;
    v->type = J_LOOP;
    v->u.loop = l;
    return v;
}

static struct jval *loop_next(struct jinja *J, struct jloop *l) {
    struct jval *v = l->has_after ? l->after : jit_next(J, l->it);
    l->has_after = false;
    if (!v) return NULL;
    l->index0++;
    l->before = l->current;
    l->current = v;
    return v;
}

/* act: where the loop's variables are; closure: the activation around the loop. */
static enum jflow run_loop(struct jinja *J, const struct jnode *n, struct jact *act, struct jact *closure, struct jval *iterable, int64_t depth0) {
    struct jval *v, *source = n->c ? filtered(J, n, iterable, closure) : iterable, *loop = n->d ? make_loop(J, n, source, closure, depth0) : NULL;
    struct jiter *it = loop ? NULL : jv_iterate(J, source);
    bool none_done = true; /* jinja2 clears its flag at the end of the body: a turn left by continue does not count */
    while ((v = loop ? loop_next(J, loop->u.loop) : jit_next(J, it))) {
        assign(J, n->a, v, act);
        if (loop) *j_slot(act, n->d->ref) = loop;
        ex_enter_scope(J, n->scope, act);
        enum jflow flow = ex_block(J, &n->list, act);
        if (flow == FLOW_BREAK) break;
        if (flow == FLOW_ON) none_done = false;
    }
    if (!n->flag || n->list2.n) leave_scope(n->scope, act);
    if (!n->list2.n || !none_done) return FLOW_ON;
    ex_enter_scope(J, n->scope2, act);
    enum jflow flow = ex_block(J, &n->list2, act);
    leave_scope(n->scope2, act);
    return flow;
}

struct jval *ex_recurse(struct jinja *J, const struct jnode *n, struct jact *closure, struct jval *iterable, int64_t depth0) {
    struct jsb text = {0}, *out = J->out;
    struct jact *act = j_activate(J, n->fn, closure);
    j_enter(J);
    J->out = &text;
    run_loop(J, n, act, closure, iterable, depth0);
    J->out = out;
    j_leave(J);
    return captured(J, &text);
}

static enum jflow ex_for(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jval *iterable = ev(J, n->b, act);
    if (!n->flag) return run_loop(J, n, act, act, iterable, 0);
    jr_str(J, J->out, ex_recurse(J, n, act, iterable, 0));
    return FLOW_ON;
}

/* The rest */

static enum jflow ex_if(struct jinja *J, const struct jnode *n, struct jact *act) {
    if (jv_truth(J, ev(J, n->a, act))) return ex_block(J, &n->list, act);
    for (size_t i = 0; i < n->list3.n; i++)
        if (jv_truth(J, ev(J, n->list3.v[i]->a, act))) return ex_block(J, &n->list3.v[i]->list, act);
    return ex_block(J, &n->list2, act);
}

static struct jval *make_macro(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jval *v = j_alloc(J, 1, sizeof *v);
    v->type = J_MACRO;
    v->u.macro.node = n;
    v->u.macro.closure = act;
    return v;
}

static void ex_macro_def(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jval *v = make_macro(J, n, act);
    *j_slot(act, n->ref) = v;
    if (n->flag3 && J->exported) jd_set(J, &J->exported->u.d, js_new(J, J->names[n->name]), v);
}

static void ex_call_block(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jval *caller = make_macro(J, n, act), *callee;
    struct jargs args = {0};
    if (!n->a) { /* {% generation %} */
        jr_str(J, J->out, j_call(J, caller, &args));
        return;
    }
    callee = ev(J, n->a->a, act);
    ev_args(J, n->a, act, &args, 0);
    size_t cap = args.n_kw;
    for (size_t i = 0; i < args.n_kw; i++)
        if (view_eq(args.kw[i].name, VIEW("caller"))) j_raise(J, JX_TYPE, "got multiple values for keyword argument 'caller'");
    args.kw = j_grow(J, args.kw, args.n_kw, &cap, sizeof *args.kw);
    args.kw[args.n_kw].name = VIEW("caller");
    args.kw[args.n_kw++].val = caller;
    jr_str(J, J->out, j_call(J, callee, &args));
}

static struct jval *ex_named_block(struct jinja *J, const struct jnode *n) {
    struct jsb text = {0};
    struct jact *act = j_activate(J, n->fn, NULL);
    ex_enter_scope(J, n->scope, act);
    j_enter(J);
    capture(J, &n->list, act, &text);
    j_leave(J);
    return captured(J, &text);
}

/* A block where it stands; a scoped one finds the variables around it like those of the top level. */
static void ex_here(struct jinja *J, const struct jnode *n, struct jact *act) {
    struct jval *outer = J->exported;
    if (n->list3.n && outer) {
        J->exported = jv_dict(J);
        for (size_t i = 0; i < outer->u.d.n; i++) jd_set(J, &J->exported->u.d, outer->u.d.v[i].key, outer->u.d.v[i].val);
        for (size_t i = 0; i < n->list3.n; i++) {
            struct jval *v = *j_slot(act, n->list3.v[i]->ref);
            if (v) jd_set(J, &J->exported->u.d, js_new(J, J->names[n->list3.v[i]->name]), v);
        }
    }
    jr_str(J, J->out, ex_named_block(J, n));
    J->exported = outer;
}

static void ex_output(struct jinja *J, const struct jnode *n, struct jact *act) {
    for (size_t i = 0; i < n->list.n; i++) {
        const struct jnode *c = n->list.v[i];
        if (c->flag && c->kind == N_CONST) jsb_add(J, J->out, js_view(c->konst)); /* the template's own text */
        else write(J, ev(J, c, act));
    }
}

static enum jflow ex_node(struct jinja *J, const struct jnode *n, struct jact *act) {
    switch ((enum jkind)n->kind) {
    case N_OUTPUT: ex_output(J, n, act); return FLOW_ON;
    case N_FOR: return ex_for(J, n, act);
    case N_IF: return ex_if(J, n, act);
    case N_SET: ex_set(J, n, act); return FLOW_ON;
    case N_SETBLOCK: return ex_set_block(J, n, act);
    case N_MACRO: ex_macro_def(J, n, act); return FLOW_ON;
    case N_CALLBLOCK: ex_call_block(J, n, act); return FLOW_ON;
    case N_FILTERBLOCK: return ex_filter_block(J, n, act);
    case N_WITH: return ex_with(J, n, act);
    case N_AUTOESCAPE: return ex_autoescape(J, n, act);
    case N_BLOCK:
        if (n->flag2) j_raise(J, JX_RUNTIME, "Required block %s not found", jv_repr_c(J, js_new(J, J->names[n->name])));
        ex_here(J, n, act);
        return FLOW_ON;
    case N_LOADER: j_raise(J, JX_TYPE, "no loader for this environment specified");
    case N_BREAK: return FLOW_BREAK;
    case N_CONTINUE: return FLOW_CONTINUE;
    default: assert_failed("a statement", __FILE__, __LINE__);
    }
}

enum jflow ex_block(struct jinja *J, const struct jblock *b, struct jact *act) {
    enum jflow flow = FLOW_ON;
    j_enter(J);
    for (size_t i = 0; i < b->n && flow == FLOW_ON; i++) {
        j_step(J, 1);
        J->line = b->v[i]->line;
        flow = ex_node(J, b->v[i], act);
    }
    j_leave(J);
    return flow;
}

void ex_program(struct jinja *J, const struct jprogram *prog) {
    struct jact *act = j_activate(J, prog->fn, NULL);
    if (prog->blocks.n) J->exported = jv_dict(J);
    ex_enter_scope(J, prog->scope, act);
    ex_block(J, &prog->body, act);
}
