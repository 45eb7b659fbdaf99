/* answers.h -- files of answers with verdicts, as jobs write them; recorded outcomes of two tiers. */
#ifndef SLM_CLI_ANSWERS_H
#define SLM_CLI_ANSWERS_H

#include "task/cal.h"
#include "task/replay.h"

struct answers {
    struct cal_row *rows; /* [n], those with a verdict */
    size_t n, cap;
    uint64_t n_without;   /* rows that have none */
    char task[32];
    bool has_bound;
    struct bound_to bound;
};
/* answers_read -- lines of envelopes. Errors: IO; FORMAT (FILE:LINE); USAGE (of several jobs or models; answers that were given up already). */
slm_status answers_read(const char *path, struct answers *out, slm_err *err);
void answers_fini(struct answers *a);

/* replay_read -- lines of {"local_ok", "frontier_ok", "score"?, "cost_local"?, "cost_frontier"?}; ok: true, false, or a number from 0 to 1. */
slm_status replay_read(const char *path, struct replay_row **out, size_t *n, slm_err *err);

#endif
