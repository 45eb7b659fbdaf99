/* sampler.h -- from logits to a token: a chain of rows {name, option, apply}, in a fixed documented order:
 * logit bias, penalties (repeat, presence, frequency), DRY, top-k, typical, top-p, min-p, temperature, draw.
 * temperature 0 takes the largest logit after bias, penalties and DRY (lowest id on a tie) and draws nothing.
 * NaN logits count as -infinity; if none is above it, the pick is the lowest id that no bias bans; +infinity
 * takes all probability, shared equally. Formulas and sources: docs/sampling.md.
 * Deterministic: same logits, parameters, history and seed give the same token on every machine with the
 * same float arithmetic; the random state advances once per drawn token. Single thread. */
#ifndef SLM_ENGINE_SAMPLER_H
#define SLM_ENGINE_SAMPLER_H

#include "base/util.h"

struct logit_bias {
    int32_t id;
    float bias; /* added to the logit; -INFINITY bans the token; several for one id add up */
};

struct sampler_params {
    float temperature;        /* 0.8; 0: greedy */
    int32_t top_k;            /* 40; 0: off */
    float top_p;              /* 0.95; 1: off */
    float min_p;              /* 0.05; 0: off */
    float typical_p;          /* 1: off. Meister et al. 2022 */
    float repeat_penalty;     /* 1: off. Keskar et al. 2019: divides positive, multiplies negative logits */
    float presence_penalty;   /* 0: off. Subtracted once for a token that occurred */
    float frequency_penalty;  /* 0: off. Subtracted per occurrence */
    int32_t penalty_last_n;   /* 64; 0: off; -1: the whole context */
    float dry_multiplier;     /* 0: off. DRY repetition penalty: multiplier * base^(match - allowed) */
    float dry_base;           /* 1.75 */
    int32_t dry_allowed_length; /* 2 */
    int32_t dry_last_n;       /* -1: the whole context */
    const int32_t *dry_breakers; /* ids that end a match; [n_dry_breakers], borrowed */
    int32_t n_dry_breakers;
    uint64_t seed;
    const struct logit_bias *bias; /* [n_bias], borrowed */
    int32_t n_bias;
};
void sampler_params_init(struct sampler_params *p); /* the defaults above; penalties, typical, DRY off */
/* sampler_params_check -- refuse NaN, negative or absurd values naming the parameter. Errors: USAGE. */
slm_status sampler_params_check(const struct sampler_params *p, uint32_t n_vocab, slm_err *err);

struct sampler;
/* sampler_create -- allocates all that a pick needs; p and what it points to are copied.
 * Errors: USAGE (sampler_params_check; a bias that bans every token), NOMEM. */
slm_status sampler_create(const struct sampler_params *p, uint32_t n_vocab, struct sampler **out, slm_err *err);
void sampler_destroy(struct sampler *s);
/* sampler_accept -- tell the history of a token (prompt or generated). Errors: USAGE (not an id), NOMEM. */
slm_status sampler_accept(struct sampler *s, int32_t id, slm_err *err);
/* sampler_pick -- choose from logits [n_vocab], which are not changed. Allocates nothing. */
int32_t sampler_pick(struct sampler *s, const float *logits);
/* sampler_guess -- what sampler_pick would choose from these logits n_ahead picks from now, with the random number of that
 * pick and the history of now. Changes nothing. For guesses from another model's logits. */
int32_t sampler_guess(struct sampler *s, const float *logits, int32_t n_ahead);
/* sampler_probs -- the exact distribution that sampler_pick would draw from now: probs [n_vocab], sums to 1.
 * For tests (chi-square) and logprobs. Does not advance the random state. */
void sampler_probs(struct sampler *s, const float *logits, float *probs);
/* logits_check -- whether there is anything to choose by: a damaged model's NaN reaches all of them. Errors: FAILED (no logit is above -infinity). */
slm_status logits_check(const float *logits, uint32_t n_vocab, slm_err *err);
/* Log-softmax of one token, 0 <= id < n_vocab, under plain logits; NaN and infinities as above. */
float logits_logprob(const float *logits, uint32_t n_vocab, int32_t id);

#endif
