/* gateway_plan.c -- what a request may do and should do, before anything is generated: headers, detectors, rules. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "serve/gateway_int.h"

static struct view header_of(const struct passage *p, const char *name) { return http_header_find(http_request_of(p->chat->c->x), name); }

static void set_reason(struct passage *p, const char *reason) { snprintf(p->reason, sizeof p->reason, "%s", reason); }

/* Fields that only our own engine understands: a request that has one stays here. */
static const char *field_that_stays(const struct chat *chat) {
    const struct request *r = &chat->asked;
    const struct { bool is_set; const char *name; } rows[] = {
        {chat->stays != NULL, chat->stays}, {chat->n_each > 1, "n"}, {chat->n_top >= 0, "logprobs"}, {r->lora != NULL, "lora"}, {!isnan(r->min_p) && r->min_p > 0, "min_p"},
        {!isnan(r->typical_p) && r->typical_p < 1, "typical_p"}, {!isnan(r->repeat_penalty) && r->repeat_penalty != 1, "repeat_penalty"},
        {!isnan(r->dry_multiplier) && r->dry_multiplier > 0, "dry_multiplier"}, {r->logit_bias != NULL, "logit_bias"}, {r->ignore_eos == 1, "ignore_eos"},
        {r->template_kwargs != NULL, "chat_template_kwargs"}, {r->documents != NULL, "documents"},
        {chat->format.is_set && chat->format.spec.kind != CONSTRAIN_SCHEMA && chat->format.spec.kind != CONSTRAIN_JSON && chat->format.spec.kind != CONSTRAIN_TOOLS, "a grammar, expression or choice"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].is_set) return rows[i].name;
    return NULL;
}

/* All texts that would go out, so that what is counted is what is redacted and what is sent. */
static json_t *outgoing_json(const struct chat *chat) {
    json_t *schema = NULL;
    if (chat->format.is_set && chat->format.spec.kind == CONSTRAIN_SCHEMA) schema = json_loadb(chat->format.spec.text.ptr, chat->format.spec.text.len, JSON_DECODE_ANY, NULL);
    return json_pack("{s:O, s:O?, s:s?, s:O?, s:s?, s:o?}", "messages", chat->messages, "tools", chat->tools, "tool_name", chat->tool_name, "stop", chat->stop, "effort", chat->effort, "schema", schema);
}

/* Twice said is said; only a plain 0 means no. */
static bool is_private(const struct passage *p) {
    const struct http_request *r = http_request_of(p->chat->c->x);
    for (size_t i = 0; i < r->n_headers; i++)
        if (view_eq_nocase(r->headers[i].name, "x-slm-private") && !view_eq(r->headers[i].value, VIEW("0"))) return true;
    return false;
}

static slm_status read_facts(struct passage *p) {
    struct chat *chat = p->chat;
    struct facts *f = &p->facts;
    struct ask a = {.messages = chat->messages, .tools = chat->tools};
    p->outgoing = outgoing_json(chat);
    if (!p->outgoing) return fault_set(&chat->c->fault, SLM_E_NOMEM, NULL, "request: no memory");
    f->v[FACT_IN_BYTES] = (double)ask_bytes(&a);
    f->v[FACT_IN_TOKENS] = chat->ids.n ? (double)chat->ids.n : (double)ask_tokens(ask_bytes(&a));
    f->v[FACT_MESSAGES] = (double)json_array_size(chat->messages);
    f->v[FACT_TOOLS] = (double)json_array_size(chat->tools);
    f->v[FACT_TOOL_FORCED] = chat->tool_choice == TOOLS_REQUIRED || chat->tool_choice == TOOLS_NAMED;
    f->v[FACT_MAX_TOKENS] = chat->n_max > 0 ? chat->n_max : 0;
    f->v[FACT_STREAM] = chat->streams;
    f->v[FACT_SCHEMA] = chat->format.is_set;
    f->v[FACT_PII] = (double)privacy_count(p->gw->privacy, p->outgoing);
    f->v[FACT_PRIVATE] = is_private(p);
    f->v[FACT_FITS] = chat->local_fault.err.code == SLM_OK;
    f->text[FACT_TEXT] = messages_last_user(chat->messages);
    f->text[FACT_API] = view_of(api_name(chat->c->api));
    f->text[FACT_KEY] = view_of(key_name(chat->c->key));
    return SLM_OK;
}

