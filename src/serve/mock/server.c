/* server.c -- the mock's requests: which answer, which fault, how fast, and what is counted.
 *
 * Billed is what a provider bills: the prompt once the answer begins, and every token that was sent, also of an answer that was cut off. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/nearest.h"
#include "base/show.h"
#include "base/util.h"
#include "serve/crew.h"
#include "serve/generate.h"
#include "serve/http.h"
#include "serve/mock/mock_int.h"

#define MOCK_REQUESTS_MAX 512
#define HANG_S 600
#define CUT_WAIT_S 0.05 /* what was written gets out before the connection is cut */
#define BODY_BYTES_MAX ((size_t)64 << 20)
#define RETRY_AFTER_S "1"

enum fault_kind { FAULT_NONE, FAULT_STATUS, FAULT_HANG, FAULT_HANG_AFTER, FAULT_CUT, FAULT_MALFORMED, FAULT_ERROR_200, FAULT_NO_USAGE, FAULT_CLOSE };
static const struct fault_row {
    const char *name;
    enum fault_kind kind;
    int status;
} fault_rows[] = {
    {"none", FAULT_NONE, 200},          {"429", FAULT_STATUS, 429},       {"500", FAULT_STATUS, 500},           {"529", FAULT_STATUS, 529},
    {"400", FAULT_STATUS, 400},         {"hang", FAULT_HANG, 0},          {"hang-after", FAULT_HANG_AFTER, 200}, {"cut", FAULT_CUT, 200},
    {"malformed", FAULT_MALFORMED, 200}, {"error-200", FAULT_ERROR_200, 200}, {"no-usage", FAULT_NO_USAGE, 200}, {"close", FAULT_CLOSE, 0},
};
#define N_FAULTS (sizeof fault_rows / sizeof fault_rows[0])

const char *mock_fault_names(void) { return "429, 500, 529, 400, hang, hang-after, cut, malformed, error-200, no-usage, close"; }

struct mock {
    struct mock_config config;
    struct limits limits;
    struct http_server *http;
    struct crew *crew;
    struct gold *gold;
    double share[N_FAULTS];
    int log_fd;
    pthread_mutex_t lock; /* of all below */
    struct rng rng;
    size_t i_forced, n_forced; /* the next n_forced requests get this fault */
    uint64_t n_requests, n_answered, n_in, n_out;
};

struct visit { /* one request */
    struct mock *m;
    struct http_exchange *x;
    const struct mock_shape *shape;
    struct mock_ask ask;
    struct mock_told told;
    const struct fault_row *fault;
    char id[40], request_id[80];
    struct buf answer;
    double first_s, token_s;
    size_t n_in_billed, n_out_billed;
    bool is_counted;
};

static slm_status find_fault(const char *name, size_t *i, slm_err *err) {
    const char *names[N_FAULTS];
    for (*i = 0; *i < N_FAULTS; ++*i) {
        names[*i] = fault_rows[*i].name;
        if (strcmp(names[*i], name) == 0) return SLM_OK;
    }
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "fault \"%s\": unknown", show_cstr(name).s);
    err_hint(err, "did you mean \"%s\"? there are %s", nearest_name(name, names, N_FAULTS), mock_fault_names());
    return SLM_E_USAGE;
}

static slm_status read_faults(struct mock *m, slm_err *err) {
    slm_status st = SLM_OK;
    double sum = 0;
    for (size_t k = 0; k < m->config.n_faults; k++) {
        char name[64], *end;
        size_t i;
        snprintf(name, sizeof name, "%s", m->config.faults[k]);
        char *equals = strchr(name, '=');
        if (!equals) FAIL(SLM_E_USAGE, SLM_NOWHERE, "fault \"%s\": is not NAME=SHARE", show_cstr(name).s);
        *equals = 0;
        TRY(find_fault(name, &i, err));
        m->share[i] = strtod(equals + 1, &end);
        sum += m->share[i];
        if (*end || end == equals + 1 || !(m->share[i] >= 0) || !(sum <= 1)) FAIL(SLM_E_USAGE, SLM_NOWHERE, "fault \"%s\": shares are from 0 to 1, and 1 together at most", name);
    }
out:
    return st;
}

