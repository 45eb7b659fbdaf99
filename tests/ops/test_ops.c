/* test_ops.c -- every slot of every ISA that this CPU has, against ref.
 *
 * Recipe for a new op: a check function and a row below. A slot without a row fails the walk. */
#include "ops_attention.h"
#include "ops_data.h"

static const int64_t lengths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 255, 257, 1000};

struct slot_row {
    int slot;
    void (*check)(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng);
    const char *tolerance;
    const char *why;
};

static void check_matmul(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    static const struct {
        int64_t n_tok, n_row, d_in;
    } shapes[] = {{1, 1, 1},    {1, 3, 7},    {1, 8, 65},   {1, 17, 100}, {2, 5, 15},   {3, 4, 16},   {4, 7, 17},
                  {5, 33, 31},  {6, 64, 64},  {7, 65, 63},  {12, 3, 255}, {13, 31, 65}, {31, 15, 33}, {64, 32, 257},
                  {1, 9, 1024}, {7, 5, 1024}, {3, 6, 1025}, {8, 4, 2100}, {1, 8, 2100}, {100, 2, 3},  {6, 1, 3073}};
    (void)i_slot;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        int64_t n_tok = shapes[s].n_tok, n_row = shapes[s].n_row, d = shapes[s].d_in;
        int64_t ldx = d + 3, ldw = d + 1, ldy = n_row + 2;
        float *x = data_extreme(rng, n_tok * ldx, 1e4f);
        float *w = data_extreme(rng, n_row * ldw, 1e3f);
        float *got = data_floats(n_tok * ldy), *want = data_floats(n_tok * ldy);
        for (int64_t i = 0; i < n_tok * ldy; i++) got[i] = want[i] = -7.5f;
        fast->matmul_f32(got, ldy, w, ldw, x, ldx, n_tok, n_row, d);
        ref->matmul_f32(want, ldy, w, ldw, x, ldx, n_tok, n_row, d);
        for (int64_t i = 0; i < n_tok * ldy; i++) {
            int64_t t = i / ldy, r = i % ldy;
            double magnitude = 0;
            for (int64_t k = 0; r < n_row && k < d; k++)
                magnitude += fabs((double)x[t * ldx + k] * (double)w[r * ldw + k]);
            /* Between the rows, where r >= n_row, nothing may be written: magnitude is 0. */
            expect_near("matmul_f32", i, got[i], want[i], ((double)d / 8 + 5) * EPS * magnitude);
        }
        data_free();
    }
}

static void check_matmul_half(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    static const int64_t shapes[][3] = {{1, 1, 1}, {1, 9, 7}, {1, 13, 65}, {2, 5, 15}, {3, 4, 16}, {4, 7, 17}, {5, 33, 31}, {6, 8, 64}, {7, 6, 63}, {12, 3, 255}, {1, 20, 1000}};
    (void)ref, (void)i_slot;
    for (size_t s = 0; fast->matmul_half && s < 2 * COUNT(shapes); s++) {
        const enum dtype type = s % 2 ? DTYPE_BF16 : DTYPE_F16;
        int64_t n_tok = shapes[s / 2][0], n_row = shapes[s / 2][1], d = shapes[s / 2][2], ldx = d + 3, ldy = n_row + 2;
        struct weight w = data_weight(rng, type, n_row, d, s % 3);
        float *dense = data_floats(n_row * d), *x = data_extreme(rng, n_tok * ldx, 1e4f), *got = data_floats(n_tok * ldy), *want = data_floats(n_tok * ldy);
        for (int64_t i = 0; i < n_tok * ldy; i++) got[i] = want[i] = -7.5f;
        fast->to_f32[type](dense, w.data, n_row * d);
        fast->matmul_f32(want, ldy, dense, d, x, ldx, n_tok, n_row, d);
        fast->matmul_half(got, ldy, &(struct half_weight){w.data, w.row_bytes, d, type == DTYPE_BF16}, x, ldx, n_tok, n_row);
        expect_same("matmul_half", got, want, n_tok * ldy);
        data_free();
    }
}

