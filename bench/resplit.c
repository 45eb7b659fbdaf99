/* resplit ANSWERS.jsonl TARGET CONFIDENCE [N]: does a certificate keep what it promises? N times (1,000) the answers are cut at random into a half that
 * calibrates and a half that tests. Prints one line of JSON: share kept, error of what is kept, and how often the promise was broken: of the
 * risk over all answers (what the certificate bounds) and on the testing half alone (which has noise of its own). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "cli/answers.h"
#include "task/report.h"

static void shuffle(struct rng *r, struct cal_row *v, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)(rng_u64(r) % i);
        struct cal_row swap = v[i - 1];
        v[i - 1] = v[j];
        v[j] = swap;
    }
}

int main(int argc, char **argv) {
    struct answers a;
    struct rng r;
    struct cal cal;
    struct report half, all;
    slm_err err = {0};
    if (argc < 4) return 2;
    double target = strtod(argv[2], NULL), confidence = strtod(argv[3], NULL);
    int n = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 1000, n_certified = 0, n_pool = 0, n_half = 0;
    double share = 0, error = 0;
    if (answers_read(argv[1], &a, &err) != SLM_OK) {
        fprintf(stderr, "error: %s\n", err.msg);
        return 1;
    }
    rng_init(&r, 1);
    for (int k = 0; k < n; k++) {
        size_t mid = a.n / 2;
        shuffle(&r, a.rows, a.n);
        struct cal_params p = {.goal = {target, confidence}, .seed = (uint64_t)k};
        if (cal_make(a.rows, mid, &p, &cal, &err) != SLM_OK || report_make(&cal, a.rows + mid, a.n - mid, &half, &err) != SLM_OK || report_make(&cal, a.rows, a.n, &all, &err) != SLM_OK) {
            fprintf(stderr, "error: %s\n", err.msg);
            return 1;
        }
        if (!cal.result.certified) continue;
        n_certified++;
        share += half.share.value;
        error += half.error.value;
        n_half += half.error.value > target;
        n_pool += all.error.value > target;
    }
    printf("{\"rows\": %zu, \"resplits\": %d, \"certified\": %.4f, \"share\": %.4f, \"error\": %.5f, \"broken_all\": %.4f, \"broken_half\": %.4f}\n", a.n, n, (double)n_certified / n,
           n_certified ? share / n_certified : 0, n_certified ? error / n_certified : 0, (double)n_pool / n, (double)n_half / n);
    answers_fini(&a);
    return 0;
}