static slm_status read_headers(struct passage *p) {
    struct fault *f = &p->chat->c->fault;
    struct view usd = header_of(p, "x-slm-max-usd"), id = header_of(p, "x-slm-request-id"), tier = header_of(p, "x-slm-tier");
    double request_max = p->gw->s->budget.usd_per_request;
    if (header_of(p, "x-slm-target").len) return fault_set(f, SLM_E_UNSUPPORTED, NULL, "header \"x-slm-target\": is not done yet");
    if (usd.len) {
        char text[32], *end;
        snprintf(text, sizeof text, "%.*s", (int)(usd.len < 31 ? usd.len : 31), usd.ptr);
        double v = strtod(text, &end);
        if (end == text || *end || !(v >= 0) || v > USD_MAX) return fault_set(f, SLM_E_USAGE, NULL, "header \"x-slm-max-usd\": \"%s\" is no amount", show_cstr(text).s);
        if (request_max <= 0 || v < request_max) request_max = v;
    }
    p->has_left = usd.len || request_max > 0;
    atomic_store(&p->left, (nano_usd)(request_max * USD_NANO));
    p->no_cache = view_eq(header_of(p, "x-slm-no-cache"), VIEW("1"));
    if (id.len) snprintf(p->request_id, sizeof p->request_id, "%.79s", show_view(id).s);
    else make_id("slm_", p->request_id);
    if (tier.len == 0 || p->chat->gate != GATE_AUTO || view_eq(tier, VIEW("auto"))) return SLM_OK;
    p->is_forced = true;
    set_reason(p, "asked for");
    if (view_eq(tier, VIEW("local"))) p->plan = PLAN_LOCAL;
    else if (view_eq(tier, VIEW("frontier"))) p->plan = PLAN_FRONTIER;
    else return fault_set(f, SLM_E_USAGE, NULL, "header \"x-slm-tier\": must be local, frontier or auto, not \"%s\"", show_view(tier).s);
    return SLM_OK;
}

static slm_status forbid(struct passage *p, const char *code, const char *why) {
    struct fault *f = &p->chat->c->fault;
    fault_set(f, SLM_E_NEEDS_FRONTIER, NULL, "%s", why);
    f->http_status = 403;
    f->code = code;
    return SLM_E_NEEDS_FRONTIER;
}

static void stay(struct passage *p, const char *why) {
    if (!p->may_leave) return;
    p->may_leave = false;
    p->stays = why;
}

static slm_status obey_privacy(struct passage *p) {
    if (p->facts.v[FACT_PRIVATE] > 0) stay(p, "private");
    if (p->facts.v[FACT_PII] <= 0) return SLM_OK;
    switch (p->gw->s->privacy.action) {
    case PRIVACY_LOCAL_ONLY: stay(p, "personal data"); break;
    case PRIVACY_BLOCK: return forbid(p, "personal_data", "request: has personal data or keys, which this server does not take");
    case PRIVACY_REDACT: p->redacts = true; break;
    case PRIVACY_ALLOW: break;
    }
    return SLM_OK;
}

/* Rules that keep a request here count whatever was asked for; the others are for slm-auto. The first that holds decides. */
static slm_status obey_rules(struct passage *p) {
    for (unsigned i = 0; i < p->gw->s->n_rules; i++) {
        const struct rule_settings *r = &p->gw->s->rules[i];
        if (!rule_holds(r->rule, &p->facts)) continue;
        if (r->then == THEN_BLOCK) return forbid(p, "blocked", "request: a rule of this server forbids it");
        if (r->then == THEN_LOCAL_ONLY) stay(p, "a rule");
        if (p->is_forced || p->chat->gate != GATE_AUTO) return SLM_OK;
        p->is_forced = true;
        p->plan = r->then == THEN_FRONTIER ? PLAN_FRONTIER : PLAN_LOCAL;
        p->upstream = r->upstream;
        snprintf(p->reason, sizeof p->reason, "rule %u", i + 1);
        return SLM_OK;
    }
    return SLM_OK;
}

