/* prompts.h -- the words that jobs are put in: rows that a user can see (--show-prompt) and override (--prompt, --system). */
#ifndef SLM_TASK_PROMPTS_H
#define SLM_TASK_PROMPTS_H

#include "base/mem.h"

#define PROMPT_BYTES_MAX (4u << 20)

struct prompt_row {
    const char *name;   /* "classify" */
    const char *system; /* NULL: none */
    const char *form;   /* of the user's turn: {text}, {labels}, ... stand for what is filled in */
    const char *opening; /* behind the form where the model has no chat template; begins the answer */
};
const struct prompt_row *prompt_find(const char *name); /* NULL: none */
const struct prompt_row *prompt_rows(size_t *n);

struct prompt_value {
    const char *name; /* "text" */
    struct view value;
};
/* prompt_fill -- form with every {name} of values replaced; other braces stand for themselves. Appends to out.
 * Errors: USAGE (a value named `need` has no place in the form), LIMIT. */
slm_status prompt_fill(const char *form, const struct prompt_value *values, size_t n, const char *need, struct buf *out, slm_err *err);

#endif
