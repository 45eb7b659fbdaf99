/* run.c -- the loop of a run. Everything that a step changes is in struct ckpt_state, the weights and the optimizer's state, so a checkpoint is
 * those and nothing else. */
#include "train/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/json.h"
#include "base/show.h"
#include "train/ckpt_int.h"
#include "train/net_int.h"
#include "train/ranks.h"

#define PATH_MAX_BYTES 1024
#define LOG_BYTES_MAX ((size_t)256 << 20)
#define PROBE_STEPS 4      /* whose speed decides how many a budget of time buys */
#define SPIKE_MIN_STEPS 64 /* before them no step is left out */
#define NORM_KEEP 0.98

struct run {
    struct trainee *t;
    struct train_source *source;
    const struct run_params *p;
    struct optim *optim;
    struct ckpt_state s;
    struct optim_run runs[5];
    size_t n_runs;
    char path_ckpt[PATH_MAX_BYTES], path_log[PATH_MAX_BYTES], path_model[PATH_MAX_BYTES], path_plot[PATH_MAX_BYTES];
    FILE *log;
    uint64_t tokens_logged;
    double t_logged, t_begin, t_done; /* seconds; t_done: of the run before this resume */
    double lr, norm;
    bool is_first, is_cancelled; /* is_first: the process that writes and talks; is_cancelled: some process was, after a step of several */
};

/* ---- the folder ---- */

static slm_status make_folder(const char *path, slm_err *err) {
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return SLM_OK;
    return err_set(err, SLM_E_IO, SLM_NOWHERE, "folder \"%s\": %s", show_cstr(path).s, strerror(errno));
}

static slm_status set_path(char *out, const char *folder, const char *name, slm_err *err) {
    if (snprintf(out, PATH_MAX_BYTES, "%s/%s", folder, name) < PATH_MAX_BYTES) return SLM_OK;
    return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "folder \"%s\": its name is too long", show_cstr(folder).s);
}

/* Lines of the log up to a step; a run that goes on writes the later ones again. */
static slm_status cut_log(const char *path, int64_t step, slm_err *err) {
    slm_status st = SLM_OK;
    struct buf old;
    struct file_out out = {0};
    buf_init(&old, LOG_BYTES_MAX);
    TRY(file_read(&old, path, err));
    TRY(file_out_open(&out, path, err));
    for (char *line = old.data, *end; line && (end = strchr(line, '\n')) != NULL; line = end + 1) {
        json_t *row = json_loadb(line, (size_t)(end - line), 0, NULL);
        json_int_t at = json_integer_value(json_object_get(row, "step"));
        json_decref(row);
        if (at > step) break;
        fwrite(line, 1, (size_t)(end - line) + 1, out.stream);
    }
    TRY(file_out_commit(&out, err));
out:
    file_out_discard(&out);
    buf_fini(&old);
    return st;
}

static slm_status open_log(struct run *r, slm_err *err) {
    if (!r->is_first) return SLM_OK;
    if (r->s.step > 0 && access(r->path_log, F_OK) == 0) {
        slm_status st = cut_log(r->path_log, r->s.step, err);
        if (st != SLM_OK) return st;
    }
    r->log = fopen(r->path_log, r->s.step > 0 ? "a" : "w");
    return r->log ? SLM_OK : err_set(err, SLM_E_IO, SLM_NOWHERE, "\"%s\": %s", show_cstr(r->path_log).s, strerror(errno));
}

/* ---- checkpoints and the result ---- */

static slm_status save(struct run *r, slm_err *err) {
    if (!r->is_first) return SLM_OK;
    r->s.seconds = r->t_done + time_now_s() - r->t_begin;
    slm_status st = run_plot(r->path_log, r->path_plot, err);
    if (st != SLM_OK) return st;
    return ckpt_write(r->path_ckpt, &r->s, r->runs, r->n_runs, err);
}

static slm_status write_result(struct run *r, slm_err *err) {
    if (!r->is_first) return SLM_OK;
    if (r->p->write_result) return r->p->write_result(r->p->user, r->t, r->path_model, err);
    return trainee_export(r->t, r->path_model, r->p->file_type, NULL, 0, err);
}

static slm_status nothing_to_cool(const struct run *r, slm_err *err) {
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--cool\": \"%s\" %s", show_cstr(r->path_ckpt).s, r->p->resume ? "is not there" : "is not gone on from");
    err_hint(err, "it ends a run that has a checkpoint: give --resume too");
    return SLM_E_USAGE;
}

