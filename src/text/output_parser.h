/* output_parser.h -- what a model writes, as text, reasoning and tool calls, while it comes.
 *
 * Each family of models marks its calls and its reasoning in its own way; a way is a row (output_rows.c), chosen by what the
 * chat template mentions. The text pushed must show special tokens by name (detok with render_special), except end-of-turn
 * ones. Any cut of the bytes gives the same events, but for where one delta of text ends and the next begins.
 *
 * It cannot fail: what looks like a call and is none comes out as the text it was, with is_broken set. A call is told only
 * when it is whole, so nothing is ever taken back; its arguments are valid JSON. Where generation is held to the form of a call
 * (output_options.form) its name is told when it is there, its arguments as they come, and the end even when the output ends before.
 *
 * Threads: one parser, one thread. */
#ifndef SLM_TEXT_OUTPUT_PARSER_H
#define SLM_TEXT_OUTPUT_PARSER_H

#include <jansson.h>

#include "text/call_form.h"

enum output_kind { OUTPUT_TEXT, OUTPUT_REASONING, OUTPUT_CALL_BEGIN, OUTPUT_CALL_ARGUMENTS, OUTPUT_CALL_END };
struct output_event {
    enum output_kind kind;
    struct view text; /* of a call's begin: its name; of its arguments: JSON (an object); valid during the callback */
    int i_call;       /* from 0; of calls */
    bool is_broken;   /* text that began like a call */
};
typedef void output_fn(void *user, const struct output_event *e);

struct chat_template;
struct output_format; /* a row */
/* The rows, for tests and help. */
const char *output_format_name(const struct output_format *f);
const struct output_format *output_format_at(size_t i); /* NULL: past the end */
const struct output_format *output_format_find(const char *name); /* NULL: none */
/* output_format_alone -- the whole output is one call {"name": ..., "arguments": {...}}. */
const struct output_format *output_format_alone(void);
/* output_format_form -- how calls are written that generation can be held to; NULL: in a way that it cannot. t may be NULL. */
const struct call_form *output_format_form(const struct output_format *f, const struct chat_template *t);
/* output_format_close -- what ends a call; NULL: nothing does but its own last bracket. */
const char *output_format_close(const struct output_format *f);
/* output_format_choose -- by the template's markers; never NULL: the last row knows <think> only. */
const struct output_format *output_format_choose(const struct chat_template *t);

struct output_options {
    struct view prompt;   /* its end tells whether the template has opened the reasoning, or a message's header */
    const json_t *tools;  /* the request's, borrowed; NULL: none. Types of parameters where a format has none; without tools
                             a plain JSON object at the start of the answer is an answer, not a call */
    const struct call_form *form; /* calls are held to it; NULL: they are not */
};
struct output_parser;
/* Errors: NOMEM. on_event is called from push and finish. */
slm_status output_parser_create(const struct output_format *f, const struct output_options *o, output_fn *on_event, void *user,
                                struct output_parser **out, slm_err *err);
void output_parser_push(struct output_parser *p, struct view bytes);
void output_parser_finish(struct output_parser *p); /* tells what was held back */
void output_parser_destroy(struct output_parser *p);

/* For holding generation to a form, on a parser that was created without one.
 * output_parser_begins -- whether these bytes, next, would begin a call; *body: what of them is the form's. Valid until the next call.
 * output_parser_body -- whether a call is under way; *body: as far as it has come, of the form. Valid until the next push. */
bool output_parser_begins(struct output_parser *p, struct view next, const struct call_form *form, struct view *body);
bool output_parser_body(const struct output_parser *p, const struct call_form *form, struct view *body);

#define OUTPUT_CALL_BYTES_MAX (16u << 20) /* a longer call is text */

#endif
