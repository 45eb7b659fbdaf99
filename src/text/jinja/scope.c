/* scope.c -- which variable a name means.
 *
 * Jinja compiles a template to Python functions, and which variable a name means follows from that, sometimes to surprise: a
 * name that is assigned later in a template is not taken from the input before; an assignment in a loop ends with the turn;
 * a macro sees the variables around it as they are when it is called. So this file does what jinja2's idtracking does:
 * each frame (template, loop body, macro, block) has symbols at a level; a variable is a (level, name); on entering a frame its
 * variables are loaded as params, from the input (RESOLVE), from an outer one (ALIAS), or start unset (UNDEFINED).
 * The template, macros, recursive loops and loop filters are functions with their own slots; others share their function's.
 *
 * Fields set: ref of names; scope (body) scope2 (else) scope3 (loop filter); fn, fn2 (filter); N_FOR d: "loop" or NULL, list3: the
 * target bound for the filter; macros b "caller", c "kwargs", d "varargs", each NULL when the body does not use it. */
#include "text/jinja/jinja_int.h"

struct sym {
    int name;
    uint8_t action;
    int from_level;
    bool is_ref, is_store;
};
struct symbols {
    struct symbols *parent;
    int level;
    struct sym *v;
    size_t n, cap;
};
struct frame {
    struct symbols *sym;
    struct jfn *fn;
    bool soft, toplevel, in_loop;
};

static struct symbols *symbols_new(struct jinja *J, struct symbols *parent) {
    struct symbols *s = j_alloc(J, 1, sizeof *s);
    s->parent = parent;
    s->level = parent ? parent->level + 1 : 0;
    return s;
}

static struct sym *find(struct symbols *s, int name) {
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].name == name) return &s->v[i];
    return NULL;
}

static struct sym *entry(struct jinja *J, struct symbols *s, int name) {
    struct sym *e = find(s, name);
    j_step(J, 1 + s->n / 16);
    if (e) return e;
    s->v = j_grow(J, s->v, s->n, &s->cap, sizeof *s->v);
    s->v[s->n] = (struct sym){.name = name};
    return &s->v[s->n++];
}

static int find_ref(struct symbols *s, int name) { /* its level, or -1 */
    for (; s; s = s->parent) {
        struct sym *e = find(s, name);
        if (e && e->is_ref) return s->level;
    }
    return -1;
}

static void define(struct sym *e, enum jaction action, int from_level) {
    e->is_ref = true;
    e->action = (uint8_t)action;
    e->from_level = from_level;
}

static void sym_store(struct jinja *J, struct symbols *s, int name) {
    struct sym *e = entry(J, s, name);
    int outer = find_ref(s->parent, name);
    e->is_store = true;
    if (!e->is_ref) define(e, outer >= 0 ? LOAD_ALIAS : LOAD_UNDEFINED, outer);
}

static void sym_param(struct jinja *J, struct symbols *s, int name) {
    struct sym *e = entry(J, s, name);
    e->is_store = true;
    define(e, LOAD_PARAM, -1);
}

static void sym_load(struct jinja *J, struct symbols *s, int name) {
    if (find_ref(s, name) < 0) define(entry(J, s, name), LOAD_RESOLVE, -1);
}

/* Finding the symbols of a frame */

typedef void visit_fn(struct jinja *J, void *to, struct jnode *n);

static void each(struct jinja *J, const struct jblock *b, visit_fn *fn, void *to) {
    for (size_t i = 0; i < b->n; i++) fn(J, to, b->v[i]);
}

/* The children in the order of jinja2's fields. */
static void each_child(struct jinja *J, struct jnode *n, visit_fn *fn, void *to) {
    struct jnode *const abc[3] = {n->a, n->b, n->c};
    switch ((enum jkind)n->kind) {
    case N_DICT:
        for (size_t i = 0; i < n->list.n; i++) {
            fn(J, to, n->list.v[i]);
            fn(J, to, n->list2.v[i]);
        }
        return;
    case N_CALL:
    case N_FILTER:
    case N_TEST:
        if (n->a) fn(J, to, n->a);
        each(J, &n->list, fn, to);
        each(J, &n->list2, fn, to);
        if (n->b) fn(J, to, n->b);
        if (n->c) fn(J, to, n->c);
        return;
    case N_FOR:
        fn(J, to, n->a);
        fn(J, to, n->b);
        each(J, &n->list, fn, to);
        each(J, &n->list2, fn, to);
        if (n->c) fn(J, to, n->c);
        return;
    case N_FILTERBLOCK:
        each(J, &n->list, fn, to);
        fn(J, to, n->a);
        return;
    case N_IF:
        fn(J, to, n->a);
        each(J, &n->list, fn, to);
        each(J, &n->list3, fn, to);
        each(J, &n->list2, fn, to);
        return;
    default:
        for (int i = 0; i < 3; i++)
            if (abc[i]) fn(J, to, abc[i]);
        each(J, &n->list3, fn, to);
        each(J, &n->list2, fn, to);
        each(J, &n->list, fn, to);
    }
}

