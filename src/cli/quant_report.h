/* quant_report.h -- what slm quantize --report writes beside the model. */
#ifndef SLM_CLI_QUANT_REPORT_H
#define SLM_CLI_QUANT_REPORT_H

#include "engine/quantize.h"

/* The figures of a report. */
struct quant_report {
    const char *model, *text;     /* file name; where the probe's tokens are from */
    const char *budget;           /* NULL: none */
    struct quant_score score;
};

/* quant_report_notes -- the same as metadata; returns how many were written. */
#define QUANT_NOTES_MAX 12
size_t quant_report_notes(const struct quant_report *r, const struct quant_plan *plan, struct quant_note *notes);
/* quant_report_write -- OUT.md and OUT.svg, whole or not at all. */
slm_status quant_report_write(const struct quant_report *r, const struct quant_plan *plan, const char *out, slm_err *err);

#endif
