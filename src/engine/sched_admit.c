/* sched_admit.c -- who runs next, and who makes room.
 *
 * Turns: a job's turn is the one after its client's last waiting job, or the current one; the lowest turn is admitted first. So a
 * client with a hundred jobs and a client with one alternate (start-time fair queueing, Goyal et al. 1996, with jobs of cost 1).
 *
 * A job is admitted when its tokens fit into pages that are free or only remembered, with one page to spare for each job that runs, so that
 * a new prompt does not push out at once what was just begun. A job whose prompt begins as that of a job still being read, for longer than what
 * is remembered, waits for it: n answers to one prompt read it once. */
#include "base/cpu.h"
#include "base/util.h"
#include "engine/sched_int.h"

void sched_queue(struct sched *s, struct job *j) {
    if (j->n_admitted == 0) { /* new; one that made room keeps its turn, which has come */
        j->turn = s->turn_now;
        for (struct job *w = s->waiting; w; w = w->next)
            if (w->r.client == j->r.client && w->turn >= j->turn) j->turn = w->turn + 1;
    }
    struct job **at = &s->waiting;
    while (*at && ((*at)->turn < j->turn || ((*at)->turn == j->turn && (*at)->id < j->id))) at = &(*at)->next;
    j->next = *at;
    *at = j;
}

static int32_t pages_for(size_t n_pos) { return (int32_t)((n_pos + KV_PAGE_TOK - 1) / KV_PAGE_TOK); }

/* Take the remembered pages that a job's tokens begin with; the last token is always computed, for its logits. */
static slm_status share_prefix(struct sched *s, struct job *j, slm_err *err) {
    slm_status st = SLM_OK;
    int32_t before = s->prefix ? prefix_root(s->prefix, j->seq.lora) : PREFIX_NO_ROOT;
    for (size_t at = 0; before != PREFIX_NO_ROOT && st == SLM_OK && at + KV_PAGE_TOK < j->ids.n; at += KV_PAGE_TOK) {
        before = prefix_match(s->prefix, before, j->ids.v + at);
        if (before < 0) break;
        st = kv_share(s->kv, &j->seq, before, err);
        if (st == SLM_OK) j->n_known++;
    }
    return st;
}

static void drop_pages(struct sched *s, struct job *j) {
    kv_truncate(s->kv, &j->seq, 0);
    j->n_known = 0;
}

/* Whether a job that is being read will soon know more of this prompt than is remembered now. */
static bool is_being_read(const struct sched *s, const struct job *j) {
    for (int32_t i = 0; s->prefix && i < s->n_running; i++) {
        const struct job *other = s->running[i];
        size_t n_read = other->ids.n < j->ids.n ? other->ids.n : j->ids.n, n = 0;
        if ((size_t)other->seq.n_pos + 1 >= other->ids.n || !lora_mix_equal(other->seq.lora, j->seq.lora)) continue;
        while (n < n_read && other->ids.v[n] == j->ids.v[n]) n++;
        if (n == j->ids.n) n--;
        if (n / KV_PAGE_TOK > (size_t)j->n_known) return true;
    }
    return false;
}

enum verdict { ADMITTED, NOT_YET, NO_ROOM, BROKEN };

static enum verdict try_admit(struct sched *s, struct job *j, slm_err *err) {
    if (share_prefix(s, j, err) != SLM_OK) return BROKEN;
    if (is_being_read(s, j)) return drop_pages(s, j), NOT_YET;
    int32_t n_need = pages_for(j->ids.n + 1) - j->seq.n_page + s->n_running, n_room = s->kv->n_free;
    if (s->prefix) n_room += prefix_n_idle(s->prefix);
    if (n_need > n_room && s->n_running > 0) return drop_pages(s, j), NO_ROOM;
    return ADMITTED;
}

static void admitted(struct sched *s, struct job *j) {
    if (j->t_admit <= 0) {
        j->t_admit = time_now_s();
        j->usage.n_cached = (size_t)j->seq.n_pos;
    }
    j->n_admitted = ++s->n_admissions;
    s->turn_now = j->turn > s->turn_now ? j->turn : s->turn_now;
    s->running[s->n_running++] = j;
    pthread_mutex_lock(&s->lock);
    s->n_queued--;
    s->stats.n_cached_tokens += (uint64_t)j->seq.n_pos;
    pthread_mutex_unlock(&s->lock);
}

void sched_admit(struct sched *s) {
    slm_err err;
    for (struct job **at = &s->waiting; *at && s->n_running < s->p.n_seq;) {
        struct job *j = *at;
        enum verdict v = try_admit(s, j, &err);
        if (v == NO_ROOM) return; /* nobody overtakes: it would wait for ever behind small ones */
        if (v == NOT_YET) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        if (v == ADMITTED) {
            admitted(s, j);
            continue;
        }
        pthread_mutex_lock(&s->lock);
        s->n_queued--;
        pthread_mutex_unlock(&s->lock);
        job_fail(s, j, &err);
    }
}

void sched_leave(struct sched *s, struct job *j) {
    int32_t n = 0;
    for (int32_t i = 0; i < s->n_running; i++)
        if (s->running[i] != j) s->running[n++] = s->running[i];
    s->n_running = n;
}

/* Back to the queue; what it had generated is part of its tokens now. */
static void preempt(struct sched *s, struct job *j) {
    drop_pages(s, j);
    j->n_step = 0;
    sched_leave(s, j);
    sched_queue(s, j);
    pthread_mutex_lock(&s->lock);
    s->n_queued++;
    s->stats.n_preempted++;
    pthread_mutex_unlock(&s->lock);
}

bool sched_make_room(struct sched *s, struct job *j, int32_t n_pos) {
    for (;;) {
        slm_err err;
        if (s->prefix) prefix_evict(s->prefix, pages_for((size_t)n_pos) - j->seq.n_page);
        if (kv_reserve(s->kv, &j->seq, n_pos, &err) == SLM_OK) return true;
        struct job *youngest = s->running[s->n_running - 1];
        if (s->n_running > 1) preempt(s, youngest);
        else sched_leave(s, j), job_fail(s, j, &err); /* alone it fits: memory is missing */
        if (youngest == j) return false;
    }
}
