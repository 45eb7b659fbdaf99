/* adapter.h -- adapters written by training, and merged into the matrices that they belong to. Their file, and how they run beside a model: model/lora.h. */
#ifndef SLM_TRAIN_ADAPTER_H
#define SLM_TRAIN_ADAPTER_H

#include "train/trainee.h"

/* adapter_write -- those of a trainee, atomically. Errors: IO, NOMEM. */
slm_status adapter_write(struct trainee *t, const char *path, slm_err *err);

/* adapter_merge -- base with the adapter's products added, as an open file that is nowhere on disk: matrices that the adapter touches are f32, all
 * else is as it was. base and the adapter's file are read now and base must outlive the result. strength: 1 as trained.
 * Errors: those of gguf_open, lora_file_check and lora_file_values; FORMAT (a sum that is not finite), NOT_FOUND (OpenBLAS), NOMEM. */
slm_status adapter_merge(const struct gguf *base, const char *path, float strength, int n_threads, struct gguf **out, slm_err *err);
/* adapter_merge_open -- the same with an adapter that is open. */
slm_status adapter_merge_open(const struct gguf *base, const struct gguf *adapter, float strength, int n_threads, struct gguf **out, slm_err *err);

/* adapter_open -- model_open with what an adapter's file adds merged in memory; adapter NULL: model_open.
 * Errors: those of model_open, gguf_open and adapter_merge. */
slm_status adapter_open(const char *model, const char *adapter, int n_threads, struct slm_model **out, slm_err *err);

#endif
