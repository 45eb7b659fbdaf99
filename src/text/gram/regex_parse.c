/* regex_parse.c -- ECMAScript regular expressions (ECMA-262, 22.2, with the u flag's characters and Annex B's tolerance of a
 * lone brace) as a tree. What a finite automaton cannot do (look-around, back-references) and what would be misread (\b, flags) is
 * refused by name. */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/util.h"
#include "text/gram/regex_int.h"

#define RE_NODES_MAX (1u << 18)
#define CP_MAX 0x10ffffu
#define REPEATS_MAX 8 /* of one atom: a{2}{3} */

struct parser {
    struct re *re;
    const char *at, *begin, *end;
    uint32_t *stack; /* kids of the lists being read */
    size_t n_stack, cap_stack;
    int depth;
    slm_status st;
    slm_err *err;
};

void re_fini(struct re *re) {
    free(re->nodes);
    free(re->kids);
    free(re->ranges);
    memset(re, 0, sizeof *re);
}

static uint32_t fail(struct parser *p, slm_status code, const char *why) {
    if (p->st == SLM_OK)
        p->st = err_set(p->err, code, (uint64_t)(p->at - p->begin), "regular expression \"%.*s\": %s at byte %zu", VIEW_ARG(((struct view){p->begin, (size_t)(p->end - p->begin)})),
                        why, (size_t)(p->at - p->begin));
    return 0;
}

static bool room(struct parser *p, void *array, size_t need, size_t *cap, size_t size) {
    void *mem;
    if (p->st != SLM_OK) return false;
    if (need <= *cap) return true;
    size_t want = *cap ? *cap * 2 : 64;
    while (want < need) want *= 2;
    memcpy(&mem, array, sizeof mem);
    if (want > RE_NODES_MAX || !(mem = realloc(mem, want * size))) {
        fail(p, want > RE_NODES_MAX ? SLM_E_LIMIT : SLM_E_NOMEM, "too large");
        return false;
    }
    memcpy(array, &mem, sizeof mem);
    *cap = want;
    return true;
}

static uint32_t add(struct parser *p, struct re_node n) {
    struct re *re = p->re;
    if (!room(p, &re->nodes, re->n_nodes + 1, &re->cap_nodes, sizeof n)) return 0;
    re->nodes[re->n_nodes] = n;
    return (uint32_t)re->n_nodes++;
}

static void push(struct parser *p, uint32_t node) {
    if (room(p, &p->stack, p->n_stack + 1, &p->cap_stack, sizeof *p->stack)) p->stack[p->n_stack++] = node;
}

/* The list of what was pushed since `from`. */
static uint32_t pop_list(struct parser *p, enum re_kind kind, size_t from) {
    struct re *re = p->re;
    size_t n = p->n_stack - from;
    p->n_stack = from;
    if (n == 1) return p->stack[from];
    if (!room(p, &re->kids, re->n_kids + n + 1, &re->cap_kids, sizeof *re->kids)) return 0;
    if (n) memcpy(re->kids + re->n_kids, p->stack + from, n * sizeof *re->kids);
    re->n_kids += n;
    return add(p, (struct re_node){.kind = kind, .first = (uint32_t)(re->n_kids - n), .n = (uint32_t)n});
}

/* --- sets of characters --- */

static void add_range(struct parser *p, uint32_t lo, uint32_t hi) {
    struct re *re = p->re;
    if (lo > hi || !room(p, &re->ranges, re->n_ranges + 2, &re->cap_ranges, sizeof *re->ranges)) return;
    re->ranges[re->n_ranges++] = lo;
    re->ranges[re->n_ranges++] = hi;
}

static int compare_ranges(const void *a, const void *b) {
    const uint32_t *x = a, *y = b;
    return x[0] < y[0] ? -1 : x[0] > y[0];
}

