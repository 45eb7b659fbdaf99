/* silence.c -- a ring, sorted when it is asked. */
#include "tier/silence.h"

#include <math.h>
#include <string.h>

#include "base/stats.h"

void silences_add(struct silences *q, double s) { q->s[q->n++ % SILENCES_MAX] = s; }

double silences_quantile(const struct silences *q, double share, unsigned n_least) {
    double sorted[SILENCES_MAX];
    unsigned n = q->n < SILENCES_MAX ? q->n : SILENCES_MAX;
    if (n == 0 || n < n_least) return INFINITY;
    memcpy(sorted, q->s, n * sizeof *sorted);
    stats_sort(sorted, n);
    unsigned rank = (unsigned)ceil(share * n);
    return sorted[rank > n ? n - 1 : rank > 0 ? rank - 1 : 0];
}
