/* exec.c -- running statements. Variables lie on a stack and are found by name from its top, as text/template finds them. */
#include "text/gotmpl/gotmpl_int.h"

static enum jflow run_list(struct grun *r, struct gval *dot, const struct glist *l);

void gx_push(struct grun *r, struct view name, struct gval *val) {
    r->vars = j_grow(r->J, r->vars, r->n_vars, &r->cap_vars, sizeof *r->vars);
    r->vars[r->n_vars++] = (struct gvar){name, val};
}

/* Range */

/* The variables of a range are the last on the stack; with "=" they are others, wherever they are. */
static void set_range_vars(struct grun *r, const struct gnode *pipe, struct gval *index, struct gval *item) {
    size_t n = pipe->names.n;
    struct gval *vals[2] = {n == 2 ? index : item, item};
    for (size_t i = 0; i < n; i++) {
        size_t at = r->n_vars;
        if (!pipe->is_assign) at -= n - i;
        else
            do at--;
            while (!view_eq(r->vars[at].name, pipe->names.v[i])); /* gx_pipe has found it */
        r->vars[at].val = vals[i];
    }
}

static enum jflow run_item(struct grun *r, const struct gnode *n, struct gval *index, struct gval *item) {
    size_t n_vars = r->n_vars;
    j_step(r->J, 1);
    set_range_vars(r, n->pipe, index, item);
    enum jflow flow = run_list(r, item, n->body);
    r->n_vars = n_vars;
    return flow;
}

static struct gval *item_of(struct jinja *J, struct gval *v, int64_t i, struct gval **index) {
    *index = v->kind == G_MAP ? gv_str(J, &v->u.map.v[i].key) : gv_int(J, i);
    if (v->kind == G_INT) return *index;
    return v->kind == G_MAP ? v->u.map.v[i].val : v->u.list.v[i];
}

static enum jflow run_range(struct grun *r, struct gval *dot, const struct gnode *n) {
    struct gval *v = gx_pipe(r, dot, n->pipe), *index;
    bool can = v->kind == G_LIST || v->kind == G_NIL || v->kind == G_INT || (v->kind == G_MAP && !(v->type && v->type->is_opaque));
    if (!can) j_raise_line(r->J, n->line, JX_TYPE, "range can't iterate over %s", gv_type_name(v));
    if (v->kind == G_INT && n->pipe->names.n == 2) j_raise_line(r->J, n->line, JX_TYPE, "range over a number has one variable");
    int64_t n_items = v->kind == G_LIST ? (int64_t)v->u.list.n : v->kind == G_MAP ? (int64_t)v->u.map.n : v->kind == G_INT ? v->u.i : 0;
    for (int64_t i = 0; i < n_items; i++) {
        struct gval *item = item_of(r->J, v, i, &index);
        if (run_item(r, n, index, item) == FLOW_BREAK) break;
    }
    if (n_items <= 0 && n->other) run_list(r, dot, n->other);
    return FLOW_ON;
}

/* Statements */

static enum jflow run_branch(struct grun *r, struct gval *dot, const struct gnode *n) {
    struct gval *v = gx_pipe(r, dot, n->pipe);
    if (gv_truth(v)) return run_list(r, n->kind == GN_WITH ? v : dot, n->body);
    return n->other ? run_list(r, dot, n->other) : FLOW_ON;
}

static void run_action(struct grun *r, struct gval *dot, const struct gnode *n) {
    struct gval *v = gx_pipe(r, dot, n->pipe);
    if (n->pipe->names.n) return;
    if (v->kind == G_NIL) jsb_puts(r->J, r->J->out, "<no value>");
    else gv_print(r->J, r->J->out, v, 0);
}

static void run_template(struct grun *r, struct gval *dot, const struct gnode *n) {
    const struct gdefine *found = NULL;
    for (size_t i = 0; i < r->program->n_defines; i++)
        if (view_eq(r->program->defines[i].name, n->text)) found = &r->program->defines[i]; /* the last of a name counts */
    if (!found) j_raise_line(r->J, n->line, JX_RUNTIME, "template \"%.*s\": not defined", VIEW_ARG(n->text));
    struct gval *v = n->pipe ? gx_pipe(r, dot, n->pipe) : &gv_none;
    struct grun inner = {.J = r->J, .program = r->program, .cut = SIZE_MAX, .is_last = r->is_last};
    gx_push(&inner, VIEW("$"), v);
    run_list(&inner, v, found->body);
}

static enum jflow run_node(struct grun *r, struct gval *dot, const struct gnode *n) {
    size_t n_vars = r->n_vars;
    enum jflow flow = FLOW_ON;
    switch ((enum gnode_kind)n->kind) {
    case GN_TEXT: jsb_add(r->J, r->J->out, n->text); break;
    case GN_ACTION: run_action(r, dot, n); return FLOW_ON; /* its variables stay */
    case GN_IF:
    case GN_WITH: flow = run_branch(r, dot, n); break;
    case GN_RANGE: flow = run_range(r, dot, n); break;
    case GN_TEMPLATE: run_template(r, dot, n); break;
    case GN_BREAK: return FLOW_BREAK;
    default: return FLOW_CONTINUE;
    }
    r->n_vars = n_vars;
    return flow;
}

static enum jflow run_list(struct grun *r, struct gval *dot, const struct glist *l) {
    enum jflow flow = FLOW_ON;
    j_enter(r->J);
    for (size_t i = 0; i < l->n && flow == FLOW_ON; i++) {
        if (l->v[i]->order > r->cut) break;
        j_step(r->J, 1);
        r->J->line = l->v[i]->line;
        flow = run_node(r, dot, l->v[i]);
    }
    j_leave(r->J);
    return flow;
}

void gx_run(struct grun *r, struct gval *data, bool is_cut) {
    const struct gprogram *g = r->program;
    r->n_vars = 0;
    r->cut = is_cut ? g->cut : SIZE_MAX;
    r->is_last = is_cut;
    gx_push(r, VIEW("$"), data);
    run_list(r, data, g->body);
    if (g->has_messages || g->has_response) return;
    struct gval *response = gv_get(data, VIEW("Response")); /* where a template does not say it, it comes last */
    if (response) gv_print(r->J, r->J->out, response, 0);
}
