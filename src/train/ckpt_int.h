/* ckpt_int.h -- a run's state on file.
 *
 * "SLMCKPT2", then struct ckpt_state as it lies in memory (one machine's file, not for exchange), u64 number of runs, each u64 bytes and the bytes;
 * last a u64 hash of everything before it. */
#ifndef SLM_TRAIN_CKPT_INT_H
#define SLM_TRAIN_CKPT_INT_H

#include "train/run.h"

struct ckpt_state {
    uint64_t identity, data_identity, n_elem;
    int64_t step, n_step, best_step;
    int64_t cool_from, n_cool; /* n_cool 0: the schedule ends the run */
    uint64_t tokens, n_skipped;
    struct train_cursor cursor;
    double best_loss, norm_mean, norm_square, seconds; /* the usual gradient length: exponential means */
    double loss_sum, loss_weight, last_loss; /* since the last logged step */
    int64_t n_norm;
    int32_t n_worse, has_best;
};

slm_status ckpt_write(const char *path, const struct ckpt_state *s, const struct optim_run *runs, size_t n_runs, slm_err *err);
/* ckpt_read -- runs have the sizes that are expected. Errors: IO, FORMAT (damaged, of another run or version). */
slm_status ckpt_read(const char *path, struct ckpt_state *s, const struct optim_run *runs, size_t n_runs, slm_err *err);

#endif
