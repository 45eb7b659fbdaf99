/* generate.c -- the request's side of the scheduler.
 *
 * What crosses from the engine thread is small and fixed: ids and numbers. Text is made here, so the engine never waits for it. A stop
 * string is found here too; the few tokens the engine makes until the cancel arrives are not counted and not told. */
#include "serve/generate.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/cpu.h"
#include "base/util.h"
#include "engine/stop.h"
#include "text/schema/schema.h"

#define TEXT_BYTES_MAX ((size_t)64 << 20)
#define TICK_MS 250
#define TICK_CANCEL_MS 10 /* where somebody may cancel */

struct item { /* what the engine thread said */
    int i_answer;
    enum sched_kind kind;
    int32_t id, n_top;
    float logprob;
    size_t top_at;
    enum finish finish;
};
struct inbox {
    struct item *items;
    size_t n_items, cap_items;
    struct sched_top *tops;
    size_t n_tops, cap_tops;
};

struct run;
struct writer { /* one answer being made */
    struct run *run;
    struct answer *answer;
    uint64_t job;
    bool has_job, is_stopped; /* stopped: a stop string was met, what comes is not ours */
    struct detok detok;
    struct stop stop;
    struct buf piece, text;
    struct output_parser *parser;
    struct sched_usage usage; /* under the run's lock */
    slm_err error;
};
struct run {
    struct generation *g;
    struct writer *writers; /* [n_answers] */
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct inbox in;        /* under the lock */
    bool is_gone, is_short; /* short: no memory for an item */
    slm_status st;          /* the first error of a sink */
};

/* Room for n more; false: no memory. */
static bool grow(void **v, size_t *cap, size_t n_want, size_t size) {
    if (n_want <= *cap) return true;
    size_t n = *cap ? *cap * 2 : 64;
    while (n < n_want) n *= 2;
    void *grown = realloc(*v, n * size);
    if (!grown) return false;
    *v = grown;
    *cap = n;
    return true;
}

/* Engine thread. */
static void on_event(void *user, const struct sched_event *e) {
    struct writer *w = user;
    struct run *r = w->run;
    size_t n_top = e->kind == SCHED_TOKEN && e->n_top > 0 ? (size_t)e->n_top : 0;
    pthread_mutex_lock(&r->lock);
    void *items = r->in.items, *tops = r->in.tops;
    bool fits = grow(&items, &r->in.cap_items, r->in.n_items + 1, sizeof *r->in.items) && grow(&tops, &r->in.cap_tops, r->in.n_tops + n_top, sizeof *r->in.tops);
    r->in.items = items;
    r->in.tops = tops;
    w->usage = *e->usage;
    if (e->kind == SCHED_FAILED) w->error = *e->error;
    if (fits) {
        r->in.items[r->in.n_items++] = (struct item){w->answer->i, e->kind, e->id, (int32_t)n_top, e->logprob, r->in.n_tops, e->finish};
        for (size_t i = 0; i < n_top; i++) r->in.tops[r->in.n_tops++] = e->top[i];
    } else r->is_short = true;
    if (e->kind == SCHED_DONE || e->kind == SCHED_FAILED) w->has_job = false;
    pthread_cond_signal(&r->news);
    pthread_mutex_unlock(&r->lock);
}

/* Loop thread: the client has left. */
static void on_gone(void *user) {
    struct run *r = user;
    pthread_mutex_lock(&r->lock);
    r->is_gone = true;
    pthread_cond_signal(&r->news);
    pthread_mutex_unlock(&r->lock);
}

json_t *json_of_bytes(struct view v) {
    json_t *s = json_stringn(v.ptr ? v.ptr : "", v.len);
    if (s) return s;
    struct buf text;
    buf_init(&text, v.len * 3 + 1);
    for (size_t i = 0; i < v.len;) {
        uint32_t cp;
        int n = utf8_decode(v.ptr + i, v.len - i, &cp);
        if (n > 0) buf_append(&text, v.ptr + i, (size_t)n);
        else buf_puts(&text, "\xEF\xBF\xBD");
        i += n > 0 ? (size_t)n : 1;
    }
    s = json_stringn(text.data, text.len);
    buf_fini(&text);
    return s;
}

