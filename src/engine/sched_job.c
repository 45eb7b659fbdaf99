/* sched_job.c -- one request's life: its copy, its tokens, its events. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/util.h"
#include "engine/sched_int.h"

#define JOB_BYTES_MAX (1u << 20) /* stop strings, biases and breakers of a request */

/* Copies into the job's arena; NULL only without memory. */
static void *copy(struct job *j, const void *from, size_t n, size_t size) {
    void *to = arena_alloc(&j->mem, n * size + 1, 16);
    if (to && n) memcpy(to, from, n * size);
    return to;
}

/* The request's own copies of what its pointers lead to; the sampler and ids keep theirs. */
static slm_status copy_stops(struct job *j, slm_err *err) {
    struct view *stops = copy(j, j->r.stops, j->r.n_stops, sizeof *stops);
    for (size_t i = 0; stops && i < j->r.n_stops; i++) {
        stops[i].ptr = arena_strdup(&j->mem, j->r.stops[i]);
        if (!stops[i].ptr) stops = NULL;
    }
    if (!stops) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "stop strings: more than %u bytes", JOB_BYTES_MAX);
    j->r.stops = stops;
    return SLM_OK;
}

static slm_status check(const struct sched *s, const struct sched_request *r, slm_err *err) {
    if (r->n_prompt == 0) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "the prompt has no tokens");
    if (r->n_prompt > (size_t)s->p.n_ctx)
        return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "prompt of %zu tokens: does not fit a context of %d", r->n_prompt, s->p.n_ctx);
    if (r->n_top > SCHED_TOP_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "logprobs \"%d\": at most %d", r->n_top, SCHED_TOP_MAX);
    return SLM_OK;
}

slm_status job_create(struct sched *s, const struct sched_request *r, struct job **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct job *j = NULL;
    void *mem;
    *out = NULL;
    TRY(check(s, r, err));
    TRY(mem_alloc(&mem, 1, sizeof *j, "request", err));
    j = mem;
    j->r = *r;
    j->t_submit = time_now_s();
    j->seq.lora = s->model->lora_default;
    if (r->lora) {
        j->lora = *r->lora;
        j->seq.lora = &j->lora;
    }
    j->r.lora = NULL;
    j->usage.n_prompt = r->n_prompt;
    arena_init(&j->mem, JOB_BYTES_MAX);
    TRY(copy_stops(j, err));
    TRY(outlet_init(&j->outlet, s->model->tok, j->r.stops, j->r.n_stops, r->strip_first, err));
    TRY(sampler_create(r->sampling, tok_n_vocab(s->model->tok), &j->sampler, err));
    if (r->constraint) TRY(constrain_run_create(r->constraint, r->strip_first, &j->run, err));
    for (size_t i = 0; i < r->n_prompt; i++) {
        TRY(sampler_accept(j->sampler, r->prompt[i], err));
        TRY(tok_ids_push(&j->ids, r->prompt[i], err));
    }
    j->r.prompt = NULL;
    j->r.sampling = NULL;
    *out = j;
    return SLM_OK;
out:
    if (j) job_destroy(s, j);
    return st;
}

void job_destroy(struct sched *s, struct job *j) {
    kv_seq_fini(s->kv, &j->seq);
    pthread_mutex_lock(&s->lock);
    if (j->next_alive) j->next_alive->prev_alive = j->prev_alive;
    if (j->prev_alive) j->prev_alive->next_alive = j->next_alive;
    else if (s->alive == j) s->alive = j->next_alive;
    pthread_mutex_unlock(&s->lock);
    constrain_run_destroy(j->run);
    sampler_destroy(j->sampler);
    outlet_fini(&j->outlet);
    tok_ids_fini(&j->ids);
    arena_fini(&j->mem);
    free(j);
}

void job_tell(struct job *j, struct sched_event *e) {
    double now = time_now_s(), t_admit = j->t_admit > 0 ? j->t_admit : now, t_first = j->t_first > 0 ? j->t_first : now;
    j->usage.queue_s = t_admit - j->t_submit;
    j->usage.prefill_s = t_first - t_admit;
    j->usage.decode_s = now - t_first;
    e->usage = &j->usage;
    if (j->r.on_event) j->r.on_event(j->r.user, e);
}

static void count(struct sched *s, uint64_t *counter) {
    pthread_mutex_lock(&s->lock);
    ++*counter;
    pthread_mutex_unlock(&s->lock);
}

/* After the last event the constraint is the requester's again. */
static void release_constraint(struct job *j) {
    constrain_run_destroy(j->run);
    j->run = NULL;
}

void job_fail(struct sched *s, struct job *j, const slm_err *err) {
    struct sched_event e = {.kind = SCHED_FAILED, .error = err};
    release_constraint(j);
    count(s, &s->stats.n_failed);
    job_tell(j, &e);
    job_destroy(s, j);
}

void job_finish(struct sched *s, struct job *j, enum finish finish) {
    struct sched_event e = {.kind = SCHED_DONE, .finish = finish, .i_stop = j->outlet.i_stop};
    slm_err err;
    bool stopped;
    release_constraint(j);
    if (finish != FINISH_STOP) { /* what was held back comes out */
        if (outlet_finish(&j->outlet, &stopped, &err) != SLM_OK) {
            job_fail(s, j, &err);
            return;
        }
        if (stopped && finish != FINISH_CANCELLED) e.finish = FINISH_STOP;
        e.i_stop = j->outlet.i_stop;
        e.text = (struct view){j->outlet.text.data, j->outlet.text.len};
    }
    count(s, finish == FINISH_CANCELLED ? &s->stats.n_cancelled : &s->stats.n_done);
    job_tell(j, &e);
    job_destroy(s, j);
}

