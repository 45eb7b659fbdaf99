/* gate.c -- who may come in: the names this server is called by, web pages of other hosts, keys.
 *
 * A browser on this machine can be made to send requests here by any page it shows. So a request that names another origin is
 * refused unless that origin was allowed, and without keys the Host must be an address or a known name, which a name that an attacker
 * points at this machine is not. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "serve/server.h"

/* "host:port", "[v6]:port" -> host */
static void host_of(struct view v, char out[256]) {
    const char *end = memchr(v.ptr, ']', v.len);
    size_t n = v.len;
    if (v.len && v.ptr[0] == '[' && end) {
        v = (struct view){v.ptr + 1, (size_t)(end - v.ptr) - 1};
        n = v.len;
    } else {
        const char *colon = memchr(v.ptr, ':', v.len);
        if (colon) n = (size_t)(colon - v.ptr);
    }
    n = n < 255 ? n : 255;
    memcpy(out, v.ptr, n);
    out[n] = 0;
}

static bool is_known_host(const struct server *s, struct view header) {
    char host[256], address[16];
    host_of(header, host);
    size_t n = strlen(host);
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) return true;
    if (strcasecmp(host, "localhost") == 0 || (n > 10 && strcasecmp(host + n - 10, ".localhost") == 0)) return true;
    for (size_t i = 0; i < s->config.n_hosts; i++)
        if (strcasecmp(host, s->config.hosts[i]) == 0) return true;
    return false;
}

static bool is_own_origin(struct view origin, struct view host) {
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(schemes[i]);
        if (origin.len == n + host.len && strncasecmp(origin.ptr, schemes[i], n) == 0 && strncasecmp(origin.ptr + n, host.ptr, host.len) == 0) return host.len > 0;
    }
    return false;
}

static bool is_allowed_origin(const struct server *s, struct view origin) {
    for (size_t i = 0; i < s->config.n_origins; i++)
        if (strcmp(s->config.origins[i], "*") == 0 || view_eq_nocase(origin, s->config.origins[i])) return true;
    return false;
}

static bool refuse(struct call *c, int status, const char *code, const char *msg, const char *hint) {
    fault_set(&c->fault, SLM_E_USAGE, NULL, "%s", msg);
    err_hint(&c->fault.err, "%s", hint);
    c->fault.http_status = status;
    c->fault.code = code;
    return false;
}

/* Answers a preflight itself. */
static bool check_origin(struct call *c) {
    const struct http_request *r = http_request_of(c->x);
    struct view origin = http_header_find(r, "origin");
    if (origin.len == 0 || is_own_origin(origin, http_header_find(r, "host"))) return true;
    if (!is_allowed_origin(c->server, origin)) return refuse(c, 403, "origin_not_allowed", "origin: web pages of other hosts may not call this server", "slm serve --cors ORIGIN allows one");
    char text[256];
    snprintf(text, sizeof text, "%.*s", VIEW_ARG(origin));
    http_header_add(c->x, "access-control-allow-origin", text);
    http_header_add(c->x, "vary", "origin");
    http_header_add(c->x, "access-control-expose-headers", "x-request-id, x-slm-ignored, x-slm-tier, x-slm-model, x-slm-reason, x-slm-confidence, x-slm-cost-usd, x-slm-saved-usd, x-slm-request-id, retry-after");
    if (!view_eq(r->method, VIEW("OPTIONS")) || http_header_find(r, "access-control-request-method").len == 0) return true;
    struct view headers = http_header_find(r, "access-control-request-headers");
    snprintf(text, sizeof text, "%.*s", VIEW_ARG(headers));
    http_header_add(c->x, "access-control-allow-methods", "GET, POST, DELETE, HEAD");
    if (headers.len) http_header_add(c->x, "access-control-allow-headers", text);
    http_header_add(c->x, "access-control-max-age", "600");
    http_answer(c->x, 204, NULL, NULL, 0);
    return false;
}

static struct view key_given(const struct http_request *r) {
    struct view v = http_header_find(r, "authorization");
    if (v.len > 7 && strncasecmp(v.ptr, "bearer ", 7) == 0) return (struct view){v.ptr + 7, v.len - 7};
    return http_header_find(r, "x-api-key");
}

bool gate_admit(struct call *c) {
    struct server *s = c->server;
    const struct http_request *r = http_request_of(c->x);
    if (keys_n(s->keys) == 0 && s->config.n_origins == 0 && strcmp(http_peer(c->x), "unix") != 0 && http_header_find(r, "host").len > 0 && !is_known_host(s, http_header_find(r, "host")))
        return refuse(c, 403, "host_not_allowed", "host: this server is not known by this name", "slm serve --host NAME makes it known");
    return check_origin(c) && gate_route(c);
}

bool gate_route(struct call *c) {
    struct server *s = c->server;
    const struct http_request *r = http_request_of(c->x);
    char allow[ALLOW_BYTES];
    c->route = routes_find(r->method, r->path, &c->tail, allow);
    if (!c->route && allow[0]) {
        http_header_add(c->x, "allow", allow);
        return refuse(c, 405, "method_not_allowed", "method: this path does not have it", allow);
    }
    if (!c->route) return refuse(c, 404, "unknown_url", "path: there is nothing here", "/openapi.json lists all paths");
    c->api = c->route->api;
    if (c->route->flags & ROUTE_OPEN || keys_n(s->keys) == 0) return true;
    struct view given = key_given(r);
    c->key = given.len ? keys_find(s->keys, given) : NULL;
    if (!c->key) return refuse(c, 401, "invalid_api_key", given.len ? "key: this server does not know it" : "key: none is given", "authorization: Bearer KEY, or x-api-key: KEY");
    return true;
}
