/* breaker.c -- times are given, so that tests need no clock. */
#include "tier/breaker.h"

void breaker_init(struct breaker *b, const struct breaker_settings *s) { *b = (struct breaker){.s = s}; }

bool breaker_allows(struct breaker *b, double now, bool *is_probe) {
    *is_probe = false;
    if (b->state == BREAKER_CLOSED) return true;
    if (b->state == BREAKER_OPEN && now - b->t_open >= b->s->open_s) b->state = BREAKER_TRYING;
    if (b->state != BREAKER_TRYING || b->is_trying) return false;
    return *is_probe = b->is_trying = true;
}

static bool has_failed_enough(const struct breaker *b, double now) {
    unsigned n = (unsigned)b->s->fails < BREAKER_FAILS_MAX ? (unsigned)b->s->fails : BREAKER_FAILS_MAX;
    return b->n_fails >= n && now - b->fails[(b->n_fails - n) % BREAKER_FAILS_MAX] <= b->s->window_s;
}

void breaker_tell(struct breaker *b, double now, bool is_probe, bool is_good) {
    if (!is_probe && b->state == BREAKER_TRYING) return; /* of before: the probe says how it is now */
    if (is_probe) b->is_trying = false;
    if (is_good) {
        if (is_probe) *b = (struct breaker){.s = b->s};
        return;
    }
    b->fails[b->n_fails++ % BREAKER_FAILS_MAX] = now;
    if (b->state == BREAKER_OPEN || (!is_probe && !has_failed_enough(b, now))) return;
    b->state = BREAKER_OPEN;
    b->t_open = now;
}

void breaker_forget(struct breaker *b, bool is_probe) {
    if (is_probe) b->is_trying = false;
}
