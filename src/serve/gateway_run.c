/* gateway_run.c -- a planned request to its answer.
 *
 * The local answer's deltas are held until the answer is trusted: at the end of the window, or of the whole answer where only the whole can be judged. Then
 * the headers go out, what was held is told, and the rest flows. What is not trusted is dropped, and the frontier is asked; its parts become the same deltas. When
 * it does not answer, the local model does after all, and the answer says so. After the first told delta nothing changes any more. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/show.h"
#include "serve/gateway_int.h"
#include "text/schema/schema.h"
#include "tier/signals.h"

#define PIECE_BYTES_MAX ((size_t)64 << 20)

/* Headers, then the beginning of the stream; a whole answer gets its headers in the end, when the costs are known. */
static void put_headers(struct passage *p) {
    struct http_exchange *x = p->chat->c->x;
    char text[160];
    if (http_is_begun(x)) return;
    http_header_add(x, "x-slm-tier", result_tier_name(p->tier));
    if (p->model[0]) http_header_add(x, "x-slm-model", p->model);
    http_header_add(x, "x-slm-reason", p->reason);
    http_header_add(x, "x-slm-escalated", p->is_escalated ? "1" : "0");
    http_header_add(x, "x-slm-cache", p->cache);
    http_header_add(x, "x-slm-calibration", !p->gw->cal ? "none" : gateway_watch_state(p->gw) != WATCH_CALM ? "suspended" : p->gw->cal->id);
    if (p->is_audit) http_header_add(x, "x-slm-audit", "1");
    if (!isnan(p->confidence)) {
        snprintf(text, sizeof text, "%.4f", p->confidence);
        http_header_add(x, "x-slm-confidence", text);
    }
    http_header_add(x, "x-slm-request-id", p->request_id);
    if (p->facts.v[FACT_OUT_TOKENS] > 0) {
        snprintf(text, sizeof text, "q10_logprob=%.3f mean_logprob=%.3f", p->facts.v[FACT_Q10_LOGPROB], p->facts.v[FACT_MEAN_LOGPROB]);
        http_header_add(x, "x-slm-score", text);
    }
    if (p->chat->streams) return;
    snprintf(text, sizeof text, "%.9f", (double)p->cost / USD_NANO);
    http_header_add(x, "x-slm-cost-usd", text);
    snprintf(text, sizeof text, "%.9f", (double)p->saved / USD_NANO);
    http_header_add(x, "x-slm-saved-usd", text);
}

static slm_status begin_telling(struct passage *p, enum result_tier tier, const char *model) {
    p->is_told = true;
    p->tier = tier;
    snprintf(p->model, sizeof p->model, "%s", model);
    snprintf(p->chat->c->model, sizeof p->chat->c->model, "%s", model);
    p->chat->name = p->model;
    if (p->chat->streams) put_headers(p);
    return chat_begin(p->chat);
}

slm_status passage_pass_on(struct passage *p, const struct delta *d) { return p->on_delta ? p->on_delta(p->user, d) : SLM_OK; }

static slm_status hold(struct passage *p, const struct delta *d) {
    if (p->n_held == p->cap_held) {
        size_t cap = p->cap_held ? p->cap_held * 2 : 64;
        struct held *grown = realloc(p->held, cap * sizeof *grown);
        if (!grown) return fault_set(&p->chat->c->fault, SLM_E_NOMEM, NULL, "answer: no memory");
        p->held = grown;
        p->cap_held = cap;
    }
    struct held *h = &p->held[p->n_held];
    *h = (struct held){d->kind, d->i_call, d->id, NULL, d->text.len};
    if (d->text.len) {
        if (!(h->text = malloc(d->text.len))) return fault_set(&p->chat->c->fault, SLM_E_NOMEM, NULL, "answer: no memory");
        memcpy(h->text, d->text.ptr, d->text.len);
    }
    p->n_held++;
    return SLM_OK;
}

static void drop_held(struct passage *p) {
    for (size_t i = 0; i < p->n_held; i++) free(p->held[i].text);
    p->n_held = 0;
}

static slm_status tell_held(struct passage *p, const struct answer *a) {
    slm_status st = SLM_OK;
    for (size_t i = 0; i < p->n_held && st == SLM_OK; i++) {
        const struct held *h = &p->held[i];
        st = passage_pass_on(p, &(struct delta){.kind = h->kind, .answer = a, .text = {h->text ? h->text : "", h->n}, .id = h->id, .i_call = h->i_call});
    }
    drop_held(p);
    return st;
}