/* Lock held. */
static const struct fault_row *draw_fault(struct mock *m) {
    if (m->n_forced > 0) {
        m->n_forced--;
        return &fault_rows[m->i_forced];
    }
    double u = rng_f64(&m->rng);
    for (size_t i = 1; i < N_FAULTS; i++)
        if ((u -= m->share[i]) < 0) return &fault_rows[i];
    return &fault_rows[0];
}

static double draw_s(struct mock *m, int32_t ms) { return ms <= 0 ? 0 : ms * 1e-3 * exp(m->config.jitter * (double)rng_normal(&m->rng)); }

/* Sleep, but no longer than the client waits. */
static bool wait_s(struct visit *v, double s) {
    for (double left = s, part; left > 0; left -= part) {
        part = left < 0.02 ? left : 0.02;
        nanosleep(&(struct timespec){.tv_nsec = (long)(part * 1e9)}, NULL);
        if (http_is_gone(v->x)) return false;
    }
    return true;
}

static void answer_json(struct visit *v, int status, json_t *body) {
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    http_answer(v->x, status, "application/json", text ? text : "{}", text ? strlen(text) : 2);
    free(text);
    json_decref(body);
}

/* What is said, cut to what the request allows. */
static void choose_answer(struct visit *v) {
    struct mock_ask *a = &v->ask;
    const char *gold = gold_find(v->m->gold, a->question);
    struct mock_told *t = &v->told;
    *t = (struct mock_told){.ask = a, .id = v->id, .tool = a->tool, .hides_usage = v->fault->kind == FAULT_NO_USAGE};
    if (a->tool) {
        json_t *args = json_pack("{s:s}", "text", gold ? gold : a->question);
        char *text = args ? json_dumps(args, JSON_COMPACT) : NULL;
        buf_puts(&v->answer, text ? text : "{}");
        free(text);
        json_decref(args);
    } else buf_puts(&v->answer, gold ? gold : a->question);
    t->text = (struct view){v->answer.data ? v->answer.data : "", v->answer.len};
    size_t at = 0;
    for (; at < t->text.len && t->n_out < a->n_max; t->n_out++) at += mock_piece((struct view){t->text.ptr + at, t->text.len - at});
    t->is_cut = at < t->text.len;
    t->text.len = at;
}

static bool flush(struct visit *v, struct buf *out) {
    bool goes_on = out->len == 0 || http_stream_write(v->x, out->data, out->len);
    buf_clear(out);
    return goes_on;
}

static double usd_of(const struct mock *m, uint64_t n_in, uint64_t n_out) { return ((double)n_in * m->config.price_in + (double)n_out * m->config.price_out) / 1e6; }

/* Once for each request, and before its last bytes go out: who has the answer finds it counted. */
static void count(struct visit *v) {
    struct mock *m = v->m;
    if (v->is_counted) return;
    v->is_counted = true;
    pthread_mutex_lock(&m->lock);
    m->n_requests++;
    if (v->n_in_billed) m->n_answered++;
    m->n_in += v->n_in_billed;
    m->n_out += v->n_out_billed;
    pthread_mutex_unlock(&m->lock);
    if (m->log_fd < 0) return;
    json_t *line = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:f}", "request_id", v->request_id, "api", v->shape->name, "model", v->ask.model, "fault", v->fault->name, "in", (json_int_t)v->n_in_billed,
                             "out", (json_int_t)v->n_out_billed, "usd", usd_of(m, v->n_in_billed, v->n_out_billed));
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    if (text) dprintf(m->log_fd, "%s\n", text);
    free(text);
    json_decref(line);
}

/* Pieces with their pauses; how many were sent. A fault comes after half of them, and after one at least. */
static bool send_pieces(struct visit *v, struct buf *out) {
    struct mock_told *t = &v->told;
    size_t n_until = v->fault->kind == FAULT_CUT || v->fault->kind == FAULT_HANG_AFTER || v->fault->kind == FAULT_MALFORMED ? (t->n_out + 1) / 2 : t->n_out;
    for (size_t at = 0, i = 0; i < n_until; i++) {
        size_t n = mock_piece((struct view){t->text.ptr + at, t->text.len - at});
        v->shape->piece(t, (struct view){t->text.ptr + at, n}, out);
        at += n;
        if (v->token_s > 0 && (!flush(v, out) || !wait_s(v, v->token_s))) return false;
        v->n_out_billed++;
    }
    return true;
}

