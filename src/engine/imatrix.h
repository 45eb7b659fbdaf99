/* imatrix.h -- importance matrices: how much each input of a matrix counts, from activations on a text.
 *
 * For every matrix of a model: the sum of squares of each input over all tokens, and the number of tokens. File: GGUF with
 * tensors "<name>.in_sum2" f32 [n_matrix, d_in] and "<name>.counts" f32 [n_matrix, 1], keys general.type = "imatrix",
 * imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size: what llama.cpp's users know. Moments between inputs, which it passes
 * over, are "<name>.in_outer" f32 [d_in, width]; of matrices that read the same inputs one has them. The older binary form
 * (counts, names and sums one after the other) is read too, not written. */
#ifndef SLM_ENGINE_IMATRIX_H
#define SLM_ENGINE_IMATRIX_H

#include "engine/session.h"
#include "format/carry.h"

struct imatrix_entry {
    const char *name;      /* of the model's tensor, "blk.0.attn_q.weight" */
    uint32_t n_matrix;     /* experts; 1 for a plain matrix */
    uint32_t d_in;
    float *sum2;           /* [n_matrix, d_in] */
    float *counts;         /* [n_matrix] */
    float *outer;          /* [d_in, width] as carry.h has them; NULL: not kept, or kept by an entry of the same inputs */
    uint32_t width;
};
struct imatrix {
    struct imatrix_entry *entries;
    size_t n;
    struct arena arena;    /* names, sums */
    char *dataset;         /* last of imatrix.datasets, in the arena; "" when none */
    uint32_t n_chunk, chunk_size;
    bool is_legacy;        /* of the older form: experts are one long row under one count */
    bool no_carry;         /* the caller wants blocks rounded for themselves */
};

/* imatrix_read -- Errors: IO, FORMAT (no imatrix: says what is missing; sums that are negative or not finite), NOMEM. */
slm_status imatrix_read(const char *path, struct imatrix **out, slm_err *err);
void imatrix_destroy(struct imatrix *im);
void imatrix_sort(struct imatrix *im); /* entries by name, as imatrix_find wants them */
const struct imatrix_entry *imatrix_find(const struct imatrix *im, const char *name, size_t n_name); /* NULL: none */

/* What rounding a tensor is to know of its inputs. */
struct input_weights {
    float *importance;   /* [n_matrix, d_in] mean squares; a matrix without tokens has ones. NULL: all the same */
    struct carry *carry; /* NULL: blocks are rounded for themselves */
};
/* input_weights_get -- for tensor t in type `to` (DTYPE_COUNT: to compare types, so carry wherever it is known); im NULL: nothing. Embeddings and experts get no carry. Errors: FORMAT (sizes differ
 * from the tensor's), NOMEM. Freed with input_weights_fini, also after an error. */
slm_status input_weights_get(const struct imatrix *im, const struct gguf_tensor *t, enum dtype to, struct input_weights *w, slm_err *err);
void input_weights_fini(struct input_weights *w);

struct imatrix_params {
    struct session_params session;  /* n_ctx: tokens of a chunk */
    const char *dataset;            /* name of the text */
    uint32_t n_chunk_max;           /* 0: the whole text */
    uint32_t save_every;            /* chunks between saves */
    bool hessian;                   /* moments between inputs too */
    const _Atomic bool *cancel;
    void (*progress)(void *user, uint32_t i_chunk, uint32_t n_chunk); /* NULL: none */
    void *user;
};
/* imatrix_collect -- run text through the model in chunks of n_ctx tokens (BOS first where the model has one) and write the sums to
 * path. A file that is there and comes from the same text and chunk size is continued, to the same bits as a run without a
 * pause. n_done: chunks in the file. Errors: those of model and session; USAGE (text shorter than a chunk, or the file there is
 * of something else); CANCELLED (what was done is saved). */
slm_status imatrix_collect(struct slm_model *m, const struct imatrix_params *p, struct view text, const char *path, uint32_t *n_done, slm_err *err);

/* imatrix_measure -- the same kept in memory. Freed with imatrix_destroy. */
slm_status imatrix_measure(struct slm_model *m, const struct imatrix_params *p, struct view text, struct imatrix **out, slm_err *err);

#endif
