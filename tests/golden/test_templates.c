/* Templates render to the byte what jinja2 renders with transformers' settings, or fail with its message: our own suite
 * (templates/expected.json, made by make_templates.py) and the templates of real models in ../shared. */
#include "test.h"

#include <jansson.h>

#include "base/file.h"
#include "text/jinja/jinja.h"

/* One case; what differs is printed. raise_exception's class is named differently by the two suites. */
static bool check_case(struct view source, const json_t *inputs, const json_t *c, const char *raised_class) {
    struct jinja_template *t;
    struct jinja_fault fault;
    struct jinja_result result = {0};
    slm_err err;
    struct buf got;
    const json_t *want = json_object_get(c, "expected"), *want_error = json_object_get(c, "error");
    buf_init(&got, 1u << 26);
    slm_status st = jinja_compile(source, &t, &fault, &err);
    if (st == SLM_OK) st = jinja_render(t, inputs, NULL, &result, &fault, &err);
    if (st == SLM_OK) buf_append(&got, result.text.data, result.text.len);
    else buf_printf(&got, "%s: %s", fault.raised ? raised_class : fault.class_name, fault.message.data);
    const json_t *expected = st == SLM_OK ? want : want_error;
    bool same = expected && json_string_length(expected) == got.len && (got.len == 0 || memcmp(json_string_value(expected), got.data, got.len) == 0);
    if (!same)
        print_error("%s: %.*s\nwant: %.300s\ngot:  %.300s\n", json_string_value(json_object_get(c, "case")), (int)(source.len < 200 ? source.len : 200), source.ptr,
                    json_string_value(want ? want : want_error), got.data ? got.data : "");
    for (size_t i = 0; i < result.n_spans; i++) {
        assert_true(result.spans[i].start < result.spans[i].end && result.spans[i].end <= result.text.len);
        assert_true(i == 0 || result.spans[i - 1].end < result.spans[i].start);
    }
    jinja_result_fini(&result);
    jinja_fault_fini(&fault);
    jinja_destroy(t);
    buf_fini(&got);
    return same;
}

static void test_own(void **state) {
    json_t *suite = json_load_file(test_data("golden/templates/expected.json"), 0, NULL), *cases = json_object_get(suite, "cases");
    size_t n_wrong = 0, n = json_array_size(cases);
    (void)state;
    assert_true(n > 1300);
    for (size_t i = 0; i < n; i++) {
        const json_t *c = json_array_get(cases, i), *source = json_object_get(c, "source");
        n_wrong += !check_case((struct view){json_string_value(source), json_string_length(source)}, json_object_get(suite, "inputs"), c, "TemplateError");
    }
    assert_int_equal(n_wrong, 0);
    json_decref(suite);
}

static void test_models(void **state) {
    const char *path = test_shared("golden/templates/cases.json");
    size_t n_wrong = 0;
    (void)state;
    if (!path) skip();
    json_t *cases = json_load_file(path, 0, NULL);
    assert_true(json_array_size(cases) >= 400);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        char name[256];
        struct buf source;
        slm_err err;
        snprintf(name, sizeof name, "golden/templates/%s", json_string_value(json_object_get(c, "template")));
        buf_init(&source, 1u << 20);
        assert_int_equal(file_read(&source, test_need_shared(name), &err), SLM_OK);
        n_wrong += !check_case((struct view){source.data, source.len}, json_object_get(c, "inputs"), c, "RuntimeError");
        buf_fini(&source);
    }
    assert_int_equal(n_wrong, 0);
    json_decref(cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_own), cmocka_unit_test(test_models)};
    setenv("SLM_NOW", "2026-07-04T09:05:00", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
