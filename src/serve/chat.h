/* chat.h -- what every chat route does between reading its request and telling its answer. */
#ifndef SLM_SERVE_CHAT_H
#define SLM_SERVE_CHAT_H

#include "serve/format.h"
#include "serve/generate.h"
#include "serve/messages.h"

enum tool_choice { TOOLS_AUTO, TOOLS_NONE, TOOLS_REQUIRED, TOOLS_NAMED };
enum thinking { THINKING_DEFAULT, THINKING_OFF, THINKING_ON }; /* default: as the template has it */

struct chat {
    struct call *c;
    json_t *messages, *tools;   /* canonical; filled by the route */
    enum tool_choice tool_choice;
    const char *tool_name;      /* TOOLS_NAMED; borrowed from the body */
    bool only_one_call;
    bool tells_live;            /* as struct generation */
    enum thinking thinking;
    const char *effort;         /* reasoning_effort for the template; NULL */
    bool continues;             /* a last message of the assistant is continued */
    const json_t *stop;
    const char *stop_param;
    int32_t n_max;              /* -1: until the context is full */
    int n_each;
    int32_t n_top;
    /* what chat_prepare makes */
    struct served *model;
    struct chat_prompt rendered;
    struct buf prefix;          /* of the answer, from the last message */
    struct tok_ids ids;
    struct sampling sampling;
    struct view stops[64];
    struct format format;
    struct generation g;
};

/* chat_init -- messages and tools are empty; tools stay so unless the route fills them. Errors: NOMEM. */
slm_status chat_init(struct chat *chat, struct call *c);
void chat_fini(struct chat *chat);
/* chat_tool_choice -- OpenAI's and the Responses API's: "auto", "none", "required", {"type": "function", ...}. */
slm_status chat_tool_choice(struct chat *chat, const json_t *v);
/* chat_render -- the model (unless it is there), the prompt, its ids appended: all that counting tokens needs.
 * Errors: those of models_use; UNSUPPORTED (no chat template); USAGE (the template raised). */
slm_status chat_render(struct chat *chat);
/* chat_ready -- after chat_render, or with ids made otherwise: sampling, stop strings and limits, so that generation_run(&chat->g)
 * may follow. chat_prepare -- both. */
slm_status chat_ready(struct chat *chat);
slm_status chat_prepare(struct chat *chat);

/* use_model -- models_use for a call; its name goes to the log. */
slm_status use_model(struct call *c, const char *name, struct served **out);

#endif
