/* kv_kl.h -- what a KV cache's type costs: the mean Kullback-Leibler divergence of the next token's distribution. */
#ifndef SLM_TESTS_KV_KL_H
#define SLM_TESTS_KV_KL_H

#include "test.h"

#include <math.h>

#include "engine/session.h"

struct kv_rows {
    float *logits; /* [n_tok, n_vocab] */
    size_t n_vocab;
};

static inline slm_status kv_keep_row(void *user, size_t i, const float *logits, slm_err *err) {
    const struct kv_rows *r = user;
    (void)err;
    memcpy(r->logits + i * r->n_vocab, logits, r->n_vocab * sizeof(float));
    return SLM_OK;
}

static inline float *kv_logits(struct slm_model *m, int type, int n_threads, int32_t n_out, const int32_t *ids, size_t n) {
    slm_err err;
    struct slm_session *s;
    struct kv_rows rows = {malloc(n * m->hp.n_vocab * sizeof(float)), m->hp.n_vocab};
    struct session_params p = {.n_ctx = (int32_t)n, .n_chunk = n_out, .n_out = n_out, .n_threads = n_threads, .kv_type = type};
    assert_int_equal(session_create(m, &p, &s, &err), SLM_OK);
    assert_int_equal(session_logits_all(s, ids, n, kv_keep_row, &rows, &err), SLM_OK);
    session_destroy(s);
    return rows.logits;
}

static inline double kv_log_total(const float *logits, size_t n) {
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) max = fmax(max, (double)logits[i]);
    for (size_t i = 0; i < n; i++) sum += exp((double)logits[i] - max);
    return max + log(sum);
}

/* Mean over positions of sum p log(p / q), in nats, p the distribution of `exact`. */
static inline double kv_divergence(const float *exact, const float *other, size_t n, size_t n_vocab) {
    double sum = 0;
    for (size_t i = 0; i < n; i++, exact += n_vocab, other += n_vocab) {
        double total_p = kv_log_total(exact, n_vocab), total_q = kv_log_total(other, n_vocab);
        for (size_t id = 0; id < n_vocab; id++) {
            double p = (double)exact[id] - total_p, q = (double)other[id] - total_q;
            sum += exp(p) * (p - q);
        }
    }
    return sum / (double)n;
}

/* Every type against f32; most: what a type may cost. */
static inline void kv_check_types(const char *name, struct slm_model *m, const int32_t *ids, size_t n, const double most[KV_TYPE_COUNT]) {
    float *exact = kv_logits(m, KV_F32, 2, 32, ids, n);
    for (int type = 0; type < KV_TYPE_COUNT; type++) {
        float *other = kv_logits(m, type, 2, 32, ids, n);
        double kl = kv_divergence(exact, other, n, m->hp.n_vocab);
        print_message("%-24s kv %s: divergence %.2g nats over %d positions\n", name, kv_type_get((enum kv_type)type)->name, kl, (int)n);
        assert_true(kl <= most[type]);
        free(other);
    }
    free(exact);
}

#endif
