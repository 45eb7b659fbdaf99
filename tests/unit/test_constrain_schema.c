/* test_constrain_schema.c -- schemas: whatever uniform random logits generate parses, and satisfies the independent check, at every
 * number of tokens from the minimum on; what is generated can be every kind of valid value; what is wrong is said with its place. */
#include "constrain_walk.h"

#include <jansson.h>

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

static struct constraint *create(enum constrain_kind kind, const char *text) {
    struct constrain_spec spec = {.kind = kind, .text = view_of(text)};
    struct constraint *c;
    slm_err err;
    if (constraint_create(&spec, vocab, &c, &err) != SLM_OK) fail_msg("%s: %s", text, err.msg);
    return c;
}

/* A schema, a value it allows and one it does not ("" none); all enforced. */
struct row {
    const char *schema, *yes, *no;
};
static const struct row rows[] = {
    /* strings that come to one of any characters: names unlike the known ones, an enum or any short string, two kinds of strings */
    {"{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"integer\"},\"value\":{\"type\":\"null\"}},\"additionalProperties\":{\"type\":\"boolean\"}}", "{\"nab\":true,\"id\":true}", "{\"nab\":1}"},
    {"{\"anyOf\":[{\"enum\":[\"red\",\"green\"]},{\"type\":\"string\",\"maxLength\":3}]}", "\"gre\"", "\"gree\""},
    {"{\"anyOf\":[{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":3,\"maxItems\":3},{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":1}]}", "[\"a\",\"b\",\"c\"]", "[\"a\",\"b\"]"},
    {"{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"age\":{\"type\":\"integer\"}},\"required\":[\"name\",\"age\"],\"additionalProperties\":false}",
     "{\"name\":\"a\\n\\u00e9\",\"age\": -12}", "{\"name\":\"a\"}"},
    {"{\"type\":\"array\",\"items\":{\"enum\":[1,\"a\",null,{\"b\":[1.5]}]},\"minItems\":2,\"maxItems\":3}", "[1,\"a\", {\"b\":[1.5]}]", "[1]"},
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":5}", "\"\xc3\xa9\xf0\x9f\x98\x80z\\\"\\u0041\"", "\"a\""},
    {"{\"type\":\"string\",\"pattern\":\"^[a-c]+$\",\"minLength\":3,\"maxLength\":4}", "\"abcc\"", "\"ab\""},
    {"{\"type\":\"string\",\"pattern\":\"b\\\\d\"}", "\"xx\\n b7\\\"\"", "\"b\""},
    {"{\"type\":\"string\",\"format\":\"date\"}", "\"2024-02-29\"", "\"2023-02-29\""},
    {"{\"type\":\"string\",\"format\":\"ipv6\"}", "\"fe80::1:2\"", "\"fe80:::1\""},
    {"{\"type\":\"string\",\"format\":\"uuid\"}", "\"123e4567-e89b-12d3-a456-426614174000\"", "\"123\""},
    {"{\"type\":\"integer\",\"minimum\":-5,\"maximum\":120}", "120", "121"},
    {"{\"type\":\"integer\",\"exclusiveMinimum\":99,\"multipleOf\":7}", "105", "98"},
    {"{\"type\":\"number\",\"exclusiveMinimum\":0,\"maximum\":1.5}", "0.001", "1.51"},
    {"{\"type\":\"number\",\"minimum\":-2.25,\"exclusiveMaximum\":-1}", "-1.0001", "-1"},
    {"{\"type\":\"number\",\"multipleOf\":0.25}", "-3.75", "0.3"},
    {"{\"type\":[\"integer\",\"null\"]}", "null", "1.5"},
    {"{\"anyOf\":[{\"type\":\"boolean\"},{\"type\":\"array\",\"items\":false}]}", "[]", "[1]"},
    {"{\"oneOf\":[{\"properties\":{\"k\":{\"const\":\"a\"},\"v\":{\"type\":\"integer\"}},\"required\":[\"k\",\"v\"],\"type\":\"object\"},"
     "{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"b\"}},\"required\":[\"k\"]}]}",
     "{\"k\":\"b\"}", "{\"k\":\"a\"}"},
    {"{\"allOf\":[{\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"]},{\"properties\":{\"a\":{\"minimum\":3},\"b\":true}}],\"type\":\"object\"}", "{\"a\":3,\"b\":[{}]}",
     "{\"a\":2}"},
    {"{\"$defs\":{\"t\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},\"kids\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/t\"}}},\"required\":[\"v\"]}},\"$ref\":\"#/"
     "$defs/t\"}",
     "{\"v\":1,\"kids\":[{\"v\":2,\"kids\":[]}]}", "{\"kids\":[]}"},
    {"{\"type\":\"object\",\"patternProperties\":{\"^x-\":{\"type\":\"integer\"}},\"additionalProperties\":false,\"minProperties\":1}", "{\"x-a\":1}", "{\"y\":1}"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1}},\"additionalProperties\":{\"type\":\"boolean\"},\"maxProperties\":2}", "{\"a\":1,\"z\":true}", "{\"a\":1,\"z\":2}"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{},\"c\":{}},\"minProperties\":2}", "{\"a\":0,\"c\":0}", "{\"a\":0}"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{},\"c\":{}},\"dependentRequired\":{\"a\":[\"c\"],\"c\":[\"b\"]}}", "{\"a\":1,\"b\":1,\"c\":1}", "{\"a\":1}"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{\"type\":\"integer\"}},\"dependentSchemas\":{\"a\":{\"required\":[\"b\"]}}}", "{\"b\":1}", "{\"a\":1}"},
    {"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"integer\"}],\"items\":{\"type\":\"null\"},\"minItems\":1}", "[\"a\",1,null]", "[1]"},
    {"{\"type\":\"array\",\"contains\":{\"const\":7},\"items\":{\"type\":\"integer\"}}", "[1,7]", "[1]"},
    {"{\"not\":{\"type\":[\"object\",\"array\",\"string\"]}}", "1e5", "\"\""},
    {"{\"not\":{\"required\":[\"a\"]},\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{}}}", "{\"b\":1}", "{\"a\":1}"},
    {"{\"const\":{\"a\":[1,2,{\"b\":\"\\u00e9\\n\"}]}}", "{\"a\":[1,2,{\"b\":\"\xc3\xa9\\n\"}]}", "{}"},
    {"{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"items\":[{\"type\":\"integer\"}],\"additionalItems\":{\"type\":\"string\"},\"type\":\"array\"}", "[1,\"a\"]", "[1,2]"},
    {"{\"type\":\"object\",\"properties\":{\"a\\\"b\\u00e9\\n\":{\"type\":\"null\"}},\"required\":[\"a\\\"b\\u00e9\\n\"]}", "{\"a\\\"b\xc3\xa9\\n\":null}", "{}"},
    {"{\"type\":\"string\",\"minLength\":300,\"maxLength\":100000}", "", "\"a\""},
    {"true", "[{\"a\":[null,true,1.5e3,\"x\"]}]", ""},
};

