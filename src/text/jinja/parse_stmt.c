/* parse_stmt.c -- templates and statements, as jinja2's parser reads them, with its messages.
 *
 * Fields: N_OUTPUT list (expressions; template text is an N_CONST with flag); N_FOR a (target) b (iterable) c (filter) list (body)
 * list2 (else) flag (recursive); N_IF a, list, list3 (elifs: N_IF), list2 (else); N_SET a b; N_SETBLOCK a, b (filter), list;
 * N_MACRO name, list3 (parameters: N_NAME) list2 (defaults, of the last parameters) list (body); N_CALLBLOCK likewise, a the
 * call (NULL: {% generation %}); N_FILTERBLOCK a list; N_WITH list3 (targets) list2 (values) list; N_AUTOESCAPE a list;
 * N_BLOCK name list flag (scoped) flag2 (required); N_LOADER konst: what a loader would be needed for. */
#include <stdarg.h>
#include <stdio.h>

#include "text/jinja/jinja_int.h"

/* Tokens */

void jp_next(struct jparser *p) {
    if (p->has_ahead) {
        p->cur = p->ahead;
        p->has_ahead = false;
    } else if (p->cur.type != T_EOF) {
        lex_next(p->J, &p->lx, &p->cur);
    }
}

const struct jtoken *jp_look(struct jparser *p) {
    if (!p->has_ahead) lex_next(p->J, &p->lx, &p->ahead);
    p->has_ahead = true;
    return &p->ahead;
}

bool jp_is_name(const struct jtoken *t, const char *name) { return t->type == T_NAME && view_eq(t->text, view_of(name)); }

bool jp_skip_name(struct jparser *p, const char *name) {
    if (!jp_is_name(&p->cur, name)) return false;
    jp_next(p);
    return true;
}

bool jp_skip(struct jparser *p, enum jtok type) {
    if (p->cur.type != type) return false;
    jp_next(p);
    return true;
}

_Noreturn void jp_fail(struct jparser *p, int line, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    j_raise_line(p->J, line, JX_SYNTAX, "%s", text);
}

static _Noreturn void fail_expected(struct jparser *p, const char *what) {
    if (p->cur.type == T_EOF) jp_fail(p, p->cur.line, "unexpected end of template, expected '%s'.", what);
    jp_fail(p, p->cur.line, "expected token '%s', got '%s'", what, lex_describe(p->J, &p->cur));
}

struct jtoken jp_expect(struct jparser *p, enum jtok type) {
    struct jtoken t = p->cur;
    if (t.type != type) fail_expected(p, lex_describe_type(type));
    jp_next(p);
    return t;
}

static struct jtoken jp_expect_name(struct jparser *p, const char *name) {
    struct jtoken t = p->cur;
    if (!jp_is_name(&t, name)) fail_expected(p, name);
    jp_next(p);
    return t;
}

struct jnode *jp_node(struct jparser *p, enum jkind kind, int line) {
    struct jnode *n = j_alloc(p->J, 1, sizeof *n);
    n->kind = (uint8_t)kind;
    n->line = line;
    n->name = -1;
    return n;
}

void jp_push(struct jparser *p, struct jblock *b, struct jnode *n) {
    b->v = j_grow(p->J, b->v, b->n, &b->cap, sizeof *b->v);
    b->v[b->n++] = n;
}

/* Blocks of statements */

static struct jblock subparse(struct jparser *p, const char *const *ends);

static bool is_end(const struct jparser *p, const char *const *ends) {
    for (; *ends; ends++)
        if (jp_is_name(&p->cur, *ends)) return true;
    return false;
}

static _Noreturn void fail_unknown(struct jparser *p, const char *name, const char *const *last, int line) {
    struct jsb b = {0};
    bool expected = false;
    if (name) jsb_printf(p->J, &b, "Encountered unknown tag '%.200s'.", name);
    else jsb_puts(p->J, &b, "Unexpected end of template.");
    for (size_t i = 0; name && i < p->n_ends; i++)
        for (const char *const *e = p->ends[i]; *e; e++) expected |= strcmp(*e, name) == 0;
    const char *const *looking = last ? last : p->n_ends ? p->ends[p->n_ends - 1] : NULL;
    if (looking) {
        jsb_puts(p->J, &b, expected ? " You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for "
                                    : " Jinja was looking for the following tags: ");
        for (const char *const *e = looking; *e; e++) jsb_printf(p->J, &b, "%s'%s'", e == looking ? "" : " or ", *e);
        jsb_putc(p->J, &b, '.');
    }
    if (p->n_tags)
        jsb_printf(p->J, &b, " The innermost block that needs to be closed is '%.*s'.", VIEW_ARG(p->tags[p->n_tags - 1]));
    jp_fail(p, line, "%.*s", (int)b.len, b.ptr);
}

