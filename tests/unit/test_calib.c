/* Calibration: the binomial's tails against sums of exact fractions, certificates on drawn rows against the rate they promise, what is
 * missing when nothing can be promised, ranking figures by hand. */
#include <math.h>

#include "test.h"

#include "base/util.h"
#include "base/file.h"
#include "task/report.h"
#include "task/watch.h"
#include "task/replay.h"
#include "task/result.h"

static void near(double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance * (fabs(want) + 1e-300))) fail_msg("%.17g instead of %.17g", got, want);
}

/* Sums of comb(n, i) p^i (1-p)^(n-i) in whole fractions, rounded once. */
static void test_binomial(void **state) {
    (void)state;
    static const struct {
        uint64_t k, n;
        double p, want;
    } rows[] = {
        {0, 149, 0.02, 0.049281654330089603}, {0, 148, 0.02, 0.050287402377642447}, {3, 50, 0.1, 0.25029390595330769},
        {17, 1000, 0.02, 0.29472307648516211}, {12, 1600, 0.02, 4.1718153275580693e-05}, {5, 10, 0.5, 0.623046875},
        {99, 100, 0.99, 0.63396765872677052}, {2, 3000, 0.005, 3.8201909755885706e-05}, {1900, 4000, 0.5, 0.00082463318756784989},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) near(stats_binom_cdf(rows[i].k, rows[i].n, rows[i].p), rows[i].want, 2e-11);
    near(stats_binom_cdf(4, 4, 0.3), 1, 0);
    near(stats_binom_cdf(0, 4, 0), 1, 0);
    near(stats_binom_cdf(3, 4, 1), 0, 0);
}

static void test_bounds(void **state) {
    (void)state;
    near(stats_binom_upper(0, 149, 0.05), 0.019904816220685084, 1e-11);
    near(stats_binom_upper(10, 1000, 0.05), 0.016903175120562504, 1e-11);
    near(stats_binom_upper(3, 60, 0.05), 0.12418721047743611, 1e-11);
    near(stats_binom_upper(5, 5, 0.05), 1, 0);
    near(stats_binom_upper(0, 0, 0.05), 1, 0);
    near(stats_binom_lower(0, 10, 0.05), 0, 0);
    near(stats_binom_lower(10, 10, 0.05), pow(0.05, 0.1), 1e-12);
    for (uint64_t k = 0; k < 40; k++) near(1 - stats_binom_upper(k, 40, 0.05), stats_binom_lower(40 - k, 40, 0.05), 1e-9);
    assert_int_equal(calib_n_min((struct calib_goal){0.05, 0.95}), 59);
    assert_int_equal(calib_n_min((struct calib_goal){0.02, 0.95}), 149);
    assert_int_equal(calib_n_min((struct calib_goal){0.01, 0.95}), 299);
    assert_int_equal(calib_n_min((struct calib_goal){0.005, 0.95}), 598);
}

/* Losses between 0 and 1: never a bound below the binomial's on the same sums, and it shrinks with n. */
static void test_graded(void **state) {
    (void)state;
    assert_true(calib_bound(200, 4, false, 0.05) >= calib_bound(200, 4, true, 0.05));
    assert_true(calib_bound(2000, 40, false, 0.05) < calib_bound(200, 4, false, 0.05));
    near(calib_p(200, 30, false, 0.1), 1, 0);
    assert_true(calib_bound(0, 0, false, 0.05) >= 1);
}

/* A request whose score is right about it: P(right) = score^power. */
static void draw_rows(struct rng *r, struct calib_row *rows, size_t n, double power) {
    for (size_t i = 0; i < n; i++) {
        rows[i].score = rng_f64(r);
        rows[i].loss = rng_f64(r) < pow(rows[i].score, power) ? 0 : 1;
    }
}

