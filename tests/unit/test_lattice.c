/* The search of the iq types against trying every point with every allowed choice of signs.
 *
 * lattice_pick may miss, as it looks at a key's near points only; how much worse it may be on the whole is bounded here,
 * under even and under very uneven weights. */
#include <math.h>

#include "format/quant/lattice_int.h"
#include "base/util.h"
#include "test.h"

#define N_UNIT 300

struct kind_row {
    const char *name;
    enum lattice_id id;
    struct lattice_kind kind;
    double worse_max; /* sum of costs over sum of least costs */
};
static const struct kind_row kinds[] = {
    {"iq2_xxs", LATTICE_IQ2_XXS, {8, 3, 2, {8, 25, 43}, .is_even = true, .reach = 1}, 1.005},
    {"iq2_xs", LATTICE_IQ2_XS, {8, 3, 2, {8, 25, 43}, .is_even = true, .reach = 1}, 1.005},
    {"iq2_s", LATTICE_IQ2_S, {8, 3, 2, {8, 25, 43}, .reach = 1}, 1.005},
    {"iq3_xxs", LATTICE_IQ3_XXS, {4, 8, 3, {4, 12, 20, 28, 36, 44, 52, 62}, .is_even = true, .reach = 1}, 1.005},
    {"iq3_s", LATTICE_IQ3_S, {4, 8, 3, {1, 3, 5, 7, 9, 11, 13, 15}, .reach = 1}, 1.005},
    {"iq1", LATTICE_IQ1, {8, 3, 2, {-1, 0, 1}, .shift = 0.125f, .n_shift = 8, .reach = 2.2f}, 1.005},
};

/* The least cost of elements at .. at + dim - 1 when the bits of `wrong` take the wrong sign. */
static double least_cost(const struct lattice *l, const struct lattice_kind *k, const float *a, const float *w, int at, unsigned wrong) {
    double best = INFINITY;
    for (int p = 0; p < l->n_point; p++) {
        double cost = 0;
        for (int j = 0; j < k->dim; j++) {
            double q = (double)k->level[l->codes[p] >> k->bits * j & ((1 << k->bits) - 1)];
            double off = (wrong >> (at + j) & 1 ? -(double)a[at + j] : (double)a[at + j]) - q;
            cost += (double)w[at + j] * off * off;
        }
        best = fmin(best, cost);
    }
    return best;
}

static double least_unit_cost(const struct lattice *l, const struct lattice_kind *k, const float *x, const float *w, float shift) {
    float a[LATTICE_UNIT];
    unsigned n_minus = 0;
    for (int j = 0; j < LATTICE_UNIT; j++) {
        a[j] = shift != 0 ? x[j] - shift : fabsf(x[j]);
        n_minus += x[j] < 0;
    }
    double best = INFINITY;
    bool is_odd = k->is_even && n_minus % 2;
    /* One wrong sign is enough: three cost more. */
    for (int flip = 0; flip < (is_odd ? LATTICE_UNIT : 1); flip++) {
        double cost = 0;
        for (int at = 0; at < LATTICE_UNIT; at += k->dim) cost += least_cost(l, k, a, w, at, is_odd ? 1u << flip : 0);
        best = fmin(best, cost);
    }
    return best;
}

static void check_kind(const struct kind_row *row, bool is_uneven) {
    const struct lattice *l = lattice_get(row->id);
    struct rng rng;
    double got = 0, least = 0;
    assert_non_null(l);
    rng_init(&rng, 7);
    float last = row->kind.level[row->kind.n_level - 1] * (row->kind.shift != 0 ? 1.1f : 0.6f);
    for (int i = 0; i < N_UNIT; i++) {
        float x[LATTICE_UNIT], w[LATTICE_UNIT];
        for (int j = 0; j < LATTICE_UNIT; j++) {
            x[j] = rng_normal(&rng) * 0.7f * last;
            w[j] = is_uneven ? expf(rng_normal(&rng)) : 1;
        }
        struct lattice_unit u = lattice_pick(l, &row->kind, x, w, 1, row->kind.shift);
        double lower = least_unit_cost(l, &row->kind, x, w, row->kind.shift);
        if ((double)u.cost < lower * (1 - 1e-4)) fail_msg("%s: unit %d costs %g, less than the least %g", row->name, i, (double)u.cost, lower);
        if (row->kind.is_even) assert_false(__builtin_parity(u.signs));
        got += (double)u.cost;
        least += lower;
    }
    print_message("%-8s %s weights: %.5f of the least cost\n", row->name, is_uneven ? "uneven" : "even", got / least);
    assert_true(got <= least * row->worse_max);
}

static void test_pick_is_near_least(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int uneven = 0; uneven < 2; uneven++) check_kind(&kinds[i], uneven);
}

/* Every point of a grid is found for its own levels. */
static void test_points_find_themselves(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct lattice *l = lattice_get(kinds[i].id);
        const struct lattice_kind *k = &kinds[i].kind;
        for (int p = 0; p < l->n_point; p++) {
            float x[LATTICE_UNIT], w[LATTICE_UNIT];
            for (int j = 0; j < LATTICE_UNIT; j++) {
                x[j] = k->level[l->codes[p] >> k->bits * (j % k->dim) & ((1 << k->bits) - 1)] + k->shift;
                w[j] = 1;
            }
            struct lattice_unit u = lattice_pick(l, k, x, w, 1, k->shift);
            assert_int_equal(u.index[0], p);
            assert_true(u.cost < 1e-6f);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pick_is_near_least),
        cmocka_unit_test(test_points_find_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
