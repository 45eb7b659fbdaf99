/* test_constrain.c -- expressions, choices and grammars: whatever uniform random logits generate is complete and matches, at every
 * number of tokens from the minimum on. PCRE2 is the definition of a match. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "constrain_walk.h"

static struct tok *tok;
static struct constrain_vocab *vocab;

static int setup(void **state) {
    (void)state;
    tok = walk_tok();
    return constrain_vocab_create(tok, &vocab, NULL) == SLM_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    constrain_vocab_destroy(vocab);
    tok_destroy(tok);
    return 0;
}

static bool matches(const char *pattern, struct view text) {
    int code;
    PCRE2_SIZE at;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_DOLLAR_ENDONLY, &code, &at, NULL);
    if (!re) fail_msg("the test's own pattern is wrong: %s", pattern);
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(re, NULL);
    code = pcre2_match(re, (PCRE2_SPTR)text.ptr, text.len, 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED, data, NULL);
    pcre2_match_data_free(data);
    pcre2_code_free(re);
    return code > 0;
}

struct row {
    enum constrain_kind kind;
    const char *text, *pattern; /* pattern NULL: text */
};
static const struct row rows[] = {
    {CONSTRAIN_REGEX, "[a-z]{3,8}", NULL},
    {CONSTRAIN_REGEX, "(true|false|null)?", NULL},
    {CONSTRAIN_REGEX, "a{2,40}b*c?", NULL},
    {CONSTRAIN_REGEX, "[^\\n]{5,2000}\\n", NULL},
    {CONSTRAIN_REGEX, "(ab|abc|name)+(id|x)", NULL},
    {CONSTRAIN_REGEX, "\\d{4}-\\d{2}(T\\d\\d)?", NULL},
    {CONSTRAIN_REGEX, "^(a|b)*$", "(a|b)*"},
    {CONSTRAIN_REGEX, "([a-c]{1,3}-){2,900}end", NULL},
    {CONSTRAIN_REGEX, "(x?){0,30}y", NULL},
    {CONSTRAIN_REGEX, "(a*)*b", NULL},
    {CONSTRAIN_REGEX, "[\\u00e0-\\u00ff\\u{1F600}-\\u{1F64F}]{1,4}", "[\\x{e0}-\\x{ff}\\x{1F600}-\\x{1F64F}]{1,4}"},
    {CONSTRAIN_REGEX, "\\p{Lu}[^\\p{L}]+", NULL},
    {CONSTRAIN_REGEX, "(((a{1,100}b){1,100}c){1,100}d){1,9}", "(((a+b)+c)+d)+"},
    {CONSTRAIN_REGEX, ".*", NULL},
    {CONSTRAIN_GRAMMAR, "root ::= \"a\" root \"b\" | \"c\"", "(a(?1)b|c)"},
    {CONSTRAIN_GRAMMAR, "root ::= value\nvalue ::= [0-9]+ | list # a comment\nlist ::= \"[\" ( value (\",\" value)* )? \"]\"",
     "([0-9]+|\\[((?1)(,(?1))*)?\\])"},
    {CONSTRAIN_GRAMMAR, "root ::= word{2,3} | \"x\"{2}\n  | [^a-z\\n]?\nword ::= [a-z]+ \" \"", "([a-z]+ ){2,3}|xx|[^a-z\\n]?"},
    {CONSTRAIN_GRAMMAR, "root ::= (\n \"\\x41\" .\n | \"\\u00e9\")+", "(A(?s:.)|\\x{e9})+"},
};

static struct constraint *create(const struct row *row) {
    struct constrain_spec spec = {.kind = row->kind, .text = view_of(row->text)};
    struct constraint *c;
    slm_err err;
    if (constraint_create(&spec, vocab, &c, &err) != SLM_OK) fail_msg("%s: %s", row->text, err.msg);
    return c;
}

static void check_walk(struct constraint *c, const struct row *row, uint64_t seed, int32_t n_max) {
    struct walk_result r;
    walk(c, tok, seed, n_max, &r);
    if (n_max >= 0 && !r.is_complete) fail_msg("%s: not complete after %d tokens: %s", row->text, n_max, r.text.data);
    if (r.is_complete && !matches(row->pattern ? row->pattern : row->text, (struct view){r.text.data, r.text.len}))
        fail_msg("%s: made %s", row->text, r.text.data);
    buf_fini(&r.text);
}

static void test_ends_and_matches(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct constraint *c = create(&rows[i]);
        int32_t least = walk_min(c);
        assert_true(least >= 0);
        for (int32_t extra = 0; extra < 24; extra++) check_walk(c, &rows[i], (uint64_t)extra * 7 + i, least + extra);
        check_walk(c, &rows[i], i, least + 300);
        constraint_destroy(c);
    }
}

static void test_mask_is_every_check(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct constraint *c = create(&rows[i]);
        struct constrain_run *run;
        struct rng rng;
        assert_int_equal(constrain_run_create(c, false, &run, NULL), SLM_OK);
        rng_init(&rng, i);
        for (int step = 0; step < 12 && !constrain_is_done(run); step++) {
            check_mask(run, tok, -1);
            const uint32_t *bits;
            int32_t id = (int32_t)(rng_u64(&rng) % tok_n_vocab(tok));
            assert_int_equal(constrain_mask(run, -1, &bits, NULL), SLM_OK);
            while (!(bits[id / 32] >> (id % 32) & 1)) id = (int32_t)(((uint32_t)id + 1) % tok_n_vocab(tok));
            if (tok_is_end(tok, id)) break;
            assert_int_equal(constrain_accept(run, id, NULL), SLM_OK);
        }
        constrain_run_destroy(run);
        constraint_destroy(c);
    }
}

