/* Evaluation: intervals and tests against known values, labels by the tree against labels one by one, choices, answers judged,
 * perplexity against the engine's log-probabilities, a teacher's logits on file. */
#include <math.h>

#include "test.h"

#include "engine/session.h"
#include "train/eval.h"
#include "train/kd_cache.h"

static struct slm_model *model;
static struct chat_template *tmpl;
static char folder[] = "/tmp/slm-eval-XXXXXX";

static const char *file_of(const char *name, const char *text) {
    static char ring[8][256];
    static int next;
    char *path = ring[next++ % 8];
    snprintf(path, sizeof ring[0], "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static void near(double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance)) fail_msg("%.9g instead of %.9g", got, want);
}

static void test_statistics(void **state) {
    (void)state;
    struct estimate e = stats_wilson(8, 10);
    near(e.low, 0.490162, 1e-6);
    near(e.high, 0.943318, 1e-6);
    e = stats_wilson(0, 20);
    near(e.low, 0, 0);
    near(e.high, 0.161125, 1e-6);
    near(stats_mcnemar(10, 2), 0.03857421875, 1e-12);
    near(stats_mcnemar(5, 5), 1, 0);
    near(stats_mcnemar(0, 0), 1, 0);
    near(stats_mcnemar(90000, 89000), 0.0182, 2e-4); /* the normal curve */
    double x[200], w[200];
    slm_err err;
    for (int i = 0; i < 200; i++) x[i] = i % 2, w[i] = 1;
    assert_int_equal(stats_bootstrap(x, w, 200, &e, &err), SLM_OK);
    near(e.value, 0.5, 0);
    near(e.low, 0.5 - 1.96 * sqrt(0.25 / 200), 0.012);
    near(e.high, 0.5 + 1.96 * sqrt(0.25 / 200), 0.012);
}

static struct eval_task *open_task(const char *path, enum eval_kind kind) {
    struct eval_task_params p = {.path = path, .kind = kind};
    struct eval_task *t;
    slm_err err;
    if (eval_task_open(&p, &t, &err) != SLM_OK) fail_msg("%s", err.msg);
    return t;
}

static struct eval_params params(void) { return (struct eval_params){.session = {.n_ctx = 256, .n_threads = 1, .kv_type = KV_TYPE_AUTO}, .tmpl = tmpl, .n_max = 8}; }

struct sum_row {
    const int32_t *ids;
    double *logp; /* of ids[i + 1] at i */
};
static slm_status add_row(void *user, size_t i, const float *logits, slm_err *err) {
    struct sum_row *s = user;
    double sum = 0;
    (void)err;
    for (uint32_t k = 0; k < model->hp.n_vocab; k++) sum += exp((double)logits[k]);
    s->logp[i] = (double)logits[s->ids[i + 1]] - log(sum);
    return SLM_OK;
}

/* log p(answer | row's prompt), nothing shared. */
static double plain_score(struct slm_session *s, const struct data_row *row, const char *answer, bool with_end) {
    struct data_encode_params p = {.tok = model->tok, .tmpl = tmpl};
    struct tok_ids ids = {0};
    double logp[512], sum = 0;
    slm_err err;
    assert_int_equal(data_encode_prompt(&p, row, &ids, &err), SLM_OK);
    size_t n = ids.n;
    assert_int_equal(data_encode_answer(&p, row, view_of(answer), &ids, &err), SLM_OK);
    if (with_end) assert_int_equal(tok_ids_push(&ids, tok_config_of(model->tok)->eos, &err), SLM_OK);
    assert_true(ids.n > n && ids.n < 512);
    struct sum_row user = {ids.v, logp};
    assert_int_equal(session_logits_all(s, ids.v, ids.n - 1, add_row, &user, &err), SLM_OK);
    for (size_t i = n; i < ids.n; i++) sum += logp[i - 1];
    tok_ids_fini(&ids);
    return sum;
}

static void compare_labels(const char *const *labels, size_t n_labels, bool with_end) {
    char text[4000];
    size_t at = (size_t)snprintf(text, sizeof text, "text,label\n");
    for (int i = 0; i < 12; i++) at += (size_t)snprintf(text + at, sizeof text - at, "where is thing %d,%s\n", i * 7, labels[(size_t)i % n_labels]);
    struct eval_task *t = open_task(file_of("task.csv", text), EVAL_AUTO);
    struct eval_params p = params();
    struct eval_result r;
    struct slm_session *s;
    slm_err err;
    assert_int_equal(eval_task_kind(t), EVAL_CLASSIFY);
    if (eval_run(model, t, &p, &r, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_int_equal(session_create(model, &p.session, &s, &err), SLM_OK);
    struct data_reader *reader;
    struct data_row row;
    bool has;
    assert_int_equal(data_reader_over("task.csv", view_of(text), DATA_AUTO, &reader, &err), SLM_OK);
    for (size_t i = 0; i < r.n; i++) {
        double best = -INFINITY, sum = 0, score[8];
        const char *best_label = NULL;
        assert_int_equal(data_reader_next(reader, &row, &has, &err), SLM_OK);
        for (size_t k = 0; k < n_labels; k++) {
            score[k] = plain_score(s, &row, labels[k], with_end);
            if (score[k] > best) best = score[k], best_label = labels[k];
        }
        for (size_t k = 0; k < n_labels; k++) sum += exp(score[k] - best);
        assert_string_equal(eval_task_label(t, (size_t)r.items[i].got), best_label);
        near((double)r.items[i].confidence, 1 / sum, 1e-4);
        assert_string_equal(eval_task_label(t, (size_t)r.items[i].want), labels[i % n_labels]);
    }
    data_reader_close(reader);
    session_destroy(s);
    eval_result_fini(&r);
    eval_task_close(t);
}

static void test_classify(void **state) {
    (void)state;
    static const char *const apart[] = {"card_lost", "card_new", "money", "m_transfer"}, *const nested[] = {"card", "card_new", "other", "card_new_two"};
    compare_labels(apart, 4, false);
    compare_labels(nested, 4, true);
}

static void test_choice(void **state) {
    (void)state;
    static const char text[] = "{\"prompt\": \"the cat sat on the\", \"choices\": [\"mat\", \"long long road\"], \"answer\": 0}\n"
                               "{\"question\": \"two and two are\", \"choices\": [\"four\", \"five\", \"six\"], \"answer\": \"B\"}\n"
                               "{\"prompt\": \"x \", \"choices\": [\"a\", \"b\"], \"answer\": \"b\"}\n";
    struct eval_task *t = open_task(file_of("choice.jsonl", text), EVAL_AUTO);
    struct eval_params p = params();
    struct eval_result r;
    struct slm_session *s;
    struct data_reader *reader;
    struct data_row row;
    bool has;
    slm_err err;
    assert_int_equal(eval_task_kind(t), EVAL_CHOICE);
    if (eval_run(model, t, &p, &r, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_int_equal(session_create(model, &p.session, &s, &err), SLM_OK);
    assert_int_equal(data_reader_over("c.jsonl", VIEW(text), DATA_AUTO, &reader, &err), SLM_OK);
    static const int want[] = {0, 1, 1};
    for (int i = 0; i < 3; i++) {
        double best = -INFINITY, best_norm = -INFINITY;
        int got = -1, norm = -1;
        assert_int_equal(data_reader_next(reader, &row, &has, &err), SLM_OK);
        for (int k = 0; k < (int)json_array_size(row.choices); k++) {
            const char *choice = json_string_value(json_array_get(row.choices, (size_t)k));
            double v = plain_score(s, &row, choice, false);
            if (v > best) best = v, got = k;
            if (v / (double)strlen(choice) > best_norm) best_norm = v / (double)strlen(choice), norm = k;
        }
        assert_int_equal(r.items[i].want, want[i]);
        assert_int_equal(r.items[i].got, got);
        assert_int_equal(r.items[i].right_norm, norm == want[i]);
    }
    data_reader_close(reader);
    session_destroy(s);
    eval_result_fini(&r);
    eval_task_close(t);
}

static void test_generate_and_compare(void **state) {
    (void)state;
    struct eval_params p = params();
    struct eval_result a, b;
    struct eval_pair pair;
    slm_err err;
    struct eval_task *t = open_task(file_of("gen.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"c\", \"completion\": \"{\\\"x\\\": 1}\"}\n"), EVAL_AUTO);
    assert_int_equal(eval_task_kind(t), EVAL_GENERATE);
    assert_int_equal(eval_run(model, t, &p, &a, &err), SLM_OK);
    /* what it wrote, as the answers of another task, is right */
    json_t *first = json_pack("{s:s, s:s}", "prompt", "a", "completion", a.items[0].text), *second = json_pack("{s:s, s:s}", "prompt", "c", "completion", "zzz");
    char *x = json_dumps(first, 0), *y = json_dumps(second, 0), text[4000];
    snprintf(text, sizeof text, "%s\n%s\n", x, y);
    struct eval_task *u = open_task(file_of("gen2.jsonl", text), EVAL_AUTO);
    assert_int_equal(eval_run(model, u, &p, &b, &err), SLM_OK);
    assert_true(b.items[0].right && b.items[0].f1 > 0.999);
    assert_false(b.items[1].right);
    near(b.accuracy.value, 0.5, 0);
    assert_int_equal(a.n_json, 1);
    assert_int_equal(eval_compare(&b, &a, &pair, &err), SLM_OK);
    assert_int_equal(pair.n_first, 1);
    assert_int_equal(pair.n_none, 1);
    assert_int_equal(pair.n_same, 2);
    near(pair.p, 1, 0);
    free(x), free(y);
    json_decref(first), json_decref(second);
    eval_result_fini(&a);
    eval_result_fini(&b);
    eval_task_close(t);
    eval_task_close(u);
}

static void test_text(void **state) {
    (void)state;
    struct eval_params p = params();
    struct eval_result r;
    slm_err err;
    const char *path = file_of("text.jsonl", "{\"text\": \"hello there my friend\"}\n{\"text\": \"ok\"}\n");
    struct eval_task *t = open_task(path, EVAL_AUTO);
    struct data_encode_params e = {.tok = model->tok};
    struct data_row row = {.path = "x", .line = 1, .format = DATA_TEXT, .shape = DATA_SHAPE_TEXT, .text = VIEW("hello there my friend")};
    struct data_tokens tokens = {0};
    struct slm_session *s;
    double logp[512], nll = 0;
    assert_int_equal(eval_run(model, t, &p, &r, &err), SLM_OK);
    assert_int_equal(data_encode(&e, &row, &tokens, &err), SLM_OK);
    assert_int_equal(session_create(model, &p.session, &s, &err), SLM_OK);
    struct sum_row user = {tokens.ids.v, logp};
    assert_int_equal(session_logits_all(s, tokens.ids.v, tokens.ids.n - 1, add_row, &user, &err), SLM_OK);
    for (size_t i = 0; i + 1 < tokens.ids.n; i++) nll -= logp[i];
    near(r.items[0].nll, nll, 1e-4 * nll);
    assert_int_equal(r.items[0].n_token, tokens.ids.n - 1);
    near(r.perplexity.value, exp((r.items[0].nll + r.items[1].nll) / (double)r.n_token), 1e-9);
    eval_result_fini(&r);
    eval_task_close(t);
    t = open_task(path, EVAL_AGREEMENT);
    assert_int_equal(eval_run(model, t, &p, &r, &err), SLM_E_USAGE);
    p.other = model;
    p.session.n_ctx = 8; /* windows */
    assert_int_equal(eval_run(model, t, &p, &r, &err), SLM_OK);
    near(r.agreement.value, 1, 0);
    near(r.kl.value, 0, 1e-12);
    assert_int_equal(r.items[0].n_token, tokens.ids.n - 1);
    eval_result_fini(&r);
    eval_task_close(t);
    session_destroy(s);
    data_tokens_fini(&tokens);
}

static void test_refusals(void **state) {
    (void)state;
    struct eval_task *t;
    slm_err err;
    struct eval_task_params p = {.path = file_of("mixed.jsonl", "{\"text\": \"a\"}\n{\"text\": \"a\", \"label\": \"b\"}\n")};
    assert_int_equal(eval_task_open(&p, &t, &err), SLM_E_FORMAT);
    assert_non_null(strstr(err.msg, ":2: a row of format classify in a task of format text"));
    p.path = file_of("l.csv", "text,label\na,b\nc,d\n");
    p.labels_path = file_of("labels.txt", "b\n\ne\n");
    assert_int_equal(eval_task_open(&p, &t, &err), SLM_E_FORMAT);
    assert_non_null(strstr(err.msg, ":3: the label \"d\" is not in the list"));
    p.labels_path = NULL;
    p.path = file_of("one.csv", "text,label\na,b\nc,b\n");
    assert_int_equal(eval_task_open(&p, &t, &err), SLM_E_USAGE);
    p.path = file_of("none.jsonl", "");
    assert_int_equal(eval_task_open(&p, &t, &err), SLM_E_USAGE);
    p.path = file_of("p.jsonl", "{\"prompt\": \"a\"}\n");
    assert_int_equal(eval_task_open(&p, &t, &err), SLM_E_USAGE);
}

/* A teacher's logits on file: exact, bound to the data, refused when stale or damaged. */
static void test_kd_cache(void **state) {
    (void)state;
    const char *path = file_of("kd.jsonl", "{\"prompt\": \"a b\", \"completion\": \"c d\"}\n{\"text\": \"hello\"}\n"), *other_path = file_of("kd2.jsonl", "{\"text\": \"hello!\"}\n");
    struct data_params dp = {.paths = &path, .n_paths = 1, .tok = model->tok, .tmpl = tmpl, .n_ctx = 64};
    struct dataset *d, *other;
    struct kd_cache c;
    slm_err err;
    static const float temperatures[] = {1, 2};
    char kd[300];
    snprintf(kd, sizeof kd, "%s/x.kd", folder);
    struct kd_write_params wp = {.path = kd, .k = 5, .temperature = temperatures, .n_temperature = 2, .teacher_identity = 77, .n_vocab = model->hp.n_vocab, .n_threads = 1};
    assert_int_equal(dataset_open(&dp, &d, &err), SLM_OK);
    dp.paths = &other_path;
    assert_int_equal(dataset_open(&dp, &other, &err), SLM_OK);
    if (kd_cache_write(model, d, &wp, &err) != SLM_OK) fail_msg("%s", err.msg);
    if (kd_cache_open(kd, &c, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_int_equal(c.h.n_row, dataset_stats(d)->n_loss);
    assert_int_equal(kd_cache_check(&c, d, model->hp.n_vocab, vocab_hash(model->tok, 0), &err), SLM_OK);
    assert_int_equal(kd_cache_check(&c, other, 0, 0, &err), SLM_E_FORMAT);
    assert_non_null(strstr(err.msg, "stale cache"));
    assert_int_equal(kd_cache_check(&c, d, model->hp.n_vocab, 5, &err), SLM_E_FORMAT);
    assert_non_null(strstr(err.msg, "vocabulary mismatch"));
    /* rows arrive where they belong, with the probabilities that the model has */
    struct data_source_params sp = {.side = DATA_ALL, .in_order = true, .once = true, .teacher = &c, .kd = {.tail = TRAIN_TAIL_BUCKET, .temperature = 2, .alpha = 0.5f, .keep_targets = true}};
    struct train_source source;
    const struct train_batch *b;
    int n_micro;
    assert_int_equal(dataset_source(d, &sp, &source, &err), SLM_OK);
    assert_int_equal(source.next(source.ctx, 1000, 1000, &b, &n_micro, &err), SLM_OK);
    assert_int_equal(n_micro, 1);
    assert_int_equal(b->teacher->n_row, (int)c.h.n_row);
    struct slm_session *s;
    assert_int_equal(session_create(model, &(struct session_params){.n_ctx = 64, .n_threads = 1, .kv_type = KV_TYPE_AUTO}, &s, &err), SLM_OK);
    for (int32_t q = 0; q < b->n_seq; q++)
        for (int32_t i = b->seq_begin[q]; i < b->seq_begin[q + 1]; i++) {
            int32_t r = b->teacher->row[i];
            assert_int_equal(r >= 0, b->target[i] != TRAIN_NO_TARGET);
            if (r < 0) continue;
            assert_int_equal(session_feed(s, b->token + b->seq_begin[q], (size_t)(i - b->seq_begin[q] + 1), NULL, &err), SLM_OK);
            double sum = 0;
            for (uint32_t k = 0; k < model->hp.n_vocab; k++) sum += exp((double)s->logits[k] / 2);
            for (int k = 0; k < 5; k++) {
                int32_t id = b->teacher->id[5 * r + k];
                near(exp((double)b->teacher->logit[5 * r + k] / 2 - (double)b->teacher->log_sum[r]), exp((double)s->logits[id] / 2) / sum, 1e-5);
            }
        }
    data_source_destroy(&source);
    sp.kd.temperature = 3;
    assert_int_equal(dataset_source(d, &sp, &source, &err), SLM_E_USAGE);
    kd_cache_close(&c);
    FILE *f = fopen(kd, "r+b"); /* cut, then a header that lies */
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    assert_int_equal(ftruncate(fileno(f), size - 3), 0);
    assert_int_equal(kd_cache_open(kd, &c, &err), SLM_E_FORMAT);
    assert_int_equal(ftruncate(fileno(f), size), 0);
    fseek(f, 9, SEEK_SET);
    fputc(200, f);
    fclose(f);
    assert_int_equal(kd_cache_open(kd, &c, &err), SLM_E_FORMAT);
    session_destroy(s);
    dataset_close(d);
    dataset_close(other);
}

static int set_up(void **state) {
    slm_err err;
    (void)state;
    static const char source[] = "{% for m in messages %}{{ m.role }}: {{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
                                 "{% if add_generation_prompt %}assistant: {% endif %}";
    if (model_open(test_data("golden/logits/llama.gguf"), 0, &model, &err) != SLM_OK) fail_msg("%s", err.msg);
    if (chat_template_create(&(struct chat_template_source){.text = VIEW(source), .tok = model->tok}, &tmpl, &err) != SLM_OK) fail_msg("%s", err.msg);
    return mkdtemp(folder) ? 0 : 1;
}

static int tear_down(void **state) {
    char command[100];
    (void)state;
    chat_template_destroy(tmpl);
    model_close(model);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_classify),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_generate_and_compare),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_kd_cache),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
