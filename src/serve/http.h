/* http.h -- the HTTP server: connections on one loop thread, answers from any thread.
 *
 * The loop reads whole requests and hands each over as an exchange. Whoever answers may be any one thread at a time; what it
 * writes is taken to the loop, and it waits while the client reads slower than it writes. The loop notices when a client
 * leaves, also while its request is computed. Nothing here knows of models or JSON. */
#ifndef SLM_SERVE_HTTP_H
#define SLM_SERVE_HTTP_H

#include "serve/http_parse.h"

struct http_server;
struct http_exchange;

struct http_config {
    const char *const *listen; /* [n_listen] "127.0.0.1:8080", "[::1]:8080", "localhost:8080", "unix:/run/slm.sock" */
    size_t n_listen;
    const char *tls_cert, *tls_key; /* PEM files; NULL: no TLS */
    const struct limits *limits;    /* borrowed */
    /* All on the loop thread. on_head: may answer (refuse) before the body comes. on_request: the request is whole; the callee
     * answers now or from another thread, and calls http_release in the end. on_close: the exchange is over, for logs. */
    void (*on_head)(void *user, struct http_exchange *x);
    void (*on_request)(void *user, struct http_exchange *x);
    void (*on_close)(void *user, struct http_exchange *x);
    /* How a request that is no HTTP is refused: the body for a status, JSON. */
    void (*on_bad)(void *user, int status, const char *why, struct buf *body);
    void (*on_stop)(void *user, bool is_second); /* SIGTERM or SIGINT */
    void *user;
};

/* http_server_create -- listens (or takes the sockets that systemd hands over). Errors: USAGE (an address), IO (in use, TLS files). */
slm_status http_server_create(const struct http_config *c, struct http_server **out, slm_err *err);
/* http_server_run -- until http_server_stop; on the calling thread. */
void http_server_run(struct http_server *s);
/* http_server_drain -- loop thread: no new connections, idle ones are closed; ends the loop when the last exchange is over, or after the limit. */
void http_server_drain(struct http_server *s);
void http_server_stop(struct http_server *s); /* loop thread: end now */
/* http_server_close -- after the loop: every client counts as gone. http_server_destroy -- when every handler has released. */
void http_server_close(struct http_server *s);
void http_server_destroy(struct http_server *s);
bool http_server_is_draining(const struct http_server *s);
size_t http_server_n_connections(const struct http_server *s);
/* The addresses in use, a line each: for the log, and for tests that listen on port 0. */
void http_server_addresses(const struct http_server *s, struct buf *out);
/* True when every listener is loopback or a Unix socket. */
bool http_server_is_local(const struct http_server *s);

const struct http_request *http_request_of(const struct http_exchange *x);
const char *http_peer(const struct http_exchange *x);       /* address, "unix" */
uint64_t http_id(const struct http_exchange *x);
void *http_note(const struct http_exchange *x);             /* the caller's own mark on an exchange */
void http_note_set(struct http_exchange *x, void *note);
int http_status_of(const struct http_exchange *x);          /* 0: not answered */
uint64_t http_bytes_sent(struct http_exchange *x);
double http_seconds(const struct http_exchange *x);         /* since the request's first byte */

/* http_body_to_file -- in on_head: the body, of n_max bytes at most, goes to a new file at path, which goes with the exchange unless it was renamed. Errors: IO.
 * http_body_path -- NULL: it is in memory. */
slm_status http_body_to_file(struct http_exchange *x, const char *path, uint64_t n_max, slm_err *err);
const char *http_body_path(const struct http_exchange *x);

/* Answering: header lines first, then one whole answer, or a stream. */
void http_header_add(struct http_exchange *x, const char *name, const char *value);
void http_answer(struct http_exchange *x, int status, const char *type, const void *body, size_t n);
void http_stream_begin(struct http_exchange *x, int status, const char *type);
/* http_stream_write -- waits while the client reads too slowly. False: the client is gone (or stalled too long); never on the loop thread. */
bool http_stream_write(struct http_exchange *x, const void *bytes, size_t n);
void http_stream_end(struct http_exchange *x);
bool http_is_begun(const struct http_exchange *x);
bool http_is_gone(struct http_exchange *x);
/* http_on_gone -- call fn once on the loop thread when the client leaves before the end of the answer, at once if it has left. fn must not block nor
 * call back into http. fn NULL: no more calls, and none is under way when this returns. */
void http_on_gone(struct http_exchange *x, void (*fn)(void *user), void *user);
/* http_release -- the handler is done; an answer that was not finished is cut off. */
void http_release(struct http_exchange *x);

#endif
