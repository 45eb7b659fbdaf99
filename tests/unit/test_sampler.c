/* test_sampler.c -- the sampler against the definitions.
 *
 * Thousands of random parameter sets must give the distribution that the second sampler of sampler_model.h
 * gives; single stages are also worked by hand. Draws are then held against sampler_probs by chi-square. */
#include "test.h"

#include <math.h>

#include "engine/sampler.h"
#include "sampler_model.h"

/* ---- helpers ---- */

static struct sampler_params params_plain(void) {
    struct sampler_params p;
    sampler_params_init(&p);
    p.temperature = 1;
    p.top_k = 0;
    p.top_p = 1;
    p.min_p = 0;
    return p;
}

static struct sampler *make(const struct sampler_params *p, uint32_t n_vocab) {
    slm_err err;
    struct sampler *s = NULL;
    if (sampler_create(p, n_vocab, &s, &err) != SLM_OK) fail_msg("%s", err.msg);
    return s;
}

static void say(struct sampler *s, const int32_t *ids, int n) {
    for (int i = 0; i < n; i++) assert_int_equal(sampler_accept(s, ids[i], NULL), SLM_OK);
}

static int below(struct rng *r, int n) {
    return (int)(rng_u64(r) % (uint64_t)n);
}

static float between(struct rng *r, double lo, double hi) {
    return (float)(lo + (hi - lo) * rng_f64(r));
}

/* ---- parameters ---- */

#define REFUSED(field, value, message)                                                                                 \
    do {                                                                                                               \
        struct sampler_params q;                                                                                       \
        slm_err err;                                                                                                   \
        sampler_params_init(&q);                                                                                       \
        q.field = value;                                                                                               \
        assert_int_equal(sampler_params_check(&q, 100, &err), SLM_E_USAGE);                                            \
        assert_string_equal(err.msg, message);                                                                         \
        struct sampler *s = (struct sampler *)&q;                                                                      \
        assert_int_equal(sampler_create(&q, 100, &s, NULL), SLM_E_USAGE);                                              \
        assert_null(s);                                                                                                \
    } while (0)

static void test_params_defaults_pass(void **state) {
    (void)state;
    struct sampler_params p;
    sampler_params_init(&p);
    assert_int_equal(sampler_params_check(&p, 1, NULL), SLM_OK);
    assert_int_equal(sampler_params_check(&p, 0, NULL), SLM_E_USAGE);
    assert_int_equal(sampler_params_check(&p, UINT32_MAX, NULL), SLM_E_USAGE);
    assert_true(p.temperature == 0.8f && p.top_k == 40 && p.top_p == 0.95f && p.min_p == 0.05f);
}

static void test_params_refused(void **state) {
    (void)state;
    REFUSED(top_p, 1.5f, "top-p \"1.5\": must be between 0 and 1");
    REFUSED(temperature, NAN, "temperature \"nan\": must be between 0 and 100");
    REFUSED(temperature, -0.5f, "temperature \"-0.5\": must be between 0 and 100");
    REFUSED(temperature, INFINITY, "temperature \"inf\": must be between 0 and 100");
    REFUSED(top_k, -1, "top-k \"-1\": must be 0 (off) or more");
    REFUSED(min_p, -1, "min-p \"-1\": must be between 0 and 1");
    REFUSED(typical_p, NAN, "typical-p \"nan\": must be between 0 and 1");
    REFUSED(repeat_penalty, 0, "repeat-penalty \"0\": must be between 0.01 and 100");
    REFUSED(presence_penalty, -INFINITY, "presence-penalty \"-inf\": must be between 0 and 100");
    REFUSED(frequency_penalty, -1, "frequency-penalty \"-1\": must be between 0 and 100");
    REFUSED(penalty_last_n, -2, "penalty-last-n \"-2\": must be -1 (the whole context), 0 (off) or more");
    REFUSED(dry_multiplier, 101, "dry-multiplier \"101\": must be between 0 and 100");
    REFUSED(dry_base, 0.5f, "dry-base \"0.5\": must be between 1 and 100");
    REFUSED(dry_allowed_length, -3, "dry-allowed-length \"-3\": must be 0 or more");
    REFUSED(dry_last_n, INT32_MIN, "dry-last-n \"-2147483648\": must be -1 (the whole context), 0 (off) or more");
    REFUSED(n_bias, -1, "logit-bias count \"-1\": must be 0 or more");
}

