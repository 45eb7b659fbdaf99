/* An adapter beside its base, as training computes it, against the two merged and run by the engine: the same predictions; and what is no adapter
 * of this base is refused by name. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "engine/session.h"
#include "train/adapter.h"

enum { N_TOK = 48 };

static int32_t token[N_TOK], target[N_TOK];
static const int32_t begin[2] = {0, N_TOK};

static const struct train_batch *batch(uint32_t n_vocab) {
    static struct train_batch b;
    for (int32_t i = 0; i < N_TOK; i++) token[i] = (3 + i * 37) % (int32_t)n_vocab;
    for (int32_t i = 0; i < N_TOK; i++) target[i] = token[(i + 1) % N_TOK];
    b = (struct train_batch){.n_tok = N_TOK, .n_seq = 1, .token = token, .seq_begin = begin, .target = target};
    return &b;
}

static void losses_beside(struct trainee *t, const struct train_batch *b, double out[N_TOK]) {
    struct train_score scores[N_TOK];
    double sum = 0, weight = 0;
    slm_err err;
    if (trainee_loss(t, b, NULL, &sum, &weight, scores, &err) != SLM_OK) fail_msg("%s", err.msg);
    for (int i = 0; i < N_TOK; i++) out[i] = (double)scores[i].loss;
}

static slm_status take_loss(void *user, size_t i, const float *logits, slm_err *err) {
    double *out = user, max = -INFINITY, sum = 0;
    uint32_t n = (uint32_t)out[N_TOK];
    (void)err;
    for (uint32_t k = 0; k < n; k++) max = fmax(max, (double)logits[k]);
    for (uint32_t k = 0; k < n; k++) sum += exp((double)logits[k] - max);
    out[i] = max + log(sum) - (double)logits[target[i]];
    return SLM_OK;
}

static void losses_of(struct slm_model *m, double out[N_TOK + 1]) {
    struct slm_session *s;
    slm_err err;
    out[N_TOK] = m->hp.n_vocab;
    if (session_create(m, &(struct session_params){.n_ctx = N_TOK + 8, .n_threads = 1, .kv_type = KV_F32}, &s, &err) != SLM_OK) fail_msg("%s", err.msg);
    if (session_logits_all(s, token, N_TOK, take_loss, out, &err) != SLM_OK) fail_msg("%s", err.msg);
    session_destroy(s);
}

static double largest_difference(const double *a, const double *b) {
    double max = 0;
    for (int i = 0; i < N_TOK; i++) max = fmax(max, fabs(a[i] - b[i]));
    return max;
}

static struct trainee *adapted(const struct slm_model *m, bool is_random) {
    struct trainee *t;
    struct rng rng;
    slm_err err;
    struct trainee_params p = {.n_threads = 1, .micro_tokens = N_TOK, .n_ctx = N_TOK, .lora = {.r = 4, .alpha = 8, .targets = LORA_ALL, .seed = 3}};
    if (trainee_create(m, &p, &t, &err) != SLM_OK) fail_msg("%s", err.msg);
    rng_init(&rng, 5);
    for (size_t k = 0; is_random && k < trainee_n_tensor(t); k++) {
        struct trainee_view v = trainee_tensor(t, k);
        for (uint64_t j = 0; j < v.n; j++) trainee_weights(t)[v.at + j] = 0.1f * rng_normal(&rng);
    }
    return t;
}

static void test_merged_is_adapter(void **state) {
    static const char *const names[] = {"golden/logits/llama.gguf", "golden/models/qwen2-7-heads.gguf", "golden/models/gemma2-window.gguf", "golden/models/phi3-short.gguf"};
    char path[] = "/tmp/slm-adapter-XXXXXX";
    (void)state;
    setenv("SLM_MATMUL", "f32", 1); /* as training computes: activations as they are */
    assert_true(mkstemp(path) >= 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct slm_model *base, *merged;
        double beside[N_TOK], one[N_TOK + 1], none[N_TOK + 1];
        slm_err err;
        if (model_open(test_data(names[i]), 0, &base, &err) != SLM_OK) fail_msg("%s", err.msg);
        const struct train_batch *b = batch(base->hp.n_vocab);
        struct trainee *t = adapted(base, true);
        losses_beside(t, b, beside);
        if (adapter_write(t, path, &err) != SLM_OK) fail_msg("%s", err.msg);
        if (adapter_open(test_data(names[i]), path, 1, &merged, &err) != SLM_OK) fail_msg("%s", err.msg);
        losses_of(merged, one);
        losses_of(base, none);
        double same = largest_difference(beside, one), other = largest_difference(none, one);
        printf("%s: merged and beside differ by %.1e, the base by %.1e\n", names[i], same, other);
        assert_true(same < 1e-3);
        assert_true(other > 0.05);
        model_close(merged);
        trainee_destroy(t);
        t = adapted(base, false); /* b is zero: nothing is changed, to the bit */
        if (adapter_write(t, path, &err) != SLM_OK) fail_msg("%s", err.msg);
        if (adapter_open(test_data(names[i]), path, 1, &merged, &err) != SLM_OK) fail_msg("%s", err.msg);
        losses_of(merged, one);
        assert_memory_equal(one, none, N_TOK * sizeof *one);
        model_close(merged);
        trainee_destroy(t);
        model_close(base);
    }
    remove(path);
}

static void test_refused(void **state) {
    struct slm_model *m;
    slm_err err;
    (void)state;
    const char *base = test_data("golden/logits/llama.gguf");
    char *copy = strdup(base);
    assert_int_equal(adapter_open(copy, copy, 1, &m, &err), SLM_E_FORMAT);
    assert_non_null(strstr(err.msg, "is no adapter"));
    assert_int_equal(adapter_open(copy, "/nowhere.gguf", 1, &m, &err), SLM_E_IO);
    free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_merged_is_adapter), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
