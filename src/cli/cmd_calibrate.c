/* cmd_calibrate.c -- slm calibrate: what may be promised about answers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/show.h"
#include "cli/answers.h"
#include "cli/figures.h"
#include "cli/commands.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "task/report.h"

struct calibrate_values {
    struct common_values common;
    const char *answers, *replay, *out;
    float target, confidence, guide;
    struct option_seed seed;
    bool json;
};

/* ---- replay ---- */

static json_t *line_json(const struct replay_line *l) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "cpt50", json_f64(l->cpt50), "cpt80", json_f64(l->cpt80), "cpt95", json_f64(l->cpt95), "apgr", json_f64(l->apgr), "share95",
                     json_f64(l->share95), "aiq", json_f64(l->aiq));
}

static void print_line(const char *name, const struct replay_line *l) {
    const double figures[] = {l->cpt50, l->cpt80, l->cpt95, l->apgr, l->aiq, l->share95};
    out_printf("%-8s", name);
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) out_printf(" %*s", i < 3 ? 7 : i < 5 ? 8 : 9, figure_text(figures[i], 4).s);
    out_puts("\n");
}

static slm_status run_replay(const struct calibrate_values *v, slm_err *err) {
    struct replay_row *rows = NULL;
    struct replay_result r;
    size_t n = 0;
    slm_status st = SLM_OK;
    TRY(replay_read(v->replay, &rows, &n, err));
    TRY(replay_run(rows, n, &r, err));
    if (v->json) {
        json_t *o = json_pack("{s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:o, s:o}", "n", (json_int_t)r.n, "local", json_f64(r.local), "frontier", json_f64(r.frontier), "n_both", (json_int_t)r.n_both, "n_local_only",
                              (json_int_t)r.n_local_only, "n_frontier_only", (json_int_t)r.n_frontier_only, "n_neither", (json_int_t)r.n_neither, "random", line_json(&r.random), "oracle",
                              line_json(&r.oracle));
        if (o && r.has_score) json_object_set_new(o, "scored", line_json(&r.scored));
        st = out_json(o, err);
        goto out;
    }
    out_printf("%llu rows: local right %.4f, frontier right %.4f; both %llu, local only %llu, frontier only %llu, neither %llu\n\n", (unsigned long long)r.n, r.local, r.frontier,
               (unsigned long long)r.n_both, (unsigned long long)r.n_local_only, (unsigned long long)r.n_frontier_only, (unsigned long long)r.n_neither);
    out_printf("%-8s %7s %7s %7s %8s %8s %9s   (shares sent up)\n", "", "CPT50", "CPT80", "CPT95", "APGR", "AIQ", "95 % of");
    print_line("random", &r.random);
    print_line("oracle", &r.oracle);
    if (r.has_score) print_line("score", &r.scored);
out:
    free(rows);
    return st;
}

/* ---- calibrate ---- */

static void print_cal(const struct cal *c, const struct report *proof, const char *out) {
    const struct calib_result *r = &c->result;
    out_printf("%-22s %llu rows to fit and order, %llu to prove\n", "answers", (unsigned long long)r->n_guide, (unsigned long long)r->n_proof);
    out_printf("%-22s", "signals");
    for (size_t i = 0; i < c->combiner.n; i++) out_printf(" %s %+.2f", signal_name(c->combiner.which[i]), c->combiner.weight[i]);
    out_printf("\n");
    figures_report(proof, "the score");
    if (r->certified)
        out_printf("%-22s of what is kept at most %.2f %% is wrong, with confidence %.0f %% (asked for: %.2f %%)\n", "certified", 100 * r->bound, 100 * c->goal.confidence, 100 * c->goal.error_max);
    else if (r->hopeless) out_printf("%-22s no threshold has fewer than %.2f %% wrong: more rows would not help, a better model would\n", "cannot certify", 100 * c->goal.error_max);
    else out_printf("%-22s about %llu more rows with labels are needed\n", "cannot certify", (unsigned long long)r->n_missing);
    if (out) out_printf("%-22s %s (%s)\n", "written", show_path(out).s, c->id);
}

/* Without a certificate there is no bound and no threshold, and of what is hopeless no number of rows that would help. */
static json_t *made_json(const struct cal *c, const struct report *proof) {
    const struct calib_result *r = &c->result;
    return json_pack("{s:s, s:b, s:o, s:o, s:o, s:b, s:o}", "id", c->id, "certified", r->certified, "bound", r->certified ? json_f64(r->bound) : json_null(), "threshold", json_f64(r->threshold),
                     "n_missing", r->hopeless ? json_null() : json_integer((json_int_t)r->n_missing), "hopeless", r->hopeless, "proof", report_json(proof));
}

/* The rows that prove; what is printed must not be about those that the weights were fitted on. */
static size_t proof_rows(const struct answers *a, uint64_t seed, double share, struct cal_row *out) {
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        if (!calib_in_guide(i, seed, share)) out[n++] = a->rows[i];
    return n;
}