static void check_rms_norm(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    (void)i_slot;
    for (size_t s = 0; s < COUNT(lengths); s++) {
        int64_t d = lengths[s], n_row = 3;
        float *x = data_extreme(rng, n_row * d, 1e15f), *w = data_normal(rng, d, 2);
        float *got = data_floats(n_row * d), *want = data_floats(n_row * d);
        fast->rms_norm(got, x, w, n_row, d, 1e-5f);
        ref->rms_norm(want, x, w, n_row, d, 1e-5f);
        for (int64_t i = 0; i < n_row * d; i++)
            expect_near("rms_norm", i, got[i], want[i], 3 * EPS * fabs((double)want[i]) + 1e-44);
        fast->rms_norm(x, x, w, n_row, d, 1e-5f); /* in place */
        expect_same("rms_norm in place", x, got, n_row * d);
        data_free();
    }
}

static void check_add(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    (void)i_slot;
    for (size_t s = 0; s < COUNT(lengths); s++) {
        int64_t n = lengths[s];
        float *x = data_extreme(rng, n, 3e38f), *y = data_extreme(rng, n, 3e38f), *want = data_copy(x, n);
        fast->add(x, y, 0.75f, n);
        ref->add(want, y, 0.75f, n);
        expect_same("add", x, want, n);
        data_free();
    }
}

static void check_silu_mul(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    static const float larges[] = {5, 90, 120, 1e30f};
    (void)i_slot;
    for (size_t s = 0; s < COUNT(lengths) * COUNT(larges); s++) {
        int64_t n = lengths[s / COUNT(larges)];
        float *gate = data_extreme(rng, n, larges[s % COUNT(larges)]), *up = data_extreme(rng, n, 100);
        float *want = data_copy(gate, n);
        fast->silu_mul(gate, up, n);
        ref->silu_mul(want, up, n);
        /* Below -88.7 the exponential overflows to infinity and silu to -0, which is off by at most 3e-37. */
        for (int64_t i = 0; i < n; i++) {
            expect_near("silu_mul", i, gate[i], want[i],
                        10 * EPS * fabs((double)want[i]) + 3e-37 * fabs((double)up[i]) + 1e-44);
        }
        data_free();
    }
}

static void check_sigmoid_mul(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    static const float larges[] = {5, 90, 1e30f};
    (void)i_slot;
    for (size_t s = 0; s < COUNT(lengths) * COUNT(larges); s++) {
        int64_t n = lengths[s / COUNT(larges)];
        float *gate = data_extreme(rng, n, larges[s % COUNT(larges)]), *x = data_extreme(rng, n, 100), *want = data_copy(x, n);
        float *size = data_copy(x, n);
        fast->sigmoid_mul(x, gate, n);
        ref->sigmoid_mul(want, gate, n);
        for (int64_t i = 0; i < n; i++)
            expect_near("sigmoid_mul", i, x[i], want[i], 10 * EPS * fabs((double)want[i]) + 3e-37 * fabs((double)size[i]) + 1e-44);
        data_free();
    }
}

static void check_conv_step(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    (void)i_slot;
    for (size_t s = 0; s < COUNT(lengths); s++) {
        int64_t n = lengths[s], k = 1 + (int64_t)s % 5, ld = n + (int64_t)s % 3, n_hist = (k - 1) * ld + 1;
        float *hist = data_normal(rng, n_hist, 2), *want_hist = data_copy(hist, n_hist), *x = data_normal(rng, n, 2), *w = data_normal(rng, n * k, 1);
        float *got = data_floats(n), *want = data_floats(n);
        fast->conv_step(got, hist, ld, x, w, n, k);
        ref->conv_step(want, want_hist, ld, x, w, n, k);
        expect_same("conv_step history", hist, want_hist, n_hist);
        for (int64_t i = 0; i < n; i++) expect_near("conv_step", i, got[i], want[i], (double)(k + 2) * EPS * 50);
        data_free();
    }
}

