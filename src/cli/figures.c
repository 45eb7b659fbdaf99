/* figures.c -- what slm calibrate and slm report print alike. */
#include "cli/figures.h"

#include <math.h>
#include <stdio.h>

#include "cli/term.h"

struct figure_text figure_text(double v, int n_digit) {
    struct figure_text t;
    if (isfinite(v)) snprintf(t.s, sizeof t.s, "%.*f", n_digit, v);
    else snprintf(t.s, sizeof t.s, "-");
    return t;
}

static void put_share(const char *title, const struct estimate *e, const char *more) {
    out_printf("%-22s %6s %%  (95 %%: %.2f to %.2f)%s\n", title, figure_text(100 * e->value, 2).s, 100 * e->low, 100 * e->high, more);
}

void figures_report(const struct report *r, const char *score) {
    const struct calib_quality *q = &r->quality;
    char counts[64];
    snprintf(counts, sizeof counts, "  %llu of %llu", (unsigned long long)r->n_kept_wrong, (unsigned long long)r->n_kept);
    put_share("right, of all answers", &r->accuracy, "");
    put_share("kept", &r->share, "");
    put_share("wrong, of those kept", &r->error, counts);
    out_printf("%-22s AUROC %s, AURC %.4f, ECE %.4f, Brier %.4f\n", score, figure_text(q->auroc, 4).s, q->aurc, q->ece, q->brier);
}
