/* cal.c -- making, judging, keeping. */
#include "task/cal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/json.h"
#include "base/show.h"
#include "base/util.h"

#define VERSION 1
#define GUIDE_SHARE_MANY 0.5
#define GUIDE_SHARE_ONE 0.2

static void set_quantiles(struct cal *c, const struct calib_row *proof, size_t n, double *room) {
    for (size_t i = 0; i < n; i++) room[i] = proof[i].score;
    stats_sort(room, n);
    for (size_t i = 0; i < CAL_N_QUANTILE && n; i++) c->quantile[i] = room[(n - 1) * i / (CAL_N_QUANTILE - 1)];
}

static size_t count_signals(const struct cal_row *rows, size_t n) {
    size_t k = 0;
    for (int s = 0; s < SIGNAL_COUNT; s++) {
        bool all = true;
        for (size_t i = 0; i < n && all; i++) all = isfinite(rows[i].signals.v[s]) || !signals_any(&rows[i].signals);
        k += all;
    }
    return k;
}

slm_status cal_make(const struct cal_row *rows, size_t n, const struct cal_params *p, struct cal *out, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    struct signals *signals = NULL;
    bool *ok = NULL;
    struct calib_row *halves = NULL;
    double *room = NULL;
    size_t n_guide = 0, n_proof = 0;
    double share = p->guide_share > 0 ? p->guide_share : count_signals(rows, n) > 1 ? GUIDE_SHARE_MANY : GUIDE_SHARE_ONE;
    *out = (struct cal){.goal = p->goal, .guide_share = share};
    TRY(mem_alloc(&mem, n + 1, sizeof *signals, "calibration", err));
    signals = mem;
    TRY(mem_alloc(&mem, n + 1, sizeof *ok, "calibration", err));
    ok = mem;
    TRY(mem_alloc(&mem, n + 1, sizeof *halves, "calibration", err));
    halves = mem;
    TRY(mem_alloc(&mem, n + 1, sizeof *room, "calibration", err));
    room = mem;
    for (size_t i = 0; i < n; i++)
        if (calib_in_guide(i, p->seed, share) && signals_any(&rows[i].signals)) { /* what failed has no place in an order */
            signals[n_guide] = rows[i].signals;
            ok[n_guide++] = rows[i].ok;
        }
    if (n_guide < 2 || n_guide == n) FAIL(SLM_E_USAGE, SLM_NOWHERE, "calibration: %zu rows, too few for two halves", n);
    TRY(combine_fit(signals, ok, n_guide, &out->combiner, err));
    for (size_t i = 0; i < n_guide; i++) halves[i] = (struct calib_row){combine_score(&out->combiner, &signals[i]), ok[i] ? 0 : 1};
    for (size_t i = 0; i < n; i++) {
        if (calib_in_guide(i, p->seed, share)) continue;
        double score = combine_score(&out->combiner, &rows[i].signals);
        if (isnan(score)) score = -INFINITY; /* a row without a signal is never kept */
        halves[n_guide + n_proof++] = (struct calib_row){score, rows[i].ok ? 0 : 1};
    }
    TRY(calib_certify(halves, n_guide, halves + n_guide, n_proof, p->goal, &out->result, err));
    set_quantiles(out, halves + n_guide, n_proof, room);
out:
    free(signals);
    free(ok);
    free(halves);
    free(room);
    return st;
}

void cal_name(struct cal *c, const char *task, struct bound_to bound) {
    time_t now = time(NULL);
    struct tm utc;
    const char *fixed = env_get(ENV_SLM_NOW);
    text_copy(c->task, sizeof c->task, task);
    c->bound = bound;
    if (fixed) text_copy(c->made, sizeof c->made, fixed);
    else if (gmtime_r(&now, &utc)) strftime(c->made, sizeof c->made, "%Y-%m-%dT%H:%M:%SZ", &utc);
    uint64_t h = hash_bytes(HASH_START, &bound, sizeof bound);
    h = hash_bytes(h, &c->goal, sizeof c->goal);
    h = hash_bytes(h, c->combiner.weight, sizeof c->combiner.weight);
    h = hash_bytes(h, &c->result.threshold, sizeof c->result.threshold);
    h = hash_bytes(h, &c->result.n_proof, sizeof c->result.n_proof);
    snprintf(c->id, sizeof c->id, "cal-%016llx", (unsigned long long)h);
}

bool cal_judge(const struct cal *c, const struct signals *s, double *p) {
    double score = combine_score(&c->combiner, s);
    *p = combine_p(&c->combiner, score);
    return c->result.certified && score >= c->result.threshold;
}

slm_status cal_check(const struct cal *c, const char *task, struct bound_to now, slm_err *err) {
    const char *what = strcmp(c->task, task) != 0 ? "job" : c->bound.model != now.model ? "model" : c->bound.tokenizer != now.tokenizer ? "vocabulary"
                       : c->bound.prompt != now.prompt ? "prompt, labels or limits" : NULL;
    if (!what) return SLM_OK;
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "certificate \"%s\": was made with another %s, so it promises nothing here", c->id, what);
    err_hint(err, "calibrate again with slm calibrate");
    return SLM_E_USAGE;
}

