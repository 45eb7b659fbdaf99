/* structure.h -- option rows that hold an answer to a schema, an expression, choices or a grammar. */
#ifndef SLM_CLI_STRUCTURE_H
#define SLM_CLI_STRUCTURE_H

#include <jansson.h>

#include "cli/options.h"
#include "engine/constrain.h"

struct structure_values {
    const char *schema, *regex, *grammar;
    struct option_texts choices;
};

#define STRUCTURE_ROWS(type)                                                                                                           \
    {.kind = OPT_TEXT, .name = "schema", .value = "FILE|JSON", .offset = offsetof(type, structure.schema), .since = "0.1",             \
     .help = "the answer is JSON that satisfies a JSON Schema, given in FILE or as text that begins with {; what is only checked is said"}, \
    {.kind = OPT_TEXT, .name = "regex", .value = "PATTERN", .offset = offsetof(type, structure.regex), .since = "0.1",                 \
     .help = "the whole answer matches a regular expression (ECMAScript, without look-around and back-references)"},                   \
    {.kind = OPT_FILE, .name = "grammar", .value = "FILE", .offset = offsetof(type, structure.grammar), .since = "0.1",                \
     .help = "the answer follows a grammar in GBNF; its rule root is the whole"},                                                      \
    {.kind = OPT_TEXTS, .name = "choice", .value = "TEXT", .offset = offsetof(type, structure.choices), .since = "0.1",                \
     .help = "the answer is one of the choices"}

struct structure {
    struct constrain_vocab *vocab;
    struct constraint *constraint; /* NULL: the answer is free */
};
/* structure_open -- compile what was asked for; what a schema leaves to the check is told on standard error.
 * Errors: USAGE (two kinds at once), those of constraint_create, reading the file. */
slm_status structure_open(const struct structure_values *v, const struct tok *tok, struct structure *s, slm_err *err);
void structure_close(struct structure *s);

/* structure_judge -- the verdict of the check on an answer's ids. *report (may be NULL): {"valid", "closed", "unenforced"}, new.
 * Errors: FAILED: the answer is not valid, where and why. */
slm_status structure_judge(struct structure *s, const struct tok *tok, const struct tok_ids *ids, bool strip_first, bool closed, json_t **report, slm_err *err);

#endif
