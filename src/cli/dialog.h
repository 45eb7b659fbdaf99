/* dialog.h -- a conversation: what was said by whom, and the ids that the model sees.
 *
 * With a template, the whole conversation is rendered and encoded anew when a person has said something; the session finds how
 * much of it it has already computed. Raw (no template): the texts simply follow each other, and the ids grow at the end only. */
#ifndef SLM_CLI_DIALOG_H
#define SLM_CLI_DIALOG_H

#include "text/chat_template.h"

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT };

struct slm_model;
struct message {
    enum role role;
    char *text; /* owned, NUL-terminated */
    size_t n_text;
    json_t *reasoning, *calls; /* of an assistant; NULL: none */
    size_t n_ids_before; /* length of the ids before it */
};
struct dialog {
    const struct slm_model *model; /* borrowed */
    const struct chat_template *chat; /* borrowed; NULL: raw */
    struct message *messages;
    size_t n, cap;
    struct tok_ids ids;
    char prompt_tail[64]; /* the end of the rendered prompt: it may have opened the reasoning */
    size_t n_prompt_tail;
};
struct said;
void dialog_init(struct dialog *d, const struct slm_model *m, const struct chat_template *chat);
void dialog_fini(struct dialog *d);
/* dialog_add_text -- something said by a person; ids are then the prompt for the answer (a system text waits for what the user
 * says). On failure d is unchanged. Errors: those of chat_template_render, USAGE (not UTF-8, with a template), NOMEM. */
slm_status dialog_add_text(struct dialog *d, enum role role, struct view text, slm_err *err);
/* dialog_add_answer -- what the model said, in the parts that templates want, and its very ids. */
slm_status dialog_add_answer(struct dialog *d, const struct said *said, const struct tok_ids *ids, slm_err *err);
/* dialog_begin -- what comes before the first turn: system (NULL: none), then the messages of a file as dialog_save writes it (NULL: none). Errors: IO,
 * FORMAT (no list of messages), LIMIT, NOMEM. */
slm_status dialog_begin(struct dialog *d, const char *system, const char *messages_path, slm_err *err);
void dialog_drop_last(struct dialog *d);
void dialog_clear(struct dialog *d);
/* dialog_save -- [{"role", "content", "reasoning_content", "tool_calls"}] as JSON, written whole or not at all. */
slm_status dialog_save(const struct dialog *d, const char *path, slm_err *err);

#endif
