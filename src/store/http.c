/* http.c -- over libcurl. */
#include "store/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/url.h"

#define REDIRECTS_MAX 8
#define CONNECT_TIMEOUT_S 20L
#define SLOW_BYTES_S 1L /* slower than this for SLOW_S counts as broken off */
#define SLOW_S 30L
#define WAIT_FIRST_S 0.25
#define WAIT_MAX_S 8.0
#define RETRY_AFTER_MAX_S 60.0

static void head_clear(struct http_head *h) {
    char linked[sizeof h->linked_etag];
    memcpy(linked, h->linked_etag, sizeof linked);
    *h = (struct http_head){.length = UINT64_MAX, .range_begin = UINT64_MAX, .range_total = UINT64_MAX};
    memcpy(h->linked_etag, linked, sizeof linked);
}

static void keep(char *to, size_t cap, struct view v) {
    if (v.len >= cap) v.len = 0; /* longer than any honest one: as if it were not there */
    memcpy(to, v.ptr, v.len);
    to[v.len] = 0;
}

/* "bytes 0-99/1234" */
static void take_range(struct http_head *h, const char *text) {
    unsigned long long begin, end, total;
    if (sscanf(text, "bytes %llu-%llu/%llu", &begin, &end, &total) != 3) return;
    h->range_begin = begin;
    h->range_total = total;
}

static size_t on_header(char *line, size_t size, size_t n, void *user) {
    struct http_head *h = user;
    char text[1024];
    size_t len = size * n;
    if (len > 5 && strncmp(line, "HTTP/", 5) == 0) head_clear(h);
    const char *colon = memchr(line, ':', len);
    if (!colon) return len;
    struct view name = {line, (size_t)(colon - line)}, v = {colon + 1, len - name.len - 1};
    while (v.len && (*v.ptr == ' ' || *v.ptr == '\t')) v.ptr++, v.len--;
    while (v.len && (v.ptr[v.len - 1] == '\n' || v.ptr[v.len - 1] == '\r' || v.ptr[v.len - 1] == ' ')) v.len--;
    keep(text, sizeof text, v);
#define IS(s) (name.len == sizeof(s) - 1 && strncasecmp(name.ptr, s, name.len) == 0)
    if (IS("etag")) keep(h->etag, sizeof h->etag, v);
    else if (IS("x-linked-etag")) keep(h->linked_etag, sizeof h->linked_etag, v);
    else if (IS("content-encoding")) keep(h->encoding, sizeof h->encoding, v);
    else if (IS("content-length")) h->length = strtoull(text, NULL, 10);
    else if (IS("content-range")) take_range(h, text);
    else if (IS("location")) keep(h->location, sizeof h->location, v);
    else if (IS("retry-after")) h->retry_after_s = strtod(text, NULL);
#undef IS
    return len;
}

slm_status http_setup(CURL *c, const char *url, const char *token, struct http_head *head, slm_err *err) {
    bool is_plain = strncmp(url, "http://", 7) == 0;
    if (token && is_plain && !url_is_this_machine(url)) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "\"%.200s\": a token is not sent without encryption", url);
        err_hint(err, "use https, or unset the token");
        return SLM_E_USAGE;
    }
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, is_plain ? "http,https" : "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES_S);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, SLOW_S);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "slm/0.1");
    if (token) {
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, token);
    }
    if (!head) return SLM_OK;
    head->linked_etag[0] = 0;
    head_clear(head);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, head);
    return SLM_OK;
}

bool http_is_passing(CURLcode rc, long status) {
    switch (rc) {
    case CURLE_OK: return status == 408 || status == 429 || status >= 500;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR: return true;
    default: return false;
    }
}

double http_wait_s(int i_try, const struct http_head *head) {
    double s = WAIT_FIRST_S;
    for (int i = 0; i < i_try && s < WAIT_MAX_S; i++) s *= 2;
    if (head && head->retry_after_s > s) s = head->retry_after_s < RETRY_AFTER_MAX_S ? head->retry_after_s : RETRY_AFTER_MAX_S;
    return s;
}

slm_status http_error(CURLcode rc, const struct http_head *head, const char *url, slm_err *err) {
    if (rc != CURLE_OK) return err_set(err, SLM_E_NETWORK, SLM_NOWHERE, "\"%.300s\": %s", url, curl_easy_strerror(rc));
    long status = head->status;
    err_set(err, status == 404 ? SLM_E_NOT_FOUND : SLM_E_NETWORK, SLM_NOWHERE, "\"%.300s\": the server answers %ld", url, status);
    if (status == 401 || status == 403) err_hint(err, "the model may be private or ask for its terms to be accepted: set HF_TOKEN for Hugging Face");
    if (status == 429) err_hint(err, "the server asks for fewer requests: try again later");
    return status == 404 ? SLM_E_NOT_FOUND : SLM_E_NETWORK;
}

static size_t to_buf(char *bytes, size_t size, size_t n, void *user) {
    struct buf *b = user;
    if (b->len + size * n > b->max) return 0;
    buf_append(b, bytes, size * n);
    return b->failed == SLM_OK ? size * n : 0;
}

static int on_progress(void *user, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un) {
    const _Atomic bool *cancel = user;
    (void)dt, (void)dn, (void)ut, (void)un;
    return cancel && *cancel;
}

static bool sleep_s(double s, const _Atomic bool *cancel) {
    for (; s > 0 && !(cancel && *cancel); s -= 0.05) nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    return !(cancel && *cancel);
}

