/* teach.c -- data in, a run, a report out. */
#include "base/json.h"
#include "cli/teach.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/show.h"
#include "base/util.h"
#include "cli/config.h"
#include "cli/term.h"
#include "train/ranks.h"

#define EVALS_IN_RUN 10
#define EVAL_STEP_TOKENS 4096 /* not a pass: what is evaluated on must not depend on memory */
#define SHOWN_ROWS 3
#define SHOWN_TOKENS 96

/* ---- numbers with units ---- */

static slm_status parse_unit(const char *text, const char *units, const double *factors, const char *what, const char *example, double *out, slm_err *err) {
    char *end;
    double v = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end) : units;
    if (end != text && v > 0 && isfinite(v) && unit && (!*end || !end[1] || strcmp(end + 1, "B") == 0 || strcmp(end + 1, "iB") == 0)) {
        *out = v * factors[unit - units];
        return SLM_OK;
    }
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%s \"%s\": not understood", what, show_cstr(text).s);
    err_hint(err, "write it as %s", example);
    return SLM_E_USAGE;
}

static slm_status parse_options(struct teach *t, slm_err *err) {
    static const double times[] = {1, 60, 3600, 86400}, sizes[] = {1, 1024, 1048576, 1073741824};
    double bytes = 0;
    slm_status st = SLM_OK;
    if (t->v->budget) TRY(parse_unit(t->v->budget, "smhd", times, "budget", "90s, 20m or 3h", &t->budget_s, err));
    if (t->v->mem) TRY(parse_unit(t->v->mem, "BKMG", sizes, "memory", "800M or 2G", &bytes, err));
    t->mem_bytes = (uint64_t)bytes;
    if (t->v->budget && t->v->steps) FAIL(SLM_E_USAGE, SLM_NOWHERE, "option \"--steps\": --budget is given too");
out:
    return st;
}

/* ---- several processes ---- */

void teach_say(const char *format, ...) {
    va_list args;
    if (ranks_get()->rank > 0) return;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
}

/* ---- data ---- */

static void say_bad_row(void *user, const slm_err *fault) {
    (void)user;
    if (ranks_get()->rank == 0) say_note("left out: %s", fault->msg);
}

static slm_status open_data(struct teach *t, const struct option_texts *paths, const struct tok *tok, float val_share, struct dataset **out, slm_err *err) {
    const struct teach_values *v = t->v;
    struct data_params p = {.paths = paths->v, .n_paths = paths->n, .format = (enum data_format)v->format, .doc_sep = v->doc_sep, .tok = tok, .tmpl = t->tmpl,
                            .system = v->system, .n_ctx = v->ctx, .loss_last = v->loss_last, .skip_bad = v->skip_bad, .val_share = val_share, .val_seed = t->seed,
                            .cancel = &interrupt_flag, .on_bad = say_bad_row};
    return dataset_open(&p, out, err);
}

static void say_data(const char *what, const struct dataset *d) {
    const struct data_stats *s = dataset_stats(d);
    teach_say("%s: %llu rows, %llu sequences, %llu tokens, loss on %llu (%.1f %%)", what, (unsigned long long)s->n_row, (unsigned long long)s->n_seq,
            (unsigned long long)s->n_token, (unsigned long long)s->n_loss, s->n_token ? 100.0 * (double)s->n_loss / (double)s->n_token : 0);
    if (s->n_cut) teach_say(", %llu cut at the context", (unsigned long long)s->n_cut);
    if (s->n_bad) teach_say(", %llu left out", (unsigned long long)s->n_bad);
    if (s->n_duplicate)
        teach_say(", %llu occur twice (first lines %llu and %llu)", (unsigned long long)s->n_duplicate, (unsigned long long)s->duplicate_line[0],
                (unsigned long long)s->duplicate_line[1]);
    teach_say("\n");
}

static slm_status check_leak(struct teach *t, slm_err *err) {
    struct data_overlap o;
    slm_status st = dataset_overlap(t->train, t->eval, &o, err);
    if (st != SLM_OK || o.n == 0) return st;
    if (t->v->allow_leak) {
        if (ranks_get()->rank == 0) say_note("%llu rows of --eval-data are in --data too", (unsigned long long)o.n);
        return SLM_OK;
    }
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%llu rows of --eval-data are in --data too: %s:%llu is %s:%llu", (unsigned long long)o.n, show_cstr(o.path_b).s,
            (unsigned long long)o.line_b, show_cstr(o.path_a).s, (unsigned long long)o.line_a);
    err_hint(err, "take them out, or say --allow-leak");
    return SLM_E_USAGE;
}

