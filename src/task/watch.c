/* watch.c -- counting below quantiles, betting.
 *
 * Shares below the certificate's quantiles are compared one by one, each by its own spread, and the alpha is shared among them. Tried: Kolmogorov
 * and Smirnov's bound on the largest distance, which takes every place for the middle; what is out of scope comes in at the low end, and
 * there it was seen later (docs/tasks.md). Bets are a mixture over six sizes, so none has to fit. */
#include "task/watch.h"

#include <string.h>

#define FIRST 2 /* quantiles at the ends that have too few scores for a normal curve */

static const double bets[WATCH_N_BET] = {0.5, 1, 2, 4, 8, 16};

const char *watch_state_name(enum watch_state s) {
    static const char *const names[] = {"calm", "shift", "errors"};
    return names[s];
}

void watch_init(struct watch *w, const struct cal *cal) {
    memset(w, 0, sizeof *w);
    w->cal = cal;
    w->distance = (double)NAN;
    for (int i = 0; i < WATCH_N_BET; i++) w->wealth[i] = 1;
}

static void raise_alarm(struct watch *w, enum watch_state s) {
    if (w->state != WATCH_CALM) return;
    w->state = s;
    w->n_alarm = w->n_seen;
}

static void count(struct watch *w, double score, bool in) {
    for (size_t i = 0; i < CAL_N_QUANTILE; i++)
        if (score <= w->cal->quantile[i]) w->below[i] += in ? 1u : -1u;
}

/* The share of the proof half at most quantile i; equal neighbours (many equal scores) are all reached at the last of them. */
static double share_below(const struct cal *c, size_t i) {
    while (i + 1 < CAL_N_QUANTILE && c->quantile[i + 1] == c->quantile[i]) i++;
    return (double)i / (CAL_N_QUANTILE - 1);
}

bool watch_score(struct watch *w, double score) {
    w->n_seen++;
    if (isnan(score)) score = -INFINITY;
    if (w->n == WATCH_WINDOW) count(w, w->score[w->at], false);
    else w->n++;
    w->score[w->at] = score;
    w->at = (w->at + 1) % WATCH_WINDOW;
    count(w, score, true);
    if (w->n < WATCH_N_LEAST) return w->state != WATCH_CALM;
    double n_both = 1 / (1.0 / w->n + 1 / ((double)w->cal->result.n_proof + 1));
    w->distance = 0;
    for (size_t i = FIRST; i < CAL_N_QUANTILE - FIRST; i++) {
        double share = share_below(w->cal, i), d = fabs((double)w->below[i] / w->n - share);
        if (share >= 1) continue;
        if (d > w->distance) w->distance = d;
        double p = erfc(d / sqrt(2 * share * (1 - share) / n_both));
        if (p * (CAL_N_QUANTILE - 2 * FIRST) < WATCH_SHIFT_ALPHA) raise_alarm(w, WATCH_SHIFT);
    }
    return w->state != WATCH_CALM;
}

bool watch_loss(struct watch *w, double loss) {
    const double most = w->cal->goal.error_max;
    double mean = 0;
    w->n_audited++;
    w->loss_audited += loss;
    for (int i = 0; i < WATCH_N_BET; i++) {
        double bet = bets[i] < 0.9 / most ? bets[i] : 0.9 / most; /* money stays above zero */
        w->wealth[i] *= 1 + bet * (loss - most);
        mean += w->wealth[i] / WATCH_N_BET;
    }
    if (mean >= 1 / WATCH_ERROR_ALPHA) raise_alarm(w, WATCH_ERRORS);
    return w->state != WATCH_CALM;
}
