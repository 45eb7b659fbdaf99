/* cmd_report.c -- slm report: what came of answers, and whether their certificate still speaks of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/show.h"
#include "cli/answers.h"
#include "cli/figures.h"
#include "cli/commands.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "task/report.h"
#include "task/watch.h"

struct report_values {
    struct common_values common;
    const char *answers, *cal;
    float audit;
    struct option_seed seed;
    bool json;
};

/* The answers in their order through both alarms; a share of what is kept is audited. */
static void watch_all(struct watch *w, const struct cal *cal, const struct answers *a, double audit, uint64_t seed) {
    double p;
    watch_init(w, cal);
    for (size_t i = 0; i < a->n; i++) {
        watch_score(w, combine_score(&cal->combiner, &a->rows[i].signals));
        if (cal_judge(cal, &a->rows[i].signals, &p) && calib_in_guide(i, seed, audit)) watch_loss(w, a->rows[i].ok ? 0 : 1);
    }
}

static slm_status print_json(const struct report *r, const struct cal *cal, const struct watch *w, slm_err *err) {
    json_t *o = report_json(r);
    if (o && cal)
        json_object_set_new(o, "calibration", json_pack("{s:s, s:o, s:b, s:s, s:o, s:o, s:I, s:o}", "id", cal->id, "target", json_f64(1 - cal->goal.error_max), "certified", cal->result.certified, "watch",
                                                        watch_state_name(w->state), "alarm_at", w->n_alarm ? json_integer((json_int_t)w->n_alarm) : json_null(), "distance", json_f64(w->distance), "n_audited", (json_int_t)w->n_audited, "loss_audited",
                                                        json_f64(w->loss_audited)));
    return out_json(o, err);
}

static void print_plain(const struct report *r, const struct cal *cal, const struct watch *w) {
    out_printf("%-22s %llu with a verdict\n", "answers", (unsigned long long)r->n);
    figures_report(r, "P(correct)");
    if (!cal) return;
    out_printf("%-22s %s, at most %.2f %% wrong promised\n", cal->result.certified ? "certificate" : "promises nothing", cal->id, 100 * cal->goal.error_max);
    out_printf("%-22s %llu of those kept looked at, %.0f wrong\n", "audited", (unsigned long long)w->n_audited, w->loss_audited);
    if (w->state == WATCH_CALM) out_printf("%-22s none: scores are like those that it was made of (distance %s)\n", "alarm", figure_text(w->distance, 3).s);
    else if (w->state == WATCH_SHIFT) out_printf("%-22s at request %llu: scores are not like those that it was made of, so its promise is not about them\n", "alarm", (unsigned long long)w->n_alarm);
    else out_printf("%-22s at request %llu: more errors among what is kept than it promises\n", "alarm", (unsigned long long)w->n_alarm);
}

static slm_status run_report(const void *values, slm_err *err) {
    const struct report_values *v = values;
    slm_status st = SLM_OK;
    struct answers a = {0};
    struct cal cal;
    struct report r;
    struct watch w = {0};
    const struct cal *used = NULL;
    TRY(answers_read(v->answers, &a, err));
    if (v->cal) {
        TRY(cal_open(v->cal, &cal, err));
        TRY(cal_check(&cal, a.task, a.bound, err));
        used = &cal;
        watch_all(&w, used, &a, (double)v->audit / 100, v->seed.value);
    }
    TRY(report_make(used, a.rows, a.n, &r, err));
    if (v->json) TRY(print_json(&r, used, &w, err));
    else print_plain(&r, used, &w);
    st = out_status(err);
out:
    answers_fini(&a);
    return st;
}

static const struct option report_options[] = {
    {.kind = OPT_FILE, .name = "cal", .value = "FILE.cal", .offset = offsetof(struct report_values, cal), .since = "0.1", .help = "keep as this certificate would, and ask whether it still speaks of these answers"},
    {.kind = OPT_FLOAT, .name = "audit", .value = "PERCENT", .fallback = "100", .min = 0, .max = 100, .offset = offsetof(struct report_values, audit), .since = "0.1",
     .needs = "cal", .help = "of the kept answers, how many the alarm may look at, in percent, drawn at random"},
    {.kind = OPT_SEED, .letter = 's', .name = "seed", .value = "N", .fallback = "1", .max = 9007199254740991.0, .offset = offsetof(struct report_values, seed), .since = "0.1", .needs = "cal", .help = "which ones"},
    OPTION_JSON(struct report_values),
};
static const struct option report_operands[] = {
    {.kind = OPT_FILE, .name = "ANSWERS.jsonl", .flags = OPTION_REQUIRED, .offset = offsetof(struct report_values, answers), .since = "0.1", .help = "answers of a job over rows with labels (its -o), in the order they came"},
};
static const struct example report_examples[] = {
    {"slm report answers.jsonl", "how good the answers are, and how well their confidence tells"},
    {"slm report today.jsonl --cal intents.cal", "what would have been kept, how wrong that was, and whether the alarm is up"},
};
const struct command command_report = {
    .group = "narrow jobs",
    .summary = "say what came of answers",
    .description = "Counts answers with verdicts: right, kept, wrong among those kept, each with its interval. With a certificate the answers go through its two alarms in their order: one looks at the "
                   "scores and needs no verdicts, the other at the errors among what is kept, and may be asked at any time.",
    .table = {"report", ROWS(report_options), ROWS(report_operands)},
    .values_bytes = sizeof(struct report_values),
    .examples = report_examples,
    .n_examples = sizeof report_examples / sizeof report_examples[0],
    .run = run_report,
};
