/* test_panel.c -- packed panels: nothing is lost in packing, and every ISA multiplies them to the same bits as ref. */
#include "ops_data.h"

/* Every table of this CPU but ref. */
static size_t isas(struct ops out[8], const char *names[8]) {
    size_t n_isa, n = 0;
    const struct ops_isa *isa = ops_isa_rows(&n_isa);
    assert_true(n_isa <= 8);
    for (size_t i = 1; i < n_isa; i++) {
        if (ops_build(&out[n], isa[i].name, NULL) != SLM_OK) continue;
        names[n++] = isa[i].name;
    }
    return n;
}

static struct ops ref_table(void) {
    struct ops ref;
    assert_int_equal(ops_build(&ref, "ref", NULL), SLM_OK);
    return ref;
}

static void *aligned(size_t n) {
    uint8_t *p = data_bytes(n + 64, 0);
    return p + (64 - (uintptr_t)p % 64) % 64;
}

/* Widths: whole blocks of 256; with a shorter last one where the type allows. */
static int64_t width_of(enum dtype type, int i) {
    static const int64_t wide[] = {256, 1024, 512}, narrow[] = {32, 288, 224 + 512};
    return dtype_get(type)->block_elems == 256 ? wide[i] : narrow[i];
}

struct matrix {
    const struct pack_desc *p;
    uint8_t *rows, *panels;
    int64_t d_out, d_in, row_bytes;
};

static struct matrix matrix_make(struct rng *rng, enum dtype type, int64_t d_out, int64_t d_in) {
    struct matrix m = {.p = pack_get(type), .d_out = d_out, .d_in = d_in};
    uint64_t row_bytes;
    assert_true(dtype_row_bytes(type, (uint64_t)d_in, &row_bytes));
    m.row_bytes = (int64_t)row_bytes;
    m.rows = data_encoded(rng, type, d_out * d_in, 1);
    m.panels = aligned(pack_bytes(m.p, d_out, d_in));
    for (int64_t r = 0; r < d_out; r += PANEL_ROWS) {
        int64_t n = d_out - r < PANEL_ROWS ? d_out - r : PANEL_ROWS;
        pack_panel(m.p, m.panels + (size_t)(r / PANEL_ROWS) * pack_panel_bytes(m.p, d_in), m.rows + r * m.row_bytes, m.row_bytes, n, d_in);
    }
    return m;
}

/* One weight from an unpacked block. */
static float level_of(const struct panel *p, int64_t row, int64_t k) {
    int64_t at = k / p->desc->group * PANEL_ROWS + row;
    int code = p->codes[(k / 4 * PANEL_ROWS + row) * 4 + k % 4];
    if (p->desc->offset_shift >= 0) code -= 1 << p->desc->offset_shift;
    return p->desc->has_min ? p->scale[at] * (float)code + p->min[at] : p->scale[at] * (float)code;
}

static void test_packing_loses_nothing(void **state) {
    (void)state;
    struct ops ref = ref_table();
    struct rng rng;
    rng_init(&rng, 11);
    int n_packed = 0;
    for (int type = 0; type < DTYPE_COUNT; type++) {
        if (!pack_get((enum dtype)type)) continue;
        n_packed++;
        assert_int_equal(pack_get((enum dtype)type)->dtype, type);
        assert_non_null(dtype_get((enum dtype)type)->to_codes);
        for (int i = 0; i < 3; i++) {
            int64_t d_in = width_of((enum dtype)type, i), d_out = i == 0 ? 64 : 64 + 37;
            struct matrix m = matrix_make(&rng, (enum dtype)type, d_out, d_in);
            assert_int_equal(pack_panel_bytes(m.p, d_in), PANEL_ROWS * m.row_bytes);
            struct panel_buf *buf = aligned(sizeof *buf);
            float *row = data_floats(d_in);
            for (int64_t r = 0; r < d_out; r++) {
                dtype_get((enum dtype)type)->to_f32(row, m.rows + r * m.row_bytes, d_in);
                const uint8_t *block = m.panels + (size_t)(r / PANEL_ROWS) * pack_panel_bytes(m.p, d_in);
                for (int64_t k0 = 0; k0 < d_in; k0 += PANEL_K) {
                    struct panel p;
                    int64_t n_k = d_in - k0 < PANEL_K ? d_in - k0 : PANEL_K;
                    if (r % 16 == 0 || r % PANEL_ROWS == PANEL_ROWS - 1 || r == d_out - 1) { /* some rows: ref is slow */
                        ref.panel_unpack(&p, buf, m.p, block, n_k);
                        for (int64_t k = 0; k < n_k; k++) {
                            float got = level_of(&p, r % PANEL_ROWS, k), want = row[k0 + k];
                            if (got != want) fail_msg("%s: row %lld, element %lld: %a, expected %a", dtype_get((enum dtype)type)->name, (long long)r, (long long)(k0 + k), (double)got, (double)want);
                            assert_true(p.codes[(k / 4 * PANEL_ROWS + r % PANEL_ROWS) * 4 + k % 4] <= m.p->code_max);
                        }
                    }
                    block += pack_block_bytes(m.p, n_k);
                }
            }
            data_free();
        }
    }
    assert_true(n_packed >= 13);
}

