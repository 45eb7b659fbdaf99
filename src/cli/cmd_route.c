/* cmd_route.c -- slm route: what the gateway's file would decide about a text, and why; nothing is generated. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/term.h"
#include "model/model.h"
#include "serve/messages.h"
#include "tier/ask.h"
#include "tier/privacy.h"

struct route_values {
    struct common_values common;
    struct jobs_values jobs;
    const char *gateway, *model;
    int32_t ctx, n_max, tools;
    bool stream, schema, is_private, bodies;
};

struct routing {
    const struct route_values *v;
    struct tier_settings *settings;
    struct privacy *privacy;
    struct slm_model *model; /* its vocabulary; NULL: tokens are estimated as the gateway does */
};

/* The messages as the gateway reads them: parts of text are one text. */
static slm_status make_plain(json_t *body, slm_err *err) {
    struct fault fault = {0};
    json_t *plain = json_array();
    slm_status st = messages_openai(json_object_get(body, "messages"), plain, &fault);
    if (st != SLM_OK) *err = fault.err;
    else json_object_set(body, "messages", plain);
    json_decref(plain);
    return st;
}

/* A text as a conversation of one message; or the conversation that it is the body of. New; NULL: it is none. */
static json_t *body_of(const struct route_values *v, struct view text, slm_err *err) {
    json_error_t e;
    json_t *body = v->bodies ? json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &e) : json_pack("{s:[{s:s, s:s%}]}", "messages", "role", "user", "content", text.ptr, text.len);
    bool has_messages = json_is_array(json_object_get(body, "messages"));
    if (has_messages && make_plain(body, err) == SLM_OK) return body;
    if (body && !has_messages) err_set(err, SLM_E_USAGE, SLM_NOWHERE, "body: has no messages");
    else if (!body && v->bodies) err_set(err, SLM_E_USAGE, SLM_NOWHERE, "body: is no JSON at byte %d: %s", e.position < 0 ? 0 : e.position, show_cstr(e.text).s);
    else if (!body) err_set(err, SLM_E_USAGE, SLM_NOWHERE, "text: not UTF-8");
    json_decref(body);
    return NULL;
}

/* Tokens of all texts by the model's vocabulary; a template's own are not counted. */
static slm_status count_tokens(const struct slm_model *m, const json_t *v, struct tok_ids *ids, slm_err *err) {
    slm_status st = SLM_OK;
    for (size_t i = 0; i < json_array_size(v) && st == SLM_OK; i++) {
        const json_t *content = json_object_get(json_array_get(v, i), "content");
        if (json_is_string(content)) st = tok_encode(m->tok, (struct view){json_string_value(content), json_string_length(content)}, 0, ids, err);
    }
    return st;
}

/* What of a body would leave: as the gateway has it. */
static json_t *outgoing_of(const json_t *body) {
    static const char *const keys[] = {"messages", "tools", "tool_choice", "stop"};
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (json_object_get(body, keys[i])) json_object_set(out, keys[i], json_object_get(body, keys[i]));
    const json_t *format = json_object_get(json_object_get(body, "response_format"), "json_schema"), *schema = json_object_get(format, "schema");
    if (schema) json_object_set_new(out, "schema", json_deep_copy(schema));
    return out;
}

