/* signals.h -- what can be measured about an answer without knowing the right one. A row each; certificates and logs name them. */
#ifndef SLM_TASK_SIGNALS_H
#define SLM_TASK_SIGNALS_H

#include <math.h>

#include "base/mem.h"

#define SIGNAL_LIST(X)                                                                                    \
    X(CONFIDENCE, confidence, "probability of the answer among those that were possible")                 \
    X(MARGIN, margin, "that, less the second's")                                                          \
    X(ENTROPY, entropy, "of the distribution over answers, nats")                                         \
    X(NOVELTY, novelty, "how unlike the rows that a head was fitted on")                                  \
    X(MASS, mass, "log-probability that the model gives to all possible answers together")                \
    X(LENGTH, length, "log(1 + tokens of the text), or bytes where no model reads it")                    \
    X(LOGPROB_MEAN, logprob_mean, "mean log-probability of the generated tokens")                         \
    X(LOGPROB_MIN, logprob_min, "the least of them")                                                      \
    X(LOGPROB_P10, logprob_p10, "their 10 % quantile")                                                    \
    X(FIRST_MARGIN, first_margin, "of the first generated token: probability of the best less the second") \
    X(OUTSIDE, outside, "mean probability that the model gave to tokens which the constraint forbids")    \
    X(REPETITION, repetition, "share of the answer's pairs of tokens that occurred before")               \
    X(SCORE, score, "a score from outside: replayed outcomes")

enum signal {
#define X(ID, name, what) SIGNAL_##ID,
    SIGNAL_LIST(X)
#undef X
    SIGNAL_COUNT
};
const char *signal_name(enum signal s);
bool signal_by_name(struct view name, enum signal *out);

/* All of one answer; NAN: not measured. */
struct signals {
    double v[SIGNAL_COUNT];
};
void signals_init(struct signals *s); /* all NAN */
bool signals_any(const struct signals *s); /* false: of an answer that failed nothing was measured */
/* signals_of_tokens -- what the tokens of an answer say: log-probabilities logp [n], which are sorted, ids [n]; nothing of none. */
void signals_of_tokens(struct signals *s, double *logp, const int32_t *ids, size_t n);

#endif
