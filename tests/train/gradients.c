/* Gradients of the code that trains, compiled for double, against central differences: for every golden architecture that has a backward
 * pass, every tensor of it along a random direction, at every recompute level; every loss; adapters. Losses of the forward
 * pass against the float64 reference of tests/golden. */
#include "test.h"

#include <jansson.h>

#include "train/net_int.h"

#define TOLERANCE 1e-7
#define STEP 3e-4 /* of a direction's whole length; the difference's own error is of the fourth order */
#define N_VOCAB_MAX 1024

struct suite {
    const char *dir;
    json_t *root, *cases;
    int32_t *ids;
    int32_t n_tok, stride;
};

static void path_of(char *out, size_t n, const char *dir, const char *name, const char *suffix) { snprintf(out, n, "%s/%s%s", dir, name, suffix); }

static struct suite suite_open(const char *dir) {
    char file[128];
    path_of(file, sizeof file, dir, "manifest", ".json");
    struct suite s = {.dir = dir, .root = json_load_file(test_data(file), 0, NULL)};
    assert_non_null(s.root);
    json_t *tokens = json_object_get(s.root, "tokens");
    s.cases = json_object_get(s.root, "cases");
    s.n_tok = (int32_t)json_array_size(tokens);
    s.stride = (int32_t)json_integer_value(json_object_get(s.root, "stride"));
    s.ids = malloc((size_t)s.n_tok * sizeof *s.ids);
    for (int32_t i = 0; i < s.n_tok; i++) s.ids[i] = (int32_t)json_integer_value(json_array_get(tokens, (size_t)i));
    return s;
}

static void suite_close(struct suite *s) {
    free(s->ids);
    json_decref(s->root);
}

/* The suite's tokens whole, and parts of them, as sequences of one batch; some tokens without a loss, weights that differ. */
struct data {
    int32_t token[512], target[512], begin[8];
    float weight[512];
    struct train_batch b;
};

static void data_make(struct data *d, const struct suite *s) {
    const int32_t parts[] = {s->n_tok, 1, 23, s->n_tok / 2 + 3};
    int32_t n = 0;
    memset(d, 0, sizeof *d);
    for (int p = 0; p < 4; p++) {
        d->begin[p] = n;
        for (int32_t i = 0; i < parts[p]; i++, n++) {
            d->token[n] = s->ids[(i + 7 * p) % s->n_tok];
            d->target[n] = i % 5 == 3 && p > 0 ? TRAIN_NO_TARGET : s->ids[(i + 7 * p + 1) % s->n_tok];
            d->weight[n] = 0.25f + 0.125f * (float)(n % 7);
        }
    }
    d->begin[4] = n;
    d->b = (struct train_batch){.n_tok = n, .n_seq = 4, .token = d->token, .seq_begin = d->begin, .target = d->target, .weight = d->weight};
}

static struct slm_model *model_of(const char *dir, const char *name) {
    char file[128];
    struct slm_model *m;
    slm_err err;
    path_of(file, sizeof file, dir, name, ".gguf");
    if (model_open(test_data(file), 0, &m, &err) != SLM_OK) fail_msg("%s: %s", name, err.msg);
    return m;
}

static struct trainee *trainee_of(struct slm_model *m, int level, int n_threads, int32_t lora_r) {
    struct trainee *t;
    slm_err err;
    struct trainee_params p = {.n_threads = n_threads, .micro_tokens = 512, .n_ctx = 128, .recompute = level,
                               .lora = {.r = lora_r, .alpha = 3, .targets = LORA_ALL, .seed = 5}};
    if (trainee_create(m, &p, &t, &err) != SLM_OK) fail_msg("%s", err.msg);
    return t;
}

static double loss_of(struct trainee *t, const struct train_batch *b) {
    double sum = 0, weight = 0;
    slm_err err;
    if (trainee_loss(t, b, NULL, &sum, &weight, NULL, &err) != SLM_OK) fail_msg("%s", err.msg);
    return sum / weight;
}

static double backward(struct trainee *t, const struct train_batch *b) {
    double sum = 0, weight = 0;
    slm_err err;
    trainee_zero_grad(t);
    if (trainee_backward(t, b, train_batch_weight(b), &sum, &weight, &err) != SLM_OK) fail_msg("%s", err.msg);
    return sum / weight;
}

