/* generate.h -- from a prompt to answers: jobs submitted, tokens taken as they come, text told piece by piece.
 *
 * The engine thread only appends tokens to a queue; everything that makes text of them (detokenizer, stop strings, the parser of
 * reasoning and tool calls) runs on the request's thread. When the client leaves, the jobs are cancelled at once. */
#ifndef SLM_SERVE_GENERATE_H
#define SLM_SERVE_GENERATE_H

#include "serve/server.h"

struct tool_call_made {
    char id[40];
    struct buf name, arguments; /* arguments: a JSON object */
};

/* One answer as far as it has come. */
struct answer {
    int i;                      /* which of n */
    struct buf text, reasoning;
    struct tool_call_made *calls; /* [n_calls] */
    size_t n_calls;
    struct tok_ids ids;         /* when asked for */
    json_t *logprobs;           /* array of entries, when asked for; those not yet told */
    bool is_over;
    char invalid[200];          /* why the text is not of the schema; empty: it is, or there is none */
    enum finish finish;
    struct view stop;           /* which stop string ended it; empty: none */
    size_t n_generated, n_reasoning;
    struct sched_usage usage;
    double t_first, t_last;
    float *logp;                /* [n_logp] log-probability of each token, when asked for (keeps_logp) */
    size_t n_logp, cap_logp;
};

enum delta_kind { DELTA_START, DELTA_TOKEN, DELTA_TEXT, DELTA_REASONING, DELTA_CALL_BEGIN, DELTA_CALL_ARGUMENTS, DELTA_CALL_END, DELTA_END };
struct delta {
    enum delta_kind kind;
    const struct answer *answer;
    struct view text; /* TEXT, REASONING, CALL_BEGIN (the name), CALL_ARGUMENTS */
    int32_t id;       /* TOKEN */
    size_t i_call;
};
/* Told on the request's thread; an error ends the generation. */
typedef slm_status (*on_delta)(void *user, const struct delta *d);

struct generation {
    struct call *c;
    struct served *model;
    const struct tok_ids *prompts; /* [n_prompts], borrowed */
    size_t n_prompts;
    int n_each;              /* answers to each prompt */
    const struct sampling *sampling;
    int32_t n_max;           /* -1: until the context is full */
    const struct view *stops;
    size_t n_stops;
    bool ignore_eos, strip_first, keep_ids, keeps_logp;
    double deadline;         /* time_now_s's clock; past it the answers end with LIMIT; 0: none */
    int32_t n_top;           /* as sched_request */
    struct lora_mix mix;     /* of the request's adapters, by generation_check; otherwise the model's */
    bool parses;             /* reasoning and calls are told apart */
    struct view prompt_text; /* for the parser: how the prompt ends */
    const json_t *tools;
    const struct constrain_spec *spec; /* what every answer must be; NULL: anything */
    bool forces_call;        /* every answer is one call, as CONSTRAIN_TOOLS writes it */
    bool holds_calls;        /* an answer may call tools; one that begins to is held to their grammar where the family's form is known */
    bool only_one_call;
    bool tells_live;         /* the arguments of calls that are held are told as they come */
    bool is_quiet;           /* sends nothing to the client by itself: somebody else may be answering it */
    _Atomic bool *is_cancelled; /* set from another thread: the answers end with CANCELLED; NULL: nobody does */
    on_delta on_delta;       /* NULL: collect only */
    void *user;
    /* Out */
    struct answer *answers;  /* [n_answers] prompt by prompt */
    size_t n_answers;
    struct constraint **constraints; /* [n_answers], by generation_check */
    struct call_guard **guards;      /* [n_answers], likewise; NULL: no call is held to anything */
    bool is_again;           /* it has run before */
    struct {                 /* what somebody else reports instead of us */
        bool is_set;
        size_t n_prompt, n_cached, n_generated;
    } told;
};

/* generation_check -- before anything is answered: does every prompt fit, can the specification be kept? What of a schema is only checked
 * afterwards is listed in the header x-slm-unenforced, as are tools that calls cannot be held to. Errors: LIMIT with both counts (the prompt; the tokens asked for and those the shortest
 * answer takes); UNSUPPORTED (an encoder); USAGE (an empty prompt); those of constraint_create. */
slm_status generation_check(struct generation *g);
/* generation_run -- Errors: BUSY (the queue is full), CANCELLED (the client left), those of the engine and of on_delta. */
slm_status generation_run(struct generation *g);
/* generation_forget -- the answers alone, so that it can be run again. */
void generation_forget(struct generation *g);
void generation_fini(struct generation *g);

/* An answer that comes from elsewhere (answer.c): answers_begin makes the answers empty; answer_take adds a part and tells it. */
slm_status answers_begin(struct generation *g);
slm_status answer_take(struct generation *g, struct answer *a, const struct output_event *e);
slm_status answer_tell(struct generation *g, struct answer *a, struct delta d);
size_t generation_n_prompt(const struct generation *g);    /* tokens, all prompts */
size_t generation_n_cached(const struct generation *g);
size_t generation_n_generated(const struct generation *g);
double generation_cpu_s(const struct generation *g);       /* of our engine */

/* json_of_bytes -- a JSON string; what is not UTF-8 becomes U+FFFD. */
json_t *json_of_bytes(struct view v);
/* make_id -- prefix and 24 random letters. */
void make_id(const char *prefix, char out[40]);

#endif
