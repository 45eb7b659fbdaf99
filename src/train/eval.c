/* eval.c -- tasks from files, a model over all rows, figures from what it did. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/show.h"
#include "base/util.h"
#include "train/eval_int.h"
#include "train/kd_cache.h"

struct kind_row {
    const char *name;
    slm_status (*row)(struct eval_run_state *s, const struct data_row *row, struct eval_item *item, slm_err *err);
};
static const struct kind_row kinds[] = {
    [EVAL_AUTO] = {"auto", NULL},
    [EVAL_CLASSIFY] = {"classify", eval_classify_row},
    [EVAL_CHOICE] = {"choice", eval_choice_row},
    [EVAL_GENERATE] = {"generate", eval_generate_row},
    [EVAL_PERPLEXITY] = {"perplexity", eval_text_row},
    [EVAL_AGREEMENT] = {"agreement", eval_text_row},
};

const char *eval_kind_name(enum eval_kind k) { return kinds[k].name; }

/* What a format is evaluated as when nothing is said. */
static const enum eval_kind kind_of_format[DATA_FORMAT_COUNT] = {
    [DATA_MESSAGES] = EVAL_GENERATE, [DATA_PROMPT] = EVAL_GENERATE, [DATA_ALPACA] = EVAL_GENERATE, [DATA_SHAREGPT] = EVAL_GENERATE,
    [DATA_CLASSIFY] = EVAL_CLASSIFY, [DATA_CHOICE] = EVAL_CHOICE, [DATA_TEXT] = EVAL_PERPLEXITY,
};

/* Labels */

static int compare_labels(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int32_t eval_find_label(const struct eval_task *t, struct view label) {
    for (size_t lo = 0, hi = t->n_labels; lo < hi;) {
        size_t mid = (lo + hi) / 2, n = strlen(t->labels[mid]);
        int c = memcmp(label.ptr, t->labels[mid], label.len < n ? label.len : n);
        if (c == 0 && label.len == n) return (int32_t)mid;
        if (c < 0 || (c == 0 && label.len < n)) hi = mid;
        else lo = mid + 1;
    }
    return -1;
}

/* Insert a label in its place; twins are one. */
static slm_status add_label(struct eval_task *t, struct view label, slm_err *err) {
    if (eval_find_label(t, label) >= 0) return SLM_OK;
    if (t->n_labels == EVAL_N_LABEL_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "more than %d labels", EVAL_N_LABEL_MAX);
    char **q = realloc(t->labels, (t->n_labels + 1) * sizeof *q), *copy = strndup(label.ptr, label.len);
    if (q) t->labels = q;
    if (!q || !copy) {
        free(copy);
        return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "labels: out of memory");
    }
    size_t at = t->n_labels++;
    for (; at > 0 && compare_labels(&copy, &t->labels[at - 1]) < 0; at--) t->labels[at] = t->labels[at - 1];
    t->labels[at] = copy;
    return SLM_OK;
}

slm_status eval_read_labels(struct eval_task *t, const char *path, slm_err *err) {
    struct buf text;
    buf_init(&text, 1u << 20);
    slm_status st = file_read(&text, path, err);
    for (size_t at = 0; at < text.len && st == SLM_OK;) {
        const char *line = text.data + at, *nl = memchr(line, '\n', text.len - at);
        size_t n = nl ? (size_t)(nl - line) : text.len - at;
        at += n + 1;
        if (n && line[n - 1] == '\r') n--;
        if (n) st = add_label(t, (struct view){line, n}, err);
    }
    buf_fini(&text);
    return st;
}

/* Tasks */

static slm_status keep_row(struct eval_task *t, const struct data_row *row, slm_err *err) {
    if (t->n == EVAL_N_ROW_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "a task of more than %u rows", EVAL_N_ROW_MAX);
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 256;
        struct eval_row *q = realloc(t->rows, cap * sizeof *q);
        if (!q) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "a task: out of memory");
        t->rows = q;
        t->cap = cap;
    }
    json_t *object = row->object ? json_incref(row->object) : json_pack("{s:s%}", "text", row->text.ptr, row->text.len);
    if (!object) return row_fault(row->path, row->line, err, "text that JSON cannot hold");
    t->rows[t->n++] = (struct eval_row){object, row->line, -1};
    return SLM_OK;
}

