/* rule.c -- a recursive reader into an array of nodes, and its walk. Types are checked when it is read, so the walk cannot fail. */
#include "tier/rule.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "base/show.h"

#define DEPTH_MAX 64

enum op { OP_OR, OP_AND, OP_NOT, OP_LESS, OP_LESS_EQ, OP_MORE, OP_MORE_EQ, OP_EQ, OP_NE, OP_CONTAINS, OP_FACT, OP_NUMBER, OP_TEXT };
struct node {
    enum op op;
    int a, b;      /* operands */
    enum fact fact;
    double number;
    struct view text; /* within the rule's own copy */
};
struct rule {
    char text[RULE_BYTES_MAX + 1];
    struct node v[RULE_NODES_MAX];
    int n, root;
};
struct reader {
    struct rule *r;
    const char *at;
    unsigned when;
    int depth;
    slm_err *err;
    slm_status st;
};

static int fail(struct reader *p, slm_status code, const char *why, struct view what) {
    if (p->st == SLM_OK) p->st = err_set(p->err, code, (uint64_t)(p->at - p->r->text), "rule \"%s\": at byte %zu: %s \"%s\"", show_cstr(p->r->text).s, (size_t)(p->at - p->r->text), why, show_view(what).s);
    return -1;
}

static int add(struct reader *p, struct node n) {
    if (p->r->n == RULE_NODES_MAX) return fail(p, SLM_E_LIMIT, "more parts than a rule may have at", view_of(p->at));
    p->r->v[p->r->n] = n;
    return p->r->n++;
}

static void skip(struct reader *p) {
    while (isspace((unsigned char)*p->at)) p->at++;
}

static struct view word_at(struct reader *p) {
    skip(p);
    size_t n = 0;
    while (isalnum((unsigned char)p->at[n]) || p->at[n] == '_') n++;
    return (struct view){p->at, n};
}

static bool take_word(struct reader *p, const char *word) {
    if (!view_eq(word_at(p), view_of(word))) return false;
    p->at += strlen(word);
    return true;
}

static int read_name(struct reader *p, struct view word) {
    const char *names[FACT_COUNT];
    char name[64];
    size_t n = 0;
    for (int i = 0; i < FACT_COUNT; i++) {
        const struct fact_row *row = &fact_rows()[i];
        if (!(row->when & p->when)) continue;
        names[n++] = row->name;
        if (!view_eq(word, view_of(row->name))) continue;
        p->at += word.len;
        return add(p, (struct node){.op = OP_FACT, .fact = (enum fact)i});
    }
    snprintf(name, sizeof name, "%.*s", (int)(word.len < 63 ? word.len : 63), word.ptr);
    int at = fail(p, SLM_E_USAGE, "there is no fact", word);
    err_hint(p->err, "did you mean \"%s\"?", nearest_name(name, names, n));
    return at;
}

static int read_value(struct reader *p) {
    struct view word = word_at(p);
    if (*p->at == '\'' || *p->at == '"') {
        const char *end = strchr(p->at + 1, *p->at);
        if (!end) return fail(p, SLM_E_USAGE, "a text does not end:", view_of(p->at));
        struct view text = {p->at + 1, (size_t)(end - p->at) - 1};
        p->at = end + 1;
        return add(p, (struct node){.op = OP_TEXT, .text = text});
    }
    if (isdigit((unsigned char)*p->at) || *p->at == '-' || *p->at == '.') {
        char *end;
        double v = strtod(p->at, &end);
        if (end == p->at || isalnum((unsigned char)*end)) return fail(p, SLM_E_USAGE, "no number:", view_of(p->at));
        p->at = end;
        return add(p, (struct node){.op = OP_NUMBER, .number = v});
    }
    if (view_eq(word, VIEW("true")) || view_eq(word, VIEW("false"))) {
        p->at += word.len;
        return add(p, (struct node){.op = OP_NUMBER, .number = word.len == 4});
    }
    if (!word.len) return fail(p, SLM_E_USAGE, *p->at ? "a fact, number or text is wanted, not" : "ends too early after", view_of(*p->at ? p->at : p->r->text));
    return read_name(p, word);
}

static bool is_text(const struct rule *r, int i) { return r->v[i].op == OP_TEXT || (r->v[i].op == OP_FACT && fact_rows()[r->v[i].fact].kind == FACT_WORDS); }

/* The longer of two that begin alike comes first. */
static const struct { const char *text; enum op op; bool takes_number, takes_text; } ops[] = {
    {"<=", OP_LESS_EQ, true, false}, {">=", OP_MORE_EQ, true, false}, {"==", OP_EQ, true, true}, {"!=", OP_NE, true, true},
    {"<", OP_LESS, true, false},     {">", OP_MORE, true, false},     {"contains", OP_CONTAINS, false, true},
};

