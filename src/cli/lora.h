/* lora.h -- adapters beside a model, as commands name them. */
#ifndef SLM_CLI_LORA_H
#define SLM_CLI_LORA_H

#include "cli/rows.h"
#include "model/lora.h"

/* Rows for the struct `type` with a member `struct option_texts loras`. */
#define LORA_ROWS(type) LORA_ROWS_WITH(type, NULL, OPTION_BESIDE)
#define LORA_ROWS_WITH(type, rule, more)                                                                               \
    {.kind = OPT_TEXTS, .name = "lora", .value = "FILE[=SCALE]", .flags = (more), .offset = offsetof(type, loras), .since = "0.1",      \
     .needs = (rule), .help = "an adapter (GGUF, as slm finetune and llama.cpp write them) that runs beside the model, whose file stays as it is; several are added together"}, \
    {.kind = OPT_TEXTS, .name = "lora-scaled", .value = "FILE:SCALE", .offset = offsetof(type, loras), .since = "0.1", .needs = (rule), .help = "the same in llama.cpp's words"}

/* lora_parse -- "FILE", "FILE=SCALE" or "FILE:SCALE"; a text that is a file's name is one whole. Errors: USAGE (too long, a scale out of range). */
slm_status lora_parse(const char *text, char path[4096], float *scale, slm_err *err);
/* loras_add -- all of them, for every session of the model. Before its first session. Errors: those of lora_parse and model_add_lora. */
slm_status loras_add(struct slm_model *m, const struct option_texts *loras, slm_err *err);

#endif