static slm_status read_rows(struct eval_task *t, const struct eval_task_params *p, slm_err *err) {
    slm_status st;
    struct data_reader *r = NULL;
    struct data_row row;
    bool has = true;
    const struct data_reader_params rp = {.paths = &p->path, .n_paths = 1, .format = p->format};
    TRY(data_reader_open(&rp, &r, err));
    while (p->n_max == 0 || t->n < p->n_max) {
        TRY(data_reader_next(r, &row, &has, err));
        if (!has) break;
        if (t->n == 0) t->format = row.format;
        if (row.format != t->format) {
            st = row_fault(row.path, row.line, err, "a row of format %s in a task of format %s", data_format_name(row.format), data_format_name(t->format));
            goto out;
        }
        TRY(keep_row(t, &row, err));
        if (row.label.ptr && !p->labels_path) TRY(add_label(t, row.label, err));
    }
    if (t->n == 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "task \"%s\": there is no row", show_path(p->path).s);
out:
    data_reader_close(r);
    return st;
}

/* Places of the rows' labels, once all labels are known. */
static slm_status place_labels(struct eval_task *t, slm_err *err) {
    for (size_t i = 0; i < t->n; i++) {
        struct data_row row;
        json_t *owned = NULL;
        slm_status st = data_row_of(t->rows[i].object, t->format, t->path, t->rows[i].line, &row, &owned, err);
        if (st == SLM_OK) t->rows[i].label = eval_find_label(t, row.label);
        if (st == SLM_OK && t->rows[i].label < 0) {
            st = row_fault(t->path, t->rows[i].line, err, "the label \"%.100s\" is not in the list of labels", show_view(row.label).s);
            err_hint(err, "the list has %zu labels", t->n_labels);
        }
        json_decref(owned);
        if (st != SLM_OK) return st;
    }
    return t->n_labels >= 2 ? SLM_OK : err_set(err, SLM_E_USAGE, SLM_NOWHERE, "task \"%s\": all rows have one label", show_path(t->path).s);
}

slm_status eval_task_open(const struct eval_task_params *p, struct eval_task **out, slm_err *err) {
    slm_status st = SLM_OK;
    *out = NULL;
    struct eval_task *t = calloc(1, sizeof *t);
    if (!t || !(t->path = strdup(p->path))) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "a task: out of memory");
    if (p->labels_path) TRY(eval_read_labels(t, p->labels_path, err));
    TRY(read_rows(t, p, err));
    t->kind = p->kind != EVAL_AUTO ? p->kind : kind_of_format[t->format];
    if (t->kind == EVAL_AUTO) FAIL(SLM_E_USAGE, SLM_NOWHERE, "task \"%s\": rows of format %s have nothing to compare with", show_path(p->path).s, data_format_name(t->format));
    if ((t->kind == EVAL_CLASSIFY && t->format != DATA_CLASSIFY) || (t->kind == EVAL_CHOICE && t->format != DATA_CHOICE))
        FAIL(SLM_E_USAGE, SLM_NOWHERE, "task \"%s\": rows of format %s cannot be evaluated as %s", show_path(p->path).s, data_format_name(t->format), kinds[t->kind].name);
    if (t->kind == EVAL_CLASSIFY) TRY(place_labels(t, err));
    *out = t;
    t = NULL;
out:
    eval_task_close(t);
    return st;
}

void eval_task_close(struct eval_task *t) {
    if (!t) return;
    for (size_t i = 0; i < t->n; i++) json_decref(t->rows[i].object);
    for (size_t i = 0; i < t->n_labels; i++) free(t->labels[i]);
    free(t->rows);
    free(t->labels);
    free(t->path);
    free(t);
}

enum eval_kind eval_task_kind(const struct eval_task *t) { return t->kind; }
size_t eval_task_n_label(const struct eval_task *t) { return t->n_labels; }
const char *eval_task_label(const struct eval_task *t, size_t i) { return t->labels[i]; }

/* Figures */

/* sum(x) / sum(w) of two members of the items, with its interval. */
typedef void (*pick_fn)(const struct eval_item *item, double *x, double *w);
static slm_status mean_of(const struct eval_result *r, pick_fn pick, struct estimate *out, slm_err *err) {
    void *mem = NULL;
    slm_status st = mem_alloc(&mem, 2 * r->n + 1, sizeof(double), "figures", err);
    double *x = mem, *w = x ? x + r->n : NULL;
    for (size_t i = 0; i < r->n && st == SLM_OK; i++) pick(&r->items[i], &x[i], &w[i]);
    if (st == SLM_OK) st = stats_bootstrap(x, w, r->n, out, err);
    free(mem);
    return st;
}

