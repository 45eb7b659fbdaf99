/* An adapter beside a model against the two merged: the same predictions and the same greedy text, for every architecture; answers that do not depend on
 * what else runs; and files that are no adapter of the model, each refused by name. */
#include "golden/lora_file.h"

#include <jansson.h>
#include <math.h>

#include "engine/sched.h"
#include "train/adapter.h"

enum { N_TOK = 40, N_GREEDY = 24 };

static struct lora_file file;

static void open_or_fail(const char *path, struct slm_model **m) {
    slm_err err;
    if (model_open(path, 0, m, &err) != SLM_OK) fail_msg("%s", err.msg);
}

struct rows {
    float *v;
    size_t n_vocab;
};
static slm_status take_row(void *user, size_t i, const float *logits, slm_err *err) {
    struct rows *r = user;
    (void)err;
    memcpy(r->v + i * r->n_vocab, logits, r->n_vocab * sizeof *logits);
    return SLM_OK;
}

static void make_ids(int32_t *ids, size_t n, uint64_t seed, uint32_t n_vocab) {
    struct rng rng;
    rng_init(&rng, seed);
    for (size_t i = 0; i < n; i++) ids[i] = 3 + (int32_t)(rng_u64(&rng) % (n_vocab - 3));
}

static struct slm_session *session_of(struct slm_model *m, int n_threads, int32_t n_chunk) {
    struct slm_session *s;
    slm_err err;
    struct session_params p = {.n_ctx = 256, .n_threads = n_threads, .n_chunk = n_chunk, .n_out = n_chunk ? 1 : 8, .kv_type = KV_F32};
    if (session_create(m, &p, &s, &err) != SLM_OK) fail_msg("%s", err.msg);
    return s;
}

static float *logits_of(struct slm_model *m) {
    struct slm_session *s = session_of(m, 1, 0);
    int32_t ids[N_TOK];
    slm_err err;
    struct rows r = {calloc((size_t)N_TOK * m->hp.n_vocab, sizeof(float)), m->hp.n_vocab};
    make_ids(ids, N_TOK, 7, m->hp.n_vocab);
    if (session_logits_all(s, ids, N_TOK, take_row, &r, &err) != SLM_OK) fail_msg("%s", err.msg);
    session_destroy(s);
    return r.v;
}

static void greedy(struct slm_session *s, const struct lora_mix *mix, uint64_t seed, size_t n_prompt, int32_t *out) {
    struct sampler_params sp;
    struct generate_result r;
    int32_t ids[200];
    slm_err err;
    sampler_params_init(&sp);
    sp.temperature = 0;
    struct generate_params g = {.sampling = &sp, .n_max = N_GREEDY, .ignore_eos = true};
    make_ids(ids, n_prompt, seed, s->model->hp.n_vocab);
    session_set_lora(s, mix);
    if (session_generate(s, ids, n_prompt, &g, &r, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_int_equal(r.ids.n, N_GREEDY);
    memcpy(out, r.ids.v, sizeof(int32_t) * N_GREEDY);
    tok_ids_fini(&r.ids);
}

/* The largest; not a number where one is. */
static double difference(const float *a, const float *b, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= most)) most = d;
    }
    return most;
}

/* Largest differences of the merged model's logits to those beside (*same) and to the base's (*other). */
static void compare(const char *path, const char *adapter, double *same, double *other) {
    struct slm_model *base, *beside, *merged;
    slm_err err;
    open_or_fail(path, &base);
    open_or_fail(path, &beside);
    if (model_add_lora(beside, adapter, 1, NULL, &err) != SLM_OK) fail_msg("%s: %s", path, err.msg);
    if (adapter_open(path, adapter, 1, &merged, &err) != SLM_OK) fail_msg("%s: %s", path, err.msg);
    float *a = logits_of(merged), *b = logits_of(beside), *c = logits_of(base);
    *same = difference(a, b, (size_t)N_TOK * base->hp.n_vocab);
    *other = difference(a, c, (size_t)N_TOK * base->hp.n_vocab);
    struct slm_session *s = session_of(beside, 1, 0), *t = session_of(merged, 1, 0);
    int32_t text[2][N_GREEDY];
    greedy(s, NULL, 3, 20, text[0]);
    greedy(t, NULL, 3, 20, text[1]);
    assert_memory_equal(text[0], text[1], sizeof text[0]);
    session_destroy(s);
    session_destroy(t);
    free(a);
    free(b);
    free(c);
    model_close(base);
    model_close(beside);
    model_close(merged);
}

