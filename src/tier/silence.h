/* silence.h -- how long an upstream usually says nothing: the times to its first byte, the last of them.
 *
 * One that was left before its first byte counts with how long it had been silent by then: to leave it out would make the upstream look quicker the more often
 * it is left. Not locked: the owner's lock holds. */
#ifndef SLM_TIER_SILENCE_H
#define SLM_TIER_SILENCE_H

#include "base/mem.h"

#define SILENCES_MAX 128

struct silences {
    double s[SILENCES_MAX]; /* a ring */
    unsigned n;             /* ever */
};
void silences_add(struct silences *q, double s);
/* silences_quantile -- the time that a share of them is at most; INFINITY with fewer than n_least. */
double silences_quantile(const struct silences *q, double share, unsigned n_least);
#endif
