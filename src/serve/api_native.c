/* api_native.c -- health, metrics, the document of the API. */
#include "serve/api_native.h"

#include "base/cpu.h"

#define METRICS_BYTES_MAX (4u << 20)

slm_status native_health(struct call *c) {
    bool is_draining = http_server_is_draining(c->server->http);
    return reply_json(c, is_draining ? 503 : 200, json_pack("{s:s}", "status", is_draining ? "shutting down" : "ok"));
}

static const char *route_label(size_t i) {
    size_t n;
    return routes(&n)[i].path;
}

/* Gauges of each loaded model; sched_stats takes the scheduler's lock for a moment, never a step. */
static void put_models(struct call *c, struct buf *out) {
    static const char *const names[] = {"running", "waiting", "kv_pages", "kv_pages_free", "kv_pages_remembered", "steps_total", "preempted_total", "generated_tokens_total", "read_tokens_total",
                                        "busy_seconds_total"};
    struct models *m = c->server->models;
    struct served *s = NULL;
    buf_printf(out, "# HELP slm_memory_bytes memory of loaded models\n# TYPE slm_memory_bytes gauge\nslm_memory_bytes %llu\n", (unsigned long long)models_used_bytes(m));
    buf_printf(out, "# HELP slm_memory_budget_bytes what loaded models may take\n# TYPE slm_memory_budget_bytes gauge\nslm_memory_budget_bytes %llu\n", (unsigned long long)models_budget_bytes(m));
    buf_printf(out, "# HELP slm_uptime_seconds since the start\n# TYPE slm_uptime_seconds gauge\nslm_uptime_seconds %.0f\n", time_now_s() - c->server->t_start);
    while ((s = models_next(m, s))) {
        struct sched_stats t;
        if (!models_stats(m, s, &t)) continue;
        double values[] = {t.n_running, t.n_waiting, t.n_page, t.n_page_free, t.n_page_idle, (double)t.n_steps, (double)t.n_preempted, (double)t.n_generated, (double)t.n_prompt_tokens, t.busy_s};
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) buf_printf(out, "slm_model_%s{model=\"%s\"} %.15g\n", names[k], s->name, values[k]);
    }
}

slm_status native_metrics(struct call *c) {
    struct buf out;
    slm_status st = SLM_OK;
    buf_init(&out, METRICS_BYTES_MAX);
    atomic_store(&c->server->metrics.v[METRIC_CONNECTIONS], (int64_t)http_server_n_connections(c->server->http));
    metrics_print(&c->server->metrics, route_label, &out);
    put_models(c, &out);
    if (c->server->gateway) gateway_metrics(c->server->gateway, &out);
    if ((st = buf_status(&out, "metrics", &c->fault.err)) == SLM_OK) reply_text(c, 200, "text/plain; version=0.0.4", out.data, out.len);
    buf_fini(&out);
    return st;
}

slm_status native_openapi(struct call *c) { return reply_json(c, 200, openapi_document()); }
