/* fitting.c -- reading rows, computing states once, trying every kind that is asked for. */
#include "cli/fitting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "cli/progress.h"
#include "cli/term.h"
#include "task/bind.h"
#include "train/data.h"

#define ROWS_BYTES_MAX ((size_t)4 << 30)

void fit_rows_fini(struct fit_rows *r) {
    arena_fini(&r->arena);
    free(r->texts);
    free(r->labels);
    free((void *)r->names);
    *r = (struct fit_rows){0};
}

static slm_status push_row(struct fit_rows *r, const char ***label_of, struct view text, struct view label, slm_err *err) {
    if (r->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 1024;
        struct view *t = realloc(r->texts, cap * sizeof *t);
        if (t) r->texts = t;
        const char **l = t ? realloc((void *)*label_of, cap * sizeof *l) : NULL;
        if (!l) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "rows: out of memory");
        *label_of = l;
        r->cap = cap;
    }
    const char *t = arena_strdup(&r->arena, text), *l = arena_strdup(&r->arena, label);
    if (!t || !l) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "rows: more than %zu bytes of text", ROWS_BYTES_MAX);
    r->texts[r->n] = (struct view){t, text.len};
    (*label_of)[r->n++] = l;
    return SLM_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Labels in order of names, each row's as its place among them. */
static slm_status number_labels(struct fit_rows *r, const char **label_of, slm_err *err) {
    void *names_mem = NULL, *labels_mem = NULL;
    slm_status st = mem_alloc(&names_mem, r->n + 1, sizeof *r->names, "labels", err);
    if (st == SLM_OK) st = mem_alloc(&labels_mem, r->n + 1, sizeof *r->labels, "labels", err);
    r->names = names_mem;
    r->labels = labels_mem;
    if (st != SLM_OK) return st;
    if (r->n) memcpy((void *)r->names, (const void *)label_of, r->n * sizeof *r->names);
    qsort((void *)r->names, r->n, sizeof *r->names, by_name);
    for (size_t i = 0; i < r->n; i++)
        if (r->n_label == 0 || strcmp(r->names[r->n_label - 1], r->names[i]) != 0) r->names[r->n_label++] = r->names[i];
    for (size_t i = 0; i < r->n; i++) {
        const char **at = bsearch(&label_of[i], r->names, r->n_label, sizeof *r->names, by_name);
        r->labels[i] = (uint32_t)(at - r->names);
    }
    return SLM_OK;
}

slm_status fit_rows_read(const char *path, struct fit_rows *out, slm_err *err) {
    slm_status st = SLM_OK;
    struct data_reader *reader = NULL;
    struct data_row row;
    const char **label_of = NULL;
    bool has = true;
    *out = (struct fit_rows){0};
    arena_init(&out->arena, ROWS_BYTES_MAX);
    TRY(data_reader_open(&(struct data_reader_params){.paths = &path, .n_paths = 1, .format = DATA_CLASSIFY}, &reader, err));
    for (;;) {
        TRY(data_reader_next(reader, &row, &has, err));
        if (!has) break;
        TRY(push_row(out, &label_of, row.text, row.label, err));
    }
    TRY(number_labels(out, label_of, err));
out:
    data_reader_close(reader);
    free((void *)label_of);
    if (st != SLM_OK) fit_rows_fini(out);
    return st;
}

/* ---- states ---- */

static slm_status states_of(struct worker *w, const char *form, enum pooling pooling, const struct fit_rows *r, bool show, float **out, slm_err *err) {
    const size_t d = w->model->hp.d_model;
    struct progress bar;
    void *mem = NULL;
    size_t n_token;
    char note[64];
    slm_status st = mem_alloc(&mem, r->n * d + 1, sizeof(float), "states", err);
    *out = mem;
    progress_begin(&bar);
    for (size_t i = 0; i < r->n && st == SLM_OK; i++) {
        st = worker_state(w, form, r->texts[i], pooling, *out + i * d, &n_token, err);
        if (st != SLM_OK) err_wrap(err, st, "row %zu", i + 1);
        snprintf(note, sizeof note, "reading row %zu of %zu (%s)", i + 1, r->n, pooling_name(pooling));
        if (show) progress_show(&bar, (double)(i + 1) / (double)r->n, note);
    }
    progress_end(&bar);
    return st;
}

