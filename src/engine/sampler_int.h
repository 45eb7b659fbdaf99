/* sampler_int.h -- what the files of the sampler share: the candidates, the history, the sampler itself. */
#ifndef SLM_ENGINE_SAMPLER_INT_H
#define SLM_ENGINE_SAMPLER_INT_H

#include <math.h>

#include "engine/sampler.h"

/* One token that may still be chosen. rank orders candidates, smallest first: the upper half falls as the
 * logit (for the typical stage: the typicality) rises, the lower half is the id, so no two are ever equal. */
struct cand {
    uint64_t rank;
    float logit;
    int32_t id;
};

/* The candidates of one pick. Until cands_settle row i is token i; afterwards rows are in any order except
 * that the first n_ordered are the best n_ordered, in order. Probabilities are not stored: cand_weight
 * recomputes them exactly wherever they are needed, which for a lazy order is nearly always few rows. */
struct cands {
    struct cand *rows, *spare; /* [n_vocab] each; spare is the other side of the radix sort */
    size_t n, n_ordered;
    double logit_max;   /* of the rows */
    double temperature; /* 1 until the temperature stage */
};

/* sampler_order.c */
uint64_t cand_rank(float key, int32_t id);              /* larger key first; -0 counts as 0; no NaN */
void cands_order(struct cands *c, size_t n_wanted);     /* make n_ordered >= min(n_wanted, n) */
const struct cand *cands_nth(struct cands *c, size_t i); /* the i-th best, ordering as much as that takes; i < n */
double cand_weight(const struct cands *c, const struct cand *row); /* exp((logit - max) / temperature), in [0, 1] */
double cands_total(const struct cands *c);              /* sum of the weights of the rows */

/* What has been said, as far back as any stage looks. ids is contiguous: when it is full it grows, or,
 * once twice the longest window fits, its tail moves to the front. */
struct history {
    int32_t *ids; /* [cap] */
    size_t n, cap;
    size_t n_keep; /* the longest window; SIZE_MAX: everything; 0: no stage looks back */
};

/* How often each token occurs in the last penalty_last_n; ids lists those with count > 0. */
struct tally {
    int32_t *count, *slot, *ids; /* [n_vocab] each; slot[id] is the place of id in ids */
    size_t n_ids;
};

struct dry {
    size_t *match;    /* [history.cap] */
    int32_t *longest; /* [n_vocab], all 0 between picks */
    bool *is_breaker; /* [n_vocab] */
};

struct sampler;
/* One step of the chain. The table in sampler_chain.c is the order; sampler_create copies the active rows. */
struct sampler_stage {
    const char *name;
    bool (*active)(const struct sampler_params *p);
    void (*apply)(struct sampler *s);
};
#define SAMPLER_STAGES_MAX 12

struct sampler {
    struct sampler_params params; /* bias points to bias_own; dry_breakers is NULL, see dry.is_breaker */
    uint32_t n_vocab;
    struct rng rng;
    const struct sampler_stage *chain[SAMPLER_STAGES_MAX];
    int n_chain;
    struct cands cands;
    struct logit_bias *bias_own;
    bool *is_banned; /* [n_vocab], by a bias of -infinity */
    struct history history;
    struct tally tally;
    struct dry dry;
};

/* sampler_chain.c */
const struct sampler_stage *sampler_stages(size_t *n_stages);

/* sampler_repeat.c: the stages that look back, and the history they look at. */
bool repeat_penalties_active(const struct sampler_params *p);
bool repeat_dry_active(const struct sampler_params *p);
slm_status repeat_init(struct sampler *s, const struct sampler_params *p, slm_err *err);
void repeat_fini(struct sampler *s);
slm_status repeat_accept(struct sampler *s, int32_t id, slm_err *err);
void repeat_apply_penalties(struct sampler *s);
void repeat_apply_dry(struct sampler *s);

#endif
