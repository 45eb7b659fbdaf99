/* gateway_verdict.c -- verdicts on answers: what a certificate promises of them, what clients say of them, what the frontier would have said.
 *
 * The loop: answers of slm-auto keep their signals in the ledger; POST /slm/v1/feedback, or the shadow, says whether they were right;
 * GET /slm/v1/answers gives them as slm calibrate reads them; its certificate then decides in place of accept. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/json.h"
#include "base/show.h"
#include "base/util.h"
#include "serve/gateway_int.h"
#include "task/bind.h"

#define TASK "chat"
#define ANSWERS_BYTES_MAX ((size_t)256 << 20)
#define SHADOW_DEADLINE_S 120

static void passage_signals(const struct passage *p, struct signals *out) {
    const struct facts *f = &p->facts;
    signals_init(out);
    out->v[SIGNAL_LENGTH] = log(1 + (double)p->chat->ids.n);
    out->v[SIGNAL_LOGPROB_MEAN] = f->v[FACT_MEAN_LOGPROB];
    out->v[SIGNAL_LOGPROB_MIN] = f->v[FACT_MIN_LOGPROB];
    out->v[SIGNAL_LOGPROB_P10] = f->v[FACT_Q10_LOGPROB];
}

/* What the answers of a model are bound to. The rendering is the model's own template's, so its file says it. */
struct bound_to gateway_bound(struct gateway *g, const struct served *s) {
    pthread_mutex_lock(&g->lock);
    if (g->i_bound != s->i_load) { /* reading a model's file for its number takes a moment: once for each load, since another file may have come to its path */
        g->bound = (struct bound_to){bind_model(s->model->gguf), bind_tokenizer(s->model->gguf), bind_texts(TASK, NULL, 0)};
        g->i_bound = s->i_load;
    }
    struct bound_to b = g->bound;
    pthread_mutex_unlock(&g->lock);
    return b;
}

slm_status passage_check_cal(struct passage *p) {
    struct fault *f = &p->chat->c->fault;
    if (!p->gw->cal || !p->chat->model) return SLM_OK;
    slm_status st = cal_check(p->gw->cal, TASK, gateway_bound(p->gw, p->chat->model), &f->err);
    if (st == SLM_OK) return st;
    f->http_status = 503;
    f->code = "calibration_mismatch";
    return st;
}

bool passage_may_certify(struct passage *p) {
    slm_err err;
    if (!p->gw->cal) return true;
    return gateway_watch_state(p->gw) == WATCH_CALM && cal_check(p->gw->cal, TASK, gateway_bound(p->gw, p->chat->model), &err) == SLM_OK;
}

bool passage_is_certified(struct passage *p) {
    struct signals s;
    passage_signals(p, &s);
    bool is_kept = cal_judge(p->gw->cal, &s, &p->confidence);
    if (p->plan != PLAN_JUDGED) return is_kept && gateway_watch_state(p->gw) == WATCH_CALM; /* a hedge: rules chose the request, so it is none of those that are watched */
    return !gateway_watch_score(p->gw, combine_score(&p->gw->cal->combiner, &s)) && is_kept;
}

json_t *passage_signals_json(struct passage *p) {
    struct signals s;
    json_t *v = json_object();
    passage_signals(p, &s);
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (!isnan(s.v[i])) json_object_set_new(v, signal_name((enum signal)i), json_f64(s.v[i]));
    return json_pack("{s:o, s:o}", "signals", v, "bound_to", bound_json(gateway_bound(p->gw, p->chat->model)));
}

static slm_status need_gateway(struct call *c) {
    if (c->server->gateway) return SLM_OK;
    return fault_set(&c->fault, SLM_E_NOT_FOUND, NULL, "this server has no gateway (slm serve --gateway FILE)");
}

static const struct field feedback_rows[] = {
    {.name = "request_id", .types = JT_STRING, .store = STORE_TEXT, .offset = F(query), .is_required = true, .doc = "the x-slm-request-id of an answer"},
    {.name = "correct", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(verbose), .is_required = true, .doc = "whether it was right"},
};
const struct field_table gateway_feedback_fields = FIELDS(feedback_rows);

slm_status gateway_feedback(struct call *c) {
    slm_status st = need_gateway(c);
    if (st != SLM_OK) return st;
    struct gateway *g = c->server->gateway;
    bool is_right = c->r.verbose == 1;
    if (!ledger_verdict(g->ledger, c->r.query, key_name(c->key), is_right)) return fault_set(&c->fault, SLM_E_NOT_FOUND, "request_id", "request \"%s\": your key has none of this id in the ledger", show_cstr(c->r.query).s);
    if (ledger_audit_feedback(g->ledger, c->r.query, key_name(c->key), gateway_watch_id(g), is_right ? 0 : 1)) gateway_watch_loss(g, is_right ? 0 : 1);
    return reply_json(c, 200, json_pack("{s:s}", "status", "ok"));
}

slm_status gateway_answers(struct call *c) {
    struct buf out;
    slm_status st = need_gateway(c);
    if (st != SLM_OK) return st;
    buf_init(&out, ANSWERS_BYTES_MAX);
    ledger_answers(c->server->gateway->ledger, TASK, &out);
    if ((st = buf_status(&out, "answers", &c->fault.err)) == SLM_OK) st = reply_text(c, 200, "application/x-ndjson", out.data ? out.data : "", out.len);
    buf_fini(&out);
    return st;
}