void make_id(const char *prefix, char out[40]) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    unsigned char bytes[24];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) memset(bytes, 0, sizeof bytes);
    int n = snprintf(out, 16, "%s", prefix);
    for (size_t i = 0; i < sizeof bytes; i++) out[(size_t)n + i] = letters[bytes[i] % 62];
    out[(size_t)n + sizeof bytes] = 0;
}

static json_t *token_json(const struct tok *t, int32_t id, float logprob) {
    struct view piece = tok_piece(t, id, true);
    json_t *bytes = json_array();
    for (size_t i = 0; i < piece.len; i++) json_array_append_new(bytes, json_integer((unsigned char)piece.ptr[i]));
    /* JSON has no -inf; -9999 is what OpenAI says for "very unlikely" */
    return json_pack("{s:o, s:f, s:o}", "token", json_of_bytes(piece), "logprob", isfinite(logprob) ? (double)logprob : -9999.0, "bytes", bytes);
}

/* {"token", "logprob", "bytes", "top_logprobs"} as OpenAI has it. */
static json_t *logprob_entry(const struct tok *t, int32_t id, float logprob, const struct sched_top *top, int32_t n_top) {
    json_t *e = token_json(t, id, logprob), *list = json_array();
    for (int32_t i = 0; i < n_top; i++) json_array_append_new(list, token_json(t, top[i].id, top[i].logprob));
    json_object_set_new(e, "top_logprobs", list);
    return e;
}

static void tell(struct writer *w, struct delta d) {
    struct run *r = w->run;
    if (r->st == SLM_OK) r->st = answer_tell(r->g, w->answer, d);
}

static void on_output(void *user, const struct output_event *e) {
    struct writer *w = user;
    struct run *r = w->run;
    if (r->st == SLM_OK) r->st = answer_take(r->g, w->answer, e);
}

static void tell_text(struct writer *w, enum output_kind kind, struct view text) { on_output(w, &(struct output_event){.kind = kind, .text = text}); }

static void put_text(struct writer *w, struct view text) {
    size_t n_reasoning = w->answer->reasoning.len;
    if (w->parser) output_parser_push(w->parser, text);
    else tell_text(w, OUTPUT_TEXT, text);
    if (w->answer->reasoning.len > n_reasoning) w->answer->n_reasoning++;
}

/* What is ready of the text so far, up to a stop string. */
static void emit(struct writer *w) {
    int i_stop = -1;
    buf_clear(&w->text);
    if (stop_push(&w->stop, (struct view){w->piece.data, w->piece.len}, &w->text, &i_stop)) {
        w->is_stopped = true;
        w->answer->finish = FINISH_STOP;
        w->answer->stop = w->run->g->stops[i_stop];
    }
    buf_clear(&w->piece);
    put_text(w, (struct view){w->text.data, w->text.len});
}

static void keep_logp(struct writer *w, float logprob) {
    struct answer *a = w->answer;
    void *grown = a->logp;
    if (grow(&grown, &a->cap_logp, a->n_logp + 1, sizeof *a->logp)) {
        a->logp = grown;
        a->logp[a->n_logp++] = logprob;
    } else w->run->st = fault_set(&w->run->g->c->fault, SLM_E_NOMEM, NULL, "answer: no memory");
}

static void take_token(struct writer *w, const struct item *item, const struct sched_top *tops) {
    struct generation *g = w->run->g;
    struct answer *a = w->answer;
    a->t_last = time_now_s();
    if (a->n_generated++ == 0) a->t_first = a->t_last;
    if (g->keep_ids) tok_ids_push(&a->ids, item->id, NULL);
    if (g->keeps_logp) keep_logp(w, item->logprob);
    if (a->logprobs) json_array_append_new(a->logprobs, logprob_entry(g->model->model->tok, item->id, item->logprob, tops + item->top_at, item->n_top));
    tell(w, (struct delta){.kind = DELTA_TOKEN, .id = item->id});
    detok_push(&w->detok, item->id, &w->piece);
    emit(w);
    if (w->is_stopped && w->has_job) sched_cancel(g->model->sched, w->job);
}