/* The risk of keeping score >= t is known: 1 - (1 - t^(power+1)) / ((power+1) (1-t)). It may be above the target in 5 % of draws. */
static void test_guarantee(void **state) {
    (void)state;
    enum { N = 1500, N_TRY = 1000 };
    static struct calib_row rows[N];
    struct rng r;
    rng_init(&r, 7);
    size_t n_bad = 0, n_certified = 0;
    double share = 0;
    for (int k = 0; k < N_TRY; k++) {
        struct calib_result c;
        slm_err err;
        draw_rows(&r, rows, N, 0.12);
        assert_int_equal(calib_certify(rows, 500, rows + 500, N - 500, (struct calib_goal){0.05, 0.95}, &c, &err), SLM_OK);
        if (!c.certified) continue;
        double t = c.threshold, risk = 1 - (1 - pow(t, 1.12)) / (1.12 * (1 - t));
        n_bad += risk > 0.05;
        n_certified++;
        share += 1 - t;
        assert_true(c.bound <= 0.05 + 1e-12);
    }
    if (n_bad > (size_t)(N_TRY * 0.05 + 2 * sqrt(N_TRY * 0.05 * 0.95))) fail_msg("%zu of %d promises broken", n_bad, N_TRY);
    assert_true(n_certified * 10 > N_TRY * 8);
    assert_true(n_bad > 0); /* else the bound is not doing its work: it must be spent */
    assert_true(share / (double)n_certified > 0.25);
}

static void test_order_does_not_matter(void **state) {
    (void)state;
    static struct calib_row rows[600], back[600];
    struct rng r;
    struct calib_result a, b;
    slm_err err;
    rng_init(&r, 3);
    draw_rows(&r, rows, 600, 0.1);
    for (int i = 0; i < 300; i++) back[i] = rows[299 - i], back[300 + i] = rows[599 - i];
    struct calib_goal g = {0.1, 0.9};
    assert_int_equal(calib_certify(rows, 300, rows + 300, 300, g, &a, &err), SLM_OK);
    assert_int_equal(calib_certify(back, 300, back + 300, 300, g, &b, &err), SLM_OK);
    assert_true(a.certified);
    assert_memory_equal(&a.threshold, &b.threshold, sizeof a.threshold);
    assert_memory_equal(&a.bound, &b.bound, sizeof a.bound);
    assert_int_equal(a.n_kept, b.n_kept);
}

static void test_cannot_certify(void **state) {
    (void)state;
    struct calib_row rows[100], wrong[100];
    struct calib_result c;
    slm_err err;
    for (int i = 0; i < 100; i++) {
        rows[i] = (struct calib_row){i / 100.0, 0};
        wrong[i] = (struct calib_row){i / 100.0, 1};
    }
    struct calib_goal g = {0.02, 0.95};
    assert_int_equal(calib_certify(rows, 50, rows + 50, 50, g, &c, &err), SLM_OK);
    assert_false(c.certified);
    assert_false(c.hopeless);
    assert_int_equal(c.n_missing, 2 * 149 - 100); /* half of the rows prove */
    assert_true(isinf(c.threshold));
    assert_int_equal(calib_certify(wrong, 50, wrong + 50, 50, g, &c, &err), SLM_OK);
    assert_true(c.hopeless && c.n_missing == 0);
    assert_int_equal(calib_certify(rows, 0, rows, 0, g, &c, &err), SLM_OK);
    assert_false(c.certified);
    rows[3].score = NAN;
    assert_int_equal(calib_certify(rows, 50, rows + 50, 50, g, &c, &err), SLM_E_USAGE);
    rows[3].score = 0;
    rows[60].loss = 1.5;
    assert_int_equal(calib_certify(rows, 50, rows + 50, 50, g, &c, &err), SLM_E_USAGE);
    assert_int_equal(calib_certify(rows, 50, rows + 50, 50, (struct calib_goal){0, 0.95}, &c, &err), SLM_E_USAGE);
}

static void test_quality(void **state) {
    (void)state;
    const struct calib_row rows[] = {{0.9, 0}, {0.8, 1}, {0.7, 0}, {0.4, 1}};
    struct calib_quality q;
    slm_err err;
    assert_int_equal(calib_quality(rows, 4, &q, &err), SLM_OK);
    near(q.auroc, 0.75, 1e-12);
    near(q.aurc, (0 + 0.5 + 1.0 / 3 + 0.5) / 4, 1e-12);
    near(q.brier, (0.01 + 0.64 + 0.09 + 0.16) / 4, 1e-12);
    const struct calib_row tied[] = {{0.5, 0}, {0.5, 1}};
    assert_int_equal(calib_quality(tied, 2, &q, &err), SLM_OK);
    near(q.auroc, 0.5, 1e-12);
    near(q.aurc, 0.5, 1e-12);
}

/* RouteLLM's recorded outcomes (MMLU and GSM8K, Mixtral 8x7B and GPT-4, rows that were in the training data left out) as counts; the shares
 * that an independent count of the same files gives. */
