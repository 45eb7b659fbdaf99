/* cmd_classify.c -- slm classify: a label for each text. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/fitting.h"
#include "cli/jobs.h"
#include "cli/named.h"
#include "cli/term.h"
#include "task/bind.h"
#include "task/classify.h"

#define LABELS_BYTES_MAX (4u << 20)

struct classify_values {
    struct common_values common;
    struct jobs_values jobs;
    const char *model, *labels, *head, *examples, *system, *form, *answer;
    int32_t method, top, threads, ctx;
    float abstain, novel;
    bool no_prior, raw, show_prompt;
};

/* Labels as given: names, and what the model would write for them where that is another text. */
struct label_list {
    struct buf text;
    const char **names, **wordings;
    size_t n;
};

static void list_fini(struct label_list *l) {
    buf_fini(&l->text);
    free((void *)l->names);
    free((void *)l->wordings);
}

/* One of the parts of the list's text, which is cut in place: "name" or "name<TAB>wording". */
static slm_status list_add(struct label_list *l, char *part, slm_err *err) {
    while (*part == ' ') part++;
    for (size_t n = strlen(part); n && (part[n - 1] == ' ' || part[n - 1] == '\r'); n--) part[n - 1] = 0;
    if (!*part) return SLM_OK;
    if (l->n == SOFTMAX_N_LABEL_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "labels: more than %u", SOFTMAX_N_LABEL_MAX);
    char *tab = strchr(part, '\t');
    if (tab) *tab = 0;
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->names[i], part) == 0) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "label \"%s\": is given twice", show_cstr(part).s);
    l->names[l->n] = part;
    l->wordings[l->n++] = tab && tab[1] ? tab + 1 : NULL;
    return SLM_OK;
}

/* A file of labels, one a line, or the labels themselves between commas. */
static slm_status list_read(const char *source, struct label_list *l, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    buf_init(&l->text, LABELS_BYTES_MAX);
    bool is_list = strchr(source, ',') != NULL;
    if (is_list) buf_puts(&l->text, source);
    else TRY(file_read(&l->text, source, err));
    TRY(buf_status(&l->text, "labels", err));
    TRY(mem_alloc(&mem, SOFTMAX_N_LABEL_MAX, sizeof *l->names, "labels", err));
    l->names = mem;
    TRY(mem_alloc(&mem, SOFTMAX_N_LABEL_MAX, sizeof *l->wordings, "labels", err));
    l->wordings = mem;
    for (char *part = l->text.data, *end; part && *part; part = end) {
        end = part + strcspn(part, is_list ? "," : "\n");
        if (*end) *end++ = 0;
        TRY(list_add(l, part, err));
    }
out:
    return st;
}

struct classifying {
    const struct classify_values *v;
    struct classifier *classifier;
    const char *model;
};

static json_t *top_json(const struct classifier *c, const float *probs, size_t n_top) {
    size_t n = classifier_n_label(c);
    json_t *list = json_array();
    bool *used = calloc(n, sizeof *used);
    for (size_t k = 0; used && k < n_top && k < n; k++) {
        size_t best = n;
        for (size_t i = 0; i < n; i++)
            if (!used[i] && (best == n || probs[i] > probs[best])) best = i;
        used[best] = true;
        json_array_append_new(list, json_pack("{s:o, s:o}", "label", json_text(view_of(classifier_label(c, best))), "p", json_f64((double)probs[best])));
    }
    free(used);
    return list;
}

static slm_status classify_one(void *user, const struct job *job, struct task_result *r, struct buf *plain, bool *right, slm_err *err) {
    const struct classifying *c = user;
    struct classification x;
    slm_status st = classifier_run(c->classifier, job->text, &x, err);
    if (st != SLM_OK) return st;
    const char *label = classifier_label(c->classifier, x.label);
    r->model = c->model;
    r->signals = x.signals;
    r->confidence = x.signals.v[SIGNAL_CONFIDENCE];
    r->local_in = x.n_token;
    r->more = json_pack("{s:o}", "top", top_json(c->classifier, x.probs, (size_t)c->v->top));
    bool unsure = r->confidence < (double)c->v->abstain, novel = c->v->novel > 0 && x.signals.v[SIGNAL_NOVELTY] > (double)c->v->novel;
    r->abstained = unsure || novel;
    if (unsure) result_reason(r, "confidence below --abstain");
    if (novel) result_reason(r, "novelty above --novel");
    if (r->abstained) r->tier = RESULT_NONE;
    else r->output = json_pack("{s:o}", "label", json_text(view_of(label)));
    *right = job->label && !r->abstained && strcmp(job->label, label) == 0;
    buf_printf(plain, "%s\t%.4f", r->abstained ? "-" : label, r->confidence);
    return SLM_OK;
}

