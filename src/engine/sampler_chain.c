/* sampler_chain.c -- the stages of the sampler and their order, which is the table at the end.
 *
 * The stages before "settle" change logits, row i being token i. "settle" drops what cannot be chosen. The
 * stages after it only remove rows: each reads the distribution that the stages before it have left. The
 * cutting stages see the model at temperature 1; the temperature comes last and shapes what is left.
 * No stage removes the last row. */
#include "engine/sampler_int.h"

static bool always(const struct sampler_params *p) {
    (void)p;
    return true;
}

static bool bias_active(const struct sampler_params *p) {
    return p->n_bias > 0;
}

static void bias_apply(struct sampler *s) {
    for (int32_t i = 0; i < s->params.n_bias; i++) s->cands.rows[s->params.bias[i].id].logit += s->params.bias[i].bias;
}

/* The lowest id that no bias bans, alone: what is picked when the logits leave nothing to choose from. */
static void settle_on_lowest(struct sampler *s) {
    int32_t id = 0;
    while (s->is_banned[id]) id++; /* ends: sampler_create refuses to ban every token */
    s->cands.rows[0] = (struct cand){.rank = cand_rank(0, id), .logit = 0, .id = id};
    s->cands.n = 1;
    s->cands.logit_max = 0;
}

/* NaN and -infinity have no probability; if there is +infinity, those that have it share it all. */
static void settle_apply(struct sampler *s) {
    struct cands *c = &s->cands;
    float max = -INFINITY;
    for (size_t i = 0; i < c->n; i++) {
        if (c->rows[i].logit > max) max = c->rows[i].logit;
    }
    if (max == -INFINITY) {
        settle_on_lowest(s);
        return;
    }
    const bool infinite = max == INFINITY;
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        struct cand row = c->rows[i];
        if (infinite ? row.logit != INFINITY : !(row.logit > -INFINITY)) continue;
        if (infinite) row.logit = 0;
        row.rank = cand_rank(row.logit, row.id);
        c->rows[n++] = row;
    }
    c->n = n;
    c->logit_max = infinite ? 0 : (double)max;
}

static bool greedy_active(const struct sampler_params *p) {
    return p->temperature == 0.0f;
}

static void greedy_apply(struct sampler *s) {
    cands_order(&s->cands, 1);
    s->cands.n = 1;
}

static bool top_k_active(const struct sampler_params *p) {
    return p->top_k > 0;
}

static void top_k_apply(struct sampler *s) {
    const size_t k = (size_t)s->params.top_k;
    if (k >= s->cands.n) return;
    cands_order(&s->cands, k);
    s->cands.n = s->cands.n_ordered = k;
}

static bool typical_active(const struct sampler_params *p) {
    return p->typical_p < 1.0f;
}

/* Keep the best rows, in the present order, until their weights come to share * total. */
static void keep_share(struct cands *c, double total, double share) {
    double sum = 0;
    size_t n_kept = 0;
    while (n_kept < c->n) {
        sum += cand_weight(c, cands_nth(c, n_kept++));
        if (sum >= share * total) break;
    }
    c->n = n_kept;
    if (c->n_ordered > n_kept) c->n_ordered = n_kept;
}

/* Order by how far the surprise -log p is from its mean, the entropy, nearest first; keep the share; then
 * back to the order of logits. */
static void typical_apply(struct sampler *s) {
    struct cands *c = &s->cands;
    double total = 0, sum = 0;
    for (size_t i = 0; i < c->n; i++) {
        double weight = cand_weight(c, &c->rows[i]);
        total += weight;
        sum += weight * ((double)c->rows[i].logit - c->logit_max);
    }
    /* surprise = log total - (logit - max), so entropy = log total - mean (logit - max): log total cancels. */
    const double mean = sum / total;
    for (size_t i = 0; i < c->n; i++) {
        struct cand *row = &c->rows[i];
        double distance = fabs((double)row->logit - c->logit_max - mean);
        row->rank = cand_rank(-(float)fmin(distance, 1e38), row->id);
    }
    c->n_ordered = 0;
    keep_share(c, total, (double)s->params.typical_p);
    c->n_ordered = 0;
    c->logit_max = -INFINITY;
    for (size_t i = 0; i < c->n; i++) {
        struct cand *row = &c->rows[i];
        row->rank = cand_rank(row->logit, row->id);
        c->logit_max = fmax(c->logit_max, (double)row->logit);
    }
}

static bool top_p_active(const struct sampler_params *p) {
    return p->top_p < 1.0f;
}

static void top_p_apply(struct sampler *s) {
    keep_share(&s->cands, cands_total(&s->cands), (double)s->params.top_p);
}

static bool min_p_active(const struct sampler_params *p) {
    return p->min_p > 0.0f;
}

/* p / p_max is exp(logit - max): one comparison of logits, no order needed. Rows keep their order, so what
 * stays of the ordered prefix is still one. */
static void min_p_apply(struct sampler *s) {
    struct cands *c = &s->cands;
    const double least = c->logit_max + log((double)s->params.min_p);
    size_t n = 0, n_ordered = 0;
    for (size_t i = 0; i < c->n; i++) {
        if ((double)c->rows[i].logit < least) continue;
        if (i < c->n_ordered) n_ordered++;
        c->rows[n++] = c->rows[i];
    }
    c->n = n;
    c->n_ordered = n_ordered;
}

static bool temperature_active(const struct sampler_params *p) {
    return p->temperature != 0.0f && p->temperature != 1.0f;
}

static void temperature_apply(struct sampler *s) {
    s->cands.temperature = (double)s->params.temperature;
}

static const struct sampler_stage stages[] = {
    {"logit-bias", bias_active, bias_apply},
    {"penalties", repeat_penalties_active, repeat_apply_penalties},
    {"dry", repeat_dry_active, repeat_apply_dry},
    {"settle", always, settle_apply},
    {"greedy", greedy_active, greedy_apply}, /* leaves one row: the later stages find nothing to cut */
    {"top-k", top_k_active, top_k_apply},
    {"typical", typical_active, typical_apply},
    {"top-p", top_p_active, top_p_apply},
    {"min-p", min_p_active, min_p_apply},
    {"temperature", temperature_active, temperature_apply},
};
_Static_assert(sizeof stages / sizeof stages[0] <= SAMPLER_STAGES_MAX, "a chain has room for every stage");

const struct sampler_stage *sampler_stages(size_t *n_stages) {
    *n_stages = sizeof stages / sizeof stages[0];
    return stages;
}
