/* cmd_complete.c -- slm complete: the text of a gap. */
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/term.h"
#include "cli/working.h"
#include "task/complete.h"
#include "task/result.h"

struct complete_values {
    struct common_values common;
    struct working_values working;
    const char *before, *prefix, *suffix;
    int32_t shape, n_max;
    float show_min;
    bool json;
};

static slm_status read_text(const char *path, struct buf *out, struct view *v, slm_err *err) {
    slm_status st = path ? file_read(out, path, err) : SLM_OK;
    *v = (struct view){out->data ? out->data : "", out->len};
    return st;
}

static slm_status print(const struct complete_values *v, const struct working *w, const struct completion *c, struct view text, double ms, slm_err *err) {
    struct task_result r;
    if (!v->json) {
        out_text(text);
        if (text.len) out_puts("\n");
        return out_status(err);
    }
    result_init(&r, "complete");
    r.model = w->name;
    r.output = json_pack("{s:o}", "text", json_text(text));
    r.signals = c->signals;
    r.confidence = c->signals.v[SIGNAL_CONFIDENCE];
    r.abstained = c->suppressed;
    if (c->suppressed) result_reason(&r, "mean probability below --show-min");
    if (c->met_after) result_reason(&r, "ended where the text after begins");
    r.local_in = c->n_in;
    r.local_out = c->n_out;
    r.local_ms = ms;
    slm_status st = out_json(result_json(&r), err);
    result_fini(&r);
    return st;
}

static slm_status run_complete(const void *values, slm_err *err) {
    const struct complete_values *v = values;
    slm_status st = SLM_OK;
    struct working w = {0};
    struct buf before, after, text;
    struct view before_view, after_view;
    struct completion c;
    buf_init(&before, INPUT_BYTES_MAX);
    buf_init(&after, INPUT_BYTES_MAX);
    buf_init(&text, PROMPT_BYTES_MAX);
    if (!v->before && !v->prefix) FAIL(SLM_E_USAGE, SLM_NOWHERE, "text before the gap: none is given (--prefix FILE, or as an argument)");
    TRY(read_text(v->prefix, &before, &before_view, err));
    if (v->before) before_view = view_of(v->before);
    TRY(read_text(v->suffix, &after, &after_view, err));
    struct working_values plain = v->working;
    plain.raw = true; /* a gap is no turn */
    TRY(working_open(&plain, &w, err));
    interrupt_catch();
    double t0 = time_now_s();
    struct complete_params p = {.shape = (enum complete_shape)v->shape, .n_max = v->n_max, .show_min = (double)v->show_min};
    st = complete_run(w.worker, before_view, after_view, &p, &text, &c, err);
    interrupt_release();
    if (st == SLM_OK) st = print(v, &w, &c, (struct view){text.data ? text.data : "", text.len}, 1e3 * (time_now_s() - t0), err);
out:
    working_close(&w);
    buf_fini(&before);
    buf_fini(&after);
    buf_fini(&text);
    return st;
}

static const struct option complete_options[] = {
    WORKING_MODEL_ROW(struct complete_values),
    {.kind = OPT_FILE, .name = "prefix", .value = "FILE", .offset = offsetof(struct complete_values, prefix), .since = "0.1", .bars = "TEXT", .help = "the text before the gap; - is standard input"},
    {.kind = OPT_FILE, .name = "suffix", .value = "FILE", .offset = offsetof(struct complete_values, suffix), .since = "0.1",
     .help = "the text after it; the model's vocabulary must have tokens for filling gaps"},
    {.kind = OPT_CHOICE, .name = "until", .value = "END", .fallback = "free", .choices = "free|line|block", .offset = offsetof(struct complete_values, shape), .since = "0.1",
     .help = "where the gap's text ends: where the model ends it, with its line, or with its block (brackets, indentation); always where the text after begins"},
    {.kind = OPT_INT, .letter = 'n', .name = "predict", .value = "N", .fallback = "128", .min = 1, .max = 65536, .offset = offsetof(struct complete_values, n_max), .since = "0.1",
     .help = "tokens at most"},
    {.kind = OPT_FLOAT, .name = "show-min", .value = "P", .fallback = "0", .min = 0, .max = 1, .offset = offsetof(struct complete_values, show_min), .since = "0.1",
     .help = "print nothing where the tokens' mean probability (geometric) is lower"},
    OPTION_JSON(struct complete_values),
    OPTION_SECTION("engine"),
    {.kind = OPT_INT, .letter = 't', .name = "threads", .value = "N", .fallback = "0", .min = 0, .max = 256, .offset = offsetof(struct complete_values, working.threads), .since = "0.1",
     .help = "threads that compute; 0: the CPUs this process may use"},
    {.kind = OPT_INT, .letter = 'c', .name = "ctx", .value = "N", .fallback = "0", .min = 0, .max = 1 << 24, .offset = offsetof(struct complete_values, working.ctx), .since = "0.1",
     .help = "positions of the context; 0: what the model was made for, at most 8192"},
};
static const struct option complete_operands[] = {
    {.kind = OPT_TEXT, .name = "TEXT", .offset = offsetof(struct complete_values, before), .since = "0.1", .help = "the text before the gap, instead of --prefix"},
};
static const struct example complete_examples[] = {
    {"slm complete -m coder.gguf --prefix before.c --suffix after.c --until block", "the body that is missing between two files"},
    {"slm complete -m model.gguf --until line --show-min 0.5 \"int main(\"", "the rest of a line, or nothing where the model is not sure"},
};
const struct command command_complete = {
    .group = "narrow jobs",
    .summary = "fill a gap in a text",
    .description = "Prints the likeliest text between a text before and a text after it, in the order that the model was trained with (tokens from the file's metadata, or known names). It ends "
                   "where it would repeat the text after.",
    .table = {"complete", ROWS(complete_options), ROWS(complete_operands)},
    .values_bytes = sizeof(struct complete_values),
    .examples = complete_examples,
    .n_examples = sizeof complete_examples / sizeof complete_examples[0],
    .run = run_complete,
};
