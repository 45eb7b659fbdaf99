/* Views, checked sizes, arena and buffer limits; status table and error filling. */
#include "test.h"

#include "base/mem.h"
#include "base/nearest.h"

static void test_sizes(void **state) {
    size_t v = 7;
    (void)state;
    assert_false(size_mul(SIZE_MAX, 2, &v));
    assert_false(size_add(SIZE_MAX, 1, &v));
    assert_int_equal(v, 7);
    assert_true(size_mul(3, 5, &v));
    assert_int_equal(v, 15);
    assert_true(size_add(SIZE_MAX - 1, 1, &v));
    assert_true(v == SIZE_MAX);
}

static void test_mem_alloc(void **state) {
    slm_err err;
    void *p;
    (void)state;
    assert_int_equal(mem_alloc(&p, SIZE_MAX, 8, "thing", &err), SLM_E_NOMEM);
    assert_null(p);
    assert_non_null(strstr(err.msg, "thing"));
    assert_int_equal(mem_alloc(&p, 3, 5, "thing", &err), SLM_OK);
    assert_int_equal((uintptr_t)p % 64, 0);
    for (int i = 0; i < 15; i++) assert_int_equal(((char *)p)[i], 0);
    free(p);
    assert_int_equal(mem_alloc(&p, 0, 5, "thing", &err), SLM_OK);
    assert_non_null(p);
    free(p);
}

static void test_arena(void **state) {
    struct arena a;
    (void)state;
    arena_init(&a, 100000);
    char *first = arena_strdup(&a, VIEW("hello"));
    assert_string_equal(first, "hello");
    for (size_t i = 1; i < 200; i++) {
        char *p = arena_alloc(&a, i, 16);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t j = 0; j < i; j++) assert_int_equal(p[j], 0);
        memset(p, 0x5a, i);
    }
    assert_string_equal(first, "hello");
    assert_non_null(arena_alloc(&a, 70000, 64)); /* more than a block */
    assert_null(arena_alloc(&a, 50000, 1));      /* past the maximum */
    assert_null(arena_alloc(&a, SIZE_MAX, 1));
    arena_reset(&a);
    assert_int_equal(a.bytes_used, 0);
    char *again = arena_alloc(&a, 90000, 64);
    assert_non_null(again);
    assert_int_equal(again[89999], 0);
    arena_fini(&a);
}

static void test_buf(void **state) {
    struct buf b;
    slm_err err;
    (void)state;
    buf_init(&b, 10);
    buf_puts(&b, "12345");
    buf_printf(&b, "%d", 678);
    assert_string_equal(b.data, "12345678");
    buf_puts(&b, "9ab"); /* 11 bytes */
    assert_int_equal(b.len, 8);
    buf_putc(&b, 'x'); /* failure sticks though one byte would fit */
    assert_int_equal(b.len, 8);
    assert_int_equal(buf_status(&b, "note", &err), SLM_E_LIMIT);
    assert_string_equal(err.msg, "note: longer than 10 bytes");
    buf_clear(&b);
    buf_puts(&b, "1234567890");
    assert_int_equal(buf_status(&b, "note", &err), SLM_OK);
    assert_string_equal(b.data, "1234567890");
    buf_fini(&b);
}

static void test_errors(void **state) {
    slm_err err;
    size_t n;
    const struct status_row *rows = status_rows(&n);
    (void)state;
    assert_int_equal(n, SLM_E_CANCELLED + 1);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rows[i].code, i);
        assert_ptr_equal(status_get((slm_status)i), &rows[i]);
        assert_true(strlen(rows[i].name) > 0 && strlen(rows[i].what) > 0);
        assert_true(rows[i].http_status >= 200 && rows[i].http_status < 600);
    }
    assert_int_equal(status_get((slm_status)999)->code, SLM_E_FAILED);
    assert_int_equal(err_set(NULL, SLM_E_IO, 0, "nobody reads this"), SLM_E_IO);
    err_set(&err, SLM_E_FORMAT, 12, "what \"%s\": why", "value");
    err_hint(&err, "do %d", 3);
    assert_int_equal(err_wrap(&err, SLM_E_FORMAT, "layer %d", 4), SLM_E_FORMAT);
    assert_string_equal(err.msg, "layer 4: what \"value\": why");
    assert_string_equal(err.hint, "do 3");
    assert_int_equal(err.where, 12);
    for (int i = 0; i < 200; i++) err_wrap(&err, SLM_E_FORMAT, "context %d", i); /* cut, never past the end */
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    err_clear(&err);
    assert_int_equal(err.code, SLM_OK);
}

static void test_nearest(void **state) {
    static const char *const names[] = {"llama", "qwen2", "gemma"};
    (void)state;
    assert_int_equal(nearest_distance("kitten", "sitting"), 3);
    assert_int_equal(nearest_distance("ab", "ba"), 1);
    assert_int_equal(nearest_distance("", "abc"), 3);
    assert_string_equal(nearest_name("lama", names, 3), "llama");
    assert_string_equal(nearest_name("QWEN3", names, 3), "qwen2");
    assert_null(nearest_name("x", names, 0));
    assert_true(nearest_is_close("tokenise", "tokenize"));
    assert_false(nearest_is_close("serve", "inspect"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes), cmocka_unit_test(test_mem_alloc), cmocka_unit_test(test_arena),
        cmocka_unit_test(test_buf),   cmocka_unit_test(test_errors),    cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