static void test_replay_lines(void **state) {
    (void)state;
    static const struct {
        size_t both, local, frontier, neither;
        double local_ok, frontier_ok, random95, oracle95;
    } sets[] = {{8816, 742, 2496, 1983, 0.6809, 0.8059, 0.678, 0.085}, {739, 94, 382, 92, 0.6373, 0.8577, 0.805, 0.178}};
    for (size_t k = 0; k < 2; k++) {
        size_t n = sets[k].both + sets[k].local + sets[k].frontier + sets[k].neither, ends[] = {sets[k].both, sets[k].both + sets[k].local, n - sets[k].neither, n}, at = 0;
        struct replay_row *rows = calloc(n, sizeof *rows);
        struct replay_result r;
        slm_err err;
        for (int kind = 0; kind < 4; kind++)
            for (; at < ends[kind]; at++) rows[at] = (struct replay_row){kind == 0 || kind == 1, kind == 0 || kind == 2, 0, 1, 1};
        assert_int_equal(replay_run(rows, n, &r, &err), SLM_OK);
        assert_true(fabs(r.local - sets[k].local_ok) < 5e-5 && fabs(r.frontier - sets[k].frontier_ok) < 5e-5);
        assert_true(fabs(r.random.share95 - sets[k].random95) < 6e-4 && fabs(r.oracle.share95 - sets[k].oracle95) < 6e-4);
        near(r.random.apgr, 0.5, 1e-9);
        near(r.random.cpt50, 0.5, 1e-8);
        near(r.scored.apgr, 0.5, 1e-9); /* all scores equal: as good as random */
        /* By hand: quality rises one row at a time over the helped, is flat, falls at the end over the harmed. */
        double up = (double)sets[k].frontier / (double)n, down = (double)sets[k].local / (double)n, rise = up, gap = up - down;
        near(r.oracle.apgr, (up * rise / 2 + (1 - up - down) * rise + down * (rise + gap) / 2) / gap, 1e-9);
        for (size_t i = 0; i < n; i++) rows[i].score = rows[i].local - rows[i].frontier;
        assert_int_equal(replay_run(rows, n, &r, &err), SLM_OK);
        near(r.scored.apgr, r.oracle.apgr, 1e-12);
        rows[3].score = NAN;
        assert_int_equal(replay_run(rows, n, &r, &err), SLM_E_USAGE);
        free(rows);
    }
}

/* Confidence is worth something, length nothing. */
static void draw_answers(struct rng *r, struct cal_row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        double p = 0.5 + 0.5 * pow(rng_f64(r), 0.3);
        signals_init(&rows[i].signals);
        rows[i].signals.v[SIGNAL_CONFIDENCE] = p;
        rows[i].signals.v[SIGNAL_LENGTH] = rng_f64(r);
        rows[i].ok = rng_f64(r) < p;
    }
}

static void test_certificate(void **state) {
    (void)state;
    static struct cal_row rows[4000], fresh[4000];
    struct rng r;
    struct cal c, back;
    struct report report;
    slm_err err;
    char path[] = "/tmp/slm-cal-XXXXXX";
    close(mkstemp(path));
    rng_init(&r, 21);
    draw_answers(&r, rows, 4000);
    draw_answers(&r, fresh, 4000);
    assert_int_equal(cal_make(rows, 4000, &(struct cal_params){.goal = {0.05, 0.95}, .seed = 1}, &c, &err), SLM_OK);
    assert_true(c.result.certified);
    struct bound_to bound = {1, 2, 3}, other = {1, 2, 4};
    cal_name(&c, "classify", bound);
    assert_int_equal(cal_write(&c, path, &err), SLM_OK);
    assert_int_equal(cal_open(path, &back, &err), SLM_OK);
    assert_string_equal(back.id, c.id);
    assert_int_equal(cal_check(&back, "classify", bound, &err), SLM_OK);
    assert_int_equal(cal_check(&back, "classify", other, &err), SLM_E_USAGE);
    assert_non_null(strstr(err.msg, "prompt"));
    assert_int_equal(cal_check(&back, "extract", bound, &err), SLM_E_USAGE);
    double off = 0;
    for (size_t i = 0; i < 4000; i++) {
        double p, q;
        assert_int_equal(cal_judge(&c, &fresh[i].signals, &p), cal_judge(&back, &fresh[i].signals, &q));
        near(q, p, 1e-12);
        off += fabs(p - fresh[i].signals.v[SIGNAL_CONFIDENCE]) / 4000;
    }
    assert_true(off < 0.04); /* the curve finds the probability that was drawn by */
    assert_int_equal(report_make(&back, fresh, 4000, &report, &err), SLM_OK);
    assert_true(report.error.low < 0.05 && report.share.value > 0.3);
    fresh[0].signals.v[SIGNAL_CONFIDENCE] = NAN; /* a signal is missing: never kept */
    double p;
    assert_false(cal_judge(&back, &fresh[0].signals, &p));
    assert_int_equal(cal_make(rows, 1, &(struct cal_params){.goal = {0.05, 0.95}}, &c, &err), SLM_E_USAGE);
    unlink(path);
}