static void test_beside_is_merged(void **state) {
    json_t *root = json_load_file(test_data("golden/models/manifest.json"), 0, NULL);
    const json_t *cases = json_object_get(root, "cases");
    char adapter[64], name[128], path[1024];
    size_t n_tried = 0;
    (void)state;
    setenv("SLM_MATMUL", "f32", 1);
    lora_file_path(adapter);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        struct slm_model *m;
        double same, other;
        snprintf(name, sizeof name, "golden/models/%s.gguf", json_string_value(json_array_get(cases, i)));
        snprintf(path, sizeof path, "%s", test_data(name));
        open_or_fail(path, &m);
        lora_file_of(&file, m->gguf, m->arch->name, i);
        model_close(m);
        lora_file_write(&file, adapter);
        compare(path, adapter, &same, &other);
        printf("%-32s beside and merged differ by %.1e, the base by %.1e\n", name + 14, same, other);
        assert_true(same < 1e-3);
        assert_true(other > 0.02);
        n_tried++;
    }
    json_decref(root);
    unlink(adapter);
    unsetenv("SLM_MATMUL");
    assert_true(n_tried > 20);
}

/* ---- many at once ---- */

enum { N_CLIENTS = 16, N_ADAPTERS = 3 };

struct client {
    int32_t prompt[200], got[N_GREEDY];
    size_t n_prompt, n_got, n_cached;
    struct lora_mix mix;
    float logprobs[N_GREEDY];
};

static void on_event(void *user, const struct sched_event *e) {
    struct client *c = user;
    assert_int_not_equal(e->kind, SCHED_FAILED);
    if (e->kind == SCHED_TOKEN) {
        c->logprobs[c->n_got] = e->logprob;
        c->got[c->n_got++] = e->id;
    }
    if (e->kind == SCHED_DONE) c->n_cached = e->usage->n_cached;
}

static void submit(struct sched *s, struct client *c) {
    struct sampler_params sp;
    uint64_t id;
    slm_err err;
    sampler_params_init(&sp);
    sp.temperature = 0;
    c->n_got = 0;
    struct sched_request r = {.prompt = c->prompt, .n_prompt = c->n_prompt, .sampling = &sp, .n_max = N_GREEDY, .ignore_eos = true, .n_top = 0, .lora = &c->mix, .on_event = on_event, .user = c};
    if (sched_submit(s, &r, &id, &err) != SLM_OK) fail_msg("%s", err.msg);
}

static struct slm_model *with_adapters(const char *name) {
    struct slm_model *m;
    char path[64];
    slm_err err;
    open_or_fail(test_data(name), &m);
    lora_file_path(path);
    for (uint64_t k = 0; k < N_ADAPTERS; k++) {
        uint32_t i;
        lora_file_of(&file, m->gguf, m->arch->name, 100 + k);
        lora_file_write(&file, path);
        if (model_add_lora(m, path, 0, &i, &err) != SLM_OK) fail_msg("%s", err.msg);
        assert_int_equal(i, k);
    }
    unlink(path);
    return m;
}

/* None, each alone, two together, a half of one. */
static struct lora_mix mix_of(size_t i) {
    struct lora_mix mix = {{0}};
    if (i % 6 >= 1 && i % 6 <= 3) mix.scale[i % 6 - 1] = 1;
    if (i % 6 == 4) mix.scale[0] = mix.scale[2] = 1;
    if (i % 6 == 5) mix.scale[1] = -0.5f;
    return mix;
}

static struct sched *sched_of(struct slm_model *m, struct sched_params p) {
    struct sched *s;
    slm_err err;
    p.n_ctx = 256;
    p.kv_type = KV_TYPE_AUTO;
    p.kv_bytes = 64 << 20;
    if (sched_create(m, &p, &s, &err) != SLM_OK) fail_msg("%s", err.msg);
    return s;
}