/* Shadow and audit: a share of the answers that were kept here is asked of the frontier too, after the client has its answer. What an audit says is about the certificate
 * that kept the answer (gateway_watch.c); a shadow's verdict is for making the next one. */

struct shadow {
    struct gateway *g;
    json_t *messages, *tools, *stop;
    char *text, *schema, request_id[80];
    struct ask ask;
    struct buf said;
    bool calls;
    int64_t row;   /* the request's, in the ledger */
    int64_t audit; /* its row; 0: a shadow */
};

static void shadow_free(struct shadow *s) {
    if (!s) return;
    json_decref(s->messages);
    json_decref(s->tools);
    json_decref(s->stop);
    free(s->text);
    free(s->schema);
    buf_fini(&s->said);
    free(s);
}

static slm_status on_shadow_part(void *user, const struct output_event *e) {
    struct shadow *s = user;
    if (e->kind == OUTPUT_TEXT) buf_append(&s->said, e->text.ptr, e->text.len);
    s->calls |= e->kind == OUTPUT_CALL_BEGIN;
    return SLM_OK;
}

static bool is_ending(void *user) {
    const struct shadow *s = user;
    return atomic_load(&s->g->is_ending);
}

static struct view trimmed(const char *text, size_t n) {
    struct view v = {text ? text : "", n};
    while (v.len && (unsigned char)*v.ptr <= ' ') v.ptr++, v.len--;
    while (v.len && (unsigned char)v.ptr[v.len - 1] <= ' ') v.len--;
    return v;
}

static void run_shadow(void *arg) {
    struct shadow *s = arg;
    struct gateway *g = s->g;
    slm_err err;
    const struct asking_settings *set = s->audit ? &g->s->audit : &g->s->shadow;
    struct frontier_call call = {.ask = &s->ask, .request_id = s->request_id, .kind = s->audit ? "audit" : "shadow", .deadline = time_now_s() + SHADOW_DEADLINE_S,
                                 .kind_max = (nano_usd)(set->max_usd_per_day * USD_NANO), .is_gone = is_ending, .on_event = on_shadow_part, .user = s};
    if (frontier_ask(g->upstreams, &call, &err) == UPSTREAM_ANSWERED) {
        bool agrees = !s->calls && view_eq(trimmed(s->text, strlen(s->text)), trimmed(s->said.data, s->said.len));
        ledger_agrees(g->ledger, s->row, agrees);
        if (s->audit && ledger_audit_end(g->ledger, s->audit, agrees ? 0 : 1)) gateway_watch_loss(g, agrees ? 0 : 1);
    }
    ledger_flush(g->ledger);
    shadow_free(s);
}

static bool is_drawn(struct gateway *g, double share) {
    if (share <= 0) return false;
    pthread_mutex_lock(&g->lock);
    bool is = rng_f64(&g->rng) < share;
    pthread_mutex_unlock(&g->lock);
    return is;
}

/* Placeholders would be compared with what they stand for, and calls are not compared. */
static bool may_compare(const struct passage *p, const struct answer *a) {
    return p->plan == PLAN_JUDGED && p->may_leave && !p->redacts && a->n_calls == 0 && !view_eq(http_header_find(http_request_of(p->chat->c->x), "x-slm-shadow"), VIEW("0"));
}

void passage_draw(struct passage *p, const struct answer *a) { p->is_audit = may_compare(p, a) && is_drawn(p->gw, p->gw->s->audit.sample); }

void passage_shadow(struct passage *p) {
    struct gateway *g = p->gw;
    struct answer *a = p->chat->g.answers;
    if (p->tier != RESULT_LOCAL || !may_compare(p, a) || (!p->is_audit && !is_drawn(g, g->s->shadow.sample)) || passage_ask(p) != SLM_OK) return;
    int64_t audit = p->is_audit ? ledger_audit_begin(g->ledger, p->request_id, key_name(p->chat->c->key), gateway_watch_id(g)) : 0;
    if (p->is_audit && !audit) return; /* what is not in the ledger is not asked */
    struct shadow *s = calloc(1, sizeof *s);
    if (!s) return;
    buf_init(&s->said, ANSWERS_BYTES_MAX);
    s->g = g;
    s->row = p->row;
    s->audit = audit;
    s->ask = p->ask; /* numbers are copied; what is borrowed from the request is copied below */
    s->ask.streams = false;
    s->ask.stop = s->stop = p->ask.stop ? json_deep_copy(p->ask.stop) : NULL;
    s->ask.effort = NULL;
    s->ask.tool_name = NULL;
    if (s->ask.choice == ASK_NAMED) s->ask.choice = ASK_REQUIRED;
    s->messages = json_deep_copy(p->ask.messages);
    s->tools = json_deep_copy(p->ask.tools);
    s->text = strndup(a->text.data ? a->text.data : "", a->text.len);
    s->schema = strndup(p->ask.schema.ptr ? p->ask.schema.ptr : "", p->ask.schema.len);
    snprintf(s->request_id, sizeof s->request_id, "%s", p->request_id);
    s->ask.messages = s->messages;
    s->ask.tools = s->tools;
    s->ask.schema = view_of(s->schema);
    if (!s->messages || !s->tools || !s->text || !s->schema || !crew_start(g->shadows, run_shadow, s)) shadow_free(s); /* no place: no shadow */
}
