/* lex.c -- a template's text into tokens, one at a time, as jinja2's lexer with trim_blocks and lstrip_blocks cuts it.
 *
 * Invariant: src has "\n" line ends only and no last one (keep_trailing_newline is off). Outside tags the text up to the next
 * tag is one data token, whitespace next to it stripped by the tag's sign; raw sections and comments never leave this file. */
#include <errno.h>
#include <stdlib.h>

#include "base/util.h"
#include "text/jinja/jinja_int.h"

static const struct { const char *text, *name; } token_names[T_COUNT] = {
    [T_EOF] = {NULL, "end of template"}, [T_DATA] = {NULL, "template data / text"}, [T_VAR_BEGIN] = {NULL, "begin of print statement"},
    [T_VAR_END] = {NULL, "end of print statement"}, [T_BLOCK_BEGIN] = {NULL, "begin of statement block"},
    [T_BLOCK_END] = {NULL, "end of statement block"}, [T_NAME] = {NULL, "name"}, [T_STRING] = {NULL, "string"},
    [T_INT] = {NULL, "integer"}, [T_FLOAT] = {NULL, "float"},
    [T_ADD] = {"+", "+"}, [T_SUB] = {"-", "-"}, [T_MUL] = {"*", "*"}, [T_DIV] = {"/", "/"}, [T_FLOORDIV] = {"//", "//"},
    [T_POW] = {"**", "**"}, [T_MOD] = {"%", "%"}, [T_TILDE] = {"~", "~"}, [T_LBRACKET] = {"[", "["}, [T_RBRACKET] = {"]", "]"},
    [T_LPAREN] = {"(", "("}, [T_RPAREN] = {")", ")"}, [T_LBRACE] = {"{", "{"}, [T_RBRACE] = {"}", "}"}, [T_EQ] = {"==", "=="},
    [T_NE] = {"!=", "!="}, [T_GT] = {">", ">"}, [T_GE] = {">=", ">="}, [T_LT] = {"<", "<"}, [T_LE] = {"<=", "<="},
    [T_ASSIGN] = {"=", "="}, [T_DOT] = {".", "."}, [T_COLON] = {":", ":"}, [T_PIPE] = {"|", "|"}, [T_COMMA] = {",", ","},
    [T_SEMICOLON] = {";", ";"},
};

const char *lex_describe_type(enum jtok type) { return token_names[type].name; }

const char *lex_describe(struct jinja *J, const struct jtoken *t) {
    if (t->type != T_NAME) return token_names[t->type].name;
    char *name = arena_strdup(J->arena, t->text);
    return name ? name : "name";
}

void lex_init(struct jinja *J, struct jlexer *lx, struct view source) {
    char *copy = j_alloc(J, source.len + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < source.len;) {
        uint32_t cp;
        int len = utf8_decode(source.ptr + i, source.len - i, &cp);
        if (len == 0) j_raise(J, JX_SYNTAX, "byte %zu of the template is not UTF-8", i);
        if (cp == '\r') {
            if (i + 1 < source.len && source.ptr[i + 1] == '\n') i++;
            copy[n++] = '\n';
            i++;
            continue;
        }
        memcpy(copy + n, source.ptr + i, (size_t)len);
        n += (size_t)len;
        i += (size_t)len;
    }
    if (n && copy[n - 1] == '\n') n--;
    *lx = (struct jlexer){.src = {copy, n}, .line = 1, .line_starting = true};
}

static bool at(const struct jlexer *lx, size_t pos, const char *text) {
    size_t n = strlen(text);
    return pos <= lx->src.len && n <= lx->src.len - pos && memcmp(lx->src.ptr + pos, text, n) == 0;
}

static char byte(const struct jlexer *lx, size_t pos) { return pos < lx->src.len ? lx->src.ptr[pos] : 0; }

static size_t skip_space(const struct jlexer *lx, size_t pos) {
    for (;;) {
        uint32_t cp;
        int n = pos < lx->src.len ? utf8_decode(lx->src.ptr + pos, lx->src.len - pos, &cp) : 0;
        if (n == 0 || !ju_is_space(cp)) return pos;
        pos += (size_t)n;
    }
}

