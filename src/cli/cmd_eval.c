/* cmd_eval.c -- slm eval: how good a model is at a task, and whether another is better. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/lora.h"
#include "cli/progress.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "train/adapter.h"
#include "train/eval.h"

struct eval_values {
    struct common_values common;
    const char *model, *adapter, *task, *against, *labels, *format, *template, *system, *prompt, *rows, *config;
    struct option_texts loras;
    int32_t kind, n, limit, ctx, threads, kv;
    bool json, classes;
};

/* A model with the template its chats are rendered by. */
struct judged {
    struct slm_model *model;
    struct chat_template *tmpl;
    struct eval_result result;
};

static void show_row(void *user, size_t i, size_t n) {
    char note[64];
    snprintf(note, sizeof note, "row %zu of %zu", i, n);
    progress_show(user, (double)i / (double)n, note);
}

static slm_status judged_open(struct judged *j, const struct eval_values *v, const char *path, const char *adapter, slm_err *err) {
    slm_status st = adapter_open(path, adapter, v->threads, &j->model, err);
    if (st != SLM_OK) return st;
    struct buf text;
    buf_init(&text, 1u << 20);
    if (v->template) TRY(file_read(&text, v->template, err));
    struct view given = v->template ? (struct view){text.data, text.len} : j->model->chat_template;
    if (given.len)
        TRY(chat_template_create(&(struct chat_template_source){.text = given, .text_tools = v->template ? VIEW("") : j->model->chat_template_tools, .tok = j->model->tok}, &j->tmpl, err));
out:
    buf_fini(&text);
    return st;
}

static void judged_close(struct judged *j) {
    eval_result_fini(&j->result);
    chat_template_destroy(j->tmpl);
    model_close(j->model);
}

/* Output */

struct figure {
    const char *name, *title;
    size_t offset;     /* of a struct estimate in struct eval_result */
    unsigned kinds;    /* bits of the kinds that have it */
    bool is_share, needs_json;
};
#define BIT(kind) (1u << (kind))
#define AT(member) offsetof(struct eval_result, member)
static const struct figure figures[] = {
    {"accuracy", "accuracy", AT(accuracy), BIT(EVAL_CLASSIFY) | BIT(EVAL_CHOICE) | BIT(EVAL_GENERATE), true, false},
    {"accuracy_norm", "accuracy, by bytes", AT(accuracy_norm), BIT(EVAL_CHOICE), true, false},
    {"macro_f1", "macro F1", AT(macro_f1), BIT(EVAL_CLASSIFY), true, false},
    {"f1", "F1 of words", AT(f1), BIT(EVAL_GENERATE), true, false},
    {"json_valid", "valid JSON", AT(json_valid), BIT(EVAL_GENERATE), true, true},
    {"json_equal", "equal as JSON", AT(json_equal), BIT(EVAL_GENERATE), true, true},
    {"json_f1", "F1 of members", AT(json_f1), BIT(EVAL_GENERATE), true, true},
    {"perplexity", "perplexity", AT(perplexity), BIT(EVAL_PERPLEXITY) | BIT(EVAL_AGREEMENT), false, false},
    {"bits_per_byte", "bits per byte", AT(bits_per_byte), BIT(EVAL_PERPLEXITY) | BIT(EVAL_AGREEMENT), false, false},
    {"agreement", "same best token", AT(agreement), BIT(EVAL_AGREEMENT), true, false},
    {"kl", "KL divergence", AT(kl), BIT(EVAL_AGREEMENT), false, false},
};

static const struct estimate *figure_of(const struct eval_result *r, size_t i) {
    const struct figure *f = &figures[i];
    if (!(f->kinds & BIT(r->kind)) || (f->needs_json && r->n_json == 0)) return NULL;
    return (const struct estimate *)((const char *)r + f->offset);
}
#define N_FIGURES (sizeof figures / sizeof figures[0])

static json_t *classes_json(const struct eval_task *t, const struct eval_result *r) {
    json_t *list = json_array();
    for (size_t i = 0; i < eval_task_n_label(t); i++) {
        const struct eval_class *c = &r->classes[i];
        json_array_append_new(list, json_pack("{s:o, s:I, s:o, s:o, s:o}", "label", json_text(view_of(eval_task_label(t, i))), "n", (json_int_t)c->n_want, "precision", json_f64(c->precision),
                                              "recall", json_f64(c->recall), "f1", json_f64(c->f1)));
    }
    return list;
}