static void check_delta_step(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    (void)i_slot;
    for (size_t n = 0; n < COUNT(lengths) - 1; n++) {
        int64_t d_v = lengths[n], d_k = lengths[(n * 7) % (COUNT(lengths) - 1)];
        float *s = data_normal(rng, d_k * d_v, 2), *want_s = data_copy(s, d_k * d_v), *q = data_normal(rng, d_k, 1);
        float *k = data_normal(rng, d_k, 1), *v = data_normal(rng, d_v, 2), *got = data_floats(d_v), *want = data_floats(d_v);
        double q_size = 0, k_size = 0, k_max = 0;
        for (int64_t i = 0; i < d_k; i++) {
            q_size += fabs((double)q[i]);
            k_size += fabs((double)k[i]);
            k_max = fmax(k_max, fabs((double)k[i]));
        }
        double lack_error = ((double)d_k + 4) * EPS * (k_size * 12 + 12), s_error = lack_error * k_max + 4 * EPS * (12 + k_max * k_size * 12);
        fast->delta_step(got, s, q, k, v, 0.9f, 0.7f, d_k, d_v);
        ref->delta_step(want, want_s, q, k, v, 0.9f, 0.7f, d_k, d_v);
        for (int64_t i = 0; i < d_k * d_v; i++) expect_near("delta_step state", i, s[i], want_s[i], s_error);
        for (int64_t i = 0; i < d_v; i++)
            expect_near("delta_step", i, got[i], want[i], q_size * s_error + ((double)d_k + 4) * EPS * q_size * (12 + k_max * (k_size * 12 + 12)));
        data_free();
    }
}

static void check_rank_add(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    (void)i_slot;
    for (size_t s = 0; s < COUNT(lengths); s++) {
        int64_t n = lengths[s], r = 1 + (int64_t)(s * 7) % 40, ldb = n + (int64_t)s % 3;
        float *y = data_normal(rng, n, 4), *b = data_normal(rng, r * ldb, 1), *h = data_normal(rng, r, 2), *want = data_copy(y, n), *shifted = data_copy(y, n);
        fast->rank_add(y, b, ldb, h, r, n);
        ref->rank_add(want, b, ldb, h, r, n);
        for (int64_t i = 0; i < n; i++) {
            double size = fabs((double)want[i]);
            for (int64_t k = 0; k < r; k++) size += fabs((double)h[k] * (double)b[k * ldb + i]);
            expect_near("rank_add", i, y[i], want[i], (double)(r + 2) * EPS * size);
        }
        for (int64_t i = 0; i < n; i++) fast->rank_add(shifted + i, b + i, ldb, h, r, 1); /* an output depends on its own column only */
        expect_same("rank_add one by one", shifted, y, n);
        data_free();
    }
}

static void check_layer_norm(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    (void)i_slot;
    for (size_t s = 0; s < 2 * COUNT(lengths); s++) {
        int64_t d = lengths[s / 2], n_row = 3;
        float *x = data_normal(rng, n_row * d, 100), *w = data_normal(rng, d, 2), *b = s % 2 ? data_normal(rng, d, 1) : NULL;
        float *got = data_floats(n_row * d), *want = data_floats(n_row * d);
        fast->layer_norm(got, x, w, b, n_row, d, 1e-5f);
        ref->layer_norm(want, x, w, b, n_row, d, 1e-5f);
        for (int64_t i = 0; i < n_row * d; i++) {
            double size = fabs((double)want[i]) + 8 * fabs((double)w[i % d]) + (b ? fabs((double)b[i % d]) : 0);
            expect_near("layer_norm", i, got[i], want[i], 6 * EPS * size + (d == 1 ? 1e-3 : 0));
        }
        data_free();
    }
}