/* The independent judge: what the automaton could not hold may have gone wrong, and is said. */
static void check_text(struct writer *w) {
    struct generation *g = w->run->g;
    struct answer *a = w->answer;
    bool is_valid = true;
    slm_err err;
    if (!g->constraints || g->forces_call || a->finish == FINISH_CANCELLED) return;
    err_clear(&err);
    slm_status st = constraint_check(g->constraints[a->i], (struct view){a->text.data, a->text.len}, &is_valid, &err);
    if (st != SLM_OK || !is_valid) snprintf(a->invalid, sizeof a->invalid, "%.199s", err.msg[0] ? err.msg : "it is not of the schema");
}

static void finish(struct writer *w, const struct item *item) {
    struct answer *a = w->answer;
    if (!w->is_stopped) {
        a->finish = item->finish;
        detok_finish(&w->detok, &w->piece);
        emit(w);
        if (!w->is_stopped) {
            buf_clear(&w->text);
            stop_finish(&w->stop, &w->text);
            put_text(w, (struct view){w->text.data, w->text.len});
        }
    }
    if (w->parser) output_parser_finish(w->parser);
    check_text(w);
    a->is_over = true;
    tell(w, (struct delta){.kind = DELTA_END});
}

static void take(struct run *r, const struct item *item, const struct sched_top *tops) {
    struct writer *w = &r->writers[item->i_answer];
    pthread_mutex_lock(&r->lock);
    w->answer->usage = w->usage;
    pthread_mutex_unlock(&r->lock);
    switch (item->kind) {
    case SCHED_STARTED: tell(w, (struct delta){.kind = DELTA_START}); break;
    case SCHED_TOKEN:
        if (!w->is_stopped) take_token(w, item, tops);
        break;
    case SCHED_DONE: finish(w, item); break;
    case SCHED_FAILED:
        w->answer->is_over = true;
        if (r->st == SLM_OK) {
            r->g->c->fault.err = w->error;
            r->st = w->error.code;
        }
        break;
    }
}

static void cancel_all(struct run *r) {
    for (size_t i = 0; i < r->g->n_answers; i++)
        if (r->writers[i].job) sched_cancel(r->g->model->sched, r->writers[i].job);
}

static bool any_job(struct run *r) {
    for (size_t i = 0; i < r->g->n_answers; i++)
        if (r->writers[i].has_job) return true;
    return false;
}

/* Wait for news, at most a tick; what has come is moved to *got. False: no job is left and nothing has come. */
static bool wait_news(struct run *r, struct inbox *got) {
    struct timespec t;
    double left_s = r->g->deadline > 0 ? r->g->deadline - time_now_s() : 1;
    long tick_ms = r->g->is_cancelled ? TICK_CANCEL_MS : TICK_MS;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += left_s * 1e3 >= (double)tick_ms ? tick_ms * 1000000L : left_s > 0 ? 1 + (long)(left_s * 1e9) : 0;
    if (t.tv_nsec >= 1000000000L) t.tv_sec++, t.tv_nsec -= 1000000000L;
    pthread_mutex_lock(&r->lock);
    if (r->in.n_items == 0 && any_job(r) && !(r->is_gone && r->st == SLM_OK)) pthread_cond_timedwait(&r->news, &r->lock, &t);
    struct inbox empty = *got;
    *got = r->in;
    empty.n_items = empty.n_tops = 0;
    r->in = empty;
    if (r->st == SLM_OK && r->is_gone) r->st = fault_set(&r->g->c->fault, SLM_E_CANCELLED, NULL, "client: left");
    if (r->st == SLM_OK && r->g->is_cancelled && atomic_load(r->g->is_cancelled)) r->st = SLM_E_CANCELLED;
    if (r->st == SLM_OK && r->g->deadline > 0 && time_now_s() >= r->g->deadline) {
        r->st = fault_set(&r->g->c->fault, SLM_E_LIMIT, NULL, "answer: the deadline is over");
        r->g->c->fault.http_status = 504;
    }
    if (r->st == SLM_OK && r->is_short) r->st = fault_set(&r->g->c->fault, SLM_E_NOMEM, NULL, "answer: no memory");
    bool goes_on = got->n_items > 0 || any_job(r);
    pthread_mutex_unlock(&r->lock);
    return goes_on;
}