static void test_params_ids_refused(void **state) {
    (void)state;
    slm_err err;
    struct sampler_params p = params_plain();
    const int32_t breakers[] = {3, 100};
    p.dry_breakers = breakers;
    p.n_dry_breakers = 2;
    assert_int_equal(sampler_params_check(&p, 101, &err), SLM_OK);
    assert_int_equal(sampler_params_check(&p, 100, &err), SLM_E_USAGE);
    assert_string_equal(err.msg, "dry-breaker \"100\": the model has tokens 0 to 99");
    p.n_dry_breakers = 0;
    struct logit_bias bias[] = {{5, -INFINITY}, {-1, 2}};
    p.bias = bias;
    p.n_bias = 2;
    assert_int_equal(sampler_params_check(&p, 100, &err), SLM_E_USAGE);
    assert_string_equal(err.msg, "logit-bias token \"-1\": the model has tokens 0 to 99");
    bias[1] = (struct logit_bias){7, INFINITY};
    assert_int_equal(sampler_params_check(&p, 100, &err), SLM_E_USAGE);
    assert_string_equal(err.msg, "logit-bias \"inf\" of token 7: must be a finite number or -inf");
    bias[1].bias = NAN;
    assert_int_equal(sampler_params_check(&p, 100, &err), SLM_E_USAGE);
    bias[1] = (struct logit_bias){5, -INFINITY};
    struct sampler *s = make(&p, 6);
    assert_int_equal(sampler_accept(s, 6, &err), SLM_E_USAGE);
    assert_string_equal(err.msg, "token \"6\": the model has tokens 0 to 5");
    assert_int_equal(sampler_accept(s, -1, &err), SLM_E_USAGE);
    sampler_destroy(s);
    bias[0].id = bias[1].id = 1; /* the same token banned twice is one ban */
    s = make(&p, 2);
    sampler_destroy(s);
    bias[0].id = 0;
    assert_int_equal(sampler_create(&p, 2, &s, &err), SLM_E_USAGE);
    assert_string_equal(err.msg, "logit-bias \"-inf\": bans every token of the model");
    sampler_destroy(NULL);
}

/* ---- the whole chain against the definitions ---- */

struct random_case {
    struct sampler_params p;
    struct text text;
    float logits[N_SMALL];
    int32_t breakers[3];
    struct logit_bias bias[4];
};

static void random_params(struct random_case *c, struct rng *r) {
    struct sampler_params *p = &c->p;
    *p = params_plain();
    p->seed = rng_u64(r);
    if (below(r, 4)) p->temperature = below(r, 8) ? between(r, 0.05, 3) : 0;
    if (below(r, 2)) p->top_k = below(r, N_SMALL + 5);
    if (below(r, 2)) p->top_p = below(r, 10) ? between(r, 0, 1) : 0;
    if (below(r, 2)) p->min_p = below(r, 10) ? between(r, 0, 0.5) : 1;
    if (below(r, 3) == 0 && p->temperature != 0) p->typical_p = between(r, 0, 1);
    if (below(r, 2)) p->repeat_penalty = between(r, 0.5, 2);
    if (below(r, 3) == 0) p->presence_penalty = between(r, 0, 2);
    if (below(r, 3) == 0) p->frequency_penalty = between(r, 0, 1);
    p->penalty_last_n = below(r, 3) ? below(r, 80) : -1;
    if (below(r, 2)) p->dry_multiplier = between(r, 0, 2);
    p->dry_base = between(r, 1, 2);
    p->dry_allowed_length = below(r, 5);
    p->dry_last_n = below(r, 3) ? below(r, 120) : -1;
    p->n_dry_breakers = below(r, 4);
    for (int i = 0; i < 3; i++) c->breakers[i] = below(r, N_SMALL);
    p->dry_breakers = c->breakers;
    p->n_bias = below(r, 2) ? below(r, 5) : 0;
    for (int i = 0; i < 4; i++) c->bias[i] = (struct logit_bias){below(r, N_SMALL), between(r, -5, 5)};
    if (below(r, 2)) c->bias[1].bias = -INFINITY;
    p->bias = c->bias;
}