static void check_add_bias(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    (void)i_slot;
    for (size_t s = 0; s < COUNT(lengths); s++) {
        int64_t d = lengths[s], n_row = 3;
        float *y = data_extreme(rng, n_row * d, 3e38f), *b = data_extreme(rng, d, 3e38f), *want = data_copy(y, n_row * d);
        fast->add_bias(y, b, n_row, d);
        ref->add_bias(want, b, n_row, d);
        expect_same("add_bias", y, want, n_row * d);
        data_free();
    }
}

static void check_scale(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    (void)i_slot;
    for (size_t s = 0; s < COUNT(lengths); s++) {
        float *x = data_extreme(rng, lengths[s], 3e38f), *want = data_copy(x, lengths[s]);
        fast->scale(x, 0.37f, lengths[s]);
        ref->scale(want, 0.37f, lengths[s]);
        expect_same("scale", x, want, lengths[s]);
        data_free();
    }
}

static void check_softcap(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    static const float larges[] = {5, 90, 1e30f};
    (void)i_slot;
    for (size_t s = 0; s < COUNT(lengths) * COUNT(larges); s++) {
        int64_t n = lengths[s / COUNT(larges)];
        float *x = data_extreme(rng, n, larges[s % COUNT(larges)]), *want = data_copy(x, n);
        fast->softcap(x, 30, n);
        ref->softcap(want, 30, n);
        for (int64_t i = 0; i < n; i++) expect_near("softcap", i, x[i], want[i], 30 * 6 * EPS);
        data_free();
    }
}

/* The four of GELU: with and without a factor. */
static void check_gelu(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    static const float larges[] = {3, 12, 1e30f};
    const struct ops *tables[2] = {fast, ref};
    for (size_t s = 0; s < COUNT(lengths) * COUNT(larges); s++) {
        int64_t n = lengths[s / COUNT(larges)];
        float *x = data_extreme(rng, n, larges[s % COUNT(larges)]), *up = data_extreme(rng, n, 100), *y[2];
        for (int i = 0; i < 2; i++) {
            y[i] = data_copy(x, n);
            if (i_slot == OPS_SLOT_gelu) tables[i]->gelu(y[i], n);
            else if (i_slot == OPS_SLOT_gelu_mul) tables[i]->gelu_mul(y[i], up, n);
            else if (i_slot == OPS_SLOT_gelu_erf) tables[i]->gelu_erf(y[i], n);
            else tables[i]->gelu_erf_mul(y[i], up, n);
        }
        for (int64_t i = 0; i < n; i++) { /* the exponent, up to 88, is rounded before it is raised; past it gelu is 0 or x */
            double u = fmin(88, 1.6 * fabs((double)x[i]) * (1 + 0.045 * (double)x[i] * (double)x[i]));
            double tolerance = (10 + 4 * u) * EPS * fabs((double)y[1][i]) + 2e-16 * fabs((double)x[i]) * (1 + fabs((double)up[i])) + 1e-44; /* ref: 1 + tanh in double */
            expect_near(ops_slot_name(i_slot), i, y[0][i], y[1][i], tolerance);
        }
        data_free();
    }
}

static void check_rope(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    for (size_t s = 0; s < COUNT(lengths); s++) {
        int64_t n_pair = lengths[s], d_head = 2 * n_pair + (int64_t)s % 3, n_head = 3;
        float *x = data_extreme(rng, n_head * d_head, 1e4f), *want = data_copy(x, n_head * d_head);
        float *cs = data_floats(n_pair), *sn = data_floats(n_pair);
        for (int64_t i = 0; i < n_pair; i++) {
            double angle = 1e4 * rng_f64(rng);
            cs[i] = (float)cos(angle);
            sn[i] = (float)sin(angle);
        }
        if (i_slot == OPS_SLOT_rope_adjacent) {
            fast->rope_adjacent(x, n_head, d_head, n_pair, cs, sn);
            ref->rope_adjacent(want, n_head, d_head, n_pair, cs, sn);
        } else {
            fast->rope_halves(x, n_head, d_head, n_pair, cs, sn);
            ref->rope_halves(want, n_head, d_head, n_pair, cs, sn);
        }
        expect_same(ops_slot_name(i_slot), x, want, n_head * d_head);
        data_free();
    }
}

