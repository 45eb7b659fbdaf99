/* call.h -- one request on its way through a route: what a handler gets, and how it answers.
 *
 * A handler returns SLM_OK after it has answered, or an error with call->fault filled, which is then answered in the shape of
 * the route's API: as a whole answer, or as the last event of a stream that has begun. */
#ifndef SLM_SERVE_CALL_H
#define SLM_SERVE_CALL_H

#include <jansson.h>

#include "serve/fields.h"
#include "serve/http.h"
#include "serve/keys.h"
#include "serve/request.h"

enum api { API_NATIVE, API_OPENAI, API_ANTHROPIC, API_OLLAMA, API_COUNT };
const char *api_name(enum api api); /* "openai" */

struct server;
struct route;
struct call {
    struct server *server;
    struct http_exchange *x;
    const struct route *route; /* NULL: there is none */
    enum api api;              /* whose shape errors have */
    struct view tail;     /* what the route's '*' stands for */
    json_t *body;         /* NULL: the route takes none */
    struct request r;     /* what the route's fields say */
    struct buf ignored;   /* names for x-slm-ignored */
    struct fault fault;
    struct key *key;
    bool has_key_begun;
    double t_said;        /* when the stream last said something */
    /* for the log and the metrics */
    char model[64], tier[16];
    size_t n_prompt, n_cached, n_generated;
    double first_token_s;
};

enum {
    ROUTE_ON_LOOP = 1, /* answers at once on the loop thread: alive under any load */
    ROUTE_OPEN = 2,    /* needs no key */
    ROUTE_BODY_OPTIONAL = 4,
    ROUTE_BODY_FILE = 8, /* of any kind, into a file of the store (http_body_path) */
};
struct route {
    const char *method, *path; /* a path that ends in '*' matches what begins so */
    enum api api;
    const struct field_table *fields; /* of the body; NULL: none is read */
    slm_status (*handle)(struct call *c);
    unsigned flags;
    const char *doc;
};

/* The whole answer; takes the reference. v NULL: out of memory. */
slm_status reply_json(struct call *c, int status, json_t *v);
slm_status reply_text(struct call *c, int status, const char *type, const void *bytes, size_t n);
/* reply_fault -- c->fault in the API's shape, whatever has been sent so far. */
void reply_fault(struct call *c);
json_t *fault_json(enum api api, const struct fault *f, uint64_t request_id);
int fault_status(const struct fault *f);

/* Streams. Each takes the reference. Errors: CANCELLED (the client is gone), NOMEM. */
void stream_begin(struct call *c);
slm_status stream_event(struct call *c, const char *event, json_t *data); /* SSE; event NULL: data only */
slm_status stream_line(struct call *c, json_t *line);                     /* NDJSON */
slm_status stream_done(struct call *c, const char *last);                 /* "data: [DONE]\n\n", or NULL */
/* stream_ping -- a comment when the stream has been silent for the limit. */
slm_status stream_ping(struct call *c);

#endif
