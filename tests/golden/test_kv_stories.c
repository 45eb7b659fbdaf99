/* What cache types cost a trained model on text of its kind. */
#include "kv_kl.h"

static void test_divergence(void **state) {
    static const double most[KV_TYPE_COUNT] = {0, 1e-5, 3e-3, 1};
    char text[4096];
    slm_err err;
    struct slm_model *m;
    struct tok_ids ids = {0};
    FILE *f = fopen(test_need_shared("data/text/tinystories-sample.txt"), "rb");
    (void)state;
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    assert_int_equal(model_open(test_need_shared("data/models/stories260K.gguf"), 0, &m, &err), SLM_OK);
    assert_int_equal(tok_encode(m->tok, (struct view){text, n}, TOK_ADD_BOS, &ids, &err), SLM_OK);
    assert_true(ids.n >= 500);
    kv_check_types("stories260K", m, ids.v, 500, most);
    tok_ids_fini(&ids);
    model_close(m);
}

int main(void) {
    test_need_shared("data/text/tinystories-sample.txt");
    test_need_shared("data/models/stories260K.gguf");
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_divergence)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