/* Requests like those of the certificate raise no alarm in most of 5,000; when a fifth of them turns unlike, it comes within 500; errors above the
 * promise are found, errors at the promise hardly ever. */
static void test_watch(void **state) {
    (void)state;
    static struct cal_row rows[3000];
    struct rng r;
    struct cal c;
    slm_err err;
    struct watch w;
    rng_init(&r, 8);
    draw_answers(&r, rows, 3000);
    assert_int_equal(cal_make(rows, 3000, &(struct cal_params){.goal = {0.05, 0.95}, .seed = 1}, &c, &err), SLM_OK);
    size_t n_false = 0, n_late = 0, n_cheap = 0, n_missed = 0;
    for (int k = 0; k < 60; k++) {
        watch_init(&w, &c);
        for (int i = 0; i < 5000; i++) {
            draw_answers(&r, rows, 1);
            watch_score(&w, combine_score(&c.combiner, &rows[0].signals));
        }
        n_false += w.state != WATCH_CALM;
        watch_init(&w, &c);
        for (int i = 0; i < 600; i++) draw_answers(&r, rows, 1), watch_score(&w, combine_score(&c.combiner, &rows[0].signals));
        bool was_calm = w.state == WATCH_CALM;
        for (int i = 0; i < 500; i++) {
            draw_answers(&r, rows, 1);
            if (rng_f64(&r) < 0.2) rows[0].signals.v[SIGNAL_CONFIDENCE] = 0.3;
            watch_score(&w, combine_score(&c.combiner, &rows[0].signals));
        }
        n_late += was_calm && w.state != WATCH_SHIFT;
        watch_init(&w, &c);
        for (int i = 0; i < 2000; i++) watch_loss(&w, rng_f64(&r) < 0.05 ? 1 : 0);
        n_cheap += w.state != WATCH_CALM;
        watch_init(&w, &c);
        for (int i = 0; i < 2000; i++) watch_loss(&w, rng_f64(&r) < 0.10 ? 1 : 0);
        n_missed += w.state != WATCH_ERRORS;
    }
    if (n_false > 6 || n_late > 3 || n_cheap > 6 || n_missed > 0) fail_msg("of 60: %zu false, %zu late, %zu cheap, %zu missed", n_false, n_late, n_cheap, n_missed);
}

/* Texts that failed have no signals: wrong, never kept, and no reason to find no signal that all have. */
static void test_failed_rows(void **state) {
    (void)state;
    static struct cal_row rows[4000];
    struct rng r;
    struct cal c;
    struct report report;
    slm_err err;
    double p;
    rng_init(&r, 5);
    draw_answers(&r, rows, 4000);
    for (size_t i = 0; i < 4000; i += 50) {
        signals_init(&rows[i].signals);
        rows[i].ok = false;
    }
    assert_int_equal(cal_make(rows, 4000, &(struct cal_params){.goal = {0.1, 0.95}, .seed = 1}, &c, &err), SLM_OK);
    assert_true(c.result.certified && isfinite(c.result.threshold));
    assert_int_equal(c.combiner.n, 2);
    assert_false(cal_judge(&c, &rows[50].signals, &p));
    for (size_t i = 1; i < 4000; i++) /* all right: only what failed stands in the way of keeping everything */
        if (i % 50) rows[i].ok = true;
    assert_int_equal(cal_make(rows, 4000, &(struct cal_params){.goal = {0.1, 0.95}, .seed = 1}, &c, &err), SLM_OK);
    assert_true(c.result.certified && isfinite(c.result.threshold) && c.result.loss_kept == 0);
    assert_int_equal(report_make(NULL, rows, 4000, &report, &err), SLM_OK);
    assert_int_equal(report.n_kept, 3920);
    assert_int_equal(report.n_kept_wrong, 0);
}

