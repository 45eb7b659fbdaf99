/* mock.h -- a frontier model that is none: for tests, demos and measuring what a gateway costs.
 *
 * It speaks the APIs of OpenAI (POST /v1/chat/completions), Anthropic (/v1/messages) and Gemini (/v1beta/models/NAME:generateContent,
 * :streamGenerateContent), streamed and whole. What it answers is the gold answer of the last user message, or for a settable share of them another
 * question's answer; a message that is not in the table is given back as it came. A token is four bytes. Faults come by chance (seeded) or, from
 * POST /mock, for the next requests. GET /mock tells what it has counted: a gateway's ledger must say the same. */
#ifndef SLM_SERVE_MOCK_H
#define SLM_SERVE_MOCK_H

#include "base/mem.h"

struct mock_config {
    const char *const *listen; /* [n_listen] */
    size_t n_listen;
    const char *gold;          /* JSON lines {"input", "gold", "hard"?: 0 to 1}; NULL: none */
    double accuracy;           /* share of gold answers that are given, over the table */
    double correlation;        /* 0: errors fall anywhere; 1: on the hardest questions */
    double price_in, price_out; /* USD for a million tokens */
    int32_t first_ms, token_ms; /* medians; jitter is a factor e^(jitter * normal) */
    double jitter;
    uint64_t seed;
    const char *const *faults; /* [n_faults] "NAME=SHARE" */
    size_t n_faults;
    const char *log;           /* a JSON line for each request; NULL: none */
    const char *key;           /* demanded of clients; NULL: none */
};
/* mock_run -- until SIGTERM. Errors: USAGE, IO, FORMAT (the table). */
slm_status mock_run(const struct mock_config *c, slm_err *err);

/* Names of faults, for help: "429|500|..." */
const char *mock_fault_names(void);

#endif
