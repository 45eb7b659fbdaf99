/* metrics.h -- what the server counts, as rows; shown at /metrics in Prometheus' text format 0.0.4.
 *
 * Counting is one atomic addition, from any thread; reading takes no lock that a request could hold. */
#ifndef SLM_SERVE_METRICS_H
#define SLM_SERVE_METRICS_H

#include <stdatomic.h>

#include "base/mem.h"

enum metric_id {
    METRIC_CONNECTIONS, METRIC_RUNNING, METRIC_REFUSED, METRIC_CANCELLED,
    METRIC_PROMPT_TOKENS, METRIC_CACHED_TOKENS, METRIC_GENERATED_TOKENS, METRIC_EMBEDDED_TOKENS, METRIC_LOADS, METRIC_EVICTIONS,
    METRIC_REQUEST_S, METRIC_FIRST_TOKEN_S, METRIC_TOKEN_S,
    METRIC_COUNT
};
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
struct metric_row {
    const char *name;
    enum metric_kind kind;
    const char *what;
};
const struct metric_row *metric_rows(void); /* METRIC_COUNT rows */

#define METRIC_BUCKETS 14
#define METRIC_STATUSES 32
struct metrics {
    _Atomic int64_t v[METRIC_COUNT];                      /* of a histogram: observations */
    _Atomic uint64_t bucket[METRIC_COUNT][METRIC_BUCKETS]; /* not cumulative */
    _Atomic uint64_t sum_us[METRIC_COUNT];
    _Atomic uint64_t (*answers)[METRIC_STATUSES];         /* [n_routes + 1]; the last: no route */
    size_t n_routes;
};
slm_status metrics_init(struct metrics *m, size_t n_routes, slm_err *err);
void metrics_fini(struct metrics *m);
void metric_add(struct metrics *m, enum metric_id id, int64_t n);
void metric_observe(struct metrics *m, enum metric_id id, double seconds);
/* metric_answer -- one more answer of route i (n_routes: none) with this status. */
void metric_answer(struct metrics *m, size_t i_route, int status);
double metric_mean_s(const struct metrics *m, enum metric_id id); /* 0: nothing observed */
/* metrics_print -- all rows; route_label(i) names routes. */
void metrics_print(const struct metrics *m, const char *(*route_label)(size_t i), struct buf *out);

#endif
