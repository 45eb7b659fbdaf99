/* Greedy continuations of a trained model equal llama.cpp's, for every ISA, thread count and chunk size. */
#include "test.h"

#include <jansson.h>

#include "engine/session.h"

struct run {
    const char *isa;
    int n_threads, n_chunk;
};
static const struct run runs[] = {{NULL, 1, 0}, {NULL, 2, 0}, {NULL, 2, 1}, {NULL, 2, 2}, {NULL, 1, 3}, {NULL, 3, 5}};

static void check_case(struct slm_model *m, const json_t *c, const struct run *r) {
    slm_err err;
    struct slm_session *s;
    struct tok_ids ids = {0};
    struct sampler_params sp;
    struct generate_result out;
    const json_t *want = json_object_get(c, "ids"), *prompt = json_object_get(c, "prompt_ids");
    assert_int_equal(tok_encode(m->tok, view_of(json_string_value(json_object_get(c, "prompt"))), TOK_PARSE_SPECIAL | TOK_ADD_BOS, &ids, &err), SLM_OK);
    assert_int_equal(ids.n, json_array_size(prompt));
    for (size_t i = 0; i < ids.n; i++) assert_int_equal(ids.v[i], json_integer_value(json_array_get(prompt, i)));
    struct session_params p = {.n_ctx = 512, .n_chunk = r->n_chunk, .n_threads = r->n_threads, .kv_type = KV_TYPE_AUTO};
    assert_int_equal(session_create(m, &p, &s, &err), SLM_OK);
    sampler_params_init(&sp);
    sp.temperature = 0;
    struct generate_params g = {.sampling = &sp, .n_max = (int32_t)json_array_size(want)};
    assert_int_equal(session_generate(s, ids.v, ids.n, &g, &out, &err), SLM_OK);
    assert_int_equal(out.ids.n, json_array_size(want));
    for (size_t i = 0; i < out.ids.n; i++) assert_int_equal(out.ids.v[i], json_integer_value(json_array_get(want, i)));
    tok_ids_fini(&out.ids);
    tok_ids_fini(&ids);
    session_destroy(s);
}

static void check_run(struct slm_model *m, const json_t *cases, const struct run *r) {
    if (r->isa) setenv("SLM_CPU", r->isa, 1);
    for (size_t i = 0; i < json_array_size(cases); i++) check_case(m, json_array_get(cases, i), r);
    unsetenv("SLM_CPU");
}

static void test_greedy(void **state) {
    slm_err err;
    struct slm_model *m;
    json_t *cases = json_load_file(test_need_shared("golden/stories260K.json"), 0, NULL);
    (void)state;
    assert_true(json_array_size(cases) >= 5);
    assert_int_equal(model_open(test_need_shared("data/models/stories260K.gguf"), 0, &m, &err), SLM_OK);
    for (size_t k = 0; k < sizeof runs / sizeof runs[0]; k++) check_run(m, cases, &runs[k]);
    size_t n_isa;
    const struct ops_isa *isa = ops_isa_rows(&n_isa);
    for (size_t k = 0; k < n_isa; k++) {
        if (!ops_isa_usable(&isa[k])) continue;
        check_run(m, cases, &(struct run){isa[k].name, 2, 0});
        check_run(m, cases, &(struct run){isa[k].name, 1, 3});
    }
    model_close(m);
    json_decref(cases);
}

int main(void) {
    test_need_shared("golden/stories260K.json");
    test_need_shared("data/models/stories260K.gguf");
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_greedy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
