/* watch.h -- whether a certificate still speaks of what comes: two alarms over the requests of a job, in order.
 *
 *   shift   the scores of the last requests against those of the certificate's proof half (shares below its
 *           quantiles). Needs no right answers. One window raises it by chance with probability WATCH_SHIFT_ALPHA, about
 *   errors  kept answers whose right answer became known (an audited sample, feedback): a bet against "the mean loss is at most error_max".
 *           Money that grows to 1 / WATCH_ERROR_ALPHA refutes it, whenever one looks (Ville's inequality; Waudby-Smith and Ramdas 2024)
 *
 * An alarm stays until watch_init: whoever uses the certificate stops keeping by it. Plain state, no allocation; the caller's lock. */
#ifndef SLM_TASK_WATCH_H
#define SLM_TASK_WATCH_H

#include "task/cal.h"

#define WATCH_WINDOW 400
#define WATCH_N_LEAST 100       /* scores before the window says anything */
#define WATCH_SHIFT_ALPHA 0.001
#define WATCH_ERROR_ALPHA 0.05
#define WATCH_N_BET 6

enum watch_state { WATCH_CALM, WATCH_SHIFT, WATCH_ERRORS };
const char *watch_state_name(enum watch_state s); /* "calm", "shift", "errors" */

struct watch {
    const struct cal *cal;          /* borrowed */
    double score[WATCH_WINDOW];     /* ring */
    uint32_t n, at;
    uint32_t below[CAL_N_QUANTILE]; /* of the window: scores at most quantile i */
    double distance;                /* the largest of the window's shares from the certificate's; NaN while it says nothing */
    double wealth[WATCH_N_BET];
    uint64_t n_seen, n_audited, n_alarm; /* n_alarm: requests seen when the alarm came; 0: none */
    double loss_audited;
    enum watch_state state;
};
void watch_init(struct watch *w, const struct cal *cal);
/* watch_score -- a request's score (combine_score), kept or not. True: the alarm is up. */
bool watch_score(struct watch *w, double score);
/* watch_loss -- the loss of one kept answer, in [0, 1], chosen without regard to it. True: the alarm is up. */
bool watch_loss(struct watch *w, double loss);

#endif
