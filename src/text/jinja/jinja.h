/* jinja.h -- the Jinja interpreter's face to the text room: compile once, render often.
 *
 * Renders to the byte what jinja2 3.1 renders in the sandbox that transformers sets up for chat templates: trim_blocks,
 * lstrip_blocks, loop controls, generation blocks, tojson without HTML escapes, raise_exception, strftime_now. */
#ifndef SLM_TEXT_JINJA_H
#define SLM_TEXT_JINJA_H

#include <jansson.h>

#include "base/mem.h"

/* What one render, or one compilation, may use at most. */
#define JINJA_SOURCE_BYTES_MAX (4u << 20)
#define JINJA_COMPILE_BYTES_MAX (256u << 20)
struct jlimits {
    size_t steps;  /* nodes evaluated, items met, and bytes built / 64 */
    size_t bytes;  /* memory: values, strings, output */
    int depth;     /* nested expressions, statements, calls, data */
};
#define JINJA_LIMITS_DEFAULT ((struct jlimits){.steps = 20u << 20, .bytes = 256u << 20, .depth = 600})

struct jinja_template;

/* How a template failed. message and class are empty when it did not; memory is the caller's buf. */
struct jinja_fault {
    const char *class_name; /* "UndefinedError"; "TemplateError" for raise_exception */
    bool raised;            /* by raise_exception: the message is the template author's */
    int line;               /* of the template, from 1 */
    struct buf message;
};
void jinja_fault_fini(struct jinja_fault *f);

struct jinja_span { /* bytes of the output that came from the input, not from the template */
    size_t start, end;
};
struct jinja_result {
    struct buf text;
    struct jinja_span *spans;
    size_t n_spans;
};
void jinja_result_fini(struct jinja_result *r);

/* jinja_compile -- source is copied. Errors: SLM_E_FORMAT (syntax), SLM_E_LIMIT, SLM_E_NOMEM. fault may be NULL. */
slm_status jinja_compile(struct view source, struct jinja_template **out, struct jinja_fault *fault, slm_err *err);
void jinja_destroy(struct jinja_template *t);

/* jinja_render -- In: input, a JSON object: the template's variables. Strings anywhere in it are marked as input, except
 * top-level ones whose name ends in "_token". A template is read-only: any number of threads may render it at once.
 * Errors: SLM_E_FAILED (the template raised), SLM_E_LIMIT, SLM_E_UNSUPPORTED, SLM_E_USAGE (input not an object, SLM_NOW). */
slm_status jinja_render(const struct jinja_template *t, const json_t *input, const struct jlimits *limits,
                        struct jinja_result *out, struct jinja_fault *fault, slm_err *err);

/* jinja_mentions -- does the template's source contain these bytes? */
bool jinja_mentions(const struct jinja_template *t, const char *bytes);

#endif
