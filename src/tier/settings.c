/* settings.c -- the schema of the gateway's file, and what a schema cannot check. */
#include "tier/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/nearest.h"
#include "base/show.h"
#include "base/url.h"
#include "base/util.h"
#include "base/yaml.h"
#include "tier/breaker.h"
#include "tier/silence.h"

#define SETTINGS_BYTES_MAX (1u << 20)
#define LIST_MAX 256
#define TEXT(key, type, member) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 0, RULE_BYTES_MAX)
#define TEXT_NEEDED(key, type, member) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 1, RULE_BYTES_MAX)
#define NUMBER(key, type, member) CYAML_FIELD_FLOAT(key, CYAML_FLAG_OPTIONAL, type, member)
#define WHOLE(key, type, member) CYAML_FIELD_INT(key, CYAML_FLAG_OPTIONAL, type, member)
#define CHOICE(key, type, member, words) CYAML_FIELD_ENUM(key, CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, type, member, words, sizeof(words) / sizeof((words)[0]))

static const cyaml_strval_t kinds[] = {{"openai", WIRE_OPENAI}, {"anthropic", WIRE_ANTHROPIC}, {"gemini", WIRE_GEMINI}};
static const cyaml_strval_t thens[] = {{"frontier", THEN_FRONTIER}, {"local", THEN_LOCAL}, {"local_only", THEN_LOCAL_ONLY}, {"block", THEN_BLOCK}};
static const cyaml_strval_t actions[] = {{"local_only", PRIVACY_LOCAL_ONLY}, {"redact", PRIVACY_REDACT}, {"block", PRIVACY_BLOCK}, {"allow", PRIVACY_ALLOW}};
static const cyaml_strval_t exceededs[] = {{"local", EXCEEDED_LOCAL}, {"error", EXCEEDED_ERROR}};

static const cyaml_schema_value_t one_int = {CYAML_VALUE_INT(CYAML_FLAG_DEFAULT, int)};
static const cyaml_schema_value_t one_text = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 256)};

static const cyaml_schema_field_t breaker_fields[] = {
    WHOLE("fails", struct breaker_settings, fails), WHOLE("window_s", struct breaker_settings, window_s), WHOLE("open_s", struct breaker_settings, open_s), CYAML_FIELD_END};
#define U struct upstream_settings
static const cyaml_schema_field_t upstream_fields[] = {
    TEXT_NEEDED("name", U, name), TEXT_NEEDED("base_url", U, base_url), TEXT("key_env", U, key_env), TEXT("key_file", U, key_file), TEXT_NEEDED("model", U, model),
    CYAML_FIELD_ENUM("kind", CYAML_FLAG_STRICT, U, kind, kinds, WIRE_COUNT),
    NUMBER("price_in", U, price_in), NUMBER("price_out", U, price_out), NUMBER("price_cached_in", U, price_cached_in),
    WHOLE("max_tokens", U, max_tokens), WHOLE("connect_ms", U, connect_ms), WHOLE("first_byte_ms", U, first_byte_ms), WHOLE("idle_ms", U, idle_ms),
    CYAML_FIELD_INT_PTR("retries", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, U, retries),
    CYAML_FIELD_SEQUENCE_COUNT("retry_on", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, U, retry_on, n_retry_on, &one_int, 0, 64),
    CYAML_FIELD_MAPPING("breaker", CYAML_FLAG_OPTIONAL, U, breaker, breaker_fields), CYAML_FIELD_END};
static const cyaml_schema_value_t one_upstream = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, U, upstream_fields)};

static const cyaml_schema_field_t rule_fields[] = {
    TEXT_NEEDED("when", struct rule_settings, when), CYAML_FIELD_ENUM("then", CYAML_FLAG_STRICT, struct rule_settings, then, thens, sizeof thens / sizeof thens[0]),
    TEXT("upstream", struct rule_settings, upstream), CYAML_FIELD_END};
static const cyaml_schema_value_t one_rule = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct rule_settings, rule_fields)};

#define T struct tier_settings
static const cyaml_schema_field_t auto_fields[] = {
    TEXT("calibration", struct auto_settings, calibration), TEXT("accept", struct auto_settings, accept), TEXT("finish_accept", struct auto_settings, finish_accept), WHOLE("hold_tokens", struct auto_settings, hold_tokens),
    CYAML_FIELD_BOOL("hold_all", CYAML_FLAG_OPTIONAL, struct auto_settings, hold_all), CYAML_FIELD_END};
static const cyaml_schema_field_t budget_fields[] = {
    NUMBER("usd_per_day", struct budget_settings, usd_per_day), NUMBER("usd_per_month", struct budget_settings, usd_per_month), NUMBER("usd_per_request", struct budget_settings, usd_per_request),
    CHOICE("on_exceeded", struct budget_settings, on_exceeded, exceededs), CYAML_FIELD_END};
