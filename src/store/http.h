/* http.h -- what every request of the store has in common: protocols, redirects, proxies, tokens, errors in words.
 *
 * A token goes to the host it was meant for and to no other: libcurl drops it on a redirect elsewhere. Redirects from https stay https. */
#ifndef SLM_STORE_HTTP_H
#define SLM_STORE_HTTP_H

#include <curl/curl.h>

#include "base/mem.h"

#define HTTP_TRIES 6 /* failures in a row without a byte in between */

/* What a response's head said; emptied at each hop of a redirect. */
struct http_head {
    long status;
    char etag[256], encoding[32];
    char location[2048];                       /* where a POST says to go on; redirects are followed elsewhere */
    char linked_etag[256];                     /* of the hub: the digest of what it will redirect to; kept over hops */
    uint64_t length, range_begin, range_total; /* UINT64_MAX: not said */
    double retry_after_s;                      /* 0: not said */
};

/* http_setup -- a handle for url; head (may be NULL) is filled as it comes. Errors: NOMEM, USAGE (a token over plain http to a host that is
 * not this machine). */
slm_status http_setup(CURL *c, const char *url, const char *token, struct http_head *head, slm_err *err);
/* http_error -- what went wrong, for a user; the status of the message. */
slm_status http_error(CURLcode rc, const struct http_head *head, const char *url, slm_err *err);
/* http_is_passing -- worth another try. */
bool http_is_passing(CURLcode rc, long status);
/* http_wait_s -- seconds before try number i_try, from 0; what the server asked for when that is more, within reason. */
double http_wait_s(int i_try, const struct http_head *head);

/* A request of any kind; what is NULL or 0 is not there. */
struct http_ask {
    const char *method, *url, *token, *accept;
    const char *type;              /* of the body */
    struct view body;
    const char *file;              /* the body is this file, of file_bytes */
    uint64_t file_bytes;
    const char *unix_path;         /* a socket instead of the URL's host */
    int n_tries;                   /* 0: HTTP_TRIES */
    const _Atomic bool *cancel;
    void (*progress)(void *user, uint64_t n_sent); /* of the body */
    void *user;
};
/* http_ask -- the answer's body into out (NULL: dropped). A status past 2xx is an error, and out then holds what came with it. Redirects are not followed.
 * Errors: those of http_get. */
slm_status http_ask(const struct http_ask *a, struct http_head *head, struct buf *out, slm_err *err);

/* http_get -- a small document whole, with retries. accept: a header's value, or NULL. Errors: NETWORK, NOT_FOUND, LIMIT (larger than out may
 * hold), CANCELLED. */
slm_status http_get(const char *url, const char *token, const char *accept, const _Atomic bool *cancel, struct buf *out, slm_err *err);
/* http_get_range -- bytes [begin, end) of a document; head.status is 206 when they are that. Errors: as http_get. */
slm_status http_get_range(const char *url, const char *token, uint64_t begin, uint64_t end, const _Atomic bool *cancel, struct buf *out, struct http_head *head, slm_err *err);
/* http_head_of -- a request without a body; redirects are followed. */
slm_status http_head_of(const char *url, const char *token, const _Atomic bool *cancel, struct http_head *head, slm_err *err);

#endif
