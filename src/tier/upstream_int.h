/* upstream_int.h -- an upstream while the server runs, and one attempt at it. */
#ifndef SLM_TIER_UPSTREAM_INT_H
#define SLM_TIER_UPSTREAM_INT_H

#include <curl/curl.h>
#include <pthread.h>

#include "tier/breaker.h"
#include "tier/silence.h"
#include "tier/sse.h"
#include "tier/upstream.h"

/* A client handle with its warm connection. */
struct line {
    CURLM *multi;
    CURL *easy;
    struct line *next;
};
struct upstream {
    const struct upstream_settings *s;
    const struct wire *wire;
    pthread_mutex_t lock; /* of all below */
    struct breaker breaker;
    struct line *idle;
    int n_idle;
    struct upstream_stats stats;
    struct silences silences[2]; /* before whole answers, and before streams */
    double first_byte_sum_s;
    uint64_t n_answered;
};
struct upstreams {
    const struct tier_settings *s;
    struct ledger *ledger;
    size_t n;
    struct upstream v[UPSTREAMS_MAX];
};

/* attempt.c: one attempt. */
struct trial {
    struct frontier_call *c;
    struct upstream *u;
    char id[40];           /* sent as x-request-id */
    struct line *line;
    struct wire_in in;
    struct sse sse;
    struct buf body;
    struct view left; /* of the request, to be sent; ptr NULL: it was not begun */
    long status;
    bool is_events, is_json_bad, is_gone, is_late;
    double t_begin, t_last, t_first; /* t_first 0: no byte yet */
    double retry_after_s;
    char why[200];         /* what went wrong; empty: nothing */
};
/* trial_run -- sends body and reads; true when the answer is whole. */
bool trial_run(struct trial *t, const char *body);
void line_close(struct line *l);
#endif