/* Texts of few kinds of token, with copied stretches, so that penalties and matches of many lengths occur. */
static void random_text(struct text *t, struct rng *r) {
    int n = below(r, 400), n_kinds = 1 + below(r, below(r, 2) ? 4 : N_SMALL);
    t->n = 0;
    while (t->n < n) {
        if (t->n > 4 && below(r, 6) == 0) {
            int from = below(r, t->n), len = 1 + below(r, 20);
            for (int i = 0; i < len && t->n < n; i++, t->n++) t->ids[t->n] = t->ids[from + i];
        } else {
            t->ids[t->n++] = below(r, n_kinds);
        }
    }
}

static void random_case_init(struct random_case *c, struct rng *r) {
    random_params(c, r);
    random_text(&c->text, r);
    float scale = between(r, 0, 6);
    bool grid = below(r, 3) == 0; /* many equal logits */
    for (int i = 0; i < N_SMALL; i++) {
        c->logits[i] = between(r, -1, 1) * scale;
        if (grid) c->logits[i] = roundf(c->logits[i]);
        if (below(r, 30) == 0) c->logits[i] = below(r, 2) ? NAN : -INFINITY;
    }
}

static void test_chain_equals_definition(void **state) {
    (void)state;
    struct rng r;
    rng_init(&r, 20240601);
    int n_left_out = 0;
    const int n_cases = 6000;
    for (int i_case = 0; i_case < n_cases; i_case++) {
        struct random_case c;
        struct dist want;
        float got[N_SMALL];
        random_case_init(&c, &r);
        model_probs(&c.p, &c.text, c.logits, &want);
        if (want.close) {
            n_left_out++;
            continue;
        }
        struct sampler *s = make(&c.p, N_SMALL);
        say(s, c.text.ids, c.text.n);
        sampler_probs(s, c.logits, got);
        for (int i = 0; i < N_SMALL; i++) {
            if (!(fabs((double)got[i] - want.p[i]) <= 2e-5 * (1 + 1 / (double)fmaxf(c.p.temperature, 0.05f))))
                fail_msg("case %d token %d: %.9g, by definition %.9g", i_case, i, (double)got[i], want.p[i]);
        }
        int32_t id = sampler_pick(s, c.logits);
        assert_true(id >= 0 && id < N_SMALL);
        assert_true(got[id] > 0);
        sampler_destroy(s);
    }
    assert_true(n_left_out < n_cases / 50);
}

/* Penalties must not depend on how the history is stored: a long text through a short window. */
static void test_window_slides(void **state) {
    (void)state;
    struct rng r;
    rng_init(&r, 5);
    struct sampler_params p = params_plain();
    p.presence_penalty = 0.25f;
    p.frequency_penalty = 0.5f;
    p.penalty_last_n = 7;
    p.dry_multiplier = 0.5f;
    p.dry_last_n = 30;
    struct sampler *s = make(&p, N_SMALL);
    struct text tail = {.n = 0};
    float logits[N_SMALL] = {0}, got[N_SMALL];
    for (int step = 0; step < 3000; step++) {
        int32_t id = below(&r, 3 + step / 100);
        if (tail.n == 100) {
            memmove(tail.ids, tail.ids + 50, 50 * sizeof tail.ids[0]);
            tail.n = 50;
        }
        tail.ids[tail.n++] = id;
        say(s, &id, 1);
        struct dist want;
        model_probs(&p, &tail, logits, &want);
        sampler_probs(s, logits, got);
        for (int i = 0; i < N_SMALL; i++) assert_true(fabs((double)got[i] - want.p[i]) < 1e-6);
    }
    sampler_destroy(s);
}

/* ---- DRY, by hand ---- */

/* What DRY subtracts from token id after text, seen through log-probabilities against token 9, never said. */
static double dry_penalty(const struct sampler_params *p, const int32_t *text, int n, int32_t id) {
    float logits[10] = {0}, probs[10];
    struct sampler *s = make(p, 10);
    say(s, text, n);
    sampler_probs(s, logits, probs);
    sampler_destroy(s);
    return log((double)probs[9]) - log((double)probs[id]);
}

