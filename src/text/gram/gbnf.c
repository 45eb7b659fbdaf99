/* gbnf.c -- grammars in llama.cpp's notation (GBNF) as a graph: rules, "text", [sets], ., groups, | and repeats * + ? {m,n}.
 *
 * Facts of the notation from its documentation; what it says nothing of: a line may begin with |, and a rule may not be given
 * twice. Token references (<[id]>) are refused: a gram knows bytes only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "text/gram/gram_int.h"

#define RULES_MAX 20000

struct rule {
    struct view name;
    const char *used_at;
    uint32_t node;
    bool is_given;
};

struct reader {
    struct gram *g;
    const char *at, *begin, *end;
    struct rule *rules;
    uint32_t *slots, *stack; /* slots: 1 + rule; stack: kids of the lists being read */
    size_t n_rules, cap_rules, n_slots, n_stack, cap_stack;
    int depth;
};

static bool ok(const struct reader *r) { return r->g->failed == SLM_OK; }

static uint32_t fail_at(struct reader *r, const char *at, slm_status code, const char *why) {
    size_t line = 1, column = 1;
    for (const char *p = r->begin; p < at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    gram_fail(r->g, code, (uint64_t)(at - r->begin), "grammar: line %zu, column %zu: %s", line, column, why);
    return 0;
}

static uint32_t fail(struct reader *r, const char *why) { return fail_at(r, r->at, SLM_E_FORMAT, why); }

static bool is_at(const struct reader *r, char c) { return r->at < r->end && *r->at == c; }

/* Steps over c, or fails at the place given and stays: never past the end. */
static void expect(struct reader *r, char c, const char *blame, const char *why) {
    if (is_at(r, c)) r->at++;
    else fail_at(r, blame, SLM_E_FORMAT, why);
}

static void skip(struct reader *r, bool lines) {
    while (r->at < r->end) {
        if (*r->at == '#') {
            while (r->at < r->end && *r->at != '\n') r->at++;
        } else if (*r->at == ' ' || *r->at == '\t' || (lines && (*r->at == '\n' || *r->at == '\r'))) {
            r->at++;
        } else {
            return;
        }
    }
}

static bool grow(struct reader *r, void *array, size_t need, size_t *cap, size_t size) {
    void *p;
    if (!ok(r)) return false;
    if (need <= *cap) return true;
    size_t want = *cap ? *cap * 2 : 64;
    memcpy(&p, array, sizeof p);
    if (!(p = realloc(p, want * size))) {
        gram_fail(r->g, SLM_E_NOMEM, SLM_NOWHERE, "grammar: no memory");
        return false;
    }
    memcpy(array, &p, sizeof p);
    *cap = want;
    return true;
}

static void push(struct reader *r, uint32_t node) {
    if (grow(r, &r->stack, r->n_stack + 1, &r->cap_stack, sizeof *r->stack)) r->stack[r->n_stack++] = node;
}

static bool is_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; }

static struct view take_name(struct reader *r) {
    const char *from = r->at;
    while (r->at < r->end && is_name(*r->at)) r->at++;
    return (struct view){from, (size_t)(r->at - from)};
}

/* The rule of a name, made when new; NULL on failure. */
static struct rule *rule_of(struct reader *r, struct view name) {
    size_t at = hash_bytes(HASH_START, name.ptr, name.len) & (r->n_slots - 1);
    for (; r->slots[at]; at = (at + 1) & (r->n_slots - 1))
        if (view_eq(r->rules[r->slots[at] - 1].name, name)) return &r->rules[r->slots[at] - 1];
    if (r->n_rules >= RULES_MAX) {
        fail_at(r, name.ptr, SLM_E_LIMIT, "more than 20000 rules");
        return NULL;
    }
    if (!grow(r, &r->rules, r->n_rules + 1, &r->cap_rules, sizeof *r->rules)) return NULL;
    r->rules[r->n_rules] = (struct rule){name, name.ptr, gram_rule(r->g), false};
    r->slots[at] = (uint32_t)r->n_rules + 1;
    return &r->rules[r->n_rules++];
}

static uint32_t take_hex(struct reader *r, int n) {
    uint32_t v = 0;
    for (int i = 0; i < n; i++, r->at++) {
        char c = r->at < r->end ? *r->at : '\0';
        uint32_t d = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10) : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10) : 16u;
        if (d == 16) return fail(r, "a hexadecimal digit is missing");
        v = v * 16 + d;
    }
    return v;
}