/* What is infinite is as good as not measured: it neither makes an answer sure nor a score NaN, and JSON says null. */
static void test_not_finite(void **state) {
    (void)state;
    static struct cal_row rows[4000];
    struct rng r;
    struct cal c;
    struct report report;
    slm_err err;
    double p;
    rng_init(&r, 6);
    draw_answers(&r, rows, 4000);
    for (size_t i = 0; i < 4000; i++) rows[i].signals.v[SIGNAL_MASS] = rows[i].ok ? -30 + rng_f64(&r) : -20; /* a weight below zero: less mass, surer */
    assert_int_equal(cal_make(rows, 4000, &(struct cal_params){.goal = {0.05, 0.95}, .seed = 1}, &c, &err), SLM_OK);
    assert_true(c.result.certified);
    const double odd[] = {-INFINITY, INFINITY, NAN};
    for (size_t i = 0; i < 3; i++) {
        rows[0].signals.v[SIGNAL_MASS] = odd[i];
        assert_true(isnan(combine_score(&c.combiner, &rows[0].signals)));
        assert_false(cal_judge(&c, &rows[0].signals, &p));
        assert_true(isnan(p));
    }
    rows[0].signals.v[SIGNAL_MASS] = 1e308; /* a file may say so */
    rows[1].signals.v[SIGNAL_MASS] = -1e308;
    rows[2].signals.v[SIGNAL_MASS] = 1e308;
    assert_int_equal(cal_make(rows, 4000, &(struct cal_params){.goal = {0.05, 0.95}, .seed = 1}, &c, &err), SLM_OK);
    struct task_result result;
    result_init(&result, "classify");
    result.signals.v[SIGNAL_MASS] = -INFINITY;
    result.local_ms = (double)NAN;
    result_judge(&result, &c);
    json_t *o = result_json(&result);
    assert_true(json_is_object(o) && json_is_null(json_object_get(o, "confidence")) && json_is_null(json_object_get(json_object_get(o, "signals"), "mass")) && json_is_true(json_object_get(o, "abstained")));
    json_decref(o);
    result_fini(&result);
    /* Only right answers, none kept: no order to speak of, and no share of errors. */
    for (size_t i = 0; i < 4000; i++) rows[i].ok = true, signals_init(&rows[i].signals);
    assert_int_equal(report_make(NULL, rows, 4000, &report, &err), SLM_OK);
    assert_true(isnan(report.quality.auroc) && isnan(report.error.value));
    o = report_json(&report);
    assert_true(json_is_null(json_object_get(o, "auroc")) && json_is_null(json_object_get(json_object_get(o, "error_kept"), "value")));
    json_decref(o);
}

/* Without a gap between the tiers no share of it can be recovered. */
static void test_replay_without_gap(void **state) {
    (void)state;
    struct replay_result r;
    slm_err err;
    const struct replay_row same[] = {{1, 1, 1, 1, NAN}, {0, 0, 1, 1, NAN}}, worse[] = {{1, 0, 0, 1, NAN}, {1, 1, 0, 1, NAN}};
    assert_int_equal(replay_run(same, 2, &r, &err), SLM_OK);
    assert_true(isnan(r.random.apgr) && isnan(r.random.cpt50) && isnan(r.oracle.cpt95) && isnan(r.random.aiq) && r.random.share95 == 0);
    assert_int_equal(replay_run(worse, 2, &r, &err), SLM_OK);
    assert_true(isnan(r.random.apgr) && isnan(r.oracle.cpt80) && !isnan(r.random.aiq));
}

static void test_certificate_damaged(void **state) {
    (void)state;
    static const char *const texts[] = {"", "[]", "{}", "{\"slm_calibration\": 2}", "{\"slm_calibration\": 1, \"id\": 3}"};
    struct cal c;
    slm_err err;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) assert_int_not_equal(cal_parse(view_of(texts[i]), &c, &err), SLM_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binomial), cmocka_unit_test(test_bounds), cmocka_unit_test(test_graded), cmocka_unit_test(test_guarantee),
        cmocka_unit_test(test_order_does_not_matter), cmocka_unit_test(test_cannot_certify), cmocka_unit_test(test_quality),
        cmocka_unit_test(test_replay_lines), cmocka_unit_test(test_certificate), cmocka_unit_test(test_certificate_damaged), cmocka_unit_test(test_watch),
        cmocka_unit_test(test_failed_rows), cmocka_unit_test(test_not_finite), cmocka_unit_test(test_replay_without_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