static json_t *result_json(const struct eval_task *t, const struct eval_result *r) {
    json_t *o = json_pack("{s:s, s:I, s:o}", "kind", eval_kind_name(r->kind), "n", (json_int_t)r->n, "seconds", json_f64(r->seconds));
    for (size_t i = 0; o && i < N_FIGURES; i++) {
        const struct estimate *e = figure_of(r, i);
        if (e) json_object_set_new(o, figures[i].name, json_estimate(e));
    }
    if (o && r->n_token) json_object_set_new(o, "n_token", json_integer((json_int_t)r->n_token));
    if (o && r->kind == EVAL_CLASSIFY) {
        json_object_set_new(o, "ece", json_f64(r->ece));
        json_object_set_new(o, "classes", classes_json(t, r));
    }
    return o;
}

static json_t *pair_json(const struct eval_pair *p) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "both_right", (json_int_t)p->n_both, "first_right", (json_int_t)p->n_first, "second_right", (json_int_t)p->n_second,
                     "none_right", (json_int_t)p->n_none, "same_answer", (json_int_t)p->n_same, "mcnemar_p", json_f64(p->p), "difference", json_estimate(&p->difference));
}

static void print_result(const struct eval_task *t, const struct eval_result *r, bool with_classes) {
    out_printf("%-20s %s, %zu rows, %.1f s\n", "task", eval_kind_name(r->kind), r->n, r->seconds);
    for (size_t i = 0; i < N_FIGURES; i++) {
        const struct estimate *e = figure_of(r, i);
        if (!e) continue;
        double k = figures[i].is_share ? 100 : 1;
        const char *unit = figures[i].is_share ? " %" : "";
        out_printf("%-20s %.*f%s  (95 %%: %.*f to %.*f)\n", figures[i].title, k > 1 ? 2 : 4, k * e->value, unit, k > 1 ? 2 : 4, k * e->low, k > 1 ? 2 : 4, k * e->high);
    }
    if (r->kind != EVAL_CLASSIFY) return;
    out_printf("%-20s %.4f\n", "calibration error", r->ece);
    if (!with_classes) return;
    out_printf("\n%-40s %6s %9s %7s %7s\n", "label", "rows", "precision", "recall", "F1");
    for (size_t i = 0; i < eval_task_n_label(t); i++) {
        const struct eval_class *c = &r->classes[i];
        out_printf("%-40s %6llu %8.2f%% %6.2f%% %6.2f%%\n", show_cstr(eval_task_label(t, i)).s, (unsigned long long)c->n_want, 100 * c->precision, 100 * c->recall, 100 * c->f1);
    }
}

static void print_pair(const struct eval_pair *p) {
    out_printf("\nright                both %llu, first only %llu, second only %llu, none %llu; same answer %llu\n", (unsigned long long)p->n_both, (unsigned long long)p->n_first,
               (unsigned long long)p->n_second, (unsigned long long)p->n_none, (unsigned long long)p->n_same);
    out_printf("%-20s %+.2f points  (95 %%: %+.2f to %+.2f)\n", "first - second", 100 * p->difference.value, 100 * p->difference.low, 100 * p->difference.high);
    out_printf("%-20s p = %.3g\n", "McNemar", p->p);
}

/* A line of JSON for each row: what was wanted, what came. */
static slm_status write_rows(const char *path, const struct eval_task *t, const struct eval_result *r, slm_err *err) {
    struct file_out f = {0};
    slm_status st = file_out_open(&f, path, err);
    for (size_t i = 0; i < r->n && st == SLM_OK; i++) {
        const struct eval_item *item = &r->items[i];
        json_t *o = json_pack("{s:I}", "line", (json_int_t)item->line);
        if (r->kind == EVAL_CLASSIFY)
            json_object_update_new(o, json_pack("{s:s, s:s, s:b, s:o}", "label", eval_task_label(t, (size_t)item->want), "got", eval_task_label(t, (size_t)item->got), "right",
                                                item->right, "confidence", json_f64((double)item->confidence)));
        else if (r->kind == EVAL_CHOICE) json_object_update_new(o, json_pack("{s:i, s:i, s:b}", "answer", item->want, "got", item->got, "right", item->right));
        else if (r->kind == EVAL_GENERATE) json_object_update_new(o, json_pack("{s:o, s:b, s:o}", "got", json_text(view_of(item->text)), "right", item->right, "f1", json_f64(item->f1)));
        else json_object_update_new(o, json_pack("{s:o, s:i, s:o}", "nll", json_f64(item->nll), "tokens", (int)item->n_token, "kl", json_f64(item->kl)));
        bool ok = o && json_dumpf(o, f.stream, JSON_COMPACT) == 0 && fputc('\n', f.stream) != EOF;
        json_decref(o);
        if (!ok) st = err_set(err, SLM_E_IO, SLM_NOWHERE, "write \"%s\": no space, or the disk failed", show_path(path).s);
    }
    if (st == SLM_OK) return file_out_commit(&f, err);
    file_out_discard(&f);
    return st;
}