/* A request until it succeeds, is refused, or has failed HTTP_TRIES times. */
static slm_status perform(CURL *c, const char *url, struct http_head *head, struct buf *out, const _Atomic bool *cancel, slm_err *err) {
    for (int i = 0;; i++) {
        if (out) buf_clear(out);
        CURLcode rc = curl_easy_perform(c);
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &head->status);
        if (rc == CURLE_ABORTED_BY_CALLBACK || (cancel && *cancel)) return err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
        if (rc == CURLE_WRITE_ERROR && out) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "\"%.300s\": larger than %zu bytes", url, out->max);
        if (rc == CURLE_OK && head->status / 100 == 2) return SLM_OK;
        if (!http_is_passing(rc, head->status) || i + 1 == HTTP_TRIES) return http_error(rc, head, url, err);
        if (!sleep_s(http_wait_s(i, head), cancel)) return err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
    }
}

/* range: as curl writes it; NULL: the whole. */
static slm_status request(const char *url, const char *token, const char *accept, const char *range, const _Atomic bool *cancel, struct http_head *head, struct buf *out, slm_err *err) {
    slm_status st = SLM_OK;
    char line[256];
    struct curl_slist *headers = NULL;
    CURL *c = curl_easy_init();
    if (!c) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "request: out of memory");
    TRY(http_setup(c, url, token, head, err));
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, (void *)(uintptr_t)cancel);
    if (out) {
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, to_buf);
        curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
    } else curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    if (range) curl_easy_setopt(c, CURLOPT_RANGE, range);
    if (accept) {
        snprintf(line, sizeof line, "Accept: %s", accept);
        headers = curl_slist_append(NULL, line);
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    }
    TRY(perform(c, url, head, out, cancel, err));
out:
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    return st;
}

slm_status http_get(const char *url, const char *token, const char *accept, const _Atomic bool *cancel, struct buf *out, slm_err *err) {
    struct http_head head;
    return request(url, token, accept, NULL, cancel, &head, out, err);
}

slm_status http_get_range(const char *url, const char *token, uint64_t begin, uint64_t end, const _Atomic bool *cancel, struct buf *out, struct http_head *head, slm_err *err) {
    char range[64];
    snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)begin, (unsigned long long)end - 1);
    return request(url, token, NULL, range, cancel, head, out, err);
}

slm_status http_head_of(const char *url, const char *token, const _Atomic bool *cancel, struct http_head *head, slm_err *err) {
    return request(url, token, NULL, NULL, cancel, head, NULL, err);
}

struct asking {
    const struct http_ask *a;
    FILE *file;
};

static int on_ask_progress(void *user, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un) {
    const struct asking *t = user;
    (void)dt, (void)dn, (void)ut;
    if (t->a->progress) t->a->progress(t->a->user, un > 0 ? (uint64_t)un : 0);
    return t->a->cancel && *t->a->cancel;
}

static size_t from_file(char *bytes, size_t size, size_t n, void *user) { return fread(bytes, 1, size * n, ((struct asking *)user)->file); }

/* A body is of known length, and not announced with Expect. */
static struct curl_slist *ask_setup(CURL *c, struct asking *t) {
    const struct http_ask *a = t->a;
    char line[256];
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    const struct { const char *name, *value; } lines[] = {{"Content-Type", a->type}, {"Accept", a->accept}};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (!lines[i].value) continue;
        snprintf(line, sizeof line, "%s: %s", lines[i].name, lines[i].value);
        headers = curl_slist_append(headers, line);
    }
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_ask_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
    if (a->unix_path) curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, a->unix_path);
    if (t->file) {
        curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c, CURLOPT_READFUNCTION, from_file);
        curl_easy_setopt(c, CURLOPT_READDATA, t);
        curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)a->file_bytes);
    } else if (a->body.ptr) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, a->body.ptr);
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)a->body.len);
    }
    if (strcmp(a->method, "HEAD") == 0) curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    else curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, a->method);
    return headers;
}

static size_t drop(char *bytes, size_t size, size_t n, void *user) {
    (void)bytes, (void)user;
    return size * n;
}

slm_status http_ask(const struct http_ask *a, struct http_head *head, struct buf *out, slm_err *err) {
    slm_status st = SLM_OK;
    struct asking t = {.a = a};
    struct curl_slist *headers = NULL;
    int n_tries = a->n_tries ? a->n_tries : HTTP_TRIES;
    CURL *c = curl_easy_init();
    if (!c) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "request: out of memory");
    if (a->file && !(t.file = fopen(a->file, "rb"))) FAIL(SLM_E_IO, SLM_NOWHERE, "open \"%.200s\": it cannot be read", a->file);
    TRY(http_setup(c, a->url, a->token, head, err));
    headers = ask_setup(c, &t);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, out ? to_buf : drop);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
    for (int i = 0;; i++) {
        if (out) buf_clear(out);
        if (t.file) rewind(t.file);
        CURLcode rc = curl_easy_perform(c);
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &head->status);
        if (rc == CURLE_ABORTED_BY_CALLBACK || (a->cancel && *a->cancel)) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
        if (rc == CURLE_OK && head->status / 100 == 2) break;
        if (!http_is_passing(rc, head->status) || i + 1 >= n_tries) TRY(http_error(rc, head, a->url, err));
        if (!sleep_s(http_wait_s(i, head), a->cancel)) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
    }
out:
    if (t.file) fclose(t.file);
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    return st;
}
