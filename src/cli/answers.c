/* answers.c -- lines of JSON to rows. */
#include "cli/answers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "cli/input.h"

typedef slm_status (*row_fn)(void *user, const json_t *o, slm_err *err);

static slm_status each_row(const char *path, row_fn fn, void *user, slm_err *err) {
    struct input_lines l;
    size_t number = 1;
    bool has_line = false;
    slm_status st = input_lines_open(&l, path, err);
    if (st != SLM_OK) return st;
    for (; (st = input_lines_next(&l, &has_line, err)) == SLM_OK && has_line; number++) {
        json_error_t e;
        if (l.line.len == 0) continue;
        json_t *o = json_loadb(l.line.data, l.line.len, JSON_REJECT_DUPLICATES, &e);
        st = !o ? err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "not JSON: %s", show_cstr(e.text).s) : !json_is_object(o) ? err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "not an object") : fn(user, o, err);
        json_decref(o);
        if (st != SLM_OK) break;
    }
    if (st != SLM_OK) err_wrap(err, st, "\"%s\":%zu", show_path(path).s, number);
    input_lines_close(&l);
    return st;
}

static slm_status grow(void **rows, size_t n, size_t *cap, size_t size, slm_err *err) {
    if (n < *cap) return SLM_OK;
    if (n >= CALIB_N_ROW_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "more than %u rows", CALIB_N_ROW_MAX);
    size_t wanted = *cap ? 2 * *cap : 1024;
    void *q = realloc(*rows, wanted * size);
    if (!q) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "rows: out of memory");
    *rows = q;
    *cap = wanted;
    return SLM_OK;
}

static slm_status answer_row(void *user, const json_t *o, slm_err *err) {
    struct answers *a = user;
    struct cal_row row;
    struct bound_to bound = {0};
    const json_t *right = json_object_get(o, "right"), *signals = json_object_get(o, "signals");
    const char *task = json_string_value(json_object_get(o, "task")), *name;
    json_t *v;
    if (!task || !json_is_object(signals)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "no answer of a job: \"task\" or \"signals\" is missing");
    if (!json_is_boolean(right)) {
        a->n_without++;
        return SLM_OK;
    }
    if (json_is_true(json_object_get(o, "abstained"))) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "the answer was given up, so nothing can be learnt of it");
        err_hint(err, "make the answers again without --abstain, --novel and --cal");
        return SLM_E_USAGE;
    }
    bool has_bound = bound_parse(json_object_get(o, "bound_to"), &bound);
    if (a->n == 0) {
        if (!text_copy(a->task, sizeof a->task, task)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"task\": not a job's name");
        a->has_bound = has_bound;
        a->bound = bound;
    } else if (strcmp(a->task, task) != 0 || a->has_bound != has_bound || memcmp(&a->bound, &bound, sizeof bound) != 0)
        return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "made by another job, model or prompt than the rows before");
    signals_init(&row.signals);
    row.ok = json_is_true(right);
    json_object_foreach((json_t *)signals, name, v) {
        enum signal s;
        if (signal_by_name(view_of(name), &s) && json_is_number(v)) row.signals.v[s] = json_number_value(v);
    }
    slm_status st = grow((void **)&a->rows, a->n, &a->cap, sizeof *a->rows, err);
    if (st == SLM_OK) a->rows[a->n++] = row;
    return st;
}

void answers_fini(struct answers *a) {
    free(a->rows);
    *a = (struct answers){0};
}

slm_status answers_read(const char *path, struct answers *out, slm_err *err) {
    *out = (struct answers){0};
    slm_status st = each_row(path, answer_row, out, err);
    if (st == SLM_OK && out->n == 0) {
        st = err_set(err, SLM_E_USAGE, SLM_NOWHERE, "\"%s\": no answer with a verdict", show_path(path).s);
        err_hint(err, "run the job over rows that have \"label\", with -o FILE");
    }
    if (st != SLM_OK) answers_fini(out);
    return st;
}

struct replaying {
    struct replay_row *rows;
    size_t n, cap;
};

static bool quality_of(const json_t *v, double *out) {
    *out = json_is_boolean(v) ? (json_is_true(v) ? 1 : 0) : json_number_value(v);
    return (json_is_boolean(v) || json_is_number(v)) && *out >= 0 && *out <= 1;
}

static bool cost_of(const json_t *v, double fallback, double *out) {
    *out = v ? json_number_value(v) : fallback;
    return (!v || json_is_number(v)) && *out >= 0;
}

static slm_status outcome_row(void *user, const json_t *o, slm_err *err) {
    struct replaying *r = user;
    struct replay_row row;
    const json_t *score = json_object_get(o, "score");
    if (!quality_of(json_object_get(o, "local_ok"), &row.local)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "member \"local_ok\": not true, false or 0 to 1");
    if (!quality_of(json_object_get(o, "frontier_ok"), &row.frontier)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "member \"frontier_ok\": not true, false or 0 to 1");
    if (!cost_of(json_object_get(o, "cost_local"), 0, &row.cost_local) || !cost_of(json_object_get(o, "cost_frontier"), 1, &row.cost_frontier))
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "a cost that is no number from 0 on");
    if (score && !json_is_number(score) && !json_is_null(score)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "member \"score\": not a number");
    row.score = json_is_number(score) ? json_number_value(score) : (double)NAN;
    slm_status st = grow((void **)&r->rows, r->n, &r->cap, sizeof *r->rows, err);
    if (st == SLM_OK) r->rows[r->n++] = row;
    return st;
}

slm_status replay_read(const char *path, struct replay_row **out, size_t *n, slm_err *err) {
    struct replaying r = {0};
    slm_status st = each_row(path, outcome_row, &r, err);
    if (st != SLM_OK) {
        free(r.rows);
        r = (struct replaying){0};
    }
    *out = r.rows;
    *n = r.n;
    return st;
}
