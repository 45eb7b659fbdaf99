/* gateway_hedge.c -- somebody else is started beside an upstream that is silent for longer than is usual: the local model, or the next upstream.
 *
 * The request's own thread stays with the upstream; the hedge runs on a thread of the gateway's. Who has something to tell first wins: of a whole answer that is all of it, of
 * a stream its first byte. Nobody but the winner touches the passage from then on, and what the client gets; the loser is told to stop, and is waited for, since it borrows
 * from the request. Both are in the ledger, also the local model, whose row costs nothing.
 *
 * The local model is a hedge only where slm-auto was sent to the frontier by a rule or by its client: what was doubted once is doubted again. Its answer must pass the
 * same judgement as any (form, certificate or accept), and says that it is degraded. Another upstream is sent the very same texts, placeholders and all, out of the same
 * budgets; no upstream is asked by both. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "serve/gateway_int.h"

struct hedge {
    pthread_mutex_t lock; /* of the four below, and of the passage while nobody has won */
    pthread_cond_t ended;
    enum side winner;
    bool is_started, is_ended;

    struct passage *p;
    double t_begin, patience_s, silent_s; /* silent_s: when the other was started */
    _Atomic bool is_lost;  /* the hedge may stop */
    _Atomic unsigned taken;
    /* of the hedge's thread until it has ended */
    struct call call;      /* as the request's, with faults and counts of its own */
    struct generation g;
    struct frontier next;
    slm_status st;
};

/* Lock held, and nobody has won. */
static void win(struct hedge *h, enum side side) {
    h->winner = side;
    if (side == SIDE_MAIN) atomic_store(&h->is_lost, true);
    else snprintf(h->p->reason, sizeof h->p->reason, "hedge: the upstream was silent for %.3f s", h->silent_s);
}

bool hedge_wins(struct hedge *h, enum side side) {
    if (!h) return true;
    pthread_mutex_lock(&h->lock);
    if (h->winner == SIDE_NONE) win(h, side);
    bool is = h->winner == side;
    pthread_mutex_unlock(&h->lock);
    return is;
}

/* ---- the local model ---- */

static slm_status on_hedge_delta(void *user, const struct delta *d) {
    struct hedge *h = user;
    struct passage *p = h->p;
    enum standing standing = STANDS_OPEN;
    slm_status st = SLM_OK;
    pthread_mutex_lock(&h->lock);
    bool is_ours = h->winner == SIDE_HEDGE;
    if (h->winner == SIDE_NONE) st = passage_weigh(p, d, &standing);
    if (h->winner == SIDE_NONE && standing == STANDS_TRUSTED) win(h, SIDE_HEDGE);
    bool is_lost = h->winner == SIDE_MAIN;
    pthread_mutex_unlock(&h->lock);
    if (st != SLM_OK || is_lost) return st != SLM_OK ? st : SLM_E_CANCELLED;
    if (is_ours) return passage_pass_on(p, d);
    if (standing == STANDS_DOUBTED) return SLM_E_NEEDS_FRONTIER;
    if (standing == STANDS_OPEN) return SLM_OK;
    struct generation *g = &p->chat->g; /* the handlers look there */
    generation_forget(g);
    g->answers = h->g.answers;
    g->n_answers = h->g.n_answers;
    g->told.is_set = false;
    h->g.is_quiet = false;
    return passage_tell(p, RESULT_DEGRADED, d->answer);
}

/* A row of its own: what ran in vain is known too. */
static void run_model(struct hedge *h) {
    struct passage *p = h->p;
    const struct generation *g = &h->g;
    struct ledger *ledger = p->gw->ledger;
    const struct attempt a = {.request = p->request_id, .attempt = "", .upstream = "local", .model = p->chat->model->name, .kind = "hedge"};
    int64_t id;
    slm_err err;
    double t_begin = time_now_s();
    if (ledger_begin(ledger, &a, &id, &err) != SLM_OK) return;
    h->st = generation_run(&h->g);
    bool is_cancelled = h->st == SLM_E_CANCELLED;
    struct attempt_end e = {.state = h->st == SLM_OK ? "done" : is_cancelled ? "cancelled" : "failed", .n_in = generation_n_prompt(g), .n_cached = generation_n_cached(g), .n_out = generation_n_generated(g), .seconds = time_now_s() - t_begin};
    ledger_end(ledger, id, &a, &e);
}

/* ---- the next upstream ---- */

static bool is_next_gone(void *user) {
    struct frontier *f = user;
    return atomic_load(&f->p->hedge->is_lost) || http_is_gone(f->p->chat->c->x);
}

static void run_next(struct hedge *h) {
    struct frontier *f = &h->next;
    f->outcome = frontier_ask(h->p->gw->upstreams, &f->call, &f->err);
    if (f->outcome == UPSTREAM_ANSWERED) (void)hedge_wins(h, SIDE_HEDGE); /* an answer without a part has told nothing yet */
}

