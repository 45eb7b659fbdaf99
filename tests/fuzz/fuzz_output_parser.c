/* fuzz_output_parser.c -- any bytes as any format's output: the same events for any cut, arguments that are JSON objects (unless calls are told
 * while they come: then what holds generation answers for that).
 *
 * Input: a byte that picks the format, one of options, one that seeds the cuts; the rest is the output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/output_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_output_parser: %s\n", what);
    abort();
}

struct told {
    struct buf words;
    int open, n_calls;
    bool is_live;
    enum output_kind last;
};

static void on_event(void *user, const struct output_event *e) {
    struct told *t = user;
    int kind = (int)e->kind * 2 + e->is_broken;
    bool in_call = t->last == OUTPUT_CALL_BEGIN || t->last == OUTPUT_CALL_ARGUMENTS;
    demand(in_call == (e->kind == OUTPUT_CALL_ARGUMENTS || e->kind == OUTPUT_CALL_END), "events of a call are out of order");
    if (e->kind == OUTPUT_CALL_ARGUMENTS && !t->is_live) {
        json_t *o = json_loadb(e->text.ptr, e->text.len, JSON_ALLOW_NUL, NULL);
        demand(json_is_object(o), "arguments are not a JSON object");
        json_decref(o);
    }
    if (kind != t->open || e->kind == OUTPUT_CALL_BEGIN || e->kind == OUTPUT_CALL_END) buf_printf(&t->words, "\n[%d]", kind);
    buf_append(&t->words, e->text.ptr, e->text.len);
    t->open = kind;
    t->last = e->kind;
    if (e->kind == OUTPUT_CALL_BEGIN) demand(e->i_call == t->n_calls++, "calls are not counted");
}

static void parse(const struct output_format *f, const struct output_options *o, struct view text, uint32_t cut, struct told *t) {
    struct output_parser *p;
    *t = (struct told){.open = -1, .last = OUTPUT_TEXT, .is_live = o->form != NULL};
    buf_init(&t->words, 1u << 24);
    demand(output_parser_create(f, o, on_event, t, &p, NULL) == SLM_OK, "no memory");
    for (size_t at = 0; at < text.len;) {
        size_t len = text.len;
        if (cut) {
            cut = cut * 1664525u + 1013904223u;
            len = (cut >> 24) % 9;
        }
        if (len > text.len - at) len = text.len - at;
        output_parser_push(p, (struct view){text.ptr + at, len});
        at += len;
    }
    output_parser_finish(p);
    output_parser_destroy(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const prompts[] = {"", "<think>\n", ">>>", "<|start|>assistant"};
    size_t n_formats = 0;
    struct told whole, parts;
    if (size < 3 || size > 1u << 14) return 0;
    while (output_format_at(n_formats)) n_formats++;
    const struct output_format *f = output_format_at(data[0] % n_formats);
    json_t *tools = data[1] & 4 ? json_loads("[{\"name\": \"f\", \"parameters\": {\"properties\": {\"a\": {\"type\": \"string\"}}}}]", 0, NULL) : NULL;
    struct output_options o = {.prompt = view_of(prompts[data[1] & 3]), .tools = tools};
    if (data[1] & 8) o.form = output_format_form(f, NULL);
    struct view text = {(const char *)data + 3, size - 3};
    parse(f, &o, text, 0, &whole);
    parse(f, &o, text, data[2] + 1u, &parts);
    demand(whole.words.len == parts.words.len && (whole.words.len == 0 || memcmp(whole.words.data, parts.words.data, whole.words.len) == 0),
           "other events for other cuts");
    buf_fini(&whole.words);
    buf_fini(&parts.words);
    json_decref(tools);
    return 0;
}
