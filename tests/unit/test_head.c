/* Fitted heads: they learn what can be learnt, come back from their files, tell what is like nothing seen, and refuse damaged files. */
#include <math.h>

#include "test.h"

#include "base/file.h"
#include "base/util.h"
#include "task/head.h"

enum { N = 240, D = 12, N_LABEL = 3 };
static const char *const names[N_LABEL] = {"book", "play", "weather"};
static struct view texts[N];
static uint32_t labels[N];
static float states[N * D];
static char folder[] = "/tmp/slm-head-XXXXXX", path[256];

static int setup(void **state) {
    (void)state;
    static const char *const words[N_LABEL][4] = {{"table", "restaurant", "seats", "dinner"}, {"song", "album", "music", "tune"}, {"rain", "sunny", "forecast", "snow"}};
    static char room[N][64];
    struct rng r;
    rng_init(&r, 11);
    for (size_t i = 0; i < N; i++) {
        labels[i] = (uint32_t)(i % N_LABEL);
        snprintf(room[i], sizeof room[i], "please %s the %s and %s number %llu", i % 2 ? "get" : "find", words[labels[i]][rng_u64(&r) % 4], words[labels[i]][rng_u64(&r) % 4],
                 (unsigned long long)(rng_u64(&r) % 100));
        texts[i] = view_of(room[i]);
        for (size_t k = 0; k < D; k++) states[i * D + k] = 3 * rng_normal(&r) * (k % 2 ? 1.0f : 5.0f) + (k == labels[i] ? 9 : 0) + (k == labels[i] + 3 ? 20 : 0);
    }
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/h.slmh", folder);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void fit(enum head_kind kind, uint64_t seed, struct head *h) {
    slm_err err;
    struct head_rows rows = {.texts = texts, .states = states, .d = D, .labels = labels, .n = N, .names = names, .n_label = N_LABEL};
    assert_int_equal(head_fit(&rows, &(struct head_params){.kind = kind, .seed = seed}, h, &err), SLM_OK);
}

static void score(const struct head *h, size_t i, float *probs, double *novelty) {
    struct head_scratch s;
    slm_err err;
    head_scratch_init(&s);
    assert_int_equal(head_score(h, &s, texts[i], states + i * D, probs, novelty, &err), SLM_OK);
    head_scratch_fini(&s);
    assert_true(fabsf(probs[0] + probs[1] + probs[2] - 1) < 1e-5f);
}

static size_t best_of(const float *p) { return p[0] >= p[1] && p[0] >= p[2] ? 0 : p[1] >= p[2] ? 1 : 2; }

static void check_kind(enum head_kind kind) {
    struct head h, again, read;
    slm_err err;
    float a[N_LABEL], b[N_LABEL];
    double novelty, twin;
    size_t n_right = 0;
    fit(kind, 5, &h);
    fit(kind, 5, &again);
    assert_true(h.accuracy > 0.85);
    for (size_t i = 0; i < N; i++) {
        score(&h, i, a, &novelty);
        score(&again, i, b, &twin);
        assert_memory_equal(a, b, sizeof a);
        n_right += best_of(a) == labels[i];
    }
    assert_true(n_right > N * 9 / 10);
    assert_int_equal(head_write(&h, path, &err), SLM_OK);
    assert_int_equal(head_open(path, &read, &err), SLM_OK);
    assert_int_equal(read.kind, kind);
    assert_int_equal(read.n_label, N_LABEL);
    assert_string_equal(read.labels[2], "weather");
    for (size_t i = 0; i < N; i++) {
        score(&h, i, a, &novelty);
        score(&read, i, b, &twin);
        for (size_t k = 0; k < N_LABEL; k++) assert_true(fabsf(a[k] - b[k]) < (kind == HEAD_NGRAM ? 5e-3f : 1e-6f)); /* weights are halves on file */
    }
    head_fini(&h);
    head_fini(&again);
    head_fini(&read);
}

static void test_kinds(void **state) {
    (void)state;
    for (int kind = 0; kind < HEAD_KIND_COUNT; kind++) check_kind((enum head_kind)kind);
}

static void test_novelty(void **state) {
    (void)state;
    struct head h;
    struct head_scratch s;
    slm_err err;
    float p[N_LABEL], far[D];
    double known, odd;
    head_scratch_init(&s);
    fit(HEAD_NGRAM, 1, &h);
    assert_int_equal(head_score(&h, &s, texts[0], NULL, p, &known, &err), SLM_OK);
    assert_int_equal(head_score(&h, &s, VIEW("quarterly ledgers were reconciled"), NULL, p, &odd, &err), SLM_OK);
    assert_true(odd > 0.8 && known < 0.2);
    assert_int_equal(head_score(&h, &s, VIEW(""), NULL, p, &odd, &err), SLM_OK); /* nothing is there: the bias alone */
    head_fini(&h);
    head_scratch_fini(&s);
    head_scratch_init(&s);
    fit(HEAD_CENTROID, 1, &h);
    assert_int_equal(head_score(&h, &s, texts[0], states, p, &known, &err), SLM_OK);
    for (size_t k = 0; k < D; k++) far[k] = k % 2 ? 60 : -60;
    assert_int_equal(head_score(&h, &s, texts[0], far, p, &odd, &err), SLM_OK);
    assert_true(odd > 5 * known);
    head_fini(&h);
    head_scratch_fini(&s);
}