static struct jblock parse_statements(struct jparser *p, const char *const *ends, bool drop_needle) {
    jp_skip(p, T_COLON);
    jp_expect(p, T_BLOCK_END);
    struct jblock b = subparse(p, ends);
    if (p->cur.type == T_EOF) fail_unknown(p, NULL, ends, p->cur.line);
    if (drop_needle) jp_next(p);
    return b;
}

#define ENDS(...) (const char *const[]){__VA_ARGS__, NULL}

/* Assignment targets */

static void set_store(struct jparser *p, struct jnode *n, enum jctx ctx) {
    static const char *const kinds[] = {[N_CONST] = "const", [N_LIST] = "list", [N_DICT] = "dict"};
    if (n->kind == N_NAME) {
        n->ctx = (uint8_t)ctx;
    } else if (n->kind == N_TUPLE) {
        n->ctx = (uint8_t)ctx;
        for (size_t i = 0; i < n->list.n; i++) set_store(p, n->list.v[i], ctx);
    } else if (n->kind != N_NSREF) {
        const char *kind = n->kind < sizeof kinds / sizeof *kinds ? kinds[n->kind] : NULL;
        jp_fail(p, n->line, "can't assign to '%s'", kind ? kind : "expression");
    }
}

static struct jnode *parse_target_name(struct jparser *p, enum jctx ctx) {
    struct jtoken t = jp_expect(p, T_NAME);
    struct jnode *n = jp_node(p, N_NAME, t.line);
    static const char *const reserved[] = {"true", "false", "none", "True", "False", "None"};
    for (size_t i = 0; i < 6; i++)
        if (jp_is_name(&t, reserved[i])) jp_fail(p, t.line, "can't assign to 'name'");
    n->name = j_intern(p->J, t.text);
    n->ctx = (uint8_t)ctx;
    return n;
}

static struct jnode *parse_target(struct jparser *p, bool with_ns, enum jctx ctx) {
    struct jnode *n = parse_tuple(p, true, true, false, with_ns);
    set_store(p, n, ctx);
    return n;
}

/* Statements, one function each */

static struct jnode *parse_set(struct jparser *p) {
    struct jnode *n = jp_node(p, N_SET, p->cur.line);
    jp_next(p);
    n->a = parse_target(p, true, CTX_STORE);
    if (jp_skip(p, T_ASSIGN)) {
        n->b = parse_tuple(p, false, true, false, false);
        return n;
    }
    n->kind = N_SETBLOCK;
    n->b = parse_filter(p, NULL, false);
    n->list = parse_statements(p, ENDS("endset"), true);
    return n;
}

static struct jnode *parse_for(struct jparser *p) {
    struct jnode *n = jp_node(p, N_FOR, p->cur.line);
    jp_next(p);
    n->a = parse_target(p, false, CTX_STORE);
    jp_expect_name(p, "in");
    n->b = parse_tuple(p, false, false, false, false);
    if (jp_skip_name(p, "if")) n->c = parse_expression(p, true);
    n->flag = jp_skip_name(p, "recursive");
    n->list = parse_statements(p, ENDS("endfor", "else"), false);
    bool has_else = jp_is_name(&p->cur, "else");
    jp_next(p);
    if (has_else) n->list2 = parse_statements(p, ENDS("endfor"), true);
    return n;
}

static struct jnode *parse_if(struct jparser *p) {
    struct jnode *result = jp_node(p, N_IF, p->cur.line), *n = result;
    jp_next(p);
    for (;;) {
        n->a = parse_tuple(p, false, false, false, false);
        n->list = parse_statements(p, ENDS("elif", "else", "endif"), false);
        if (jp_skip_name(p, "elif")) {
            n = jp_node(p, N_IF, p->cur.line);
            jp_push(p, &result->list3, n);
            continue;
        }
        bool has_else = jp_is_name(&p->cur, "else");
        jp_next(p);
        if (has_else) result->list2 = parse_statements(p, ENDS("endif"), true);
        return result;
    }
}

static struct jnode *parse_with(struct jparser *p) {
    struct jnode *n = jp_node(p, N_WITH, p->cur.line);
    jp_next(p);
    while (p->cur.type != T_BLOCK_END) {
        if (n->list3.n) jp_expect(p, T_COMMA);
        jp_push(p, &n->list3, parse_target(p, false, CTX_PARAM));
        jp_expect(p, T_ASSIGN);
        jp_push(p, &n->list2, parse_expression(p, true));
    }
    n->list = parse_statements(p, ENDS("endwith"), true);
    return n;
}

