/* gotmpl.h -- chat templates in the language of Go's text/template, as models of Ollama's registry carry them: compile once, render often.
 *
 * Renders to the byte what text/template renders with the data and the functions that Ollama gives (data.c, funcs.c). Not here, and
 * refused by name: html, js, urlquery, call, complex numbers, verbs of printf but v s d q t c e f g, and what prints an address.
 *
 * A template that mentions .Messages is run once over the conversation. Any other is run once for each turn, with .System, .Prompt and
 * .Response, and in its last turn it ends with .Response, where the model goes on. */
#ifndef SLM_TEXT_GOTMPL_H
#define SLM_TEXT_GOTMPL_H

#include "text/jinja/jinja.h"

#define GOTMPL_SOURCE_BYTES_MAX (1u << 20)
#define GOTMPL_TOKENS_MAX (1u << 18)
#define GOTMPL_DEPTH_MAX 200 /* nested actions, parentheses, templates and data */
#define GOTMPL_LIMITS_DEFAULT ((struct jlimits){.steps = 20u << 20, .bytes = 256u << 20, .depth = GOTMPL_DEPTH_MAX})

struct gotmpl;

/* gotmpl_is -- whether a template is in this language and not in Jinja. */
bool gotmpl_is(struct view source);
/* gotmpl_is_bare -- one that says nothing: {{ .Prompt }} alone, which Ollama gives to models without a template. */
bool gotmpl_is_bare(struct view source);

/* gotmpl_compile -- source is copied. fault may be NULL. Errors: FORMAT (syntax, with its line), UNSUPPORTED, LIMIT, NOMEM. */
slm_status gotmpl_compile(struct view source, struct gotmpl **out, struct jinja_fault *fault, slm_err *err);
void gotmpl_destroy(struct gotmpl *t);
bool gotmpl_mentions(const struct gotmpl *t, const char *bytes);

/* gotmpl_render -- In: input, what a Jinja template gets: messages, tools, enable_thinking, reasoning_effort; or prompt and suffix. Strings of it
 * are marked as input (result.spans). A template is read-only: any number of threads may render it at once.
 * Errors: FAILED (the template cannot do with this input), UNSUPPORTED, LIMIT, USAGE (input is no object), NOMEM. */
slm_status gotmpl_render(const struct gotmpl *t, const json_t *input, const struct jlimits *limits, struct jinja_result *out,
                         struct jinja_fault *fault, slm_err *err);

#endif