/* ---- JSON ---- */

json_t *bound_json(struct bound_to b) {
    char model[20], tokenizer[20], prompt[20];
    snprintf(model, sizeof model, "%016llx", (unsigned long long)b.model);
    snprintf(tokenizer, sizeof tokenizer, "%016llx", (unsigned long long)b.tokenizer);
    snprintf(prompt, sizeof prompt, "%016llx", (unsigned long long)b.prompt);
    return json_pack("{s:s, s:s, s:s}", "model", model, "tokenizer", tokenizer, "prompt", prompt);
}

static bool parse_hash(const json_t *o, const char *name, uint64_t *out) {
    const char *s = json_string_value(json_object_get(o, name));
    if (!s || strlen(s) != 16 || strspn(s, "0123456789abcdef") != 16) return false;
    *out = strtoull(s, NULL, 16);
    return true;
}

bool bound_parse(const json_t *o, struct bound_to *out) {
    return parse_hash(o, "model", &out->model) && parse_hash(o, "tokenizer", &out->tokenizer) && parse_hash(o, "prompt", &out->prompt);
}

/* The threshold of what is not certified is infinite, and null here. */
static json_t *cal_json(const struct cal *c) {
    const struct combiner *k = &c->combiner;
    const struct calib_result *r = &c->result;
    json_t *signals = json_array(), *curve = json_array(), *quantiles = json_array();
    for (size_t i = 0; i < k->n; i++)
        json_array_append_new(signals, json_pack("{s:s, s:f, s:f, s:f}", "name", signal_name(k->which[i]), "mean", k->mean[i], "scale", k->scale[i], "weight", k->weight[i]));
    for (size_t i = 0; i < k->n_knot; i++) json_array_append_new(curve, json_pack("[f, f]", k->knot_score[i], k->knot_p[i]));
    for (size_t i = 0; i < CAL_N_QUANTILE; i++) json_array_append_new(quantiles, json_f64(c->quantile[i]));
    json_t *proof = json_pack("{s:b, s:o, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:b}", "certified", r->certified, "threshold", json_f64(r->threshold), "n_guide", (json_int_t)r->n_guide, "n_proof",
                              (json_int_t)r->n_proof, "n_kept", (json_int_t)r->n_kept, "loss_kept", r->loss_kept, "bound", r->bound, "n_tried", (json_int_t)r->n_tried, "n_missing",
                              (json_int_t)r->n_missing, "hopeless", r->hopeless);
    return json_pack("{s:i, s:s, s:s, s:s, s:o, s:f, s:f, s:o, s:o, s:f, s:o, s:o}", "slm_calibration", VERSION, "id", c->id, "task", c->task, "made", c->made, "bound_to", bound_json(c->bound),
                     "error_max", c->goal.error_max, "confidence", c->goal.confidence, "proof", proof, "signals", signals, "bias", k->bias, "curve", curve, "score_quantiles", quantiles);
}

slm_status cal_write(const struct cal *c, const char *path, slm_err *err) {
    struct buf b;
    json_t *o = cal_json(c);
    char *text = o ? json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    buf_init(&b, CAL_BYTES_MAX);
    if (text) buf_printf(&b, "%s\n", text);
    slm_status st = text ? file_write(&b, path, err) : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "certificate: out of memory");
    free(text);
    json_decref(o);
    buf_fini(&b);
    return st;
}

static slm_status bad(slm_err *err, const char *what) { return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "certificate: member \"%s\" is missing or wrong", what); }

static bool get_real(const json_t *o, const char *name, double low, double high, double *out) {
    const json_t *v = json_object_get(o, name);
    *out = json_number_value(v);
    return json_is_number(v) && *out >= low && *out <= high;
}

static bool get_count(const json_t *o, const char *name, uint64_t *out) {
    const json_t *v = json_object_get(o, name);
    *out = (uint64_t)json_integer_value(v);
    return json_is_integer(v) && json_integer_value(v) >= 0;
}

static bool get_text(const json_t *o, const char *name, char *out, size_t cap) {
    const char *s = json_string_value(json_object_get(o, name));
    return s && text_copy(out, cap, s);
}

