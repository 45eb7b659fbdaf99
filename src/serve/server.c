/* server.c -- from a whole request to its handler and to the log; start, drain, end.
 *
 * The loop thread admits (gate.c) and answers what must answer under any load; everything else goes to a request thread, or is
 * refused with 429 when all are at work. */
#include "serve/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/show.h"
#include "base/util.h"
#include "serve/api_ollama.h"
#include "serve/generate.h"

#define IGNORED_BYTES_MAX 4096
#define RETRY_S_MAX 60

static void put_json_text(struct buf *out, const char *key, const char *text) {
    json_t *s = json_string(text);
    char *quoted = json_dumps(s ? s : json_null(), JSON_ENCODE_ANY);
    buf_printf(out, ",\"%s\":%s", key, quoted ? quoted : "null");
    free(quoted);
    json_decref(s);
}

/* One line for each request: key=value, or JSON. */
static void log_call(const struct call *c) {
    const struct http_request *r = http_request_of(c->x);
    char now[40], method[16], path[200];
    struct buf line;
    time_t t = time(NULL);
    struct tm tm;
    if (c->server->config.log == LOG_OFF) return;
    gmtime_r(&t, &tm);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(method, sizeof method, "%.*s", VIEW_ARG(r->method));
    snprintf(path, sizeof path, "%s", show_view(r->path).s);
    buf_init(&line, 8192);
    bool is_json = c->server->config.log == LOG_JSON;
    unsigned long long id = http_id(c->x), n_bytes = http_bytes_sent(c->x);
    double ms = http_seconds(c->x) * 1e3;
    if (is_json) {
        buf_printf(&line, "{\"time\":\"%s\",\"id\":\"req_%016llx\",\"status\":%d,\"ms\":%.1f,\"bytes\":%llu,\"prompt\":%zu,\"cached\":%zu,\"generated\":%zu,\"first_ms\":%.1f", now, id,
                   http_status_of(c->x), ms, n_bytes, c->n_prompt, c->n_cached, c->n_generated, c->first_token_s * 1e3);
        put_json_text(&line, "method", method);
        put_json_text(&line, "path", path);
        put_json_text(&line, "peer", http_peer(c->x));
        put_json_text(&line, "key", key_name(c->key));
        put_json_text(&line, "model", c->model);
        if (c->tier[0]) put_json_text(&line, "tier", c->tier);
        if (c->fault.err.code) put_json_text(&line, "error", c->fault.err.msg);
        buf_puts(&line, "}\n");
    } else {
        buf_printf(&line, "%s req_%016llx %s %s %s %s %d %.1f ms", now, id, http_peer(c->x), key_name(c->key), method, path, http_status_of(c->x), ms);
        if (c->model[0]) buf_printf(&line, " model=%s prompt=%zu cached=%zu generated=%zu first_ms=%.1f", c->model, c->n_prompt, c->n_cached, c->n_generated, c->first_token_s * 1e3);
        if (c->tier[0]) buf_printf(&line, " tier=%s", c->tier);
        if (c->fault.err.code) buf_printf(&line, " error=\"%s\"", show_cstr(c->fault.err.msg).s);
        buf_puts(&line, "\n");
    }
    if (line.data) fputs(line.data, stderr);
    buf_fini(&line);
}

static size_t i_route_of(const struct route *r) {
    size_t n;
    const struct route *rows = routes(&n);
    return r ? (size_t)(r - rows) : n;
}

/* Everything that is counted when a call is over. */
static void account(struct call *c) {
    int status = http_status_of(c->x);
    metric_answer(&c->server->metrics, i_route_of(c->route), status ? status : 499);
    if (c->fault.err.code == SLM_E_CANCELLED) metric_add(&c->server->metrics, METRIC_CANCELLED, 1);
    if (c->fault.retry_s) metric_add(&c->server->metrics, METRIC_REFUSED, 1);
    metric_observe(&c->server->metrics, METRIC_REQUEST_S, http_seconds(c->x));
    log_call(c);
}

static void call_free(struct call *c) {
    if (c->has_key_begun) key_end(c->key);
    json_decref(c->body);
    buf_fini(&c->ignored);
    free(c);
}

static void call_init(struct call *c, struct server *s, struct http_exchange *x) {
    *c = (struct call){.server = s, .x = x, .api = routes_api(http_request_of(x)->path)};
    err_clear(&c->fault.err);
    request_init(&c->r);
    buf_init(&c->ignored, IGNORED_BYTES_MAX);
}

