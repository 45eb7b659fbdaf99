/* lattice.c -- the tables of near points, made at first use.
 *
 * A table costs n_key * n_point distances, some tens of milliseconds once per process, and about 600 kB; only the grids in
 * use are made. Distances are whole numbers in the levels' own units and ties keep the grid's order, so the table is the
 * same on every machine. */
#include "format/quant/lattice_int.h"

#include <pthread.h>
#include <stdlib.h>

/* Levels here only measure distance: those of iq3 are evenly spaced but for the last of iq3_xxs. */
struct grid_row {
    int dim, n_level, bits, n_point;
    const uint16_t *codes;
    int level[8];
};
static const struct grid_row grids[LATTICE_COUNT] = {
    [LATTICE_IQ2_XXS] = {8, 3, 2, 256, iq2_xxs_grid, {8, 25, 43}},
    [LATTICE_IQ2_XS] = {8, 3, 2, 512, iq2_xs_grid, {8, 25, 43}},
    [LATTICE_IQ2_S] = {8, 3, 2, 1024, iq2_s_grid, {8, 25, 43}},
    [LATTICE_IQ3_XXS] = {4, 8, 3, 256, iq3_xxs_grid, {4, 12, 20, 28, 36, 44, 52, 62}},
    [LATTICE_IQ3_S] = {4, 8, 3, 512, iq3_s_grid, {1, 3, 5, 7, 9, 11, 13, 15}},
    [LATTICE_IQ1] = {8, 3, 2, 2048, iq1_grid, {-1, 0, 1}},
};

static struct lattice lattices[LATTICE_COUNT];

/* The LATTICE_NEAR points nearest to a key, by insertion. */
static void find_near(const struct grid_row *g, const int key_level[8], struct lattice_point *near) {
    int distance[LATTICE_NEAR], n = 0;
    for (int i = 0; i < g->n_point; i++) {
        int sum = 0, at;
        for (int j = 0; j < g->dim; j++) {
            int diff = g->level[g->codes[i] >> g->bits * j & ((1 << g->bits) - 1)] - key_level[j];
            sum += diff * diff;
        }
        if (n == LATTICE_NEAR && sum >= distance[n - 1]) continue;
        if (n < LATTICE_NEAR) n++;
        for (at = n - 1; at > 0 && distance[at - 1] > sum; at--) {
            distance[at] = distance[at - 1];
            near[at] = near[at - 1];
        }
        distance[at] = sum;
        near[at] = (struct lattice_point){g->codes[i], (uint16_t)i};
    }
}

static void make(enum lattice_id id) {
    const struct grid_row *g = &grids[id];
    int n_key = 1, level[8] = {0};
    for (int j = 0; j < g->dim; j++) n_key *= g->n_level;
    struct lattice_point *near = malloc((size_t)n_key * LATTICE_NEAR * sizeof *near);
    if (!near) return;
    for (int key = 0; key < n_key; key++) {
        for (int j = 0, rest = key; j < g->dim; j++, rest /= g->n_level) level[j] = g->level[rest % g->n_level];
        find_near(g, level, near + (size_t)key * LATTICE_NEAR);
    }
    lattices[id] = (struct lattice){g->dim, g->n_level, g->bits, g->n_point, n_key, g->codes, near};
}

#define X(ID)                                                                                                          \
    static void make_##ID(void) { make(LATTICE_##ID); }                                                                \
    static pthread_once_t once_##ID = PTHREAD_ONCE_INIT;
#define LATTICE_LIST(X) X(IQ2_XXS) X(IQ2_XS) X(IQ2_S) X(IQ3_XXS) X(IQ3_S) X(IQ1)
LATTICE_LIST(X)
#undef X

const struct lattice *lattice_get(enum lattice_id id) {
    switch (id) {
#define X(ID)                                                                                                          \
    case LATTICE_##ID: pthread_once(&once_##ID, make_##ID); break;
        LATTICE_LIST(X)
#undef X
    case LATTICE_COUNT: return NULL;
    }
    return lattices[id].near ? &lattices[id] : NULL;
}
