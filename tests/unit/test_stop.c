/* test_stop.c -- stop strings: streaming in any pieces gives what a search in the whole text gives, and no more
 * is held back than must be. The search is the definition: every end, every string, shortest end first. */
#include "test.h"

#include "base/util.h"
#include "engine/stop.h"

struct found {
    size_t len; /* of the text before the match, or of the whole */
    int i;      /* string, or -1 */
};

static struct found search(struct view text, const struct view *strings, int n) {
    for (size_t end = 1; end <= text.len; end++) {
        struct found best = {0, -1};
        for (int i = 0; i < n; i++) {
            size_t len = strings[i].len;
            if (len > end || memcmp(text.ptr + end - len, strings[i].ptr, len) != 0) continue;
            if (best.i < 0 || len > strings[best.i].len) best = (struct found){end - len, i};
        }
        if (best.i >= 0) return best;
    }
    return (struct found){text.len, -1};
}

/* The longest end of text that is a proper beginning of a string. */
static size_t must_hold(struct view text, const struct view *strings, int n) {
    size_t most = 0;
    for (int i = 0; i < n; i++) {
        for (size_t len = 1; len < strings[i].len && len <= text.len; len++) {
            if (memcmp(text.ptr + text.len - len, strings[i].ptr, len) == 0 && len > most) most = len;
        }
    }
    return most;
}

/* Push text in pieces that end where cuts has a bit, checking after each what has come out. */
static void check_pieces(struct stop *s, struct view text, const struct view *strings, int n, const bool *cuts) {
    struct buf out;
    struct found want = search(text, strings, n);
    int i_got = -1;
    bool met = false;
    size_t begin = 0;
    buf_init(&out, 1 << 20);
    for (size_t end = 1; end <= text.len && !met; end++) {
        if (end < text.len && !cuts[end]) continue;
        met = stop_push(s, (struct view){text.ptr + begin, end - begin}, &out, &i_got);
        begin = end;
        struct view seen = {text.ptr, end};
        if (!met) assert_int_equal(out.len, end - must_hold(seen, strings, n));
    }
    if (!met) stop_finish(s, &out);
    assert_int_equal(met, want.i >= 0);
    assert_int_equal(i_got, want.i);
    assert_int_equal(out.len, want.len);
    if (out.len > 0) assert_memory_equal(out.data, text.ptr, out.len);
    assert_int_equal(s->held.len, 0);
    buf_fini(&out);
}

static void init(struct stop *s, const struct view *strings, int n) {
    slm_err err;
    if (stop_init(s, strings, (size_t)n, &err) != SLM_OK) fail_msg("%s", err.msg);
}

static void test_by_hand(void **state) {
    (void)state;
    const struct view strings[] = {VIEW("</s>"), VIEW("\nUser:"), VIEW("User")};
    struct stop s;
    struct buf out;
    int i = -1;
    init(&s, strings, 3);
    buf_init(&out, 1000);
    assert_false(stop_push(&s, VIEW("Hi <"), &out, &i));
    assert_string_equal(out.data, "Hi ");
    assert_false(stop_push(&s, VIEW("/p>\n"), &out, &i));
    assert_string_equal(out.data, "Hi </p>");
    assert_true(stop_push(&s, VIEW("User: x"), &out, &i)); /* "User" is complete before "\nUser:" */
    assert_string_equal(out.data, "Hi </p>\n");
    assert_int_equal(i, 2);
    buf_clear(&out);
    assert_false(stop_push(&s, VIEW("Use"), &out, NULL)); /* starts anew */
    assert_int_equal(out.len, 0);
    stop_finish(&s, &out);
    assert_string_equal(out.data, "Use");
    assert_false(stop_push(&s, VIEW("r"), &out, NULL)); /* finish forgets the half match */
    stop_finish(&s, &out);
    assert_string_equal(out.data, "User");
    buf_fini(&out);
    stop_fini(&s);
}

static void test_no_strings(void **state) {
    (void)state;
    struct stop s;
    struct buf out;
    init(&s, NULL, 0);
    buf_init(&out, 100);
    assert_false(stop_push(&s, VIEW("all of it"), &out, NULL));
    assert_string_equal(out.data, "all of it");
    assert_false(stop_push(&s, (struct view){NULL, 0}, &out, NULL));
    stop_finish(&s, &out);
    assert_int_equal(out.len, 9);
    buf_fini(&out);
    stop_fini(&s);
}

static void test_equal_end_longest_wins(void **state) {
    (void)state;
    const struct view strings[] = {VIEW("c"), VIEW("abc"), VIEW("bc"), VIEW("abc")};
    struct stop s;
    struct buf out;
    int i = -1;
    init(&s, strings, 4);
    buf_init(&out, 100);
    assert_true(stop_push(&s, VIEW("xabcx"), &out, &i));
    assert_string_equal(out.data, "x");
    assert_int_equal(i, 1);
    buf_fini(&out);
    stop_fini(&s);
}