static void send_stream(struct visit *v) {
    struct buf out;
    buf_init(&out, BODY_BYTES_MAX);
    http_stream_begin(v->x, 200, "text/event-stream");
    v->n_in_billed = v->ask.n_in;
    v->shape->begin(&v->told, &out);
    bool goes_on = send_pieces(v, &out) && flush(v, &out);
    if (goes_on && v->fault->kind == FAULT_HANG_AFTER) wait_s(v, HANG_S);
    else if (goes_on && v->fault->kind == FAULT_MALFORMED) {
        buf_puts(&out, "data: {\"choices\": [{\"delta\": \n\n");
        if (flush(v, &out)) http_stream_end(v->x);
    } else if (goes_on && v->fault->kind == FAULT_CUT) wait_s(v, CUT_WAIT_S);
    else if (goes_on) {
        v->shape->end(&v->told, &out);
        count(v);
        if (flush(v, &out)) http_stream_end(v->x);
    }
    buf_fini(&out);
}

static void send_whole(struct visit *v) {
    v->n_in_billed = v->ask.n_in;
    v->n_out_billed = v->told.n_out;
    if (v->fault->kind == FAULT_MALFORMED) http_answer(v->x, 200, "application/json", "{\"choices\": [", 13);
    else if (v->fault->kind == FAULT_CUT || v->fault->kind == FAULT_HANG_AFTER) {
        http_stream_begin(v->x, 200, "application/json");
        http_stream_write(v->x, "{\"id\": ", 7);
        if (v->fault->kind == FAULT_HANG_AFTER) wait_s(v, HANG_S);
    } else {
        count(v);
        answer_json(v, 200, v->shape->whole(&v->told));
    }
}

static void respond(struct visit *v) {
    if (v->fault->kind == FAULT_HANG) {
        wait_s(v, HANG_S);
        return;
    }
    if (!wait_s(v, v->first_s) || v->fault->kind == FAULT_CLOSE) return;
    if (v->fault->kind == FAULT_STATUS) {
        count(v);
        if (v->fault->status == 429) http_header_add(v->x, "retry-after", RETRY_AFTER_S);
        answer_json(v, v->fault->status, v->shape->error(v->fault->status, "the mock was told to fail"));
        return;
    }
    if (v->fault->kind == FAULT_ERROR_200) {
        count(v);
        answer_json(v, 200, v->shape->error(500, "the mock was told to fail"));
        return;
    }
    choose_answer(v);
    if (v->ask.streams) send_stream(v);
    else {
        size_t n = v->told.n_out;
        if (wait_s(v, v->token_s * (double)n)) send_whole(v);
    }
}

/* A request's thread. */
static void run_visit(void *arg) {
    struct visit *v = arg;
    const struct http_request *r = http_request_of(v->x);
    json_t *body = json_loadb(r->body.data ? r->body.data : "", r->body.len, 0, NULL);
    if (!json_is_object(body)) answer_json(v, 400, v->shape->error(400, "the body is no JSON object"));
    else {
        v->shape->read(body, &v->ask);
        respond(v);
        count(v);
    }
    json_decref(body);
    buf_fini(&v->ask.text);
    buf_fini(&v->answer);
    http_release(v->x);
    free(v);
}

static void tell_counts(struct mock *m, struct http_exchange *x) {
    pthread_mutex_lock(&m->lock);
    json_t *v = json_pack("{s:I, s:I, s:I, s:I, s:f, s:I}", "requests", (json_int_t)m->n_requests, "answered", (json_int_t)m->n_answered, "in", (json_int_t)m->n_in, "out", (json_int_t)m->n_out, "usd",
                          usd_of(m, m->n_in, m->n_out), "forced", (json_int_t)m->n_forced);
    pthread_mutex_unlock(&m->lock);
    struct visit told = {.x = x};
    answer_json(&told, 200, v);
}

/* {"fault": NAME, "n": N}: the next N requests. */
static void set_fault(struct mock *m, struct http_exchange *x) {
    const struct http_request *r = http_request_of(x);
    json_t *body = json_loadb(r->body.data ? r->body.data : "", r->body.len, 0, NULL);
    const char *name = json_string_value(json_object_get(body, "fault"));
    json_int_t n = json_integer_value(json_object_get(body, "n"));
    size_t i;
    slm_err err;
    struct visit told = {.x = x};
    if (!name || n < 0 || find_fault(name, &i, &err) != SLM_OK) answer_json(&told, 400, json_pack("{s:s}", "error", "{\"fault\": NAME, \"n\": N} is wanted"));
    else {
        pthread_mutex_lock(&m->lock);
        m->i_forced = i;
        m->n_forced = (size_t)n;
        pthread_mutex_unlock(&m->lock);
        tell_counts(m, x);
    }
    json_decref(body);
}