static void pick_f1(const struct eval_item *i, double *x, double *w) { *x = i->f1, *w = 1; }
static void pick_json_f1(const struct eval_item *i, double *x, double *w) { *x = i->json_asked ? i->json_f1 : 0, *w = i->json_asked; }
static void pick_nll(const struct eval_item *i, double *x, double *w) { *x = i->nll, *w = i->n_token; }
static void pick_bits(const struct eval_item *i, double *x, double *w) { *x = i->nll / log(2.0), *w = i->n_byte; }
static void pick_kl(const struct eval_item *i, double *x, double *w) { *x = i->kl, *w = i->n_token; }
static void pick_same(const struct eval_item *i, double *x, double *w) { *x = i->n_same, *w = i->n_token; }

static double ratio(uint64_t a, uint64_t b) { return b ? (double)a / (double)b : 0; }

static double macro_f1(const struct eval_task *t, struct eval_class *c, const struct eval_item *items, const uint32_t *picks, size_t n) {
    double sum = 0;
    size_t n_seen = 0;
    memset(c, 0, t->n_labels * sizeof *c);
    for (size_t i = 0; i < n; i++) {
        const struct eval_item *item = &items[picks ? picks[i] : i];
        c[item->want].n_want++;
        c[item->got].n_got++;
        c[item->want].n_right += item->right;
    }
    for (size_t i = 0; i < t->n_labels; i++) {
        c[i].precision = ratio(c[i].n_right, c[i].n_got);
        c[i].recall = ratio(c[i].n_right, c[i].n_want);
        c[i].f1 = ratio(2 * c[i].n_right, c[i].n_want + c[i].n_got);
        if (c[i].n_want) sum += c[i].f1, n_seen++;
    }
    return n_seen ? sum / (double)n_seen : 0;
}

#define N_MACRO_DRAWS 200

static slm_status classify_figures(const struct eval_task *t, struct eval_result *r, slm_err *err) {
    slm_status st;
    void *mem = NULL;
    uint32_t *picks = NULL;
    struct eval_class *scratch = NULL;
    double draws[N_MACRO_DRAWS];
    struct rng g;
    double sum[10] = {0}, right[10] = {0};
    TRY(mem_alloc(&mem, t->n_labels, sizeof *r->classes, "figures", err));
    r->classes = mem;
    TRY(mem_alloc(&mem, t->n_labels, sizeof *scratch, "figures", err));
    scratch = mem;
    TRY(mem_alloc(&mem, r->n, sizeof *picks, "figures", err));
    picks = mem;
    rng_init(&g, 1);
    for (int k = 0; k < N_MACRO_DRAWS; k++) {
        for (size_t i = 0; i < r->n; i++) picks[i] = (uint32_t)(rng_u64(&g) % r->n);
        draws[k] = macro_f1(t, scratch, r->items, picks, r->n);
    }
    stats_sort(draws, N_MACRO_DRAWS);
    r->macro_f1 = (struct estimate){macro_f1(t, r->classes, r->items, NULL, r->n), draws[N_MACRO_DRAWS / 40], draws[N_MACRO_DRAWS - 1 - N_MACRO_DRAWS / 40]};
    for (size_t i = 0; i < r->n; i++) {
        int bin = (int)(r->items[i].confidence * 10);
        bin = bin > 9 ? 9 : bin;
        sum[bin] += (double)r->items[i].confidence;
        right[bin] += r->items[i].right;
    }
    for (int i = 0; i < 10; i++) r->ece += fabs(sum[i] - right[i]) / (double)r->n;
out:
    free(picks);
    free(scratch);
    return st;
}

static slm_status generate_figures(struct eval_result *r, slm_err *err) {
    slm_status st;
    uint64_t n_valid = 0, n_equal = 0;
    TRY(mean_of(r, pick_f1, &r->f1, err));
    for (size_t i = 0; i < r->n; i++) {
        r->n_json += r->items[i].json_asked;
        n_valid += r->items[i].json_asked && r->items[i].json_valid;
        n_equal += r->items[i].json_equal;
    }
    if (!r->n_json) goto out;
    r->json_valid = stats_wilson(n_valid, r->n_json);
    r->json_equal = stats_wilson(n_equal, r->n_json);
    TRY(mean_of(r, pick_json_f1, &r->json_f1, err));
out:
    return st;
}

static slm_status text_figures(struct eval_result *r, slm_err *err) {
    slm_status st;
    for (size_t i = 0; i < r->n; i++) r->n_token += r->items[i].n_token;
    TRY(mean_of(r, pick_nll, &r->perplexity, err));
    r->perplexity = (struct estimate){exp(r->perplexity.value), exp(r->perplexity.low), exp(r->perplexity.high)};
    TRY(mean_of(r, pick_bits, &r->bits_per_byte, err));
    if (r->kind != EVAL_AGREEMENT) goto out;
    TRY(mean_of(r, pick_kl, &r->kl, err));
    TRY(mean_of(r, pick_same, &r->agreement, err));
out:
    return st;
}

