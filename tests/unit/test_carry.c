/* Carried rounding: less output error than plain rounding under every type that can, rows that know nothing of each other, moments
 * that are refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "format/carry.h"
#include "test.h"

#define D_IN 768
#define N_TOK 1024
#define N_ROW 19
#define WIDTH 512 /* two parts, of which the last is narrower */

static float inputs[N_TOK * D_IN], outer[D_IN * WIDTH], importance[D_IN], rows[N_ROW * D_IN];
static struct rng rng;

/* Inputs of rank a quarter of their width, and a little noise; some columns larger than others. */
static int setup(void **state) {
    static float mix[D_IN * D_IN / 4], z[D_IN / 4];
    (void)state;
    rng_init(&rng, 11);
    for (int i = 0; i < D_IN * D_IN / 4; i++) mix[i] = rng_normal(&rng) / 14;
    for (int t = 0; t < N_TOK; t++) {
        for (int k = 0; k < D_IN / 4; k++) z[k] = rng_normal(&rng);
        for (int j = 0; j < D_IN; j++) {
            float sum = 0.3f * rng_normal(&rng);
            for (int k = 0; k < D_IN / 4; k++) sum += mix[j * (D_IN / 4) + k] * z[k];
            inputs[t * D_IN + j] = sum * (j % 7 == 0 ? 3.0f : 1.0f);
        }
    }
    for (int j = 0; j < D_IN; j++) {
        for (int t = 0; t < N_TOK; t++) importance[j] += inputs[t * D_IN + j] * inputs[t * D_IN + j] / N_TOK;
    }
    for (int i = 0; i < N_ROW * D_IN; i++) rows[i] = rng_normal(&rng) * 0.05f;
    carry_add(outer, WIDTH, inputs, N_TOK, D_IN, 0, D_IN);
    return 0;
}

static double output_error(const struct dtype_desc *d, const uint8_t *q) {
    static float y[D_IN];
    size_t row_bytes = (size_t)(D_IN / d->block_elems) * d->block_bytes;
    double error = 0;
    for (int r = 0; r < N_ROW; r++) {
        d->to_f32(y, q + (size_t)r * row_bytes, D_IN);
        for (int t = 0; t < N_TOK; t++) {
            double off = 0;
            for (int j = 0; j < D_IN; j++) off += ((double)rows[r * D_IN + j] - (double)y[j]) * (double)inputs[t * D_IN + j];
            error += off * off;
        }
    }
    return error;
}

static void encode(const struct carry *c, const struct dtype_desc *d, int first, int n, uint8_t *dst) {
    size_t row_bytes = (size_t)(D_IN / d->block_elems) * d->block_bytes;
    void *scratch = malloc(carry_scratch_bytes(d, D_IN));
    assert_non_null(scratch);
    for (int r = first; r < first + n; r += CARRY_ROWS) {
        int some = first + n - r < CARRY_ROWS ? first + n - r : CARRY_ROWS;
        carry_encode(c, d, rows + (size_t)r * D_IN, some, importance, dst + (size_t)r * row_bytes, scratch);
    }
    free(scratch);
}

static void test_less_output_error(void **state) {
    static uint8_t plain[N_ROW * D_IN * 4], carried[N_ROW * D_IN * 4], again[N_ROW * D_IN * 4];
    struct carry *c;
    slm_err err;
    int n_type = 0;
    (void)state;
    assert_int_equal(carry_create(outer, D_IN, WIDTH, N_TOK, 0.05, &c, &err), SLM_OK);
    for (int i = 0; i < DTYPE_COUNT; i++) {
        const struct dtype_desc *d = dtype_get((enum dtype)i);
        if (!carry_can(d) || !carry_fits(d, D_IN, WIDTH)) continue;
        size_t row_bytes = (size_t)(D_IN / d->block_elems) * d->block_bytes;
        for (int r = 0; r < N_ROW; r++) d->from_f32(plain + (size_t)r * row_bytes, rows + (size_t)r * D_IN, D_IN, importance);
        encode(c, d, 0, N_ROW, carried);
        double before = output_error(d, plain), after = output_error(d, carried);
        if (!(after < 0.8 * before)) fail_msg("%s: output error %g, plain %g", d->name, after, before);
        /* The same rows in other company. */
        encode(c, d, 3, 7, again);
        assert_memory_equal(again + 3 * row_bytes, carried + 3 * row_bytes, 7 * row_bytes);
        n_type++;
    }
    assert_true(n_type >= 17);
    carry_destroy(c);
}

