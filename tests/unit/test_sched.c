/* A batch of requests: what each says is what it says alone, whoever runs beside it and whatever has to make room. */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/util.h"
#include "engine/sched.h"
#include "engine/sched_loop.h"

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

#define N_CTX 400
#define N_MAX 48

/* One request and what came of it. */
struct client {
    int32_t prompt[N_CTX], got[N_CTX];
    size_t n_prompt, n_got;
    uint64_t id, who, seed;
    int32_t n_max;
    enum finish finish;
    slm_status failed;
    struct sched_usage usage;
    float logprob_sum;
    int32_t n_top;
    int rank;              /* in the order of the ends */
    _Atomic bool is_done;
};
static _Atomic int n_ends;

static void on_event(void *user, const struct sched_event *e) {
    struct client *c = user;
    if (e->kind == SCHED_TOKEN) {
        c->got[c->n_got++] = e->id;
        c->logprob_sum += e->logprob;
        for (int i = 1; i < e->n_top; i++) assert_true(e->top[i].logprob <= e->top[i - 1].logprob);
        if (e->n_top > 0) assert_true(e->top[0].logprob >= e->logprob && e->top[0].logprob <= 0);
    }
    if (e->kind == SCHED_TOKEN || e->kind == SCHED_STARTED) return;
    c->finish = e->finish;
    c->failed = e->kind == SCHED_FAILED ? e->error->code : SLM_OK;
    c->usage = *e->usage;
    c->rank = atomic_fetch_add(&n_ends, 1);
    atomic_store(&c->is_done, true);
}

/* n_shared tokens that all have, then some that only this one has. */
static void make_prompt(struct client *c, uint64_t seed, size_t n_shared, size_t n_own) {
    struct rng common, own;
    rng_init(&common, 1);
    rng_init(&own, seed + 100);
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < n_shared + n_own; i++) c->prompt[i] = 3 + (int32_t)(rng_u64(i < n_shared ? &common : &own) % 500);
    c->n_prompt = n_shared + n_own;
    c->n_max = N_MAX;
    c->seed = seed;
    c->n_top = -1;
}

static struct sampler_params sampling(uint64_t seed) {
    struct sampler_params sp;
    sampler_params_init(&sp);
    sp.temperature = 1;
    sp.repeat_penalty = 1.1f;
    sp.seed = seed;
    return sp;
}

static slm_status submit(struct sched *s, struct client *c, slm_err *err) {
    struct sampler_params sp = sampling(c->seed);
    struct sched_request r = {.prompt = c->prompt, .n_prompt = c->n_prompt, .sampling = &sp, .n_max = c->n_max, .ignore_eos = true,
                              .n_top = c->n_top, .client = c->who, .on_event = on_event, .user = c};
    return sched_submit(s, &r, &c->id, err);
}

static struct sched *make(struct sched_params p) {
    struct sched *s;
    slm_err err;
    p.kv_type = KV_TYPE_AUTO;
    if (p.n_ctx == 0) p.n_ctx = N_CTX;
    if (p.n_threads == 0) p.n_threads = 1;
    if (p.kv_bytes == 0) p.kv_bytes = 64 << 20;
    assert_int_equal(sched_create(model, &p, &s, &err), SLM_OK);
    return s;
}

static void run(struct sched *s) {
    while (sched_step(s)) {}
}

/* What a session of its own says to the same request. */
static void check_alone(const struct client *c) {
    struct session_params p = {.n_ctx = N_CTX, .n_threads = 1, .kv_type = KV_TYPE_AUTO};
    struct sampler_params sp = sampling(c->seed);
    struct generate_params g = {.sampling = &sp, .n_max = c->n_max, .ignore_eos = true};
    struct generate_result r;
    struct slm_session *s;
    slm_err err;
    assert_int_equal(session_create(model, &p, &s, &err), SLM_OK);
    assert_int_equal(session_generate(s, c->prompt, c->n_prompt, &g, &r, &err), SLM_OK);
    assert_int_equal(c->n_got, r.ids.n);
    assert_memory_equal(c->got, r.ids.v, r.ids.n * sizeof(int32_t));
    assert_int_equal(c->finish, r.finish);
    assert_int_equal(c->usage.n_generated, r.ids.n);
    tok_ids_fini(&r.ids);
    session_destroy(s);
}

/* Nothing is held any more but what is remembered. */
static void check_pages(struct sched *s) {
    struct sched_stats st = sched_stats(s);
    assert_int_equal(st.n_page_free + st.n_page_idle, st.n_page);
    assert_int_equal(st.n_waiting + st.n_running, 0);
}

