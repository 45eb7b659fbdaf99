/* progress.c -- bar, share, time left; rewritten in place with a carriage return. */
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/cpu.h"
#include "cli/term.h"

#define BAR 24
#define EVERY_S 0.1

void progress_begin(struct progress *p) { *p = (struct progress){.is_on = term_is_tty(STDERR_FILENO), .t0 = time_now_s()}; }

void progress_show(struct progress *p, double share, const char *note) {
    double now = time_now_s();
    if (!p->is_on || (now - p->t_shown < EVERY_S && share < 1)) return;
    p->t_shown = now;
    char bar[BAR + 1];
    for (int i = 0; i < BAR; i++) bar[i] = (double)i < share * BAR ? '#' : '.';
    bar[BAR] = 0;
    double left = share > 0.01 ? (now - p->t0) * (1 - share) / share : 0;
    int n_note = term_width(STDERR_FILENO) - BAR - 24;
    fprintf(stderr, "\r[%s] %3.0f %%  %5.0f s left  %.*s\033[K", bar, 100 * share, left, n_note > 0 ? n_note : 0, note);
    fflush(stderr);
}

void progress_end(struct progress *p) {
    if (p->is_on && p->t_shown > 0) fputs("\r\033[K", stderr);
    p->is_on = false;
}
