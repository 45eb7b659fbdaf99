/* tools_int.h -- a request's tools as a schema. */
#ifndef SLM_ENGINE_TOOLS_INT_H
#define SLM_ENGINE_TOOLS_INT_H

#include "text/schema/schema.h"

/* tools_schema -- anyOf of {"name": that one, "arguments": its parameters}; with names (an array, filled) the schema is anyOf of the parameters
 * alone. Each is compiled alone first, so that what is wrong in one is said of that one. Errors: FORMAT, those of gram_from_schema. */
slm_status tools_schema(struct view text, json_t *names, struct schema **out, slm_err *err);

#endif
