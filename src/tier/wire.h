/* wire.h -- the APIs of upstreams as rows: where a request goes, its body, and how events and whole answers are read.
 *
 * A new API is a file wire_<name>.c and a row in wire.c. Source of each: its reference, named there. */
#ifndef SLM_TIER_WIRE_H
#define SLM_TIER_WIRE_H

#include "tier/ask.h"
#include "tier/settings.h"

/* Tokens that an upstream may report of one answer, past every context there is: a larger number is an error of its own, and must not become money. */
#define WIRE_TOKENS_MAX 100000000

enum wire_end { WIRE_OPEN, WIRE_STOP, WIRE_LENGTH, WIRE_FILTERED };

/* An answer that comes in. */
struct wire_in {
    ask_fn *on_event;
    void *user;
    slm_status st;           /* of on_event */
    uint64_t n_in, n_cached, n_out; /* n_in: all of the prompt, cached ones too */
    uint64_t n_thoughts;     /* Gemini: of n_out */
    bool has_in, has_out;
    enum wire_end end;
    bool is_over;            /* the API says that the answer is whole */
    bool is_closed;          /* and that nothing follows */
    int error_status;        /* the upstream says that it failed: as HTTP has it; 0: it does not */
    char error[240];
    size_t n_bytes;          /* of text, reasoning and arguments */
    bool has_told;           /* a part, be it without bytes: from here on there is one source */
    int n_calls, i_open;     /* i_open: the call under way, as the upstream counts; -1: none */
    bool has_arguments;      /* of the open call */
};
void wire_in_init(struct wire_in *w, ask_fn *on_event, void *user);

struct wire {
    const char *name;
    /* what of a as this API cannot say: the field's name; NULL: all can be said */
    const char *(*cannot)(const struct ask *a);
    void (*path)(const struct upstream_settings *u, const struct ask *a, struct buf *url); /* appended to base_url */
    const char *key_header;  /* "Authorization: Bearer " */
    const char *more_header; /* NULL: none */
    json_t *(*body)(const struct upstream_settings *u, const struct ask *a, int32_t n_max);
    void (*event)(struct wire_in *w, const char *event, const json_t *v);
    void (*whole)(struct wire_in *w, const json_t *v);
};
const struct wire *wire_get(enum wire_kind kind);

/* For the rows. */
void wire_tell(struct wire_in *w, enum output_kind kind, const char *text, size_t n);
void wire_tell_json(struct wire_in *w, enum output_kind kind, const json_t *text); /* nothing when it is no string or empty */
void wire_call_begin(struct wire_in *w, const char *name);
void wire_call_end(struct wire_in *w); /* arguments that nobody said are {} */
/* wire_is_error -- is what stands under "error" one? An object or words; null, false and nothing are none.
 * wire_error -- an object that says what went wrong: {"message", "type" or "status" or "code"}. */
bool wire_is_error(const json_t *error);
void wire_error(struct wire_in *w, const json_t *error);
/* wire_count -- tokens of usage under key, WIRE_TOKENS_MAX at most. False: it does not say; *n is left. */
bool wire_count(const json_t *usage, const char *key, uint64_t *n);
json_t *wire_stops(const json_t *stop); /* an array */
json_t *wire_schema(struct view schema);
void wire_put_float(json_t *to, const char *key, float v); /* NAN: nothing */
extern const struct wire wire_openai, wire_anthropic, wire_gemini;
#endif
