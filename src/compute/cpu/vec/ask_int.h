/* ask_int.h -- asking memory for the bytes after a panel's block while the block is multiplied, evenly over the steps, so that
 * memory and multipliers work at the same time. */
#ifndef SLM_COMPUTE_CPU_VEC_ASK_INT_H
#define SLM_COMPUTE_CPU_VEC_ASK_INT_H

#include "compute/cpu/vec/compiler_int.h"
#include "compute/pack.h"

enum { LINE_BYTES = 64 };

struct asking {
    const uint8_t *next, *end;
    int64_t n_lines; /* of a step */
};

VEC_FN struct asking asking_begin(const struct panel *p, int64_t n_steps) {
    return (struct asking){p->ahead, p->ahead + p->ahead_bytes, (p->ahead_bytes / LINE_BYTES + n_steps - 1) / n_steps};
}

/* Into the second-level cache: the first is too small to hold what is asked for so early, and has other work (half the speed, measured). */
VEC_FN void asking_step(struct asking *a) {
    for (int64_t i = 0; i < a->n_lines && a->next < a->end; i++, a->next += LINE_BYTES) __builtin_prefetch(a->next, 0, 2);
}

#endif