/* Every tensor along a random direction of length about 1 per element: relative error of the derivative. */
static double check(struct trainee *t, const struct train_batch *b, const char *what) {
    struct rng rng;
    double worst = 0, whole = 0;
    rng_init(&rng, 11);
    backward(t, b);
    for (uint64_t i = 0; i < t->n_elem; i++) whole += t->g[i] * t->g[i];
    for (size_t i = 0; i < t->n_params; i++) {
        const struct param *p = &t->params[i];
        real *u = malloc(p->n * sizeof *u), *w = t->w + p->at, *old = malloc(p->n * sizeof *u);
        double expected = 0, size = 0;
        memcpy(old, w, p->n * sizeof *w);
        for (uint64_t j = 0; j < p->n; j++) {
            u[j] = (double)rng_normal(&rng);
            expected += u[j] * t->g[p->at + j];
            size += t->g[p->at + j] * t->g[p->at + j];
        }
        double at[4];
        const double steps[4] = {1, -1, 2, -2};
        double h = STEP / sqrt((double)p->n);
        for (int k = 0; k < 4; k++) {
            for (uint64_t j = 0; j < p->n; j++) w[j] = old[j] + steps[k] * h * u[j];
            at[k] = loss_of(t, b);
        }
        memcpy(w, old, p->n * sizeof *w);
        double got = (8 * (at[0] - at[1]) - (at[2] - at[3])) / (12 * h); /* error of the fourth order */
        double error = fabs(got - expected) / (sqrt(size) + 1e-3 * sqrt(whole));
        if (error > TOLERANCE) fail_msg("%s: %s: derivative %.12g, by differences %.12g (error %.3g)", what, p->name, expected, got, error);
        worst = fmax(worst, error);
        free(u);
        free(old);
    }
    return worst;
}

/* Forward losses of the suite's first sequence against its reference log-probabilities. */
static void check_reference(struct trainee *t, const struct suite *s, const struct data *d, const char *name) {
    char file[128];
    float row[N_VOCAB_MAX];
    struct train_score scores[512];
    double sum = 0, weight = 0;
    slm_err err;
    assert_int_equal(trainee_loss(t, &d->b, NULL, &sum, &weight, scores, &err), SLM_OK);
    path_of(file, sizeof file, s->dir, name, ".logprobs.f32");
    FILE *f = fopen(test_data(file), "rb");
    assert_non_null(f);
    for (int32_t i = 0; i < s->n_tok; i += s->stride) {
        assert_int_equal(fread(row, sizeof(float), t->hp.n_vocab, f), t->hp.n_vocab);
        double want = -(double)row[d->target[i]];
        if (fabs((double)scores[i].loss - want) > 2e-5 * (1 + want)) fail_msg("%s: position %d: loss %g, reference %g", name, i, (double)scores[i].loss, want);
    }
    fclose(f);
}

static void walk(const char *dir) {
    struct suite s = suite_open(dir);
    struct data d;
    slm_err err;
    int n_checked = 0;
    data_make(&d, &s);
    for (size_t c = 0; c < json_array_size(s.cases); c++) {
        json_t *item = json_array_get(s.cases, c);
        const char *name = json_is_string(item) ? json_string_value(item) : json_string_value(json_object_get(item, "name"));
        struct slm_model *m = model_of(dir, name);
        if (trainee_supports(m->arch, &m->hp, &err) != SLM_OK) {
            print_message("  %-20s refused: %s\n", name, err.msg);
            model_close(m);
            continue;
        }
        struct trainee *t = trainee_of(m, 0, 1, 0);
        check_reference(t, &s, &d, name);
        double worst = check(t, &d.b, name);
        print_message("  %-20s %zu tensors, worst relative error %.1e\n", name, t->n_params, worst);
        double loss = backward(t, &d.b);
        for (int level = 1; level <= 3; level++) {
            struct trainee *other = trainee_of(m, level, 2, 0);
            double l = backward(other, &d.b);
            assert_true(l == loss);
            assert_memory_equal(other->g, t->g, t->n_elem * sizeof(real));
            trainee_destroy(other);
        }
        trainee_destroy(t);
        model_close(m);
        n_checked++;
    }
    assert_true(n_checked > 8);
    suite_close(&s);
}

static void test_every_architecture(void **state) {
    (void)state;
    walk("golden/models");
}

static void test_common_architectures(void **state) {
    (void)state;
    walk("golden/logits");
}

/* Teachers: lists of the model's own top ids with made-up logits. */
static void test_losses(void **state) {
    (void)state;
    struct suite s = suite_open("golden/models");
    struct data d;
    data_make(&d, &s);
    struct slm_model *m = model_of("golden/models", "llama-odd-heads");
    struct trainee *t = trainee_of(m, 0, 2, 0);
    enum { K = 6 };
    int32_t row[512], id[512 * K];
    float logit[512 * K], log_sum[512];
    struct rng rng;
    rng_init(&rng, 3);
    const float betas[] = {0, 0.1f, 0.5f, 0.9f, 1}, temps[] = {1, 2};
    for (int32_t i = 0; i < d.b.n_tok; i++) {
        row[i] = i % 3 == 2 ? -1 : i;
        for (int j = 0; j < K; j++) id[i * K + j] = (int32_t)((i * 7 + j * 31) % (int32_t)m->hp.n_vocab);
        for (int j = 0; j < K; j++) logit[i * K + j] = 2 * rng_normal(&rng);
    }
    for (int tail = TRAIN_TAIL_BUCKET; tail <= TRAIN_TAIL_ZERO; tail++)
        for (int b = 0; b < 5; b++)
            for (int T = 0; T < 2; T++) {
                for (int32_t i = 0; i < d.b.n_tok; i++) {
                    double sum = 0.7; /* the rest's share */
                    for (int j = 0; j < K; j++) sum += exp((double)(logit[i * K + j] / temps[T]));
                    log_sum[i] = (float)log(sum);
                }
                struct train_teacher te = {.k = K, .tail = (enum train_tail)tail, .temperature = temps[T], .alpha = 0.4f, .beta = betas[b], .row = row, .id = id,
                                           .logit = logit, .log_sum = log_sum, .n_row = d.b.n_tok};
                char what[64];
                snprintf(what, sizeof what, "tail %d beta %g T %g", tail, (double)betas[b], (double)temps[T]);
                d.b.teacher = &te;
                check(t, &d.b, what);
            }
    trainee_destroy(t);
    model_close(m);
    suite_close(&s);
}

