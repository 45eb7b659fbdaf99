/* http_listen.c -- where the server listens: addresses, Unix sockets, sockets that systemd hands over; and TLS. */
#include "serve/http_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/show.h"
#include "base/util.h"

#define BACKLOG 1024
#define INHERITED_FIRST_FD 3 /* sd_listen_fds(3): SD_LISTEN_FDS_START */

static bool is_loopback(const struct sockaddr *a) {
    if (a->sa_family == AF_INET) return (ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24) == 127;
    if (a->sa_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
    return a->sa_family == AF_UNIX;
}

static slm_status add(struct http_server *s, struct evconnlistener *l, const struct sockaddr *a, const char *what, slm_err *err) {
    if (!l) return err_set(err, SLM_E_IO, SLM_NOWHERE, "address \"%s\": %s", show_cstr(what).s, strerror(errno));
    if (s->n_listeners == LISTENERS_MAX) {
        evconnlistener_free(l);
        return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "address \"%s\": more than %d", show_cstr(what).s, LISTENERS_MAX);
    }
    s->listeners[s->n_listeners++] = l;
    s->is_local = s->is_local && is_loopback(a);
    return SLM_OK;
}

#define LISTEN_FLAGS (LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE)

/* A socket file that nobody answers is left from a crash: it is replaced. */
static slm_status listen_unix(struct http_server *s, const char *path, evconnlistener_cb cb, slm_err *err) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat info;
    if (!*path || strlen(path) >= sizeof a.sun_path) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "address \"unix:%s\": must be 1 to %zu bytes", show_path(path).s, sizeof a.sun_path - 1);
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (stat(path, &info) == 0 && S_ISSOCK(info.st_mode)) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool is_dead = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) != 0 && errno == ECONNREFUSED;
        if (fd >= 0) close(fd);
        if (is_dead) unlink(path);
    }
    struct evconnlistener *l = evconnlistener_new_bind(s->base, cb, s, LISTEN_FLAGS & ~(unsigned)LEV_OPT_REUSEABLE, BACKLOG, (struct sockaddr *)&a, sizeof a);
    slm_status st = add(s, l, (struct sockaddr *)&a, path, err);
    if (st == SLM_OK) s->unix_paths[s->n_listeners - 1] = strdup(path);
    return st;
}

/* "host:port", "[v6]:port" */
static slm_status split_address(const char *text, char host[256], const char **port, slm_err *err) {
    const char *colon = strrchr(text, ':'), *begin = text, *end = colon;
    if (colon && *text == '[' && colon > text + 1 && colon[-1] == ']') {
        begin++;
        end--;
    } else if (!colon || memchr(text, ':', (size_t)(colon - text))) colon = NULL;
    size_t n = colon ? (size_t)(end - begin) : 0;
    if (!colon || n == 0 || n > 255 || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1)) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "address \"%s\": is not HOST:PORT", show_cstr(text).s);
        err_hint(err, "127.0.0.1:8080, [::1]:8080, localhost:8080, 0.0.0.0:8080, or unix:/path");
        return SLM_E_USAGE;
    }
    memcpy(host, begin, n);
    host[n] = 0;
    *port = colon + 1;
    return SLM_OK;
}

static slm_status listen_tcp(struct http_server *s, const char *text, evconnlistener_cb cb, slm_err *err) {
    slm_status st = SLM_OK;
    char host[256];
    const char *port = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    size_t n_before = s->n_listeners;
    TRY(split_address(text, host, &port, err));
    int rc = getaddrinfo(host, port, &hints, &found);
    if (rc != 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "address \"%s\": %s", show_cstr(text).s, gai_strerror(rc));
    for (struct addrinfo *a = found; a; a = a->ai_next) {
        struct evconnlistener *l = evconnlistener_new_bind(s->base, cb, s, LISTEN_FLAGS | (a->ai_family == AF_INET6 ? LEV_OPT_BIND_IPV6ONLY : 0u), BACKLOG, a->ai_addr, (int)a->ai_addrlen);
        if (!l && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) && (a->ai_next || s->n_listeners > n_before)) continue;
        TRY(add(s, l, a->ai_addr, text, err));
    }
out:
    if (found) freeaddrinfo(found);
    return st;
}