/* Every way to cut a text of up to 12 bytes. */
static void test_every_chunking(void **state) {
    (void)state;
    struct rng r;
    rng_init(&r, 11);
    for (int i_case = 0; i_case < 300; i_case++) {
        char text[12], strings_at[4][6];
        struct view strings[4];
        struct stop s;
        size_t len = 1 + rng_u64(&r) % sizeof text;
        int n = 1 + (int)(rng_u64(&r) % 4);
        for (size_t i = 0; i < len; i++) text[i] = (char)('a' + rng_u64(&r) % 2);
        for (int k = 0; k < n; k++) {
            strings[k] = (struct view){strings_at[k], 2 + rng_u64(&r) % 5};
            for (size_t i = 0; i < strings[k].len; i++) strings_at[k][i] = (char)('a' + rng_u64(&r) % 2);
        }
        init(&s, strings, n);
        for (unsigned mask = 0; mask < 1u << (len - 1); mask++) {
            bool cuts[13] = {false};
            for (size_t i = 1; i < len; i++) cuts[i] = mask >> (i - 1) & 1;
            check_pieces(&s, (struct view){text, len}, strings, n, cuts);
        }
        stop_fini(&s);
    }
}

static void test_random_texts(void **state) {
    (void)state;
    struct rng r;
    rng_init(&r, 12);
    int n_met = 0;
    for (int i_case = 0; i_case < 3000; i_case++) {
        char text[200], bytes[6][24];
        bool cuts[201];
        struct view strings[6];
        struct stop s;
        uint64_t n_kinds = 1 + rng_u64(&r) % 4, cut_every = 1 + rng_u64(&r) % 9;
        int n = 1 + (int)(rng_u64(&r) % 6);
        size_t len = 1 + rng_u64(&r) % sizeof text;
        for (size_t i = 0; i < len; i++) text[i] = (char)(rng_u64(&r) % n_kinds * 85); /* bytes 0, 85, 170, 255 */
        for (size_t i = 0; i <= len; i++) cuts[i] = rng_u64(&r) % cut_every == 0;
        for (int k = 0; k < n; k++) {
            strings[k] = (struct view){bytes[k], 1 + rng_u64(&r) % sizeof bytes[k]};
            size_t from = rng_u64(&r) % len;
            for (size_t i = 0; i < strings[k].len; i++) bytes[k][i] = text[(from + i) % len];
            if (rng_u64(&r) % 2) bytes[k][strings[k].len - 1] ^= 85; /* all but the last byte occurs */
        }
        init(&s, strings, n);
        check_pieces(&s, (struct view){text, len}, strings, n, cuts);
        n_met += search((struct view){text, len}, strings, n).i >= 0;
        stop_fini(&s);
    }
    assert_true(n_met > 500 && n_met < 2900);
}

/* The largest set, and a text made to send matchers back as often as can be; must not take long. */
static void test_limits(void **state) {
    (void)state;
    enum { N = 100000 };
    char *bytes = malloc(STOP_BYTES_MAX), *text = malloc(N);
    struct view strings[STOP_N_MAX + 1];
    struct stop s;
    struct buf out;
    slm_err err;
    memset(bytes, 'a', STOP_BYTES_MAX);
    bytes[STOP_BYTES_MAX - 1] = 'b';
    for (int i = 0; i <= STOP_N_MAX; i++) strings[i] = (struct view){bytes, STOP_BYTES_MAX};
    memset(text, 'a', N);
    for (int i = 4000; i < N; i += 4001) text[i] = 'c';
    init(&s, strings, STOP_N_MAX);
    buf_init(&out, N);
    for (size_t i = 0; i < N; i += 10) {
        assert_false(stop_push(&s, (struct view){text + i, 10}, &out, NULL));
        assert_true(s.held.len < STOP_BYTES_MAX && out.len + s.held.len == i + 10);
    }
    stop_finish(&s, &out);
    assert_int_equal(out.len, N);
    assert_memory_equal(out.data, text, N);
    stop_fini(&s);
    assert_int_equal(stop_init(&s, strings, STOP_N_MAX + 1, &err), SLM_E_LIMIT);
    assert_string_equal(err.msg, "stop strings \"65\": at most 64");
    strings[1].len = STOP_BYTES_MAX + 1;
    assert_int_equal(stop_init(&s, strings, 2, &err), SLM_E_LIMIT);
    strings[1].len = 0;
    assert_int_equal(stop_init(&s, strings, 2, &err), SLM_E_USAGE);
    assert_string_equal(err.msg, "stop string \"\": must not be empty");
    stop_fini(&s);
    buf_fini(&out);
    free(bytes);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_no_strings),
        cmocka_unit_test(test_equal_end_longest_wins),
        cmocka_unit_test(test_every_chunking),
        cmocka_unit_test(test_random_texts),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
