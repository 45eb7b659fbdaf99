/* lex.c -- a template into tokens: text, and what stands between {{ and }}; spaces are tokens there, since they part operands.
 *
 * "{{- " takes the white space before it away, " -}}" what comes after; a comment is an action of its own. */
#include "text/gotmpl/gotmpl_int.h"

struct glexer {
    struct jinja *J;
    struct view src;
    size_t at;
    int line;
    struct gtoks out;
    int n_open; /* parentheses */
};

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
static bool is_alnum(char c) { return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || ((unsigned char)c & 0x80); }

static char peek(const struct glexer *lx, size_t ahead) { return lx->at + ahead < lx->src.len ? lx->src.ptr[lx->at + ahead] : 0; }
static bool starts(const struct glexer *lx, size_t at, const char *with) {
    size_t n = strlen(with);
    return at <= lx->src.len && n <= lx->src.len - at && memcmp(lx->src.ptr + at, with, n) == 0;
}

static void emit(struct glexer *lx, enum gtok_type type, size_t from, size_t to) {
    struct gtoks *t = &lx->out;
    if (t->n == GOTMPL_TOKENS_MAX) j_raise_line(lx->J, lx->line, JX_LIMIT, "more than %u tokens", GOTMPL_TOKENS_MAX);
    t->v = j_grow(lx->J, t->v, t->n, &t->cap, sizeof *t->v);
    t->v[t->n++] = (struct gtok){type, lx->line, {lx->src.ptr + from, to - from}};
}

static void advance(struct glexer *lx, size_t to) {
    for (; lx->at < to; lx->at++) lx->line += lx->src.ptr[lx->at] == '\n';
}

/* How long the end of an action is here, with the space and minus of one that trims; 0: it is none. */
static size_t close_length(const struct glexer *lx) {
    if (starts(lx, lx->at, "}}")) return 2;
    return is_space(peek(lx, 0)) && starts(lx, lx->at + 1, "-}}") ? 4 : 0;
}

static void close_action(struct glexer *lx, size_t n, bool is_comment) {
    if (!is_comment) emit(lx, GT_CLOSE, lx->at, lx->at + n);
    advance(lx, lx->at + n);
    if (n == 4)
        while (lx->at < lx->src.len && is_space(peek(lx, 0))) advance(lx, lx->at + 1);
}

static bool at_terminator(const struct glexer *lx) {
    char c = peek(lx, 0);
    return lx->at == lx->src.len || is_space(c) || (c && strchr(".,|:()", c)) || starts(lx, lx->at, "}}");
}

static _Noreturn void fail_char(struct glexer *lx) {
    int n = 1;
    while (n < 4 && ((unsigned char)peek(lx, (size_t)n) & 0xC0) == 0x80) n++;
    j_raise_line(lx->J, lx->line, JX_SYNTAX, "a character that has no meaning there: \"%.*s\"", n, lx->src.ptr + lx->at);
}

static void lex_name(struct glexer *lx, enum gtok_type type) {
    size_t from = lx->at;
    while (lx->at < lx->src.len && is_alnum(peek(lx, 0))) lx->at++;
    if (!at_terminator(lx)) fail_char(lx);
    emit(lx, type, from, lx->at);
}

static void lex_dollar(struct glexer *lx) {
    size_t from = lx->at++;
    while (lx->at < lx->src.len && is_alnum(peek(lx, 0))) lx->at++;
    if (!at_terminator(lx)) fail_char(lx);
    emit(lx, GT_VARIABLE, from, lx->at);
}

static void lex_number(struct glexer *lx) {
    size_t from = lx->at;
    if (peek(lx, 0) == '+' || peek(lx, 0) == '-') lx->at++;
    bool is_hex = peek(lx, 0) == '0' && (peek(lx, 1) == 'x' || peek(lx, 1) == 'X');
    while (lx->at < lx->src.len) {
        char c = peek(lx, 0), before = lx->src.ptr[lx->at - (lx->at > from)];
        bool is_sign = (c == '+' || c == '-') && !is_hex && (before == 'e' || before == 'E') && lx->at > from;
        if (!is_alnum(c) && c != '.' && !is_sign) break;
        lx->at++;
    }
    emit(lx, GT_NUMBER, from, lx->at);
}

static void lex_quoted(struct glexer *lx, char quote, enum gtok_type type) {
    size_t end = lx->at + 1;
    for (; end < lx->src.len && lx->src.ptr[end] != quote; end++) {
        if (quote == '`') continue;
        if (lx->src.ptr[end] == '\\') end++;
        if (end >= lx->src.len || lx->src.ptr[end] == '\n') break;
    }
    if (end >= lx->src.len || lx->src.ptr[end] != quote) j_raise_line(lx->J, lx->line, JX_SYNTAX, "a text or character that does not end");
    emit(lx, type, lx->at, end + 1);
    advance(lx, end + 1);
}

