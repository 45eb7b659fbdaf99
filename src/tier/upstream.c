/* upstream.c -- which attempt comes next, what it may cost, what it did cost. */
#include "tier/upstream.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/cpu.h"
#include "base/show.h"
#include "tier/upstream_int.h"

#define PAUSE_FIRST_S 0.25
#define PAUSE_MAX_S 8.0
#define RETRIES_DEFAULT 2

slm_status upstreams_create(const struct tier_settings *s, struct ledger *l, struct upstreams **out, slm_err *err) {
    *out = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return err_set(err, SLM_E_FAILED, SLM_NOWHERE, "gateway: no HTTP client");
    struct upstreams *us = calloc(1, sizeof *us);
    if (!us) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "gateway: no memory");
    us->s = s;
    us->ledger = l;
    us->n = s->n_upstreams;
    for (size_t i = 0; i < us->n; i++) {
        struct upstream *u = &us->v[i];
        u->s = &s->upstreams[i];
        u->wire = wire_get(u->s->kind);
        u->stats.name = u->s->name;
        breaker_init(&u->breaker, &u->s->breaker);
        pthread_mutex_init(&u->lock, NULL);
    }
    *out = us;
    return SLM_OK;
}

void upstreams_destroy(struct upstreams *us) {
    for (size_t i = 0; us && i < us->n; i++) {
        for (struct line *l = us->v[i].idle, *next; l; l = next) {
            next = l->next;
            line_close(l);
        }
        pthread_mutex_destroy(&us->v[i].lock);
    }
    free(us);
}

/* USD for a million tokens are thousands of billionths for one. What no number of billionths can say is the most there is. */
static nano_usd price(const struct upstream_settings *s, uint64_t n_in, uint64_t n_cached, uint64_t n_out) {
    double cached = s->price_cached_in > 0 ? s->price_cached_in : s->price_in;
    if (n_cached > n_in) n_cached = n_in;
    double v = ceil(((double)(n_in - n_cached) * s->price_in + (double)n_cached * cached + (double)n_out * s->price_out) * 1e3 - 1e-6);
    return v < (double)NANO_USD_MAX ? (nano_usd)v : NANO_USD_MAX;
}

nano_usd frontier_price(const struct upstreams *us, uint64_t n_in, uint64_t n_out) { return price(us->v[0].s, n_in, 0, n_out); }

static int32_t n_max_of(const struct upstream *u, const struct ask *a) { return a->n_max >= 0 ? a->n_max : u->s->max_tokens; }

/* What is sent; new. NULL: no memory. */
static char *body_of(const struct upstream *u, const struct ask *a) {
    json_t *v = u->wire->body(u->s, a, n_max_of(u, a));
    char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
    json_decref(v);
    return text;
}

/* The worst case: two bytes of what is sent a token (four is usual), and all of the answer. */
static nano_usd cap_of(const struct upstream *u, const struct ask *a, const char *body) { return price(u->s, strlen(body) / 2 + 32, 0, (uint64_t)n_max_of(u, a)); }

const char *frontier_cannot(const struct upstreams *us, const struct ask *a) {
    const char *what = NULL;
    for (size_t i = 0; i < us->n; i++)
        if (!(what = us->v[i].wire->cannot(a))) return NULL;
    return what;
}

bool frontier_available(struct upstreams *us, const struct ask *a, nano_usd left) {
    nano_usd day, month, day_max = (nano_usd)(us->s->budget.usd_per_day * USD_NANO), month_max = (nano_usd)(us->s->budget.usd_per_month * USD_NANO);
    ledger_spent(us->ledger, &day, &month);
    for (size_t i = 0; i < us->n; i++) {
        struct upstream *u = &us->v[i];
        char *body = u->wire->cannot(a) ? NULL : body_of(u, a);
        nano_usd cap = body ? cap_of(u, a, body) : 0;
        bool is_said = body != NULL;
        free(body);
        if (!is_said || (left >= 0 && cap > left) || (day_max > 0 && day + cap > day_max) || (month_max > 0 && month + cap > month_max)) continue;
        pthread_mutex_lock(&u->lock);
        bool is_open = u->breaker.state == BREAKER_OPEN && time_now_s() - u->breaker.t_open < u->breaker.s->open_s;
        pthread_mutex_unlock(&u->lock);
        if (!is_open) return true;
    }
    return false;
}

