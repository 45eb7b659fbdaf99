/* ground.h -- what a sentence claims that its source does not: numbers, names, quotations. */
#ifndef SLM_TASK_GROUND_H
#define SLM_TASK_GROUND_H

#include "base/mem.h"

/* Sentences of a text, as views into it, with their closing quotes and without white space around; at most n_max. Returns how many there are in all. */
size_t ground_sentences(struct view text, struct view *out, size_t n_max);

/* ground_check -- whether every number, every word with a capital (but a sentence's first), and every quotation of the sentence occurs in the source, as
 * a whole: "3" is not in "30". *missing (may be NULL): the first that does not. A sentence's first word counts when it is not found in lower
 * case either and the next word has a capital too, or when it has a capital within. */
bool ground_check(struct view source, struct view sentence, struct view *missing);

size_t ground_count_words(struct view text);

#endif