static visit_fn visit;

static struct symbols *branch(struct jinja *J, struct symbols *s, const struct jblock *b) {
    struct symbols *copy = j_alloc(J, 1, sizeof *copy);
    *copy = *s;
    copy->cap = s->n;
    copy->v = s->n ? j_alloc(J, s->n, sizeof *copy->v) : NULL;
    if (s->n) memcpy(copy->v, s->v, s->n * sizeof *copy->v);
    each(J, b, visit, copy);
    return copy;
}

/* A name stored in some branches only keeps, where it was not stored, what it had outside. */
static void visit_if(struct jinja *J, struct symbols *s, struct jnode *n) {
    visit(J, s, n->a);
    struct symbols *was = branch(J, s, &(struct jblock){0});
    struct symbols *const branches[3] = {branch(J, s, &n->list), branch(J, s, &n->list3), branch(J, s, &n->list2)};
    for (int b = 0; b < 3; b++)
        for (size_t i = 0; i < branches[b]->n; i++) {
            const struct sym *from = &branches[b]->v[i];
            struct sym *e = entry(J, s, from->name);
            if (from->is_ref) define(e, from->action, from->from_level);
            e->is_store |= from->is_store;
        }
    for (size_t i = 0; i < s->n; i++) {
        struct sym *e = &s->v[i], *old = find(was, e->name);
        int n_stores = 0, outer;
        if (!e->is_store || (old && old->is_store)) continue;
        for (int k = 0; k < 3; k++) {
            struct sym *there = find(branches[k], e->name);
            n_stores += there && there->is_store;
        }
        if (n_stores == 3) continue;
        outer = find_ref(s->parent, e->name);
        define(e, outer >= 0 ? LOAD_ALIAS : LOAD_RESOLVE, outer);
    }
}

static void visit(struct jinja *J, void *to, struct jnode *n) {
    struct symbols *s = to;
    j_enter(J);
    switch ((enum jkind)n->kind) {
    case N_NAME:
        if (n->ctx == CTX_PARAM) sym_param(J, s, n->name);
        else if (n->ctx == CTX_STORE) sym_store(J, s, n->name);
        else sym_load(J, s, n->name);
        break;
    case N_NSREF: sym_load(J, s, n->name); break;
    case N_IF: visit_if(J, s, n); break;
    case N_MACRO: sym_store(J, s, n->name); break;
    case N_SET:
        visit(J, s, n->b);
        visit(J, s, n->a);
        break;
    case N_FOR: visit(J, s, n->b); break;
    case N_CALLBLOCK:
        if (n->a) visit(J, s, n->a);
        break;
    case N_FILTERBLOCK:
    case N_SETBLOCK: visit(J, s, n->a); break;
    case N_WITH: each(J, &n->list2, visit, s); break;
    case N_AUTOESCAPE:
    case N_BLOCK: break;
    default: each_child(J, n, visit, s); break;
    }
    j_leave(J);
}

static void visit_as_param(struct jinja *J, void *to, struct jnode *n) { /* a loop's target */
    if (n->kind == N_NAME) sym_param(J, to, n->name);
    else each_child(J, n, visit_as_param, to);
}

/* Does the body use one of these names before it assigns it? names: set to -1 when assigned first; used: out. */
struct undeclared {
    int names[3];
    bool used[3];
    bool has_scoped; /* a scoped block is in it, which may use any */
};

static void look_undeclared(struct jinja *J, void *to, struct jnode *n) {
    struct undeclared *u = to;
    u->has_scoped |= n->kind == N_BLOCK && n->flag;
    if (n->kind == N_BLOCK) return;
    if (n->kind == N_NAME) {
        for (int i = 0; i < 3; i++)
            if (u->names[i] == n->name) {
                if (n->ctx == CTX_LOAD) u->used[i] = true;
                else u->names[i] = -1;
            }
        return;
    }
    j_enter(J);
    each_child(J, n, look_undeclared, u);
    j_leave(J);
}