slm_status passage_tell(struct passage *p, enum result_tier tier, const struct answer *a) {
    slm_status st = begin_telling(p, tier, p->chat->model->name);
    return st == SLM_OK ? tell_held(p, a) : st;
}

/* Is what the local model has written so far good enough? With a certificate only whole answers are judged, as it was made of whole ones. */
static bool is_trusted(struct passage *p, const struct answer *a, bool is_end) {
    const struct auto_settings *s = &p->gw->s->automatic;
    struct facts *f = &p->facts;
    signals_read(a->logp, a->n_logp, (struct view){a->text.data ? a->text.data : "", a->text.len}, f);
    f->v[FACT_CUT] = is_end && (a->finish == FINISH_LENGTH || a->finish == FINISH_CONTEXT);
    f->v[FACT_CALLS] = (double)a->n_calls;
    f->v[FACT_INVALID] = a->invalid[0] != 0;
    p->score = f->v[FACT_Q10_LOGPROB];
    if (is_end && a->invalid[0]) return false;
    if (p->gw->cal) return passage_is_certified(p);
    return rule_holds(is_end && s->finish_rule ? s->finish_rule : s->rule, f);
}

/* Doubt leads to the frontier where it can be asked at all; else the answer stands, and says that it is degraded. */
static slm_status doubt(struct passage *p, const struct answer *a) {
    slm_status st = passage_ask(p);
    const char *what = st == SLM_OK ? frontier_cannot(p->gw->upstreams, &p->ask) : NULL;
    if (st != SLM_OK) return st;
    snprintf(p->reason, sizeof p->reason, "not trusted: %s", a->invalid[0] ? "not of the form" : p->gw->cal ? "by the certificate" : "accept does not hold");
    if (!what && frontier_available(p->gw->upstreams, &p->ask, p->has_left ? atomic_load(&p->left) : -1)) return SLM_E_NEEDS_FRONTIER;
    snprintf(p->reason, sizeof p->reason, "not trusted, and no upstream may be asked%s%s", what ? ": it cannot be told " : "", what ? what : "");
    return passage_tell(p, RESULT_DEGRADED, a);
}

slm_status passage_weigh(struct passage *p, const struct delta *d, enum standing *standing) {
    const struct answer *a = d->answer;
    bool is_end = d->kind == DELTA_END, holds_all = p->gw->s->automatic.hold_all || p->gw->cal || p->chat->format.is_set || json_array_size(p->chat->tools) || !p->chat->streams;
    slm_status st = hold(p, d);
    *standing = STANDS_OPEN;
    if (st != SLM_OK) return st;
    bool is_window = d->kind == DELTA_TOKEN && a->n_logp == (size_t)p->gw->s->automatic.hold_tokens;
    if (is_end || (is_window && !holds_all)) *standing = is_trusted(p, a, is_end) ? STANDS_TRUSTED : STANDS_DOUBTED;
    return st;
}

static slm_status on_local_delta(void *user, const struct delta *d) {
    struct passage *p = user;
    enum standing standing;
    slm_status st = SLM_OK;
    if (p->is_told) return passage_pass_on(p, d);
    if (!p->judges) {
        st = begin_telling(p, p->tier, p->chat->model->name);
        return st == SLM_OK ? passage_pass_on(p, d) : st;
    }
    if ((st = passage_weigh(p, d, &standing)) != SLM_OK || standing == STANDS_OPEN) return st;
    if (standing == STANDS_DOUBTED) return doubt(p, d->answer);
    passage_draw(p, d->answer);
    return passage_tell(p, RESULT_LOCAL, d->answer);
}

nano_usd passage_local_cost(const struct passage *p, const struct generation *g) { return (nano_usd)(generation_cpu_s(g) / 3600 * p->gw->s->usd_per_cpu_hour * USD_NANO); }

static slm_status run_local(struct passage *p, enum result_tier tier, bool judges) {
    struct generation *g = &p->chat->g;
    drop_held(p);
    generation_forget(g);
    p->tier = tier;
    p->judges = judges;
    g->on_delta = on_local_delta;
    g->user = p;
    g->keeps_logp = true;
    g->deadline = p->deadline;
    g->told.is_set = false;
    slm_status st = generation_run(g);
    g->on_delta = p->on_delta;
    g->user = p->user;
    if (st == SLM_OK && judges) { /* of the whole answer now: what is kept for calibrating */
        const struct answer *a = &g->answers[0];
        signals_read(a->logp, a->n_logp, (struct view){a->text.data ? a->text.data : "", a->text.len}, &p->facts);
    }
    nano_usd cost = passage_local_cost(p, g);
    p->cost += cost;
    if (st == SLM_OK) p->saved = frontier_price(p->gw->upstreams, generation_n_prompt(g), generation_n_generated(g)) - cost;
    return st;
}