static void test_alone_is_among_others(void **state) {
    static const char *const names[] = {"golden/logits/llama.gguf", "golden/logits/phi3.gguf", "golden/models/olmoe.gguf"};
    static struct client alone[N_CLIENTS], c[N_CLIENTS];
    (void)state;
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        struct slm_model *m = with_adapters(names[k]);
        for (size_t i = 0; i < N_CLIENTS; i++) {
            alone[i].n_prompt = 3 + 11 * i;
            alone[i].mix = mix_of(i);
            make_ids(alone[i].prompt, alone[i].n_prompt, i, m->hp.n_vocab);
            struct sched *s = sched_of(m, (struct sched_params){.n_threads = 1, .n_seq = 1, .no_prefix = true});
            submit(s, &alone[i]);
            while (sched_step(s)) {}
            assert_int_equal(alone[i].n_got, N_GREEDY);
            sched_destroy(s);
        }
        for (int variant = 0; variant < 3; variant++) {
            struct sched *s = sched_of(m, (struct sched_params){.n_threads = 1 + variant, .n_batch = variant == 1 ? 24 : 0, .n_seq = N_CLIENTS});
            memcpy(c, alone, sizeof c);
            for (size_t i = 0; i < N_CLIENTS; i++) {
                submit(s, &c[i]);
                if (i % 5 == 4) sched_step(s);
            }
            while (sched_step(s)) {}
            for (size_t i = 0; i < N_CLIENTS; i++) {
                assert_memory_equal(c[i].got, alone[i].got, sizeof c[i].got);
                assert_memory_equal(c[i].logprobs, alone[i].logprobs, sizeof c[i].logprobs);
            }
            sched_destroy(s);
        }
        assert_memory_not_equal(alone[0].got, alone[1].got, sizeof alone[0].got);
        model_close(m);
    }
}

/* A session with the same adapters says the same, in chunks and with more threads too; and goes from one mix to another. */
static void test_sessions(void **state) {
    struct slm_model *m = with_adapters("golden/logits/llama.gguf");
    int32_t want[6][N_GREEDY], got[N_GREEDY];
    struct slm_session *s = session_of(m, 1, 0), *chunks = session_of(m, 3, 7);
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct lora_mix mix = mix_of(i);
        struct slm_session *own = session_of(m, 1, 64);
        greedy(own, &mix, 5, 60, want[i]);
        session_destroy(own);
        for (size_t k = 0; k < i; k++) assert_memory_not_equal(want[k], want[i], sizeof want[i]);
    }
    for (size_t i = 12; i-- > 0;) {
        struct lora_mix mix = mix_of(i);
        greedy(s, &mix, 5, 60, got);
        assert_memory_equal(got, want[i % 6], sizeof got);
        greedy(chunks, &mix, 5, 60, got);
        assert_memory_equal(got, want[i % 6], sizeof got);
    }
    greedy(s, NULL, 5, 60, got); /* the default: none of them */
    assert_memory_equal(got, want[0], sizeof got);
    session_destroy(s);
    session_destroy(chunks);
    model_close(m);
}

/* One prompt with one adapter after the other: a prefix is met again by the same adapters only. */
static void test_prefixes(void **state) {
    static struct client c[12];
    struct slm_model *m = with_adapters("golden/logits/llama.gguf");
    struct sched *s = sched_of(m, (struct sched_params){.n_threads = 1});
    (void)state;
    for (size_t i = 0; i < 12; i++) {
        c[i].n_prompt = 150;
        c[i].mix = mix_of(i);
        make_ids(c[i].prompt, 150, 1, m->hp.n_vocab);
        submit(s, &c[i]);
        while (sched_step(s)) {}
        assert_int_equal(c[i].n_cached, i < 6 ? 0 : 150 / KV_PAGE_TOK * KV_PAGE_TOK);
        if (i >= 6) assert_memory_equal(c[i].got, c[i - 6].got, sizeof c[i].got);
        if (i >= 6) assert_memory_equal(c[i].logprobs, c[i - 6].logprobs, sizeof c[i].logprobs);
    }
    for (size_t i = 0; i < 6; i++) /* at once */
        submit(s, &c[i]);
    while (sched_step(s)) {}
    for (size_t i = 0; i < 6; i++) assert_memory_equal(c[i].got, c[i + 6].got, sizeof c[i].got);
    sched_destroy(s);
    /* More mixes than there are roots: those beyond are computed anew, and nothing breaks. */
    s = sched_of(m, (struct sched_params){.n_threads = 1});
    for (size_t i = 0; i < 80; i++) {
        c[i % 12].mix = (struct lora_mix){{0.01f * (float)(i + 1)}};
        submit(s, &c[i % 12]);
        while (sched_step(s)) {}
        assert_int_equal(c[i % 12].n_cached, 0);
    }
    sched_destroy(s);
    model_close(m);
}

