/* http_parse.c -- the request parser: a line at a time for the head, counted bytes for the body.
 *
 * Written here, over plain bytes, because evhttp of libevent 2.1 ends the process when a client pipelines into a request that
 * is still being answered with reading enabled -- and reading must be enabled to notice that the client has left. */
#include "serve/http_parse.h"

#include <string.h>
#include <strings.h>

#define CHUNK_LINE_MAX 256

void http_parser_init(struct http_parser *p, const struct limits *l) {
    memset(p, 0, sizeof *p);
    p->head_bytes_max = l->v[LIMIT_HEAD_BYTES];
    p->body_bytes_max = l->v[LIMIT_BODY_BYTES];
    p->n_headers_max = l->v[LIMIT_HEADERS];
    buf_init(&p->req.head, (size_t)p->head_bytes_max);
    buf_init(&p->req.body, (size_t)p->body_bytes_max);
    buf_init(&p->req.path_bytes, (size_t)p->head_bytes_max);
    buf_init(&p->line, CHUNK_LINE_MAX);
}

void http_request_fini(struct http_request *r) {
    buf_fini(&r->head);
    buf_fini(&r->body);
    buf_fini(&r->path_bytes);
}

void http_parser_fini(struct http_parser *p) {
    http_request_fini(&p->req);
    buf_fini(&p->line);
}

void http_parser_take(struct http_parser *p, struct http_request *out) {
    *out = p->req;
    memset(&p->req, 0, sizeof p->req);
    buf_init(&p->req.head, (size_t)p->head_bytes_max);
    buf_init(&p->req.body, (size_t)p->body_bytes_max);
    buf_init(&p->req.path_bytes, (size_t)p->head_bytes_max);
    buf_clear(&p->line);
    p->part = HTTP_HEAD;
    p->n_line = p->n_trailer = 0;
    p->left = p->n_body = 0;
    p->spill = NULL;
    p->status = 0;
    p->why = NULL;
}

static void refuse(struct http_parser *p, int status, const char *why) {
    p->part = HTTP_BAD;
    p->status = status;
    p->why = why;
}

bool view_eq_nocase(struct view a, const char *b) { return a.len == strlen(b) && strncasecmp(a.ptr, b, a.len) == 0; }

struct view http_header_find(const struct http_request *r, const char *name) {
    for (size_t i = 0; i < r->n_headers; i++)
        if (view_eq_nocase(r->headers[i].name, name)) return r->headers[i].value;
    return (struct view){"", 0};
}

static size_t count_headers(const struct http_request *r, const char *name) {
    size_t n = 0;
    for (size_t i = 0; i < r->n_headers; i++) n += view_eq_nocase(r->headers[i].name, name);
    return n;
}

/* RFC 9110 5.6.2: what a method and a header's name are made of. */
static bool is_token(struct view v) {
    for (size_t i = 0; i < v.len; i++) {
        unsigned char c = (unsigned char)v.ptr[i];
        if (c <= 0x20 || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c)) return false;
    }
    return v.len > 0;
}

