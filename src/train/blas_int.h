/* blas_int.h -- matrix products by OpenBLAS, one thread each; the splitting is ours (linear.c).
 *
 * The library is loaded when training starts, not when the program does: it makes threads and tables of its own, which would cost every
 * other command milliseconds. */
#ifndef SLM_TRAIN_BLAS_INT_H
#define SLM_TRAIN_BLAS_INT_H

#include "base/status.h"
#include "train/real_int.h"

/* blas_load -- once per process, any thread. Errors: NOT_FOUND (names the Debian package). */
slm_status blas_load(slm_err *err);
/* c[m, n] = alpha * op(a) * op(b) + beta * c; op(a) is [m, k], op(b) [k, n]; t*: the matrix lies transposed. After blas_load. */
void blas_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t lda, const real *b, int64_t ldb, real beta, real *c, int64_t ldc);

#endif
