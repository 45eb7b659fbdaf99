/* extract.h -- what a text says, as JSON of a schema, with a confidence for each field.
 *
 * Generation is greedy under the schema (engine/constrain.h), so what comes is valid. Grounding: a string that the schema leaves free may
 * only be copied from the text: a token that would say anything else is not taken (jtrack.h). */
#ifndef SLM_TASK_EXTRACT_H
#define SLM_TASK_EXTRACT_H

#include "task/jtrack.h"
#include "task/signals.h"
#include "task/worker.h"

struct extractor_params {
    struct worker *worker;        /* borrowed */
    struct view schema;           /* JSON; copied */
    const char *system, *form;    /* NULL: the row's; {text} and {schema} */
    bool ungrounded;              /* do not hold strings to the text */
    int32_t n_max;                /* tokens; 0: 512 */
    double field_min;             /* a field of lower confidence becomes null where it may be; 0: none */
};
struct extractor;
/* Errors: those of constraint_create (place in the schema), USAGE. */
slm_status extractor_create(const struct extractor_params *p, struct extractor **out, slm_err *err);
void extractor_destroy(struct extractor *x);
uint64_t extractor_identity(const struct extractor *x); /* of prompt, template or none, schema, and the limits */

struct extracted_field {
    const char *path;     /* JSON pointer; "": the whole answer */
    double confidence;    /* product of its tokens' probabilities, each among what the schema allows less the likelier tokens that the source refused */
    double worst;         /* the least of them */
    bool is_grounded;     /* its text occurs in the source */
    bool dropped;         /* below field_min, now null */
};
struct extraction {
    struct view text;     /* the JSON, the extractor's until the next text */
    json_t *value;        /* owned by the caller */
    bool valid;           /* by the independent check, after fields were dropped */
    bool unsure;          /* a field below field_min could not be dropped, or is the whole answer */
    const struct extracted_field *fields; /* [n_field] */
    size_t n_field;
    struct signals signals;
    size_t n_in, n_out;
};
/* extractor_run -- Errors: LIMIT (the text does not fit; the limit of tokens is below what the schema needs), FAILED (no grounded text satisfies the
 * schema from here), CANCELLED. */
slm_status extractor_run(struct extractor *x, struct view text, struct extraction *out, slm_err *err);

#endif