static void check_softmax(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    static const float larges[] = {3, 100, 1e4f, 3e38f};
    (void)i_slot;
    for (size_t s = 0; s < COUNT(lengths) * COUNT(larges); s++) {
        int64_t n = lengths[s / COUNT(larges)];
        float *x = data_extreme(rng, n, larges[s % COUNT(larges)]);
        if (s % 3 == 0 && n > 2) x[n / 2] = -INFINITY;
        float max = -INFINITY;
        for (int64_t i = 0; i < n; i++) max = fmaxf(max, x[i]);
        float *got = data_copy(x, n), *want = data_copy(x, n);
        fast->softmax(got, n);
        ref->softmax(want, n);
        for (int64_t i = 0; i < n; i++) {
            double depth = fmin((double)max - (double)x[i], 110); /* x - max is rounded before the exponential */
            expect_near("softmax", i, got[i], want[i], (depth + 8) * EPS * (double)want[i] + 3e-45);
        }
        data_free();
    }
}

static void check_to_f32(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    int type = i_slot - OPS_SLOT_to_f32;
    const struct dtype_desc *desc = dtype_get((enum dtype)type);
    for (int64_t n_block = 1; n_block <= 70; n_block++) {
        int64_t n = n_block * desc->block_elems;
        const uint8_t *src = data_random_bytes(rng, (size_t)n_block * desc->block_bytes, (size_t)n_block % 3);
        float *got = data_floats(n), *want = data_floats(n);
        fast->to_f32[type](got, src, n);
        ref->to_f32[type](want, src, n);
        expect_same(ops_slot_name(i_slot), got, want, n);
        data_free();
    }
}

static const struct slot_row rows_of_slots[] = {
    {OPS_SLOT_matmul_f32, check_matmul, "(d_in / 8 + 5) roundings of sum |x w|",
     "the longest lane chain of any ISA, and its tree"},
    {OPS_SLOT_rms_norm, check_rms_norm, "3 roundings", "sums are in double; the scale and two products are rounded"},
    {OPS_SLOT_add, check_add, "bit-equal", "one rounding"},
    {OPS_SLOT_silu_mul, check_silu_mul, "10 roundings", "exp within 2 ulp, then a sum, a quotient and a product"},
    {OPS_SLOT_sigmoid_mul, check_sigmoid_mul, "10 roundings", "exp within 2 ulp, then a sum, a quotient and a product"},
    {OPS_SLOT_conv_step, check_conv_step, "k + 2 roundings", "a sum of k products"},
    {OPS_SLOT_delta_step, check_delta_step, "d_k + 4 roundings of sums of magnitudes", "two sums over the keys, the second of what the first corrected"},
    {OPS_SLOT_rank_add, check_rank_add, "r + 2 roundings of the sum of magnitudes", "a chain over the rank, then one sum"},
    {OPS_SLOT_layer_norm, check_layer_norm, "6 roundings of the row's size", "the mean is rounded, then subtracted"},
    {OPS_SLOT_add_bias, check_add_bias, "bit-equal", "one rounding"},
    {OPS_SLOT_scale, check_scale, "bit-equal", "one rounding"},
    {OPS_SLOT_softcap, check_softcap, "6 roundings of the cap", "tanh is a difference near 0"},
    {OPS_SLOT_gelu, check_gelu, "10 roundings and 4 of the exponent", "exp turns an absolute error into a relative one"},
    {OPS_SLOT_gelu_mul, check_gelu, "10 roundings and 4 of the exponent", "the same, and a product"},
    {OPS_SLOT_gelu_erf, check_gelu, "bit-equal or as gelu", "the C library's erf"},
    {OPS_SLOT_gelu_erf_mul, check_gelu, "bit-equal or as gelu", "the C library's erf"},
    {OPS_SLOT_rope_adjacent, check_rope, "bit-equal", "the same roundings in the same order"},
    {OPS_SLOT_rope_halves, check_rope, "bit-equal", "the same roundings in the same order"},
    {OPS_SLOT_kv_store, check_kv_store, "bit-equal", "round to nearest even is defined to the bit"},
    {OPS_SLOT_attention, check_attention, "error of a score and n_pos roundings, times the largest value",
     "exp turns the absolute error of a score into a relative one; q8, q4: a weight may round the other way"},
    {OPS_SLOT_attention_part, check_attention_part, "as attention", "the same, before the last division"},
    {OPS_SLOT_attention_join, check_attention_join, "4 roundings for each part", "two products and a sum for each"},
    {OPS_SLOT_softmax, check_softmax, "max - x + 8 roundings", "x - max is rounded before the exponential"},
    {OPS_SLOT_act_quantize, NULL, "bit-equal", "the same roundings; checked in test_panel.c"},
    {OPS_SLOT_panel_unpack, NULL, "bit-equal", "a rearrangement and exact products; checked in test_panel.c"},
    {OPS_SLOT_panel_dot, NULL, "bit-equal", "whole numbers, then the same roundings; checked in test_panel.c"},
    {OPS_SLOT_panel_few, NULL, "bit-equal to panel_dot", "the same; checked in test_panel.c where an ISA has it"},
    {OPS_SLOT_matmul_half, check_matmul_half, "bit-equal to matmul_f32", "the same chain of the same floats"},
};

