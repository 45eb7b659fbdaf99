/* fuzz_options.c -- any arguments to any command: refused with a clean message, or every value lies within its row.
 *
 * Input: a byte that picks the command; then arguments, each ended by a line end. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARGS_MAX 64

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_options: %s\n", what);
    abort();
}

static void check_value(const struct option *o, const void *values) {
    const void *at = (const char *)values + o->offset;
    const struct option_ints *ints = at;
    const struct option_biases *biases = at;
    switch (o->kind) {
    case OPT_INT: demand(*(const int32_t *)at >= o->min && *(const int32_t *)at <= o->max, "an integer out of range"); break;
    case OPT_FLOAT: {
        float v = *(const float *)at; /* rounded from a double within the range */
        demand(v >= (float)o->min && v <= (float)o->max, "a number out of range");
        break;
    }
    case OPT_INTS:
        for (size_t i = 0; i < ints->n; i++) demand(ints->v[i] >= o->min && ints->v[i] <= o->max, "an element out of range");
        break;
    case OPT_BIASES:
        for (size_t i = 0; i < biases->n; i++) demand(biases->v[i].id >= 0 && !isnan(biases->v[i].bias) && biases->v[i].bias < INFINITY, "a strange bias");
        break;
    case OPT_CHOICE: {
        int32_t n = 1;
        for (const char *p = o->choices; *p; p++) n += *p == '|';
        demand(*(const int32_t *)at >= 0 && *(const int32_t *)at < n, "a choice out of range");
        break;
    }
    default: break;
    }
}

/* What a value prints, the parser reads. */
static void check_printed(const struct option *o, const void *values, void *again) {
    struct buf text;
    if (o->kind != OPT_INT && o->kind != OPT_CHOICE && o->kind != OPT_SEED) return;
    buf_init(&text, 4096);
    option_value(o, values, &text);
    demand(option_assign(o, text.data, again, NULL) == SLM_OK, "a printed value is not read");
    buf_fini(&text);
}

static void check_error(const slm_err *err) {
    demand(err->code == SLM_E_USAGE && err->msg[0], "an error without words");
    for (const char *p = err->msg; *p; p++) demand((unsigned char)*p >= 0x20 && *p != 0x7f, "a control character in an error");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t n_commands;
    const struct command *const *rows = command_rows(&n_commands);
    char *argv[ARGS_MAX];
    int argc = 0;
    slm_err err;
    if (size < 1 || size > 4096) return 0;
    const struct command *c = rows[data[0] % n_commands];
    char *text = malloc(size);
    void *values = calloc(1, c->values_bytes), *again = calloc(1, c->values_bytes);
    demand(text && values && again, "no memory");
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    for (char *p = text; *p && argc < ARGS_MAX; argc++) {
        argv[argc] = p;
        p += strcspn(p, "\n");
        if (*p) *p++ = 0;
    }
    err_clear(&err);
    if (options_parse(&c->table, argc, argv, values, &err) != SLM_OK) check_error(&err);
    else {
        const struct option *o;
        for (size_t i = 0; (o = option_at(&c->table, i)); i++) {
            if (o->kind == OPT_SECTION) continue;
            if (o->fallback || o->kind >= OPT_INTS) check_value(o, values);
            if (o->fallback) check_printed(o, values, again);
        }
    }
    free(values);
    free(again);
    free(text);
    return 0;
}
