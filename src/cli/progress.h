/* progress.h -- one line on standard error that says how far a long work is; only on a terminal. */
#ifndef SLM_CLI_PROGRESS_H
#define SLM_CLI_PROGRESS_H

#include "base/status.h"

struct progress {
    bool is_on;      /* standard error is a terminal */
    double t0, t_shown;
};
void progress_begin(struct progress *p);
/* progress_show -- share in [0, 1]; note: what is under way, fit for a terminal. Drawn ten times a second at most. */
void progress_show(struct progress *p, double share, const char *note);
void progress_end(struct progress *p); /* the line is taken away */

#endif
