/* Completing: where a gap's text ends. */
#include "test.h"

#include "task/complete.h"

static void cut(const char *before, const char *after, enum complete_shape shape, const char *text, const char *want, bool want_met) {
    bool closed, met;
    size_t n = complete_cut(view_of(before), view_of(after), shape, view_of(text), &closed, &met);
    if (n != strlen(want) || memcmp(text, want, n) != 0) fail_msg("\"%s\": kept \"%.*s\" instead of \"%s\"", text, (int)n, text, want);
    assert_int_equal(met, want_met);
}

static void test_lines(void **state) {
    (void)state;
    cut("x", "", COMPLETE_LINE, " = 1;\ny = 2;", " = 1;", false);
    cut("x", "", COMPLETE_LINE, "", "", false);
    cut("x\n", "", COMPLETE_LINE, "\n  y = 2;\nz", "\n  y = 2;", false); /* a gap may begin with a line's end */
    cut("x", "", COMPLETE_FREE, "a\nb\nc", "a\nb\nc", false);
}

static void test_blocks(void **state) {
    (void)state;
    cut("int f(void) {", "", COMPLETE_BLOCK, "\n    return g(1) + (2);\n}\nint h", "\n    return g(1) + (2);\n", false);
    cut("f(", "", COMPLETE_BLOCK, "a, \")\", b[1])(", "a, \")\", b[1]", false); /* brackets in strings do not count */
    cut("def f(x):\n    ", "", COMPLETE_BLOCK, "if x:\n        return 1\n\n    return 2\n\ndef g", "if x:\n        return 1\n\n    return 2\n\n", false);
    cut("  a = {", "", COMPLETE_BLOCK, "\n    b\n  }\n", "\n    b\n  ", false);
    cut("x", "", COMPLETE_BLOCK, "\"unterminated\nb)", "\"unterminated\nb", false);
}

static void test_overlap(void **state) {
    (void)state;
    cut("a\n", "return x;\n}\n", COMPLETE_FREE, "b();\n  return x;\n}", "b();\n", true);
    cut("a\n", "return x;\n}\n", COMPLETE_FREE, "return x;", "", true); /* all of it is what comes anyway */
    cut("a ", " and so they lived on", COMPLETE_FREE, "were wed and so they li", "were wed", true);
    cut("a\n", "}\n", COMPLETE_FREE, "b();\n}\nc();", "b();\n", true);
    cut("a\n", "zzz", COMPLETE_FREE, "b zz", "b zz", false); /* too short to be a repetition */
    cut("a\n", "\n\n", COMPLETE_FREE, "b\n", "b\n", false);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_blocks), cmocka_unit_test(test_overlap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
