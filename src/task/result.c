/* result.c -- the envelope as JSON. Members are always there, null where nothing is known, so that a reader needs no second look. */
#include "task/result.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/json.h"

static const char *const tier_names[RESULT_TIER_COUNT] = {"local", "frontier", "cache", "degraded", "none"};

const char *result_tier_name(enum result_tier t) { return tier_names[t]; }

void result_init(struct task_result *r, const char *task) {
    uint64_t id[2] = {0, 0};
    *r = (struct task_result){.task = task, .tier = RESULT_LOCAL, .confidence = (double)NAN};
    signals_init(&r->signals);
    if (getrandom(id, sizeof id, GRND_NONBLOCK) != (ssize_t)sizeof id) id[0] = (uint64_t)(uintptr_t)r; /* a name, no secret */
    snprintf(r->request_id, sizeof r->request_id, "slm-%016llx%08llx", (unsigned long long)id[0], (unsigned long long)(id[1] & 0xffffffffu));
}

void result_fini(struct task_result *r) {
    json_decref(r->output);
    json_decref(r->more);
    r->output = r->more = NULL;
}

void result_reason(struct task_result *r, const char *reason) {
    if (r->n_reason < RESULT_N_REASON_MAX) r->reasons[r->n_reason++] = reason;
}

void result_judge(struct task_result *r, const struct cal *cal) {
    double p;
    if (!cal) return;
    r->cal = cal;
    bool keep = cal_judge(cal, &r->signals, &p);
    r->confidence = p;
    if (keep) return;
    r->abstained = true;
    r->tier = RESULT_NONE;
    json_decref(r->output);
    r->output = NULL;
    result_reason(r, cal->result.certified ? "score below the certified threshold" : "the certificate promises nothing");
}

static json_t *signals_json(const struct signals *s) {
    json_t *o = json_object();
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (!isnan(s->v[i])) json_object_set_new(o, signal_name((enum signal)i), json_f64(s->v[i]));
    return o;
}

json_t *result_json(const struct task_result *r) {
    json_t *reasons = json_array();
    for (size_t i = 0; i < r->n_reason; i++) json_array_append_new(reasons, json_string(r->reasons[i]));
    json_t *o = json_pack("{s:s, s:o, s:s, s:s?, s:o, s:o, s:b, s:b, s:o}", "task", r->task, "output", r->output ? json_incref(r->output) : json_null(), "tier",
                          result_tier_name(r->tier), "model", r->model, "confidence", json_f64(r->confidence), "signals", signals_json(&r->signals), "escalated", r->escalated,
                          "abstained", r->abstained, "reasons", reasons);
    if (!o) return NULL;
    json_object_set_new(o, "usage", json_pack("{s:{s:I, s:I, s:o}, s:{s:I, s:I, s:o}}", "local", "in", (json_int_t)r->local_in, "out", (json_int_t)r->local_out, "ms", json_f64(r->local_ms),
                                              "frontier", "in", (json_int_t)r->frontier_in, "out", (json_int_t)r->frontier_out, "usd", json_f64(r->frontier_usd)));
    json_object_set_new(o, "cost_usd", json_f64(r->cost_usd));
    json_object_set_new(o, "saved_usd", json_f64(r->saved_usd));
    json_object_set_new(o, "schema", r->has_schema ? json_pack("{s:b, s:[]}", "valid", r->schema_valid, "deferred") : json_null());
    json_object_set_new(o, "calibration", r->cal ? json_pack("{s:s, s:o, s:b}", "id", r->cal->id, "target", json_f64(1 - r->cal->goal.error_max), "certified", r->cal->result.certified) : json_null());
    if (r->has_bound) json_object_set_new(o, "bound_to", bound_json(r->bound));
    json_object_set_new(o, "request_id", json_string(r->request_id));
    if (r->more) json_object_update(o, r->more);
    return o;
}
