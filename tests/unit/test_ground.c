/* Grounding: sentences, and claims that a source does or does not have. */
#include "test.h"

#include "task/ground.h"
#include "task/summarize.h"

static void test_sentences(void **state) {
    (void)state;
    struct view v[8];
    assert_int_equal(ground_sentences(VIEW("It cost 3.50 dollars. J. Smith paid!  \"Why?\" he asked.\n\nA title\n\nend"), v, 8), 6);
    assert_true(view_eq(v[0], VIEW("It cost 3.50 dollars.")));
    assert_true(view_eq(v[1], VIEW("J. Smith paid!")));
    assert_true(view_eq(v[2], VIEW("\"Why?\"")));
    assert_true(view_eq(v[5], VIEW("end")));
    assert_int_equal(ground_sentences(VIEW("  \n "), v, 8), 0);
    assert_int_equal(ground_sentences(VIEW("a. b. c."), v, 1), 3);
    assert_int_equal(ground_count_words(VIEW(" two  words ")), 2);
}

static void test_claims(void **state) {
    (void)state;
    static const struct {
        const char *sentence, *missing; /* NULL: grounded */
    } rows[] = {
        {"Anna paid 30 dollars in Bern.", NULL}, {"Anna paid 3 dollars.", "3"}, {"It was 1,200 metres.", NULL}, {"It was 200 metres.", "200"}, {"It was 1,2 metres.", "1,2"},
        {"Bob paid.", NULL}, /* a sentence's first word alone is no name */ {"Yesterday Bob paid.", "Yesterday"}, {"So did Bob.", "Bob"}, {"Bob Miller paid.", "Bob"}, {"McBob paid.", "McBob"}, {"Anna's dog ran.", NULL},
        {"She said \"it is cold\".", NULL}, {"She said \"it is warm\".", "it is warm"}, {"The lake was cold.", NULL}, {"I saw Z\xc3\xbcrich.", NULL}, {"We saw \xc3\x96rebro.", "\xc3\x96rebro"},
    };
    struct view source = VIEW("Anna paid 30 dollars in Bern. The climb is 1,200 metres. \"It is cold\", she said, \"and it is cold here\". Z\xc3\xbcrich is far.");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct view missing = {"", 0};
        bool ok = ground_check(source, view_of(rows[i].sentence), &missing);
        if (ok != !rows[i].missing) fail_msg("\"%s\": %s (%.*s)", rows[i].sentence, ok ? "passed" : "refused", VIEW_ARG(missing));
        if (!ok && !view_eq(missing, view_of(rows[i].missing))) fail_msg("\"%s\": \"%.*s\" is missing", rows[i].sentence, VIEW_ARG(missing));
    }
}

static void test_extractive(void **state) {
    (void)state;
    struct buf out;
    struct summary s;
    slm_err err;
    buf_init(&out, 4096);
    struct view text = VIEW("The dam on the river broke. Rain had filled the river behind the dam. A cat slept. The broken dam let the river flood the town. Lunch was soup.");
    assert_int_equal(summarize_extract(text, 20, &out, &s, &err), SLM_OK);
    assert_true(s.n_word <= 20 && s.n_word >= 6);
    assert_non_null(strstr(out.data, "dam"));
    assert_null(strstr(out.data, "soup"));
    struct view v[16];
    size_t n = ground_sentences((struct view){out.data, out.len}, v, 16);
    for (size_t i = 0; i < n; i++) assert_true(ground_check(text, v[i], NULL));
    assert_int_equal(summarize_extract(VIEW(" "), 20, &out, &s, &err), SLM_E_USAGE);
    buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sentences), cmocka_unit_test(test_claims), cmocka_unit_test(test_extractive)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