static size_t rstrip(const struct jlexer *lx, size_t start, size_t end) {
    while (end > start) {
        size_t from = end - 1;
        uint32_t cp;
        while (from > start && ((unsigned char)lx->src.ptr[from] & 0xC0) == 0x80) from--;
        if (utf8_decode(lx->src.ptr + from, end - from, &cp) == 0 || !ju_is_space(cp)) break;
        end = from;
    }
    return end;
}

static void advance(struct jlexer *lx, size_t to) {
    for (size_t i = lx->pos; i < to; i++) lx->line += lx->src.ptr[i] == '\n';
    if (to > lx->pos) lx->line_starting = lx->src.ptr[to - 1] == '\n';
    lx->pos = to;
}

/* Where the text [start, end) before a tag ends once the tag's sign has stripped it. */
static size_t strip_before(const struct jlexer *lx, size_t start, size_t end, char sign, bool is_variable) {
    if (sign == '-') return rstrip(lx, start, end);
    if (sign == '+' || is_variable) return end;
    size_t line = end;
    while (line > start && lx->src.ptr[line - 1] != '\n') line--;
    if (line == start && !lx->line_starting) return end;
    return line < end && skip_space(lx, line) >= end ? line : end;
}

/* The end of a statement or comment tag: "+%}", "-%}" and the whitespace after it, "%}" and one newline. 0: not here. */
static size_t tag_end(const struct jlexer *lx, size_t pos, const char *close) {
    if (byte(lx, pos) == '+' && at(lx, pos + 1, close)) return pos + 3;
    if (byte(lx, pos) == '-' && at(lx, pos + 1, close)) return skip_space(lx, pos + 3);
    if (at(lx, pos, close)) return pos + 2 + (byte(lx, pos + 2) == '\n');
    return 0;
}

/* "{% raw %}" at pos: its end, or 0. */
static size_t raw_begin(const struct jlexer *lx, size_t pos) {
    size_t p = pos + 2;
    if (byte(lx, p) == '-' || byte(lx, p) == '+') p++;
    p = skip_space(lx, p);
    if (!at(lx, p, "raw")) return 0;
    p = skip_space(lx, p + 3);
    if (at(lx, p, "-%}")) return skip_space(lx, p + 3);
    return at(lx, p, "%}") ? p + 2 : 0;
}

/* "{% endraw %}" at pos: its end, or 0; *sign its opening sign. */
static size_t raw_end(const struct jlexer *lx, size_t pos, char *sign) {
    size_t p = pos + 2;
    if (!at(lx, pos, "{%")) return 0;
    *sign = byte(lx, p) == '-' || byte(lx, p) == '+' ? lx->src.ptr[p++] : 0;
    p = skip_space(lx, p);
    if (!at(lx, p, "endraw")) return 0;
    return tag_end(lx, skip_space(lx, p + 6), "%}");
}

static bool give_data(struct jinja *J, struct jlexer *lx, struct jtoken *t, size_t start, size_t end, int line) {
    if (start == end) return false;
    *t = (struct jtoken){.type = T_DATA, .line = line, .text = {lx->src.ptr + start, end - start}};
    t->val = js_new(J, t->text);
    return true;
}

static bool lex_raw(struct jinja *J, struct jlexer *lx, struct jtoken *t) { /* pos: after the begin tag */
    size_t start = lx->pos;
    int line = lx->line;
    char sign = 0;
    if (start >= lx->src.len) return false;
    for (size_t p = start; p < lx->src.len; p++) {
        size_t end = raw_end(lx, p, &sign);
        if (!end) continue;
        size_t data_end = strip_before(lx, start, p, sign, false);
        advance(lx, end);
        return give_data(J, lx, t, start, data_end, line);
    }
    j_raise_line(J, lx->line, JX_SYNTAX, "Missing end of raw directive");
}

static void skip_comment(struct jinja *J, struct jlexer *lx) { /* pos: after the begin tag and its sign */
    if (lx->pos >= lx->src.len) return;
    for (size_t p = lx->pos; p < lx->src.len; p++) {
        size_t end = tag_end(lx, p, "#}");
        if (!end) continue;
        advance(lx, end);
        return;
    }
    j_raise_line(J, lx->line, JX_SYNTAX, "Missing end of comment tag");
}