static const cyaml_schema_field_t privacy_fields[] = {
    CYAML_FIELD_SEQUENCE_COUNT("detectors", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct privacy_settings, detectors, n_detectors, &one_text, 0, LIST_MAX),
    TEXT("custom", struct privacy_settings, custom), CHOICE("action", struct privacy_settings, action, actions), CYAML_FIELD_END};
static const cyaml_schema_field_t semantic_fields[] = {
    CYAML_FIELD_BOOL("enabled", CYAML_FLAG_OPTIONAL, struct semantic_settings, enabled), NUMBER("min", struct semantic_settings, min),
    CYAML_FIELD_BOOL_PTR("negation_gate", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct semantic_settings, negation_gate), CYAML_FIELD_END};
static const cyaml_schema_field_t cache_fields[] = {
    WHOLE("entries", struct cache_settings, entries), WHOLE("ttl_s", struct cache_settings, ttl_s),
    CYAML_FIELD_MAPPING("semantic", CYAML_FLAG_OPTIONAL, struct cache_settings, semantic, semantic_fields), CYAML_FIELD_END};

static const cyaml_strval_t compares[] = {{"exact", COMPARE_EXACT}};
static const cyaml_schema_field_t asking_fields[] = {
    NUMBER("sample", struct asking_settings, sample), NUMBER("max_usd_per_day", struct asking_settings, max_usd_per_day), CHOICE("compare", struct asking_settings, compare, compares), CYAML_FIELD_END};

static const cyaml_strval_t hedges[] = {{"local", HEDGE_LOCAL}, {"next", HEDGE_NEXT}};
static const cyaml_schema_field_t hedge_fields[] = {
    CYAML_FIELD_ENUM("with", CYAML_FLAG_STRICT, struct hedge_settings, with, hedges, sizeof hedges / sizeof hedges[0]), NUMBER("quantile", struct hedge_settings, quantile),
    WHOLE("least_ms", struct hedge_settings, least_ms), WHOLE("samples", struct hedge_settings, samples), CYAML_FIELD_END};

static const cyaml_schema_field_t top_fields[] = {
    TEXT("local", T, local), TEXT_NEEDED("ledger", T, ledger), WHOLE("deadline_ms", T, deadline_ms), NUMBER("usd_per_cpu_hour", T, usd_per_cpu_hour),
    CYAML_FIELD_SEQUENCE_COUNT("upstreams", CYAML_FLAG_POINTER, T, upstreams, n_upstreams, &one_upstream, 1, UPSTREAMS_MAX),
    CYAML_FIELD_SEQUENCE_COUNT("rules", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, T, rules, n_rules, &one_rule, 0, LIST_MAX),
    CYAML_FIELD_MAPPING("auto", CYAML_FLAG_OPTIONAL, T, automatic, auto_fields), CYAML_FIELD_MAPPING("budget", CYAML_FLAG_OPTIONAL, T, budget, budget_fields),
    CYAML_FIELD_MAPPING("privacy", CYAML_FLAG_OPTIONAL, T, privacy, privacy_fields), CYAML_FIELD_MAPPING("cache", CYAML_FLAG_OPTIONAL, T, cache, cache_fields), CYAML_FIELD_MAPPING("shadow", CYAML_FLAG_OPTIONAL, T, shadow, asking_fields),
    CYAML_FIELD_MAPPING("audit", CYAML_FLAG_OPTIONAL, T, audit, asking_fields), CYAML_FIELD_MAPPING("hedge", CYAML_FLAG_OPTIONAL, T, hedge, hedge_fields), CYAML_FIELD_END};
static const cyaml_schema_value_t top = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, T, top_fields)};

/* Known to the design, not done: refused by name. */
static const char *const planned[] = {"routes", "route", "target", "stream_policy"};

static slm_status say_unknown(const char *key, slm_err *err) {
    static const cyaml_schema_field_t *const tables[] = {top_fields, upstream_fields, rule_fields, auto_fields, budget_fields, privacy_fields, cache_fields, breaker_fields, asking_fields, hedge_fields, semantic_fields};
    const char *names[64];
    size_t n = 0;
    for (size_t i = 0; i < sizeof planned / sizeof planned[0]; i++)
        if (strcmp(planned[i], key) == 0) {
            err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "gateway: key \"%s\": is not done yet", key);
            err_hint(err, "leave it out");
            return SLM_E_UNSUPPORTED;
        }
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const cyaml_schema_field_t *f = tables[i]; f->key && n < 64; f++) names[n++] = f->key;
    err_hint(err, "did you mean \"%s\"?", nearest_name(key, names, n));
    return SLM_E_USAGE;
}

static void or_default(int *v, int fallback) {
    if (*v == 0) *v = fallback;
}

