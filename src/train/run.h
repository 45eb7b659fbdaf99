/* run.h -- a training run: steps, evaluation, metrics, checkpoints, and going on as if nothing had happened.
 *
 * A run lives in a folder: model.gguf (the result: the best evaluation's weights, or the last), log.jsonl (a line for each logged step and
 * evaluation), checkpoint.slm (everything a resume needs, replaced atomically). A run that was killed and resumed ends with the
 * same bytes in model.gguf as one that was not, and with the same figures in log.jsonl except times. */
#ifndef SLM_TRAIN_RUN_H
#define SLM_TRAIN_RUN_H

#include "train/optim.h"

struct run_eval {
    double loss;      /* nats for each target, the mean */
    double accuracy;  /* of targets, the highest logit's */
    uint64_t n;
};
/* One logged step. */
struct run_point {
    int64_t step, n_step;
    double loss, lr, grad_norm, tokens_per_s, seconds, eta_s;
    uint64_t tokens, n_skipped;
    double epoch;
    const struct run_eval *eval; /* NULL: none at this step */
    bool is_best;
};

struct run_params {
    const char *folder;
    int64_t n_step;              /* 0: by budget_s, from the speed of the first steps */
    double budget_s;
    int64_t batch_tokens;
    struct optim_params optim;
    struct schedule schedule;
    int64_t log_every, eval_every, save_every; /* steps; 0: never; the last step always is all three */
    int32_t patience;            /* evaluations without a better one, then stop; 0: never */
    double spike;                /* a step whose gradient's length is this many deviations above the usual is left out; 0: none is */
    bool keep_last;              /* model.gguf holds the last weights, not the best */
    bool resume;                 /* go on from the folder's checkpoint when there is one */
    int64_t cool;                /* with resume: from where the checkpoint is, let the rate fall over that many steps and end; 0: as the schedule has it */
    uint64_t identity;           /* of everything that decides the result; a checkpoint of another run is refused */
    const char *result;          /* "model.gguf": its name in the folder */
    const char *file_type;       /* of it */
    const _Atomic bool *cancel; /* then: the step is finished, a checkpoint written, CANCELLED */
    /* evaluate -- NULL: there is nothing to evaluate on. */
    slm_status (*evaluate)(void *user, struct trainee *t, struct run_eval *out, slm_err *err);
    /* write_result -- weights as they are now to path; NULL: trainee_export. */
    slm_status (*write_result)(void *user, struct trainee *t, const char *path, slm_err *err);
    void (*on_point)(void *user, const struct run_point *p); /* NULL: nobody looks */
    void *user;
};
struct run_result {
    int64_t n_step, best_step;
    double loss, best_loss, seconds, tokens_per_s; /* loss: of the last logged steps */
    uint64_t tokens, n_skipped;
    bool stopped_early;
};

/* run_train -- Errors: IO (the disk is full: the last checkpoint is as it was), FAILED (a loss or a gradient is not a number: names the step; the
 * weights before it are in the checkpoint), FORMAT (a checkpoint that is damaged, or of another run), USAGE (nothing to cool), CANCELLED, those of the source. */
slm_status run_train(struct trainee *t, struct train_source *source, const struct run_params *p, struct run_result *out, slm_err *err);

/* run_plot -- a run's log as a picture. Errors: IO. */
slm_status run_plot(const char *log_path, const char *svg_path, slm_err *err);

#endif