static const struct slot_row to_f32_row = {OPS_SLOT_to_f32, check_to_f32, "bit-equal",
                                           "the same roundings in the same order"};

static const struct slot_row *row_of(int i_slot) {
    if (i_slot >= OPS_SLOT_to_f32) return &to_f32_row;
    for (size_t i = 0; i < COUNT(rows_of_slots); i++) {
        if (rows_of_slots[i].slot == i_slot) return &rows_of_slots[i];
    }
    return NULL;
}

/* Tables of every ISA that this CPU has. */
static size_t tables(struct ops out[8], const char *names[8]) {
    size_t n_isa, n = 0;
    const struct ops_isa *isa = ops_isa_rows(&n_isa);
    assert_true(n_isa <= 8);
    for (size_t i = 0; i < n_isa; i++) {
        if (!isa[i].overlay || (cpu_features() & isa[i].features) != isa[i].features) continue;
        assert_int_equal(ops_build(&out[n], isa[i].name, NULL), SLM_OK);
        names[n++] = isa[i].name;
    }
    return n;
}

static void test_every_slot_agrees_with_ref(void **state) {
    (void)state;
    struct ops t[8];
    const char *names[8];
    size_t n = tables(t, names);
    assert_string_equal(names[0], "ref");
    for (int i = 0; i < OPS_SLOT_COUNT; i++) {
        const struct slot_row *row = row_of(i);
        if (!row) fail_msg("slot %s has no row", ops_slot_name(i));
        for (size_t v = 0; v < n; v++) {
            struct rng rng;
            rng_init(&rng, 1000 + (uint64_t)i);
            print_message("%-16s %-8s by %-8s %s: %s\n", ops_slot_name(i), names[v], t[v].name[i] ? t[v].name[i] : "none", row->tolerance,
                          row->why);
            if (row->check) row->check(&t[0], &t[v], i, &rng);
        }
    }
    for (size_t v = 0; v < n; v++) check_kv_store_halves(&t[v]);
}

