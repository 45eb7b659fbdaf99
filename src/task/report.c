/* report.c -- counting. */
#include "task/report.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"

json_t *report_json(const struct report *r) {
    const struct calib_quality *q = &r->quality;
    return json_pack("{s:I, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o}", "n", (json_int_t)r->n, "accuracy", json_estimate(&r->accuracy), "share_kept", json_estimate(&r->share), "error_kept",
                     json_estimate(&r->error), "n_kept", (json_int_t)r->n_kept, "n_kept_wrong", (json_int_t)r->n_kept_wrong, "auroc", json_f64(q->auroc), "aurc", json_f64(q->aurc), "ece",
                     json_f64(q->ece), "brier", json_f64(q->brier));
}

slm_status report_make(const struct cal *cal, const struct cal_row *rows, size_t n, struct report *out, slm_err *err) {
    void *mem = NULL;
    *out = (struct report){.n = n};
    if (n == 0) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "report: no row with a verdict");
    slm_status st = mem_alloc(&mem, n, sizeof(struct calib_row), "report", err);
    if (st != SLM_OK) return st;
    struct calib_row *v = mem;
    for (size_t i = 0; i < n; i++) {
        double p = rows[i].signals.v[SIGNAL_CONFIDENCE];
        bool keep = cal ? cal_judge(cal, &rows[i].signals, &p) : signals_any(&rows[i].signals);
        v[i] = (struct calib_row){isfinite(p) ? p : 0, rows[i].ok ? 0 : 1};
        out->n_right += rows[i].ok ? 1 : 0;
        out->n_kept += keep ? 1 : 0;
        out->n_kept_wrong += keep && !rows[i].ok ? 1 : 0;
    }
    out->accuracy = stats_wilson(out->n_right, n);
    out->share = stats_wilson(out->n_kept, n);
    out->error = stats_clopper(out->n_kept_wrong, out->n_kept);
    st = calib_quality(v, n, &out->quality, err);
    free(mem);
    return st;
}