static slm_status make_figures(const struct eval_task *t, struct eval_result *r, slm_err *err) {
    uint64_t n_right = 0, n_norm = 0;
    for (size_t i = 0; i < r->n; i++) n_right += r->items[i].right, n_norm += r->items[i].right_norm;
    r->accuracy = stats_wilson(n_right, r->n);
    r->accuracy_norm = stats_wilson(n_norm, r->n);
    switch (r->kind) {
    case EVAL_CLASSIFY: return classify_figures(t, r, err);
    case EVAL_GENERATE: return generate_figures(r, err);
    case EVAL_PERPLEXITY:
    case EVAL_AGREEMENT: return text_figures(r, err);
    default: return SLM_OK;
    }
}

/* Running */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define ROWS_AT_ONCE 64

/* No more than a chunk, which is no more than the context. */
static int32_t rows_at_once(const struct slm_model *m, const struct session_params *sp) {
    int32_t n_ctx = sp->n_ctx > 0 ? sp->n_ctx : (int32_t)m->hp.n_ctx_train;
    return session_rows_at_once(m, n_ctx < ROWS_AT_ONCE ? n_ctx : ROWS_AT_ONCE);
}

slm_status eval_open_state(struct eval_run_state *s, struct slm_model *m, slm_err *err) {
    slm_status st;
    void *mem;
    uint32_t n_common;
    struct session_params sp = s->p->session;
    size_t n_score = s->task->n_labels + 1;
    buf_init(&s->form, DATA_ROW_BYTES_MAX);
    s->encode = (struct data_encode_params){.tok = m->tok, .tmpl = s->p->tmpl, .system = s->p->system};
    TRY(mem_alloc(&mem, n_score, sizeof *s->score, "scores", err));
    s->score = mem;
    sp.n_out = rows_at_once(m, &sp);
    TRY(session_create(m, &sp, &s->session, err));
    s->session->cancel = s->p->cancel;
    if (s->task->kind != EVAL_AGREEMENT) goto out;
    if (!s->p->other) FAIL(SLM_E_USAGE, SLM_NOWHERE, "agreement: there is no second model");
    TRY(vocab_match(s->p->other->tok, m->tok, &n_common, err));
    sp.n_out = rows_at_once(s->p->other, &sp);
    TRY(session_create(s->p->other, &sp, &s->other, err));
    s->other->cancel = s->p->cancel;
out:
    return st;
}

void eval_close_state(struct eval_run_state *s) {
    session_destroy(s->session);
    session_destroy(s->other);
    tok_ids_fini(&s->path);
    label_tree_destroy(s->tree);
    data_tokens_fini(&s->tokens);
    buf_fini(&s->form);
    free(s->score);
}

static slm_status run_row(struct eval_run_state *s, size_t i, struct eval_item *item, slm_err *err) {
    const struct eval_row *r = &s->task->rows[i];
    struct data_row row;
    json_t *owned = NULL;
    slm_status st = data_row_of(r->object, s->task->format, s->task->path, r->line, &row, &owned, err);
    item->line = r->line;
    item->want = r->label;
    if (st == SLM_OK) st = kinds[s->task->kind].row(s, &row, item, err);
    json_decref(owned);
    if (st == SLM_E_LIMIT) return err_wrap(err, st, "%s:%llu", s->task->path, (unsigned long long)r->line);
    return st;
}

slm_status eval_run(struct slm_model *m, const struct eval_task *t, const struct eval_params *p, struct eval_result *out, slm_err *err) {
    slm_status st;
    struct eval_run_state s = {.task = t, .p = p};
    void *mem;
    memset(out, 0, sizeof *out);
    out->kind = t->kind;
    double begin = now();
    TRY(mem_alloc(&mem, t->n, sizeof *out->items, "a task's results", err));
    out->items = mem;
    out->n = t->n;
    TRY(eval_open_state(&s, m, err));
    for (size_t i = 0; i < t->n; i++) {
        if (p->cancel && *p->cancel) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
        TRY(run_row(&s, i, &out->items[i], err));
        if (p->progress) p->progress(p->user, i + 1, t->n);
    }
    TRY(make_figures(t, out, err));
    out->seconds = now() - begin;
out:
    eval_close_state(&s);
    if (st != SLM_OK) eval_result_fini(out);
    return st;
}

void eval_result_fini(struct eval_result *r) {
    for (size_t i = 0; i < r->n && r->items; i++) free(r->items[i].text);
    free(r->items);
    free(r->classes);
    memset(r, 0, sizeof *r);
}