static void test_dry_by_hand(void **state) {
    (void)state;
    struct sampler_params p = params_plain();
    p.dry_multiplier = 0.8f;
    const double base = 1.75, mult = (double)p.dry_multiplier;
    const int32_t text[] = {1, 2, 3, 4, 5, 1, 2, 3};
    /* 1 2 3 occurred before and 4 followed: match 3, allowed 2. */
    assert_true(fabs(dry_penalty(&p, text, 8, 4) - mult * base) < 1e-5);
    for (int32_t id = 0; id < 9; id++) {
        if (id != 4) assert_true(fabs(dry_penalty(&p, text, 8, id)) < 1e-6);
    }
    assert_true(fabs(dry_penalty(&p, text, 7, 3) - mult) < 1e-5); /* 1 2: match 2 is the shortest that counts */
    assert_true(fabs(dry_penalty(&p, text, 6, 2)) < 1e-6);        /* 1: shorter than allowed */
    p.dry_allowed_length = 1;
    assert_true(fabs(dry_penalty(&p, text, 6, 2) - mult) < 1e-5);
    p.dry_allowed_length = 2;
    p.dry_last_n = 7; /* the first 1 is out of sight: match 2 */
    assert_true(fabs(dry_penalty(&p, text, 8, 4) - mult) < 1e-5);
    p.dry_last_n = -1;
    const int32_t run[] = {7, 7, 7, 7, 7}; /* the end overlaps its earlier self by 4 */
    assert_true(fabs(dry_penalty(&p, run, 5, 7) - mult * base * base) < 1e-5);
    /* Two places: the longer match counts, not the sum. */
    const int32_t two[] = {1, 2, 3, 4, 5, 2, 3, 4, 5, 1, 2, 3};
    assert_true(fabs(dry_penalty(&p, two, 12, 4) - mult * base) < 1e-5);
}

static void test_dry_breakers(void **state) {
    (void)state;
    struct sampler_params p = params_plain();
    p.dry_multiplier = 0.8f;
    const double mult = (double)p.dry_multiplier;
    const int32_t text[] = {1, 2, 3, 4, 5, 1, 2, 3};
    int32_t breaker = 1;
    p.dry_breakers = &breaker;
    p.n_dry_breakers = 1;
    assert_true(fabs(dry_penalty(&p, text, 8, 4) - mult) < 1e-5); /* 2 3 is left of the match */
    breaker = 2;
    assert_true(fabs(dry_penalty(&p, text, 8, 4)) < 1e-6); /* only 3 is */
    breaker = 3;
    assert_true(fabs(dry_penalty(&p, text, 8, 4)) < 1e-6); /* the text ends in a breaker */
    breaker = 4;
    assert_true(fabs(dry_penalty(&p, text, 8, 4)) < 1e-6); /* a breaker itself is never penalised */
}

/* A match so long that the penalty passes every float makes a token hopeless, not banned. */
static void test_dry_huge_penalty(void **state) {
    (void)state;
    struct sampler_params p = params_plain();
    p.dry_multiplier = 100;
    p.dry_base = 100;
    const struct logit_bias bias[] = {{0, -INFINITY}};
    p.bias = bias;
    p.n_bias = 1;
    float probs[4];
    struct sampler *s = make(&p, 4);
    for (int i = 0; i < 1000; i++) assert_int_equal(sampler_accept(s, 2, NULL), SLM_OK);
    sampler_probs(s, (float[]){9, -INFINITY, -1e32f, -INFINITY}, probs);
    assert_true(probs[2] == 1);
    sampler_probs(s, (float[]){9, -1000, 0, -INFINITY}, probs);
    assert_true(probs[1] == 1 && probs[2] == 0);
    /* and what the model bans, a penalty does not bring back */
    sampler_probs(s, (float[]){9, -INFINITY, -INFINITY, -INFINITY}, probs);
    assert_true(probs[1] == 1 && probs[2] == 0);
    sampler_destroy(s);
}

/* ---- single stages, by hand ---- */