/* One character of a literal or a set. */
static uint32_t take_char(struct reader *r) {
    static const char names[] = "nrt\\\"[]", chars[] = "\n\r\t\\\"[]";
    uint32_t cp = 0;
    if (*r->at != '\\') {
        int n = utf8_decode(r->at, (size_t)(r->end - r->at), &cp);
        if (n == 0) return fail(r, "bytes that are not UTF-8");
        r->at += n;
        return cp;
    }
    if (++r->at >= r->end) return fail(r, "a backslash at the end");
    char c = *r->at++;
    const char *known = c ? strchr(names, c) : NULL;
    if (known) return (uint8_t)chars[known - names];
    if (c != 'x' && c != 'u' && c != 'U') {
        r->at--;
        return fail(r, "an unknown escape: \\n \\r \\t \\\\ \\\" \\[ \\] \\xHH \\uHHHH \\UHHHHHHHH are known");
    }
    cp = take_hex(r, c == 'x' ? 2 : c == 'u' ? 4 : 8);
    if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000)) return fail(r, "not a character of Unicode");
    return cp;
}

static uint32_t take_literal(struct reader *r) {
    struct buf text;
    buf_init(&text, GRAM_SOURCE_BYTES_MAX);
    r->at++;
    while (ok(r) && r->at < r->end && *r->at != '"' && *r->at != '\n') {
        char bytes[4];
        int n = utf8_encode(take_char(r), bytes);
        buf_append(&text, bytes, (size_t)n);
    }
    expect(r, '"', r->at, "\" without its end");
    if (text.failed != SLM_OK) gram_fail(r->g, text.failed, SLM_NOWHERE, "grammar: a text too long");
    uint32_t node = ok(r) ? gram_lit(r->g, (struct view){text.data, text.len}) : 0;
    buf_fini(&text);
    return node;
}

static int compare_ranges(const void *a, const void *b) {
    const uint32_t *x = a, *y = b;
    return x[0] < y[0] ? -1 : x[0] > y[0];
}

/* What the sorted ranges leave out, as ranges. */
static size_t complement(const uint32_t *ranges, size_t n, uint32_t *out) {
    uint32_t next = 0;
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (ranges[2 * i] > next) {
            out[2 * k] = next;
            out[2 * k++ + 1] = ranges[2 * i] - 1;
        }
        if (ranges[2 * i + 1] + 1 > next) next = ranges[2 * i + 1] + 1;
    }
    if (next <= 0x10ffff) {
        out[2 * k] = next;
        out[2 * k++ + 1] = 0x10ffff;
    }
    return k;
}

static uint32_t take_set(struct reader *r) {
    uint32_t *ranges = NULL;
    size_t n = 0, cap = 0;
    const char *from = r->at++;
    bool negate = is_at(r, '^');
    r->at += negate;
    while (ok(r) && r->at < r->end && *r->at != ']' && *r->at != '\n') {
        uint32_t lo = take_char(r), hi = lo;
        if (is_at(r, '-') && r->at + 1 < r->end && r->at[1] != ']') {
            r->at++;
            hi = take_char(r);
        }
        if (hi < lo) fail(r, "a range that ends before it begins");
        if (!grow(r, &ranges, 4 * n + 8, &cap, sizeof *ranges)) break;
        ranges[2 * n] = lo;
        ranges[2 * n++ + 1] = hi;
    }
    expect(r, ']', from, "[ without ]");
    uint32_t node = 0;
    if (ok(r) && n > 0) qsort(ranges, n, 2 * sizeof *ranges, compare_ranges);
    if (ok(r) && negate) {
        uint32_t *out = malloc((2 * n + 2) * sizeof *out);
        if (out) node = gram_chars(r->g, out, complement(ranges, n, out));
        else gram_fail(r->g, SLM_E_NOMEM, SLM_NOWHERE, "grammar: no memory");
        free(out);
    } else if (ok(r)) {
        node = gram_chars(r->g, ranges, n);
    }
    free(ranges);
    return node;
}

static uint32_t take_alternatives(struct reader *r);

static uint32_t take_item(struct reader *r) {
    static const uint32_t any[] = {0, 0x10ffff};
    const char *at = r->at;
    uint32_t node;
    switch (*r->at) {
    case '"': return take_literal(r);
    case '[': return take_set(r);
    case '.': r->at++; return gram_chars(r->g, any, 1);
    case '<': case '!': return fail_at(r, at, SLM_E_UNSUPPORTED, "token references are not supported: write the text");
    case '(':
        r->at++;
        if (++r->depth > GRAM_NESTING_MAX) return fail_at(r, at, SLM_E_LIMIT, "groups nested too deeply");
        node = take_alternatives(r);
        r->depth--;
        skip(r, true);
        expect(r, ')', at, "( without )");
        return node;
    default: break;
    }
    struct view name = take_name(r);
    if (name.len == 0) return fail(r, "neither a text, a set, a group nor a rule's name");
    struct rule *rule = rule_of(r, name);
    return rule ? rule->node : 0;
}

static bool take_number(struct reader *r, uint32_t *out) {
    uint32_t v = 0;
    const char *from = r->at;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) v = v > GRAM_REPEAT_MAX ? v : v * 10 + (uint32_t)(*r->at - '0');
    *out = v;
    if (v > GRAM_REPEAT_MAX) fail_at(r, from, SLM_E_LIMIT, "a repeat of more than 1000000 times");
    return r->at > from;
}

