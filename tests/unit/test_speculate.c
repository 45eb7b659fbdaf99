/* The same text with guesses and without, to the bit: greedy and drawn, every way to end; and who is refused. */
#include "test.h"

#include "engine/session.h"

static struct slm_model *model, *small;

static struct slm_model *open_model(const char *name) { /* "logits/llama" */
    char file[96];
    slm_err err;
    struct slm_model *m;
    snprintf(file, sizeof file, "golden/%s.gguf", name);
    assert_int_equal(model_open(test_data(file), 0, &m, &err), SLM_OK);
    return m;
}
static int setup(void **state) {
    (void)state;
    model = open_model("logits/llama");
    small = open_model("logits/llama-tied");
    return 0;
}
static int teardown(void **state) {
    (void)state;
    model_close(model);
    model_close(small);
    return 0;
}

static struct slm_session *make_session(struct slm_model *m, int32_t n_ctx, int32_t n_out, int kv_type) {
    slm_err err;
    struct slm_session *s;
    struct session_params p = {.n_ctx = n_ctx, .n_threads = 1, .n_out = n_out, .kv_type = kv_type};
    assert_int_equal(session_create(m, &p, &s, &err), SLM_OK);
    return s;
}

static const int32_t prompt[] = {1, 300, 301, 302, 303, 304, 305, 300, 301, 302, 303, 304, 305, 300, 301, 302};
#define N_PROMPT (sizeof prompt / sizeof prompt[0])

/* What a run gave: ids, text, how it ended, and what the cache holds after it. */
struct outcome {
    struct generate_result r;
    struct buf text;
    size_t n_timeline;
    int n_seen, n_stop; /* tokens the callback saw; stop after so many */
};

static bool on_text(void *user, const char *text, size_t n) {
    buf_append(&((struct outcome *)user)->text, text, n);
    return true;
}
static bool on_token(void *user, int32_t id, const float *logits) {
    struct outcome *o = user;
    (void)id;
    assert_non_null(logits);
    return ++o->n_seen != o->n_stop;
}

static void run(struct slm_session *s, struct generate_params p, int n_stop, struct outcome *o) {
    slm_err err;
    memset(o, 0, sizeof *o);
    buf_init(&o->text, 1 << 20);
    o->n_stop = n_stop;
    p.on_text = on_text;
    p.on_token = on_token;
    p.user = o;
    if (session_generate(s, prompt, N_PROMPT, &p, &o->r, &err) != SLM_OK) fail_msg("%s", err.msg);
    o->n_timeline = s->timeline.n;
}

static void outcome_fini(struct outcome *o) {
    tok_ids_fini(&o->r.ids);
    buf_fini(&o->text);
}

static void expect_same(const struct outcome *got, const struct outcome *want) {
    assert_int_equal(got->r.ids.n, want->r.ids.n);
    if (want->r.ids.n) assert_memory_equal(got->r.ids.v, want->r.ids.v, want->r.ids.n * sizeof(int32_t));
    assert_int_equal(got->text.len, want->text.len);
    if (want->text.len) assert_memory_equal(got->text.data, want->text.data, want->text.len);
    assert_int_equal(got->r.finish, want->r.finish);
    assert_int_equal(got->n_timeline, want->n_timeline);
    assert_int_equal(got->n_seen, want->n_seen);
}

/* Every kind of guess against none, in sessions of n_ctx; the kept guesses of all are added to *n_kept. */
static void check(const struct generate_params *p, int32_t n_ctx, int n_stop, int kv_type, size_t *n_kept) {
    struct slm_session *plain = make_session(model, n_ctx, 1, kv_type), *s = make_session(model, n_ctx, 9, kv_type);
    struct slm_session *same = make_session(model, n_ctx, 1, kv_type), *other = make_session(small, n_ctx / 2 + 8, 1, kv_type);
    struct speculate_params kinds[] = {{SPECULATE_NGRAM, 0, NULL}, {SPECULATE_DRAFT, 8, same}, {SPECULATE_DRAFT, 3, other},
                                       {SPECULATE_AUTO, 8, NULL},  {SPECULATE_AUTO, 1, same}};
    struct outcome want;
    run(plain, *p, n_stop, &want);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct generate_params with = *p;
        struct outcome got;
        with.speculate = kinds[i];
        run(s, with, n_stop, &got);
        expect_same(&got, &want);
        assert_true(got.r.speculate.n_accepted <= got.r.speculate.n_drafted);
        *n_kept += got.r.speculate.n_accepted;
        outcome_fini(&got);
    }
    outcome_fini(&want);
    session_destroy(plain);
    session_destroy(s);
    session_destroy(same);
    session_destroy(other);
}

static void test_same_text(void **state) {
    size_t n_kept = 0;
    (void)state;
    for (int i = 0; i < 12; i++) {
        struct sampler_params sp;
        sampler_params_init(&sp);
        sp.seed = (uint64_t)i;
        sp.temperature = (float)(i % 4) * 0.4f;
        if (i % 3 == 1) sp.repeat_penalty = 1.3f, sp.frequency_penalty = 0.2f;
        if (i % 3 == 2) sp.dry_multiplier = 0.8f;
        struct generate_params p = {.sampling = &sp, .n_max = 90, .ignore_eos = i % 2};
        check(&p, 256, 0, i % 2 ? KV_Q8 : KV_F32, &n_kept);
    }
    assert_true(n_kept > 100); /* guesses were made, and kept */
}

