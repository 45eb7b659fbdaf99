/* gateway.c -- what the server has of the tiers, besides requests. */
#include "serve/gateway.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/show.h"
#include "serve/gateway_int.h"
#include "serve/server.h"

static const struct { const char *name; enum gate gate; } names[] = {{"slm-auto", GATE_AUTO}, {"slm-local", GATE_LOCAL}, {"slm-frontier", GATE_FRONTIER}};
#define SHADOWS_MAX 4 /* at once; one that finds no place is left out */
#define HEDGES_MAX 16 /* likewise */
#define HOURS_MAX 1e6
#define N_NAMES (sizeof names / sizeof names[0])

enum gate gateway_gate(const struct gateway *g, const char *name) {
    for (size_t i = 0; g && name && i < N_NAMES; i++) {
        size_t n = strlen(names[i].name);
        if (strncmp(name, names[i].name, n) == 0 && (!name[n] || strcmp(name + n, ":latest") == 0)) return names[i].gate;
    }
    return GATE_NONE;
}

const char *gateway_name_at(const struct gateway *g, size_t i) { return g && i < N_NAMES ? names[i].name : NULL; }

static slm_status open_cal(const struct tier_settings *s, struct cal **out, slm_err *err) {
    slm_status st = SLM_OK;
    if (!s->automatic.calibration) return SLM_OK;
    struct cal *c = calloc(1, sizeof *c);
    if (!c) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "gateway: no memory");
    TRY(cal_open(s->automatic.calibration, c, err));
    if (!c->result.certified) FAIL(SLM_E_USAGE, SLM_NOWHERE, "calibration \"%s\": certifies nothing", show_path(s->automatic.calibration).s);
    *out = c;
    c = NULL;
out:
    free(c);
    return st;
}

const char *gateway_ledger(const struct gateway *g) { return g->s->ledger; }

slm_status gateway_open(const char *path, struct gateway **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct gateway *g = calloc(1, sizeof *g);
    *out = NULL;
    if (!g) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "gateway: no memory");
    pthread_mutex_init(&g->lock, NULL);
    rng_init(&g->rng, (uint64_t)time(NULL));
    TRY(settings_read(path, &g->s, err));
    TRY(privacy_create(&g->s->privacy, &g->privacy, err));
    TRY(open_cal(g->s, &g->cal, err));
    TRY(answer_cache_create(&g->s->cache, &g->cache, err));
    TRY(ledger_open(g->s->ledger, &g->s->budget, &g->ledger, err));
    TRY(gateway_watch_open(g, err));
    TRY(upstreams_create(g->s, g->ledger, &g->upstreams, err));
    TRY(crew_create(SHADOWS_MAX, &g->shadows, err));
    if (g->s->hedge.with != HEDGE_NONE) TRY(crew_create(HEDGES_MAX, &g->hedges, err));
    *out = g;
    g = NULL;
out:
    gateway_close(g);
    return st;
}

slm_status gateway_check(const char *path, slm_err *err) {
    slm_status st = SLM_OK;
    struct tier_settings *s = NULL;
    struct privacy *p = NULL;
    struct cal *cal = NULL;
    TRY(settings_read(path, &s, err));
    TRY(privacy_create(&s->privacy, &p, err));
    TRY(open_cal(s, &cal, err));
out:
    free(cal);
    privacy_free(p);
    settings_free(s);
    return st;
}

void gateway_close(struct gateway *g) {
    if (!g) return;
    atomic_store(&g->is_ending, true);
    crew_destroy(g->shadows);
    crew_destroy(g->hedges);
    upstreams_destroy(g->upstreams);
    ledger_close(g->ledger);
    answer_cache_destroy(g->cache);
    privacy_free(g->privacy);
    settings_free(g->s);
    free(g->cal);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

static void put_rows(struct buf *out, const char *name, const char *kind, const char *what) { buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, what, name, kind); }

