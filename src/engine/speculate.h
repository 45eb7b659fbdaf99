/* speculate.h -- guesses of the next tokens, checked by the model in one pass, and whether guessing pays.
 *
 * A pass over the last token and n guesses costs little more than one token: the weights are read once. Every token is
 * still picked by the ordinary sampler from the model's own logits; a guess only tells which token to run next, and is
 * kept when the pick equals it. So the text is the same, to the bit, with and without. Source: Leviathan et al. 2023 and
 * Chen et al. 2023, whose rejection step is not needed: the pick itself is the comparison.
 *
 * Guesses come from the text so far (what followed when its last tokens stood there before; Saxena 2023, prompt lookup) or
 * from a smaller model with the same vocabulary. Time is measured: when guesses do not pay they rest, and are tried
 * again later. */
#ifndef SLM_ENGINE_SPECULATE_H
#define SLM_ENGINE_SPECULATE_H

#include "engine/sampler.h"
#include "text/tok.h"

#define SPECULATE_GUESSES_MAX 31

struct slm_session;

/* AUTO: DRAFT when there is a draft model, else NGRAM; OFF for a model that cannot take tokens back. */
enum speculate_kind { SPECULATE_OFF, SPECULATE_AUTO, SPECULATE_NGRAM, SPECULATE_DRAFT };

struct speculate_params {
    enum speculate_kind kind;
    int32_t n_guess;           /* of one pass at most; 0: 8 */
    struct slm_session *draft; /* of the smaller model; borrowed; NULL: none */
};

struct speculate_stats {
    size_t n_pass;               /* passes with guesses */
    size_t n_drafted, n_accepted; /* guesses made and kept */
    double saved_s;              /* against one token a pass, as measured; may be below 0 */
};

/* Rows of logits that a session needs for these guesses: session_params.n_out. n_batch: its tokens of one pass at most. */
int32_t speculate_rows(const struct speculate_params *p, int32_t n_batch);

struct speculation;
/* Errors: USAGE (DRAFT without a draft model; a number of guesses out of range), UNSUPPORTED (the draft model's vocabulary
 * is another; a target that cannot take tokens back), NOMEM. *out is NULL when nothing will be guessed. */
slm_status speculation_create(const struct speculate_params *p, const struct slm_session *target, struct speculation **out, slm_err *err);
void speculation_destroy(struct speculation *sp);
/* speculation_accept -- tell of a token, of the prompt or generated. Errors: NOMEM. */
slm_status speculation_accept(struct speculation *sp, int32_t id, slm_err *err);
/* speculation_guess -- at most n_max guesses of what follows what was accepted; *n_guess 0: none now. The sampler is that
 * of the run: a draft model's logits go through it, with the random numbers that the real picks will have.
 * Errors: those of session_feed on the draft model. */
slm_status speculation_guess(struct speculation *sp, struct sampler *sampler, int32_t n_max, int32_t *guess, int32_t *n_guess, slm_err *err);
/* speculation_passed -- how a pass went: guesses, those kept, its seconds with those of guessing. */
void speculation_passed(struct speculation *sp, int32_t n_guess, int32_t n_accepted, double seconds);
struct speculate_stats speculation_stats(const struct speculation *sp);

#endif
