/* parse_expr.c -- expressions: precedence climbing, loosest first.
 *
 * cond < or < and < not < comparisons < + - < ~ < * / // % < ** < unary < primary, subscripts, calls < filters and tests.
 * (Unary binds tighter than **, and ~ tighter than +: that is Jinja, not Python.)
 *
 * Fields: N_CONST konst; N_NAME name ctx; N_NSREF name, konst (attribute); N_TUPLE N_LIST N_CONCAT list; N_DICT list (keys)
 * list2 (values); N_COND a (test) b (then) c (else or NULL); N_OR N_AND a b; N_NOT a; N_COMPARE a, list of N_OPERAND (op, a);
 * N_BINARY op a b; N_UNARY op a; N_GETATTR a konst; N_GETITEM a b; N_SLICE a b c (NULL: not given);
 * N_CALL a, list (positional), list2 of N_KEYWORD (konst: name, a), b (*args), c (**kwargs);
 * N_FILTER N_TEST likewise, konst their name, row, a NULL: the enclosing block's text. */
#include "text/jinja/jinja_int.h"

static struct jnode *parse_unary(struct jparser *p, bool with_filter);
static struct jnode *parse_or(struct jparser *p);

static struct jnode *binary(struct jparser *p, enum jkind kind, int op, struct jnode *a, struct jnode *b, int line) {
    struct jnode *n = jp_node(p, kind, line);
    n->op = (uint8_t)op;
    n->a = a;
    n->b = b;
    return n;
}

static struct jnode *parse_cond(struct jparser *p) {
    int line = p->cur.line;
    struct jnode *n = parse_or(p);
    j_enter(p->J);
    while (jp_skip_name(p, "if")) {
        struct jnode *cond = jp_node(p, N_COND, line);
        cond->b = n;
        cond->a = parse_or(p);
        if (jp_skip_name(p, "else")) cond->c = parse_cond(p);
        n = cond;
        line = p->cur.line;
    }
    j_leave(p->J);
    return n;
}

struct jnode *parse_expression(struct jparser *p, bool with_cond) {
    j_enter(p->J);
    struct jnode *n = with_cond ? parse_cond(p) : parse_or(p);
    j_leave(p->J);
    return n;
}

static struct jnode *parse_pow(struct jparser *p) {
    int line = p->cur.line;
    struct jnode *n = parse_unary(p, true);
    while (jp_skip(p, T_POW)) {
        n = binary(p, N_BINARY, OP_POW, n, parse_unary(p, true), line);
        line = p->cur.line;
    }
    return n;
}

/* A chain of left-associative binary operators: long chains nest to the left, so the depth is bounded when evaluated. */
static struct jnode *parse_math2(struct jparser *p) {
    int line = p->cur.line;
    struct jnode *n = parse_pow(p);
    for (;;) {
        int op = p->cur.type == T_MUL ? OP_MUL : p->cur.type == T_DIV ? OP_DIV : p->cur.type == T_FLOORDIV ? OP_FLOORDIV : p->cur.type == T_MOD ? OP_MOD : -1;
        if (op < 0) return n;
        jp_next(p);
        n = binary(p, N_BINARY, op, n, parse_pow(p), line);
        line = p->cur.line;
    }
}

static struct jnode *parse_concat(struct jparser *p) {
    int line = p->cur.line;
    struct jnode *first = parse_math2(p), *n;
    if (p->cur.type != T_TILDE) return first;
    n = jp_node(p, N_CONCAT, line);
    jp_push(p, &n->list, first);
    while (jp_skip(p, T_TILDE)) jp_push(p, &n->list, parse_math2(p));
    return n;
}

static struct jnode *parse_math1(struct jparser *p) {
    int line = p->cur.line;
    struct jnode *n = parse_concat(p);
    while (p->cur.type == T_ADD || p->cur.type == T_SUB) {
        int op = p->cur.type == T_ADD ? OP_ADD : OP_SUB;
        jp_next(p);
        n = binary(p, N_BINARY, op, n, parse_concat(p), line);
        line = p->cur.line;
    }
    return n;
}

static int compare_op(struct jparser *p) { /* consumes it; -1: none here */
    static const struct { enum jtok tok; enum jcompare_op op; } ops[] = {{T_EQ, CO_EQ}, {T_NE, CO_NE}, {T_LT, CO_LT}, {T_LE, CO_LE}, {T_GT, CO_GT}, {T_GE, CO_GE}};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (jp_skip(p, ops[i].tok)) return (int)ops[i].op;
    if (jp_skip_name(p, "in")) return CO_IN;
    if (!jp_is_name(&p->cur, "not") || !jp_is_name(jp_look(p), "in")) return -1;
    jp_next(p);
    jp_next(p);
    return CO_NOTIN;
}