static int read_comparison(struct reader *p) {
    int a = read_value(p);
    if (a < 0) return -1;
    skip(p);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        size_t n = strlen(ops[i].text);
        if (strncmp(p->at, ops[i].text, n) != 0 || (ops[i].op == OP_CONTAINS && word_at(p).len != n)) continue;
        p->at += n;
        int b = read_value(p);
        if (b < 0) return -1;
        bool has_text = is_text(p->r, a);
        if (has_text != is_text(p->r, b) || (has_text ? !ops[i].takes_text : !ops[i].takes_number)) return fail(p, SLM_E_USAGE, "these cannot be compared by", view_of(ops[i].text));
        return add(p, (struct node){.op = ops[i].op, .a = a, .b = b});
    }
    if (is_text(p->r, a)) return fail(p, SLM_E_USAGE, "a text alone is neither true nor false, before", view_of(p->at));
    return a;
}

static int read_or(struct reader *p);

static int read_not(struct reader *p) {
    int a;
    if (++p->depth > DEPTH_MAX) return fail(p, SLM_E_LIMIT, "nested too deeply at", view_of(p->at));
    if (take_word(p, "not")) {
        a = read_not(p);
        if (a >= 0) a = add(p, (struct node){.op = OP_NOT, .a = a});
    } else if (skip(p), *p->at == '(') {
        p->at++;
        a = read_or(p);
        skip(p);
        if (a >= 0 && *p->at != ')') a = fail(p, SLM_E_USAGE, "\")\" is wanted before", view_of(p->at));
        else if (a >= 0) p->at++;
    } else a = read_comparison(p);
    p->depth--;
    return a;
}

static int read_and(struct reader *p) {
    int a = read_not(p);
    while (a >= 0 && take_word(p, "and")) {
        int b = read_not(p);
        a = b < 0 ? -1 : add(p, (struct node){.op = OP_AND, .a = a, .b = b});
    }
    return a;
}

static int read_or(struct reader *p) {
    int a = read_and(p);
    while (a >= 0 && take_word(p, "or")) {
        int b = read_and(p);
        a = b < 0 ? -1 : add(p, (struct node){.op = OP_OR, .a = a, .b = b});
    }
    return a;
}

slm_status rule_parse(struct view text, unsigned when, struct rule **out, slm_err *err) {
    *out = NULL;
    if (text.len > RULE_BYTES_MAX || memchr(text.ptr ? text.ptr : "", 0, text.len)) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "rule \"%s\": longer than %d bytes, or with a byte 0", show_view(text).s, RULE_BYTES_MAX);
    struct rule *r = calloc(1, sizeof *r);
    if (!r) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "rule: no memory");
    if (text.len) memcpy(r->text, text.ptr, text.len);
    struct reader p = {.r = r, .at = r->text, .when = when, .err = err};
    r->root = read_or(&p);
    skip(&p);
    if (p.st == SLM_OK && *p.at) fail(&p, SLM_E_USAGE, "\"and\" or \"or\" is wanted before", view_of(p.at));
    if (p.st != SLM_OK) {
        free(r);
        return p.st;
    }
    *out = r;
    return SLM_OK;
}

static double number_of(const struct rule *r, int i, const struct facts *f) { return r->v[i].op == OP_FACT ? f->v[r->v[i].fact] : r->v[i].number; }
static struct view text_of(const struct rule *r, int i, const struct facts *f) { return r->v[i].op == OP_FACT ? f->text[r->v[i].fact] : r->v[i].text; }

static bool contains(struct view in, struct view what) {
    for (size_t i = 0; i + what.len <= in.len; i++)
        if (what.len == 0 || strncasecmp(in.ptr + i, what.ptr, what.len) == 0) return true;
    return false;
}

static bool holds(const struct rule *r, int i, const struct facts *f) {
    const struct node *n = &r->v[i];
    switch (n->op) {
    case OP_OR: return holds(r, n->a, f) || holds(r, n->b, f);
    case OP_AND: return holds(r, n->a, f) && holds(r, n->b, f);
    case OP_NOT: return !holds(r, n->a, f);
    case OP_LESS: return number_of(r, n->a, f) < number_of(r, n->b, f);
    case OP_LESS_EQ: return number_of(r, n->a, f) <= number_of(r, n->b, f);
    case OP_MORE: return number_of(r, n->a, f) > number_of(r, n->b, f);
    case OP_MORE_EQ: return number_of(r, n->a, f) >= number_of(r, n->b, f);
    case OP_EQ:
    case OP_NE: {
        bool same = is_text(r, n->a) ? view_eq(text_of(r, n->a, f), text_of(r, n->b, f)) : number_of(r, n->a, f) == number_of(r, n->b, f);
        return same == (n->op == OP_EQ);
    }
    case OP_CONTAINS: return contains(text_of(r, n->a, f), text_of(r, n->b, f));
    case OP_FACT:
    case OP_NUMBER:
    case OP_TEXT: return number_of(r, i, f) != 0;
    }
    return false;
}

bool rule_holds(const struct rule *r, const struct facts *f) { return holds(r, r->root, f); }
void rule_free(struct rule *r) { free(r); }
