/* http_conn.c -- one connection: bytes in, requests out, answers in, bytes out. Loop thread only.
 *
 * A connection answers one request at a time; what a client sends meanwhile waits in its buffer, up to a watermark. Reading
 * never stops before that, so that the end of the connection is seen while a request is being answered.
 * After the last answer the sending side is shut and what still comes is read and dropped for a moment: closing at once would
 * make the kernel drop the answer too. */
#include "serve/http_int.h"

#include <arpa/inet.h>
#include <event2/bufferevent_ssl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cpu.h"

#define READ_AHEAD_BYTES (64u << 10)
#define LINGER_S 2

static struct conn_list *list_of(struct conn *c) { return c->state == CONN_IDLE ? &c->server->idle : &c->server->others; }

static void list_remove(struct conn *c) {
    struct conn_list *l = list_of(c);
    *(c->prev ? &c->prev->next : &l->first) = c->next;
    *(c->next ? &c->next->prev : &l->last) = c->prev;
    c->prev = c->next = NULL;
    l->n--;
}

static void list_add(struct conn *c) {
    struct conn_list *l = list_of(c);
    c->prev = l->last;
    c->next = NULL;
    *(l->last ? &l->last->next : &l->first) = c;
    l->last = c;
    l->n++;
}

static void set_state(struct conn *c, enum conn_state state, int64_t seconds) {
    struct timeval t = {.tv_sec = seconds};
    list_remove(c);
    c->state = state;
    list_add(c);
    if (seconds) event_add(c->deadline, &t);
    else event_del(c->deadline);
}

static void count_body(struct conn *c, size_t n) {
    c->server->n_bodies += n - c->n_body;
    c->n_body = n;
}

/* An exchange whose request is still the parser's: it never gets a handler. */
static void drop_lent(struct conn *c) {
    struct http_exchange *x = c->x;
    count_body(c, 0);
    c->x = NULL;
    exchange_leave(x);
    memset(&x->req, 0, sizeof x->req);
    exchange_unref(x);
}

void conn_close(struct conn *c) {
    list_remove(c);
    if (c->x && c->state == CONN_READING) drop_lent(c);
    else if (c->x) exchange_leave(c->x);
    SSL *ssl = bufferevent_openssl_get_ssl(c->bev);
    if (ssl) { /* without waiting for the other side's goodbye */
        SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
        SSL_shutdown(ssl);
    }
    bufferevent_free(c->bev);
    event_free(c->deadline);
    http_parser_fini(&c->parser);
    free(c);
}

static void begin_ending(struct conn *c) {
    evutil_socket_t fd = bufferevent_getfd(c->bev);
    set_state(c, CONN_ENDING, LINGER_S);
    if (evbuffer_get_length(bufferevent_get_output(c->bev)) == 0 && fd >= 0 && !bufferevent_openssl_get_ssl(c->bev)) shutdown(fd, SHUT_WR);
    evbuffer_drain(bufferevent_get_input(c->bev), evbuffer_get_length(bufferevent_get_input(c->bev)));
}

static void pump(struct conn *c);
static void go_on(struct conn *c);

/* The answer is sent: on to the next request, or the end. */
static void finish_exchange(struct conn *c) {
    struct http_exchange *x = c->x;
    bool must_close = x->must_close || c->server->is_draining;
    c->x = NULL;
    exchange_leave(x);
    if (must_close) begin_ending(c);
    else {
        set_state(c, CONN_IDLE, c->server->limits.v[LIMIT_IDLE_S]);
        pump(c);
    }
}

void conn_flush(struct conn *c) {
    struct http_exchange *x = c->x;
    if (c->state == CONN_READING) {
        go_on(c);
        return;
    }
    struct evbuffer *out = bufferevent_get_output(c->bev);
    pthread_mutex_lock(&x->lock);
    evbuffer_add_buffer(out, x->out);
    x->n_waiting = evbuffer_get_length(out);
    bool is_ended = x->is_ended, is_cut = x->is_gone;
    pthread_mutex_unlock(&x->lock);
    if (is_cut) conn_close(c);
    else if (is_ended && evbuffer_get_length(out) == 0) finish_exchange(c);
}