/* A list of the whole vocabulary is the dense loss, whatever is done with the tail. */
static void test_whole_list_is_dense(void **state) {
    (void)state;
    struct suite s = suite_open("golden/models");
    struct data d;
    data_make(&d, &s);
    struct slm_model *m = model_of("golden/models", "llama-odd-heads");
    struct trainee *t = trainee_of(m, 0, 1, 0);
    int32_t k = (int32_t)m->hp.n_vocab, row[512];
    int32_t *id = malloc((size_t)(d.b.n_tok * k) * sizeof *id);
    float *logit = malloc((size_t)(d.b.n_tok * k) * sizeof *logit), log_sum[512];
    struct rng rng;
    rng_init(&rng, 9);
    for (int32_t i = 0; i < d.b.n_tok; i++) {
        double sum = 0;
        row[i] = i;
        d.target[i] = TRAIN_NO_TARGET;
        for (int32_t j = 0; j < k; j++) {
            id[i * k + j] = j;
            logit[i * k + j] = rng_normal(&rng);
            sum += exp((double)logit[i * k + j]);
        }
        log_sum[i] = (float)log(sum);
    }
    double first = 0;
    for (int tail = TRAIN_TAIL_BUCKET; tail <= TRAIN_TAIL_ZERO; tail++) {
        struct train_teacher te = {.k = k, .tail = (enum train_tail)tail, .temperature = 1, .alpha = 1, .beta = 0, .row = row, .id = id, .logit = logit,
                                   .log_sum = log_sum, .n_row = d.b.n_tok};
        d.b.teacher = &te;
        double loss = loss_of(t, &d.b);
        if (tail == TRAIN_TAIL_BUCKET) first = loss;
        assert_true(fabs(loss - first) < 1e-6);
    }
    free(id);
    free(logit);
    trainee_destroy(t);
    model_close(m);
    suite_close(&s);
}

static void test_adapters(void **state) {
    (void)state;
    struct suite s = suite_open("golden/models");
    struct data d;
    data_make(&d, &s);
    const char *const names[] = {"llama-biases", "qwen2-7-heads", "gemma2-window", "phi3-short"};
    for (int i = 0; i < 4; i++) {
        struct slm_model *m = model_of("golden/models", names[i]);
        struct trainee *full = trainee_of(m, 0, 1, 0), *t = trainee_of(m, 2, 2, 4);
        struct rng rng;
        assert_true(fabs(loss_of(t, &d.b) - loss_of(full, &d.b)) < 1e-12); /* at the start an adapter is nothing */
        rng_init(&rng, 2);
        for (size_t k = 0; k < t->n_params; k++)
            for (uint64_t j = 0; j < t->params[k].n; j++) t->w[t->params[k].at + j] = 0.1 * (double)rng_normal(&rng);
        check(t, &d.b, names[i]);
        trainee_destroy(t);
        trainee_destroy(full);
        model_close(m);
    }
    suite_close(&s);
}

/* Cutting a step into micro-batches, and packing, change nothing but rounding. */
static void test_accumulation(void **state) {
    (void)state;
    struct suite s = suite_open("golden/models");
    struct data d;
    slm_err err;
    data_make(&d, &s);
    struct slm_model *m = model_of("golden/models", "qwen2-7-heads");
    struct trainee *t = trainee_of(m, 0, 1, 0), *parts = trainee_of(m, 0, 1, 0);
    double loss = backward(t, &d.b), sum = 0, weight = 0, all = train_batch_weight(&d.b), worst = 0;
    trainee_zero_grad(parts);
    for (int p = 0; p < 4; p++) {
        int32_t at = d.begin[p], begin[2] = {0, d.begin[p + 1] - at};
        struct train_batch b = {.n_tok = begin[1], .n_seq = 1, .token = d.token + at, .seq_begin = begin, .target = d.target + at, .weight = d.weight + at};
        assert_int_equal(trainee_backward(parts, &b, all, &sum, &weight, &err), SLM_OK);
    }
    assert_true(fabs(sum / weight - loss) < 1e-12);
    for (uint64_t i = 0; i < t->n_elem; i++) worst = fmax(worst, fabs(t->g[i] - parts->g[i]));
    assert_true(worst < 1e-12);
    trainee_destroy(t);
    trainee_destroy(parts);
    model_close(m);
    suite_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_common_architectures), cmocka_unit_test(test_every_architecture), cmocka_unit_test(test_losses),
        cmocka_unit_test(test_whole_list_is_dense),  cmocka_unit_test(test_adapters),           cmocka_unit_test(test_accumulation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