/* Text up to the next tag, and past that tag's opening. True when t was filled. */
static bool lex_root(struct jinja *J, struct jlexer *lx, struct jtoken *t) {
    size_t start = lx->pos, p = start;
    int line = lx->line;
    while (p < lx->src.len && !(lx->src.ptr[p] == '{' && memchr("{%#", byte(lx, p + 1), 3) && byte(lx, p + 1))) p++;
    if (p >= lx->src.len) {
        advance(lx, lx->src.len);
        return give_data(J, lx, t, start, lx->src.len, line);
    }
    char kind = lx->src.ptr[p + 1], sign = byte(lx, p + 2);
    if (sign != '-' && sign != '+') sign = 0;
    size_t raw = kind == '%' ? raw_begin(lx, p) : 0, data_end = strip_before(lx, start, p, sign, kind == '{');
    advance(lx, raw ? raw : p + 2 + (sign != 0));
    if (raw) {
        struct jtoken inner;
        bool has_data = give_data(J, lx, t, start, data_end, line);
        if (!has_data) return lex_raw(J, lx, t);
        if (!lex_raw(J, lx, &inner)) return true;
        /* two data tokens in a row print like one */
        struct jsb both = {0};
        jsb_add(J, &both, t->text);
        jsb_add(J, &both, inner.text);
        t->val = jsb_done(J, &both);
        t->text = js_view(t->val);
        return true;
    }
    if (kind == '#') {
        skip_comment(J, lx);
        return give_data(J, lx, t, start, data_end, line);
    }
    lx->mode = kind == '{' ? LEX_VAR : LEX_BLOCK;
    lx->pending = kind == '{' ? T_VAR_BEGIN : T_BLOCK_BEGIN;
    return give_data(J, lx, t, start, data_end, line);
}

/* Numbers */

static bool is_digit_of(char c, int base) {
    int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
    return v < base;
}

/* Digits with single underscores between them, from pos: their end. A first underscore is let through after a prefix. */
static size_t digits(const struct jlexer *lx, size_t pos, int base, bool underscore_first) {
    size_t p = pos;
    for (;;) {
        size_t q = p + (byte(lx, p) == '_' && (p > pos || underscore_first));
        if (!is_digit_of(byte(lx, q), base)) return p;
        p = q + 1;
    }
}

static size_t float_end(const struct jlexer *lx, size_t pos) { /* 0: no float here */
    size_t p, q, whole = digits(lx, pos, 10, false);
    if (whole == pos || (pos > 0 && lx->src.ptr[pos - 1] == '.')) return 0;
    p = byte(lx, whole) == '.' && digits(lx, whole + 1, 10, false) > whole + 1 ? digits(lx, whole + 1, 10, false) : whole;
    if (byte(lx, p) == 'e' || byte(lx, p) == 'E') {
        q = p + 1;
        if (byte(lx, q) == '+' || byte(lx, q) == '-') q++;
        if (digits(lx, q, 10, false) > q) return digits(lx, q, 10, false);
    }
    return p > whole ? p : 0;
}

static size_t int_end(const struct jlexer *lx, size_t pos, int *base) {
    static const struct { char letter; int base; } prefixes[] = {{'b', 2}, {'o', 8}, {'x', 16}};
    char c = byte(lx, pos);
    *base = 10;
    if (c < '0' || c > '9') return 0;
    if (c != '0') return digits(lx, pos, 10, false);
    for (size_t i = 0; i < 3; i++) {
        size_t end = (byte(lx, pos + 1) | 0x20) == prefixes[i].letter ? digits(lx, pos + 2, prefixes[i].base, true) : 0;
        if (end > pos + 2) {
            *base = prefixes[i].base;
            return end;
        }
    }
    size_t p = pos + 1;
    for (;;) {
        size_t q = p + (byte(lx, p) == '_');
        if (byte(lx, q) != '0') return p;
        p = q + 1;
    }
}

