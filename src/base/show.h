/* show.h -- bytes from outside made fit for a terminal or a log: names in files, arguments, generated text.
 *
 * This is the one place that decides what may pass. Nothing here fails; text that is not UTF-8 is shown as \xNN. */
#ifndef SLM_BASE_SHOW_H
#define SLM_BASE_SHOW_H

#include "base/mem.h"

/* For messages: control characters, bytes that are not UTF-8, and characters that reorder text or cannot be seen
 * become \xNN, quotes and backslashes get a backslash; cut with "..." when long. */
struct shown {
    char s[168];
};
struct shown show_view(struct view v);
struct shown show_cstr(const char *s);
/* The end of a path, where the file's name is. */
struct shown show_path(const char *path);

/* show_quoted -- the same for text of any length, appended to out. */
void show_quoted(struct view v, struct buf *out);
/* show_text -- running text appended to out: line ends, tabs, quotes, backslashes, joiners and marks pass; what could command a
 * terminal (controls, C1) or turn the direction of what follows becomes \xNN. */
void show_text(struct view v, struct buf *out);

#endif
