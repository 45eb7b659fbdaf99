/* sampler.c -- the sampler's outside: parameters and their limits, life, pick and its draw.
 *
 * A pick copies the logits into candidate rows, runs the active stages of the chain (sampler_chain.c) and
 * draws one of the rows left. The draw walks the rows by falling probability, ids rising among equals, adding
 * weights in double until they pass u * total: the walk is short, and which token a given u means depends
 * only on the distribution. Every draw takes one number from the generator, also when one row is left. */
#include "engine/sampler_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Limits of the parameters: one row each, in the order of the struct. Floats must also be finite. */
struct param_row {
    const char *name;
    size_t offset;
    bool is_int;
    double min, max;
    const char *why;
};
#define ROW_F(field, name, min, max, why) {name, offsetof(struct sampler_params, field), false, min, max, why}
#define ROW_I(field, name, min, why) {name, offsetof(struct sampler_params, field), true, min, INT32_MAX, why}
static const struct param_row param_rows[] = {
    ROW_F(temperature, "temperature", 0, 100, "must be between 0 and 100"),
    ROW_I(top_k, "top-k", 0, "must be 0 (off) or more"),
    ROW_F(top_p, "top-p", 0, 1, "must be between 0 and 1"),
    ROW_F(min_p, "min-p", 0, 1, "must be between 0 and 1"),
    ROW_F(typical_p, "typical-p", 0, 1, "must be between 0 and 1"),
    ROW_F(repeat_penalty, "repeat-penalty", 0.01f, 100, "must be between 0.01 and 100"),
    ROW_F(presence_penalty, "presence-penalty", 0, 100, "must be between 0 and 100"),
    ROW_F(frequency_penalty, "frequency-penalty", 0, 100, "must be between 0 and 100"),
    ROW_I(penalty_last_n, "penalty-last-n", -1, "must be -1 (the whole context), 0 (off) or more"),
    ROW_F(dry_multiplier, "dry-multiplier", 0, 100, "must be between 0 and 100"),
    ROW_F(dry_base, "dry-base", 1, 100, "must be between 1 and 100"),
    ROW_I(dry_allowed_length, "dry-allowed-length", 0, "must be 0 or more"),
    ROW_I(dry_last_n, "dry-last-n", -1, "must be -1 (the whole context), 0 (off) or more"),
    ROW_I(n_dry_breakers, "dry-breaker count", 0, "must be 0 or more"),
    ROW_I(n_bias, "logit-bias count", 0, "must be 0 or more"),
};

void sampler_params_init(struct sampler_params *p) {
    *p = (struct sampler_params){
        .temperature = 0.8f,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .typical_p = 1.0f,
        .repeat_penalty = 1.0f,
        .penalty_last_n = 64,
        .dry_base = 1.75f,
        .dry_allowed_length = 2,
        .dry_last_n = -1,
    };
}

static slm_status check_row(const struct param_row *row, const struct sampler_params *p, slm_err *err) {
    const char *at = (const char *)p + row->offset;
    double value;
    if (row->is_int) {
        int32_t i;
        memcpy(&i, at, sizeof i);
        value = i;
    } else {
        float f;
        memcpy(&f, at, sizeof f);
        value = (double)f;
    }
    if (value >= row->min && value <= row->max) return SLM_OK; /* false for NaN */
    if (row->is_int) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%s \"%.0f\": %s", row->name, value, row->why);
    return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%s \"%g\": %s", row->name, value, row->why);
}

static bool id_valid(int32_t id, uint32_t n_vocab) {
    return id >= 0 && (uint32_t)id < n_vocab;
}

static slm_status refuse_id(const char *what, int32_t id, uint32_t n_vocab, slm_err *err) {
    return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%s \"%d\": the model has tokens 0 to %u", what, (int)id,
                   n_vocab - 1);
}

slm_status sampler_params_check(const struct sampler_params *p, uint32_t n_vocab, slm_err *err) {
    slm_status st = SLM_OK;
    if (n_vocab == 0 || n_vocab > INT32_MAX)
        FAIL(SLM_E_USAGE, SLM_NOWHERE, "vocabulary size \"%u\": must be between 1 and %d", n_vocab, (int)INT32_MAX);
    for (size_t i = 0; i < sizeof param_rows / sizeof param_rows[0]; i++) TRY(check_row(&param_rows[i], p, err));
    for (int32_t i = 0; i < p->n_dry_breakers; i++) {
        if (!id_valid(p->dry_breakers[i], n_vocab)) TRY(refuse_id("dry-breaker", p->dry_breakers[i], n_vocab, err));
    }
    for (int32_t i = 0; i < p->n_bias; i++) {
        const struct logit_bias *b = &p->bias[i];
        if (!id_valid(b->id, n_vocab)) TRY(refuse_id("logit-bias token", b->id, n_vocab, err));
        if (!(b->bias < INFINITY))
            FAIL(SLM_E_USAGE, SLM_NOWHERE, "logit-bias \"%g\" of token %d: must be a finite number or -inf",
                 (double)b->bias, (int)b->id);
    }
out:
    return st;
}