static void refuse_loop_target(struct jinja *J, void *to, struct jnode *n) {
    int *loop = to;
    if (n->kind == N_NAME && n->ctx == CTX_STORE && n->name == *loop)
        j_raise_line(J, n->line, JX_ASSERTION, "Can't assign to special loop variable in for-loop target");
    j_enter(J);
    each_child(J, n, refuse_loop_target, to);
    j_leave(J);
}

/* Slots */

static struct jfn *fn_new(struct jinja *J, struct jfn *up, int level) {
    struct jfn *fn = j_alloc(J, 1, sizeof *fn);
    fn->up = up;
    fn->level = level;
    return fn;
}

static struct jref slot_of(struct jinja *J, struct jfn *fn, int level, int name) {
    struct jref ref = {0};
    for (; fn->level > level && fn->up; fn = fn->up) ref.hops++;
    for (size_t i = 0; i < fn->n_vars; i++)
        if (fn->vars[i].level == level && fn->vars[i].name == name) {
            ref.slot = (uint16_t)i;
            return ref;
        }
    if (fn->n_vars >= UINT16_MAX) j_raise(J, JX_LIMIT, "more than %d variables", UINT16_MAX);
    fn->vars = j_grow(J, fn->vars, fn->n_vars, &fn->cap_vars, sizeof *fn->vars);
    fn->vars[fn->n_vars].level = level;
    fn->vars[fn->n_vars].name = name;
    ref.slot = (uint16_t)fn->n_vars++;
    return ref;
}

static struct jscope *scope_of(struct jinja *J, const struct frame *f) {
    struct jscope *scope = j_alloc(J, 1, sizeof *scope);
    scope->v = f->sym->n ? j_alloc(J, f->sym->n, sizeof *scope->v) : NULL;
    for (size_t i = 0; i < f->sym->n; i++) {
        const struct sym *e = &f->sym->v[i];
        if (!e->is_ref) continue;
        struct jload *l = &scope->v[scope->n++];
        *l = (struct jload){.action = e->action, .name = e->name, .slot = slot_of(J, f->fn, f->sym->level, e->name).slot};
        if (e->action == LOAD_ALIAS) l->from = slot_of(J, f->fn, e->from_level, e->name);
    }
    return scope;
}

/* Binding: each node in its frame */

static void bind(struct jinja *J, void *frame, struct jnode *n);

static struct frame inner(struct jinja *J, const struct frame *f, struct jfn *fn) {
    struct frame in = {.sym = symbols_new(J, f->sym), .fn = fn ? fn : f->fn, .in_loop = f->in_loop};
    if (fn) in.in_loop = false;
    return in;
}

static struct jnode *special(struct jinja *J, struct frame *f, const char *name, int line) {
    struct jnode *n = j_alloc(J, 1, sizeof *n);
    n->kind = N_NAME;
    n->ctx = CTX_PARAM;
    n->line = line;
    n->name = j_intern(J, view_of(name));
    sym_param(J, f->sym, n->name);
    return n;
}

static void bind_macro(struct jinja *J, struct frame *f, struct jnode *n) {
    static const char *const names[3] = {"caller", "kwargs", "varargs"};
    struct undeclared u = {.used = {false}};
    struct jnode **const slots[3] = {&n->b, &n->c, &n->d};
    bool declared[3] = {false};
    n->fn = fn_new(J, f->fn, f->sym->level + 1);
    struct frame body = inner(J, f, n->fn);
    each(J, &n->list3, visit, body.sym);
    each(J, &n->list2, visit, body.sym);
    each(J, &n->list, visit, body.sym);
    for (int i = 0; i < 3; i++) u.names[i] = j_intern(J, view_of(names[i]));
    const int caller = u.names[0];
    for (size_t i = 0; i < n->list3.n; i++)
        for (int k = 0; k < 3; k++) declared[k] |= n->list3.v[i]->name == u.names[k];
    each(J, &n->list, look_undeclared, &u);
    for (size_t i = 0; u.used[0] && i + n->list2.n < n->list3.n; i++)
        if (n->list3.v[i]->name == caller)
            j_raise_line(J, n->line, JX_ASSERTION, "When defining macros or call blocks the special \"caller\" argument must be omitted or be given a default.");
    n->flag = u.used[0];
    for (int i = 0; i < 3; i++)
        if (u.used[i] && !declared[i]) *slots[i] = special(J, &body, names[i], n->line);
    n->scope = scope_of(J, &body);
    each(J, &n->list3, bind, &body);
    each(J, &n->list2, bind, &body);
    for (int i = 0; i < 3; i++)
        if (*slots[i]) bind(J, &body, *slots[i]);
    each(J, &n->list, bind, &body);
}

