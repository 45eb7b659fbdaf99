/* fuzz_regex.c -- any bytes as an expression: refused or compiled; what is generated matches, PCRE2 says, where the two notations
 * mean the same. Input: a byte that seeds the walk; the rest is the expression. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "gram_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Escapes and brackets that PCRE2 reads in the same way. */
static bool is_common(struct view p) {
    for (size_t i = 0; i < p.len; i++) {
        char c = p.ptr[i], next = i + 1 < p.len ? p.ptr[i + 1] : '\0';
        if (c == '\0' || (c == '[' && (next == ':' || next == '.' || next == '=' || next == ']'))) return false;
        if (c != '\\') continue;
        bool is_word = (next >= '0' && next <= '9') || ((next | 32) >= 'a' && (next | 32) <= 'z');
        if (is_word && !strchr("dDwW", next)) return false;
        i++;
    }
    return true;
}

static void compare(struct view pattern, const struct buf *text) {
    int code;
    PCRE2_SIZE at;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALLOW_EMPTY_CLASS, &code, &at, NULL);
    if (!re) return;
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(re, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(limits, 200000);
    code = pcre2_match(re, (PCRE2_SPTR)(text->data ? text->data : ""), text->len, 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED, match, limits);
    if (code == PCRE2_ERROR_NOMATCH) {
        fprintf(stderr, "%.*s\n%.*s\n", (int)pattern.len, pattern.ptr, (int)text->len, text->data);
        demand(false, "what was generated does not match");
    }
    pcre2_match_data_free(match);
    pcre2_match_context_free(limits);
    pcre2_code_free(re);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct gram *g;
    struct buf text;
    slm_err err;
    if (size < 1 || size > 512) return 0;
    struct view pattern = {(const char *)data + 1, size - 1};
    slm_status st = gram_from_regex(pattern, &g, &err);
    demand((st == SLM_OK) == (g != NULL), "a status that is not the result");
    if (!g) return 0;
    buf_init(&text, 1u << 20);
    if (gram_walk(g, data[0] * 7919u, &text) && is_common(pattern)) compare(pattern, &text);
    buf_fini(&text);
    gram_destroy(g);
    return 0;
}
