/* cmd_fit.c -- slm fit: a head from rows with labels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/json.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/fitting.h"
#include "cli/rows.h"
#include "cli/term.h"

struct fit_values {
    struct common_values common;
    const char *model, *data, *out, *form;
    int32_t method, pooling, epochs, threads, ctx, held;
    struct option_seed seed;
    bool json;
};

static void print_plain(const struct fitted *f, const char *path, double seconds) {
    for (size_t i = 0; i < f->n_trial && f->head.n_held; i++)
        out_printf("%-10s %-6s %6.2f %% right of rows held out%s\n", head_kind_name(f->trials[i].kind), head_needs_model(f->trials[i].kind) ? pooling_name(f->trials[i].pooling) : "",
                   100 * f->trials[i].accuracy, f->trials[i].is_kept ? "  <- kept" : "");
    out_printf("%s: %s, %u labels, %llu rows (%llu held out), %.1f s\n", show_path(path).s, head_kind_name(f->head.kind), f->head.n_label, (unsigned long long)f->head.n_row,
               (unsigned long long)f->head.n_held, seconds);
}

/* Of rows held out; where none were, not known. */
static double held_accuracy(const struct fitted *f, double accuracy) { return f->head.n_held ? accuracy : (double)NAN; }

static slm_status print_json(const struct fitted *f, const char *path, double seconds, slm_err *err) {
    json_t *trials = json_array();
    for (size_t i = 0; i < f->n_trial; i++)
        json_array_append_new(trials, json_pack("{s:s, s:s, s:o}", "method", head_kind_name(f->trials[i].kind), "pooling",
                                                head_needs_model(f->trials[i].kind) ? pooling_name(f->trials[i].pooling) : "none", "accuracy", json_f64(held_accuracy(f, f->trials[i].accuracy))));
    return out_json(json_pack("{s:o, s:s, s:o, s:i, s:I, s:I, s:o, s:o}", "head", json_text(view_of(path)), "method", head_kind_name(f->head.kind), "accuracy", json_f64(held_accuracy(f, f->head.accuracy)),
                              "n_label", (int)f->head.n_label, "n_row", (json_int_t)f->head.n_row, "n_held", (json_int_t)f->head.n_held, "seconds", json_f64(seconds), "trials", trials),
                    err);
}

static slm_status run_fit(const void *values, slm_err *err) {
    const struct fit_values *v = values;
    slm_status st = SLM_OK;
    struct slm_model *model = NULL;
    struct worker *worker = NULL;
    struct fit_rows rows = {0};
    struct fitted fitted = {0};
    double t0 = time_now_s();
    interrupt_catch();
    TRY(fit_rows_read(v->data, &rows, err));
    if (v->model) {
        TRY(model_open(v->model, 0, &model, err));
        TRY(worker_create(model, &(struct worker_params){.n_ctx = v->ctx, .n_threads = v->threads, .cancel = &interrupt_flag}, &worker, err));
    }
    struct fit_wish wish = {.method = v->method, .pooling = v->pooling, .form = v->form, .n_epoch = (uint32_t)v->epochs, .seed = v->seed.value, .held_share = (float)v->held / 100,
                            .show = true};
    TRY(fit_best(worker, &rows, &wish, &fitted, err));
    TRY(head_write(&fitted.head, v->out, err));
    if (v->json) TRY(print_json(&fitted, v->out, time_now_s() - t0, err));
    else print_plain(&fitted, v->out, time_now_s() - t0);
out:
    interrupt_release();
    fitted_fini(&fitted);
    fit_rows_fini(&rows);
    worker_destroy(worker);
    model_close(model);
    return st;
}

static const struct option fit_options[] = {
    OPTION_MODEL_THAT_IS(struct fit_values, 0),
    {.kind = OPT_FILE, .letter = 'd', .name = "data", .value = "FILE", .flags = OPTION_REQUIRED, .offset = offsetof(struct fit_values, data), .since = "0.1",
     .help = "rows with \"text\" and \"label\": JSON lines, or CSV with a header"},
    {.kind = OPT_FILE, .letter = 'o', .name = "output", .value = "HEAD.slmh", .flags = OPTION_REQUIRED | OPTION_WRITTEN, .offset = offsetof(struct fit_values, out), .since = "0.1",
     .help = "the head file"},
    {.kind = OPT_CHOICE, .name = "method", .value = "KIND", .fallback = "auto", .choices = FIT_METHODS, .offset = offsetof(struct fit_values, method), .since = "0.1",
     .help = "ngram: pieces of words, no model; centroid: nearest mean of a model's states; linear: regression on them; auto: what is best on rows held out"},
    {.kind = OPT_CHOICE, .name = "pooling", .value = "KIND", .fallback = "auto", .choices = "auto|last|mean", .offset = offsetof(struct fit_values, pooling), .since = "0.1",
     .needs = "model", .bars = "method=ngram", .help = "which states stand for a text: the last token's, or the mean; auto: the better one"},
    {.kind = OPT_TEXT, .name = "prompt", .value = "TEXT", .offset = offsetof(struct fit_values, form), .since = "0.1",
     .needs = "model", .bars = "method=ngram", .help = "what the model reads; {text} stands for the text (default: {text} alone)"},
    {.kind = OPT_INT, .name = "held", .value = "PERCENT", .fallback = "0", .min = 0, .max = 50, .offset = offsetof(struct fit_values, held), .since = "0.1",
     .help = "rows held out for choosing and for the temperature, in percent; the head that is kept is then fitted on all. 0: 10, of few rows up to 50"},
    {.kind = OPT_INT, .name = "epochs", .value = "N", .fallback = "0", .min = 0, .max = 1000, .offset = offsetof(struct fit_values, epochs), .since = "0.1",
     .bars = "method=centroid", .help = "passes over the rows; 0: by their number"},
    {.kind = OPT_SEED, .letter = 's', .name = "seed", .value = "N", .fallback = "1", .max = 9007199254740991.0, .offset = offsetof(struct fit_values, seed), .since = "0.1",
     .help = "of the order of rows and of what is held out"},
    OPTION_JSON(struct fit_values),
    OPTION_SECTION("engine"),
    OPTION_THREADS_WITH(struct fit_values, "model"),
    OPTION_CTX_WITH(struct fit_values, "model"),
};
static const struct example fit_examples[] = {
    {"slm fit -d intents.jsonl -o intents.slmh", "without a model: seconds, and often hard to beat"},
    {"slm fit -m model.gguf -d intents.jsonl -o intents.slmh", "the best of all kinds on rows held out"},
};
const struct command command_fit = {
    .group = "narrow jobs",
    .summary = "fit a classifier to rows with labels",
    .description = "Fits a head: a small classifier over pieces of words, or over a model's states, in seconds. slm classify --head uses it. The file is bound to the model "
                   "that it was fitted on. The accuracy that is printed is that of rows which were held out.",
    .table = {"fit", ROWS(fit_options), NULL, 0},
    .values_bytes = sizeof(struct fit_values),
    .examples = fit_examples,
    .n_examples = sizeof fit_examples / sizeof fit_examples[0],
    .run = run_fit,
};