static slm_status read_key(struct upstream_settings *u, slm_err *err) {
    struct buf text;
    slm_status st = SLM_OK;
    if (u->key_env) {
        const char *v = env_get_named(u->key_env);
        if (!v) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "upstream \"%s\": the environment has no %s", show_cstr(u->name).s, show_cstr(u->key_env).s);
        u->key = strdup(v);
    } else if (u->key_file) {
        buf_init(&text, 4096);
        st = file_read(&text, u->key_file, err);
        if (st == SLM_OK) u->key = strndup(text.data ? text.data : "", text.data ? strcspn(text.data, "\r\n") : 0);
        buf_fini(&text);
    }
    if (st == SLM_OK && u->key && strpbrk(u->key, "\r\n")) st = err_set(err, SLM_E_USAGE, SLM_NOWHERE, "upstream \"%s\": its key has a line end", show_cstr(u->name).s);
    return st;
}

static bool is_amount(double usd) { return usd >= 0 && usd <= USD_MAX; }

static slm_status check_upstream(struct tier_settings *s, unsigned i, slm_err *err) {
    struct upstream_settings *u = &s->upstreams[i];
    static const int retry_on[] = {408, 409, 429, 500, 502, 503, 504, 529};
    slm_status st = SLM_OK;
    bool is_plain = strncmp(u->base_url, "http://", 7) == 0, has_user;
    for (unsigned k = 0; k < i; k++)
        if (strcmp(s->upstreams[k].name, u->name) == 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "upstream \"%s\": is there twice", show_cstr(u->name).s);
    if (!is_plain && strncmp(u->base_url, "https://", 8) != 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "upstream \"%s\": base_url begins with neither https:// nor http://", show_cstr(u->name).s);
    if (url_host(u->base_url, &has_user).len == 0 || has_user) FAIL(SLM_E_USAGE, SLM_NOWHERE, "upstream \"%s\": base_url has %s", show_cstr(u->name).s, has_user ? "a user's name, which belongs into key_env or key_file" : "no host");
    while (*u->base_url && u->base_url[strlen(u->base_url) - 1] == '/') u->base_url[strlen(u->base_url) - 1] = 0;
    TRY(read_key(u, err));
    if (u->key && is_plain && !url_is_this_machine(u->base_url)) FAIL(SLM_E_USAGE, SLM_NOWHERE, "upstream \"%s\": a key is not sent without encryption", show_cstr(u->name).s);
    if (!is_amount(u->price_in) || !is_amount(u->price_out) || !is_amount(u->price_cached_in)) FAIL(SLM_E_USAGE, SLM_NOWHERE, "upstream \"%s\": a price is negative, or more than a million", show_cstr(u->name).s);
    bool has_budget = s->budget.usd_per_day > 0 || s->budget.usd_per_month > 0 || s->budget.usd_per_request > 0;
    if (has_budget && u->price_in + u->price_out <= 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "upstream \"%s\": there is a budget, and no price to count by", show_cstr(u->name).s);
    or_default(&u->max_tokens, 4096);
    or_default(&u->connect_ms, 2000);
    or_default(&u->first_byte_ms, 15000);
    or_default(&u->idle_ms, 20000);
    or_default(&u->breaker.fails, 5);
    if (u->breaker.fails > BREAKER_FAILS_MAX) FAIL(SLM_E_USAGE, SLM_NOWHERE, "upstream \"%s\": breaker: fails: %d, at most %d are counted", show_cstr(u->name).s, u->breaker.fails, BREAKER_FAILS_MAX);
    or_default(&u->breaker.window_s, 30);
    or_default(&u->breaker.open_s, 20);
    if (!u->retry_on) {
        if (!(u->retry_on = malloc(sizeof retry_on))) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "gateway: no memory");
        memcpy(u->retry_on, retry_on, sizeof retry_on);
        u->n_retry_on = sizeof retry_on / sizeof retry_on[0];
    }
    if (u->max_tokens < 0 || u->connect_ms < 0 || u->first_byte_ms < 0 || u->idle_ms < 0 || u->breaker.fails < 0 || u->breaker.window_s < 0 || u->breaker.open_s < 0 || (u->retries && (*u->retries < 0 || *u->retries > 10)))
        FAIL(SLM_E_USAGE, SLM_NOWHERE, "upstream \"%s\": a number is negative, or more than 10 retries", show_cstr(u->name).s);
out:
    return st;
}