static bool lex_number(struct jinja *J, struct jlexer *lx, struct jtoken *t) {
    char text[128];
    size_t n = 0, end = float_end(lx, lx->pos);
    int base = 10;
    bool is_float = end > 0;
    if (!is_float) end = int_end(lx, lx->pos, &base);
    if (end == 0) return false;
    for (size_t p = lx->pos + (base != 10 ? 2 : 0); p < end; p++) {
        if (lx->src.ptr[p] == '_') continue;
        if (n + 1 >= sizeof text) j_raise_line(J, lx->line, JX_UNSUPPORTED, "a number of more than %zu digits", sizeof text - 1);
        text[n++] = lx->src.ptr[p];
    }
    text[n] = 0;
    errno = 0;
    unsigned long long i = is_float ? 0 : strtoull(text, NULL, base);
    if (!is_float && (errno == ERANGE || i > INT64_MAX)) j_raise_line(J, lx->line, JX_UNSUPPORTED, "integer %.40s is beyond 64 bits", text);
    t->type = is_float ? T_FLOAT : T_INT;
    t->val = is_float ? jv_float(J, strtod(text, NULL)) : jv_int(J, (int64_t)i);
    t->text = (struct view){lx->src.ptr + lx->pos, end - lx->pos};
    advance(lx, end);
    return true;
}

/* Strings */

