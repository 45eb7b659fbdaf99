/* measure.h -- what this machine can do, measured: the limits that slm bench and slm doctor compare with. */
#ifndef SLM_COMPUTE_MEASURE_H
#define SLM_COMPUTE_MEASURE_H

#include "compute/compute.h"

struct measured {
    double read_bytes_per_s; /* all threads reading memory that no cache holds */
    double f32_flop_per_s;   /* all threads in matmul_f32 on operands in the first-level cache; a multiply-add is two */
    double int8_op_per_s;    /* the same in panel_dot, on a block of 8-bit codes */
};
/* measure_machine -- best of a few short rounds, about a second together. Uses up to a quarter of the free memory, at most 1 GiB.
 * Errors: NOMEM. */
slm_status measure_machine(struct compute *c, struct measured *out, slm_err *err);

#endif