static void on_write(struct bufferevent *bev, void *arg) {
    struct conn *c = arg;
    (void)bev;
    if (c->state == CONN_ENDING) {
        evutil_socket_t fd = bufferevent_getfd(c->bev);
        if (fd >= 0 && !bufferevent_openssl_get_ssl(c->bev)) shutdown(fd, SHUT_WR);
        return;
    }
    if (!c->x) return;
    pthread_mutex_lock(&c->x->lock);
    c->x->n_waiting = evbuffer_get_length(bufferevent_get_output(c->bev));
    pthread_cond_broadcast(&c->x->room);
    pthread_mutex_unlock(&c->x->lock);
    conn_flush(c);
}

/* What is no HTTP is answered at once, and then the connection ends. */
static void answer_bad(struct conn *c, int status, const char *why) {
    struct buf body;
    struct evbuffer *out = bufferevent_get_output(c->bev);
    buf_init(&body, 4096);
    c->server->config.on_bad(c->server->config.user, status, why, &body);
    evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\nconnection: close\r\n\r\n", status, http_reason(status), body.len);
    if (body.len) evbuffer_add(out, body.data, body.len);
    buf_fini(&body);
    begin_ending(c);
}

/* The head is whole: an exchange begins, so that it can be refused before its body. False: the connection is closed. */
static bool begin_exchange(struct conn *c) {
    if (exchange_create(c, &c->x) != SLM_OK) {
        conn_close(c);
        return false;
    }
    struct http_exchange *x = c->x;
    c->server->n_exchanges++;
    x->req = c->parser.req; /* lent until the body is whole */
    x->must_close = c->parser.part != HTTP_DONE; /* a body that is not read cannot be skipped */
    c->server->config.on_head(c->server->config.user, x);
    if (x->is_begun) return true;
    x->must_close = false;
    if (x->body_fd >= 0) http_parser_spill(&c->parser, spool_push, x, x->body_max);
    http_parser_judge(&c->parser);
    if (c->parser.part == HTTP_BAD) return true;
    if (c->parser.part != HTTP_DONE) {
        struct timeval t = {.tv_sec = c->server->limits.v[LIMIT_BODY_S]};
        event_add(c->deadline, &t);
        if (x->req.expects_continue) evbuffer_add_printf(bufferevent_get_output(c->bev), "HTTP/1.1 100 Continue\r\n\r\n");
    }
    return true;
}

/* The body is whole, or is not wanted: the exchange is the handler's. */
static void hand_over(struct conn *c) {
    struct http_exchange *x = c->x;
    bool is_refused = x->is_begun;
    count_body(c, 0); /* from here on the limit of requests bounds them */
    http_parser_take(&c->parser, &x->req);
    set_state(c, CONN_BUSY, 0);
    if (is_refused) {
        exchange_unref(x); /* there is no handler */
        conn_flush(c);
    } else {
        c->server->config.on_request(c->server->config.user, x);
    }
}

/* A body that goes to a file waits for the disk: while much of it is not written nothing is read, and it is handed over when all of it is. False: the connection
 * is answered. */
static bool hold_for_disk(struct conn *c) {
    struct timeval t = {.tv_sec = c->server->limits.v[LIMIT_BODY_S]};
    bool is_bad, was_held = c->is_held;
    size_t n = spool_pending(c->x, &is_bad);
    event_add(c->deadline, &t); /* a long body may take long, but not stand still */
    count_body(c, n);
    if (is_bad) {
        if (was_held) bufferevent_enable(c->bev, EV_READ);
        c->is_held = false;
        drop_lent(c);
        answer_bad(c, 507, "the disk takes no more of the body");
        return false;
    }
    c->is_held = n >= SPOOL_BYTES_MAX || (c->parser.part == HTTP_DONE && n > 0);
    if (c->is_held && !was_held) bufferevent_disable(c->bev, EV_READ);
    if (!c->is_held && was_held) bufferevent_enable(c->bev, EV_READ);
    return true;
}

