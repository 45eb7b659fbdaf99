/* fuzz_request.c -- any body to any route: its fields are read or refused in clean words; what is read becomes messages, tools, stop strings,
 * sampling and a format, or is refused likewise.
 *
 * Input: a byte that picks the route, then the body. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/format.h"
#include "serve/messages.h"
#include "serve/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_VOCAB 1000

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_request: %s\n", what);
    abort();
}

static void check_fault(slm_status st, const struct fault *f) {
    if (st == SLM_OK) return;
    demand(f->err.msg[0] != 0, "a refusal without words");
    for (const char *p = f->err.msg; *p; p++) demand((unsigned char)*p >= 0x20 && *p != 0x7f, "a control character in a refusal");
    for (int api = 0; api < API_COUNT; api++) {
        json_t *v = fault_json((enum api)api, f, 1);
        demand(v != NULL, "a refusal that is no JSON");
        json_decref(v);
    }
}

static const struct route *pick_route(size_t i) {
    size_t n, n_fields = 0;
    const struct route *r = routes(&n);
    for (size_t k = 0; k < n; k++) n_fields += r[k].fields != NULL;
    i %= n_fields;
    for (size_t k = 0; k < n; k++)
        if (r[k].fields && i-- == 0) return &r[k];
    return NULL;
}

/* Every message has a role and a text. */
static void check_messages(slm_status st, const json_t *messages, const struct fault *f) {
    check_fault(st, f);
    for (size_t i = 0; st == SLM_OK && i < json_array_size(messages); i++) {
        const json_t *m = json_array_get(messages, i);
        demand(json_is_string(json_object_get(m, "role")) && json_is_string(json_object_get(m, "content")), "a message without role or content");
    }
}

static void convert(const struct route *route, const struct request *r) {
    struct fault f = {0};
    json_t *messages = json_array(), *tools = json_array();
    if (route->api == API_ANTHROPIC) {
        check_messages(messages_anthropic(r->system, r->messages, messages, &f), messages, &f);
        check_fault(tools_anthropic(r->tools, 16, tools, &f), &f);
    } else if (route->api == API_OLLAMA) {
        check_messages(messages_ollama(r->messages, messages, &f), messages, &f);
        check_fault(tools_openai(r->tools, 16, tools, &f), &f);
    } else if (strcmp(route->path, "/v1/responses") == 0) {
        check_messages(messages_responses(r->instructions, r->input, messages, &f), messages, &f);
        check_fault(tools_responses(r->tools, 16, tools, &f), &f);
    } else {
        check_messages(messages_openai(r->messages, messages, &f), messages, &f);
        check_fault(tools_openai(r->tools, 16, tools, &f), &f);
    }
    json_decref(messages);
    json_decref(tools);
}

static void check_values(const struct request *r) {
    static struct sampling sampling;
    static struct format format;
    struct view stops[64];
    size_t n;
    struct fault f = {0};
    slm_status st = request_sampling(r, N_VOCAB, &sampling, &f);
    check_fault(st, &f);
    for (int32_t i = 0; st == SLM_OK && i < sampling.params.n_bias; i++) demand(sampling.bias[i].id >= 0 && sampling.bias[i].id < N_VOCAB, "a bias of no token");
    check_fault(request_stops(r->stop, "stop", stops, 16, &n, &f), &f);
    demand(n <= 16, "too many stop strings");
    check_fault(format_read(r, &format, &f), &f);
    format_fini(&format);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct request r;
    struct buf ignored;
    struct fault f = {0};
    if (size < 1) return 0;
    const struct route *route = pick_route(data[0]);
    json_t *body = json_loadb((const char *)data + 1, size - 1, JSON_REJECT_DUPLICATES, NULL);
    if (!body) return 0;
    request_init(&r);
    buf_init(&ignored, 4096);
    slm_status st = fields_read(route->fields, body, &r, &ignored, &f);
    check_fault(st, &f);
    for (size_t i = 0; i < ignored.len; i++) demand(ignored.data[i] >= 0x20 && ignored.data[i] < 0x7f, "a name that a header may not hold");
    if (st == SLM_OK) {
        convert(route, &r);
        check_values(&r);
    }
    buf_fini(&ignored);
    json_decref(body);
    return 0;
}
