/* teach.h -- what train, finetune and distill share: options, data, evaluation, the run and its report. */
#ifndef SLM_CLI_TEACH_H
#define SLM_CLI_TEACH_H

#include "cli/rows.h"
#include "train/data.h"
#include "train/optim.h"
#include "train/run.h"

struct teach_values {
    struct option_texts data, eval_data;
    const char *out, *doc_sep, *budget, *mem, *type, *system;
    int32_t format, ctx, batch_tokens, micro_tokens, steps, eval_every, eval_tokens, save_every, cool, log_every, patience, opt, schedule, recompute, threads, keep;
    float val_split, epochs, lr, warmup, min_lr, decay_share, beta1, beta2, eps, wd, clip, spike, token_dropout;
    struct option_seed seed;
    bool resume, skip_bad, allow_leak, loss_last, dry_run, json;
};

#define TEACH_ROW(type, kind_, name_, value_, fallback_, min_, max_, field, help_) TEACH_ROW_IF(type, kind_, name_, value_, fallback_, min_, max_, field, NULL, NULL, help_)
/* One that means something only with needs_, and nothing beside bars_. */
#define TEACH_ROW_IF(type, kind_, name_, value_, fallback_, min_, max_, field, needs_, bars_, help_)                                   \
    {.kind = kind_, .name = name_, .value = value_, .fallback = fallback_, .min = min_, .max = max_, .offset = offsetof(type, teach.field), \
     .since = "0.1", .needs = needs_, .bars = bars_, .help = help_}
#define TEACH_CHOICE(type, name_, value_, fallback_, choices_, field, help_)                                                            \
    {.kind = OPT_CHOICE, .name = name_, .value = value_, .fallback = fallback_, .choices = choices_, .offset = offsetof(type, teach.field), \
     .since = "0.1", .help = help_}
#define TEACH_FLAG(type, name_, field, help_)                                                                                          \
    {.kind = OPT_FLAG, .name = name_, .offset = offsetof(type, teach.field), .since = "0.1", .help = help_}

/* type has a member `struct teach_values teach`. lr_ and wd_ are the command's defaults. */
#define TEACH_DATA_ROWS(type)                                                                                                          \
    {.kind = OPT_TEXTS, .name = "data", .value = "FILE", .flags = OPTION_REQUIRED, .offset = offsetof(type, teach.data), .since = "0.1", \
     .help = "examples: JSON lines, CSV or TSV with a header, plain text, or a folder of them"},                    \
    {.kind = OPT_FOLDER, .letter = 'o', .name = "out", .value = "FOLDER", .flags = OPTION_REQUIRED, .offset = offsetof(type, teach.out), .since = "0.1", \
     .help = "the run's folder: model.gguf, log.jsonl, loss.svg, run.yaml, checkpoint.slm"},                                           \
    {.kind = OPT_TEXTS, .name = "eval-data", .value = "FILE", .offset = offsetof(type, teach.eval_data), .since = "0.1",                \
     .help = "examples to evaluate on, of the same forms; what is in --data too is an error"},                                         \
    TEACH_ROW_IF(type, OPT_FLOAT, "val-split", "SHARE", "0", 0, 0.9, val_split, NULL, "eval-data", "share of --data's rows that is kept for evaluation instead"), \
    TEACH_CHOICE(type, "format", "NAME", "auto", "auto|messages|prompt|alpaca|sharegpt|classify|text", format, "form of the rows; auto: seen by their keys"), \
    TEACH_ROW(type, OPT_TEXT, "doc-sep", "LINE", NULL, 0, 0, doc_sep, "the line that parts documents of plain text; default <|endoftext|>"), \
    TEACH_ROW(type, OPT_TEXT, "system", "TEXT", NULL, 0, 0, system, "system turn of chats that have none"),                             \
    TEACH_FLAG(type, "loss-last", loss_last, "of a chat learn the last assistant turn only"),                                           \
    TEACH_FLAG(type, "skip-bad", skip_bad, "leave bad rows out instead of stopping at the first"),                                      \
    TEACH_FLAG(type, "allow-leak", allow_leak, "go on when rows of --eval-data are in --data")

