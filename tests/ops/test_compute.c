/* test_compute.c -- what the splitter does beside splitting: tiles of every type and width, f32 in place, the size of
 * its scratch, and the choice of ISA. That threads change nothing is test_invariance's. */
#include "ops_data.h"

/* d_out from under one tile to many; d_in up to wider than a tile's share of the cache. */
static void test_matmul_and_rows(void **state) {
    (void)state;
    static const int64_t shapes[][3] = {{1, 1, 256},   {1, 70, 256},  {3, 7, 512},   {5, 300, 256},
                                        {2, 40, 9216}, {1, 9, 16384}, {2, 129, 1024}};
    struct rng rng;
    rng_init(&rng, 5);
    struct compute c;
    assert_int_equal(compute_init(&c, 2, 16384, 5, NULL), SLM_OK);
    for (size_t s = 0; s < COUNT(shapes) * DTYPE_COUNT * 2; s++) {
        const int64_t *shape = shapes[s / 2 % COUNT(shapes)];
        enum dtype type = (enum dtype)(s / 2 / COUNT(shapes));
        int64_t n_tok = shape[0], d_out = shape[1], d_in = shape[2], ldx = d_in + 5, ldy = d_out + 3;
        struct weight w = data_weight(&rng, type, d_out, d_in, s % 2 ? 0 : 3);
        float *dense = data_floats(d_out * d_in), *x = data_normal(&rng, n_tok * ldx, 1);
        float *got = data_floats(n_tok * ldy), *want = data_floats(n_tok * ldy);
        for (int64_t i = 0; i < n_tok * ldy; i++) got[i] = want[i] = 9;
        for (int64_t r = 0; r < d_out; r++) dtype_get(type)->to_f32(dense + r * d_in, w.data + r * w.row_bytes, d_in);
        c.ops.matmul_f32(want, ldy, dense, d_in, x, ldx, n_tok, d_out, d_in);
        compute_matmul(&c, got, ldy, &w, x, ldx, n_tok);
        expect_same("compute_matmul", got, want, n_tok * ldy);

        int32_t ids[3] = {(int32_t)(d_out - 1), 0, (int32_t)(d_out / 2)};
        float *rows = data_floats(3 * d_in);
        compute_get_rows(&c, rows, &w, ids, 3);
        for (int i = 0; i < 3; i++) expect_same("compute_get_rows", rows + i * d_in, dense + ids[i] * d_in, d_in);
        data_free();
    }
    compute_matmul(&c, NULL, 0, &(struct weight){.dtype = DTYPE_F32}, NULL, 0, 0); /* no tokens: nothing is touched */
    compute_fini(&c);
    compute_fini(&c);
}