/* The frontier's parts */

static slm_status begin_frontier(struct passage *p, enum result_tier tier, const char *model) {
    struct generation *g = &p->chat->g;
    slm_status st = SLM_OK;
    if (p->is_told) return SLM_OK;
    drop_held(p);
    generation_forget(g);
    g->n_each = 1;
    g->told.is_set = true;
    TRY(answers_begin(g));
    TRY(begin_telling(p, tier, model));
    TRY(answer_tell(g, &g->answers[0], (struct delta){.kind = DELTA_START}));
out:
    return st;
}

static slm_status take_piece(struct passage *p, enum output_kind kind, int i_call) {
    struct generation *g = &p->chat->g;
    slm_status st = SLM_OK;
    if (p->piece.failed != SLM_OK) return fault_set(&p->chat->c->fault, SLM_E_LIMIT, NULL, "answer: too long");
    if (p->piece.len) st = answer_take(g, &g->answers[0], &(struct output_event){.kind = kind, .text = {p->piece.data, p->piece.len}, .i_call = i_call});
    buf_clear(&p->piece);
    return st;
}

/* A call begins also where its name is empty. */
static slm_status take_name(struct passage *p, int i_call) {
    struct generation *g = &p->chat->g;
    if (p->piece.failed != SLM_OK) return fault_set(&p->chat->c->fault, SLM_E_LIMIT, NULL, "answer: too long");
    slm_status st = answer_take(g, &g->answers[0], &(struct output_event){.kind = OUTPUT_CALL_BEGIN, .text = {p->piece.data ? p->piece.data : "", p->piece.len}, .i_call = i_call});
    buf_clear(&p->piece);
    return st;
}

/* What restorers still hold, before a part of another kind or the end. */
static slm_status flush_text(struct passage *p) {
    slm_status st = SLM_OK;
    restorer_finish(&p->reasoning, &p->piece);
    TRY(take_piece(p, OUTPUT_REASONING, 0));
    restorer_finish(&p->text, &p->piece);
    TRY(take_piece(p, OUTPUT_TEXT, 0));
out:
    return st;
}

static slm_status take_part(struct passage *p, const struct output_event *e) {
    struct generation *g = &p->chat->g;
    slm_status st = SLM_OK;
    struct restorer *t = e->kind == OUTPUT_TEXT ? &p->text : e->kind == OUTPUT_REASONING ? &p->reasoning : &p->arguments;
    switch (e->kind) {
    case OUTPUT_TEXT:
    case OUTPUT_REASONING:
    case OUTPUT_CALL_ARGUMENTS:
        restorer_push(t, e->text, &p->piece);
        return take_piece(p, e->kind, e->i_call);
    case OUTPUT_CALL_BEGIN:
        if ((st = flush_text(p)) != SLM_OK) return st;
        restorer_push(&p->text, e->text, &p->piece);
        restorer_finish(&p->text, &p->piece);
        return take_name(p, e->i_call);
    case OUTPUT_CALL_END:
        restorer_finish(t, &p->piece);
        if ((st = take_piece(p, OUTPUT_CALL_ARGUMENTS, e->i_call)) != SLM_OK) return st;
        return answer_take(g, &g->answers[0], e);
    }
    return SLM_OK;
}

static slm_status on_part(void *user, const struct output_event *e) {
    struct frontier *f = user;
    struct passage *p = f->p;
    slm_status st = SLM_OK;
    if (!hedge_wins(p->hedge, f->side)) return f->st = SLM_E_CANCELLED;
    TRY(begin_frontier(p, RESULT_FRONTIER, f->call.answered->model));
    if (p->has_key && kept_add(&p->kept, e->kind, e->text) != SLM_OK) p->has_key = false; /* half an answer is not kept */
    TRY(take_part(p, e));
out:
    return f->st = st;
}

static bool is_gone(void *user) {
    const struct frontier *f = user;
    struct call *c = f->p->chat->c;
    bool may_ping = true;
    if (f->p->hedge && hedge_look(f->p->hedge, f, &may_ping)) return true;
    if (may_ping && http_is_begun(c->x) && stream_ping(c) != SLM_OK) return true;
    return http_is_gone(c->x);
}

