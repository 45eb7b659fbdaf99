/* ranks.h -- one run by several processes, started by mpirun: each computes its share of a step's micro-batches, then all hold the same sum.
 *
 * Open MPI's library is loaded when a process finds that mpirun started it with others, and never else: what is built needs none of it.
 * All calls but ranks_get are collective: every process makes them in the same order. In a process that is alone they do nothing. */
#ifndef SLM_TRAIN_RANKS_H
#define SLM_TRAIN_RANKS_H

#include "base/status.h"

struct ranks {
    int rank, n; /* n 1: alone */
};
/* ranks_get -- before ranks_begin: alone. */
const struct ranks *ranks_get(void);
/* ranks_asked -- was this process started by mpirun, with others? */
bool ranks_asked(void);
/* ranks_begin -- once a process. Errors: NOT_FOUND (the library: names the Debian package), FAILED. */
slm_status ranks_begin(slm_err *err);
/* ranks_end -- when all have succeeded; a process that ends without it makes mpirun end the others. */
slm_status ranks_end(slm_err *err);

/* ranks_sum, ranks_sum_floats -- x[n] becomes the sum of all processes' x, the same bits in each of them. Errors: FAILED. */
slm_status ranks_sum(double *x, int n, slm_err *err);
slm_status ranks_sum_floats(float *x, uint64_t n, slm_err *err);
/* ranks_share -- bytes[n] becomes that of process 0. Errors: FAILED. */
slm_status ranks_share(void *bytes, uint64_t n, slm_err *err);
/* ranks_agree -- Errors: USAGE when `value` is not the same in all processes: names `what`; FAILED. */
slm_status ranks_agree(const char *what, int64_t value, slm_err *err);

#endif
