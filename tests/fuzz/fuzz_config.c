/* fuzz_config.c -- any bytes as an options file: values or an error with a message, and what is read can be written and read again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config.h"
#include "cli/rows.h"

struct values {
    struct common_values common;
    const char *model, *text;
    struct option_texts data;
    struct option_ints sizes;
    int32_t steps, kind;
    float lr;
    bool json;
};
static const struct option rows[] = {
    OPTION_MODEL(struct values),
    {.kind = OPT_TEXT, .name = "text", .value = "TEXT", .offset = offsetof(struct values, text), .since = "0.1", .help = "text"},
    {.kind = OPT_TEXTS, .name = "data", .value = "FILE", .offset = offsetof(struct values, data), .since = "0.1", .help = "data"},
    {.kind = OPT_INTS, .name = "sizes", .value = "LIST", .fallback = "1,2", .min = 0, .max = 10, .offset = offsetof(struct values, sizes), .since = "0.1", .help = "sizes"},
    {.kind = OPT_INT, .name = "steps", .value = "N", .fallback = "10", .min = 1, .max = 1000, .offset = offsetof(struct values, steps), .since = "0.1", .help = "steps"},
    {.kind = OPT_CHOICE, .name = "kind", .value = "KIND", .fallback = "a", .choices = "a|b|c", .offset = offsetof(struct values, kind), .since = "0.1", .help = "kind"},
    {.kind = OPT_FLOAT, .name = "lr", .value = "RATE", .fallback = "0.5", .min = 0, .max = 1, .offset = offsetof(struct values, lr), .since = "0.1", .help = "rate"},
    OPTION_JSON(struct values),
};
static const struct option_table table = {"train", ROWS(rows), NULL, 0};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_config: %s\n", what);
    abort();
}

static slm_status read_text(const char *text, size_t n, struct values *v, slm_err *err) {
    bool given[128] = {false};
    memset(v, 0, sizeof *v);
    options_default(&table, v);
    return config_apply_text(&table, "f.yaml", (struct view){text, n}, given, &v->common, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct values v, w;
    struct buf out;
    slm_err err;
    err_clear(&err);
    slm_status st = read_text((const char *)data, size, &v, &err);
    demand(st == SLM_OK || err.msg[0], "an error without a message");
    buf_init(&out, 1u << 22);
    if (st == SLM_OK) {
        config_write(&table, &v, &out);
        demand(read_text(out.data, out.len, &w, &err) == SLM_OK, err.msg);
        demand(v.steps == w.steps && v.kind == w.kind && v.json == w.json && v.data.n == w.data.n && v.sizes.n == w.sizes.n, "values changed");
        options_release(&w);
    }
    buf_fini(&out);
    options_release(&v);
    return 0;
}