slm_status passage_plan(struct passage *p) {
    static const enum course plans[] = {[GATE_NONE] = PLAN_LOCAL, [GATE_LOCAL] = PLAN_LOCAL, [GATE_AUTO] = PLAN_JUDGED, [GATE_FRONTIER] = PLAN_FRONTIER};
    struct chat *chat = p->chat;
    slm_status st = SLM_OK;
    p->plan = plans[chat->gate];
    p->may_leave = chat->gate != GATE_LOCAL;
    set_reason(p, chat->gate == GATE_AUTO ? "local first" : "asked for");
    TRY(read_headers(p));
    TRY(read_facts(p));
    TRY(obey_privacy(p));
    TRY(obey_rules(p));
    const char *field = field_that_stays(chat);
    if (field && p->may_leave && chat->gate == GATE_FRONTIER) return fault_set(&chat->c->fault, SLM_E_UNSUPPORTED, field, "field \"%s\": no upstream's API can be told", field);
    if (field) stay(p, field);
    if (chat->gate == GATE_FRONTIER && !p->may_leave) return forbid(p, "local_only", "request: must not leave this machine; slm-local answers it");
    if (chat->local_fault.err.code != SLM_OK) {
        if (!p->may_leave) {
            chat->c->fault = chat->local_fault;
            return chat->local_fault.err.code;
        }
        p->plan = PLAN_FRONTIER;
        snprintf(p->reason, sizeof p->reason, "the local model cannot");
    }
    if (!p->may_leave && p->plan != PLAN_LOCAL) {
        p->plan = PLAN_LOCAL;
        snprintf(p->reason, sizeof p->reason, "stays: %s", p->stays ? p->stays : "");
    }
out:
    return st;
}

static slm_status redact_outgoing(struct passage *p) {
    json_t *redacted = privacy_redact(p->gw->privacy, p->outgoing, &p->redaction), *schema = json_object_get(redacted, "schema");
    json_decref(p->outgoing);
    p->outgoing = redacted;
    if (json_is_null(schema)) return redacted ? SLM_OK : SLM_E_NOMEM;
    p->schema = json_dumps(schema, JSON_COMPACT | JSON_ENCODE_ANY);
    return p->schema ? SLM_OK : SLM_E_NOMEM;
}

/* A text, or what an array or object is; NULL: none was given. */
static const json_t *sent(const struct passage *p, const char *field) {
    const json_t *v = json_object_get(p->outgoing, field);
    return json_is_null(v) ? NULL : v;
}

slm_status passage_ask(struct passage *p) {
    struct chat *chat = p->chat;
    const struct request *r = &chat->asked;
    static const enum ask_choice choices[] = {[TOOLS_AUTO] = ASK_AUTO, [TOOLS_NONE] = ASK_NONE, [TOOLS_REQUIRED] = ASK_REQUIRED, [TOOLS_NAMED] = ASK_NAMED};
    if (p->ask.messages) return SLM_OK;
    if (p->redacts && redact_outgoing(p) != SLM_OK) return fault_set(&chat->c->fault, SLM_E_NOMEM, NULL, "request: no memory");
    const json_t *messages = sent(p, "messages"), *last = json_array_get(messages, json_array_size(messages) - 1);
    const char *role = json_string_value(json_object_get(last, "role"));
    p->ask = (struct ask){.messages = messages, .tools = sent(p, "tools"), .choice = choices[chat->tool_choice], .tool_name = json_string_value(sent(p, "tool_name")), .one_call = chat->only_one_call,
                          .temperature = r->temperature, .top_p = r->top_p, .presence_penalty = r->presence_penalty, .frequency_penalty = r->frequency_penalty,
                          .top_k = r->top_k == ABSENT_I32 || r->top_k <= 0 ? -1 : r->top_k, .n_max = chat->n_max, .has_seed = r->seed.is_set, .seed = r->seed.value, .stop = sent(p, "stop"),
                          .effort = json_string_value(sent(p, "effort")), .streams = chat->streams, .continues = chat->continues && role && strcmp(role, "assistant") == 0 && !json_object_get(last, "tool_calls")};
    if (chat->format.is_set && chat->format.spec.kind == CONSTRAIN_SCHEMA) p->ask.schema = p->schema ? view_of(p->schema) : chat->format.spec.text;
    if (chat->format.is_set && chat->format.spec.kind == CONSTRAIN_JSON) p->ask.json_only = true;
    return SLM_OK;
}