static void put_upstreams(struct gateway *g, struct buf *out) {
    static const struct { const char *name, *kind, *what; } rows[] = {
        {"slm_upstream_attempts_total", "counter", "attempts at an upstream"}, {"slm_upstream_failed_total", "counter", "attempts that failed"},
        {"slm_upstream_retried_total", "counter", "attempts that were made again"}, {"slm_upstream_prompt_tokens_total", "counter", "tokens of prompts sent"},
        {"slm_upstream_generated_tokens_total", "counter", "tokens of answers received"}, {"slm_upstream_usd_total", "counter", "what they cost"},
        {"slm_upstream_breaker", "gauge", "0: closed, 1: open, 2: trying"}, {"slm_upstream_first_byte_seconds", "gauge", "mean time to the first byte"}};
    struct upstream_stats s;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        put_rows(out, rows[r].name, rows[r].kind, rows[r].what);
        for (size_t i = 0; upstreams_stats(g->upstreams, i, &s); i++) {
            const double v[] = {(double)s.n_attempts, (double)s.n_failed, (double)s.n_retried, (double)s.n_in, (double)s.n_out, (double)s.cost / USD_NANO, s.breaker, s.first_byte_s};
            buf_printf(out, "%s{upstream=\"%s\"} %.9g\n", rows[r].name, show_cstr(s.name).s, v[r]);
        }
    }
}

void gateway_metrics(struct gateway *g, struct buf *out) {
    nano_usd day, month;
    put_rows(out, "slm_tier_answers_total", "counter", "answers by tier");
    for (int i = 0; i < RESULT_TIER_COUNT; i++) buf_printf(out, "slm_tier_answers_total{tier=\"%s\"} %lld\n", result_tier_name((enum result_tier)i), (long long)atomic_load(&g->n_answers[i]));
    const struct { const char *name, *what; int64_t v; } rows[] = {
        {"slm_tier_escalated_total", "local answers that were not trusted", atomic_load(&g->n_escalated)},
        {"slm_tier_redacted_total", "requests that left with placeholders", atomic_load(&g->n_redacted)},
        {"slm_tier_hedges_total", "times that somebody else was started beside a silent upstream", atomic_load(&g->n_hedges)},
        {"slm_tier_hedges_won_total", "of those, answered first", atomic_load(&g->n_hedges_won)},
        {"slm_tier_over_budget_total", "attempts that a budget did not allow", atomic_load(&g->n_over)}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put_rows(out, rows[i].name, "counter", rows[i].what);
        buf_printf(out, "%s %lld\n", rows[i].name, (long long)rows[i].v);
    }
    put_rows(out, "slm_tier_saved_usd_total", "counter", "what the first upstream would have billed for answers that cost nothing");
    buf_printf(out, "slm_tier_saved_usd_total %.6f\n", (double)atomic_load(&g->saved_micro_usd) * 1e-6);
    ledger_spent(g->ledger, &day, &month);
    put_rows(out, "slm_budget_spent_usd", "gauge", "spent and set aside");
    buf_printf(out, "slm_budget_spent_usd{of=\"day\"} %.9f\nslm_budget_spent_usd{of=\"month\"} %.9f\n", (double)day / USD_NANO, (double)month / USD_NANO);
    gateway_watch_metrics(g, out);
    put_upstreams(g, out);
}

/* hours=N: of the last so many; 0, or no such parameter: of all. */
static slm_status read_since(struct call *c, double *since) {
    struct buf hours;
    char *end = NULL;
    buf_init(&hours, 64);
    bool is_there = http_query_find(http_request_of(c->x), "hours", &hours);
    buf_putc(&hours, 0);
    double v = is_there && hours.failed == SLM_OK ? strtod(hours.data, &end) : 0;
    bool is_good = !is_there || (hours.failed == SLM_OK && end != hours.data && *end == 0 && v >= 0 && v <= HOURS_MAX);
    buf_fini(&hours);
    if (v > 0 && is_good) *since = (double)time(NULL) - v * 3600;
    return is_good ? SLM_OK : fault_set(&c->fault, SLM_E_USAGE, "hours", "parameter \"hours\": must be a number from 0 to %.0f", HOURS_MAX);
}

slm_status gateway_report(struct call *c) {
    struct gateway *g = c->server->gateway;
    double since = 0;
    if (!g) return fault_set(&c->fault, SLM_E_NOT_FOUND, NULL, "report: this server has no gateway (slm serve --gateway FILE)");
    slm_status st = read_since(c, &since);
    if (st != SLM_OK) return st;
    json_t *v = ledger_report(g->ledger, since);
    json_object_set_new(v, "audit", ledger_audit_report(g->ledger, since));
    json_object_set_new(v, "calibration", gateway_watch_json(g));
    return reply_json(c, 200, v);
}
