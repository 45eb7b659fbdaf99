/* fuzz_http.c -- any bytes as HTTP: whole or in pieces they give the same request or the same refusal, within the limits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/http_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_http: %s\n", what);
    abort();
}

/* Feed all, n_piece bytes at a time; how many were used. */
static size_t feed(struct http_parser *p, const char *bytes, size_t n, size_t n_piece) {
    size_t used = 0;
    while (used < n && p->part != HTTP_DONE && p->part != HTTP_BAD) {
        size_t piece = n - used < n_piece ? n - used : n_piece, took = http_parser_feed(p, bytes + used, piece);
        demand((took > 0 || p->part == HTTP_BAD) && took <= piece, "no progress, or too much");
        used += took;
    }
    return used;
}

static void check_request(const struct http_request *r, const struct limits *l) {
    struct buf value;
    demand(r->method.len > 0 && r->path.len > 0, "a request without method or path");
    demand((int64_t)r->body.len <= l->v[LIMIT_BODY_BYTES] && (int64_t)r->head.len <= l->v[LIMIT_HEAD_BYTES], "larger than the limits");
    demand(!memchr(r->path.ptr, 0, r->path.len), "a NUL in a path");
    for (size_t i = 0; i < r->n_headers; i++)
        for (size_t k = 0; k < r->headers[i].value.len; k++) demand(r->headers[i].value.ptr[k] != '\r' && r->headers[i].value.ptr[k] != '\n', "a line end in a header");
    buf_init(&value, 1024);
    http_query_find(r, "model", &value);
    buf_fini(&value);
}

static bool swallow(void *user, const char *bytes, size_t n) {
    (void)bytes;
    *(size_t *)user += n;
    return true;
}

/* The same bytes with the body going elsewhere: the same request but for where its body is. */
static void check_spilled(const struct http_parser *whole, const struct limits *l, const char *bytes, size_t n) {
    struct http_parser p;
    size_t n_swallowed = 0;
    http_parser_init(&p, l);
    size_t used = 0;
    while (used < n && p.part == HTTP_HEAD) used += http_parser_feed(&p, bytes + used, n - used);
    if (p.part != HTTP_HEAD) http_parser_spill(&p, swallow, &n_swallowed, (uint64_t)l->v[LIMIT_BODY_BYTES]);
    while (used < n && p.part != HTTP_DONE && p.part != HTTP_BAD) {
        size_t took = http_parser_feed(&p, bytes + used, n - used);
        demand(took > 0 || p.part == HTTP_BAD, "no progress");
        used += took;
    }
    demand(p.part == whole->part && p.status == whole->status, "a file changes what is read");
    demand(p.req.body.len == 0 && (p.part != HTTP_DONE || (p.n_body == whole->req.body.len && n_swallowed == p.n_body)), "a file changes the body");
    http_parser_fini(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct http_parser a, b;
    struct limits l;
    limits_init(&l);
    l.v[LIMIT_HEAD_BYTES] = 2048;
    l.v[LIMIT_BODY_BYTES] = 4096;
    if (size < 1) return 0;
    const char *bytes = (const char *)data + 1;
    http_parser_init(&a, &l);
    http_parser_init(&b, &l);
    size_t n_a = feed(&a, bytes, size - 1, SIZE_MAX), n_b = feed(&b, bytes, size - 1, 1 + data[0] % 16);
    demand(a.part == b.part && a.status == b.status, "pieces change what is read");
    check_spilled(&a, &l, bytes, size - 1);
    if (a.part == HTTP_DONE) {
        check_request(&a.req, &l);
        demand(n_a == n_b && a.req.body.len == b.req.body.len && (a.req.body.len == 0 || memcmp(a.req.body.data, b.req.body.data, a.req.body.len) == 0), "pieces change the body");
        struct http_request taken;
        http_parser_take(&a, &taken);
        demand(a.part == HTTP_HEAD && a.req.n_headers == 0, "not ready for the next one");
        http_request_fini(&taken);
    }
    if (a.part == HTTP_BAD) demand(a.status >= 400 && a.why && a.why[0], "a refusal without words");
    http_parser_fini(&a);
    http_parser_fini(&b);
    return 0;
}