static void make_attempt_id(char out[40]) {
    unsigned char bytes[12];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) memset(bytes, 0, sizeof bytes);
    int n = snprintf(out, 40, "att_");
    for (size_t i = 0; i < sizeof bytes; i++) n += snprintf(out + n, 40 - (size_t)n, "%02x", bytes[i]);
}

/* Has the upstream begun to count? It answers, or it had the request and was left, by the client or by us, before it said anything. */
static bool is_billed(const struct trial *t) {
    bool has_all = t->left.ptr && t->left.len == 0, is_left = t->is_gone || t->is_late;
    if (t->in.error_status && !t->in.has_told) return false;
    return (t->status == 200 && t->t_first > 0) || (has_all && is_left && t->status < 300);
}

/* Of the request's own budget. False: there is not so much left. */
static bool set_aside(struct frontier_call *c, nano_usd cap) {
    nano_usd left = c->left ? atomic_load(c->left) : 0;
    if (!c->left) return true;
    do {
        if (cap > left) return false;
    } while (!atomic_compare_exchange_weak(c->left, &left, left - cap));
    return true;
}

static void give_back(struct frontier_call *c, nano_usd v) {
    if (c->left) atomic_fetch_add(c->left, v);
}

/* How long it was silent: until it began to answer, or until it was left. One that failed at once says nothing of that. */
static void count_silence(struct trial *t) {
    bool has_begun = t->t_first > 0 && t->status == 200;
    if (!has_begun && !t->is_gone && !t->is_late) return;
    silences_add(&t->u->silences[t->c->ask->streams], (has_begun ? t->t_first : time_now_s()) - t->t_begin);
}

/* What was billed: as reported, or counted from what went and came. */
static void settle(struct upstreams *us, struct trial *t, int64_t id, const struct attempt *a, bool is_whole) {
    struct wire_in *w = &t->in;
    bool has_begun = is_billed(t);
    bool is_estimated = has_begun && (!w->has_in || !w->has_out);
    if (has_begun && !w->has_in) w->n_in = ask_tokens(ask_bytes(t->c->ask));
    if (has_begun && !w->has_out && w->n_out < ask_tokens(w->n_bytes)) w->n_out = ask_tokens(w->n_bytes);
    if (!has_begun && !w->has_in) w->n_in = w->n_out = 0;
    struct attempt_end e = {.state = is_whole ? "done" : t->is_gone ? "cancelled" : "failed", .http_status = (int)t->status, .n_in = w->n_in, .n_cached = w->n_cached, .n_out = w->n_out,
                            .is_estimated = is_estimated, .cost = price(t->u->s, w->n_in, w->n_cached, w->n_out), .seconds = time_now_s() - t->t_begin};
    ledger_end(us->ledger, id, a, &e);
    t->c->cost += e.cost;
    give_back(t->c, a->cap - e.cost);
    t->c->is_estimated |= is_estimated;
    pthread_mutex_lock(&t->u->lock);
    struct upstream_stats *s = &t->u->stats;
    s->n_attempts++;
    s->n_failed += !is_whole && !t->is_gone;
    s->n_in += e.n_in;
    s->n_out += e.n_out;
    s->cost += e.cost;
    count_silence(t);
    if (is_whole) {
        t->u->n_answered++;
        t->u->first_byte_sum_s += t->t_first - t->t_begin;
    }
    pthread_mutex_unlock(&t->u->lock);
}

enum verdict { VERDICT_ANSWERED, VERDICT_AGAIN, VERDICT_NEXT, VERDICT_REFUSED, VERDICT_OVER, VERDICT_BROKEN, VERDICT_GONE };

static bool is_retried(const struct upstream_settings *s, int status) {
    for (unsigned i = 0; i < s->n_retry_on; i++)
        if (s->retry_on[i] == status) return true;
    return false;
}

static enum verdict judge(const struct trial *t, bool is_whole) {
    static const int wrong[] = {400, 404, 413, 422};
    int status = t->in.error_status;
    if (is_whole) return VERDICT_ANSWERED;
    if (t->is_gone) return VERDICT_GONE;
    if (t->in.has_told) return VERDICT_BROKEN;
    if (status == 0 || is_retried(t->u->s, status)) return VERDICT_AGAIN;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (status == wrong[i]) return VERDICT_REFUSED;
    return VERDICT_NEXT; /* a wrong key, say: this upstream will not answer, another may */
}

