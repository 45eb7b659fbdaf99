/* format.h -- what a request says its answer must be, in whatever field, as one constraint (engine/constrain.h). */
#ifndef SLM_SERVE_FORMAT_H
#define SLM_SERVE_FORMAT_H

#include "engine/constrain.h"
#include "serve/request.h"

#define FORMAT_CHOICES_MAX 1024

/* The specification and what it points to; freed with format_fini. */
struct format {
    struct constrain_spec spec;
    bool is_set;
    struct view choices[FORMAT_CHOICES_MAX];
    char *text; /* a schema written out */
};
/* format_read -- response_format, format, json_schema, grammar, guided_*: at most one of them; a forced call's tools are set by the caller. Errors: USAGE, UNSUPPORTED, LIMIT naming the field. */
slm_status format_read(const struct request *r, struct format *out, struct fault *f);
/* format_set_tools -- the answer is one call of one of the tools (canonical; all, or the one named). */
slm_status format_set_tools(struct format *out, const json_t *tools, const char *only, struct fault *f);
void format_fini(struct format *f);

#define FIELD_GRAMMAR(key) {.name = key, .types = JT_STRING, .store = STORE_TEXT, .offset = F(grammar), .doc = "the answer is of this grammar (GBNF)"}
#define FIELD_REGEX(key) {.name = key, .types = JT_STRING, .store = STORE_TEXT, .offset = F(regex), .doc = "the whole answer matches this expression"}
#define FIELD_SCHEMA(key) {.name = key, .types = JT_OBJECT | JT_STRING, .store = STORE_JSON, .offset = F(json_schema), .doc = "the answer is JSON of this schema"}
#define FIELD_CHOICE(key) {.name = key, .types = JT_ARRAY, .store = STORE_JSON, .offset = F(choice), .doc = "the answer is one of these texts"}

#endif