#define TEACH_RUN_ROWS(type, lr_, wd_, ctx_, epochs_)                                                                                   \
    TEACH_ROW(type, OPT_INT, "ctx", "N", ctx_, 8, 65536, ctx, "tokens of a sequence at most"),                                          \
    TEACH_ROW_IF(type, OPT_FLOAT, "epochs", "N", epochs_, 0.001, 1e6, epochs, NULL, "steps|budget", "passes over the data"),                                     \
    TEACH_ROW_IF(type, OPT_INT, "steps", "N", "0", 0, 1 << 30, steps, NULL, "budget", "optimizer steps, instead of --epochs; 0: by --epochs"),              \
    TEACH_ROW(type, OPT_TEXT, "budget", "TIME", NULL, 0, 0, budget, "as many steps as fit into 90s, 20m or 3h, by the speed of the first ones"), \
    TEACH_ROW(type, OPT_INT, "batch-tokens", "N", "8192", 16, 1 << 26, batch_tokens, "tokens of an optimizer step"),                    \
    TEACH_ROW(type, OPT_FLOAT, "lr", "RATE", lr_, 0, 10, lr, "highest learning rate; 0: the command's own"),                                               \
    TEACH_CHOICE(type, "schedule", "NAME", "cosine", SCHEDULE_NAMES, schedule, "how the rate falls; wsd: stays, then falls in the last --decay share"), \
    TEACH_ROW(type, OPT_FLOAT, "warmup", "SHARE", "0.03", 0, 1, warmup, "share of the steps in which the rate rises"),                   \
    TEACH_ROW(type, OPT_FLOAT, "min-lr", "SHARE", "0.1", 0, 1, min_lr, "what the rate ends at, of --lr"),                                \
    TEACH_ROW_IF(type, OPT_FLOAT, "decay", "SHARE", "0.2", 0.001, 1, decay_share, "schedule=wsd", NULL, "with --schedule wsd: share of the steps in which the rate falls"), \
    TEACH_CHOICE(type, "opt", "NAME", "adamw", OPTIM_NAMES, opt, "optimizer; adamw8 keeps its state in 8 bits; muon: matrices by orthogonal steps"), \
    TEACH_ROW(type, OPT_FLOAT, "beta1", "X", "0.9", 0, 0.9999, beta1, "AdamW: how long gradients are remembered; SGD's momentum"),       \
    TEACH_ROW_IF(type, OPT_FLOAT, "beta2", "X", "0.95", 0, 0.99999, beta2, NULL, "opt=sgd", "AdamW: how long their squares are"),                            \
    TEACH_ROW_IF(type, OPT_FLOAT, "eps", "X", "1e-8", 0, 1, eps, NULL, "opt=sgd", "AdamW: added to the square root"),                                       \
    TEACH_ROW(type, OPT_FLOAT, "wd", "X", wd_, 0, 10, wd, "weight decay of matrices, times the rate"),                                  \
    TEACH_ROW(type, OPT_FLOAT, "clip", "X", "1", 0, 1e6, clip, "longest gradient; 0: any"),                                             \
    TEACH_ROW(type, OPT_FLOAT, "spike-skip", "X", "8", 0, 1e6, spike, "leave out steps whose gradient is that many deviations longer than usual; 0: none"), \
    {.kind = OPT_SEED, .letter = 's', .name = "seed", .value = "N", .fallback = "1", .min = 0, .max = 9e15, .offset = offsetof(type, teach.seed), .since = "0.1", \
     .help = "order of the data, start of new weights"},                                                                               \
    TEACH_ROW(type, OPT_FLOAT, "token-dropout", "SHARE", "0", 0, 0.9, token_dropout, "share of a prompt's tokens that an epoch blanks; against learning few rows by heart"), \
    OPTION_SECTION("watching and keeping"),                                                                                            \
    TEACH_ROW_IF(type, OPT_INT, "eval-every", "N", "0", 0, 1 << 30, eval_every, "eval-data|val-split", NULL, "steps between evaluations; 0: ten in the run"),            \
    TEACH_ROW_IF(type, OPT_INT, "eval-tokens", "N", "131072", 16, 1 << 30, eval_tokens, "eval-data|val-split", NULL, "tokens of an evaluation at most"),                 \
    TEACH_ROW_IF(type, OPT_INT, "early-stop", "N", "0", 0, 1000, patience, "eval-data|val-split", NULL, "stop after that many evaluations without a better one; 0: never"), \
    TEACH_CHOICE(type, "keep", "WHICH", "best", "best|last", keep, "the weights that model.gguf gets, when there are evaluations"),      \
    TEACH_ROW(type, OPT_INT, "save-every", "N", "200", 0, 1 << 30, save_every, "steps between checkpoints; 0: only at the end"),         \
    TEACH_ROW(type, OPT_INT, "log-every", "N", "10", 1, 1 << 30, log_every, "steps between lines of the log"),                           \
    TEACH_FLAG(type, "resume", resume, "go on from the folder's checkpoint, when there is one"),                                        \
    TEACH_ROW_IF(type, OPT_INT, "cool", "N", "0", 0, 1 << 30, cool, "resume", NULL, "with --resume: let the rate fall over N steps from the checkpoint on, then end, whatever --steps says; 0: no"), \
    TEACH_FLAG(type, "dry-run", dry_run, "read the data, plan memory and steps, show some rows, and stop"),                             \
    {.kind = OPT_FLAG, .name = "json", .offset = offsetof(type, teach.json), .since = "0.1", .help = "print one JSON object"},           \
    OPTION_SECTION("machine"),                                                                                                         \
    {.kind = OPT_INT, .letter = 't', .name = "threads", .value = "N", .fallback = "0", .min = 0, .max = 256, .offset = offsetof(type, teach.threads), \
     .since = "0.1", .help = "threads that compute; 0: the CPUs this process may use"},                                                 \
    TEACH_ROW(type, OPT_TEXT, "mem", "SIZE", NULL, 0, 0, mem, "memory to use at most, such as 2G; default: what is free"),               \
    TEACH_ROW(type, OPT_INT, "micro-tokens", "N", "0", 0, 1 << 20, micro_tokens, "tokens of one pass; 0: 4096, less when memory is short; never changes what is learnt"), \
    TEACH_ROW(type, OPT_INT, "recompute", "LEVEL", "-1", -1, 3, recompute, "activations that are made again instead of kept: 0 none to 3 all; -1: as memory asks")

