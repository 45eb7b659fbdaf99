/* Cache types over random models of each family: what they cost, and that threads and chunks change no bit of them. */
#include "kv_kl.h"

static const char *const models[] = {"llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "smollm3"};
enum { N_TOK = 200 };

static struct slm_model *open_model(const char *name, int32_t ids[N_TOK]) {
    char file[96];
    slm_err err;
    struct slm_model *m;
    uint32_t x = 1;
    snprintf(file, sizeof file, "golden/logits/%s.gguf", name);
    assert_int_equal(model_open(test_data(file), 0, &m, &err), SLM_OK);
    for (int i = 0; i < N_TOK; i++) ids[i] = (int32_t)((x = x * 1664525 + 1013904223) >> 8) % (int32_t)m->hp.n_vocab;
    return m;
}

static void test_divergence(void **state) {
    static const double most[KV_TYPE_COUNT] = {0, 1e-5, 5e-3, 0.6};
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        int32_t ids[N_TOK];
        struct slm_model *m = open_model(models[i], ids);
        kv_check_types(models[i], m, ids, N_TOK, most);
        model_close(m);
    }
}

static void test_threads_and_chunks(void **state) {
    int32_t ids[N_TOK];
    struct slm_model *m = open_model("gemma2", ids);
    size_t bytes = (size_t)N_TOK * m->hp.n_vocab * sizeof(float);
    (void)state;
    for (int type = 0; type < KV_TYPE_COUNT; type++) {
        float *want = kv_logits(m, type, 1, 64, ids, N_TOK);
        for (int i = 0; i < 3; i++) {
            static const int n_threads[] = {3, 2, 5}, n_out[] = {1, 7, 33};
            float *got = kv_logits(m, type, n_threads[i], n_out[i], ids, N_TOK);
            assert_memory_equal(got, want, bytes);
            free(got);
        }
        free(want);
    }
    model_close(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_divergence), cmocka_unit_test(test_threads_and_chunks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
