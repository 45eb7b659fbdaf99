/* test_invariance.c -- an output depends on its own inputs only, to the bit, in every ISA: not on its neighbours, on
 * where in the call it stands, or on the number of threads. Batching, chunked prefill and threads rest on this. */
#include "ops_data.h"


typedef void (*isa_fn)(const struct ops *o, struct rng *rng);

static void for_each_isa(isa_fn fn) {
    size_t n;
    const struct ops_isa *isa = ops_isa_rows(&n);
    for (size_t i = 0; i < n; i++) {
        struct ops o;
        if (ops_build(&o, isa[i].name, NULL) != SLM_OK) continue;
        struct rng rng;
        rng_init(&rng, 42);
        fn(&o, &rng);
        data_free();
    }
}

/* Whole products against each output alone, and against pieces of odd sizes. */
static void matmul_in(const struct ops *o, struct rng *rng) {
    static const int64_t shapes[][3] = {{13, 37, 257}, {6, 9, 1024}, {7, 35, 2103}, {1, 29, 100}, {4, 66, 16}};
    for (size_t s = 0; s < COUNT(shapes); s++) {
        int64_t n_tok = shapes[s][0], n_row = shapes[s][1], d = shapes[s][2];
        float *x = data_normal(rng, n_tok * d, 1), *w = data_normal(rng, n_row * d, 1);
        float *whole = data_floats(n_tok * n_row), *piece = data_floats(n_tok * n_row);
        o->matmul_f32(whole, n_row, w, d, x, d, n_tok, n_row, d);
        for (int64_t i = 0; i < n_tok * n_row; i++)
            o->matmul_f32(&piece[i], 1, w + i % n_row * d, d, x + i / n_row * d, d, 1, 1, d);
        expect_same("output alone", piece, whole, n_tok * n_row);
        for (int64_t n_t = 1; n_t <= 8; n_t += 1) {
            int64_t n_r = 1 + (n_t * 5) % 11;
            for (int64_t t = 0; t < n_tok; t += n_t) {
                for (int64_t r = 0; r < n_row; r += n_r) {
                    o->matmul_f32(piece + t * n_row + r, n_row, w + r * d, d, x + t * d, d,
                                  n_tok - t < n_t ? n_tok - t : n_t, n_row - r < n_r ? n_row - r : n_r, d);
                }
            }
            expect_same("pieces", piece, whole, n_tok * n_row);
        }
    }
}

/* Element-wise slots: a whole call against each element alone; norm: against each row alone. */
static void elements_in(const struct ops *o, struct rng *rng) {
    enum { N = 77 };
    float *a = data_extreme(rng, N, 50), *b = data_normal(rng, N, 1);
    float *whole = data_copy(a, N), *alone = data_copy(a, N);
    o->silu_mul(whole, b, N);
    for (int64_t i = 0; i < N; i++) o->silu_mul(&alone[i], &b[i], 1);
    expect_same("silu_mul alone", alone, whole, N);
    o->add(whole, b, 0.75f, N);
    for (int64_t i = 0; i < N; i++) o->add(&alone[i], &b[i], 0.75f, 1);
    expect_same("add alone", alone, whole, N);

    float *x = data_normal(rng, 5 * N, 1), *rows = data_floats(5 * N), *row = data_floats(5 * N);
    o->rms_norm(rows, x, b, 5, N, 1e-6f);
    for (int64_t r = 0; r < 5; r++) o->rms_norm(row + r * N, x + r * N, b, 1, N, 1e-6f);
    expect_same("rms_norm alone", row, rows, 5 * N);
}

static void test_matmul(void **state) {
    (void)state;
    for_each_isa(matmul_in);
}

static void test_elements(void **state) {
    (void)state;
    for_each_isa(elements_in);
}

/* Everything that the threads compute, one array each. */
enum { N_TOK = 37, D_IN = 512, D_OUT = 203 };
struct results {
    float *y[2 * DTYPE_COUNT][2]; /* matmul with N_TOK tokens and with one */
    float *rows[DTYPE_COUNT], *norm, *gate, *sum;
};