/* An adapter whose products are past all numbers: whoever asks for it is told so, and nobody else in the batch notices. */
static void on_failure(void *user, const struct sched_event *e) {
    if (e->kind == SCHED_FAILED) snprintf(user, 128, "%.100s", e->error->msg);
    assert_int_not_equal(e->kind, SCHED_TOKEN);
}

static void test_no_numbers(void **state) {
    static struct client c[2], alone;
    struct slm_model *m = with_adapters("golden/logits/llama.gguf");
    struct generate_result r;
    struct sampler_params sp;
    struct lora_mix mix = {{0}};
    char path[64], said[128] = "";
    uint64_t id;
    uint32_t i_bad;
    slm_err err;
    (void)state;
    lora_file_path(path);
    lora_file_of(&file, m->gguf, m->arch->name, 9);
    file.size = 1e30f;
    lora_file_write(&file, path);
    assert_int_equal(model_add_lora(m, path, 0, &i_bad, &err), SLM_OK);
    unlink(path);
    mix.scale[i_bad] = 1;
    sampler_params_init(&sp);
    for (int bad = 0; bad < 2; bad++) {
        struct sched *s = sched_of(m, (struct sched_params){.n_threads = 1});
        for (size_t i = 0; i < 2; i++) {
            c[i].n_prompt = 40;
            c[i].mix = mix_of(i);
            make_ids(c[i].prompt, 40, 2 + i, m->hp.n_vocab);
            submit(s, &c[i]);
            struct sched_request q = {.prompt = c[0].prompt, .n_prompt = 40, .sampling = &sp, .n_max = N_GREEDY, .n_top = -1, .lora = &mix, .on_event = on_failure, .user = said};
            if (bad && sched_submit(s, &q, &id, &err) != SLM_OK) fail_msg("%s", err.msg);
        }
        while (sched_step(s)) {}
        if (bad) assert_memory_equal(c[1].got, alone.got, sizeof alone.got);
        alone = c[1];
        sched_destroy(s);
    }
    assert_non_null(strstr(said, "are no numbers"));
    struct slm_session *s = session_of(m, 1, 0);
    struct generate_params g = {.sampling = &sp, .n_max = N_GREEDY};
    session_set_lora(s, &mix);
    assert_int_equal(session_generate(s, c[0].prompt, 40, &g, &r, &err), SLM_E_FAILED);
    assert_non_null(strstr(err.msg, "are no numbers"));
    session_destroy(s);
    model_close(m);
}

/* ---- files ---- */

static void expect_refused(struct slm_model *m, slm_status want, const char *words) {
    char path[64];
    slm_err err;
    err_clear(&err);
    lora_file_path(path);
    lora_file_write(&file, path);
    uint32_t n_before = m->n_loras;
    slm_status st = model_add_lora(m, path, 1, NULL, &err);
    if (st != want || !strstr(err.msg, words) || !strstr(err.msg, path)) fail_msg("%d \"%s\", not %d with \"%s\"", st, err.msg, want, words);
    assert_int_equal(m->n_loras, n_before);
    unlink(path);
}

static void expect_not_merged(const struct slm_model *m, const char *words) {
    char path[64];
    struct gguf *merged;
    slm_err err;
    lora_file_path(path);
    lora_file_write(&file, path);
    assert_int_equal(adapter_merge(m->gguf, path, 1, 1, &merged, &err), SLM_E_FORMAT);
    assert_null(merged);
    if (!strstr(err.msg, words)) fail_msg("\"%s\", not \"%s\"", err.msg, words);
    unlink(path);
}