/* Sort and merge the ranges since `from`; then, if asked, their complement. */
static void settle_ranges(struct parser *p, size_t from, bool negate) {
    struct re *re = p->re;
    uint32_t *r = re->ranges + from;
    size_t n = (re->n_ranges - from) / 2, k = 0;
    if (p->st != SLM_OK) return;
    if (n) qsort(r, n, 2 * sizeof *r, compare_ranges);
    for (size_t i = 0; i < n; i++) {
        if (k > 0 && r[2 * i] <= r[2 * k - 1] + 1) {
            if (r[2 * i + 1] > r[2 * k - 1]) r[2 * k - 1] = r[2 * i + 1];
            continue;
        }
        r[2 * k] = r[2 * i];
        r[2 * k + 1] = r[2 * i + 1];
        k++;
    }
    re->n_ranges = from + 2 * k;
    if (!negate) return;
    size_t n_old = re->n_ranges;
    uint32_t next = 0;
    for (size_t i = from; i < n_old; i += 2) {
        uint32_t lo = re->ranges[i], hi = re->ranges[i + 1];
        if (lo > next) add_range(p, next, lo - 1);
        next = hi + 1;
    }
    if (next <= CP_MAX) add_range(p, next, CP_MAX);
    if (p->st != SLM_OK) return;
    memmove(re->ranges + from, re->ranges + n_old, (re->n_ranges - n_old) * sizeof *re->ranges);
    re->n_ranges -= n_old - from;
}

static const uint32_t digit[] = {'0', '9'}, word[] = {'0', '9', 'A', 'Z', '_', '_', 'a', 'z'},
                      space[] = {9, 13, 32, 32, 0xa0, 0xa0, 0x1680, 0x1680, 0x2000, 0x200a, 0x2028, 0x2029, 0x202f, 0x202f, 0x205f, 0x205f, 0x3000, 0x3000, 0xfeff, 0xfeff},
                      line_end[] = {'\n', '\n', '\r', '\r', 0x2028, 0x2029};

static void add_ranges(struct parser *p, const uint32_t *r, size_t n, bool negate) {
    uint32_t next = 0;
    for (size_t i = 0; i < n; i += 2) {
        if (!negate) add_range(p, r[i], r[i + 1]);
        else if (r[i] > next) add_range(p, next, r[i] - 1);
        next = r[i + 1] + 1;
    }
    if (negate) add_range(p, next, CP_MAX);
}

/* \p{...}: general categories by their short names, and what scripts of people use most by their long ones. */
struct property_row {
    const char *name, *categories;
};
static const struct property_row property_rows[] = {
    {"Letter", "L"}, {"Lowercase_Letter", "Ll"}, {"Uppercase_Letter", "Lu"}, {"Number", "N"}, {"Decimal_Number", "Nd"}, {"Punctuation", "P"},
    {"punct", "P"}, {"Symbol", "S"}, {"Separator", "Z"}, {"Space_Separator", "Zs"}, {"Mark", "M"}, {"Other", "C"},
};

static bool is_category(struct view name) {
    static const char *const known = "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp C Cc Cf Cs Co Cn";
    char padded[8] = " ";
    if (name.len < 1 || name.len > 2) return false;
    memcpy(padded + 1, name.ptr, name.len);
    padded[name.len + 1] = '\0';
    const char *at = strstr(known, padded + 1);
    for (; at; at = strstr(at + 1, padded + 1))
        if ((at == known || at[-1] == ' ') && (at[name.len] == ' ' || at[name.len] == '\0')) return true;
    return false;
}

