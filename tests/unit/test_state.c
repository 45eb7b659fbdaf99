/* Models with states: a state cannot go back, so a session that must forget begins again or from what was saved, and the
 * answer is that of a fresh session to the bit. Sequences in one batch do not meet. */
#include "test.h"

#include "engine/session.h"

static const char *const models[] = {"golden/models/lfm2.gguf", "golden/models/qwen35.gguf", "golden/models/qwen35-period-2.gguf"};
static struct slm_model *model;
static const _Atomic bool yes = true;

enum { N = 24 };
static int32_t prompt[N], other[N];

static struct slm_session *make_session(int32_t n_chunk) {
    slm_err err;
    struct slm_session *s;
    struct session_params p = {.n_ctx = 128, .n_chunk = n_chunk, .n_threads = 2};
    p.kv_type = KV_TYPE_AUTO;
    assert_int_equal(session_create(model, &p, &s, &err), SLM_OK);
    return s;
}

/* The session's logits after ids are those of a fresh one. */
static void expect_as_fresh(struct slm_session *s, const int32_t *ids, size_t n, size_t want_cached) {
    struct slm_session *fresh = make_session(128);
    size_t n_cached = 999;
    slm_err err;
    assert_int_equal(session_feed(s, ids, n, &n_cached, &err), SLM_OK);
    assert_int_equal(n_cached, want_cached);
    assert_int_equal(session_feed(fresh, ids, n, NULL, &err), SLM_OK);
    assert_memory_equal(s->logits, fresh->logits, model->hp.n_vocab * sizeof(float));
    session_destroy(fresh);
}

static void check_timeline(void) {
    slm_err err;
    for (int32_t n_chunk = 1; n_chunk <= 11; n_chunk += 5) {
        struct slm_session *s = make_session(n_chunk);
        expect_as_fresh(s, prompt, N, 0);
        expect_as_fresh(s, prompt, N, N - 1); /* the same again: saved before its last token */
        for (int i = 0; i < 5; i++) assert_int_equal(session_append(s, 40 + i, &err), SLM_OK);
        expect_as_fresh(s, prompt, N, N - 1); /* again after an answer */
        for (int i = 0; i < 5; i++) assert_int_equal(session_append(s, 40 + i, &err), SLM_OK);
        int32_t longer[N + 7];
        memcpy(longer, prompt, sizeof prompt);
        for (int i = 0; i < 7; i++) longer[N + i] = 40 + i;
        expect_as_fresh(s, longer, N + 7, N + 5); /* the answer and two tokens more: nothing is computed twice */
        expect_as_fresh(s, other, N, 0);          /* parts at the eighth token, older than what was saved */
        session_destroy(s);
    }
}

static void check_cancel(void) {
    struct slm_session *s = make_session(4);
    slm_err err;
    assert_int_equal(session_feed(s, prompt, 9, NULL, &err), SLM_OK);
    s->cancel = &yes;
    assert_int_equal(session_feed(s, prompt, N, NULL, &err), SLM_E_CANCELLED);
    s->cancel = NULL;
    assert_int_equal(s->timeline.n, s->seq.n_pos);
    expect_as_fresh(s, prompt, N, 8); /* what was saved before the ninth token */
    session_destroy(s);
}

/* Two texts turn by turn in one batch. */
static void check_batch(void) {
    struct slm_session *s = make_session(2 * N);
    struct kv_seq a = {0}, b = {0};
    struct kv_seq *seq[2 * N];
    int32_t token[2 * N], pos[2 * N];
    bool want[2 * N] = {false};
    float *logits = malloc(model->hp.n_vocab * sizeof *logits);
    slm_err err;
    assert_int_equal(kv_reserve(s->kv, &a, N, &err), SLM_OK);
    assert_int_equal(kv_reserve(s->kv, &b, N, &err), SLM_OK);
    for (int i = 0; i < 2 * N; i++) {
        seq[i] = i % 2 ? &b : &a;
        token[i] = i % 2 ? other[i / 2] : prompt[i / 2];
        pos[i] = i / 2;
    }
    want[2 * N - 1] = true;
    struct batch batch = {.n_tok = 2 * N, .token = token, .pos = pos, .seq = seq, .want_logits = want};
    assert_int_equal(model_forward(s->forward, s->kv, &batch, NULL, logits, &err), SLM_OK);
    kv_seq_fini(s->kv, &a);
    kv_seq_fini(s->kv, &b);
    expect_as_fresh(s, other, N, 0);
    assert_memory_equal(s->logits, logits, model->hp.n_vocab * sizeof *logits);
    free(logits);
    session_destroy(s);
}

static void check_pool(void) {
    struct state_pool *p;
    slm_err err;
    assert_true(state_bytes(&model->hp) > 0);
    assert_int_equal(state_create(&model->hp, 2, &p, &err), SLM_OK);
    int32_t a = state_take(p), b = state_take(p);
    assert_true(a >= 0 && b >= 0 && a != b);
    assert_int_equal(state_take(p), -1);
    float *x = state_of(p, a, 0);
    x[0] = 5;
    state_save(p, a);
    x[0] = 6;
    state_restore(p, a);
    assert_true(x[0] == 5);
    state_give(p, a);
    assert_int_equal(state_take(p), a);
    assert_true(state_of(p, a, 0)[0] == 0); /* a text begins with an empty state */
    state_destroy(p);
}

static void test_states(void **state) {
    (void)state;
    for (int i = 0; i < N; i++) {
        prompt[i] = 3 + i * 11 % 200;
        other[i] = i < 8 ? prompt[i] : 250 - i;
    }
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        slm_err err;
        assert_int_equal(model_open(test_data(models[i]), 0, &model, &err), SLM_OK);
        check_timeline();
        check_cancel();
        check_batch();
        check_pool();
        model_close(model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_states)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