static slm_status check_rules(struct tier_settings *s, slm_err *err) {
    slm_status st = SLM_OK;
    for (unsigned i = 0; i < s->n_rules; i++) {
        struct rule_settings *r = &s->rules[i];
        bool is_known = !r->upstream;
        TRY(rule_parse(view_of(r->when), FACT_OF_REQUEST, &r->rule, err));
        for (unsigned k = 0; r->upstream && k < s->n_upstreams; k++) is_known |= strcmp(s->upstreams[k].name, r->upstream) == 0;
        if (!is_known) FAIL(SLM_E_USAGE, SLM_NOWHERE, "rule \"%s\": there is no upstream \"%s\"", show_cstr(r->when).s, show_cstr(r->upstream).s);
    }
    /* a local answer is kept when half of what a good model writes is beyond doubt: the default asks that no tenth of the tokens be less likely than one in twenty */
    TRY(rule_parse(view_of(s->automatic.accept ? s->automatic.accept : "q10_logprob > -3 and repeats < 0.5"), FACT_OF_REQUEST | FACT_OF_ANSWER, &s->automatic.rule, err));
    if (s->automatic.finish_accept) TRY(rule_parse(view_of(s->automatic.finish_accept), FACT_OF_REQUEST | FACT_OF_ANSWER, &s->automatic.finish_rule, err));
out:
    return st;
}

static bool is_asking(const struct asking_settings *a) { return a->sample >= 0 && a->sample <= 1 && is_amount(a->max_usd_per_day); }

static slm_status check_hedge(struct tier_settings *s, slm_err *err) {
    struct hedge_settings *h = &s->hedge;
    if (h->with == HEDGE_NONE) return SLM_OK;
    if (h->quantile == 0) h->quantile = 0.95;
    or_default(&h->least_ms, 300);
    or_default(&h->samples, 20);
    if (!(h->quantile > 0 && h->quantile <= 1) || h->least_ms < 0 || h->samples < 0 || h->samples > SILENCES_MAX)
        return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "hedge: quantile is no share, least_ms or samples is negative, or samples more than %d", SILENCES_MAX);
    if (h->with == HEDGE_NEXT && s->n_upstreams < 2) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "hedge: with: next: there is one upstream only");
    return SLM_OK;
}

static slm_status check_semantic(struct cache_settings *c, slm_err *err) {
    if (!c->semantic.enabled) return SLM_OK;
    if (c->entries == 0) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "cache: semantic: there are no entries");
    if (c->semantic.min == 0) c->semantic.min = 0.8;
    if (!(c->semantic.min > 0 && c->semantic.min <= 1)) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "cache: semantic: min is not between 0 and 1");
    return SLM_OK;
}

static slm_status check(struct tier_settings *s, slm_err *err) {
    slm_status st = SLM_OK;
    or_default(&s->deadline_ms, 60000);
    or_default(&s->automatic.hold_tokens, 24);
    if (s->cache.entries > 0) or_default(&s->cache.ttl_s, 3600);
    if (s->deadline_ms < 0 || s->automatic.hold_tokens < 0 || s->cache.entries < 0 || s->cache.ttl_s < 0 || !is_asking(&s->shadow) || !is_asking(&s->audit) ||
        !is_amount(s->usd_per_cpu_hour) || !is_amount(s->budget.usd_per_day) || !is_amount(s->budget.usd_per_month) || !is_amount(s->budget.usd_per_request))
        FAIL(SLM_E_USAGE, SLM_NOWHERE, "gateway: a number is negative, a share past 1, or an amount more than a million");
    for (unsigned i = 0; i < s->n_upstreams; i++) TRY(check_upstream(s, i, err));
    TRY(check_semantic(&s->cache, err));
    TRY(check_hedge(s, err));
    TRY(check_rules(s, err));
out:
    return st;
}

slm_status settings_parse(const char *path, struct view text, struct tier_settings **out, slm_err *err) {
    char unknown[64];
    void *v = NULL;
    *out = NULL;
    slm_status st = yaml_doc_load(path, text, &top, "a gateway has no such setting", &v, unknown, err);
    if (unknown[0]) return say_unknown(unknown, err);
    if (st != SLM_OK) return st;
    if (!v) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%s: is empty", show_path(path).s);
    struct tier_settings *s = v;
    st = check(s, err);
    if (st == SLM_OK) *out = s;
    else {
        err_wrap(err, st, "%s", show_path(path).s);
        settings_free(s);
    }
    return st;
}

slm_status settings_read(const char *path, struct tier_settings **out, slm_err *err) {
    struct buf text;
    *out = NULL;
    buf_init(&text, SETTINGS_BYTES_MAX);
    slm_status st = file_read(&text, path, err);
    if (st == SLM_OK) st = settings_parse(path, (struct view){text.data, text.len}, out, err);
    buf_fini(&text);
    return st;
}

void settings_free(struct tier_settings *s) {
    if (!s) return;
    for (unsigned i = 0; i < s->n_rules; i++) rule_free(s->rules[i].rule);
    for (unsigned i = 0; i < s->n_upstreams; i++) {
        free(s->upstreams[i].key);
        s->upstreams[i].key = NULL;
    }
    rule_free(s->automatic.rule);
    rule_free(s->automatic.finish_rule);
    yaml_doc_free(&top, s);
}