static void pump(struct run *r) {
    struct inbox got = {0};
    bool is_cancelled = false;
    while (wait_news(r, &got)) {
        for (size_t i = 0; i < got.n_items && r->st == SLM_OK; i++) take(r, &got.items[i], got.tops);
        if (r->st == SLM_OK && !r->g->is_quiet && http_is_begun(r->g->c->x)) r->st = stream_ping(r->g->c);
        if (r->st != SLM_OK && !is_cancelled) {
            is_cancelled = true;
            cancel_all(r);
        }
    }
    free(got.items);
    free(got.tops);
}

static slm_status writer_open(struct run *r, struct writer *w, struct answer *a, slm_err *err) {
    struct generation *g = r->g;
    const struct output_format *format = g->forces_call ? output_format_alone() : g->model->output;
    struct output_options o = {.prompt = g->forces_call ? (struct view){0} : g->prompt_text, .tools = g->tools};
    if (g->tells_live && (g->forces_call || g->guards)) o.form = output_format_form(format, g->model->chat);
    w->run = r;
    w->answer = a;
    buf_init(&w->piece, TEXT_BYTES_MAX);
    buf_init(&w->text, TEXT_BYTES_MAX);
    detok_init(&w->detok, g->model->model->tok, g->strip_first, g->parses);
    slm_status st = stop_init(&w->stop, g->stops, g->n_stops, err);
    if (st == SLM_OK && (g->parses || g->forces_call)) st = output_parser_create(format, &o, on_output, w, &w->parser, err);
    return st;
}

static void writer_close(struct writer *w) {
    stop_fini(&w->stop);
    output_parser_destroy(w->parser);
    buf_fini(&w->piece);
    buf_fini(&w->text);
}

static slm_status submit(struct run *r, struct writer *w, slm_err *err) {
    struct generation *g = r->g;
    struct sampler_params sampling = g->sampling->params;
    const struct tok_ids *prompt = &g->prompts[w->answer->i / g->n_each];
    sampling.seed += (uint64_t)(w->answer->i % g->n_each); /* answers to one prompt differ, each repeatable */
    struct sched_request q = {.prompt = prompt->v, .n_prompt = prompt->n, .sampling = &sampling, .n_max = g->n_max, .ignore_eos = g->ignore_eos, .strip_first = g->strip_first,
                              .n_top = g->n_top < 0 && g->keeps_logp ? 0 : g->n_top, .lora = g->c->r.lora ? &g->mix : g->model->model->lora_default, .client = g->c->key ? (uint64_t)(uintptr_t)g->c->key : hash_bytes(HASH_START, http_peer(g->c->x), strlen(http_peer(g->c->x))),
                              .constraint = g->constraints ? g->constraints[w->answer->i] : NULL, .guard = g->guards ? g->guards[w->answer->i] : NULL, .on_event = on_event, .user = w};
    pthread_mutex_lock(&r->lock);
    w->has_job = true;
    pthread_mutex_unlock(&r->lock);
    slm_status st = sched_submit(g->model->sched, &q, &w->job, err);
    if (st == SLM_OK) return st;
    pthread_mutex_lock(&r->lock);
    w->has_job = false;
    pthread_mutex_unlock(&r->lock);
    if (st == SLM_E_BUSY) g->c->fault.retry_s = 1 + (int)metric_mean_s(&g->c->server->metrics, METRIC_REQUEST_S);
    return st;
}