static void test_choices(void **state) {
    (void)state;
    const struct view choices[] = {VIEW("red"), VIEW("green"), VIEW("green tea"), VIEW("a\"b"), VIEW("\xc3\xa9t\xc3\xa9")};
    struct constrain_spec spec = {.kind = CONSTRAIN_CHOICE, .choices = choices, .n_choices = 5};
    struct constraint *c;
    bool seen[5] = {false};
    assert_int_equal(constraint_create(&spec, vocab, &c, NULL), SLM_OK);
    assert_int_equal(walk_min(c), 3); /* of the shortest in bytes that comes first: a"b */
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct walk_result r;
        bool known = false;
        walk(c, tok, seed, 10, &r);
        for (int i = 0; i < 5; i++) {
            bool same = view_eq((struct view){r.text.data, r.text.len}, choices[i]);
            known |= same;
            seen[i] |= same;
        }
        assert_true(known && r.is_complete);
        buf_fini(&r.text);
    }
    for (int i = 0; i < 5; i++) assert_true(seen[i]);
    constraint_destroy(c);
}

static void test_forced_and_clone(void **state) {
    (void)state;
    struct row row = {CONSTRAIN_REGEX, "name: (ab|cd)", NULL};
    struct constraint *c = create(&row);
    struct constrain_run *run, *other;
    int32_t ids[64];
    size_t n;
    assert_int_equal(constrain_run_create(c, false, &run, NULL), SLM_OK);
    assert_int_equal(constrain_forced(run, -1, ids, 64, &n, NULL), SLM_OK);
    assert_true(n >= 1);
    for (size_t i = 0; i < n; i++) assert_int_equal(constrain_accept(run, ids[i], NULL), SLM_OK);
    assert_int_equal(constrain_run_clone(run, &other, NULL), SLM_OK);
    assert_int_equal(constrain_min_tokens(run), constrain_min_tokens(other));
    assert_false(constrain_may_end(other));
    int32_t least = constrain_min_tokens(run);
    assert_true(least > 0);
    assert_int_equal(constrain_mask(run, least - 1, &(const uint32_t *){NULL}, NULL), SLM_E_LIMIT); /* does not fit: said, not hidden */
    assert_int_equal(constrain_accept(run, -1, NULL), SLM_E_USAGE);
    assert_int_equal(constrain_accept(run, 1 << 20, NULL), SLM_E_USAGE);
    constrain_run_destroy(run);
    constrain_run_destroy(other);
    constraint_destroy(c);
}

struct refusal {
    enum constrain_kind kind;
    const char *text;
    slm_status status;
    const char *says;
};
static const struct refusal refusals[] = {
    {CONSTRAIN_REGEX, "(a", SLM_E_FORMAT, "( without )"},
    {CONSTRAIN_REGEX, "a)", SLM_E_FORMAT, ") without ("},
    {CONSTRAIN_REGEX, "[z-a]", SLM_E_FORMAT, "ends before it begins"},
    {CONSTRAIN_REGEX, "*a", SLM_E_FORMAT, "repeat of nothing"},
    {CONSTRAIN_REGEX, "a{3,2}", SLM_E_FORMAT, "below its least"},
    {CONSTRAIN_REGEX, "a{2000000}", SLM_E_LIMIT, "1000000"},
    {CONSTRAIN_REGEX, "(?=a)b", SLM_E_UNSUPPORTED, "look-ahead"},
    {CONSTRAIN_REGEX, "(a)\\1", SLM_E_UNSUPPORTED, "back-reference"},
    {CONSTRAIN_REGEX, "\\bword", SLM_E_UNSUPPORTED, "word's edge"},
    {CONSTRAIN_REGEX, "\xff", SLM_E_FORMAT, "UTF-8"},
    {CONSTRAIN_REGEX, "a[^\\s\\S]", SLM_E_FORMAT, "no text"},
    {CONSTRAIN_GRAMMAR, "root ::= root \"a\" | \"b\"", SLM_E_UNSUPPORTED, "left recursion"},
    {CONSTRAIN_GRAMMAR, "root ::= x \"a\"\nx ::= \"\" root?", SLM_E_UNSUPPORTED, "left recursion"},
    {CONSTRAIN_GRAMMAR, "root ::= \"a\" root", SLM_E_FORMAT, "no text"},
    {CONSTRAIN_GRAMMAR, "root ::= missing", SLM_E_FORMAT, "\"missing\""},
    {CONSTRAIN_GRAMMAR, "a ::= \"b\"", SLM_E_FORMAT, "\"root\""},
    {CONSTRAIN_GRAMMAR, "root ::= \"a", SLM_E_FORMAT, "line 1"},
    {CONSTRAIN_GRAMMAR, "root ::= \"a\"\nroot ::= \"b\"", SLM_E_FORMAT, "line 2, column 1"},
    {CONSTRAIN_GRAMMAR, "root ::= <[12]>", SLM_E_UNSUPPORTED, "token"},
    {CONSTRAIN_GRAMMAR, "", SLM_E_FORMAT, "root"},
};

static void test_refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct constrain_spec spec = {.kind = refusals[i].kind, .text = view_of(refusals[i].text)};
        struct constraint *c;
        slm_err err;
        err_clear(&err);
        slm_status st = constraint_create(&spec, vocab, &c, &err);
        if (st != refusals[i].status || !strstr(err.msg, refusals[i].says)) fail_msg("%s: status %d, %s", refusals[i].text, (int)st, err.msg);
        assert_null(c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends_and_matches), cmocka_unit_test(test_mask_is_every_check), cmocka_unit_test(test_choices),
        cmocka_unit_test(test_forced_and_clone), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