static size_t hex_escape(struct jinja *J, int line, const char *s, size_t n, size_t i, struct jsb *b) { /* s[i]: x, u or U */
    size_t want = s[i] == 'x' ? 2 : s[i] == 'u' ? 4 : 8;
    uint32_t cp = 0;
    for (size_t k = 1; k <= want; k++) {
        char c = i + k < n ? s[i + k] : 0;
        if (!is_digit_of(c, 16))
            j_raise_line(J, line, JX_SYNTAX, "truncated \\%s escape", want == 2 ? "xXX" : want == 4 ? "uXXXX" : "UXXXXXXXX");
        cp = cp * 16 + (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    if (cp > 0x10FFFF) j_raise_line(J, line, JX_SYNTAX, "illegal Unicode character");
    if (cp >= 0xD800 && cp < 0xE000) j_raise_line(J, line, JX_UNSUPPORTED, "surrogate \\u%04x in a string", (unsigned)cp);
    jsb_cp(J, b, cp, false);
    return i + want + 1;
}

static size_t escape(struct jinja *J, int line, const char *s, size_t n, size_t i, struct jsb *b) { /* s[i]: after the backslash */
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *known = s[i] ? strchr(from, s[i]) : NULL;
    if (known) {
        jsb_putc(J, b, to[known - from]);
        return i + 1;
    }
    if (s[i] == '\n') return i + 1;
    if (s[i] == 'x' || s[i] == 'u' || s[i] == 'U') return hex_escape(J, line, s, n, i, b);
    if (s[i] == 'N') j_raise_line(J, line, JX_UNSUPPORTED, "character names (\\N) in strings");
    if (is_digit_of(s[i], 8)) {
        uint32_t cp = 0;
        size_t k = 0;
        for (; k < 3 && i + k < n && is_digit_of(s[i + k], 8); k++) cp = cp * 8 + (uint32_t)(s[i + k] - '0');
        jsb_cp(J, b, cp, false);
        return i + k;
    }
    jsb_putc(J, b, '\\');
    uint32_t cp;
    int len = utf8_decode(s + i, n - i, &cp);
    if (len == 1) {
        jsb_putc(J, b, s[i]);
    } else { /* jinja2 writes the character as an escape first, and its backslash is then escaped by the one before it */
        jsb_printf(J, b, cp < 0x100 ? "x%02x" : cp < 0x10000 ? "u%04x" : "U%08x", (unsigned)cp);
    }
    return i + (size_t)len;
}

static bool lex_string(struct jinja *J, struct jlexer *lx, struct jtoken *t) {
    char quote = byte(lx, lx->pos);
    size_t start = lx->pos + 1, end = start;
    struct jsb b = {0};
    if (quote != '\'' && quote != '"') return false;
    while (end < lx->src.len && lx->src.ptr[end] != quote) end += lx->src.ptr[end] == '\\' ? 2 : 1;
    if (end >= lx->src.len) return false;
    const char *s = lx->src.ptr + start;
    for (size_t i = 0, n = end - start; i < n;) {
        if (s[i] == '\\') i = escape(J, lx->line, s, n, i + 1, &b);
        else jsb_putc(J, &b, s[i++]);
    }
    t->type = T_STRING;
    t->val = jsb_done(J, &b);
    t->text = js_view(t->val);
    advance(lx, end + 1);
    return true;
}

/* Names and operators */

static bool lex_name(struct jinja *J, struct jlexer *lx, struct jtoken *t) {
    size_t end = lx->pos;
    bool valid = true;
    while (end < lx->src.len) {
        uint32_t cp;
        int n = utf8_decode(lx->src.ptr + end, lx->src.len - end, &cp);
        bool name = end == lx->pos ? ju_is_name_start(cp) : ju_is_name(cp);
        if (!name && !ju_is_word(cp)) break;
        valid &= name;
        end += (size_t)n;
    }
    if (end == lx->pos) return false;
    if (!valid) j_raise_line(J, lx->line, JX_SYNTAX, "Invalid character in identifier");
    t->type = T_NAME;
    t->text = (struct view){lx->src.ptr + lx->pos, end - lx->pos};
    advance(lx, end);
    return true;
}

static void keep_balance(struct jinja *J, struct jlexer *lx, char c) {
    if (strchr("([{", c)) {
        if (lx->n_balance >= sizeof lx->balance) j_raise_line(J, lx->line, JX_LIMIT, "more than %zu open brackets", sizeof lx->balance);
        lx->balance[lx->n_balance++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (strchr(")]}", c)) {
        if (lx->n_balance == 0) j_raise_line(J, lx->line, JX_SYNTAX, "unexpected '%c'", c);
        char expected = lx->balance[--lx->n_balance];
        if (expected != c) j_raise_line(J, lx->line, JX_SYNTAX, "unexpected '%c', expected '%c'", c, expected);
    }
}

static bool lex_operator(struct jinja *J, struct jlexer *lx, struct jtoken *t) {
    enum jtok best = T_EOF;
    size_t len = 0;
    for (int i = T_ADD; i < T_COUNT; i++)
        if (at(lx, lx->pos, token_names[i].text) && strlen(token_names[i].text) > len) {
            best = (enum jtok)i;
            len = strlen(token_names[i].text);
        }
    if (best == T_EOF) return false;
    if (len == 1) keep_balance(J, lx, lx->src.ptr[lx->pos]);
    t->type = best;
    t->text = (struct view){lx->src.ptr + lx->pos, len};
    advance(lx, lx->pos + len);
    return true;
}

static bool lex_tag_end(struct jlexer *lx, struct jtoken *t) {
    size_t end = 0;
    if (lx->n_balance) return false;
    if (lx->mode == LEX_BLOCK) end = tag_end(lx, lx->pos, "%}");
    else if (at(lx, lx->pos, "-}}")) end = skip_space(lx, lx->pos + 3);
    else if (at(lx, lx->pos, "}}")) end = lx->pos + 2;
    if (!end) return false;
    t->type = lx->mode == LEX_BLOCK ? T_BLOCK_END : T_VAR_END;
    advance(lx, end);
    lx->mode = LEX_ROOT;
    return true;
}

static _Noreturn void fail_char(struct jinja *J, struct jlexer *lx) {
    size_t n_chars = 0, len = 1;
    while (lx->pos + len < lx->src.len && ((unsigned char)lx->src.ptr[lx->pos + len] & 0xC0) == 0x80) len++;
    for (size_t i = 0; i < lx->pos; i++) n_chars += ((unsigned char)lx->src.ptr[i] & 0xC0) != 0x80;
    struct jval *c = js_new(J, (struct view){lx->src.ptr + lx->pos, len});
    j_raise_line(J, lx->line, JX_SYNTAX, "unexpected char %s at %zu", jv_repr_c(J, c), n_chars);
}

void lex_next(struct jinja *J, struct jlexer *lx, struct jtoken *t) {
    for (;;) {
        *t = (struct jtoken){.type = T_EOF, .line = lx->line};
        if (lx->pending != T_EOF) {
            t->type = lx->pending;
            lx->pending = T_EOF;
            return;
        }
        if (lx->mode == LEX_ROOT) {
            if (lx->pos >= lx->src.len || lex_root(J, lx, t)) return;
            continue;
        }
        if (lex_tag_end(lx, t)) return;
        size_t space = skip_space(lx, lx->pos);
        if (space > lx->pos) {
            advance(lx, space);
            continue;
        }
        if (lx->pos >= lx->src.len) return;
        if (lex_number(J, lx, t) || lex_name(J, lx, t) || lex_string(J, lx, t) || lex_operator(J, lx, t)) return;
        fail_char(J, lx);
    }
}