static bool has_key(const struct mock *m, const struct http_request *r) {
    if (!m->config.key) return true;
    struct view bearer = http_header_find(r, "authorization"), plain = http_header_find(r, "x-api-key"), google = http_header_find(r, "x-goog-api-key"), key = view_of(m->config.key);
    if (bearer.len > 7) bearer = (struct view){bearer.ptr + 7, bearer.len - 7};
    return view_eq(bearer, key) || view_eq(plain, key) || view_eq(google, key);
}

static void on_request(void *user, struct http_exchange *x) {
    struct mock *m = user;
    const struct http_request *r = http_request_of(x);
    struct visit *v = calloc(1, sizeof *v);
    struct visit told = {.x = x};
    bool is_post = view_eq(r->method, VIEW("POST"));
    if (view_eq(r->path, VIEW("/mock"))) {
        if (is_post) set_fault(m, x);
        else tell_counts(m, x);
    } else if (v && is_post && (v->shape = mock_shape_of(r->path, &v->ask)) && has_key(m, r)) {
        v->m = m;
        v->x = x;
        buf_init(&v->ask.text, BODY_BYTES_MAX);
        buf_init(&v->answer, BODY_BYTES_MAX);
        make_id("mock-", v->id);
        snprintf(v->request_id, sizeof v->request_id, "%.*s", VIEW_ARG(http_header_find(r, "x-request-id")));
        pthread_mutex_lock(&m->lock);
        v->fault = draw_fault(m);
        v->first_s = draw_s(m, m->config.first_ms);
        v->token_s = draw_s(m, m->config.token_ms);
        pthread_mutex_unlock(&m->lock);
        if (crew_start(m->crew, run_visit, v)) return;
        answer_json(&told, 429, v->shape->error(429, "too many requests at once"));
    } else if (v && v->shape) answer_json(&told, 401, v->shape->error(401, "the key is not the one"));
    else answer_json(&told, 404, json_pack("{s:{s:s}}", "error", "message", "there is nothing here"));
    free(v);
    http_release(x);
}

static void on_head(void *user, struct http_exchange *x) { (void)user, (void)x; }
static void on_close(void *user, struct http_exchange *x) { (void)user, (void)x; }
static void on_bad(void *user, int status, const char *why, struct buf *body) {
    (void)user;
    buf_printf(body, "{\"error\": {\"message\": \"%d: %s\"}}", status, why);
}
static void on_stop(void *user, bool is_second) {
    struct mock *m = user;
    (void)is_second;
    http_server_stop(m->http);
}

slm_status mock_run(const struct mock_config *c, slm_err *err) {
    slm_status st = SLM_OK;
    struct mock m = {.config = *c, .log_fd = -1};
    struct buf text;
    buf_init(&text, 4096);
    limits_init(&m.limits);
    m.limits.v[LIMIT_BODY_BYTES] = (int64_t)BODY_BYTES_MAX;
    struct http_config http = {.listen = c->listen, .n_listen = c->n_listen, .limits = &m.limits, .on_head = on_head, .on_request = on_request, .on_close = on_close, .on_bad = on_bad, .on_stop = on_stop, .user = &m};
    pthread_mutex_init(&m.lock, NULL);
    rng_init(&m.rng, c->seed);
    TRY(read_faults(&m, err));
    TRY(gold_read(c, &m.gold, err));
    if (c->log && (m.log_fd = open(c->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) < 0) FAIL(SLM_E_IO, SLM_NOWHERE, "\"%s\": %s", show_path(c->log).s, strerror(errno));
    TRY(http_server_create(&http, &m.http, err));
    TRY(crew_create(MOCK_REQUESTS_MAX, &m.crew, err));
    http_server_addresses(m.http, &text);
    fprintf(stderr, "listening on %s", text.data ? text.data : "");
    http_server_run(m.http);
out:
    http_server_close(m.http);
    crew_destroy(m.crew);
    http_server_destroy(m.http);
    gold_free(m.gold);
    if (m.log_fd >= 0) close(m.log_fd);
    pthread_mutex_destroy(&m.lock);
    buf_fini(&text);
    return st;
}
