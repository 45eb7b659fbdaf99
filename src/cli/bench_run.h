/* bench_run.h -- the measurements of slm bench: sequences driven through model_forward, and what the machine would allow. */
#ifndef SLM_CLI_BENCH_RUN_H
#define SLM_CLI_BENCH_RUN_H

#include "cli/options.h"
#include "compute/measure.h"
#include "engine/session.h"

#define BENCH_REPEAT_MAX 100
#define BENCH_ROWS_MAX (OPTION_INTS_MAX * OPTION_INTS_MAX) /* depths by batches */

/* One measurement: n_batch sequences that hold n_depth tokens each get n_prompt more, then n_predict one by one. */
struct bench_params {
    int32_t n_batch, n_depth, n_prompt, n_predict, repeat, chunk, threads;
    int kv_type; /* as in session_params */
};

struct bench_sample {
    double mean, sd;
};
struct bench_result {
    int32_t n_batch, n_depth;
    struct bench_sample prefill_tps, decode_tps; /* tokens of all sequences a second */
    double bytes_per_token;                      /* that decoding reads of weights and cache */
    double n_f32_per_token, n_int8_per_token;    /* multiply-adds of a prompt's token, by the kind of product */
    double read_share, multiply_share;           /* of the measured limits; set by bench_shares */
};

/* bench_measure -- repeat times, after one short pass that brings everything into memory. Stops when *cancel.
 * Errors: those of session_create and model_forward; LIMIT (too many positions). */
slm_status bench_measure(struct slm_model *m, const struct bench_params *p, const _Atomic bool *cancel, struct bench_result *out, slm_err *err);
void bench_shares(struct bench_result *r, const struct measured *limit);

/* bench_plot -- the results as SVG: a bar for each, and above it the line of the machine's limit. n_rows at most BENCH_ROWS_MAX. */
void bench_plot(struct buf *b, const char *title, const struct bench_result *rows, size_t n_rows);

#endif
