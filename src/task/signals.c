/* signals.c -- the table, and what tokens say. */
#include "task/signals.h"

#include "base/stats.h"

static const char *const names[SIGNAL_COUNT] = {
#define X(ID, name, what) #name,
    SIGNAL_LIST(X)
#undef X
};

const char *signal_name(enum signal s) { return names[s]; }

bool signal_by_name(struct view name, enum signal *out) {
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (view_eq(name, view_of(names[i]))) {
            *out = (enum signal)i;
            return true;
        }
    return false;
}

bool signals_any(const struct signals *s) {
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (isfinite(s->v[i])) return true;
    return false;
}

void signals_init(struct signals *s) {
    for (int i = 0; i < SIGNAL_COUNT; i++) s->v[i] = (double)NAN;
}

/* Pairs of tokens that occurred before. */
static size_t count_repeats(const int32_t *ids, size_t n) {
    size_t n_repeat = 0;
    for (size_t i = 1; i < n; i++)
        for (size_t k = 1; k < i; k++)
            if (ids[k] == ids[i] && ids[k - 1] == ids[i - 1]) {
                n_repeat++;
                break;
            }
    return n_repeat;
}

void signals_of_tokens(struct signals *s, double *logp, const int32_t *ids, size_t n) {
    double sum = 0;
    if (n == 0) return;
    for (size_t i = 0; i < n; i++) sum += logp[i];
    stats_sort(logp, n);
    s->v[SIGNAL_LOGPROB_MEAN] = sum / (double)n;
    s->v[SIGNAL_LOGPROB_MIN] = logp[0];
    s->v[SIGNAL_LOGPROB_P10] = logp[n / 10];
    s->v[SIGNAL_REPETITION] = (double)count_repeats(ids, n) / (double)n;
}