/* *body is what the texts among the facts lie in: to be let go after them. */
static slm_status read_facts(const struct routing *r, struct view text, struct facts *f, json_t **body, slm_err *err) {
    const struct route_values *v = r->v;
    struct tok_ids ids = {0};
    slm_status st = SLM_OK;
    json_t *outgoing = NULL;
    if (!(*body = body_of(v, text, err))) return err->code;
    const json_t *tools = json_object_get(*body, "tools"), *choice = json_object_get(*body, "tool_choice"), *n_max = json_object_get(*body, "max_completion_tokens");
    const char *format = json_string_value(json_object_get(json_object_get(*body, "response_format"), "type"));
    if (!json_is_integer(n_max)) n_max = json_object_get(*body, "max_tokens"); /* the older name */
    struct ask a = {.messages = json_object_get(*body, "messages"), .tools = tools};
    *f = (struct facts){.v = {0}};
    if (r->model) TRY(count_tokens(r->model, a.messages, &ids, err));
    outgoing = outgoing_of(*body);
    f->v[FACT_IN_BYTES] = (double)ask_bytes(&a);
    f->v[FACT_IN_TOKENS] = r->model ? (double)ids.n : (double)ask_tokens(ask_bytes(&a));
    f->v[FACT_MESSAGES] = (double)json_array_size(a.messages);
    f->v[FACT_TOOLS] = v->bodies ? (double)json_array_size(tools) : v->tools;
    f->v[FACT_TOOL_FORCED] = json_is_object(choice) || (json_is_string(choice) && strcmp(json_string_value(choice), "required") == 0);
    f->v[FACT_MAX_TOKENS] = json_is_integer(n_max) ? (double)json_integer_value(n_max) : v->n_max;
    f->v[FACT_STREAM] = v->stream || json_is_true(json_object_get(*body, "stream"));
    f->v[FACT_SCHEMA] = v->schema || (format && strcmp(format, "text") != 0);
    f->v[FACT_PRIVATE] = v->is_private;
    f->v[FACT_PII] = (double)privacy_count(r->privacy, outgoing);
    f->v[FACT_FITS] = f->v[FACT_IN_TOKENS] + f->v[FACT_MAX_TOKENS] <= v->ctx;
    f->text[FACT_TEXT] = messages_last_user(a.messages);
    f->text[FACT_API] = v->bodies ? VIEW("openai") : VIEW("native");
    f->text[FACT_KEY] = VIEW("");
out:
    json_decref(outgoing);
    tok_ids_fini(&ids);
    return st;
}

/* The same order as in the gateway: privacy, rules, what the local model cannot hold. */
static const char *decide(const struct routing *r, const struct facts *f, unsigned *i_rule, const char **why) {
    static const char *const thens[] = {[THEN_FRONTIER] = "frontier", [THEN_LOCAL] = "local", [THEN_LOCAL_ONLY] = "local_only", [THEN_BLOCK] = "block"};
    const struct tier_settings *s = r->settings;
    bool stays = f->v[FACT_PRIVATE] > 0 || (f->v[FACT_PII] > 0 && s->privacy.action == PRIVACY_LOCAL_ONLY);
    *i_rule = 0;
    *why = f->v[FACT_PII] > 0 ? "personal data" : "private";
    if (f->v[FACT_PII] > 0 && s->privacy.action == PRIVACY_BLOCK) return "block";
    for (unsigned i = 0; i < s->n_rules; i++) {
        if (!rule_holds(s->rules[i].rule, f)) continue;
        *i_rule = i + 1;
        if (stays && s->rules[i].then != THEN_BLOCK) return f->v[FACT_FITS] > 0 ? "local_only" : "refused";
        *why = s->rules[i].when;
        if (s->rules[i].then != THEN_FRONTIER && f->v[FACT_FITS] <= 0) break;
        return thens[s->rules[i].then];
    }
    if (stays) return f->v[FACT_FITS] > 0 ? "local_only" : "refused";
    if (f->v[FACT_FITS] <= 0) {
        *why = "the local model cannot hold it";
        return *i_rule && s->rules[*i_rule - 1].then == THEN_LOCAL_ONLY ? "refused" : "frontier";
    }
    *why = s->automatic.accept ? s->automatic.accept : "the certificate";
    return "local first";
}

static json_t *facts_json(const struct facts *f) {
    json_t *o = json_object();
    const struct fact_row *rows = fact_rows();
    for (int i = 0; i < FACT_COUNT; i++)
        if ((rows[i].when & FACT_OF_REQUEST) && rows[i].kind != FACT_WORDS)
            json_object_set_new(o, rows[i].name, rows[i].kind == FACT_FLAG ? json_boolean(f->v[i] > 0) : json_integer((json_int_t)f->v[i]));
    return o;
}

static double tokens_usd(const struct tier_settings *s, const struct facts *f, double n_max) {
    if (s->n_upstreams == 0) return 0;
    return (f->v[FACT_IN_TOKENS] * s->upstreams[0].price_in + n_max * s->upstreams[0].price_out) * 1e-6;
}

