/* UTF-8, hosts of URLs, random numbers, environment table, trace. */
#include "test.h"

#include <math.h>

#include "base/url.h"
#include "base/util.h"

static void test_utf8_round_trip(void **state) {
    (void)state;
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        char bytes[4];
        uint32_t back = 0;
        if (cp >= 0xd800 && cp <= 0xdfff) continue;
        int n = utf8_encode(cp, bytes);
        assert_int_equal(utf8_decode(bytes, (size_t)n, &back), n);
        assert_int_equal(back, cp);
        assert_int_equal(utf8_pending(bytes, (size_t)n), 0);
        for (int cut = 1; cut < n; cut++) {
            assert_int_equal(utf8_decode(bytes, (size_t)cut, &back), 0);
            assert_int_equal(utf8_pending(bytes, (size_t)cut), cut);
        }
    }
}

static void test_utf8_invalid(void **state) {
    static const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x28\xa1"};
    uint32_t cp;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_int_equal(utf8_decode(bad[i], strlen(bad[i]), &cp), 0);
    assert_int_equal(utf8_decode("", 0, &cp), 0);
    assert_int_equal(utf8_pending("a\xe0\x80", 3), 0); /* can no longer become a character */
    assert_int_equal(utf8_pending("a\xe2\x82", 3), 2);
    assert_int_equal(utf8_pending("\x82", 1), 0);
}

static void test_rng(void **state) {
    struct rng a, b;
    double sum = 0, squares = 0;
    (void)state;
    rng_init(&a, 1);
    rng_init(&b, 1);
    for (int i = 0; i < 1000; i++) assert_true(rng_u64(&a) == rng_u64(&b));
    rng_init(&b, 2);
    assert_true(rng_u64(&a) != rng_u64(&b));
    for (int i = 0; i < 100000; i++) {
        double u = rng_f64(&a), z = (double)rng_normal(&a);
        assert_true(u >= 0 && u < 1);
        sum += u;
        squares += z * z;
    }
    assert_true(fabs(sum / 100000 - 0.5) < 0.005);   /* 5 standard errors */
    assert_true(fabs(squares / 100000 - 1) < 0.023); /* 5 standard errors */
}

static void test_env(void **state) {
    (void)state;
    for (int i = 0; i < ENV_COUNT; i++) {
        assert_non_null(env_rows()[i].name);
        assert_non_null(env_rows()[i].values);
        assert_non_null(env_rows()[i].what);
    }
    setenv("SLM_CPU", "", 1);
    assert_null(env_get(ENV_SLM_CPU));
    setenv("SLM_CPU", "ref", 1);
    assert_string_equal(env_get(ENV_SLM_CPU), "ref");
}

static void test_trace(void **state) {
    char path[] = "/tmp/slm-test-trace-XXXXXX", line[256];
    int fd = mkstemp(path);
    slm_err err;
    (void)state;
    close(fd);
    assert_true(trace_begin() == 0);
    assert_int_equal(trace_open("/no/such/folder/trace", &err), SLM_E_IO);
    assert_int_equal(trace_open(path, &err), SLM_OK);
    double t0 = trace_begin();
    assert_true(t0 > 0);
    trace_end(t0, "step", "%s", "a \"quoted\"\nline");
    trace_close();
    trace_end(t0, "after", "closed");
    FILE *f = fopen(path, "r");
    assert_non_null(fgets(line, sizeof line, f));
    assert_non_null(strstr(line, "\"step\":\"step\",\"detail\":\"a \\\"quoted\\\"\\u000aline\""));
    assert_null(fgets(line, sizeof line, f));
    fclose(f);
    unlink(path);
}

static void test_url(void **state) {
    static const struct { const char *url, *host; bool is_here, has_user; } rows[] = {
        {"http://127.0.0.1:80/v1", "127.0.0.1", true, false},   {"http://127.255.3.4", "127.255.3.4", true, false},     {"http://localhost", "localhost", true, false},
        {"http://LOCALHOST.:8080", "LOCALHOST", true, false},   {"http://127.0.0.1./x", "127.0.0.1", true, false},      {"http://[::1]:80/", "::1", true, false},
        {"http://[::ffff:127.0.0.2]", "::ffff:127.0.0.2", true, false}, {"http://127.evil.org/", "127.evil.org", false, false}, {"http://127.0.0.1.evil.org", "127.0.0.1.evil.org", false, false},
        {"http://127.0.0.1@evil.org/", "evil.org", false, true}, {"http://localhost:80@evil.org", "evil.org", false, true}, {"http://u:p@127.0.0.1/", "127.0.0.1", true, true},
        {"http://localhost/@evil.org", "localhost", true, false}, {"http://evil.org#@localhost", "evil.org", false, false}, {"http://evil.org\\@localhost", "", false, false},
        {"http://127.0.0.1\\@evil.org/", "", false, false},        {"http://localhost\\.x@evil.org", "", false, false},      {"http://localhost/\\@evil.org", "localhost", true, false},
        {"http://[::1].evil.org/", "", false, false},           {"http://[::2]/", "::2", false, false},                 {"http://128.0.0.1/", "128.0.0.1", false, false},
        {"http://127.1/", "127.1", false, false},               {"http://", "", false, false},                          {"http:///x", "", false, false},
        {"http://[::1", "", false, false},                      {"http://localhost.evil.org", "localhost.evil.org", false, false}, {"https://[fe80::1%25lo]/", "fe80::1%25lo", false, false}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool has_user;
        struct view host = url_host(rows[i].url, &has_user);
        if (!view_eq(host, view_of(rows[i].host)) || has_user != rows[i].has_user || url_is_this_machine(rows[i].url) != rows[i].is_here) fail_msg("%s: %.*s", rows[i].url, VIEW_ARG(host));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_round_trip), cmocka_unit_test(test_utf8_invalid), cmocka_unit_test(test_rng),
        cmocka_unit_test(test_env),             cmocka_unit_test(test_trace),
        cmocka_unit_test(test_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
