/* said.h -- what a model says: shown as it comes, and kept in parts for the conversation.
 *
 * With a chat template its reasoning and calls are told from its text (text/output_parser.h). On a terminal reasoning is dimmed and a
 * call is a line of its own; elsewhere standard output gets the text and the calls, a JSON object to a line, and standard error the
 * reasoning. Without a template everything is text.
 *
 *     struct said said;
 *     said_init(&said, is_shown);
 *     said_begin(&said, chat, prompt_tail, &err);   once for each answer
 *     said_push(&said, text); ... said_end(&said, &err);
 *     said_fini(&said); */
#ifndef SLM_CLI_SAID_H
#define SLM_CLI_SAID_H

#include <jansson.h>

#include "text/output_parser.h"

struct chat_template;
struct said {
    struct buf text, reasoning;
    json_t *calls;                /* [{"type": "function", "function": {"name", "arguments"}}]; NULL: none */
    struct output_parser *parser; /* NULL: everything is text */
    struct buf name, arguments;   /* of the call under way */
    bool is_shown, is_terminal, is_open; /* is_open: reasoning is being shown */
    bool out_failed, no_memory;
};
void said_init(struct said *s, bool is_shown);
void said_fini(struct said *s);
/* Errors: NOMEM. chat: NULL for none; prompt: its last bytes tell whether reasoning is open already. */
slm_status said_begin(struct said *s, const struct chat_template *chat, struct view prompt, slm_err *err);
/* False: standard output has failed. */
bool said_push(struct said *s, struct view text);
/* Errors: NOMEM, LIMIT. */
slm_status said_end(struct said *s, slm_err *err);

#endif