static slm_status load(struct run *r, slm_err *err) {
    struct optim_run state[4];
    size_t n = optim_state(r->optim, state);
    r->runs[0] = (struct optim_run){r->t->w, r->t->n_elem * sizeof *r->t->w};
    for (size_t i = 0; i < n; i++) r->runs[i + 1] = state[i];
    r->n_runs = n + 1;
    r->s = (struct ckpt_state){.identity = r->p->identity, .data_identity = r->source->identity, .n_elem = r->t->n_elem, .n_step = r->p->n_step};
    r->source->tell(r->source->ctx, &r->s.cursor);
    if (r->p->cool && (!r->p->resume || access(r->path_ckpt, F_OK) != 0)) return nothing_to_cool(r, err);
    if (!r->p->resume || access(r->path_ckpt, F_OK) != 0) return SLM_OK;
    slm_status st = ckpt_read(r->path_ckpt, &r->s, r->runs, r->n_runs, err);
    if (st == SLM_OK) st = r->source->seek(r->source->ctx, &r->s.cursor, err);
    if (st == SLM_OK && r->p->cool && !r->s.n_cool) { /* one that already cools goes on as it began */
        r->s.cool_from = r->s.step;
        r->s.n_cool = r->p->cool;
    }
    r->t_done = r->s.seconds;
    return st;
}

/* ---- where it ends, and how fast it learns until then ---- */

static int64_t last_step(const struct run *r) { return r->s.n_cool ? r->s.cool_from + r->s.n_cool : r->s.n_step; }

static double rate_at(const struct run *r, int64_t step) {
    int64_t n = r->s.n_step ? r->s.n_step : INT64_MAX;
    if (!r->s.n_cool) return schedule_at(&r->p->schedule, step, n);
    double share = (double)(step - r->s.cool_from) / (double)r->s.n_cool;
    return schedule_at(&r->p->schedule, r->s.cool_from > 0 ? r->s.cool_from : 1, n) * (1 - (1 - r->p->schedule.min_share) * share);
}

/* ---- metrics ---- */