static void tell_breaker(struct upstream *u, enum verdict v, bool is_probe) {
    pthread_mutex_lock(&u->lock);
    if (v == VERDICT_GONE) breaker_forget(&u->breaker, is_probe);
    else breaker_tell(&u->breaker, time_now_s(), is_probe, v == VERDICT_ANSWERED || v == VERDICT_REFUSED);
    pthread_mutex_unlock(&u->lock);
}

static bool may_pass(struct upstream *u, bool *is_probe) {
    pthread_mutex_lock(&u->lock);
    bool allows = breaker_allows(&u->breaker, time_now_s(), is_probe);
    pthread_mutex_unlock(&u->lock);
    return allows;
}

static void forget(struct upstream *u, bool is_probe) {
    pthread_mutex_lock(&u->lock);
    breaker_forget(&u->breaker, is_probe);
    pthread_mutex_unlock(&u->lock);
}

static enum verdict attempt(struct upstreams *us, struct frontier_call *c, struct upstream *u, bool is_probe, double *retry_after_s, slm_err *err) {
    struct trial t = {.c = c, .u = u};
    int64_t id;
    char *body = body_of(u, c->ask);
    if (!body) {
        err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "upstream \"%s\": no memory for the request", show_cstr(u->s->name).s);
        forget(u, is_probe);
        return VERDICT_NEXT;
    }
    nano_usd cap = cap_of(u, c->ask, body);
    make_attempt_id(t.id);
    if (!set_aside(c, cap)) {
        err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "budget: this attempt may cost %.6f USD, the request has %.6f left", (double)cap / USD_NANO, (double)atomic_load(c->left) / USD_NANO);
        forget(u, is_probe);
        free(body);
        return VERDICT_OVER;
    }
    struct attempt a = {.request = c->request_id, .attempt = t.id, .upstream = u->s->name, .model = u->s->model, .kind = c->kind, .cap = cap, .kind_max = c->kind_max};
    slm_status st = ledger_begin(us->ledger, &a, &id, err);
    if (st != SLM_OK) {
        give_back(c, cap);
        forget(u, is_probe);
        free(body);
        return st == SLM_E_LIMIT ? VERDICT_OVER : VERDICT_NEXT; /* without a ledger nothing is sent */
    }
    c->n_attempts++;
    c->answered = u->s;
    bool is_whole = trial_run(&t, body);
    free(body);
    settle(us, &t, id, &a, is_whole);
    enum verdict v = judge(&t, is_whole);
    tell_breaker(u, v, is_probe);
    *retry_after_s = t.retry_after_s;
    c->end = t.in.end;
    c->n_in = t.in.n_in;
    c->n_cached = t.in.n_cached;
    c->n_out = t.in.n_out;
    if (v == VERDICT_GONE && t.in.st != SLM_OK) err_set(err, t.in.st, SLM_NOWHERE, "upstream \"%s\": what it sent could not be passed on", show_cstr(u->s->name).s);
    else if (v != VERDICT_ANSWERED) err_set(err, v == VERDICT_GONE ? SLM_E_CANCELLED : SLM_E_NETWORK, SLM_NOWHERE, "upstream \"%s\": %s", show_cstr(u->s->name).s, t.is_gone ? "the client left" : t.why);
    return v;
}

static double unit(void) {
    uint32_t x;
    return getrandom(&x, sizeof x, 0) == (ssize_t)sizeof x ? x / 4294967296.0 : 0.5;
}

/* False: the client left, or the deadline would pass. */
static bool pause_s(struct frontier_call *c, double s) {
    if (time_now_s() + s >= c->deadline) return false;
    for (double left = s; left > 0; left -= 0.05) {
        nanosleep(&(struct timespec){.tv_nsec = (long)((left < 0.05 ? left : 0.05) * 1e9)}, NULL);
        if (c->is_gone(c->user)) return false;
    }
    return true;
}