/* The schema that was asked for, judged as a local answer is. */
static void check_form(struct passage *p, struct answer *a) {
    struct schema *s = NULL;
    bool is_valid = true;
    slm_err err;
    err_clear(&err);
    if (!p->ask.schema.len) return;
    slm_status st = schema_parse(p->chat->format.spec.text, NULL, &s, &err);
    if (st == SLM_OK) st = schema_check_text(s, (struct view){a->text.data ? a->text.data : "", a->text.len}, &is_valid, &err);
    if (st != SLM_OK || !is_valid) snprintf(a->invalid, sizeof a->invalid, "%.199s", err.msg[0] ? err.msg : "it is not of the schema");
    schema_destroy(s);
}

static slm_status end_frontier(struct passage *p, enum wire_end end, uint64_t n_in, uint64_t n_cached, uint64_t n_out) {
    struct generation *g = &p->chat->g;
    slm_status st = SLM_OK;
    TRY(flush_text(p));
    struct answer *a = &g->answers[0];
    a->finish = end == WIRE_LENGTH ? FINISH_LENGTH : FINISH_EOS;
    a->is_over = true;
    a->n_generated = n_out;
    g->told.n_prompt = n_in;
    g->told.n_cached = n_cached;
    g->told.n_generated = n_out;
    p->chat->c->n_prompt = n_in;
    p->chat->c->n_cached = n_cached;
    p->chat->c->n_generated = n_out;
    check_form(p, a);
    st = answer_tell(g, a, (struct delta){.kind = DELTA_END});
out:
    return st;
}

/* The same request's answer, or one to what asks the same. */
static bool find_kept(struct passage *p, struct kept_answer *k) {
    struct answer_cache *cache = p->gw->cache;
    const char *client = key_name(p->chat->c->key);
    double similarity;
    p->cache = !cache ? "off" : p->no_cache ? "bypass" : "miss";
    p->has_key = cache && !p->no_cache && answer_cache_key(&p->ask, client, p->key);
    if (!p->has_key) return false;
    if (answer_cache_get(cache, p->key, k)) {
        p->cache = "hit";
        snprintf(p->reason, sizeof p->reason, "the same request was answered before");
        return true;
    }
    if (!p->question) p->question = answer_cache_question(cache, &p->ask, client);
    if (!answer_cache_get_near(cache, p->question, k, &similarity)) return false;
    p->cache = "near";
    snprintf(p->reason, sizeof p->reason, "what asks the same was answered before, similarity %.3f", similarity);
    return true;
}

static slm_status from_cache(struct passage *p, bool *has) {
    struct kept_answer k;
    slm_status st = SLM_OK;
    *has = find_kept(p, &k);
    if (!*has) return SLM_OK;
    TRY(begin_frontier(p, RESULT_CACHE, k.model));
    for (size_t i = 0; i < k.n; i++) TRY(take_part(p, &(struct output_event){.kind = k.v[i].kind, .text = {k.v[i].text, k.v[i].n}}));
    TRY(end_frontier(p, k.end, k.n_in, 0, k.n_out));
    p->saved = frontier_price(p->gw->upstreams, k.n_in, k.n_out);
out:
    kept_fini(&k);
    return st;
}

static slm_status frontier_fault(struct passage *p, enum upstream_outcome o, int retry_after_s) {
    static const struct { int status; const char *code; slm_status st; } rows[] = {
        [UPSTREAM_UNABLE] = {400, "unsupported_parameter", SLM_E_UNSUPPORTED}, [UPSTREAM_OVER] = {429, "budget_exceeded", SLM_E_BUSY},
        [UPSTREAM_REFUSED] = {400, "upstream_refused", SLM_E_USAGE},           [UPSTREAM_FAILED] = {502, "upstream_failed", SLM_E_NETWORK},
        [UPSTREAM_BROKEN] = {502, "upstream_broken", SLM_E_NETWORK},           [UPSTREAM_GONE] = {499, NULL, SLM_E_CANCELLED}};
    struct fault *f = &p->chat->c->fault;
    f->http_status = rows[o].status;
    f->code = rows[o].code;
    if (o == UPSTREAM_FAILED && time_now_s() >= p->deadline) f->http_status = 504;
    if (o == UPSTREAM_FAILED) f->retry_s = retry_after_s;
    return rows[o].st;
}