static slm_status run_calibrate(const void *values, slm_err *err) {
    const struct calibrate_values *v = values;
    slm_status st = SLM_OK;
    struct answers a = {0};
    struct cal cal;
    struct report report;
    void *proof = NULL;
    if (!v->replay && !v->answers) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "answers: none are given");
        err_hint(err, "slm classify ... -f labelled.jsonl -o answers.jsonl, then slm calibrate answers.jsonl -o job.cal");
        return SLM_E_USAGE;
    }
    if (v->replay) return run_replay(v, err);
    TRY(answers_read(v->answers, &a, err));
    struct cal_params p = {.goal = {round(1e6 * (1 - (double)v->target)) * 1e-6, round(1e6 * (double)v->confidence) * 1e-6}, .guide_share = (double)v->guide / 100, .seed = v->seed.value};
    TRY(cal_make(a.rows, a.n, &p, &cal, err));
    cal_name(&cal, a.task, a.bound);
    TRY(mem_alloc(&proof, a.n, sizeof(struct cal_row), "report", err));
    TRY(report_make(&cal, proof, proof_rows(&a, p.seed, cal.guide_share, proof), &report, err));
    if (v->out && !a.has_bound) FAIL(SLM_E_USAGE, SLM_NOWHERE, "\"%s\": answers do not say what they were made with, so no certificate can be bound to it", show_path(v->answers).s);
    if (v->out) TRY(cal_write(&cal, v->out, err));
    if (!v->json) print_cal(&cal, &report, v->out);
    else TRY(out_json(made_json(&cal, &report), err));
    if (!cal.result.certified) {
        st = err_set(err, SLM_E_FAILED, SLM_NOWHERE, "cannot certify that at most %.2f %% of what is kept is wrong", 100 * cal.goal.error_max);
        if (cal.result.n_missing) err_hint(err, "about %llu more rows with labels, or a lower --target", (unsigned long long)cal.result.n_missing);
        else err_hint(err, "a lower --target, or a better model");
    }
out:
    free(proof);
    answers_fini(&a);
    return st;
}

static const struct option calibrate_options[] = {
    {.kind = OPT_FLOAT, .name = "target", .value = "SHARE", .fallback = "0.98", .min = 0.5, .max = 0.9999, .offset = offsetof(struct calibrate_values, target), .since = "0.1",
     .help = "share of what is kept that must be right"},
    {.kind = OPT_FLOAT, .name = "confidence", .value = "P", .fallback = "0.95", .min = 0.6, .max = 0.9999, .offset = offsetof(struct calibrate_values, confidence), .since = "0.1",
     .help = "how sure the promise is"},
    {.kind = OPT_FILE, .letter = 'o', .name = "output", .value = "FILE.cal", .flags = OPTION_WRITTEN, .offset = offsetof(struct calibrate_values, out), .since = "0.1", .help = "the certificate, for --cal of the job"},
    {.kind = OPT_FLOAT, .name = "guide", .value = "PERCENT", .fallback = "0", .min = 0, .max = 90, .offset = offsetof(struct calibrate_values, guide), .since = "0.1",
     .help = "rows that fit weights and order thresholds, in percent; the rest proves. 0: 50, or 20 where answers have one signal"},
    {.kind = OPT_FILE, .name = "replay", .value = "FILE", .offset = offsetof(struct calibrate_values, replay), .since = "0.1",
     .bars = "ANSWERS.jsonl|target|confidence|output|guide|seed", .help = "recorded outcomes of two tiers instead: rows of local_ok, frontier_ok, and perhaps score, cost_local, cost_frontier"},
    {.kind = OPT_SEED, .letter = 's', .name = "seed", .value = "N", .fallback = "1", .max = 9007199254740991.0, .offset = offsetof(struct calibrate_values, seed), .since = "0.1",
     .help = "which rows are in which half"},
    OPTION_JSON(struct calibrate_values),
};
static const struct option calibrate_operands[] = {
    {.kind = OPT_FILE, .name = "ANSWERS.jsonl", .offset = offsetof(struct calibrate_values, answers), .since = "0.1", .help = "answers of a job over rows with labels (its -o)"},
};
static const struct example calibrate_examples[] = {
    {"slm calibrate answers.jsonl --target 0.98 -o intents.cal", "the least sure answers that may be kept, with a bound on their errors"},
    {"slm calibrate --replay outcomes.jsonl", "what routing would have given: CPT, APGR, AIQ, oracle and random"},
};
const struct command command_calibrate = {
    .group = "narrow jobs",
    .summary = "find which answers may be kept, and promise it",
    .description = "Reads answers with verdicts and finds the largest share that can be kept so that their errors stay below a target, with a bound that holds for finite samples: thresholds "
                   "are tried from sure to unsure on rows that nothing was fitted to, by exact binomial tests in a fixed order. Where nothing can be promised it says how many rows are missing, "
                   "and ends with exit code 1.\n\n"
                   "The promise is for requests like the rows. The certificate is bound to model, vocabulary, prompt, labels and limits.",
    .table = {"calibrate", ROWS(calibrate_options), ROWS(calibrate_operands)},
    .values_bytes = sizeof(struct calibrate_values),
    .examples = calibrate_examples,
    .n_examples = sizeof calibrate_examples / sizeof calibrate_examples[0],
    .run = run_calibrate,
};