static void take_braces(struct reader *r, uint32_t *least, uint32_t *most) {
    r->at++;
    skip(r, r->depth > 0);
    if (!take_number(r, least)) fail(r, "a number is missing after {");
    skip(r, r->depth > 0);
    *most = *least;
    if (is_at(r, ',')) {
        r->at++;
        skip(r, r->depth > 0);
        if (!take_number(r, most)) *most = NODE_INF;
        skip(r, r->depth > 0);
    }
    expect(r, '}', r->at, "{ without }");
    if (*most < *least) fail(r, "a repeat whose most is below its least");
}

static uint32_t take_repeats(struct reader *r, uint32_t node) {
    while (ok(r) && r->at < r->end) {
        uint32_t least = 0, most = NODE_INF;
        char c = *r->at;
        if (c == '{') {
            take_braces(r, &least, &most);
        } else if (c == '*' || c == '+' || c == '?') {
            r->at++;
            least = c == '+';
            most = c == '?' ? 1 : NODE_INF;
        } else {
            return node;
        }
        node = gram_rep(r->g, node, least, most);
        skip(r, r->depth > 0);
    }
    return node;
}

static bool ends_sequence(const struct reader *r) { return r->at >= r->end || *r->at == '|' || *r->at == ')' || *r->at == '\n' || *r->at == '\r'; }

/* Whether a line that follows begins with |: then it goes on. */
static void join_lines(struct reader *r) {
    const char *back = r->at;
    skip(r, true);
    if (!is_at(r, '|')) r->at = back;
}

static uint32_t take_alternatives(struct reader *r) {
    size_t from_alt = r->n_stack;
    while (ok(r)) {
        size_t from = r->n_stack;
        skip(r, true);
        while (ok(r) && !ends_sequence(r)) {
            uint32_t node = take_item(r);
            skip(r, r->depth > 0);
            push(r, take_repeats(r, node));
            skip(r, r->depth > 0);
        }
        if (!ok(r)) return 0;
        uint32_t seq = gram_seq(r->g, r->stack + from, r->n_stack - from);
        r->n_stack = from;
        push(r, seq);
        join_lines(r);
        if (!is_at(r, '|')) break;
        r->at++;
    }
    if (!ok(r)) return 0;
    uint32_t node = gram_alt(r->g, r->stack + from_alt, r->n_stack - from_alt);
    r->n_stack = from_alt;
    return node;
}

static void take_rule(struct reader *r) {
    const char *at = r->at;
    struct view name = take_name(r);
    skip(r, false);
    if (name.len == 0 || r->end - r->at < 3 || memcmp(r->at, "::=", 3) != 0) {
        fail(r, name.len ? "::= is missing" : "a rule's name is missing");
        return;
    }
    r->at += 3;
    struct rule *rule = rule_of(r, name);
    if (!rule) return;
    if (rule->is_given) {
        fail_at(r, at, SLM_E_FORMAT, "the rule is given twice");
        return;
    }
    rule->is_given = true;
    uint32_t node = rule->node;
    gram_bind(r->g, node, take_alternatives(r));
    skip(r, false);
    if (ok(r) && r->at < r->end && *r->at != '\n' && *r->at != '\r') fail(r, "the end of the line is missing");
}

static uint32_t take_grammar(struct reader *r) {
    r->n_slots = 65536;
    if (!(r->slots = calloc(r->n_slots, sizeof *r->slots))) gram_fail(r->g, SLM_E_NOMEM, SLM_NOWHERE, "grammar: no memory");
    grow(r, &r->stack, 1, &r->cap_stack, sizeof *r->stack);
    for (skip(r, true); ok(r) && r->at < r->end; skip(r, true)) take_rule(r);
    for (size_t i = 0; i < r->n_rules && ok(r); i++) {
        if (r->rules[i].is_given) continue;
        char why[300];
        snprintf(why, sizeof why, "the rule \"%.*s\" is not given anywhere", VIEW_ARG(r->rules[i].name));
        fail_at(r, r->rules[i].used_at, SLM_E_FORMAT, why);
    }
    for (size_t i = 0; i < r->n_rules && ok(r); i++)
        if (view_eq(r->rules[i].name, VIEW("root"))) return r->rules[i].node;
    if (ok(r)) gram_fail(r->g, SLM_E_FORMAT, SLM_NOWHERE, "grammar: there is no rule \"root\"");
    return 0;
}

slm_status gram_from_gbnf(struct view source, struct gram **out, slm_err *err) {
    struct reader r = {.at = source.ptr, .begin = source.ptr, .end = source.ptr + source.len};
    *out = NULL;
    if (source.len > GRAM_SOURCE_BYTES_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "grammar of %zu bytes: at most %u", source.len, GRAM_SOURCE_BYTES_MAX);
    if (!(r.g = gram_new(err))) return SLM_E_NOMEM;
    slm_status st = gram_finish(r.g, take_grammar(&r), err);
    free(r.rules);
    free(r.slots);
    free(r.stack);
    if (st == SLM_OK) *out = r.g;
    else gram_destroy(r.g);
    return st;
}
