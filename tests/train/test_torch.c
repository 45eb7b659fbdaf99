/* Fifty recorded steps of PyTorch (make_torch.py): the first step's gradients, and the loss of each step. */
#include "test.h"

#include <math.h>

#include <jansson.h>

#include "train/optim.h"

#define N_MAX 512

static double number(const json_t *j, const char *key) { return json_number_value(json_object_get(j, key)); }

static void test_recorded_steps(void **state) {
    (void)state;
    slm_err err;
    json_t *j = json_load_file(test_data("train/torch.json"), 0, NULL);
    assert_non_null(j);
    json_t *tokens = json_object_get(j, "tokens"), *weights = json_object_get(j, "weights"), *losses = json_object_get(j, "losses");
    int32_t token[N_MAX], target[N_MAX], begin[16], n = 0, n_seq = (int32_t)json_array_size(tokens);
    float weight[N_MAX];
    for (int32_t s = 0; s < n_seq; s++) {
        const json_t *seq = json_array_get(tokens, (size_t)s), *w = json_array_get(weights, (size_t)s);
        begin[s] = n;
        for (size_t i = 0; i + 1 < json_array_size(seq); i++, n++) {
            token[n] = (int32_t)json_integer_value(json_array_get(seq, i));
            target[n] = (int32_t)json_integer_value(json_array_get(seq, i + 1));
            weight[n] = (float)json_number_value(json_array_get(w, i));
        }
    }
    begin[n_seq] = n;
    struct train_batch b = {.n_tok = n, .n_seq = n_seq, .token = token, .seq_begin = begin, .target = target, .weight = weight};

    struct slm_model *m;
    struct trainee *t;
    struct optim *o;
    assert_int_equal(model_open(test_data("golden/logits/llama.gguf"), 0, &m, &err), SLM_OK);
    assert_int_equal(trainee_create(m, &(struct trainee_params){.n_threads = 2, .micro_tokens = N_MAX, .n_ctx = 128, .recompute = 1}, &t, &err), SLM_OK);
    struct optim_params op = {OPTIM_ADAMW, (float)number(j, "beta1"), (float)number(j, "beta2"), (float)number(j, "eps"), (float)number(j, "decay"), (float)number(j, "clip")};
    assert_int_equal(optim_create(t, &op, &o, &err), SLM_OK);
    for (size_t step = 0; step < json_array_size(losses); step++) {
        double sum = 0, all = 0, want = json_number_value(json_array_get(losses, step));
        trainee_zero_grad(t);
        assert_int_equal(trainee_backward(t, &b, train_batch_weight(&b), &sum, &all, &err), SLM_OK);
        if (fabs(sum / all - want) > 1e-4) fail_msg("step %zu: loss %.8f, PyTorch %.8f", step, sum / all, want);
        for (size_t i = 0; step == 0 && i < trainee_n_tensor(t); i++) {
            struct trainee_view v = trainee_tensor(t, i);
            const json_t *row = json_object_get(json_object_get(j, "gradients"), v.name);
            const float *g = trainee_grads(t) + v.at;
            double want_norm = json_number_value(json_array_get(row, 0)), norm = 0;
            for (uint64_t k = 0; k < v.n; k++) norm += (double)g[k] * (double)g[k];
            if (fabs(sqrt(norm) - want_norm) > 1e-4 * want_norm) fail_msg("%s: gradient's length %g, PyTorch %g", v.name, sqrt(norm), want_norm);
            for (int wave = 0; wave < 4; wave++) {
                double dot = 0, want_dot = json_number_value(json_array_get(row, (size_t)wave + 1));
                for (uint64_t k = 0; k < v.n; k++) dot += (double)g[k] * cos(0.7 + 1.3 * wave + 0.61803 * (wave + 1) * (double)k);
                if (fabs(dot - want_dot) > 1e-4 * want_norm) fail_msg("%s: gradient by wave %d: %g, PyTorch %g", v.name, wave, dot, want_dot);
            }
        }
        optim_step(o, (int64_t)step + 1, number(j, "lr"), optim_norm(o));
    }
    assert_true(json_array_size(losses) == 50);
    optim_destroy(o);
    trainee_destroy(t);
    model_close(m);
    json_decref(j);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_recorded_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