static struct jnode *parse_compare(struct jparser *p) {
    int line = p->cur.line, op;
    struct jnode *first = parse_math1(p), *n = NULL;
    while ((op = compare_op(p)) >= 0) {
        struct jnode *operand = jp_node(p, N_OPERAND, p->cur.line);
        if (!n) {
            n = jp_node(p, N_COMPARE, line);
            n->a = first;
        }
        operand->op = (uint8_t)op;
        operand->a = parse_math1(p);
        jp_push(p, &n->list, operand);
    }
    return n ? n : first;
}

static struct jnode *parse_not(struct jparser *p) {
    int line = p->cur.line;
    if (!jp_skip_name(p, "not")) return parse_compare(p);
    struct jnode *n = jp_node(p, N_NOT, line);
    j_enter(p->J);
    n->a = parse_not(p);
    j_leave(p->J);
    return n;
}

static struct jnode *parse_and(struct jparser *p) {
    int line = p->cur.line;
    struct jnode *n = parse_not(p);
    while (jp_skip_name(p, "and")) {
        n = binary(p, N_AND, 0, n, parse_not(p), line);
        line = p->cur.line;
    }
    return n;
}

static struct jnode *parse_or(struct jparser *p) {
    int line = p->cur.line;
    struct jnode *n = parse_and(p);
    while (jp_skip_name(p, "or")) {
        n = binary(p, N_OR, 0, n, parse_and(p), line);
        line = p->cur.line;
    }
    return n;
}

/* Primaries */

static struct jnode *constant(struct jparser *p, struct jval *v, int line) {
    struct jnode *n = jp_node(p, N_CONST, line);
    n->konst = v;
    return n;
}

static struct jnode *parse_list(struct jparser *p) {
    struct jnode *n = jp_node(p, N_LIST, p->cur.line);
    jp_expect(p, T_LBRACKET);
    while (p->cur.type != T_RBRACKET) {
        if (n->list.n) jp_expect(p, T_COMMA);
        if (p->cur.type == T_RBRACKET) break;
        jp_push(p, &n->list, parse_expression(p, true));
    }
    jp_expect(p, T_RBRACKET);
    return n;
}

static struct jnode *parse_dict(struct jparser *p) {
    struct jnode *n = jp_node(p, N_DICT, p->cur.line);
    jp_expect(p, T_LBRACE);
    while (p->cur.type != T_RBRACE) {
        if (n->list.n) jp_expect(p, T_COMMA);
        if (p->cur.type == T_RBRACE) break;
        jp_push(p, &n->list, parse_expression(p, true));
        jp_expect(p, T_COLON);
        jp_push(p, &n->list2, parse_expression(p, true));
    }
    jp_expect(p, T_RBRACE);
    return n;
}

static struct jnode *parse_name(struct jparser *p, bool with_ns) {
    static const struct { const char *name; struct jval *val; } constants[] = {
        {"true", &jv_true}, {"True", &jv_true}, {"false", &jv_false}, {"False", &jv_false}, {"none", &jv_none}, {"None", &jv_none}};
    struct jtoken t = p->cur;
    jp_next(p);
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (jp_is_name(&t, constants[i].name)) return constant(p, constants[i].val, t.line);
    struct jnode *n = jp_node(p, N_NAME, t.line);
    n->name = j_intern(p->J, t.text);
    if (with_ns && jp_skip(p, T_DOT)) {
        n->kind = N_NSREF;
        n->konst = js_new(p->J, jp_expect(p, T_NAME).text);
    }
    return n;
}

static struct jnode *parse_string(struct jparser *p) {
    struct jtoken t = p->cur;
    struct jsb b = {0};
    jp_next(p);
    if (p->cur.type != T_STRING) return constant(p, t.val, t.line);
    jsb_add(p->J, &b, t.text);
    for (; p->cur.type == T_STRING; jp_next(p)) jsb_add(p->J, &b, p->cur.text);
    return constant(p, jsb_done(p->J, &b), t.line);
}

