/* completion.h -- prompts continued without a conversation: what /v1/completions and /completion share. */
#ifndef SLM_SERVE_COMPLETION_H
#define SLM_SERVE_COMPLETION_H

#include "engine/stop.h"
#include "serve/format.h"
#include "serve/generate.h"
#include "serve/prompts.h"

struct completing {
    struct call *c;
    struct served *model;          /* in use until completing_fini */
    struct prompts prompts;
    struct sampling sampling;
    struct view stops[STOP_N_MAX];
    struct format format;
    struct generation g;
    char id[40];                   /* OpenAI's, with the time */
    json_int_t created;
};

/* completing_run -- what is left to read of the request (form of the answer, sampling, stop strings), checks, the stream's beginning where one
 * was asked for, and the answers. t->g is filled but for these. Errors: c->fault. */
slm_status completing_run(struct completing *t);
void completing_fini(struct completing *t);

#endif
