/* bind.h -- what a fitted head or a certificate is bound to: numbers that change when what it was made with does. */
#ifndef SLM_TASK_BIND_H
#define SLM_TASK_BIND_H

#include "model/model.h"

/* Of a model's file: metadata but the vocabulary, the rows of its tensors, and 64 bytes from 64 places of each tensor's data; a different
 * quantization or training differs, a copy does not. Of its vocabulary: all keys tokenizer.*. Of no model: 0. */
uint64_t bind_model(const struct gguf *g);
uint64_t bind_tokenizer(const struct gguf *g);
/* Of prompt and labels, and of whatever else shapes an answer; each part ends, so none runs into the next. NULL: a part that is not there, which is not "". */
uint64_t bind_texts(const char *form, const char *const *texts, size_t n);

#endif
