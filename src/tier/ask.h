/* ask.h -- a conversation as it goes to an upstream, whatever API the client spoke. Canonical messages as serve/messages.h has them. */
#ifndef SLM_TIER_ASK_H
#define SLM_TIER_ASK_H

#include <jansson.h>

#include "text/output_parser.h"

enum ask_choice { ASK_AUTO, ASK_NONE, ASK_REQUIRED, ASK_NAMED };

/* All borrowed. */
struct ask {
    const json_t *messages, *tools; /* tools: OpenAI's form; may be empty */
    enum ask_choice choice;
    const char *tool_name;          /* ASK_NAMED */
    bool one_call;                  /* one tool call at most */
    float temperature, top_p, presence_penalty, frequency_penalty; /* NAN: not said */
    int32_t top_k, n_max;           /* -1: not said */
    bool has_seed;
    uint64_t seed;
    const json_t *stop;             /* string or array; NULL */
    const char *effort;             /* NULL */
    struct view schema;             /* a JSON schema; len 0: none */
    bool json_only;                 /* any JSON object */
    bool streams, continues;        /* continues: the last message is the assistant's, to be gone on from */
};
/* ask_bytes -- of all texts that go out: what tokens are estimated from. */
size_t ask_bytes(const struct ask *a);
/* A token is about four bytes. */
static inline uint64_t ask_tokens(size_t n_bytes) { return (n_bytes + 3) / 4; }

/* What comes back, told as the parts of text/output_parser.h. An error ends the attempt. */
typedef slm_status ask_fn(void *user, const struct output_event *e);
#endif
