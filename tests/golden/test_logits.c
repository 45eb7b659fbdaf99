/* Log-probabilities of the tiny models against a float64 reference, for every ISA of this CPU, and equal to the
 * bit over threads and chunk sizes. */
#include "test.h"

#include <math.h>

#include <jansson.h>

#include "engine/session.h"

#define N_TOK 48
#define N_VOCAB 512
#define TOLERANCE 1e-4 /* the reference is float64; float32 forward passes of this size agree to about 2e-6 */

static const char *const models[] = {"llama",  "llama-tied", "llama3-rope", "qwen2",             "qwen3", "qwen3-tied", "gemma",
                                     "gemma2", "gemma3",     "phi2",        "phi3-partial-rope", "phi3",  "smollm3",    "granite"};

static void read_tokens(int32_t ids[N_TOK]) {
    json_t *root = json_load_file(test_data("golden/logits/tokens.json"), 0, NULL);
    assert_int_equal(json_array_size(root), N_TOK);
    for (size_t i = 0; i < N_TOK; i++) ids[i] = (int32_t)json_integer_value(json_array_get(root, i));
    json_decref(root);
}

static slm_status keep_row(void *user, size_t i, const float *logits, slm_err *err) {
    (void)err;
    memcpy((float *)user + i * N_VOCAB, logits, N_VOCAB * sizeof(float));
    return SLM_OK;
}

static float *run(const char *name, int n_threads, int n_out) {
    char file[128];
    slm_err err;
    struct slm_model *m;
    struct slm_session *s;
    int32_t ids[N_TOK];
    float *logits = malloc(sizeof(float) * N_TOK * N_VOCAB);
    snprintf(file, sizeof file, "golden/logits/%s.gguf", name);
    assert_int_equal(model_open(test_data(file), 0, &m, &err), SLM_OK);
    struct session_params p = {.n_ctx = 64, .n_chunk = n_out, .n_out = n_out, .n_threads = n_threads, .kv_dtype = KV_DTYPE_AUTO};
    assert_int_equal(session_create(m, &p, &s, &err), SLM_OK);
    read_tokens(ids);
    assert_int_equal(session_logits_all(s, ids, N_TOK, keep_row, logits, &err), SLM_OK);
    session_destroy(s);
    model_close(m);
    return logits;
}

static double worst_difference(const char *name, const float *logits) {
    char file[128];
    float want[N_VOCAB];
    double worst = 0;
    snprintf(file, sizeof file, "golden/logits/%s.logprobs.f32", name);
    FILE *f = fopen(test_data(file), "rb");
    assert_non_null(f);
    for (size_t i = 0; i < N_TOK; i++) {
        assert_int_equal(fread(want, sizeof(float), N_VOCAB, f), N_VOCAB);
        for (int32_t id = 0; id < N_VOCAB; id++)
            worst = fmax(worst, fabs((double)logits_logprob(logits + i * N_VOCAB, N_VOCAB, id) - (double)want[id]));
    }
    fclose(f);
    return worst;
}

static void test_against_reference(void **state) {
    size_t n_isa;
    const struct ops_isa *isa = ops_isa_rows(&n_isa);
    (void)state;
    for (size_t k = 0; k < n_isa; k++) {
        struct ops ops;
        slm_err err;
        if (ops_build(&ops, isa[k].name, &err) != SLM_OK) continue;
        setenv("SLM_CPU", isa[k].name, 1);
        for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
            float *logits = run(models[i], 1, N_TOK);
            double worst = worst_difference(models[i], logits);
            printf("%-8s %-12s max |difference| %.2e\n", isa[k].name, models[i], worst);
            assert_true(worst <= TOLERANCE);
            for (int n_threads = 1; n_threads <= 3; n_threads++)
                for (int n_out = 1; n_out <= 13; n_out += 4) {
                    float *again = run(models[i], n_threads, n_out);
                    assert_memory_equal(again, logits, sizeof(float) * N_TOK * N_VOCAB);
                    free(again);
                }
            free(logits);
        }
    }
    unsetenv("SLM_CPU");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_reference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
