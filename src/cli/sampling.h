/* sampling.h -- the sampler's options as rows, shared by every command that generates. */
#ifndef SLM_CLI_SAMPLING_H
#define SLM_CLI_SAMPLING_H

#include "cli/command.h"

struct sampling_values {
    float temp, top_p, min_p, typical, repeat_penalty, presence_penalty, frequency_penalty, dry_multiplier, dry_base;
    int32_t top_k, repeat_last_n, dry_allowed_length, dry_last_n;
    struct option_ints dry_breakers;
    struct option_biases logit_bias;
    struct option_seed seed;
};

#define SAMPLING_FLOAT(type, member, text_name, text_value, text_default, low, high, text_help)                         \
    {.kind = OPT_FLOAT, .name = text_name, .value = text_value, .fallback = text_default, .min = low, .max = high,      \
     .offset = offsetof(type, sampling.member), .since = "0.1", .flags = OPTION_SETTABLE, .help = text_help}
#define SAMPLING_INT(type, member, text_name, text_default, low, text_help)                                             \
    {.kind = OPT_INT, .name = text_name, .value = "N", .fallback = text_default, .min = low, .max = INT32_MAX,          \
     .offset = offsetof(type, sampling.member), .since = "0.1", .flags = OPTION_SETTABLE, .help = text_help}

/* Rows for a struct `type` with a member `sampling`. Defaults and ranges are the sampler's own: tests/unit/test_options.c
 * compares them. docs/sampling.md has the formulas. */
#define SAMPLING_ROWS(type)                                                                                             \
    {.kind = OPT_SEED, .letter = 's', .name = "seed", .value = "N", .fallback = "random", .min = 0, .max = 9007199254740991.0, \
     .offset = offsetof(type, sampling.seed), .since = "0.1", .flags = OPTION_SETTABLE,                                                        \
     .help = "same seed, same text; the seed that was used is told by --verbose and --json"},                           \
    SAMPLING_FLOAT(type, temp, "temp", "T", "0.8", 0, 100, "temperature: less is surer; 0 always takes the likeliest token"), \
    SAMPLING_INT(type, top_k, "top-k", "40", 0, "keep the N likeliest tokens; 0: all"),                                 \
    SAMPLING_FLOAT(type, top_p, "top-p", "P", "0.95", 0, 1, "keep the fewest tokens whose probabilities sum to P; 1: all"), \
    SAMPLING_FLOAT(type, min_p, "min-p", "P", "0.05", 0, 1, "keep tokens at least P times as likely as the likeliest; 0: all"), \
    SAMPLING_FLOAT(type, typical, "typical", "P", "1", 0, 1, "keep the fewest tokens of usual surprise whose probabilities sum to P; 1: all"), \
    SAMPLING_FLOAT(type, repeat_penalty, "repeat-penalty", "R", "1", 0.01, 100, "divide the score of tokens that occurred by R; 1: off"), \
    SAMPLING_INT(type, repeat_last_n, "repeat-last-n", "64", -1, "how many last tokens the penalties look at; 0: none; -1: the whole context"), \
    SAMPLING_FLOAT(type, presence_penalty, "presence-penalty", "A", "0", 0, 100, "lower the score of tokens that occurred by A"), \
    SAMPLING_FLOAT(type, frequency_penalty, "frequency-penalty", "A", "0", 0, 100, "lower the score of a token by A for each time it occurred"), \
    SAMPLING_FLOAT(type, dry_multiplier, "dry-multiplier", "A", "0", 0, 100, "DRY, against repeated passages: strength; 0: off"), \
    SAMPLING_FLOAT(type, dry_base, "dry-base", "B", "1.75", 1, 100, "DRY: growth of the penalty with each token of a repetition"), \
    SAMPLING_INT(type, dry_allowed_length, "dry-allowed-length", "2", 0, "DRY: repetitions up to this many tokens are free"), \
    SAMPLING_INT(type, dry_last_n, "dry-last-n", "-1", -1, "DRY: how many last tokens are searched; -1: the whole context; 0: off"), \
    {.kind = OPT_INTS, .name = "dry-breakers", .value = "ID,ID", .min = 0, .max = INT32_MAX, .offset = offsetof(type, sampling.dry_breakers), \
     .since = "0.1", .flags = OPTION_SETTABLE, .help = "DRY: token ids that end a repetition"},                                                   \
    {.kind = OPT_BIASES, .name = "logit-bias", .value = "ID=BIAS", .min = -1e9, .max = 1e9, .offset = offsetof(type, sampling.logit_bias), \
     .since = "0.1", .flags = OPTION_SETTABLE, .help = "add BIAS to the score of token ID; -inf bans it"}

/* sampling_params -- values as the sampler takes them, the seed drawn when it is random. Borrows v. */
struct sampler_params sampling_params(const struct sampling_values *v);

#endif