static slm_status read_body(struct call *c) {
    const struct buf *b = &http_request_of(c->x)->body;
    json_error_t e;
    if (!c->route->fields) return SLM_OK;
    if (b->len == 0 && c->route->flags & ROUTE_BODY_OPTIONAL) return SLM_OK;
    c->body = json_loadb(b->len ? b->data : "", b->len, JSON_REJECT_DUPLICATES, &e);
    if (!c->body) {
        fault_set(&c->fault, SLM_E_USAGE, NULL, "body: is no JSON at byte %d: %s", e.position < 0 ? 0 : e.position, show_cstr(e.text).s);
        c->fault.code = "invalid_json";
        return SLM_E_USAGE;
    }
    return fields_read(c->route->fields, c->body, &c->r, &c->ignored, &c->fault);
}

/* The handler and its answer; any thread. */
static void answer(struct call *c) {
    double trace = trace_begin();
    slm_status st = read_body(c);
    if (st == SLM_OK) st = c->route->handle(c);
    if (st != SLM_OK) {
        c->fault.err.code = st;
        reply_fault(c);
    }
    trace_end(trace, "request", "%s %s, %d", c->route->method, c->route->path, http_status_of(c->x));
    account(c);
}

static void run_call(void *arg) {
    struct call *c = arg;
    struct http_exchange *x = c->x;
    struct server *s = c->server;
    answer(c);
    call_free(c);
    metric_add(&s->metrics, METRIC_RUNNING, -1);
    http_release(x);
}

static int retry_after(struct server *s) {
    double mean = metric_mean_s(&s->metrics, METRIC_REQUEST_S);
    return mean >= RETRY_S_MAX ? RETRY_S_MAX : 1 + (int)mean;
}

static void refuse_busy(struct call *c, const char *what, int retry_s) {
    fault_set(&c->fault, SLM_E_BUSY, NULL, "%s", what);
    c->fault.code = "rate_limit_exceeded";
    c->fault.retry_s = retry_s;
}

/* A body that goes to disk: a place in the store. */
static slm_status begin_file(struct call *c) {
    struct store *store = c->server->config.models.store;
    slm_status allowed = ollama_may_change(c);
    if (allowed != SLM_OK) return allowed;
    char name[40]; /* a number of the process or the request would come again after a kill, or in a container beside this one */
    make_id("upload-", name);
    char *path = store_path(store, "partial/%s", name);
    slm_status st = path ? http_body_to_file(c->x, path, (uint64_t)c->server->limits.v[LIMIT_BLOB_BYTES], &c->fault.err) : fault_set(&c->fault, SLM_E_NOMEM, NULL, "body: no memory");
    free(path);
    return st;
}

/* Loop thread: the head is whole; refusals need no body. */
static void on_head(void *user, struct http_exchange *x) {
    struct call c;
    call_init(&c, user, x);
    if (!gate_admit(&c)) {
        if (!http_is_begun(x)) reply_fault(&c);
    } else if (http_server_is_draining(c.server->http) && !(c.route->flags & ROUTE_ON_LOOP)) {
        fault_set(&c.fault, SLM_E_BUSY, NULL, "server: is shutting down");
        c.fault.http_status = 503;
        reply_fault(&c);
    } else if (c.route->flags & ROUTE_BODY_FILE && begin_file(&c) != SLM_OK) reply_fault(&c);
    if (http_is_begun(x)) account(&c);
    buf_fini(&c.ignored);
}

static void on_request(void *user, struct http_exchange *x) {
    struct server *s = user;
    struct call *c = malloc(sizeof *c);
    int wait_s = 0;
    if (!c) {
        http_release(x);
        return;
    }
    call_init(c, s, x);
    if (!gate_route(c)) reply_fault(c); /* it was admitted a moment ago, when its head was there */
    else if (c->route->flags & ROUTE_ON_LOOP) {
        answer(c);
    } else if (!key_begin(c->key, time_now_s(), &wait_s)) {
        refuse_busy(c, "key: has reached its limit of requests", wait_s);
    } else {
        c->has_key_begun = true;
        metric_add(&s->metrics, METRIC_RUNNING, 1);
        if (crew_start(s->crew, run_call, c)) return;
        metric_add(&s->metrics, METRIC_RUNNING, -1);
        refuse_busy(c, "server: as many requests as it takes are running", retry_after(s));
    }
    if (!http_is_begun(x)) {
        reply_fault(c);
        account(c);
    }
    call_free(c);
    http_release(x);
}

static void on_close(void *user, struct http_exchange *x) {
    struct server *s = user;
    (void)x;
    atomic_store(&s->metrics.v[METRIC_CONNECTIONS], s->http ? (int64_t)http_server_n_connections(s->http) : 0);
}