static void log_line(struct run *r, const struct run_point *p) {
    json_t *row = json_pack("{s:I, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "step", (json_int_t)p->step, "loss", json_f64(p->loss), "lr", json_f64(p->lr), "grad_norm", json_f64(p->grad_norm), "tokens",
                            (json_int_t)p->tokens, "epoch", json_f64(p->epoch), "tokens_per_s", json_f64(p->tokens_per_s), "seconds", json_f64(p->seconds));
    if (row && p->n_skipped) json_object_set_new(row, "skipped", json_integer((json_int_t)p->n_skipped));
    if (row && p->eval) {
        json_object_set_new(row, "eval_loss", json_f64(p->eval->loss));
        json_object_set_new(row, "eval_accuracy", json_f64(p->eval->accuracy));
        json_object_set_new(row, "best", json_boolean(p->is_best));
    }
    char *text = row ? json_dumps(row, JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    if (text) fprintf(r->log, "%s\n", text);
    fflush(r->log);
    free(text);
    json_decref(row);
}

static void report(struct run *r, const struct run_eval *eval, bool is_best) {
    double now = time_now_s(), seconds = r->t_done + now - r->t_begin;
    r->s.last_loss = r->s.loss_weight > 0 ? r->s.loss_sum / r->s.loss_weight : r->s.last_loss;
    struct run_point p = {.step = r->s.step, .n_step = last_step(r), .loss = r->s.last_loss, .lr = r->lr, .grad_norm = r->norm, .tokens = r->s.tokens, .seconds = seconds,
                          .n_skipped = r->s.n_skipped, .eval = eval, .is_best = is_best};
    p.tokens_per_s = now > r->t_logged ? (double)(r->s.tokens - r->tokens_logged) / (now - r->t_logged) : 0;
    p.eta_s = r->s.step ? seconds / (double)r->s.step * (double)(last_step(r) - r->s.step) : 0;
    p.epoch = r->source->epoch_tokens > 0 ? (double)r->s.tokens / (double)r->source->epoch_tokens : 0;
    if (r->is_first) log_line(r, &p);
    if (r->is_first && r->p->on_point) r->p->on_point(r->p->user, &p);
    r->s.loss_sum = r->s.loss_weight = 0;
    r->tokens_logged = r->s.tokens;
    r->t_logged = time_now_s();
}

/* ---- a step ---- */

/* Far above the usual length? Both means forget slowly. */
static bool is_spike(struct run *r, double norm) {
    double deviation = sqrt(fmax(0, r->s.norm_square - r->s.norm_mean * r->s.norm_mean));
    bool spike = r->p->spike > 0 && r->s.n_norm >= SPIKE_MIN_STEPS && norm > r->s.norm_mean + r->p->spike * deviation && norm > 2 * r->s.norm_mean;
    double seen = spike ? r->s.norm_mean + r->p->spike * deviation : norm; /* so that a lasting change is accepted in the end */
    double keep = r->s.n_norm == 0 ? 0 : NORM_KEEP;
    r->s.norm_mean = keep * r->s.norm_mean + (1 - keep) * seen;
    r->s.norm_square = keep * r->s.norm_square + (1 - keep) * seen * seen;
    r->s.n_norm++;
    return spike;
}

static slm_status not_a_number(struct run *r, const struct ckpt_state *before, const char *what, slm_err *err) {
    int64_t step = r->s.step + 1;
    r->s = *before;
    slm_status st = save(r, err);
    if (st != SLM_OK) return st;
    err_set(err, SLM_E_FAILED, SLM_NOWHERE, "step %lld: %s is not a number; the weights before it are in \"%s\"", (long long)step, what, show_cstr(r->path_ckpt).s);
    err_hint(err, "lower --lr, set --clip, or look at the data of this step");
    return SLM_E_FAILED;
}

/* Gradients and sums over every n-th micro-batch become those over all. */
static slm_status join(struct run *r, double *sum, double *weight, slm_err *err) {
    double all[] = {*sum, *weight, r->p->cancel && *r->p->cancel};
    slm_status st = SLM_OK;
    if (ranks_get()->n == 1) return SLM_OK;
    TRY(ranks_sum(all, 3, err));
    TRY(ranks_sum_floats(r->t->g, r->t->n_elem, err));
    *sum = all[0];
    *weight = all[1];
    r->is_cancelled = all[2] > 0;
out:
    return st;
}

static slm_status step(struct run *r, slm_err *err) {
    const struct train_batch *micro;
    int n_micro;
    const struct ranks *ranks = ranks_get();
    double weight_all = 0, sum = 0, weight = 0;
    struct ckpt_state before = r->s;
    slm_status st = r->source->next(r->source->ctx, r->p->batch_tokens, r->t->micro_tokens, &micro, &n_micro, err);
    if (st != SLM_OK) return st;
    trainee_zero_grad(r->t);
    for (int i = 0; i < n_micro; i++) weight_all += train_batch_weight(&micro[i]);
    for (int i = 0; i < n_micro; i++) {
        if (i % ranks->n == ranks->rank) st = trainee_backward(r->t, &micro[i], weight_all, &sum, &weight, err);
        if (st != SLM_OK) return st;
        r->s.tokens += (uint64_t)micro[i].n_tok;
    }
    if ((st = join(r, &sum, &weight, err)) != SLM_OK) return st;
    r->norm = optim_norm(r->optim);
    if (!isfinite(sum)) return not_a_number(r, &before, "the loss", err);
    if (!isfinite(r->norm)) return not_a_number(r, &before, "a gradient", err);
    r->s.step++;
    r->lr = rate_at(r, r->s.step);
    if (is_spike(r, r->norm)) r->s.n_skipped++;
    else optim_step(r->optim, r->s.step, r->lr, r->norm);
    r->source->tell(r->source->ctx, &r->s.cursor);
    r->s.loss_sum += sum;
    r->s.loss_weight += weight;
    return SLM_OK;
}

/* How many steps the budget buys at the speed of the first ones; they ran at the rate that warming up starts with. */
static slm_status settle_steps(struct run *r, slm_err *err) {
    if (r->s.n_step || r->s.step < PROBE_STEPS) return SLM_OK;
    double each = (time_now_s() - r->t_begin) / (double)r->s.step;
    r->s.n_step = (int64_t)fmax(r->p->budget_s / each, PROBE_STEPS + 1);
    return ranks_share(&r->s.n_step, sizeof r->s.n_step, err);
}

static slm_status evaluate(struct run *r, bool *stop, slm_err *err) {
    struct run_eval e = {0};
    slm_status st = r->is_first ? r->p->evaluate(r->p->user, r->t, &e, err) : SLM_OK;
    if (st == SLM_OK) st = ranks_share(&e, sizeof e, err);
    if (st != SLM_OK) return st;
    bool best = !r->s.has_best || e.loss < r->s.best_loss;
    if (best) {
        r->s.best_loss = e.loss;
        r->s.best_step = r->s.step;
        r->s.has_best = 1;
    }
    r->s.n_worse = best ? 0 : r->s.n_worse + 1;
    report(r, &e, best);
    *stop = r->p->patience > 0 && r->s.n_worse >= r->p->patience;
    if (best && !r->p->keep_last) st = write_result(r, err);
    /* the checkpoint must know what model.gguf holds */
    return st == SLM_OK && best && !r->p->keep_last ? save(r, err) : st;
}

static bool is_cancelled(const struct run *r) { return ranks_get()->n > 1 ? r->is_cancelled : r->p->cancel && *r->p->cancel; }

/* All begin at one place with the same weights, and cut steps alike. */
static slm_status meet(struct run *r, slm_err *err) {
    slm_status st = SLM_OK;
    TRY(ranks_agree("data", (int64_t)r->source->identity, err));
    TRY(ranks_agree("options", (int64_t)r->p->identity, err));
    TRY(ranks_agree("checkpoint", r->s.step, err));
    TRY(ranks_agree("tokens of a pass", r->t->micro_tokens, err));
    TRY(ranks_share(r->t->w, r->t->n_elem * sizeof *r->t->w, err));
out:
    return st;
}

static slm_status loop(struct run *r, struct run_result *out, slm_err *err) {
    slm_status st = SLM_OK;
    bool stop = false;
    while (!stop && (last_step(r) == 0 || r->s.step < last_step(r))) {
        if (is_cancelled(r)) {
            TRY(save(r, err));
            FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted at step %lld; --resume goes on from there", (long long)r->s.step);
        }
        TRY(step(r, err));
        TRY(settle_steps(r, err));
        bool last = r->s.step == last_step(r);
        if (r->p->evaluate && (last || (r->p->eval_every && r->s.step % r->p->eval_every == 0))) TRY(evaluate(r, &stop, err));
        else if (last || (r->p->log_every && r->s.step % r->p->log_every == 0)) report(r, NULL, false);
        if (r->p->save_every && r->s.step % r->p->save_every == 0) TRY(save(r, err));
    }
    out->stopped_early = stop;
    if (!r->p->evaluate || r->p->keep_last) TRY(write_result(r, err));
    TRY(save(r, err));
out:
    return st;
}

slm_status run_train(struct trainee *t, struct train_source *source, const struct run_params *p, struct run_result *out, slm_err *err) {
    slm_status st = SLM_OK;
    struct run r = {.t = t, .source = source, .p = p, .is_first = ranks_get()->rank == 0};
    *out = (struct run_result){0};
    TRY(set_path(r.path_ckpt, p->folder, "checkpoint.slm", err));
    TRY(set_path(r.path_log, p->folder, "log.jsonl", err));
    TRY(set_path(r.path_model, p->folder, p->result, err));
    TRY(set_path(r.path_plot, p->folder, "loss.svg", err));
    TRY(make_folder(p->folder, err));
    TRY(optim_create(t, &p->optim, &r.optim, err));
    TRY(load(&r, err));
    TRY(meet(&r, err));
    TRY(open_log(&r, err));
    r.t_begin = r.t_logged = time_now_s();
    r.tokens_logged = r.s.tokens;
    uint64_t tokens_before = r.s.tokens;
    TRY(loop(&r, out, err));
    double seconds = time_now_s() - r.t_begin;
    out->n_step = r.s.step;
    out->best_step = r.s.best_step;
    out->loss = r.s.last_loss;
    out->best_loss = r.s.best_loss;
    out->seconds = r.t_done + seconds;
    out->tokens_per_s = seconds > 0 ? (double)(r.s.tokens - tokens_before) / seconds : 0;
    out->tokens = r.s.tokens;
    out->n_skipped = r.s.n_skipped;
out:
    if (r.log) fclose(r.log);
    optim_destroy(r.optim);
    return st;
}
