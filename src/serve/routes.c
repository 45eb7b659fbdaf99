/* routes.c -- every path, in the order of /openapi.json. table: rows. A new endpoint is a handler and a row here, and a transcript in tests/wire. */
#include <stdio.h>
#include <string.h>

#include "serve/api_native.h"
#include "serve/api_openai.h"
#include "serve/server.h"

static const struct route rows[] = {
    {"GET", "/health", API_NATIVE, NULL, native_health, ROUTE_ON_LOOP | ROUTE_OPEN, "alive; 503 while the server shuts down"},
    {"GET", "/metrics", API_NATIVE, NULL, native_metrics, ROUTE_ON_LOOP, "counters in Prometheus' text format"},
    {"GET", "/openapi.json", API_NATIVE, NULL, native_openapi, ROUTE_OPEN, "this document"},
    {"POST", "/v1/chat/completions", API_OPENAI, &openai_chat_fields, openai_chat, 0, "an answer to a conversation"},
};

const struct route *routes(size_t *n) {
    *n = sizeof rows / sizeof rows[0];
    return rows;
}

/* Does a row's path cover this one? *tail: what its '*' stands for. */
static bool covers(const char *path, struct view given, struct view *tail) {
    size_t n = strlen(path);
    if (n && path[n - 1] == '*') {
        if (given.len < n || strncmp(path, given.ptr, n - 1) != 0) return false;
        *tail = (struct view){given.ptr + n - 1, given.len - n + 1};
        return true;
    }
    *tail = (struct view){"", 0};
    return given.len == n && memcmp(path, given.ptr, n) == 0;
}

const struct route *routes_find(struct view method, struct view path, struct view *tail, char *allow) {
    size_t n_allow = 0;
    bool is_head = view_eq(method, VIEW("HEAD"));
    allow[0] = 0;
    if (path.len > 1 && path.ptr[path.len - 1] == '/') path.len--;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!covers(rows[i].path, path, tail)) continue;
        if (view_eq(method, view_of(rows[i].method)) || (is_head && strcmp(rows[i].method, "GET") == 0)) return &rows[i];
        int n = snprintf(allow + n_allow, ALLOW_BYTES - n_allow, "%s%s", n_allow ? ", " : "", rows[i].method);
        if (n > 0 && n_allow + (size_t)n < ALLOW_BYTES) n_allow += (size_t)n;
    }
    return NULL;
}

enum api routes_api(struct view path) {
    static const struct { const char *prefix; enum api api; } apis[] = {{"/v1/messages", API_ANTHROPIC}, {"/v1/", API_OPENAI}, {"/api/", API_OLLAMA}};
    for (size_t i = 0; i < sizeof apis / sizeof apis[0]; i++)
        if (path.len >= strlen(apis[i].prefix) && memcmp(path.ptr, apis[i].prefix, strlen(apis[i].prefix)) == 0) return apis[i].api;
    return API_NATIVE;
}