static slm_status route_one(void *user, const struct job *job, struct task_result *r, struct buf *plain, bool *right, slm_err *err) {
    const struct routing *g = user;
    struct facts f;
    unsigned i_rule;
    const char *why;
    json_t *body = NULL;
    slm_status st = read_facts(g, job->text, &f, &body, err);
    if (st != SLM_OK) goto out;
    const char *what = decide(g, &f, &i_rule, &why);
    double usd = tokens_usd(g->settings, &f, f.v[FACT_MAX_TOKENS]);
    r->output = json_pack("{s:s, s:s, s:o, s:o}", "decision", what, "why", why, "rule", i_rule ? json_integer(i_rule) : json_null(), "frontier_usd_at_most", json_f64(usd));
    r->more = json_pack("{s:o}", "facts", facts_json(&f));
    *right = job->label && strcmp(job->label, what) == 0;
    buf_printf(plain, "%s\t%s", what, why);
    if (i_rule) buf_printf(plain, "\trule %u", i_rule);
out:
    json_decref(body);
    return st;
}

static slm_status run_route(const void *values, slm_err *err) {
    const struct route_values *v = values;
    slm_status st = SLM_OK;
    struct routing r = {.v = v};
    TRY(settings_read(v->gateway, &r.settings, err));
    TRY(privacy_create(&r.settings->privacy, &r.privacy, err));
    if (v->model) TRY(model_open(v->model, MODEL_VOCAB_ONLY, &r.model, err));
    TRY(jobs_run(&v->jobs, "route", NULL, route_one, &r, err));
out:
    model_close(r.model);
    privacy_free(r.privacy);
    settings_free(r.settings);
    return st;
}

static const struct option route_options[] = {
    {.kind = OPT_FILE, .name = "gateway", .value = "FILE.yaml", .flags = OPTION_REQUIRED, .offset = offsetof(struct route_values, gateway), .since = "0.1", .help = "the gateway's file, as slm serve --gateway takes it"},
    OPTION_MODEL_THAT_IS(struct route_values, 0),
    JOBS_ROWS(struct route_values),
    {.kind = OPT_INT, .letter = 'c', .name = "ctx", .value = "N", .fallback = "4096", .min = 1, .max = 1 << 24, .offset = offsetof(struct route_values, ctx), .since = "0.1", .help = "positions that the local model has"},
    {.kind = OPT_INT, .letter = 'n', .name = "predict", .value = "N", .fallback = "256", .min = 0, .max = 1 << 24, .offset = offsetof(struct route_values, n_max), .since = "0.1", .help = "tokens of an answer, for what fits and what it costs"},
    {.kind = OPT_INT, .name = "tools", .value = "N", .fallback = "0", .min = 0, .max = 4096, .offset = offsetof(struct route_values, tools), .since = "0.1", .help = "tools that the request has"},
    {.kind = OPT_FLAG, .name = "stream", .offset = offsetof(struct route_values, stream), .since = "0.1", .help = "as if the answer were streamed"},
    {.kind = OPT_FLAG, .name = "schema", .offset = offsetof(struct route_values, schema), .since = "0.1", .help = "as if it had a form"},
    {.kind = OPT_FLAG, .name = "bodies", .offset = offsetof(struct route_values, bodies), .since = "0.1",
     .help = "each text is the body of a request (JSON, as POST /v1/chat/completions takes it): its messages, tools, schema and stop strings are looked at as the gateway does"},
    {.kind = OPT_FLAG, .name = "private", .offset = offsetof(struct route_values, is_private), .since = "0.1", .help = "as if x-slm-private were set"},
};
static const struct option route_operands[] = {JOBS_OPERANDS(struct route_values)};
static const struct example route_examples[] = {
    {"slm route --gateway tiers.yaml \"translate this letter\"", "frontier, and the rule that says so"},
    {"slm route --gateway tiers.yaml -m small.gguf -f requests.txt --json", "decisions with all facts, a line for each text"},
};
const struct command command_route = {
    .group = "narrow jobs",
    .summary = "show what the gateway would decide, and why",
    .description = "Prints for each text what the gateway's file decides before anything is generated: frontier, local, local_only, block, refused (it must stay and does not fit), or local first, where the "
                   "local answer is then judged. Without -m the number of tokens is estimated as the gateway estimates it for a model that is not loaded; with -m the model's vocabulary counts them.",
    .table = {"route", ROWS(route_options), ROWS(route_operands)},
    .values_bytes = sizeof(struct route_values),
    .examples = route_examples,
    .n_examples = sizeof route_examples / sizeof route_examples[0],
    .run = run_route,
};