static struct view trim(struct view v) {
    while (v.len && (*v.ptr == ' ' || *v.ptr == '\t')) v = (struct view){v.ptr + 1, v.len - 1};
    while (v.len && (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t')) v.len--;
    return v;
}

static int hex_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX to bytes; false: a broken escape or a NUL. */
static bool decode(struct view v, bool plus_is_space, struct buf *out) {
    for (size_t i = 0; i < v.len; i++) {
        char c = v.ptr[i];
        if (c == '%') {
            int hi = i + 2 < v.len ? hex_of(v.ptr[i + 1]) : -1, lo = i + 2 < v.len ? hex_of(v.ptr[i + 2]) : -1;
            if (hi < 0 || lo < 0 || hi + lo == 0) return false;
            c = (char)(hi * 16 + lo);
            i += 2;
        } else if (plus_is_space && c == '+') c = ' ';
        buf_putc(out, c);
    }
    buf_puts(out, "");
    return out->failed == SLM_OK;
}

bool http_query_find(const struct http_request *r, const char *name, struct buf *out) {
    struct view rest = r->query;
    while (rest.len) {
        const char *amp = memchr(rest.ptr, '&', rest.len);
        size_t n = amp ? (size_t)(amp - rest.ptr) : rest.len, n_name = strlen(name);
        if (n >= n_name && memcmp(rest.ptr, name, n_name) == 0 && (n == n_name || rest.ptr[n_name] == '=')) {
            size_t skip = n == n_name ? n : n_name + 1;
            buf_clear(out);
            return decode((struct view){rest.ptr + skip, n - skip}, true, out);
        }
        rest = (struct view){rest.ptr + n + (amp != NULL), rest.len - n - (amp != NULL)};
    }
    return false;
}

/* Origin form, or the absolute form that proxies use. */
static bool parse_target(struct http_parser *p, struct view target) {
    struct http_request *r = &p->req;
    r->target = target;
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.ptr[i] <= 0x20 || (unsigned char)target.ptr[i] >= 0x7f) return false;
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(schemes[i]);
        if (target.len < n || strncasecmp(target.ptr, schemes[i], n) != 0) continue;
        const char *slash = memchr(target.ptr + n, '/', target.len - n);
        target = slash ? (struct view){slash, target.len - (size_t)(slash - target.ptr)} : VIEW("/");
    }
    if (view_eq(target, VIEW("*"))) {
        r->path = target;
        return view_eq(r->method, VIEW("OPTIONS"));
    }
    if (target.len == 0 || target.ptr[0] != '/') return false;
    const char *mark = memchr(target.ptr, '?', target.len);
    size_t n_path = mark ? (size_t)(mark - target.ptr) : target.len;
    if (mark) r->query = (struct view){mark + 1, target.len - n_path - 1};
    if (!decode((struct view){target.ptr, n_path}, false, &r->path_bytes)) return false;
    r->path = (struct view){r->path_bytes.data, r->path_bytes.len};
    return true;
}

/* METHOD SP target SP HTTP/1.x */
static void parse_first_line(struct http_parser *p, struct view line) {
    const char *a = memchr(line.ptr, ' ', line.len), *b = NULL;
    if (a) b = memchr(a + 1, ' ', line.len - (size_t)(a + 1 - line.ptr));
    if (!b) {
        refuse(p, 400, "the first line is not \"METHOD target HTTP/1.1\"");
        return;
    }
    struct view version = {b + 1, line.len - (size_t)(b + 1 - line.ptr)};
    p->req.method = (struct view){line.ptr, (size_t)(a - line.ptr)};
    p->req.is_http10 = view_eq(version, VIEW("HTTP/1.0"));
    if (!is_token(p->req.method)) refuse(p, 400, "the method is no token");
    else if (!p->req.is_http10 && !view_eq(version, VIEW("HTTP/1.1"))) refuse(p, 505, "the version is neither HTTP/1.1 nor HTTP/1.0");
    else if (!parse_target(p, (struct view){a + 1, (size_t)(b - a - 1)})) refuse(p, 400, "the target is no path");
}

static void parse_header(struct http_parser *p, struct view line) {
    const char *colon = memchr(line.ptr, ':', line.len);
    if (!colon || !is_token((struct view){line.ptr, (size_t)(colon - line.ptr)})) {
        refuse(p, 400, "a header is not \"name: value\"");
        return;
    }
    if ((int64_t)p->req.n_headers >= p->n_headers_max) {
        refuse(p, 431, "too many headers");
        return;
    }
    struct view value = trim((struct view){colon + 1, line.len - (size_t)(colon + 1 - line.ptr)});
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            refuse(p, 400, "a header's value has a control character");
            return;
        }
    }
    p->req.headers[p->req.n_headers++] = (struct http_header){{line.ptr, (size_t)(colon - line.ptr)}, value};
}

/* Is `word` an element of a comma list? */
static bool list_has(struct view list, const char *word) {
    while (list.len) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t n = comma ? (size_t)(comma - list.ptr) : list.len;
        if (view_eq_nocase(trim((struct view){list.ptr, n}), word)) return true;
        list = (struct view){list.ptr + n + (comma != NULL), list.len - n - (comma != NULL)};
    }
    return false;
}

