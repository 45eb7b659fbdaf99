/* cmd_summarize.c -- slm summarize: a text in fewer words. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/input.h"
#include "cli/term.h"
#include "cli/working.h"
#include "task/bind.h"
#include "task/summarize.h"

struct summarize_values {
    struct common_values common;
    struct working_values working;
    struct jobs_values jobs;
    const char *whole;
    int32_t n_word, ground;
    bool extractive;
};

struct summarizing {
    const struct summarize_values *v;
    struct working w;
};

static slm_status summarize_one(void *user, const struct job *job, struct task_result *r, struct buf *plain, bool *right, slm_err *err) {
    const struct summarizing *z = user;
    const struct summarize_values *v = z->v;
    struct summary s;
    (void)right; /* no summary is the right one */
    struct summarize_params p = {.n_word = v->n_word, .system = v->working.system, .form = v->working.form, .ungrounded = v->ground == 1};
    slm_status st = v->extractive ? summarize_extract(job->text, v->n_word, plain, &s, err) : summarize_run(z->w.worker, job->text, &p, plain, &s, err);
    if (st != SLM_OK) return st;
    struct view text = {plain->data ? plain->data : "", plain->len};
    r->model = v->extractive ? "extractive" : z->w.name;
    r->signals = s.signals;
    if (isfinite(s.signals.v[SIGNAL_LOGPROB_MEAN])) r->confidence = exp(s.signals.v[SIGNAL_LOGPROB_MEAN]);
    r->local_in = s.n_in;
    r->local_out = s.n_out;
    r->abstained = text.len == 0;
    if (r->abstained) {
        r->tier = RESULT_NONE;
        result_reason(r, "no sentence that the text bears out");
    } else r->output = json_pack("{s:o}", "summary", json_text(text));
    r->more = json_pack("{s:I, s:I, s:I, s:I}", "windows", (json_int_t)s.n_window, "dropped", (json_int_t)s.n_dropped, "words", (json_int_t)s.n_word, "words_source", (json_int_t)s.n_word_source);
    return SLM_OK;
}

/* A file that is one text, as if it were given as an argument. */
static slm_status take_whole(struct summarize_values *v, struct buf *text, slm_err *err) {
    if (!v->whole) return SLM_OK;
    slm_status st = input_text(NULL, v->whole, text, err);
    if (st != SLM_OK) return st;
    if (text->len && memchr(text->data, 0, text->len)) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--text\": the file has zero bytes, so it is no text");
    v->jobs.texts.v[v->jobs.texts.n++] = text->data ? text->data : "";
    return SLM_OK;
}

static slm_status run_summarize(const void *values, slm_err *err) {
    struct summarize_values v = *(const struct summarize_values *)values;
    slm_status st = SLM_OK;
    struct summarizing z = {.v = &v};
    struct buf whole;
    if (v.working.show_prompt) return working_show(&v.working, "summarize", err);
    buf_init(&whole, INPUT_BYTES_MAX);
    if (!v.extractive && !v.working.model) {
        st = err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--model\": is missing");
        err_hint(err, "name a model with -m, or choose sentences without one by --extractive");
        goto out;
    }
    TRY(take_whole(&v, &whole, err));
    if (!v.extractive) TRY(working_open(&v.working, &z.w, err));
    TRY(jobs_run(&v.jobs, "summarize", NULL, summarize_one, &z, err));
out:
    working_close(&z.w);
    buf_fini(&whole);
    return st;
}

static const struct option summarize_options[] = {
    {.kind = OPT_FILE, .letter = 'm', .name = "model", .value = "MODEL", .flags = OPTION_NAMED, .offset = offsetof(struct summarize_values, working.model), .since = "0.1",
     .help = "the model: a GGUF file, a Hugging Face folder, or a name (slm list)"},
    {.kind = OPT_INT, .letter = 'w', .name = "words", .value = "N", .fallback = "100", .min = 5, .max = 5000, .offset = offsetof(struct summarize_values, n_word), .since = "0.1",
     .help = "words of the summary at most"},
    {.kind = OPT_FLAG, .name = "extractive", .offset = offsetof(struct summarize_values, extractive), .since = "0.1", .bars = "model|ground|prompt|system|raw|show-prompt|threads|ctx", .help = "whole sentences of the text, those that share most with the rest; needs no model"},
    {.kind = OPT_CHOICE, .name = "ground", .value = "HOW", .fallback = "strict", .choices = "strict|off", .offset = offsetof(struct summarize_values, ground), .since = "0.1",
     .help = "strict: a sentence with a number, a name or a quotation that the text does not have is dropped"},
    {.kind = OPT_FILE, .name = "text", .value = "FILE", .offset = offsetof(struct summarize_values, whole), .since = "0.1", .bars = "TEXT|file|jsonl", .help = "one text, the whole file"},
    JOBS_ROWS(struct summarize_values),
    WORKING_ROWS(struct summarize_values, "{text} and {words}"),
};
static const struct option summarize_operands[] = {JOBS_OPERANDS(struct summarize_values)};
static const struct example summarize_examples[] = {
    {"slm summarize -m model.gguf -w 60 --text report.txt", "windows that fit the context, then their summaries; nothing is left out"},
    {"slm summarize --extractive -w 50 --text report.txt", "the sentences that say most, without a model"},
};
const struct command command_summarize = {
    .group = "narrow jobs",
    .summary = "say a text in fewer words",
    .description = "A text that is longer than the context is summarized window by window, and the summaries again, until there is one. Every sentence is held against the text: numbers, names and "
                   "quotations must occur in it. --json tells how many windows there were and how many sentences were dropped.",
    .table = {"summarize", ROWS(summarize_options), ROWS(summarize_operands)},
    .values_bytes = sizeof(struct summarize_values),
    .examples = summarize_examples,
    .n_examples = sizeof summarize_examples / sizeof summarize_examples[0],
    .run = run_summarize,
};