static struct jnode *parse_primary(struct jparser *p, bool with_ns) {
    struct jtoken t = p->cur;
    struct jnode *n;
    switch (t.type) {
    case T_NAME: return parse_name(p, with_ns);
    case T_STRING: return parse_string(p);
    case T_INT:
    case T_FLOAT: jp_next(p); return constant(p, t.val, t.line);
    case T_LPAREN:
        jp_next(p);
        n = parse_tuple(p, false, true, true, false);
        jp_expect(p, T_RPAREN);
        return n;
    case T_LBRACKET: return parse_list(p);
    case T_LBRACE: return parse_dict(p);
    default: jp_fail(p, t.line, "unexpected '%s'", lex_describe(p->J, &t));
    }
}

static bool is_tuple_end(const struct jparser *p) { return p->cur.type == T_VAR_END || p->cur.type == T_BLOCK_END || p->cur.type == T_RPAREN; }

struct jnode *parse_tuple(struct jparser *p, bool simplified, bool with_cond, bool parens, bool with_ns) {
    struct jnode *n = jp_node(p, N_TUPLE, p->cur.line);
    bool is_tuple = false;
    j_enter(p->J);
    for (;;) {
        if (n->list.n) jp_expect(p, T_COMMA);
        if (is_tuple_end(p)) break;
        jp_push(p, &n->list, simplified ? parse_primary(p, with_ns) : parse_expression(p, with_cond));
        if (p->cur.type != T_COMMA) break;
        is_tuple = true;
        n->line = p->cur.line;
    }
    j_leave(p->J);
    if (is_tuple) return n;
    if (n->list.n) return n->list.v[0];
    if (!parens) jp_fail(p, p->cur.line, "Expected an expression, got '%s'", lex_describe(p->J, &p->cur));
    return n;
}

/* Subscripts, calls, filters, tests */

static struct jnode *parse_subscribed(struct jparser *p) {
    int line = p->cur.line;
    struct jnode *start = NULL, *n;
    if (p->cur.type != T_COLON) {
        start = parse_expression(p, true);
        if (p->cur.type != T_COLON) return start;
    }
    jp_expect(p, T_COLON);
    n = jp_node(p, N_SLICE, line);
    n->a = start;
    if (p->cur.type != T_COLON && p->cur.type != T_RBRACKET && p->cur.type != T_COMMA) n->b = parse_expression(p, true);
    if (jp_skip(p, T_COLON) && p->cur.type != T_RBRACKET && p->cur.type != T_COMMA) n->c = parse_expression(p, true);
    return n;
}

static struct jnode *parse_dot(struct jparser *p, struct jnode *node, int line) {
    struct jtoken t = p->cur;
    struct jnode *n = jp_node(p, t.type == T_NAME ? N_GETATTR : N_GETITEM, line);
    jp_next(p);
    n->a = node;
    if (t.type == T_NAME) n->konst = js_new(p->J, t.text);
    else if (t.type == T_INT) n->b = constant(p, t.val, t.line);
    else jp_fail(p, t.line, "expected name or number");
    return n;
}

static struct jnode *parse_subscript(struct jparser *p, struct jnode *node) {
    int line = p->cur.line;
    if (jp_skip(p, T_DOT)) return parse_dot(p, node, line);
    struct jnode *n = jp_node(p, N_GETITEM, line), *args = jp_node(p, N_TUPLE, line);
    jp_expect(p, T_LBRACKET);
    while (p->cur.type != T_RBRACKET) {
        if (args->list.n) jp_expect(p, T_COMMA);
        jp_push(p, &args->list, parse_subscribed(p));
    }
    jp_expect(p, T_RBRACKET);
    for (size_t i = 0; args->list.n > 1 && i < args->list.n; i++)
        if (args->list.v[i]->kind == N_SLICE) j_raise_line(p->J, line, JX_PYTHON_SYNTAX, "invalid syntax");
    n->a = node;
    n->b = args->list.n == 1 ? args->list.v[0] : args;
    return n;
}

static void ensure(struct jparser *p, bool holds, int line) {
    if (!holds) jp_fail(p, line, "invalid syntax for function call expression");
}

