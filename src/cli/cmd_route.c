/* cmd_route.c -- slm route: what the gateway's file would decide about a text, and why; nothing is generated. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/term.h"
#include "model/model.h"
#include "tier/ask.h"
#include "tier/privacy.h"

struct route_values {
    struct common_values common;
    struct jobs_values jobs;
    const char *gateway, *model;
    int32_t ctx, n_max, tools;
    bool stream, schema, is_private;
};

struct routing {
    const struct route_values *v;
    struct tier_settings *settings;
    struct privacy *privacy;
    struct slm_model *model; /* its vocabulary; NULL: tokens are estimated as the gateway does */
};

static slm_status read_facts(const struct routing *r, struct view text, struct facts *f, slm_err *err) {
    const struct route_values *v = r->v;
    struct tok_ids ids = {0};
    slm_status st = SLM_OK;
    json_t *messages = json_pack("[{s:s, s:s%}]", "role", "user", "content", text.ptr, text.len);
    if (!messages) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "text: not UTF-8");
    struct ask a = {.messages = messages};
    *f = (struct facts){.v = {0}};
    if (r->model) st = tok_encode(r->model->tok, text, 0, &ids, err);
    f->v[FACT_IN_BYTES] = (double)ask_bytes(&a);
    f->v[FACT_IN_TOKENS] = r->model ? (double)ids.n : (double)ask_tokens(ask_bytes(&a));
    f->v[FACT_MESSAGES] = 1;
    f->v[FACT_TOOLS] = v->tools;
    f->v[FACT_MAX_TOKENS] = v->n_max;
    f->v[FACT_STREAM] = v->stream;
    f->v[FACT_SCHEMA] = v->schema;
    f->v[FACT_PRIVATE] = v->is_private;
    f->v[FACT_PII] = (double)privacy_count(r->privacy, messages);
    f->v[FACT_FITS] = f->v[FACT_IN_TOKENS] + v->n_max <= v->ctx;
    f->text[FACT_TEXT] = text;
    f->text[FACT_API] = VIEW("native");
    f->text[FACT_KEY] = VIEW("");
    tok_ids_fini(&ids);
    json_decref(messages);
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

static double tokens_usd(const struct tier_settings *s, const struct facts *f, int32_t n_max) {
    if (s->n_upstreams == 0) return 0;
    return (f->v[FACT_IN_TOKENS] * s->upstreams[0].price_in + n_max * s->upstreams[0].price_out) * 1e-6;
}

static slm_status route_one(void *user, const struct job *job, struct task_result *r, struct buf *plain, bool *right, slm_err *err) {
    const struct routing *g = user;
    struct facts f;
    unsigned i_rule;
    const char *why;
    slm_status st = read_facts(g, job->text, &f, err);
    if (st != SLM_OK) return st;
    const char *what = decide(g, &f, &i_rule, &why);
    double usd = tokens_usd(g->settings, &f, g->v->n_max);
    r->output = json_pack("{s:s, s:s, s:o, s:o}", "decision", what, "why", why, "rule", i_rule ? json_integer(i_rule) : json_null(), "frontier_usd_at_most", json_f64(usd));
    r->more = json_pack("{s:o}", "facts", facts_json(&f));
    *right = job->label && strcmp(job->label, what) == 0;
    buf_printf(plain, "%s\t%s", what, why);
    if (i_rule) buf_printf(plain, "\trule %u", i_rule);
    return SLM_OK;
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
