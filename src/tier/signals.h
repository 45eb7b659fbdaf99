/* signals.h -- what the local model's own numbers say of its answer, as facts. */
#ifndef SLM_TIER_SIGNALS_H
#define SLM_TIER_SIGNALS_H

#include "tier/facts.h"

/* signals_read -- logp [n]: log-probability of each token so far; text: the answer so far. Fills the facts of an answer but for those that only its end tells. */
void signals_read(const float *logp, size_t n, struct view text, struct facts *f);
#endif