static void test_refused(void **state) {
    struct slm_model *m, *moe;
    (void)state;
    open_or_fail(test_data("golden/logits/llama.gguf"), &m);
    const char *q = "blk.0.attn_q.weight";
    uint64_t d = m->hp.d_model;
#define FRESH() file = (struct lora_file){.arch = "llama", .type = "lora", .alpha = 8, .size = 0.1f}
#define PAIR(name, rows, r, cols) lora_file_add(&file, name, ".lora_a", r, cols), lora_file_add(&file, name, ".lora_b", rows, r)
    FRESH();
    expect_refused(m, SLM_E_FORMAT, "has no tensors");
    PAIR(q, d, 4, d);
    file.type = NULL;
    expect_refused(m, SLM_E_FORMAT, "adapter.type");
    file.type = "ia3";
    expect_refused(m, SLM_E_UNSUPPORTED, "type \"ia3\"");
    file.type = "lora";
    file.arch = "qwen2";
    expect_refused(m, SLM_E_UNSUPPORTED, "architecture \"qwen2\"");
    file.arch = "llama";
    file.alpha = NAN;
    expect_refused(m, SLM_E_FORMAT, "is no number up to");
    FRESH(), PAIR(q, d, 4, d + 1);
    expect_refused(m, SLM_E_FORMAT, "does not fit the base: \"blk.0.attn_q.weight\"");
    FRESH(), PAIR(q, d + 1, 4, d);
    expect_refused(m, SLM_E_FORMAT, "does not fit the base");
    FRESH(), lora_file_add(&file, q, ".lora_a", 4, d), lora_file_add(&file, q, ".lora_b", d, 5);
    expect_refused(m, SLM_E_FORMAT, "does not fit the base");
    FRESH(), PAIR(q, d, LORA_RANK_MAX + 1, d);
    expect_refused(m, SLM_E_LIMIT, "a rank of 4097");
    FRESH(), lora_file_add(&file, q, ".lora_a", 4, d);
    expect_refused(m, SLM_E_FORMAT, "blk.0.attn_q.weight.lora_b\" is missing");
    FRESH(), lora_file_add(&file, q, ".lora_b", d, 4);
    expect_refused(m, SLM_E_FORMAT, "blk.0.attn_q.weight.lora_a\" is missing");
    FRESH(), PAIR(q, d, 4, d), lora_file_add(&file, q, ".dora_scale", d, 1);
    expect_refused(m, SLM_E_FORMAT, "dora_scale\" is no half");
    FRESH(), PAIR("blk.9.attn_q.weight", d, 4, d);
    expect_refused(m, SLM_E_FORMAT, "no tensor \"blk.9.attn_q.weight\"");
    FRESH(), PAIR("blk.0.attn_norm.weight", d, 1, 1);
    expect_refused(m, SLM_E_FORMAT, "is no matrix");
    FRESH(), PAIR("token_embd.weight", m->hp.n_vocab, 4, d);
    expect_refused(m, SLM_E_UNSUPPORTED, "\"token_embd.weight\" is not supported");
    FRESH(), PAIR(q, d, 4, d);
    file.size = INFINITY;
    expect_refused(m, SLM_E_FORMAT, "not finite");
    expect_not_merged(m, "lora_a\" holds a value that is not finite");
    file.size = 1e30f; /* each is a number, the products are not */
    expect_not_merged(m, "\"blk.0.attn_q.weight\" is not finite with what the adapter adds");
    FRESH(), PAIR(q, d, 4, d);
    for (int i = 0; i < LORAS_MAX; i++) {
        char path[64];
        slm_err err;
        lora_file_path(path);
        lora_file_write(&file, path);
        assert_int_equal(model_add_lora(m, path, 1, NULL, &err), SLM_OK);
        unlink(path);
    }
    expect_refused(m, SLM_E_LIMIT, "more than 64 adapters");
    model_close(m);
    open_or_fail(test_data("golden/models/mixtral.gguf"), &moe);
    FRESH(), PAIR("blk.0.ffn_gate_exps.weight", 4, 4, 4);
    expect_refused(moe, SLM_E_FORMAT, "is no matrix");
    const struct gguf_tensor *gates = gguf_find_tensor(moe->gguf, "blk.0.ffn_gate_exps.weight");
    FRESH(), PAIR("blk.0.ffn_gate_exps.weight", gates->shape[1], 4, gates->shape[2]);
    file.t[0].n_stack = file.t[1].n_stack = gates->shape[0] + 1;
    expect_refused(moe, SLM_E_FORMAT, "or as many of them");
    model_close(moe);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_beside_is_merged), cmocka_unit_test(test_alone_is_among_others), cmocka_unit_test(test_sessions),
                                       cmocka_unit_test(test_prefixes), cmocka_unit_test(test_no_numbers), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
