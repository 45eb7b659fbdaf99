/* test_schema_suite.c -- the check against the published JSON-Schema-Test-Suite: required tests of 2020-12 and draft-7. Prints what
 * share agrees, and demands 98 %. */
#include "test.h"

#include <dirent.h>

#include "text/schema/schema.h"

#define SUITE "data/tasks/json-schema-test-suite"

struct score {
    int n, n_right;
};

static json_t *load(const char *path) {
    json_error_t e;
    json_t *value = json_load_file(path, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (!value) printf("%s: %s\n", path, e.text);
    return value;
}

/* The suite's own server: http://localhost:1234/ is its folder remotes. */
static json_t *fetch(void *user, const char *uri) {
    static const char prefix[] = "http://localhost:1234/";
    char path[2048];
    if (strncmp(uri, prefix, sizeof prefix - 1) != 0) return NULL;
    snprintf(path, sizeof path, "%s/remotes/%s", (const char *)user, uri + sizeof prefix - 1);
    return load(path);
}

static void run_group(const json_t *group, const struct schema_options *o, const char *file, struct score *score) {
    struct schema *s = NULL;
    slm_err err;
    size_t i;
    json_t *test;
    slm_status st = schema_from_json(json_object_get(group, "schema"), o, &s, &err);
    json_array_foreach(json_object_get(group, "tests"), i, test) {
        bool is_valid = false, want = json_is_true(json_object_get(test, "valid"));
        slm_status got = st == SLM_OK ? schema_check(s, json_object_get(test, "data"), &is_valid, &err) : st;
        bool right = got == SLM_OK && is_valid == want;
        score->n++;
        score->n_right += right;
        if (!right && getenv("SLM_SUITE_VERBOSE"))
            printf("%s: %s: %s: wanted %d%s%s\n", file, json_string_value(json_object_get(group, "description")), json_string_value(json_object_get(test, "description")), want,
                   got != SLM_OK ? ": " : "", got != SLM_OK ? err.msg : "");
    }
    schema_destroy(s);
}

static struct score run_draft(const char *name, enum schema_draft draft) {
    char folder[1200], path[2048];
    struct score score = {0, 0};
    struct dirent *e;
    struct schema_options o = {.fetch = fetch, .user = (void *)(uintptr_t)test_shared(SUITE), .draft = draft};
    snprintf(folder, sizeof folder, "%s/tests/%s", test_shared(SUITE), name);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while ((e = readdir(dir))) {
        size_t n = strlen(e->d_name), i;
        json_t *group;
        if (n < 6 || strcmp(e->d_name + n - 5, ".json") != 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        json_t *groups = load(path);
        assert_non_null(groups);
        json_array_foreach(groups, i, group) run_group(group, &o, e->d_name, &score);
        json_decref(groups);
    }
    closedir(dir);
    printf("%s: %d of %d required tests agree: %.2f %%\n", name, score.n_right, score.n, 100.0 * score.n_right / score.n);
    return score;
}

static void test_2020_12(void **state) {
    (void)state;
    struct score s = run_draft("draft2020-12", SCHEMA_2020_12);
    assert_true(s.n > 1000 && s.n_right * 100 >= s.n * 98);
}

static void test_draft_7(void **state) {
    (void)state;
    struct score s = run_draft("draft7", SCHEMA_7);
    assert_true(s.n > 800 && s.n_right * 100 >= s.n * 98);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_2020_12), cmocka_unit_test(test_draft_7)};
    test_need_shared(SUITE);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