slm_status teach_begin(struct teach *t, const struct teach_values *v, const struct tok *tok, struct view template_text, slm_err *err) {
    slm_status st = SLM_OK;
    t->v = v;
    t->seed = v->seed.is_random ? (uint64_t)(time_now_s() * 1e6) : v->seed.value;
    TRY(parse_options(t, err));
    if (template_text.len) TRY(chat_template_create(&(struct chat_template_source){.text = template_text, .tok = tok}, &t->tmpl, err));
    TRY(open_data(t, &v->data, tok, v->val_split, &t->train, err));
    say_data("data", t->train);
    if (v->eval_data.n) {
        TRY(open_data(t, &v->eval_data, tok, 0, &t->eval, err));
        say_data("evaluation", t->eval);
        TRY(check_leak(t, err));
    }
    t->has_eval = v->eval_data.n || v->val_split > 0;
    t->longest = dataset_stats(t->train)->seq_tokens_max;
    if (t->eval && dataset_stats(t->eval)->seq_tokens_max > t->longest) t->longest = dataset_stats(t->eval)->seq_tokens_max;
out:
    return st;
}

void teach_end(struct teach *t) {
    if (t->source.ctx) data_source_destroy(&t->source);
    dataset_close(t->train);
    dataset_close(t->eval);
    chat_template_destroy(t->tmpl);
}

void teach_plan(const struct teach *t, struct trainee_params *p) {
    p->n_threads = t->v->threads;
    p->micro_tokens = t->v->micro_tokens;
    p->n_ctx = t->longest;
    p->recompute = t->v->recompute;
    p->mem_bytes = t->mem_bytes;
    p->optim_bytes = optim_bytes_per_param((enum optim_kind)t->v->opt);
    /* passes longer than a step would be memory for nothing */
    int32_t share = t->v->batch_tokens / ranks_get()->n; /* each process has a pass of its own */
    if (!p->micro_tokens && share < 4096) p->micro_tokens = share > t->longest ? share : t->longest;
}

/* ---- evaluation ---- */

static slm_status evaluate(void *user, struct trainee *t, struct run_eval *out, slm_err *err) {
    struct teach *c = user;
    slm_status st = SLM_OK;
    struct train_source s = {0};
    struct train_score *scores = NULL;
    void *mem;
    int64_t seen = 0;
    double sum = 0, weight = 0;
    uint64_t right = 0;
    int32_t micro_tokens = trainee_params_of(t)->micro_tokens, step = c->v->eval_tokens < EVAL_STEP_TOKENS ? c->v->eval_tokens : EVAL_STEP_TOKENS;
    TRY(dataset_source(c->eval ? c->eval : c->train, &(struct data_source_params){.side = c->eval ? DATA_ALL : DATA_VAL, .in_order = true, .once = true}, &s, err));
    TRY(mem_alloc(&mem, (size_t)micro_tokens, sizeof *scores, "scores", err));
    scores = mem;
    while (seen < c->v->eval_tokens && !interrupt_flag) {
        const struct train_batch *micro;
        int n_micro;
        TRY(s.next(s.ctx, step, micro_tokens, &micro, &n_micro, err));
        if (n_micro == 0) break;
        for (int i = 0; i < n_micro; i++) {
            TRY(trainee_loss(t, &micro[i], NULL, &sum, &weight, scores, err));
            for (int32_t k = 0; k < micro[i].n_tok; k++) {
                if (micro[i].target[k] < 0) continue;
                out->n++;
                right += scores[k].best == micro[i].target[k];
            }
            seen += micro[i].n_tok;
        }
    }
    if (out->n == 0 && !interrupt_flag) FAIL(SLM_E_USAGE, SLM_NOWHERE, "evaluation: no token has a loss");
    out->loss = weight > 0 ? sum / weight : 0;
    out->accuracy = out->n ? (double)right / (double)out->n : 0;
out:
    free(scores);
    if (s.ctx) data_source_destroy(&s);
    return st;
}