static struct acts acts_make(const struct ops *o, const float *x, int64_t n_tok, int64_t d) {
    int8_t *q = data_bytes((size_t)(n_tok * d), 0);
    struct act_group *g = aligned((size_t)(n_tok * d / ACT_GROUP) * sizeof *g);
    for (int64_t t = 0; t < n_tok; t++) o->act_quantize(q + t * d, g + t * d / ACT_GROUP, x + t * d, d);
    return (struct acts){q, g, d, d / ACT_GROUP};
}

static void test_activations_are_bit_equal(void **state) {
    (void)state;
    struct ops ref = ref_table(), t[8];
    const char *names[8];
    size_t n = isas(t, names);
    struct rng rng;
    rng_init(&rng, 12);
    for (int round = 0; round < 40; round++) {
        int64_t d = 32 * (1 + round % 5);
        float *x = data_extreme(&rng, d, round % 3 ? 100.0f : 3e38f);
        if (round % 8 == 3) x[5] = NAN;
        if (round % 8 == 5) x[d - 1] = -INFINITY;
        if (round % 8 == 7) for (int64_t i = 0; i < 32; i++) x[i] = i % 2 ? 1e-40f : -0.0f;
        struct acts want = acts_make(&ref, x, 1, d);
        for (size_t v = 0; v < n; v++) {
            struct acts got = acts_make(&t[v], x, 1, d);
            assert_memory_equal(got.q, want.q, (size_t)d);
            for (int64_t g = 0; g < d / ACT_GROUP; g++) {
                assert_memory_equal(got.groups[g].minus_sum, want.groups[g].minus_sum, sizeof want.groups[g].minus_sum);
                expect_same(names[v], &got.groups[g].scale, &want.groups[g].scale, 1);
                expect_same(names[v], &got.groups[g].scaled_sum, &want.groups[g].scaled_sum, 1);
            }
        }
        for (int64_t i = 0; i < d; i++) { /* nearest: off by at most half a step */
            const struct act_group *g = &want.groups[i / ACT_GROUP];
            if (isfinite(g->scale)) expect_near("act_quantize", i, (float)want.q[i] * g->scale, x[i], 0.5001 * (double)g->scale + 1e-30);
        }
        data_free();
    }
}

/* Random bits are blocks as well: every field at every value. Scales are kept finite. */
static void test_every_isa_unpacks_the_same(void **state) {
    (void)state;
    struct ops ref = ref_table(), t[8];
    const char *names[8];
    size_t n = isas(t, names);
    struct rng rng;
    rng_init(&rng, 13);
    for (int type = 0; type < DTYPE_COUNT; type++) {
        const struct pack_desc *p = pack_get((enum dtype)type);
        if (!p) continue;
        for (int i = 0; i < 3; i++) {
            int64_t n_k = dtype_get((enum dtype)type)->block_elems == 256 ? 256 : 32 * (1 + 3 * i);
            size_t bytes = pack_block_bytes(p, n_k);
            uint8_t *src = aligned(bytes);
            for (size_t b = 0; b < bytes; b++) src[b] = (uint8_t)rng_u64(&rng);
            struct panel_buf *a = aligned(sizeof *a), *b = aligned(sizeof *b);
            struct panel want, got;
            ref.panel_unpack(&want, a, p, src, n_k);
            for (size_t v = 0; v < n; v++) {
                t[v].panel_unpack(&got, b, p, src, n_k);
                assert_ptr_equal(got.desc, p);
                assert_int_equal(got.n_k, n_k);
                assert_memory_equal(got.codes, want.codes, (size_t)n_k * PANEL_ROWS);
                expect_same(names[v], got.scale, want.scale, n_k / p->group * PANEL_ROWS);
                if (p->has_min) expect_same(names[v], got.min, want.min, n_k / p->group * PANEL_ROWS);
            }
            data_free();
        }
    }
}

