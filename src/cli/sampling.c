/* sampling.c -- option values to sampler parameters. */
#include "cli/sampling.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

/* A random seed is short, so that a user can type it again. */
static uint64_t draw_seed(void) {
    uint32_t seed;
    if (getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed) return seed;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec;
}

struct sampler_params sampling_params(const struct sampling_values *v) {
    struct sampler_params p;
    sampler_params_init(&p);
    p.temperature = v->temp;
    p.top_k = v->top_k;
    p.top_p = v->top_p;
    p.min_p = v->min_p;
    p.typical_p = v->typical;
    p.repeat_penalty = v->repeat_penalty;
    p.presence_penalty = v->presence_penalty;
    p.frequency_penalty = v->frequency_penalty;
    p.penalty_last_n = v->repeat_last_n;
    p.dry_multiplier = v->dry_multiplier;
    p.dry_base = v->dry_base;
    p.dry_allowed_length = v->dry_allowed_length;
    p.dry_last_n = v->dry_last_n;
    p.dry_breakers = v->dry_breakers.v;
    p.n_dry_breakers = (int32_t)v->dry_breakers.n;
    p.bias = v->logit_bias.v;
    p.n_bias = (int32_t)v->logit_bias.n;
    p.seed = v->seed.is_random ? draw_seed() : v->seed.value;
    return p;
}
