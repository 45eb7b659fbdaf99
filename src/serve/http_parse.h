/* http_parse.h -- one HTTP/1.1 request out of bytes that arrive in any pieces (RFC 9110, 9112).
 *
 * Strict where leniency has let requests be smuggled: lines end in CRLF, no folded headers, no space before a colon, one
 * Content-Length, never beside Transfer-Encoding, chunked the only coding. Knows no socket: tests and the fuzzer feed it. */
#ifndef SLM_SERVE_HTTP_PARSE_H
#define SLM_SERVE_HTTP_PARSE_H

#include "serve/limits.h"

#define HTTP_HEADERS_MAX 64

struct http_header {
    struct view name, value;
};
struct http_request {
    struct buf head;            /* what the views point into */
    struct buf body;
    struct buf path_bytes;      /* path with %XX decoded */
    struct view method, target; /* target as sent */
    struct view path, query;    /* path decoded, query as sent without its '?' */
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t n_headers;
    bool is_http10, keep_alive, expects_continue;
};

enum http_part { HTTP_HEAD, HTTP_BODY, HTTP_CHUNK_SIZE, HTTP_CHUNK_DATA, HTTP_CHUNK_END, HTTP_TRAILER, HTTP_DONE, HTTP_BAD };
/* Takes bytes of a body; false: no more can be taken. */
typedef bool http_spill(void *user, const char *bytes, size_t n);
struct http_parser {
    struct http_request req;
    enum http_part part;
    int64_t head_bytes_max, body_bytes_max, n_headers_max;
    size_t n_line;   /* bytes of head before the line under way */
    uint64_t left;   /* bytes of the body, or of the chunk */
    struct buf line; /* a chunk's size, a trailer */
    size_t n_trailer;
    http_spill *spill; /* where the body goes instead of req.body; NULL: nowhere */
    void *spill_user;
    uint64_t n_body, body_file_max;
    int status;      /* HTTP_BAD: what to answer, and why */
    const char *why;
};

void http_parser_init(struct http_parser *p, const struct limits *l);
void http_parser_fini(struct http_parser *p);
/* http_parser_feed -- take bytes; returns how many were used. Stops after the head (so that a request can be refused before
 * its body comes) and when the request is whole; then part tells. Feeding HTTP_DONE or HTTP_BAD uses nothing. */
size_t http_parser_feed(struct http_parser *p, const char *bytes, size_t n);
/* http_parser_spill -- after the head: the body, of n_max bytes at most, goes to spill. http_parser_judge -- after the head and perhaps that: a body that says
 * it is larger than its limit is refused before it comes. */
void http_parser_spill(struct http_parser *p, http_spill *spill, void *user, uint64_t n_max);
void http_parser_judge(struct http_parser *p);
/* http_parser_take -- move the request out and make p ready for the next one. */
void http_parser_take(struct http_parser *p, struct http_request *out);
void http_request_fini(struct http_request *r);

/* http_header_find -- by name, in any case; empty when absent. */
struct view http_header_find(const struct http_request *r, const char *name);
/* http_query_find -- a value of the query, decoded into out; false: not there. */
bool http_query_find(const struct http_request *r, const char *name, struct buf *out);
bool view_eq_nocase(struct view a, const char *b);
const char *http_reason(int status);

#endif
