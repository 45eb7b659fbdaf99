/* quantize.h -- a model in smaller tensor types: which tensor gets which type, and the writing of the file.
 *
 * Three steps. A file type (Q4_K_M, ...) and rules by tensor role give every tensor a type: quant_plan_make. A caller may change
 * choices (a budget does). quant_write streams tensor by tensor: memory is a few rows per thread and one slab of
 * output, whatever the model's size, and the file appears whole or not at all. Bytes do not depend on the number of threads.
 * File types and mixes are those that llama.cpp's users know, with the same general.file_type numbers. */
#ifndef SLM_ENGINE_QUANTIZE_H
#define SLM_ENGINE_QUANTIZE_H

#include "engine/imatrix.h"
#include "format/gguf.h"

/* Ids of file types, largest first; what they are is in the rows of file_type.c. */
#define FILE_TYPE_LIST(X)                                                                                              \
    X(F32) X(F16) X(BF16) X(Q8_0) X(Q6_K) X(Q5_K_M) X(Q5_K_S) X(Q5_1) X(Q5_0)                                          \
    X(Q4_K_M) X(Q4_K_S) X(Q4_1) X(Q4_0) X(IQ4_NL) X(IQ4_XS) X(MXFP4)                                                   \
    X(Q3_K_L) X(Q3_K_M) X(Q3_K_S) X(IQ3_M) X(IQ3_S) X(IQ3_XS) X(IQ3_XXS)                                               \
    X(Q2_K) X(Q2_K_S) X(IQ2_M) X(IQ2_S) X(IQ2_XS) X(IQ2_XXS) X(TQ2_0) X(TQ1_0)                                         \
    X(IQ1_M) X(IQ1_S)
enum file_type_id {
#define X(ID) FILE_TYPE_##ID,
    FILE_TYPE_LIST(X)
#undef X
    FILE_TYPE_COUNT
};
struct file_type {
    enum file_type_id id;
    const char *name;  /* "Q4_K_M" */
    uint32_t gguf_id;  /* general.file_type */
    enum dtype base;   /* what most matrices get */
    const char *what;  /* for people */
};
const struct file_type *file_type_get(enum file_type_id id);
const struct file_type *file_type_by_name(const char *name);   /* any case; "Q4_K", "Q3_K", "Q5_K" are their M; NULL: none */
const struct file_type *file_type_by_gguf_id(uint64_t number); /* NULL: none */
/* file_type_of_dtype -- the plain file type of a tensor type; NULL: none. */
const struct file_type *file_type_of_dtype(enum dtype d);

/* "REGEX=TYPE": tensors whose name matches (PCRE2, anywhere in the name) get the type. The first that matches counts. */
struct quant_override {
    const char *text;
};

/* What happens to one tensor. */
struct quant_choice {
    const struct gguf_tensor *tensor;
    enum dtype to;
    uint64_t bytes;       /* as `to` */
    bool is_kept;         /* not a matrix to quantize: a vector, a router, a table of positions */
    bool is_fixed;        /* by an override */
    bool is_fallback;     /* the wanted type does not fit the rows */
    enum dtype wanted;
};
struct quant_plan {
    const struct gguf *source;      /* borrowed */
    struct quant_choice *choices;   /* [n], in the file's order */
    size_t n;
    uint64_t bytes_from, bytes_to, n_elem;
    const struct file_type *type;   /* what general.file_type will say */
};

struct quant_params {
    const struct file_type *type;
    const struct imatrix *imatrix;  /* NULL: all inputs count the same */
    const char *const *overrides;   /* [n_overrides] "REGEX=TYPE" */
    size_t n_overrides;
    bool requantize;                /* take tensors that are quantized already */
    int n_threads;                  /* 0: default */
    const _Atomic bool *cancel;    /* NULL: never */
    /* Called between slabs; NULL: not at all. */
    void (*progress)(void *user, size_t i_tensor, uint64_t bytes_done, uint64_t bytes_all);
    void *user;
};

