/* label_tree.h -- the exact probability of each of many given answers behind one prompt: all of them as a tree of ids, walked once. */
#ifndef SLM_ENGINE_LABEL_TREE_H
#define SLM_ENGINE_LABEL_TREE_H

#include "engine/session.h"

struct label_tree;
/* label_tree_create -- labels [n] as ids that follow the prompt; names [n] are for messages. end: the token that ends an answer, or TOK_NONE; it
 * counts when one label's ids begin another's. Nothing is kept of the arguments.
 * Errors: UNSUPPORTED (two labels have the same ids, one has none, an end is needed and there is none), NOMEM. */
slm_status label_tree_create(const struct tok_ids *labels, const char *const *names, size_t n, int32_t end, struct label_tree **out, slm_err *err);
void label_tree_destroy(struct label_tree *t);

/* label_tree_score -- score [n]: log p(label | prompt) - prior[label], the sum over its ids, no division by length; *best: the largest.
 * In: prompt, at least one id; it grows and comes back as it was. prior [n], or NULL: zeros. prune: what is certainly this many nats below the
 * best is left out and becomes -infinity; INFINITY: nothing is. 30 leaves out less than 1e-12 of all.
 * Errors: those of session_feed. */
slm_status label_tree_score(const struct label_tree *t, struct slm_session *s, struct tok_ids *prompt, const double *prior, double prune, double *score,
                            double *best, slm_err *err);

/* log_sum_exp -- of logits [n], n >= 1. */
double log_sum_exp(const float *logits, uint32_t n);

#endif
