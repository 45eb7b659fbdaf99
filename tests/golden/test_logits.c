/* Log-probabilities of tiny random models against a float64 reference, for every ISA of this CPU, and equal to the bit over
 * threads and chunk sizes. A folder's manifest.json names its cases; make_models.py wrote golden/models, and says which
 * switch each case is there for. */
#include "test.h"

#include <math.h>

#include <jansson.h>

#include "engine/session.h"

#define TOLERANCE 1e-4 /* the reference is float64; float32 forward passes of this size agree to about 1e-5 */

struct suite {
    const char *dir;
    json_t *root;
    int32_t *ids;
    size_t n_tok, n_vocab, stride; /* the reference keeps every stride-th position */
    int32_t n_ctx;
};

static struct suite suite_open(const char *dir) {
    char file[128];
    snprintf(file, sizeof file, "%s/manifest.json", dir);
    struct suite s = {.dir = dir, .root = json_load_file(test_data(file), 0, NULL)};
    assert_non_null(s.root);
    const json_t *tokens = json_object_get(s.root, "tokens");
    s.n_tok = json_array_size(tokens);
    s.n_vocab = (size_t)json_integer_value(json_object_get(s.root, "n_vocab"));
    s.stride = (size_t)json_integer_value(json_object_get(s.root, "stride"));
    s.n_ctx = (int32_t)json_integer_value(json_object_get(s.root, "n_ctx"));
    assert_true(s.n_tok > 1 && s.stride > 0);
    s.ids = malloc(s.n_tok * sizeof *s.ids);
    for (size_t i = 0; i < s.n_tok; i++) s.ids[i] = (int32_t)json_integer_value(json_array_get(tokens, i));
    return s;
}

static void suite_close(struct suite *s) {
    free(s->ids);
    json_decref(s->root);
}

struct rows {
    float *logits;
    size_t n_vocab;
};

static slm_status keep_row(void *user, size_t i, const float *logits, slm_err *err) {
    const struct rows *r = user;
    (void)err;
    memcpy(r->logits + i * r->n_vocab, logits, r->n_vocab * sizeof(float));
    return SLM_OK;
}

static float *run(const struct suite *t, struct slm_model *m, int n_threads, int n_out) {
    slm_err err;
    struct slm_session *s;
    struct rows rows = {malloc(sizeof(float) * t->n_tok * t->n_vocab), t->n_vocab};
    assert_int_equal(m->hp.n_vocab, t->n_vocab);
    struct session_params p = {.n_ctx = t->n_ctx, .n_chunk = n_out, .n_out = n_out, .n_threads = n_threads, .kv_type = KV_F32};
    assert_int_equal(session_create(m, &p, &s, &err), SLM_OK);
    assert_int_equal(session_logits_all(s, t->ids, t->n_tok, keep_row, &rows, &err), SLM_OK);
    session_destroy(s);
    return rows.logits;
}

static double worst_difference(const struct suite *t, const char *name, const float *logits) {
    char file[128];
    float *want = malloc(t->n_vocab * sizeof *want);
    double worst = 0;
    snprintf(file, sizeof file, "%s/%s.logprobs.f32", t->dir, name);
    FILE *f = fopen(test_data(file), "rb");
    assert_non_null(f);
    for (size_t i = 0; i < t->n_tok; i += t->stride) {
        assert_int_equal(fread(want, sizeof(float), t->n_vocab, f), t->n_vocab);
        for (size_t id = 0; id < t->n_vocab; id++)
            worst = fmax(worst, fabs((double)logits_logprob(logits + i * t->n_vocab, (uint32_t)t->n_vocab, (int32_t)id) - (double)want[id]));
    }
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
    free(want);
    return worst;
}

static void check_case(const struct suite *t, const char *name, const char *isa) {
    char file[128];
    struct slm_model *m;
    slm_err err;
    snprintf(file, sizeof file, "%s/%s.gguf", t->dir, name);
    if (model_open(test_data(file), 0, &m, &err) != SLM_OK) fail_msg("%s", err.msg);
    float *logits = run(t, m, 1, (int)t->n_tok);
    double worst = worst_difference(t, name, logits);
    printf("%-8s %-20s max |difference| %.2e\n", isa, name, worst);
    if (!(worst <= TOLERANCE)) fail_msg("%s with %s: %g from the reference", name, isa, worst);
    static const struct { int n_threads, n_out; } runs[] = {{2, 1}, {3, 5}, {1, 13}};
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        float *again = run(t, m, runs[i].n_threads, runs[i].n_out);
        assert_memory_equal(again, logits, sizeof(float) * t->n_tok * t->n_vocab);
        free(again);
    }
    free(logits);
    model_close(m);
}

static void check_suite(const char *dir) {
    struct suite t = suite_open(dir);
    size_t n_isa;
    const struct ops_isa *isa = ops_isa_rows(&n_isa);
    const json_t *cases = json_object_get(t.root, "cases");
    assert_true(json_array_size(cases) > 0);
    for (size_t k = 0; k < n_isa; k++) {
        struct ops ops;
        slm_err err;
        if (ops_build(&ops, isa[k].name, &err) != SLM_OK) continue;
        setenv("SLM_CPU", isa[k].name, 1);
        for (size_t i = 0; i < json_array_size(cases); i++) check_case(&t, json_string_value(json_array_get(cases, i)), isa[k].name);
    }
    unsetenv("SLM_CPU");
    suite_close(&t);
}

static void test_logits(void **state) {
    (void)state;
    check_suite("golden/logits");
}

static void test_models(void **state) {
    (void)state;
    check_suite("golden/models");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_logits), cmocka_unit_test(test_models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