/* quant_plan_make -- Errors: UNSUPPORTED (a tensor quantized already, without requantize; a type that cannot be written), USAGE (a
 * pattern that is none, a type unknown), NOMEM. Freed with quant_plan_fini. */
slm_status quant_plan_make(const struct gguf *g, const struct quant_params *p, struct quant_plan *plan, slm_err *err);
void quant_plan_fini(struct quant_plan *plan);
/* quant_types -- what a plan without wishes gives every tensor of g: types [n + 1], to free. Errors: those of quant_plan_make. */
slm_status quant_types(const struct gguf *g, const struct file_type *type, enum dtype **types, slm_err *err);
/* quant_choice_set -- another type for choice i; the nearest that fits its rows when it does not. Keeps bytes_to true. */
void quant_choice_set(struct quant_plan *plan, size_t i, enum dtype to);

/* Extra metadata of the written file. */
struct quant_note {
    const char *key;
    const char *text; /* NULL: number */
    double number;
};
/* quant_write -- Errors: USAGE (path is a file that is read), IO (the disk is full: names the path; the source was written to meanwhile), FORMAT (a value that is not finite: names tensor and row), CANCELLED,
 * NOMEM. */
slm_status quant_write(const struct quant_plan *plan, const struct quant_params *p, const struct quant_note *notes, size_t n_notes,
                       const char *path, slm_err *err);

/* quant_tensor -- rows [0, n_row) of one tensor to dst in type `to`; what quant_write does, for measuring in memory.
 * weights: of that tensor and type. pool: used. Errors: FORMAT, NOMEM, CANCELLED. */
slm_status quant_tensor(const struct gguf_tensor *t, enum dtype to, const struct input_weights *weights, uint64_t rows_per_matrix, struct pool *pool,
                        uint64_t first_row, uint64_t n_row, uint8_t *dst, const char *path, slm_err *err);

/* Budgets: a type for every tensor, from what each tensor's errors do to the model's predictions. */
enum budget_kind { BUDGET_BPW, BUDGET_BYTES, BUDGET_KL };
struct quant_budget {
    enum budget_kind kind;
    double value; /* bits a weight; bytes of the file; mean KL divergence in nats */
};
/* quant_budget_parse -- "4.5bpw", "1.2GB", "700MiB", "kl<=0.02". Errors: USAGE. */
slm_status quant_budget_parse(const char *text, struct quant_budget *b, slm_err *err);

/* Predictions of the model as it is, on some tokens: what changed weights are compared with. */
struct quant_probe;
struct quant_score {
    double kl, kl_upper; /* the mean, and what it is below at 95 %, from the spread over runs of tokens */
    double top1_agreement, perplexity, base_perplexity;
    uint64_t n_scored;
};
/* quant_probe_create -- tokens [n_chunk, n_ctx]; every other one of the first 2 * n_fit chunks serves the choice, the others judge it (a
 * single chunk does both). m must come from the plan's source and is not packed. Errors: those of sessions. */
slm_status quant_probe_create(struct slm_model *m, const int32_t *tokens, uint32_t n_chunk, uint32_t n_fit, uint32_t n_ctx, int n_threads, const _Atomic bool *cancel,
                              struct quant_probe **out, slm_err *err);
void quant_probe_destroy(struct quant_probe *p);
/* quant_probe_plan -- the whole plan's weights in memory against the model's own, on the chunks that judge. */
slm_status quant_probe_plan(struct quant_probe *p, const struct quant_plan *plan, const struct quant_params *params, struct quant_score *score, slm_err *err);
/* quant_budget_fit -- a bound on the divergence is one on kl_upper. Changes the plan's choices (fixed and kept ones stay) to meet the budget with the least divergence: every tensor is
 * rounded alone to measure what its error costs, other types are judged by their error on a sample of its rows.
 * Errors: USAGE (the budget is below the smallest types: says what they take), CANCELLED, NOMEM. */
slm_status quant_budget_fit(struct quant_probe *p, struct quant_plan *plan, const struct quant_params *params, const struct quant_budget *b, slm_err *err);

#endif