struct inputs {
    struct weight w[2 * DTYPE_COUNT]; /* as in a file; packed */
    float *x, *norm_w, *long_a, *long_b;
    int32_t ids[N_TOK];
};
enum { N_LONG = 50000 };

static void inputs_make(struct inputs *in, struct rng *rng) {
    for (int t = 0; t < DTYPE_COUNT; t++) {
        /* f32 off its alignment in this test; in place in test_compute. */
        in->w[t] = data_weight(rng, (enum dtype)t, D_OUT, D_IN, 1);
        in->w[DTYPE_COUNT + t] = data_packed(in->w[t]);
    }
    in->x = data_normal(rng, N_TOK * D_IN, 1);
    in->norm_w = data_normal(rng, D_IN, 1);
    in->long_a = data_normal(rng, N_LONG, 1);
    in->long_b = data_normal(rng, N_LONG, 1);
    for (int i = 0; i < N_TOK; i++) in->ids[i] = (int32_t)(rng_u64(rng) % D_OUT);
}

static void compute_all(struct compute *c, const struct inputs *in, struct results *out) {
    for (int t = 0; t < 2 * DTYPE_COUNT; t++) {
        for (int one = 0; one < 2; one++) {
            int64_t n = one ? 1 : N_TOK;
            out->y[t][one] = data_floats(n * D_OUT);
            compute_matmul(c, out->y[t][one], D_OUT, &in->w[t], in->x, D_IN, n);
        }
        if (t >= DTYPE_COUNT) continue;
        out->rows[t] = data_floats(N_TOK * D_IN);
        compute_get_rows(c, out->rows[t], &in->w[t], in->ids, N_TOK);
    }
    out->norm = data_floats(N_TOK * D_IN);
    compute_rms_norm(c, out->norm, in->x, in->norm_w, N_TOK, D_IN, 1e-5f);
    out->gate = data_copy(in->long_a, N_LONG);
    compute_act_mul(c, ACT_SILU, out->gate, in->long_b, N_LONG);
    out->sum = data_copy(in->long_a, N_LONG);
    compute_add(c, out->sum, in->long_b, 0.75f, N_LONG);
}

static void expect_same_results(const struct results *a, const struct results *b) {
    for (int t = 0; t < 2 * DTYPE_COUNT; t++) {
        expect_same("compute_matmul", a->y[t][0], b->y[t][0], N_TOK * D_OUT);
        expect_same("compute_matmul, one token", a->y[t][1], b->y[t][1], D_OUT);
        expect_same("compute_matmul, first token of many", a->y[t][0], b->y[t][1], D_OUT);
        if (t < DTYPE_COUNT) expect_same("compute_get_rows", a->rows[t], b->rows[t], N_TOK * D_IN);
    }
    expect_same("compute_rms_norm", a->norm, b->norm, N_TOK * D_IN);
    expect_same("compute_silu_mul", a->gate, b->gate, N_LONG);
    expect_same("compute_add", a->sum, b->sum, N_LONG);
}

/* 1, 2, 3 and 5 threads, twice each, must give the same bits. */
static void threads_in(const struct ops *o, struct rng *rng) {
    static const int n_threads[] = {1, 2, 2, 3, 3, 5};
    struct inputs in;
    struct results first, next;
    inputs_make(&in, rng);
    for (size_t i = 0; i < COUNT(n_threads); i++) {
        struct compute c;
        assert_int_equal(compute_init(&c, n_threads[i], D_IN, N_TOK, NULL), SLM_OK);
        c.ops = *o;
        compute_all(&c, &in, i == 0 ? &first : &next);
        if (i > 0) expect_same_results(&first, &next);
        compute_fini(&c);
    }
}

static void test_threads(void **state) {
    (void)state;
    for_each_isa(threads_in);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
