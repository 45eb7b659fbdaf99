/* forward.h -- the plan (every buffer before it is allocated) and one forward pass. */
#ifndef SLM_MODEL_FORWARD_H
#define SLM_MODEL_FORWARD_H

#include "compute/compute.h"
#include "model/kv.h"

/* What a run needs, known before anything is allocated; `slm inspect --plan` prints it. */
enum lifetime { LIFE_PROCESS, LIFE_MODEL, LIFE_ENGINE, LIFE_REQUEST, LIFE_STEP };
const char *lifetime_name(enum lifetime l);
struct plan_row {
    const char *name;      /* "q" */
    uint64_t shape[4];     /* slowest first; unused 0 */
    enum dtype dtype;      /* DTYPE_COUNT: bytes of no one type */
    enum lifetime lifetime;
    uint64_t bytes;
    const char *what;
};
#define PLAN_ROWS_MAX 48
struct plan {
    struct plan_row rows[PLAN_ROWS_MAX];
    size_t n_rows;
    int32_t n_ctx, n_batch, n_out, n_page, n_threads;
    enum kv_type kv_type;
    uint64_t bytes;         /* all rows */
    uint64_t bytes_private; /* without the mapped weights */
};
struct plan_params {
    int32_t n_ctx;     /* positions of one sequence at most */
    int32_t n_pool;    /* positions over all sequences; 0: n_ctx */
    int32_t n_batch;   /* tokens of one forward at most */
    int32_t n_out;     /* rows of logits of one forward at most */
    int n_threads;     /* 0: cpu_info.n_usable */
    enum kv_type kv_type;
};
slm_status plan_make(const struct slm_model *m, const struct plan_params *p, struct plan *plan, slm_err *err);

/* plan_add_process -- a first row: what this process holds already, its program, libraries and the model's vocabulary. Made after a model is
 * opened and before its weights are read, the plan is then the whole of a run's memory. */
void plan_add_process(struct plan *plan);
const struct plan_row *plan_find(const struct plan *plan, const char *name); /* NULL: no such row */
/* plan_d_in_max -- widest weight row of the model: what compute_init must be told. */
uint64_t plan_d_in_max(const struct hparams *hp);

/* The working memory of one engine thread. */
struct forward;
slm_status forward_create(const struct slm_model *m, const struct plan *plan, struct compute *c, struct forward **out, slm_err *err);
void forward_destroy(struct forward *f);

/* forward_observe -- fn sees the input rows x [n_tok, d_in] of every matrix before its product, in the order of the layers; for
 * importance matrices. i_expert is 0 where there are none. NULL: nobody looks. */
typedef void (*forward_observer)(void *user, enum weight_slot slot, uint32_t i_layer, uint32_t i_expert, const float *x, int64_t n_tok, int64_t d_in);
void forward_observe(struct forward *f, forward_observer fn, void *user);

struct batch {
    int32_t n_tok;
    const int32_t *token;        /* [n_tok], in range (checked) */
    const int32_t *pos;          /* [n_tok]; positions of a sequence are contiguous and rising */
    struct kv_seq *const *seq;   /* [n_tok] */
    const bool *want_logits;     /* [n_tok] */
    bool hidden;                 /* what is wanted are the states after the last norm (forward_hidden), not logits */
};

/* model_forward -- run one batch through all layers.
 * In:     batch; pages for every (seq, pos) are reserved (kv_reserve).
 * Out:    logits [n_out, n_vocab] f32, a row for each token with want_logits, in batch order.
 * Effect: writes K and V of every token; each seq's n_pos becomes its highest pos + 1.
 *         A bidirectional model sees only what is in the batch: give a sequence whole, from position 0.
 * Cost:   reads all weights once; about 2 * n_param * n_tok operations. Allocates nothing.
 * Errors: LIMIT (n_tok or outputs past the plan), USAGE (a token id out of range, logits of an encoder); CANCELLED when *cancel becomes true
 *         between layers (cancel may be NULL). On error n_pos of the sequences is unchanged.
 * Source: Touvron et al. 2023 (Llama), checked against float64 references in golden/logits. */
slm_status model_forward(struct forward *f, struct kv *kv, const struct batch *b, const _Atomic bool *cancel, float *logits, slm_err *err);

/* forward_hidden -- [n_out, d_model] of the last forward with batch.hidden: states after the last norm, of any number of its tokens.
 * Valid until the next forward. */
const float *forward_hidden(const struct forward *f);

/* model_pooled_head -- what the model puts on top of one pooled state: for POOLING_RANK the classification head, else dense
 * layers where it has them. In: pooled[d_model], overwritten. Out: out[model_pooled_size]. */
void model_pooled_head(struct forward *f, enum pooling pooling, float *pooled, float *out);
uint32_t model_pooled_size(const struct slm_model *m, enum pooling pooling);

#endif
