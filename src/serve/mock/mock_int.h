/* mock_int.h -- what the mock's parts share: server.c (requests, faults, counts), gold.c (the table), shapes.c (the APIs). */
#ifndef SLM_SERVE_MOCK_INT_H
#define SLM_SERVE_MOCK_INT_H

#include <jansson.h>

#include "serve/mock/mock.h"

/* gold.c */
struct gold;
slm_status gold_read(const struct mock_config *c, struct gold **out, slm_err *err);
/* gold_find -- what the mock says to a question; NULL: not in the table. */
const char *gold_find(const struct gold *g, const char *question);
void gold_free(struct gold *g);

/* shapes.c: what a request asks, and answers in its API's form. */
struct mock_ask {
    const char *question;  /* the last user text; "" when there is none */
    struct buf text;       /* question is within it */
    size_t n_in;           /* tokens */
    size_t n_max;          /* tokens of the answer */
    bool streams, wants_usage;
    const char *tool;      /* the first tool; NULL: none */
    char model[128];
};
struct mock_told {
    const struct mock_ask *ask;
    const char *id;
    struct view text;      /* of a call: its arguments */
    const char *tool;      /* NULL: text */
    size_t n_out;
    bool is_cut;           /* ended by n_max */
    bool hides_usage;
};
struct mock_shape {
    const char *name;
    void (*read)(const json_t *body, struct mock_ask *out);
    json_t *(*whole)(const struct mock_told *t);
    json_t *(*error)(int status, const char *message);
    /* SSE into out */
    void (*begin)(const struct mock_told *t, struct buf *out);
    void (*piece)(const struct mock_told *t, struct view piece, struct buf *out);
    void (*end)(const struct mock_told *t, struct buf *out);
};
/* mock_shape_of -- by path; NULL: none. Fills what the path says (Gemini's model and streaming). */
const struct mock_shape *mock_shape_of(struct view path, struct mock_ask *ask);
/* mock_piece -- the next token of text: at most four bytes, whole characters. */
size_t mock_piece(struct view text);
size_t mock_tokens(size_t n_bytes);

#endif