static void add_property(struct parser *p, bool negate) {
    const char *close = p->at < p->end && *p->at == '{' ? memchr(p->at, '}', (size_t)(p->end - p->at)) : NULL;
    if (!close) {
        fail(p, SLM_E_FORMAT, "\\p without {name}");
        return;
    }
    struct view name = {p->at + 1, (size_t)(close - p->at - 1)};
    static const char prefix[] = "General_Category=";
    if (name.len > sizeof prefix && memcmp(name.ptr, prefix, sizeof prefix - 1) == 0) name = (struct view){name.ptr + sizeof prefix - 1, name.len - sizeof prefix + 1};
    for (size_t i = 0; i < sizeof property_rows / sizeof property_rows[0]; i++)
        if (view_eq(name, view_of(property_rows[i].name))) name = view_of(property_rows[i].categories);
    if (!is_category(name)) {
        fail(p, SLM_E_UNSUPPORTED, "a Unicode property that is not a general category is not supported");
        return;
    }
    p->at = close + 1;
    for (uint32_t cp = 0, start = 0; cp <= CP_MAX + 1; cp++) {
        bool in = false;
        if (cp <= CP_MAX) {
            const char *c = utf8proc_category_string((utf8proc_int32_t)cp);
            in = (c[0] == name.ptr[0] && (name.len == 1 || c[1] == name.ptr[1])) != negate;
        }
        if (in) continue;
        if (cp > start) add_range(p, start, cp - 1);
        start = cp + 1;
    }
}

static bool take_hex(struct parser *p, int n, uint32_t *out) {
    uint32_t v = 0;
    if (p->end - p->at < n) return false;
    for (int i = 0; i < n; i++) {
        char c = p->at[i];
        uint32_t d = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10) : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10) : 16u;
        if (d == 16) return false;
        v = v * 16 + d;
    }
    p->at += n;
    *out = v;
    return true;
}

static uint32_t take_unicode(struct parser *p) {
    uint32_t cp = 0, low;
    if (p->at < p->end && *p->at == '{') {
        p->at++;
        int n = 0;
        uint32_t d;
        for (; take_hex(p, 1, &d) && n < 6; n++) cp = cp * 16 + d;
        if (n == 0 || p->at >= p->end || *p->at != '}' || cp > CP_MAX) return fail(p, SLM_E_FORMAT, "a wrong \\u{...}");
        p->at++;
        return cp;
    }
    if (!take_hex(p, 4, &cp)) return fail(p, SLM_E_FORMAT, "\\u without four hexadecimal digits");
    if (cp >= 0xd800 && cp < 0xdc00 && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u') {
        const char *back = p->at;
        p->at += 2;
        if (take_hex(p, 4, &low) && low >= 0xdc00 && low < 0xe000) return 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
        p->at = back;
    }
    return cp;
}

/* What follows a backslash: a class (its ranges added, true) or one character. */
static bool take_escape(struct parser *p, bool in_class, uint32_t *cp) {
    if (p->at >= p->end) {
        fail(p, SLM_E_FORMAT, "a backslash at the end");
        return false;
    }
    char c = *p->at++;
    switch (c) {
    case 'd': case 'D': add_ranges(p, digit, 2, c == 'D'); return true;
    case 'w': case 'W': add_ranges(p, word, 8, c == 'W'); return true;
    case 's': case 'S': add_ranges(p, space, sizeof space / sizeof space[0], c == 'S'); return true;
    case 'p': case 'P': add_property(p, c == 'P'); return true;
    case 't': *cp = '\t'; return false;
    case 'n': *cp = '\n'; return false;
    case 'v': *cp = '\v'; return false;
    case 'f': *cp = '\f'; return false;
    case 'r': *cp = '\r'; return false;
    case '0': *cp = 0; return false;
    case 'x':
        if (!take_hex(p, 2, cp)) fail(p, SLM_E_FORMAT, "\\x without two hexadecimal digits");
        return false;
    case 'u': *cp = take_unicode(p); return false;
    case 'c':
        if (p->at < p->end && ((*p->at | 32) >= 'a' && (*p->at | 32) <= 'z')) *cp = (uint32_t)*p->at++ & 31;
        else fail(p, SLM_E_FORMAT, "\\c without a letter");
        return false;
    case 'b':
        if (in_class) {
            *cp = '\b';
            return false;
        }
        fail(p, SLM_E_UNSUPPORTED, "\\b (a word's edge) is not supported");
        return false;
    case 'B': case 'k': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        fail(p, SLM_E_UNSUPPORTED, c == 'B' ? "\\B is not supported" : "a back-reference is not supported");
        return false;
    default: break;
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) fail(p, SLM_E_FORMAT, "an unknown escape");
    p->at--;
    int n = utf8_decode(p->at, (size_t)(p->end - p->at), cp);
    if (n == 0) fail(p, SLM_E_FORMAT, "bytes that are not UTF-8");
    else p->at += n;
    return false;
}