/* ---- what people see ---- */

static void put_time(char *out, size_t n, double s) {
    if (s < 90) snprintf(out, n, "%.0fs", s);
    else if (s < 5400) snprintf(out, n, "%.0fm%02.0fs", floor(s / 60), fmod(s, 60));
    else snprintf(out, n, "%.0fh%02.0fm", floor(s / 3600), floor(fmod(s, 3600) / 60));
}

static void show_point(void *user, const struct run_point *p) {
    char eta[32];
    (void)user;
    put_time(eta, sizeof eta, p->eta_s);
    if (p->n_step) teach_say("step %lld/%lld", (long long)p->step, (long long)p->n_step);
    else teach_say("step %lld", (long long)p->step);
    teach_say("  epoch %.2f  loss %.4f  lr %.2e  |g| %.3f  %.0f tokens/s", p->epoch, p->loss, p->lr, p->grad_norm, p->tokens_per_s);
    if (p->eval) teach_say("  eval loss %.4f, right %.2f %%%s", p->eval->loss, 100 * p->eval->accuracy, p->is_best ? ", the best" : "");
    if (p->n_skipped) teach_say("  %llu left out", (unsigned long long)p->n_skipped);
    if (p->n_step && p->step < p->n_step) teach_say("  %s to go", eta);
    teach_say("\n");
}

/* Some rows as the model sees them; what is learnt stands in brackets. */
static void show_rows(const struct teach *t, const struct tok *tok) {
    struct buf out;
    buf_init(&out, 1 << 20);
    for (uint64_t i = 0; i < dataset_n_seq(t->train) && i < SHOWN_ROWS; i++) {
        struct data_seq s = dataset_seq(t->train, i);
        bool inside = false;
        buf_printf(&out, "%s:%llu: ", show_cstr(s.path).s, (unsigned long long)s.line);
        for (int32_t k = 0; k <= s.n && k < SHOWN_TOKENS; k++) {
            bool learnt = k > 0 && s.stored[k] & DATA_LOSS_BIT;
            if (learnt != inside) buf_putc(&out, learnt ? '[' : ']');
            inside = learnt;
            struct view piece = tok_piece(tok, (int32_t)(s.stored[k] & ~DATA_LOSS_BIT), true);
            buf_puts(&out, show_view(piece).s);
        }
        buf_puts(&out, s.n >= SHOWN_TOKENS ? " ...\n" : inside ? "]\n" : "\n");
    }
    out_buf(&out);
    buf_fini(&out);
}

static slm_status write_config(const struct teach *t, const struct option_table *table, const void *values, slm_err *err) {
    char path[1024];
    struct buf text;
    struct file_out out = {0};
    slm_status st = SLM_OK;
    buf_init(&text, CONFIG_BYTES_MAX);
    if (snprintf(path, sizeof path, "%s/run.yaml", t->v->out) >= (int)sizeof path) FAIL(SLM_E_USAGE, SLM_NOWHERE, "folder \"%s\": its name is too long", t->v->out);
    mkdir(t->v->out, 0777); /* a folder that cannot be made is said by the writing */
    config_write(table, values, &text);
    TRY(buf_status(&text, "run.yaml", err));
    TRY(file_out_open(&out, path, err));
    fwrite(text.data, 1, text.len, out.stream);
    TRY(file_out_commit(&out, err));
out:
    file_out_discard(&out);
    buf_fini(&text);
    return st;
}

static slm_status print_result(const struct teach *t, const struct trainee *trainee, const struct run_result *r, slm_err *err) {
    char path[1024], seconds[32];
    snprintf(path, sizeof path, "%s/%s", t->v->out, t->result ? t->result : "model.gguf");
    if (t->v->json) {
        json_t *root = json_pack("{s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:b, s:I}", "output", json_text(view_of(path)), "parameters", (json_int_t)trainee_n_param(trainee), "steps",
                                 (json_int_t)r->n_step, "tokens", (json_int_t)r->tokens, "loss", json_f64(r->loss), "seconds", json_f64(r->seconds), "tokens_per_s", json_f64(r->tokens_per_s), "stopped_early",
                                 r->stopped_early, "skipped", (json_int_t)r->n_skipped);
        if (root && t->has_eval) json_object_set_new(root, "eval_loss", json_f64(r->best_loss));
        if (root && t->has_eval) json_object_set_new(root, "best_step", json_integer((json_int_t)r->best_step));
        return out_json(root, err);
    }
    put_time(seconds, sizeof seconds, r->seconds);
    out_printf("%s: %llu parameters, %lld steps, %llu tokens in %s, loss %.4f", path, (unsigned long long)trainee_n_param(trainee), (long long)r->n_step,
               (unsigned long long)r->tokens, seconds, r->loss);
    if (t->has_eval) out_printf(", evaluation %.4f at step %lld", r->best_loss, (long long)r->best_step);
    out_puts(r->stopped_early ? ", stopped early\n" : "\n");
    return out_status(err);
}