static void test_among_fifteen_others(void **state) {
    static struct client c[16];
    slm_err err;
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        struct sched *s = make((struct sched_params){.n_batch = variant == 1 ? 16 : 0, .n_seq = variant == 2 ? 5 : 16, .no_prefix = variant == 3, .n_threads = 1 + variant % 2});
        for (size_t i = 0; i < 16; i++) {
            make_prompt(&c[i], i, i % 3 ? 0 : 130, 5 + 17 * i);
            assert_int_equal(submit(s, &c[i], &err), SLM_OK);
            if (i % 4 == 3)
                for (int k = 0; k < 3; k++) sched_step(s); /* some come later */
        }
        run(s);
        for (size_t i = 0; i < 16; i++) check_alone(&c[i]);
        check_pages(s);
        sched_destroy(s);
    }
}

static void test_few_pages(void **state) {
    static struct client c[6];
    slm_err err;
    uint64_t page = kv_page_bytes(&model->hp, kv_type_auto(model));
    (void)state;
    for (int variant = 0; variant < 2; variant++) {
        struct sched *s = make((struct sched_params){.kv_bytes = 8 * page, .no_prefix = variant == 1});
        for (size_t i = 0; i < 6; i++) {
            make_prompt(&c[i], i, 0, 60 + i); /* a page and a bit each; twice that in the end */
            c[i].n_max = 120;
            assert_int_equal(submit(s, &c[i], &err), SLM_OK);
        }
        run(s);
        assert_true(sched_stats(s).n_preempted > 0);
        for (size_t i = 0; i < 6; i++) check_alone(&c[i]);
        check_pages(s);
        sched_destroy(s);
    }
}

static void test_prompts_that_begin_alike(void **state) {
    static struct client c[5];
    slm_err err;
    struct sched *s = make((struct sched_params){0});
    (void)state;
    for (size_t i = 0; i < 5; i++) make_prompt(&c[i], i, 200, 10 + i);
    assert_int_equal(submit(s, &c[0], &err), SLM_OK);
    run(s);
    assert_int_equal(c[0].usage.n_cached, 0);
    for (size_t i = 1; i < 5; i++) assert_int_equal(submit(s, &c[i], &err), SLM_OK);
    run(s);
    for (size_t i = 0; i < 5; i++) check_alone(&c[i]);
    for (size_t i = 1; i < 5; i++) assert_int_equal(c[i].usage.n_cached, 200 / KV_PAGE_TOK * KV_PAGE_TOK);
    check_pages(s);
    sched_destroy(s);
}

/* Four answers to one prompt, asked for at once: it is read once, but for its last page. */
static void test_one_prompt_four_times(void **state) {
    static struct client c[4];
    slm_err err;
    struct sched *s = make((struct sched_params){.n_batch = 32});
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        make_prompt(&c[i], i, 250, 0);
        assert_int_equal(submit(s, &c[i], &err), SLM_OK);
    }
    run(s);
    for (size_t i = 0; i < 4; i++) check_alone(&c[i]);
    assert_true(sched_stats(s).n_prompt_tokens <= 250 + 3 * KV_PAGE_TOK);
    assert_memory_not_equal(c[0].got, c[1].got, N_MAX * sizeof(int32_t));
    sched_destroy(s);
}

static void test_cancel(void **state) {
    static struct client c[4];
    slm_err err;
    struct sched *s = make((struct sched_params){.n_seq = 2});
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        make_prompt(&c[i], i, 0, 150);
        assert_int_equal(submit(s, &c[i], &err), SLM_OK);
    }
    for (int k = 0; k < 4; k++) sched_step(s);
    sched_cancel(s, c[0].id); /* running */
    sched_cancel(s, c[3].id); /* waiting */
    sched_cancel(s, 12345);   /* nobody */
    run(s);
    assert_int_equal(c[0].finish, FINISH_CANCELLED);
    assert_int_equal(c[3].finish, FINISH_CANCELLED);
    assert_int_equal(c[3].n_got, 0);
    check_alone(&c[1]);
    check_alone(&c[2]);
    assert_int_equal(sched_stats(s).n_cancelled, 2);
    check_pages(s);
    make_prompt(&c[0], 1, 0, 20);
    assert_int_equal(submit(s, &c[0], &err), SLM_OK);
    sched_destroy(s); /* a job that is left is told */
    assert_true(c[0].is_done && c[0].finish == FINISH_CANCELLED);
}

