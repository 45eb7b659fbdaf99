/* gram.h -- which bytes may follow: one automaton for schemas, regular expressions, lists of choices and grammars.
 *
 * A gram is a graph of nodes (literals, byte sets, sequences, alternatives, counted repeats, small tables of their own) made by
 * gram_build functions and closed by gram_finish. A gram_exec runs it: a state is a set of stacks, kept once each, and what a
 * byte leads to is computed when first asked and remembered, so that a walk costs an array access per byte. Counts are numbers
 * in a stack's frames: {0,10000} costs as much memory as {0,2}.
 *
 * Every state knows gram_cost, the fewest bytes that complete it. From a state of finite cost above 0 some byte leads to a state
 * whose cost is one less: what was begun can always be ended. Read-only after gram_finish; a gram_exec belongs to one thread. */
#ifndef SLM_TEXT_GRAM_H
#define SLM_TEXT_GRAM_H

#include "base/mem.h"

#define GRAM_SOURCE_BYTES_MAX (4u << 20) /* of a schema, a grammar, an expression */
#define GRAM_NODES_MAX (1u << 19)
#define GRAM_CHOICES_MAX 100000
#define GRAM_REPEAT_MAX 1000000          /* the largest count of a {m,n} */
#define GRAM_NESTING_MAX 256             /* brackets within brackets of a source */
#define GRAM_STATE_FRAMES_MAX 20000      /* stacks of one state: more is an ambiguous grammar */
#define GRAM_DEPTH_MAX 1500              /* gram_depth past which a caller should only close: JSON readers nest to 2000 or so */
#define GRAM_COST_INF UINT32_MAX
#define GRAM_DEAD (-1)

struct gram;
/* gram_from_regex -- the whole text must match. ECMAScript syntax without look-around, back-references and \b; ^ and $ stand
 * for the ends of the text. Errors: FORMAT (syntax, with the byte), UNSUPPORTED (named), LIMIT. */
slm_status gram_from_regex(struct view pattern, struct gram **out, slm_err *err);
/* gram_from_choices -- exactly one of the texts. Errors: USAGE (none, an empty one), LIMIT. */
slm_status gram_from_choices(const struct view *choices, size_t n, struct gram **out, slm_err *err);
/* gram_from_gbnf -- a grammar in llama.cpp's notation; the text is the rule "root". Errors: FORMAT (syntax, with line and column;
 * a rule that is not there; one that begins with itself; one that can never end), LIMIT. */
slm_status gram_from_gbnf(struct view source, struct gram **out, slm_err *err);
void gram_destroy(struct gram *g);
/* gram_has_names -- whether it is of a schema with objects whose members' names are free: that none comes twice is the caller's. */
bool gram_has_names(const struct gram *g);

struct gram_exec;
slm_status gram_exec_create(const struct gram *g, struct gram_exec **out, slm_err *err);
void gram_exec_destroy(struct gram_exec *x);

int32_t gram_start(struct gram_exec *x);
/* gram_next -- the state after a byte; GRAM_DEAD: the byte may not come, or memory or a limit gave out (gram_exec_failed). */
int32_t gram_next(struct gram_exec *x, int32_t state, uint8_t byte);
/* gram_row -- for walks: the states after each class of bytes (gram_classes of 256), GRAM_UNKNOWN where gram_next has not been asked
 * yet; NULL: nowhere. The row stays where it is until gram_exec_flush. */
#define GRAM_UNKNOWN (-2)
const int32_t *gram_row(const struct gram_exec *x, int32_t state);
const uint8_t *gram_classes(const struct gram_exec *x);
bool gram_accepts(const struct gram_exec *x, int32_t state);  /* the text may end here */
uint32_t gram_cost(const struct gram_exec *x, int32_t state); /* the fewest bytes to a state that accepts */
/* gram_only_byte -- the one byte that may follow, or -1: none, several, or the text may end here. */
int gram_only_byte(struct gram_exec *x, int32_t state);
bool gram_is_final(struct gram_exec *x, int32_t state);       /* accepts, and nothing may follow */
uint32_t gram_depth(const struct gram_exec *x, int32_t state); /* frames of the deepest stack */
/* gram_best_byte -- the first byte of the cheapest completion (the lowest such byte); -1 at cost 0. */
int gram_best_byte(struct gram_exec *x, int32_t state);

/* gram_string_room -- whether the state is inside a JSON string at the beginning of a character, where every character may come
 * that needs no escape: *n_least and *n_most are how many (n_most UINT32_MAX: any number, and the state stays as it is; after n_least the string may close);
 * all of them lead back into such a string. */
bool gram_string_room(const struct gram_exec *x, int32_t state, uint32_t *n_least, uint32_t *n_most);

size_t gram_exec_bytes(const struct gram_exec *x);
/* gram_exec_flush -- forget every state; ids from before mean nothing. */
void gram_exec_flush(struct gram_exec *x);
/* gram_exec_failed -- SLM_OK, or why gram_next could not go on (NOMEM, LIMIT); cleared by gram_exec_flush. */
slm_status gram_exec_failed(const struct gram_exec *x, slm_err *err);

#endif
