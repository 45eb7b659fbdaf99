/* Every item once, whatever the threads and the grain; loops back to back; limits. */
#include "test.h"

#include <stdatomic.h>

#include "base/pool.h"

struct marks {
    _Atomic int seen[1000];
    _Atomic int bad;
    int n_threads;
};

static void mark(void *ctx, int64_t begin, int64_t end, int i_thread) {
    struct marks *m = ctx;
    if (i_thread < 0 || i_thread >= m->n_threads || begin >= end) atomic_fetch_add(&m->bad, 1);
    for (int64_t i = begin; i < end; i++) atomic_fetch_add(&m->seen[i], 1);
}

static void test_every_item_once(void **state) {
    static const int64_t counts[] = {0, 1, 2, 7, 64, 999, 1000}, grains[] = {0, 1, 3, 64, 5000};
    (void)state;
    for (int n_threads = 1; n_threads <= 5; n_threads++) {
        struct pool *p;
        assert_int_equal(pool_create(n_threads, &p, NULL), SLM_OK);
        assert_int_equal(pool_n_threads(p), n_threads);
        for (size_t c = 0; c < 7; c++)
            for (size_t g = 0; g < 10; g++) {
                struct marks m = {.n_threads = n_threads};
                if (g < 5) pool_run(p, counts[c], grains[g], mark, &m);
                else pool_run_long(p, counts[c], grains[g - 5], mark, &m);
                for (int64_t i = 0; i < 1000; i++) assert_int_equal(m.seen[i], i < counts[c]);
                assert_int_equal(m.bad, 0);
            }
        pool_destroy(p);
    }
}

static void add(void *ctx, int64_t begin, int64_t end, int i_thread) {
    (void)i_thread;
    atomic_fetch_add((_Atomic int64_t *)ctx, end - begin);
}

static void test_many_short_loops(void **state) {
    struct pool *p;
    _Atomic int64_t sum = 0;
    (void)state;
    assert_int_equal(pool_create(3, &p, NULL), SLM_OK);
    for (int i = 0; i < 3000; i++) {
        pool_run(p, 10, 1, add, &sum);
        if (i % 1000 == 999) usleep(2000); /* let the workers fall asleep */
    }
    assert_int_equal(sum, 30000);
    pool_destroy(p);
}

static void test_limits(void **state) {
    struct pool *p;
    slm_err err;
    (void)state;
    assert_int_equal(pool_create(-1, &p, &err), SLM_E_USAGE);
    assert_null(p);
    assert_int_equal(pool_create(POOL_THREADS_MAX + 1, &p, &err), SLM_E_USAGE);
    assert_non_null(strstr(err.msg, "257"));
    assert_int_equal(pool_create(0, &p, &err), SLM_OK);
    assert_true(pool_n_threads(p) >= 1);
    pool_destroy(p);
    pool_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_item_once), cmocka_unit_test(test_many_short_loops), cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
