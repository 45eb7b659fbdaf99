/* A session's timeline: prefix reuse, seeds, cancelling, limits, memory of the step loop. */
#include "test.h"

#include "engine/session.h"

static struct slm_model *model;

static int open_model(void **state) {
    slm_err err;
    (void)state;
    return model_open(test_data("golden/logits/llama.gguf"), 0, &model, &err) == SLM_OK ? 0 : -1;
}
static int close_model(void **state) {
    (void)state;
    model_close(model);
    return 0;
}

static struct slm_session *make_session(int32_t n_ctx, int32_t n_chunk, int n_threads) {
    slm_err err;
    struct slm_session *s;
    struct session_params p = {.n_ctx = n_ctx, .n_chunk = n_chunk, .n_threads = n_threads, .kv_type = KV_TYPE_AUTO};
    assert_int_equal(session_create(model, &p, &s, &err), SLM_OK);
    return s;
}

static struct tok_ids generate(struct slm_session *s, const int32_t *prompt, size_t n, uint64_t seed, int32_t n_max, enum finish want) {
    struct sampler_params sp;
    struct generate_result r;
    slm_err err;
    sampler_params_init(&sp);
    sp.temperature = 1;
    sp.seed = seed;
    struct generate_params g = {.sampling = &sp, .n_max = n_max, .ignore_eos = true};
    assert_int_equal(session_generate(s, prompt, n, &g, &r, &err), SLM_OK);
    assert_int_equal(r.finish, want);
    return r.ids;
}

static const int32_t prompt[] = {1, 300, 301, 302, 303, 304, 305, 306, 307, 308, 309};
#define N_PROMPT (sizeof prompt / sizeof prompt[0])

static void test_same_seed_same_ids(void **state) {
    struct slm_session *s = make_session(256, 0, 1);
    struct tok_ids want = generate(s, prompt, N_PROMPT, 42, 60, FINISH_LENGTH), other = generate(s, prompt, N_PROMPT, 43, 60, FINISH_LENGTH);
    (void)state;
    assert_int_equal(want.n, 60);
    assert_memory_not_equal(want.v, other.v, 60 * sizeof(int32_t));
    for (int32_t n_chunk = 1; n_chunk <= 11; n_chunk += 3)
        for (int n_threads = 1; n_threads <= 3; n_threads++) {
            struct slm_session *t = make_session(256, n_chunk, n_threads);
            struct tok_ids got = generate(t, prompt, N_PROMPT, 42, 60, FINISH_LENGTH);
            assert_memory_equal(got.v, want.v, 60 * sizeof(int32_t));
            tok_ids_fini(&got);
            session_destroy(t);
        }
    tok_ids_fini(&want);
    tok_ids_fini(&other);
    session_destroy(s);
}

static void test_prefix_is_reused_and_changes_nothing(void **state) {
    struct slm_session *s = make_session(128, 4, 1), *fresh = make_session(128, 4, 1);
    int32_t other[N_PROMPT];
    size_t n_cached = 99;
    slm_err err;
    (void)state;
    memcpy(other, prompt, sizeof prompt);
    other[7] = 400;
    assert_int_equal(session_feed(s, prompt, N_PROMPT, &n_cached, &err), SLM_OK);
    assert_int_equal(n_cached, 0);
    assert_int_equal(session_feed(s, other, N_PROMPT, &n_cached, &err), SLM_OK);
    assert_int_equal(n_cached, 7);
    assert_int_equal(session_feed(fresh, other, N_PROMPT, &n_cached, &err), SLM_OK);
    assert_memory_equal(s->logits, fresh->logits, model->hp.n_vocab * sizeof(float));
    assert_int_equal(session_feed(s, other, N_PROMPT, &n_cached, &err), SLM_OK); /* the same again: only the last token */
    assert_int_equal(n_cached, N_PROMPT - 1);
    assert_memory_equal(s->logits, fresh->logits, model->hp.n_vocab * sizeof(float));
    session_destroy(s);
    session_destroy(fresh);
}

static void test_limits(void **state) {
    slm_err err;
    struct slm_session *s = make_session(8, 0, 1);
    int32_t bad[] = {1, 512};
    (void)state;
    assert_int_equal(session_feed(s, prompt, N_PROMPT, NULL, &err), SLM_E_LIMIT);
    assert_non_null(strstr(err.msg, "11"));
    assert_non_null(strstr(err.msg, "8"));
    assert_int_equal(session_feed(s, prompt, 0, NULL, &err), SLM_E_USAGE);
    assert_int_equal(session_feed(s, bad, 2, NULL, &err), SLM_E_USAGE);
    assert_non_null(strstr(err.msg, "512"));
    assert_int_equal(s->timeline.n, 0);
    struct tok_ids ids = generate(s, prompt, 5, 1, -1, FINISH_CONTEXT);
    assert_int_equal(ids.n, 4); /* 5 in the prompt, 3 more fed, and one that nothing follows */
    tok_ids_fini(&ids);
    session_destroy(s);
}