/* ---- the run ---- */

static uint64_t hash_values(const struct teach *t, int64_t n_step) {
    const struct teach_values *v = t->v;
    const double numbers[] = {(double)t->seed, (double)n_step, t->budget_s, (double)v->batch_tokens, (double)v->opt, (double)v->schedule, (double)v->lr, (double)v->warmup,
                              (double)v->min_lr, (double)v->decay_share, (double)v->beta1, (double)v->beta2, (double)v->eps, (double)v->wd, (double)v->clip, (double)v->spike,
                              (double)v->keep, (double)v->patience};
    return hash_bytes(hash_bytes(HASH_START, &t->identity, sizeof t->identity), numbers, sizeof numbers);
}

static int64_t steps_of(const struct teach *t) {
    if (t->budget_s > 0) return 0;
    if (t->v->steps) return t->v->steps;
    double n = ceil((double)t->v->epochs * (double)t->source.epoch_tokens / t->v->batch_tokens);
    return n < 1 ? 1 : (int64_t)n;
}

slm_status teach_run(struct teach *t, struct trainee *trainee, const struct option_table *table, const void *values, slm_err *err) {
    slm_status st = SLM_OK;
    const struct teach_values *v = t->v;
    const struct trainee_params *plan = trainee_params_of(trainee);
    struct run_result result;
    if (!t->source.ctx) TRY(dataset_source(t->train, &(struct data_source_params){.side = v->val_split > 0 ? DATA_TRAIN : DATA_ALL, .seed = t->seed, .token_dropout = v->token_dropout}, &t->source, err));
    int64_t n_step = steps_of(t), for_evals = n_step ? n_step : 1000;
    teach_say("training %llu parameters, %lld steps of %d tokens in passes of %d, recompute level %d, %.0f MB, %d threads\n",
            (unsigned long long)trainee_n_param(trainee), (long long)n_step, v->batch_tokens, plan->micro_tokens, plan->recompute, (double)trainee_bytes(trainee) / 1048576,
            pool_n_threads(trainee_pool(trainee)));
    if (v->dry_run) {
        if (ranks_get()->rank == 0) show_rows(t, trainee_model(trainee)->tok);
        return out_status(err);
    }
    if (ranks_get()->rank == 0) TRY(write_config(t, table, values, err));
    struct run_params p = {
        .folder = v->out, .n_step = n_step, .budget_s = t->budget_s, .batch_tokens = v->batch_tokens,
        .optim = {(enum optim_kind)v->opt, v->beta1, v->beta2, v->eps, v->wd, v->clip},
        .schedule = {(enum schedule_kind)v->schedule, v->lr > 0 ? (double)v->lr : t->lr, (double)v->min_lr, (double)v->warmup, (double)v->decay_share},
        .log_every = v->log_every, .eval_every = v->eval_every ? v->eval_every : for_evals / EVALS_IN_RUN + 1, .save_every = v->save_every, .patience = v->patience,
        .spike = (double)v->spike, .keep_last = v->keep == 1, .resume = v->resume, .cool = v->cool, .file_type = v->type ? v->type : "F32", .cancel = &interrupt_flag,
        .result = t->result ? t->result : "model.gguf", .evaluate = t->has_eval ? evaluate : NULL, .write_result = t->write_result, .on_point = show_point, .user = t,
    };
    p.identity = hash_values(t, n_step);
    interrupt_catch();
    TRY(run_train(trainee, &t->source, &p, &result, err));
    if (ranks_get()->rank == 0) TRY(print_result(t, trainee, &result, err));
    TRY(ranks_end(err));
out:
    return st;
}