static void test_refusals(void **state) {
    static struct client c[3];
    slm_err err;
    struct sched *s = make((struct sched_params){.n_ctx = 64, .n_queue = 2});
    (void)state;
    for (size_t i = 0; i < 3; i++) make_prompt(&c[i], i, 0, 65 - (i != 0) * 5);
    assert_int_equal(submit(s, &c[0], &err), SLM_E_LIMIT);
    assert_string_equal(err.msg, "prompt of 65 tokens: does not fit a context of 64");
    assert_int_equal(submit(s, &c[1], &err), SLM_OK);
    assert_int_equal(submit(s, &c[2], &err), SLM_OK);
    assert_int_equal(submit(s, &c[0], &err), SLM_E_LIMIT);
    c[0].n_prompt = 3;
    assert_int_equal(submit(s, &c[0], &err), SLM_E_BUSY);
    c[0].prompt[1] = 100000;
    assert_int_equal(submit(s, &c[0], &err), SLM_E_USAGE);
    c[0].n_prompt = 0;
    assert_int_equal(submit(s, &c[0], &err), SLM_E_USAGE);
    run(s);
    assert_int_equal(c[1].finish, FINISH_CONTEXT);
    assert_int_equal(c[1].n_got, 5);
    assert_int_equal(sched_stats(s).n_refused, 1);
    sched_destroy(s);
    struct sched_params tight = {.n_ctx = 4096, .kv_bytes = 1000, .n_threads = 1, .kv_type = KV_TYPE_AUTO};
    assert_int_equal(sched_create(model, &tight, &s, &err), SLM_E_LIMIT);
    assert_null(s);
}

/* One client with many requests does not hold up another's only one. */
static void test_turns(void **state) {
    static struct client c[5];
    slm_err err;
    struct sched *s = make((struct sched_params){.n_seq = 1});
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        make_prompt(&c[i], i, 0, 10);
        c[i].who = i == 4;
        c[i].n_max = 3;
        assert_int_equal(submit(s, &c[i], &err), SLM_OK);
    }
    atomic_store(&n_ends, 0);
    run(s);
    assert_int_equal(c[0].rank, 0);
    assert_int_equal(c[4].rank, 1);
    assert_int_equal(c[3].rank, 4);
    sched_destroy(s);
}

static void test_logprobs(void **state) {
    static struct client c;
    slm_err err;
    struct sched *s = make((struct sched_params){0});
    (void)state;
    make_prompt(&c, 3, 0, 10);
    c.n_top = SCHED_TOP_MAX + 1;
    assert_int_equal(submit(s, &c, &err), SLM_E_LIMIT);
    c.n_top = 5;
    assert_int_equal(submit(s, &c, &err), SLM_OK);
    run(s);
    assert_true(c.logprob_sum < 0);
    check_alone(&c);
    sched_destroy(s);
}

/* The engine thread, fed and cancelled from two others. */
struct feeder {
    struct sched *s;
    struct client *c;
};

static void *feed(void *user) {
    struct feeder *f = user;
    slm_err err;
    for (size_t i = 0; i < 8; i++) {
        make_prompt(&f->c[i], i, 70, 5 + i);
        f->c[i].who = (uint64_t)(uintptr_t)f;
        if (submit(f->s, &f->c[i], &err) == SLM_OK && i % 4 == 1) sched_cancel(f->s, f->c[i].id);
    }
    return NULL;
}

static void add_one(void *user) { ++*(int *)user; }

static void test_loop(void **state) {
    static struct client c[2][8];
    struct sched_loop *l;
    slm_err err;
    int n_calls = 0;
    pthread_t threads[2];
    struct sched *s = make((struct sched_params){.n_seq = 4});
    struct feeder f[2] = {{s, c[0]}, {s, c[1]}};
    (void)state;
    assert_int_equal(sched_loop_create(&l, &err), SLM_OK);
    assert_int_equal(sched_loop_add(l, s, &err), SLM_OK);
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, feed, &f[i]), 0);
    for (int i = 0; i < 10; i++) assert_int_equal(sched_loop_call(l, add_one, &n_calls, &err), SLM_OK);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 16; i++)
        while (!atomic_load(&c[i / 8][i % 8].is_done)) sched_yield();
    sched_loop_remove(l, s);
    sched_loop_destroy(l);
    assert_int_equal(n_calls, 10);
    for (int i = 0; i < 16; i++)
        if (i % 4 != 1) check_alone(&c[i / 8][i % 8]);
    sched_destroy(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_among_fifteen_others), cmocka_unit_test(test_few_pages),
        cmocka_unit_test(test_prompts_that_begin_alike), cmocka_unit_test(test_one_prompt_four_times),
        cmocka_unit_test(test_cancel), cmocka_unit_test(test_refusals), cmocka_unit_test(test_turns),
        cmocka_unit_test(test_logprobs), cmocka_unit_test(test_loop),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