/* After UPSTREAM_ANSWERED. */
static slm_status take_answer(struct passage *p, const struct frontier *f) {
    const struct frontier_call *c = &f->call;
    slm_status st = begin_frontier(p, RESULT_FRONTIER, c->answered->model); /* an empty answer has told nothing yet */
    snprintf(p->model, sizeof p->model, "%s", c->answered->model);
    if (st == SLM_OK) st = end_frontier(p, c->end, c->n_in, c->n_cached, c->n_out);
    if (!p->has_key || c->end == WIRE_FILTERED) return st;
    p->kept.end = c->end;
    p->kept.n_in = c->n_in;
    p->kept.n_out = c->n_out;
    snprintf(p->kept.model, sizeof p->kept.model, "%s", c->answered->model);
    answer_cache_put(p->gw->cache, p->key, &p->question, &p->kept);
    return st;
}

static bool may_degrade(const struct passage *p, enum upstream_outcome o) {
    const struct chat *chat = p->chat;
    if (chat->gate != GATE_AUTO || p->is_told || chat->local_fault.err.code != SLM_OK || time_now_s() >= p->deadline) return false;
    if (o == UPSTREAM_OVER) return p->gw->s->budget.on_exceeded == EXCEEDED_LOCAL;
    return o == UPSTREAM_FAILED || o == UPSTREAM_UNABLE || o == UPSTREAM_REFUSED;
}

static slm_status run_frontier(struct passage *p) {
    struct fault *fault = &p->chat->c->fault;
    bool has;
    slm_status st = passage_ask(p);
    if (st == SLM_OK) st = from_cache(p, &has);
    if (st != SLM_OK || has) return st;
    if (p->redaction.n) atomic_fetch_add(&p->gw->n_redacted, 1);
    struct frontier f = {.p = p, .side = SIDE_MAIN, .call = {.ask = &p->ask, .request_id = p->request_id, .kind = "answer", .deadline = p->deadline, .left = p->has_left ? &p->left : NULL, .first = p->upstream, .is_gone = is_gone, .on_event = on_part, .user = &f}};
    if ((st = hedge_open(p, &f)) != SLM_OK) return st;
    f.outcome = frontier_ask(p->gw->upstreams, &f.call, &f.err);
    if (f.outcome == UPSTREAM_ANSWERED) (void)hedge_wins(p->hedge, SIDE_MAIN); /* an answer without a part has told nothing yet */
    p->cost += f.call.cost;
    if (hedge_close(p, &f, &st)) return st;
    enum upstream_outcome o = f.outcome;
    if (o == UPSTREAM_ANSWERED) return take_answer(p, &f);
    fault->err = f.err;
    if (o == UPSTREAM_OVER) atomic_fetch_add(&p->gw->n_over, 1);
    if (o == UPSTREAM_GONE && f.st != SLM_OK) return f.st;
    if (!may_degrade(p, o)) return frontier_fault(p, o, f.call.retry_after_s);
    snprintf(p->reason, sizeof p->reason, "%s", o == UPSTREAM_OVER ? "over budget" : o == UPSTREAM_UNABLE ? "no upstream can be told" : "no upstream answered");
    err_clear(&fault->err);
    return run_local(p, RESULT_DEGRADED, false);
}

/* Local first; what is not trusted, or what the engine has no place for, goes on. */
static slm_status run_judged(struct passage *p) {
    struct fault *fault = &p->chat->c->fault;
    slm_status st = run_local(p, RESULT_LOCAL, true);
    bool is_doubt = st == SLM_E_NEEDS_FRONTIER && !p->is_told;
    if (st == SLM_OK || p->is_told || st == SLM_E_CANCELLED || st == SLM_E_NOMEM || time_now_s() >= p->deadline) return st;
    p->is_escalated = is_doubt;
    if (is_doubt) atomic_fetch_add(&p->gw->n_escalated, 1);
    else snprintf(p->reason, sizeof p->reason, "the local model %s", st == SLM_E_BUSY ? "is busy" : "failed");
    p->saved = 0;
    struct fault before = *fault;
    err_clear(&fault->err);
    st = run_frontier(p);
    if (st != SLM_OK && !is_doubt && !p->is_told) *fault = before; /* what was wrong first */
    return st != SLM_OK && !is_doubt && !p->is_told ? before.err.code : st;
}

