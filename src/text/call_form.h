/* call_form.h -- how a family writes a tool call whose arguments are JSON, as pieces: what an automaton is made of (schema.h) and a stream
 * of calls read by (output_parser.h).
 *
 *     open (before NAME between ARGUMENTS after) { separator (before NAME between ARGUMENTS after) } close
 *
 * In a piece a blank stands for at most one blank, a line break for up to two blanks or line breaks; the rest stands for itself. */
#ifndef SLM_TEXT_CALL_FORM_H
#define SLM_TEXT_CALL_FORM_H

#include "base/mem.h"

struct call_form {
    const char *open, *before, *between, *after;
    const char *separator;  /* NULL: one call */
    const char *close;
    bool is_late;           /* other answers begin alike: it is a call from the end of a tool's name on */
};
#define CALL_FORM_BLANKS_MAX 2

/* call_form_match -- one piece against the text from *at on. 1: matched, *at is behind it; 0: the text ends before it does, *at is unchanged;
 * -1: the text goes another way. Blanks that a piece ends with are taken as far as they have come. */
int call_form_match(const char *piece, struct view text, size_t *at);
/* call_form_quotes -- quotes up to the end of a late form's name: those of `before`, and the one that ends the name. */
size_t call_form_quotes(const struct call_form *f);

#endif
