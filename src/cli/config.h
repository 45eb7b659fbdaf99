/* config.h -- the options of a command from a YAML file: `--config FILE.yaml`.
 *
 * Keys are the options' long names, so one table gives flag, key, help and manual:
 *     lr: 2e-4                 an option with a value, as it would be typed
 *     json: true               a flag
 *     data: [a.jsonl, b.csv]   an option that may be given again
 * What is given on the command line stands; the file fills the rest. To have it, a command adds the row OPTION_CONFIG (rows.h); its
 * required options may come from the file. Nothing else is in such a file: an unknown key is an error with its line and the
 * nearest name. libcyaml reads it by a schema made of the rows. */
#ifndef SLM_CLI_CONFIG_H
#define SLM_CLI_CONFIG_H

#include "cli/options.h"

#define CONFIG_BYTES_MAX (1u << 20)

/* config_apply -- the file's values for the options of t that are not given yet (given [rows of t], updated). values->config_text
 * owns the texts that values then point to. Errors: IO; USAGE "FILE:LINE: why". */
slm_status config_apply(const struct option_table *t, const char *path, bool *given, struct common_values *values, slm_err *err);
/* The same over bytes; path is for messages. */
slm_status config_apply_text(const struct option_table *t, const char *path, struct view text, bool *given, struct common_values *values, slm_err *err);
/* config_write -- every option's value as such a file, in the order of the rows; texts quoted. What is not set is left out. */
void config_write(const struct option_table *t, const void *values, struct buf *out);

#endif
