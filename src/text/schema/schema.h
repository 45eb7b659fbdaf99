/* schema.h -- JSON Schema, 2020-12 and draft-7: a schema as an automaton of what may be generated, and an independent check of a
 * finished value.
 *
 * The two do not share code beyond finding what a $ref means: what the automaton cannot hold is named in a list, and the check
 * judges everything. docs/structured-output.md has the keywords. A schema is read-only after schema_parse but for what a fetch
 * callback adds and for patterns compiled by checks: one thread at a time. */
#ifndef SLM_TEXT_SCHEMA_H
#define SLM_TEXT_SCHEMA_H

#include <jansson.h>

#include "text/call_form.h"
#include "text/gram/gram.h"

#define SCHEMA_NESTING_MAX 512    /* of schemas within schemas while checking, references included */
#define SCHEMA_WORK_MAX 20000000  /* schemas applied to values in one check */
#define SCHEMA_NOTES_MAX 64
#define SCHEMA_DOCUMENTS_MAX 64

enum schema_draft { SCHEMA_2020_12, SCHEMA_7 };

struct schema_options {
    /* Another document by its URI without fragment, a new reference, or NULL: not known. NULL: no other documents. Nothing is ever
     * read from a network or a disk without it. */
    json_t *(*fetch)(void *user, const char *uri);
    void *user;
    bool is_format_asserted;   /* schema_check refuses a string that is not of a known format */
    enum schema_draft draft;   /* of a schema that says no $schema */
};

struct schema;
/* schema_parse -- text must be a JSON object, true or false. options may be NULL: no fetch, formats asserted, 2020-12.
 * Errors: FORMAT (not JSON, with the place; a keyword of the wrong kind, with its JSON pointer), UNSUPPORTED (another draft), LIMIT, NOMEM. */
slm_status schema_parse(struct view text, const struct schema_options *options, struct schema **out, slm_err *err);
/* schema_from_json -- the same of a value; a reference of it is kept. */
slm_status schema_from_json(json_t *value, const struct schema_options *options, struct schema **out, slm_err *err);
void schema_destroy(struct schema *s);

/* schema_check -- whether a value satisfies the schema. *is_valid false: err holds where and why (code FORMAT).
 * Errors: FORMAT (a reference that leads nowhere, a pattern that is none), LIMIT. */
slm_status schema_check(struct schema *s, const json_t *value, bool *is_valid, slm_err *err);
/* schema_check_text -- the same of JSON text; text that is no JSON value is not valid. */
slm_status schema_check_text(struct schema *s, struct view text, bool *is_valid, slm_err *err);

/* What the automaton leaves to the check. */
struct schema_note {
    char at[160];    /* JSON pointer of the keyword, cut short if long */
    char what[96];   /* the keyword, and why */
};
struct schema_notes {
    struct schema_note notes[SCHEMA_NOTES_MAX];
    size_t n, n_more; /* n_more: how many did not fit */
};

/* gram_from_schema -- what the schema allows, as compact JSON. Errors: FORMAT (a keyword of the wrong kind, a reference that leads
 * nowhere, a schema that nothing satisfies, all with a JSON pointer), LIMIT (named), NOMEM. */
slm_status gram_from_schema(struct schema *s, struct gram **out, struct schema_notes *notes, slm_err *err);
/* gram_from_calls -- calls as a family writes them. s: {"anyOf": [the arguments of each tool]}; names: of the tools, in that order. only_one: no
 * second call where the form has several. close: what ends them, instead of the form's own; errors as gram_from_schema. */
slm_status gram_from_calls(struct schema *s, const json_t *names, const struct call_form *form, const char *close, bool only_one, struct gram **out, struct schema_notes *notes, slm_err *err);

#endif
