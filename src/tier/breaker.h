/* breaker.h -- an upstream that fails is left alone for a while.
 *
 * Closed: requests pass; `fails` failures within `window_s` open it. Open: nothing passes for `open_s`. Then one request at a time may try; its success
 * closes, its failure opens again; a request from before, whose answer comes meanwhile, says nothing of it. Not locked: the owner's lock holds. */
#ifndef SLM_TIER_BREAKER_H
#define SLM_TIER_BREAKER_H

#include "tier/settings.h"

#define BREAKER_FAILS_MAX 64

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_TRYING };
struct breaker {
    const struct breaker_settings *s;
    enum breaker_state state;
    double fails[BREAKER_FAILS_MAX]; /* times, a ring */
    unsigned n_fails;                /* ever */
    double t_open;
    bool is_trying;
};
void breaker_init(struct breaker *b, const struct breaker_settings *s);
/* breaker_allows -- may a request pass now? One that may must end in breaker_tell, or in breaker_forget when it says nothing of the upstream, with the
 * is_probe that it was given: it is the one that tries. */
bool breaker_allows(struct breaker *b, double now, bool *is_probe);
void breaker_tell(struct breaker *b, double now, bool is_probe, bool is_good);
void breaker_forget(struct breaker *b, bool is_probe);
#endif
