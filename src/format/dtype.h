/* dtype.h -- tensor element types: one descriptor row each.
 *
 * A new type is one file quant/<type>.c (block struct, to and from f32, descriptor) and one entry in
 * DTYPE_LIST; everything else works at once through block -> f32. Layouts are those of GGUF files, little
 * endian, as the ggml project defines them; tests/golden checks every row against its bytes. */
#ifndef SLM_FORMAT_DTYPE_H
#define SLM_FORMAT_DTYPE_H

#include "base/status.h"

/* X(ID, name) of every type: its id is DTYPE_ID, its descriptor dtype_name, its name in messages "name". */
#define DTYPE_LIST(X)                                                                                                  \
    X(F32, f32) X(F16, f16) X(BF16, bf16) X(F64, f64) X(I8, i8) X(I16, i16) X(I32, i32) X(I64, i64)                    \
    X(Q8_0, q8_0) X(Q4_0, q4_0) X(Q4_1, q4_1) X(Q5_0, q5_0) X(Q5_1, q5_1) X(MXFP4, mxfp4)                              \
    X(Q2_K, q2_k) X(Q3_K, q3_k) X(Q4_K, q4_k) X(Q5_K, q5_k) X(Q6_K, q6_k)                                              \
    X(IQ1_S, iq1_s) X(IQ1_M, iq1_m) X(IQ2_XXS, iq2_xxs) X(IQ2_XS, iq2_xs) X(IQ2_S, iq2_s)                              \
    X(IQ3_XXS, iq3_xxs) X(IQ3_S, iq3_s) X(IQ4_NL, iq4_nl) X(IQ4_XS, iq4_xs)                                            \
    X(TQ1_0, tq1_0) X(TQ2_0, tq2_0)

/* Dense ids for tables; GGUF's own ids live in the rows only. */
enum dtype {
#define X(ID, name) DTYPE_##ID,
    DTYPE_LIST(X)
#undef X
    DTYPE_COUNT
};

struct dtype_desc {
    enum dtype id;
    const char *name;  /* "q4_k", lower case */
    uint32_t gguf_id;  /* the number in GGUF files */
    uint32_t block_elems, block_bytes;
    /* n elements, a multiple of block_elems. src needs no alignment. */
    void (*to_f32)(float *dst, const void *src, int64_t n);
    /* NULL: this type cannot be written. importance [n]: what an element's squared error weighs, at least 0; NULL: all the
     * same. Blocks are independent, and finite input gives finite output. Any thread. */
    void (*from_f32)(void *dst, const float *src, int64_t n, const float *importance);
    /* The unsigned codes of n elements in their order, a byte each, as compute/pack rearranges them; what a code means
     * together with the block's scales is to_f32's. NULL: the type has no code per element. */
    void (*to_codes)(uint8_t *dst, const void *src, int64_t n);
    /* Other codes under the scales that a block has, for carry.h. Types with a code per element: all of a block, each below n_code;
     * 16 neighbours have the same values for the same codes. Types of grids: the best codes for the 8 elements of one unit, x under
     * weights w, and what they decode to. NULL: not for this type. */
    uint8_t n_code;
    void (*put_codes)(void *block, const uint8_t *codes);
    void (*put_unit)(void *block, int unit, const float *x, const float *w, float *y);
};

const struct dtype_desc *dtype_get(enum dtype id);            /* never NULL for id < DTYPE_COUNT */
const struct dtype_desc *dtype_by_gguf_id(uint32_t gguf_id);  /* NULL: not supported */
const struct dtype_desc *dtype_by_name(const char *name);     /* any case; NULL: none */
/* The name of any GGUF type, with a row here or not, for error messages; NULL when unknown. */
const char *dtype_gguf_name(uint32_t gguf_id);
/* dtype_row_bytes -- bytes of a row of n elements. False: n is not a multiple of the block, or overflow. */
bool dtype_row_bytes(enum dtype id, uint64_t n, uint64_t *bytes);

/* Half precision, IEEE 754 round to nearest even; bfloat16 likewise (NaN stays NaN). */
float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);
float bf16_to_f32(uint16_t h);
uint16_t f32_to_bf16(float f);

/* dtype_encode_row -- a row x [n] of a matrix, whole blocks, to dst; what quantizing and converting do. importance [n], or NULL: guessed from the
 * row. scratch [2 * n]. */
void dtype_encode_row(const struct dtype_desc *d, void *dst, const float *x, int64_t n, const float *importance, float *scratch);

#endif