/* One upstream, as often as it may be tried. */
static enum verdict try_upstream(struct upstreams *us, struct frontier_call *c, struct upstream *u, slm_err *err) {
    int n_retries = u->s->retries ? *u->s->retries : RETRIES_DEFAULT;
    double pause = PAUSE_FIRST_S;
    for (int i = 0;; i++, pause = pause * 2 < PAUSE_MAX_S ? pause * 2 : PAUSE_MAX_S) {
        double retry_after_s = 0;
        bool is_probe;
        if (!may_pass(u, &is_probe)) {
            if (i == 0) err_set(err, SLM_E_NETWORK, SLM_NOWHERE, "upstream \"%s\": is left alone for a while after its failures", show_cstr(u->s->name).s);
            return VERDICT_NEXT;
        }
        enum verdict v = attempt(us, c, u, is_probe, &retry_after_s, err);
        if (v != VERDICT_AGAIN) return v;
        if (retry_after_s > 0) c->retry_after_s = (int)ceil(retry_after_s);
        if (i == n_retries) return VERDICT_NEXT;
        double wait = pause * (0.5 + unit());
        if (!pause_s(c, retry_after_s > wait ? retry_after_s : wait)) return c->is_gone(c->user) ? VERDICT_GONE : VERDICT_NEXT;
        pthread_mutex_lock(&u->lock);
        u->stats.n_retried++;
        pthread_mutex_unlock(&u->lock);
    }
}

static size_t first_of(const struct upstreams *us, const char *name) {
    for (size_t i = 0; name && i < us->n; i++)
        if (strcmp(us->v[i].s->name, name) == 0) return i;
    return 0;
}

double frontier_patience_s(struct upstreams *us, const struct ask *a, const char *first) {
    const struct hedge_settings *h = &us->s->hedge;
    for (size_t k = 0, i = first_of(us, first); k < us->n; k++, i = (i + 1) % us->n) {
        struct upstream *u = &us->v[i];
        if (u->wire->cannot(a)) continue;
        pthread_mutex_lock(&u->lock);
        double s = silences_quantile(&u->silences[a->streams], h->quantile, (unsigned)h->samples);
        pthread_mutex_unlock(&u->lock);
        return s < h->least_ms * 1e-3 ? h->least_ms * 1e-3 : s;
    }
    return INFINITY;
}

static bool is_taken(struct frontier_call *c, size_t i) { return c->taken && (atomic_fetch_or(c->taken, 1u << i) >> i & 1u); }

enum upstream_outcome frontier_ask(struct upstreams *us, struct frontier_call *c, slm_err *err) {
    static const enum upstream_outcome outcomes[] = {[VERDICT_ANSWERED] = UPSTREAM_ANSWERED, [VERDICT_AGAIN] = UPSTREAM_FAILED, [VERDICT_NEXT] = UPSTREAM_FAILED, [VERDICT_REFUSED] = UPSTREAM_REFUSED,
                                                     [VERDICT_OVER] = UPSTREAM_OVER, [VERDICT_BROKEN] = UPSTREAM_BROKEN, [VERDICT_GONE] = UPSTREAM_GONE};
    const char *what = frontier_cannot(us, c->ask);
    enum verdict v = VERDICT_NEXT;
    err_set(err, SLM_E_NETWORK, SLM_NOWHERE, "no upstream is left to be asked");
    if (what) {
        err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "no upstream's API can be told %s", what);
        return UPSTREAM_UNABLE;
    }
    for (size_t k = 0, first = first_of(us, c->first); k < us->n && (v == VERDICT_NEXT || v == VERDICT_OVER); k++) {
        size_t i = (first + k) % us->n;
        struct upstream *u = &us->v[i];
        if (u->wire->cannot(c->ask)) continue;
        if (time_now_s() >= c->deadline) break;
        if (is_taken(c, i)) continue;
        v = try_upstream(us, c, u, err);
    }
    return outcomes[v];
}

bool upstreams_stats(struct upstreams *us, size_t i, struct upstream_stats *out) {
    if (i >= us->n) return false;
    struct upstream *u = &us->v[i];
    pthread_mutex_lock(&u->lock);
    *out = u->stats;
    out->breaker = (int)u->breaker.state;
    out->first_byte_s = u->n_answered ? u->first_byte_sum_s / (double)u->n_answered : 0;
    pthread_mutex_unlock(&u->lock);
    return true;
}