static void test_every_end(void **state) {
    struct sampler_params sp;
    struct generate_params p = {.sampling = &sp, .n_max = 60, .ignore_eos = true};
    struct slm_session *s = make_session(model, 128, 1, KV_TYPE_AUTO);
    struct outcome all;
    size_t n_kept = 0;
    (void)state;
    sampler_params_init(&sp);
    sp.temperature = 0;
    run(s, p, 0, &all);
    assert_true(all.text.len > 20);
    for (int32_t n = 0; n <= 12; n++) { /* length */
        p.n_max = n;
        check(&p, 128, 0, KV_TYPE_AUTO, &n_kept);
    }
    p.n_max = -1; /* context */
    for (int32_t n_ctx = N_PROMPT; n_ctx < 60; n_ctx += 7) check(&p, n_ctx, 0, KV_TYPE_AUTO, &n_kept);
    p.n_max = 60; /* callback */
    for (int n_stop = 1; n_stop < 20; n_stop += 3) check(&p, 128, n_stop, KV_TYPE_AUTO, &n_kept);
    for (size_t at = 3; at + 3 < all.text.len; at += all.text.len / 9 + 1) { /* stop strings */
        struct view stop = {all.text.data + at, 3};
        p.stops = &stop;
        p.n_stops = 1;
        check(&p, 128, 0, KV_TYPE_AUTO, &n_kept);
    }
    p.n_stops = 0;
    struct logit_bias bias = {tok_config_of(model->tok)->eos, 0}; /* the end token, by ever stronger bias */
    p.ignore_eos = false;
    sp.bias = &bias;
    sp.n_bias = 1;
    sp.temperature = 1;
    for (int i = 0; i < 6; i++, bias.bias += 2) check(&p, 128, 0, KV_TYPE_AUTO, &n_kept);
    outcome_fini(&all);
    session_destroy(s);
}

static void test_cancel(void **state) {
    struct slm_session *s = make_session(model, 128, 9, KV_TYPE_AUTO);
    struct sampler_params sp;
    _Atomic bool cancel = true;
    struct outcome o;
    (void)state;
    sampler_params_init(&sp);
    s->cancel = &cancel;
    struct generate_params p = {.sampling = &sp, .n_max = 5, .speculate = {.kind = SPECULATE_NGRAM}};
    run(s, p, 0, &o);
    assert_int_equal(o.r.finish, FINISH_CANCELLED);
    outcome_fini(&o);
    session_destroy(s);
}

/* A judge fed with bad passes lets guesses rest, and tries again; with good ones it goes on. */
static void test_judge(void **state) {
    struct slm_session *s = make_session(model, 512, 9, KV_TYPE_AUTO);
    struct speculate_params p = {.kind = SPECULATE_NGRAM};
    struct speculation *sp;
    struct sampler_params params;
    struct sampler *sampler;
    slm_err err;
    (void)state;
    sampler_params_init(&params);
    assert_int_equal(sampler_create(&params, model->hp.n_vocab, &sampler, &err), SLM_OK);
    for (int pays = 0; pays < 2; pays++) {
        int n_guessed = 0;
        assert_int_equal(speculation_create(&p, s, &sp, &err), SLM_OK);
        for (int i = 0; i < 200; i++) {
            int32_t guess[SPECULATE_GUESSES_MAX], n;
            assert_int_equal(speculation_accept(sp, 10 + i % 7, &err), SLM_OK);
            assert_int_equal(speculation_guess(sp, sampler, 8, guess, &n, &err), SLM_OK);
            for (int j = 0; j < n; j++) assert_int_equal(guess[j], 10 + (i + 1 + j) % 7); /* past the end of the text too */
            n_guessed += n > 0;
            speculation_passed(sp, n, pays ? n : 0, n ? 2 : 1);
        }
        if (pays) assert_true(n_guessed > 150);
        else assert_in_range(n_guessed, 6, 30);
        assert_true(pays == (speculation_stats(sp).saved_s > 0));
        speculation_destroy(sp);
    }
    sampler_destroy(sampler);
    session_destroy(s);
}

static void test_refused(void **state) {
    struct slm_model *stranger = open_model("models/llama-yarn");
    struct slm_session *s = make_session(model, 64, 9, KV_TYPE_AUTO), *draft = make_session(stranger, 64, 1, KV_TYPE_AUTO);
    struct speculation *sp;
    slm_err err;
    (void)state;
    assert_int_equal(speculation_create(&(struct speculate_params){SPECULATE_DRAFT, 0, draft}, s, &sp, &err), SLM_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "vocabulary"));
    assert_null(sp);
    assert_int_equal(speculation_create(&(struct speculate_params){SPECULATE_DRAFT, 0, NULL}, s, &sp, &err), SLM_E_USAGE);
    assert_int_equal(speculation_create(&(struct speculate_params){SPECULATE_NGRAM, SPECULATE_GUESSES_MAX + 1, NULL}, s, &sp, &err), SLM_E_USAGE);
    assert_int_equal(speculation_create(&(struct speculate_params){SPECULATE_OFF, 0, NULL}, s, &sp, &err), SLM_OK);
    assert_null(sp);
    assert_int_equal(speculate_rows(&(struct speculate_params){SPECULATE_AUTO, 0, NULL}, 512), 9);
    assert_int_equal(speculate_rows(&(struct speculate_params){SPECULATE_AUTO, 0, NULL}, 4), 4);
    session_destroy(s);
    session_destroy(draft);
    model_close(stranger);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_text), cmocka_unit_test(test_every_end), cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_judge),     cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
