/* Extracting: JSON as it is written, known leaves and paths; a tiny model under schemas, where everything must be valid and every free string
 * a copy of whole words, whatever it would like to say. */
#include "test.h"

#include "base/util.h"
#include "task/extract.h"

static json_t *schema_of(const char *text) {
    json_t *s = json_loads(text, 0, NULL);
    assert_non_null(s);
    return s;
}

static void test_track(void **state) {
    (void)state;
    static const char schema[] = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/n\"}},"
                                 "\"e/~\":{\"enum\":[\"x\"]},\"k\":{\"type\":[\"string\",\"null\"]}},\"required\":[\"a\",\"k\"],\"$defs\":{\"n\":{\"type\":\"string\"}}}";
    static const char text[] = "{\"a\": \"blue fox\",\"b\":[\"caf\xc3\xa9\",\"fox\"],\"e/~\":\"x\",\"k\":null}";
    json_t *s = schema_of(schema);
    struct jleaves leaves = {.n = 0};
    struct jtrack t, copy;
    jtrack_init(&t, s, VIEW("the blue fox in the caf\xc3\xa9"));
    for (size_t i = 0; text[i]; i++) { /* in single bytes, and a copy stays as it was */
        copy = t;
        assert_true(jtrack_push(&copy, (struct view){text + i, 1}, NULL));
        assert_true(jtrack_push(&t, (struct view){text + i, 1}, &leaves));
    }
    static const char *const paths[] = {"/a", "/b/0", "/b/1", "/e~1~0", "/k"};
    assert_int_equal(leaves.n, 5);
    for (size_t i = 0; i < 5; i++) assert_string_equal(leaves.v[i].path, paths[i]);
    assert_true(leaves.v[0].is_grounded && leaves.v[1].is_grounded && !leaves.v[3].is_grounded && !leaves.v[4].is_string);
    assert_int_equal(leaves.v[0].start, 6);
    assert_int_equal(leaves.v[0].end, 16);
    static const char *const refused[] = {"{\"a\":\"green", "{\"a\":\"lue", "{\"a\":\"blu\"", "{\"a\":\"\"", "{\"a\":\" blue", "{\"a\":\"blue \"", "{\"b\":[\"x", "{\"a\":\"fox\\n", "{\"a\":\"fox\\", "{\"a\":\"f\\u006f", "{\"a\":\".\""};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        jtrack_init(&t, s, VIEW("the blue fox in the cafe"));
        if (jtrack_push(&t, view_of(refused[i]), NULL)) fail_msg("%s passed", refused[i]);
    }
    jtrack_init(&t, s, VIEW("say \"hi\" \\o/\n."));
    assert_true(jtrack_push(&t, view_of("{\"a\":\"say \\\"hi\\\" \\\\o/\""), NULL));
    jtrack_init(&t, s, VIEW("end.")); /* a point at the end can become no copy */
    assert_false(jtrack_push(&t, view_of("{\"a\":\"."), NULL));
    jtrack_init(&t, s, (struct view){0}); /* nothing is grounded */
    assert_true(jtrack_push(&t, view_of("{\"a\":\"green\"}"), NULL));
    static const char *const roots[] = {"12", "true", "null", " -0.5 ", "\"fox\""}; /* a value that is the whole answer */
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        leaves.n = 0;
        jtrack_init(&t, s, VIEW("fox"));
        assert_true(jtrack_push(&t, view_of(roots[i]), &leaves) && jtrack_end(&t, &leaves) && jtrack_end(&t, &leaves));
        assert_int_equal(leaves.n, 1);
        assert_string_equal(leaves.v[0].path, "");
        assert_int_equal(leaves.v[0].end, strlen(roots[i]) - (i == 3));
    }
    json_decref(s);
}

/* Any bytes leave the tracker within its room. */
static void test_track_random(void **state) {
    (void)state;
    static const char alphabet[] = "{}[]\",:\\u0adx1 \n";
    json_t *s = schema_of("{\"type\":\"object\"}");
    struct rng r;
    rng_init(&r, 4);
    for (int i = 0; i < 20000; i++) {
        char bytes[200];
        struct jtrack t;
        struct jleaves leaves = {.n = 0};
        size_t n = (size_t)(rng_u64(&r) % sizeof bytes);
        for (size_t k = 0; k < n; k++) bytes[k] = alphabet[rng_u64(&r) % (sizeof alphabet - 1)];
        jtrack_init(&t, s, VIEW("a d x 1"));
        if (jtrack_push(&t, (struct view){bytes, n}, &leaves)) jtrack_end(&t, &leaves);
        for (size_t k = 0; k < leaves.n; k++) assert_true(leaves.v[k].start < leaves.v[k].end && leaves.v[k].end <= n);
    }
    json_decref(s);
}

static const char *const schemas[] = {
    "{\"type\":\"object\",\"properties\":{\"who\":{\"type\":\"string\"},\"mood\":{\"enum\":[\"happy\",\"sad\"]},\"place\":{\"type\":[\"string\",\"null\"]}},"
    "\"required\":[\"who\",\"mood\",\"place\"],\"additionalProperties\":false}",
    "{\"type\":\"object\",\"properties\":{\"names\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":1,\"maxItems\":3},\"n\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":99}},"
    "\"required\":[\"names\",\"n\"],\"additionalProperties\":false}",
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"thing\":{\"type\":\"string\"}},\"required\":[\"thing\"],\"additionalProperties\":false},\"minItems\":1,\"maxItems\":2}",
};
static const char *const texts[] = {
    "Lily went to the park with her mom. She was very happy.", "Tom \"the cat\" sat, quietly; 7 dogs\nran by.", "zzz", "caf\xc3\xa9 na\xc3\xafve 42 \xf0\x9f\x90\xb6 dog",
};

static void test_model(void **state) {
    (void)state;
    struct slm_model *m = NULL;
    struct worker *w = NULL;
    slm_err err;
    assert_int_equal(model_open(test_need_shared("data/models/stories260K.gguf"), 0, &m, &err), SLM_OK);
    assert_int_equal(worker_create(m, &(struct worker_params){.n_threads = 1}, &w, &err), SLM_OK);
    for (size_t k = 0; k < sizeof schemas / sizeof schemas[0]; k++) {
        struct extractor *x = NULL;
        if (extractor_create(&(struct extractor_params){.worker = w, .schema = view_of(schemas[k]), .n_max = 200}, &x, &err) != SLM_OK) fail_msg("%s", err.msg);
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            struct extraction a;
            slm_status st = extractor_run(x, view_of(texts[i]), &a, &err);
            if (st != SLM_OK) fail_msg("schema %zu, text %zu: %s", k, i, err.msg);
            assert_true(a.valid && a.n_field > 0);
            for (size_t f = 0; f < a.n_field; f++) {
                assert_true(a.fields[f].confidence > 0 && a.fields[f].confidence <= 1 + 1e-9 && a.fields[f].worst >= a.fields[f].confidence - 1e-9);
            }
            const char *key;
            json_t *v;
            json_object_foreach(a.value, key, v) if (json_is_string(v) && strcmp(key, "mood") != 0) assert_non_null(strstr(texts[i], json_string_value(v)));
            json_decref(a.value);
        }
        extractor_destroy(x);
    }
    worker_destroy(w);
    model_close(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_track), cmocka_unit_test(test_track_random), cmocka_unit_test(test_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
