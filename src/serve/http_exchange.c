/* http_exchange.c -- one request and its answer, shared by the loop and the thread that answers.
 *
 * The answering thread appends to x->out under the exchange's lock and queues the exchange at the server; the loop is woken
 * and moves the bytes to the connection. Two references: the connection's and the handler's. */
#include "serve/http_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"

#define ANSWER_HEAD_BYTES_MAX (64u << 10)

slm_status exchange_create(struct conn *c, struct http_exchange **out) {
    struct http_exchange *x = calloc(1, sizeof *x);
    struct evbuffer *bytes = evbuffer_new();
    pthread_condattr_t monotonic;
    *out = NULL;
    if (!x || !bytes) {
        free(x);
        if (bytes) evbuffer_free(bytes);
        return SLM_E_NOMEM;
    }
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->room, &monotonic);
    pthread_condattr_destroy(&monotonic);
    x->server = c->server;
    x->body_fd = -1;
    x->conn = c;
    x->id = ++c->server->n_seen;
    x->out = bytes;
    x->n_ref = 2;
    x->t_begin = c->t_begin;
    memcpy(x->peer, c->peer, sizeof x->peer);
    buf_init(&x->head, ANSWER_HEAD_BYTES_MAX);
    buf_init(&x->spool, SPOOL_BYTES_MAX * 2);
    *out = x;
    return SLM_OK;
}

