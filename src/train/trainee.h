/* trainee.h -- making a model that learns: all of its parameters, or adapters beside a frozen base; and its way out. */
#ifndef SLM_TRAIN_TRAINEE_H
#define SLM_TRAIN_TRAINEE_H

#include "train/train.h"

enum param_kind { PARAM_MATRIX, PARAM_VECTOR, PARAM_EMBEDDING, N_PARAM_KINDS };

/* Which matrices of a block get an adapter: bits. */
enum { LORA_Q = 1, LORA_K = 2, LORA_V = 4, LORA_O = 8, LORA_GATE = 16, LORA_UP = 32, LORA_DOWN = 64, LORA_ALL = 127, LORA_ATTN = 15 };
struct lora_params {
    int32_t r;          /* 0: no adapters, every parameter learns */
    float alpha;        /* what the adapter adds is multiplied by alpha / r, or alpha / sqrt(r) */
    bool root;
    unsigned targets;
    uint64_t seed;      /* of a's start; b starts at 0, so step 0 changes nothing */
};

struct trainee_params {
    int n_threads;          /* 0: default */
    int32_t micro_tokens;   /* most tokens of a batch; 0: as memory allows, up to 4096 */
    int32_t n_ctx;          /* longest sequence */
    int recompute;          /* 0..3; -1: the first level that fits */
    uint64_t mem_bytes;     /* for everything; 0: what is free */
    uint64_t optim_bytes;   /* what the optimizer will take for each parameter */
    struct lora_params lora;
};

/* trainee_create -- over a model. Without adapters its tensors are copied as f32 (the model may be closed afterwards); with them it must
 * outlive the trainee and may have any tensor types. Errors: UNSUPPORTED (architecture's piece), LIMIT (memory: says what is needed),
 * NOT_FOUND (OpenBLAS), NOMEM. */
slm_status trainee_create(const struct slm_model *m, const struct trainee_params *p, struct trainee **out, slm_err *err);

/* The flat arrays, for optimizers and checkpoints, and the tensors in them. */
struct trainee_view {
    const char *name;
    enum param_kind kind;
    int64_t rows, cols;
    uint64_t at, n;
};
size_t trainee_n_tensor(const struct trainee *t);
struct trainee_view trainee_tensor(const struct trainee *t, size_t i);
float *trainee_weights(struct trainee *t);
float *trainee_grads(struct trainee *t);
struct pool *trainee_pool(struct trainee *t);
const struct trainee_params *trainee_params_of(const struct trainee *t); /* with what 0 and -1 became */
uint64_t trainee_bytes(const struct trainee *t); /* parameters, gradients and activations */

/* trainee_export -- the model as it is, as a GGUF of a file type ("F32", "F16", "Q8_0", "Q4_K_M"), with extra metadata; atomically.
 * Not for adapters (adapter.h). Errors: USAGE (type), IO, FORMAT (a weight is not finite). */
struct quant_note;
slm_status trainee_export(struct trainee *t, const char *path, const char *type, const struct quant_note *notes, size_t n_notes, slm_err *err);

#endif