static slm_status print_all(const struct eval_values *v, const struct eval_task *t, const struct judged *first, const struct judged *second, slm_err *err) {
    struct eval_pair pair;
    bool pairs = second->result.items && first->result.kind != EVAL_PERPLEXITY;
    slm_status st = pairs ? eval_compare(&first->result, &second->result, &pair, err) : SLM_OK;
    if (st != SLM_OK) return st;
    if (v->json) {
        json_t *o = result_json(t, &first->result);
        if (o && second->result.items) json_object_set_new(o, "against", result_json(t, &second->result));
        if (o && pairs) json_object_set_new(o, "pair", pair_json(&pair));
        return out_json(o, err);
    }
    print_result(t, &first->result, v->classes);
    if (second->result.items) {
        out_printf("\nagainst %s\n", show_path(v->against).s);
        print_result(t, &second->result, false);
    }
    if (pairs) print_pair(&pair);
    return out_status(err);
}

/* Options of some kinds of tasks only; the kind is known when the rows are. */
static slm_status check_kind(const struct eval_values *v, enum eval_kind kind, slm_err *err) {
    static const struct {
        const char *option;
        unsigned kinds;
    } rows[] = {
        {"labels", BIT(EVAL_CLASSIFY)}, {"prompt", BIT(EVAL_CLASSIFY)}, {"classes", BIT(EVAL_CLASSIFY)}, {"predict", BIT(EVAL_GENERATE)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!(rows[i].kinds & BIT(kind)) && options_said(&command_eval.table, v, rows[i].option))
            return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--%s\": does nothing for a task of kind \"%s\"", rows[i].option, eval_kind_name(kind));
    return SLM_OK;
}

static slm_status run_eval(const void *values, slm_err *err) {
    const struct eval_values *v = values;
    slm_status st;
    struct eval_task *task = NULL;
    struct judged first = {0}, second = {0};
    struct progress bar;
    struct eval_task_params tp = {.path = v->task, .kind = (enum eval_kind)v->kind, .n_max = (uint64_t)v->limit, .labels_path = v->labels};
    struct eval_params p = {.system = v->system, .prompt_form = v->prompt, .n_max = v->n, .cancel = &interrupt_flag, .progress = show_row, .user = &bar};
    p.session = (struct session_params){.n_ctx = v->ctx, .n_threads = v->threads, .kv_type = kv_type_of_choice(v->kv)};
    progress_begin(&bar);
    if (v->format && !data_format_by_name(v->format, &tp.format)) FAIL(SLM_E_USAGE, SLM_NOWHERE, "option \"--format\": \"%s\" is no format of data", show_cstr(v->format).s);
    TRY(eval_task_open(&tp, &task, err));
    TRY(check_kind(v, eval_task_kind(task), err));
    TRY(judged_open(&first, v, v->model, v->adapter, err));
    TRY(loras_add(first.model, &v->loras, err));
    if (v->against) TRY(judged_open(&second, v, v->against, NULL, err));
    interrupt_catch();
    p.tmpl = first.tmpl;
    p.other = second.model;
    TRY(eval_run(first.model, task, &p, &first.result, err));
    if (v->against && eval_task_kind(task) != EVAL_AGREEMENT) {
        p.tmpl = second.tmpl;
        TRY(eval_run(second.model, task, &p, &second.result, err));
    }
    progress_end(&bar);
    if (v->rows) TRY(write_rows(v->rows, task, &first.result, err));
    TRY(print_all(v, task, &first, &second, err));
out:
    progress_end(&bar);
    if (st == SLM_E_CANCELLED) err_clear(err);
    judged_close(&first);
    judged_close(&second);
    eval_task_close(task);
    return st;
}

