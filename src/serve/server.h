/* server.h -- the whole server: what it is told, and what its parts share. */
#ifndef SLM_SERVE_SERVER_H
#define SLM_SERVE_SERVER_H

#include "serve/call.h"
#include "serve/crew.h"
#include "serve/gateway.h"
#include "serve/metrics.h"
#include "serve/models.h"
#include "serve/turn.h"

enum log_style { LOG_TEXT, LOG_JSON, LOG_OFF };

/* All borrowed. */
struct server_config {
    const char *const *listen;
    size_t n_listen;
    const char *tls_cert, *tls_key, *key_file, *gateway; /* gateway: a file of tiers; NULL: none */
    bool is_unconfined;        /* no sandbox */
    bool is_open;              /* no key although others can reach it */
    const char *const *origins; /* web pages of other hosts that may call; "*": any */
    size_t n_origins;
    const char *const *hosts;  /* names, besides localhost, that this server is called by */
    size_t n_hosts;
    struct limits limits;
    enum log_style log;
    struct models_config models;
    bool may_change;           /* requests may create, send files for it, copy and delete in the store */
    const char *const *pull_from; /* "HOST[/SPACE[/MODEL]]": what requests may fetch; none: nothing */
    size_t n_pull_from;
    const char *const *push_to;   /* and send */
    size_t n_push_to;
};

struct server {
    struct server_config config;
    struct limits limits;
    struct http_server *http;
    struct crew *crew;
    struct keys *keys;
    struct metrics metrics;
    struct turns turns;
    struct models *models;
    struct gateway *gateway; /* NULL: none */
    double t_start;
};

/* server_run -- listen, answer, drain, return. Errors: those of its parts; USAGE (reachable by others, and no key). */
slm_status server_run(const struct server_config *c, slm_err *err);

/* routes.c: the table. */
const struct route *routes(size_t *n);
/* routes_find -- NULL: none; *allow (of ALLOW_BYTES): the methods that the path has. */
#define ALLOW_BYTES 64
const struct route *routes_find(struct view method, struct view path, struct view *tail, char *allow);
enum api routes_api(struct view path); /* whose client asks for this path */

/* gate.c: may this request come in? Loop thread. False: c->fault says why not, or it is answered (a preflight).
 * gate_route -- the part of it that finds the route and the key. */
bool gate_admit(struct call *c);
bool gate_route(struct call *c);

/* notify.c: what systemd is told; nothing when it did not ask. */
void notify_systemd(const char *state);

/* confine.c: the sandbox, before threads and models; what is in force goes to the log. */
void confine_server(const struct server *s);

/* openapi.c */
json_t *openapi_document(void);

#endif