/* How much of the outputs is left: y X . x X over |x X|^2. */
static double output_length(const struct dtype_desc *d, const uint8_t *q) {
    static float y[D_IN];
    size_t row_bytes = (size_t)(D_IN / d->block_elems) * d->block_bytes;
    double along = 0, norm = 0;
    for (int r = 0; r < N_ROW; r++) {
        d->to_f32(y, q + (size_t)r * row_bytes, D_IN);
        for (int t = 0; t < N_TOK; t++) {
            double is = 0, was = 0;
            for (int j = 0; j < D_IN; j++) {
                is += (double)y[j] * (double)inputs[t * D_IN + j];
                was += (double)rows[r * D_IN + j] * (double)inputs[t * D_IN + j];
            }
            along += is * was;
            norm += was * was;
        }
    }
    return along / norm;
}

/* Types of few bits shrink outputs by 2 to 8 % when left to least squares. */
static void test_outputs_keep_their_length(void **state) {
    static const enum dtype few[] = {DTYPE_Q2_K, DTYPE_Q3_K, DTYPE_IQ2_XXS, DTYPE_IQ2_XS, DTYPE_IQ2_S, DTYPE_IQ3_XXS, DTYPE_IQ3_S};
    static uint8_t q[N_ROW * D_IN * 4];
    struct carry *c;
    slm_err err;
    (void)state;
    assert_int_equal(carry_create(outer, D_IN, WIDTH, N_TOK, 0.05, &c, &err), SLM_OK);
    for (size_t i = 0; i < sizeof few / sizeof *few; i++) {
        const struct dtype_desc *d = dtype_get(few[i]);
        encode(c, d, 0, N_ROW, q);
        double length = output_length(d, q);
        if (!(fabs(length - 1) < 0.01)) fail_msg("%s: outputs of %g of their length", d->name, length);
    }
    carry_destroy(c);
}

static void test_codes_come_back(void **state) {
    static uint8_t q[D_IN * 4], other[D_IN * 4], code[256], back[256];
    (void)state;
    for (int i = 0; i < DTYPE_COUNT; i++) {
        const struct dtype_desc *d = dtype_get((enum dtype)i);
        if (!d->put_codes || !d->to_codes) continue;
        d->from_f32(q, rows, d->block_elems, NULL);
        memcpy(other, q, d->block_bytes);
        for (uint32_t j = 0; j < d->block_elems; j++) code[j] = (uint8_t)(rng_u64(&rng) % d->n_code);
        d->put_codes(other, code);
        d->to_codes(back, other, d->block_elems);
        assert_memory_equal(back, code, d->block_elems);
        d->to_codes(code, q, d->block_elems);
        d->put_codes(other, code);
        assert_memory_equal(other, q, d->block_bytes);
    }
}

static void test_passes_change_nothing(void **state) {
    static float in_parts[D_IN * WIDTH];
    (void)state;
    for (int t = 0; t < N_TOK;) {
        int n = t % 3 == 0 ? 1 : 37;
        if (n > N_TOK - t) n = N_TOK - t;
        carry_add(in_parts, WIDTH, inputs + (size_t)t * D_IN, n, D_IN, 0, 300);
        carry_add(in_parts, WIDTH, inputs + (size_t)t * D_IN, n, D_IN, 300, D_IN);
        t += n;
    }
    assert_memory_equal(in_parts, outer, sizeof outer);
}

static void test_moments_that_are_none(void **state) {
    static float bad[D_IN * WIDTH];
    struct carry *c;
    slm_err err;
    (void)state;
    memcpy(bad, outer, sizeof bad);
    bad[5 * WIDTH + 3] = 1e9f; /* more than any two inputs can go together */
    assert_int_equal(carry_create(bad, D_IN, WIDTH, N_TOK, 0.05, &c, &err), SLM_E_FORMAT);
    assert_null(c);
    memcpy(bad, outer, sizeof bad);
    bad[700 * WIDTH + 700 % WIDTH] = -1e9f;
    assert_int_equal(carry_create(bad, D_IN, WIDTH, N_TOK, 0.05, &c, &err), SLM_E_FORMAT);
    memset(bad, 0, sizeof bad); /* inputs that are never anything: nothing to carry, nothing to divide by */
    assert_int_equal(carry_create(bad, D_IN, WIDTH, N_TOK, 0.05, &c, &err), SLM_OK);
    carry_destroy(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_less_output_error),
        cmocka_unit_test(test_outputs_keep_their_length),
        cmocka_unit_test(test_codes_come_back),
        cmocka_unit_test(test_passes_change_nothing),
        cmocka_unit_test(test_moments_that_are_none),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