/* Whether the automaton takes a text byte by byte to an end. */
static bool takes(struct constraint *c, const char *text) {
    struct constrain_run *run;
    bool ok = true;
    assert_int_equal(constrain_run_create(c, false, &run, NULL), SLM_OK);
    for (; *text && ok; text++) {
        struct tok_ids ids = {0};
        assert_int_equal(tok_encode(tok, (struct view){text, 1}, 0, &ids, NULL), SLM_OK);
        ok = ids.n == 1 && constrain_accept(run, ids.v[0], NULL) == SLM_OK;
        tok_ids_fini(&ids);
    }
    ok = ok && constrain_may_end(run);
    constrain_run_destroy(run);
    return ok;
}

static void check_walk(struct constraint *c, const char *schema, uint64_t seed, int32_t n_max) {
    struct walk_result r;
    bool is_valid;
    slm_err err;
    walk(c, tok, seed, n_max, &r);
    if (!r.is_complete) fail_msg("%s: not complete after %d tokens: %s", schema, n_max, r.text.data);
    assert_int_equal(constraint_check(c, (struct view){r.text.data, r.text.len}, &is_valid, &err), SLM_OK);
    if (!is_valid) fail_msg("%s: made %s: %s", schema, r.text.data, err.msg);
    buf_fini(&r.text);
}

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct constraint *c = create(CONSTRAIN_SCHEMA, rows[i].schema);
        const struct schema_notes *notes = constraint_notes(c);
        bool is_valid;
        if (notes->n) fail_msg("%s: %s %s", rows[i].schema, notes->notes[0].at, notes->notes[0].what);
        if (*rows[i].yes && !takes(c, rows[i].yes)) fail_msg("%s: refuses %s", rows[i].schema, rows[i].yes);
        if (*rows[i].no && takes(c, rows[i].no)) fail_msg("%s: takes %s", rows[i].schema, rows[i].no);
        if (*rows[i].no) {
            assert_int_equal(constraint_check(c, view_of(rows[i].no), &is_valid, NULL), SLM_OK);
            assert_false(is_valid);
        }
        int32_t least = walk_min(c);
        assert_true(least > 0);
        for (int32_t extra = 0; extra < 30; extra++) check_walk(c, rows[i].schema, (uint64_t)extra * 31 + i, least + extra);
        for (uint64_t seed = 0; seed < 10; seed++) check_walk(c, rows[i].schema, seed, least + 200);
        constraint_destroy(c);
    }
}

