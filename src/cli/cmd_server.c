/* cmd_server.c -- slm ps, slm stop: asked of a running server, by Ollama's API; so they work with Ollama's own server too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "base/util.h"
#include "cli/commands.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "store/http.h"

#define ANSWER_BYTES_MAX (4u << 20)

struct server_values {
    struct common_values common;
    const char *server;
    struct option_texts names;
    bool json;
};

/* "unix:PATH", "HOST:PORT", or a URL; path after it. */
static slm_status address_of(const char *server, const char *path, char url[2048], const char **unix_path, slm_err *err) {
    *unix_path = strncmp(server, "unix:", 5) == 0 ? server + 5 : NULL;
    size_t len = strlen(server);
    while (len && server[len - 1] == '/') len--;
    int n = *unix_path ? snprintf(url, 2048, "http://localhost%s", path) : snprintf(url, 2048, "%s%.*s%s", strstr(server, "://") ? "" : "http://", (int)len, server, path);
    return n > 0 && n < 2048 ? SLM_OK : err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--server\": longer than 2000 bytes");
}

/* The server's own words, where it gives some. */
static slm_status explain(slm_status st, const struct http_head *head, const struct buf *body, const char *server, slm_err *err) {
    json_error_t e;
    json_t *v = body->len ? json_loadb(body->data, body->len, 0, &e) : NULL;
    const json_t *said = json_object_get(v, "error"), *inner = json_object_get(said, "message");
    const char *text = json_string_value(inner ? inner : said);
    if (head->status == 0) {
        err_hint(err, "slm serve starts a server; --server says where it listens");
        st = SLM_E_NETWORK;
    } else if (text) st = err_set(err, head->status == 404 ? SLM_E_NOT_FOUND : SLM_E_FAILED, SLM_NOWHERE, "server \"%s\": %s", show_cstr(server).s, show_cstr(text).s);
    if (head->status == 401) err_hint(err, "SLM_KEY is the key that is sent");
    json_decref(v);
    return st;
}

static slm_status ask(const char *server, const char *method, const char *path, json_t *body, json_t **answer, slm_err *err) {
    char url[2048];
    struct http_head head = {0};
    struct buf out;
    json_error_t e;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct http_ask a = {.method = method, .url = url, .token = env_get(ENV_SLM_KEY), .body = view_of(text), .type = text ? "application/json" : NULL, .n_tries = 1, .cancel = &interrupt_flag};
    slm_status st = SLM_OK;
    *answer = NULL;
    buf_init(&out, ANSWER_BYTES_MAX);
    if (body && !text) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "request: out of memory");
    TRY(address_of(server, path, url, &a.unix_path, err));
    st = http_ask(&a, &head, &out, err);
    if (st == SLM_E_NETWORK || st == SLM_E_NOT_FOUND) st = explain(st, &head, &out, server, err);
    if (st != SLM_OK) goto out;
    *answer = json_loadb(out.len ? out.data : "", out.len, 0, &e);
    if (!json_is_object(*answer)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "server \"%s\": its answer is no JSON object", show_cstr(server).s);
out:
    json_decref(body);
    free(text);
    buf_fini(&out);
    if (st != SLM_OK) json_decref(*answer);
    return st;
}

static const char *text_of(const json_t *v, const char *key) {
    const char *s = json_string_value(json_object_get(v, key));
    return s ? s : "";
}

/* "2026-11-25T17:50:01.5Z": date and time to the minute. */
static void print_model(const json_t *m) {
    struct buf size;
    json_int_t bytes = json_integer_value(json_object_get(m, "size"));
    char until[17];
    buf_init(&size, 64);
    buf_put_bytes(&size, bytes > 0 ? (uint64_t)bytes : 0);
    snprintf(until, sizeof until, "%.16s", show_cstr(text_of(m, "expires_at")).s);
    if (strlen(until) == 16) until[10] = ' ';
    out_printf("%-44s %10s  context %-8lld until %s\n", show_cstr(text_of(m, "name")).s, size.data ? size.data : "", (long long)json_integer_value(json_object_get(m, "context_length")), until);
    buf_fini(&size);
}

static slm_status run_ps(const void *values, slm_err *err) {
    const struct server_values *v = values;
    json_t *answer, *models;
    slm_status st = ask(v->server, "GET", "/api/ps", NULL, &answer, err);
    if (st != SLM_OK) return st;
    models = json_object_get(answer, "models");
    if (v->json) return out_json(answer, err);
    for (size_t i = 0; i < json_array_size(models); i++) print_model(json_array_get(models, i));
    json_decref(answer);
    return out_status(err);
}

static slm_status run_stop(const void *values, slm_err *err) {
    const struct server_values *v = values;
    slm_status st = SLM_OK;
    for (size_t i = 0; i < v->names.n && st == SLM_OK; i++) {
        json_t *answer;
        st = ask(v->server, "POST", "/api/generate", json_pack("{s:o, s:i, s:b}", "model", json_text(view_of(v->names.v[i])), "keep_alive", 0, "stream", 0), &answer, err);
        if (st == SLM_OK) json_decref(answer);
    }
    return st;
}

#define OPTION_SERVER \
    {.kind = OPT_TEXT, .name = "server", .value = "ADDRESS", .fallback = "127.0.0.1:8080", .offset = offsetof(struct server_values, server), .since = "0.1", \
     .help = "where it listens: HOST:PORT, a URL, or unix:PATH. SLM_KEY is sent as its key"}
static const struct option ps_options[] = {OPTION_SERVER, OPTION_JSON(struct server_values)};
static const struct option stop_options[] = {OPTION_SERVER};
static const struct option stop_operands[] = {
    {.kind = OPT_TEXTS, .name = "NAME", .flags = OPTION_REQUIRED, .offset = offsetof(struct server_values, names), .since = "0.1", .help = "loaded models"},
};
static const struct example ps_examples[] = {{"slm ps", "loaded models, their memory, until when they stay"}};
static const struct example stop_examples[] = {{"slm stop llama3.2:1b", "unloads it; the next request loads it again"}};
const struct command command_ps = {
    .group = "keep models",
    .summary = "models that a running server has loaded",
    .description = "Asks a running server for its loaded models. Ollama's own server answers it too.",
    .table = {"ps", ROWS(ps_options), NULL, 0},
    .values_bytes = sizeof(struct server_values),
    .examples = ps_examples,
    .n_examples = 1,
    .run = run_ps,
};
const struct command command_stop = {
    .group = "keep models",
    .summary = "unload models of a running server",
    .description = "Tells a running server to unload models as soon as the answers that use them are finished.",
    .table = {"stop", ROWS(stop_options), ROWS(stop_operands)},
    .values_bytes = sizeof(struct server_values),
    .examples = stop_examples,
    .n_examples = 1,
    .run = run_stop,
};
