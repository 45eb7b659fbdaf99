/* isa_int.h -- one table for each isa/<name>.c. */
#ifndef SLM_TRAIN_ISA_INT_H
#define SLM_TRAIN_ISA_INT_H

#include "train/kern.h"

extern const struct kern kern_base, kern_avx2, kern_avx512;

#endif