/* Digits only, no sign, no overflow. */
static bool parse_length(struct view v, uint64_t *out) {
    uint64_t n = 0;
    if (v.len == 0 || v.len > 18) return false;
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < '0' || v.ptr[i] > '9') return false;
        n = n * 10 + (uint64_t)(v.ptr[i] - '0');
    }
    *out = n;
    return true;
}

/* RFC 9112 6.3: how the body is delimited. */
static void frame_body(struct http_parser *p) {
    struct http_request *r = &p->req;
    size_t n_te = count_headers(r, "transfer-encoding"), n_cl = count_headers(r, "content-length");
    struct view connection = http_header_find(r, "connection");
    r->keep_alive = r->is_http10 ? list_has(connection, "keep-alive") : !list_has(connection, "close");
    r->expects_continue = !r->is_http10 && view_eq_nocase(http_header_find(r, "expect"), "100-continue");
    if (!r->is_http10 && count_headers(r, "host") != 1) refuse(p, 400, "there must be one Host header");
    else if (n_te + n_cl > 1) refuse(p, 400, "the length of the body is told more than once");
    else if (n_te && (r->is_http10 || !view_eq_nocase(http_header_find(r, "transfer-encoding"), "chunked"))) refuse(p, 501, "the transfer coding is not \"chunked\"");
    else if (n_te) p->part = HTTP_CHUNK_SIZE;
    else if (n_cl && !parse_length(http_header_find(r, "content-length"), &p->left)) refuse(p, 400, "the Content-Length is no number");
    else p->part = p->left ? HTTP_BODY : HTTP_DONE;
}

static void parse_head(struct http_parser *p) {
    struct view rest = {p->req.head.data, p->req.head.len};
    bool is_first = true;
    while (rest.len > 2 && p->part == HTTP_HEAD) {
        const char *lf = memchr(rest.ptr, '\n', rest.len);
        size_t n = (size_t)(lf - rest.ptr);
        if (n == 0 || rest.ptr[n - 1] != '\r') refuse(p, 400, "a line does not end in CRLF");
        else if (is_first) parse_first_line(p, (struct view){rest.ptr, n - 1});
        else parse_header(p, (struct view){rest.ptr, n - 1});
        is_first = false;
        rest = (struct view){lf + 1, rest.len - n - 1};
    }
    if (p->part == HTTP_HEAD) frame_body(p);
}

/* Bytes up to and with the next line end; n when there is none. */
static size_t line_bytes(const char *bytes, size_t n) {
    const char *lf = memchr(bytes, '\n', n);
    return lf ? (size_t)(lf + 1 - bytes) : n;
}

static size_t feed_head(struct http_parser *p, const char *bytes, size_t n) {
    struct buf *head = &p->req.head;
    size_t take = line_bytes(bytes, n);
    buf_append(head, bytes, take);
    if (head->failed != SLM_OK) {
        refuse(p, 431, "the head of the request is larger than the limit");
        return take;
    }
    if (head->data[head->len - 1] != '\n') return take;
    bool is_blank = head->len - p->n_line == 2 && head->data[p->n_line] == '\r';
    p->n_line = head->len;
    if (!is_blank) return take;
    if (head->len == 2) { /* RFC 9112 2.2: empty lines before a request are skipped */
        buf_clear(head);
        p->n_line = 0;
        if (p->n_trailer++ > 8) refuse(p, 400, "too many empty lines");
        return take;
    }
    p->n_trailer = 0;
    parse_head(p);
    return take;
}

static uint64_t body_max(const struct http_parser *p) { return p->spill ? p->body_file_max : (uint64_t)p->body_bytes_max; }

void http_parser_spill(struct http_parser *p, http_spill *spill, void *user, uint64_t n_max) {
    p->spill = spill;
    p->spill_user = user;
    p->body_file_max = n_max;
}

void http_parser_judge(struct http_parser *p) {
    if (p->part == HTTP_BODY && p->left > body_max(p)) refuse(p, 413, "the body is larger than the limit");
}