static void parse_call_args(struct jparser *p, struct jnode *n) {
    int line = p->cur.line;
    bool require_comma = false;
    jp_expect(p, T_LPAREN);
    while (p->cur.type != T_RPAREN) {
        if (require_comma) {
            jp_expect(p, T_COMMA);
            if (p->cur.type == T_RPAREN) break;
        }
        require_comma = true;
        if (p->cur.type == T_MUL) {
            ensure(p, !n->b && !n->c, line);
            jp_next(p);
            n->b = parse_expression(p, true);
        } else if (p->cur.type == T_POW) {
            ensure(p, !n->c, line);
            jp_next(p);
            n->c = parse_expression(p, true);
        } else if (p->cur.type == T_NAME && jp_look(p)->type == T_ASSIGN) {
            ensure(p, !n->c, line);
            struct jnode *kw = jp_node(p, N_KEYWORD, p->cur.line);
            kw->konst = js_new(p->J, p->cur.text);
            jp_next(p);
            jp_next(p);
            kw->a = parse_expression(p, true);
            jp_push(p, &n->list2, kw);
        } else {
            ensure(p, !n->b && !n->c && !n->list2.n, line);
            jp_push(p, &n->list, parse_expression(p, true));
        }
    }
    jp_expect(p, T_RPAREN);
}

static struct jnode *parse_call(struct jparser *p, struct jnode *node) {
    struct jnode *n = jp_node(p, N_CALL, p->cur.line);
    n->a = node;
    parse_call_args(p, n);
    return n;
}

static struct jnode *parse_postfix(struct jparser *p, struct jnode *n) {
    for (;;) {
        if (p->cur.type == T_DOT || p->cur.type == T_LBRACKET) n = parse_subscript(p, n);
        else if (p->cur.type == T_LPAREN) n = parse_call(p, n);
        else return n;
    }
}

/* "name" or "name.name": filters and tests may have dots. */
static struct view dotted_name(struct jparser *p) {
    struct jsb b = {0};
    jsb_add(p->J, &b, jp_expect(p, T_NAME).text);
    while (jp_skip(p, T_DOT)) {
        jsb_putc(p->J, &b, '.');
        jsb_add(p->J, &b, jp_expect(p, T_NAME).text);
    }
    return (struct view){b.ptr, b.len};
}

struct jnode *parse_filter(struct jparser *p, struct jnode *node, bool start_inline) {
    while (p->cur.type == T_PIPE || start_inline) {
        if (!start_inline) jp_next(p);
        struct jnode *n = jp_node(p, N_FILTER, p->cur.line);
        struct view name = dotted_name(p);
        n->a = node;
        n->konst = js_new(p->J, name);
        n->row = jinja_filter(name);
        if (p->cur.type == T_LPAREN) parse_call_args(p, n);
        node = n;
        start_inline = false;
    }
    return node;
}

static bool begins_test_argument(const struct jparser *p) {
    switch (p->cur.type) {
    case T_NAME: return !jp_is_name(&p->cur, "else") && !jp_is_name(&p->cur, "or") && !jp_is_name(&p->cur, "and");
    case T_STRING:
    case T_INT:
    case T_FLOAT:
    case T_LBRACKET:
    case T_LBRACE: return true;
    default: return false;
    }
}

static struct jnode *parse_test(struct jparser *p, struct jnode *node) {
    struct jnode *n = jp_node(p, N_TEST, p->cur.line), *negation;
    jp_next(p);
    bool negated = jp_skip_name(p, "not");
    struct view name = dotted_name(p);
    n->a = node;
    n->konst = js_new(p->J, name);
    n->row = jinja_test(name);
    if (p->cur.type == T_LPAREN) {
        parse_call_args(p, n);
    } else if (begins_test_argument(p)) {
        if (jp_is_name(&p->cur, "is")) jp_fail(p, p->cur.line, "You cannot chain multiple tests with is");
        j_enter(p->J);
        jp_push(p, &n->list, parse_postfix(p, parse_primary(p, false)));
        j_leave(p->J);
    }
    if (!negated) return n;
    negation = jp_node(p, N_NOT, n->line);
    negation->a = n;
    return negation;
}

static struct jnode *parse_filter_expr(struct jparser *p, struct jnode *n) {
    for (;;) {
        if (p->cur.type == T_PIPE) n = parse_filter(p, n, false);
        else if (jp_is_name(&p->cur, "is")) n = parse_test(p, n);
        else if (p->cur.type == T_LPAREN) n = parse_call(p, n);
        else return n;
    }
}

static struct jnode *parse_unary(struct jparser *p, bool with_filter) {
    struct jnode *n;
    j_enter(p->J);
    if (p->cur.type == T_SUB || p->cur.type == T_ADD) {
        n = jp_node(p, N_UNARY, p->cur.line);
        n->op = p->cur.type == T_SUB ? '-' : '+';
        jp_next(p);
        n->a = parse_unary(p, false);
    } else {
        n = parse_primary(p, false);
    }
    n = parse_postfix(p, n);
    if (with_filter) n = parse_filter_expr(p, n);
    j_leave(p->J);
    return n;
}
