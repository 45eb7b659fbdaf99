/* fresh.h -- a model with random weights, to be trained from nothing: Llama's blocks, so that every program that reads GGUF runs it. */
#ifndef SLM_TRAIN_FRESH_H
#define SLM_TRAIN_FRESH_H

#include "model/model.h"

struct fresh_shape {
    uint32_t d_model, n_layer, n_head, n_head_kv, d_ff;
};
struct fresh_preset {
    const char *name; /* "5m": about that many parameters, with the vocabulary that goes with it */
    struct fresh_shape shape;
    uint32_t n_vocab;
    const char *what;
};
const struct fresh_preset *fresh_preset_find(const char *name); /* NULL: none */
/* fresh_shape_parse -- "d=128,L=4,H=4,KV=2,ff=344"; KV is H when absent, ff is 8/3 d rounded up to 32. Errors: USAGE. */
slm_status fresh_shape_parse(const char *text, struct fresh_shape *out, slm_err *err);

struct fresh_params {
    struct fresh_shape shape;
    uint32_t n_ctx;
    float rope_base;        /* 0: 10000 */
    bool untied;            /* an output matrix of its own */
    uint64_t seed;
    const char *name;       /* general.name */
    struct view chat_template; /* empty: none */
    const struct tok_config *tok; /* with its arrays; or */
    const struct gguf *tok_file;  /* a file whose tokenizer and template are taken */
};
/* fresh_create -- matrices are normal with deviation 1 / sqrt(d_in), those that end a branch divided by sqrt(2 n_layer), the embedding's
 * deviation is 0.02, norms are 1. The model lies in memory; model_close frees it. Errors: USAGE (a shape that cannot be), NOMEM. */
slm_status fresh_create(const struct fresh_params *p, struct slm_model **out, slm_err *err);

#endif