/* The n largest of row, likeliest first, the lower id first on a tie. */
static void find_top(const float *row, uint32_t n_vocab, double log_sum, struct sched_top *top, int32_t n) {
    int32_t n_have = 0;
    for (uint32_t i = 0; i < n_vocab; i++) {
        if (isnan(row[i]) || (n_have == n && !(row[i] > top[n - 1].logprob))) continue;
        int32_t at = n_have < n ? n_have++ : n - 1;
        for (; at > 0 && top[at - 1].logprob < row[i]; at--) top[at] = top[at - 1];
        top[at] = (struct sched_top){(int32_t)i, row[i]};
    }
    for (int32_t i = 0; i < n_have; i++) top[i].logprob = (float)((double)top[i].logprob - log_sum);
}

static double log_sum_exp(const float *row, uint32_t n) {
    float max = -INFINITY;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) max = row[i] > max ? row[i] : max;
    for (uint32_t i = 0; i < n; i++) sum += isnan(row[i]) ? 0 : exp((double)row[i] - (double)max);
    return (double)max + log(sum);
}

/* The token's event, with what was asked about its probability. */
static void tell_token(struct sched *s, struct job *j, int32_t id, const float *logits) {
    struct sched_top top[SCHED_TOP_MAX];
    struct sched_event e = {.kind = SCHED_TOKEN, .id = id, .n_top = j->r.n_top, .text = {j->outlet.text.data, j->outlet.text.len}};
    uint32_t n_vocab = tok_n_vocab(s->model->tok);
    if (j->r.n_top >= 0) {
        double log_sum = log_sum_exp(logits, n_vocab);
        e.logprob = (float)((double)logits[id] - log_sum);
        if (e.n_top > (int32_t)n_vocab) e.n_top = (int32_t)n_vocab;
        if (e.n_top > 0) find_top(logits, n_vocab, log_sum, top, e.n_top);
        e.top = top;
    }
    job_tell(j, &e);
}

static void tell_started(struct job *j) {
    struct sched_event e = {.kind = SCHED_STARTED};
    j->started = true;
    j->t_first = time_now_s();
    job_tell(j, &e);
}

/* The next token; under a constraint one that leaves room to complete the text within the limits. */
static slm_status pick(struct sched *s, struct job *j, const float *logits, size_t n_max, int32_t *id, slm_err *err) {
    slm_status st = logits_check(logits, tok_n_vocab(s->model->tok), err);
    if (st != SLM_OK) return st;
    if (!j->run && !j->r.guard) return *id = sampler_pick(j->sampler, logits), SLM_OK;
    size_t n_room = (size_t)s->p.n_ctx + 1 - j->ids.n, n_asked = n_max - j->usage.n_generated;
    int32_t n_left = (int32_t)(n_asked < n_room ? n_asked : n_room);
    if (j->r.guard) {
        st = call_guard_pick(j->r.guard, j->sampler, logits, n_left, id, err);
        return st != SLM_OK || tok_is_end(s->model->tok, *id) ? st : call_guard_accept(j->r.guard, *id, err);
    }
    st = constrain_pick(j->run, j->sampler, logits, n_left, id, err);
    return st != SLM_OK || tok_is_end(s->model->tok, *id) ? st : constrain_accept(j->run, *id, err);
}

bool job_take_token(struct sched *s, struct job *j, const float *logits) {
    slm_err err;
    bool stopped = false;
    if (!j->started) tell_started(j);
    size_t n_max = j->r.n_max < 0 ? SIZE_MAX : (size_t)j->r.n_max;
    if (j->usage.n_generated >= n_max) return job_finish(s, j, FINISH_LENGTH), false;
    int32_t id = 0;
    slm_status st = pick(s, j, logits, n_max, &id, &err);
    if (st == SLM_OK && (j->run || !j->r.ignore_eos) && tok_is_end(s->model->tok, id)) return job_finish(s, j, FINISH_EOS), false;
    if (st == SLM_OK) st = tok_ids_push(&j->ids, id, &err);
    if (st == SLM_OK) st = sampler_accept(j->sampler, id, &err);
    if (st == SLM_OK) st = outlet_push(&j->outlet, id, &stopped, &err);
    if (st != SLM_OK) return job_fail(s, j, &err), false;
    j->usage.n_generated++;
    count(s, &s->stats.n_generated);
    tell_token(s, j, id, logits);
    if (stopped) return job_finish(s, j, FINISH_STOP), false;
    if ((j->run && constrain_is_done(j->run)) || (j->r.guard && call_guard_is_over(j->r.guard))) return job_finish(s, j, FINISH_EOS), false;
    if (j->usage.n_generated >= n_max) return job_finish(s, j, FINISH_LENGTH), false;
    if (j->ids.n > (size_t)s->p.n_ctx) return job_finish(s, j, FINISH_CONTEXT), false; /* the last token needs no place */
    return true;
}
