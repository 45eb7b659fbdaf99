/* metrics.c -- the rows, and their text. */
#include "serve/metrics.h"

#include <stdlib.h>

static const struct metric_row rows[METRIC_COUNT] = {
    [METRIC_CONNECTIONS] = {"slm_connections", METRIC_GAUGE, "open connections"},
    [METRIC_RUNNING] = {"slm_requests_running", METRIC_GAUGE, "requests being answered, waiting ones too"},
    [METRIC_REFUSED] = {"slm_requests_refused_total", METRIC_COUNTER, "requests answered 429 because a limit was reached"},
    [METRIC_CANCELLED] = {"slm_requests_cancelled_total", METRIC_COUNTER, "requests whose client left before the end"},
    [METRIC_PROMPT_TOKENS] = {"slm_prompt_tokens_total", METRIC_COUNTER, "tokens of prompts"},
    [METRIC_CACHED_TOKENS] = {"slm_cached_tokens_total", METRIC_COUNTER, "tokens of prompts that were not computed again"},
    [METRIC_GENERATED_TOKENS] = {"slm_generated_tokens_total", METRIC_COUNTER, "tokens generated"},
    [METRIC_EMBEDDED_TOKENS] = {"slm_embedded_tokens_total", METRIC_COUNTER, "tokens of texts embedded or ranked"},
    [METRIC_LOADS] = {"slm_model_loads_total", METRIC_COUNTER, "models loaded"},
    [METRIC_EVICTIONS] = {"slm_model_evictions_total", METRIC_COUNTER, "models unloaded to make room, or because their time was over"},
    [METRIC_REQUEST_S] = {"slm_request_seconds", METRIC_HISTOGRAM, "time of whole requests"},
    [METRIC_FIRST_TOKEN_S] = {"slm_first_token_seconds", METRIC_HISTOGRAM, "time until the first token"},
    [METRIC_TOKEN_S] = {"slm_token_seconds", METRIC_HISTOGRAM, "mean time of a token of one request after the first"},
};
const struct metric_row *metric_rows(void) { return rows; }

static const double bounds[METRIC_BUCKETS - 1] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60};
/* The statuses that are told apart; place 0: any other. */
static const int statuses[] = {0, 200, 201, 204, 304, 400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 431, 499, 500, 501, 502, 503};
_Static_assert(sizeof statuses / sizeof statuses[0] <= METRIC_STATUSES, "a column for each status");

slm_status metrics_init(struct metrics *m, size_t n_routes, slm_err *err) {
    void *mem;
    *m = (struct metrics){.n_routes = n_routes};
    slm_status st = mem_alloc(&mem, n_routes + 1, sizeof *m->answers, "metrics", err);
    if (st == SLM_OK) m->answers = mem;
    return st;
}

void metrics_fini(struct metrics *m) {
    free((void *)m->answers);
    m->answers = NULL;
}

void metric_add(struct metrics *m, enum metric_id id, int64_t n) { atomic_fetch_add_explicit(&m->v[id], n, memory_order_relaxed); }

void metric_observe(struct metrics *m, enum metric_id id, double seconds) {
    size_t i = 0;
    while (i < METRIC_BUCKETS - 1 && seconds > bounds[i]) i++;
    atomic_fetch_add_explicit(&m->bucket[id][i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->sum_us[id], (uint64_t)(seconds > 0 ? seconds * 1e6 : 0), memory_order_relaxed);
    metric_add(m, id, 1);
}

void metric_answer(struct metrics *m, size_t i_route, int status) {
    size_t i = sizeof statuses / sizeof statuses[0];
    while (--i > 0 && statuses[i] != status) {}
    atomic_fetch_add_explicit(&m->answers[i_route][i], 1, memory_order_relaxed);
}

double metric_mean_s(const struct metrics *m, enum metric_id id) {
    int64_t n = atomic_load(&m->v[id]);
    return n ? (double)atomic_load(&m->sum_us[id]) * 1e-6 / (double)n : 0;
}

static void print_histogram(const struct metrics *m, int id, struct buf *out) {
    uint64_t n = 0;
    for (size_t i = 0; i < METRIC_BUCKETS - 1; i++) {
        n += atomic_load(&m->bucket[id][i]);
        buf_printf(out, "%s_bucket{le=\"%g\"} %llu\n", rows[id].name, bounds[i], (unsigned long long)n);
    }
    n += atomic_load(&m->bucket[id][METRIC_BUCKETS - 1]);
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n", rows[id].name, (unsigned long long)n);
    buf_printf(out, "%s_sum %.6f\n", rows[id].name, (double)atomic_load(&m->sum_us[id]) * 1e-6);
    buf_printf(out, "%s_count %llu\n", rows[id].name, (unsigned long long)n);
}

static void print_answers(const struct metrics *m, const char *(*route_label)(size_t i), struct buf *out) {
    buf_puts(out, "# HELP slm_answers_total answers by route and status\n# TYPE slm_answers_total counter\n");
    for (size_t r = 0; r <= m->n_routes; r++)
        for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
            uint64_t n = atomic_load(&m->answers[r][i]);
            if (n) buf_printf(out, "slm_answers_total{route=\"%s\",status=\"%d\"} %llu\n", r < m->n_routes ? route_label(r) : "none", statuses[i], (unsigned long long)n);
        }
}

void metrics_print(const struct metrics *m, const char *(*route_label)(size_t i), struct buf *out) {
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    for (int id = 0; id < METRIC_COUNT; id++) {
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[id].name, rows[id].what, rows[id].name, kinds[rows[id].kind]);
        if (rows[id].kind == METRIC_HISTOGRAM) print_histogram(m, id, out);
        else buf_printf(out, "%s %lld\n", rows[id].name, (long long)atomic_load(&m->v[id]));
    }
    print_answers(m, route_label, out);
}