static size_t feed_body(struct http_parser *p, const char *bytes, size_t n) {
    size_t take = p->left < n ? (size_t)p->left : n;
    http_parser_judge(p);
    if (p->part == HTTP_BAD) return 0;
    bool is_full = p->spill && !p->spill(p->spill_user, bytes, take);
    if (!p->spill) buf_append(&p->req.body, bytes, take);
    p->left -= take;
    p->n_body += take;
    if (is_full) refuse(p, 507, "the disk takes no more of the body");
    else if (p->req.body.failed != SLM_OK) refuse(p, 413, "the body is larger than the limit");
    else if (p->left == 0) p->part = p->part == HTTP_BODY ? HTTP_DONE : HTTP_CHUNK_END;
    return take;
}

/* The line of a chunk's size: hex digits, then perhaps an extension, which is skipped. */
static void parse_chunk_size(struct http_parser *p) {
    uint64_t size = 0;
    size_t i = 0;
    for (; i < p->line.len && hex_of(p->line.data[i]) >= 0; i++) {
        if (i >= 15) {
            refuse(p, 413, "a chunk is larger than the limit");
            return;
        }
        size = size * 16 + (uint64_t)hex_of(p->line.data[i]);
    }
    if (i == 0 || (p->line.data[i] != ';' && p->line.data[i] != '\r')) refuse(p, 400, "a chunk's size is no number");
    else if (size > body_max(p) - p->n_body) refuse(p, 413, "the body is larger than the limit");
    else {
        p->left = size;
        p->part = size ? HTTP_CHUNK_DATA : HTTP_TRAILER;
    }
}

/* Lines of the chunked coding: sizes, the end of a chunk, trailers (which are dropped). */
static size_t feed_line(struct http_parser *p, const char *bytes, size_t n) {
    size_t take = line_bytes(bytes, n);
    buf_append(&p->line, bytes, take);
    if (p->line.failed != SLM_OK) {
        refuse(p, 400, "a line of the chunked coding is too long");
        return take;
    }
    if (p->line.data[p->line.len - 1] != '\n') return take;
    bool is_crlf = p->line.len >= 2 && p->line.data[p->line.len - 2] == '\r', is_blank = is_crlf && p->line.len == 2;
    if (!is_crlf) refuse(p, 400, "a line of the chunked coding does not end in CRLF");
    else if (p->part == HTTP_CHUNK_SIZE) parse_chunk_size(p);
    else if (p->part == HTTP_CHUNK_END && !is_blank) refuse(p, 400, "a chunk is longer than its size");
    else if (p->part == HTTP_CHUNK_END) p->part = HTTP_CHUNK_SIZE;
    else if (is_blank) p->part = HTTP_DONE;
    else if ((p->n_trailer += p->line.len) > (size_t)p->head_bytes_max) refuse(p, 431, "the trailers are larger than the limit");
    buf_clear(&p->line);
    return take;
}

size_t http_parser_feed(struct http_parser *p, const char *bytes, size_t n) {
    size_t used = 0;
    enum http_part began = p->part;
    while (used < n && p->part != HTTP_DONE && p->part != HTTP_BAD) {
        if (began == HTTP_HEAD && p->part != HTTP_HEAD) break;
        if (p->part == HTTP_HEAD) used += feed_head(p, bytes + used, n - used);
        else if (p->part == HTTP_BODY || p->part == HTTP_CHUNK_DATA) used += feed_body(p, bytes + used, n - used);
        else used += feed_line(p, bytes + used, n - used);
    }
    return used;
}

const char *http_reason(int status) {
    static const struct { int status; const char *text; } rows[] = {
        {100, "Continue"}, {200, "OK"}, {201, "Created"}, {204, "No Content"}, {304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"},
        {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"}, {408, "Request Timeout"}, {413, "Content Too Large"},
        {415, "Unsupported Media Type"}, {422, "Unprocessable Content"}, {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"}, {500, "Internal Server Error"}, {507, "Insufficient Storage"}, {501, "Not Implemented"}, {502, "Bad Gateway"},
        {503, "Service Unavailable"}, {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == status) return rows[i].text;
    return "Status";
}
