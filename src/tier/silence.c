/* silence.c -- a ring, sorted when it is asked. */
#include "tier/silence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void silences_add(struct silences *q, double s) { q->s[q->n++ % SILENCES_MAX] = s; }

static int by_time(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double silences_quantile(const struct silences *q, double share, unsigned n_least) {
    double sorted[SILENCES_MAX];
    unsigned n = q->n < SILENCES_MAX ? q->n : SILENCES_MAX;
    if (n == 0 || n < n_least) return INFINITY;
    memcpy(sorted, q->s, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_time);
    unsigned rank = (unsigned)ceil(share * n);
    return sorted[rank > n ? n - 1 : rank > 0 ? rank - 1 : 0];
}
