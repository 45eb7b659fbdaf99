/* jobs.h -- one job for each text: operands, lines, or a file of JSON lines, with progress, and a result file that can be gone on with.
 *
 * A row of JSON is {"text": ..., "label"?: what is right, "id"?: kept}. With --output each answer is a line of FILE as it comes; started again,
 * the command counts the whole lines that are there, drops half of one, and goes on behind them. */
#ifndef SLM_CLI_JOBS_H
#define SLM_CLI_JOBS_H

#include "cli/rows.h"
#include "task/result.h"

struct jobs_values {
    const char *file, *output, *cal;
    struct option_texts texts;
    bool jsonl, json;
};
#define JOBS_ROWS(type)                                                                                                                  \
    {.kind = OPT_FILE, .letter = 'f', .name = "file", .value = "FILE", .offset = offsetof(type, jobs.file), .since = "0.1",              \
     .bars = "TEXT", .help = "a text a line; of FILE.jsonl a JSON object a line, with \"text\" and perhaps \"label\" and \"id\"; - is standard input"},  \
    {.kind = OPT_FLAG, .name = "jsonl", .offset = offsetof(type, jobs.jsonl), .since = "0.1", .bars = "TEXT", .help = "lines are JSON objects, whatever the file is called"}, \
    {.kind = OPT_FILE, .letter = 'o', .name = "output", .value = "FILE", .flags = OPTION_WRITTEN, .offset = offsetof(type, jobs.output), .since = "0.1",          \
     .help = "answers as JSON, a line each; what is there already is not done again"},                                                   \
    {.kind = OPT_FLAG, .name = "json", .offset = offsetof(type, jobs.json), .since = "0.1", .help = "print the whole envelope as JSON, a line for each text"}
/* A job that can be calibrated has these too. */
#define JOBS_CAL_ROW(type)                                                                                                               \
    {.kind = OPT_FILE, .name = "cal", .value = "FILE.cal", .offset = offsetof(type, jobs.cal), .since = "0.1",                           \
     .help = "a certificate of slm calibrate: answers that it does not cover are given up; one that was made with another model or prompt is refused"}
#define JOBS_OPERANDS(type)                                                                                                              \
    {.kind = OPT_TEXTS, .name = "TEXT", .offset = offsetof(type, jobs.texts), .since = "0.1",                                            \
     .help = "the texts; without them, the lines of --file or of standard input"}

struct job {
    struct view text;
    const char *label;  /* what is right; NULL: not known */
    uint64_t number;    /* from 0 */
};
/* job_fn -- fill r (result_init done) and, for people, plain: what is printed without --json. A failure with LIMIT, USAGE, FORMAT or FAILED is the
 * text's own: of several texts the others go on, and it is an
 * answer without output and signals. *right: of a job with a label. */
typedef slm_status (*job_fn)(void *user, const struct job *job, struct task_result *r, struct buf *plain, bool *right, slm_err *err);

/* jobs_run -- Errors: those of reading and writing; of a single text its own; FAILED when some of many failed, NEEDS_FRONTIER when a single one was
 * given up; CANCELLED. task names the envelope; bound: what answers are made with (NULL: the job cannot be calibrated). */
slm_status jobs_run(const struct jobs_values *v, const char *task, const struct bound_to *bound, job_fn fn, void *user, slm_err *err);

#endif
