/* help.h -- everything that is said about commands, made from their rows: help, manual pages, shell completions. */
#ifndef SLM_CLI_HELP_H
#define SLM_CLI_HELP_H

#include "cli/command.h"

#define HELP_BYTES_MAX (1u << 20)

void help_overview(struct buf *out);  /* `slm` alone: common commands with examples */
void help_all(struct buf *out);       /* `slm help`: every command by group, topics */
void help_command(const struct command *c, bool is_short, struct buf *out);
void help_usage(const struct command *c, struct buf *out); /* one line, no line end */

/* Topics of `slm help`: environment, exit-codes. */
struct help_topic {
    const char *name, *summary;
    void (*print)(struct buf *out);
};
const struct help_topic *help_topics(size_t *n_rows);

/* Manual pages (roff, man macros). c NULL: slm.1, the program itself. */
void man_page(const struct command *c, struct buf *out);

/* Completion scripts. Rows {shell, print}. */
struct shell_row {
    const char *name;
    void (*print)(struct buf *out);
};
const struct shell_row *completion_shells(size_t *n_rows);

#endif