static uint32_t take_char(struct parser *p) {
    uint32_t cp = 0;
    int n = utf8_decode(p->at, (size_t)(p->end - p->at), &cp);
    if (n == 0) return fail(p, SLM_E_FORMAT, "bytes that are not UTF-8");
    p->at += n;
    return cp;
}

/* One item of [...]: a class (true) or a character. */
static bool take_class_item(struct parser *p, uint32_t *cp) {
    if (*p->at == '\\') {
        p->at++;
        return take_escape(p, true, cp);
    }
    *cp = take_char(p);
    return false;
}

static uint32_t finish_set(struct parser *p, size_t from, bool negate) {
    settle_ranges(p, from, negate);
    return add(p, (struct re_node){.kind = RE_SET, .first = (uint32_t)from, .n = (uint32_t)((p->re->n_ranges - from) / 2)});
}

static uint32_t parse_class(struct parser *p) {
    size_t from = p->re->n_ranges;
    bool negate = p->at < p->end && *p->at == '^';
    p->at += negate;
    while (p->st == SLM_OK) {
        uint32_t lo = 0, hi = 0;
        if (p->at >= p->end) return fail(p, SLM_E_FORMAT, "[ without ]");
        if (*p->at == ']') break;
        if (take_class_item(p, &lo)) continue;
        if (p->end - p->at < 2 || p->at[0] != '-' || p->at[1] == ']') {
            add_range(p, lo, lo);
            continue;
        }
        p->at++;
        if (take_class_item(p, &hi)) {
            add_range(p, lo, lo);
            add_range(p, '-', '-');
            continue;
        }
        if (hi < lo) return fail(p, SLM_E_FORMAT, "a range that ends before it begins");
        add_range(p, lo, hi);
    }
    p->at++;
    return finish_set(p, from, negate);
}

/* --- structure --- */

static uint32_t parse_alternatives(struct parser *p);

static uint32_t parse_group(struct parser *p) {
    if (p->end - p->at >= 2 && p->at[0] == '?') {
        char c = p->at[1];
        bool is_named = c == '<' && p->end - p->at >= 3 && p->at[2] != '=' && p->at[2] != '!';
        if (c == ':') {
            p->at += 2;
        } else if (is_named) {
            const char *close = memchr(p->at, '>', (size_t)(p->end - p->at));
            if (!close) return fail(p, SLM_E_FORMAT, "a group's name without >");
            p->at = close + 1;
        } else if (c == '=' || c == '!' || c == '<') {
            return fail(p, SLM_E_UNSUPPORTED, "look-ahead and look-behind are not supported");
        } else {
            return fail(p, SLM_E_UNSUPPORTED, "flags within the expression are not supported");
        }
    }
    if (++p->depth > GRAM_NESTING_MAX) return fail(p, SLM_E_LIMIT, "groups nested too deeply");
    uint32_t node = parse_alternatives(p);
    p->depth--;
    if (p->at >= p->end || *p->at != ')') return fail(p, SLM_E_FORMAT, "( without )");
    p->at++;
    return node;
}

static uint32_t parse_atom(struct parser *p) {
    size_t from = p->re->n_ranges;
    uint32_t cp = 0;
    switch (*p->at) {
    case '^': p->at++; return add(p, (struct re_node){.kind = RE_BEGIN});
    case '$': p->at++; return add(p, (struct re_node){.kind = RE_END});
    case '(': p->at++; return parse_group(p);
    case '[': p->at++; return parse_class(p);
    case '.':
        p->at++;
        add_ranges(p, line_end, 6, true);
        return finish_set(p, from, false);
    case '*': case '+': case '?': return fail(p, SLM_E_FORMAT, "a repeat of nothing");
    case '\\':
        p->at++;
        if (take_escape(p, false, &cp)) return finish_set(p, from, false);
        break;
    default: cp = take_char(p); break;
    }
    add_range(p, cp, cp);
    return finish_set(p, from, false);
}

