/* model.h -- a loaded model: hyper-parameters, bound weights, tokenizer. Read-only after load; shared. */
#ifndef SLM_MODEL_MODEL_H
#define SLM_MODEL_MODEL_H

#include "compute/ops.h"
#include "format/gguf.h"
#include "model/arch.h"
#include "text/tok.h"

/* One tensor slot as bound. A matrix has w.data, a vector has vec; bias [d_out] may go with either. A stack of
 * matrices (one for each expert) has a weight for each; bias then is [n_stack, d_out]. */
struct bound {
    struct weight w;
    const float *vec;
    const float *bias;
    struct weight *stack; /* [n_stack] */
    uint32_t n_stack;
};

struct layer_weights {
    struct bound slot[W_COUNT - W_LAYER_FIRST];
};

struct lora;
struct lora_mix;

struct slm_model {
    struct gguf *gguf;
    const struct arch_desc *arch; /* NULL in a vocabulary-only load */
    struct hparams hp;
    struct bound global[W_LAYER_FIRST];
    struct layer_weights *layers; /* [n_layer] */
    struct arena arena;           /* vectors as f32, layers */
    struct tok *tok;
    struct view chat_template;    /* empty: none */
    struct view chat_template_tools; /* the one for requests with tools, where the file has two */
    uint64_t n_param, weight_bytes;
    bool is_packed;               /* by model_pack */
    uint8_t *panels;              /* packed matrices in memory; NULL: they are mapped, or there are none */
    size_t panels_bytes;
    struct panels_file *panels_file; /* where they are kept; NULL: nowhere */
    struct lora **loras;          /* [n_loras] adapters beside the weights (lora.h) */
    uint32_t n_loras;
    struct lora_mix *lora_default; /* what a sequence takes that asks for nothing else; NULL: there are no adapters */
};

/* model_row_stands -- false for the row of a form (fused, split) that the file does not have. */
bool model_row_stands(const struct slm_model *m, const struct arch_tensor *row, uint32_t i_layer);
/* model_slot -- what is bound to a slot; i_layer is ignored for global slots. Never NULL; empty when absent. */
static inline const struct bound *model_slot(const struct slm_model *m, enum weight_slot slot, uint32_t i_layer) {
    return slot < W_LAYER_FIRST ? &m->global[slot] : &m->layers[i_layer].slot[slot - W_LAYER_FIRST];
}

enum { MODEL_VOCAB_ONLY = 1 }; /* tokenizer only; any architecture */
/* model_open_file -- a GGUF file, or a Hugging Face folder shown as one (hf.h): what lies behind -m. */
slm_status model_open_file(const char *path, unsigned flags, struct gguf **out, slm_err *err);
/* path: as model_open_file takes it; a folder is run in place.
 * Errors: those of gguf_open and hf_open_in_place; UNSUPPORTED (architecture by name with the nearest, rope scaling, tokenizer);
 * FORMAT (missing key, missing tensor or wrong shape: names file, tensor, both shapes). */
slm_status model_open(const char *path, unsigned flags, struct slm_model **out, slm_err *err);
/* model_bind -- the same over an open gguf, which the model then owns (also on failure). */
slm_status model_bind(struct gguf *g, unsigned flags, struct slm_model **out, slm_err *err);
void model_close(struct slm_model *m);
/* model_pack -- rearrange quantized matrices for the kernels (compute/pack.h), once: sessions do it before their first step.
 * Their pages of the file are given back, so that memory does not hold both. The result is kept in a cache (SLM_CACHE), so that the next
 * start maps it. n_threads as in pool_create. SLM_MATMUL=f32 leaves
 * everything in the file. Any thread. Errors: NOMEM, USAGE (SLM_MATMUL). */
slm_status model_pack(struct slm_model *m, int n_threads, slm_err *err);
bool model_cache_folder(char *out, size_t n); /* where that cache is, made when it is not there; false: there is none */
uint64_t model_pack_bytes(const struct slm_model *m); /* what it takes; known after binding */

/* model_move_weights -- matrices whose data lies in [from, from + n_bytes), rows of from_row bytes, are read from `to` instead, as dtype in
 * rows of to_row bytes; for trying other weights. The caller keeps `to` alive and moves them back. Not while a pass runs. */
void model_move_weights(struct slm_model *m, const uint8_t *from, size_t n_bytes, size_t from_row, const uint8_t *to, enum dtype dtype, size_t to_row);

/* tokenizer_from_gguf -- read tokenizer.* keys into a tok. */
slm_status model_read_tokenizer(const struct gguf *g, struct tok **out, slm_err *err);
/* model_put_tokenizer -- the keys that model_read_tokenizer reads, from a config whose arrays are there. */
slm_status model_put_tokenizer(struct gguf_writer *w, const struct tok_config *c, slm_err *err);

#endif
