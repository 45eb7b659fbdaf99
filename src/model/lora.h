/* lora.h -- adapters of low rank: on file as llama.cpp writes them, and beside the one copy of a model's weights while it runs.
 *
 * A file has general.type "adapter", adapter.type "lora", adapter.lora.alpha, and for a matrix of the base "<name>.lora_a" [r, d_in] and
 * "<name>.lora_b" [d_out, r] (of a stack of experts one for each, [n_expert, ...]); y += scale * alpha / r * (x a^T) b^T (an alpha of 0: scale alone). Source: Hu et al. 2021; gguf-py and llama.cpp, 2026. */
#ifndef SLM_MODEL_LORA_H
#define SLM_MODEL_LORA_H

#include "model/model.h"

#define LORA_RANK_MAX 4096

/* ---- the file ---- */

/* lora_file_check -- an adapter of this base: its keys, and for every tensor a place, the other half, shapes that fit. *alpha as it stands.
 * Errors: FORMAT (no adapter, a half is missing, no such tensor in the base, a shape: names the tensor), UNSUPPORTED (another architecture, another
 * kind of adapter), LIMIT (a rank past LORA_RANK_MAX). */
slm_status lora_file_check(const struct gguf *adapter, const struct gguf *base, double *alpha, slm_err *err);
/* The halves that belong to a tensor of the base, of a checked file; false: none. */
struct lora_halves {
    const struct gguf_tensor *a, *b;
};
bool lora_file_find(const struct gguf *adapter, const struct gguf_tensor *base, struct lora_halves *out);
uint64_t lora_rank(const struct lora_halves *h);
/* lora_file_values -- n values of one of its tensors as f32, in bytes at from. Errors: FORMAT (one is not finite: names the tensor). */
slm_status lora_file_values(const struct gguf *adapter, const struct gguf_tensor *t, const uint8_t *from, float *to, uint64_t n, slm_err *err);
/* What a product of rank r is multiplied by at scale 1. */
double lora_alpha_scale(double alpha, uint64_t r);

/* ---- beside a model ---- */

#define LORAS_MAX 64 /* of one model */

/* How much of each adapter of a model is added, by its number; 0: nothing. A sequence (kv.h) has one or none: keys and values depend on it. */
struct lora_mix {
    float scale[LORAS_MAX];
};
bool lora_mix_is_none(const struct lora_mix *m); /* NULL allowed */
bool lora_mix_equal(const struct lora_mix *a, const struct lora_mix *b); /* NULL is as one of zeros */

/* model_add_lora -- an adapter's file, read whole as f32 and kept until model_close; *i (may be NULL) is its number. Before the model's first session.
 * scale: what sequences take of it that ask for nothing else (model.lora_default).
 * Errors: those of gguf_open and lora_file_check; UNSUPPORTED (a matrix that is no plain product, as embeddings: named), FORMAT (a value that is not
 * finite), LIMIT (LORAS_MAX), USAGE (scale is no number), NOMEM. */
slm_status model_add_lora(struct slm_model *m, const char *path, float scale, uint32_t *i, slm_err *err);
/* model_add_lora_open -- the same from an open file, which is the caller's. */
slm_status model_add_lora_open(struct slm_model *m, const struct gguf *adapter, float scale, uint32_t *i, slm_err *err);
uint64_t model_lora_bytes(const struct slm_model *m);   /* of all */
uint32_t model_lora_rank_max(const struct slm_model *m);
/* model_with_lora -- the same model, whose sequences take another mix when they ask for nothing: a view that shares all of it, ended with model_view_end before
 * the model is closed. The model is packed first, as a session of either would. Errors: those of model_pack; NOMEM. */
slm_status model_with_lora(struct slm_model *m, const struct lora_mix *mix, int n_threads, struct slm_model **out, slm_err *err);
void model_view_end(struct slm_model *view); /* NULL is fine */
const char *model_lora_path(const struct slm_model *m, uint32_t i);

#endif