static bool take_number(struct parser *p, uint32_t *out) {
    uint32_t v = 0;
    const char *from = p->at;
    for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++) v = v > GRAM_REPEAT_MAX ? v : v * 10 + (uint32_t)(*p->at - '0');
    *out = v;
    return p->at > from;
}

/* {n}, {n,}, {n,m}; false and nothing taken: a brace that is a character. */
static bool take_braces(struct parser *p, uint32_t *least, uint32_t *most) {
    const char *back = p->at;
    p->at++;
    bool ok = take_number(p, least);
    *most = *least;
    if (ok && p->at < p->end && *p->at == ',') {
        p->at++;
        if (!take_number(p, most)) *most = NODE_INF;
    }
    ok = ok && p->at < p->end && *p->at == '}';
    if (!ok) p->at = back;
    else p->at++;
    return ok;
}

static uint32_t parse_repeats(struct parser *p, uint32_t atom) {
    for (int n = 0; p->st == SLM_OK && p->at < p->end; n++) {
        uint32_t least = 0, most = NODE_INF;
        char c = *p->at;
        if (n > 0 && (c == '*' || c == '+' || c == '?')) return fail(p, SLM_E_FORMAT, "a repeat of a repeat");
        if (c == '*' || c == '+' || c == '?') {
            p->at++;
            least = c == '+';
            most = c == '?' ? 1 : NODE_INF;
        } else if (c != '{' || !take_braces(p, &least, &most)) {
            return atom;
        }
        if (most < least) return fail(p, SLM_E_FORMAT, "a repeat whose most is below its least");
        if (least > GRAM_REPEAT_MAX || (most > GRAM_REPEAT_MAX && most != NODE_INF)) return fail(p, SLM_E_LIMIT, "a repeat of more than 1000000 times");
        if (p->at < p->end && *p->at == '?') p->at++; /* lazy: the same texts match */
        if (p->re->n_nodes && (p->re->nodes[atom].kind == RE_BEGIN || p->re->nodes[atom].kind == RE_END)) return fail(p, SLM_E_FORMAT, "a repeat of an anchor");
        atom = add(p, (struct re_node){.kind = RE_REP, .first = atom, .n = 1, .least = least, .most = most});
        if (n >= REPEATS_MAX) return fail(p, SLM_E_LIMIT, "repeats nested too deeply");
    }
    return atom;
}

static uint32_t parse_alternatives(struct parser *p) {
    size_t from_alt = p->n_stack;
    while (p->st == SLM_OK) {
        size_t from = p->n_stack;
        while (p->st == SLM_OK && p->at < p->end && *p->at != '|' && *p->at != ')') push(p, parse_repeats(p, parse_atom(p)));
        uint32_t cat = pop_list(p, RE_CAT, from);
        push(p, cat);
        if (p->at >= p->end || *p->at != '|') break;
        p->at++;
    }
    return p->st == SLM_OK ? pop_list(p, RE_ALT, from_alt) : 0;
}

slm_status re_parse(struct view pattern, struct re *re, slm_err *err) {
    struct parser p = {.re = re, .at = pattern.ptr, .begin = pattern.ptr, .end = pattern.ptr + pattern.len, .err = err};
    memset(re, 0, sizeof *re);
    if (pattern.len > GRAM_SOURCE_BYTES_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "regular expression of %zu bytes: at most %u", pattern.len, GRAM_SOURCE_BYTES_MAX);
    if (room(&p, &re->ranges, 1, &re->cap_ranges, sizeof *re->ranges)) re->root = parse_alternatives(&p); /* an empty set is a place, too */
    if (p.st == SLM_OK && p.at < p.end) fail(&p, SLM_E_FORMAT, ") without (");
    free(p.stack);
    return p.st;
}
