/* test_sampler_large.c -- the lazy order over a real vocabulary: cuts and draws against a full sort by the C
 * library, for peaked, flat, sorted and tied logits. */
#include "test.h"

#include <math.h>

#include "engine/sampler.h"

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

static const float *sort_logits;

static int by_logit_then_id(const void *a, const void *b) {
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    if (sort_logits[i] != sort_logits[j]) return sort_logits[i] > sort_logits[j] ? -1 : 1;
    return (i > j) - (i < j);
}

/* Cuts computed over a full sort by the C library. */
static void check_large(const float *logits, int32_t n, const struct sampler_params *p, int32_t *order, float *got) {
    for (int32_t i = 0; i < n; i++) order[i] = i;
    sort_logits = logits;
    qsort(order, (size_t)n, sizeof *order, by_logit_then_id);
    int32_t n_kept = p->top_k > 0 && p->top_k < n ? p->top_k : n;
    double total = 0, sum = 0, max = (double)logits[order[0]];
    for (int32_t i = 0; i < n_kept; i++) total += exp((double)logits[order[i]] - max);
    if (p->top_p < 1) {
        int32_t i = 0;
        while (i < n_kept && sum < (double)p->top_p * total) sum += exp((double)logits[order[i++]] - max);
        n_kept = i;
        total = sum;
    }
    if (p->min_p > 0) {
        int32_t i = 0;
        total = 0;
        while (i < n_kept && (double)logits[order[i]] - max >= log((double)p->min_p))
            total += exp((double)logits[order[i++]] - max);
        n_kept = i;
    }
    struct sampler *s = make(p, (uint32_t)n);
    sampler_probs(s, logits, got);
    for (int32_t i = 0; i < n; i++) {
        double want = i < n_kept ? exp((double)logits[order[i]] - max) / total : 0;
        if (!(fabs((double)got[order[i]] - want) <= 1e-6 * want))
            fail_msg("place %d: %g, not %g", i, (double)got[order[i]], want);
    }
    /* The draw walks the same order: the same u must stop at the same place. */
    struct rng r;
    rng_init(&r, p->seed);
    for (int draw = 0; draw < 3; draw++) {
        int32_t id = sampler_pick(s, logits);
        double goal = rng_f64(&r) * total, before = 0;
        int32_t place = 0;
        for (; order[place] != id; place++) before += exp((double)logits[order[place]] - max);
        double after = before + exp((double)logits[id] - max);
        assert_true(goal >= before - 1e-9 * total && goal <= after + 1e-9 * total);
    }
    sampler_destroy(s);
}

static void test_large_vocabulary(void **state) {
    (void)state;
    const int32_t n = 151936;
    float *logits = calloc((size_t)n, sizeof *logits), *got = calloc((size_t)n, sizeof *got);
    int32_t *order = calloc((size_t)n, sizeof *order);
    struct rng r;
    rng_init(&r, 3);
    for (int shape = 0; shape < 5; shape++) { /* peaked, flat, rising, falling, few distinct values */
        for (int32_t i = 0; i < n; i++) {
            const float noise = rng_normal(&r);
            const float values[] = {4 * noise, 0.1f * noise, (float)i / (float)n, -(float)i / (float)n, roundf(noise)};
            logits[i] = values[shape];
        }
        const int32_t top_k[] = {0, 1, 40, 300, 20000, 0, 5000, 0, 0};
        const float top_p[] = {1, 1, 0.95f, 1, 0.9f, 0.5f, 0.01f, 1, 0.9f};
        const float min_p[] = {0, 0, 0.05f, 0, 0, 0, 0, 0.3f, 0.01f};
        for (int i = 0; i < 9; i++) {
            struct sampler_params p = params_plain();
            p.top_k = top_k[i];
            p.top_p = top_p[i];
            p.min_p = min_p[i];
            p.seed = (uint64_t)(shape * 10 + i);
            check_large(logits, n, &p, order, got);
        }
    }
    free(logits);
    free(got);
    free(order);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_large_vocabulary)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