static struct jnode *parse_autoescape(struct jparser *p) {
    struct jnode *n = jp_node(p, N_AUTOESCAPE, p->cur.line);
    jp_next(p);
    n->a = parse_expression(p, true);
    n->list = parse_statements(p, ENDS("endautoescape"), true);
    return n;
}

static bool only_space(const struct jblock *b) {
    for (size_t i = 0; i < b->n; i++) {
        if (b->v[i]->kind != N_OUTPUT) return false;
        for (size_t k = 0; k < b->v[i]->list.n; k++) {
            const struct jnode *c = b->v[i]->list.v[k];
            if (!c->flag) return false;
            for (size_t j = 0; j < c->konst->u.s.len; j++)
                if (!ju_is_space((unsigned char)c->konst->u.s.ptr[j])) return false;
        }
    }
    return true;
}

static struct jnode *parse_block(struct jparser *p) {
    struct jnode *n = jp_node(p, N_BLOCK, p->cur.line);
    jp_next(p);
    struct view name = jp_expect(p, T_NAME).text;
    n->name = j_intern(p->J, name);
    n->flag = jp_skip_name(p, "scoped");
    n->flag2 = jp_skip_name(p, "required");
    if (p->cur.type == T_SUB)
        jp_fail(p, p->cur.line, "Block names in Jinja have to be valid Python identifiers and may not contain hyphens, use an underscore instead.");
    n->list = parse_statements(p, ENDS("endblock"), true);
    if (n->flag2 && !only_space(&n->list)) jp_fail(p, p->cur.line, "Required blocks can only contain comments or whitespace");
    if (p->cur.type == T_NAME && view_eq(p->cur.text, name)) jp_next(p);
    for (size_t i = 0; i < p->blocks->n; i++)
        if (p->blocks->v[i]->name == n->name)
            j_raise_line(p->J, n->line, JX_ASSERTION, "block '%.*s' defined twice", VIEW_ARG(name));
    p->blocks->v = j_grow(p->J, p->blocks->v, p->blocks->n, &p->blocks->cap, sizeof *p->blocks->v);
    p->blocks->v[p->blocks->n++] = n;
    return n;
}

/* include, import, from, extends: parsed to their end; running one fails, as a chat template has no loader. */
static struct jnode *parse_loader(struct jparser *p) {
    struct jnode *n = jp_node(p, N_LOADER, p->cur.line);
    bool is_import = jp_is_name(&p->cur, "import"), is_from = jp_is_name(&p->cur, "from");
    jp_next(p);
    n->a = parse_expression(p, true);
    if (is_import) {
        jp_expect_name(p, "as");
        jp_push(p, &n->list3, parse_target_name(p, CTX_STORE));
    }
    if (is_from) {
        jp_expect_name(p, "import");
        do {
            struct jnode *target = parse_target_name(p, CTX_STORE);
            jp_push(p, &n->list3, jp_skip_name(p, "as") ? parse_target_name(p, CTX_STORE) : target);
        } while (jp_skip(p, T_COMMA));
    }
    while (p->cur.type == T_NAME) jp_next(p); /* ignore missing, with context, without context */
    return n;
}

static void parse_signature(struct jparser *p, struct jnode *n) {
    jp_expect(p, T_LPAREN);
    while (p->cur.type != T_RPAREN) {
        if (n->list3.n) jp_expect(p, T_COMMA);
        struct jnode *arg = parse_target_name(p, CTX_PARAM);
        if (jp_skip(p, T_ASSIGN)) jp_push(p, &n->list2, parse_expression(p, true));
        else if (n->list2.n) jp_fail(p, p->cur.line, "non-default argument follows default argument");
        for (size_t i = 0; i < n->list3.n; i++)
            if (n->list3.v[i]->name == arg->name)
                j_raise_line(p->J, arg->line, JX_PYTHON_SYNTAX, "duplicate argument 'l_1_%.*s' in function definition", VIEW_ARG(p->J->names[arg->name]));
        jp_push(p, &n->list3, arg);
    }
    jp_expect(p, T_RPAREN);
}

static struct jnode *parse_macro(struct jparser *p) {
    struct jnode *n = jp_node(p, N_MACRO, p->cur.line);
    jp_next(p);
    n->name = parse_target_name(p, CTX_STORE)->name;
    parse_signature(p, n);
    n->list = parse_statements(p, ENDS("endmacro"), true);
    return n;
}

static struct jnode *parse_call_block(struct jparser *p) {
    struct jnode *n = jp_node(p, N_CALLBLOCK, p->cur.line);
    jp_next(p);
    if (p->cur.type == T_LPAREN) parse_signature(p, n);
    n->a = parse_expression(p, true);
    if (n->a->kind != N_CALL) jp_fail(p, n->line, "expected call");
    n->list = parse_statements(p, ENDS("endcall"), true);
    return n;
}

