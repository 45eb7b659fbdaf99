/* chat.h -- what every chat route does between reading its request and telling its answer. */
#ifndef SLM_SERVE_CHAT_H
#define SLM_SERVE_CHAT_H

#include "serve/format.h"
#include "serve/gateway.h"
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
    bool streams;               /* the answer is told while it is made */
    slm_status (*on_begin)(void *user); /* told when a stream has begun, before the first delta; g.user. NULL: nothing */
    const char *stays;          /* what of the request no upstream can be told; NULL: nothing */
    /* set by chat_init */
    struct request asked;       /* as the client said it, without a route's defaults */
    enum gate gate;             /* which tier was asked for */
    const char *name;           /* the model that answers, as clients are told; valid once it is known */
    char name_text[128];
    struct fault local_fault;   /* slm-auto: why the local model cannot take it; code OK: it can */
    /* what chat_prepare makes */
    struct served *model;
    json_t *own;                /* messages as this model is told them: with its manifest's, without prefix */
    const json_t *own_stop;     /* stop and n_max with its manifest's */
    int32_t own_n_max;
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
/* chat_run -- after the on_delta and user of g are set: begins the stream, if there is one, and generates, here or elsewhere. */
slm_status chat_run(struct chat *chat);
slm_status chat_begin(struct chat *chat); /* the stream's beginning alone */
/* chat_use_model -- the model that renders and may answer: the one that was asked for, or for a tier's name the local one. */
slm_status chat_use_model(struct chat *chat);

/* use_model -- models_use for a call; its name goes to the log. Of the tiers' names only slm-local: what has no conversation is not sent on. */
slm_status use_model(struct call *c, const char *name, struct served **out);
/* use_model_bare -- the same, without the sampling and limits of its manifest: for what has limits of its own. */
slm_status use_model_bare(struct call *c, const char *name, struct served **out);

#endif
