/* What a model says, in parts: text, reasoning and calls by the template's format; without a template everything is text. */
#include "test.h"

#include "cli/said.h"
#include "text/chat_template.h"

static struct chat_template *hermes(void) {
    struct chat_template *t;
    struct chat_template_source source = {.text = VIEW("{% for m in messages %}{{ m.content }}{% endfor %}<tool_call>")};
    assert_int_equal(chat_template_create(&source, &t, NULL), SLM_OK);
    return t;
}

static void test_parts(void **state) {
    static const char words[] = "think it over</think>I call.<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": [1]}}</tool_call>";
    struct chat_template *t = hermes();
    (void)state;
    for (size_t n = 1; n < sizeof words; n += 3) {
        struct said s;
        said_init(&s, false);
        assert_int_equal(said_begin(&s, t, VIEW("<think>\n"), NULL), SLM_OK);
        for (size_t at = 0; at < sizeof words - 1; at += n) assert_true(said_push(&s, (struct view){words + at, sizeof words - 1 - at < n ? sizeof words - 1 - at : n}));
        assert_int_equal(said_end(&s, NULL), SLM_OK);
        assert_string_equal(s.reasoning.data, "think it over");
        assert_string_equal(s.text.data, "I call.");
        char *calls = json_dumps(s.calls, JSON_COMPACT);
        assert_string_equal(calls, "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{\"a\":[1]}}}]");
        free(calls);
        said_fini(&s);
    }
    chat_template_destroy(t);
}

static void test_raw(void **state) {
    struct said s;
    (void)state;
    said_init(&s, false);
    assert_int_equal(said_begin(&s, NULL, VIEW(""), NULL), SLM_OK);
    assert_true(said_push(&s, VIEW("<think>a</think>b")));
    assert_int_equal(said_end(&s, NULL), SLM_OK);
    assert_string_equal(s.text.data, "<think>a</think>b");
    assert_int_equal(s.reasoning.len, 0);
    assert_null(s.calls);
    said_fini(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts), cmocka_unit_test(test_raw)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
