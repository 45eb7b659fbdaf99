/* parse.c -- statements: text, actions, if, range, with, break, continue, define, block, template.
 *
 * Variables are known by name while parsing, as in Go: one that was never declared is an error of the template. */
#include "text/gotmpl/gotmpl_int.h"

enum gend { END_NONE, END_END, END_ELSE };

static const struct gtok *here(const struct gparser *p) { return &p->toks.v[p->at]; }

const struct gtok *gp_peek(struct gparser *p) {
    while (here(p)->type == GT_SPACE) p->at++;
    return here(p);
}

struct gtok gp_next(struct gparser *p) {
    struct gtok t = *gp_peek(p);
    p->J->line = t.line;
    if (t.type != GT_EOF) p->at++;
    return t;
}

struct gnode *gp_node(struct gparser *p, enum gnode_kind kind) {
    struct gnode *n = j_alloc(p->J, 1, sizeof *n);
    n->kind = (uint8_t)kind;
    n->line = here(p)->line;
    n->order = ++p->n_order;
    return n;
}

void gp_push(struct gparser *p, struct glist *l, struct gnode *n) {
    l->v = j_grow(p->J, l->v, l->n, &l->cap, sizeof *l->v);
    l->v[l->n++] = n;
}

void gp_name(struct gparser *p, struct gnames *names, struct view name) {
    names->v = j_grow(p->J, names->v, names->n, &names->cap, sizeof *names->v);
    names->v[names->n++] = name;
}

_Noreturn void gp_unexpected(struct gparser *p, const struct gtok *t, const char *where) {
    if (t->type == GT_EOF) j_raise_line(p->J, t->line, JX_SYNTAX, "the template ends within %s", where);
    if (t->type == GT_CLOSE) j_raise_line(p->J, t->line, JX_SYNTAX, "missing value in %s", where);
    j_raise_line(p->J, t->line, JX_SYNTAX, "unexpected \"%.*s\" in %s", VIEW_ARG(t->text), where);
}

static void expect(struct gparser *p, enum gtok_type type, const char *where) {
    struct gtok t = gp_next(p);
    if (t.type != type) gp_unexpected(p, &t, where);
}

static bool take_word(struct gparser *p, const char *word) {
    const struct gtok *t = gp_peek(p);
    if (t->type != GT_WORD || !view_eq(t->text, view_of(word))) return false;
    gp_next(p);
    return true;
}

static enum gend parse_list(struct gparser *p, struct glist *out);

static struct glist *new_list(struct gparser *p) { return j_alloc(p->J, 1, sizeof(struct glist)); }

static void parse_branch(struct gparser *p, enum gnode_kind kind, const char *context, struct glist *into);

/* What follows {{ else: nothing, or "if" or "with", which stand for one within the other branch and share its end. */
static bool parse_else(struct gparser *p, struct gnode *n, const char *context) {
    n->other = new_list(p);
    bool is_if = n->kind == GN_IF, nests = n->kind != GN_RANGE && take_word(p, is_if ? "if" : "with");
    if (nests) {
        parse_branch(p, n->kind, context, n->other);
        return true;
    }
    expect(p, GT_CLOSE, "else");
    return false;
}

static void parse_branch(struct gparser *p, enum gnode_kind kind, const char *context, struct glist *into) {
    struct gnode *n = gp_node(p, kind);
    size_t n_vars = p->vars.n;
    j_enter(p->J);
    gp_push(p, into, n);
    n->pipe = gp_pipeline(p, context, GT_CLOSE);
    p->n_ranges += kind == GN_RANGE;
    n->body = new_list(p);
    enum gend end = parse_list(p, n->body);
    if (end == END_NONE) j_raise_line(p->J, n->line, JX_SYNTAX, "%s without its end", context);
    p->n_ranges -= kind == GN_RANGE;
    if (end == END_ELSE && !parse_else(p, n, context)) {
        end = parse_list(p, n->other);
        if (end == END_NONE) j_raise_line(p->J, n->line, JX_SYNTAX, "%s without its end", context);
        if (end == END_ELSE) j_raise_line(p->J, p->J->line, JX_SYNTAX, "a second else of one %s", context);
    }
    p->vars.n = n_vars;
    j_leave(p->J);
}

static void add_define(struct gparser *p, struct view name, struct glist *body) {
    struct gprogram *g = p->program;
    g->defines = j_grow(p->J, g->defines, g->n_defines, &g->cap_defines, sizeof *g->defines);
    g->defines[g->n_defines++] = (struct gdefine){name, body};
}

static struct view parse_template_name(struct gparser *p, const char *context) {
    struct gtok t = gp_next(p);
    if (t.type != GT_STRING && t.type != GT_RAW) gp_unexpected(p, &t, context);
    return gp_unquote(p, &t);
}

/* The body of a define or block: its variables are its own. */
static void parse_definition(struct gparser *p, struct view name, const char *context) {
    struct gnames outer = p->vars;
    int n_ranges = p->n_ranges;
    struct glist *body = new_list(p);
    j_enter(p->J);
    p->vars = (struct gnames){0};
    p->n_ranges = 0;
    gp_name(p, &p->vars, VIEW("$"));
    if (parse_list(p, body) != END_END) j_raise_line(p->J, p->J->line, JX_SYNTAX, "%s without its end", context);
    p->vars = outer;
    p->n_ranges = n_ranges;
    j_leave(p->J);
    add_define(p, name, body);
}