static struct jnode *parse_generation(struct jparser *p) {
    struct jnode *n = jp_node(p, N_CALLBLOCK, p->cur.line);
    jp_next(p);
    n->list = parse_statements(p, ENDS("endgeneration"), true);
    return n;
}

static struct jnode *parse_filter_block(struct jparser *p) {
    struct jnode *n = jp_node(p, N_FILTERBLOCK, p->cur.line);
    jp_next(p);
    n->a = parse_filter(p, NULL, true);
    n->list = parse_statements(p, ENDS("endfilter"), true);
    return n;
}

static struct jnode *parse_print(struct jparser *p) {
    struct jnode *n = jp_node(p, N_OUTPUT, p->cur.line);
    jp_next(p);
    while (p->cur.type != T_BLOCK_END) {
        if (n->list.n) jp_expect(p, T_COMMA);
        jp_push(p, &n->list, parse_expression(p, true));
    }
    return n;
}

static struct jnode *parse_jump(struct jparser *p) {
    struct jnode *n = jp_node(p, jp_is_name(&p->cur, "break") ? N_BREAK : N_CONTINUE, p->cur.line);
    jp_next(p);
    return n;
}

static const struct {
    const char *tag;
    struct jnode *(*parse)(struct jparser *p);
} statements[] = {
    {"for", parse_for}, {"if", parse_if}, {"block", parse_block}, {"extends", parse_loader}, {"print", parse_print},
    {"macro", parse_macro}, {"include", parse_loader}, {"from", parse_loader}, {"import", parse_loader}, {"set", parse_set},
    {"with", parse_with}, {"autoescape", parse_autoescape}, {"call", parse_call_block}, {"filter", parse_filter_block},
    {"break", parse_jump}, {"continue", parse_jump}, {"generation", parse_generation},
};

static struct jnode *parse_statement(struct jparser *p) {
    struct jtoken t = p->cur;
    if (t.type != T_NAME) jp_fail(p, t.line, "tag name expected");
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (!jp_is_name(&t, statements[i].tag)) continue;
        if (p->n_tags >= sizeof p->tags / sizeof *p->tags) j_raise_line(p->J, t.line, JX_LIMIT, "statements nested more than %zu deep", p->n_tags);
        p->tags[p->n_tags++] = t.text;
        struct jnode *n = statements[i].parse(p);
        p->n_tags--;
        return n;
    }
    fail_unknown(p, lex_describe(p->J, &t), NULL, t.line);
}

static struct jnode *output_of(struct jparser *p, struct jblock *body, int line) { /* the open output node, or a new one */
    if (body->n && body->v[body->n - 1]->kind == N_OUTPUT && body->v[body->n - 1]->flag) return body->v[body->n - 1];
    struct jnode *n = jp_node(p, N_OUTPUT, line);
    n->flag = true;
    jp_push(p, body, n);
    return n;
}

static struct jblock subparse(struct jparser *p, const char *const *ends) {
    struct jblock body = {0};
    if (ends) {
        if (p->n_ends >= sizeof p->ends / sizeof *p->ends) j_raise_line(p->J, p->cur.line, JX_LIMIT, "statements nested more than %zu deep", p->n_ends);
        p->ends[p->n_ends++] = ends;
    }
    j_enter(p->J);
    while (p->cur.type != T_EOF) {
        if (p->cur.type == T_DATA) {
            struct jnode *data = jp_node(p, N_CONST, p->cur.line);
            data->konst = p->cur.val;
            data->flag = true;
            jp_push(p, &output_of(p, &body, data->line)->list, data);
            jp_next(p);
        } else if (jp_skip(p, T_VAR_BEGIN)) {
            int line = p->cur.line;
            struct jnode *value = parse_tuple(p, false, true, false, false);
            jp_push(p, &output_of(p, &body, line)->list, value);
            jp_expect(p, T_VAR_END);
        } else {
            jp_expect(p, T_BLOCK_BEGIN);
            if (ends && is_end(p, ends)) break;
            jp_push(p, &body, parse_statement(p));
            jp_expect(p, T_BLOCK_END);
        }
    }
    j_leave(p->J);
    if (ends) p->n_ends--;
    return body;
}

struct jblock parse_template(struct jinja *J, struct view source, struct jblocks *blocks) {
    struct jparser *p = j_alloc(J, 1, sizeof *p);
    p->J = J;
    p->blocks = blocks;
    lex_init(J, &p->lx, source);
    p->cur.type = T_DATA; /* not the end: let the first token come */
    jp_next(p);
    return subparse(p, NULL);
}
