/* chat_template.h -- from messages to a prompt, and from the prompt to token ids.
 *
 *     struct chat_template *t;
 *     struct chat_prompt p;
 *     chat_template_create(&(struct chat_template_source){.text = model_template, .tok = tok}, &t, &err);
 *     chat_template_render(t, input, &p, NULL, &err);     input: {"messages": [...], "add_generation_prompt": true, ...}
 *     chat_prompt_encode(t, &p, &ids, &err);
 *
 * Threads: a chat_template is read-only after creation; any number of threads may render it. */
#ifndef SLM_TEXT_CHAT_TEMPLATE_H
#define SLM_TEXT_CHAT_TEMPLATE_H

#include "text/jinja/jinja.h"
#include "text/tok.h"

struct chat_template_source {
    struct view text;       /* Jinja, or Go's language (gotmpl/gotmpl.h), told by its looks; copied */
    struct view text_tools; /* Jinja: used instead when the input has tools; empty: none */
    const struct tok *tok;  /* borrowed; NULL: render only */
};
struct chat_template;

/* Errors: FORMAT (the template's syntax, with its line), LIMIT, NOMEM. */
slm_status chat_template_create(const struct chat_template_source *source, struct chat_template **out, slm_err *err);
void chat_template_destroy(struct chat_template *t);
/* chat_template_mentions -- does a template (either) contain these bytes? What the output's parser is chosen by. */
bool chat_template_mentions(const struct chat_template *t, const char *bytes);

/* A rendered prompt; freed with jinja_result_fini. spans: what came from the input. */
#define chat_prompt jinja_result

/* chat_template_render -- In: input, borrowed and not changed; one in Go's language reads of it what gotmpl.h says. bos_token and eos_token come from the vocabulary when input lacks
 * them; other variables that input lacks are undefined (transformers gives tools and documents as null). fault (may be NULL; freed with jinja_fault_fini): class, line and whole message of an
 * error. Errors: FAILED (the template raised: err->msg is its message), LIMIT, UNSUPPORTED, USAGE. */
slm_status chat_template_render(const struct chat_template *t, const json_t *input, struct chat_prompt *out, struct jinja_fault *fault, slm_err *err);

/* chat_prompt_encode -- append the prompt's ids. Special tokens are seen in the template's own text, never in what came from the
 * input. BOS comes first when the vocabulary asks for it and the template has not written it. */
slm_status chat_prompt_encode(const struct chat_template *t, const struct chat_prompt *p, struct tok_ids *ids, slm_err *err);

#endif
