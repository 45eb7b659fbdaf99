/* softmax.h -- multinomial logistic regression over sparse or dense rows: what every fitted head ends in. */
#ifndef SLM_TASK_SOFTMAX_H
#define SLM_TASK_SOFTMAX_H

#include "base/mem.h"

#define SOFTMAX_N_LABEL_MAX 4096
#define SOFTMAX_WEIGHTS_MAX ((size_t)1 << 30) /* n_feature * n_label */

/* One row: features by number, each at most once. index NULL: value [n] is dense, feature i at i. */
struct feature_row {
    const uint32_t *index;
    const float *value;
    size_t n;
};
struct softmax {
    uint32_t n_feature, n_label;
    float *weight; /* [n_feature, n_label] */
    float *bias;   /* [n_label] */
};
struct softmax_params {
    uint32_t n_epoch;  /* 0: as many as see 300,000 rows, 10 to 60 */
    float rate;        /* of AdaGrad's steps; 0: 0.2 */
    float decay;       /* L2, per row seen; 0: none */
    float dropout;     /* share of a row's features left out, anew in each epoch */
    uint64_t seed;
    const _Atomic bool *cancel;
    void (*progress)(void *user, double share);
    void *user;
};
/* softmax_train -- labels[i] < n_label. Deterministic: one thread, rows in an order drawn from seed. out freed with softmax_fini.
 * Errors: LIMIT, NOMEM, CANCELLED. */
slm_status softmax_train(const struct feature_row *rows, const uint32_t *labels, size_t n, uint32_t n_feature, uint32_t n_label,
                         const struct softmax_params *p, struct softmax *out, slm_err *err);
void softmax_fini(struct softmax *s);
/* softmax_logits -- out [n_label]. */
void softmax_logits(const struct softmax *s, const struct feature_row *row, float *out);
/* softmax_probs -- logits become probabilities in place: exp(temper * v) / sum. */
void softmax_probs(float *v, size_t n, double temper);
/* softmax_temper -- the inverse temperature under which given logits [n, n_label] explain labels best: one number, by bisection. */
double softmax_temper(const float *logits, const uint32_t *labels, size_t n, uint32_t n_label);

#endif