/* ---- trials ---- */

struct attempt {
    const struct fit_rows *rows;
    const struct fit_wish *wish;
    struct worker *worker;
    const char *form;
    struct progress bar;
    const char *title;
};

static void show_share(void *user, double share) {
    struct attempt *a = user;
    progress_show(&a->bar, share, a->title);
}

static slm_status try_kind(struct attempt *a, enum head_kind kind, enum pooling pooling, const float *states, struct fitted *out, slm_err *err) {
    struct head head;
    const uint32_t d = a->worker ? a->worker->model->hp.d_model : 0;
    struct head_rows rows = {.texts = a->rows->texts, .states = states, .d = d, .labels = a->rows->labels, .n = a->rows->n, .names = a->rows->names, .n_label = a->rows->n_label};
    a->title = head_kind_name(kind);
    progress_begin(&a->bar);
    struct head_params p = {.kind = kind, .n_epoch = a->wish->n_epoch, .held_share = a->wish->held_share, .seed = a->wish->seed, .cancel = &interrupt_flag,
                            .progress = a->wish->show ? show_share : NULL, .user = a};
    slm_status st = head_fit(&rows, &p, &head, err);
    progress_end(&a->bar);
    if (st != SLM_OK) return st;
    out->trials[out->n_trial++] = (struct fit_trial){kind, pooling, head.accuracy, false};
    if (head_needs_model(kind)) {
        head.model = bind_model(a->worker->model->gguf);
        head.tokenizer = bind_tokenizer(a->worker->model->gguf);
        head.pooling = pooling;
        free(head.form);
        head.form = strdup(a->form);
        if (!head.form) {
            head_fini(&head);
            return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "head: out of memory");
        }
    }
    if (out->head.n_label && out->head.accuracy >= head.accuracy) {
        head_fini(&head);
        return SLM_OK;
    }
    for (size_t i = 0; i < out->n_trial; i++) out->trials[i].is_kept = i == out->n_trial - 1;
    head_fini(&out->head);
    out->head = head;
    return SLM_OK;
}

void fitted_fini(struct fitted *f) { head_fini(&f->head); }

slm_status fit_best(struct worker *w, const struct fit_rows *rows, const struct fit_wish *wish, struct fitted *out, slm_err *err) {
    static const enum pooling poolings[] = {POOLING_LAST, POOLING_MEAN};
    slm_status st = SLM_OK;
    float *states = NULL;
    struct attempt a = {.rows = rows, .wish = wish, .worker = w, .form = wish->form ? wish->form : prompt_find("state")->form};
    bool any = wish->method == 0;
    enum head_kind only = (enum head_kind)(wish->method - 1); /* FIT_METHODS has them in their order, behind auto */
    *out = (struct fitted){0};
    if (!w && !any && head_needs_model(only)) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "method \"%s\": needs a model", head_kind_name(only));
        err_hint(err, "name one with -m, or use --method ngram");
        return SLM_E_USAGE;
    }
    if (any || only == HEAD_NGRAM) TRY(try_kind(&a, HEAD_NGRAM, POOLING_NONE, NULL, out, err));
    for (int i = 0; i < 2 && w && (any || head_needs_model(only)); i++) {
        if (wish->pooling && wish->pooling - 1 != i) continue;
        free(states);
        states = NULL;
        TRY(states_of(w, a.form, poolings[i], rows, wish->show, &states, err));
        for (int k = 0; k < HEAD_KIND_COUNT; k++)
            if (head_needs_model((enum head_kind)k) && (any || only == (enum head_kind)k)) TRY(try_kind(&a, (enum head_kind)k, poolings[i], states, out, err));
    }
out:
    free(states);
    if (st != SLM_OK) fitted_fini(out);
    return st;
}
