/* command.h -- a command is a row: its options, its words for help, its function.
 *
 * To add one: cmd_<name>.c with a struct of values (first member struct common_values), its option rows and its
 * struct command; then one line in commands.c. Help, manual page, completions and the table-walking tests follow. */
#ifndef SLM_CLI_COMMAND_H
#define SLM_CLI_COMMAND_H

#include "cli/options.h"

struct example {
    const char *command; /* as typed in a shell */
    const char *what;
};

struct command {
    const char *group;           /* heading in the list of commands */
    const char *summary;         /* one line, no full stop */
    const char *description;     /* paragraphs, separated by "\n\n" */
    struct option_table table;   /* table.command is the name */
    size_t values_bytes;         /* of the struct that the rows write to */
    const struct example *examples;
    size_t n_examples;
    bool is_common;              /* shown by `slm` alone */
    bool pulls;                  /* a model by a name that is not in the store is fetched first */
    /* words -- what operands mean, before names become paths; NULL: what their rows say. Errors: USAGE. */
    slm_status (*words)(void *values, slm_err *err);
    /* run -- the command. values: filled. Talk goes to stderr, data to stdout. A failure is said by the caller. */
    slm_status (*run)(const void *values, slm_err *err);
};
#define ROWS(array) (array), sizeof(array) / sizeof((array)[0])

const struct command *const *command_rows(size_t *n_rows);
const struct command *command_find(const char *name); /* NULL: none */

/* cli_main -- the whole program; what main returns. */
int cli_main(int argc, char **argv);

#endif