static struct jnode *clone_target(struct jinja *J, const struct jnode *n) {
    struct jnode *copy = j_alloc(J, 1, sizeof *copy);
    *copy = *n;
    copy->list = (struct jblock){.v = n->list.n ? j_alloc(J, n->list.n, sizeof *n->list.v) : NULL, .n = n->list.n};
    for (size_t i = 0; i < n->list.n; i++) copy->list.v[i] = clone_target(J, n->list.v[i]);
    return copy;
}

static void bind_for(struct jinja *J, struct frame *f, struct jnode *n) {
    int loop = j_intern(J, view_of("loop"));
    struct undeclared u = {.names = {loop, -1, -1}};
    n->fn = n->flag ? fn_new(J, f->fn, f->sym->level + 1) : NULL;
    struct frame body = inner(J, f, n->fn), otherwise = inner(J, f, n->fn);
    body.in_loop = true;
    each(J, &n->list, look_undeclared, &u);
    if (n->flag || u.used[0] || u.has_scoped) n->d = special(J, &body, "loop", n->line);
    visit_as_param(J, body.sym, n->a);
    each(J, &n->list, visit, body.sym);
    if (n->list2.n) each(J, &n->list2, visit, otherwise.sym);
    if (n->c) {
        n->fn2 = fn_new(J, f->fn, f->sym->level + 1);
        struct frame test = inner(J, f, n->fn2);
        visit_as_param(J, test.sym, n->a);
        visit(J, test.sym, n->c);
        n->scope3 = scope_of(J, &test);
        struct jnode *target = clone_target(J, n->a), **list = j_alloc(J, 1, sizeof *list);
        bind(J, &test, target);
        bind(J, &test, n->c);
        *list = target;
        n->list3 = (struct jblock){list, 1, 1};
    }
    each_child(J, n, refuse_loop_target, &loop);
    n->scope = scope_of(J, &body);
    bind(J, &body, n->a);
    if (n->d) bind(J, &body, n->d);
    bind(J, f, n->b);
    each(J, &n->list, bind, &body);
    if (!n->list2.n) return;
    n->scope2 = scope_of(J, &otherwise);
    each(J, &n->list2, bind, &otherwise);
}

static void bind_inner(struct jinja *J, struct frame *f, struct jnode *n) { /* frames that share their function */
    struct frame in = inner(J, f, NULL);
    if (n->kind == N_WITH) each(J, &n->list3, visit, in.sym);
    if (n->kind == N_AUTOESCAPE) visit(J, in.sym, n->a);
    each(J, &n->list, visit, in.sym);
    if (n->kind == N_FILTERBLOCK) visit(J, in.sym, n->a);
    n->scope = scope_of(J, &in);
    each(J, &n->list, bind, &in);
    if (n->kind == N_WITH) {
        each(J, &n->list3, bind, &in);
        each(J, &n->list2, bind, f);
    } else if (n->kind == N_SETBLOCK) {
        bind(J, f, n->a);
        if (n->b) bind(J, &in, n->b);
    } else {
        bind(J, &in, n->a);
    }
}

/* A scoped block sees what is assigned around it: list3 has those names, the inner ones first. */
static void bind_scoped(struct jinja *J, struct frame *f, struct jnode *n) {
    for (struct symbols *s = f->sym; s; s = s->parent)
        for (size_t i = 0; i < s->n; i++) {
            size_t k = 0;
            while (k < n->list3.n && n->list3.v[k]->name != s->v[i].name) k++;
            if (!s->v[i].is_store || k < n->list3.n) continue;
            struct jnode *name = j_alloc(J, 1, sizeof *name);
            name->kind = N_NAME;
            name->ctx = CTX_LOAD;
            name->line = n->line;
            name->name = s->v[i].name;
            bind(J, f, name);
            n->list3.v = j_grow(J, n->list3.v, n->list3.n, &n->list3.cap, sizeof *n->list3.v);
            n->list3.v[n->list3.n++] = name;
        }
}

static void bind_block(struct jinja *J, struct frame *outer, struct jnode *n) {
    if (n->flag) bind_scoped(J, outer, n);
    n->fn = fn_new(J, NULL, 0);
    struct frame f = {.sym = symbols_new(J, NULL), .fn = n->fn};
    each(J, &n->list, visit, f.sym);
    n->scope = scope_of(J, &f);
    each(J, &n->list, bind, &f);
}

