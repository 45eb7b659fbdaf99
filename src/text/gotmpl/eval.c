/* eval.c -- pipelines, fields and calls. */
#include "text/gotmpl/gotmpl_int.h"

/* Fields */

static struct gval *field_of_struct(struct jinja *J, struct gval *v, struct view name) {
    const struct gfield *f = v->type->fields;
    for (size_t i = 0; f[i].name; i++)
        if (view_eq(view_of(f[i].name), name)) return v->u.list.v[i];
    if (v->type == &gt_property && view_eq(name, VIEW("ToTypeScriptType"))) return gf_find(VIEW("toTypeScriptType"))->fn(J, &v, 1);
    j_raise(J, JX_ATTRIBUTE, "can't evaluate field %.*s in %s", VIEW_ARG(name), v->type->name);
}

static struct gval *field_of(struct grun *r, struct gval *v, struct view name) {
    struct jinja *J = r->J;
    j_step(J, 1);
    if (v->kind == G_NIL && v->is_any) j_raise(J, JX_ATTRIBUTE, "nil pointer evaluating interface {}.%.*s", VIEW_ARG(name));
    if (v->kind == G_NIL) return &gv_none;
    if (v->kind == G_STRUCT) return field_of_struct(J, v, name);
    if (v->kind != G_MAP || (v->type && v->type->is_opaque)) j_raise(J, JX_ATTRIBUTE, "can't evaluate field %.*s in %s", VIEW_ARG(name), gv_type_name(v));
    struct gval *found = gv_get(v, name);
    if (found) return found;
    return r->is_last ? &gv_none : v->type == &gt_properties ? gv_property_none(J) : &gv_any;
}

static struct gval *fields_of(struct grun *r, struct gval *v, const struct gnames *names, size_t from) {
    for (size_t i = from; i < names->n; i++) v = field_of(r, v, names->v[i]);
    return v;
}

static struct gval **find_var(struct grun *r, struct view name) {
    j_step(r->J, r->n_vars / 16);
    for (size_t i = r->n_vars; i-- > 0;)
        if (view_eq(r->vars[i].name, name)) return &r->vars[i].val;
    j_raise(r->J, JX_UNDEFINED, "undefined variable: %.*s", VIEW_ARG(name));
}

/* An operand, whether it is an argument or a command's only word. */
struct gval *gx_operand(struct grun *r, struct gval *dot, const struct gnode *n) {
    struct gval *v;
    switch ((enum gnode_kind)n->kind) {
    case GN_DOT: return dot;
    case GN_NIL: return &gv_any;
    case GN_CONST: return n->konst;
    case GN_FIELD: return fields_of(r, dot, &n->names, 0);
    case GN_VARIABLE: return fields_of(r, *find_var(r, n->names.v[0]), &n->names, 1);
    case GN_PIPE: return gx_pipe(r, dot, n);
    case GN_CHAIN:
        if (n->pipe->kind == GN_NIL) j_raise(r->J, JX_ATTRIBUTE, "nil has no fields");
        v = gx_operand(r, dot, n->pipe);
        return fields_of(r, v, &n->names, 0);
    default: {
        struct gnode *self = (struct gnode *)(uintptr_t)n;
        const struct gnode command = {.kind = GN_COMMAND, .kids = {&self, 1, 1}};
        return gx_call(r, dot, &command, NULL);
    }
    }
}

/* Calls */

static struct gval *call_lazy(struct grun *r, struct gval *dot, const struct gnode *command, struct gval *final, bool is_or) {
    struct gval *v = &gv_none;
    for (size_t i = 1; i < command->kids.n; i++) {
        v = gx_operand(r, dot, command->kids.v[i]);
        if (gv_truth(v) == is_or) return v;
    }
    return final ? final : v;
}

struct gval *gx_call(struct grun *r, struct gval *dot, const struct gnode *command, struct gval *final) {
    const struct gnode *word = command->kids.v[0];
    const struct gfunc *f = word->func;
    size_t n = command->kids.n - 1 + (final != NULL);
    struct gval **args = j_alloc(r->J, n ? n : 1, sizeof(struct gval *));
    if (n < f->n_min || n > f->n_max) j_raise(r->J, JX_TYPE, "wrong number of args for %s: %zu", f->name, n);
    if (!f->fn) return call_lazy(r, dot, command, final, strcmp(f->name, "or") == 0);
    for (size_t i = 1; i < command->kids.n; i++) args[i - 1] = gx_operand(r, dot, command->kids.v[i]);
    if (final) args[n - 1] = final;
    return f->fn(r->J, args, n);
}

static struct gval *run_command(struct grun *r, struct gval *dot, const struct gnode *command, struct gval *final) {
    const struct gnode *word = command->kids.v[0];
    if (word->kind == GN_FUNCTION) return gx_call(r, dot, command, final);
    if (command->kids.n > 1 || final) j_raise(r->J, JX_TYPE, "can't give argument to what is no function");
    if (word->kind == GN_NIL) j_raise(r->J, JX_TYPE, "nil is not a command");
    return gx_operand(r, dot, word);
}

struct gval *gx_pipe(struct grun *r, struct gval *dot, const struct gnode *n) {
    struct gval *v = NULL;
    j_enter(r->J);
    for (size_t i = 0; i < n->kids.n; i++) {
        j_step(r->J, 1);
        v = run_command(r, dot, n->kids.v[i], v);
        if (v->kind == G_NIL) v = &gv_none;
    }
    for (size_t i = 0; i < n->names.n; i++) {
        if (n->is_assign) *find_var(r, n->names.v[i]) = v;
        else gx_push(r, n->names.v[i], v);
    }
    j_leave(r->J);
    return v;
}
