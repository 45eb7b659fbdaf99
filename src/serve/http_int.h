/* http_int.h -- what the parts of the HTTP server share: http_server.c (loop, listeners), http_conn.c (one connection),
 * http_exchange.c (one request and its answer), http_spool.c (bodies that go to files), http_listen.c (addresses, sockets handed over, TLS). */
#ifndef SLM_SERVE_HTTP_INT_H
#define SLM_SERVE_HTTP_INT_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include "serve/http.h"

#define LISTENERS_MAX 16
#define PEER_BYTES 64

enum conn_state {
    CONN_IDLE,   /* between requests */
    CONN_READING,
    CONN_BUSY,   /* an exchange is being answered */
    CONN_ENDING, /* the last bytes go out; what still comes in is dropped */
};
struct conn {
    struct http_server *server;
    struct bufferevent *bev;
    struct event *deadline;
    struct http_parser parser;
    struct http_exchange *x;
    enum conn_state state;
    bool is_held;             /* its body waits for the disk: nothing is read */
    size_t n_body;            /* bytes of a body that is arriving, as counted in the server's n_bodies */
    double t_begin;
    char peer[PEER_BYTES];
    struct conn *prev, *next; /* of its state's list: oldest first */
};
struct conn_list {
    struct conn *first, *last;
    size_t n;
};

struct http_exchange {
    struct http_server *server;
    struct conn *conn; /* loop only; NULL: gone, or over */
    struct http_request req;
    char peer[PEER_BYTES];
    uint64_t id;
    double t_begin;
    void *note;
    int body_fd;     /* the body's own file; -1: none */
    char *body_path;
    uint64_t body_max;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t room;
    int n_ref;
    struct buf spool;     /* of the body, to be written */
    size_t n_spooled;     /* bytes in it and under way */
    bool is_spooling, is_spool_bad;
    struct http_exchange *next_spooled; /* under the spool's lock */
    struct buf head;      /* header lines of the answer */
    struct evbuffer *out; /* for the loop to take */
    size_t n_waiting;     /* bytes the connection has taken and not yet sent */
    int status;
    uint64_t n_sent;
    bool is_begun, is_ended, is_gone, is_chunked, is_bodyless, must_close, is_queued;
    void (*on_gone)(void *user);
    void *gone_user;
    struct http_exchange *next_queued;
};

#define SPOOL_BYTES_MAX ((size_t)1 << 20) /* of one body that wait for the disk before no more of it is read */
struct spool {
    pthread_t thread; /* made by the first body */
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct http_exchange *first;
    bool has_thread, is_ending;
};

struct http_server {
    struct spool spool;
    struct http_config config;
    struct limits limits;
    struct event_base *base;
    struct evconnlistener *listeners[LISTENERS_MAX];
    size_t n_listeners;
    bool is_inherited; /* sockets came from systemd: their files are not ours to remove */
    char *unix_paths[LISTENERS_MAX];
    bool is_local;
    SSL_CTX *tls;
    struct event *signals[2], *wake, *drain_deadline;
    struct conn_list idle, others;
    size_t n_exchanges, n_bodies; /* loop only */
    uint64_t n_seen;
    bool is_draining, is_stopped;
    int wake_fd;

    pthread_mutex_t lock; /* of the queue of exchanges with something to send */
    struct http_exchange *queued_first, *queued_last;
};

/* http_listen.c */
slm_status http_listen_all(struct http_server *s, evconnlistener_cb on_accept, slm_err *err);
slm_status http_tls_open(struct http_server *s, slm_err *err);

/* http_conn.c; loop thread */
void conn_open(struct http_server *s, evutil_socket_t fd, const struct sockaddr *address);
void conn_close(struct conn *c);
void conn_flush(struct conn *c); /* take what the exchange has written */

/* http_exchange.c */
slm_status exchange_create(struct conn *c, struct http_exchange **out);
void exchange_leave(struct http_exchange *x); /* loop: the connection is done with it, or gone */
void exchange_unref(struct http_exchange *x);
void exchange_queue(struct http_exchange *x); /* the loop is to look at it; x->lock held */

/* http_spool.c. spool_push, http_spill of an exchange: loop thread. spool_pending: bytes that are not in the file yet; *is_bad: the disk takes no more. */
void spool_init(struct spool *s);
void spool_fini(struct spool *s);
bool spool_push(void *x, const char *bytes, size_t n);
size_t spool_pending(struct http_exchange *x, bool *is_bad);

#endif