/* sd_listen_fds(3): LISTEN_PID is this process, LISTEN_FDS sockets from descriptor 3 on. By hand: it is these lines, and a
 * library would bring its own dependencies. */
static slm_status take_inherited(struct http_server *s, evconnlistener_cb cb, slm_err *err) {
    const char *pid = env_get(ENV_LISTEN_PID), *count = env_get(ENV_LISTEN_FDS);
    if (!pid || !count || strtol(pid, NULL, 10) != (long)getpid()) return SLM_OK;
    long n = strtol(count, NULL, 10);
    for (long i = 0; i < n && i < LISTENERS_MAX; i++) {
        int fd = INHERITED_FIRST_FD + (int)i;
        struct sockaddr_storage a = {0};
        socklen_t n_a = sizeof a;
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        evutil_make_socket_nonblocking(fd);
        if (getsockname(fd, (struct sockaddr *)&a, &n_a) != 0) return err_set(err, SLM_E_IO, SLM_NOWHERE, "socket \"%d\" from systemd: %s", fd, strerror(errno));
        slm_status st = add(s, evconnlistener_new(s->base, cb, s, LEV_OPT_CLOSE_ON_FREE, 0, fd), (struct sockaddr *)&a, "from systemd", err);
        if (st != SLM_OK) return st;
        s->is_inherited = true;
    }
    return SLM_OK;
}

slm_status http_listen_all(struct http_server *s, evconnlistener_cb on_accept, slm_err *err) {
    s->is_local = true;
    slm_status st = take_inherited(s, on_accept, err);
    for (size_t i = 0; st == SLM_OK && !s->is_inherited && i < s->config.n_listen; i++) {
        const char *text = s->config.listen[i];
        st = strncmp(text, "unix:", 5) == 0 ? listen_unix(s, text + 5, on_accept, err) : listen_tcp(s, text, on_accept, err);
    }
    return st;
}

void http_server_addresses(const struct http_server *s, struct buf *out) {
    for (size_t i = 0; i < s->n_listeners; i++) {
        struct sockaddr_storage a = {0};
        socklen_t n = sizeof a;
        char host[PEER_BYTES] = "";
        if (getsockname(evconnlistener_get_fd(s->listeners[i]), (struct sockaddr *)&a, &n) != 0) continue;
        const struct sockaddr_in *v4 = (const void *)&a;
        const struct sockaddr_in6 *v6 = (const void *)&a;
        const struct sockaddr_un *local = (const void *)&a;
        const char *scheme = s->tls ? "https" : "http";
        if (a.ss_family == AF_INET) buf_printf(out, "%s://%s:%d\n", scheme, inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host), ntohs(v4->sin_port));
        else if (a.ss_family == AF_INET6) buf_printf(out, "%s://[%s]:%d\n", scheme, inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host), ntohs(v6->sin6_port));
        else buf_printf(out, "unix:%s\n", local->sun_path);
    }
}

static slm_status refuse_tls(const char *what, const char *path, slm_err *err) {
    unsigned long code = ERR_get_error();
    char reason[128];
    ERR_error_string_n(code, reason, sizeof reason);
    return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%s \"%s\": %s", what, show_path(path).s, code ? reason : "is not usable");
}

slm_status http_tls_open(struct http_server *s, slm_err *err) {
    const struct http_config *c = &s->config;
    if (!c->tls_cert && !c->tls_key) return SLM_OK;
    if (!c->tls_cert || !c->tls_key) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "TLS: needs both a certificate and its key");
    s->tls = SSL_CTX_new(TLS_server_method());
    if (!s->tls) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "TLS: no memory");
    SSL_CTX_set_min_proto_version(s->tls, TLS1_2_VERSION);
    SSL_CTX_set_options(s->tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (SSL_CTX_use_certificate_chain_file(s->tls, c->tls_cert) != 1) return refuse_tls("certificate", c->tls_cert, err);
    if (SSL_CTX_use_PrivateKey_file(s->tls, c->tls_key, SSL_FILETYPE_PEM) != 1) return refuse_tls("key", c->tls_key, err);
    if (SSL_CTX_check_private_key(s->tls) != 1) return refuse_tls("key", c->tls_key, err);
    return SLM_OK;
}
