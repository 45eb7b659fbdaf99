/* compute_int.h -- what compute.c and matmul.c share. */
#ifndef SLM_COMPUTE_COMPUTE_INT_H
#define SLM_COMPUTE_COMPUTE_INT_H

#include "compute/compute.h"

static inline int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t div_up(int64_t a, int64_t b) { return a / b + (a % b != 0); }

/* fn over [0, n_items) in runs of grain; one run is not worth waking anybody. */
void compute_run_split(struct compute *c, int64_t n_items, int64_t grain, pool_fn fn, void *ctx);

/* Scratch that products take from one thread; the quantized activations of n_tok_max tokens. False on overflow. */
bool matmul_scratch_bytes(int64_t d_in_max, size_t *bytes);
bool matmul_acts_bytes(int64_t d_in_max, int64_t n_tok_max, size_t *bytes);

/* y[d_in] = row i_row of packed weights, decoded: bit-equal to to_f32 of its bytes in the file. Takes thread i_thread's scratch. */
void matmul_panel_row(struct compute *c, int i_thread, float *y, const struct weight *w, int64_t i_row);

#endif
