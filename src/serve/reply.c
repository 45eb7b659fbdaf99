/* reply.c -- answers and errors in the shape of each API. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "serve/server.h"

static void add_ignored(struct call *c) {
    if (c->ignored.len && c->ignored.failed == SLM_OK) http_header_add(c->x, "x-slm-ignored", c->ignored.data);
}

slm_status reply_text(struct call *c, int status, const char *type, const void *bytes, size_t n) {
    add_ignored(c);
    http_answer(c->x, status, type, bytes, n);
    return SLM_OK;
}

slm_status reply_json(struct call *c, int status, json_t *v) {
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(v);
    if (!text) return fault_set(&c->fault, SLM_E_NOMEM, NULL, "answer: no memory");
    reply_text(c, status, "application/json", text, strlen(text));
    free(text);
    return SLM_OK;
}

int fault_status(const struct fault *f) { return f->http_status ? f->http_status : status_get(f->err.code)->http_status; }

/* What each API calls a status: the "type" of its errors. */
static const struct { int status; const char *openai, *anthropic; } kinds[] = {
    {400, "invalid_request_error", "invalid_request_error"}, {401, "invalid_request_error", "authentication_error"},
    {403, "permission_error", "permission_error"},           {404, "invalid_request_error", "not_found_error"},
    {405, "invalid_request_error", "invalid_request_error"}, {413, "invalid_request_error", "request_too_large"},
    {422, "invalid_request_error", "invalid_request_error"}, {429, "rate_limit_error", "rate_limit_error"},
    {501, "not_supported_error", "api_error"},               {503, "unavailable_error", "overloaded_error"},
    {500, "server_error", "api_error"}};

static json_t *or_null(const char *s) { return s && *s ? json_string(s) : json_null(); }

json_t *fault_json(enum api api, const struct fault *f, uint64_t request_id) {
    int status = fault_status(f);
    size_t i = 0;
    char msg[sizeof f->err.msg + sizeof f->err.hint + 8], id[32];
    while (i + 1 < sizeof kinds / sizeof kinds[0] && kinds[i].status != status) i++;
    snprintf(msg, sizeof msg, f->err.hint[0] ? "%s (%s)" : "%s", f->err.msg, f->err.hint);
    snprintf(id, sizeof id, "req_%016llx", (unsigned long long)request_id);
    if (api == API_OLLAMA) return json_pack("{s:s}", "error", msg);
    if (api == API_ANTHROPIC) return json_pack("{s:s, s:{s:s, s:s}, s:s}", "type", "error", "error", "type", kinds[i].anthropic, "message", msg, "request_id", id);
    const char *type = f->n_prompt && api == API_NATIVE ? "exceed_context_size_error" : kinds[i].openai;
    json_t *e = json_pack("{s:s, s:s, s:o, s:o}", "message", msg, "type", type, "param", or_null(f->param), "code", or_null(f->code));
    if (api == API_NATIVE) json_object_set_new(e, "code", json_integer(status));
    if (f->n_prompt) {
        json_object_set_new(e, "n_prompt_tokens", json_integer((json_int_t)f->n_prompt));
        json_object_set_new(e, "n_ctx", json_integer((json_int_t)f->n_ctx));
    }
    return json_pack("{s:o}", "error", e);
}

void reply_fault(struct call *c) {
    json_t *v = fault_json(c->api, &c->fault, http_id(c->x));
    if (http_is_begun(c->x)) { /* in the stream, as its last event */
        bool is_lines = c->api == API_OLLAMA;
        if (is_lines) stream_line(c, v);
        else stream_event(c, c->api == API_ANTHROPIC ? "error" : NULL, v);
        http_stream_end(c->x);
        return;
    }
    char text[32];
    int status = fault_status(&c->fault);
    snprintf(text, sizeof text, "%d", c->fault.retry_s);
    if (c->fault.retry_s > 0) http_header_add(c->x, "retry-after", text);
    if (status == 401) http_header_add(c->x, "www-authenticate", "Bearer");
    if (reply_json(c, status, v) != SLM_OK) http_answer(c->x, 500, NULL, NULL, 0);
}

void stream_begin(struct call *c) {
    bool is_lines = c->api == API_OLLAMA;
    add_ignored(c);
    http_header_add(c->x, "cache-control", "no-cache");
    http_header_add(c->x, "x-accel-buffering", "no");
    http_stream_begin(c->x, 200, is_lines ? "application/x-ndjson" : "text/event-stream");
    c->t_said = time_now_s();
}

static slm_status stream_put(struct call *c, const char *before, const char *event, json_t *v, const char *after) {
    struct buf out;
    slm_status st = SLM_OK;
    char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
    json_decref(v);
    if (!text) return fault_set(&c->fault, SLM_E_NOMEM, NULL, "answer: no memory");
    buf_init(&out, 64u << 20);
    if (event) buf_printf(&out, "event: %s\n", event);
    buf_puts(&out, before);
    buf_puts(&out, text);
    buf_puts(&out, after);
    free(text);
    c->t_said = time_now_s();
    if (out.failed != SLM_OK) st = fault_set(&c->fault, out.failed, NULL, "answer: too long");
    else if (!http_stream_write(c->x, out.data, out.len)) st = fault_set(&c->fault, SLM_E_CANCELLED, NULL, "client: left");
    buf_fini(&out);
    return st;
}

slm_status stream_event(struct call *c, const char *event, json_t *data) { return stream_put(c, "data: ", event, data, "\n\n"); }
slm_status stream_line(struct call *c, json_t *line) { return stream_put(c, "", NULL, line, "\n"); }

slm_status stream_done(struct call *c, const char *last) {
    if (last && !http_stream_write(c->x, last, strlen(last))) return fault_set(&c->fault, SLM_E_CANCELLED, NULL, "client: left");
    http_stream_end(c->x);
    return SLM_OK;
}

slm_status stream_ping(struct call *c) {
    if (c->api == API_OLLAMA || time_now_s() - c->t_said < (double)c->server->limits.v[LIMIT_PING_S]) return SLM_OK;
    c->t_said = time_now_s();
    static const char ping[] = ": ping\n\n";
    return http_stream_write(c->x, ping, sizeof ping - 1) ? SLM_OK : fault_set(&c->fault, SLM_E_CANCELLED, NULL, "client: left");
}