static void test_damaged(void **state) {
    (void)state;
    struct head h;
    slm_err err;
    struct file_map m;
    struct rng r;
    rng_init(&r, 2);
    for (int kind = 0; kind < HEAD_KIND_COUNT; kind++) {
        fit((enum head_kind)kind, 1, &h);
        assert_int_equal(head_write(&h, path, &err), SLM_OK);
        head_fini(&h);
        assert_int_equal(file_map_open(&m, path, &err), SLM_OK);
        char *copy = malloc(m.size);
        for (size_t n = 0; n + 32 < m.size; n += 1 + m.size / 300) { /* the last bytes may be padding */
            memcpy(copy, m.data, m.size);
            assert_int_not_equal(head_open_memory(copy, n, &h, &err), SLM_OK);
        }
        for (int i = 0; i < 400; i++) { /* a flipped byte is refused or gives a head that can be used */
            memcpy(copy, m.data, m.size);
            copy[rng_u64(&r) % 2000 % m.size] = (char)rng_u64(&r);
            if (head_open_memory(copy, m.size, &h, &err) != SLM_OK) continue;
            float *p = malloc(h.n_label * sizeof *p);
            float *x = calloc(h.d + 1, sizeof *x);
            struct head_scratch s;
            double novelty;
            head_scratch_init(&s);
            assert_int_equal(head_score(&h, &s, texts[1], x, p, &novelty, &err), SLM_OK);
            head_scratch_fini(&s);
            free(p);
            free(x);
            head_fini(&h);
        }
        free(copy);
        file_map_close(&m);
    }
}

static void test_refused(void **state) {
    (void)state;
    struct head h;
    slm_err err;
    struct head_rows rows = {.texts = texts, .labels = labels, .n = 1, .names = names, .n_label = 1};
    assert_int_equal(head_fit(&rows, &(struct head_params){.kind = HEAD_NGRAM}, &h, &err), SLM_E_USAGE);
    fit(HEAD_LINEAR, 1, &h);
    h.model = 1;
    assert_int_equal(head_check(&h, NULL, &err), SLM_E_USAGE);
    head_fini(&h);
}

/* One row for each label: nothing can be held out, and it still works. */
static void test_one_row_each(void **state) {
    (void)state;
    struct head h;
    slm_err err;
    float p[N_LABEL];
    double novelty;
    for (int kind = 0; kind < HEAD_KIND_COUNT; kind++) {
        struct head_rows rows = {.texts = texts, .states = states, .d = D, .labels = labels, .n = N_LABEL, .names = names, .n_label = N_LABEL};
        assert_int_equal(head_fit(&rows, &(struct head_params){.kind = (enum head_kind)kind, .seed = 1}, &h, &err), SLM_OK);
        assert_int_equal(h.n_held, 0);
        for (size_t i = 0; i < N_LABEL; i++) {
            score(&h, i, p, &novelty);
            assert_int_equal(best_of(p), i);
        }
        head_fini(&h);
    }
}

static double last_share;
static size_t n_told;
static _Atomic bool stop;
static size_t stop_at;
static void tell(void *user, double share) {
    (void)user;
    assert_true(share >= 0 && share <= 1 + 1e-9);
    last_share = share;
    if (++n_told == stop_at) stop = true;
}

/* Every kind says how far it is, and ends soon after it is asked to. */
static void test_cancelled(void **state) {
    (void)state;
    struct head h;
    slm_err err;
    struct head_rows rows = {.texts = texts, .states = states, .d = D, .labels = labels, .n = N, .names = names, .n_label = N_LABEL};
    for (int kind = 0; kind < HEAD_KIND_COUNT; kind++) {
        struct head_params p = {.kind = (enum head_kind)kind, .seed = 1, .cancel = &stop, .progress = tell};
        n_told = stop_at = 0;
        stop = false;
        assert_int_equal(head_fit(&rows, &p, &h, &err), SLM_OK);
        head_fini(&h);
        size_t n_whole = n_told;
        assert_true(n_whole > 1 && last_share > 0.5);
        n_told = 0;
        stop_at = n_whole - 1;
        assert_int_equal(head_fit(&rows, &p, &h, &err), SLM_E_CANCELLED);
        assert_null(h.softmax.weight);
        assert_true(n_told <= stop_at + 1);
    }
}

/* A state that is no number is an error of its text, and never an answer. */
static void test_not_finite(void **state) {
    (void)state;
    struct head h;
    struct head_scratch s;
    slm_err err;
    float p[N_LABEL], odd[D];
    double novelty;
    static const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f};
    for (int kind = HEAD_CENTROID; kind < HEAD_KIND_COUNT; kind++) {
        fit((enum head_kind)kind, 1, &h);
        head_scratch_init(&s);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            memcpy(odd, states, sizeof odd);
            odd[2] = bad[i];
            slm_status st = head_score(&h, &s, texts[0], odd, p, &novelty, &err);
            if (i < 3) assert_int_equal(st, SLM_E_FAILED);
            if (st != SLM_OK) continue;
            for (size_t k = 0; k < N_LABEL; k++) assert_true(isfinite(p[k]));
        }
        head_scratch_fini(&s);
        head_fini(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds), cmocka_unit_test(test_novelty), cmocka_unit_test(test_damaged), cmocka_unit_test(test_refused), cmocka_unit_test(test_one_row_each),
        cmocka_unit_test(test_cancelled), cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
