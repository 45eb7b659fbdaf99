/* jobs.c -- from texts to lines of answers. Input streams: a pipe gets its answer as soon as its line is whole. */
#include "cli/jobs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/show.h"
#include "cli/input.h"
#include "cli/progress.h"
#include "cli/term.h"

struct run {
    const struct jobs_values *v;
    const char *task;
    job_fn fn;
    void *user;
    FILE *out;              /* NULL: standard output */
    struct progress bar;
    uint64_t n, n_skip, n_failed, n_abstained, n_label, n_right;
    bool is_single;
    const struct bound_to *bound;
    const struct cal *cal;  /* NULL: none */
    struct buf plain;
    double t0;
};

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static slm_status write_line(struct run *r, const char *text, size_t n, slm_err *err) {
    if (!r->out) {
        out_bytes(text, n);
        out_puts("\n");
        fflush(stdout);
        return out_status(err);
    }
    if (fwrite(text, 1, n, r->out) == n && fputc('\n', r->out) != EOF && fflush(r->out) == 0) return SLM_OK;
    return err_set(err, SLM_E_IO, SLM_NOWHERE, "write \"%s\": %s", show_path(r->v->output).s, strerror(errno));
}

static slm_status emit(struct run *r, const struct task_result *result, json_t *id, bool labelled, bool right, slm_err *err) {
    if (!r->v->json && !r->out) {
        slm_status st = buf_status(&r->plain, "an answer", err);
        if (st != SLM_OK) return st;
        out_text((struct view){r->plain.data ? r->plain.data : "", r->plain.len});
        out_puts("\n");
        fflush(stdout);
        return out_status(err);
    }
    json_t *o = result_json(result);
    if (o && id) json_object_set(o, "id", id);
    if (o && labelled) json_object_set_new(o, "right", json_boolean(right));
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    slm_status st = text ? write_line(r, text, strlen(text), err) : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "answer: out of memory");
    free(text);
    json_decref(o);
    return st;
}

static bool is_own_fault(slm_status st) { return st == SLM_E_LIMIT || st == SLM_E_USAGE || st == SLM_E_FORMAT || st == SLM_E_FAILED; }

/* One text to one line. fault: what was wrong with its row already. */
static slm_status do_job(struct run *r, struct view text, const char *label, json_t *id, const slm_err *fault, slm_err *err) {
    struct task_result result;
    struct job job = {text, label, r->n++};
    bool right = false;
    slm_err own;
    if (job.number < r->n_skip) return SLM_OK;
    result_init(&result, r->task);
    buf_clear(&r->plain);
    err_clear(&own);
    double t0 = time_now_s();
    slm_status st = fault ? (own = *fault, fault->code) : r->fn(r->user, &job, &result, &r->plain, &right, &own);
    result.local_ms = 1e3 * (time_now_s() - t0);
    if (st != SLM_OK && (r->is_single || !is_own_fault(st))) {
        if (err) *err = own;
        result_fini(&result);
        return st;
    }
    if (st != SLM_OK) {
        json_decref(result.output);
        result.output = NULL;
        result.tier = RESULT_NONE;
        signals_init(&result.signals);
        result.confidence = (double)NAN;
        result.n_reason = 0;
        result_reason(&result, "failed");
        json_decref(result.more);
        result.more = json_pack("{s:o}", "error", json_text(view_of(own.msg)));
        buf_clear(&r->plain);
        buf_printf(&r->plain, "error: %s", own.msg);
        r->n_failed++;
    }
    if (r->bound) result.bound = *r->bound, result.has_bound = true;
    if (st == SLM_OK && !result.abstained) result_judge(&result, r->cal);
    if (result.abstained) right = false;
    if (result.abstained && result.cal) buf_clear(&r->plain), buf_printf(&r->plain, "-\t%.4f", result.confidence);
    r->n_abstained += result.abstained;
    r->n_label += label != NULL;
    r->n_right += right;
    st = emit(r, &result, id, label != NULL, right, err);
    result_fini(&result);
    return st;
}

static slm_status do_line(struct run *r, struct view line, bool is_json, slm_err *err) {
    if (!is_json) return do_job(r, line, NULL, NULL, NULL, err);
    json_error_t e;
    slm_err fault;
    json_t *o = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, &e);
    const json_t *text = json_object_get(o, "text");
    const char *why = !o ? e.text : !json_is_object(o) ? "not an object" : !json_is_string(text) ? "no member \"text\" that is a text" : NULL;
    if (why) err_set(&fault, SLM_E_FORMAT, SLM_NOWHERE, "row %llu: %s", (unsigned long long)r->n + 1, show_cstr(why).s);
    slm_status st = do_job(r, why ? (struct view){"", 0} : (struct view){json_string_value(text), json_string_length(text)}, why ? NULL : json_string_value(json_object_get(o, "label")),
                           json_object_get(o, "id"), why ? &fault : NULL, err);
    json_decref(o);
    return st;
}

