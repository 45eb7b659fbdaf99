/* rows.h -- option rows that several commands share, for the struct `type` with a member of the row's name. */
#ifndef SLM_CLI_ROWS_H
#define SLM_CLI_ROWS_H

#include "cli/command.h"

#define OPTION_SECTION(text) {.kind = OPT_SECTION, .help = (text)}
#define OPTION_MODEL(type) OPTION_MODEL_THAT_IS(type, OPTION_REQUIRED)
#define OPTION_MODEL_THAT_IS(type, more)                                                                                \
    {.kind = OPT_FILE, .letter = 'm', .name = "model", .value = "MODEL", .flags = (more) | OPTION_NAMED,      \
     .offset = offsetof(type, model), .since = "0.1", .help = "the model: a GGUF file (of a split one the first shard), a Hugging Face folder, or a name (slm list)"}
#define OPTION_ADAPTER(type)                                                                                           \
    {.kind = OPT_FILE, .name = "adapter", .value = "FILE", .offset = offsetof(type, adapter), .since = "0.1",          \
     .help = "what slm finetune wrote beside this model, merged in memory: matrices that it touches are held as f32 meanwhile; slm merge makes a file of both"}
#define OPTION_JSON(type)                                                                                              \
    {.kind = OPT_FLAG, .name = "json", .offset = offsetof(type, json), .since = "0.1", .help = "print one JSON object"}
/* _WITH: options that mean something only with what the rule names (options.h). */
#define OPTION_THREADS(type) OPTION_THREADS_WITH(type, NULL)
#define OPTION_THREADS_WITH(type, rule)                                                                                \
    {.kind = OPT_INT, .letter = 't', .name = "threads", .value = "N", .fallback = "0", .min = 0, .max = 256,           \
     .offset = offsetof(type, threads), .since = "0.1", .needs = (rule), .help = "threads that compute; 0: the CPUs this process may use"}
#define OPTION_CTX(type) OPTION_CTX_WITH(type, NULL)
#define OPTION_CTX_WITH(type, rule)                                                                                    \
    {.kind = OPT_INT, .letter = 'c', .name = "ctx", .value = "N", .fallback = "0", .min = 0, .max = 1 << 24,           \
     .offset = offsetof(type, ctx), .since = "0.1",                                                                    \
     .needs = (rule), .help = "positions of the context; 0: what the model was made for, less when memory is short"}
#define OPTION_CHUNK(type) OPTION_CHUNK_WITH(type, NULL)
#define OPTION_CHUNK_WITH(type, rule)                                                                                  \
    {.kind = OPT_INT, .name = "chunk", .value = "N", .fallback = "512", .min = 1, .max = 65536,                        \
     .offset = offsetof(type, chunk), .since = "0.1",                                                                  \
     .needs = (rule), .help = "prompt tokens of one pass; changes speed and memory, never the result"}
#define OPTION_KV(type) OPTION_KV_WITH(type, NULL)
#define OPTION_KV_WITH(type, rule)                                                                                     \
    {.kind = OPT_CHOICE, .name = "kv", .value = "TYPE", .fallback = "auto", .choices = "auto|f16|q8|q4|f32",           \
     .offset = offsetof(type, kv), .since = "0.1",                                                                     \
     .needs = (rule), .help = "type of the KV cache; q8 and q4 take half and a quarter of f16; auto: f32 for a model whose matrices are f32, else f16"}
#define OPTION_CONFIG_FILE(type)                                                                                       \
    {.kind = OPT_FILE, .name = "config", .value = "FILE.yaml", .flags = OPTION_CONFIG, .offset = offsetof(type, config),  \
     .since = "0.1", .help = "options from a YAML file, keys named as these; what is given here stands"}
/* Texts that are run in chunks. */
#define OPTION_TEXT_FILE(type)                                                                                         \
    {.kind = OPT_FILE, .letter = 'f', .name = "file", .value = "FILE", .flags = OPTION_REQUIRED,                       \
     .offset = offsetof(type, file), .since = "0.1", .help = "the text; - is standard input"}
#define OPTION_TEXT_CTX(type, what)                                                                                    \
    {.kind = OPT_INT, .letter = 'c', .name = "ctx", .value = "N", .fallback = "512", .min = 4, .max = 1 << 24,         \
     .offset = offsetof(type, ctx), .since = "0.1", .help = (what)}
#define OPTION_TEXT_CHUNKS(type)                                                                                       \
    {.kind = OPT_INT, .name = "chunks", .value = "N", .fallback = "0", .min = 0, .max = 1 << 24,                       \
     .offset = offsetof(type, chunks), .since = "0.1", .help = "chunks at most; 0: the whole text"}
/* place in OPTION_KV's choices -> session_params.kv_type */
int kv_type_of_choice(int32_t choice);

#endif