static void test_cancel(void **state) {
    struct slm_session *s = make_session(64, 0, 1);
    _Atomic bool cancel = true;
    slm_err err;
    (void)state;
    s->cancel = &cancel;
    assert_int_equal(session_feed(s, prompt, N_PROMPT, NULL, &err), SLM_E_CANCELLED);
    assert_int_equal(s->timeline.n, 0);
    assert_int_equal(s->kv->n_free, s->kv->n_page);
    struct tok_ids ids = generate(s, prompt, N_PROMPT, 1, 5, FINISH_CANCELLED);
    assert_int_equal(ids.n, 0);
    tok_ids_fini(&ids);
    cancel = false;
    assert_int_equal(session_feed(s, prompt, N_PROMPT, NULL, &err), SLM_OK);
    session_destroy(s);
}

/* Pages of several sequences, interleaved, hold what they were given: batch mix changes nothing. */
static void test_two_sequences_in_one_batch(void **state) {
    struct slm_session *s = make_session(256, 32, 2), *alone = make_session(256, 32, 1);
    struct kv_seq other = {0};
    slm_err err;
    int32_t token[16], pos[16];
    struct kv_seq *seq[16];
    bool want[16] = {false};
    float logits[512];
    (void)state;
    assert_int_equal(session_feed(alone, prompt, 8, NULL, &err), SLM_OK);
    assert_int_equal(kv_reserve(s->kv, &other, 8, &err), SLM_OK);
    assert_int_equal(kv_reserve(s->kv, &s->seq, 8, &err), SLM_OK);
    for (int i = 0; i < 16; i++) {
        seq[i] = i % 2 ? &other : &s->seq;
        pos[i] = i / 2;
        token[i] = i % 2 ? 450 + i : prompt[i / 2];
    }
    want[14] = true;
    struct batch b = {.n_tok = 16, .token = token, .pos = pos, .seq = seq, .want_logits = want};
    assert_int_equal(model_forward(s->forward, s->kv, &b, NULL, logits, &err), SLM_OK);
    assert_memory_equal(logits, alone->logits, sizeof logits);
    assert_int_equal(other.n_pos, 8);
    kv_seq_fini(s->kv, &other);
    session_destroy(s);
    session_destroy(alone);
}

static void test_kv_pool(void **state) {
    struct kv *kv;
    struct kv_seq a = {0}, b = {0};
    slm_err err;
    (void)state;
    struct hparams wide = model->hp;
    struct layer_hparams layer = model->hp.layer[0];
    layer.d_head = D_HEAD_MAX + 1;
    wide.n_layer = 1;
    wide.layer = &layer;
    assert_int_equal(kv_create(&wide, KV_F16, 4, &kv, &err), SLM_E_UNSUPPORTED);
    assert_int_equal(kv_create(&model->hp, KV_Q4, 4, &kv, &err), SLM_OK);
    assert_int_equal(kv_reserve(kv, &a, 3 * KV_PAGE_TOK, &err), SLM_OK);
    assert_int_equal(kv_reserve(kv, &b, KV_PAGE_TOK + 1, &err), SLM_E_LIMIT);
    assert_int_equal(b.n_page, 0);
    assert_int_equal(kv_reserve(kv, &b, KV_PAGE_TOK, &err), SLM_OK);
    kv_truncate(kv, &a, KV_PAGE_TOK + 1);
    assert_int_equal(kv->n_free, 1);
    assert_int_equal(kv_reserve(kv, &b, KV_PAGE_TOK + 1, &err), SLM_OK);
    kv_seq_fini(kv, &a);
    kv_seq_fini(kv, &b);
    assert_int_equal(kv->n_free, 4);
    kv_destroy(kv);
}

/* Every forward of a session goes through its host, which may refuse the next: what was computed before it stands, and nothing else changes. */
struct host {
    int n, n_max;
};
static slm_status run_hosted(void *user, session_step fn, void *arg, slm_err *err) {
    struct host *h = user;
    if (h->n == h->n_max) return err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "no more");
    h->n++;
    return fn(arg, err);
}

static void test_host(void **state) {
    struct host host = {0, 1000};
    struct slm_session *s = make_session(128, 4, 1), *plain = make_session(128, 4, 1);
    struct tok_ids want = generate(plain, prompt, N_PROMPT, 42, 20, FINISH_LENGTH), got;
    slm_err err;
    (void)state;
    s->host = (struct session_host){run_hosted, &host};
    got = generate(s, prompt, N_PROMPT, 42, 20, FINISH_LENGTH);
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.v, want.v, want.n * sizeof(int32_t));
    assert_int_equal(host.n, 3 + 19); /* eleven tokens by four, and each that follows the first */
    session_forget(s);
    host = (struct host){0, 2};
    assert_int_equal(session_feed(s, prompt, N_PROMPT, NULL, &err), SLM_E_CANCELLED);
    assert_int_equal(s->timeline.n, 8);
    host.n_max = 100;
    assert_int_equal(session_feed(s, prompt, N_PROMPT, NULL, &err), SLM_OK);
    session_feed(plain, prompt, N_PROMPT, NULL, &err);
    assert_memory_equal(s->logits, plain->logits, model->hp.n_vocab * sizeof(float));
    tok_ids_fini(&want);
    tok_ids_fini(&got);
    session_destroy(s);
    session_destroy(plain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_ids), cmocka_unit_test(test_prefix_is_reused_and_changes_nothing),
        cmocka_unit_test(test_limits),             cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_two_sequences_in_one_batch), cmocka_unit_test(test_kv_pool),
        cmocka_unit_test(test_host),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