/* The disk has taken some. */
static void go_on(struct conn *c) {
    if (!c->x || c->x->body_fd < 0 || !hold_for_disk(c) || c->is_held) return;
    if (c->parser.part == HTTP_DONE) hand_over(c);
    else pump(c);
}

/* Bytes to the parser, until they or the connection's patience end. */
static void pump(struct conn *c) {
    struct evbuffer *in = bufferevent_get_input(c->bev);
    while (c->state < CONN_BUSY && !c->is_held && evbuffer_get_length(in) > 0) {
        struct evbuffer_iovec v;
        if (evbuffer_peek(in, -1, NULL, &v, 1) < 1) return;
        if (c->state == CONN_IDLE) {
            c->t_begin = time_now_s();
            set_state(c, CONN_READING, c->server->limits.v[LIMIT_HEAD_S]);
        }
        size_t used = http_parser_feed(&c->parser, v.iov_base, v.iov_len);
        evbuffer_drain(in, used);
        count_body(c, c->parser.req.body.len);
        bool is_full = c->server->n_bodies > (size_t)c->server->limits.v[LIMIT_BODIES_BYTES];
        if (!is_full && !c->x && c->parser.part != HTTP_HEAD && c->parser.part != HTTP_BAD && !begin_exchange(c)) return;
        if (c->parser.part == HTTP_BAD || is_full) {
            if (c->x) drop_lent(c);
            answer_bad(c, is_full ? 503 : c->parser.status, is_full ? "too many bodies are arriving at once" : c->parser.why);
            return;
        }
        if (c->x && c->x->body_fd >= 0 && !hold_for_disk(c)) return;
        if (c->x && !c->is_held && (c->parser.part == HTTP_DONE || c->x->is_begun)) {
            hand_over(c);
            return; /* what is left waits for the answer: finish_exchange pumps again */
        }
    }
}

static void on_read(struct bufferevent *bev, void *arg) {
    struct conn *c = arg;
    if (c->state == CONN_ENDING) evbuffer_drain(bufferevent_get_input(bev), evbuffer_get_length(bufferevent_get_input(bev)));
    else pump(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg) {
    (void)bev;
    if (what & BEV_EVENT_CONNECTED) return; /* the end of a TLS handshake */
    conn_close(arg);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg) {
    struct conn *c = arg;
    (void)fd, (void)what;
    if (c->state != CONN_READING || c->x) conn_close(c);
    else answer_bad(c, 408, "the request did not come in time");
}

static void name_peer(const struct sockaddr *address, char *out) {
    memcpy(out, "unix", 5);
    if (address->sa_family == AF_INET) inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, out, PEER_BYTES);
    else if (address->sa_family == AF_INET6) inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, out, PEER_BYTES);
}

void conn_open(struct http_server *s, evutil_socket_t fd, const struct sockaddr *address) {
    struct conn *c = calloc(1, sizeof *c);
    SSL *ssl = s->tls ? SSL_new(s->tls) : NULL;
    struct timeval stall = {.tv_sec = s->limits.v[LIMIT_STALL_S]};
    if (!c || (s->tls && !ssl)) goto fail;
    c->bev = ssl ? bufferevent_openssl_socket_new(s->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)
                 : bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!c->bev) goto fail;
    c->server = s;
    c->deadline = evtimer_new(s->base, on_deadline, c);
    if (!c->deadline) {
        bufferevent_free(c->bev);
        free(c);
        return;
    }
    /* a stream's events are small writes: gathered by the kernel, each would wait for the client's delayed acknowledgement, 40 ms. No matter where it is no TCP. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (ssl) bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
    http_parser_init(&c->parser, &s->limits);
    name_peer(address, c->peer);
    c->state = CONN_IDLE;
    list_add(c);
    set_state(c, CONN_IDLE, s->limits.v[LIMIT_HEAD_S]);
    bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
    bufferevent_setwatermark(c->bev, EV_READ, 0, READ_AHEAD_BYTES);
    bufferevent_set_timeouts(c->bev, NULL, &stall);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
    return;
fail:
    SSL_free(ssl);
    free(c);
    evutil_closesocket(fd);
}
