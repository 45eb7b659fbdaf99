/* parse_pipe.c -- pipelines, commands, operands, and constants. */
#include <errno.h>
#include <stdlib.h>

#include "base/util.h"
#include "text/gotmpl/gotmpl_int.h"

static const struct gtok *here(const struct gparser *p) { return &p->toks.v[p->at]; }

/* Texts */

static int hex_value(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

/* The number of an escape of n digits; -1: it is none. */
static int64_t escape_number(struct view v, size_t at, size_t n, int base) {
    int64_t x = 0;
    if (at > v.len || n > v.len - at) return -1;
    for (size_t i = 0; i < n; i++) {
        int d = hex_value(v.ptr[at + i]);
        if (d < 0 || d >= base) return -1;
        x = x * base + d;
    }
    return x;
}

/* One character at *at, an escape or not. Errors: SYNTAX; UNSUPPORTED (bytes that are no character). */
static void unquote_one(struct gparser *p, struct jsb *b, struct view v, size_t *at, char quote) {
    static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
    static const struct { char letter; size_t n; int base; } numbers[] = {{'x', 2, 16}, {'u', 4, 16}, {'U', 8, 16}};
    if (v.ptr[*at] != '\\') {
        jsb_putc(p->J, b, v.ptr[(*at)++]);
        return;
    }
    char c = *at + 1 < v.len ? v.ptr[*at + 1] : 0;
    const char *known = c ? strchr(from, c) : NULL;
    int64_t x = -1;
    size_t n = 0;
    *at += 2;
    if (known || (c && c == quote)) {
        jsb_putc(p->J, b, known ? to[known - from] : quote);
        return;
    }
    if (c >= '0' && c <= '7') x = escape_number(v, *at - 1, n = 3, 8), *at -= 1;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (c == numbers[i].letter) x = escape_number(v, *at, n = numbers[i].n, numbers[i].base);
    if (x < 0 || x > 0x10FFFF || (x >= 0xD800 && x < 0xE000)) j_raise(p->J, JX_SYNTAX, "an escape that is none: \"\\%c\"", c > ' ' && c < 0x7F ? c : '?');
    if (x > 0x7F && n < 4) j_raise(p->J, JX_UNSUPPORTED, "an escape of one byte that is no character; \\u has them");
    *at += n;
    jsb_cp(p->J, b, (uint32_t)x, false);
}

struct view gp_unquote(struct gparser *p, const struct gtok *t) {
    struct view v = {t->text.ptr + 1, t->text.len - 2};
    struct jsb b = {0};
    for (size_t at = 0; at < v.len;) {
        if (t->type != GT_RAW) unquote_one(p, &b, v, &at, t->text.ptr[0]);
        else if (v.ptr[at++] != '\r') jsb_putc(p->J, &b, v.ptr[at - 1]);
    }
    return (struct view){b.ptr ? b.ptr : "", b.len};
}

/* Numbers */

static struct gval *parse_char(struct gparser *p, const struct gtok *t) {
    struct view v = gp_unquote(p, t);
    uint32_t cp;
    int n = utf8_decode(v.ptr, v.len, &cp);
    if (n == 0 || (size_t)n != v.len) gp_unexpected(p, t, "a character constant");
    return gv_int(p->J, cp);
}

/* Digits of base, all of text: a whole number with its sign. */
static bool read_int(const char *text, int64_t *out) {
    bool has_sign = *text == '-' || *text == '+';
    const char *digits = text + has_sign;
    char clean[72], *end;
    int base = 10;
    if (digits[0] == '0' && digits[1]) base = strchr("xX", digits[1]) ? 16 : strchr("bB", digits[1]) ? 2 : 8;
    if (base == 2 || base == 16 || (base == 8 && strchr("oO", digits[1]))) digits += 2;
    if (hex_value(*digits) < 0 || strlen(digits) + 2 > sizeof clean) return false;
    clean[0] = *text == '-' ? '-' : '+';
    memcpy(clean + 1, digits, strlen(digits) + 1);
    errno = 0;
    long long x = strtoll(clean, &end, base);
    *out = x;
    return *end == 0 && errno == 0;
}

static struct gval *parse_number(struct gparser *p, const struct gtok *t) {
    char text[72], *end;
    int64_t i;
    if (t->text.len + 1 > sizeof text) j_raise(p->J, JX_SYNTAX, "number \"%.*s\": too long", VIEW_ARG(t->text));
    memcpy(text, t->text.ptr, t->text.len);
    text[t->text.len] = 0;
    if (strchr(text, '_') || strchr(text, 'i') || (strpbrk(text, "xX") && strpbrk(text, ".pP"))) j_raise(p->J, JX_UNSUPPORTED, "number \"%s\": written in a way that slm does not read", text);
    if (read_int(text, &i)) return gv_int(p->J, i);
    bool is_plain = strspn(text + (*text == '-' || *text == '+'), "0123456789.eE+-") == strlen(text) - (*text == '-' || *text == '+') && strpbrk(text, ".eE") && strpbrk(text, "0123456789");
    double f = is_plain ? strtod(text, &end) : 0;
    if (!is_plain || *end || f - f != 0) j_raise(p->J, JX_SYNTAX, "number \"%s\": not one", text);
    struct gval *v = gv_new(p->J, G_FLOAT, NULL);
    v->u.f = f;
    return v;
}

/* Operands */

static struct gnode *constant(struct gparser *p, struct gval *v) {
    struct gnode *n = gp_node(p, GN_CONST);
    n->konst = v;
    return n;
}

static struct gnode *parse_word(struct gparser *p, const struct gtok *t) {
    if (view_eq(t->text, VIEW("true"))) return constant(p, &gv_true);
    if (view_eq(t->text, VIEW("false"))) return constant(p, &gv_false);
    if (view_eq(t->text, VIEW("nil"))) return gp_node(p, GN_NIL);
    struct gnode *n = gp_node(p, GN_FUNCTION);
    n->text = t->text;
    n->func = gf_find(t->text);
    if (!n->func) j_raise(p->J, JX_SYNTAX, "function \"%.*s\": there is none", VIEW_ARG(t->text));
    if (n->func->is_refused) j_raise(p->J, JX_UNSUPPORTED, "function \"%.*s\": is not supported", VIEW_ARG(t->text));
    return n;
}

static struct gnode *parse_variable(struct gparser *p, const struct gtok *t) {
    struct gnode *n = gp_node(p, GN_VARIABLE);
    bool is_known = false;
    for (size_t i = 0; i < p->vars.n; i++) is_known |= view_eq(p->vars.v[i], t->text);
    if (!is_known) j_raise(p->J, JX_SYNTAX, "variable \"%.*s\": undefined", VIEW_ARG(t->text));
    j_step(p->J, p->vars.n / 16);
    gp_name(p, &n->names, t->text);
    return n;
}

static struct gnode *parse_term(struct gparser *p) { /* NULL: here is none */
    const struct gtok *t = gp_peek(p);
    struct gnode *n;
    p->J->line = t->line;
    switch (t->type) {
    case GT_WORD: n = parse_word(p, t); break;
    case GT_DOT: n = gp_node(p, GN_DOT); break;
    case GT_VARIABLE: n = parse_variable(p, t); break;
    case GT_FIELD:
        n = gp_node(p, GN_FIELD);
        gp_name(p, &n->names, t->text);
        break;
    case GT_NUMBER: n = constant(p, parse_number(p, t)); break;
    case GT_CHAR: n = constant(p, parse_char(p, t)); break;
    case GT_STRING:
    case GT_RAW: n = constant(p, gv_text(p->J, gp_unquote(p, t))); break;
    case GT_LEFT:
        p->at++;
        return gp_pipeline(p, "parentheses", GT_RIGHT);
    default: return NULL;
    }
    p->at++;
    return n;
}

/* A term and the fields that follow it without a space. */
static struct gnode *parse_operand(struct gparser *p) {
    struct gnode *n = parse_term(p);
    if (!n || here(p)->type != GT_FIELD) return n;
    if (n->kind == GN_CONST || n->kind == GN_NIL || n->kind == GN_DOT) gp_unexpected(p, here(p), "an operand: it has no fields");
    if (n->kind != GN_FIELD && n->kind != GN_VARIABLE) {
        struct gnode *chain = gp_node(p, GN_CHAIN);
        chain->pipe = n;
        n = chain;
    }
    for (; here(p)->type == GT_FIELD; p->at++) gp_name(p, &n->names, here(p)->text);
    return n;
}

/* Up to a bar or the end of the pipeline, which stays. */
static struct gnode *parse_command(struct gparser *p, const char *context) {
    struct gnode *n = gp_node(p, GN_COMMAND);
    for (;;) {
        gp_peek(p);
        struct gnode *operand = parse_operand(p);
        if (operand) gp_push(p, &n->kids, operand);
        const struct gtok *t = here(p);
        if (t->type == GT_SPACE && operand) continue;
        if (t->type != GT_CLOSE && t->type != GT_RIGHT && t->type != GT_PIPE) gp_unexpected(p, t, context);
        break;
    }
    if (n->kids.n == 0) j_raise(p->J, JX_SYNTAX, "missing value in %s", context);
    return n;
}

static void declare(struct gparser *p, struct gnode *pipe, struct view name) {
    gp_name(p, &pipe->names, name);
    gp_name(p, &p->vars, name);
}

/* $x :=, $x =, and of range $i, $x :=. What only begins like one is taken back. */
static void parse_declaration(struct gparser *p, struct gnode *pipe, const char *context) {
    size_t begin = p->at;
    const struct gtok *first = gp_peek(p);
    bool is_range = strcmp(context, "range") == 0;
    if (first->type != GT_VARIABLE) return;
    p->at++;
    const struct gtok *t = gp_peek(p), *second = NULL;
    if (is_range && t->type == GT_COMMA) {
        p->at++;
        second = gp_peek(p);
        if (second->type != GT_VARIABLE) gp_unexpected(p, second, "range: it can set variables only");
        p->at++;
        t = gp_peek(p);
    }
    if (t->type != GT_DECLARE && t->type != GT_ASSIGN) {
        if (second) gp_unexpected(p, t, "range");
        p->at = begin;
        return;
    }
    pipe->is_assign = t->type == GT_ASSIGN;
    declare(p, pipe, first->text);
    if (second) declare(p, pipe, second->text);
    p->at++;
}

struct gnode *gp_pipeline(struct gparser *p, const char *context, enum gtok_type end) {
    struct gnode *pipe = gp_node(p, GN_PIPE);
    j_enter(p->J);
    parse_declaration(p, pipe, context);
    for (;;) {
        struct gnode *command = parse_command(p, context);
        const struct gnode *word = command->kids.v[0];
        if (pipe->kids.n && (word->kind == GN_CONST || word->kind == GN_DOT || word->kind == GN_NIL)) j_raise(p->J, JX_SYNTAX, "a pipeline goes on to what is no function");
        gp_push(p, &pipe->kids, command);
        struct gtok t = gp_next(p);
        if (t.type == end) break;
        if (t.type != GT_PIPE) gp_unexpected(p, &t, context);
    }
    j_leave(p->J);
    return pipe;
}