static void note(struct passage *p, slm_status st) {
    struct call *c = p->chat->c;
    if (st != SLM_OK && !p->is_told) p->tier = RESULT_NONE;
    if (st != SLM_OK) p->saved = 0;
    struct decision d = {.request = p->request_id, .api = api_name(c->api), .tier = result_tier_name(p->tier), .model = p->model, .reason = p->reason, .cache = p->cache, .key = key_name(c->key), .is_escalated = p->is_escalated,
                         .is_degraded = p->tier == RESULT_DEGRADED, .score = p->facts.v[FACT_OUT_TOKENS] > 0 ? p->score : NAN, .n_in = c->n_prompt, .n_out = c->n_generated, .cost = p->cost, .saved = p->saved,
                         .http_status = st == SLM_OK ? 200 : fault_status(&c->fault), .seconds = http_seconds(c->x)};
    if (st != SLM_OK && !c->fault.http_status) d.http_status = status_get(st)->http_status;
    bool is_judged = p->plan == PLAN_JUDGED && p->facts.v[FACT_OUT_TOKENS] > 0 && p->facts.v[FACT_INVALID] <= 0; /* what is not of the form is not judged by its signals */
    json_t *signals = is_judged && p->chat->model ? passage_signals_json(p) : NULL;
    char *signals_text = signals ? json_dumps(signals, JSON_COMPACT) : NULL;
    d.signals = signals_text;
    p->row = ledger_note(p->gw->ledger, &d);
    free(signals_text);
    json_decref(signals);
    atomic_fetch_add(&p->gw->n_answers[p->tier], 1);
    atomic_fetch_add(&p->gw->saved_micro_usd, p->saved / 1000);
}

/* What a stream cost is known at its end: a comment says it, where the API has comments. */
static slm_status tell_cost(struct passage *p) {
    char text[200];
    struct call *c = p->chat->c;
    if (!p->chat->streams || c->api == API_OLLAMA || !http_is_begun(c->x)) return SLM_OK;
    int n = snprintf(text, sizeof text, ": x-slm-cost-usd: %.9f x-slm-saved-usd: %.9f\n\n", (double)p->cost / USD_NANO, (double)p->saved / USD_NANO);
    return http_stream_write(c->x, text, (size_t)n) ? SLM_OK : fault_set(&c->fault, SLM_E_CANCELLED, NULL, "client: left");
}

static slm_status go(struct passage *p) {
    bool has = false;
    slm_status st = SLM_OK;
    TRY(passage_plan(p));
    if (p->plan == PLAN_JUDGED) TRY(passage_check_cal(p));
    if (p->plan == PLAN_JUDGED && gateway_watch_state(p->gw) != WATCH_CALM) { /* what it promised is not about these requests */
        p->plan = PLAN_FRONTIER;
        snprintf(p->reason, sizeof p->reason, "the certificate is suspended: %s", watch_state_name(gateway_watch_state(p->gw)));
    }
    if (p->plan == PLAN_JUDGED && p->gw->cache) { /* an answer that was paid for is better than one that must be judged */
        TRY(passage_ask(p));
        TRY(from_cache(p, &has));
    }
    if (has) return SLM_OK;
    if (p->plan == PLAN_LOCAL) return run_local(p, RESULT_LOCAL, false);
    return p->plan == PLAN_FRONTIER ? run_frontier(p) : run_judged(p);
out:
    return st;
}

slm_status gateway_run(struct chat *chat) {
    struct call *c = chat->c;
    struct passage p = {.chat = chat, .gw = c->server->gateway, .on_delta = chat->g.on_delta, .user = chat->g.user, .tier = RESULT_NONE, .cache = "off", .confidence = NAN};
    p.deadline = time_now_s() - http_seconds(c->x) + p.gw->s->deadline_ms * 1e-3;
    restorer_init(&p.text, &p.redaction, false);
    restorer_init(&p.reasoning, &p.redaction, false);
    restorer_init(&p.arguments, &p.redaction, true);
    buf_init(&p.piece, PIECE_BYTES_MAX);
    slm_status st = go(&p);
    note(&p, st);
    put_headers(&p);
    if (st == SLM_OK) st = tell_cost(&p);
    if (st == SLM_OK) passage_shadow(&p);
    snprintf(chat->name_text, sizeof chat->name_text, "%s", p.model);
    chat->name = chat->name_text;
    snprintf(c->tier, sizeof c->tier, "%s", result_tier_name(p.tier));
    drop_held(&p);
    free(p.held);
    kept_fini(&p.kept);
    question_free(p.question);
    restorer_fini(&p.text);
    restorer_fini(&p.reasoning);
    restorer_fini(&p.arguments);
    redaction_fini(&p.redaction);
    buf_fini(&p.piece);
    json_decref(p.outgoing);
    free(p.schema);
    return st;
}
