/* gateway_watch.c -- does the certificate still speak of what comes? Both alarms of task/watch.h, over the requests of slm-auto.
 *
 * Seen are the scores of all local answers that the certificate judges, kept or not, and the losses of audits. An audit is drawn by lot among the kept answers, before
 * anybody knows whether they were right: only so the share of wrong ones among audits is that among all, and the bet is a fair one. A verdict that a client
 * sends of its own accord is not drawn (who complains has a reason to), so it counts here only where its request is an audit; the header x-slm-audit tells the client
 * which are.
 *
 * An alarm suspends the certificate: nothing is kept by it any more. The ledger remembers that, and by what signals and losses it came, over restarts; a new
 * certificate has a new id, and begins anew. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "serve/gateway_int.h"

enum watch_state gateway_watch_state(struct gateway *g) { return (enum watch_state)atomic_load(&g->watch_state); }

/* What the ledger kept, back into the window and the bet. */

static void take_signals(void *user, const char *text) {
    struct gateway *g = user;
    struct bound_to bound;
    struct signals s;
    enum signal which;
    const char *name;
    json_t *v = json_loads(text ? text : "", 0, NULL), *one;
    signals_init(&s);
    json_object_foreach(json_object_get(v, "signals"), name, one) {
        if (signal_by_name(view_of(name), &which) && json_is_number(one)) s.v[which] = json_number_value(one);
    }
    /* another model's answers would be no such requests */
    if (bound_parse(json_object_get(v, "bound_to"), &bound) && memcmp(&bound, &g->cal->bound, sizeof bound) == 0) watch_score(&g->watch, combine_score(&g->cal->combiner, &s));
    json_decref(v);
}

static void take_loss(void *user, double loss) {
    struct gateway *g = user;
    watch_loss(&g->watch, loss);
}

slm_status gateway_watch_open(struct gateway *g, slm_err *err) {
    const struct watch_sinks to = {take_signals, take_loss, g};
    int state = WATCH_CALM;
    uint64_t n_alarm = 0;
    if (!g->cal) return SLM_OK;
    watch_init(&g->watch, g->cal);
    slm_status st = ledger_watch_open(g->ledger, g->cal->id, WATCH_WINDOW, &to, &state, &n_alarm, err);
    if (st != SLM_OK) return st;
    if (state < WATCH_CALM || state > WATCH_ERRORS) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "ledger: the watch over certificate %s has no such state: %d", g->cal->id, state);
    g->watch.state = (enum watch_state)state; /* a window that is being filled again raises nothing */
    g->watch.n_alarm = n_alarm;
    atomic_store(&g->watch_state, state);
    if (state != WATCH_CALM) log_print(LOG_WARN, "certificate %s: is suspended since an earlier run (%s)", g->cal->id, watch_state_name(g->watch.state));
    return SLM_OK;
}

/* Lock held; ends without it. */
static bool after(struct gateway *g) {
    enum watch_state now = g->watch.state;
    uint64_t n = g->watch.n_alarm;
    bool is_new = (int)now != atomic_exchange(&g->watch_state, (int)now);
    pthread_mutex_unlock(&g->lock);
    if (is_new) {
        log_print(LOG_WARN, "certificate %s: suspended at judged request %llu: %s; slm-auto goes to the frontier until there is another", g->cal->id, (unsigned long long)n,
                  now == WATCH_SHIFT ? "scores are not like those that it was made of" : "more errors among what is kept than it promises");
        ledger_watch_alarm(g->ledger, g->cal->id, (int)now, n);
    }
    return now != WATCH_CALM;
}

bool gateway_watch_score(struct gateway *g, double score) {
    pthread_mutex_lock(&g->lock);
    watch_score(&g->watch, score);
    return after(g);
}

void gateway_watch_loss(struct gateway *g, double loss) {
    if (!g->cal) return;
    pthread_mutex_lock(&g->lock);
    watch_loss(&g->watch, loss);
    (void)after(g);
}

const char *gateway_watch_id(const struct gateway *g) { return g->cal ? g->cal->id : ""; }

json_t *gateway_watch_json(struct gateway *g) {
    if (!g->cal) return json_null();
    pthread_mutex_lock(&g->lock);
    const struct watch *w = &g->watch;
    json_t *v = json_pack("{s:s, s:o, s:s, s:b, s:o, s:I, s:I, s:o, s:I}", "id", g->cal->id, "target", json_f64(1 - g->cal->goal.error_max), "watch", watch_state_name(w->state), "suspended", w->state != WATCH_CALM,
                          "distance", json_f64(w->distance), "n_seen", (json_int_t)w->n_seen, "n_audited", (json_int_t)w->n_audited, "loss_audited", json_f64(w->loss_audited), "alarm_at", (json_int_t)w->n_alarm);
    pthread_mutex_unlock(&g->lock);
    return v;
}

void gateway_watch_metrics(struct gateway *g, struct buf *out) {
    if (!g->cal) return;
    pthread_mutex_lock(&g->lock);
    const struct { const char *name, *kind, *what; double v; } rows[] = {
        {"slm_calibration_suspended", "gauge", "1: an alarm is up, and nothing is kept by the certificate", g->watch.state != WATCH_CALM},
        {"slm_calibration_distance", "gauge", "of the last scores from those that the certificate was made of", g->watch.distance},
        {"slm_calibration_seen_total", "counter", "answers that the certificate judged", (double)g->watch.n_seen},
        {"slm_calibration_audited_total", "counter", "kept answers with an audit's verdict", (double)g->watch.n_audited},
        {"slm_calibration_audited_loss_total", "counter", "of those, wrong", g->watch.loss_audited}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!isnan(rows[i].v)) buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.9g\n", rows[i].name, rows[i].what, rows[i].name, rows[i].kind, rows[i].name, rows[i].v);
    pthread_mutex_unlock(&g->lock);
}