static void on_bad(void *user, int status, const char *why, struct buf *body) {
    struct fault f = {.http_status = status};
    (void)user;
    fault_set(&f, SLM_E_USAGE, NULL, "request: %s", why);
    json_t *v = fault_json(API_OPENAI, &f, 0);
    char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
    buf_puts(body, text ? text : "{}");
    free(text);
    json_decref(v);
}

static void on_stop(void *user, bool is_second) {
    struct server *s = user;
    notify_systemd("STOPPING=1");
    if (is_second) http_server_stop(s->http);
    else {
        log_print(LOG_INFO, "no new requests; those that run are answered");
        http_server_drain(s->http);
    }
}

static slm_status open_keys(struct server *s, slm_err *err) {
    const char *key = env_get(ENV_SLM_KEY);
    slm_status st = SLM_OK;
    TRY(keys_create(&s->keys, err));
    if (key) TRY(keys_add(s->keys, key, "SLM_KEY", err));
    if (s->config.key_file) TRY(keys_read(s->keys, s->config.key_file, err));
out:
    return st;
}

/* What others can reach, only those with a key may use. */
static slm_status check_reach(struct server *s, slm_err *err) {
    if (http_server_is_local(s->http) || keys_n(s->keys) > 0 || s->config.is_open) return SLM_OK;
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "listen: others can reach this address, and no key is demanded");
    err_hint(err, "--key-file FILE or SLM_KEY demands one; --open serves everybody");
    return SLM_E_USAGE;
}

static void say_ready(struct server *s) {
    struct buf text;
    buf_init(&text, 4096);
    http_server_addresses(s->http, &text);
    for (char *line = text.data, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        fprintf(stderr, "listening on %s\n", line);
    }
    fflush(stderr);
    buf_fini(&text);
    notify_systemd("READY=1");
}

/* The first model is loaded before anybody is told that the server is ready: what is wrong with it is said here. */
static slm_status load_first(struct server *s, slm_err *err) {
    struct fault f = {0};
    struct served *first = s->config.models.n_files ? models_next(s->models, NULL) : NULL, *used;
    if (!first || s->config.models.n_files != 1) {
        models_let(s->models, first);
        return SLM_OK;
    }
    slm_status st = models_use(s->models, first->name, &used, &f);
    if (st == SLM_OK) models_release(s->models, used);
    models_let(s->models, first);
    if (st == SLM_OK) return SLM_OK;
    if (err) *err = f.err;
    return st;
}

/* The model that slm-local and slm-auto mean. */
static slm_status check_local(struct server *s, slm_err *err) {
    const char *name = s->gateway ? s->gateway->s->local : NULL;
    struct served *found = s->gateway && name ? models_find(s->models, name) : NULL;
    models_let(s->models, found);
    if (!s->gateway || found) return SLM_OK;
    if (name) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "gateway: local: there is no model \"%s\"", show_cstr(name).s);
    found = models_next(s->models, models_next(s->models, NULL));
    models_let(s->models, found);
    if (!found && !s->config.models.folder) return SLM_OK;
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "gateway: there are several models, and the file does not say which is local");
    err_hint(err, "local: NAME");
    return SLM_E_USAGE;
}

slm_status server_run(const struct server_config *config, slm_err *err) {
    slm_status st = SLM_OK;
    struct server s = {.config = *config, .limits = config->limits, .t_start = time_now_s()};
    size_t n_routes;
    routes(&n_routes);
    struct http_config http = {.listen = config->listen, .n_listen = config->n_listen, .tls_cert = config->tls_cert, .tls_key = config->tls_key, .limits = &s.limits,
                               .on_head = on_head, .on_request = on_request, .on_close = on_close, .on_bad = on_bad, .on_stop = on_stop, .user = &s};
    turns_init(&s.turns);
    TRY(metrics_init(&s.metrics, n_routes, err));
    TRY(open_keys(&s, err));
    TRY(http_server_create(&http, &s.http, err));
    TRY(check_reach(&s, err));
    if (config->gateway) TRY(gateway_open(config->gateway, &s.gateway, err));
    if (!config->is_unconfined) confine_server(&s);
    TRY(crew_create((size_t)s.limits.v[LIMIT_REQUESTS], &s.crew, err));
    TRY(models_create(&config->models, &s.metrics, &s.models, err));
    TRY(check_local(&s, err));
    TRY(load_first(&s, err));
    say_ready(&s);
    http_server_run(s.http);
out:
    http_server_close(s.http); /* what still runs is cut off, and its threads end */
    if (s.gateway) atomic_store(&s.gateway->is_ending, true);
    crew_destroy(s.crew);
    models_destroy(s.models);
    http_server_destroy(s.http);
    gateway_close(s.gateway);
    keys_destroy(s.keys);
    metrics_fini(&s.metrics);
    turns_fini(&s.turns);
    return st;
}