static slm_status bias_copy(struct sampler *s, const struct sampler_params *p, slm_err *err) {
    slm_status st = SLM_OK;
    uint32_t n_banned = 0;
    TRY(mem_alloc((void **)&s->is_banned, s->n_vocab, sizeof *s->is_banned, "ban table", err));
    if (p->n_bias == 0) goto out;
    TRY(mem_alloc((void **)&s->bias_own, (size_t)p->n_bias, sizeof *s->bias_own, "logit biases", err));
    memcpy(s->bias_own, p->bias, (size_t)p->n_bias * sizeof *s->bias_own);
    for (int32_t i = 0; i < p->n_bias; i++) {
        bool *banned = &s->is_banned[p->bias[i].id];
        if (p->bias[i].bias != -INFINITY || *banned) continue;
        *banned = true;
        n_banned++;
    }
    if (n_banned == s->n_vocab)
        FAIL(SLM_E_USAGE, SLM_NOWHERE, "logit-bias \"-inf\": bans every token of the model");
out:
    return st;
}

slm_status sampler_create(const struct sampler_params *p, uint32_t n_vocab, struct sampler **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct sampler *s = NULL;
    *out = NULL;
    TRY(sampler_params_check(p, n_vocab, err));
    TRY(mem_alloc((void **)&s, 1, sizeof *s, "sampler", err));
    s->params = *p;
    s->n_vocab = n_vocab;
    rng_init(&s->rng, p->seed);
    TRY(mem_alloc((void **)&s->cands.rows, n_vocab, sizeof *s->cands.rows, "sampler candidates", err));
    TRY(mem_alloc((void **)&s->cands.spare, n_vocab, sizeof *s->cands.spare, "sampler candidates", err));
    TRY(bias_copy(s, p, err));
    TRY(repeat_init(s, p, err));
    s->params.bias = s->bias_own;
    s->params.dry_breakers = NULL;
    size_t n_stages;
    const struct sampler_stage *stages = sampler_stages(&n_stages);
    for (size_t i = 0; i < n_stages; i++) {
        if (stages[i].active(p)) s->chain[s->n_chain++] = &stages[i];
    }
    *out = s;
    s = NULL;
out:
    sampler_destroy(s);
    return st;
}

void sampler_destroy(struct sampler *s) {
    if (!s) return;
    repeat_fini(s);
    free(s->bias_own);
    free(s->is_banned);
    free(s->cands.rows);
    free(s->cands.spare);
    free(s);
}

slm_status sampler_accept(struct sampler *s, int32_t id, slm_err *err) {
    if (!id_valid(id, s->n_vocab)) return refuse_id("token", id, s->n_vocab, err);
    return repeat_accept(s, id, err);
}

static void run_chain(struct sampler *s, const float *logits) {
    struct cands *c = &s->cands;
    for (uint32_t i = 0; i < s->n_vocab; i++) {
        c->rows[i].logit = logits[i];
        c->rows[i].id = (int32_t)i;
    }
    c->n = s->n_vocab;
    c->n_ordered = 0;
    c->temperature = 1;
    for (int i = 0; i < s->n_chain; i++) s->chain[i]->apply(s);
}

int32_t sampler_pick(struct sampler *s, const float *logits) {
    struct cands *c = &s->cands;
    run_chain(s, logits);
    if (s->params.temperature == 0.0f) return c->rows[0].id;
    const double goal = rng_f64(&s->rng) * cands_total(c);
    double sum = 0;
    int32_t id = cands_nth(c, 0)->id;
    for (size_t i = 0; i < c->n; i++) {
        const struct cand *row = cands_nth(c, i);
        const double weight = cand_weight(c, row);
        if (weight == 0) break;
        id = row->id; /* stays when rounding leaves the sum just below a goal near the total */
        sum += weight;
        if (goal < sum) break;
    }
    return id;
}

int32_t sampler_guess(struct sampler *s, const float *logits, int32_t n_ahead) {
    const struct rng now = s->rng;
    for (int32_t i = 0; i < n_ahead && s->params.temperature != 0.0f; i++) rng_f64(&s->rng);
    int32_t id = sampler_pick(s, logits);
    s->rng = now;
    return id;
}

void sampler_probs(struct sampler *s, const float *logits, float *probs) {
    struct cands *c = &s->cands;
    run_chain(s, logits);
    const double total = cands_total(c);
    memset(probs, 0, s->n_vocab * sizeof *probs);
    for (size_t i = 0; i < c->n; i++) probs[c->rows[i].id] = (float)(cand_weight(c, &c->rows[i]) / total);
}

/* The same reading of NaN and infinities as the settle stage; nothing to choose from gives -infinity. */
slm_status logits_check(const float *logits, uint32_t n_vocab, slm_err *err) {
    for (uint32_t i = 0; i < n_vocab; i++)
        if (logits[i] > -INFINITY) return SLM_OK; /* mostly the first */
    err_set(err, SLM_E_FAILED, SLM_NOWHERE, "the model's scores of the next token are no numbers");
    err_hint(err, "the model's file, or an adapter's, may be damaged; slm perplexity tells");
    return SLM_E_FAILED;
}

float logits_logprob(const float *logits, uint32_t n_vocab, int32_t id) {
    assert(id_valid(id, n_vocab));
    float max = -INFINITY;
    for (uint32_t i = 0; i < n_vocab; i++) {
        if (logits[i] > max) max = logits[i];
    }
    if (!(logits[id] > -INFINITY)) return -INFINITY;
    if (max == INFINITY) {
        double n_infinite = 0;
        for (uint32_t i = 0; i < n_vocab; i++) n_infinite += logits[i] == INFINITY;
        return logits[id] == INFINITY ? (float)-log(n_infinite) : -INFINITY;
    }
    double total = 0;
    for (uint32_t i = 0; i < n_vocab; i++) {
        if (logits[i] > -INFINITY) total += exp((double)logits[i] - (double)max);
    }
    return (float)((double)logits[id] - (double)max - log(total));
}
