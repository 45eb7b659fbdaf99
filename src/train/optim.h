/* optim.h -- from gradients to new weights: optimizers, schedules, and when a step is not to be trusted. */
#ifndef SLM_TRAIN_OPTIM_H
#define SLM_TRAIN_OPTIM_H

#include "train/trainee.h"

enum optim_kind { OPTIM_ADAMW, OPTIM_ADAMW8, OPTIM_MUON, OPTIM_SGD, N_OPTIMS };
#define OPTIM_NAMES "adamw|adamw8|muon|sgd" /* in the order of the enum */
struct optim_params {
    enum optim_kind kind;
    float beta1, beta2, eps;
    float decay;      /* of matrices and embeddings, times the learning rate; vectors have none */
    float clip;       /* gradients are scaled down to this length; 0: never */
};
/* Bytes of state for a parameter, for the memory plan. */
uint64_t optim_bytes_per_param(enum optim_kind kind);

struct optim;
/* optim_create -- state for the trainee's parameters, all zero. Errors: NOMEM. */
slm_status optim_create(struct trainee *t, const struct optim_params *p, struct optim **out, slm_err *err);
void optim_destroy(struct optim *o);
/* optim_norm -- length of the gradient; not finite when any element is not. */
double optim_norm(struct optim *o);
/* optim_step -- step number `step` (from 1) with rate lr; norm: what optim_norm gave. The same bits for any number of threads. */
void optim_step(struct optim *o, int64_t step, double lr, double norm);
/* The state as bytes, for checkpoints: runs that are written and read in this order. */
struct optim_run {
    void *data;
    size_t bytes;
};
size_t optim_state(struct optim *o, struct optim_run runs[4]);

enum schedule_kind { SCHEDULE_COSINE, SCHEDULE_LINEAR, SCHEDULE_WSD, SCHEDULE_CONST, N_SCHEDULES };
#define SCHEDULE_NAMES "cosine|linear|wsd|const"
struct schedule {
    enum schedule_kind kind;
    double lr, min_share;  /* the last rate is lr * min_share */
    double warmup;         /* share of the steps that rise */
    double decay;          /* WSD: share of the steps that fall */
};
/* schedule_at -- rate of step 1..n_step. */
double schedule_at(const struct schedule *s, int64_t step, int64_t n_step);

#endif
