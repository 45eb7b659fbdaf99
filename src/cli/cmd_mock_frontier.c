/* cmd_mock_frontier.c -- slm mock-frontier: option values to a mock's configuration. */
#include "base/util.h"
#include "cli/commands.h"
#include "cli/rows.h"
#include "serve/mock/mock.h"

struct mock_values {
    struct common_values common;
    struct option_texts listen, faults;
    const char *gold, *log;
    float accuracy, correlation, price_in, price_out, jitter;
    int32_t first_ms, token_ms;
    struct option_seed seed;
};

static slm_status run_mock(const void *values, slm_err *err) {
    const struct mock_values *v = values;
    static const char *const listen_default[] = {"127.0.0.1:9090"};
    struct mock_config c = {.listen = v->listen.v, .n_listen = v->listen.n, .gold = v->gold, .log = v->log, .accuracy = (double)v->accuracy, .correlation = (double)v->correlation,
                            .price_in = (double)v->price_in, .price_out = (double)v->price_out, .first_ms = v->first_ms, .token_ms = v->token_ms, .jitter = (double)v->jitter,
                            .seed = v->seed.value, .faults = v->faults.v, .n_faults = v->faults.n, .key = env_get(ENV_SLM_KEY)};
    if (c.n_listen == 0) {
        c.listen = listen_default;
        c.n_listen = 1;
    }
    return mock_run(&c, err);
}

static const struct option options[] = {
    {.kind = OPT_TEXTS, .name = "listen", .value = "ADDRESS", .offset = offsetof(struct mock_values, listen), .since = "0.1", .help = "HOST:PORT or unix:PATH; without it 127.0.0.1:9090"},
    {.kind = OPT_FILE, .name = "gold", .value = "FILE", .offset = offsetof(struct mock_values, gold), .since = "0.1",
     .help = "JSON lines {\"input\", \"gold\", \"hard\": 0 to 1}: the answer to a conversation whose last user message is input. Other messages are given back as they came"},
    {.kind = OPT_FLOAT, .name = "accuracy", .value = "X", .fallback = "1", .min = 0, .max = 1, .offset = offsetof(struct mock_values, accuracy), .since = "0.1",
     .needs = "gold", .help = "share of the table that is answered rightly; the rest gets another question's answer, always the same one"},
    {.kind = OPT_FLOAT, .name = "correlated", .value = "R", .fallback = "0", .min = 0, .max = 1, .offset = offsetof(struct mock_values, correlation), .since = "0.1",
     .needs = "gold", .help = "0: errors fall anywhere; 1: on the questions with the largest hard"},
    {.kind = OPT_SEED, .letter = 's', .name = "seed", .value = "N", .fallback = "1", .min = 0, .max = 9e15, .offset = offsetof(struct mock_values, seed), .since = "0.1", .help = "of errors, faults and latencies"},
    OPTION_SECTION("money and time"),
    {.kind = OPT_FLOAT, .name = "price-in", .value = "USD", .fallback = "2.5", .min = 0, .max = 1e6, .offset = offsetof(struct mock_values, price_in), .since = "0.1", .help = "for a million tokens of prompts; a token is four bytes"},
    {.kind = OPT_FLOAT, .name = "price-out", .value = "USD", .fallback = "10", .min = 0, .max = 1e6, .offset = offsetof(struct mock_values, price_out), .since = "0.1", .help = "for a million tokens of answers"},
    {.kind = OPT_INT, .name = "first-ms", .value = "N", .fallback = "0", .min = 0, .max = 600000, .offset = offsetof(struct mock_values, first_ms), .since = "0.1", .help = "median time to the first token"},
    {.kind = OPT_INT, .name = "token-ms", .value = "N", .fallback = "0", .min = 0, .max = 60000, .offset = offsetof(struct mock_values, token_ms), .since = "0.1", .help = "median time of a token"},
    {.kind = OPT_FLOAT, .name = "jitter", .value = "X", .fallback = "0", .min = 0, .max = 4, .offset = offsetof(struct mock_values, jitter), .since = "0.1", .help = "times are multiplied by e to the power of X times a normal number"},
    OPTION_SECTION("faults"),
    {.kind = OPT_TEXTS, .name = "fault", .value = "NAME=SHARE", .offset = offsetof(struct mock_values, faults), .since = "0.1",
     .help = "this share of requests fails: 429, 500, 529, 400, hang, hang-after, cut, malformed, error-200, no-usage, close. POST /mock {\"fault\": NAME, \"n\": N} sets the next N"},
    {.kind = OPT_FILE, .name = "requests", .value = "FILE", .offset = offsetof(struct mock_values, log), .since = "0.1", .help = "append a JSON line for each request: its x-request-id and what it was billed"},
};
static const struct example examples[] = {
    {"slm mock-frontier --gold gold.jsonl --accuracy 0.97", "an upstream on http://127.0.0.1:9090/v1 that is right on 97 of 100 questions"},
    {"slm mock-frontier --fault 429=0.2 --fault cut=0.1 --first-ms 400 --token-ms 20", "one that fails and takes its time"},
};
const struct command command_mock_frontier = {
    .group = "use a model",
    .summary = "a frontier model for tests: gold answers, prices, faults",
    .description = "Speaks the APIs of OpenAI, Anthropic and Gemini without any model: what it answers comes from a table. SLM_KEY demands a key. GET /mock tells what it has "
                   "counted.\n\nIt exists to see what slm serve --gateway does before money is spent, and to test it.",
    .table = {"mock-frontier", ROWS(options), NULL, 0},
    .values_bytes = sizeof(struct mock_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .run = run_mock,
};
