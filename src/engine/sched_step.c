/* sched_step.c -- one step: a token for every job that generates, some of the prompts that are being read, one forward.
 *
 * How many prompt tokens go beside running answers: as many as make the step `slowdown` times as long as one without, by running
 * means of what both have taken. Without answers under way a step is as large as the plan allows. Neither changes a bit of what comes out. */
#include "base/cpu.h"
#include "base/util.h"
#include "engine/sched_int.h"

#define PROMPT_TOKENS_MIN 8 /* beside answers: reading never stops */
#define MEAN_WEIGHT 0.2     /* of the newest measurement */

static void mean_in(double *mean, double x) { *mean = *mean > 0 ? *mean + MEAN_WEIGHT * (x - *mean) : x; }

/* Tokens that a job has not computed: 1 while it generates. */
static int32_t n_pending(const struct job *j) { return (int32_t)j->ids.n - j->seq.n_pos; }

static int32_t prompt_budget(const struct sched *s, int32_t n_decoding) {
    int32_t n_max = s->plan.n_batch - n_decoding;
    if (n_decoding == 0 || s->step_s <= 0 || s->token_s <= 0) return n_max;
    double n = ((double)s->p.slowdown - 1) * s->step_s / s->token_s;
    return n < PROMPT_TOKENS_MIN ? (n_max < PROMPT_TOKENS_MIN ? n_max : PROMPT_TOKENS_MIN) : n < n_max ? (int32_t)n : n_max;
}

/* Give every running job its tokens of this step, oldest first, with pages for them. A job that has to make room is no longer
 * among the running ones when this comes to it. */
static int32_t plan_step(struct sched *s, bool decoding, int32_t budget) {
    int32_t n_given = 0;
    for (int32_t i = 0; i < s->n_running; i++) {
        struct job *j = s->running[i];
        int32_t n = n_pending(j);
        if ((n == 1) != decoding || j->n_step > 0) continue;
        n = n < budget - n_given ? n : budget - n_given;
        if (n <= 0) break;
        if (!sched_make_room(s, j, j->seq.n_pos + n)) break;
        j->n_step = n;
        n_given += n;
    }
    return n_given;
}

/* The batch that the jobs' n_step ask for. Returns its tokens; *n_out: rows of logits. */
static int32_t fill_batch(struct sched *s, int32_t *n_out) {
    int32_t n = 0;
    *n_out = 0;
    for (int32_t i = 0; i < s->n_running; i++) {
        struct job *j = s->running[i];
        j->i_row = j->n_step > 0 && j->n_step == n_pending(j) ? (*n_out)++ : -1;
        for (int32_t k = 0; k < j->n_step; k++, n++) {
            s->pos[n] = j->seq.n_pos + k;
            s->token[n] = j->ids.v[s->pos[n]];
            s->seq[n] = &j->seq;
            s->want[n] = j->i_row >= 0 && k == j->n_step - 1;
        }
    }
    return n;
}

/* Pages that the step has filled are known from now on. */
static void remember(struct sched *s, struct job *j) {
    while (s->prefix && (j->n_known + 1) * KV_PAGE_TOK <= j->seq.n_pos) {
        int32_t i = j->n_known, before = i ? j->seq.pages[i - 1] : prefix_root(s->prefix, j->seq.lora);
        if (before == PREFIX_NO_ROOT) return;
        j->n_known++;
        int32_t page = prefix_add(s->prefix, before, j->ids.v + (size_t)i * KV_PAGE_TOK, j->seq.pages[i]);
        if (page != j->seq.pages[i]) kv_swap(s->kv, &j->seq, i, page);
    }
}