/* What a schema says and the automaton does not hold. */
static void tell_notes(struct generation *g, const struct schema_notes *notes) {
    struct buf text;
    buf_init(&text, 2048);
    for (size_t i = 0; notes && i < notes->n && text.len < 1024; i++) buf_printf(&text, "%s%s", i ? ", " : "", notes->notes[i].at);
    if (text.len && text.failed == SLM_OK) http_header_add(g->c->x, "x-slm-unenforced", text.data);
    buf_fini(&text);
}

/* Room for the shortest answer. */
static slm_status check_room(struct generation *g) {
    struct constrain_run *run;
    slm_status st = constrain_run_create(g->constraints[0], g->strip_first, &run, &g->c->fault.err);
    if (st != SLM_OK) return st;
    int32_t n_min = constrain_min_tokens(run);
    constrain_run_destroy(run);
    if (n_min < 0) return fault_set(&g->c->fault, SLM_E_UNSUPPORTED, NULL, "format: the model's vocabulary cannot spell any answer of it");
    if (g->n_max < 0 || n_min <= g->n_max) return SLM_OK;
    return fault_set(&g->c->fault, SLM_E_LIMIT, "max_tokens", "format: its shortest answer may take %d tokens, %d were asked for at most", n_min, g->n_max);
}

static slm_status make_constraints(struct generation *g) {
    const struct constrain_vocab *vocab;
    slm_err *err = &g->c->fault.err;
    slm_status st = SLM_OK;
    void *mem;
    size_t n = g->n_prompts * (size_t)g->n_each;
    TRY(models_vocab(g->c->server->models, g->model, &vocab, err));
    TRY(mem_alloc(&mem, n, sizeof(*g->constraints), "constraints", err));
    g->constraints = mem;
    g->n_answers = n;
    for (size_t i = 0; i < n; i++) TRY(constraint_create(g->spec, vocab, &g->constraints[i], err));
    TRY(check_room(g));
    tell_notes(g, constraint_notes(g->constraints[0]));
out:
    if (st == SLM_E_FORMAT) g->c->fault.http_status = 400; /* it came with the request */
    return st;
}

/* Guards of tools that may be called. Where there can be none (the family's calls are not JSON, or a tool's schema cannot be held to) calls are free,
 * and the header says so: that a call is right was not promised. */
static slm_status make_guards(struct generation *g) {
    const struct constrain_vocab *vocab;
    const struct call_form *form = output_format_form(g->model->output, g->model->chat);
    struct call_guard_spec spec = {.format = g->model->output, .form = form, .tools = g->tools, .prompt = g->prompt_text, .only_one = g->only_one_call, .strip_first = g->strip_first};
    slm_status st = SLM_OK;
    slm_err *err = &g->c->fault.err, why;
    size_t n = g->n_prompts * (size_t)g->n_each;
    void *mem;
    if (!form) {
        http_header_add(g->c->x, "x-slm-unenforced", "tools");
        return SLM_OK;
    }
    TRY(models_vocab(g->c->server->models, g->model, &vocab, err));
    TRY(mem_alloc(&mem, n, sizeof(*g->guards), "tools", err));
    g->guards = mem;
    g->n_answers = n;
    for (size_t i = 0; i < n && st == SLM_OK; i++) st = call_guard_create(&spec, vocab, &g->guards[i], &why);
    if (st == SLM_E_NOMEM) return *err = why, st;
    if (st != SLM_OK) { /* the first failed: all are alike */
        free(g->guards);
        g->guards = NULL;
        g->n_answers = 0;
        http_header_add(g->c->x, "x-slm-unenforced", why.msg);
        return SLM_OK;
    }
    if (!g->is_again) tell_notes(g, call_guard_notes(g->guards[0]));
out:
    return st;
}

