/* prompts.c -- prompts as rows. Text comes last in each, so that what stands before it is computed once for all texts. */
#include "task/prompts.h"

#include <string.h>

#include "base/show.h"

static const struct prompt_row rows[] = {
    {"classify", NULL, "Which label fits the text? Labels: {labels}.\n\nText: {text}", "\nLabel: "},
    {"classify-many", NULL, "Which label fits the text?\n\nText: {text}", "\nLabel: "}, /* labels that would fill the context */
    {"extract", NULL, "Write what the text says as JSON. Copy values from the text, letter by letter.\nJSON Schema: {schema}\n\nText: {text}", "\nJSON: "},
    {"summarize", NULL, "Summarize the text in at most {words} words. Say only what the text says.\n\nText: {text}", "\nSummary: "},
    {"summarize-join", NULL, "These are summaries of the parts of one text, in order. Make them one summary of at most {words} words. Add nothing.\n\n{text}", "\nSummary: "},
    {"state", NULL, "{text}", ""}, /* what a head reads */
};

const struct prompt_row *prompt_rows(size_t *n) {
    *n = sizeof rows / sizeof rows[0];
    return rows;
}

const struct prompt_row *prompt_find(const char *name) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}

/* Which value stands at p ("{name}"), or n. */
static size_t value_at(const char *p, const struct prompt_value *values, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(values[i].name);
        if (strncmp(p + 1, values[i].name, len) == 0 && p[1 + len] == '}') return i;
    }
    return n;
}

slm_status prompt_fill(const char *form, const struct prompt_value *values, size_t n, const char *need, struct buf *out, slm_err *err) {
    bool has = need == NULL;
    for (const char *p = form; *p;) {
        size_t i = *p == '{' ? value_at(p, values, n) : n;
        if (i == n) {
            buf_putc(out, *p++);
            continue;
        }
        buf_append(out, values[i].value.ptr, values[i].value.len);
        has |= need && strcmp(values[i].name, need) == 0;
        p += strlen(values[i].name) + 2;
    }
    if (!has) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "prompt \"%s\": \"{%s}\" is not in it", show_cstr(form).s, need);
    return buf_status(out, "a prompt", err);
}