/* Every job of the batch gets its row, or the error. The running list is rebuilt from those that go on. */
static void deliver(struct sched *s, slm_status st, const slm_err *err) {
    int32_t n = s->n_running, n_on = 0;
    s->n_running = 0;
    for (int32_t i = 0; i < n; i++) {
        struct job *j = s->running[i];
        bool goes_on = true, ran = j->n_step > 0;
        j->n_step = 0;
        if (ran && st != SLM_OK) job_fail(s, j, err), goes_on = false;
        else if (ran) remember(s, j);
        if (goes_on && ran && j->i_row >= 0) goes_on = job_take_token(s, j, s->logits + (size_t)j->i_row * s->model->hp.n_vocab);
        if (goes_on) s->running[n_on++] = j;
    }
    s->n_running = n_on;
}

static void measure(struct sched *s, double seconds, int32_t n_decoding, int32_t n_prompt) {
    if (n_prompt == 0) mean_in(&s->step_s, seconds);
    else if (n_decoding == 0) mean_in(&s->token_s, seconds / n_prompt);
    else if (seconds > s->step_s) mean_in(&s->token_s, (seconds - s->step_s) / n_prompt);
}

static void share_cpu(struct sched *s, double seconds, int32_t n_tok) {
    for (int32_t i = 0; i < s->n_running; i++) s->running[i]->usage.cpu_s += seconds * s->running[i]->n_step / n_tok;
}

static void tell_stats(struct sched *s, bool ran, double seconds, int32_t n_prompt) {
    int32_t n_idle = s->prefix ? prefix_n_idle(s->prefix) : 0;
    pthread_mutex_lock(&s->lock);
    s->stats.n_steps += ran;
    s->stats.n_prompt_tokens += (uint64_t)n_prompt;
    s->stats.busy_s += seconds;
    s->stats.n_running = s->n_running;
    s->stats.n_page_free = s->kv->n_free;
    s->stats.n_page_idle = n_idle;
    pthread_mutex_unlock(&s->lock);
}

/* What came in, and those that nobody wants any more. */
static void collect(struct sched *s) {
    pthread_mutex_lock(&s->lock);
    struct job *in = s->inbox;
    s->inbox = NULL;
    s->inbox_end = &s->inbox;
    pthread_mutex_unlock(&s->lock);
    for (struct job *next; in; in = next) {
        next = in->next;
        sched_queue(s, in);
    }
    for (struct job **at = &s->waiting; *at;) {
        struct job *j = *at;
        if (!atomic_load(&j->cancelled)) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        pthread_mutex_lock(&s->lock);
        s->n_queued--;
        pthread_mutex_unlock(&s->lock);
        job_finish(s, j, FINISH_CANCELLED);
    }
    for (int32_t i = s->n_running - 1; i >= 0; i--) {
        struct job *j = s->running[i];
        if (!atomic_load(&j->cancelled)) continue;
        sched_leave(s, j);
        job_finish(s, j, FINISH_CANCELLED);
    }
}

bool sched_step(struct sched *s) {
    slm_err err;
    int32_t n_out;
    collect(s);
    sched_admit(s);
    double t0 = time_now_s(), cpu0 = pool_cpu_s(s->compute.pool), t = trace_begin();
    int32_t n_decoding = plan_step(s, true, s->plan.n_batch), n_prompt = plan_step(s, false, prompt_budget(s, n_decoding));
    int32_t n_tok = fill_batch(s, &n_out);
    if (n_tok == 0) {
        tell_stats(s, false, 0, 0);
        return s->waiting != NULL;
    }
    struct batch b = {.n_tok = n_tok, .token = s->token, .pos = s->pos, .seq = s->seq, .want_logits = s->want};
    slm_status st = model_forward(s->forward, s->kv, &b, NULL, s->logits, &err);
    double seconds = time_now_s() - t0;
    measure(s, seconds, n_decoding, n_prompt);
    share_cpu(s, pool_cpu_s(s->compute.pool) - cpu0, n_tok);
    deliver(s, st, &err);
    tell_stats(s, true, seconds, n_prompt);
    trace_end(t, "step", "%d answers, %d prompt tokens, %d rows", n_decoding, n_prompt, n_out);
    return true;
}