static void test_masks(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct constraint *c = create(CONSTRAIN_SCHEMA, rows[i].schema);
        struct constrain_run *run;
        const char *text = rows[i].yes;
        assert_int_equal(constrain_run_create(c, false, &run, NULL), SLM_OK);
        for (int step = 0; *text && step < 30; text++, step++) {
            struct tok_ids ids = {0};
            check_mask(run, tok, -1);
            assert_int_equal(tok_encode(tok, (struct view){text, 1}, 0, &ids, NULL), SLM_OK);
            assert_int_equal(constrain_accept(run, ids.v[0], NULL), SLM_OK);
            tok_ids_fini(&ids);
        }
        constrain_run_destroy(run);
        constraint_destroy(c);
    }
}

static void test_tools_and_json(void **state) {
    (void)state;
    struct constraint *c = create(CONSTRAIN_JSON, NULL);
    assert_true(takes(c, "{\"a\":{\"b\":[]}}"));
    assert_false(takes(c, "[1]"));
    constraint_destroy(c);
    c = create(CONSTRAIN_TOOLS, "[{\"name\":\"add\",\"parameters\":{\"type\":\"object\",\"properties\":{\"x\":{\"$ref\":\"#/$defs/n\"}},\"required\":[\"x\"],\"$defs\":{\"n\":{\"type\":\"integer\"}}}},"
                                "{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]");
    assert_true(takes(c, "{\"name\":\"add\",\"arguments\":{\"x\":1}}"));
    assert_false(takes(c, "{\"name\":\"add\",\"arguments\":{\"x\":\"1\"}}"));
    assert_true(takes(c, "{\"name\": \"now\", \"arguments\": {}}"));
    assert_false(takes(c, "{\"name\":\"sub\",\"arguments\":{}}"));
    check_walk(c, "tools", 3, walk_min(c));
    constraint_destroy(c);
}

struct refusal {
    const char *schema;
    slm_status status;
    const char *says;
};
static const struct refusal refusals[] = {
    {"{\"type\":\"strnig\"}", SLM_E_FORMAT, "\"/type\""},
    {"{\"properties\":{\"a\":{\"minLength\":-1}}}", SLM_E_FORMAT, "\"/properties/a/minLength\""},
    {"{\"properties\":{\"a\":{\"$ref\":\"#/$defs/none\"}}}", SLM_E_FORMAT, "\"/properties/a/$ref\""},
    {"{\"$ref\":\"https://example.com/x.json\"}", SLM_E_FORMAT, "leads nowhere"},
    {"{\"type\":\"string\",\"pattern\":\"(\"}", SLM_E_FORMAT, "\"/pattern\""},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}", SLM_E_FORMAT, "no text can ever satisfy"},
    {"{\"type\":\"string\",\"minLength\":5,\"maxLength\":4}", SLM_E_FORMAT, "no text can ever satisfy"},
    {"false", SLM_E_FORMAT, "no text can ever satisfy"},
    {"[]", SLM_E_FORMAT, "must be an object"},
    {"{", SLM_E_FORMAT, "line 1"},
    {"{\"$schema\":\"http://json-schema.org/draft-04/schema#\"}", SLM_E_UNSUPPORTED, "draft-7"},
};

static void test_refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct constrain_spec spec = {.kind = CONSTRAIN_SCHEMA, .text = view_of(refusals[i].schema)};
        struct constraint *c;
        slm_err err;
        err_clear(&err);
        slm_status st = constraint_create(&spec, vocab, &c, &err);
        if (st != refusals[i].status || !strstr(err.msg, refusals[i].says)) fail_msg("%s: status %d, %s", refusals[i].schema, (int)st, err.msg);
    }
}

/* What is left to the check is named. */
static void test_notes(void **state) {
    (void)state;
    struct constraint *c = create(CONSTRAIN_SCHEMA, "{\"properties\":{\"a\":{\"type\":\"array\",\"uniqueItems\":true}},\"if\":{},\"then\":{}}");
    const struct schema_notes *notes = constraint_notes(c);
    assert_int_equal(notes->n, 2);
    assert_string_equal(notes->notes[0].at, "/if");
    assert_string_equal(notes->notes[1].at, "/properties/a/uniqueItems");
    constraint_destroy(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows), cmocka_unit_test(test_masks), cmocka_unit_test(test_tools_and_json), cmocka_unit_test(test_refusals), cmocka_unit_test(test_notes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