static const struct option options[] = {
    OPTION_MODEL(struct eval_values),
    OPTION_ADAPTER(struct eval_values),
    LORA_ROWS(struct eval_values),
    {.kind = OPT_FILE, .name = "task", .value = "FILE", .flags = OPTION_REQUIRED, .offset = offsetof(struct eval_values, task), .since = "0.1",
     .help = "rows to judge by: JSON lines, CSV or text"},
    {.kind = OPT_CHOICE, .name = "kind", .value = "KIND", .fallback = "auto", .choices = "auto|classify|choice|generate|perplexity|agreement",
     .offset = offsetof(struct eval_values, kind), .since = "0.1", .help = "what is measured; auto: seen by the rows' keys"},
    {.kind = OPT_FILE, .name = "against", .value = "FILE", .offset = offsetof(struct eval_values, against), .since = "0.1",
     .help = "a second model: the same task, McNemar's test; for agreement, the model to agree with"},
    {.kind = OPT_FILE, .name = "labels", .value = "FILE", .offset = offsetof(struct eval_values, labels), .since = "0.1",
     .help = "all labels, one a line; without it those of the task's rows"},
    {.kind = OPT_TEXT, .name = "format", .value = "NAME", .offset = offsetof(struct eval_values, format), .since = "0.1",
     .help = "format of the rows when their keys do not tell: messages, prompt, alpaca, sharegpt, classify, choice or text"},
    {.kind = OPT_TEXT, .name = "prompt", .value = "FORM", .offset = offsetof(struct eval_values, prompt), .since = "0.1",
     .bars = "system|template", .help = "classify plain text in these words, where {text} stands for the row's, instead of a chat"},
    {.kind = OPT_TEXT, .name = "system", .value = "TEXT", .offset = offsetof(struct eval_values, system), .since = "0.1", .help = "system turn of chats that have none"},
    {.kind = OPT_FILE, .name = "template", .value = "FILE", .offset = offsetof(struct eval_values, template), .since = "0.1",
     .help = "chat template instead of the model's"},
    {.kind = OPT_INT, .letter = 'n', .name = "predict", .value = "N", .fallback = "256", .min = 1, .max = 1 << 20, .offset = offsetof(struct eval_values, n), .since = "0.1",
     .help = "tokens of an answer at most"},
    {.kind = OPT_INT, .name = "limit", .value = "N", .fallback = "0", .min = 0, .max = 1 << 30, .offset = offsetof(struct eval_values, limit), .since = "0.1",
     .help = "the first N rows only; 0: all"},
    {.kind = OPT_FLAG, .name = "classes", .offset = offsetof(struct eval_values, classes), .since = "0.1", .help = "print precision, recall and F1 of each label"},
    {.kind = OPT_FILE, .name = "rows", .value = "FILE", .flags = OPTION_WRITTEN, .offset = offsetof(struct eval_values, rows), .since = "0.1", .help = "write what came of each row, as JSON lines"},
    OPTION_JSON(struct eval_values),
    OPTION_CONFIG_FILE(struct eval_values),
    OPTION_SECTION("engine"),
    OPTION_CTX(struct eval_values),
    OPTION_THREADS(struct eval_values),
    OPTION_KV(struct eval_values),
};
static const struct example examples[] = {
    {"slm eval -m model.gguf --task test.csv --classes", "accuracy, macro F1, calibration, and a line for each label"},
    {"slm eval -m new.gguf --against old.gguf --task test.jsonl", "both, and whether the difference is more than chance"},
    {"slm eval -m base.gguf --adapter run/adapter.gguf --against base.gguf --task test.jsonl", "what fine-tuning gave"},
    {"slm eval -m q4.gguf --against f16.gguf --kind agreement --task chats.jsonl", "how often a small file likes the same token best"},
};
const struct command command_eval = {
    .group = "teach",
    .summary = "measure how good a model is at a task",
    .description =
        "Rows with text and label are classified: the label with the highest log-probability wins, summed over its tokens without division by length; when "
        "one label's tokens begin another's, the token that ends the answer counts too. Rows with choices give the accuracy by the sum and by the sum for "
        "each byte. Rows with a completion or a chat that the assistant ends are answered greedily and compared; answers that are JSON are compared as "
        "values too. Rows with text alone give perplexity.\n\n"
        "Intervals are 95 %: Wilson's for shares of rows, the bootstrap over rows for everything else.",
    .table = {"eval", ROWS(options), NULL, 0},
    .values_bytes = sizeof(struct eval_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .run = run_eval,
};