slm_status generation_check(struct generation *g) {
    struct fault *f = &g->c->fault;
    if (!g->model->sched) return fault_set(f, SLM_E_UNSUPPORTED, "model", "model \"%s\": is an encoder and generates nothing", g->model->name);
    size_t n_ctx = (size_t)sched_n_ctx(g->model->sched);
    for (size_t i = 0; i < g->n_prompts; i++) {
        if (g->prompts[i].n == 0) return fault_set(f, SLM_E_USAGE, "prompt", "prompt: is empty");
        g->c->n_prompt += g->prompts[i].n;
        if (g->prompts[i].n < n_ctx) continue;
        f->n_prompt = g->prompts[i].n;
        f->n_ctx = n_ctx;
        f->code = "context_length_exceeded";
        return fault_set(f, SLM_E_LIMIT, NULL, "prompt: has %zu tokens, the context of model \"%s\" has room for %zu and the answer needs one at least", f->n_prompt, g->model->name, n_ctx);
    }
    if (g->c->r.lora && request_lora(g->c->r.lora, g->model->model, &g->mix, f) != SLM_OK) return f->err.code;
    return g->spec ? make_constraints(g) : g->holds_calls ? make_guards(g) : SLM_OK;
}

static void record(struct generation *g, double t_begin) {
    struct metrics *m = &g->c->server->metrics;
    for (size_t i = 0; i < g->n_answers; i++) {
        const struct answer *a = &g->answers[i];
        if (a->invalid[0] && !g->is_quiet && !http_is_begun(g->c->x)) http_header_add(g->c->x, "x-slm-schema-error", a->invalid);
        if (a->n_generated == 0) continue;
        if (g->c->first_token_s <= 0) g->c->first_token_s = a->t_first - t_begin;
        metric_observe(m, METRIC_FIRST_TOKEN_S, a->t_first - t_begin);
        if (a->n_generated > 1) metric_observe(m, METRIC_TOKEN_S, (a->t_last - a->t_first) / (double)(a->n_generated - 1));
    }
    g->c->n_cached = generation_n_cached(g);
    g->c->n_generated = generation_n_generated(g);
    metric_add(m, METRIC_PROMPT_TOKENS, (int64_t)generation_n_prompt(g));
    metric_add(m, METRIC_CACHED_TOKENS, (int64_t)g->c->n_cached);
    metric_add(m, METRIC_GENERATED_TOKENS, (int64_t)g->c->n_generated);
}

static void free_guards(struct generation *g) {
    for (size_t i = 0; g->guards && i < g->n_answers; i++) call_guard_destroy(g->guards[i]);
    free(g->guards);
    g->guards = NULL;
}

/* A guard keeps how far its answer has come: a second run needs new ones. */
static slm_status renew_guards(struct generation *g) {
    bool has_run = g->is_again;
    g->is_again = true;
    if (!has_run || !g->guards) return SLM_OK;
    free_guards(g);
    return make_guards(g);
}

void generation_fini(struct generation *g) {
    generation_forget(g);
    free_guards(g);
    for (size_t i = 0; g->constraints && i < g->n_answers; i++) constraint_destroy(g->constraints[i]);
    free(g->constraints);
    g->constraints = NULL;
}

slm_status generation_run(struct generation *g) {
    slm_status st = SLM_OK;
    slm_err *err = &g->c->fault.err;
    struct run r = {.g = g};
    void *mem = NULL;
    double t_begin = time_now_s();
    pthread_mutex_init(&r.lock, NULL);
    pthread_cond_init(&r.news, NULL);
    TRY(renew_guards(g));
    TRY(answers_begin(g));
    TRY(mem_alloc(&mem, g->n_answers, sizeof *r.writers, "answers", err));
    r.writers = mem;
    for (size_t i = 0; i < g->n_answers; i++) TRY(writer_open(&r, &r.writers[i], &g->answers[i], err));
    http_on_gone(g->c->x, on_gone, &r);
    for (size_t i = 0; i < g->n_answers && st == SLM_OK; i++) st = submit(&r, &r.writers[i], err);
    r.st = st;
    if (st != SLM_OK) cancel_all(&r);
    pump(&r);
    st = r.st;
    http_on_gone(g->c->x, NULL, NULL);
    record(g, t_begin);
out:
    for (size_t i = 0; r.writers && i < g->n_answers; i++) writer_close(&r.writers[i]);
    free(r.writers);
    free(r.in.items);
    free(r.in.tops);
    pthread_cond_destroy(&r.news);
    pthread_mutex_destroy(&r.lock);
    return st;
}