/* Products of whole rows, n_tok tokens at once, blocks one after the other. */
static void product(const struct ops *o, float *y, const struct matrix *m, const struct acts *a, int64_t n_tok) {
    struct panel_buf *buf = aligned(sizeof *buf);
    const uint8_t *block = m->panels;
    for (int64_t k = 0; k < m->d_in; k += PANEL_K) {
        struct panel p;
        int64_t n_k = m->d_in - k < PANEL_K ? m->d_in - k : PANEL_K;
        struct acts at = {a->q + k, a->groups + k / ACT_GROUP, a->ldq, a->ldg};
        o->panel_unpack(&p, buf, m->p, block, n_k);
        o->panel_dot(y, PANEL_ROWS + 1, &p, &at, n_tok, k == 0);
        block += pack_block_bytes(m->p, n_k);
    }
}

/* Of whole panels, 1 to n_max tokens from any on; want [n_max, PANEL_ROWS + 1]. */
static void few_tokens(const struct ops *o, const char *name, const struct matrix *m, const struct acts *a, const float *want, int64_t n_max) {
    enum { LDY = PANEL_ROWS + 1 };
    float *got = data_floats(n_max * LDY);
    int8_t *q = data_bytes((size_t)(n_max * m->d_in), 0);
    struct act_group *groups = aligned((size_t)(n_max * m->d_in / ACT_GROUP) * sizeof *groups);
    for (int64_t n = 1; n <= n_max; n++)
        for (int64_t t0 = 0; t0 + n <= n_max; t0 += n) {
            for (int64_t k = 0; k < m->d_in; k += PANEL_K)
                for (int64_t t = 0; t < n; t++) {
                    int64_t n_k = m->d_in - k < PANEL_K ? m->d_in - k : PANEL_K, at = k * n + t * n_k;
                    memcpy(q + at, a->q + (t0 + t) * a->ldq + k, (size_t)n_k);
                    memcpy(groups + at / ACT_GROUP, a->groups + (t0 + t) * a->ldg + k / ACT_GROUP, (size_t)(n_k / ACT_GROUP) * sizeof *groups);
                }
            struct acts_few few = {q, groups, n, m->d_in};
            for (int64_t j = 0; j < n * LDY; j++) got[j] = 5; /* what lies between rows stays */
            o->panel_few(got, LDY, m->p, m->panels, &few);
            expect_same(name, got, want + t0 * LDY, n * LDY);
        }
}

static void test_products_are_bit_equal(void **state) {
    (void)state;
    struct ops ref = ref_table(), t[8];
    const char *names[8];
    size_t n = isas(t, names);
    struct rng rng;
    rng_init(&rng, 14);
    enum { N_TOK = PANEL_FEW, LDY = PANEL_ROWS + 1 };
    for (int type = 0; type < DTYPE_COUNT; type++) {
        if (!pack_get((enum dtype)type)) continue;
        for (int i = 0; i < 3; i++) {
            int64_t d = width_of((enum dtype)type, i);
            struct matrix m = matrix_make(&rng, (enum dtype)type, PANEL_ROWS, d);
            float *x = data_normal(&rng, N_TOK * d, 3), *want = data_floats(N_TOK * LDY), *got = data_floats(N_TOK * LDY);
            if (i == 1) x[d] = NAN; /* poisons token 1 alone */
            struct acts a = acts_make(&ref, x, N_TOK, d);
            for (int64_t j = 0; j < N_TOK * LDY; j++) want[j] = got[j] = 5;
            product(&ref, want, &m, &a, N_TOK);
            for (int64_t r = 0; r < PANEL_ROWS; r++) assert_true((i == 1) == (bool)isnan(want[LDY + r]));
            for (int64_t r = 0; r < PANEL_ROWS; r++) { /* and near the product of floats: half a step of every activation */
                float row[1024];
                double exact = 0, size = 0;
                dtype_get((enum dtype)type)->to_f32(row, m.rows + r * m.row_bytes, d);
                for (int64_t k = 0; k < d; k++) {
                    exact += (double)row[k] * (double)x[k];
                    size += fabs((double)row[k]) * (0.501 * (double)a.groups[k / ACT_GROUP].scale + 1e-6 * fabs((double)x[k]));
                }
                expect_near(dtype_get((enum dtype)type)->name, r, want[r], (float)exact, size + 1e-30);
            }
            for (size_t v = 0; v < n; v++) {
                for (int64_t n_tok = 1; n_tok <= N_TOK; n_tok++) {
                    product(&t[v], got, &m, &a, n_tok);
                    expect_same(names[v], got, want, n_tok * LDY);
                }
                if (t[v].panel_few) few_tokens(&t[v], names[v], &m, &a, want, N_TOK);
            }
            data_free();
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing_loses_nothing),
        cmocka_unit_test(test_activations_are_bit_equal),
        cmocka_unit_test(test_every_isa_unpacks_the_same),
        cmocka_unit_test(test_products_are_bit_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