static slm_status parse_combiner(const json_t *o, struct combiner *k, slm_err *err) {
    const json_t *signals = json_object_get(o, "signals"), *curve = json_object_get(o, "curve");
    k->n = json_array_size(signals);
    k->n_knot = json_array_size(curve);
    if (k->n == 0 || k->n > SIGNAL_COUNT) return bad(err, "signals");
    if (k->n_knot == 0 || k->n_knot > COMBINE_N_KNOT_MAX) return bad(err, "curve");
    if (!get_real(o, "bias", -1e9, 1e9, &k->bias)) return bad(err, "bias");
    for (size_t i = 0; i < k->n; i++) {
        const json_t *s = json_array_get(signals, i);
        const char *name = json_string_value(json_object_get(s, "name"));
        if (!name || !signal_by_name(view_of(name), &k->which[i]) || !get_real(s, "mean", -1e12, 1e12, &k->mean[i]) || !get_real(s, "scale", 0, 1e12, &k->scale[i]) ||
            !get_real(s, "weight", -1e12, 1e12, &k->weight[i]))
            return bad(err, "signals");
    }
    for (size_t i = 0; i < k->n_knot; i++) {
        const json_t *pair = json_array_get(curve, i), *x = json_array_get(pair, 0), *p = json_array_get(pair, 1);
        k->knot_score[i] = json_number_value(x);
        k->knot_p[i] = json_number_value(p);
        if (!json_is_number(x) || !json_is_number(p) || !(fabs(k->knot_score[i]) <= 1e12) || !(k->knot_p[i] >= 0 && k->knot_p[i] <= 1)) return bad(err, "curve");
        if (i > 0 && (!(k->knot_score[i] > k->knot_score[i - 1]) || k->knot_p[i] < k->knot_p[i - 1])) return bad(err, "curve");
    }
    return SLM_OK;
}

static slm_status parse_proof(const json_t *o, struct calib_result *r, slm_err *err) {
    const json_t *threshold = json_object_get(o, "threshold");
    r->certified = json_is_true(json_object_get(o, "certified"));
    r->hopeless = json_is_true(json_object_get(o, "hopeless"));
    r->threshold = json_is_number(threshold) ? json_number_value(threshold) : INFINITY;
    if (r->certified != json_is_number(threshold)) return bad(err, "proof.threshold");
    if (!get_count(o, "n_guide", &r->n_guide) || !get_count(o, "n_proof", &r->n_proof) || !get_count(o, "n_kept", &r->n_kept) || !get_count(o, "n_tried", &r->n_tried) ||
        !get_count(o, "n_missing", &r->n_missing) || !get_real(o, "loss_kept", 0, 1e12, &r->loss_kept) || !get_real(o, "bound", 0, 1, &r->bound))
        return bad(err, "proof");
    return SLM_OK;
}

slm_status cal_parse(struct view text, struct cal *out, slm_err *err) {
    slm_status st = SLM_OK;
    json_error_t e;
    json_t *o = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &e);
    *out = (struct cal){.id = ""};
    if (!o) FAIL(SLM_E_FORMAT, (uint64_t)e.position, "certificate: not JSON at byte %d: %s", e.position, show_cstr(e.text).s);
    const json_t *version = json_object_get(o, "slm_calibration");
    if (!json_is_integer(version)) TRY(bad(err, "slm_calibration"));
    if (json_integer_value(version) != VERSION) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "certificate: version %lld, this program reads %d", (long long)json_integer_value(version), VERSION);
    if (!get_text(o, "id", out->id, sizeof out->id)) TRY(bad(err, "id"));
    if (!get_text(o, "task", out->task, sizeof out->task)) TRY(bad(err, "task"));
    if (!get_text(o, "made", out->made, sizeof out->made)) TRY(bad(err, "made"));
    if (!bound_parse(json_object_get(o, "bound_to"), &out->bound)) TRY(bad(err, "bound_to"));
    if (!get_real(o, "error_max", 1e-9, 1, &out->goal.error_max)) TRY(bad(err, "error_max"));
    if (!get_real(o, "confidence", 0.5, 1, &out->goal.confidence)) TRY(bad(err, "confidence"));
    TRY(parse_proof(json_object_get(o, "proof"), &out->result, err));
    TRY(parse_combiner(o, &out->combiner, err));
    const json_t *q = json_object_get(o, "score_quantiles");
    if (json_array_size(q) != CAL_N_QUANTILE) TRY(bad(err, "score_quantiles"));
    for (size_t i = 0; i < CAL_N_QUANTILE; i++) {
        const json_t *v = json_array_get(q, i);
        out->quantile[i] = json_is_number(v) ? json_number_value(v) : -INFINITY;
        if (!json_is_number(v) && !json_is_null(v)) TRY(bad(err, "score_quantiles"));
        if (i > 0 && out->quantile[i] < out->quantile[i - 1]) TRY(bad(err, "score_quantiles"));
    }
out:
    json_decref(o);
    if (st != SLM_OK) *out = (struct cal){.id = ""};
    return st;
}

slm_status cal_open(const char *path, struct cal *out, slm_err *err) {
    struct buf b;
    buf_init(&b, CAL_BYTES_MAX);
    slm_status st = file_read(&b, path, err);
    if (st == SLM_OK && (st = cal_parse((struct view){b.data ? b.data : "", b.len}, out, err)) != SLM_OK) err_wrap(err, st, "\"%s\"", show_path(path).s);
    buf_fini(&b);
    return st;
}