static const struct {
    void (*run)(struct hedge *h);
} rows[] = {[HEDGE_LOCAL] = {run_model}, [HEDGE_NEXT] = {run_next}};

static void run_hedge(void *user) {
    struct hedge *h = user;
    rows[h->p->gw->s->hedge.with].run(h);
    pthread_mutex_lock(&h->lock);
    h->is_ended = true;
    pthread_cond_signal(&h->ended);
    pthread_mutex_unlock(&h->lock);
}

/* ---- the request's thread ---- */

static bool may_hedge(struct passage *p) {
    const struct chat *chat = p->chat;
    switch (p->gw->s->hedge.with) {
    case HEDGE_NONE: return false;
    case HEDGE_LOCAL: return chat->gate == GATE_AUTO && p->plan == PLAN_FRONTIER && chat->model && chat->local_fault.err.code == SLM_OK && passage_may_certify(p);
    case HEDGE_NEXT: return true;
    }
    return false;
}

slm_status hedge_open(struct passage *p, struct frontier *f) {
    if (p->is_told || !may_hedge(p)) return SLM_OK;
    double patience = frontier_patience_s(p->gw->upstreams, &p->ask, p->upstream);
    if (!isfinite(patience)) return SLM_OK; /* too little is known of the upstream */
    struct hedge *h = calloc(1, sizeof *h);
    if (!h) return fault_set(&p->chat->c->fault, SLM_E_NOMEM, NULL, "request: no memory");
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->ended, NULL);
    h->p = p;
    h->t_begin = time_now_s();
    h->patience_s = patience;
    h->st = SLM_E_CANCELLED;
    f->call.taken = &h->taken;
    p->hedge = h;
    return SLM_OK;
}

/* Lock held. What the two sides have in common is read only from here on. */
static void start(struct hedge *h, const struct frontier *f) {
    struct passage *p = h->p;
    h->silent_s = time_now_s() - h->t_begin;
    h->is_started = true; /* also when there is no place: it is tried once */
    h->call = *p->chat->c;
    h->call.fault = (struct fault){0};
    h->g = p->chat->g;
    h->g.c = &h->call;
    h->g.answers = NULL;
    h->g.on_delta = on_hedge_delta;
    h->g.user = h;
    h->g.keeps_logp = true;
    h->g.deadline = p->deadline;
    h->g.told.is_set = false;
    h->g.is_cancelled = &h->is_lost;
    h->g.is_quiet = true;
    h->next = (struct frontier){.p = p, .side = SIDE_HEDGE, .call = f->call};
    h->next.call.kind = "hedge";
    h->next.call.first = NULL;
    h->next.call.cost = 0;
    h->next.call.is_gone = is_next_gone;
    h->next.call.user = &h->next;
    h->is_ended = !crew_start(p->gw->hedges, run_hedge, h);
    if (!h->is_ended) atomic_fetch_add(&p->gw->n_hedges, 1);
}

bool hedge_look(struct hedge *h, const struct frontier *f, bool *is_ours) {
    pthread_mutex_lock(&h->lock);
    if (h->winner == SIDE_NONE && !h->is_started && time_now_s() - h->t_begin >= h->patience_s) start(h, f);
    bool is_lost = h->winner == SIDE_HEDGE;
    *is_ours = h->winner == SIDE_MAIN;
    pthread_mutex_unlock(&h->lock);
    return is_lost;
}

/* What of the generation is no copy. */
static void take_over(struct hedge *h, bool has_won) {
    struct generation *g = &h->p->chat->g;
    g->guards = h->g.guards;
    g->is_again = h->g.is_again;
    if (!has_won) {
        generation_forget(&h->g);
        return;
    }
    struct call *c = h->p->chat->c;
    c->n_prompt = h->call.n_prompt;
    c->n_cached = h->call.n_cached;
    c->n_generated = h->call.n_generated;
    c->first_token_s = h->call.first_token_s;
    if (h->st != SLM_OK) c->fault = h->call.fault;
}

bool hedge_close(struct passage *p, struct frontier *f, slm_status *st) {
    struct hedge *h = p->hedge;
    if (!h) return false;
    pthread_mutex_lock(&h->lock);
    while (h->is_started && !h->is_ended) pthread_cond_wait(&h->ended, &h->lock);
    bool has_won = h->winner == SIDE_HEDGE;
    pthread_mutex_unlock(&h->lock);
    bool is_model = p->gw->s->hedge.with == HEDGE_LOCAL;
    if (h->is_started && is_model) p->cost += passage_local_cost(p, &h->g);
    if (h->is_started && is_model) take_over(h, has_won);
    if (h->is_started && !is_model) p->cost += h->next.call.cost;
    if (has_won && !is_model) *f = h->next; /* it goes on as if it had been asked alone */
    if (has_won) atomic_fetch_add(&p->gw->n_hedges_won, 1);
    *st = h->st;
    p->hedge = NULL;
    pthread_cond_destroy(&h->ended);
    pthread_mutex_destroy(&h->lock);
    free(h);
    return has_won && is_model;
}
