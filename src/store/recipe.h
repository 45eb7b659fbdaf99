/* recipe.h -- what `create` makes a model from: a Modelfile, or the same said by a request as JSON. */
#ifndef SLM_STORE_RECIPE_H
#define SLM_STORE_RECIPE_H

#include <jansson.h>

#include "base/mem.h"

#define MODELFILE_BYTES_MAX (1u << 20)

struct recipe {
    char *from;                 /* a path or a name; NULL: none. Texts lie in mem */
    char *system, *template;    /* NULL: as the base has them */
    bool has_own_template;      /* of a stored model: a recipe gave it, and it did not come with what was pulled */
    json_t *params;             /* object: name -> number, bool, text or list of texts */
    json_t *messages;           /* [{"role", "content"}] */
    json_t *licenses, *adapters; /* texts; paths or, from a request, digests */
    json_t *left_out;           /* names of parameters that a model of the store has and slm has not */
    json_t *files;              /* of a request: {file name: digest}; NULL: none */
    struct arena mem;
};

/* recipe_init -- empty. Errors: NOMEM. */
slm_status recipe_init(struct recipe *r, slm_err *err);
void recipe_fini(struct recipe *r);
bool recipe_has_param(const char *name); /* whether there is such a parameter */
/* recipe_set_param -- one value; a text is read as its kind says, "stop" collects. Errors: USAGE (no such parameter, with the nearest; not of its kind). */
slm_status recipe_set_param(struct recipe *r, const char *name, const json_t *v, slm_err *err);
/* recipe_add_message -- Errors: USAGE (a role that is none). */
slm_status recipe_add_message(struct recipe *r, const char *role, struct view content, slm_err *err);

/* modelfile_parse -- hostile bytes into an initialized recipe. what: its name, for messages. Errors: FORMAT (the line, and what is wrong), LIMIT, NOMEM. */
slm_status modelfile_parse(struct view text, const char *what, struct recipe *r, slm_err *err);
/* modelfile_print -- the recipe as a Modelfile; what modelfile_parse has read reads back the same. What a Modelfile cannot say (a text with a line that ends
 * in three quotes, which would end it there; one that is no UTF-8) and what was left out is a comment, so no text becomes a directive. */
void modelfile_print(const struct recipe *r, struct buf *out);

#endif