static slm_status check_head(const struct classify_values *v, const struct head *h, slm_err *err) {
    if (v->novel > 0 && h->kind == HEAD_LINEAR) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--novel\": a head of kind \"%s\" does not tell what is like nothing seen", head_kind_name(h->kind));
    return SLM_OK;
}

static slm_status fit_head(const struct classify_values *v, struct worker *w, struct fitted *own, slm_err *err) {
    if (v->form && !w) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--prompt\": no model reads it; give one with -m");
    struct fit_rows rows;
    slm_status st = fit_rows_read(v->examples, &rows, err);
    if (st != SLM_OK) return st;
    st = fit_best(w, &rows, &(struct fit_wish){.method = v->method, .form = v->form, .seed = 1, .show = true}, own, err);
    fit_rows_fini(&rows);
    return st;
}

/* A head that needs no model takes none: whoever fits with a model need not know which kind was best. */
static slm_status open_model(const struct classify_values *v, const struct head *h, struct slm_model **model, struct worker **worker, slm_err *err) {
    if (!v->model) return SLM_OK;
    if (h->n_label && !head_needs_model(h->kind)) {
        say_note("\"%s\" is a head of kind \"%s\": the model is not needed, and not opened", show_path(v->head).s, head_kind_name(h->kind));
        return SLM_OK;
    }
    slm_status st = model_open(v->model, 0, model, err);
    if (st == SLM_OK && v->labels && !v->raw) named_lend_template(v->model, *model);
    return st == SLM_OK ? worker_create(*model, &(struct worker_params){.n_ctx = v->ctx, .n_threads = v->threads, .raw = v->raw, .cancel = &interrupt_flag}, worker, err) : st;
}

static void show_prompt(const struct classify_values *v) {
    size_t n;
    const struct prompt_row *rows = prompt_rows(&n);
    for (size_t i = 0; i < n; i++)
        if (strncmp(rows[i].name, "classify", 8) == 0)
            out_printf("[%s]\n%s%s%s%s%s\n", rows[i].name, v->system ? v->system : "", v->system ? "\n\n" : "", v->form ? v->form : rows[i].form,
                       "\n-- without a chat template followed by:", rows[i].opening);
    out_printf("[answer]\n%s\n", v->answer ? v->answer : "{label}");
}

static slm_status run_classify(const void *values, slm_err *err) {
    const struct classify_values *v = values;
    slm_status st = SLM_OK;
    struct slm_model *model = NULL;
    struct worker *worker = NULL;
    struct fitted own = {0};
    struct label_list list = {0};
    struct classifying c = {.v = v};
    if (v->show_prompt) {
        show_prompt(v);
        return out_status(err);
    }
    if (!v->head && !v->examples && !v->labels) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "labels: none are given");
        err_hint(err, "--labels a,b,c with a model, --head FILE.slmh, or --examples FILE.jsonl");
        return SLM_E_USAGE;
    }
    if (v->head) TRY(head_open(v->head, &own.head, err));
    TRY(open_model(v, &own.head, &model, &worker, err));
    if (v->labels) TRY(list_read(v->labels, &list, err));
    if (v->examples) TRY(fit_head(v, worker, &own, err));
    if (!v->labels) TRY(check_head(v, &own.head, err));
    struct classifier_params p = {.worker = worker, .head = own.head.n_label ? &own.head : NULL, .labels = list.names, .wordings = list.wordings, .n_label = list.n,
                                  .system = v->system, .form = v->form, .answer = v->answer, .no_prior = v->no_prior};
    TRY(classifier_create(&p, &c.classifier, err));
    const char *slash = model ? strrchr(v->model, '/') : NULL;
    c.model = slash ? slash + 1 : model ? v->model : head_kind_name(own.head.kind);
    const struct gguf *g = model ? model->gguf : NULL;
    TRY(jobs_run(&v->jobs, "classify", &(struct bound_to){bind_model(g), bind_tokenizer(g), classifier_identity(c.classifier)}, classify_one, &c, err));
out:
    classifier_destroy(c.classifier);
    list_fini(&list);
    fitted_fini(&own);
    worker_destroy(worker);
    model_close(model);
    return st;
}