/* Packed weights: the same product, off by the rounding of activations; the same bits however tokens and threads are cut. */
static void test_packed_products(void **state) {
    (void)state;
    static const int64_t shapes[][3] = {{1, 64, 256}, {1, 70, 512}, {3, 7, 512}, {5, 300, 256}, {9, 64, 1024}, {130, 129, 512}, {600, 65, 256}};
    struct rng rng;
    rng_init(&rng, 6);
    struct compute c, one;
    assert_int_equal(compute_init(&c, 3, 1024, 600, NULL), SLM_OK);
    assert_int_equal(compute_init(&one, 1, 1024, 600, NULL), SLM_OK);
    int n_packed = 0;
    for (size_t s = 0; s < COUNT(shapes) * DTYPE_COUNT; s++) {
        const int64_t *shape = shapes[s % COUNT(shapes)];
        int64_t n_tok = shape[0], d_out = shape[1], d_in = shape[2], ldx = d_in + 5, ldy = d_out + 3;
        struct weight w = data_packed(data_weight(&rng, (enum dtype)(s / COUNT(shapes)), d_out, d_in, 1)), plain = w;
        if (!w.panels) continue;
        n_packed++;
        plain.panels = NULL;
        float *x = data_normal(&rng, n_tok * ldx, 1), *got = data_floats(n_tok * ldy), *want = data_floats(n_tok * ldy), *again = data_floats(n_tok * ldy);
        for (int64_t i = 0; i < n_tok * ldy; i++) got[i] = want[i] = again[i] = 9;
        compute_matmul(&c, got, ldy, &w, x, ldx, n_tok);
        compute_matmul(&one, want, ldy, &plain, x, ldx, n_tok);
        double error = 0, size = 0;
        for (int64_t i = 0; i < n_tok * ldy; i++) {
            error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
            size += (double)want[i] * (double)want[i];
            if (i % ldy >= d_out) assert_true(got[i] == 9); /* nothing between rows */
        }
        /* A step is about 2.1 / 127 of normal numbers' size, its rounding error 1 / sqrt(12) of it: 0.005; few outputs scatter. */
        if (error > 0.02 * 0.02 * size) fail_msg("%s: relative error %.3g", dtype_get(w.dtype)->name, sqrt(error / size));
        compute_matmul(&one, again, ldy, &w, x, ldx, n_tok);
        expect_same("one thread", again, got, n_tok * ldy);
        int32_t ids[3] = {(int32_t)(d_out - 1), 0, (int32_t)(d_out / 2)};
        float *rows = data_floats(3 * d_in), *plain_rows = data_floats(3 * d_in);
        compute_get_rows(&c, rows, &w, ids, 3);
        compute_get_rows(&one, plain_rows, &plain, ids, 3);
        expect_same("compute_get_rows of panels", rows, plain_rows, 3 * d_in);
        for (int64_t t = 0, n = 1; t < n_tok; t += n, n = n * 2 + 1) { /* chunks of 1, 3, 7, ... */
            if (n > n_tok - t) n = n_tok - t;
            compute_matmul(&c, again + t * ldy, ldy, &w, x + t * ldx, ldx, n);
        }
        expect_same("chunks", again, got, n_tok * ldy);
        data_free();
    }
    assert_true(n_packed >= 13 * (int)COUNT(shapes));
    compute_fini(&c);
    compute_fini(&one);
}

/* Products of low rank on some rows of a batch: what ref says, the others untouched; the same bits with any number of threads, and for a row alone. */
static void test_low_rank(void **state) {
    (void)state;
    static const int64_t shapes[][4] = {{1, 1, 7, 5}, {1, 16, 2048, 3000}, {3, 40, 512, 1030}, {200, 8, 300, 513}, {100, 65, 1024, 700}};
    struct rng rng;
    rng_init(&rng, 9);
    struct compute many, one;
    assert_int_equal(compute_init(&many, 3, 2048, 200, NULL), SLM_OK);
    assert_int_equal(compute_init(&one, 1, 2048, 200, NULL), SLM_OK);
    for (size_t s = 0; s < COUNT(shapes); s++) {
        int64_t n = shapes[s][0], r = shapes[s][1], d_in = shapes[s][2], d_out = shapes[s][3], ldb = d_out + 3, n_row = 0;
        struct low_rank_row rows[200];
        float *a = data_normal(&rng, r * d_in, 0.1f), *b = data_normal(&rng, r * ldb, 1), *x = data_normal(&rng, n * d_in, 1), *h = data_floats(n * r);
        float *y = data_normal(&rng, n * d_out, 1), *got = data_copy(y, n * d_out), *again = data_copy(y, n * d_out), *alone = data_copy(y, n * d_out);
        struct low_rank p = {.a = a, .b = b, .r = r, .d_in = d_in, .d_out = d_out, .ldb = ldb};
        for (int64_t i = 0; i < n; i++)
            if (i % 7 < 3 || i + 1 == n) rows[n_row++] = (struct low_rank_row){(int32_t)i, 0.5f + (float)(i % 3)};
        compute_low_rank(&many, got, d_out, &p, 0.25f, x, d_in, rows, n_row, h);
        compute_low_rank(&one, again, d_out, &p, 0.25f, x, d_in, rows, n_row, h);
        expect_same("threads", got, again, n * d_out);
        for (int64_t i = 0; i < n_row; i++) compute_low_rank(&many, alone, d_out, &p, 0.25f, x, d_in, rows + i, 1, h);
        expect_same("alone", got, alone, n * d_out);
        for (int64_t i = 0, k = 0; i < n; i++) {
            bool is_in = k < n_row && rows[k].row == i;
            double scale = is_in ? 0.25 * (double)rows[k++].scale : 0;
            for (int64_t j = 0; j < d_out; j += is_in ? 97 : 1) {
                double sum = 0, size = 0;
                for (int64_t q = 0; q < r && is_in; q++) {
                    double narrow = 0;
                    for (int64_t e = 0; e < d_in; e++) narrow += (double)a[q * d_in + e] * (double)x[i * d_in + e];
                    sum += scale * narrow * (double)b[q * ldb + j];
                    size += fabs(scale * narrow * (double)b[q * ldb + j]) + 1e-3 * fabs((double)b[q * ldb + j]);
                }
                if (is_in) expect_near("low rank", j, got[i * d_out + j], (float)((double)y[i * d_out + j] + sum), 1e-4 * (size + 1));
                else expect_same("a row without", got + i * d_out + j, y + i * d_out + j, 1);
            }
        }
        data_free();
    }
    compute_fini(&many);
    compute_fini(&one);
}

