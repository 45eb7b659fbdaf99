/* carry.h -- rows of a matrix rounded with their errors carried on: what rounding one column does to the outputs, later columns take
 * back as far as inputs go together.
 *
 * With H the second moments of a matrix's inputs, the squared error of the outputs of a row is r^T H r, r its rounding error. With
 * U upper triangular and U^T U = H^-1, r = U^T e makes that the sum of e^2, and e of a column depends on it and the columns
 * before: so columns are rounded in order, each against what is left to correct (Frantar et al., GPTQ, 2022; Chee et al., LDLQ, 2023).
 * A block's scales are searched when its first column is reached. Bytes are those of the type: any reader takes them.
 * Least squares shrinks outputs; rows of four bits and fewer are rounded again, as much longer as their outputs came out short.
 * H is taken in parts along the diagonal: stretches of columns that know nothing of each other. */
#ifndef SLM_FORMAT_CARRY_H
#define SLM_FORMAT_CARRY_H

#include "format/dtype.h"

struct carry; /* the factors of one matrix; read-only, any number of threads */

/* Moments of inputs, outer [d_in, width]: row j is for column j with the columns k <= j of its part, at k % width; parts start at
 * multiples of width. carry_add adds x [n_tok, d_in], token by token, to the rows [begin, end). */
void carry_add(float *outer, uint32_t width, const float *x, int64_t n_tok, int64_t d_in, int64_t begin, int64_t end);

/* carry_create -- n_tok: what to divide by. shrink: how far moments between columns are pulled to zero, 0..1 (few tokens: more); the diagonal gets
 * a hundredth of its mean. Errors: FORMAT (moments that are none), NOMEM. Freed with carry_destroy. */
slm_status carry_create(const float *outer, uint32_t d_in, uint32_t width, double n_tok, double shrink, struct carry **out, slm_err *err);
void carry_destroy(struct carry *c);

#define CARRY_ROWS 16 /* rows at a time */
/* carry_fits -- do parts hold whole blocks of a type? Where not, carry_encode must not be called. carry_can -- and has it codes to carry to? */
bool carry_fits(const struct dtype_desc *d, uint32_t d_in, uint32_t width);
bool carry_can(const struct dtype_desc *d);
/* carry_scratch_bytes -- that carry_encode needs. */
size_t carry_scratch_bytes(const struct dtype_desc *d, uint32_t d_in);
/* carry_encode -- n_row (1..CARRY_ROWS) rows x [n_row, d_in] to dst [n_row, row_bytes]. A row depends on itself alone. Each part of a row
 * is kept only where it is better, in r^T H r, than rounding it for itself under importance (NULL: none), both at full length. Returns the sum of r^T H r.
 * Types that cannot be carried are encoded plainly, and their error returned. */
double carry_encode(const struct carry *c, const struct dtype_desc *d, const float *x, int n_row, const float *importance, uint8_t *dst, void *scratch);

#endif