static void test_penalties_by_hand(void **state) {
    (void)state;
    struct sampler_params p = params_plain();
    p.repeat_penalty = 2;
    const float logits[4] = {2, -1, 0, 1};
    const int32_t text[] = {0, 1, 1, 2};
    const double want_plain[4] = {1, -2, 0, 1};
    const double want_all[4] = {1 - 0.75, -2 - 1.25, 0 - 0.75, 1};
    for (int pass = 0; pass < 2; pass++) {
        const double *want = pass ? want_all : want_plain;
        p.presence_penalty = pass ? 0.25f : 0;
        p.frequency_penalty = pass ? 0.5f : 0;
        float probs[4];
        struct sampler *s = make(&p, 4);
        say(s, text, 4);
        sampler_probs(s, logits, probs);
        for (int i = 0; i < 4; i++)
            assert_true(fabs(log((double)probs[i]) - log((double)probs[3]) - (want[i] - want[3])) < 1e-5);
        sampler_destroy(s);
    }
}

static void probs_of(const struct sampler_params *p, const float *logits, uint32_t n, float *probs) {
    struct sampler *s = make(p, n);
    sampler_probs(s, logits, probs);
    sampler_destroy(s);
}

static void test_cuts_by_hand(void **state) {
    (void)state;
    /* Probabilities 0.5, 0.25, 0.125, 0.125. */
    const float logits[4] = {logf(0.125f), logf(0.5f), logf(0.125f), logf(0.25f)};
    float probs[4];
    struct sampler_params p = params_plain();
    p.top_p = 0.7f;
    probs_of(&p, logits, 4, probs);
    assert_true(probs[0] == 0 && probs[2] == 0 && fabsf(probs[1] - 2 / 3.0f) < 1e-6f);
    p.top_p = 0;
    probs_of(&p, logits, 4, probs);
    assert_true(probs[1] == 1);
    p = params_plain();
    p.min_p = 0.3f; /* of 0.5: 0.15 */
    probs_of(&p, logits, 4, probs);
    assert_true(probs[0] == 0 && probs[2] == 0 && fabsf(probs[3] - 1 / 3.0f) < 1e-6f);
    p = params_plain();
    p.top_k = 3; /* of two equal ones the lower id stays */
    probs_of(&p, logits, 4, probs);
    assert_true(probs[2] == 0 && fabsf(probs[0] - 1 / 7.0f) < 1e-6f);
    p = params_plain();
    p.typical_p = 0.2f; /* entropy 1.75 bits; the surprise 2 bits is nearest */
    probs_of(&p, logits, 4, probs);
    assert_true(probs[3] == 1);
    p.typical_p = 0.3f; /* then 1 bit */
    probs_of(&p, logits, 4, probs);
    assert_true(fabsf(probs[3] - 1 / 3.0f) < 1e-6f && fabsf(probs[1] - 2 / 3.0f) < 1e-6f);
    p = params_plain();
    p.temperature = 0.5f; /* squares */
    probs_of(&p, logits, 4, probs);
    assert_true(fabsf(probs[1] - 16 / 22.0f) < 1e-6f);
    p.temperature = 1e-30f;
    probs_of(&p, logits, 4, probs);
    assert_true(probs[1] == 1);
    p = params_plain();
    p.top_p = 0.6f; /* cuts before the temperature, which would otherwise move the cut */
    p.temperature = 50;
    probs_of(&p, logits, 4, probs);
    assert_true(probs[0] == 0 && probs[2] == 0 && probs[3] > 0.49f);
}

static void test_greedy(void **state) {
    (void)state;
    struct sampler_params p;
    sampler_params_init(&p);
    p.temperature = 0;
    p.typical_p = 0.1f;
    struct sampler *s = make(&p, 5);
    assert_int_equal(sampler_pick(s, (float[]){0, 3, 2, 3, 1}), 1); /* lowest id of two */
    assert_int_equal(sampler_pick(s, (float[]){-0.0f, 0.0f, -1, -1, -1}), 0);
    assert_int_equal(sampler_pick(s, (float[]){0.0f, -0.0f, -1, -1, -1}), 0);
    assert_int_equal(sampler_pick(s, (float[]){NAN, 0, NAN, 1, NAN}), 3);
    assert_int_equal(sampler_pick(s, (float[]){1, INFINITY, 0, INFINITY, -INFINITY}), 1);
    sampler_destroy(s);
    const struct logit_bias bias[] = {{1, -INFINITY}, {2, 1.5f}, {2, 1}}; /* biases of one token add up */
    p.bias = bias;
    p.n_bias = 3;
    s = make(&p, 5);
    assert_int_equal(sampler_pick(s, (float[]){0, 9, 2, 4, 1}), 2);
    assert_int_equal(sampler_pick(s, (float[]){0, INFINITY, 2, 5, 1}), 3); /* a ban holds against anything */
    sampler_destroy(s);
}