static void lex_symbol(struct glexer *lx) {
    static const struct { char c; enum gtok_type type; } rows[] = {{'=', GT_ASSIGN}, {'|', GT_PIPE}, {',', GT_COMMA}, {'(', GT_LEFT}, {')', GT_RIGHT}};
    if (starts(lx, lx->at, ":=")) {
        emit(lx, GT_DECLARE, lx->at, lx->at + 2);
        lx->at += 2;
        return;
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (peek(lx, 0) != rows[i].c) continue;
        emit(lx, rows[i].type, lx->at, lx->at + 1);
        lx->at++;
        lx->n_open += rows[i].type == GT_LEFT ? 1 : rows[i].type == GT_RIGHT ? -1 : 0;
        if (lx->n_open < 0) j_raise_line(lx->J, lx->line, JX_SYNTAX, "a right parenthesis without a left one");
        return;
    }
    fail_char(lx);
}

static void lex_space(struct glexer *lx) {
    size_t from = lx->at;
    while (is_space(peek(lx, 0)) && lx->at < lx->src.len && (lx->at == from || close_length(lx) == 0)) advance(lx, lx->at + 1);
    emit(lx, GT_SPACE, from, lx->at);
}

static void lex_action(struct glexer *lx) {
    int line = lx->line;
    size_t n;
    lx->n_open = 0;
    while ((n = close_length(lx)) == 0) {
        char c = peek(lx, 0), next = peek(lx, 1);
        j_step(lx->J, 1);
        if (lx->at == lx->src.len) j_raise_line(lx->J, line, JX_SYNTAX, "an action that does not end");
        if (is_space(c)) lex_space(lx);
        else if (c == '"') lex_quoted(lx, '"', GT_STRING);
        else if (c == '`') lex_quoted(lx, '`', GT_RAW);
        else if (c == '\'') lex_quoted(lx, '\'', GT_CHAR);
        else if (c == '$') lex_dollar(lx);
        else if ((c >= '0' && c <= '9') || c == '+' || c == '-' || (c == '.' && next >= '0' && next <= '9')) lex_number(lx);
        else if (c == '.' && is_alnum(next)) {
            lx->at++;
            lex_name(lx, GT_FIELD);
        } else if (c == '.') {
            lx->at++;
            if (!at_terminator(lx)) fail_char(lx);
            emit(lx, GT_DOT, lx->at - 1, lx->at);
        } else if (is_alnum(c)) lex_name(lx, GT_WORD);
        else lex_symbol(lx);
    }
    if (lx->n_open) j_raise_line(lx->J, lx->line, JX_SYNTAX, "a left parenthesis without a right one");
    close_action(lx, n, false);
}

static void lex_comment(struct glexer *lx) {
    size_t end = js_find(lx->src, VIEW("*/"), lx->at + 2);
    if (end == SIZE_MAX) j_raise_line(lx->J, lx->line, JX_SYNTAX, "a comment that does not end");
    advance(lx, end + 2);
    size_t n = close_length(lx);
    if (n == 0) j_raise_line(lx->J, lx->line, JX_SYNTAX, "a comment is an action of its own: }} must follow it");
    close_action(lx, n, true);
}

struct gtoks gl_lex(struct jinja *J, struct view source) {
    struct glexer lx = {.J = J, .src = source, .line = 1};
    for (;;) {
        size_t open = js_find(source, VIEW("{{"), lx.at), end = open == SIZE_MAX ? source.len : open, from = lx.at;
        bool trims = open != SIZE_MAX && starts(&lx, open + 2, "-") && open + 3 < source.len && is_space(source.ptr[open + 3]);
        while (trims && end > from && is_space(source.ptr[end - 1])) end--;
        if (end > from) emit(&lx, GT_TEXT, from, end);
        advance(&lx, open == SIZE_MAX ? source.len : open);
        if (open == SIZE_MAX) break;
        size_t begin = open + (trims ? 4 : 2);
        if (starts(&lx, begin, "/*")) {
            advance(&lx, begin);
            lex_comment(&lx);
            continue;
        }
        emit(&lx, GT_OPEN, open, open + 2);
        advance(&lx, begin);
        lex_action(&lx);
    }
    emit(&lx, GT_EOF, source.len, source.len);
    return lx.out;
}
