/* limits.c -- the table of limits. */
#include "serve/limits.h"

#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/show.h"

static const struct limit_row rows[LIMIT_COUNT] = {
    /*                     name           default    min   max        what */
    [LIMIT_HEAD_BYTES] =  {"head-bytes",  32768,     1024, 1 << 20,   "request line and headers together"},
    [LIMIT_HEADERS] =     {"headers",     64,        8,    64,        "header lines of a request"},
    [LIMIT_BODY_BYTES] =  {"body-bytes",  16 << 20,  1024, 1 << 30,   "body of a request"},
    [LIMIT_BODIES_BYTES] ={"bodies-bytes",256 << 20, 1024, 1ll << 40, "bodies that are still arriving, of all connections together; past it the answer is 503"},
    [LIMIT_BLOB_BYTES] =  {"blob-bytes",  64ll << 30,1024, 1ll << 50, "a file that a client sends for a model it creates"},
    [LIMIT_OUT_BYTES] =   {"out-bytes",   262144,    4096, 1 << 26,   "bytes of an answer that wait for a slow reader before its generation waits too"},
    [LIMIT_HEAD_S] =      {"head-s",      10,        1,    3600,      "seconds from the first byte of a request to the end of its headers"},
    [LIMIT_BODY_S] =      {"body-s",      60,        1,    3600,      "seconds for the whole body to arrive"},
    [LIMIT_IDLE_S] =      {"idle-s",      75,        1,    86400,     "seconds that a connection may wait between requests"},
    [LIMIT_STALL_S] =     {"stall-s",     30,        1,    3600,      "seconds that a reader may take nothing before it counts as gone"},
    [LIMIT_DRAIN_S] =     {"drain-s",     30,        0,    86400,     "seconds that running requests get after SIGTERM"},
    [LIMIT_PING_S] =      {"ping-s",      15,        1,    3600,      "seconds of silence after which an event stream gets a comment, so that proxies keep it open"},
    [LIMIT_CONNECTIONS] = {"connections", 4096,      1,    1 << 20,   "connections at once; past it the longest idle one is closed"},
    [LIMIT_REQUESTS] =    {"requests",    128,       1,    4096,      "requests at once, running and waiting; past it the answer is 429"},
    [LIMIT_CHOICES] =     {"choices",     16,        1,    128,       "answers to one request (n, best_of, prompts of a list)"},
    [LIMIT_INPUTS] =      {"inputs",      2048,      1,    1 << 20,   "texts of one embedding or rerank request"},
    [LIMIT_TOOLS] =       {"tools",       128,       1,    4096,      "tools of a request"},
    [LIMIT_STOPS] =       {"stops",       16,        1,    64,        "stop strings of a request"},
    [LIMIT_LOGPROBS] =    {"logprobs",    20,        0,    20,        "alternatives per token in log-probabilities"},
};

const struct limit_row *limit_rows(void) { return rows; }

void limits_init(struct limits *l) {
    for (int i = 0; i < LIMIT_COUNT; i++) l->v[i] = rows[i].fallback;
}

static slm_status refuse_name(const char *text, size_t n_name, slm_err *err) {
    const char *names[LIMIT_COUNT];
    char name[64];
    for (int i = 0; i < LIMIT_COUNT; i++) names[i] = rows[i].name;
    size_t n = n_name < sizeof name ? n_name : sizeof name - 1;
    memcpy(name, text, n);
    name[n] = 0;
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "limit \"%s\": there is no such limit", show_cstr(name).s);
    err_hint(err, "the nearest is \"%s\"; docs/serving.md lists them", nearest_name(name, names, LIMIT_COUNT));
    return SLM_E_USAGE;
}

slm_status limits_set(struct limits *l, const char *text, slm_err *err) {
    size_t n_name = strcspn(text, "=");
    for (int i = 0; i < LIMIT_COUNT; i++) {
        if (strlen(rows[i].name) != n_name || strncmp(rows[i].name, text, n_name) != 0) continue;
        char *end;
        const char *number = text[n_name] ? text + n_name + 1 : "";
        long long v = strtoll(number, &end, 10);
        if (!*number || *end || v < rows[i].min || v > rows[i].max)
            return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "limit \"%s\": must be %s=N with N from %lld to %lld", show_cstr(text).s, rows[i].name,
                           (long long)rows[i].min, (long long)rows[i].max);
        l->v[i] = v;
        return SLM_OK;
    }
    return refuse_name(text, n_name, err);
}
