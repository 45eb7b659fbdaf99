/* fuzz_wire.c -- any bytes from an upstream, as an event stream and as a whole answer of each API: parts come in order, however the bytes are cut. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tier/sse.h"
#include "tier/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reading {
    const struct wire *wire;
    struct wire_in in;
    struct buf told;
    bool in_call;
};

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_wire: %s\n", what);
    abort();
}

static slm_status on_part(void *user, const struct output_event *e) {
    struct reading *r = user;
    if (e->kind == OUTPUT_CALL_BEGIN) demand(!r->in_call, "a call within a call");
    if (e->kind == OUTPUT_CALL_ARGUMENTS || e->kind == OUTPUT_CALL_END) demand(r->in_call, "a call's part outside of one");
    r->in_call = e->kind == OUTPUT_CALL_BEGIN || e->kind == OUTPUT_CALL_ARGUMENTS || (r->in_call && e->kind != OUTPUT_CALL_END);
    buf_printf(&r->told, "<%d>", (int)e->kind);
    buf_append(&r->told, e->text.ptr, e->text.len);
    return SLM_OK;
}

static bool on_event(void *user, const char *event, struct view data) {
    struct reading *r = user;
    json_t *v = json_loadb(data.ptr, data.len, 0, NULL);
    if (json_is_object(json_object_get(v, "error"))) wire_error(&r->in, json_object_get(v, "error"));
    else if (json_is_object(v)) r->wire->event(&r->in, event, v);
    json_decref(v);
    return true;
}

static void read_events(struct reading *r, const char *data, size_t size, size_t step) {
    struct sse s;
    sse_init(&s);
    wire_in_init(&r->in, on_part, r);
    buf_init(&r->told, (size_t)16 << 20);
    r->in_call = false;
    for (size_t at = 0; at < size; at += step)
        if (sse_push(&s, data + at, step < size - at ? step : size - at, on_event, r) != SLM_OK) break;
    sse_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int kind = 0; kind < WIRE_COUNT; kind++) {
        struct reading a = {.wire = wire_get((enum wire_kind)kind)}, b = a;
        read_events(&a, (const char *)data, size, size ? size : 1);
        read_events(&b, (const char *)data, size, 3);
        demand(a.told.len == b.told.len && (a.told.len == 0 || memcmp(a.told.data, b.told.data, a.told.len) == 0), "the cut of the bytes changes what is told");
        demand(a.in.n_in == b.in.n_in && a.in.n_out == b.in.n_out && a.in.end == b.in.end, "and what is counted");
        buf_fini(&b.told);
        buf_clear(&a.told);
        json_t *v = json_loadb((const char *)data, size, 0, NULL);
        wire_in_init(&a.in, on_part, &a);
        a.in_call = false;
        if (json_is_object(v)) a.wire->whole(&a.in, v);
        json_decref(v);
        buf_fini(&a.told);
    }
    return 0;
}
