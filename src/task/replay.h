/* replay.h -- what routing would have given, from recorded outcomes of both tiers.
 *
 * A row: was the local answer right, was the frontier's, what did each cost, and a score that would have decided (larger: keep it local).
 * Sending the share s with the lowest scores up gives a curve of quality; rows of equal score count by their mean. Its figures:
 *   CPT(x)  the least share sent up that recovers x of the gap between the tiers' qualities (Ong et al. 2024, RouteLLM)
 *   APGR    the mean of the recovered gap over all shares; 0.5 at random
 *   AIQ     the area under the rising convex hull of quality over cost, divided by the range of cost (Hu et al. 2024, RouterBench)
 *   share95 the least share sent up that gives 95 % of the frontier's quality
 * Where the frontier is not better there is no gap: CPT and APGR are NaN, as AIQ is where costs are the same.
 * The oracle sends up first where that helps and last where it harms. */
#ifndef SLM_TASK_REPLAY_H
#define SLM_TASK_REPLAY_H

#include "base/stats.h"

struct replay_row {
    double local, frontier;           /* quality in [0, 1]; of right and wrong 1 and 0 */
    double cost_local, cost_frontier;
    double score;                     /* NAN: none */
};
struct replay_line {
    double cpt50, cpt80, cpt95, apgr, aiq, share95;
};
struct replay_result {
    uint64_t n, n_both, n_local_only, n_frontier_only, n_neither; /* by quality >= 0.5 */
    double local, frontier;
    bool has_score;
    struct replay_line random, oracle, scored;
};
/* replay_run -- Errors: USAGE (no row; some rows with a score and some without), NOMEM. */
slm_status replay_run(const struct replay_row *rows, size_t n, struct replay_result *out, slm_err *err);

#endif
