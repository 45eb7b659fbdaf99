/* working.h -- option rows of commands that put a model to a narrow job, and opening it. */
#ifndef SLM_CLI_WORKING_H
#define SLM_CLI_WORKING_H

#include "cli/rows.h"
#include "task/worker.h"

struct working_values {
    const char *model, *system, *form;
    int32_t threads, ctx;
    bool raw, show_prompt;
};
#define WORKING_MODEL_ROW(type)                                                                                                          \
    {.kind = OPT_FILE, .letter = 'm', .name = "model", .value = "MODEL", .flags = OPTION_REQUIRED | OPTION_NAMED, .offset = offsetof(type, working.model), .since = "0.1", \
     .help = "the model: a GGUF file (of a split one the first shard), a Hugging Face folder, or a name (slm list)"}
#define WORKING_ROWS(type, fields)                                                                                                       \
    OPTION_SECTION("words"),                                                                                                             \
    {.kind = OPT_TEXT, .name = "prompt", .value = "TEXT", .offset = offsetof(type, working.form), .since = "0.1",                        \
     .help = "the user's turn instead of the built-in one; " fields " stand for what they say"},                                         \
    {.kind = OPT_TEXT, .name = "system", .value = "TEXT", .offset = offsetof(type, working.system), .since = "0.1", .help = "a system prompt"}, \
    {.kind = OPT_FLAG, .name = "raw", .offset = offsetof(type, working.raw), .since = "0.1", .help = "no chat template"},                \
    {.kind = OPT_FLAG, .name = "show-prompt", .offset = offsetof(type, working.show_prompt), .since = "0.1", .help = "print the words and do nothing"}, \
    OPTION_SECTION("engine"),                                                                                                            \
    {.kind = OPT_INT, .letter = 't', .name = "threads", .value = "N", .fallback = "0", .min = 0, .max = 256, .offset = offsetof(type, working.threads), .since = "0.1", \
     .help = "threads that compute; 0: the CPUs this process may use"},                                                                  \
    {.kind = OPT_INT, .letter = 'c', .name = "ctx", .value = "N", .fallback = "0", .min = 0, .max = 1 << 24, .offset = offsetof(type, working.ctx), .since = "0.1", \
     .help = "positions of the context; 0: what the model was made for, at most 8192"}

struct working {
    struct slm_model *model;
    struct worker *worker;
    const char *name;    /* of the model, for envelopes */
};
/* working_open -- Errors: those of model_open and worker_create. */
slm_status working_open(const struct working_values *v, struct working *out, slm_err *err);
void working_close(struct working *w);
/* working_show -- the prompts whose names begin with `job`, as they would be used. */
slm_status working_show(const struct working_values *v, const char *job, slm_err *err);

#endif