static void test_scratch_is_what_the_plan_was_told(void **state) {
    (void)state;
    static const int64_t widths[] = {0, 1, 64, 1000, 4096, 8192, 8193, 100000};
    for (size_t i = 0; i < COUNT(widths); i++) {
        for (int n_threads = 0; n_threads <= 3; n_threads++) {
            struct compute c;
            assert_int_equal(compute_init(&c, n_threads, widths[i], 3, NULL), SLM_OK);
            assert_int_equal(compute_scratch_bytes(n_threads, widths[i], 3),
                             c.scratch_bytes * (size_t)pool_n_threads(c.pool) + c.acts_bytes);
            memset(c.scratch, 0x5a, c.scratch_bytes * (size_t)pool_n_threads(c.pool));
            memset(c.acts, 0x5a, c.acts_bytes);
            compute_fini(&c);
        }
    }
    assert_true(compute_scratch_bytes(2, INT64_MAX, 1) == SIZE_MAX);
    struct compute c;
    slm_err err;
    assert_int_equal(compute_init(&c, 1, INT64_MAX, 1, &err), SLM_E_NOMEM);
    assert_null(c.pool);
    assert_null(c.scratch);
}

static void test_isa_by_environment(void **state) {
    (void)state;
    struct compute c;
    slm_err err;
    char *old = getenv("SLM_CPU") ? strdup(getenv("SLM_CPU")) : NULL;
    setenv("SLM_CPU", "ref", 1);
    assert_int_equal(compute_init(&c, 1, 64, 1, &err), SLM_OK);
    assert_string_equal(c.ops.name[OPS_SLOT_matmul_f32], "ref");
    compute_fini(&c);
    setenv("SLM_CPU", "sse9", 1);
    assert_int_equal(compute_init(&c, 1, 64, 1, &err), SLM_E_USAGE);
    assert_non_null(strstr(err.msg, "SLM_CPU"));
    assert_non_null(strstr(err.msg, "\"sse9\""));
    assert_null(c.pool);
    unsetenv("SLM_CPU");
    assert_int_equal(compute_init(&c, 1, 64, 1, &err), SLM_OK);
    struct ops best;
    assert_int_equal(ops_build(&best, NULL, NULL), SLM_OK);
    assert_memory_equal(&best, &c.ops, sizeof best);
    compute_fini(&c);
    if (old) setenv("SLM_CPU", old, 1);
    free(old);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul_and_rows),
        cmocka_unit_test(test_packed_products),
        cmocka_unit_test(test_low_rank),
        cmocka_unit_test(test_scratch_is_what_the_plan_was_told),
        cmocka_unit_test(test_isa_by_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
