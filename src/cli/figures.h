/* figures.h -- figures for people; one that is not defined is "-". */
#ifndef SLM_CLI_FIGURES_H
#define SLM_CLI_FIGURES_H

#include "task/report.h"

struct figure_text {
    char s[32];
};
struct figure_text figure_text(double v, int n_digit);
/* figures_report -- the lines of a report; score: what ranks. */
void figures_report(const struct report *r, const char *score);

#endif