static void test_every_slot_is_filled_and_named(void **state) {
    (void)state;
    struct ops t[8];
    const char *names[8];
    size_t n = tables(t, names);
    for (size_t v = 0; v < n; v++) {
#define X(slot) assert_non_null(t[v].slot);
        OPS_REF_LIST(X)
#undef X
        for (int i = 0; i < DTYPE_COUNT; i++) assert_non_null(t[v].to_f32[i]);
        for (int i = 0; i < OPS_SLOT_COUNT; i++) {
            if (i == OPS_SLOT_panel_few) assert_true((t[v].name[i] != NULL) == (t[v].panel_few != NULL));
            else if (i == OPS_SLOT_matmul_half) assert_true((t[v].name[i] != NULL) == (t[v].matmul_half != NULL));
            else assert_non_null(t[v].name[i]);
            assert_string_not_equal(ops_slot_name(i), "?");
            if (i >= OPS_SLOT_to_f32) {
                assert_string_equal(ops_slot_name(i) + strlen("to_f32."),
                                    dtype_get((enum dtype)(i - OPS_SLOT_to_f32))->name);
            }
        }
    }
    struct ops best;
    assert_int_equal(ops_build(&best, NULL, NULL), SLM_OK);
    assert_memory_equal(&best, &t[n - 1], sizeof best);
}

static void test_build_refuses_what_is_not_there(void **state) {
    (void)state;
    struct ops o;
    slm_err err;
    assert_int_equal(ops_build(&o, "avx3", &err), SLM_E_USAGE);
    assert_non_null(strstr(err.msg, "\"avx3\""));
    assert_non_null(strstr(err.hint, "ref"));
    size_t n;
    const struct ops_isa *isa = ops_isa_rows(&n);
    for (size_t i = 0; i < n; i++) {
        if (isa[i].overlay && (cpu_features() & isa[i].features) == isa[i].features) continue;
        assert_int_equal(ops_build(&o, isa[i].name, &err), SLM_E_UNSUPPORTED);
        assert_non_null(strstr(err.msg, isa[i].name));
    }
    assert_string_equal(ops_slot_name(-1), "?");
    assert_string_equal(ops_slot_name(OPS_SLOT_COUNT), "?");
}

static void test_ref_known_values(void **state) {
    (void)state;
    struct ops ref;
    assert_int_equal(ops_build(&ref, "ref", NULL), SLM_OK);
    float x[2] = {1, 2}, w[4] = {3, 4, 5, 6}, y[2];
    ref.matmul_f32(y, 2, w, 2, x, 2, 1, 2, 2);
    assert_true(y[0] == 11 && y[1] == 17);
    float g[3] = {0, 1, -1}, up[3] = {1, 1, 2};
    ref.silu_mul(g, up, 3);
    expect_near("silu", 0, g[0], 0, 0);
    expect_near("silu", 1, g[1], 0.73105858f, 1e-7);
    expect_near("silu", 2, g[2], -0.53788284f, 1e-7);
    float p[4] = {1, 0, 3, 4}, c = 0, s = 1; /* a quarter turn: (a, b) becomes (-b, a) */
    ref.rope_adjacent(p, 1, 4, 1, &c, &s);
    assert_true(p[0] == 0 && p[1] == 1 && p[2] == 3 && p[3] == 4);
    float h[4] = {1, 2, 3, 4}, cs[2] = {0, 1}, sn[2] = {1, 0};
    ref.rope_halves(h, 1, 4, 2, cs, sn);
    assert_true(h[0] == -3 && h[1] == 2 && h[2] == 1 && h[3] == 4);
    float n[2] = {3, 4}, ones[2] = {1, 2};
    ref.rms_norm(n, n, ones, 1, 2, 0);
    expect_near("norm", 0, n[0], 0.84852814f, 1e-7);
    expect_near("norm", 1, n[1], 2.2627417f, 3e-7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_slot_is_filled_and_named),
        cmocka_unit_test(test_build_refuses_what_is_not_there),
        cmocka_unit_test(test_ref_known_values),
        cmocka_unit_test(test_every_slot_agrees_with_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
