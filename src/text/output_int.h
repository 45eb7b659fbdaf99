/* output_int.h -- rows of formats, and the bodies of calls: shared by the three files of the output parser. */
#ifndef SLM_TEXT_OUTPUT_INT_H
#define SLM_TEXT_OUTPUT_INT_H

#include "text/output_parser.h"

/* Where the parser is; marks name the states in which they count as a mask of 1 << state. */
enum output_state { AT_START, IN_TEXT, IN_REASONING, IN_CALL, IN_HEADER };
#define START (1u << AT_START)
#define TEXT (1u << IN_TEXT)
#define REASONING (1u << IN_REASONING)

enum mark_action {
    MARK_REASONING, /* reasoning begins */
    MARK_TEXT,      /* text begins (reasoning ends) */
    MARK_CALL,      /* a call's body begins */
    MARK_CALL_KEEP, /* the same, and the mark is its first part */
    MARK_HEADER,    /* a message's header begins */
    MARK_SKIP,      /* stands for nothing */
};
struct output_mark {
    const char *text;
    enum mark_action action;
    unsigned states;
    bool needs_tools;
};

/* Calls found in a body: name and arguments are views into text or arena. */
struct found_call {
    struct view name, arguments;
};
struct found_calls {
    struct arena arena;
    struct found_call *v;
    size_t n, cap;
    const json_t *tools;
    struct view header; /* of formats with headers */
};
/* body -- the calls of a whole body; false: it is none. */
typedef bool body_fn(struct found_calls *out, struct view body);
bool body_tagged(struct found_calls *out, struct view body);   /* JSON, Qwen3-Coder's XML, or GLM's arg_key */
bool body_json(struct found_calls *out, struct view body);     /* one object, objects parted by ; , or space, or a list */
bool body_python_tag(struct found_calls *out, struct view body);
bool body_mistral(struct found_calls *out, struct view body);
bool body_deepseek(struct found_calls *out, struct view body);
bool body_pythonic(struct found_calls *out, struct view body);
bool body_function_tag(struct found_calls *out, struct view body);
bool body_gemma(struct found_calls *out, struct view body);
bool body_header(struct found_calls *out, struct view body);   /* the name is in the header */

/* How a body ends. */
enum body_end {
    END_MARK,  /* at close, if that is not inside a JSON string; or with the output */
    END_VALUE, /* where its first JSON value is whole; or with the output */
    END_OUTPUT /* with the output */
};

struct output_format {
    const char *name;
    const char *detect[3];           /* the template mentions all of these */
    const struct output_mark *marks; /* ends with NULL text */
    enum body_end end;
    const char *close;
    body_fn *body;
    const char *opened;              /* a prompt that ends with it has begun the reasoning */
    const char *header_open;         /* a prompt that ends with it has begun a header */
    const char *header_close;        /* NULL: the format has no headers */
    const struct call_form *form;    /* of calls with JSON arguments; NULL: other ones */
    const char *form_unless[2];      /* templates that mention one of these write their calls otherwise */
};

/* value_scan -- where the first bracketed value of text ends, 0: not yet. Called again with more text it goes on where it was. */
struct value_scan {
    size_t at;
    int depth;
    bool in_string, escaped, begun;
};
size_t value_scan(struct value_scan *s, struct view text);

#endif
