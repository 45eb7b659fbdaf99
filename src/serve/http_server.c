/* http_server.c -- the loop: accept, wake, drain, stop. */
#include "serve/http_int.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/util.h"

#define FILES_SPARE 64 /* descriptors kept for models and logs */

static size_t n_connections(const struct http_server *s) { return s->idle.n + s->others.n; }
size_t http_server_n_connections(const struct http_server *s) { return n_connections(s); }
bool http_server_is_draining(const struct http_server *s) { return s->is_draining; }
bool http_server_is_local(const struct http_server *s) { return s->is_local; }

/* Past the limit the connection that has waited longest makes room; when all are at work the newcomer is turned away. */
static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *address, int n_address, void *arg) {
    struct http_server *s = arg;
    (void)l, (void)n_address;
    if (n_connections(s) >= (size_t)s->limits.v[LIMIT_CONNECTIONS]) {
        if (!s->idle.first) {
            evutil_closesocket(fd);
            return;
        }
        conn_close(s->idle.first);
    }
    conn_open(s, fd, address);
}

/* Exchanges with something to send. */
static void on_wake(evutil_socket_t fd, short what, void *arg) {
    struct http_server *s = arg;
    uint64_t n;
    (void)what;
    if (read(fd, &n, sizeof n) < 0 && errno != EAGAIN) log_print(LOG_ERROR, "wake-up of the loop: %s", strerror(errno));
    pthread_mutex_lock(&s->lock);
    struct http_exchange *x = s->queued_first;
    s->queued_first = s->queued_last = NULL;
    pthread_mutex_unlock(&s->lock);
    while (x) {
        struct http_exchange *next = x->next_queued;
        pthread_mutex_lock(&x->lock);
        x->is_queued = false;
        pthread_mutex_unlock(&x->lock);
        if (x->conn) conn_flush(x->conn);
        exchange_unref(x);
        x = next;
    }
    if (s->is_draining && s->n_exchanges == 0) http_server_stop(s);
}

static void on_signal(evutil_socket_t number, short what, void *arg) {
    struct http_server *s = arg;
    (void)number, (void)what;
    s->config.on_stop(s->config.user, s->is_draining);
}

static void on_drain_deadline(evutil_socket_t fd, short what, void *arg) {
    struct http_server *s = arg;
    (void)fd, (void)what;
    log_print(LOG_WARN, "drain: %zu requests are cut off", s->n_exchanges);
    http_server_stop(s);
}

void http_server_drain(struct http_server *s) {
    struct timeval t = {.tv_sec = s->limits.v[LIMIT_DRAIN_S]};
    if (s->is_draining) return;
    s->is_draining = true;
    for (size_t i = 0; i < s->n_listeners; i++) evconnlistener_disable(s->listeners[i]);
    while (s->idle.first) conn_close(s->idle.first);
    if (s->n_exchanges == 0) http_server_stop(s);
    else evtimer_add(s->drain_deadline, &t);
}

void http_server_stop(struct http_server *s) {
    s->is_stopped = true;
    struct timeval linger = {.tv_usec = 50000}; /* the last answers are still on their way out */
    event_base_loopexit(s->base, &linger);
}

/* Every connection is a descriptor: take what the system allows, and no more connections than that. */
static void fit_descriptors(struct http_server *s) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0) return;
    rlim_t want = (rlim_t)s->limits.v[LIMIT_CONNECTIONS] + FILES_SPARE;
    if (r.rlim_cur < want) {
        r.rlim_cur = want < r.rlim_max ? want : r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
        getrlimit(RLIMIT_NOFILE, &r);
    }
    if (r.rlim_cur >= want) return;
    s->limits.v[LIMIT_CONNECTIONS] = r.rlim_cur > 2 * FILES_SPARE ? (int64_t)r.rlim_cur - FILES_SPARE : FILES_SPARE;
    log_print(LOG_WARN, "limit \"connections\": lowered to %lld by the system's limit of open files", (long long)s->limits.v[LIMIT_CONNECTIONS]);
}

static slm_status make_events(struct http_server *s, slm_err *err) {
    static const int signals[] = {SIGTERM, SIGINT};
    s->base = event_base_new();
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!s->base || s->wake_fd < 0) return err_set(err, SLM_E_IO, SLM_NOWHERE, "event loop: %s", strerror(errno));
    s->wake = event_new(s->base, s->wake_fd, EV_READ | EV_PERSIST, on_wake, s);
    s->drain_deadline = evtimer_new(s->base, on_drain_deadline, s);
    for (size_t i = 0; i < 2; i++) {
        s->signals[i] = evsignal_new(s->base, signals[i], on_signal, s);
        if (!s->signals[i]) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "event loop: no memory");
        evsignal_add(s->signals[i], NULL);
    }
    if (!s->wake || !s->drain_deadline) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "event loop: no memory");
    event_add(s->wake, NULL);
    return SLM_OK;
}

slm_status http_server_create(const struct http_config *c, struct http_server **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct http_server *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "server: no memory");
    s->config = *c;
    s->limits = *c->limits;
    s->wake_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    spool_init(&s->spool);
    signal(SIGPIPE, SIG_IGN);
    fit_descriptors(s);
    TRY(make_events(s, err));
    TRY(http_tls_open(s, err));
    TRY(http_listen_all(s, on_accept, err));
    *out = s;
    return SLM_OK;
out:
    http_server_destroy(s);
    return st;
}

void http_server_run(struct http_server *s) { event_base_loop(s->base, EVLOOP_NO_EXIT_ON_EMPTY); }

void http_server_close(struct http_server *s) {
    while (s && s->idle.first) conn_close(s->idle.first);
    while (s && s->others.first) conn_close(s->others.first);
}

void http_server_destroy(struct http_server *s) {
    if (!s) return;
    http_server_close(s);
    spool_fini(&s->spool);
    for (struct http_exchange *x = s->queued_first, *next; x; x = next) {
        next = x->next_queued;
        exchange_unref(x);
    }
    for (size_t i = 0; i < s->n_listeners; i++) {
        evconnlistener_free(s->listeners[i]);
        if (s->unix_paths[i] && !s->is_inherited) unlink(s->unix_paths[i]);
        free(s->unix_paths[i]);
    }
    for (size_t i = 0; i < 2; i++)
        if (s->signals[i]) event_free(s->signals[i]);
    if (s->wake) event_free(s->wake);
    if (s->drain_deadline) event_free(s->drain_deadline);
    if (s->base) event_base_free(s->base);
    if (s->wake_fd >= 0) close(s->wake_fd);
    SSL_CTX_free(s->tls);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