static void parse_template_call(struct gparser *p, struct glist *out, bool is_block) {
    struct gnode *n = gp_node(p, GN_TEMPLATE);
    const char *context = is_block ? "block" : "template";
    n->text = parse_template_name(p, context);
    gp_push(p, out, n);
    if (is_block || gp_peek(p)->type != GT_CLOSE) n->pipe = gp_pipeline(p, context, GT_CLOSE);
    else gp_next(p);
    if (is_block) parse_definition(p, n->text, context);
}

static void parse_jump(struct gparser *p, enum gnode_kind kind, const char *word, struct glist *out) {
    if (p->n_ranges == 0) j_raise_line(p->J, p->J->line, JX_SYNTAX, "%s outside range", word);
    gp_push(p, out, gp_node(p, kind));
    expect(p, GT_CLOSE, word);
}

/* After {{. */
static enum gend parse_action(struct gparser *p, struct glist *out) {
    p->J->line = gp_peek(p)->line;
    if (take_word(p, "end")) {
        expect(p, GT_CLOSE, "end");
        return END_END;
    }
    if (take_word(p, "else")) return END_ELSE;
    if (take_word(p, "if")) parse_branch(p, GN_IF, "if", out);
    else if (take_word(p, "range")) parse_branch(p, GN_RANGE, "range", out);
    else if (take_word(p, "with")) parse_branch(p, GN_WITH, "with", out);
    else if (take_word(p, "template")) parse_template_call(p, out, false);
    else if (take_word(p, "block")) parse_template_call(p, out, true);
    else if (take_word(p, "break")) parse_jump(p, GN_BREAK, "break", out);
    else if (take_word(p, "continue")) parse_jump(p, GN_CONTINUE, "continue", out);
    else {
        struct gnode *n = gp_node(p, GN_ACTION);
        n->pipe = gp_pipeline(p, "command", GT_CLOSE);
        gp_push(p, out, n);
    }
    return END_NONE;
}

static enum gend parse_list(struct gparser *p, struct glist *out) {
    for (;;) {
        const struct gtok *t = here(p);
        j_step(p->J, 1);
        if (t->type == GT_EOF) return END_NONE;
        if (t->type == GT_TEXT) {
            struct gnode *n = gp_node(p, GN_TEXT);
            n->text = t->text;
            gp_push(p, out, n);
            p->at++;
            continue;
        }
        p->at++; /* GT_OPEN */
        enum gend end = parse_action(p, out);
        if (end != END_NONE) return end;
    }
}

/* The template itself: the one place where others are defined. */
static void parse_top(struct gparser *p, struct glist *out) {
    for (;;) {
        if (here(p)->type == GT_OPEN) {
            size_t at = p->at++;
            if (take_word(p, "define")) {
                struct view name = parse_template_name(p, "define");
                expect(p, GT_CLOSE, "define");
                parse_definition(p, name, "define");
                continue;
            }
            p->at = at;
        }
        if (here(p)->type == GT_EOF) return;
        if (here(p)->type == GT_TEXT) {
            struct gnode *n = gp_node(p, GN_TEXT);
            n->text = here(p)->text;
            gp_push(p, out, n);
            p->at++;
            continue;
        }
        p->at++;
        enum gend end = parse_action(p, out);
        if (end != END_NONE) j_raise_line(p->J, p->J->line, JX_SYNTAX, "unexpected %s", end == END_END ? "end" : "else");
    }
}

/* What a template is about, by the names in it, and where its last turn ends */

static bool same_word(struct view a, const char *b) { return a.len == strlen(b) && strncasecmp(a.ptr, b, a.len) == 0; }

static void note_names(struct gprogram *g, const struct gnames *names) {
    for (size_t i = 0; i < names->n; i++) {
        g->has_messages |= same_word(names->v[i], "messages");
        g->has_response |= same_word(names->v[i], "response");
        g->has_thinking |= same_word(names->v[i], "thinking");
    }
}

static bool is_response(const struct gnode *n) {
    bool is = false;
    for (size_t i = 0; n->kind == GN_FIELD && i < n->names.n; i++) is |= view_eq(n->names.v[i], VIEW("Response"));
    return is;
}

/* The first .Response of an action is the last thing that stays; an action that pipes it on goes as a whole. */
static void note_pipe(struct gprogram *g, const struct gnode *pipe, const struct gnode *action) {
    for (size_t i = 0; pipe && i < pipe->kids.n; i++) {
        const struct gnode *command = pipe->kids.v[i];
        for (size_t k = 0; k < command->kids.n; k++) {
            const struct gnode *n = command->kids.v[k];
            if (n->kind == GN_FIELD || n->kind == GN_VARIABLE) note_names(g, &n->names);
            if (n->kind == GN_PIPE) note_pipe(g, n, action);
            if (action && g->cut == SIZE_MAX && is_response(n)) g->cut = i + 1 == pipe->kids.n ? action->order : action->order - 1;
        }
    }
}

static void note_list(struct gprogram *g, const struct glist *l) {
    for (size_t i = 0; l && i < l->n; i++) {
        const struct gnode *n = l->v[i];
        note_pipe(g, n->pipe, n->kind == GN_ACTION ? n : NULL);
        note_list(g, n->body);
        note_list(g, n->other);
    }
}

void gp_parse(struct jinja *J, struct view source, struct gprogram *out) {
    struct gparser p = {.J = J, .toks = gl_lex(J, source), .program = out};
    out->body = new_list(&p);
    out->cut = SIZE_MAX;
    gp_name(&p, &p.vars, VIEW("$"));
    J->line = 1;
    parse_top(&p, out->body);
    note_list(out, out->body);
    size_t cut = out->cut;
    for (size_t i = 0; i < out->n_defines; i++) note_list(out, out->defines[i].body);
    out->cut = cut; /* the last turn is cut in the template itself */
}