static slm_status do_stream(struct run *r, slm_err *err) {
    struct input_lines l;
    bool has_line = false, is_json = r->v->jsonl || (r->v->file && ends_with(r->v->file, ".jsonl"));
    char note[64];
    slm_status st = input_lines_open(&l, r->v->file, err);
    if (st != SLM_OK) return st;
    progress_begin(&r->bar);
    while ((st = input_lines_next(&l, &has_line, err)) == SLM_OK && has_line) {
        if (interrupt_flag) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
        if (l.line.len == 0) continue;
        TRY(do_line(r, (struct view){l.line.data, l.line.len}, is_json, err));
        snprintf(note, sizeof note, "%llu texts", (unsigned long long)r->n);
        if (l.n_whole) progress_show(&r->bar, (double)l.n_taken / (double)l.n_whole, note);
    }
    if (st != SLM_OK && st != SLM_E_CANCELLED) err_wrap(err, st, "\"%s\", behind row %llu", r->v->file ? show_path(r->v->file).s : "-", (unsigned long long)r->n);
out:
    progress_end(&r->bar);
    input_lines_close(&l);
    return st;
}

/* Answers behind the rows that are read would be read as rows: without end, and half a row at the end would be cut away. */
static bool is_read(const struct jobs_values *v, const char *path) {
    struct stat in, out;
    bool is_file = v->file && strcmp(v->file, "-") != 0;
    if (v->texts.n || (is_file ? stat(v->file, &in) : fstat(STDIN_FILENO, &in)) != 0 || (path ? stat(path, &out) : fstat(STDOUT_FILENO, &out)) != 0) return false;
    return S_ISREG(in.st_mode) && in.st_dev == out.st_dev && in.st_ino == out.st_ino;
}

/* Whole lines that are there already; half a line is cut away. */
static slm_status open_output(struct run *r, slm_err *err) {
    const char *path = r->v->output;
    if (is_read(r->v, path))
        return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%s\"%s\" is the file that is read", path ? "option \"--output\": " : "standard output: ", path ? show_path(path).s : r->v->file ? show_path(r->v->file).s : "-");
    if (!path) return SLM_OK;
    if (!(r->out = fopen(path, "a+b"))) return err_set(err, SLM_E_IO, SLM_NOWHERE, "\"%s\": %s", show_path(path).s, strerror(errno));
    char block[65536];
    off_t whole = 0, at = 0;
    rewind(r->out);
    for (size_t n; (n = fread(block, 1, sizeof block, r->out)) > 0; at += (off_t)n)
        for (size_t i = 0; i < n; i++)
            if (block[i] == '\n') whole = at + (off_t)i + 1, r->n_skip++;
    if (ferror(r->out) || (whole < at && ftruncate(fileno(r->out), whole) != 0)) return err_set(err, SLM_E_IO, SLM_NOWHERE, "\"%s\": cannot be gone on with", show_path(path).s);
    if (r->n_skip) say_note("\"%s\" has %llu answers already: going on behind them", show_path(path).s, (unsigned long long)r->n_skip);
    fseeko(r->out, 0, SEEK_END);
    return SLM_OK;
}

static void say_tally(const struct run *r) {
    struct buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "%llu texts", (unsigned long long)r->n);
    if (r->n_label) buf_printf(&b, ", %llu of %llu right (%.2f %%)", (unsigned long long)r->n_right, (unsigned long long)r->n_label, 100 * (double)r->n_right / (double)r->n_label);
    if (r->n_abstained) buf_printf(&b, ", %llu given up (they need the frontier tier)", (unsigned long long)r->n_abstained);
    if (r->n_failed) buf_printf(&b, ", %llu failed", (unsigned long long)r->n_failed);
    say_note("%s, %.1f s", b.data, time_now_s() - r->t0);
    buf_fini(&b);
}

slm_status jobs_run(const struct jobs_values *v, const char *task, const struct bound_to *bound, job_fn fn, void *user, slm_err *err) {
    slm_status st = SLM_OK;
    struct cal cal;
    struct run r = {.v = v, .task = task, .bound = bound, .fn = fn, .user = user, .is_single = v->texts.n == 1, .t0 = time_now_s()};
    buf_init(&r.plain, INPUT_LINE_BYTES_MAX);
    if (v->cal) {
        SLM_ASSERT(bound);
        TRY(cal_open(v->cal, &cal, err));
        TRY(cal_check(&cal, task, *bound, err));
        r.cal = &cal;
        if (!cal.result.certified) say_note("\"%s\" promises nothing: every answer is given up", show_path(v->cal).s);
    }
    TRY(open_output(&r, err));
    interrupt_catch();
    for (size_t i = 0; i < v->texts.n && st == SLM_OK; i++) st = do_job(&r, view_of(v->texts.v[i]), NULL, NULL, NULL, err);
    if (st == SLM_OK && v->texts.n == 0) st = do_stream(&r, err);
    interrupt_release();
    if (st == SLM_OK && !r.is_single && r.n > 1) say_tally(&r);
    if (st == SLM_OK && r.n_failed) st = err_set(err, SLM_E_FAILED, SLM_NOWHERE, "%llu of %llu texts failed", (unsigned long long)r.n_failed, (unsigned long long)r.n);
    if (st == SLM_OK && r.is_single && r.n_abstained) {
        st = err_set(err, SLM_E_NEEDS_FRONTIER, SLM_NOWHERE, "the answer is not sure enough to keep");
        err_hint(err, "ask a frontier model, or keep less sure answers with a lower --abstain or another --cal");
    }
out:
    if (r.out && fclose(r.out) != 0 && st == SLM_OK) st = err_set(err, SLM_E_IO, SLM_NOWHERE, "write \"%s\": %s", show_path(v->output).s, strerror(errno));
    buf_fini(&r.plain);
    return st;
}
