/* sched.h -- many requests through one model: continuous batching.
 *
 * A job is one request: a prompt, sampling, limits, a callback. Each step runs one token of every job that is generating and a part of the
 * prompts that are being read, in one forward. Pages of the KV cache are shared by all jobs under one budget, and by
 * prompts that begin alike (prefix.h). When the pages run out, the youngest job goes back to the queue and its tokens are computed again later:
 * the same to the bit. What a job generates does not depend on what else runs.
 *
 * Threads: sched_submit, sched_cancel and sched_stats from any; the rest, and all callbacks, belong to the engine thread, which
 * is the one of sched_loop.h or the caller's own. */
#ifndef SLM_ENGINE_SCHED_H
#define SLM_ENGINE_SCHED_H

#include "engine/call_guard.h"
#include "engine/constrain.h"
#include "engine/session.h"

#define SCHED_TOP_MAX 20  /* alternatives told for a token */
#define SCHED_SEQ_MAX 256 /* jobs in one step */

struct sched_params {
    int32_t n_ctx;         /* positions of one job at most; 0: the model's training context */
    uint64_t kv_bytes;     /* of all jobs and remembered prefixes together; 0: a quarter of the memory that is free */
    int32_t n_seq;         /* jobs that run together; 0: 16 */
    int32_t n_queue;       /* jobs that wait; 0: 256 */
    int32_t n_batch;       /* tokens of one step; 0: 512 */
    float slowdown;        /* how much longer a step may take because prompts are read beside it; 0: 2 (twice as long) */
    int n_threads;         /* 0: cpu_info.n_usable */
    int kv_type;           /* enum kv_type, or KV_TYPE_AUTO */
    bool no_prefix;        /* compute every prompt from its start */
};

struct sched_top {
    int32_t id;
    float logprob;
};

enum sched_kind {
    SCHED_STARTED, /* the prompt has been read: n_cached is known */
    SCHED_TOKEN,   /* one token; text may be empty (held back) or belong to earlier tokens too */
    SCHED_DONE,    /* the last: finish, the rest of the text. The job is gone after the callback */
    SCHED_FAILED,  /* the last: error. The job is gone after the callback */
};

struct sched_usage {
    size_t n_prompt, n_cached, n_generated;
    double queue_s, prefill_s, decode_s; /* waiting; until the first token; after it */
    double cpu_s;                        /* processor time of all threads: of each step the job's share by its tokens */
};

/* What a callback is told; everything in it is valid until the callback returns. */
struct sched_event {
    enum sched_kind kind;
    int32_t id;                    /* TOKEN */
    struct view text;              /* TOKEN, DONE: what became ready */
    float logprob;                 /* TOKEN, with n_top >= 0: under the model's plain logits */
    const struct sched_top *top;   /* [n_top] likeliest first */
    int32_t n_top;
    enum finish finish;            /* DONE */
    int i_stop;                    /* DONE with FINISH_STOP: which stop string */
    const struct sched_usage *usage; /* always */
    const slm_err *error;          /* FAILED */
};
/* On the engine thread: quick, and never blocking. */
typedef void (*sched_on_event)(void *user, const struct sched_event *event);

/* All is copied by sched_submit, but for the constraint. */
struct sched_request {
    const int32_t *prompt;         /* [n_prompt], at least 1 */
    size_t n_prompt;
    const struct sampler_params *sampling;
    int32_t n_max;                 /* tokens to generate; -1: until the context is full */
    const struct view *stops;      /* [n_stops] */
    size_t n_stops;
    bool ignore_eos, strip_first;  /* as generate_params */
    int32_t n_top;                 /* alternatives to tell with each token; -1: not even its own probability */
    struct constraint *constraint; /* what the text must be; NULL: anything. Not copied: the engine's alone until the last event */
    struct call_guard *guard;      /* tools that may be called; NULL: none are held to anything. Not with a constraint; lent like one */
    const struct lora_mix *lora;   /* how much of the model's adapters is added; NULL: the model's default */
    uint64_t client;               /* whose turn it is goes round by this */
    sched_on_event on_event;
    void *user;
};

struct sched_stats {
    int32_t n_waiting, n_running, n_page, n_page_free, n_page_idle; /* idle: remembered, could be freed */
    uint64_t n_steps, n_prompt_tokens, n_cached_tokens, n_generated, n_preempted, n_done, n_failed, n_cancelled, n_refused;
    double busy_s;
};

struct sched;

/* Errors: LIMIT (the plan does not fit the memory: message has both numbers), NOMEM, those of plan_make; UNSUPPORTED (an encoder). */
slm_status sched_create(struct slm_model *m, const struct sched_params *p, struct sched **out, slm_err *err);
/* sched_destroy -- jobs that are left end with FINISH_CANCELLED. */
void sched_destroy(struct sched *s);
int32_t sched_n_ctx(const struct sched *s); /* positions of one job */

/* sched_submit -- queue a job. Its id, never 0, is for sched_cancel.
 * Errors: LIMIT_PROMPT as SLM_E_LIMIT (prompt and context counts), SLM_E_BUSY (the queue is full: try again later), USAGE (sampling, ids), NOMEM.
 * on_event is not called on an error. */
slm_status sched_submit(struct sched *s, const struct sched_request *r, uint64_t *id, slm_err *err);
/* sched_cancel -- the job ends with FINISH_CANCELLED before its next step; an id that is gone is fine. */
void sched_cancel(struct sched *s, uint64_t id);
struct sched_stats sched_stats(struct sched *s);

/* sched_step -- one step; false: there was nothing to do. */
bool sched_step(struct sched *s);
/* sched_wake -- fn(user) is called whenever a job is queued or cancelled, by the thread that did it. */
void sched_wake(struct sched *s, void (*fn)(void *user), void *user);

#endif
