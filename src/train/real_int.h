/* real_int.h -- the number type of training. float; tests compile the same files with double (SLM_TRAIN_DOUBLE), so that finite
 * differences check the very code that trains to 1e-7 and better. */
#ifndef SLM_TRAIN_REAL_INT_H
#define SLM_TRAIN_REAL_INT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef SLM_TRAIN_DOUBLE
typedef double real;
#else
typedef float real;
#endif
#define R(x) ((real)(x))

#endif