static void test_strange_logits(void **state) {
    (void)state;
    struct sampler_params p = params_plain();
    const struct logit_bias bias[] = {{0, -INFINITY}};
    p.bias = bias;
    p.n_bias = 1;
    float probs[4];
    float nothing[4] = {5, NAN, -INFINITY, NAN};
    probs_of(&p, nothing, 4, probs);
    assert_true(probs[1] == 1); /* the lowest id that is not banned */
    float infinite[4] = {INFINITY, INFINITY, 3, INFINITY};
    probs_of(&p, infinite, 4, probs);
    assert_true(probs[0] == 0 && probs[1] == 0.5f && probs[2] == 0 && probs[3] == 0.5f);
    float extreme[4] = {0, 3.4e38f, -3.4e38f, 3.4e38f};
    probs_of(&p, extreme, 4, probs);
    assert_true(probs[1] == 0.5f && probs[2] == 0);
    p.typical_p = 0.5f;
    probs_of(&p, extreme, 4, probs);
    assert_true(probs[1] == 1);
    struct sampler *s = make(&p, 4);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(sampler_pick(s, nothing), 1);
        assert_int_equal(sampler_pick(s, extreme), 1);
    }
    sampler_destroy(s);
    float one = NAN;
    p = params_plain();
    probs_of(&p, &one, 1, probs);
    assert_true(probs[0] == 1);
}

/* ---- draws ---- */

/* Q(a, x), the regularised upper incomplete gamma function: series below a + 1, continued fraction above. */
static double gamma_q(double a, double x) {
    const double front = exp(a * log(x) - x - lgamma(a));
    if (x < a + 1) {
        double term = 1 / a, sum = term;
        for (double n = a + 1; term > sum * 1e-16; n++) sum += term *= x / n;
        return 1 - front * sum;
    }
    double b = x + 1 - a, c = 1e300, d = 1 / b, h = d;
    for (int i = 1; i < 10000; i++) {
        double an = -i * (i - a);
        b += 2;
        d = 1 / (an * d + b);
        c = b + an / c;
        h *= c * d;
        if (fabs(c * d - 1) < 1e-15) break;
    }
    return front * h;
}

static double chi_square_p(double x, int n_free) {
    return x <= 0 ? 1 : gamma_q(n_free / 2.0, x / 2);
}

static void test_chi_square_function(void **state) {
    (void)state;
    assert_true(fabs(chi_square_p(3.841458821, 1) - 0.05) < 1e-9); /* printed tables */
    assert_true(fabs(chi_square_p(18.307038053, 10) - 0.05) < 1e-9);
    assert_true(fabs(chi_square_p(124.342113404, 100) - 0.05) < 1e-9);
    assert_true(fabs(chi_square_p(2, 2) - exp(-1)) < 1e-12);
}

/* p of n_draws picks against the distribution `expected`; rare tokens share a class. */
static double fit(struct sampler *s, const float *logits, const float *expected, int n_draws) {
    int counts[N_SMALL] = {0}, n_class = 0;
    for (int i = 0; i < n_draws; i++) counts[sampler_pick(s, logits)]++;
    double x = 0, rest_want = 0, rest_got = 0;
    for (int i = 0; i < N_SMALL; i++) {
        double want = (double)expected[i] * n_draws;
        if (expected[i] == 0) assert_int_equal(counts[i], 0);
        if (want < 10) {
            rest_want += want;
            rest_got += counts[i];
            continue;
        }
        x += (counts[i] - want) * (counts[i] - want) / want;
        n_class++;
    }
    if (rest_want >= 1) {
        x += (rest_got - rest_want) * (rest_got - rest_want) / rest_want;
        n_class++;
    }
    return n_class < 2 ? 1 : chi_square_p(x, n_class - 1);
}