static const struct option classify_options[] = {
    OPTION_MODEL_THAT_IS(struct classify_values, 0),
    {.kind = OPT_TEXT, .letter = 'l', .name = "labels", .value = "FILE|A,B,C", .offset = offsetof(struct classify_values, labels), .since = "0.1",
     .bars = "head|examples", .help = "the labels: between commas, or a file with one a line; behind a tab what the model would write for it, where that is another text"},
    {.kind = OPT_FILE, .name = "head", .value = "HEAD.slmh", .offset = offsetof(struct classify_values, head), .since = "0.1", .bars = "examples|prompt", .help = "a head of slm fit"},
    {.kind = OPT_FILE, .letter = 'e', .name = "examples", .value = "FILE", .offset = offsetof(struct classify_values, examples), .since = "0.1",
     .help = "rows with labels: a head is fitted to them now, and not kept"},
    {.kind = OPT_CHOICE, .name = "method", .value = "KIND", .fallback = "auto", .choices = FIT_METHODS, .offset = offsetof(struct classify_values, method), .since = "0.1",
     .needs = "examples", .help = "what is fitted to --examples"},
    JOBS_ROWS(struct classify_values),
    JOBS_CAL_ROW(struct classify_values),
    {.kind = OPT_INT, .name = "top", .value = "N", .fallback = "3", .min = 1, .max = 4096, .offset = offsetof(struct classify_values, top), .since = "0.1",
     .needs = "json|output", .help = "likeliest labels in the JSON"},
    {.kind = OPT_FLOAT, .name = "abstain", .value = "P", .fallback = "0", .min = 0, .max = 1, .offset = offsetof(struct classify_values, abstain), .since = "0.1",
     .help = "give up an answer with a lower probability (exit code 7 of a single text)"},
    {.kind = OPT_FLOAT, .name = "novel", .value = "X", .fallback = "0", .min = 0, .max = 1e6, .offset = offsetof(struct classify_values, novel), .since = "0.1",
     .needs = "head|examples", .help = "give up a text that is less like the rows of the head; 0: none"},
    OPTION_SECTION("words"),
    {.kind = OPT_TEXT, .name = "prompt", .value = "TEXT", .offset = offsetof(struct classify_values, form), .since = "0.1",
     .help = "the user's turn instead of the built-in one; {text} and {labels} stand for what they say"},
    {.kind = OPT_TEXT, .name = "answer", .value = "TEXT", .offset = offsetof(struct classify_values, answer), .since = "0.1",
     .needs = "labels|show-prompt", .help = "what the model writes for a label, {label} in it: {\"intent\": \"{label}\" for a model that answers in JSON"},
    {.kind = OPT_TEXT, .name = "system", .value = "TEXT", .offset = offsetof(struct classify_values, system), .since = "0.1", .needs = "labels|show-prompt", .help = "a system prompt"},
    {.kind = OPT_FLAG, .name = "no-prior", .offset = offsetof(struct classify_values, no_prior), .since = "0.1",
     .needs = "labels|show-prompt", .help = "probabilities as the model gives them, not divided by those behind texts without content"},
    {.kind = OPT_FLAG, .name = "raw", .offset = offsetof(struct classify_values, raw), .since = "0.1", .needs = "labels|show-prompt", .help = "no chat template"},
    {.kind = OPT_FLAG, .name = "show-prompt", .offset = offsetof(struct classify_values, show_prompt), .since = "0.1", .help = "print the words and do nothing"},
    OPTION_SECTION("engine"),
    OPTION_THREADS_WITH(struct classify_values, "model"),
    OPTION_CTX_WITH(struct classify_values, "model"),
};
static const struct option classify_operands[] = {JOBS_OPERANDS(struct classify_values)};
static const struct example classify_examples[] = {
    {"slm classify -m model.gguf -l positive,negative \"I loved it\"", "positive and its probability"},
    {"slm classify --head intents.slmh -f requests.jsonl -o answers.jsonl", "a batch; run again, it goes on where it stopped"},
    {"slm classify -m model.gguf -e few.jsonl --json \"where is my card\"", "from a few examples, without training"},
};
const struct command command_classify = {
    .group = "narrow jobs",
    .summary = "give texts a label",
    .description = "Prints a label and its probability for each text. With --labels the model's own words decide: the probability of writing each label is computed exactly, all "
                   "labels behind one prompt, and divided by what the model would write of texts without content. With --head or --examples a fitted head decides.\n\n"
                   "Rows with \"label\" are also judged; the count goes to standard error.",
    .table = {"classify", ROWS(classify_options), ROWS(classify_operands)},
    .values_bytes = sizeof(struct classify_values),
    .examples = classify_examples,
    .n_examples = sizeof classify_examples / sizeof classify_examples[0],
    .run = run_classify,
};
