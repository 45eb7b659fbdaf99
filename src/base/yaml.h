/* yaml.h -- what goes wrong in a YAML file, told with its line.
 *
 * (No name of libyaml may be used again: it exports yaml_free and more.) libcyaml tells the place of the event before a fault; the key it names is looked up in the text for the line a user wants. */
#ifndef SLM_BASE_YAML_H
#define SLM_BASE_YAML_H

#include <cyaml/cyaml.h>

#include "base/mem.h"

struct yaml_fault {
    char first[200]; /* the message itself, without what libcyaml puts before it */
    int line;        /* of the innermost place; 0: none */
    char field[64];
};
/* yaml_fault_keep -- a cyaml_config_t's log_fn; its log_ctx is the fault. */
SLM_PRINTF(3, 0)
void yaml_fault_keep(cyaml_log_t level, void *ctx, const char *fmt, va_list args);
/* yaml_line_of_key -- the line where a key stands at its line's beginning, the last of several; 0: nowhere. */
int yaml_line_of_key(struct view text, const char *key);
/* yaml_fault_at -- USAGE with "path:line: why"; line 0: none. */
slm_status yaml_fault_at(const char *path, int line, slm_err *err, const char *why);
/* yaml_fault_say -- USAGE for what was kept. Returns the unknown key when that is the fault (for a hint), or NULL. owner: who does not know it. */
const char *yaml_fault_say(const struct yaml_fault *f, const char *path, struct view text, cyaml_err_t code, const char *owner, slm_err *err);

/* yaml_doc_load -- text through a schema into *out, allocated; freed with yaml_doc_free. An empty document gives NULL.
 * Errors: USAGE with the line. */
slm_status yaml_doc_load(const char *path, struct view text, const cyaml_schema_value_t *schema, const char *owner, void **out, char unknown[64], slm_err *err);
void yaml_doc_free(const cyaml_schema_value_t *schema, void *v); /* NULL is fine */

#endif