static void test_draws_fit(void **state) {
    (void)state;
    struct rng r;
    rng_init(&r, 77);
    for (int i_case = 0; i_case < 12; i_case++) {
        struct random_case c;
        float probs[N_SMALL];
        random_case_init(&c, &r);
        if (c.p.temperature == 0) c.p.temperature = 1;
        if (i_case == 0) c.p = params_plain();
        if (i_case == 1) {
            uint64_t seed = c.p.seed;
            sampler_params_init(&c.p);
            c.p.seed = seed;
        }
        struct sampler *s = make(&c.p, N_SMALL);
        say(s, c.text.ids, c.text.n);
        sampler_probs(s, c.logits, probs);
        double p_value = fit(s, c.logits, probs, 200000);
        if (p_value <= 1e-4) fail_msg("case %d: p = %g", i_case, p_value);
        if (i_case == 0) { /* and the test can tell: one percent moved between two tokens does not fit */
            probs[1] += 0.01f;
            probs[2] -= 0.01f;
            assert_true(fit(s, c.logits, probs, 200000) < 1e-4);
        }
        sampler_destroy(s);
    }
}

static void test_same_seed_same_draws(void **state) {
    (void)state;
    struct sampler_params p = params_plain();
    float logits[N_SMALL] = {0}, probs[N_SMALL];
    int32_t first[64];
    int n_other = 0;
    p.seed = 42;
    struct sampler *a = make(&p, N_SMALL), *b = make(&p, N_SMALL);
    p.seed = 43;
    struct sampler *other = make(&p, N_SMALL);
    for (int i = 0; i < 64; i++) first[i] = sampler_pick(a, logits);
    for (int i = 0; i < 64; i++) {
        sampler_probs(b, logits, probs); /* takes no random number */
        assert_int_equal(sampler_pick(b, logits), first[i]);
        n_other += sampler_pick(other, logits) != first[i];
    }
    assert_true(n_other > 32);
    sampler_destroy(a);
    sampler_destroy(b);
    sampler_destroy(other);
}

/* The random state goes one step per draw, also when one token is left, and none when greedy. */
static void test_one_number_per_draw(void **state) {
    (void)state;
    struct sampler_params p = params_plain();
    p.seed = 9;
    struct sampler *s = make(&p, 3);
    struct rng r;
    rng_init(&r, 9);
    const float even[3] = {0, 0, 0}, one[3] = {0, -INFINITY, -INFINITY};
    for (int i = 0; i < 200; i++) {
        if (i % 3 == 0) {
            rng_f64(&r);
            assert_int_equal(sampler_pick(s, one), 0);
        }
        assert_int_equal(sampler_pick(s, even), (int32_t)(rng_f64(&r) * 3)); /* by id among equals */
    }
    sampler_destroy(s);
}

static void test_logprob(void **state) {
    (void)state;
    const float logits[4] = {logf(0.125f), logf(0.5f), NAN, logf(0.375f)};
    assert_true(fabsf(logits_logprob(logits, 4, 1) - logf(0.5f)) < 1e-6f);
    assert_true(fabsf(logits_logprob(logits, 4, 3) - logf(0.375f)) < 1e-6f);
    assert_true(logits_logprob(logits, 4, 2) == -INFINITY);
    const float infinite[3] = {INFINITY, 1, INFINITY};
    assert_true(fabsf(logits_logprob(infinite, 3, 2) - logf(0.5f)) < 1e-6f);
    assert_true(logits_logprob(infinite, 3, 1) == -INFINITY);
    const float nothing[2] = {-INFINITY, NAN};
    assert_true(logits_logprob(nothing, 2, 0) == -INFINITY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params_defaults_pass),
        cmocka_unit_test(test_params_refused),
        cmocka_unit_test(test_params_ids_refused),
        cmocka_unit_test(test_chain_equals_definition),
        cmocka_unit_test(test_window_slides),
        cmocka_unit_test(test_dry_by_hand),
        cmocka_unit_test(test_dry_breakers),
        cmocka_unit_test(test_dry_huge_penalty),
        cmocka_unit_test(test_penalties_by_hand),
        cmocka_unit_test(test_cuts_by_hand),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_strange_logits),
        cmocka_unit_test(test_chi_square_function),
        cmocka_unit_test(test_draws_fit),
        cmocka_unit_test(test_same_seed_same_draws),
        cmocka_unit_test(test_one_number_per_draw),
        cmocka_unit_test(test_logprob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