void exchange_unref(struct http_exchange *x) {
    pthread_mutex_lock(&x->lock);
    int n = --x->n_ref;
    pthread_mutex_unlock(&x->lock);
    if (n > 0) return;
    http_request_fini(&x->req);
    if (x->body_fd >= 0) close(x->body_fd);
    if (x->body_path) unlink(x->body_path);
    free(x->body_path);
    buf_fini(&x->head);
    buf_fini(&x->spool);
    evbuffer_free(x->out);
    pthread_cond_destroy(&x->room);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

/* Tell the loop that there is something to send; x->lock held. The queue holds a reference. */
void exchange_queue(struct http_exchange *x) {
    struct http_server *s = x->server;
    if (x->is_queued) return;
    x->is_queued = true;
    x->n_ref++;
    pthread_mutex_lock(&s->lock);
    bool was_empty = !s->queued_first;
    x->next_queued = NULL;
    if (was_empty) s->queued_first = x;
    else s->queued_last->next_queued = x;
    s->queued_last = x;
    pthread_mutex_unlock(&s->lock);
    uint64_t one = 1;
    if (was_empty && write(s->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN) abort();
}

void exchange_leave(struct http_exchange *x) {
    pthread_mutex_lock(&x->lock);
    x->conn = NULL;
    bool is_gone = !x->is_ended;
    x->is_gone = true;
    if (is_gone && x->on_gone) x->on_gone(x->gone_user);
    x->on_gone = NULL;
    evbuffer_drain(x->out, evbuffer_get_length(x->out));
    pthread_cond_broadcast(&x->room);
    pthread_mutex_unlock(&x->lock);
    struct http_server *s = x->server;
    if (--s->n_exchanges == 0 && s->is_draining && !s->is_stopped) http_server_stop(s); /* the last, by whatever end */
    s->config.on_close(s->config.user, x);
    exchange_unref(x);
}

slm_status http_body_to_file(struct http_exchange *x, const char *path, uint64_t n_max, slm_err *err) {
    x->body_path = strdup(path);
    x->body_fd = x->body_path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    x->body_max = n_max;
    if (x->body_fd >= 0) return SLM_OK;
    free(x->body_path);
    x->body_path = NULL;
    return err_set(err, SLM_E_IO, SLM_NOWHERE, "body: its file cannot be made: %s", strerror(errno));
}

const char *http_body_path(const struct http_exchange *x) { return x->body_path; }
const struct http_request *http_request_of(const struct http_exchange *x) { return &x->req; }
const char *http_peer(const struct http_exchange *x) { return x->peer; }
uint64_t http_id(const struct http_exchange *x) { return x->id; }
void *http_note(const struct http_exchange *x) { return x->note; }
void http_note_set(struct http_exchange *x, void *note) { x->note = note; }
int http_status_of(const struct http_exchange *x) { return x->status; }

uint64_t http_bytes_sent(struct http_exchange *x) {
    pthread_mutex_lock(&x->lock);
    uint64_t n = x->n_sent;
    pthread_mutex_unlock(&x->lock);
    return n;
}

double http_seconds(const struct http_exchange *x) { return time_now_s() - x->t_begin; }
bool http_is_begun(const struct http_exchange *x) { return x->is_begun; }

bool http_is_gone(struct http_exchange *x) {
    pthread_mutex_lock(&x->lock);
    bool is_gone = x->is_gone;
    pthread_mutex_unlock(&x->lock);
    return is_gone;
}

void http_on_gone(struct http_exchange *x, void (*fn)(void *user), void *user) {
    pthread_mutex_lock(&x->lock);
    x->on_gone = fn;
    x->gone_user = user;
    if (fn && x->is_gone) {
        fn(user);
        x->on_gone = NULL;
    }
    pthread_mutex_unlock(&x->lock);
}

/* A value never brings a line end: what could split the answer is replaced. */
void http_header_add(struct http_exchange *x, const char *name, const char *value) {
    pthread_mutex_lock(&x->lock);
    buf_printf(&x->head, "%s: ", name);
    for (const char *p = value; *p; p++) buf_putc(&x->head, (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p);
    buf_puts(&x->head, "\r\n");
    pthread_mutex_unlock(&x->lock);
}

/* Status line and headers; lock held. n_body < 0: a stream. */
static void put_head(struct http_exchange *x, int status, const char *type, int64_t n_body) {
    char date[64];
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    bool has_body = status != 204 && status != 304;
    x->is_begun = true;
    x->status = status;
    x->is_bodyless = view_eq(x->req.method, VIEW("HEAD")) || !has_body;
    x->is_chunked = n_body < 0 && !x->req.is_http10;
    if ((n_body < 0 && x->req.is_http10) || !x->req.keep_alive) x->must_close = true;
    evbuffer_add_printf(x->out, "HTTP/1.1 %d %s\r\ndate: %s\r\nx-request-id: req_%016llx\r\n", status, http_reason(status), date,
                        (unsigned long long)x->id);
    if (type && has_body) evbuffer_add_printf(x->out, "content-type: %s\r\n", type);
    if (x->head.failed == SLM_OK && x->head.len) evbuffer_add(x->out, x->head.data, x->head.len);
    if (x->is_chunked) evbuffer_add_printf(x->out, "transfer-encoding: chunked\r\n");
    else if (n_body >= 0 && has_body) evbuffer_add_printf(x->out, "content-length: %lld\r\n", (long long)n_body);
    evbuffer_add_printf(x->out, "connection: %s\r\n\r\n", x->must_close ? "close" : "keep-alive");
}

void http_answer(struct http_exchange *x, int status, const char *type, const void *body, size_t n) {
    pthread_mutex_lock(&x->lock);
    SLM_ASSERT(!x->is_begun);
    put_head(x, status, type, (int64_t)n);
    if (!x->is_bodyless && n) evbuffer_add(x->out, body, n);
    x->n_sent += x->is_bodyless ? 0 : n;
    x->is_ended = true;
    if (!x->is_gone) exchange_queue(x);
    pthread_mutex_unlock(&x->lock);
}

void http_stream_begin(struct http_exchange *x, int status, const char *type) {
    pthread_mutex_lock(&x->lock);
    SLM_ASSERT(!x->is_begun);
    put_head(x, status, type, -1);
    if (!x->is_gone) exchange_queue(x);
    pthread_mutex_unlock(&x->lock);
}

bool http_stream_write(struct http_exchange *x, const void *bytes, size_t n) {
    struct timespec until;
    size_t n_max = (size_t)x->server->limits.v[LIMIT_OUT_BYTES];
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += x->server->limits.v[LIMIT_STALL_S];
    pthread_mutex_lock(&x->lock);
    SLM_ASSERT(x->is_begun && !x->is_ended);
    while (!x->is_gone && evbuffer_get_length(x->out) + x->n_waiting >= n_max)
        if (pthread_cond_timedwait(&x->room, &x->lock, &until) == ETIMEDOUT) {
            x->is_gone = x->must_close = true;
            exchange_queue(x); /* the loop closes the connection */
        }
    bool is_there = !x->is_gone;
    if (is_there && n > 0 && !x->is_bodyless) {
        if (x->is_chunked) evbuffer_add_printf(x->out, "%zx\r\n", n);
        evbuffer_add(x->out, bytes, n);
        if (x->is_chunked) evbuffer_add(x->out, "\r\n", 2);
        x->n_sent += n;
        exchange_queue(x);
    }
    pthread_mutex_unlock(&x->lock);
    return is_there;
}

void http_stream_end(struct http_exchange *x) {
    pthread_mutex_lock(&x->lock);
    if (!x->is_ended && !x->is_gone) {
        if (x->is_chunked && !x->is_bodyless) evbuffer_add(x->out, "0\r\n\r\n", 5);
        exchange_queue(x);
    }
    x->is_ended = true;
    pthread_mutex_unlock(&x->lock);
}

void http_release(struct http_exchange *x) {
    pthread_mutex_lock(&x->lock);
    x->on_gone = NULL;
    if (!x->is_ended && !x->is_gone) { /* cut off: the client must not take it for a whole answer */
        x->is_gone = x->must_close = true;
        exchange_queue(x);
    }
    pthread_mutex_unlock(&x->lock);
    exchange_unref(x);
}