struct teach {
    const struct teach_values *v;
    struct dataset *train, *eval;  /* eval NULL: train's other side, or none */
    bool has_eval;
    struct train_source source;
    struct chat_template *tmpl;
    uint64_t seed;
    uint64_t identity;             /* of options; the command adds what is its own */
    uint64_t mem_bytes;
    double budget_s;
    int32_t longest;               /* sequence, for the plan */
    double lr;                     /* when --lr is 0 */
    const char *result;            /* file of the run's folder; NULL: model.gguf */
    slm_status (*write_result)(void *user, struct trainee *t, const char *path, slm_err *err);
    void *user;
};
/* teach_begin -- read the data for a model. tmpl text empty: chats are refused. teach_end is safe on a zeroed struct. */
slm_status teach_begin(struct teach *t, const struct teach_values *v, const struct tok *tok, struct view template_text, slm_err *err);
void teach_end(struct teach *t);
/* teach_say -- talk on standard error, of the first process only. */
void teach_say(const char *format, ...) SLM_PRINTF(1, 2);
/* teach_plan -- the trainee's parameters by the options. */
void teach_plan(const struct teach *t, struct trainee_params *p);
/* teach_run -- the source, the run, its pictures and report. table, values: for run.yaml. kd: NULL or how a teacher's rows count. */
slm_status teach_run(struct teach *t, struct trainee *trainee, const struct option_table *table, const void *values, slm_err *err);

#endif