static void bind_jump(struct jinja *J, const struct frame *f, const struct jnode *n) {
    if (f->in_loop) return;
    j_raise_line(J, n->line, JX_PYTHON_SYNTAX, n->kind == N_BREAK ? "'break' outside loop" : "'continue' not properly in loop");
}

static void bind_call(struct jinja *J, struct frame *f, struct jnode *n) {
    if (n->kind != N_CALL && !n->row && !f->soft)
        j_raise_line(J, n->line, JX_ASSERTION, "No %s named %s.", n->kind == N_FILTER ? "filter" : "test", jv_repr_c(J, n->konst));
    for (size_t i = 0; i < n->list2.n; i++)
        for (size_t k = 0; k < i; k++)
            if (view_eq(js_view(n->list2.v[i]->konst), js_view(n->list2.v[k]->konst)))
                j_raise_line(J, n->line, JX_PYTHON_SYNTAX, "keyword argument repeated: %.*s", VIEW_ARG(js_view(n->list2.v[i]->konst)));
    each_child(J, n, bind, f);
}

/* Printed constants are folded by jinja2 with its own lookups, where slicing what cannot be sliced is undefined and no error. */
static bool is_constant(struct jinja *J, const struct jnode *n) {
    const struct jnode *const abc[3] = {n->a, n->b, n->c};
    bool constant = true;
    if (n->kind > N_SLICE || n->kind == N_NAME || n->kind == N_NSREF) return false;
    j_enter(J);
    for (int i = 0; i < 3; i++) constant = constant && (!abc[i] || is_constant(J, abc[i]));
    for (size_t i = 0; constant && i < n->list.n; i++) constant = is_constant(J, n->list.v[i]);
    for (size_t i = 0; constant && i < n->list2.n; i++) constant = is_constant(J, n->list2.v[i]);
    j_leave(J);
    return constant;
}

static void fold(struct jinja *J, void *to, struct jnode *n) {
    if (n->kind == N_GETITEM) n->flag = true;
    j_enter(J);
    each_child(J, n, fold, to);
    j_leave(J);
}

static void bind(struct jinja *J, void *frame, struct jnode *n) {
    struct frame *f = frame;
    struct frame soft = *f;
    soft.soft = true;
    if (n->konst && n->konst->type == J_STR) js_chars(n->konst); /* now, so that threads that render only read */
    j_enter(J);
    switch ((enum jkind)n->kind) {
    case N_NAME:
    case N_NSREF: n->ref = slot_of(J, f->fn, find_ref(f->sym, n->name), n->name); break;
    case N_FOR: bind_for(J, f, n); break;
    case N_CALLBLOCK:
        bind_macro(J, f, n);
        if (n->a) bind(J, f, n->a);
        break;
    case N_MACRO:
        bind_macro(J, f, n);
        n->ref = slot_of(J, f->fn, find_ref(f->sym, n->name), n->name);
        n->flag3 = f->toplevel;
        break;
    case N_SETBLOCK:
        n->flag3 = f->toplevel;
        bind_inner(J, f, n);
        break;
    case N_FILTERBLOCK:
    case N_WITH:
    case N_AUTOESCAPE: bind_inner(J, f, n); break;
    case N_BLOCK: bind_block(J, f, n); break;
    case N_BREAK:
    case N_CONTINUE: bind_jump(J, f, n); break;
    case N_CALL:
    case N_FILTER:
    case N_TEST: bind_call(J, f, n); break;
    case N_IF:
    case N_COND: each_child(J, n, bind, &soft); break;
    case N_SET:
        n->flag3 = f->toplevel;
        each_child(J, n, bind, f);
        break;
    case N_OUTPUT:
        for (size_t i = 0; i < n->list.n; i++)
            if (is_constant(J, n->list.v[i])) fold(J, f, n->list.v[i]);
        each_child(J, n, bind, f);
        break;
    default: each_child(J, n, bind, f); break;
    }
    j_leave(J);
}

void scope_bind(struct jinja *J, struct jprogram *prog) {
    prog->fn = fn_new(J, NULL, 0);
    struct frame root = {.sym = symbols_new(J, NULL), .fn = prog->fn, .toplevel = true};
    each(J, &prog->body, visit, root.sym);
    prog->scope = scope_of(J, &root);
    each(J, &prog->body, bind, &root);
}
